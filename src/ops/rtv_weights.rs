//! The weights of relative total variation's linear system (Xu, Yan, Xia, Jia 2012, equations 8 and 11), of pairs of
//! neighbours: with s = 1 / max(mean over channels of |grad u|, eps_s) and B = u blurred,
//!   wx = lambda/2 s / max(mean over channels of |Dx B|, 0.001), wy likewise;
//! pairs (x, x+1) and (y, y+1), Dx and Dy 0 at the last column and row.
//!
//! For filters only: it has no gradient.

#[cfg(feature = "cpu")]
use super::cpu::*;
use super::{Operator, arity, check};
use crate::kernel::{Grid, Lowering, Operand::*, Shader};
use crate::tensor::Shape;

/// Its kernels.
pub static SHADER: Shader = Shader::new("rtv_weights", include_str!("../../shaders/rtv_weights.wgsl"));

/// Least mean difference of the blurred picture.
const LEAST: f64 = 1e-3;

/// (u (1, 3, H, W), B of the same shape) -> weights (1, 2, H, W) of the pairs to the right and below, 0 where there is
/// none.
#[derive(Clone, Debug, PartialEq)]
pub struct RtvWeights {
    /// Strength of the smoothing.
    pub lambda: f64,
    /// Gradients below it are alike.
    pub eps_s: f64,
}

impl Operator for RtvWeights {
    fn name(&self) -> &'static str {
        "rtv_weights"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [u, blurred] = arity(inputs)?;
        check!((u.n, u.c) == (1, 3) && u == blurred, "u is {u}, blurred it is {blurred}; both are 1x3 channels");
        Ok(vec![u.with_c(2)])
    }

    fn macs(&self, inputs: &[Shape], _: &[Shape]) -> u64 {
        inputs[0].plane() as u64 * 20
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], y: &mut [Out<T>], _: &Cpu<T>) {
        let Shape { h, w, .. } = x[0].shape;
        let [u, blurred] = [x[0], x[1]].map(|x| planes::<T, 3>(&x, 0, 0, h * w));
        let (half, third, least, eps) = (T::of(self.lambda / 2.0), T::of(1.0 / 3.0), T::of(LEAST), T::of(self.eps_s));
        by_pixels(&mut y[0], w, |_, first, y| {
            let [wx, wy] = y else { unreachable!("two planes") };
            let is_last = first / w + 1 == h;
            vectorised!({
                for j in 0..w {
                    let at = first + j;
                    // Differences to the neighbour so far on, 0 where there is none.
                    let difference = |x: &[T], step: Option<usize>| step.map_or(T::zero(), |step| x[at + step] - x[at]);
                    let right = (j + 1 < w).then_some(1);
                    let below = (!is_last).then_some(w);
                    let (mut gradient, mut across, mut down) = (T::zero(), T::zero(), T::zero());
                    for (u, blurred) in u.iter().zip(&blurred) {
                        let (dx, dy) = (difference(u, right), difference(u, below));
                        gradient += (dx * dx + dy * dy).sqrt();
                        across += difference(blurred, right).abs();
                        down += difference(blurred, below).abs();
                    }
                    let sharp = half / (third * gradient).max(eps);
                    wx[j] = if right.is_some() { sharp / (third * across).max(least) } else { T::zero() };
                    wy[j] = if is_last { T::zero() } else { sharp / (third * down).max(least) };
                }
            });
        });
    }

    fn gpu(&self, l: &mut Lowering) {
        let Shape { h, w, .. } = l.inputs[0];
        let numbers = [("half", (self.lambda / 2.0) as f32), ("eps", self.eps_s as f32), ("least", LEAST as f32)];
        let params = [&[("h", h.into()), ("w", w.into())][..], &numbers.map(|(name, v)| (name, v.into()))].concat();
        let bindings = [("u", Input(0)), ("blurred", Input(1)), ("y", Output(0))];
        l.dispatch((&SHADER, "weights"), &[], &bindings, &params, Grid::Linear(h * w));
    }
}
