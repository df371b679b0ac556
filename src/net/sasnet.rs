//! SASNet on one page ("Deep Scale-Aware Image Smoothing", Li, Qin, Xu, Ji).
//!
//! ```text
//! x -> Haar -> L forward blocks -> y_cor = a1, z = a2
//! y_cor, and in z's place n ~ N(0, I) -> L inverse blocks -> inverse Haar -> y
//! ```
//!
//! A block is two steps: a1' = a1 + g1(a2), then a2' = a2 exp(s) + g3(a1') with s = tanh(g2(a1') / 2). At scale x4 and
//! x8 the transform and the blocks come two and three times. Layer names are those of the weights file.
//!
//! That is the paper's form ([`Latent::Drop`]), in which all of the result comes from the three half-size channels of
//! y_cor: the limit on sharp edges. In ours ([`Latent::Keep`]) one more residual block h says how much of each element
//! of z is structure, and z sigmoid(h([y_cor, z])) stands in z's place. h begins as 0 (its last convolution is): half
//! of z is kept.

use super::reversible::Traversal;
use super::slabs::Slabs;
use crate::error::Result;
use crate::graph::Value;
use crate::ops::{
    add::Add, channels::Concat, channels::Split, coupling::Coupling, exp_scale::ExpScale, haar::Haar,
    haar_inverse::HaarInverse,
};

mod config;
mod grow;
mod pass;

pub use config::{Latent, Sasnet};
pub use pass::{downscale, structure, upscale};

/// a1 (3 channels) and a2 (the others). Of a picture, before the first step, a1 is all.
pub(super) type Halves = [Slabs; 2];

/// A step that can be undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The Haar transform of all channels, which halves the sides.
    Haar,
    /// a1' = a1 + g1(a2) of a block.
    Additive(usize),
    /// a2' = a2 exp(s) + g3(a1') of a block.
    Affine(usize),
}

/// The way down as a list; without z all but the last step, which makes nothing else. The way up is the same list
/// backwards, each step undone.
pub fn steps(c: &Sasnet, z: bool) -> Vec<Step> {
    let mut block = 0..;
    let mut steps = vec![];
    for &n in c.blocks() {
        steps.push(Step::Haar);
        steps.extend(block.by_ref().take(n).flat_map(|l| [Step::Additive(l), Step::Affine(l)]));
    }
    steps.truncate(steps.len() - usize::from(!z));
    steps
}

/// x -> y, both in slabs.
pub(super) fn smooth(t: &mut Traversal, c: &Sasnet, x: &[Value]) -> Result<Slabs> {
    let keeps_z = c.latent() == Latent::Keep;
    let [y_cor, z] = t.down(&steps(c, keeps_z), x.to_vec())?;
    let latent = if keeps_z { t.structure(&y_cor, &z)? } else { c.noise(t.g, x)? };
    t.up(&steps(c, true), [y_cor, latent])
}

impl Traversal<'_> {
    /// From a picture down: (y_cor, z), or a2 as it was before the step that makes z.
    pub(super) fn down(&mut self, steps: &[Step], x: Slabs) -> Result<Halves> {
        steps.iter().try_fold([x, vec![]], |a, step| match *step {
            Step::Haar => self.haar(a),
            Step::Additive(l) => self.additive(l, a, 1.0),
            Step::Affine(l) => self.affine(l, a, false),
        })
    }

    /// The inverse of [`Traversal::down`] with the same steps.
    pub(super) fn up(&mut self, steps: &[Step], a: Halves) -> Result<Slabs> {
        let [x, _] = steps.iter().rev().try_fold(a, |a, step| match *step {
            Step::Haar => self.haar_inverse(a),
            Step::Additive(l) => self.additive(l, a, -1.0),
            Step::Affine(l) => self.affine(l, a, true),
        })?;
        Ok(x)
    }

    /// a1' = a1 + g1(a2), beta = 1; its inverse with beta = -1.
    fn additive(&mut self, l: usize, [a1, a2]: Halves, beta: f32) -> Result<Halves> {
        let name = format!("blocks.{l}");
        let a1 = self.residual(&format!("{name}.g1"), &a2, |t, k, g1| {
            Ok(t.step(&name, &[a1[k]], (Add { beta }, &[g1]), (Add { beta: -beta }, &[g1]))?[0])
        })?;
        Ok([a1, a2])
    }

    /// a2' = a2 exp(s) + g3(a1'), s = tanh(g2(a1') / 2); inverse a2 = (a2' - g3(a1')) exp(-s).
    fn affine(&mut self, l: usize, [a1, a2]: Halves, inverse: bool) -> Result<Halves> {
        let name = format!("blocks.{l}");
        let sign = if inverse { -1.0 } else { 1.0 };
        let mut undone_e = vec![];
        let e = self.residual(&format!("{name}.g2"), &a1, |t, _, h| {
            let e = t.g.apply1(&name, ExpScale { sign }, &[h])?;
            undone_e.push(match t.grads {
                Some(_) => t.g.apply1(&name, ExpScale { sign: -sign }, &[h])?,
                None => e,
            });
            Ok(e)
        })?;
        let (op, undone) = (Coupling { inverse }, Coupling { inverse: !inverse });
        let a2 = self.residual(&format!("{name}.g3"), &a1, |t, k, g3| {
            let (op, undone) = ((op.clone(), &[e[k], g3][..]), (undone.clone(), &[undone_e[k], g3][..]));
            Ok(t.step(&name, &[a2[k]], op, undone)?[0])
        })?;
        Ok([a1, a2])
    }

    /// The Haar transform of all channels, split into the first 3 and the others.
    fn haar(&mut self, [a1, a2]: Halves) -> Result<Halves> {
        let mut join = |(a1, a2)| Ok(self.step("haar", &[a1, a2], (Concat, &[]), (Split { first: 3 }, &[]))?[0]);
        let x: Slabs = match a2.is_empty() {
            true => a1, // the picture
            false => a1.into_iter().zip(a2).map(&mut join).collect::<Result<_>>()?,
        };
        let mut halves = [vec![], vec![]];
        for x in x {
            let y = self.step("haar", &[x], (Haar { scale: 0.25 }, &[]), (HaarInverse { scale: 1.0 }, &[]))?;
            let parts = self.step("haar", &y, (Split { first: 3 }, &[]), (Concat, &[]))?;
            halves.iter_mut().zip(parts).for_each(|(half, part)| half.push(part));
        }
        Ok(halves)
    }

    /// The inverse of [`Traversal::haar`]; what has 3 channels is the picture.
    fn haar_inverse(&mut self, [a1, a2]: Halves) -> Result<Halves> {
        let (op, undone) = (HaarInverse { scale: 1.0 }, Haar { scale: 0.25 });
        let mut x = vec![];
        for (a1, a2) in a1.into_iter().zip(a2) {
            let y = self.step("haar_inverse", &[a1, a2], (Concat, &[]), (Split { first: 3 }, &[]))?;
            x.push(self.step("haar_inverse", &y, (op.clone(), &[]), (undone.clone(), &[]))?[0]);
        }
        if self.g.shape(x[0]).c == 3 {
            return Ok([x, vec![]]);
        }
        let mut halves = [vec![], vec![]];
        for x in x {
            let parts = self.step("haar_inverse", &[x], (Split { first: 3 }, &[]), (Concat, &[]))?;
            halves.iter_mut().zip(parts).for_each(|(half, part)| half.push(part));
        }
        Ok(halves)
    }
}
