//! Pictures out: to a file's bytes.

use std::io::Cursor;
use std::path::Path;

use image::codecs::tiff::TiffEncoder;
use image::codecs::{bmp::BmpEncoder, jpeg::JpegEncoder, png::PngEncoder, webp::WebPEncoder};
use image::{ExtendedColorType, ImageEncoder, ImageResult};

use super::format::format_of;
use super::{Format, Picture, code8, code16};
use crate::error::{Error, Result};
use crate::file::atomic_write;
use crate::tensor::Shape;
#[cfg(feature = "lab")]
use crate::tensor::Tensor;

/// How to encode a picture.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct WriteOptions {
    /// Quality of lossy formats, 1 to 100.
    pub quality: u8,
}

impl Default for WriteOptions {
    fn default() -> Self {
        WriteOptions { quality: 95 }
    }
}

/// Encodes a picture: PNG and TIFF at the picture's depth, lossless WebP, BMP, or JPEG. JPEG has no alpha and drops it;
/// BMP has no profile. Values are clipped to [0, 1] and rounded to nearest.
///
/// # Errors
/// [`Error::Invalid`] for a size that the format cannot hold.
pub fn encode(picture: &Picture, format: Format, options: &WriteOptions) -> Result<Vec<u8>> {
    let mut bytes = vec![];
    let out = Cursor::new(&mut bytes);
    match format {
        Format::Png => encode_with(PngEncoder::new(out), picture, true, true),
        Format::Tiff => encode_with(TiffEncoder::new(out), picture, true, true),
        Format::WebP => encode_with(WebPEncoder::new_lossless(out), picture, true, false),
        Format::Jpeg => encode_with(JpegEncoder::new_with_quality(out, options.quality), picture, false, false),
        Format::Bmp => encode_with(BmpEncoder::new(&mut { out }), picture, true, false),
    }
    .map_err(|e| Error::Invalid(format!("cannot be written: {e}")))?;
    Ok(bytes)
}

fn encode_with(mut encoder: impl ImageEncoder, picture: &Picture, alpha: bool, deep: bool) -> ImageResult<()> {
    if let Some(icc) = &picture.icc {
        // A format without profiles says so here, and its picture is written without.
        let _ = encoder.set_icc_profile(icc.clone());
    }
    let Shape { h, w, .. } = picture.tensor.shape;
    let with_alpha = alpha && picture.alpha.is_some();
    let (bytes, colour) = if deep && picture.sixteen_bits {
        let codes = picture.interleaved(alpha, code16);
        let colour = if with_alpha { ExtendedColorType::Rgba16 } else { ExtendedColorType::Rgb16 };
        (bytemuck::cast_slice(&codes).to_vec(), colour)
    } else {
        let colour = if with_alpha { ExtendedColorType::Rgba8 } else { ExtendedColorType::Rgb8 };
        (picture.interleaved(alpha, code8), colour)
    };
    encoder.write_image(&bytes, w as u32, h as u32, colour)
}

/// Writes a picture in the format of the path's extension, as [`encode`] with default options. An existing file is
/// replaced only once the new one is complete ([`atomic_write`]).
///
/// # Errors
/// [`Error::File`] for another extension; [`Error::About`] the path for a size that the format cannot hold;
/// [`Error::Io`] where writing fails.
pub fn write(path: impl AsRef<Path>, picture: &Picture) -> Result<()> {
    write_with(path, picture, &WriteOptions::default())
}

/// As [`write()`], with options.
///
/// # Errors
/// As [`write()`].
pub fn write_with(path: impl AsRef<Path>, picture: &Picture, options: &WriteOptions) -> Result<()> {
    let path = path.as_ref();
    let bytes = encode(picture, format_of(path)?, options).map_err(Error::about(path))?;
    atomic_write(path, |writer| writer.write_all(&bytes).map_err(Error::io(path)))
}

/// As [`write()`], 8-bit codes of a picture of `h` x `w`: red, green and blue of one pixel after the other.
#[cfg(feature = "lab")]
pub(crate) fn write_codes(path: impl AsRef<Path>, (h, w): (usize, usize), codes: &[u8]) -> Result<()> {
    let shape = Shape::new(1, 3, h, w);
    let plane = |c: usize| codes.iter().skip(c).step_by(3).map(|&code| f32::from(code) / 255.0);
    write(path, &Tensor::new(shape, (0..3).flat_map(plane).collect()).into())
}
