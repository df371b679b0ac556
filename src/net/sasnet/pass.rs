//! SASNet's pass in training, reversible or with all activations stored, and its two directions alone.

use super::super::reversible::Traversal;
use super::super::training::{self, Pass, loss};
use super::super::{Architecture, Slabs};
use super::{Latent, Sasnet, steps};
use crate::autodiff::Gradients;
use crate::error::Result;
use crate::graph::Value;
use crate::ops::{Graph, channels::Concat, sigmoid_gate::SigmoidGate};

impl Traversal<'_> {
    /// z sigmoid(h([y_cor, z])): the part of z that is structure.
    pub(super) fn structure(&mut self, y_cor: &[Value], z: &[Value]) -> Result<Slabs> {
        let join = |(a, z): (&Value, &Value)| self.g.apply1("latent", Concat, &[*a, *z]);
        let joined: Slabs = y_cor.iter().zip(z).map(join).collect::<Result<_>>()?;
        self.residual("latent", &joined, |t, k, h| t.g.apply1("latent", SigmoidGate, &[z[k], h]))
    }
}

/// The pass of a picture and its target; with noise z is dropped.
pub(super) fn training(
    c: &Sasnet,
    g: &mut Graph,
    [x, target]: [Value; 2],
    noise: Option<Value>,
    store_activations: bool,
) -> Result<Pass> {
    let keeps_z = noise.is_none();
    let (y_cor, a2) = downscale(g, c, x, keeps_z)?;
    let latent = noise.map_or_else(|| structure(g, y_cor, a2), Ok)?;
    let y = upscale(g, c, y_cor, latent)?;
    if store_activations {
        return training::stored(g, y, target);
    }
    let loss = loss(g, y, target)?;
    let mut grads = Gradients::new(&[(loss, None)]);
    let last = g.nodes().last().cloned();
    g.pull_back(last.as_slice(), |v| v == y, &mut grads)?;

    // Down from y: undoes the way up.
    let again = Traversal::new(g, Some(&mut grads)).down(&steps(c, true), vec![y])?;
    let [y_cor_again, latent_again] = again.map(|slabs| slabs[0]);
    grads.rename(y_cor_again, y_cor);
    if keeps_z {
        // Computes the activations of the block that reads z once more.
        let start = g.nodes().len();
        let computed_again = structure(g, y_cor, a2)?;
        grads.rename(latent_again, computed_again);
        let tape = g.nodes()[start..].to_vec();
        g.pull_back(&tape, |_| true, &mut grads)?;
    }
    // Up from y_cor: undoes the way down.
    let x_again = Traversal::new(g, Some(&mut grads)).up(&steps(c, keeps_z), [vec![y_cor], vec![a2]])?[0];
    let grads = g.flat_gradient(&grads)?;
    Ok(Pass { y, loss, grads, rebuilt: vec![[x, x_again], [y_cor, y_cor_again], [latent, latent_again]] })
}

/// Both directions complete, with z kept where the paper drops it.
pub(super) fn complete(c: &Sasnet, g: &mut Graph, x: Value) -> Result<Value> {
    if c.latent() == Latent::Keep {
        return Ok(c.smooth(g, &[x], true)?[0]);
    }
    let (y_cor, z) = downscale(g, c, x, true)?;
    upscale(g, c, y_cor, z)
}

/// x (N, 3, H, W), sides multiples of the scale -> y_cor (N, 3, H/scale, W/scale), and z; without `z` the last block's
/// g2 and g3, which feed only z, are skipped, and a2 as it was before them stands in its place.
pub fn downscale(g: &mut Graph, c: &Sasnet, x: Value, z: bool) -> Result<(Value, Value)> {
    let [y_cor, a2] = Traversal::new(g, None).down(&steps(c, z), vec![x])?;
    Ok((y_cor[0], a2[0]))
}

/// Appends what stands in z's place in a network of [`Latent::Keep`].
pub fn structure(g: &mut Graph, y_cor: Value, z: Value) -> Result<Value> {
    Ok(Traversal::new(g, None).structure(&[y_cor], &[z])?[0])
}

/// The way back: y_cor and what stands in z's place -> (N, 3, H, W).
pub fn upscale(g: &mut Graph, c: &Sasnet, y_cor: Value, latent: Value) -> Result<Value> {
    Ok(Traversal::new(g, None).up(&steps(c, true), [vec![y_cor], vec![latent]])?[0])
}
