//! Edge maps.

use super::{check_range, each_row, luminance};
use crate::error::Result;
use crate::geometry::reflect;
use crate::tensor::{Shape, Tensor};
use std::ops::RangeInclusive;

/// Factors of the edges' brightness.
pub const GAIN: RangeInclusive<f32> = 0.1..=100.0;

/// The least that is white at a gain of 1, so that ripples of a flat picture stay dark: a step of a sixteenth of the range.
const FAINT: f32 = 1.0 / 16.0;

/// Edges of a smoothed picture, which are those of its structure: the magnitude of the luminance's gradient by Sobel's
/// operator (Sobel and Feldman, 1968), divided by its largest value in the picture (or a sixteenth, where all is less),
/// times `gain`, clipped to [0, 1]. A step of s from one pixel to the next has a magnitude of s.
///
/// y is (1, 3, H, W) in [0, 1]; the result is, too, and grey: its three channels are alike.
///
/// # Errors
/// [`Error::Invalid`](crate::Error::Invalid) for other shapes and a gain outside of [`GAIN`].
pub fn edges(mut y: Tensor, gain: f32) -> Result<Tensor> {
    y.check_picture()?;
    check_range("gain", gain, &GAIN)?;
    let magnitudes = gradient(&luminance(&y), y.shape);
    let factor = gain / magnitudes.iter().copied().fold(FAINT, f32::max);
    let (h, w) = (y.shape.h, y.shape.w);
    each_row(&mut y.data, w, |i, row| {
        row.iter_mut().zip(&magnitudes[i % h * w..]).for_each(|(v, magnitude)| *v = (factor * magnitude).min(1.0));
    });
    Ok(y)
}

/// Magnitudes of the gradient of a plane of H * W, reflected beyond its borders.
fn gradient(light: &[f32], Shape { h, w, .. }: Shape) -> Vec<f32> {
    let near = |i: usize, n: usize| [-1, 0, 1].map(|step| reflect(i as isize + step, n));
    let mut magnitudes = vec![0.0; light.len()];
    each_row(&mut magnitudes, w, |y, to| {
        let rows = near(y, h).map(|y| &light[y * w..][..w]);
        for (x, to) in to.iter_mut().enumerate() {
            let [[a, b, c], [d, _, e], [f, g, i]] = rows.map(|row| near(x, w).map(|x| row[x]));
            let (across, down) = (c + 2.0 * e + i - a - 2.0 * d - f, f + 2.0 * g + i - a - 2.0 * b - c);
            *to = across.hypot(down) / 4.0;
        }
    });
    magnitudes
}

#[cfg(test)]
mod tests {
    use super::super::tests::{flat, row};
    use super::*;

    #[test]
    fn flat_pictures_have_no_edges() {
        for (h, w) in [(1, 1), (1, 5), (4, 6)] {
            assert_eq!(edges(flat([0.2, 0.8, 0.5], h, w), 1.0).unwrap(), flat([0.0; 3], h, w));
        }
        // A ripple of a 64th is a quarter of the faintest step that is white.
        let ripple = edges(row(&[0.5, 0.5, 0.515625, 0.515625]), 1.0).unwrap();
        assert!((ripple.data[1] - 0.25).abs() < 1e-5 && ripple.data[0] == 0.0, "{:?}", ripple.data);
    }

    #[test]
    fn steps_are_edges_by_their_height() {
        let x = row(&[0.0, 0.0, 0.0, 0.5, 0.5, 0.5, 0.75, 0.75]);
        let wanted = row(&[0.0, 0.0, 1.0, 1.0, 0.0, 0.5, 0.5, 0.0]);
        let near =
            |found: Tensor, wanted: &Tensor| found.data.iter().zip(&wanted.data).all(|(a, b)| (a - b).abs() < 1e-5);
        assert!(near(edges(x.clone(), 1.0).unwrap(), &wanted));
        assert!(near(edges(x, 4.0).unwrap(), &row(&[0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0, 0.0])), "clipped");
    }

    #[test]
    fn all_directions_count_alike() {
        let slope = |down: f32, across: f32| {
            let values: Vec<f32> = (0..25).map(|i| 0.1 + (i / 5) as f32 * down + (i % 5) as f32 * across).collect();
            gradient(&values, Shape::new(1, 1, 5, 5))[12]
        };
        for (down, across) in [(0.1, 0.0), (0.0, 0.1), (0.06, 0.08), (-0.08, 0.06)] {
            assert!((slope(down, across) - 0.2).abs() < 1e-6, "twice the slope");
        }
    }
}
