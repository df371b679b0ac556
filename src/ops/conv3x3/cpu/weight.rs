//! The f32 gradient of the weights, by the transpose of Winograd's method:
//! dw = G^T [sum over tiles of (A dy A^T) * (B^T x B)] G, 36 products where 4x4 pixels of dy take 144.
//!
//! The sum over tiles is a matrix product for each of the 36 points. Its lanes are channels, those of the side that has
//! more of them; the other side's values are broadcast.

// Not iterators: their closures may not be inlined, and then they lack the instructions of the registers they are given
// (measured: up to five times the time).
#![allow(clippy::needless_range_loop)]

use super::super::super::{Cpu, In, Real, sum_parts};
use super::cell::{self, Aligned, COLUMNS, Cell, HALO_COLUMNS, HALO_ROWS, Halo, PITCH, ROWS, load, store};
use super::winograd::{A, B, POINTS, TILES, input_1d};
use crate::tensor::Shape;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;
use std::ops::Range;

/// Parts over which the sum is taken; fixed, so that it does not depend on the number of threads.
const PARTS: usize = 16;
/// Most channels of a task's sides: its sums are then 864 KiB.
const NARROW: usize = 64;
const WIDE: usize = 96;
/// Most channels in a register.
const LANES: usize = 16;
/// Channels of the narrow side that are multiplied together.
const BLOCK: usize = 8;
/// A channel group's pixels with their halo.
const PIXELS: usize = HALO_ROWS * HALO_COLUMNS * LANES;

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

/// The block of channel `c`.
fn find(mut blocks: impl Iterator<Item = Range<usize>>, c: usize) -> (usize, Range<usize>) {
    (0..).zip(&mut blocks).find(|(_, range)| range.contains(&c)).expect("a channel is in a block")
}

/// The largest of [`blocks`].
fn largest(c: usize, most: usize) -> usize {
    c.div_ceil(c.div_ceil(most))
}

/// Registers' worth of channels.
fn padded(channels: usize) -> usize {
    channels.next_multiple_of(LANES)
}

/// From one point to the next of a transformed side, of `width` channels a tile; no power of two, whose lines would
/// share one set of the cache.
fn stride(width: usize) -> usize {
    TILES * width + 16
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

    /// Elements of a thread's buffers: the sums, the two sides transformed, and one group's pixels in two orders.
    fn buffers(self) -> [usize; 5] {
        let [narrow, wide] = self.widths();
        [POINTS * narrow * wide, POINTS * stride(narrow), POINTS * stride(wide), PIXELS, PIXELS]
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

/// Puts the pixels of as many channels as a register has lanes side by side: to[row, column, lane], from the halos'
/// `shift`-th row and column on.
#[inline(always)]
fn gather<'a, S: Simd>(
    s: S,
    channels: impl Iterator<Item = &'a [f32]>,
    (map, at): (Shape, Cell),
    (rows, columns, shift): (usize, usize, usize),
    quads: &mut [f32],
    to: &mut [f32],
) {
    let lanes = S::F32_LANES;
    let pitch = columns * lanes;
    // The lane to which the deinterleaving takes each quad of pixels.
    let numbers: [f32; 4 * LANES] = std::array::from_fn(|i| (i / 4) as f32);
    let mut quad_of = [0.0; LANES];
    store::<S, 1>(&mut quad_of, [s.deinterleave_shfl_f32s(load::<S, 4>(&numbers))[0]]);
    let mut halo: Aligned<Halo> = Aligned([[0.0; PITCH]; HALO_ROWS]);
    let mut filled = 0;
    for (channel, quad) in channels.zip(quad_of) {
        at.fetch(channel, map, &mut halo.0);
        for (row, to) in halo.0[shift..].iter().zip(quads.chunks_exact_mut(pitch)).take(rows) {
            let quads = row[shift..].as_chunks::<4>().0;
            for (from, to) in quads.iter().zip(to.as_chunks_mut::<4>().0.iter_mut().skip(quad as usize).step_by(lanes))
            {
                *to = *from;
            }
        }
        filled += 1;
    }
    for quad in quad_of[..lanes].iter().skip(filled) {
        let quads = quads[..rows * pitch].as_chunks_mut::<4>().0;
        quads.iter_mut().skip(*quad as usize).step_by(lanes).for_each(|to| *to = [0.0; 4]);
    }
    for (from, to) in quads[..rows * pitch].chunks_exact(4 * lanes).zip(to.chunks_exact_mut(4 * lanes)) {
        store::<S, 4>(to, s.deinterleave_shfl_f32s(load::<S, 4>(from)));
    }
}

/// Takes a row or column of a tile to its 6 points; a trait, since closures are not compiled for the register.
trait Transform<const SIDE: usize> {
    fn one<S: Simd>(s: S, d: [S::f32s; SIDE]) -> [S::f32s; 6];
}

/// B^T x
struct Input;

impl Transform<6> for Input {
    #[inline(always)]
    fn one<S: Simd>(s: S, d: [S::f32s; 6]) -> [S::f32s; 6] {
        input_1d(s, d)
    }
}

/// A dy
struct OutputGradient;

impl Transform<4> for OutputGradient {
    #[inline(always)]
    fn one<S: Simd>(s: S, d: [S::f32s; 4]) -> [S::f32s; 6] {
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
}

/// The tiles' pixels to the 36 points: to[point, tile, channel], for one group of channels of `width`.
#[inline(always)]
fn transform<S: Simd, K: Transform<SIDE>, const SIDE: usize>(
    s: S,
    pixels: &[f32],
    columns: usize,
    (to, width): (&mut [f32], usize),
) {
    let (lanes, zero, stride) = (S::F32_LANES, s.splat_f32s(0.0), stride(width));
    for tile in 0..TILES {
        let (y, x) = (tile / (TILES / 2) * 4, tile % (TILES / 2) * 4);
        let mut rows = [[zero; SIDE]; 6];
        for column in 0..SIDE {
            let mut d = [zero; SIDE];
            for row in 0..SIDE {
                [d[row]] = load::<S, 1>(&pixels[((y + row) * columns + x + column) * lanes..]);
            }
            let t = K::one(s, d);
            for r in 0..6 {
                rows[r][column] = t[r];
            }
        }
        for row in 0..6 {
            let t = K::one(s, rows[row]);
            for column in 0..6 {
                store::<S, 1>(&mut to[(row * 6 + column) * stride + tile * width..], [t[column]]);
            }
        }
    }
}

/// sums[r, wide] (+)= sum over tiles of narrow[tile, r] wide[tile], R x N registers.
#[inline(always)]
fn multiply<S: Simd, const R: usize, const N: usize>(
    s: S,
    (narrow, narrow_width): (&[f32], usize),
    (wide, width): (&[f32], usize),
    sums: &mut [f32],
    add: bool,
) {
    let mut sum = [[s.splat_f32s(0.0); N]; R];
    if add {
        for r in 0..R {
            sum[r] = load::<S, N>(&sums[r * width..]);
        }
    }
    for tile in 0..TILES {
        let x = load::<S, N>(&wide[tile * width..]);
        let d: &[f32; R] = narrow[tile * narrow_width..].first_chunk().expect("R channels");
        for r in 0..R {
            for n in 0..N {
                sum[r][n] = s.mul_add_e_f32s(s.splat_f32s(d[r]), x[n], sum[r][n]);
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
        let lanes = S::F32_LANES;
        let [narrow_width, wide_width] = [padded(narrow.len()), padded(wide.len())];
        let [sums_len, narrow_len, wide_len, quads_len, _] = cut.buffers();
        let (sums, rest) = scratch.split_at_mut(sums_len);
        let (narrow_points, rest) = rest.split_at_mut(narrow_len);
        let (wide_points, rest) = rest.split_at_mut(wide_len);
        let (quads, pixels) = rest.split_at_mut(quads_len);
        let (dw, db) = result.split_at_mut(cut.result() - cut.widths()[1]);
        db.fill(0.0);
        for (i, k) in cells.enumerate() {
            let at = Cell::new(k, dy.shape);
            for (is_wide, range) in [(false, narrow.clone()), (true, wide.clone())] {
                let (points, width) =
                    if is_wide { (&mut *wide_points, wide_width) } else { (&mut *narrow_points, narrow_width) };
                let is_input = is_wide == cut.wide_is_input();
                for first in (0..width).step_by(lanes) {
                    let channels = range.start + first..range.end.min(range.start + first + lanes);
                    let of = |maps| cell::channels(maps, at.n).skip(channels.start).take(channels.len());
                    let to = (&mut points[first..], width);
                    if is_input {
                        gather(s, of(maps), (dy.shape, at), (HALO_ROWS, HALO_COLUMNS, 0), quads, pixels);
                        transform::<S, Input, 6>(s, pixels, HALO_COLUMNS, to);
                    } else {
                        gather(s, of(&[dy]), (dy.shape, at), (ROWS, COLUMNS, 1), quads, pixels);
                        transform::<S, OutputGradient, 4>(s, pixels, COLUMNS, to);
                        add_pixels(s, pixels, &mut db[first..]);
                    }
                }
            }
            for point in 0..POINTS {
                let narrow_points = &narrow_points[point * stride(narrow_width)..];
                let wide_points = &wide_points[point * stride(wide_width)..];
                let sums = &mut sums[point * narrow.len() * wide_width..][..narrow.len() * wide_width];
                for block in blocks(narrow.len(), BLOCK) {
                    multiply_block(
                        s,
                        block.len(),
                        (&narrow_points[block.start..], narrow_width),
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

/// db[lane] += the sum of the cell's pixels, row by row.
#[inline(always)]
fn add_pixels<S: Simd>(s: S, pixels: &[f32], db: &mut [f32]) {
    let lanes = S::F32_LANES;
    let [mut total] = load::<S, 1>(db);
    for row in pixels.chunks_exact(COLUMNS * lanes).take(ROWS) {
        let mut sum = s.splat_f32s(0.0);
        for pixel in row.chunks_exact(lanes) {
            sum = s.add_f32s(sum, load::<S, 1>(pixel)[0]);
        }
        total = s.add_f32s(total, sum);
    }
    store::<S, 1>(db, [total]);
}

/// [`multiply`] for a block of 1 to 8 channels of the narrow side.
#[inline(always)]
fn multiply_block<S: Simd>(
    s: S,
    count: usize,
    narrow: (&[f32], usize),
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
    // Of the part that has the sum.
    let total =
        |narrow: usize, wide: usize, k: usize| results[(narrow * wide_blocks + wide) * cut.parts * cut.result() + k];
    dw.par_chunks_exact_mut(9 * cut.c_in).zip(db).enumerate().for_each(|(o, (dw, db))| {
        for (i, dw) in dw.chunks_exact_mut(9).enumerate() {
            let (n, w) = if cut.wide_is_input() { (o, i) } else { (i, o) };
            let ((narrow, n_range), (wide, w_range)) = (find(cut.narrow(), n), find(cut.wide(), w));
            for (tap, dw) in dw.iter_mut().enumerate() {
                let k = (tap * n_range.len() + n - n_range.start) * padded(w_range.len()) + w - w_range.start;
                *dw = total(narrow, wide, k);
            }
        }
        // db is in each result of dy's block.
        let (narrow, wide, range) = if cut.wide_is_input() {
            let (block, range) = find(cut.narrow(), o);
            (block, 0, range)
        } else {
            let (block, range) = find(cut.wide(), o);
            (0, block, range)
        };
        *db = total(narrow, wide, cut.result() - cut.widths()[1] + o - range.start);
    });
}
