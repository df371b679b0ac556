//! The guided filter's work between its window means m (He, Sun, Tang 2013), the picture f being its own guide: moments
//! of f; from their means S = Cov + eps the coefficients A = 1 - eps S^-1 = Cov (Cov + eps)^-1 (equation 19; symmetric),
//! b = m(f) - A m(f); and from the coefficients' means u = m(A) f + m(b).
//!
//! All of it on f - 0.5, which is exact and halves rounding. For filters only: it has no gradient.

#[cfg(feature = "cpu")]
use super::cpu::*;
use super::{Operator, arity, check};
use crate::kernel::{Grid, Lowering, Operand, Operand::*, Shader};
use crate::tensor::Shape;
use std::ops::{Add, Mul, Sub};

/// Its kernels.
pub static SHADER: Shader = Shader::new("guided", include_str!("../../shaders/guided.wgsl"));

/// Which channels guide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guide {
    /// The three channels together, by their covariance.
    Colour,
    /// Each channel itself.
    Channel,
}

impl Guide {
    /// Planes of moments, and of coefficients.
    fn planes(self) -> usize {
        match self {
            Guide::Colour => 9,
            Guide::Channel => 6,
        }
    }
}

/// f (N, 3, H, W) -> moments of g = f - 0.5. Colour (N, 9, H, W): g, then the products rr, rg, rb, gg, gb, bb; channel
/// (N, 6, H, W): g, then its squares.
#[derive(Clone, Debug, PartialEq)]
pub struct GuidedMoments {
    /// Which channels guide.
    pub guide: Guide,
}

/// Means of the moments -> coefficients. Colour (N, 9, H, W): A's rr, rg, rb, gg, gb, bb, then b; channel (N, 6, H, W):
/// a, then b.
#[derive(Clone, Debug, PartialEq)]
pub struct GuidedCoefficients {
    /// Which channels guide.
    pub guide: Guide,
    /// Added to the variances, in units of [0, 1]^2.
    pub eps: f64,
}

/// (f, means of the coefficients) -> u (N, 3, H, W).
#[derive(Clone, Debug, PartialEq)]
pub struct GuidedApply {
    /// Which channels guide.
    pub guide: Guide,
}

/// Adds the kernel `entry`, an invocation for each pixel.
fn dispatch(l: &mut Lowering, guide: Guide, eps: f64, entry: &'static str, bindings: &[(&'static str, Operand)]) {
    let x = l.inputs[0];
    let (plane, len, channel) = (x.plane(), x.n * x.plane(), usize::from(guide == Guide::Channel));
    let params =
        [("plane", plane.into()), ("channel", channel.into()), ("len", len.into()), ("eps", (eps as f32).into())];
    l.dispatch((&SHADER, entry), &[], bindings, &params, Grid::Linear(len));
}

/// The pairs of channels whose numbers make up a symmetric matrix: rr, rg, rb, gg, gb, bb.
pub(crate) const PAIRS: [(usize, usize); 6] = [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)];

/// Where the entry (i, j) of a symmetric matrix stands among them.
pub(crate) const SYMMETRIC: [[usize; 3]; 3] = [[0, 1, 2], [1, 3, 4], [2, 4, 5]];

/// The cofactors of a symmetric matrix, and its determinant: together its inverse.
#[inline(always)]
pub(crate) fn cofactors<T>([rr, rg, rb, gg, gb, bb]: [T; 6]) -> ([T; 6], T)
where
    T: Copy + Add<Output = T> + Sub<Output = T> + Mul<Output = T>,
{
    let (crr, crg, crb) = (gg * bb - gb * gb, rb * gb - rg * bb, rg * gb - rb * gg);
    let (cgg, cgb, cbb) = (rr * bb - rb * rb, rg * rb - rr * gb, rr * gg - rg * rg);
    ([crr, crg, crb, cgg, cgb, cbb], rr * crr + rg * crg + rb * crb)
}

impl Operator for GuidedMoments {
    fn name(&self) -> &'static str {
        "guided.moments"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [f] = arity(inputs)?;
        check!(f.c == 3, "f is {f}, it must have 3 channels");
        Ok(vec![f.with_c(self.guide.planes())])
    }

    fn macs(&self, inputs: &[Shape], outputs: &[Shape]) -> u64 {
        (outputs[0].len() - inputs[0].len()) as u64
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], y: &mut [Out<T>], _: &Cpu<T>) {
        let half = T::of(0.5);
        by_pixels(y, CHUNK, |n, first, y| {
            let f = planes::<T, 3>(&x[0], n, first, y[0].len());
            vectorised(
                #[inline(always)]
                || {
                    let (g, products) = y.split_at_mut(3);
                    for (g, f) in g.iter_mut().zip(f) {
                        g.iter_mut().zip(f).for_each(|(g, f)| *g = *f - half);
                    }
                    let squares = [(0, 0), (1, 1), (2, 2)];
                    let pairs = if self.guide == Guide::Colour { &PAIRS[..] } else { &squares };
                    for (to, (i, j)) in products.iter_mut().zip(pairs) {
                        to.iter_mut().zip(&*g[*i]).zip(&*g[*j]).for_each(|((to, a), b)| *to = *a * *b);
                    }
                },
            );
        });
    }

    fn gpu(&self, l: &mut Lowering) {
        dispatch(l, self.guide, 0.0, "moments", &[("x", Input(0)), ("y", Output(0))]);
    }
}

impl Operator for GuidedCoefficients {
    fn name(&self) -> &'static str {
        "guided.coefficients"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [m] = arity(inputs)?;
        check!(m.c == self.guide.planes(), "moments are {m}, not of {} planes", self.guide.planes());
        Ok(vec![m])
    }

    fn macs(&self, inputs: &[Shape], _: &[Shape]) -> u64 {
        let pixels = (inputs[0].n * inputs[0].plane()) as u64;
        // Covariance 6, cofactors 12, determinant 3, A 6, b 9; or variance, a and b of 3 channels.
        pixels * if self.guide == Guide::Colour { 36 } else { 9 }
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], y: &mut [Out<T>], _: &Cpu<T>) {
        let eps = T::of(self.eps);
        by_pixels(y, CHUNK, |n, first, y| match self.guide {
            Guide::Channel => {
                let m = planes::<T, 6>(&x[0], n, first, y[0].len());
                let (a, b) = y.split_at_mut(3);
                vectorised(
                    #[inline(always)]
                    || {
                        for (c, (a, b)) in a.iter_mut().zip(b).enumerate() {
                            for (((a, b), mean), square) in a.iter_mut().zip(&mut **b).zip(m[c]).zip(m[c + 3]) {
                                let variance = *square - *mean * *mean;
                                *a = variance / (variance + eps);
                                *b = *mean - *a * *mean;
                            }
                        }
                    },
                );
            }
            Guide::Colour => {
                let m = planes::<T, 9>(&x[0], n, first, y[0].len());
                let y: &mut [&mut [T]; 9] = y.try_into().expect("nine planes");
                vectorised(
                    #[inline(always)]
                    || colour_coefficients(m, y, eps),
                );
            }
        });
    }

    fn gpu(&self, l: &mut Lowering) {
        dispatch(l, self.guide, self.eps, "coefficients", &[("x", Input(0)), ("y", Output(0))]);
    }
}

/// y = a (f - 0.5) + shift + 0.5, of one row a of A.
#[cfg(feature = "cpu")]
#[inline(always)]
fn linear<T: Real>(a: [&[T]; 3], f: [&[T]; 3], shift: &[T], y: &mut [T]) {
    let (len, half) = (y.len(), T::of(0.5));
    let ([a0, a1, a2], [f0, f1, f2]) = (a.map(|a| &a[..len]), f.map(|f| &f[..len]));
    let shift = &shift[..len];
    for i in 0..len {
        y[i] = a0[i] * (f0[i] - half) + a1[i] * (f1[i] - half) + a2[i] * (f2[i] - half) + shift[i] + half;
    }
}

/// A = 1 - eps S^-1 by cofactors, and b.
#[cfg(feature = "cpu")]
#[inline(always)]
fn colour_coefficients<T: Real>(m: [&[T]; 9], y: &mut [&mut [T]; 9], eps: T) {
    let len = m[0].len();
    let [r, g, b, rr, rg, rb, gg, gb, bb] = m.map(|m| &m[..len]);
    let [a0, a1, a2, a3, a4, a5, b0, b1, b2] = y.each_mut().map(|y| &mut y[..len]);
    for i in 0..len {
        let (r, g, b) = (r[i], g[i], b[i]);
        let (rr, rg, rb) = (rr[i] - r * r + eps, rg[i] - r * g, rb[i] - r * b);
        let (gg, gb, bb) = (gg[i] - g * g + eps, gb[i] - g * b, bb[i] - b * b + eps);
        let ([crr, crg, crb, cgg, cgb, cbb], determinant) = cofactors([rr, rg, rb, gg, gb, bb]);
        let k = eps / determinant;
        let (arr, arg, arb) = (T::one() - k * crr, -k * crg, -k * crb);
        let (agg, agb, abb) = (T::one() - k * cgg, -k * cgb, T::one() - k * cbb);
        (a0[i], a1[i], a2[i], a3[i], a4[i], a5[i]) = (arr, arg, arb, agg, agb, abb);
        b0[i] = r - (arr * r + arg * g + arb * b);
        b1[i] = g - (arg * r + agg * g + agb * b);
        b2[i] = b - (arb * r + agb * g + abb * b);
    }
}

impl Operator for GuidedApply {
    fn name(&self) -> &'static str {
        "guided.apply"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [f, m] = arity(inputs)?;
        check!(f.c == 3 && m == f.with_c(self.guide.planes()), "f is {f}, coefficients are {m}");
        Ok(vec![f])
    }

    fn macs(&self, inputs: &[Shape], _: &[Shape]) -> u64 {
        inputs[0].len() as u64 * if self.guide == Guide::Colour { 3 } else { 1 }
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], y: &mut [Out<T>], _: &Cpu<T>) {
        let half = T::of(0.5);
        by_pixels(y, CHUNK, |n, first, y| {
            let len = y[0].len();
            let f = planes::<T, 3>(&x[0], n, first, len);
            match self.guide {
                Guide::Channel => {
                    let m = planes::<T, 6>(&x[1], n, first, len);
                    vectorised(
                        #[inline(always)]
                        || {
                            for (c, y) in y.iter_mut().enumerate() {
                                for (((y, f), a), b) in y.iter_mut().zip(f[c]).zip(m[c]).zip(m[c + 3]) {
                                    *y = *a * (*f - half) + *b + half;
                                }
                            }
                        },
                    );
                }
                Guide::Colour => {
                    let m = planes::<T, 9>(&x[1], n, first, len);
                    vectorised(
                        #[inline(always)]
                        || {
                            for (i, y) in y.iter_mut().enumerate() {
                                linear(SYMMETRIC[i].map(|at| m[at]), f, m[6 + i], y);
                            }
                        },
                    );
                }
            }
        });
    }

    fn gpu(&self, l: &mut Lowering) {
        dispatch(l, self.guide, 0.0, "apply", &[("x", Input(0)), ("m", Input(1)), ("y", Output(0))]);
    }
}
