//! A picture that was smoothed at a lower resolution, back in full: its edges are those of a guide, the picture smoothed
//! in full.
//!
//! The fast guided filter (He, Sun: "Fast Guided Filter", 2015) with a guide of three channels (He, Sun, Tang: "Guided
//! Image Filtering", TPAMI 2013, eq. 14 to 16): in each window of the smaller picture the coarse result c is taken to be
//! linear in the guide g, c = A g + b, by least squares; A and b are averaged, interpolated, and applied to the guide in
//! full. Where the coarse result has an edge, it is the guide's; where it has no texture left, A is 0.

use std::ops::Range;

use crate::error::Result;
use crate::ops::guided::{PAIRS, SYMMETRIC, cofactors};
use crate::tensor::{Shape, Tensor};

/// Pixels of the smaller picture from a window's centre to its side.
const RADIUS: usize = 2;
/// Variance of the guide, in [0, 1], below which it counts as flat.
const FLAT: f32 = 1e-4;
/// Rows of the smaller picture that are upsampled at a time, so that little memory is taken.
const BAND: usize = 64;

/// The mean colours of (1, 3, H, W) on a grid of `h` x `w` cells, H and W at most; pixels that lie in two cells are shared.
pub(crate) fn shrink(x: &Tensor, h: usize, w: usize) -> Tensor {
    let (rows, columns) = (cells(x.shape.h, h), cells(x.shape.w, w));
    let shape = Shape { h, w, ..x.shape };
    let mut data = Vec::with_capacity(shape.len());
    let mut line = vec![0.0; x.shape.w];
    for plane in x.data.chunks_exact(x.shape.plane()) {
        for cell in &rows {
            line.fill(0.0);
            for (y, share) in cell {
                line.iter_mut().zip(&plane[y * x.shape.w..]).for_each(|(sum, v)| *sum += share * v);
            }
            data.extend(columns.iter().map(|cell| cell.iter().map(|(x, share)| share * line[*x]).sum::<f32>()));
        }
    }
    Tensor::new(shape, data)
}

/// The pixels of a side of `from` in each of `to` cells, and their shares of it.
fn cells(from: usize, to: usize) -> Vec<Vec<(usize, f32)>> {
    let side = from as f64 / to as f64;
    let cell = |i: usize| {
        let (low, high) = (i as f64 * side, (i + 1) as f64 * side);
        let pixels = low as usize..(high.ceil() as usize).min(from);
        let share = |y: usize| (high.min((y + 1) as f64) - low.max(y as f64)) / side;
        pixels.map(|y| (y, share(y) as f32)).filter(|(_, share)| *share > 0.0).collect()
    };
    (0..to).map(cell).collect()
}

/// Upsamples `coarse` (1, 3, h, w) into `guide` (1, 3, H, W), which is at least as large and has the edges; clipped to [0, 1].
/// `each` hears of every band of rows, and may end it.
pub(crate) fn upsample(coarse: &Tensor, guide: &mut Tensor, each: &mut dyn FnMut() -> Result<()>) -> Result<()> {
    let (small, full) = (coarse.shape, guide.shape);
    let shrunk = shrink(guide, small.h, small.w);
    let columns: Vec<Between> = (0..full.w).map(|x| Between::new(x, full.w, small.w)).collect();
    let places: Vec<Between> = (0..full.h).map(|y| Between::new(y, full.h, small.h)).collect();
    let mut y = 0;
    while y < full.h {
        each()?;
        let end = y + places[y..].iter().take_while(|place| place.low < places[y].low + BAND).count();
        let rows = places[y].low..places[end - 1].high + 1;
        let model = Model::fit(coarse, &shrunk, rows.clone());
        for (y, place) in (y..end).zip(&places[y..]) {
            for (x, column) in columns.iter().enumerate() {
                let at = |plane: &[f32]| {
                    let row = |row: usize| {
                        let row = &plane[(row - rows.start) * small.w..];
                        row[column.low] + column.part * (row[column.high] - row[column.low])
                    };
                    row(place.low) + place.part * (row(place.high) - row(place.low))
                };
                let i = y * full.w + x;
                let g = [0, 1, 2].map(|c| guide.data[c * full.plane() + i]);
                for c in 0..3 {
                    let v = (0..3).map(|k| at(&model.a[3 * c + k]) * g[k]).sum::<f32>() + at(&model.b[c]);
                    guide.data[c * full.plane() + i] = v.clamp(0.0, 1.0);
                }
            }
        }
        y = end;
    }
    Ok(())
}

/// Where a pixel lies between two of the smaller picture.
struct Between {
    low: usize,
    high: usize,
    part: f32,
}

impl Between {
    /// Pixel `i` of `from`, among `to`.
    fn new(i: usize, from: usize, to: usize) -> Between {
        let at = ((i as f64 + 0.5) * to as f64 / from as f64 - 0.5).clamp(0.0, (to - 1) as f64);
        let low = at as usize;
        Between { low, high: (low + 1).min(to - 1), part: (at - low as f64) as f32 }
    }
}

/// The averaged models of a few rows: planes of A, row by row, and of b.
struct Model {
    a: [Vec<f32>; 9],
    b: [Vec<f32>; 3],
}

impl Model {
    /// Of these rows of the coarse result and the shrunk guide.
    fn fit(coarse: &Tensor, guide: &Tensor, rows: Range<usize>) -> Model {
        let Shape { h, w, .. } = coarse.shape;
        let plane = h * w;
        // The windows that the averages of these rows take in.
        let around = rows.start.saturating_sub(RADIUS)..(rows.end + RADIUS).min(h);
        let g = |c: usize| &guide.data[c * plane..][..plane];
        let y = |c: usize| &coarse.data[c * plane..][..plane];
        let mean = |value: &dyn Fn(usize) -> f32| window_mean(value, around.clone(), 0..h, w);
        let [mean_g, mean_y] =
            [&guide.data, &coarse.data].map(|data| [0, 1, 2].map(|c| mean(&|i| data[c * plane + i])));
        let squares = PAIRS.map(|(j, k)| mean(&|i| g(j)[i] * g(k)[i]));
        let products: [Vec<f32>; 9] = std::array::from_fn(|n| mean(&|i| y(n / 3)[i] * g(n % 3)[i]));

        let count = around.len() * w;
        let (mut a, mut b): ([Vec<f32>; 9], [Vec<f32>; 3]) = Default::default();
        for i in 0..count {
            let m = [0, 1, 2].map(|k| mean_g[k][i]);
            let variance =
                |n: usize, (j, k): (usize, usize)| squares[n][i] - m[j] * m[k] + if j == k { FLAT } else { 0.0 };
            // All eigenvalues are FLAT or more; in f64, as cofactors cancel.
            let (inverse, determinant) = cofactors(std::array::from_fn(|n| f64::from(variance(n, PAIRS[n]))));
            let inverse = SYMMETRIC.map(|row| row.map(|at| (inverse[at] / determinant) as f32));
            for c in 0..3 {
                let with_g = [0, 1, 2].map(|k| products[3 * c + k][i] - mean_y[c][i] * m[k]);
                let row = [0, 1, 2].map(|k| (0..3).map(|j| inverse[k][j] * with_g[j]).sum::<f32>());
                b[c].push(mean_y[c][i] - (0..3).map(|k| row[k] * m[k]).sum::<f32>());
                (0..3).for_each(|k| a[3 * c + k].push(row[k]));
            }
        }
        // Their places count from the first of the windows.
        let inner = rows.start - around.start..rows.end - around.start;
        let averaged = |plane: Vec<f32>| window_mean(&|i| plane[i], inner.clone(), 0..around.len(), w);
        Model { a: a.map(averaged), b: b.map(averaged) }
    }
}

/// Means over windows around the pixels of `rows`, of a picture that has the rows `all` and is continued by its border.
fn window_mean(value: &dyn Fn(usize) -> f32, rows: Range<usize>, all: Range<usize>, w: usize) -> Vec<f32> {
    let window = |i: usize, last: usize| (0..=2 * RADIUS).map(move |d| (i + d).saturating_sub(RADIUS).min(last));
    let size = (2 * RADIUS + 1) as f32;
    let mut out = Vec::with_capacity(rows.len() * w);
    for y in rows {
        let line: Vec<f32> =
            (0..w).map(|x| window(y, all.end - 1).map(|y| value(y * w + x)).sum::<f32>() / size).collect();
        out.extend((0..w).map(|x| window(x, w - 1).map(|x| line[x]).sum::<f32>() / size));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(h: usize, w: usize, value: impl Fn(usize, usize, usize) -> f32) -> Tensor {
        let shape = Shape::new(1, 3, h, w);
        let at = |i: usize| value(i / (h * w), i / w % h, i % w);
        Tensor::new(shape, (0..shape.len()).map(at).collect())
    }

    fn worst(a: &Tensor, b: &Tensor) -> f32 {
        assert_eq!(a.shape, b.shape);
        a.data.iter().zip(&b.data).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    }

    #[test]
    fn cells_have_the_mean_of_their_pixels() {
        let x = picture(2, 3, |c, y, x| (c * 100 + y * 10 + x) as f32);
        assert_eq!(shrink(&x, 2, 3), x);
        assert_eq!(shrink(&x, 1, 1).data, [6.0, 106.0, 206.0]);
        // Three pixels in two cells: one and a half each.
        let halves = shrink(&x, 2, 2).data;
        let expected = [1.0 / 3.0, 5.0 / 3.0, 10.0 + 1.0 / 3.0, 10.0 + 5.0 / 3.0];
        assert!(halves[..4].iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5), "{halves:?}");
    }

    #[test]
    fn shrinking_keeps_the_mean_and_its_place() {
        // A ramp stays one: each pixel the mean of what it covers.
        let (from, to) = (30, 18);
        let y = shrink(&picture(from, from, |_, y, x| y as f32 + 100.0 * x as f32), to, to);
        for (i, v) in y.data.iter().enumerate() {
            let [row, column] = [i / to % to, i % to].map(|at| (at as f32 + 0.5) * from as f32 / to as f32 - 0.5);
            assert!((v - row - 100.0 * column).abs() < 0.2 * 101.0, "pixel {i}: {v}");
        }
    }

    /// A coarse result that is linear in the guide is found but for a tenth of the step, where windows beside an edge know
    /// one side alone; without a guide a third of the step and more is missing.
    #[test]
    fn edges_are_the_guides() {
        let step = |factor: f32, offset: f32| {
            picture(200, 37, move |c, y, x| offset + factor * if (x + y / 7 + c) % 19 < 9 { 0.9 } else { 0.1 })
        };
        for (h, w) in [(100, 19), (50, 9), (200, 37), (140, 26)] {
            let (mut guide, mut blind) = (step(1.0, 0.0), step(0.0, 0.5));
            let truth = step(-0.5, 0.7);
            let coarse = shrink(&truth, h, w);
            [&mut guide, &mut blind].into_iter().for_each(|guide| upsample(&coarse, guide, &mut || Ok(())).unwrap());
            let [with, without] = [&guide, &blind].map(|result| worst(result, &truth));
            assert!(with < 0.045 && without > 0.13, "{h}x{w}: {with}, without a guide {without}");
        }
    }

    #[test]
    fn what_the_coarse_result_has_not_is_gone() {
        let mut guide = picture(160, 60, |_, y, x| 0.5 + 0.2 * ((y as f32 / 9.0).sin() * (x as f32 / 9.0).sin()));
        let coarse = picture(80, 30, |c, _, _| 0.3 + 0.2 * c as f32);
        upsample(&coarse, &mut guide, &mut || Ok(())).unwrap();
        assert!(worst(&guide, &picture(160, 60, |c, _, _| 0.3 + 0.2 * c as f32)) < 1e-4);
    }

    #[test]
    fn bands_do_not_show() {
        let guide = picture(300, 20, |c, y, x| ((c * 7 + y * 13 + x * 29) % 97) as f32 / 97.0);
        let coarse = shrink(&picture(300, 20, |c, y, x| ((c * 5 + y * 3 + x * 11) % 89) as f32 / 89.0), 150, 10);
        let shrunk = shrink(&guide, 150, 10);
        let whole = Model::fit(&coarse, &shrunk, 0..150);
        let part = Model::fit(&coarse, &shrunk, 63..129);
        for (whole, part) in whole.a.iter().zip(&part.a).chain(whole.b.iter().zip(&part.b)) {
            assert_eq!(whole[630..1290], part[..]);
        }
    }
}
