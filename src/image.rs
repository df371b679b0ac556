//! Pictures in and out.

use std::fs::File;
use std::io::{BufReader, Seek, Write};
use std::path::{Path, PathBuf};

use image::codecs::tiff::{TiffDecoder, TiffEncoder};
use image::codecs::{bmp::BmpEncoder, jpeg::JpegEncoder, png::PngEncoder, webp::WebPEncoder};
use image::{
    DynamicImage, ExtendedColorType, ImageDecoder, ImageEncoder, ImageFormat, ImageReader, ImageResult, Limits,
};

use crate::error::{Error, Result};
use crate::file::atomic_write;
use crate::tensor::{Shape, Tensor};

/// Extensions that [`write()`] knows and [`pictures`] looks for.
const EXTENSIONS: [&str; 7] = ["png", "jpg", "jpeg", "webp", "tif", "tiff", "bmp"];
const JPEG_QUALITY: u8 = 95;

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

/// Red, green and blue one after the other, and alpha where it is wanted, of codes from 0 to `top` that are
/// interleaved.
fn planes<T: Copy + Into<f32>>(codes: &[T], top: f32, has_alpha: bool) -> (Vec<f32>, Option<Vec<f32>>) {
    let channel = |c: usize| codes.iter().skip(c).step_by(4).map(move |&code| code.into() / top);
    let mut colours = Vec::with_capacity(codes.len() / 4 * 3);
    (0..3).for_each(|c| colours.extend(channel(c)));
    (colours, has_alpha.then(|| channel(3).collect()))
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

/// Limits what a decoder may allocate: the crate's default of 512 MiB rejects panoramas, but some limit must hold off
/// files that only claim a size.
fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_alloc = Some(4 << 30);
    limits
}

fn open(path: &Path) -> Result<Box<dyn ImageDecoder>> {
    let file = BufReader::new(File::open(path).map_err(Error::io(path))?);
    let mut reader = ImageReader::new(file).with_guessed_format().map_err(Error::io(path))?;
    reader.limits(limits());
    Ok(match reader.format() {
        // `into_decoder` sets limits under which the profile of a small TIFF is too large to be read.
        Some(ImageFormat::Tiff) => Box::new(TiffDecoder::new(reader.into_inner()).map_err(unreadable(path))?),
        _ => Box::new(reader.into_decoder().map_err(unreadable(path))?),
    })
}

fn unreadable(path: &Path) -> impl Fn(image::ImageError) -> Error {
    move |e| Error::file(path, format!("not a picture that can be read (PNG, JPEG, WebP, TIFF or BMP expected): {e}"))
}

/// Reads a PNG, JPEG, WebP, TIFF or BMP, told apart by contents. Grey, palette, alpha and 16-bit pictures become RGB;
/// an orientation in the metadata is applied; of an animation this is the first frame.
///
/// # Errors
/// [`Error::Io`] where the file cannot be opened, [`Error::File`] where it is no such picture or damaged.
pub fn read(path: impl AsRef<Path>) -> Result<Picture> {
    let path = path.as_ref();
    let mut decoder = open(path)?;
    let orientation = decoder.orientation().map_err(unreadable(path))?;
    // The profile of a grey or CMYK file does not describe the RGB values that we write.
    let icc = decoder.icc_profile().ok().flatten().filter(|icc| icc.get(16..20) == Some(b"RGB "));
    let mut limits = limits();
    limits.reserve(decoder.total_bytes()).and_then(|()| decoder.set_limits(limits)).map_err(unreadable(path))?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(unreadable(path))?;
    image.apply_orientation(orientation);
    Ok(Picture::from_image(image, icc))
}

/// Rows and columns of a picture as [`read`] would give it, from the file's header.
///
/// # Errors
/// As [`read`].
pub fn size(path: impl AsRef<Path>) -> Result<(usize, usize)> {
    use image::metadata::Orientation::*;
    let path = path.as_ref();
    let mut decoder = open(path)?;
    let (w, h) = decoder.dimensions();
    let turned = matches!(
        decoder.orientation().map_err(unreadable(path))?,
        Rotate90 | Rotate270 | Rotate90FlipH | Rotate270FlipH
    );
    Ok(if turned { (w as usize, h as usize) } else { (h as usize, w as usize) })
}

/// Writes a picture in the format of the path's extension: PNG and TIFF at the picture's depth, lossless WebP, BMP, or
/// JPEG at quality 95. JPEG has no alpha and drops it; BMP has no profile. Values are clipped to [0, 1] and rounded to
/// nearest. An existing file is replaced only once the new one is complete ([`atomic_write`]).
///
/// # Errors
/// [`Error::File`] for another extension, or a size that the format cannot hold; [`Error::Io`] where writing fails.
pub fn write(path: impl AsRef<Path>, picture: &Picture) -> Result<()> {
    let path = path.as_ref();
    let format = format_of(path)?;
    atomic_write(path, |writer| encode(writer, format, picture).map_err(unwritable(path)))
}

/// As [`write()`], 8-bit codes of a picture of `h` x `w`: red, green and blue of one pixel after the other.
#[cfg(feature = "lab")]
pub(crate) fn write_codes(path: impl AsRef<Path>, (h, w): (usize, usize), codes: &[u8]) -> Result<()> {
    let path = path.as_ref();
    let format = format_of(path)?;
    atomic_write(path, |writer| {
        image::write_buffer_with_format(writer, codes, w as u32, h as u32, ExtendedColorType::Rgb8, format)
            .map_err(unwritable(path))
    })
}

fn unwritable(path: &Path) -> impl Fn(image::ImageError) -> Error {
    move |e| match e {
        image::ImageError::IoError(e) => Error::io(path)(e),
        e => Error::file(path, format!("cannot be written: {e}")),
    }
}

/// Checks that [`write()`] knows the format of the path's extension: to be asked before a long computation.
///
/// # Errors
/// [`Error::File`] where the extension is none of those that can be written.
pub fn check_format(path: impl AsRef<Path>) -> Result<()> {
    format_of(path).map(drop)
}

/// The format that [`write()`] chooses.
fn format_of(path: impl AsRef<Path>) -> Result<ImageFormat> {
    let path = path.as_ref();
    extension(path).and_then(ImageFormat::from_extension).ok_or_else(|| {
        let known = EXTENSIONS.map(|e| format!(".{e}")).join(" ");
        Error::file(path, format!("the extension must say the picture's format, one of {known}"))
    })
}

/// The path's extension where it is that of a picture.
fn extension(path: &Path) -> Option<&'static str> {
    let own = path.extension()?.to_str()?;
    EXTENSIONS.into_iter().find(|known| known.eq_ignore_ascii_case(own))
}

fn encode(writer: impl Write + Seek, format: ImageFormat, picture: &Picture) -> ImageResult<()> {
    match format {
        ImageFormat::Png => encode_with(PngEncoder::new(writer), picture, true, true),
        ImageFormat::Tiff => encode_with(TiffEncoder::new(writer), picture, true, true),
        ImageFormat::WebP => encode_with(WebPEncoder::new_lossless(writer), picture, true, false),
        ImageFormat::Jpeg => encode_with(JpegEncoder::new_with_quality(writer, JPEG_QUALITY), picture, false, false),
        ImageFormat::Bmp => encode_with(BmpEncoder::new(&mut { writer }), picture, true, false),
        other => unreachable!("no encoder for {other:?}, which is not among {EXTENSIONS:?}"),
    }
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

/// The pictures that a path names: a file itself, a folder's picture files (by extension) sorted by name.
///
/// # Errors
/// [`Error::Io`] where the path cannot be read, [`Error::File`] for a folder without pictures.
pub fn pictures(path: impl AsRef<Path>) -> Result<Vec<PathBuf>> {
    list(path.as_ref(), false)
}

/// As [`pictures`], folders within folders included.
///
/// # Errors
/// As [`pictures`].
pub fn pictures_below(path: impl AsRef<Path>) -> Result<Vec<PathBuf>> {
    list(path.as_ref(), true)
}

fn list(path: &Path, recursive: bool) -> Result<Vec<PathBuf>> {
    fn collect(folder: &Path, recursive: bool, found: &mut Vec<PathBuf>) -> Result<()> {
        for entry in folder.read_dir().map_err(Error::io(folder))? {
            let path = entry.map_err(Error::io(folder))?.path();
            // Other systems leave "._photo.jpg" and the like beside the pictures.
            if path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".")) {
                continue;
            }
            if path.is_dir() {
                if recursive {
                    collect(&path, recursive, found)?;
                }
            } else if extension(&path).is_some() {
                found.push(path);
            }
        }
        Ok(())
    }

    if !path.metadata().map_err(Error::io(path))?.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let mut found = Vec::new();
    collect(path, recursive, &mut found)?;
    found.sort();
    if found.is_empty() {
        let known = EXTENSIONS.map(|e| format!(".{e}")).join(" ");
        return Err(Error::file(path, format!("the folder holds no pictures ({known})")));
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
