//! TIFF in: which directories are pages, and what their samples mean.

use std::borrow::Cow;
use std::io::Cursor;

use half::f16;
use tiff::ColorType;
use tiff::decoder::{Decoder, DecodingResult, Limits};

use super::{jpeg, rebuilt};
use crate::error::{Error, Result};
use crate::image::decoder::{check_all, check_size};
use crate::image::hdr::scaled;
use crate::image::ifd::{Directories, Exif, Ifd, tag};
use crate::image::metadata::{Metadata, Resolution, flip_of};
use crate::image::note::{Note, counted};
use crate::image::picture::{Depth, Layout, Picture};
use crate::image::{ReadOptions, alpha, colour};

/// How photometric interpretations are numbered.
mod photometric {
    pub(super) const WHITE_IS_ZERO: u64 = 0;
    pub(super) const BLACK_IS_ZERO: u64 = 1;
    pub(super) const RGB: u64 = 2;
    pub(super) const PALETTE: u64 = 3;
    pub(super) const CMYK: u64 = 5;
    pub(super) const YCBCR: u64 = 6;
    pub(super) const CIE_LAB: u64 = 8;
    pub(super) const ICC_LAB: u64 = 9;
    /// The mosaic of a camera's sensor, and what is left of one.
    pub(super) const RAW: [u64; 2] = [32803, 34892];
}

/// Compressions that only cameras write: Nikon, Sony, Pentax.
const RAW_COMPRESSIONS: [u64; 3] = [34713, 32767, 65535];
/// JPEG as a compression.
const JPEG: u64 = 7;
/// The tag of directories below another one.
const SUB_IFDS: u16 = 330;

fn invalid(message: impl Into<String>) -> Error {
    Error::Invalid(message.into())
}

fn unreadable(e: tiff::TiffError) -> Error {
    invalid(format!("not a TIFF that can be read: {e}"))
}

/// A file, its directories that are pages, each with its place in the chain, and what is said of the others.
type Pages<'a> = (Directories<'a>, Vec<(usize, Ifd)>, Vec<Note>);

fn pages(bytes: &[u8]) -> Result<Pages<'_>> {
    let file = Directories::open(bytes).ok_or_else(|| invalid("not a TIFF that can be read: its header is damaged"))?;
    let chain = file.chain();
    let below = |ifd: &Ifd| {
        let places = ifd.entry(SUB_IFDS).map(|entry| entry.integers()).unwrap_or_default();
        places.into_iter().filter_map(|at| file.ifd(at)).collect::<Vec<_>>()
    };
    let raw = |ifd: &Ifd| {
        let is = |tag, numbers: &[u64]| ifd.integer(tag).is_some_and(|number| numbers.contains(&number));
        ifd.entry(tag::DNG_VERSION).is_some()
            || is(tag::PHOTOMETRIC, &photometric::RAW)
            || is(tag::COMPRESSION, &RAW_COMPRESSIONS)
    };
    if chain.iter().any(|ifd| raw(ifd) || below(ifd).iter().any(raw)) {
        return Err(invalid(super::super::format::RAW_REFUSED));
    }
    let mut notes = vec![];
    let (mut found, mut masks) = (vec![], 0);
    for (i, ifd) in chain.into_iter().enumerate() {
        let kind = ifd.integer(tag::NEW_SUBFILE_TYPE).unwrap_or(0);
        if kind & 1 == 0 && kind & 4 == 0 && ifd.entry(tag::WIDTH).is_some() {
            found.push((i, ifd));
        } else if kind & 4 != 0 {
            masks += 1;
        }
    }
    if masks > 0 {
        notes.push(Note::lost(format!("left out: {} in a directory of its own", counted(masks, "transparency mask"))));
    }
    if found.is_empty() {
        return Err(invalid("not a TIFF that can be read: it holds no picture in full size"));
    }
    Ok((file, found, notes))
}

pub(in super::super) fn read(bytes: &[u8], options: &ReadOptions) -> Result<Vec<Picture>> {
    let (file, pages, notes) = pages(bytes)?;
    let count = pages.len();
    let side = |ifd: &Ifd, tag| ifd.integer(tag).unwrap_or(0);
    let pixels = pages.iter().map(|(_, ifd)| side(ifd, tag::WIDTH).saturating_mul(side(ifd, tag::HEIGHT)));
    check_all(count, pixels.fold(0, u64::saturating_add))?;
    let mut pictures = vec![];
    for (i, ifd) in pages {
        let numbered = |e: Error| match e {
            e if count == 1 => e,
            Error::Damaged(text) => Error::Damaged(format!("page {}: {text}", i + 1)),
            e => invalid(format!("page {}: {e}", i + 1)),
        };
        pictures.push(page(&file, bytes, i, &ifd, options).map_err(numbered)?);
    }
    pictures[0].notes.extend(notes);
    Ok(pictures)
}

pub(in super::super) fn size(bytes: &[u8]) -> Result<(usize, usize)> {
    let (_, pages, _) = pages(bytes)?;
    let side = |tag| pages[0].1.integer(tag).unwrap_or(0) as usize;
    let (w, h) = (side(tag::WIDTH), side(tag::HEIGHT));
    Ok(if flip(&pages[0].1).transpose { (w, h) } else { (h, w) })
}

fn flip(ifd: &Ifd) -> crate::geometry::Flip {
    flip_of(ifd.integer(tag::ORIENTATION).and_then(|number| u8::try_from(number).ok()).unwrap_or(1))
}

/// Samples of a page, interleaved.
enum Samples {
    Eight(Vec<u8>),
    Sixteen(Vec<u16>),
    /// Integers of other depths by their range, and floating point.
    Float(Vec<f32>),
}

impl Samples {
    fn len(&self) -> usize {
        match self {
            Samples::Eight(samples) => samples.len(),
            Samples::Sixteen(samples) => samples.len(),
            Samples::Float(samples) => samples.len(),
        }
    }
}

fn page(file: &Directories, bytes: &[u8], i: usize, ifd: &Ifd, options: &ReadOptions) -> Result<Picture> {
    let size = (ifd.integer(tag::HEIGHT).unwrap_or(0) as usize, ifd.integer(tag::WIDTH).unwrap_or(0) as usize);
    let space = ifd.integer(tag::PHOTOMETRIC).unwrap_or(photometric::BLACK_IS_ZERO);
    check_kind(ifd, space)?;
    // The decoder knows no palettes and no Lab; as grey and RGB it reads their samples as they are stored.
    let stored_as = match space {
        photometric::PALETTE => Some(photometric::BLACK_IS_ZERO),
        photometric::CIE_LAB | photometric::ICC_LAB => Some(photometric::RGB),
        _ => None,
    };
    let photometric = ifd.entry(tag::PHOTOMETRIC).filter(|entry| entry.kind == 3);
    let bytes = match (stored_as, photometric) {
        (Some(number), Some(entry)) => Cow::Owned(file.patched(entry, number as u16)),
        _ => Cow::Borrowed(bytes),
    };
    let (samples, channels, mut depth, mut notes, damage) = samples(&bytes, i, ifd, size, options)?;

    let extra = ifd.entry(tag::EXTRA_SAMPLES).map(|entry| entry.integers()).unwrap_or_default();
    let base = match space {
        photometric::WHITE_IS_ZERO | photometric::BLACK_IS_ZERO | photometric::PALETTE => 1,
        photometric::CMYK => 4,
        _ => 3,
    };
    // A fourth sample of RGB that nothing describes is alpha.
    let has_alpha = channels > base && !matches!(extra.first(), Some(0));
    let stored = ifd.integer(tag::SAMPLES).unwrap_or(1) as usize;
    let left_out = stored.saturating_sub(base + usize::from(has_alpha));
    if left_out > 0 {
        notes.push(Note::lost(format!("left out: {}", counted(left_out, "further channel"))));
    }
    let icc = ifd.entry(tag::ICC).map(|entry| entry.data.clone());
    let layout = Layout { grey: base == 1, alpha: has_alpha };
    let mut picture = match space {
        photometric::PALETTE => palette(&samples, ifd, size)?,
        photometric::CMYK => {
            if has_alpha {
                notes.push(Note::lost("transparency of CMYK is left out"));
            }
            let inks =
                sixteen(samples).chunks_exact(channels).flat_map(|pixel| pixel[..4].to_vec()).collect::<Vec<_>>();
            colour::from_cmyk16(&inks, size, icc.as_deref())?
        }
        photometric::YCBCR | photometric::CIE_LAB | photometric::ICC_LAB => {
            converted(samples, channels, space, ifd, size, &mut notes)
        }
        _ => match samples {
            Samples::Eight(samples) => Picture::from_samples(&only(samples, channels, layout), 255.0, size, layout),
            Samples::Sixteen(samples) => Picture::from_samples(&only(samples, channels, layout), 65535.0, size, layout),
            Samples::Float(samples) => Picture::from_samples(&only(samples, channels, layout), 1.0, size, layout),
        },
    };
    if space == photometric::PALETTE {
        depth = picture.depth;
    }
    picture.depth = depth;
    if extra.first() == Some(&1)
        && let Some(alpha) = &picture.alpha
    {
        alpha::unmultiply(&mut picture.tensor, alpha);
        if depth != Depth::Float {
            // No colour is brighter than its opacity.
            picture.tensor.data.iter_mut().for_each(|v| *v = v.min(1.0));
        }
        picture.notes.push(Note::converted("colours that were multiplied by alpha are stored as they are"));
    }
    if depth == Depth::Float {
        picture = scaled(picture, false)?;
    }
    colour::set_profile(&mut picture, icc);
    picture.metadata = metadata(file, ifd);
    picture.notes.extend(notes);
    options.damaged(&mut picture, damage)?;
    Ok(picture.oriented(flip(ifd)))
}

/// Refuses by name what cannot be read.
fn check_kind(ifd: &Ifd, space: u64) -> Result<()> {
    let refused = |what: String| {
        Err(invalid(format!(
            "{what}, which is not supported; convert it first, for example by `tiffcp -c lzw` or ImageMagick"
        )))
    };
    let compression = ifd.integer(tag::COMPRESSION).unwrap_or(1);
    let name = match compression {
        1 | 4 | 5 | 7 | 8 | 32773 | 32946 | rebuilt::ZSTD => None,
        2 | 3 => Some("CCITT Group 3"),
        6 => Some("the old kind of JPEG"),
        34712 => Some("JPEG 2000"),
        34887 => Some("LERC"),
        34925 => Some("LZMA"),
        50001 => Some("WebP"),
        50002 => Some("JPEG XL"),
        _ => Some("a compression unknown here"),
    };
    if let Some(name) = name {
        return refused(format!("a TIFF compressed by {name} ({compression})"));
    }
    let bits = ifd.entry(tag::BITS).map_or(vec![1], |entry| entry.integers());
    let small = matches!(space, photometric::WHITE_IS_ZERO | photometric::BLACK_IS_ZERO | photometric::PALETTE);
    let plain =
        matches!(space, 0..=2 | photometric::CMYK) && matches!(compression, 1 | 5 | 8 | 32773 | 32946 | rebuilt::ZSTD);
    let packed = plain && rebuilt::is_packed(ifd);
    let known = |bits: u64| packed || matches!(bits, 8 | 16 | 32 | 64) || small && matches!(bits, 1 | 2 | 4);
    if let Some(bits) = bits.iter().find(|bits| !known(**bits)) {
        return refused(format!("a TIFF of {bits} bits a sample"));
    }
    match space {
        0..=3 | photometric::CMYK => Ok(()),
        photometric::YCBCR if bits.iter().all(|&bits| bits == 8) => Ok(()),
        photometric::CIE_LAB | photometric::ICC_LAB if bits.iter().all(|&bits| bits <= 16) => Ok(()),
        _ => refused(match space {
            photometric::YCBCR | photometric::CIE_LAB | photometric::ICC_LAB => {
                "a TIFF of YCbCr or Lab at this depth".into()
            }
            4 => "a TIFF that is a transparency mask".into(),
            10 => "a TIFF in ITU L*a*b*".into(),
            32844 | 32845 => "a TIFF in LogLuv".into(),
            other => format!("a TIFF of an unknown space (photometric interpretation {other})"),
        }),
    }
}

type Decoded = (Samples, usize, Depth, Vec<Note>, Option<String>);

/// Decodes page `i`: samples interleaved, how many there are of a pixel, how deep they are, and what is wrong.
fn samples(bytes: &[u8], i: usize, ifd: &Ifd, size: (usize, usize), options: &ReadOptions) -> Result<Decoded> {
    let channels_claimed = ifd.integer(tag::SAMPLES).unwrap_or(1) as usize;
    let bits = ifd.integer(tag::BITS).unwrap_or(1) as usize;
    let pixel = channels_claimed.saturating_mul(bits.div_ceil(8));
    check_size(size, pixel)?;
    if ifd.integer(tag::COMPRESSION) == Some(rebuilt::ZSTD) {
        let (page, damage) = rebuilt::decompressed(bytes, ifd, size, options)?;
        let (found, channels, depth, notes, more) = samples(&page.bytes, 0, &page.ifd, size, options)?;
        return Ok((found, channels, depth, notes, damage.or(more)));
    }
    if rebuilt::is_packed(ifd) {
        return packed(bytes, ifd, size, options);
    }
    if ifd.integer(tag::COMPRESSION) == Some(JPEG) {
        let (samples, channels) = jpeg::samples(bytes, ifd, size)?;
        return Ok((Samples::Eight(samples), channels, Depth::Eight, vec![], None));
    }
    let mut limits = Limits::unlimited();
    // No value of a directory is larger than the file; the decoder takes 32 bytes for each of its numbers.
    limits.ifd_value_size = bytes.len();
    limits.decoding_buffer_size = (size.0 * size.1 * pixel).max(bytes.len().saturating_mul(8));
    limits.intermediate_buffer_size = limits.decoding_buffer_size;
    let mut decoder = Decoder::new(Cursor::new(bytes)).map_err(unreadable)?.with_limits(limits.clone());
    decoder.seek_to_image(i).map_err(unreadable)?;
    let (w, h) = decoder.dimensions().map_err(unreadable)?;
    if (h as usize, w as usize) != size {
        return Err(invalid("not a TIFF that can be read: it claims two sizes"));
    }
    let colour = decoder.colortype().map_err(unreadable)?;
    let layout = decoder.image_buffer_layout().map_err(unreadable)?;
    let mut result = DecodingResult::U8(vec![]);
    result.resize_to(&layout, &limits).map_err(unreadable)?;
    let mut damage = None;
    if let Err(e) = decoder.read_image_bytes(result.as_buffer(0).as_bytes_mut()) {
        damage = Some(e.to_string());
        if !options.damaged {
            return Err(Error::Damaged(e.to_string()));
        }
    }
    let channels = usize::from(colour.num_samples());
    let mut notes = vec![];
    let (mut samples, depth) = normalised(result, &mut notes);
    if let (
        ColorType::Gray(bits @ (1 | 2 | 4)) | ColorType::Multiband { bit_depth: bits @ (1 | 2 | 4), .. },
        Samples::Eight(packed),
    ) = (colour, &samples)
    {
        let palette = ifd.integer(tag::PHOTOMETRIC) == Some(photometric::PALETTE);
        // Stretched to 0..=255, or indices as they are.
        let factor = if palette { 1 } else { 255 / ((1 << bits) - 1) as u8 };
        samples = Samples::Eight(unpacked(packed, bits, size.1 * channels).map(|v| v as u8 * factor).collect());
    }
    if layout.planes > 1 {
        let count = size.0 * size.1;
        samples = match samples {
            Samples::Eight(planes) => Samples::Eight(interleaved(&planes, count)),
            Samples::Sixteen(planes) => Samples::Sixteen(interleaved(&planes, count)),
            Samples::Float(planes) => Samples::Float(interleaved(&planes, count)),
        };
    }
    let (found, wanted) = (samples.len(), size.0 * size.1 * channels);
    if found != wanted {
        return Err(invalid(format!("not a TIFF that can be read: {found} samples where {wanted} are said to be")));
    }
    Ok((samples, channels, depth, notes, damage))
}

/// Integers by their range, floating point as it is.
fn normalised(result: DecodingResult, notes: &mut Vec<Note>) -> (Samples, Depth) {
    fn ranged<T: Copy + Into<f64>>(values: &[T], low: f64, high: f64) -> Samples {
        Samples::Float(values.iter().map(|&v| ((v.into() - low) / (high - low)) as f32).collect())
    }
    let wide = |values: &mut dyn Iterator<Item = f64>, low: f64, high: f64| {
        Samples::Float(values.map(|v| ((v - low) / (high - low)) as f32).collect())
    };
    let samples = match result {
        DecodingResult::U8(samples) => return (Samples::Eight(samples), Depth::Eight),
        DecodingResult::I8(values) => return (ranged(&values, -128.0, 127.0), Depth::Eight),
        DecodingResult::U16(samples) => return (Samples::Sixteen(samples), Depth::Sixteen),
        DecodingResult::I16(values) => return (ranged(&values, -32768.0, 32767.0), Depth::Sixteen),
        DecodingResult::F16(values) => {
            let values = values.iter().map(|&v| f16::from_bits(v.to_bits()).to_f32()).collect();
            return (Samples::Float(values), Depth::Float);
        }
        DecodingResult::F32(values) => return (Samples::Float(values), Depth::Float),
        DecodingResult::F64(values) => {
            notes.push(Note::converted("floating point of 64 bits became 32 bits"));
            return (Samples::Float(values.iter().map(|&v| v as f32).collect()), Depth::Float);
        }
        DecodingResult::U32(values) => ranged(&values, 0.0, f64::from(u32::MAX)),
        DecodingResult::I32(values) => ranged(&values, f64::from(i32::MIN), f64::from(i32::MAX)),
        DecodingResult::U64(values) => wide(&mut values.iter().map(|&v| v as f64), 0.0, u64::MAX as f64),
        DecodingResult::I64(values) => wide(&mut values.iter().map(|&v| v as f64), i64::MIN as f64, i64::MAX as f64),
    };
    notes.push(Note::converted("integers of 32 or 64 bits became 16 bits"));
    (samples, Depth::Sixteen)
}

/// Decodes a page whose samples are packed into bits that are no whole bytes: stretched to 8 or to 16 bits.
fn packed(bytes: &[u8], ifd: &Ifd, (h, w): (usize, usize), options: &ReadOptions) -> Result<Decoded> {
    let (bits, channels) = (ifd.integer(tag::BITS).unwrap_or(1) as u8, ifd.integer(tag::SAMPLES).unwrap_or(1) as usize);
    let colours = match ifd.integer(tag::PHOTOMETRIC) {
        Some(photometric::RGB) => 3,
        Some(photometric::CMYK) => 4,
        _ => 1,
    };
    // Elsewhere the decoder looks.
    if channels < colours {
        return Err(invalid(format!("not a TIFF that can be read: {channels} of {colours} samples a pixel")));
    }
    let row = rebuilt::row_bytes(ifd, w as u64) as usize;
    let page = rebuilt::as_bytes(bytes, ifd)?;
    let (Samples::Eight(packed), .., damage) = samples(&page.bytes, 0, &page.ifd, (h, row), options)? else {
        unreachable!("samples of 8 bits")
    };
    let top = (1u32 << bits) - 1;
    let inverted = ifd.integer(tag::PHOTOMETRIC) == Some(photometric::WHITE_IS_ZERO);
    let values =
        unpacked(&packed, bits, w * channels).map(|v| if inverted { top - u32::from(v) } else { u32::from(v) });
    let (samples, depth) = match bits {
        ..=8 => (Samples::Eight(values.map(|v| ((255 * v + top / 2) / top) as u8).collect()), Depth::Eight),
        _ => (Samples::Sixteen(values.map(|v| ((65535 * v + top / 2) / top) as u16).collect()), Depth::Sixteen),
    };
    Ok((samples, channels, depth, vec![], damage))
}

/// Values of so many bits, at most 16, the highest bit first, in rows of `row` of them that begin at whole bytes.
fn unpacked(packed: &[u8], bits: u8, row: usize) -> impl Iterator<Item = u16> {
    let bits = usize::from(bits);
    packed.chunks_exact((row * bits).div_ceil(8)).flat_map(move |bytes| {
        (0..row).map(move |i| {
            let (first, end) = (i * bits, (i + 1) * bits);
            let touched = &bytes[first / 8..end.div_ceil(8)];
            let value = touched.iter().fold(0u32, |sum, byte| sum << 8 | u32::from(*byte));
            ((value >> (8 * end.div_ceil(8) - end)) & ((1 << bits) - 1)) as u16
        })
    })
}

fn interleaved<T: Copy>(planes: &[T], count: usize) -> Vec<T> {
    (0..count).flat_map(|i| planes.chunks_exact(count).map(move |plane| plane[i])).collect()
}

/// The samples of a layout's channels, of pixels that may have more.
fn only<T: Copy>(samples: Vec<T>, channels: usize, layout: Layout) -> Vec<T> {
    if channels == layout.channels() {
        return samples;
    }
    samples.chunks_exact(channels).flat_map(|pixel| pixel[..layout.channels()].to_vec()).collect()
}

fn sixteen(samples: Samples) -> Vec<u16> {
    match samples {
        Samples::Eight(samples) => samples.iter().map(|&v| u16::from(v) * 257).collect(),
        Samples::Sixteen(samples) => samples,
        Samples::Float(samples) => samples.iter().map(|v| (v.clamp(0.0, 1.0) * 65535.0).round() as u16).collect(),
    }
}

/// A palette's colours: 16 bits each in the file, of which most programs mean 8.
fn palette(samples: &Samples, ifd: &Ifd, size: (usize, usize)) -> Result<Picture> {
    let map = ifd.entry(tag::COLOUR_MAP).map(|entry| entry.integers()).unwrap_or_default();
    let count = map.len() / 3;
    let indices: Vec<usize> = match samples {
        Samples::Eight(samples) => samples.iter().map(|&v| usize::from(v)).collect(),
        Samples::Sixteen(samples) => samples.iter().map(|&v| usize::from(v)).collect(),
        Samples::Float(_) => return Err(invalid("a TIFF palette of numbers that are no indices")),
    };
    if let Some(index) = indices.iter().find(|&&index| index >= count) {
        return Err(invalid(format!("not a TIFF that can be read: colour {index} of a palette of {count}")));
    }
    let colours: Vec<u16> =
        indices.iter().flat_map(|&i| (0..3).map(move |c| (c, i))).map(|(c, i)| map[c * count + i] as u16).collect();
    // 255 stands in the file as 65535 or as 65280.
    let exact = map.iter().all(|v| v % 257 == 0);
    let coarse = map.iter().all(|v| v % 256 == 0);
    let depth = if exact || coarse { Depth::Eight } else { Depth::Sixteen };
    let top = if coarse && !exact { 65280.0 } else { 65535.0 };
    let layout = Layout { grey: false, alpha: false };
    let mut pictures = [Picture { depth, ..Picture::from_samples(&colours, top, size, layout) }];
    crate::image::decoder::grey_where_all_are(&mut pictures, ifd.entry(tag::ICC).map(|entry| entry.data.as_slice()));
    let [picture] = pictures;
    Ok(picture)
}

/// RGB of YCbCr and Lab.
fn converted(
    samples: Samples,
    channels: usize,
    space: u64,
    ifd: &Ifd,
    size: (usize, usize),
    notes: &mut Vec<Note>,
) -> Picture {
    // Whole codes of 8 bits, and their fractions.
    let codes: Vec<f32> = match samples {
        Samples::Eight(samples) => samples.iter().map(|&v| f32::from(v)).collect(),
        Samples::Sixteen(samples) => samples.iter().map(|&v| f32::from(v) / 256.0).collect(),
        Samples::Float(samples) => samples.iter().map(|v| v * 255.0).collect(),
    };
    let signed = |v: f32| if v >= 128.0 { v - 256.0 } else { v };
    let coefficients = ifd.entry(tag::YCBCR_COEFFICIENTS).map(|entry| entry.fractions()).unwrap_or_default();
    let coefficients = coefficients.first_chunk::<3>().map_or(colour::BT601, |c| c.map(|v| v as f32));
    let rgb = codes.chunks_exact(channels).flat_map(|pixel| {
        let [a, b, c] = [pixel[0], pixel[1], pixel[2]];
        match space {
            photometric::YCBCR => colour::ycbcr_to_rgb([a, b - 128.0, c - 128.0], coefficients).map(|v| v / 255.0),
            photometric::CIE_LAB => colour::lab_to_srgb([a / 2.55, signed(b), signed(c)]),
            _ => colour::lab_to_srgb([a / 2.55, b - 128.0, c - 128.0]),
        }
    });
    let rgb: Vec<f32> = rgb.map(|v| v.clamp(0.0, 1.0)).collect();
    let mut picture = Picture::from_samples(&rgb, 1.0, size, Layout { grey: false, alpha: false });
    if space != photometric::YCBCR {
        picture.icc = Some(colour::srgb());
        notes.push(Note::converted("L*a*b* became sRGB"));
    }
    picture
}

fn metadata(file: &Directories, ifd: &Ifd) -> Metadata {
    let mut metadata = Metadata::default();
    metadata.set_tags(Exif::of(file, ifd));
    if let Some(xmp) = ifd.entry(tag::XMP) {
        metadata.set_xmp(xmp.data.clone());
    }
    if let Some(resources) = ifd.entry(tag::PHOTOSHOP) {
        metadata.photoshop = Some(resources.data.clone());
    } else if let Some(records) = ifd.entry(tag::IPTC) {
        metadata.set_iptc(&records.data);
    }
    let side = |tag| ifd.entry(tag).and_then(|entry| entry.fractions().first().copied()).unwrap_or(0.0);
    let (x, y) = (side(tag::X_RESOLUTION), side(tag::Y_RESOLUTION));
    metadata.resolution = match ifd.integer(tag::RESOLUTION_UNIT).unwrap_or(2) {
        2 => Resolution::new(x, y, true),
        3 => Resolution::new(x * 2.54, y * 2.54, true),
        _ => Resolution::new(x, y, false).filter(|_| x != y),
    };
    metadata
}
