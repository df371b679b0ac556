//! Formats that hold pixels and little else: BMP, GIF, PNM, TGA, QOI; HDR and EXR, which hold light.

use image::codecs::gif::{GifDecoder, GifEncoder, Repeat};
use image::codecs::hdr::{HdrDecoder, HdrEncoder};
use image::codecs::openexr::{OpenExrDecoder, OpenExrEncoder};
use image::codecs::pnm::PnmDecoder;
use image::codecs::qoi::{QoiDecoder, QoiEncoder};
use image::codecs::tga::{TgaDecoder, TgaEncoder};
use image::codecs::{bmp::BmpDecoder, bmp::BmpEncoder};
use image::{AnimationDecoder, Delay, ExtendedColorType, Frame, ImageDecoder, ImageEncoder, ImageResult, RgbaImage};
use std::io::Cursor;

use super::Format;
use super::ReadOptions;
use super::decoder::{animation, check_size, grey_where_all_are, still, unreadable};
use super::hdr::scaled;
use super::picture::{Depth, Layout, Picture, code8, code16};
use super::{alpha, webp};
use crate::error::{Error, Result};

pub(super) fn read(contents: &[u8], format: Format, options: &ReadOptions) -> Result<Vec<Picture>> {
    let (name, bytes) = (format.name(), Cursor::new(contents));
    let mut pictures = match format {
        Format::Bmp => vec![still(BmpDecoder::new(bytes).map_err(unreadable(name))?, options)?],
        Format::Pnm => vec![still(PnmDecoder::new(bytes).map_err(unreadable(name))?, options)?],
        Format::Tga => vec![still(TgaDecoder::new(bytes).map_err(unreadable(name))?, options)?],
        Format::Qoi => vec![still(QoiDecoder::new(bytes).map_err(unreadable(name))?, options)?],
        Format::Gif => {
            let mut decoder = GifDecoder::new(bytes).map_err(unreadable(name))?;
            let (w, h) = decoder.dimensions();
            check_size((h as usize, w as usize), 4)?;
            decoder.set_limits(image::Limits::default()).map_err(unreadable(name))?;
            let loops = webp::loops(decoder.loop_count());
            let mut pictures = animation(decoder, name, options)?;
            pictures.iter_mut().for_each(|picture| picture.metadata.loops = loops);
            pictures
        }
        Format::Hdr => {
            let picture = still(HdrDecoder::new(bytes).map_err(unreadable(name))?, options)?;
            vec![scaled(picture, true)?]
        }
        Format::Exr => {
            let mut picture = still(OpenExrDecoder::new(bytes).map_err(unreadable(name))?, options)?;
            if let Some(alpha) = &picture.alpha {
                alpha::unmultiply(&mut picture.tensor, alpha);
            }
            vec![scaled(picture, true)?]
        }
        Format::Png | Format::Jpeg | Format::WebP | Format::Tiff => unreachable!("{name} has a file of its own"),
    };
    // Grey is a palette there; a BMP of more bits has none.
    let has_palette = format == Format::Gif || format == Format::Bmp && contents.get(28).is_some_and(|bits| *bits <= 8);
    if has_palette {
        grey_where_all_are(&mut pictures, None);
    }
    Ok(pictures)
}

/// Rows and columns as the file stores them, of any format of the image crate.
pub(super) fn size(bytes: &[u8], format: Format) -> Result<(usize, usize)> {
    let mut reader = image::ImageReader::new(Cursor::new(bytes));
    reader.set_format(match format {
        Format::Png => image::ImageFormat::Png,
        Format::WebP => image::ImageFormat::WebP,
        Format::Bmp => image::ImageFormat::Bmp,
        Format::Gif => image::ImageFormat::Gif,
        Format::Pnm => image::ImageFormat::Pnm,
        Format::Tga => image::ImageFormat::Tga,
        Format::Qoi => image::ImageFormat::Qoi,
        Format::Hdr => image::ImageFormat::Hdr,
        Format::Exr => image::ImageFormat::OpenExr,
        Format::Jpeg | Format::Tiff => unreachable!("{format} has a file of its own"),
    });
    let (w, h) = reader.into_dimensions().map_err(unreadable(format.name()))?;
    Ok((h as usize, w as usize))
}

pub(super) fn write(pictures: &[Picture], format: Format, layout: Layout) -> Result<Vec<u8>> {
    let mut bytes = vec![];
    let mut out = Cursor::new(&mut bytes);
    let picture = &pictures[0];
    match format {
        Format::Bmp => codes(BmpEncoder::new(&mut out), picture, layout),
        Format::Pnm => return Ok(pnm(picture, layout)),
        Format::Tga => codes(TgaEncoder::new(out), picture, layout),
        Format::Qoi => codes(QoiEncoder::new(out), picture, layout),
        Format::Gif => gif(GifEncoder::new(out), pictures),
        Format::Hdr => light(HdrEncoder::new(out), picture, layout),
        Format::Exr => light(OpenExrEncoder::new(out), picture, layout),
        Format::Png | Format::Jpeg | Format::WebP | Format::Tiff => unreachable!("{format} has a file of its own"),
    }
    .map_err(|e| Error::Invalid(format!("cannot be written as {format}: {e}")))?;
    Ok(bytes)
}

/// A PGM or PPM; the image crate has 8 bits of them only, and for more PAM, which few programs read.
fn pnm(picture: &Picture, layout: Layout) -> Vec<u8> {
    let ((h, w), deep) = (picture.size(), picture.depth != Depth::Eight);
    let (kind, top) = (if layout.grey { "P5" } else { "P6" }, if deep { 65535 } else { 255 });
    let mut bytes = format!("{kind}\n{w} {h}\n{top}\n").into_bytes();
    match deep {
        true => bytes.extend(picture.interleaved(layout, code16).iter().flat_map(|code| code.to_be_bytes())),
        false => bytes.extend(picture.interleaved(layout, code8)),
    }
    bytes
}

fn codes(encoder: impl ImageEncoder, picture: &Picture, layout: Layout) -> ImageResult<()> {
    use ExtendedColorType::*;
    let (h, w) = picture.size();
    let colour = match (layout.grey, layout.alpha) {
        (true, false) => L8,
        (true, true) => La8,
        (false, false) => Rgb8,
        (false, true) => Rgba8,
    };
    encoder.write_image(&picture.interleaved(layout, code8), w as u32, h as u32, colour)
}

fn gif(mut encoder: GifEncoder<Cursor<&mut Vec<u8>>>, pictures: &[Picture]) -> ImageResult<()> {
    if pictures.len() > 1 {
        let loops = u16::try_from(pictures[0].metadata.loops).unwrap_or(u16::MAX);
        encoder.set_repeat(if loops == 0 { Repeat::Infinite } else { Repeat::Finite(loops) })?;
    }
    for picture in pictures {
        let (h, w) = picture.size();
        let codes = picture.interleaved(Layout { grey: false, alpha: true }, code8);
        let pixels = RgbaImage::from_raw(w as u32, h as u32, codes).expect("four codes a pixel");
        let delay = Delay::from_saturating_duration(picture.delay.unwrap_or_default());
        encoder.encode_frame(Frame::from_parts(pixels, 0, 0, delay))?;
    }
    Ok(())
}

fn light(encoder: impl ImageEncoder, picture: &Picture, layout: Layout) -> ImageResult<()> {
    let (h, w) = picture.size();
    let mut values: Vec<f32> = picture.interleaved(layout, |v| v);
    let mut colour = ExtendedColorType::Rgb32F;
    if layout.alpha {
        // These files hold what reaches the eye.
        values.as_chunks_mut::<4>().0.iter_mut().for_each(|[r, g, b, a]| [r, g, b].into_iter().for_each(|v| *v *= *a));
        colour = ExtendedColorType::Rgba32F;
    }
    encoder.write_image(bytemuck::cast_slice(&values), w as u32, h as u32, colour)
}
