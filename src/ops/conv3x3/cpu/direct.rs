//! The f32 convolution where one side has few channels: the sum itself, with blocks of sums in registers and a register
//! along a row. Transforms as in [`super::winograd`] would cost more than the products they save.

// Not iterators: their closures may not be inlined, and then they lack the instructions of the registers they are given
// (measured: up to five times the time).
#![allow(clippy::needless_range_loop)]

use super::super::super::{Cpu, In, Real};
use super::cell::{self, Block, COLUMNS, Cell, Epilogue, HALO_ROWS, PITCH, ROWS, SharedMap, load, store};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// Most outputs that are computed together.
const BLOCK: usize = 8;

/// Elements of a channel with its halo.
const HALO: usize = HALO_ROWS * PITCH;

/// Working memory of [`convolve`]: (per thread, shared).
pub(super) fn workspace(c_in: usize, c_out: usize) -> (usize, usize) {
    (c_in * HALO + BLOCK * ROWS * COLUMNS, c_out * c_in * 9)
}

/// The blocks of outputs, of even size: (first, number).
fn blocks(c_out: usize) -> impl Iterator<Item = (usize, usize)> {
    let count = c_out.div_ceil(BLOCK);
    let first = move |block: usize| block * c_out / count;
    (0..count).map(move |block| (first(block), first(block + 1) - first(block)))
}

/// y = act(conv(x, w) + bias) of R outputs from `first` on; w (c_in, 9, R); N registers of a row at a time.
#[inline(always)]
fn outputs<S: Simd, const R: usize, const N: usize>(
    s: S,
    first: usize,
    x: &[[[f32; PITCH]; HALO_ROWS]],
    w: &[f32],
    epilogue: Epilogue,
    y: &mut [Block],
) {
    let lanes = S::F32_LANES;
    let w = w.as_chunks::<R>().0.as_chunks::<9>().0;
    for row in 0..ROWS {
        for column in (0..COLUMNS).step_by(N * lanes) {
            let mut sum = [[s.splat_f32s(0.0); N]; R];
            for (x, w) in x.iter().zip(w) {
                for tap in 0..9 {
                    let x = load::<S, N>(&x[row + tap / 3][column + tap % 3..]);
                    for r in 0..R {
                        let w = s.splat_f32s(w[tap][r]);
                        for n in 0..N {
                            sum[r][n] = s.mul_add_e_f32s(w, x[n], sum[r][n]);
                        }
                    }
                }
            }
            for r in 0..R {
                for n in 0..N {
                    let v = epilogue.apply(s, first + r, sum[r][n]);
                    store::<S, 1>(&mut y[r][row][column + n * lanes..], [v]);
                }
            }
        }
    }
}

/// The convolution of one cell.
struct Task<'a> {
    maps: &'a [In<'a, f32>],
    w: &'a [f32],
    epilogue: Epilogue<'a>,
    y: &'a SharedMap<'a>,
    at: Cell,
    scratch: &'a mut [f32],
}

impl WithSimd for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        let Task { maps, w, epilogue, y, at, scratch } = self;
        let (map, c_out) = (maps[0].shape, y.shape().c);
        let (y_block, x) = scratch.split_at_mut(BLOCK * ROWS * COLUMNS);
        let (y_block, x) = (y_block.as_chunks_mut().0.as_chunks_mut().0, x.as_chunks_mut().0.as_chunks_mut().0);
        for (channel, x) in cell::channels(maps, at.n).zip(&mut *x) {
            at.fetch(channel, map, x);
        }
        for (first, count) in blocks(c_out) {
            let w = &w[first * x.len() * 9..][..count * x.len() * 9];
            macro_rules! registers {
                ($($outputs:literal: $many:literal, $few:literal;)*) => {
                    match count {
                        // As many sums as leave registers for what is multiplied.
                        $($outputs if cell::has_many_registers::<S>() => outputs::<S, $outputs, $many>(s, first, x, w, epilogue, y_block),
                        $outputs => outputs::<S, $outputs, $few>(s, first, x, w, epilogue, y_block),)*
                        _ => unreachable!("a block has 1 to 8 outputs"),
                    }
                };
            }
            registers! { 1: 4, 4; 2: 4, 4; 3: 4, 2; 4: 4, 2; 5: 4, 2; 6: 4, 2; 7: 2, 1; 8: 2, 1; }
            for (r, block) in y_block[..count].iter().enumerate() {
                // SAFETY: a cell is one task's.
                unsafe { y.put(at, first + r, block) };
            }
        }
    }
}

/// y = act(conv(concat of maps, w) + bias)
pub(super) fn convolve<T: Real>(
    maps: &[In<f32>],
    w: &[f32],
    epilogue: Epilogue,
    y: &SharedMap,
    cpu: &Cpu<T>,
    arch: Arch,
) {
    let (c_in, c_out): (usize, usize) = (maps.iter().map(|m| m.shape.c).sum(), y.shape().c);
    let (per_thread, shared_len) = workspace(c_in, c_out);
    let mut shared = cpu.shared.lock().expect("no thread panicked with the buffer");
    let packed = &mut super::as_f32_mut(&mut shared).expect("f32 alone comes here")[..shared_len];
    for (first, count) in blocks(c_out) {
        let to = packed[first * c_in * 9..].chunks_exact_mut(count).take(c_in * 9);
        for (k, to) in to.enumerate() {
            to.iter_mut().enumerate().for_each(|(r, to)| *to = w[(first + r) * c_in * 9 + k]);
        }
    }
    let w = &*packed;
    (0..cell::count(y.shape())).into_par_iter().for_each(|k| {
        cpu.with_scratch(per_thread, |scratch| {
            let scratch = super::as_f32_mut(scratch).expect("f32 alone comes here");
            arch.dispatch(Task { maps, w, epilogue, y, at: Cell::new(k, y.shape()), scratch });
        });
    });
}
