//! The formats of pictures, by name and by contents.

use std::path::Path;

use crate::error::{Error, Result};

/// A format of picture files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// PNG.
    Png,
    /// JPEG.
    Jpeg,
    /// WebP.
    WebP,
    /// TIFF.
    Tiff,
    /// BMP.
    Bmp,
}

/// Each format and its extensions, the usual one first.
const FORMATS: [(Format, &[&str]); 5] = [
    (Format::Png, &["png"]),
    (Format::Jpeg, &["jpg", "jpeg", "jfif", "jpe", "jif", "jfi"]),
    (Format::WebP, &["webp"]),
    (Format::Tiff, &["tif", "tiff"]),
    (Format::Bmp, &["bmp", "dib"]),
];

impl Format {
    /// All formats.
    pub fn all() -> impl Iterator<Item = Format> {
        FORMATS.into_iter().map(|(format, _)| format)
    }

    /// The extensions of its files, the usual one first, without a dot.
    pub fn extensions(self) -> &'static [&'static str] {
        FORMATS.into_iter().find(|(format, _)| *format == self).map_or(&[], |(_, extensions)| extensions)
    }

    /// The format that an extension names, in any case, without a dot.
    pub fn from_extension(extension: &str) -> Option<Format> {
        Format::all().find(|format| format.extensions().iter().any(|known| known.eq_ignore_ascii_case(extension)))
    }

    /// The format that a path's extension names.
    pub fn from_path(path: impl AsRef<Path>) -> Option<Format> {
        Format::from_extension(path.as_ref().extension()?.to_str()?)
    }

    /// Checks that the format can hold a picture of `h` x `w`: to be asked before a long computation.
    ///
    /// # Errors
    /// [`Error::Invalid`] with what it can hold.
    pub fn check_size(self, h: usize, w: usize) -> Result<()> {
        let (name, most) = match self {
            Format::Jpeg => ("a JPEG", 65_535),
            Format::WebP => ("a WebP", 16_383),
            _ => return Ok(()),
        };
        if w.max(h) <= most {
            return Ok(());
        }
        Err(Error::Invalid(format!("{name} has {most} pixels a side at most, not {w}x{h}: choose another format")))
    }

    /// The format of a file's contents.
    pub fn from_contents(bytes: &[u8]) -> Option<Format> {
        Some(match image::guess_format(bytes).ok()? {
            image::ImageFormat::Png => Format::Png,
            image::ImageFormat::Jpeg => Format::Jpeg,
            image::ImageFormat::WebP => Format::WebP,
            image::ImageFormat::Tiff => Format::Tiff,
            image::ImageFormat::Bmp => Format::Bmp,
            _ => return None,
        })
    }
}

/// All extensions, as a message lists them: `.png .jpg`.
pub(super) fn known_extensions() -> String {
    let all = FORMATS.iter().flat_map(|(_, extensions)| extensions.iter());
    all.map(|extension| format!(".{extension}")).collect::<Vec<_>>().join(" ")
}

/// Checks that [`write()`](super::write()) knows the format of the path's extension: to be asked before a long
/// computation.
///
/// # Errors
/// [`Error::File`] where the extension is none of those that can be written.
pub fn check_format(path: impl AsRef<Path>) -> Result<()> {
    format_of(path).map(drop)
}

/// The format that [`write()`](super::write()) chooses.
pub(super) fn format_of(path: impl AsRef<Path>) -> Result<Format> {
    let path = path.as_ref();
    Format::from_path(path).ok_or_else(|| {
        let known = known_extensions();
        Error::file(path, format!("the extension must say the picture's format, one of {known}"))
    })
}
