//! The f32 gradient of the weights, by the transpose of Winograd's method:
//! dw = G^T [sum over tiles of (A dy A^T) * (B^T x B)] G, 36 products where 4x4 pixels of dy take 144.
//!
//! The sum over tiles is a matrix product for each of the 36 points. Its lanes are channels, those of the side that has
//! more of them; the other side's values are broadcast. Both sides are transformed as in the convolution, in registers of
//! neighbouring tiles; the wide side is then transposed.

// Not iterators: their closures may not be inlined, and then they lack the instructions of the registers they are given
// (measured: up to five times the time).
#![allow(clippy::needless_range_loop)]

use super::super::super::{Cpu, In, Real, sum_parts};
use super::cell::{self, Aligned, COLUMNS, Cell, HALO_ROWS, Halo, PITCH, ROWS, load, store};
use super::winograd::{A, B, POINTS, TILES, columns, stride, transform_input};
use crate::tensor::Shape;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;
use std::ops::Range;

/// Parts over which the sum is taken; fixed, so that it does not depend on the number of threads.
const PARTS: usize = 16;
/// Most channels of a task's sides: its sums are then 864 KiB.
const NARROW: usize = 64;
const WIDE: usize = 96;
/// Most channels in a register, which are transposed together.
const LANES: usize = 16;
/// Channels of the narrow side that are multiplied together.
const BLOCK: usize = 8;

/// How the work is cut: each part of the cells and each block of either side's channels is a task.
#[derive(Clone, Copy)]
struct Cut {
    c_in: usize,
    c_out: usize,
    cells: usize,
    /// Cells of a part.
    each: usize,
    parts: usize,
}

/// Channels 0..c in blocks of even size, `most` at most.
fn blocks(c: usize, most: usize) -> impl Iterator<Item = Range<usize>> + Clone {
    let count = c.div_ceil(most);
    (0..count).map(move |block| block * c / count..(block + 1) * c / count)
}

/// Where a channel is.
#[derive(Clone, Copy)]
struct Place {
    block: usize,
    /// In the block.
    channel: usize,
    /// Of the block.
    channels: usize,
}

/// The place of each channel.
fn places(blocks: impl Iterator<Item = Range<usize>>) -> Vec<Place> {
    let of = |(block, channels): (usize, Range<usize>)| {
        (0..channels.len()).map(move |channel| Place { block, channel, channels: channels.len() })
    };
    blocks.enumerate().flat_map(of).collect()
}

/// The largest of [`blocks`].
fn largest(c: usize, most: usize) -> usize {
    c.div_ceil(c.div_ceil(most))
}

/// Registers' worth of channels.
fn padded(channels: usize) -> usize {
    channels.next_multiple_of(LANES)
}

impl Cut {
    fn new(c_in: usize, dy: Shape) -> Cut {
        let cells = cell::count(dy);
        let each = cells.div_ceil(PARTS);
        Cut { c_in, c_out: dy.c, cells, each, parts: cells.div_ceil(each) }
    }

    fn wide_is_input(self) -> bool {
        self.c_in >= self.c_out
    }

    /// Blocks of the narrow and of the wide side.
    fn narrow(self) -> impl Iterator<Item = Range<usize>> + Clone {
        blocks(self.c_in.min(self.c_out), NARROW)
    }

    fn wide(self) -> impl Iterator<Item = Range<usize>> + Clone {
        blocks(self.c_in.max(self.c_out), WIDE)
    }

    /// The largest blocks, padded.
    fn widths(self) -> [usize; 2] {
        let (narrow, wide) = (self.c_in.min(self.c_out), self.c_in.max(self.c_out));
        [padded(largest(narrow, NARROW)), padded(largest(wide, WIDE))]
    }

    /// Elements of a task's result: (tap, narrow, wide), then db.
    fn result(self) -> usize {
        let [narrow, wide] = self.widths();
        9 * narrow * wide + wide
    }

    /// Elements of a thread's buffers: the sums, the two sides transformed, and a group of the wide side's channels before
    /// it is transposed.
    fn buffers(self) -> [usize; 4] {
        let [narrow, wide] = self.widths();
        [POINTS * narrow * wide, POINTS * stride(narrow), POINTS * stride(wide), POINTS * stride(LANES)]
    }

    fn tasks(self) -> usize {
        self.narrow().count() * self.wide().count() * self.parts
    }
}

/// Working memory of [`weight_gradient`]: (per thread, shared).
pub(super) fn workspace(c_in: usize, dy: Shape) -> (usize, usize) {
    let cut = Cut::new(c_in, dy);
    (cut.buffers().iter().sum(), cut.tasks() * cut.result())
}

/// G^T u
#[inline(always)]
fn weight_gradient_1d<S: Simd>(s: S, u: [S::f32s; 6]) -> [S::f32s; 3] {
    let k = |v| s.splat_f32s(v);
    let (a, b) = (-2.0 / 3.0, 1.0 / 6.0);
    let (a_even, a_odd) = (s.add_f32s(u[1], u[2]), s.sub_f32s(u[1], u[2]));
    let (b_even, b_odd) = (s.add_f32s(u[3], u[4]), s.sub_f32s(u[3], u[4]));
    [
        s.mul_add_e_f32s(a_even, k(a), s.mul_add_e_f32s(b_even, k(b), u[0])),
        s.mul_add_e_f32s(a_odd, k(a * A), s.mul_f32s(b_odd, k(b * B))),
        s.mul_add_e_f32s(a_even, k(a * 0.5), s.mul_add_e_f32s(b_even, k(b * 2.0), u[5])),
    ]
}

/// A dy
#[inline(always)]
fn output_gradient_1d<S: Simd>(s: S, d: [S::f32s; 4]) -> [S::f32s; 6] {
    let a_even = s.mul_add_e_f32s(d[2], s.splat_f32s(0.5), d[0]);
    let a_odd = s.mul_f32s(s.splat_f32s(A), s.mul_add_e_f32s(d[3], s.splat_f32s(0.5), d[1]));
    let b_even = s.mul_add_e_f32s(d[2], s.splat_f32s(2.0), d[0]);
    let b_odd = s.mul_f32s(s.splat_f32s(B), s.mul_add_e_f32s(d[3], s.splat_f32s(2.0), d[1]));
    [
        d[0],
        s.add_f32s(a_even, a_odd),
        s.sub_f32s(a_even, a_odd),
        s.add_f32s(b_even, b_odd),
        s.sub_f32s(b_even, b_odd),
        d[3],
    ]
}

/// to[point, tile] = A dy A^T of one channel; `stride` from point to point.
#[inline(always)]
fn transform_output_gradient<S: Simd>(s: S, dy: &Halo, to: &mut [f32], stride: usize) {
    for half in 0..2 {
        for first in (0..TILES / 2).step_by(S::F32_LANES) {
            let (row, at) = (1 + 4 * half, 1 + 4 * first);
            let rows = [
                output_gradient_1d(s, columns(s, &dy[row][at..])),
                output_gradient_1d(s, columns(s, &dy[row + 1][at..])),
                output_gradient_1d(s, columns(s, &dy[row + 2][at..])),
                output_gradient_1d(s, columns(s, &dy[row + 3][at..])),
            ];
            for column in 0..6 {
                let [r0, r1, r2, r3] = rows;
                let t = output_gradient_1d(s, [r0[column], r1[column], r2[column], r3[column]]);
                for row in 0..6 {
                    store::<S, 1>(&mut to[(row * 6 + column) * stride + half * TILES / 2 + first..], [t[row]]);
                }
            }
        }
    }
}

/// to[point, tile, channel] = from[point, channel, tile] of a group of channels, of `width` in all.
#[inline(always)]
fn transpose_group<S: Simd>(s: S, from: &[f32], to: &mut [f32], width: usize) {
    let lanes = S::F32_LANES;
    // What a register's interleaving with three others makes of its lanes: the tile at each quad.
    let numbers: [f32; LANES] = std::array::from_fn(|i| i as f32);
    let mut tiles = [0.0; 4 * LANES];
    store::<S, 4>(&mut tiles, s.interleave_shfl_f32s([load::<S, 1>(&numbers)[0]; 4]));
    let mut quads = Aligned([[[0.0f32; 4]; LANES]; LANES / 4]);
    for point in 0..POINTS {
        for first in (0..TILES).step_by(lanes) {
            for (four, quads) in quads.0.iter_mut().enumerate() {
                let mut v = [s.splat_f32s(0.0); 4];
                for k in 0..4 {
                    [v[k]] = load::<S, 1>(&from[point * stride(LANES) + (4 * four + k) * TILES + first..]);
                }
                store::<S, 4>(quads.as_flattened_mut(), s.interleave_shfl_f32s(v));
            }
            for quad in 0..lanes {
                let tile = first + tiles[4 * quad] as usize;
                let to = &mut to[point * stride(width) + tile * width..][..LANES];
                for (four, to) in to.as_chunks_mut::<4>().0.iter_mut().enumerate() {
                    *to = quads.0[four][quad];
                }
            }
        }
    }
}

/// sums[r, wide] (+)= sum over tiles of narrow[r, tile] wide[tile], R x N registers.
#[inline(always)]
fn multiply<S: Simd, const R: usize, const N: usize>(
    s: S,
    narrow: &[f32],
    (wide, width): (&[f32], usize),
    sums: &mut [f32],
    add: bool,
) {
    let narrow: &[[f32; TILES]; R] = narrow.as_chunks().0.first_chunk().expect("R channels");
    let mut sum = [[s.splat_f32s(0.0); N]; R];
    if add {
        for r in 0..R {
            sum[r] = load::<S, N>(&sums[r * width..]);
        }
    }
    for tile in 0..TILES {
        let x = load::<S, N>(&wide[tile * width..]);
        for r in 0..R {
            for n in 0..N {
                sum[r][n] = s.mul_add_e_f32s(s.splat_f32s(narrow[r][tile]), x[n], sum[r][n]);
            }
        }
    }
    for r in 0..R {
        store::<S, N>(&mut sums[r * width..], sum[r]);
    }
}

/// One part of the sum, for one block of each side's channels.
struct Task<'a> {
    cut: Cut,
    dy: In<'a, f32>,
    maps: &'a [In<'a, f32>],
    cells: Range<usize>,
    narrow: Range<usize>,
    wide: Range<usize>,
    scratch: &'a mut [f32],
    /// dw (tap, narrow, wide), padded, then db.
    result: &'a mut [f32],
}

impl WithSimd for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        let Task { cut, dy, maps, cells, narrow, wide, scratch, result } = self;
        let map = dy.shape;
        let lanes = S::F32_LANES;
        let wide_width = padded(wide.len());
        let (narrow_stride, wide_stride) = (stride(narrow.len()), stride(wide_width));
        let [sums_len, narrow_len, wide_len, _] = cut.buffers();
        let (sums, rest) = scratch.split_at_mut(sums_len);
        let (narrow_points, rest) = rest.split_at_mut(narrow_len);
        let (wide_points, group) = rest.split_at_mut(wide_len);
        let (dw, db) = result.split_at_mut(cut.result() - cut.widths()[1]);
        db.fill(0.0);
        let mut halo = Aligned([[0.0; PITCH]; HALO_ROWS]);
        let dy = std::slice::from_ref(&dy);
        for (i, k) in cells.enumerate() {
            let at = Cell::new(k, map);
            for (is_wide, range) in [(false, &narrow), (true, &wide)] {
                let is_input = is_wide == cut.wide_is_input();
                let side = cell::channels(if is_input { maps } else { dy }, at.n);
                for (n, channel) in side.skip(range.start).take(range.len()).enumerate() {
                    at.fetch(channel, map, &mut halo.0);
                    let (to, stride) = if is_wide {
                        (&mut group[n % LANES * TILES..], stride(LANES))
                    } else {
                        (&mut narrow_points[n * TILES..], narrow_stride)
                    };
                    if is_input {
                        transform_input(s, &halo.0, to, stride);
                    } else {
                        transform_output_gradient(s, &halo.0, to, stride);
                        db[n] += sum(s, &halo.0);
                    }
                    if is_wide && (n % LANES == LANES - 1 || n == range.len() - 1) {
                        // Behind the last channel are others' values, whose products nobody reads.
                        transpose_group(s, group, &mut wide_points[n / LANES * LANES..], wide_width);
                    }
                }
            }
            for point in 0..POINTS {
                let narrow_points = &narrow_points[point * narrow_stride..];
                let wide_points = &wide_points[point * wide_stride..];
                let sums = &mut sums[point * narrow.len() * wide_width..][..narrow.len() * wide_width];
                for block in blocks(narrow.len(), BLOCK) {
                    multiply_block(
                        s,
                        block.len(),
                        &narrow_points[block.start * TILES..],
                        (wide_points, wide_width),
                        &mut sums[block.start * wide_width..],
                        i > 0,
                    );
                }
            }
        }
        let zero = s.splat_f32s(0.0);
        for n in 0..narrow.len() {
            for first in (0..wide_width).step_by(lanes) {
                let mut rows = [[zero; 6]; 3];
                for column in 0..6 {
                    let mut u = [zero; 6];
                    for row in 0..6 {
                        [u[row]] = load::<S, 1>(&sums[((row * 6 + column) * narrow.len() + n) * wide_width + first..]);
                    }
                    let t = weight_gradient_1d(s, u);
                    for r in 0..3 {
                        rows[r][column] = t[r];
                    }
                }
                for row in 0..3 {
                    let t = weight_gradient_1d(s, rows[row]);
                    for column in 0..3 {
                        let at = ((row * 3 + column) * narrow.len() + n) * wide_width + first;
                        store::<S, 1>(&mut dw[at..], [t[column]]);
                    }
                }
            }
        }
    }
}

/// The sum of a cell's pixels in one channel.
#[inline(always)]
fn sum<S: Simd>(s: S, halo: &Halo) -> f32 {
    let mut total = s.splat_f32s(0.0);
    for row in &halo[1..=ROWS] {
        for first in (0..COLUMNS).step_by(S::F32_LANES) {
            total = s.add_f32s(total, load::<S, 1>(&row[1 + first..])[0]);
        }
    }
    s.reduce_sum_f32s(total)
}

/// [`multiply`] for a block of 1 to 8 channels of the narrow side.
#[inline(always)]
fn multiply_block<S: Simd>(
    s: S,
    count: usize,
    narrow: &[f32],
    (wide, width): (&[f32], usize),
    sums: &mut [f32],
    add: bool,
) {
    // Two registers of channels at a time, where there are registers for 16 sums.
    let together = if cell::has_many_registers::<S>() { 2 } else { 1 };
    let mut first = 0;
    while first < width {
        let two = together == 2 && first + 2 * S::F32_LANES <= width;
        macro_rules! counts {
            ($($r:literal)*) => {
                match count {
                    $($r if two => multiply::<S, $r, 2>(s, narrow, (&wide[first..], width), &mut sums[first..], add),
                    $r => multiply::<S, $r, 1>(s, narrow, (&wide[first..], width), &mut sums[first..], add),)*
                    _ => unreachable!("a block has 1 to {BLOCK} channels"),
                }
            };
        }
        counts!(1 2 3 4 5 6 7 8);
        first += if two { 2 } else { 1 } * S::F32_LANES;
    }
}

/// dw[o, i, tap] = sum of dy[o, p] x[i, p + tap]; db[o] = sum of dy[o, p].
pub(super) fn weight_gradient<T: Real>(
    dy: In<f32>,
    maps: &[In<f32>],
    dw: &mut [f32],
    db: &mut [f32],
    cpu: &Cpu<T>,
    arch: Arch,
) {
    let cut = Cut::new(maps.iter().map(|m| m.shape.c).sum(), dy.shape);
    let mut shared = cpu.shared.lock().expect("no thread panicked with the buffer");
    let results = &mut super::as_f32_mut(&mut shared).expect("f32 alone comes here")[..cut.tasks() * cut.result()];
    let scratch_len = cut.buffers().iter().sum();
    let wide_blocks = cut.wide().count();
    results.par_chunks_exact_mut(cut.result()).enumerate().for_each(|(task, result)| {
        let (block, part) = (task / cut.parts, task % cut.parts);
        let narrow = cut.narrow().nth(block / wide_blocks).expect("a task has its block");
        let wide = cut.wide().nth(block % wide_blocks).expect("a task has its block");
        let cells = part * cut.each..((part + 1) * cut.each).min(cut.cells);
        cpu.with_scratch(scratch_len, |scratch| {
            let scratch = super::as_f32_mut(scratch).expect("f32 alone comes here");
            arch.dispatch(Task { cut, dy, maps, cells, narrow, wide, scratch, result });
        });
    });
    results.chunks_exact_mut(cut.parts * cut.result()).for_each(|parts| sum_parts(parts, cut.result()));
    let results = &*results;
    let (narrow, wide) = (places(cut.narrow()), places(cut.wide()));
    // Of the part that has the sum.
    let begin = |narrow: usize, wide: usize| (narrow * wide_blocks + wide) * cut.parts * cut.result();
    dw.par_chunks_exact_mut(9 * cut.c_in).zip(db).enumerate().for_each(|(o, (dw, db))| {
        for (i, dw) in dw.chunks_exact_mut(9).enumerate() {
            let (n, w) = if cut.wide_is_input() { (narrow[o], wide[i]) } else { (narrow[i], wide[o]) };
            let row = padded(w.channels);
            let at = begin(n.block, w.block) + n.channel * row + w.channel;
            for (tap, dw) in dw.iter_mut().enumerate() {
                *dw = results[at + tap * n.channels * row];
            }
        }
        // db is in each result of dy's block.
        let (begin, channel) = if cut.wide_is_input() {
            (begin(narrow[o].block, 0), narrow[o].channel)
        } else {
            (begin(0, wide[o].block), wide[o].channel)
        };
        *db = results[begin + cut.result() - cut.widths()[1] + channel];
    });
}
