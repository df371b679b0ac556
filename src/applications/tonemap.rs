//! Tone mapping.

use super::{check_pair, check_range, each_row, luminance};
use crate::error::Result;
use crate::tensor::Tensor;
use std::ops::RangeInclusive;

/// Ratios of the base's brightest and darkest luminance in the result.
pub const CONTRAST: RangeInclusive<f32> = 2.0..=1000.0;
/// Factors of the detail.
pub const DETAIL: RangeInclusive<f32> = 0.0..=5.0;
/// Exponents of the colours' ratios to their luminance.
pub const SATURATION: RangeInclusive<f32> = 0.0..=2.0;

/// How HDR values are mapped.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Tonemap {
    /// Ratio of the base's brightest and darkest luminance in the result, where it is larger before; default 50.
    pub contrast: f32,
    /// Factor of the detail in log luminance; default 1.
    pub detail: f32,
    /// Exponent of the colours' ratios to their luminance: 0 = grey, 1 = as they are, the default.
    pub saturation: f32,
}

impl Default for Tonemap {
    fn default() -> Tonemap {
        Tonemap { contrast: 50.0, detail: 1.0, saturation: 1.0 }
    }
}

/// Part of the pixels at each end of the base that its range leaves out: a lamp, a black frame.
const OUTLIERS: f32 = 0.002;
/// Decades below the top of which luminance counts: black has no logarithm.
const DECADES: f32 = 6.0;

/// Maps HDR values to a screen's (Durand and Dorsey, "Fast bilateral filtering for the display of high-dynamic-range images",
/// SIGGRAPH 2002, with SASNet as the filter): the base, log10 of y's luminance, is compressed to `contrast`, and its top
/// becomes white; the detail, log10 of x's luminance less the base, is kept, times `detail`. Colours keep their ratios to
/// their luminance, to the power of `saturation`.
///
/// Both are (1, 3, H, W), linear light of 0 and more in any unit; the result is coded as sRGB, clipped to [0, 1].
///
/// # Errors
/// [`Error::Invalid`](crate::Error::Invalid) for other shapes and parameters outside of [`CONTRAST`], [`DETAIL`] and [`SATURATION`].
pub fn tonemap(x: &Tensor, mut y: Tensor, options: &Tonemap) -> Result<Tensor> {
    check_pair(x, &y)?;
    check_range("contrast", options.contrast, &CONTRAST)?;
    check_range("detail", options.detail, &DETAIL)?;
    check_range("saturation", options.saturation, &SATURATION)?;
    let (h, w) = (x.shape.h, x.shape.w);
    let mut base = luminance(&y);
    each_row(&mut base, w, |_, row| row.iter_mut().for_each(|b| *b = b.max(f32::MIN_POSITIVE).log10()));
    let (low, top) = range(base.clone());
    let least = top - DECADES;
    let factor = (options.contrast.log10() / (top - low.max(least)).max(f32::MIN_POSITIVE)).min(1.0);
    let light = luminance(x);
    let mut mapped = base;
    each_row(&mut mapped, w, |y, row| {
        for (v, light) in row.iter_mut().zip(&light[y * w..]) {
            let (base, detailed) = (v.max(least), light.log10().max(least));
            *v = 10f32.powf((base - top) * factor + options.detail * (detailed - base));
        }
    });
    each_row(&mut y.data, w, |i, row| {
        let at = i % h * w;
        for (((v, x), light), mapped) in row.iter_mut().zip(&x.data[i * w..]).zip(&light[at..]).zip(&mapped[at..]) {
            // Black has no colour to keep.
            let ratio = if *light > 0.0 { (x.max(0.0) / light).powf(options.saturation) } else { 0.0 };
            *v = srgb(mapped * ratio);
        }
    });
    Ok(y)
}

/// The least and largest value but for the outliers.
fn range(mut values: Vec<f32>) -> (f32, f32) {
    let out = (OUTLIERS * values.len() as f32) as usize;
    let top = values.len() - 1 - out;
    let mut at = |i| *values.select_nth_unstable_by(i, f32::total_cmp).1;
    (at(out), at(top))
}

/// Linear light as sRGB codes it, clipped to [0, 1] (IEC 61966-2-1).
fn srgb(v: f32) -> f32 {
    let v = v.clamp(0.0, 1.0);
    if v <= 0.003_130_8 { 12.92 * v } else { 1.055 * v.powf(1.0 / 2.4) - 0.055 }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{flat, row};
    use super::*;

    fn linear(code: f32) -> f32 {
        if code <= 0.040_45 { code / 12.92 } else { ((code + 0.055) / 1.055).powf(2.4) }
    }

    fn mapped(x: &Tensor, y: &Tensor, options: &Tonemap) -> Vec<f32> {
        tonemap(x, y.clone(), options).unwrap().data.into_iter().map(linear).collect()
    }

    #[track_caller]
    fn near(found: &[f32], wanted: &[f32]) {
        let close = found.iter().zip(wanted).all(|(a, b)| (a - b).abs() <= 1e-4 * b.abs().max(0.1));
        assert!(close, "{found:?} is not {wanted:?}");
    }

    #[test]
    fn the_base_gets_the_contrast_and_detail_stays() {
        let options = Tonemap { contrast: 100.0, ..Tonemap::default() };
        // Four decades become two, equal ratios stay equal ones.
        let x = row(&[2e-2, 2.0, 2e2]);
        near(&mapped(&x, &x, &options)[..3], &[0.01, 0.1, 1.0]);
        // Less than the contrast is not stretched.
        let x = row(&[1.0, 4.0]);
        near(&mapped(&x, &x, &options)[..2], &[0.25, 1.0]);
        // Detail of a factor of 2 stays one, or becomes one of 4.
        let (x, y) = (row(&[0.5, 1.0, 1e4]), row(&[1.0, 1.0, 1e4]));
        near(&mapped(&x, &y, &options)[..3], &[0.005, 0.01, 1.0]);
        near(&mapped(&x, &y, &Tonemap { detail: 2.0, ..options })[..3], &[0.0025, 0.01, 1.0]);
    }

    #[test]
    fn colours_keep_their_hue_or_become_grey() {
        let shape = row(&[0.0, 0.0]).shape;
        let x = Tensor::new(shape, vec![8.0, 800.0, 4.0, 800.0, 2.0, 800.0]);
        let options = Tonemap { contrast: 10.0, ..Tonemap::default() };
        let found = mapped(&x, &x, &options);
        near(&[found[0] / found[2], found[0] / found[4]], &[2.0, 4.0]);
        near(&[found[1], found[3], found[5]], &[1.0; 3]);
        let grey = mapped(&x, &x, &Tonemap { saturation: 0.0, ..options });
        near(&[grey[0], grey[2], grey[4]], &[0.1; 3]);
    }

    #[test]
    fn outliers_do_not_count_and_black_stays_black() {
        let values: Vec<f32> = (0..1000).map(|i| if i == 0 { 1e9 } else { 1.0 + (i % 2) as f32 }).collect();
        let found = mapped(&row(&values), &row(&values), &Tonemap::default());
        near(&found[..3], &[1.0, 1.0, 0.5]);
        let black = flat([0.0; 3], 2, 2);
        for saturation in [0.0, 1.0] {
            let options = Tonemap { saturation, ..Tonemap::default() };
            assert_eq!(tonemap(&black, black.clone(), &options).unwrap(), black);
        }
    }
}
