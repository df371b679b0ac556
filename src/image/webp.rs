//! WebP: lossless, lossy, and animations of either.

use image::codecs::webp::{WebPDecoder, WebPEncoder};
use image::metadata::LoopCount;
use image::{AnimationDecoder, ExtendedColorType, ImageDecoder};
use std::io::Cursor;

use super::decoder::{animation, check_size, still, unreadable};
use super::metadata::Metadata;
use super::picture::{Layout, Picture, code8};
use super::{ReadOptions, WriteOptions, colour};
use crate::error::{Error, Result};
use crate::geometry::Flip;

pub(super) fn read(bytes: &[u8], options: &ReadOptions) -> Result<Vec<Picture>> {
    let mut decoder = WebPDecoder::new(Cursor::new(bytes)).map_err(unreadable("WebP"))?;
    let (w, h) = decoder.dimensions();
    check_size((h as usize, w as usize), 4)?;
    let mut metadata = Metadata::default();
    let (icc, exif, xmp) = (decoder.icc_profile(), decoder.exif_metadata(), decoder.xmp_metadata());
    let flip = exif.ok().flatten().map_or(Flip::default(), |exif| metadata.set_exif(exif));
    xmp.ok().flatten().into_iter().for_each(|xmp| metadata.set_xmp(xmp));
    let mut pictures = if decoder.has_animation() {
        metadata.loops = loops(decoder.loop_count());
        animation(decoder, "WebP", options)?
    } else {
        vec![still(decoder, options)?]
    };
    let icc = icc.ok().flatten();
    for picture in &mut pictures {
        picture.metadata = metadata.clone();
        colour::set_profile(picture, icc.clone());
    }
    Ok(pictures.into_iter().map(|picture| picture.oriented(flip)).collect())
}

pub(super) fn is_turned(bytes: &[u8]) -> bool {
    let exif = WebPDecoder::new(Cursor::new(bytes)).and_then(|mut decoder| decoder.exif_metadata());
    exif.ok().flatten().is_some_and(|exif| Metadata::default().set_exif(exif).transpose)
}

/// How often an animation is shown; 0 = for ever.
pub(super) fn loops(count: LoopCount) -> u32 {
    match count {
        LoopCount::Infinite => 0,
        LoopCount::Finite(count) => count.get(),
    }
}

/// What the header of an extended file says is in it.
mod flag {
    pub(super) const ANIMATION: u8 = 0x02;
    pub(super) const XMP: u8 = 0x04;
    pub(super) const EXIF: u8 = 0x08;
    pub(super) const ALPHA: u8 = 0x10;
    pub(super) const ICC: u8 = 0x20;
}

pub(super) fn write(pictures: &[Picture], layout: Layout, options: &WriteOptions) -> Result<Vec<u8>> {
    let first = &pictures[0];
    let size = first.size();
    let Metadata { exif, xmp, loops, .. } = &first.metadata;
    let animated = pictures.len() > 1;
    let present = |there: bool, flag: u8| if there { flag } else { 0 };
    let flags = present(animated, flag::ANIMATION)
        | present(xmp.is_some(), flag::XMP)
        | present(exif.is_some(), flag::EXIF)
        | present(layout.alpha, flag::ALPHA)
        | present(first.icc.is_some(), flag::ICC);
    let mut header = vec![flags, 0, 0, 0];
    header.extend(sides(size));

    let mut chunks = chunk(b"VP8X", &header);
    chunks.extend(first.icc.iter().flat_map(|icc| chunk(b"ICCP", icc)));
    if animated {
        let loops = u16::try_from(*loops).unwrap_or(u16::MAX).to_le_bytes();
        chunks.extend(chunk(b"ANIM", &[&[0; 4], loops.as_slice()].concat()));
    }
    for picture in pictures {
        let pixels = pixels(picture, layout, options.quality)?;
        if animated {
            // At the top left; for so long; in place of what was there.
            let time = picture.delay.unwrap_or_default().as_millis().min((1 << 24) - 1) as u32;
            let mut frame = vec![0; 6];
            frame.extend(sides(size));
            frame.extend(&time.to_le_bytes()[..3]);
            frame.push(0x02);
            frame.extend(pixels);
            chunks.extend(chunk(b"ANMF", &frame));
        } else {
            chunks.extend(pixels);
        }
    }
    chunks.extend(exif.iter().flat_map(|exif| chunk(b"EXIF", exif)));
    chunks.extend(xmp.iter().flat_map(|xmp| chunk(b"XMP ", xmp)));
    Ok(chunk(b"RIFF", &[b"WEBP", chunks.as_slice()].concat()))
}

/// Width and height, less one, in 24 bits each.
fn sides((h, w): (usize, usize)) -> Vec<u8> {
    [w, h].iter().flat_map(|side| (*side as u32 - 1).to_le_bytes().into_iter().take(3)).collect()
}

fn chunk(name: &[u8; 4], contents: &[u8]) -> Vec<u8> {
    let mut out = name.to_vec();
    out.extend((contents.len() as u32).to_le_bytes());
    out.extend(contents);
    out.resize(out.len().next_multiple_of(2), 0);
    out
}

/// The chunks of one picture's pixels.
fn pixels(picture: &Picture, layout: Layout, quality: Option<u8>) -> Result<Vec<u8>> {
    let (h, w) = picture.size();
    let codes = picture.interleaved(layout, code8);
    let file = match quality {
        None => {
            let mut file = vec![];
            let colour = if layout.alpha { ExtendedColorType::Rgba8 } else { ExtendedColorType::Rgb8 };
            WebPEncoder::new_lossless(&mut file)
                .encode(&codes, w as u32, h as u32, colour)
                .map_err(|e| Error::Invalid(format!("cannot be written as WebP: {e}")))?;
            file
        }
        Some(quality) => lossy(&codes, (h, w), layout.alpha, quality)?,
    };
    // Behind the file's header lie the chunks; one that describes the file has no place in another.
    let chunks = &file[12..];
    Ok(if chunks.starts_with(b"VP8X") { chunks[18..].to_vec() } else { chunks.to_vec() })
}

#[cfg(feature = "lossy-webp")]
fn lossy(codes: &[u8], (h, w): (usize, usize), alpha: bool, quality: u8) -> Result<Vec<u8>> {
    let (encode, channels): (unsafe extern "C" fn(_, _, _, _, _, _) -> _, _) = match alpha {
        true => (libwebp_sys::WebPEncodeRGBA, 4),
        false => (libwebp_sys::WebPEncodeRGB, 3),
    };
    assert_eq!(codes.len(), h * w * channels);
    let mut out = std::ptr::null_mut();
    // SAFETY: `codes` holds h rows of w pixels, as the sizes say; `out` is written before the return.
    let length =
        unsafe { encode(codes.as_ptr(), w as i32, h as i32, (w * channels) as i32, f32::from(quality), &mut out) };
    if length == 0 || out.is_null() {
        return Err(Error::Invalid(format!("cannot be written as WebP: the encoder gave up on {w}x{h} pixels")));
    }
    // SAFETY: the encoder has written `length` bytes to memory of its own.
    let file = unsafe { std::slice::from_raw_parts(out, length) }.to_vec();
    // SAFETY: that memory came from the encoder, and is not used any more.
    unsafe { libwebp_sys::WebPFree(out.cast()) };
    Ok(file)
}

#[cfg(not(feature = "lossy-webp"))]
fn lossy(_: &[u8], _: (usize, usize), _: bool, _: u8) -> Result<Vec<u8>> {
    Err(Error::Invalid(
        "this program was built without lossy WebP (feature lossy-webp); without a quality it is lossless".into(),
    ))
}
