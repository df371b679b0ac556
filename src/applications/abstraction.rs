//! Abstraction: a picture as if drawn.

use super::{check_range, each_row, luminance};
use crate::error::Result;
use crate::geometry::reflect;
use crate::tensor::{Shape, Tensor};
use std::ops::RangeInclusive;

/// Numbers of steps of the luminance.
pub const LEVELS: RangeInclusive<u32> = 2..=64;
/// How gradual the steps are.
pub const SOFTNESS: RangeInclusive<f32> = 0.0..=1.0;
/// Widths of lines, in pixels.
pub const LINE_WIDTH: RangeInclusive<f32> = 0.3..=20.0;
/// How dark lines are.
pub const LINE_STRENGTH: RangeInclusive<f32> = 0.0..=1.0;

/// How a picture is abstracted.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Abstraction {
    /// Steps of the luminance; default 8.
    pub levels: u32,
    /// How gradual they are: 0 = hard steps, 1 = hardly any; default 0.3.
    pub softness: f32,
    /// Standard deviation in pixels of the finer Gaussian that finds lines; default 1.
    pub line_width: f32,
    /// How dark lines are: 0 = none, 1 = black, the default.
    pub line_strength: f32,
}

impl Default for Abstraction {
    fn default() -> Abstraction {
        Abstraction { levels: 8, softness: 0.3, line_width: 1.0, line_strength: 1.0 }
    }
}

/// Weight of the coarser Gaussian, as in Winnemoeller's paper: what differs by less than 2 % is no line.
const TAU: f32 = 0.98;
/// Ratio of the Gaussians' variances, as in that paper.
const VARIANCES: f32 = 1.6;
/// How fast lines become black.
const FALLOFF: f32 = 100.0;

/// Draws a smoothed picture (Winnemoeller, Olsen and Gooch, "Real-time video abstraction", SIGGRAPH 2006, with SASNet as the
/// filter). The luminance L goes in soft steps: q + tanh(s (L - q) / d) / tanh(s) d, where q is the nearest whole multiple of
/// a step of 2 d = 1 / levels, and s = 1 / softness; colours move with it. On the dark side of edges lies a line, where the
/// difference D = G1 - 0.98 G2 of Gaussians of L is below 0: colours are multiplied by 1 + tanh(100 D).
///
/// y is (1, 3, H, W) in [0, 1], and so is the result.
///
/// # Errors
/// [`Error::Invalid`](crate::Error::Invalid) for other shapes and parameters outside of [`LEVELS`], [`SOFTNESS`],
/// [`LINE_WIDTH`] and [`LINE_STRENGTH`].
pub fn abstraction(mut y: Tensor, options: &Abstraction) -> Result<Tensor> {
    y.check_picture()?;
    check_range("number of levels", options.levels, &LEVELS)?;
    check_range("softness", options.softness, &SOFTNESS)?;
    check_range("line width", options.line_width, &LINE_WIDTH)?;
    check_range("line strength", options.line_strength, &LINE_STRENGTH)?;
    let light = luminance(&y);
    let lines = lines(&light, y.shape, options.line_width);
    let (h, w) = (y.shape.h, y.shape.w);
    each_row(&mut y.data, w, |i, row| {
        let at = i % h * w;
        for ((v, &light), line) in row.iter_mut().zip(&light[at..]).zip(&lines[at..]) {
            let stepped = *v + step(light, options) - light;
            *v = (stepped * (1.0 - options.line_strength * line)).clamp(0.0, 1.0);
        }
    });
    Ok(y)
}

/// A luminance in [0, 1] on its soft step. What is in the middle between two borders stays what it is.
fn step(light: f32, options: &Abstraction) -> f32 {
    let half = 0.5 / options.levels as f32;
    let border = (light / (2.0 * half)).round() * 2.0 * half;
    let from = (light - border) / half;
    let part = match options.softness {
        // Where the border itself belongs, a step cannot say.
        0.0 if from == 0.0 => 0.0,
        0.0 => from.signum(),
        softness => (from / softness).tanh() / (1.0 / softness).tanh(),
    };
    border + half * part
}

/// H * W: how much of a line is at each pixel, 0 to 1.
fn lines(light: &[f32], shape: Shape, width: f32) -> Vec<f32> {
    let mut lines = blurred(light, shape, width);
    let coarse = blurred(light, shape, width * VARIANCES.sqrt());
    each_row(&mut lines, shape.w, |y, row| {
        let darker = |(fine, coarse): (&mut f32, &f32)| *fine = (FALLOFF * (TAU * coarse - *fine)).max(0.0).tanh();
        row.iter_mut().zip(&coarse[y * shape.w..]).for_each(darker);
    });
    lines
}

/// A plane of H * W convolved with a Gaussian of this standard deviation in pixels; reflected beyond its borders.
fn blurred(plane: &[f32], Shape { h, w, .. }: Shape, sigma: f32) -> Vec<f32> {
    let radius = (3.0 * sigma).ceil() as isize;
    let weight = |i: isize| (-((i * i) as f32) / (2.0 * sigma * sigma)).exp();
    let sum: f32 = (-radius..=radius).map(weight).sum();
    let weights: Vec<f32> = (-radius..=radius).map(|i| weight(i) / sum).collect();
    let near = |n: usize| (-radius..n as isize + radius).map(|i| reflect(i, n)).collect::<Vec<usize>>();
    let (rows, columns) = (near(h), near(w));
    let mut across = vec![0.0; plane.len()];
    each_row(&mut across, w, |y, to| {
        let row = &plane[y * w..][..w];
        let at = |x: usize| weights.iter().zip(&columns[x..]).map(|(weight, &x)| weight * row[x]).sum::<f32>();
        to.iter_mut().enumerate().for_each(|(x, to)| *to = at(x));
    });
    let mut down = vec![0.0; plane.len()];
    each_row(&mut down, w, |y, to| {
        for (weight, &from) in weights.iter().zip(&rows[y..]) {
            to.iter_mut().zip(&across[from * w..]).for_each(|(to, v)| *to += weight * v);
        }
    });
    down
}

#[cfg(test)]
mod tests {
    use super::super::tests::{flat, row};
    use super::*;

    #[test]
    fn luminance_goes_in_steps() {
        let hard = Abstraction { levels: 4, softness: 0.0, ..Abstraction::default() };
        let stepped = |light, options| step(light, &Abstraction { levels: 4, ..options });
        for (light, wanted) in [(0.0, 0.0), (0.01, 0.125), (0.24, 0.125), (0.26, 0.375), (0.9, 0.875), (1.0, 1.0)] {
            assert!((stepped(light, hard) - wanted).abs() < 1e-6, "{light}: {}", stepped(light, hard));
        }
        for softness in [0.1, 0.3, 1.0] {
            let soft = Abstraction { softness, ..hard };
            let all: Vec<f32> = (0..=1000).map(|i| stepped(i as f32 / 1000.0, soft)).collect();
            assert!(all.windows(2).all(|pair| pair[0] <= pair[1] + 1e-6), "darker stays darker");
            let biggest = all.windows(2).map(|pair| pair[1] - pair[0]).fold(0.0, f32::max);
            assert!(biggest < 0.0015 / softness, "no jump: {biggest}");
            for still in [0.0, 0.125, 0.25, 0.375, 0.5, 0.875, 1.0] {
                assert!((stepped(still, soft) - still).abs() < 1e-6, "{still}");
            }
        }
    }

    #[test]
    fn flat_pictures_have_no_lines_and_keep_their_hue() {
        let found = abstraction(flat([0.7, 0.5, 0.4], 5, 7), &Abstraction::default()).unwrap();
        assert!(found.data.chunks_exact(35).all(|plane| plane.iter().all(|v| (v - plane[0]).abs() < 1e-6)));
        let [r, g, b] = [0, 1, 2].map(|c| found.data[35 * c]);
        assert!((r - g - 0.2).abs() < 1e-6 && (g - b - 0.1).abs() < 1e-6, "{r} {g} {b}");
        assert_eq!(abstraction(flat([0.0; 3], 3, 3), &Abstraction::default()).unwrap(), flat([0.0; 3], 3, 3));
    }

    #[test]
    fn a_line_lies_on_the_dark_side_of_an_edge() {
        // In the middle of steps, which leave them as they are.
        let x = row(&[[0.3125; 8], [0.8125; 8]].concat());
        let found = abstraction(x.clone(), &Abstraction::default()).unwrap();
        assert!(found.data[7] < 0.1, "{:?}", &found.data[..16]);
        assert!((found.data[0] - 0.3125).abs() < 1e-5 && found.data[8..16].iter().all(|v| (v - 0.8125).abs() < 1e-5));
        let none = abstraction(x.clone(), &Abstraction { line_strength: 0.0, ..Abstraction::default() }).unwrap();
        assert!(none.data.iter().zip(&x.data).all(|(a, b)| (a - b).abs() < 1e-5));
    }

    #[test]
    fn the_gaussian_is_one() {
        let shape = Shape::new(1, 1, 21, 21);
        let mut point = vec![0.0; 441];
        point[10 * 21 + 10] = 1.0;
        let found = blurred(&point, shape, 1.5);
        assert!((found.iter().sum::<f32>() - 1.0).abs() < 1e-5);
        let wanted = (-(4.0f32 + 1.0) / (2.0 * 2.25)).exp();
        assert!((found[12 * 21 + 11] / found[220] - wanted).abs() < 1e-5);
        assert_eq!(found[12 * 21 + 11], found[8 * 21 + 9]);
        assert!(
            blurred(&[0.5; 6], Shape::new(1, 1, 2, 3), 20.0).iter().all(|v| (v - 0.5).abs() < 1e-5),
            "beyond the borders"
        );
    }
}
