//! Scalar fields on square pictures, row by row.

use crate::rng::Rng;

/// Smooth noise: a random lattice of spacing `period` pixels under cubic B-splines. Mean about 0, most values in -1..1.
pub(super) fn smooth_noise(rng: &mut Rng, size: usize, period: f32) -> Vec<f32> {
    let cells = (size as f32 / period) as usize + 1;
    let lattice_size = cells + 3;
    // The splines average: a lattice of deviation 1.6 gives a field of about 0.6.
    let lattice: Vec<f32> = (0..lattice_size * lattice_size).map(|_| 5.6 * (rng.unit() - 0.5)).collect();
    let phase = [rng.unit(), rng.unit()];
    let at = |i: usize, phase: f32| {
        let t = ((i as f32 / period) + phase).min(cells as f32 - 1e-3);
        (t as usize, spline(t.fract()))
    };
    // Along the lattice's rows first: there are few of them.
    let across: Vec<_> = (0..size).map(|x| at(x, phase[0])).collect();
    let mut rows = vec![0.0; lattice_size * size];
    for (row, knots) in rows.chunks_exact_mut(size).zip(lattice.chunks_exact(lattice_size)) {
        for (out, (i, weights)) in row.iter_mut().zip(&across) {
            *out = (0..4).map(|k| weights[k] * knots[i + k]).sum();
        }
    }
    let mut field = vec![0.0; size * size];
    for (y, out) in field.chunks_exact_mut(size).enumerate() {
        let (i, weights) = at(y, phase[1]);
        let knots: [&[f32]; 4] = [0, 1, 2, 3].map(|k| &rows[(i + k) * size..(i + k + 1) * size]);
        for x in 0..size {
            out[x] = weights[0] * knots[0][x]
                + weights[1] * knots[1][x]
                + weights[2] * knots[2][x]
                + weights[3] * knots[3][x];
        }
    }
    field
}

/// The four weights of a uniform cubic B-spline.
fn spline(t: f32) -> [f32; 4] {
    let (t2, t3) = (t * t, t * t * t);
    [(1.0 - t).powi(3) / 6.0, (3.0 * t3 - 6.0 * t2 + 4.0) / 6.0, (-3.0 * t3 + 3.0 * t2 + 3.0 * t + 1.0) / 6.0, t3 / 6.0]
}

/// Means over boxes of `2 radius + 1` pixels, cut at the borders; a running sum, so that the radius costs nothing.
pub(super) fn box_blur(field: &mut [f32], size: usize, radius: usize) {
    let radius = radius.min(size - 1);
    let counts: Vec<f32> =
        (0..size).map(|i| 1.0 / ((i + radius).min(size - 1) + 1 - i.saturating_sub(radius)) as f32).collect();
    let mut line = vec![0.0; size];
    for row in field.chunks_exact_mut(size) {
        line.copy_from_slice(row);
        let mut sum: f32 = line[..radius].iter().sum();
        for x in 0..size {
            sum += if x + radius < size { line[x + radius] } else { 0.0 };
            sum -= if x > radius { line[x - radius - 1] } else { 0.0 };
            row[x] = sum * counts[x];
        }
    }
    // Down the columns: a running sum of whole rows.
    let old = field.to_vec();
    let row = |y: usize| &old[y * size..(y + 1) * size];
    let sums = &mut line;
    sums.fill(0.0);
    (0..radius).for_each(|y| sums.iter_mut().zip(row(y)).for_each(|(s, v)| *s += v));
    for y in 0..size {
        if y + radius < size {
            sums.iter_mut().zip(row(y + radius)).for_each(|(s, v)| *s += v);
        }
        if y > radius {
            sums.iter_mut().zip(row(y - radius - 1)).for_each(|(s, v)| *s -= v);
        }
        field[y * size..(y + 1) * size].iter_mut().zip(&*sums).for_each(|(v, s)| *v = s * counts[y]);
    }
}

/// 0 below `-half`, 1 above `half`, smooth between.
pub(super) fn step(x: f32, half: f32) -> f32 {
    let t = (0.5 + 0.5 * x / half).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// The whole number nearest to `x`, for |x| below 2^22; as an instruction or two on any machine, unlike `f32::round`.
pub(super) fn nearest(x: f32) -> f32 {
    const MAGIC: f32 = 12_582_912.0; // 1.5 * 2^23: beyond it an f32 has no fraction
    (x + MAGIC) - MAGIC
}

/// cos(2 pi t) to 0.001.
pub(super) fn wave(t: f32) -> f32 {
    // A parabola for each half wave, and one step towards the sine (Nick 2006).
    let t = t + 0.25;
    let t = 2.0 * (t - nearest(t));
    let p = 4.0 * t * (1.0 - t.abs());
    p * (0.775 + 0.225 * p.abs())
}
