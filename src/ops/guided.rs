//! The guided filter, the picture f being its own guide (He, Sun, Tang 2013): with means m over square windows, of
//! g = f - 0.5 the coefficients A = 1 - eps S^-1 = Cov (Cov + eps)^-1 with S = Cov + eps (equation 19; symmetric),
//! b = m(g) - A m(g), and of their means u = m(A) g + m(b) + 0.5. Subtracting 0.5 is exact and halves rounding.
//!
//! A mean is over the part of the window that lies inside the picture; separable, each axis divided by its own count.
//! Sums are short, afresh for each window or run of [`RUN`] outputs: those along whole rows (prefix sums) cost 0.011 to
//! 0.021 of 255 in f32, short ones 1e-4. For filters only: it has no gradient.

#[cfg(feature = "cpu")]
use super::cpu::*;
use super::{Operator, Workspace, arity, check};
use crate::kernel::{Grid, Lowering, Operand::*, Param, Shader};
use crate::tensor::Shape;
use std::ops::{Add, Mul, Sub};

/// Its kernels.
pub static SHADER: Shader = Shader::new("guided", include_str!("../../shaders/guided.wgsl"));

/// Outputs whose sums are made of each other, the first one's aside; `RUN` of the shader.
pub const RUN: usize = 32;

/// Which channels guide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guide {
    /// The three channels together, by their covariance.
    Colour,
    /// Each channel itself.
    Channel,
}

impl Guide {
    /// Values of a pixel. Moments: those of g, then its products rr, rg, rb, gg, gb, bb, or squares. Coefficients: A's
    /// rr, rg, rb, gg, gb, bb, or a of each channel, then b.
    fn values(self) -> usize {
        match self {
            Guide::Colour => 9,
            Guide::Channel => 6,
        }
    }
}

/// f (1, 3, H, W) -> u of the same shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Guided {
    /// Which channels guide.
    pub guide: Guide,
    /// Radius r of the windows in pixels, which have (2r+1)^2.
    pub radius: usize,
    /// Added to the variances, in units of [0, 1]^2.
    pub eps: f64,
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

impl Operator for Guided {
    fn name(&self) -> &'static str {
        "guided"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [f] = arity(inputs)?;
        check!((f.n, f.c) == (1, 3), "f is {f}, not 1x3 channels");
        Ok(vec![f])
    }

    fn macs(&self, inputs: &[Shape], _: &[Shape]) -> u64 {
        // Two means, each of two axes: an addition and a subtraction, and the first sum of a run.
        let means = self.guide.values() as u64 * 4 * (2 + (2 * self.radius as u64 + 1) / RUN as u64);
        // Products 6, covariance 6, cofactors 12, determinant 3, A 6, b 9, u 9; or squares, variance, a, b, u of 3 channels.
        inputs[0].plane() as u64 * (means + if self.guide == Guide::Colour { 51 } else { 15 })
    }

    fn workspace(&self, inputs: &[Shape], _: &[Shape]) -> Workspace {
        let (Shape { h, w, .. }, values) = (inputs[0], self.guide.values());
        // Rows of sums and of means, and three with what is beyond their ends; all coefficients.
        Workspace { per_thread: 2 * values * w + 3 * (w + 2 * self.radius.min(w - 1)), shared: values * h * w }
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], y: &mut [Out<T>], cpu: &Cpu<T>) {
        match self.guide {
            Guide::Colour => self.run(x[0], &mut y[0], cpu, colour_coefficients, colour_apply),
            Guide::Channel => self.run(x[0], &mut y[0], cpu, channel_coefficients, channel_apply),
        }
    }

    fn gpu(&self, l: &mut Lowering) {
        let Shape { h, w, .. } = l.inputs[0];
        let channel = usize::from(self.guide == Guide::Channel);
        let pairs = self.guide.values().div_ceil(2);
        let z = [l.scratch(2 * pairs * h * w), l.scratch(2 * pairs * h * w)];
        let (rows, columns) = (h * w.div_ceil(RUN), w * h.div_ceil(RUN));
        let mut dispatch = |entry, bindings: &[_], len: usize| {
            let sizes = [("h", h), ("w", w), ("r", self.radius), ("channel", channel), ("len", len)];
            let sizes = sizes.map(|(name, v)| (name, Param::from(v)));
            let params = [&sizes[..], &[("eps", (self.eps as f32).into())]].concat();
            l.dispatch((&SHADER, entry), &[], bindings, &params, Grid::Linear(len));
        };
        dispatch("moments", &[("f", Input(0)), ("z", z[0])], rows);
        dispatch("coefficients", &[("z_in", z[0]), ("z", z[1])], columns);
        dispatch("means", &[("z_in", z[1]), ("z", z[0])], rows);
        dispatch("apply", &[("f", Input(0)), ("z_in", z[0]), ("u", Output(0))], columns);
    }
}

#[cfg(feature = "cpu")]
impl Guided {
    /// The filter: `coefficients` makes a row's of the moments' means, `apply` u of the coefficients' means and f.
    fn run<T: Real, const N: usize>(
        &self,
        f: In<T>,
        u: &mut Out<T>,
        cpu: &Cpu<T>,
        coefficients: impl Fn([&[T]; N], &mut [&mut [T]; N], T) + Sync,
        apply: impl Fn([&[T]; N], [&[T]; 3], &mut [&mut [T]]) + Sync,
    ) {
        let Shape { h, w, .. } = f.shape;
        let (plane, eps) = (h * w, T::of(self.eps));
        let f = planes::<T, 3>(&f, 0, 0, plane);
        let mut shared = cpu.shared.lock().expect("no thread panicked with the buffer");
        let all = &mut shared[..N * plane];
        let mut out = Out { shape: u.shape.with_c(N), data: &mut *all };
        by_pixels(&mut out, RUN * w, |_, first, y| {
            self.window_means(
                (h, w),
                first / w,
                cpu,
                #[inline(always)]
                |row, sign, sums| add_moments(f.map(|f| &f[row * w..][..w]), sign, sums),
                #[inline(always)]
                |row, means| {
                    let mut y = y.iter_mut().map(|y| &mut y[row * w - first..][..w]);
                    coefficients(means, &mut std::array::from_fn(|_| y.next().expect("planes of values")), eps);
                },
            );
        });
        let all = &*all;
        by_pixels(u, RUN * w, |_, first, u| {
            self.window_means(
                (h, w),
                first / w,
                cpu,
                #[inline(always)]
                |row, sign, sums| {
                    for (sum, plane) in sums.chunks_exact_mut(w).zip(all.chunks_exact(plane)) {
                        sum.iter_mut().zip(&plane[row * w..]).for_each(|(sum, v)| *sum += sign * *v);
                    }
                },
                #[inline(always)]
                |row, means| {
                    let mut u: Vec<&mut [T]> = u.iter_mut().map(|u| &mut u[row * w - first..][..w]).collect();
                    apply(means, f.map(|f| &f[row * w..][..w]), &mut u);
                },
            );
        });
    }

    /// Calls `emit` with the means of N values for each row of a run that begins at `first`; `add` adds those of a row,
    /// times a sign.
    fn window_means<T: Real, const N: usize>(
        &self,
        (h, w): (usize, usize),
        first: usize,
        cpu: &Cpu<T>,
        add: impl Fn(usize, T, &mut [T]),
        mut emit: impl FnMut(usize, [&[T]; N]),
    ) {
        let (rh, rw) = (self.radius.min(h - 1), self.radius.min(w - 1));
        let count = |i: usize, r: usize, n: usize| T::of(((i + r).min(n - 1) - i.saturating_sub(r) + 1) as f64).recip();
        let (padded, all) = (w + 2 * rw, count(rw, rw, 2 * rw + 1));
        cpu.with_scratch(2 * N * w + 3 * padded, |scratch| {
            let (sums, rest) = scratch.split_at_mut(N * w);
            let (means, rest) = rest.split_at_mut(N * w);
            let (row, rest) = rest.split_at_mut(padded);
            let (next, across) = rest.split_at_mut(padded);
            vectorised!({
                sums.fill(T::zero());
                (first.saturating_sub(rh)..(first + rh).min(h)).for_each(|i| add(i, T::one(), sums));
                for i in first..(first + RUN).min(h) {
                    if i + rh < h {
                        add(i + rh, T::one(), sums);
                    }
                    if i > first && i > rh {
                        add(i - rh - 1, -T::one(), sums);
                    }
                    let down = count(i, rh, h);
                    for (sums, means) in sums.chunks_exact(w).zip(means.chunks_exact_mut(w)) {
                        row[..rw].fill(T::zero());
                        row[rw..][..w].iter_mut().zip(sums).for_each(|(to, sum)| *to = *sum * down);
                        row[rw + w..].fill(T::zero());
                        windows(row, next, 2 * rw + 1, across);
                        means.iter_mut().zip(&*across).for_each(|(mean, sum)| *mean = *sum * all);
                        for j in (0..rw).chain((w - rw).max(rw)..w) {
                            means[j] = across[j] * count(j, rw, w);
                        }
                    }
                    emit(i, std::array::from_fn(|n| &means[n * w..][..w]));
                }
            });
        });
    }
}

/// Adds the moments of a row of f to sums, times a sign.
#[cfg(feature = "cpu")]
#[inline(always)]
fn add_moments<T: Real>(f: [&[T]; 3], sign: T, sums: &mut [T]) {
    let (w, half) = (f[0].len(), T::of(0.5));
    let is_colour = sums.len() == Guide::Colour.values() * w;
    let squares = [(0, 0), (1, 1), (2, 2)];
    let (first, products) = sums.split_at_mut(3 * w);
    for (sum, f) in first.chunks_exact_mut(w).zip(f) {
        sum.iter_mut().zip(f).for_each(|(sum, f)| *sum += sign * (*f - half));
    }
    let pairs = if is_colour { &PAIRS[..] } else { &squares };
    for (sum, (i, j)) in products.chunks_exact_mut(w).zip(pairs) {
        let pairs = f[*i].iter().zip(f[*j]);
        sum.iter_mut().zip(pairs).for_each(|(sum, (a, b))| *sum += sign * ((*a - half) * (*b - half)));
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

/// a = var / (var + eps) of each channel, and b.
#[cfg(feature = "cpu")]
#[inline(always)]
fn channel_coefficients<T: Real>(m: [&[T]; 6], y: &mut [&mut [T]; 6], eps: T) {
    let (a, b) = y.split_at_mut(3);
    for (c, (a, b)) in a.iter_mut().zip(b).enumerate() {
        for (((a, b), mean), square) in a.iter_mut().zip(&mut **b).zip(m[c]).zip(m[c + 3]) {
            let variance = *square - *mean * *mean;
            *a = variance / (variance + eps);
            *b = *mean - *a * *mean;
        }
    }
}

/// u = A (f - 0.5) + b + 0.5
#[cfg(feature = "cpu")]
#[inline(always)]
fn colour_apply<T: Real>(m: [&[T]; 9], f: [&[T]; 3], u: &mut [&mut [T]]) {
    let (len, half) = (f[0].len(), T::of(0.5));
    let [f0, f1, f2] = f;
    for (c, u) in u.iter_mut().enumerate() {
        let ([a0, a1, a2], b) = (SYMMETRIC[c].map(|at| &m[at][..len]), &m[6 + c][..len]);
        let (f0, f1, f2, u) = (&f0[..len], &f1[..len], &f2[..len], &mut u[..len]);
        for i in 0..len {
            u[i] = a0[i] * (f0[i] - half) + a1[i] * (f1[i] - half) + a2[i] * (f2[i] - half) + b[i] + half;
        }
    }
}

/// u = a (f - 0.5) + b + 0.5 of each channel.
#[cfg(feature = "cpu")]
#[inline(always)]
fn channel_apply<T: Real>(m: [&[T]; 6], f: [&[T]; 3], u: &mut [&mut [T]]) {
    let half = T::of(0.5);
    for (c, u) in u.iter_mut().enumerate() {
        for (((u, f), a), b) in u.iter_mut().zip(f[c]).zip(m[c]).zip(m[c + 3]) {
            *u = *a * (*f - half) + *b + half;
        }
    }
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
            sums.iter_mut().zip(&x[at..]).for_each(|(sum, x)| *sum += *x);
            at += width;
        }
    }
}
