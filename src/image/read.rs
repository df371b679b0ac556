//! Pictures in: from a file's bytes.

use std::path::Path;

use super::format::{known_names, refusal};
use super::note::Note;
use super::{Format, Picture, jpeg, plain, png, tiff, webp};
use crate::error::{Error, Result};

/// How to read pictures.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ReadOptions {
    /// Reads what there is of a damaged file; [`Picture::damage`] then says what is wrong. Otherwise that is an error.
    pub damaged: bool,
}

impl ReadOptions {
    /// Reads what there is of damaged files, or not.
    pub fn with_damaged(self, damaged: bool) -> ReadOptions {
        ReadOptions { damaged }
    }

    /// Notes what is wrong with a picture's file, or makes it an error.
    pub(super) fn damaged(&self, picture: &mut Picture, damage: Option<String>) -> Result<()> {
        match damage {
            None => Ok(()),
            Some(text) if self.damaged => {
                picture.notes.push(Note::Damaged(format!("the file is damaged: {text}")));
                Ok(())
            }
            Some(text) => Err(Error::Damaged(text)),
        }
    }
}

/// The format of a file's bytes, by contents, or by `hint` where they do not show it.
fn format(bytes: &[u8], hint: Option<Format>) -> Result<Format> {
    if let Some(text) = refusal(bytes) {
        return Err(Error::Invalid(text.into()));
    }
    if bytes.is_empty() {
        return Err(Error::Invalid("the file is empty".into()));
    }
    // TGA alone has nothing to be known by.
    Format::from_contents(bytes)
        .or(hint.filter(|&format| format == Format::Tga))
        .ok_or_else(|| Error::Invalid(format!("not a picture that can be read ({} expected)", known_names())))
}

/// Decodes the one picture of a file's bytes: PNG, JPEG, WebP, TIFF, BMP, GIF, PNM, QOI, Radiance HDR or OpenEXR, told
/// apart by contents; TGA where `hint` says so. An orientation in the metadata is applied; what was converted or lost
/// is in [`Picture::notes`]. `docs/formats.md` has it all.
///
/// # Errors
/// [`Error::Invalid`] where the bytes are no such picture, or hold several ([`decode_pages`]); [`Error::Damaged`].
pub fn decode(bytes: &[u8], hint: Option<Format>) -> Result<Picture> {
    let mut pictures = decode_pages(bytes, hint, &ReadOptions::default())?;
    match pictures.len() {
        1 => Ok(pictures.remove(0)),
        count => Err(Error::Invalid(format!("holds {count} pictures; only one is expected here"))),
    }
}

/// Decodes all pictures of a file's bytes: the pages of a TIFF, the frames of an animated PNG, WebP or GIF, each as it
/// is seen; one or more.
///
/// # Errors
/// [`Error::Invalid`] where the bytes are no such picture; [`Error::Damaged`], but see [`ReadOptions::with_damaged`].
pub fn decode_pages(bytes: &[u8], hint: Option<Format>, options: &ReadOptions) -> Result<Vec<Picture>> {
    let pictures = match format(bytes, hint)? {
        Format::Png => png::read(bytes, options),
        Format::Jpeg => jpeg::read(bytes, options),
        Format::WebP => webp::read(bytes, options),
        Format::Tiff => tiff::read(bytes, options),
        other => plain::read(bytes, other, options),
    }?;
    Ok(pictures.into_iter().map(Picture::filled).collect())
}

/// Rows and columns of a picture, of the first where there are several, as [`decode_pages`] would give it; from the
/// header.
///
/// # Errors
/// As [`decode_pages`], as far as the header shows.
pub fn decode_size(bytes: &[u8], hint: Option<Format>) -> Result<(usize, usize)> {
    let format = format(bytes, hint)?;
    match format {
        Format::Jpeg => jpeg::size(bytes),
        Format::Tiff => tiff::size(bytes),
        Format::Png => plain::size(bytes, format).map(|(h, w)| if png::is_turned(bytes) { (w, h) } else { (h, w) }),
        Format::WebP => plain::size(bytes, format).map(|(h, w)| if webp::is_turned(bytes) { (w, h) } else { (h, w) }),
        _ => plain::size(bytes, format),
    }
}

/// Reads the one picture of a file, as [`decode`].
///
/// # Errors
/// [`Error::Io`] where the file cannot be read; [`Error::About`] it as [`decode`].
pub fn read(path: impl AsRef<Path>) -> Result<Picture> {
    let path = path.as_ref();
    decode(&contents(path)?, Format::from_path(path)).map_err(Error::about(path))
}

/// Reads all pictures of a file, as [`decode_pages`].
///
/// # Errors
/// [`Error::Io`] where the file cannot be read; [`Error::About`] it as [`decode_pages`].
pub fn read_pages(path: impl AsRef<Path>, options: &ReadOptions) -> Result<Vec<Picture>> {
    let path = path.as_ref();
    decode_pages(&contents(path)?, Format::from_path(path), options).map_err(Error::about(path))
}

/// Rows and columns of a file's picture, as [`decode_size`].
///
/// # Errors
/// [`Error::Io`] where the file cannot be read; [`Error::About`] it as [`decode_size`].
pub fn size(path: impl AsRef<Path>) -> Result<(usize, usize)> {
    let path = path.as_ref();
    decode_size(&contents(path)?, Format::from_path(path)).map_err(Error::about(path))
}

fn contents(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(Error::io(path))
}
