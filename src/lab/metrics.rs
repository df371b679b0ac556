//! How close a picture is to its ground truth: PSNR and SSIM of the 8-bit pictures.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::image::quantise;
use crate::tensor::Tensor;

/// The scores of one picture. The `y` variants are those of the luma alone: BT.601 as in MATLAB's `rgb2ycbcr`,
/// `16 + 65.481 R + 128.553 G + 24.966 B` with R, G, B in 0..1, not rounded.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// Peak signal-to-noise ratio over all values in dB, peak 255; infinite for equal pictures.
    #[serde(deserialize_with = "number_or_infinity")]
    pub psnr: f64,
    /// Structural similarity, -1..1, averaged over the channels.
    pub ssim: f64,
    /// PSNR of the luma.
    #[serde(deserialize_with = "number_or_infinity")]
    pub psnr_y: f64,
    /// SSIM of the luma.
    pub ssim_y: f64,
}

/// JSON knows no infinity, and has null in its place.
fn number_or_infinity<'de, D: serde::Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or(f64::INFINITY))
}

/// One line of a table of scores: a picture's, before (`_in`) and after smoothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the other columns are the fields of `Scores`")]
pub struct Row {
    /// Set of pictures.
    pub set: String,
    /// The network's label.
    pub network: String,
    /// The picture's name.
    pub image: String,
    pub psnr_in: f64,
    pub ssim_in: f64,
    pub psnr: f64,
    pub ssim: f64,
    pub psnr_y_in: f64,
    pub ssim_y_in: f64,
    pub psnr_y: f64,
    pub ssim_y: f64,
}

impl Row {
    /// The scores of the picture `image` of a set, smoothed by a network.
    pub fn new([set, network, image]: [&str; 3], input: Scores, output: Scores) -> Row {
        Row {
            set: set.into(),
            network: network.into(),
            image: image.into(),
            psnr_in: input.psnr,
            ssim_in: input.ssim,
            psnr: output.psnr,
            ssim: output.ssim,
            psnr_y_in: input.psnr_y,
            ssim_y_in: input.ssim_y,
            psnr_y: output.psnr_y,
            ssim_y: output.ssim_y,
        }
    }
}

impl Scores {
    /// dB of PSNR that `self` has more than `input`; 0 where both are infinite.
    pub fn gain(&self, input: &Scores) -> f64 {
        if self.psnr == input.psnr { 0.0 } else { self.psnr - input.psnr }
    }

    /// The average of each score over pictures, as the papers report them; `None` for none.
    pub fn mean(scores: &[Scores]) -> Option<Scores> {
        let mean = |f: fn(&Scores) -> f64| scores.iter().map(f).sum::<f64>() / scores.len() as f64;
        (!scores.is_empty()).then(|| Scores {
            psnr: mean(|s| s.psnr),
            ssim: mean(|s| s.ssim),
            psnr_y: mean(|s| s.psnr_y),
            ssim_y: mean(|s| s.ssim_y),
        })
    }
}

/// Scores `x` against `truth`, both (1, 3, H, W) in [0, 1], after rounding both to 8 bits.
///
/// # Errors
/// [`Error::Invalid`] where the sizes differ, are not of one RGB picture, or are below the 11 x 11 pixels of SSIM's
/// window.
pub fn score(x: &Tensor, truth: &Tensor) -> Result<Scores> {
    let shape = x.shape;
    if shape != truth.shape || (shape.n, shape.c) != (1, 3) {
        return Err(Error::Invalid(format!(
            "scores need two RGB pictures of one size (1x3xHxW), not {shape} and {}",
            truth.shape
        )));
    }
    if shape.h < WINDOW || shape.w < WINDOW {
        return Err(Error::Invalid(format!(
            "SSIM needs {WINDOW} x {WINDOW} pixels or more, the picture has {} rows x {} columns",
            shape.h, shape.w
        )));
    }
    let planes = |x: &Tensor| -> Vec<Vec<f64>> {
        let codes: Vec<f64> = quantise(x).into_iter().map(f64::from).collect();
        let mut planes: Vec<_> = codes.chunks_exact(shape.plane()).map(<[f64]>::to_vec).collect();
        planes.push(luma(&planes));
        planes
    };
    let (x, truth) = (planes(x), planes(truth));
    let errors: Vec<f64> = (0..4).map(|c| mean_squared_error(&x[c], &truth[c])).collect();
    let ssims: Vec<f64> = (0..4).into_par_iter().map(|c| ssim(&x[c], &truth[c], shape.w)).collect();
    Ok(Scores {
        psnr: psnr(errors[..3].iter().sum::<f64>() / 3.0),
        ssim: ssims[..3].iter().sum::<f64>() / 3.0,
        psnr_y: psnr(errors[3]),
        ssim_y: ssims[3],
    })
}

/// PSNR in dB of all values of `x` and `truth`, after rounding both to 8 bits; infinite where they are equal.
///
/// # Errors
/// [`Error::Invalid`] where the sizes differ.
pub fn psnr_of(x: &Tensor, truth: &Tensor) -> Result<f64> {
    if x.shape != truth.shape {
        return Err(Error::Invalid(format!("PSNR needs pictures of one size, not {} and {}", x.shape, truth.shape)));
    }
    let [x, truth] = [x, truth].map(|x| quantise(x).into_iter().map(f64::from).collect::<Vec<f64>>());
    Ok(psnr(mean_squared_error(&x, &truth)))
}

const PEAK: f64 = 255.0;

fn psnr(mean_squared_error: f64) -> f64 {
    10.0 * (PEAK * PEAK / mean_squared_error).log10()
}

fn mean_squared_error(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| (x - y).powi(2)).sum::<f64>() / x.len() as f64
}

fn luma(rgb: &[Vec<f64>]) -> Vec<f64> {
    let y = |i: usize| 16.0 + (65.481 * rgb[0][i] + 128.553 * rgb[1][i] + 24.966 * rgb[2][i]) / PEAK;
    (0..rgb[0].len()).map(y).collect()
}

const WINDOW: usize = 11;
const SIGMA: f64 = 1.5;

/// Wang et al. 2004 on 0..255: means, variances and covariance under a Gaussian window (divided by n, not n - 1),
/// averaged over the windows that lie in the picture. As scikit-image's `structural_similarity(gaussian_weights=True,
/// sigma=1.5, use_sample_covariance=False, data_range=255)`.
fn ssim(x: &[f64], y: &[f64], w: usize) -> f64 {
    let (c1, c2) = ((0.01 * PEAK).powi(2), (0.03 * PEAK).powi(2));
    let mean_of = |f: fn(f64, f64) -> f64| blur(x.iter().zip(y).map(|(&x, &y)| f(x, y)).collect(), w);
    let (mx, my) = (mean_of(|x, _| x), mean_of(|_, y| y));
    let (mxx, myy, mxy) = (mean_of(|x, _| x * x), mean_of(|_, y| y * y), mean_of(|x, y| x * y));
    let at = |i: usize| {
        let (vx, vy, vxy) = (mxx[i] - mx[i] * mx[i], myy[i] - my[i] * my[i], mxy[i] - mx[i] * my[i]);
        (2.0 * mx[i] * my[i] + c1) * (2.0 * vxy + c2) / ((mx[i] * mx[i] + my[i] * my[i] + c1) * (vx + vy + c2))
    };
    (0..mx.len()).map(at).sum::<f64>() / mx.len() as f64
}

/// The Gaussian window's mean wherever it lies in the picture: 10 rows and columns less.
fn blur(x: Vec<f64>, w: usize) -> Vec<f64> {
    let weights: [f64; WINDOW] = std::array::from_fn(|i| (-0.5 * ((i as f64 - 5.0) / SIGMA).powi(2)).exp());
    let total: f64 = weights.iter().sum();
    let weights = weights.map(|v| v / total);
    let across: Vec<f64> = x
        .chunks_exact(w)
        .flat_map(|row| row.windows(WINDOW).map(|v| v.iter().zip(&weights).map(|(v, k)| v * k).sum()))
        .collect();
    let w = w + 1 - WINDOW;
    let tail = (WINDOW - 1) * w;
    (0..across.len() - tail).map(|i| (0..WINDOW).map(|k| weights[k] * across[i + k * w]).sum()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::Shape;

    fn picture(h: usize, w: usize, code: impl Fn(usize, usize, usize) -> usize) -> Tensor {
        let shape = Shape::new(1, 3, h, w);
        let at = |i: usize| code(i / shape.plane(), i / w % h, i % w) as f32 / 255.0;
        Tensor::new(shape, (0..shape.len()).map(at).collect())
    }

    // PSNR, SSIM and their Y variants, from `scores` of tools/check_metrics.py.
    const SKIMAGE_13X17: [f64; 4] = [14.172223497516317, 0.7783656569481002, 18.724786575936147, 0.7008991700185333];
    const SKIMAGE_11X11: [f64; 4] = [19.26816545502649, 0.9197950882978766, 28.594226594783212, 0.964798866084041];

    /// A picture of known codes and another.
    fn two(h: usize, w: usize) -> (Tensor, Tensor) {
        let x = |c: usize, y: usize, x: usize| (c * 50 + y * 7 + x * 11) % 256;
        (picture(h, w, x), picture(h, w, move |c, i, j| (x(c, i, j) + (i * j + c * 3) % 23) % 256))
    }

    fn close(a: Scores, [psnr, ssim, psnr_y, ssim_y]: [f64; 4]) {
        for (a, b) in [(a.psnr, psnr), (a.ssim, ssim), (a.psnr_y, psnr_y), (a.ssim_y, ssim_y)] {
            assert!((a - b).abs() < 1e-9, "{a} is not {b}");
        }
    }

    #[test]
    fn scikit_images_numbers() {
        let (x, y) = two(13, 17);
        close(score(&x, &y).unwrap(), SKIMAGE_13X17);
        let (x, y) = two(11, 11);
        close(score(&x, &y).unwrap(), SKIMAGE_11X11);
    }

    #[test]
    fn a_constant_difference() {
        let (x, y) = (picture(12, 12, |_, _, _| 100), picture(12, 12, |_, _, _| 105));
        let s = score(&x, &y).unwrap();
        assert!((s.psnr - 20.0 * (255.0f64 / 5.0).log10()).abs() < 1e-12);
        // Both variances are 0, which leaves the means' part.
        let c1 = 2.55f64.powi(2);
        assert!((s.ssim - (2.0 * 100.0 * 105.0 + c1) / (100.0f64.powi(2) + 105.0f64.powi(2) + c1)).abs() < 1e-9);
        assert!((s.psnr_y - 20.0 * (255.0 / (5.0 * 219.0 / 255.0f64)).log10()).abs() < 1e-9);
    }

    #[test]
    fn values_are_rounded_and_clipped_before_scoring() {
        let (x, y) = two(12, 12);
        let mut rough = x.clone();
        rough.data.iter_mut().for_each(|v| *v += if *v == 1.0 { 3.0 } else { 0.4 / 255.0 });
        assert_eq!(score(&rough, &y).unwrap(), score(&x, &y).unwrap());
    }

    #[test]
    fn equal_pictures() {
        let (x, _) = two(11, 30);
        let s = score(&x, &x).unwrap();
        assert_eq!((s.psnr, s.psnr_y), (f64::INFINITY, f64::INFINITY));
        assert!((s.ssim - 1.0).abs() < 1e-12 && (s.ssim_y - 1.0).abs() < 1e-12);
    }

    #[test]
    fn means() {
        let s = |v: f64| Scores { psnr: v, ssim: v + 1.0, psnr_y: v + 2.0, ssim_y: v + 3.0 };
        assert_eq!(Scores::mean(&[s(1.0), s(4.0)]), Some(s(2.5)));
        assert_eq!(Scores::mean(&[]), None);
    }

    #[test]
    fn what_cannot_be_scored() {
        let text = |x: &Tensor, y: &Tensor| score(x, y).unwrap_err().to_string();
        let small = picture(10, 20, |_, _, _| 0);
        assert!(text(&small, &small).contains("11 x 11 pixels or more, the picture has 10 rows x 20 columns"));
        assert!(text(&small, &picture(20, 10, |_, _, _| 0)).contains("1x3x10x20 and 1x3x20x10"));
    }

    #[test]
    fn rows_keep_every_digit() {
        let s = Scores { psnr: 1.0 / 3.0, ssim: 0.1 + 0.2, psnr_y: f64::INFINITY, ssim_y: -0.0 };
        let row = Row::new(["x y", "\"n\"", "a, b"], s, Scores { psnr: 2.0 / 3.0, ..s });
        let mut table = csv::Writer::from_writer(Vec::new());
        table.serialize(&row).unwrap();
        let bytes = table.into_inner().unwrap();
        assert!(bytes.starts_with(b"set,network,image,psnr_in,ssim_in,psnr,ssim,psnr_y_in,ssim_y_in,psnr_y,ssim_y\n"));
        let back: Row = csv::Reader::from_reader(&bytes[..]).deserialize().next().unwrap().unwrap();
        assert_eq!(back, row);
    }
}
