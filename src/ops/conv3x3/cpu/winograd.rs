//! The f32 convolution by Winograd's method F(4x4, 3x3): 36 products where 4x4 pixels of output take 144 (Lavin & Gray,
//! "Fast Algorithms for Convolutional Neural Networks").
//!
//! y = A^T [sum over i of (G w G^T) * (B^T x B)] A for each tile of 4x4 outputs, whose inputs x are 6x6. With the 1-D
//! points 0, a, -a, b, -b and infinity; a = sqrt(1/2), b = sqrt(2) leave an error of 1.5e-6 of the largest output for
//! 64 channels, where the textbook's 1 and 2 leave 5.9e-6 and the direct sum 1.0e-6 (F(2x2, 3x3): 3e-7, but 1.8 times
//! the products).
//!
//! A register holds one row's neighbouring tiles; the order of its lanes is that of [`Simd::deinterleave_shfl_f32s`],
//! which the output undoes.

// Not iterators: their closures may not be inlined, and then they lack the instructions of the registers they are given
// (measured: up to five times the time).
#![allow(clippy::needless_range_loop)]

use super::super::super::{Cpu, In, Real};
use super::cell::{
    self, Aligned, Block, COLUMNS, Cell, Epilogue, HALO_ROWS, Halo, PITCH, ROWS, SharedMap, load, store,
};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// Points of the transformed plane.
pub(super) const POINTS: usize = 36;
/// Tiles of a cell: 2 rows of 16.
pub(super) const TILES: usize = 32;
/// Outputs that are computed together: 8 x 32 sums fill half of AVX-512's registers.
const BLOCK: usize = 8;
/// Most input channels whose transform is kept: 590 KiB.
const DEPTH: usize = 128;
/// Outputs between transforms: 16 leave the inputs their place in the level-2 cache (8 to 64 differ by under 10 %).
/// More where each time costs a transform of the inputs.
const CHUNK: usize = 16;
const DEEP_CHUNK: usize = 64;

/// The points a and b.
pub(super) const A: f32 = std::f32::consts::FRAC_1_SQRT_2;
pub(super) const B: f32 = std::f32::consts::SQRT_2;

/// Outputs between two transforms.
fn chunk(c_in: usize) -> usize {
    if c_in > DEPTH { DEEP_CHUNK } else { CHUNK }
}

/// From one point to the next, of `channels` with their tiles; not a power of two, whose lines would share one set of
/// the cache.
pub(super) fn stride(channels: usize) -> usize {
    channels * TILES + 16
}

/// Elements of a thread's inputs and outputs, transformed.
fn buffers(c_in: usize) -> (usize, usize) {
    (POINTS * stride(c_in.min(DEPTH)), POINTS * stride(chunk(c_in)))
}

/// Elements of the transformed weights.
fn weights_len(c_in: usize, c_out: usize) -> usize {
    c_out.next_multiple_of(BLOCK) * POINTS * c_in
}

/// Working memory of [`convolve`]: (per thread, shared).
pub(super) fn workspace(c_in: usize, c_out: usize) -> (usize, usize) {
    let (v, m) = buffers(c_in);
    (v + m, weights_len(c_in, c_out))
}

/// B^T d
#[inline(always)]
pub(super) fn input_1d<S: Simd>(s: S, d: [S::f32s; 6]) -> [S::f32s; 6] {
    // a^2 = 1/2, b^2 = 2
    let a_even = s.mul_add_e_f32s(d[2], s.splat_f32s(-2.0), d[4]);
    let a_odd = s.mul_add_e_f32s(d[1], s.splat_f32s(-2.0), d[3]);
    let b_even = s.mul_add_e_f32s(d[2], s.splat_f32s(-0.5), d[4]);
    let b_odd = s.mul_add_e_f32s(d[1], s.splat_f32s(-0.5), d[3]);
    [
        s.add_f32s(s.mul_add_e_f32s(d[2], s.splat_f32s(-2.5), d[0]), d[4]),
        s.mul_add_e_f32s(a_odd, s.splat_f32s(A), a_even),
        s.mul_add_e_f32s(a_odd, s.splat_f32s(-A), a_even),
        s.mul_add_e_f32s(b_odd, s.splat_f32s(B), b_even),
        s.mul_add_e_f32s(b_odd, s.splat_f32s(-B), b_even),
        s.add_f32s(s.mul_add_e_f32s(d[3], s.splat_f32s(-2.5), d[1]), d[5]),
    ]
}

/// A^T m
#[inline(always)]
fn output_1d<S: Simd>(s: S, m: [S::f32s; 6]) -> [S::f32s; 4] {
    let (a_even, a_odd) = (s.add_f32s(m[1], m[2]), s.sub_f32s(m[1], m[2]));
    let (b_even, b_odd) = (s.add_f32s(m[3], m[4]), s.sub_f32s(m[3], m[4]));
    [
        s.add_f32s(s.add_f32s(m[0], a_even), b_even),
        s.mul_add_e_f32s(a_odd, s.splat_f32s(A), s.mul_f32s(b_odd, s.splat_f32s(B))),
        s.mul_add_e_f32s(a_even, s.splat_f32s(0.5), s.mul_f32s(b_even, s.splat_f32s(2.0))),
        s.mul_add_e_f32s(a_odd, s.splat_f32s(0.5 * A), s.mul_add_e_f32s(b_odd, s.splat_f32s(2.0 * B), m[5])),
    ]
}

/// G w, for the weights of a block
fn weight_1d(w: [[f32; BLOCK]; 3]) -> [[f32; BLOCK]; 6] {
    let mut u = [[0.0; BLOCK]; 6];
    for k in 0..BLOCK {
        let [w0, w1, w2] = [w[0][k], w[1][k], w[2][k]];
        // 1 / (2 a^2 (a^2 - b^2)) and 1 / (2 b^2 (b^2 - a^2))
        let (a_even, a_odd) = ((w0 + 0.5 * w2) * (-2.0 / 3.0), A * w1 * (-2.0 / 3.0));
        let (b_even, b_odd) = ((w0 + 2.0 * w2) * (1.0 / 6.0), B * w1 * (1.0 / 6.0));
        let all = [w0, a_even + a_odd, a_even - a_odd, b_even + b_odd, b_even - b_odd, w2];
        u.iter_mut().zip(all).for_each(|(u, v)| u[k] = v);
    }
    u
}

/// u[block, point, i, o in block] = G w G^T
fn transform_weights(w: &[f32], c_in: usize, u: &mut [f32]) {
    u.par_chunks_exact_mut(BLOCK * POINTS * c_in).enumerate().for_each(|(block, u)| {
        let w = &w[block * BLOCK * c_in * 9..];
        for i in 0..c_in {
            // Outputs past the last have no weights.
            let mut taps = [[[0.0; BLOCK]; 3]; 3];
            for (o, w) in w.chunks_exact(c_in * 9).take(BLOCK).enumerate() {
                for tap in 0..9 {
                    taps[tap / 3][tap % 3][o] = w[i * 9 + tap];
                }
            }
            let rows = taps.map(weight_1d);
            for column in 0..6 {
                let all = weight_1d([rows[0][column], rows[1][column], rows[2][column]]);
                for (row, v) in all.iter().enumerate() {
                    u[((row * 6 + column) * c_in + i) * BLOCK..][..BLOCK].copy_from_slice(v);
                }
            }
        }
    });
}

/// Four columns of 16 tiles, or of as many as a register holds.
#[inline(always)]
pub(super) fn columns<S: Simd>(s: S, row: &[f32]) -> [S::f32s; 4] {
    s.deinterleave_shfl_f32s(load::<S, 4>(row))
}

/// A row of x B.
#[inline(always)]
fn input_row<S: Simd>(s: S, row: &[f32]) -> [S::f32s; 6] {
    let ([d0, d1, d2, d3], [d4, d5, ..]) = (columns(s, row), columns(s, &row[4..]));
    input_1d(s, [d0, d1, d2, d3, d4, d5])
}

/// v[point, tile] = B^T x B of one channel; `stride` from point to point.
#[inline(always)]
pub(super) fn transform_input<S: Simd>(s: S, x: &Halo, v: &mut [f32], stride: usize) {
    for first in (0..TILES / 2).step_by(S::F32_LANES) {
        let row = 4 * first;
        let rows: [_; HALO_ROWS] = [
            input_row(s, &x[0][row..]),
            input_row(s, &x[1][row..]),
            input_row(s, &x[2][row..]),
            input_row(s, &x[3][row..]),
            input_row(s, &x[4][row..]),
            input_row(s, &x[5][row..]),
            input_row(s, &x[6][row..]),
            input_row(s, &x[7][row..]),
            input_row(s, &x[8][row..]),
            input_row(s, &x[9][row..]),
        ];
        for half in 0..2 {
            let rows: &[_; 6] = rows[4 * half..].first_chunk().expect("tiles have six rows");
            for column in 0..6 {
                let [r0, r1, r2, r3, r4, r5] = rows;
                let t = input_1d(s, [r0[column], r1[column], r2[column], r3[column], r4[column], r5[column]]);
                for row in 0..6 {
                    store::<S, 1>(&mut v[(row * 6 + column) * stride + half * TILES / 2 + first..], [t[row]]);
                }
            }
        }
    }
}

/// Row `row` of m A, in the registers that begin at tile `tile`.
#[inline(always)]
fn output_row<S: Simd>(s: S, m: &[f32], stride: usize, row: usize, tile: usize) -> [S::f32s; 4] {
    let at = |column: usize| &m[(row * 6 + column) * stride + tile..];
    let [m0, m1, m2] = [load::<S, 1>(at(0)), load::<S, 1>(at(1)), load::<S, 1>(at(2))];
    let [m3, m4, m5] = [load::<S, 1>(at(3)), load::<S, 1>(at(4)), load::<S, 1>(at(5))];
    output_1d(s, [m0[0], m1[0], m2[0], m3[0], m4[0], m5[0]])
}

/// Column `column` of A^T rows.
#[inline(always)]
fn output_column<S: Simd>(s: S, rows: &[[S::f32s; 4]; 6], column: usize) -> [S::f32s; 4] {
    let [r0, r1, r2, r3, r4, r5] = rows;
    output_1d(s, [r0[column], r1[column], r2[column], r3[column], r4[column], r5[column]])
}

/// y = act(A^T m A + bias) of one channel; `stride` from point to point.
#[inline(always)]
fn transform_output<S: Simd>(s: S, m: &[f32], stride: usize, (epilogue, c): (Epilogue, usize), y: &mut Block) {
    for (half, y) in y.chunks_exact_mut(4).enumerate() {
        for first in (0..TILES / 2).step_by(S::F32_LANES) {
            let tile = half * TILES / 2 + first;
            let rows = [
                output_row(s, m, stride, 0, tile),
                output_row(s, m, stride, 1, tile),
                output_row(s, m, stride, 2, tile),
                output_row(s, m, stride, 3, tile),
                output_row(s, m, stride, 4, tile),
                output_row(s, m, stride, 5, tile),
            ];
            let columns = [
                output_column(s, &rows, 0),
                output_column(s, &rows, 1),
                output_column(s, &rows, 2),
                output_column(s, &rows, 3),
            ];
            for row in 0..4 {
                let [c0, c1, c2, c3] = columns;
                let out = [
                    epilogue.apply(s, c, c0[row]),
                    epilogue.apply(s, c, c1[row]),
                    epilogue.apply(s, c, c2[row]),
                    epilogue.apply(s, c, c3[row]),
                ];
                store::<S, 4>(&mut y[row][4 * first..], s.interleave_shfl_f32s(out));
            }
        }
    }
}

/// m[o, tile] (+)= sum over i of u[i, o] v[i, tile], for R of a block's outputs from `first` on.
#[inline(always)]
fn multiply<S: Simd, const R: usize>(s: S, u: &[f32], v: &[f32], first: usize, m: &mut [f32], add: bool) {
    let zero = s.splat_f32s(0.0);
    let lanes = S::F32_LANES;
    for tile in (0..TILES).step_by(2 * lanes) {
        let at = |r: usize| (first + r) * TILES + tile;
        let mut sum = [[zero; 2]; R];
        if add {
            for r in 0..R {
                sum[r] = load::<S, 2>(&m[at(r)..]);
            }
        }
        for (u, v) in u.as_chunks::<BLOCK>().0.iter().zip(v.as_chunks::<TILES>().0) {
            let [v0, v1] = load::<S, 2>(&v[tile..]);
            for r in 0..R {
                let u = s.splat_f32s(u[first + r]);
                sum[r] = [s.mul_add_e_f32s(u, v0, sum[r][0]), s.mul_add_e_f32s(u, v1, sum[r][1])];
            }
        }
        for r in 0..R {
            store::<S, 2>(&mut m[at(r)..], sum[r]);
        }
    }
}

/// The convolution of one cell.
struct Task<'a> {
    maps: &'a [In<'a, f32>],
    u: &'a [f32],
    epilogue: Epilogue<'a>,
    y: &'a SharedMap<'a>,
    at: Cell,
    scratch: &'a mut [f32],
}

impl WithSimd for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        let Task { maps, u, epilogue, y, at, scratch } = self;
        let (map, c_out) = (maps[0].shape, y.shape().c);
        let c_in = maps.iter().map(|m| m.shape.c).sum();
        let (v, m) = scratch.split_at_mut(buffers(c_in).0);
        let (v_stride, m_stride) = (stride(DEPTH.min(c_in)), stride(chunk(c_in)));
        let (mut halo, mut block) = (Aligned([[0.0; PITCH]; HALO_ROWS]), Aligned([[0.0; COLUMNS]; ROWS]));
        for first in (0..c_out).step_by(chunk(c_in)) {
            let outputs = first..(first + chunk(c_in)).min(c_out);
            for depth in (0..c_in).step_by(DEPTH) {
                let inputs = depth..(depth + DEPTH).min(c_in);
                if first == 0 || c_in > DEPTH {
                    let channels = cell::channels(maps, at.n).skip(depth).take(inputs.len());
                    for (i, channel) in channels.enumerate() {
                        at.fetch(channel, map, &mut halo.0);
                        transform_input(s, &halo.0, &mut v[i * TILES..], v_stride);
                    }
                }
                for point in 0..POINTS {
                    let v = &v[point * v_stride..][..inputs.len() * TILES];
                    for o in outputs.clone().step_by(BLOCK) {
                        let u = &u[((o / BLOCK * POINTS + point) * c_in + depth) * BLOCK..][..inputs.len() * BLOCK];
                        let m = &mut m[point * m_stride + (o - first) * TILES..][..BLOCK * TILES];
                        // 16 sums and three more registers, or half of them where there are but 16 registers.
                        if cell::has_many_registers::<S>() {
                            multiply::<S, BLOCK>(s, u, v, 0, m, depth > 0);
                        } else {
                            multiply::<S, { BLOCK / 2 }>(s, u, v, 0, m, depth > 0);
                            multiply::<S, { BLOCK / 2 }>(s, u, v, BLOCK / 2, m, depth > 0);
                        }
                    }
                }
            }
            for o in outputs {
                transform_output(s, &m[(o - first) * TILES..], m_stride, (epilogue, o), &mut block.0);
                // SAFETY: a cell is one task's.
                unsafe { y.put(at, o, &block.0) };
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
    let c_in = maps.iter().map(|m| m.shape.c).sum();
    let mut shared = cpu.shared.lock().expect("no thread panicked with the buffer");
    let u = &mut super::as_f32_mut(&mut shared).expect("f32 alone comes here")[..weights_len(c_in, y.shape().c)];
    transform_weights(w, c_in, u);
    let (u, (v, m)) = (&*u, buffers(c_in));
    (0..cell::count(y.shape())).into_par_iter().for_each(|k| {
        cpu.with_scratch(v + m, |scratch| {
            let scratch = super::as_f32_mut(scratch).expect("f32 alone comes here");
            arch.dispatch(Task { maps, u, epilogue, y, at: Cell::new(k, y.shape()), scratch });
        });
    });
}
