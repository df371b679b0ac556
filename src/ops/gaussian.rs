//! A Gaussian blur: y = the separable correlation of x with taps t(-r..r), along columns and along rows.
//!
//! The taps are a constant of the graph ([`taps`]), made in f64. For filters only: it has no gradient.

#[cfg(feature = "cpu")]
use super::cpu::*;
use super::{Graph, Operator, Workspace, arity, check};
use crate::graph::Value;
use crate::kernel::{Grid, Lowering, Operand::*, Shader};
use crate::tensor::Shape;

/// Its kernels.
pub static SHADER: Shader = Shader::new("gaussian", include_str!("../../shaders/gaussian.wgsl"));

/// What lies beyond the borders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Border {
    /// Black.
    Zero,
    /// The border's pixels, repeated.
    Repeated,
    /// Nothing: the taps that lie inside are divided by their sum.
    Nothing,
}

/// (x (N, C, H, W), taps (1, 1, 1, 2r+1)) -> y like x.
#[derive(Clone, Debug, PartialEq)]
pub struct Gaussian {
    /// What lies beyond the borders.
    pub border: Border,
}

/// Adds the taps exp(-k^2 / 2 sigma^2), -radius <= k <= radius, divided by their sum, to a graph.
pub fn taps(g: &mut Graph, sigma: f64, radius: usize) -> Value {
    let radius = radius as i64;
    let tap = |k: i64| (-0.5 * (k as f64 / sigma).powi(2)).exp();
    let sum: f64 = (-radius..=radius).map(tap).sum();
    let taps: Vec<f64> = (-radius..=radius).map(|k| tap(k) / sum).collect();
    g.constant("taps", Shape::new(1, 1, 1, taps.len()), taps)
}

impl Operator for Gaussian {
    fn name(&self) -> &'static str {
        "gaussian"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [x, taps] = arity(inputs)?;
        check!(taps.len() == taps.w && taps.w % 2 == 1, "taps are {taps}; give an odd number of them");
        Ok(vec![x])
    }

    fn macs(&self, inputs: &[Shape], _: &[Shape]) -> u64 {
        2 * (inputs[0].len() * inputs[1].len()) as u64
    }

    fn workspace(&self, inputs: &[Shape], _: &[Shape]) -> Workspace {
        Workspace { per_thread: inputs[0].w + inputs[1].len() - 1, shared: 0 }
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], y: &mut [Out<T>], cpu: &Cpu<T>) {
        let (Shape { h, w, .. }, taps) = (x[0].shape, x[1].data);
        let r = taps.len() / 2;
        // 1 / the sum of the taps that lie inside, for pixel i of n.
        let inside = |i: usize, n: usize| sum(&taps[r - i.min(r)..r + (n - 1 - i).min(r) + 1]).recip();
        y[0].data.par_chunks_mut(w).enumerate().for_each(|(line, y)| {
            let (plane, i) = (&x[0].data[line / h * h * w..][..h * w], line % h);
            cpu.with_scratch(w + 2 * r, |padded| {
                vectorised!({
                    padded.fill(T::zero());
                    for (k, tap) in taps.iter().enumerate() {
                        let row = match (i + k).checked_sub(r).filter(|row| *row < h) {
                            Some(row) => row,
                            None if self.border == Border::Repeated => (i + k).saturating_sub(r).min(h - 1),
                            None => continue,
                        };
                        padded[r..][..w].iter_mut().zip(&plane[row * w..]).for_each(|(to, x)| *to += *tap * *x);
                    }
                    if self.border == Border::Repeated {
                        let (first, last) = (padded[r], padded[r + w - 1]);
                        padded[..r].fill(first);
                        padded[r + w..].fill(last);
                    }
                    y.fill(T::zero());
                    for (k, tap) in taps.iter().enumerate() {
                        y.iter_mut().zip(&padded[k..]).for_each(|(y, x)| *y += *tap * *x);
                    }
                });
            });
            if self.border == Border::Nothing {
                let (down, all) = (inside(i, h), sum(taps).recip());
                y.iter_mut().for_each(|y| *y *= down);
                // All but the ends have all taps inside.
                let middle = r.min(w)..w.saturating_sub(r).max(r.min(w));
                y[middle.clone()].iter_mut().for_each(|y| *y *= all);
                (0..middle.start).chain(middle.end..w).for_each(|j| y[j] *= inside(j, w));
            }
        });
    }

    fn gpu(&self, l: &mut Lowering) {
        let Shape { n, c, h, w } = l.inputs[0];
        let between = l.scratch(l.inputs[0].len());
        let (r, border) = (l.inputs[1].len() / 2, self.border as usize);
        let passes =
            [("columns", Input(0), between, h.div_ceil(4) * w), ("rows", between, Output(0), h * w.div_ceil(4))];
        for (entry, x, y, fours) in passes {
            let len = n * c * fours;
            let params = [("h", h), ("w", w), ("r", r), ("border", border), ("len", len)];
            let params = params.map(|(name, v)| (name, v.into()));
            let bindings = [("x", x), ("taps", Input(1)), ("y", y)];
            l.dispatch((&SHADER, entry), &[], &bindings, &params, Grid::Linear(len));
        }
    }
}
