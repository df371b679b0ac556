//! The training pass: loss and gradient, with activations rebuilt or stored.
//!
//! SASNet is two ways of steps that can be undone. A *reversible* pass keeps only their ends, y, y_cor and the last
//! a2, and its backward pass goes both ways back: down from y to (y_cor, noise), then up from (y_cor, a2) to x (where z is kept,
//! a2 is z, and between the two the block that reads it is computed once more). Each step
//! there computes the values of the one that it undoes once more, activations of its subnets included; the gradient is
//! pulled through, and they are dropped. For one more forward pass (1.2 times the time of a step on the CPU) memory does
//! not grow with the depth: 230 MB instead of 5.2 GB for the paper's network and batch.
//!
//! What is rebuilt is off by rounding, which grows where values are stretched: [`Pass::rebuilt`] tells.

use super::{Architecture, Config, Slabs, Way, loss, unet, upscale};
use crate::autodiff::Gradients;
use crate::error::Result;
use crate::graph::Value;
use crate::ops::Graph;

/// Values of a training pass; all but y are kept to the end of the run.
#[derive(Clone, Debug)]
pub struct Pass {
    /// The network's result.
    pub y: Value,
    /// Mean absolute error, a scalar.
    pub loss: Value,
    /// Gradients of the parameters, flat.
    pub grads: Value,
    /// Of a reversible pass x, y_cor and what stood in z's place, and what the backward pass made of them again; else empty.
    pub rebuilt: Vec<[Value; 2]>,
}

/// The network, its loss and its gradient: x and target (N, 3, H, W), noise ([`Config::noise_shape`]). The backward
/// pass reads the forward pass's activations (`store_activations`, and always in other networks than SASNet) or rebuilds them.
pub fn pass(
    g: &mut Graph,
    c: &Config,
    [x, target]: [Value; 2],
    noise: Option<Value>,
    store_activations: bool,
) -> Result<Pass> {
    assert_eq!(noise.map(|n| g.shape(n)), c.noise_shape(g.shape(x)), "the noise of this network");
    let pass = match c.architecture {
        Architecture::Sasnet if !store_activations => reversible(g, c, x, noise, target)?,
        _ => stored(g, c, x, noise, target)?,
    };
    [pass.loss, pass.grads].iter().chain(pass.rebuilt.iter().flatten()).for_each(|v| g.output(*v));
    Ok(pass)
}

fn stored(g: &mut Graph, c: &Config, x: Value, noise: Option<Value>, target: Value) -> Result<Pass> {
    let y = match c.architecture {
        Architecture::Sasnet => {
            let (a, latent) = down(g, c, x, noise)?;
            upscale(g, c, a[0][0], latent)?
        }
        _ => unet::forward(g, c, x)?,
    };
    let loss = loss(g, y, target)?;
    let (grads, _) = g.backward(loss, &[])?;
    Ok(Pass { y, loss, grads, rebuilt: vec![] })
}

/// x -> y_cor with the last a2 (z, where there is no noise), and what stands in z's place.
fn down(g: &mut Graph, c: &Config, x: Value, noise: Option<Value>) -> Result<([Slabs; 2], Value)> {
    let mut way = Way::new(g, c, None);
    let a = way.down(vec![x], noise.is_none())?;
    let latent = noise.map_or_else(|| Ok(way.structure(&a)?[0]), Ok)?;
    Ok((a, latent))
}

fn reversible(g: &mut Graph, c: &Config, x: Value, noise: Option<Value>, target: Value) -> Result<Pass> {
    let (a, latent) = down(g, c, x, noise)?;
    let y_cor = a[0][0];
    let y = upscale(g, c, y_cor, latent)?;
    let loss = loss(g, y, target)?;

    let mut grads = Gradients::new(&[(loss, None)]);
    let last = g.nodes().last().cloned();
    g.pull_back(last.as_slice(), |v| v == y, &mut grads)?;
    let [y_cor_again, latent_again] = Way::new(g, c, Some(&mut grads)).down(vec![y], true)?.map(|slabs| slabs[0]);
    grads.rename(y_cor_again, y_cor);
    if noise.is_none() {
        // The activations of the block that reads z.
        let start = g.nodes().len();
        let computed_again = Way::new(g, c, None).structure(&a)?[0];
        grads.rename(latent_again, computed_again);
        let tape = g.nodes()[start..].to_vec();
        g.pull_back(&tape, |_| true, &mut grads)?;
    }
    let x_again = Way::new(g, c, Some(&mut grads)).up(a, noise.is_none())?[0];
    let grads = g.flat_gradient(&grads)?;
    Ok(Pass { y, loss, grads, rebuilt: vec![[x, x_again], [y_cor, y_cor_again], [latent, latent_again]] })
}
