//! Pictures in: from a file's bytes.

use std::io::Cursor;
use std::path::Path;

use image::codecs::tiff::TiffDecoder;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};

use super::{Format, Picture};
use crate::error::{Error, Result};

/// Limits what a decoder may allocate: the crate's default of 512 MiB rejects panoramas, but some limit must hold off
/// files that only claim a size.
fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_alloc = Some(4 << 30);
    limits
}

fn open(bytes: &[u8]) -> Result<Box<dyn ImageDecoder + '_>> {
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|e| unreadable(e.into()))?;
    reader.limits(limits());
    Ok(match reader.format() {
        // `into_decoder` sets limits under which the profile of a small TIFF is too large to be read.
        Some(ImageFormat::Tiff) => Box::new(TiffDecoder::new(reader.into_inner()).map_err(unreadable)?),
        _ => Box::new(reader.into_decoder().map_err(unreadable)?),
    })
}

fn unreadable(e: image::ImageError) -> Error {
    Error::Invalid(format!("not a picture that can be read (PNG, JPEG, WebP, TIFF or BMP expected): {e}"))
}

/// Decodes a picture file's bytes: a PNG, JPEG, WebP, TIFF or BMP, told apart by contents; `hint` is the format where
/// the contents do not say it. Grey, palette, alpha and 16-bit pictures become RGB; an orientation in the metadata is
/// applied; of an animation this is the first frame.
///
/// # Errors
/// [`Error::Invalid`] where the bytes are no such picture or damaged.
pub fn decode(bytes: &[u8], hint: Option<Format>) -> Result<Picture> {
    let _ = hint;
    let mut decoder = open(bytes)?;
    let orientation = decoder.orientation().map_err(unreadable)?;
    // The profile of a grey or CMYK file does not describe the RGB values that we write.
    let icc = decoder.icc_profile().ok().flatten().filter(|icc| icc.get(16..20) == Some(b"RGB "));
    let mut limits = limits();
    limits.reserve(decoder.total_bytes()).and_then(|()| decoder.set_limits(limits)).map_err(unreadable)?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(unreadable)?;
    image.apply_orientation(orientation);
    Ok(Picture::from_image(image, icc))
}

/// Rows and columns of a picture as [`decode`] would give it, from the header.
///
/// # Errors
/// As [`decode`].
pub fn decode_size(bytes: &[u8], hint: Option<Format>) -> Result<(usize, usize)> {
    use image::metadata::Orientation::*;
    let _ = hint;
    let mut decoder = open(bytes)?;
    let (w, h) = decoder.dimensions();
    let turned =
        matches!(decoder.orientation().map_err(unreadable)?, Rotate90 | Rotate270 | Rotate90FlipH | Rotate270FlipH);
    Ok(if turned { (w as usize, h as usize) } else { (h as usize, w as usize) })
}

/// Reads a picture from a file, as [`decode`].
///
/// # Errors
/// [`Error::Io`] where the file cannot be read, [`Error::About`] it where it is no picture or damaged.
pub fn read(path: impl AsRef<Path>) -> Result<Picture> {
    let path = path.as_ref();
    decode(&contents(path)?, Format::from_path(path)).map_err(Error::about(path))
}

/// Rows and columns of a picture as [`read`] would give it.
///
/// # Errors
/// As [`read`].
pub fn size(path: impl AsRef<Path>) -> Result<(usize, usize)> {
    let path = path.as_ref();
    decode_size(&contents(path)?, Format::from_path(path)).map_err(Error::about(path))
}

fn contents(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(Error::io(path))
}
