//! What the decoders of the image crate give, as pictures.

use image::{AnimationDecoder, ColorType, Frames, ImageDecoder, ImageError};
use std::time::Duration;

use super::ReadOptions;
use super::picture::{Depth, Layout, Picture};
use crate::error::{Error, Result};

/// The most bytes that a picture's samples may take: panoramas do fit, a file that only claims a size does not. A fuzzer
/// would find large pictures only.
const MOST: u64 = if cfg!(fuzzing) { 8 << 20 } else { 4 << 30 };

/// Says that a file is no such picture, or damaged.
pub(super) fn unreadable(format: &'static str) -> impl Fn(ImageError) -> Error {
    move |e| Error::Invalid(format!("not a {format} that can be read: {e}"))
}

/// An error where a picture has no samples, or they would take too much.
pub(super) fn check_size((h, w): (usize, usize), bytes_per_pixel: usize) -> Result<()> {
    if h == 0 || w == 0 {
        return Err(Error::Invalid(format!("it claims {w}x{h} pixels, which are none")));
    }
    if (h as u64).saturating_mul(w as u64).saturating_mul(bytes_per_pixel as u64) > MOST {
        return Err(Error::Invalid(format!("it claims {w}x{h} pixels, which would take more than 4 GiB")));
    }
    Ok(())
}

/// An error where all pictures of a file, which are in memory at a time, would take too much at 16 bytes a pixel.
pub(super) fn check_all(pictures: usize, pixels: u64) -> Result<()> {
    if pictures > 1 && pixels.saturating_mul(16) > 4 * MOST {
        return Err(Error::Invalid(format!(
            "{pictures} of its pictures alone have {pixels} pixels, which would take more than 16 GiB: split the file first"
        )));
    }
    Ok(())
}

/// The one picture of a decoder.
pub(super) fn still(decoder: impl ImageDecoder, options: &ReadOptions) -> Result<Picture> {
    let (w, h) = decoder.dimensions();
    let (size, colour) = ((h as usize, w as usize), decoder.color_type());
    check_size(size, usize::from(colour.bytes_per_pixel()))?;
    let layout = Layout { grey: !colour.has_color(), alpha: colour.has_alpha() };
    let count = size.0 * size.1 * layout.channels();
    let mut damage = None;
    let decode = |samples: &mut [u8]| match decoder.read_image(samples) {
        Ok(()) => Ok(()),
        Err(e) => {
            damage = Some(e.to_string());
            if options.damaged { Ok(()) } else { Err(Error::Damaged(e.to_string())) }
        }
    };
    let mut picture = match colour {
        ColorType::L8 | ColorType::La8 | ColorType::Rgb8 | ColorType::Rgba8 => {
            let mut samples = vec![0u8; count];
            decode(&mut samples)?;
            Picture::from_samples(&samples, 255.0, size, layout)
        }
        ColorType::L16 | ColorType::La16 | ColorType::Rgb16 | ColorType::Rgba16 => {
            let mut samples = vec![0u16; count];
            decode(bytemuck::cast_slice_mut(&mut samples))?;
            Picture { depth: Depth::Sixteen, ..Picture::from_samples(&samples, 65535.0, size, layout) }
        }
        _ => {
            let mut samples = vec![0f32; count];
            decode(bytemuck::cast_slice_mut(&mut samples))?;
            Picture { depth: Depth::Float, ..Picture::from_samples(&samples, 1.0, size, layout) }
        }
    };
    options.damaged(&mut picture, damage)?;
    Ok(picture)
}

/// All frames of an animation, each as it is seen.
pub(super) fn frames(frames: Frames, format: &'static str, options: &ReadOptions) -> Result<Vec<Picture>> {
    let mut pictures: Vec<Picture> = vec![];
    for frame in frames {
        match frame {
            Ok(frame) => {
                let (numerator, denominator) = frame.delay().numer_denom_ms();
                let size = (frame.buffer().height() as usize, frame.buffer().width() as usize);
                let count = pictures.len() + 1;
                check_all(count, (size.0 * size.1) as u64 * count as u64)?;
                let layout = Layout { grey: false, alpha: true };
                let picture = Picture::from_samples(frame.buffer().as_raw(), 255.0, size, layout);
                let delay = Duration::from_micros(u64::from(numerator) * 1000 / u64::from(denominator.max(1)));
                pictures.push(Picture { delay: Some(delay), ..picture });
            }
            Err(e) if pictures.is_empty() => return Err(unreadable(format)(e)),
            Err(e) => {
                options.damaged(&mut pictures[0], Some(e.to_string()))?;
                break;
            }
        }
    }
    if pictures.is_empty() {
        return Err(Error::Invalid(format!("the {format} holds no picture")));
    }
    opaque_where_all_are(&mut pictures);
    Ok(pictures)
}

/// Frames of a decoder that may be one picture: then it has no time.
pub(super) fn animation<'a>(
    decoder: impl AnimationDecoder<'a>,
    format: &'static str,
    options: &ReadOptions,
) -> Result<Vec<Picture>> {
    let mut pictures = frames(decoder.into_frames(), format, options)?;
    if let [only] = &mut pictures[..] {
        only.delay = None;
    }
    Ok(pictures)
}

/// Drops an alpha that hides nothing.
fn opaque_where_all_are(pictures: &mut [Picture]) {
    let opaque = |picture: &Picture| picture.alpha.iter().flatten().all(|&a| a == 1.0);
    if pictures.iter().all(opaque) {
        pictures.iter_mut().for_each(|picture| picture.alpha = None);
    }
}

/// Makes pictures grey that a palette only could hold as such. A profile of RGB keeps them RGB.
pub(super) fn grey_where_all_are(pictures: &mut [Picture], icc: Option<&[u8]>) {
    let grey = |picture: &Picture| {
        let plane = picture.tensor.shape.plane();
        let (red, others) = picture.tensor.data.split_at(plane);
        red == &others[..plane] && red == &others[plane..]
    };
    if icc.is_none() && pictures.iter().all(grey) {
        pictures.iter_mut().for_each(|picture| picture.grey = true);
    }
}
