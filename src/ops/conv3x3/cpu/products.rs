//! The convolution by matrix products (crate `gemm`) over bands of pixels that fit a core's cache.
//!
//! A 3x3 convolution needs each pixel nine times. Either the *inputs* are laid out nine times (im2col) before one
//! product, or one product gives nine partial *outputs* that are added up shifted (col2im). The side with fewer
//! channels is the one to multiply by nine.

use super::super::super::{Cpu, In, Out, Real, Workspace, product, product_at, sum, sum_parts};
use crate::tensor::Shape;
use rayon::prelude::*;

/// Elements of a band's nine-fold matrix: 384 KiB in f32, under half of a core's level-2 cache.
const BAND: usize = 96 * 1024;
/// Parts over which a weight gradient is summed; fixed, so that the sum does not depend on the number of threads.
const PARTS: usize = 16;

/// Pixels of a band with `rows` rows of the nine-fold matrix.
fn band(rows: usize, shape: Shape) -> usize {
    (BAND / rows).max(64).next_multiple_of(16).min(shape.plane())
}

/// As [`band`], but at least four times the halo of one row above and below, which is computed twice.
fn band_with_halo(rows: usize, shape: Shape) -> usize {
    band(rows, shape).max(4 * (2 * shape.w + 2)).min(shape.plane())
}

/// Tells whether the nine-fold side is the outputs'.
fn scatters(c_in: usize, c_out: usize) -> bool {
    c_out < c_in
}

/// Working memory of [`convolve`], per thread.
pub(super) fn convolve_workspace(c_in: usize, y: Shape) -> usize {
    if scatters(c_in, y.c) {
        9 * y.c * (band_with_halo(9 * y.c, y) + 2 * y.w + 2)
    } else {
        9 * c_in * band(9 * c_in, y)
    }
}

/// A pointer that tasks share to write disjoint parts.
#[derive(Clone, Copy)]
struct Shared<T>(*mut T);
// SAFETY: every task writes a band of pixels that no other task touches (see the uses).
unsafe impl<T> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Shared<T> {}

impl<T> Shared<T> {
    /// # Safety
    /// `offset` must be inside the allocation that the pointer was made from.
    unsafe fn at(&self, offset: usize) -> *mut T {
        // SAFETY: the caller's promise.
        unsafe { self.0.add(offset) }
    }
}

/// The weight of the transposed convolution: (count, c_out, taps flipped) of input channels `first..first + count`.
pub(in super::super) fn transpose<T: Real>(w: &[T], c_out: usize, c_in: usize, first: usize, count: usize) -> Vec<T> {
    let mut t = Vec::with_capacity(count * c_out * 9);
    for i in first..first + count {
        for o in 0..c_out {
            t.extend(w[(o * c_in + i) * 9..][..9].iter().rev());
        }
    }
    t
}

/// y = act(conv(concat of maps, w) + bias).
pub(super) fn convolve<T: Real>(
    maps: &[In<T>],
    w: &[T],
    bias: Option<&[T]>,
    slope: Option<T>,
    y: &mut Out<T>,
    cpu: &Cpu<T>,
) {
    let c_in: usize = maps.iter().map(|m| m.shape.c).sum();
    let (c_out, plane) = (y.shape.c, y.shape.plane());
    let gathers = !scatters(c_in, c_out);
    // The left side of col2im's product: row (tap, o), column i.
    let mut by_tap = Vec::new();
    if !gathers {
        let rows = (0..9).flat_map(|tap| (0..c_out).map(move |o| (tap, o)));
        by_tap.extend(rows.flat_map(|(tap, o)| (0..c_in).map(move |i| w[(o * c_in + i) * 9 + tap])));
    }
    let pixels = if gathers { band(9 * c_in, y.shape) } else { band_with_halo(9 * c_out, y.shape) };
    let bands = plane.div_ceil(pixels);
    let shape = y.shape;
    let out = Shared(y.data.as_mut_ptr());
    (0..shape.n * bands).into_par_iter().for_each(|task| {
        let (n, from) = (task / bands, task % bands * pixels);
        let len = pixels.min(plane - from);
        // SAFETY: y has `shape.n` images of `c_out` planes, and pixel `from` is one of a plane's.
        let target = |o: usize| unsafe { out.at((n * c_out + o) * plane + from) };
        if gathers {
            cpu.with_scratch(9 * c_in * len, |columns| {
                im2col(maps, n, from, len, columns);
                let size = (c_out, len, 9 * c_in);
                // SAFETY: this task alone has pixels from..from + len of image n, in planes one after the other.
                unsafe { product_at(size, target(0), plane, T::zero(), w, (9 * c_in, 1), columns, (len, 1)) };
            });
        } else {
            let (start, end) = (from.saturating_sub(shape.w + 1), (from + len + shape.w + 1).min(plane));
            let span = end - start;
            cpu.with_scratch(9 * c_out * span, |partial| {
                let mut first = 0;
                for map in maps {
                    let c = map.shape.c;
                    let beta = if first == 0 { T::zero() } else { T::one() };
                    let (a, b) = (&by_tap[first..], &map.image(n)[start..]);
                    product((9 * c_out, span, c), partial, span, beta, a, (c_in, 1), b, (plane, 1));
                    first += c;
                }
                for o in 0..c_out {
                    // SAFETY: this task alone has pixels from..from + len of image n.
                    let y = unsafe { std::slice::from_raw_parts_mut(target(o), len) };
                    col2im(partial, (c_out, o), span, shape.w, start, from, y);
                }
            });
        }
        for o in 0..c_out {
            // SAFETY: as above.
            let y = unsafe { std::slice::from_raw_parts_mut(target(o), len) };
            let b = bias.map_or(T::zero(), |b| b[o]);
            match slope {
                Some(slope) => y.iter_mut().for_each(|v| {
                    let pre = *v + b;
                    *v = if pre >= T::zero() { pre } else { slope * pre };
                }),
                None if bias.is_some() => y.iter_mut().for_each(|v| *v += b),
                None => {}
            }
        }
    });
}

/// columns[(i * 9 + tap), p] = x[i, p + tap], zero outside the image; p runs over `from..from + len`.
fn im2col<T: Real>(maps: &[In<T>], n: usize, from: usize, len: usize, columns: &mut [T]) {
    let Shape { h, w, .. } = maps[0].shape;
    let channels = maps.iter().flat_map(|m| m.image(n).chunks_exact(h * w));
    for (channel, columns) in channels.zip(columns.chunks_exact_mut(9 * len)) {
        for (tap, out) in columns.chunks_exact_mut(len).enumerate() {
            shift(channel, w, tap, from, out);
        }
    }
}

/// Distance of a tap in a plane: row ky - 1, column kx - 1.
fn distance(tap: usize, w: usize) -> isize {
    (tap / 3 * w + tap % 3) as isize - w as isize - 1
}

/// The part of `0..len` where `from + i + distance` is in `bounds`.
fn inside(from: usize, len: usize, distance: isize, bounds: std::ops::Range<usize>) -> std::ops::Range<usize> {
    let at = from as isize + distance;
    let clamp = |bound: usize| (bound as isize - at).clamp(0, len as isize) as usize;
    clamp(bounds.start)..clamp(bounds.end)
}

/// The indices of a column's elements in the pixels `from..from + len`.
fn column(x: usize, w: usize, from: usize, len: usize) -> impl Iterator<Item = usize> {
    ((x + w - from % w) % w..len).step_by(w)
}

/// out[p] = channel[p + tap], zero outside: one copy, in which a row's end runs on into the next row's start, and then
/// the column that this spoils.
fn shift<T: Real>(channel: &[T], w: usize, tap: usize, from: usize, out: &mut [T]) {
    let (len, distance) = (out.len(), distance(tap, w));
    let valid = inside(from, len, distance, 0..channel.len());
    out[..valid.start].fill(T::zero());
    out[valid.end..].fill(T::zero());
    if !valid.is_empty() {
        let source = (from + valid.start).strict_add_signed(distance);
        out[valid.clone()].copy_from_slice(&channel[source..source + valid.len()]);
    }
    match tap % 3 {
        0 => column(0, w, from, len).for_each(|i| out[i] = T::zero()),
        2 => column(w - 1, w, from, len).for_each(|i| out[i] = T::zero()),
        _ => {}
    }
}

/// y[p] = sum over taps of partial[tap, o, p + tap], where that is inside the image; `partial` has the pixels
/// `start..start + span`, `y` those from `from` on.
fn col2im<T: Real>(
    partial: &mut [T],
    (c_out, o): (usize, usize),
    span: usize,
    w: usize,
    start: usize,
    from: usize,
    y: &mut [T],
) {
    y.fill(T::zero());
    for tap in 0..9 {
        let plane = &mut partial[(tap * c_out + o) * span..][..span];
        // No pixel has these to its left or right: zero, so that a row may run on into the next.
        match tap % 3 {
            0 => column(w - 1, w, start, span).for_each(|i| plane[i] = T::zero()),
            2 => column(0, w, start, span).for_each(|i| plane[i] = T::zero()),
            _ => {}
        }
        let distance = distance(tap, w);
        let valid = inside(from, y.len(), distance, start..start + span);
        if !valid.is_empty() {
            let source = (from + valid.start).strict_add_signed(distance) - start;
            for (y, v) in y[valid].iter_mut().zip(&plane[source..]) {
                *y += *v;
            }
        }
    }
}

/// Channels of the two sides of a weight gradient: (those laid out nine times, the others).
fn weight_sides(c_out: usize, c_in: usize) -> (usize, usize) {
    if scatters(c_in, c_out) { (c_out, c_in) } else { (c_in, c_out) }
}

/// Working memory of [`weight_gradient`].
pub(super) fn weight_workspace(dy: Shape, maps: &[Shape]) -> Workspace {
    let c_in: usize = maps.iter().map(|m| m.c).sum();
    let (nine, _) = weight_sides(dy.c, c_in);
    let parts = weight_parts(9 * nine, dy).0;
    Workspace { per_thread: 9 * nine * band(9 * nine, dy), shared: parts * (9 * c_in + 1) * dy.c }
}

/// Number of parts, and bands of each.
fn weight_parts(rows: usize, dy: Shape) -> (usize, usize) {
    let bands = dy.n * dy.plane().div_ceil(band(rows, dy));
    let each = bands.div_ceil(PARTS);
    (bands.div_ceil(each), each)
}

/// dw[o, i, tap] = sum of dy[o, p] x[i, p + tap] = sum of dy[o, p - tap] x[i, p]; db[o] = sum of dy[o, p].
pub(super) fn weight_gradient<T: Real>(dy: In<T>, maps: &[In<T>], dw: &mut [T], db: &mut [T], cpu: &Cpu<T>) {
    let c_in: usize = maps.iter().map(|m| m.shape.c).sum();
    let (c_out, plane) = (dy.shape.c, dy.shape.plane());
    let (nine, _) = weight_sides(c_out, c_in);
    let nine_is_output = scatters(c_in, c_out);
    let pixels = band(9 * nine, dy.shape);
    let (bands, (parts, each)) = (plane.div_ceil(pixels), weight_parts(9 * nine, dy.shape));
    let size = 9 * c_in * c_out;
    let mut shared = cpu.shared.lock().expect("no thread panicked with the buffer");
    let partial = &mut shared[..parts * (size + c_out)];
    partial.par_chunks_mut(size + c_out).enumerate().for_each(|(part, partial)| {
        let (pw, pb) = partial.split_at_mut(size);
        pb.fill(T::zero());
        for (i, task) in (part * each..((part + 1) * each).min(dy.shape.n * bands)).enumerate() {
            let (n, from) = (task / bands, task % bands * pixels);
            let len = pixels.min(plane - from);
            let beta = if i == 0 { T::zero() } else { T::one() };
            for (o, pb) in pb.iter_mut().enumerate() {
                *pb += sum(&dy.image(n)[o * plane + from..][..len]);
            }
            cpu.with_scratch(9 * nine * len, |columns| {
                if nine_is_output {
                    // (o, tap) x i; reversed taps, since tap runs the other way on this side.
                    im2col(&[dy], n, from, len, columns);
                    let mut first = 0;
                    for map in maps {
                        let (c, x) = (map.shape.c, &map.image(n)[from..]);
                        product((9 * c_out, c, len), &mut pw[first..], c_in, beta, columns, (len, 1), x, (1, plane));
                        first += c;
                    }
                } else {
                    im2col(maps, n, from, len, columns);
                    let dy = &dy.image(n)[from..];
                    product((c_out, 9 * c_in, len), pw, 9 * c_in, beta, dy, (plane, 1), columns, (1, len));
                }
            });
        }
    });
    sum_parts(partial, size + c_out);
    for (k, dw) in dw.iter_mut().enumerate() {
        let (o, i, tap) = (k / 9 / c_in, k / 9 % c_in, k % 9);
        *dw = partial[if nine_is_output { (o * 9 + 8 - tap) * c_in + i } else { k }];
    }
    db.copy_from_slice(&partial[size..][..c_out]);
}
