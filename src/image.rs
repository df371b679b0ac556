//! Pictures in and out: [`read`] and [`write()`] of files, [`decode`] and [`encode`] of bytes.

mod format;
mod list;
mod read;
mod write;

pub use format::{Format, check_format};
pub use list::{Listing, Why, list, no_pictures, pictures, pictures_below};
pub use read::{decode, decode_size, read, size};
#[cfg(feature = "lab")]
pub(crate) use write::write_codes;
pub use write::{WriteOptions, encode, write, write_with};

use crate::error::{Error, Result};
use crate::tensor::{Shape, Tensor};
use image::DynamicImage;

/// A picture and what its file says about it beyond the colours.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    /// (1, 3, H, W): red, green and blue, the file's own code values scaled to [0, 1].
    pub tensor: Tensor,
    /// H * W opacities in [0, 1], where the file has them.
    pub alpha: Option<Vec<f32>>,
    /// The ICC profile of the colours, where the file has one.
    pub icc: Option<Vec<u8>>,
    /// 16 bits a value; otherwise 8.
    pub sixteen_bits: bool,
}

impl From<Tensor> for Picture {
    /// An opaque 8-bit picture without a profile; the tensor is (1, 3, H, W).
    fn from(tensor: Tensor) -> Self {
        Picture { tensor, alpha: None, icc: None, sixteen_bits: false }
    }
}

impl Picture {
    /// The same picture with other colours, (1, 3, H, W).
    ///
    /// # Errors
    /// [`Error::Invalid`] where they are of another size.
    pub fn with(self, tensor: Tensor) -> Result<Picture> {
        if tensor.shape != self.tensor.shape || tensor.data.len() != tensor.shape.len() {
            let (own, new) = (self.tensor.shape, tensor.shape);
            return Err(Error::Invalid(format!("colours of {new} for a picture of {own}")));
        }
        Ok(Picture { tensor, ..self })
    }

    fn from_image(image: DynamicImage, icc: Option<Vec<u8>>) -> Picture {
        use DynamicImage::*;
        let has_alpha = image.color().has_alpha();
        let shape = Shape::new(1, 3, image.height() as usize, image.width() as usize);
        let sixteen_bits = !matches!(image, ImageLuma8(_) | ImageLumaA8(_) | ImageRgb8(_) | ImageRgba8(_));
        let (colours, alpha) = match sixteen_bits {
            true => planes(&image.into_rgba16(), 65535.0, has_alpha),
            false => planes(&image.into_rgba8(), 255.0, has_alpha),
        };
        Picture { tensor: Tensor::new(shape, colours), alpha, icc, sixteen_bits }
    }

    /// Pixel by pixel the codes of red, green, blue and, if wanted and there, alpha.
    fn interleaved<T>(&self, with_alpha: bool, code: fn(f32) -> T) -> Vec<T> {
        let plane = self.tensor.shape.plane();
        let alpha = self.alpha.as_ref().filter(|_| with_alpha);
        let channels: Vec<&[f32]> = self.tensor.data.chunks_exact(plane).chain(alpha.map(|a| a.as_slice())).collect();
        (0..plane).flat_map(|i| channels.iter().map(move |c| code(c[i]))).collect()
    }
}

/// [0, 1] to 0..=255, clipped and rounded to nearest.
fn code8(x: f32) -> u8 {
    (x.clamp(0.0, 1.0) * 255.0).round() as u8
}

/// [0, 1] to 0..=65535, clipped and rounded to nearest.
fn code16(x: f32) -> u16 {
    (x.clamp(0.0, 1.0) * 65535.0).round() as u16
}

/// The 8-bit codes of a tensor in its own order: [0, 1] to 0..=255, clipped and rounded to nearest.
pub fn quantise(x: &Tensor) -> Vec<u8> {
    x.data.iter().map(|&v| code8(v)).collect()
}

/// Red, green and blue one after the other, and alpha where it is wanted, of codes from 0 to `top` that are
/// interleaved.
fn planes<T: Copy + Into<f32>>(codes: &[T], top: f32, has_alpha: bool) -> (Vec<f32>, Option<Vec<f32>>) {
    let channel = |c: usize| codes.iter().skip(c).step_by(4).map(move |&code| code.into() / top);
    let mut colours = Vec::with_capacity(codes.len() / 4 * 3);
    (0..3).for_each(|c| colours.extend(channel(c)));
    (colours, has_alpha.then(|| channel(3).collect()))
}

#[cfg(test)]
mod tests;
