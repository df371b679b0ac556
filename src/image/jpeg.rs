//! JPEG.

use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::{ZByteReaderTrait, ZCursor};
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::decoder::check_size;
use super::metadata::{Metadata, Resolution};
use super::note::Note;
use super::picture::{Chroma, Layout, Picture, code8};
use super::{ReadOptions, WriteOptions, colour};
use crate::error::{Error, Result};
use crate::geometry::Flip;

/// Quality where nobody asks for another.
const QUALITY: u8 = 95;
const EXIF: &[u8] = b"Exif\0\0";
const XMP: &[u8] = b"http://ns.adobe.com/xap/1.0/\0";
const MORE_XMP: &[u8] = b"http://ns.adobe.com/xmp/extension/\0";
const PHOTOSHOP: &[u8] = b"Photoshop 3.0\0";
/// What one segment holds.
const SEGMENT: usize = 65533;

/// The segments before the compressed pixels: marker and contents. What stands between them is left out, as by the
/// decoder.
fn segments(bytes: &[u8]) -> Vec<(u8, &[u8])> {
    let (mut found, mut rest) = (vec![], bytes.get(2..).unwrap_or_default());
    while let [first, marker, after @ ..] = rest {
        match marker {
            _ if *first != 0xFF => rest = &rest[1..],
            // Bytes that fill a gap; markers without contents.
            0x00 | 0xFF => rest = &rest[1..],
            0x01 | 0xD0..=0xD8 => rest = after,
            0xD9 | 0xDA => break,
            _ => {
                let Some((length, contents)) = after.split_first_chunk::<2>() else { break };
                let length = usize::from(u16::from_be_bytes(*length)).saturating_sub(2);
                let Some((contents, after)) = contents.split_at_checked(length) else { break };
                found.push((*marker, contents));
                rest = after;
            }
        }
    }
    found
}

/// What the segments say.
struct Header {
    metadata: Metadata,
    flip: Flip,
    icc: Option<Vec<u8>>,
    chroma: Option<Chroma>,
    /// An Adobe program wrote it: inks are stored the other way round.
    adobe: bool,
    notes: Vec<Note>,
}

fn header(bytes: &[u8]) -> Header {
    let mut header = Header {
        metadata: Metadata::default(),
        flip: Flip::default(),
        icc: None,
        chroma: None,
        adobe: false,
        notes: vec![],
    };
    let mut profile: Vec<&[u8]> = vec![];
    for (marker, contents) in segments(bytes) {
        let after = |prefix: &[u8]| contents.strip_prefix(prefix).map(<[u8]>::to_vec);
        match marker {
            0xE0 if contents.starts_with(b"JFIF\0") => header.metadata.resolution = density(contents),
            0xE1 => {
                if let Some(exif) = after(EXIF) {
                    header.flip = header.metadata.set_exif(exif);
                } else if let Some(xmp) = after(XMP) {
                    header.metadata.set_xmp(xmp);
                } else if contents.starts_with(MORE_XMP) {
                    header.notes.push(Note::lost("the XMP is longer than 64 kB: what is over is left out"));
                }
            }
            0xE2 if contents.starts_with(b"ICC_PROFILE\0") => profile.push(contents),
            0xE2 if contents.starts_with(b"MPF\0") => {
                header.notes.push(Note::lost("a second picture in the file (preview, gain map) is left out"));
            }
            0xED => header.metadata.photoshop = after(PHOTOSHOP).or(header.metadata.photoshop),
            0xEE if contents.starts_with(b"Adobe") => header.adobe = true,
            0xFE => header.metadata.comments.push(contents.to_vec()),
            0xC0..=0xC2 => header.chroma = chroma(contents),
            _ => {}
        }
    }
    profile.sort_by_key(|part| part.get(12).copied());
    let profile: Vec<u8> = profile.iter().filter_map(|part| part.get(14..)).flatten().copied().collect();
    header.icc = (!profile.is_empty()).then_some(profile);
    header
}

fn density(jfif: &[u8]) -> Option<Resolution> {
    let &[unit, x0, x1, y0, y1] = jfif.get(7..12)?.first_chunk::<5>()?;
    let (x, y) = (f64::from(u16::from_be_bytes([x0, x1])), f64::from(u16::from_be_bytes([y0, y1])));
    match unit {
        1 => Resolution::new(x, y, true),
        2 => Resolution::new(x * 2.54, y * 2.54, true),
        // One to one says nothing.
        _ => Resolution::new(x, y, false).filter(|_| x != y),
    }
}

/// How the frame's header samples colours, where it is one of the usual ways.
fn chroma(frame: &[u8]) -> Option<Chroma> {
    let factors: Vec<u8> = frame.get(6..)?.chunks_exact(3).map(|component| component[1]).collect();
    match factors[..] {
        [luma, 0x11, 0x11] => match luma {
            0x11 => Some(Chroma::Full),
            0x21 => Some(Chroma::HalfWidth),
            0x12 => Some(Chroma::HalfHeight),
            0x22 => Some(Chroma::Half),
            _ => None,
        },
        _ => None,
    }
}

/// Samples, rows and columns, and their space.
pub(super) type Samples = (Vec<u8>, (usize, usize), ColorSpace);

/// A decoder that has read the headers; rows and columns.
fn opened<T: ZByteReaderTrait>(bytes: T, strict: bool) -> Result<(JpegDecoder<T>, (usize, usize)), String> {
    let options =
        DecoderOptions::default().set_strict_mode(strict).set_max_width(usize::MAX).set_max_height(usize::MAX);
    let mut decoder = JpegDecoder::new_with_options(bytes, options);
    decoder.decode_headers().map_err(text)?;
    let (w, h) = decoder.dimensions().expect("headers are decoded");
    check_size((h, w), 4).map_err(|e| e.to_string())?;
    Ok((decoder, (h, w)))
}

/// The decoder's error, in words.
fn text(e: zune_jpeg::errors::DecodeErrors) -> String {
    e.to_string().trim_matches('"').to_string()
}

/// Decodes into a space that depends on that of the file.
fn samples(bytes: impl ZByteReaderTrait, strict: bool, space: fn(ColorSpace) -> ColorSpace) -> Result<Samples, String> {
    let (mut decoder, size) = opened(bytes, strict)?;
    let output = space(decoder.input_colorspace().expect("headers are decoded"));
    decoder.set_options(decoder.options().jpeg_set_out_colorspace(output));
    Ok((decoder.decode().map_err(text)?, size, output))
}

/// RGB; but inks and grey as they are stored.
fn of_picture(input: ColorSpace) -> ColorSpace {
    match input {
        ColorSpace::Luma | ColorSpace::CMYK | ColorSpace::YCCK => input,
        _ => ColorSpace::RGB,
    }
}

/// The samples as they are stored, rows and columns, and their space.
pub(super) fn stored(bytes: &[u8]) -> Result<Samples, String> {
    samples(ZCursor::new(bytes), true, |input| input)
}

/// Where the compressed pixels end: at the marker of the picture's end.
fn end(bytes: &[u8]) -> Option<usize> {
    let mut at = 2;
    loop {
        at += bytes
            .get(at..)?
            .windows(2)
            .position(|pair| pair[0] == 0xFF && !matches!(pair[1], 0 | 0x01 | 0xD0..=0xD8 | 0xFF))?;
        match bytes[at + 1] {
            0xD9 => return Some(at),
            _ => at += 2 + usize::from(u16::from_be_bytes([*bytes.get(at + 2)?, *bytes.get(at + 3)?])),
        }
    }
}

/// Bytes by which the compressed pixels may be off their end: programs pad.
const SLACK: usize = 8;

/// Tells whether the decoder finds its last pixel before or after where the compressed pixels end: where some of them
/// were overwritten, it mostly finds other codes that are valid, but not as many. Then it does not care what the last
/// bytes are, or it does care what follows them.
fn ends_elsewhere(bytes: &[u8], end: usize, found: &Samples) -> bool {
    let Some(last) = end.checked_sub(SLACK) else { return true };
    let same_with_tail = |place: usize, seed: u32| {
        let tail = (1..1024u32).map(|i| (i.wrapping_mul(seed * 40_503) >> 7 & 0x7F) as u8);
        let file: Vec<u8> = bytes[..place].iter().copied().chain(tail).chain([0xFF, 0xD9]).collect();
        samples(ZCursor::new(&file), true, of_picture).is_ok_and(|other| other.0 == found.0)
    };
    // Bytes that are all alike may be padding. Flat parts may hide what one tail changes.
    let is_padded = bytes[last..end].iter().all(|byte| *byte == bytes[last]);
    !same_with_tail(end, 11) || !is_padded && (1..9).all(|seed| same_with_tail(last, seed))
}

/// The samples, and what is wrong with the file where it is damaged.
fn checked(bytes: &[u8]) -> Result<(Samples, Option<String>), String> {
    let lax = || samples(ZCursor::new(bytes), false, of_picture);
    let Some(end) = end(bytes) else { return Ok((lax()?, Some("it is cut off".into()))) };
    match samples(ZCursor::new(bytes), true, of_picture) {
        Ok(found) => {
            let damage = ends_elsewhere(bytes, end, &found);
            Ok((found, damage.then(|| "its compressed pixels do not end where they should".into())))
        }
        // What stands between headers does no harm.
        Err(text) if text.contains("Extra bytes between headers") => Ok((lax()?, None)),
        Err(text) => Ok((lax()?, Some(text))),
    }
}

fn unreadable(e: String) -> Error {
    Error::Invalid(format!("not a JPEG that can be read: {e}"))
}

pub(super) fn read(bytes: &[u8], options: &ReadOptions) -> Result<Vec<Picture>> {
    let header = header(bytes);
    let ((samples, size, space), damage) = checked(bytes).map_err(unreadable)?;
    let mut picture = match space {
        ColorSpace::Luma => Picture::from_samples(&samples, 255.0, size, Layout { grey: true, alpha: false }),
        ColorSpace::CMYK | ColorSpace::YCCK => {
            let inks = inks(samples, space == ColorSpace::YCCK, header.adobe);
            colour::from_cmyk(&inks, size, header.icc.as_deref())?
        }
        _ => Picture::from_samples(&samples, 255.0, size, Layout { grey: false, alpha: false }),
    };
    colour::set_profile(&mut picture, header.icc);
    picture.chroma = header.chroma;
    picture.metadata = header.metadata;
    picture.notes.extend(header.notes);
    options.damaged(&mut picture, damage)?;
    Ok(vec![picture.oriented(header.flip)])
}

pub(super) fn size(bytes: &[u8]) -> Result<(usize, usize)> {
    let (_, (h, w)) = opened(ZCursor::new(bytes), false).map_err(unreadable)?;
    Ok(if header(bytes).flip.transpose { (w, h) } else { (h, w) })
}

/// Ink amounts from 0 = none to 255, from what is stored.
fn inks(mut samples: Vec<u8>, ycck: bool, adobe: bool) -> Vec<u8> {
    for pixel in samples.as_chunks_mut::<4>().0 {
        if ycck {
            let [y, cb, cr] = [pixel[0], pixel[1], pixel[2]].map(f32::from);
            let rgb = colour::ycbcr_to_rgb([y, cb - 128.0, cr - 128.0], colour::BT601);
            // The three are stored as the red, green and blue that they leave.
            (0..3).for_each(|c| pixel[c] = 255 - rgb[c].clamp(0.0, 255.0).round() as u8);
        }
        if adobe {
            pixel.iter_mut().for_each(|ink| *ink = 255 - *ink);
        }
    }
    samples
}

pub(super) fn write(picture: &Picture, layout: Layout, options: &WriteOptions) -> Result<Vec<u8>> {
    use jpeg_encoder::{ColorType, Encoder, PixelDensity, PixelDensityUnit, SamplingFactor};
    let (h, w) = picture.size();
    let quality = options.quality.unwrap_or(QUALITY);
    let mut out = vec![];
    let mut encoder = Encoder::new(&mut out, quality);
    let chroma = options.chroma.or(picture.chroma).unwrap_or(if quality >= 90 { Chroma::Full } else { Chroma::Half });
    encoder.set_sampling_factor(match chroma {
        Chroma::Full => SamplingFactor::F_1_1,
        Chroma::HalfWidth => SamplingFactor::F_2_1,
        Chroma::HalfHeight => SamplingFactor::F_1_2,
        Chroma::Half => SamplingFactor::F_2_2,
    });
    let failed = |e: jpeg_encoder::EncodingError| Error::Invalid(format!("cannot be written as JPEG: {e}"));
    let metadata = &picture.metadata;
    if let Some(Resolution { x, y, absolute }) = metadata.resolution {
        let round = |v: f64| v.round().clamp(1.0, 65535.0) as u16;
        let unit = if absolute { PixelDensityUnit::Inches } else { PixelDensityUnit::PixelAspectRatio };
        encoder.set_density(PixelDensity { density: (round(x), round(y)), unit });
    }
    let segment = |prefix: &[u8], contents: &Option<Vec<u8>>| {
        let contents = contents.as_ref().filter(|contents| fits_segment(prefix, contents));
        contents.map(|contents| [prefix, contents].concat())
    };
    for (number, data) in [
        (1, segment(EXIF, &metadata.exif)),
        (1, segment(XMP, &metadata.xmp)),
        (13, segment(PHOTOSHOP, &metadata.photoshop)),
    ] {
        data.map_or(Ok(()), |data| encoder.add_app_segment(number, data)).map_err(failed)?;
    }
    if let Some(icc) = &picture.icc {
        encoder.add_icc_profile(icc).map_err(failed)?;
    }
    let colour = if layout.grey { ColorType::Luma } else { ColorType::Rgb };
    encoder.encode(&picture.interleaved(layout, code8), w as u16, h as u16, colour).map_err(failed)?;
    Ok(with_comments(out, &metadata.comments))
}

/// Puts comments behind the marker that begins the file, for which the encoder has no place.
fn with_comments(jpeg: Vec<u8>, comments: &[Vec<u8>]) -> Vec<u8> {
    // JFIF's segment must stay the first.
    let first = 4 + usize::from(u16::from_be_bytes([jpeg[4], jpeg[5]]));
    let mut out = jpeg[..first].to_vec();
    for comment in comments {
        out.extend([0xFF, 0xFE]);
        out.extend((comment.len() as u16 + 2).to_be_bytes());
        out.extend(comment);
    }
    out.extend(&jpeg[first..]);
    out
}

/// Whether one segment holds it.
pub(super) fn fits_segment(prefix: &[u8], contents: &[u8]) -> bool {
    prefix.len() + contents.len() <= SEGMENT
}

/// What of the metadata is too long for a segment.
pub(super) fn too_long(metadata: &Metadata) -> Vec<&'static str> {
    let parts = [(EXIF, &metadata.exif, "EXIF"), (XMP, &metadata.xmp, "XMP"), (PHOTOSHOP, &metadata.photoshop, "IPTC")];
    let long = |prefix, contents: &Option<Vec<u8>>| contents.as_ref().is_some_and(|c| !fits_segment(prefix, c));
    parts.into_iter().filter(|(prefix, contents, _)| long(prefix, contents)).map(|(_, _, name)| name).collect()
}
