//! The graph: operators on values, in the order in which they run. Plain data, no device.
//!
//! Every value is written once, by one node (or from outside: inputs and parameters). All parameters live in one flat
//! array, their gradients and Adam's moments in others of the same layout ([`Layout`]), so that the optimiser and
//! checkpoints see four arrays.
//!
//! A graph knows of an operator only its [`ShapeRule`], so that operators may speak of graphs and graphs need not speak
//! of operators.

use crate::error::{Error, Result};
use crate::tensor::Shape;
use std::collections::HashMap;

/// A value of a graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Value(pub(crate) usize);

/// How a value is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
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

/// Name and shape rule of an operator: all that a graph asks of it.
pub trait ShapeRule {
    /// Name, for messages and for the names of values.
    fn name(&self) -> &'static str;

    /// Shapes of the outputs; an error says what does not fit.
    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String>;
}

/// Name, shape and storage of a value.
#[derive(Clone, Debug)]
pub struct ValueInfo {
    /// Name, for messages and reports.
    pub name: String,
    /// Shape.
    pub shape: Shape,
    /// How it is stored.
    pub storage: Storage,
}

/// One operator of the kind `O` applied.
#[derive(Clone, Debug)]
pub struct Node<O> {
    /// The operator.
    pub op: O,
    /// Layer name, as in the weights file.
    pub name: String,
    /// Values that it reads.
    pub inputs: Vec<Value>,
    /// Values that it writes.
    pub outputs: Vec<Value>,
    /// Persistent values that it reads and writes in place.
    pub updates: Vec<Value>,
}

/// One parameter's place in the flat array.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Name in the weights file.
    pub name: String,
    /// Dimensions in the weights file.
    pub dims: Vec<usize>,
    /// First element.
    pub offset: usize,
    /// Learned, or kept beside what is.
    pub role: Role,
}

/// What an entry of a layout is, and how it begins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Role {
    /// A learned weight or bias, random at first.
    Random,
    /// A learned parameter, all of one value at first.
    Constant(f32),
    /// No parameter, but a running statistic of training, of one value at first: it has no gradient, and optimisers,
    /// which find 0 there, leave it as it is.
    Statistic(f32),
}

impl Role {
    /// Tells whether it is learned.
    pub fn is_learned(self) -> bool {
        !matches!(self, Role::Statistic(_))
    }
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
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Layout {
    entries: Vec<Entry>,
    index: HashMap<String, usize>,
    len: usize,
}

impl Layout {
    /// Adds a parameter that begins at random.
    pub fn push(&mut self, name: String, dims: &[usize]) {
        self.push_as(name, dims, Role::Random);
    }

    /// Adds a layer's weight, of these dimensions, and its bias for so many outputs.
    pub fn push_layer(&mut self, name: &str, dims: &[usize], outputs: usize) {
        self.push(format!("{name}.weight"), dims);
        self.push(format!("{name}.bias"), &[outputs]);
    }

    /// Adds a parameter or a statistic.
    pub fn push_as(&mut self, name: String, dims: &[usize], role: Role) {
        let entry = Entry { name, dims: dims.to_vec(), offset: self.len, role };
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

    /// Checks that a flat array has as many elements.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it has not.
    pub(crate) fn check_params(&self, params: &[f32]) -> Result<()> {
        if params.len() == self.len() {
            return Ok(());
        }
        let (given, own) = (params.len(), self.len());
        Err(Error::Invalid(format!("{given} parameters for a network of {own}, gaps included")))
    }

    /// Elements of the flat array, gaps included.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True without parameters.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Number of learned parameters, gaps not counted.
    pub fn parameters(&self) -> usize {
        self.entries.iter().filter(|entry| entry.role.is_learned()).map(Entry::len).sum()
    }

    /// Tells whether training keeps statistics beside the parameters.
    pub fn has_statistics(&self) -> bool {
        self.entries.iter().any(|entry| !entry.role.is_learned())
    }
}

/// A list of operators of the kind `O` on values.
#[derive(Clone, Debug)]
pub struct Graph<O> {
    layout: Layout,
    values: Vec<ValueInfo>,
    nodes: Vec<Node<O>>,
    inputs: Vec<Value>,
    outputs: Vec<Value>,
    params: Value,
    /// Parameters that have been asked for, by their offset.
    views: HashMap<usize, Value>,
    constants: Vec<(Value, Vec<f64>)>,
}

impl<O: ShapeRule> Graph<O> {
    /// An empty graph over parameters of this layout.
    pub fn new(layout: Layout) -> Self {
        let shape = Shape::new(1, 1, 1, layout.len());
        let (values, nodes, inputs, outputs, views, constants) = Default::default();
        let mut graph = Graph { layout, values, nodes, inputs, outputs, params: Value(0), views, constants };
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
        let value = self.value(name, shape, Storage::Transient);
        self.inputs.push(value);
        value
    }

    /// A value that keeps its contents from run to run; zero at first.
    pub fn persistent(&mut self, name: &str, shape: Shape) -> Value {
        self.value(name, shape, Storage::Persistent)
    }

    /// A value that executors set when they are made, and nothing changes: a table of numbers. In f64, which the oracle
    /// of the tests reads. Panics where `data` does not fill `shape`.
    pub fn constant(&mut self, name: &str, shape: Shape, data: Vec<f64>) -> Value {
        assert_eq!(data.len(), shape.len(), "{name} is {shape}");
        let value = self.persistent(name, shape);
        self.constants.push((value, data));
        value
    }

    /// All constants, with their elements.
    pub fn constants(&self) -> &[(Value, Vec<f64>)] {
        &self.constants
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
        let storage = Storage::View { base: self.params, offset };
        if let Some(&known) = self.views.get(&offset) {
            return Ok(known);
        }
        let value = self.value(name, shape, storage);
        self.views.insert(offset, value);
        Ok(value)
    }

    /// Applies an operator; `name` is that of the layer.
    pub fn apply(&mut self, name: &str, op: impl Into<O>, inputs: &[Value]) -> Result<Vec<Value>> {
        self.apply_in_place(name, op, inputs, &[])
    }

    /// Applies an operator that also updates persistent values in place.
    pub fn apply_in_place(
        &mut self,
        name: &str,
        op: impl Into<O>,
        inputs: &[Value],
        updates: &[Value],
    ) -> Result<Vec<Value>> {
        let op = op.into();
        let shapes: Vec<Shape> = inputs.iter().map(|&v| self.info(v).shape).collect();
        let outputs = op.infer(&shapes).map_err(|e| Error::Invalid(format!("{} \"{name}\": {e}", op.name())))?;
        let outputs: Vec<Value> = outputs
            .into_iter()
            .enumerate()
            .map(|(i, shape)| self.value(&format!("{name}.{}.{i}", op.name()), shape, Storage::Transient))
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
    pub fn apply1(&mut self, name: &str, op: impl Into<O>, inputs: &[Value]) -> Result<Value> {
        Ok(self.apply(name, op, inputs)?[0])
    }

    /// Keeps a value to the end of the run, to be read.
    pub fn output(&mut self, value: Value) {
        if !self.outputs.contains(&value) {
            self.outputs.push(value);
        }
    }

    /// Returns what is known of a value.
    pub fn info(&self, value: Value) -> &ValueInfo {
        &self.values[value.0]
    }

    /// Shape of a value.
    pub fn shape(&self, value: Value) -> Shape {
        self.info(value).shape
    }

    /// The persistent value that a value lies in: itself, or what it is a view of.
    pub fn base(&self, value: Value) -> Option<Value> {
        match self.info(value).storage {
            Storage::Transient => None,
            Storage::Persistent => Some(value),
            Storage::View { base, .. } => Some(base),
        }
    }

    /// All values; a [`Value`] is an index.
    pub fn values(&self) -> &[ValueInfo] {
        &self.values
    }

    /// All nodes, in the order in which they run.
    pub fn nodes(&self) -> &[Node<O>] {
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

    /// Makes a transient value the part of `base`, a persistent one, that begins at `offset`, so that its node writes
    /// straight into the whole.
    pub(crate) fn place_in(&mut self, value: Value, name: String, base: Value, offset: usize) {
        let info = &mut self.values[value.0];
        assert_eq!(info.storage, Storage::Transient, "{} lies in one place", info.name);
        (info.name, info.storage) = (name, Storage::View { base, offset });
    }

    fn value(&mut self, name: &str, shape: Shape, storage: Storage) -> Value {
        self.values.push(ValueInfo { name: name.to_string(), shape, storage });
        Value(self.values.len() - 1)
    }
}
