//! Shared by the CPU implementations of the operators: number types, operands, working memory, sums and products. One
//! `use` brings all of it into an operator's file.

pub(crate) use rayon::prelude::*;

use super::{Op, Operator};
use crate::kernel::RunParams;
use crate::tensor::Shape;
use std::sync::Mutex;

/// Elements that one task of an elementwise operator takes.
pub(crate) const CHUNK: usize = 16 * 1024;

/// Pixels that one task takes of all channels, so that they stay in a cache.
pub(crate) const PIXELS: usize = 2048;

/// A number type of the CPU executor: f32 to run, f64 as the oracle of the tests.
pub trait Real:
    num_traits::Float
    + num_traits::NumAssign
    + bytemuck::Pod
    + std::iter::Sum
    + Default
    + std::fmt::Debug
    + Send
    + Sync
    + 'static
{
    /// Rounds `v`.
    fn of(v: f64) -> Self;

    /// exp(self), in f32 within 2e-7 of it and as loops can be vectorised. There what is below -87 or above 88 has the exponential of that,
    /// since what is beyond is no normal number; NaN stays NaN.
    fn fast_exp(self) -> Self;

    /// self to some power, self > 0 and normal, as [`Real::fast_exp`]; in f32 within 1e-7 times the result's logarithm.
    fn fast_power(self, power: Self) -> Self;

    /// Runs an operator. Not generic, so that the implementations are compiled here, once for each type, and not in
    /// every program that uses them.
    fn run(op: &Op, x: &[In<Self>], y: &mut [Out<Self>], cpu: &Cpu<Self>);
}

impl Real for f32 {
    fn of(v: f64) -> Self {
        v as f32
    }

    #[inline(always)]
    fn fast_exp(self) -> Self {
        // 2^n e^r with |r| <= ln(2) / 2. Adding 1.5 * 2^23 rounds to the whole number n, and leaves it in the low bits.
        const ROUND: f32 = 12_582_912.0;
        // ln(2) in two parts, of which the first times n is exact.
        const LN2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
        let x = if self < -87.0 { -87.0 } else { self };
        let x = if x > 88.0 { 88.0 } else { x };
        let rounded = x * std::f32::consts::LOG2_E + ROUND;
        let n = rounded - ROUND;
        let r = x - n * LN2[0] - n * LN2[1];
        // Taylor's to r^7 / 7!, whose rest is below 1e-8.
        let high = ((r * (1.0 / 5040.0) + 1.0 / 720.0) * r + 1.0 / 120.0) * r + 1.0 / 24.0;
        let sum = (((high * r + 1.0 / 6.0) * r + 0.5) * r + 1.0) * r + 1.0;
        let power = f32::from_bits((rounded.to_bits() << 23).wrapping_add(1.0f32.to_bits()));
        power * sum
    }

    #[inline(always)]
    fn fast_power(self, power: Self) -> Self {
        // 2^n m with m from sqrt(1/2) on; ln(m) = 2 artanh(s), s = (m - 1) / (m + 1), whose next term is below 1e-9.
        let bits = self.to_bits().wrapping_sub(std::f32::consts::FRAC_1_SQRT_2.to_bits());
        let n = (bits as i32 >> 23) as f32;
        let m = f32::from_bits((bits & 0x7f_ffff) + std::f32::consts::FRAC_1_SQRT_2.to_bits());
        let s = (m - 1.0) / (m + 1.0);
        let q = s * s;
        let series = ((q * (2.0 / 9.0) + 2.0 / 7.0) * q + 2.0 / 5.0) * q + 2.0 / 3.0;
        let ln = n * std::f32::consts::LN_2 + (s + s + s * q * series);
        (power * ln).fast_exp()
    }

    fn run(op: &Op, x: &[In<Self>], y: &mut [Out<Self>], cpu: &Cpu<Self>) {
        op.cpu(x, y, cpu);
    }
}

impl Real for f64 {
    fn of(v: f64) -> Self {
        v
    }

    fn fast_exp(self) -> Self {
        self.exp()
    }

    fn fast_power(self, power: Self) -> Self {
        self.powf(power)
    }

    fn run(op: &Op, x: &[In<Self>], y: &mut [Out<Self>], cpu: &Cpu<Self>) {
        op.cpu(x, y, cpu);
    }
}

/// An operand that the CPU implementation reads.
#[derive(Clone, Copy)]
pub struct In<'a, T> {
    /// Its shape.
    pub shape: Shape,
    /// Its values, row-major.
    pub data: &'a [T],
}

impl<'a, T> In<'a, T> {
    /// Values of image `n`.
    pub fn image(&self, n: usize) -> &'a [T] {
        let len = self.shape.c * self.shape.plane();
        &self.data[n * len..(n + 1) * len]
    }

    /// `len` values from `first` on of plane `c` of image `n`.
    #[inline(always)]
    pub fn pixels(&self, n: usize, c: usize, first: usize, len: usize) -> &'a [T] {
        &self.image(n)[c * self.shape.plane() + first..][..len]
    }
}

/// An operand that the CPU implementation overwrites (or updates in place).
pub struct Out<'a, T> {
    /// Its shape.
    pub shape: Shape,
    /// Its values, row-major.
    pub data: &'a mut [T],
}

/// Calls `work` on all cores with an image's number, the first of up to `len` of its pixels, and the part of each of the
/// output's planes that has them. Returns what it returned, in that order.
pub(crate) fn by_pixels<T: Real, R: Send>(
    y: &mut Out<T>,
    len: usize,
    work: impl Fn(usize, usize, &mut [&mut [T]]) -> R + Sync,
) -> Vec<R> {
    let Shape { c, h, w, .. } = y.shape;
    let mut tasks: Vec<(usize, usize, Vec<&mut [T]>)> = vec![];
    for (n, image) in y.data.chunks_exact_mut(c * h * w).enumerate() {
        let begin = tasks.len();
        tasks.extend((0..h * w).step_by(len).map(|first| (n, first, Vec::with_capacity(c))));
        for plane in image.chunks_exact_mut(h * w) {
            plane.chunks_mut(len).zip(&mut tasks[begin..]).for_each(|(part, task)| task.2.push(part));
        }
    }
    tasks.into_par_iter().map(|(n, first, mut parts)| work(n, first, &mut parts)).collect()
}

/// `len` pixels from `first` on of each plane of image `n`.
#[inline(always)]
pub(crate) fn planes<'a, T, const C: usize>(x: &In<'a, T>, n: usize, first: usize, len: usize) -> [&'a [T]; C] {
    std::array::from_fn(|c| x.pixels(n, c, first, len))
}

/// The arguments of a CPU implementation, operands apart.
pub struct Cpu<'a, T> {
    /// Parameters that change from run to run.
    pub run: &'a RunParams,
    /// One buffer a thread, each of [`super::Workspace::per_thread`].
    pub threads: &'a [Mutex<Vec<T>>],
    /// One buffer of [`super::Workspace::shared`].
    pub shared: &'a Mutex<Vec<T>>,
}

impl<T: Real> Cpu<'_, T> {
    /// Runs `work` on the first `len` elements of this thread's buffer. `work` must not enter rayon again.
    pub fn with_scratch<R>(&self, len: usize, work: impl FnOnce(&mut [T]) -> R) -> R {
        let thread = rayon::current_thread_index().unwrap_or(0) % self.threads.len();
        let mut buffer = self.threads[thread].lock().expect("no thread panicked with the buffer");
        work(&mut buffer[..len])
    }
}

/// Runs loops compiled for the widest registers that this machine has: AVX-512 where the program is built for SSE2. The results have the
/// same bits: multiplications and additions are not put together.
///
/// What the loops call must be inlined, which takes an attribute where it is long: a function of its own is SSE2 again. A macro, since the
/// loops themselves need that attribute; and they consume [`Once`], since a closure that could be called again is called through a shim that
/// has none. They borrow what they use: a number that is chosen by a condition is copied into a variable of theirs first, or each of its
/// lanes is read from memory.
macro_rules! vectorised {
    ($loops:expr) => {{
        let once = Once;
        pulp::Arch::new().dispatch(
            #[inline(always)]
            || {
                let Once { .. } = { once };
                $loops
            },
        )
    }};
}
pub(crate) use vectorised;

/// What [`vectorised`] takes up: not `Copy`, so that its loops are called once.
pub(crate) struct Once;

/// Sum of `f(i)` over the indices, with 16 running sums: fast, and in f32 far more exact than one.
pub(crate) fn sum_by<T: Real>(len: usize, f: impl Fn(usize) -> T) -> T {
    let mut lanes = [T::zero(); 16];
    let whole = len / 16 * 16;
    for i in (0..whole).step_by(16) {
        for (j, lane) in lanes.iter_mut().enumerate() {
            *lane += f(i + j);
        }
    }
    for i in whole..len {
        lanes[i - whole] += f(i);
    }
    tree(lanes)
}

/// Sum, as [`sum_by`].
#[inline(always)]
pub(crate) fn sum<T: Real>(values: &[T]) -> T {
    let mut lanes = [T::zero(); 16];
    let chunks = values.chunks_exact(16);
    for (lane, v) in lanes.iter_mut().zip(chunks.remainder()) {
        *lane += *v;
    }
    for chunk in chunks {
        for (lane, v) in lanes.iter_mut().zip(chunk) {
            *lane += *v;
        }
    }
    tree(lanes)
}

/// Sum of products, as [`sum`].
#[inline(always)]
pub(crate) fn dot<T: Real>(a: &[T], b: &[T]) -> T {
    let mut lanes = [T::zero(); 16];
    let (a16, b16) = (a.chunks_exact(16), b.chunks_exact(16));
    for (i, (u, v)) in a16.remainder().iter().zip(b16.remainder()).enumerate() {
        lanes[i] += *u * *v;
    }
    for (u, v) in a16.zip(b16) {
        for i in 0..16 {
            lanes[i] += u[i] * v[i];
        }
    }
    tree(lanes)
}

#[inline(always)]
fn tree<T: Real>(mut lanes: [T; 16]) -> T {
    for width in [8, 4, 2, 1] {
        for i in 0..width {
            lanes[i] += lanes[i + width];
        }
    }
    lanes[0]
}

/// Adds parts of `len` elements up into the first: by halves, in an order that the number of threads does not change.
pub(crate) fn sum_parts<T: Real>(parts: &mut [T], len: usize) {
    let mut half = (parts.len() / len).next_power_of_two() / 2;
    while half > 0 {
        let (to, from) = parts.split_at_mut(parts.len().min(half * len));
        to.par_chunks_mut(CHUNK).zip(from.par_chunks(CHUNK)).for_each(|(to, from)| {
            vectorised!({
                for (to, from) in to.iter_mut().zip(from) {
                    *to += *from;
                }
            });
        });
        half /= 2;
    }
}

/// dst (m, n; rows `dst_stride` apart) = beta dst + a (m, k) b (k, n), with strides (row, column) of a and b.
#[allow(clippy::too_many_arguments)] // a matrix product has three operands, each with its strides
pub(crate) fn product<T: Real>(
    (m, n, k): (usize, usize, usize),
    dst: &mut [T],
    dst_stride: usize,
    beta: T,
    a: &[T],
    a_strides: (usize, usize),
    b: &[T],
    b_strides: (usize, usize),
) {
    assert!(dst.len() > (m - 1) * dst_stride + (n - 1), "dst covers {m}x{n}");
    // SAFETY: dst is checked above, and borrowed alone.
    unsafe { product_at((m, n, k), dst.as_mut_ptr(), dst_stride, beta, a, a_strides, b, b_strides) }
}

/// [`product`] into memory that tasks share.
///
/// # Safety
/// `dst` must be valid for reads and writes of m rows of n elements, `dst_stride` apart, that no other thread touches.
#[allow(clippy::too_many_arguments)] // as above
pub(crate) unsafe fn product_at<T: Real>(
    (m, n, k): (usize, usize, usize),
    dst: *mut T,
    dst_stride: usize,
    beta: T,
    a: &[T],
    (a_row, a_col): (usize, usize),
    b: &[T],
    (b_row, b_col): (usize, usize),
) {
    assert!(a.len() > (m - 1) * a_row + (k - 1) * a_col, "a covers {m}x{k}");
    assert!(b.len() > (k - 1) * b_row + (n - 1) * b_col, "b covers {k}x{n}");
    let one = T::one();
    // SAFETY: a and b are checked above; dst is the caller's promise.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            dst,
            1,
            dst_stride as isize,
            beta != T::zero(),
            a.as_ptr(),
            a_col as isize,
            a_row as isize,
            b.as_ptr(),
            b_col as isize,
            b_row as isize,
            beta,
            one,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

/// 1 / (1 + exp(-x))
#[inline(always)]
pub(crate) fn sigmoid<T: Real>(x: T) -> T {
    T::one() / (T::one() + (-x).fast_exp())
}
