//! PNG.

use image::codecs::png::PngDecoder;
use image::{AnimationDecoder, ImageDecoder, Limits};
use png::{BitDepth, ColorType, Compression, Encoder, Info, PixelDimensions, Unit, chunk::ChunkType};
use std::borrow::Cow;
use std::io::Cursor;
use std::time::Duration;

use super::decoder::{check_size, frames, still, unreadable};
use super::metadata::{INCHES, Metadata, Resolution};
use super::note::Note;
use super::picture::{Depth, Layout, Picture, code8, code16};
use super::{PngEffort, ReadOptions, WriteOptions, colour};
use crate::error::{Error, Result};
use crate::geometry::Flip;

/// How an XMP packet's text chunk begins: its keyword, not compressed, in no language.
const XMP: &[u8] = b"XML:com.adobe.xmp\0\0\0\0\0";
/// The most that a colour profile may take when it is unpacked.
const MOST_OF_PROFILE: u64 = 16 << 20;

/// The chunks: name and contents.
fn chunks(bytes: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    let mut rest = bytes.get(8..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let (name, after) = after.split_first_chunk::<4>()?;
        let (contents, after) = after.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        rest = after.get(4..)?;
        Some((*name, contents))
    })
}

/// What the chunks say.
#[derive(Default)]
struct Header {
    metadata: Metadata,
    flip: Flip,
    has_profile: bool,
    has_palette: bool,
    frames: u32,
    /// Bytes of the pixels.
    size: u64,
}

fn header(bytes: &[u8]) -> Header {
    let mut header = Header { frames: 1, ..Header::default() };
    for (name, contents) in chunks(bytes) {
        let metadata = &mut header.metadata;
        match &name {
            b"IHDR" => {
                let side = |at| {
                    contents.get(at..at + 4).map_or(0, |b| u64::from(u32::from_be_bytes(b.try_into().expect("four"))))
                };
                header.size = side(0).saturating_mul(side(4)).saturating_mul(8);
                header.has_palette = contents.get(9) == Some(&3);
            }
            b"iCCP" => header.has_profile = true,
            b"acTL" => {
                if let Some((frames, loops)) = contents.split_first_chunk::<4>() {
                    header.frames = u32::from_be_bytes(*frames);
                    metadata.loops = loops.first_chunk().map_or(0, |loops| u32::from_be_bytes(*loops));
                }
            }
            b"gAMA" | b"cHRM" | b"sRGB" | b"cICP" | b"mDCV" | b"cLLI" => {
                metadata.colour_chunks.push((name, contents.to_vec()));
            }
            b"pHYs" => metadata.resolution = resolution(contents),
            b"eXIf" => header.flip = metadata.set_exif(contents.to_vec()),
            b"iTXt" if contents.starts_with(XMP) => metadata.set_xmp(contents[XMP.len()..].to_vec()),
            b"tEXt" | b"zTXt" | b"iTXt" | b"tIME" => metadata.texts.push((name, contents.to_vec())),
            _ => {}
        }
    }
    header
}

fn resolution(contents: &[u8]) -> Option<Resolution> {
    let (x, rest) = contents.split_first_chunk::<4>()?;
    let (y, unit) = rest.split_first_chunk::<4>()?;
    let [x, y] = [x, y].map(|side| f64::from(u32::from_be_bytes(*side)));
    match unit.first()? {
        1 => Resolution::new(x / INCHES, y / INCHES, true),
        _ => Resolution::new(x, y, false),
    }
}

pub(super) fn read(bytes: &[u8], options: &ReadOptions) -> Result<Vec<Picture>> {
    let header = header(bytes);
    let mut limits = Limits::no_limits();
    // Room for the pixels of two frames; a profile that claims more than is left is left out.
    limits.max_alloc = Some(header.size.saturating_mul(2).saturating_add(MOST_OF_PROFILE));
    let mut decoder = PngDecoder::with_limits(Cursor::new(bytes), limits).map_err(unreadable("PNG"))?;
    let icc = decoder.icc_profile().ok().flatten();
    let deep =
        decoder.original_color_type().bits_per_pixel() / u16::from(decoder.original_color_type().channel_count()) > 8;
    let mut pictures = if header.frames > 1 {
        let (w, h) = decoder.dimensions();
        check_size((h as usize, w as usize), 4)?;
        frames(decoder.apng().map_err(unreadable("PNG"))?.into_frames(), "PNG", options)?
    } else {
        vec![still(decoder, options)?]
    };
    if header.has_palette {
        super::decoder::grey_where_all_are(&mut pictures, icc.as_deref());
    }
    for picture in &mut pictures {
        picture.metadata = header.metadata.clone();
        if header.has_profile && icc.is_none() {
            picture.notes.push(Note::lost("its colour profile is damaged, or larger than 16 MB unpacked: left out"));
        }
        if header.frames > 1 && deep {
            picture.notes.push(Note::converted("16 bits a value became 8 in the frames of an animation"));
        }
        colour::set_profile(picture, icc.clone());
    }
    Ok(pictures.into_iter().map(|picture| picture.oriented(header.flip)).collect())
}

pub(super) fn is_turned(bytes: &[u8]) -> bool {
    header(bytes).flip.transpose
}

pub(super) fn write(pictures: &[Picture], layout: Layout, options: &WriteOptions) -> Result<Vec<u8>> {
    let first = &pictures[0];
    let (h, w) = first.size();
    let metadata = &first.metadata;
    let mut info = Info::with_size(w as u32, h as u32);
    info.color_type = match (layout.grey, layout.alpha) {
        (true, false) => ColorType::Grayscale,
        (true, true) => ColorType::GrayscaleAlpha,
        (false, false) => ColorType::Rgb,
        (false, true) => ColorType::Rgba,
    };
    let deep = first.depth != Depth::Eight;
    info.bit_depth = if deep { BitDepth::Sixteen } else { BitDepth::Eight };
    info.icc_profile = first.icc.as_deref().map(Cow::Borrowed);
    info.exif_metadata = metadata.exif.as_deref().map(Cow::Borrowed);
    info.pixel_dims = metadata.resolution.map(|Resolution { x, y, absolute }| {
        let code = |v: f64| (if absolute { v * INCHES } else { v }).round().clamp(1.0, f64::from(i32::MAX)) as u32;
        PixelDimensions { xppu: code(x), yppu: code(y), unit: if absolute { Unit::Meter } else { Unit::Unspecified } }
    });
    let mut out = vec![];
    let mut encoder = Encoder::with_info(&mut out, info).map_err(failed)?;
    encoder.set_compression(match options.png_effort {
        PngEffort::Fast => Compression::Fast,
        PngEffort::Balanced => Compression::Balanced,
        PngEffort::Best => Compression::High,
    });
    if pictures.len() > 1 {
        encoder.set_animated(pictures.len() as u32, metadata.loops).map_err(failed)?;
    }
    let mut writer = encoder.write_header().map_err(failed)?;
    let xmp = metadata.xmp.as_ref().map(|xmp| (*b"iTXt", [XMP, xmp].concat()));
    let comments = metadata.comments.iter().map(|comment| (*b"tEXt", [b"Comment\0", comment.as_slice()].concat()));
    for (name, contents) in metadata.colour_chunks.iter().chain(&metadata.texts).cloned().chain(xmp).chain(comments) {
        writer.write_chunk(ChunkType(name), &contents).map_err(failed)?;
    }
    for picture in pictures {
        if pictures.len() > 1 {
            let (numerator, denominator) = delay(picture.delay.unwrap_or_default());
            writer.set_frame_delay(numerator, denominator).map_err(failed)?;
        }
        let data = match deep {
            true => picture.interleaved(layout, code16).iter().flat_map(|code| code.to_be_bytes()).collect(),
            false => picture.interleaved(layout, code8),
        };
        writer.write_image_data(&data).map_err(failed)?;
    }
    writer.finish().map_err(failed)?;
    Ok(out)
}

/// A frame's time as a fraction of a second.
fn delay(time: Duration) -> (u16, u16) {
    match u16::try_from(time.as_millis()) {
        Ok(milliseconds) => (milliseconds, 1000),
        Err(_) => (u16::try_from(time.as_secs()).unwrap_or(u16::MAX), 1),
    }
}

fn failed(e: png::EncodingError) -> Error {
    Error::Invalid(format!("cannot be written as PNG: {e}"))
}
