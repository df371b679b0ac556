//! The joint bilateral filter: y(p) = sum_q w f(q) / sum_q w over the square window of radius r, clipped to the picture,
//! w = exp(-|p-q|^2 / 2 sigma_s^2 - |g(p)-g(q)|^2 / 2 sigma_r^2) with a guide g, whose colours' distance is Euclidean over
//! the channels together (Zhang, Shen, Xu, Jia 2014, equation 3).
//!
//! The spatial weight is a product of two taps of [`super::gaussian::taps`], whose norm cancels. For filters only: it has
//! no gradient.
//!
//! Not staged in workgroup memory: the window of a tile of 16x16 at sigma_s 3 takes 34x34x6 values, 27 KiB, more than the
//! 16 KiB that every device has; neighbouring invocations read neighbouring pixels, which caches serve.

#[cfg(feature = "cpu")]
use super::cpu::*;
use super::{Operator, arity, check};
use crate::kernel::{Grid, Lowering, Operand::*, Shader};
use crate::tensor::Shape;

/// Its kernels.
pub static SHADER: Shader = Shader::new("joint_bilateral", include_str!("../../shaders/joint_bilateral.wgsl"));

/// (f (N, 3, H, W), guide of the same shape, taps (1, 1, 1, 2r+1)) -> y like f.
#[derive(Clone, Debug, PartialEq)]
pub struct JointBilateral {
    /// Scale of colour distances, in units of [0, 1].
    pub sigma_r: f64,
}

/// Pixels of a row whose sums stay in the nearest cache.
#[cfg(feature = "cpu")]
const BLOCK: usize = 512;

impl Operator for JointBilateral {
    fn name(&self) -> &'static str {
        "joint_bilateral"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [f, guide, taps] = arity(inputs)?;
        check!(f.c == 3 && f == guide, "f is {f}, the guide {guide}; give two pictures of 3 channels and one size");
        check!(taps.len() == taps.w && taps.w % 2 == 1, "taps are {taps}; give an odd number of them");
        Ok(vec![f])
    }

    fn macs(&self, inputs: &[Shape], _: &[Shape]) -> u64 {
        // A tap: three channels' distance and sum, its weight.
        (inputs[0].n * inputs[0].plane() * inputs[2].len() * inputs[2].len()) as u64 * 8
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], y: &mut [Out<T>], _: &Cpu<T>) {
        let (Shape { h, w, .. }, taps) = (x[0].shape, x[2].data);
        let (r, range) = (taps.len() / 2, T::of(-0.5 / (self.sigma_r * self.sigma_r)));
        by_pixels(&mut y[0], w, |n, first, y| {
            let i = first / w;
            let [f, g] = [x[0], x[1]].map(|x| planes::<T, 3>(&x, n, 0, h * w));
            for block in (0..w).step_by(BLOCK) {
                let len = BLOCK.min(w - block);
                // Of three channels, and of weights.
                let mut sums = [[T::zero(); BLOCK]; 4];
                vectorised!({
                    for row in i.saturating_sub(r)..(i + r + 1).min(h) {
                        for (k, tap) in taps.iter().enumerate() {
                            let tap = *tap * taps[row + r - i];
                            // Pixel j of the block meets that at j + block + k - r.
                            let (lo, hi) = (r.saturating_sub(k + block), (w + r).saturating_sub(k + block).min(len));
                            if lo >= hi {
                                continue;
                            }
                            let (from, to) = (row * w + block + lo + k - r, i * w + block + lo);
                            let [here, there, q] =
                                [(g, to), (g, from), (f, from)].map(|(x, at)| x.map(|x: &[T]| &x[at..][..hi - lo]));
                            let sums = sums.each_mut().map(|sum| &mut sum[lo..hi]);
                            add_tap(tap, range, here, there, q, sums);
                        }
                    }
                });
                let [channels @ .., norm] = &sums;
                for (y, sum) in y.iter_mut().zip(channels) {
                    let quotients = sum.iter().zip(norm).map(|(sum, norm)| *sum / *norm);
                    y[block..][..len].iter_mut().zip(quotients).for_each(|(y, v)| *y = v);
                }
            }
        });
    }

    fn gpu(&self, l: &mut Lowering) {
        let f = l.inputs[0];
        let (len, r, range) =
            (f.n * f.h * f.w.div_ceil(4), l.inputs[2].len() / 2, (-0.5 / (self.sigma_r * self.sigma_r)) as f32);
        let sizes = [("h", f.h.into()), ("w", f.w.into()), ("r", r.into()), ("len", len.into())];
        let params = [&sizes[..], &[("range", range.into())]].concat();
        let bindings = [("f", Input(0)), ("guide", Input(1)), ("taps", Input(2)), ("y", Output(0))];
        l.dispatch((&SHADER, "joint_bilateral"), &[], &bindings, &params, Grid::Linear(len));
    }
}

/// Adds a tap's share to the sums of pixels side by side: `here` is their guide, `there` that of the pixels so far off, q
/// the picture's there.
#[cfg(feature = "cpu")]
#[inline(always)]
fn add_tap<T: Real>(tap: T, range: T, here: [&[T]; 3], there: [&[T]; 3], q: [&[T]; 3], sums: [&mut [T]; 4]) {
    let len = here[0].len();
    let ([a0, a1, a2], [b0, b1, b2]) = (here.map(|x| &x[..len]), there.map(|x| &x[..len]));
    let ([q0, q1, q2], [s0, s1, s2, norm]) = (q.map(|x| &x[..len]), sums.map(|x| &mut x[..len]));
    for i in 0..len {
        let (d0, d1, d2) = (a0[i] - b0[i], a1[i] - b1[i], a2[i] - b2[i]);
        let weight = tap * (range * (d0 * d0 + d1 * d1 + d2 * d2)).fast_exp();
        s0[i] += weight * q0[i];
        s1[i] += weight * q1[i];
        s2[i] += weight * q2[i];
        norm[i] += weight;
    }
}
