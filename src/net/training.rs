//! The pass of a network in training: loss and gradient.

use super::normalised::Layers;
use crate::error::Result;
use crate::graph::Value;
use crate::ops::{Graph, add::Add, loss::L1Loss};

/// Values of a training pass; all but y are kept to the end of the run.
#[derive(Clone, Debug)]
pub struct Pass {
    /// The network's result.
    pub y: Value,
    /// The loss, a scalar.
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

/// What a network makes in training of a picture, and its loss, before any gradient.
#[derive(Debug)]
pub struct Losses {
    /// Its results by name; the last is y.
    pub outputs: Vec<(&'static str, Value)>,
    /// Terms whose sum is the loss.
    pub terms: Vec<Value>,
    /// Its normalisations, and whether their running variance is that of what the batch is a sample of.
    pub(super) layers: (Layers, bool),
}

impl Losses {
    /// Appends the sum of the terms, its gradient with all activations kept, also with respect to `wrt`, and the step of
    /// running statistics.
    pub fn pass(self, g: &mut Graph, wrt: &[Value]) -> Result<(Pass, Vec<Value>)> {
        let Losses { outputs, terms, layers: (layers, unbiased) } = self;
        let (first, rest) = terms.split_first().expect("a loss has a term");
        let loss = rest.iter().try_fold(*first, |sum, term| g.apply1("loss", Add { beta: 1.0 }, &[sum, *term]))?;
        let of: Vec<_> = terms.iter().map(|term| (*term, None)).collect();
        let (grads, wrt) = g.vjp(&of, wrt)?;
        layers.update_running(g, unbiased)?;
        let (_, y) = *outputs.last().expect("a network has a result");
        Ok((Pass { y, loss, grads, rebuilt: vec![] }, wrt))
    }
}
