//! What smoothing is for: pure functions of a picture x and its smoothed form y, both (1, 3, H, W). What was removed, x - y, is
//! its detail; y alone is its structure.
//!
//! ```no_run
//! use sasnet::{Device, Options, Smoother, Weights, applications, image};
//!
//! let mut smoother = Smoother::new(Weights::builtin(), Device::open(None)?);
//! let picture = image::read("photo.jpg")?;
//! let y = smoother.smooth(&picture.tensor, &Options::default())?;
//! let crisp = applications::enhance(&picture.tensor, y, 1.5)?;
//! image::write("crisp.png", &picture.with(crisp)?)?;
//! # Ok::<(), sasnet::Error>(())
//! ```

mod abstraction;
mod edges;
mod enhance;
mod tonemap;

pub use abstraction::{Abstraction, LEVELS, LINE_STRENGTH, LINE_WIDTH, SOFTNESS, abstraction};
pub use edges::{GAIN, edges};
pub use enhance::{BOOST, enhance};
pub use tonemap::{CONTRAST, DETAIL, SATURATION, Tonemap, tonemap};

use crate::error::{Error, Result};
use crate::tensor::Tensor;
use std::fmt::Display;
use std::ops::RangeInclusive;

/// Shares of red, green and blue in the brightness of a colour (ITU-R BT.709, whose primaries sRGB has).
const SHARES: [f32; 3] = [0.2126, 0.7152, 0.0722];

/// H * W brightnesses of the colours of (1, 3, H, W), in their own units; what is below 0 counts as 0.
fn luminance(x: &Tensor) -> Vec<f32> {
    let (plane, w) = (x.shape.plane(), x.shape.w);
    let mut light = vec![0.0; plane];
    each_row(&mut light, w, |y, row| {
        for (i, v) in (y * w..).zip(row) {
            *v = (0..3).map(|c| SHARES[c] * x.data[c * plane + i].max(0.0)).sum();
        }
    });
    light
}

/// Gives `make` each row of planes of this width, with its number, counted through all planes: on all cores, where there is the
/// feature `cpu`.
fn each_row(planes: &mut [f32], width: usize, make: impl Fn(usize, &mut [f32]) + Send + Sync) {
    #[cfg(feature = "cpu")]
    {
        use rayon::prelude::*;
        planes.par_chunks_mut(width).enumerate().for_each(|(y, row)| make(y, row));
    }
    #[cfg(not(feature = "cpu"))]
    planes.chunks_mut(width).enumerate().for_each(|(y, row)| make(y, row));
}

/// Checks that both are pictures of one size.
fn check_pair(x: &Tensor, y: &Tensor) -> Result<()> {
    x.check_picture()?;
    y.check_picture()?;
    if x.shape == y.shape {
        Ok(())
    } else {
        Err(Error::Invalid(format!("a smoothed picture of {} for one of {}", y.shape, x.shape)))
    }
}

/// Checks that a parameter is in its range; what is not a number is not.
fn check_range<T: PartialOrd + Display>(name: &str, value: T, range: &RangeInclusive<T>) -> Result<()> {
    if range.contains(&value) {
        return Ok(());
    }
    Err(Error::Invalid(format!("the {name} is {value}; give a number from {} to {}", range.start(), range.end())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::Shape;

    /// A picture of one row, grey.
    pub(super) fn row(values: &[f32]) -> Tensor {
        Tensor::new(Shape::new(1, 3, 1, values.len()), [values; 3].concat())
    }

    /// A picture of one colour.
    pub(super) fn flat(colour: [f32; 3], h: usize, w: usize) -> Tensor {
        Tensor::new(Shape::new(1, 3, h, w), colour.into_iter().flat_map(|v| vec![v; h * w]).collect())
    }

    #[test]
    fn what_is_no_picture_is_an_error() {
        let grey = Tensor::new(Shape::new(1, 1, 1, 2), vec![0.5; 2]);
        let short = Tensor { shape: Shape::new(1, 3, 4, 4), data: vec![0.0; 3] };
        for wrong in [grey, short, Tensor::zeros(Shape::new(1, 3, 0, 4))] {
            let good = row(&[0.5, 0.5]);
            let messages = [
                enhance(&wrong, good.clone(), 1.0),
                enhance(&good, wrong.clone(), 1.0),
                tonemap(&wrong, good.clone(), &Tonemap::default()),
                abstraction(wrong.clone(), &Abstraction::default()),
                edges(wrong.clone(), 1.0),
            ];
            messages.into_iter().for_each(|result| assert!(result.unwrap_err().to_string().contains("no picture")));
        }
        let error = enhance(&row(&[0.5]), row(&[0.5, 0.5]), 1.0).unwrap_err().to_string();
        assert!(error.contains("1x3x1x2 for one of 1x3x1x1"), "{error}");
    }

    #[test]
    fn parameters_out_of_range_are_errors() {
        let x = || row(&[0.5, 0.6]);
        let mut results = vec![enhance(&x(), x(), f32::NAN), edges(x(), 0.0)];
        let maps: [fn(&mut Tonemap); 3] = [|o| o.contrast = 1.0, |o| o.detail = -1.0, |o| o.saturation = 9.0];
        results.extend(maps.map(|change| {
            let mut options = Tonemap::default();
            change(&mut options);
            tonemap(&x(), x(), &options)
        }));
        let lines: [fn(&mut Abstraction); 4] =
            [|o| o.levels = 1, |o| o.softness = f32::INFINITY, |o| o.line_width = 0.0, |o| o.line_strength = 1.5];
        results.extend(lines.map(|change| {
            let mut options = Abstraction::default();
            change(&mut options);
            abstraction(x(), &options)
        }));
        results.into_iter().for_each(|result| assert!(result.unwrap_err().to_string().contains("give a number from")));
    }
}
