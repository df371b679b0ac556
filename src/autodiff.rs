//! Reverse-mode automatic differentiation: appends the gradient of a graph to it, operator by operator in reverse.
//!
//! Each operator says what its own gradient is ([`Operator::backward`]). Here it is decided whose gradients are wanted,
//! those of a value's several uses are added, and those of parameters are written into flat arrays of the parameters'
//! layout, as the optimiser reads them.

use crate::error::{Error, Result};
use crate::graph::{Storage, Value};
use crate::ops::{Graph, Node, Operator, add::Add};
use crate::tensor::Shape;
use std::collections::HashMap;

/// Name of the nodes that add up the arrays of a parameter's several uses.
pub(crate) const SUM: &str = "grads";

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

    /// Moves the gradient of `from` to `to`, another copy of the same value.
    pub fn rename(&mut self, from: Value, to: Value) {
        if let Some(gradient) = self.of.remove(&from) {
            self.of.insert(to, gradient);
        }
    }
}

/// Gradients, for all who build graphs: `g.backward(loss, &[])`.
impl Graph {
    /// Appends the gradient of `loss` (a scalar, whose own gradient is 1) with respect to all parameters and to
    /// `wrt`. Returns the flat array of the parameters' gradients, kept to the end, and the gradients of `wrt`.
    pub fn backward(&mut self, loss: Value, wrt: &[Value]) -> Result<(Value, Vec<Value>)> {
        assert_eq!(self.shape(loss), Shape::SCALAR, "the gradient of a scalar");
        self.vjp(&[(loss, None)], wrt)
    }

    /// Appends the vector-Jacobian product: as [`Graph::backward`], of any values with given upstream gradients (None:
    /// the value is a loss, gradient 1).
    pub fn vjp(&mut self, of: &[(Value, Option<Value>)], wrt: &[Value]) -> Result<(Value, Vec<Value>)> {
        let tape = self.nodes().to_vec();
        let mut needs: Vec<bool> =
            self.values().iter().map(|info| self.parameter_offset(info.storage).is_some()).collect();
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

    /// Returns the flat array of all parameters' gradients, kept to the end of the run.
    pub fn flat_gradient(&mut self, grads: &Gradients) -> Result<Value> {
        let Some((&first, rest)) = grads.flat.split_first() else { return Ok(self.persistent_like_params("grads")) };
        let add = |sum, part: &Value| self.apply1(SUM, Add { beta: 1.0 }, &[sum, *part]);
        let sum = rest.iter().try_fold(first, add)?;
        self.output(sum);
        Ok(sum)
    }

    fn add_gradient(&mut self, name: &str, x: Value, dx: Value, grads: &mut Gradients) -> Result<()> {
        let info = self.info(x);
        if let Some(offset) = self.parameter_offset(info.storage) {
            // Straight into a flat array, one for each use: adding two arrays at the end is one operator, adding each
            // parameter's two gradients was hundreds.
            let name = format!("grad.{}", info.name);
            let uses = grads.uses.entry(x).or_insert(0);
            if grads.flat.len() == *uses {
                grads.flat.push(self.persistent_like_params("grads"));
            }
            self.place_in(dx, name, grads.flat[*uses], offset);
            *uses += 1;
            return Ok(());
        }
        let sum = match grads.get(x) {
            Some(other) => self.apply1(name, Add { beta: 1.0 }, &[other, dx])?,
            None => dx,
        };
        grads.of.insert(x, Some(sum));
        Ok(())
    }

    /// First element of a parameter in the flat array; None: no parameter is stored so.
    fn parameter_offset(&self, storage: Storage) -> Option<usize> {
        match storage {
            Storage::View { base, offset } if base == self.params() => Some(offset),
            _ => None,
        }
    }
}
