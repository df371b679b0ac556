//! The training pass: loss and gradient, with activations rebuilt or stored.
//!
//! SASNet is two ways of steps that can be undone. A *reversible* pass keeps only their ends, y, y_cor and the last
//! a2, and its backward pass goes both ways back: down from y to (y_cor, noise), then up from (y_cor, a2) to x. Each step
//! there computes the values of the one that it undoes once more, activations of its subnets included; the gradient is
//! pulled through, and they are dropped. For one more forward pass (1.2 times the time of a step on the CPU) memory does
//! not grow with the depth: 230 MB instead of 5.2 GB for the paper's network and batch.
//!
//! What is rebuilt is off by rounding, which grows where values are stretched: [`Pass::rebuilt`] tells.

use super::{Config, Way, downscale, loss, unet, upscale};
use crate::error::Result;
use crate::graph::{Gradients, Graph, Value};

/// Values of a training pass; all but y are kept to the end of the run.
#[derive(Clone, Debug)]
pub struct Pass {
    /// The network's result.
    pub y: Value,
    /// Mean absolute error, a scalar.
    pub loss: Value,
    /// Gradients of the parameters, flat.
    pub grads: Value,
    /// Of a reversible pass x, y_cor and the noise, and what the backward pass made of them again; else empty.
    pub rebuilt: Vec<[Value; 2]>,
}

/// The network, its loss and its gradient: x and target (N, 3, H, W), noise ([`Config::z_shape`]). The backward pass
/// reads the forward pass's activations (`store_activations`, and always where the network has no noise) or rebuilds them.
pub fn pass(
    g: &mut Graph,
    c: &Config,
    [x, target]: [Value; 2],
    noise: Option<Value>,
    store_activations: bool,
) -> Result<Pass> {
    let pass = match noise {
        Some(noise) if !store_activations => reversible(g, c, x, noise, target)?,
        _ => stored(g, c, x, noise, target)?,
    };
    [pass.loss, pass.grads].iter().chain(pass.rebuilt.iter().flatten()).for_each(|v| g.output(*v));
    Ok(pass)
}

fn stored(g: &mut Graph, c: &Config, x: Value, noise: Option<Value>, target: Value) -> Result<Pass> {
    let y = match noise {
        Some(noise) => {
            let (y_cor, _) = downscale(g, c, x, false)?;
            upscale(g, c, y_cor, noise)?
        }
        None => unet::forward(g, c, x)?,
    };
    let loss = loss(g, y, target)?;
    let (grads, _) = g.backward(loss, &[])?;
    Ok(Pass { y, loss, grads, rebuilt: vec![] })
}

fn reversible(g: &mut Graph, c: &Config, x: Value, noise: Value, target: Value) -> Result<Pass> {
    let [y_cor, a2] = Way::new(g, c, None).down(vec![x], false)?;
    let y = upscale(g, c, y_cor[0], noise)?;
    let loss = loss(g, y, target)?;

    let mut grads = Gradients::new(&[(loss, None)]);
    let last = g.nodes().last().cloned();
    g.pull_back(last.as_slice(), |v| v == y, &mut grads)?;
    let [y_cor_again, noise_again] = Way::new(g, c, Some(&mut grads)).down(vec![y], true)?;
    let [y_cor, y_cor_again, noise_again] = [y_cor[0], y_cor_again[0], noise_again[0]];
    grads.rename(y_cor_again, y_cor);
    let x_again = Way::new(g, c, Some(&mut grads)).up([vec![y_cor], a2], false)?[0];
    let grads = g.flat_gradient(&grads)?;
    Ok(Pass { y, loss, grads, rebuilt: vec![[x, x_again], [y_cor, y_cor_again], [noise, noise_again]] })
}
