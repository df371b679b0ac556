//! The pass of a network in training: loss and gradient.

use crate::error::Result;
use crate::graph::Value;
use crate::ops::Graph;
use crate::ops::loss::L1Loss;

/// Values of a training pass; all but y are kept to the end of the run.
#[derive(Clone, Debug)]
pub struct Pass {
    /// The network's result.
    pub y: Value,
    /// Mean absolute error, a scalar.
    pub loss: Value,
    /// Gradients of the parameters, flat.
    pub grads: Value,
    /// Of a reversible pass x, y_cor and what stood in z's place, and what the way back made of them again; else empty.
    pub rebuilt: Vec<[Value; 2]>,
}

/// The pass of a network whose result is y, with all activations kept for the way back.
pub(super) fn stored(g: &mut Graph, y: Value, target: Value) -> Result<Pass> {
    let loss = loss(g, y, target)?;
    let (grads, _) = g.backward(loss, &[])?;
    Ok(Pass { y, loss, grads, rebuilt: vec![] })
}

/// The mean absolute error of `y`, a scalar.
pub fn loss(g: &mut Graph, y: Value, target: Value) -> Result<Value> {
    g.apply1("loss", L1Loss, &[y, target])
}
