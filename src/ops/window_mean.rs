//! The mean over a square window: m(y, x) = mean of x over the part of the (2r+1)^2 window that lies inside the picture.
//!
//! Separable, each axis divided by its own count. Sums are short, afresh for each window or run of [`RUN`] outputs:
//! those along whole rows (prefix sums) cost the guided filter 0.011 to 0.021 of 255 in f32, short ones 1e-4.
//! For filters only: it has no gradient.

#[cfg(feature = "cpu")]
use super::cpu::*;
use super::{Operator, Workspace, arity};
use crate::kernel::{Grid, Lowering, Operand::*, Shader};
use crate::tensor::Shape;

/// Its kernels.
pub static SHADER: Shader = Shader::new("window_mean", include_str!("../../shaders/window_mean.wgsl"));

/// Outputs whose sums are made of each other, the first one's aside; `RUN` of the shader.
pub const RUN: usize = 32;

/// x (N, C, H, W) -> its means over windows, of the same shape.
#[derive(Clone, Debug, PartialEq)]
pub struct WindowMean {
    /// Radius r in pixels.
    pub radius: usize,
}

impl Operator for WindowMean {
    fn name(&self) -> &'static str {
        "window_mean"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [x] = arity(inputs)?;
        Ok(vec![x])
    }

    fn macs(&self, inputs: &[Shape], _: &[Shape]) -> u64 {
        // Each axis: an addition and a subtraction, and the first sum of a run.
        inputs[0].len() as u64 * 2 * (2 + (2 * self.radius as u64 + 1) / RUN as u64)
    }

    fn workspace(&self, inputs: &[Shape], _: &[Shape]) -> Workspace {
        // A row of sums, and three with what is beyond their ends.
        let w = inputs[0].w;
        Workspace { per_thread: 4 * w + 6 * self.radius.min(w), shared: 0 }
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], y: &mut [Out<T>], cpu: &Cpu<T>) {
        let Shape { h, w, .. } = x[0].shape;
        let (rh, rw) = (self.radius.min(h - 1), self.radius.min(w - 1));
        let count = |i: usize, r: usize, n: usize| T::of(((i + r).min(n - 1) - i.saturating_sub(r) + 1) as f64).recip();
        let planes = y[0].data.par_chunks_mut(h * w).zip(x[0].data.par_chunks(h * w));
        let runs = planes.flat_map(|(y, x)| y.par_chunks_mut(RUN * w).enumerate().map(move |run| (run, x)));
        runs.for_each(|((run, y), x)| {
            let padded = w + 2 * rw;
            cpu.with_scratch(w + 3 * padded, |scratch| {
                let (sum, rest) = scratch.split_at_mut(w);
                let (row, rest) = rest.split_at_mut(padded);
                let (next, sums) = rest.split_at_mut(padded);
                let all = T::of((2 * rw + 1) as f64).recip();
                vectorised(
                    #[inline(always)]
                    || {
                        let first = run * RUN;
                        let line = |i: usize| &x[i * w..][..w];
                        sum.fill(T::zero());
                        (first.saturating_sub(rh)..(first + rh).min(h)).for_each(|i| add_to(sum, line(i)));
                        for (i, y) in (first..).zip(y.chunks_exact_mut(w)) {
                            if i + rh < h {
                                add_to(sum, line(i + rh));
                            }
                            if i > first && i > rh {
                                sum.iter_mut().zip(line(i - rh - 1)).for_each(|(sum, x)| *sum -= *x);
                            }
                            let down = count(i, rh, h);
                            row[..rw].fill(T::zero());
                            row[rw..][..w].iter_mut().zip(&*sum).for_each(|(to, sum)| *to = *sum * down);
                            row[rw + w..].fill(T::zero());
                            windows(row, next, 2 * rw + 1, sums);
                            y.iter_mut().zip(&*sums).for_each(|(y, sum)| *y = *sum * all);
                            for j in (0..rw).chain((w - rw).max(rw)..w) {
                                y[j] = sums[j] * count(j, rw, w);
                            }
                        }
                    },
                );
            });
        });
    }

    fn gpu(&self, l: &mut Lowering) {
        let Shape { n, c, h, w } = l.inputs[0];
        let between = l.scratch(n * c * h * w);
        let passes = [("rows", Input(0), between, h, w), ("columns", between, Output(0), w, h)];
        for (entry, x, y, lines, side) in passes {
            let len = n * c * lines * side.div_ceil(RUN);
            let params = [("h", h), ("w", w), ("r", self.radius), ("len", len)].map(|(name, v)| (name, v.into()));
            l.dispatch((&SHADER, entry), &[], &[("x", x), ("y", y)], &params, Grid::Linear(len));
        }
    }
}

#[cfg(feature = "cpu")]
#[inline(always)]
fn add_to<T: Real>(sum: &mut [T], x: &[T]) {
    sum.iter_mut().zip(x).for_each(|(sum, x)| *sum += *x);
}

/// The sums of all windows of `n` elements of x, where they do not pass its end; uses x and `next` up. Windows of 1, 2, 4,
/// ... elements are made of each other, and those that together are `n` are added up: additions of whole rows, as many as
/// n has binary digits and ones.
#[cfg(feature = "cpu")]
#[inline(always)]
fn windows<'a, T: Real>(mut x: &'a mut [T], mut next: &'a mut [T], n: usize, sums: &mut [T]) {
    sums.copy_from_slice(x); // n is odd
    let (mut at, mut width) = (1, 1);
    while 2 * width <= n {
        let len = x.len() - width;
        for ((next, a), b) in next[..len].iter_mut().zip(&x[..len]).zip(&x[width..]) {
            *next = *a + *b;
        }
        std::mem::swap(&mut x, &mut next);
        width *= 2;
        if n & width != 0 {
            add_to(sums, &x[at..]);
            at += width;
        }
    }
}
