//! The graph: operators on values, in the order in which they run. Plain data, no device.
//!
//! Every value is written once, by one node (or from outside: inputs and parameters). [`Graph::backward`] appends the
//! gradient of a scalar, operator by operator in reverse. All parameters live in one flat array, their gradients and
//! Adam's moments in others of the same layout ([`Layout`]), so that the optimiser and checkpoints see four arrays.

use crate::error::{Error, Result};
use crate::ops::{Op, Operator, add::Add};
use crate::tensor::Shape;
use std::collections::HashMap;

/// A value of a graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Value(pub(crate) usize);

/// Where a value lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a buffer that is reused after its last use.
    Transient,
    /// In a buffer of its own, from run to run.
    Persistent,
    /// A part of another value, from `offset` (in elements) on.
    View {
        /// The whole.
        base: Value,
        /// First element.
        offset: usize,
    },
}

/// What the graph knows of a value.
#[derive(Clone, Debug)]
pub struct ValueInfo {
    /// Name, for messages and reports.
    pub name: String,
    /// Shape.
    pub shape: Shape,
    /// Where it lives.
    pub place: Place,
}

/// One operator applied.
#[derive(Clone, Debug)]
pub struct Node {
    /// The operator.
    pub op: Op,
    /// Layer name, as in the weights file.
    pub name: String,
    /// What it reads.
    pub inputs: Vec<Value>,
    /// What it writes.
    pub outputs: Vec<Value>,
    /// Persistent values that it reads and writes in place.
    pub updates: Vec<Value>,
}

/// One parameter's place in the flat array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Name in the weights file.
    pub name: String,
    /// Dimensions in the weights file.
    pub dims: Vec<usize>,
    /// First element.
    pub offset: usize,
}

impl Entry {
    /// Elements.
    pub fn len(&self) -> usize {
        self.dims.iter().product()
    }

    /// True where a dimension is 0.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Elements that one output sums over: c_in x kernel area of a weight.
    pub fn fan_in(&self) -> usize {
        self.dims[1..].iter().product()
    }

    /// Its elements in the flat array.
    pub fn range(&self) -> std::ops::Range<usize> {
        self.offset..self.offset + self.len()
    }

    fn shape(&self) -> Shape {
        match self.dims[..] {
            [c] => Shape::new(1, c, 1, 1),
            [n, c] => Shape::new(n, c, 1, 1),
            [n, c, h, w] => Shape::new(n, c, h, w),
            _ => panic!("{} has {} dimensions", self.name, self.dims.len()),
        }
    }
}

/// Names, dimensions and places of all parameters in one flat array. Each begins at a multiple of 64 elements (256
/// bytes, WebGPU's alignment of bindings); the gaps are zero.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    entries: Vec<Entry>,
    index: HashMap<String, usize>,
    len: usize,
}

impl Layout {
    /// Adds a parameter.
    pub fn push(&mut self, name: String, dims: &[usize]) {
        let entry = Entry { name, dims: dims.to_vec(), offset: self.len };
        self.len += entry.len().next_multiple_of(64);
        assert!(self.index.insert(entry.name.clone(), self.entries.len()).is_none(), "{} is there already", entry.name);
        self.entries.push(entry);
    }

    /// All parameters, in order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The parameter called `name`.
    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.index.get(name).map(|&i| &self.entries[i])
    }

    /// Elements of the flat array, gaps included.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True without parameters.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Number of parameters, gaps not counted.
    pub fn parameters(&self) -> usize {
        self.entries.iter().map(Entry::len).sum()
    }
}

/// Gradients while [`Graph::pull_back`] collects them.
#[derive(Clone, Debug, Default)]
pub struct Gradients {
    /// Of each value but the parameters; None: the value is the loss, gradient 1.
    of: HashMap<Value, Option<Value>>,
    /// Flat arrays of the parameters' gradients, one for each of a parameter's uses.
    flat: Vec<Value>,
    /// Uses of each parameter so far.
    uses: HashMap<Value, usize>,
}

impl Gradients {
    /// Upstream gradients of values (None: the value is a loss, gradient 1).
    pub fn new(of: &[(Value, Option<Value>)]) -> Self {
        Gradients { of: of.iter().copied().collect(), ..Gradients::default() }
    }

    /// The gradient of a value that is no parameter, if there is one yet.
    pub fn get(&self, value: Value) -> Option<Value> {
        self.of.get(&value).copied().flatten()
    }

    /// The gradient of `from` is that of `to`, another copy of the same value.
    pub fn rename(&mut self, from: Value, to: Value) {
        if let Some(gradient) = self.of.remove(&from) {
            self.of.insert(to, gradient);
        }
    }
}

/// A list of operators on values.
#[derive(Clone, Debug)]
pub struct Graph {
    layout: Layout,
    values: Vec<ValueInfo>,
    nodes: Vec<Node>,
    inputs: Vec<Value>,
    outputs: Vec<Value>,
    params: Value,
    /// Parameters that have been asked for, by their offset.
    views: HashMap<usize, Value>,
}

impl Graph {
    /// An empty graph over parameters of this layout.
    pub fn new(layout: Layout) -> Self {
        let shape = Shape::new(1, 1, 1, layout.len());
        let (values, nodes, inputs, outputs, views) = Default::default();
        let mut graph = Graph { layout, values, nodes, inputs, outputs, params: Value(0), views };
        graph.params = graph.persistent("params", shape);
        graph
    }

    /// The flat array of parameters.
    pub fn params(&self) -> Value {
        self.params
    }

    /// The layout of the parameters.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// A value that is set from outside before each run.
    pub fn input(&mut self, name: &str, shape: Shape) -> Value {
        let value = self.value(name, shape, Place::Transient);
        self.inputs.push(value);
        value
    }

    /// A value that keeps its contents from run to run; zero at first.
    pub fn persistent(&mut self, name: &str, shape: Shape) -> Value {
        self.value(name, shape, Place::Persistent)
    }

    /// A flat array of the parameters' layout, zero at first.
    pub fn persistent_like_params(&mut self, name: &str) -> Value {
        let shape = self.info(self.params).shape;
        self.persistent(name, shape)
    }

    /// The parameter called `name`.
    pub fn param(&mut self, name: &str) -> Result<Value> {
        let entry =
            self.layout.get(name).ok_or_else(|| Error::Invalid(format!("the network has no parameter {name}")))?;
        let (shape, offset) = (entry.shape(), entry.offset);
        let place = Place::View { base: self.params, offset };
        if let Some(&known) = self.views.get(&offset) {
            return Ok(known);
        }
        let value = self.value(name, shape, place);
        self.views.insert(offset, value);
        Ok(value)
    }

    /// Applies an operator; `name` is that of the layer.
    pub fn apply(&mut self, name: &str, op: impl Into<Op>, inputs: &[Value]) -> Result<Vec<Value>> {
        self.apply_in_place(name, op, inputs, &[])
    }

    /// Applies an operator that also updates persistent values in place.
    pub fn apply_in_place(
        &mut self,
        name: &str,
        op: impl Into<Op>,
        inputs: &[Value],
        updates: &[Value],
    ) -> Result<Vec<Value>> {
        let op = op.into();
        let shapes: Vec<Shape> = inputs.iter().map(|&v| self.info(v).shape).collect();
        let outputs = op.infer(&shapes).map_err(|e| Error::Invalid(format!("{} \"{name}\": {e}", op.name())))?;
        let outputs: Vec<Value> = outputs
            .into_iter()
            .enumerate()
            .map(|(i, shape)| self.value(&format!("{name}.{}.{i}", op.name()), shape, Place::Transient))
            .collect();
        self.nodes.push(Node {
            op,
            name: name.to_string(),
            inputs: inputs.to_vec(),
            outputs: outputs.clone(),
            updates: updates.to_vec(),
        });
        Ok(outputs)
    }

    /// Applies an operator with one output.
    pub fn apply1(&mut self, name: &str, op: impl Into<Op>, inputs: &[Value]) -> Result<Value> {
        Ok(self.apply(name, op, inputs)?[0])
    }

    /// Keeps a value to the end of the run, to be read.
    pub fn output(&mut self, value: Value) {
        if !self.outputs.contains(&value) {
            self.outputs.push(value);
        }
    }

    /// What is known of a value.
    pub fn info(&self, value: Value) -> &ValueInfo {
        &self.values[value.0]
    }

    /// Shape of a value.
    pub fn shape(&self, value: Value) -> Shape {
        self.info(value).shape
    }

    /// All values; a [`Value`] is an index.
    pub fn values(&self) -> &[ValueInfo] {
        &self.values
    }

    /// All nodes, in the order in which they run.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Values set from outside before each run.
    pub fn inputs(&self) -> &[Value] {
        &self.inputs
    }

    /// Values kept to the end of a run.
    pub fn outputs(&self) -> &[Value] {
        &self.outputs
    }

    /// Appends the gradient of `loss` (a scalar, whose own gradient is 1) with respect to all parameters and to
    /// `wrt`. Returns the flat array of the parameters' gradients, kept to the end, and the gradients of `wrt`.
    pub fn backward(&mut self, loss: Value, wrt: &[Value]) -> Result<(Value, Vec<Value>)> {
        assert_eq!(self.shape(loss), Shape::SCALAR, "the gradient of a scalar");
        self.vjp(&[(loss, None)], wrt)
    }

    /// As [`Graph::backward`], of any values with given upstream gradients (None: the value is a loss, gradient 1).
    pub fn vjp(&mut self, of: &[(Value, Option<Value>)], wrt: &[Value]) -> Result<(Value, Vec<Value>)> {
        let tape = self.nodes.clone();
        let mut needs = vec![false; self.values.len()];
        for (i, info) in self.values.iter().enumerate() {
            needs[i] = matches!(info.place, Place::View { base, .. } if base == self.params);
        }
        for value in wrt {
            needs[value.0] = true;
        }
        for node in &tape {
            if node.inputs.iter().any(|v| needs[v.0]) {
                node.outputs.iter().for_each(|v| needs[v.0] = true);
            }
        }
        let mut grads = Gradients::new(of);
        self.pull_back(&tape, |v| needs[v.0], &mut grads)?;
        let missing = |v: &Value| Error::Invalid(format!("nothing depends on {}", self.info(*v).name));
        let wrt = wrt.iter().map(|v| grads.get(*v).ok_or_else(|| missing(v))).collect::<Result<_>>()?;
        Ok((self.flat_gradient(&grads)?, wrt))
    }

    /// Appends the operators that pull gradients back through `tape`, nodes in the order in which they run: from what
    /// `grads` has of their outputs to their parameters and to those inputs that `needs` one, added to `grads`. The
    /// nodes need not be in the graph, as long as the values are that their gradients read.
    pub fn pull_back(&mut self, tape: &[Node], needs: impl Fn(Value) -> bool, grads: &mut Gradients) -> Result<()> {
        for node in tape.iter().rev() {
            let wanted: Vec<bool> = node.inputs.iter().map(|v| needs(*v)).collect();
            let dy: Vec<Option<Option<Value>>> = node.outputs.iter().map(|v| grads.of.get(v).copied()).collect();
            if !wanted.contains(&true) || dy.iter().all(Option::is_none) {
                continue;
            }
            let dy: Vec<Option<Value>> = dy.into_iter().map(Option::flatten).collect();
            let dx = node.op.backward(self, node, &dy, &wanted);
            for ((&x, dx), wanted) in node.inputs.iter().zip(dx).zip(wanted) {
                if let (Some(dx), true) = (dx, wanted) {
                    self.add_gradient(&node.name, x, dx, grads)?;
                }
            }
        }
        Ok(())
    }

    fn add_gradient(&mut self, name: &str, x: Value, dx: Value, grads: &mut Gradients) -> Result<()> {
        if let Place::View { base, offset } = self.values[x.0].place
            && base == self.params
        {
            // Straight into a flat array, one for each use: adding two arrays at the end is one operator, adding each
            // parameter's two gradients was hundreds.
            let uses = grads.uses.entry(x).or_insert(0);
            if grads.flat.len() == *uses {
                grads.flat.push(self.persistent_like_params("grads"));
            }
            assert_eq!(self.values[dx.0].place, Place::Transient, "{name}: a gradient of two parameters");
            let base = grads.flat[*uses];
            *uses += 1;
            self.values[dx.0].place = Place::View { base, offset };
            self.values[dx.0].name = format!("grad.{}", self.values[x.0].name);
            return Ok(());
        }
        let sum = match grads.get(x) {
            Some(other) => self.apply1(name, Add { beta: 1.0 }, &[other, dx])?,
            None => dx,
        };
        grads.of.insert(x, Some(sum));
        Ok(())
    }

    /// The flat array of all parameters' gradients, kept to the end of the run.
    pub fn flat_gradient(&mut self, grads: &Gradients) -> Result<Value> {
        let Some((&first, rest)) = grads.flat.split_first() else { return Ok(self.persistent_like_params("grads")) };
        let add = |sum, part: &Value| self.apply1("grads", Add { beta: 1.0 }, &[sum, *part]);
        let sum = rest.iter().try_fold(first, add)?;
        self.output(sum);
        Ok(sum)
    }

    fn value(&mut self, name: &str, shape: Shape, place: Place) -> Value {
        self.values.push(ValueInfo { name: name.to_string(), shape, place });
        Value(self.values.len() - 1)
    }
}
