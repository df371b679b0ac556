//! Pictures out: to a file's bytes.

use std::borrow::Cow;
use std::path::Path;

use super::format::{Abilities, Alpha, Several, format_of};
use super::note::Note;
use super::picture::{Chroma, Depth, Layout};
use super::{Format, Picture, alpha, colour, jpeg, plain, png, tiff, webp};
use crate::error::{Error, Result};
use crate::file::atomic_write;

/// How hard to try to make a PNG small.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum PngEffort {
    /// Quickly.
    Fast,
    /// As most programs do.
    #[default]
    Balanced,
    /// As small as it gets.
    Best,
}

/// How a TIFF is compressed; all lose nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TiffCompression {
    /// Not at all.
    None,
    /// LZW.
    Lzw,
    /// Deflate.
    #[default]
    Deflate,
    /// PackBits.
    PackBits,
}

/// How to encode pictures.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct WriteOptions {
    /// Quality of JPEG and WebP, 1 to 100; None = 95 for JPEG, lossless for WebP.
    pub quality: Option<u8>,
    /// How finely a JPEG stores colours; None = as the picture's JPEG did; else finely from quality 90 on, halved below.
    pub chroma: Option<Chroma>,
    /// How hard to try to make a PNG small.
    pub png_effort: PngEffort,
    /// How a TIFF is compressed.
    pub tiff_compression: TiffCompression,
    /// Red, green and blue in [0, 1] behind transparent pixels, where the format has no transparency.
    pub background: [f32; 3],
    /// Leaves all metadata out but what the colours need.
    pub strip: bool,
}

impl Default for WriteOptions {
    fn default() -> Self {
        WriteOptions {
            quality: None,
            chroma: None,
            png_effort: PngEffort::default(),
            tiff_compression: TiffCompression::default(),
            background: [1.0; 3],
            strip: false,
        }
    }
}

impl WriteOptions {
    /// With this quality of JPEG and WebP, 1 to 100.
    pub fn with_quality(self, quality: u8) -> WriteOptions {
        WriteOptions { quality: Some(quality), ..self }
    }

    /// With colours of a JPEG this fine.
    pub fn with_chroma(self, chroma: Chroma) -> WriteOptions {
        WriteOptions { chroma: Some(chroma), ..self }
    }

    /// With this effort for PNG.
    pub fn with_png_effort(self, png_effort: PngEffort) -> WriteOptions {
        WriteOptions { png_effort, ..self }
    }

    /// With this compression of TIFF.
    pub fn with_tiff_compression(self, tiff_compression: TiffCompression) -> WriteOptions {
        WriteOptions { tiff_compression, ..self }
    }

    /// With red, green and blue in [0, 1] behind transparent pixels, where the format has no transparency.
    pub fn with_background(self, background: [f32; 3]) -> WriteOptions {
        WriteOptions { background, ..self }
    }

    /// Leaves all metadata out but what the colours need.
    pub fn with_strip(self, strip: bool) -> WriteOptions {
        WriteOptions { strip, ..self }
    }
}

/// Says what of these pictures a format does not hold, and what it holds in another form: to be asked before a long
/// computation.
///
/// # Errors
/// [`Error::Invalid`] where the format cannot hold the pictures at all: as many, as large, HDR.
pub fn check(pictures: &[Picture], format: Format, options: &WriteOptions) -> Result<Vec<Note>> {
    let cannot = |why: String| Err(Error::Invalid(format!("cannot be written as {format}: {why}")));
    let abilities = format.abilities();
    let Some(first) = pictures.first() else { return cannot("there is no picture".into()) };
    if options.quality.is_some_and(|quality| !(1..=100).contains(&quality)) {
        return cannot("the quality must be from 1 to 100".into());
    }
    let any = |holds: fn(&Picture) -> bool| pictures.iter().any(holds);
    for (h, w) in pictures.iter().map(Picture::size) {
        format.check_size(h, w)?;
    }
    let mut notes = vec![];
    let count = pictures.len();
    if count > 1 {
        let animated = any(|picture| picture.delay.is_some());
        match (abilities.several, animated) {
            (Several::Frames, true) if pictures.iter().any(|picture| picture.size() != first.size()) => {
                return cannot("its frames differ in size".into());
            }
            (Several::Frames, true) | (Several::Pages, false) => {}
            (Several::Pages, true) => {
                notes.push(Note::converted("frames became pages, without the time that each is shown"));
            }
            (_, true) => return cannot(format!("{count} frames of an animation, which .png .webp .gif hold")),
            (_, false) => return cannot(format!("{count} pages, which .tif holds")),
        }
    }
    if any(|picture| picture.log.is_some()) && !abilities.float {
        let top = pictures.iter().filter_map(|picture| picture.log).map(|log| log.top).fold(0.0, f32::max);
        return cannot(format!("values up to {top} (HDR), which .tif, .exr and .hdr hold"));
    }
    if abilities.light && any(|picture| picture.log.is_none()) {
        return cannot("it holds light, and the picture codes for a screen; .png or .tif hold those".into());
    }
    if any(|picture| colour::is_coded_for_hdr(&picture.metadata)) && format != Format::Png {
        return cannot("its colours are coded for HDR screens (PQ or HLG), which .png holds".into());
    }
    notes.extend(values(pictures, format, &abilities, options));
    notes.extend(colours(pictures, format, &abilities));
    if !options.strip {
        notes.extend(metadata(first, format, &abilities));
    }
    Ok(notes)
}

/// What becomes of depth and transparency.
fn values(pictures: &[Picture], format: Format, abilities: &Abilities, options: &WriteOptions) -> Vec<Note> {
    let mut notes = vec![];
    let any = |holds: fn(&Picture) -> bool| pictures.iter().any(holds);
    if any(|picture| picture.depth == Depth::Float) && !abilities.float {
        notes.push(Note::converted(format!("floating point became {} bits", if abilities.sixteen { 16 } else { 8 })));
    } else if any(|picture| picture.depth == Depth::Sixteen) && !abilities.sixteen {
        notes.push(Note::converted("16 bits a value became 8"));
    }
    if any(|picture| picture.alpha.is_some()) {
        let white = options.background == [1.0; 3];
        match abilities.alpha {
            Alpha::None => notes.push(Note::converted(format!(
                "transparent pixels are laid over {}, as {format} has no transparency",
                if white { "white" } else { "the background" }
            ))),
            Alpha::OnOff if any(|p| p.alpha.iter().flatten().any(|&a| a > 0.0 && a < 1.0)) => {
                notes.push(Note::lost(format!(
                    "pixels that are partly transparent become opaque: {format} has no such"
                )));
            }
            Alpha::OnOff | Alpha::Full => {}
        }
    }
    if format == Format::Gif {
        notes.push(Note::converted("colours became a palette of 256"));
    }
    notes
}

/// Tells whether a picture's profile has no place in a format.
fn needs_srgb(picture: &Picture, abilities: &Abilities) -> bool {
    let grey_is_lost = picture.grey && !abilities.grey[usize::from(picture.alpha.is_some())];
    (!abilities.icc || grey_is_lost) && !abilities.light && picture.log.is_none()
}

/// What becomes of the colours' meaning.
fn colours(pictures: &[Picture], format: Format, abilities: &Abilities) -> Vec<Note> {
    let first = &pictures[0];
    let mut notes = vec![];
    if pictures.iter().any(|picture| needs_srgb(picture, abilities) && colour::differs_from_srgb(picture)) {
        notes.push(Note::converted(format!("colours became sRGB, as {format} has no place for their profile")));
    } else if abilities.light && first.icc.is_some() {
        notes.push(Note::lost(format!("the colour profile is left out: {format} has no place for it")));
    } else if format != Format::Png && first.icc.is_none() && colour::differs_from_srgb(first) {
        notes.push(Note::converted("what PNG's chunks say of the colours became a colour profile"));
    }
    notes
}

/// What of the metadata has no place.
fn metadata(picture: &Picture, format: Format, abilities: &Abilities) -> Option<Note> {
    let data = &picture.metadata;
    let mut lost: Vec<&str> = [
        (data.exif.is_some() && !abilities.exif, "EXIF"),
        (data.xmp.is_some() && !abilities.xmp, "XMP"),
        (data.photoshop.is_some() && !abilities.iptc, "IPTC"),
        (data.resolution.is_some() && !abilities.resolution, "the resolution"),
        (!data.texts.is_empty() && !abilities.texts, "PNG's texts"),
        (!data.comments.is_empty() && !abilities.comments, "comments"),
    ]
    .into_iter()
    .filter_map(|(is_lost, name)| is_lost.then_some(name))
    .collect();
    if format == Format::Jpeg {
        lost.extend(jpeg::too_long(data));
    }
    let (is, them) = if lost.len() == 1 { ("is", "it") } else { ("are", "them") };
    (!lost.is_empty())
        .then(|| Note::lost(format!("{} {is} left out: {format} has no place for {them}", lost.join(", "))))
}

/// Encodes a picture as [`check`] says. Values are clipped to [0, 1] and rounded to nearest.
///
/// # Errors
/// [`Error::Invalid`] as [`check`].
pub fn encode(picture: &Picture, format: Format, options: &WriteOptions) -> Result<Vec<u8>> {
    encode_pages(std::slice::from_ref(picture), format, options)
}

/// Encodes the pages of a TIFF, or the frames of an animation, as [`check`] says; one picture as [`encode`].
///
/// # Errors
/// [`Error::Invalid`] as [`check`].
pub fn encode_pages(pictures: &[Picture], format: Format, options: &WriteOptions) -> Result<Vec<u8>> {
    check(pictures, format, options)?;
    let abilities = format.abilities();
    let prepared: Vec<Cow<Picture>> = pictures.iter().map(|picture| prepared(picture, format, options)).collect();
    let pictures: Cow<[Picture]> = match prepared.iter().all(|picture| matches!(picture, Cow::Borrowed(_))) {
        true => Cow::Borrowed(pictures),
        false => Cow::Owned(prepared.into_iter().map(Cow::into_owned).collect()),
    };
    let alpha = pictures.iter().any(|picture| picture.alpha.is_some());
    let grey = pictures.iter().all(|picture| picture.grey) && abilities.grey[usize::from(alpha)];
    let layout = Layout { grey, alpha };
    match format {
        Format::Png => png::write(&pictures, layout, options),
        Format::Jpeg => jpeg::write(&pictures[0], layout, options),
        Format::WebP => webp::write(&pictures, layout, options),
        Format::Tiff => tiff::write(&pictures, options),
        other => plain::write(&pictures, other, layout),
    }
}

/// A picture of which a format holds all that is left.
fn prepared<'a>(picture: &'a Picture, format: Format, options: &WriteOptions) -> Cow<'a, Picture> {
    let abilities = format.abilities();
    let mut picture = Cow::Borrowed(picture);
    if options.strip {
        let stripped = picture.metadata.stripped();
        if picture.metadata != stripped {
            picture.to_mut().metadata = stripped;
        }
    }
    if needs_srgb(&picture, &abilities) && colour::profile(&picture).is_some() {
        picture = Cow::Owned(colour::into_srgb(picture.into_owned()));
    } else if abilities.icc && format != Format::Png && picture.icc.is_none() {
        // Only PNG has the chunks that say what colours mean.
        if let Some(icc) = colour::profile(&picture) {
            picture.to_mut().icc = Some(icc);
        }
    }
    if abilities.alpha == Alpha::None && picture.alpha.is_some() {
        let picture = picture.to_mut();
        let alpha = picture.alpha.take().expect("just seen");
        let background = match picture.log {
            Some(log) => options.background.map(|v| log.apply(v).min(1.0)),
            None => options.background,
        };
        picture.grey &= background[0] == background[1] && background[1] == background[2];
        alpha::flatten(&mut picture.tensor, &alpha, background);
    }
    picture
}

/// Writes a picture in the format of the path's extension, as [`encode`] with default options. An existing file is
/// replaced only once the new one is complete ([`atomic_write`]).
///
/// # Errors
/// [`Error::File`] for another extension; [`Error::About`] the path as [`encode`]; [`Error::Io`] where writing fails.
pub fn write(path: impl AsRef<Path>, picture: &Picture) -> Result<()> {
    write_pages(path, std::slice::from_ref(picture), &WriteOptions::default())
}

/// As [`write()`], with options, and all pages of a TIFF or frames of an animation.
///
/// # Errors
/// As [`write()`].
pub fn write_pages(path: impl AsRef<Path>, pictures: &[Picture], options: &WriteOptions) -> Result<()> {
    let path = path.as_ref();
    let bytes = encode_pages(pictures, format_of(path)?, options).map_err(Error::about(path))?;
    atomic_write(path, |writer| writer.write_all(&bytes).map_err(Error::io(path)))
}

/// As [`write()`], 8-bit codes of a picture of `h` x `w`: red, green and blue of one pixel after the other.
#[cfg(feature = "lab")]
pub(crate) fn write_codes(path: impl AsRef<Path>, size: (usize, usize), codes: &[u8]) -> Result<()> {
    write(path, &Picture::from_samples(codes, 255.0, size, Layout { grey: false, alpha: false }))
}
