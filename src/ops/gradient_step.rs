//! The right-hand side of a step of half-quadratic splitting, with differences that meet at opposite borders:
//! b = [f - u] - weight (Dx' h + Dy' v), where h and v are what a penalty makes of the gradient, Dx u and Dy u.
//!
//! | penalty | h of Dx u |
//! |---|---|
//! | L0 (Xu, Lu, Xu, Jia 2011, equation 12) | itself at flat pixels, whose sum of squares over channels and both directions is below a threshold; else 0 |
//! | Charbonnier (Liu et al. 2020) | phi'(t) = p t (t^2 + eps)^(p/2 - 1), each channel alone |
//! | Welsch (Liu et al. 2020) | phi'(t) = 2 t exp(-t^2 / 2 gamma^2) |
//!
//! The step is then u + P(b) with P of [`super::periodic_solve`]: solving for the change of u is the same as solving for u,
//! and in f32 some hundred times as exact. For filters only: it has no gradient.

#[cfg(feature = "cpu")]
use super::cpu::*;
use super::{Operator, Workspace, check};
use crate::kernel::{Grid, Lowering, Operand::*, Shader};
use crate::tensor::Shape;

/// Its kernels.
pub static SHADER: Shader = Shader::new("gradient_step", include_str!("../../shaders/gradient_step.wgsl"));

/// What becomes of gradients.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Penalty {
    /// Those of flat pixels stay.
    L0 {
        /// Least sum of squares of an edge.
        threshold: f64,
    },
    /// phi' of (t^2 + eps)^(p/2).
    Charbonnier {
        /// Exponent.
        p: f64,
        /// Rounds the penalty off at 0.
        eps: f64,
    },
    /// phi' of 2 gamma^2 (1 - exp(-t^2 / 2 gamma^2)).
    Welsch {
        /// Scale of gradients.
        gamma: f64,
    },
}

/// (u (N, 3, H, W), and f of the same shape where the data term is in the step) -> b like u.
#[derive(Clone, Debug, PartialEq)]
pub struct GradientStep {
    /// What becomes of gradients.
    pub penalty: Penalty,
    /// Factor of their adjoint.
    pub weight: f64,
}

/// Rows that a task takes: each needs the one above once.
#[cfg(feature = "cpu")]
const ROWS: usize = 16;

impl Penalty {
    /// h and v of row `row` of u.
    #[cfg(feature = "cpu")]
    #[inline(always)]
    fn gradient<T: Real>(self, u: &[&[T]; 3], (h, w): (usize, usize), row: usize, d: &mut [T]) {
        let (dx, dy) = d.split_at_mut(3 * w);
        for ((u, dx), dy) in u.iter().zip(dx.chunks_exact_mut(w)).zip(dy.chunks_exact_mut(w)) {
            let (here, below) = (&u[row * w..][..w], &u[(row + 1) % h * w..][..w]);
            for ((dx, left), right) in dx.iter_mut().zip(here).zip(&here[1..]) {
                *dx = *right - *left;
            }
            dx[w - 1] = here[0] - here[w - 1];
            dy.iter_mut().zip(below).zip(here).for_each(|((dy, below), here)| *dy = *below - *here);
        }
        self.apply(w, d);
    }

    /// h and v of a row of pixels, in place of its differences: 3 channels of Dx u, then 3 of Dy u, `w` elements each.
    #[cfg(feature = "cpu")]
    #[inline(always)]
    fn apply<T: Real>(self, w: usize, d: &mut [T]) {
        match self {
            Penalty::L0 { threshold } => {
                let threshold = T::of(threshold);
                let (first, rest) = d.split_at_mut(w);
                let mut planes: Vec<&mut [T]> = rest.chunks_exact_mut(w).collect();
                for (i, first) in first.iter_mut().enumerate() {
                    let sum = planes.iter().fold(*first * *first, |sum, d| sum + d[i] * d[i]);
                    let keep = if sum < threshold { T::one() } else { T::zero() };
                    *first *= keep;
                    planes.iter_mut().for_each(|d| d[i] *= keep);
                }
            }
            Penalty::Charbonnier { p, eps } => {
                let (power, p, eps) = (T::of(p / 2.0 - 1.0), T::of(p), T::of(eps));
                d.iter_mut().for_each(|t| *t = p * *t * (*t * *t + eps).fast_power(power));
            }
            Penalty::Welsch { gamma } => {
                let scale = T::of(-0.5 / (gamma * gamma));
                d.iter_mut().for_each(|t| *t = (*t + *t) * (scale * *t * *t).fast_exp());
            }
        }
    }

    /// The kernel, and its two parameters.
    fn kernel(self) -> (&'static str, [f64; 2]) {
        match self {
            Penalty::L0 { threshold } => ("l0", [threshold, 0.0]),
            Penalty::Charbonnier { p, eps } => ("charbonnier", [p, eps]),
            Penalty::Welsch { gamma } => ("welsch", [-0.5 / (gamma * gamma), 0.0]),
        }
    }
}

impl Operator for GradientStep {
    fn name(&self) -> &'static str {
        "gradient_step"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        check!((1..=2).contains(&inputs.len()), "takes 1 or 2 inputs, got {}", inputs.len());
        let u = inputs[0];
        check!(
            u.c == 3 && inputs.iter().all(|x| *x == u),
            "u is {u} and f {}, with 3 channels",
            inputs[inputs.len() - 1]
        );
        Ok(vec![u])
    }

    fn macs(&self, inputs: &[Shape], _: &[Shape]) -> u64 {
        inputs[0].len() as u64 * 12
    }

    fn workspace(&self, inputs: &[Shape], _: &[Shape]) -> Workspace {
        // Gradients of a row and of the one above.
        Workspace { per_thread: 12 * inputs[0].w, shared: 0 }
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], y: &mut [Out<T>], cpu: &Cpu<T>) {
        let (Shape { h, w, .. }, weight) = (x[0].shape, T::of(self.weight));
        by_pixels(&mut y[0], ROWS * w, |n, first, y| {
            let u = planes::<T, 3>(&x[0], n, 0, h * w);
            let f = x.get(1).map(|f| planes::<T, 3>(f, n, 0, h * w));
            let first = first / w;
            cpu.with_scratch(12 * w, |scratch| {
                let (mut above, mut here) = scratch.split_at_mut(6 * w);
                vectorised!({
                    self.penalty.gradient(&u, (h, w), (first + h - 1) % h, above);
                    for row in first..first + y[0].len() / w {
                        self.penalty.gradient(&u, (h, w), row, here);
                        for (c, y) in y.iter_mut().enumerate() {
                            let y = &mut y[(row - first) * w..][..w];
                            let (dx, dy) = (&here[c * w..][..w], &here[(3 + c) * w..][..w]);
                            let up = &above[(3 + c) * w..][..w];
                            y[0] = dx[w - 1] - dx[0];
                            for j in 1..w {
                                y[j] = dx[j - 1] - dx[j];
                            }
                            for ((y, up), dy) in y.iter_mut().zip(up).zip(dy) {
                                *y = -weight * (*y + (*up - *dy));
                            }
                            if let Some(f) = f {
                                let data = f[c][row * w..].iter().zip(&u[c][row * w..]);
                                y.iter_mut().zip(data).for_each(|(y, (f, u))| *y += *f - *u);
                            }
                        }
                        std::mem::swap(&mut above, &mut here);
                    }
                });
            });
        });
    }

    fn gpu(&self, l: &mut Lowering) {
        let u = l.inputs[0];
        let (len, (entry, [a, b])) = (u.n * u.plane(), self.penalty.kernel());
        // Without the data term f is u.
        let f = Input(l.inputs.len() - 1);
        let sizes = [("h", u.h.into()), ("w", u.w.into()), ("len", len.into())];
        let numbers = [("weight", self.weight as f32), ("a", a as f32), ("b", b as f32)];
        let params = [&sizes[..], &numbers.map(|(name, v)| (name, v.into()))].concat();
        let bindings = [("u", Input(0)), ("f", f), ("y", Output(0))];
        l.dispatch((&SHADER, entry), &[], &bindings, &params, Grid::Linear(len));
    }
}
