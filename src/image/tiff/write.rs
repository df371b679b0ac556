//! TIFF out.

use std::io::{Cursor, Seek, Write};

use tiff::Directory;
use tiff::TiffResult;
use tiff::encoder::colortype::{ColorType, Gray8, Gray16, Gray32Float, RGB8, RGB16, RGB32Float};
use tiff::encoder::{Compression, DeflateLevel, DirectoryEncoder, Rational, TiffEncoder, TiffKind, TiffValue};
use tiff::tags::{ExtraSamples, Predictor, ResolutionUnit, Tag, Type};

use crate::error::{Error, Result};
use crate::image::ifd::{Entry, tag};
use crate::image::metadata::Resolution;
use crate::image::picture::{Depth, Layout, Picture, code8, code16};
use crate::image::{TiffCompression, WriteOptions};

/// Bytes of samples from which offsets of 32 bits may not suffice.
const BIG: usize = 4_000_000_000;

pub(in super::super) fn write(pictures: &[Picture], options: &WriteOptions) -> Result<Vec<u8>> {
    let bytes = |picture: &Picture| picture.tensor.shape.len() * 4 / 3 * 4;
    let mut out = Cursor::new(vec![]);
    let written = if pictures.iter().map(bytes).sum::<usize>() < BIG {
        TiffEncoder::new(&mut out).and_then(|file| pages(file, pictures, options))
    } else {
        TiffEncoder::new_big(&mut out).and_then(|file| pages(file, pictures, options))
    };
    written.map_err(|e| Error::Invalid(format!("cannot be written as TIFF: {e}")))?;
    Ok(out.into_inner())
}

fn pages<W: Write + Seek, K: TiffKind>(
    file: TiffEncoder<W, K>,
    pictures: &[Picture],
    options: &WriteOptions,
) -> TiffResult<()> {
    let mut file = file.with_compression(match options.tiff_compression {
        TiffCompression::None => Compression::Uncompressed,
        TiffCompression::Lzw => Compression::Lzw,
        TiffCompression::Deflate => Compression::Deflate(DeflateLevel::Balanced),
        TiffCompression::PackBits => Compression::Packbits,
    });
    for picture in pictures {
        let layout = Layout { grey: picture.grey, alpha: picture.alpha.is_some() };
        let compresses = matches!(options.tiff_compression, TiffCompression::Lzw | TiffCompression::Deflate);
        // The encoder's differences are those of neighbouring pixels only where there is no alpha.
        let predicts = compresses && !layout.alpha && picture.depth != Depth::Float;
        file = file.with_predictor(if predicts { Predictor::Horizontal } else { Predictor::None });
        match (picture.depth, layout.grey) {
            (Depth::Eight, true) => page::<_, _, Gray8>(&mut file, picture, layout, code8),
            (Depth::Eight, false) => page::<_, _, RGB8>(&mut file, picture, layout, code8),
            (Depth::Sixteen, true) => page::<_, _, Gray16>(&mut file, picture, layout, code16),
            (Depth::Sixteen, false) => page::<_, _, RGB16>(&mut file, picture, layout, code16),
            (Depth::Float, true) => page::<_, _, Gray32Float>(&mut file, picture, layout, |v| v),
            (Depth::Float, false) => page::<_, _, RGB32Float>(&mut file, picture, layout, |v| v),
        }?;
    }
    Ok(())
}

fn page<W: Write + Seek, K: TiffKind, C: ColorType>(
    file: &mut TiffEncoder<W, K>,
    picture: &Picture,
    layout: Layout,
    code: fn(f32) -> C::Inner,
) -> TiffResult<()>
where
    [C::Inner]: TiffValue,
{
    let (h, w) = picture.size();
    let metadata = &picture.metadata;
    let tags = metadata.tags();
    let mut below = vec![];
    for (tag, entries) in [(tag::EXIF, &tags.exif), (tag::GPS, &tags.gps)] {
        if !entries.is_empty() {
            let mut directory = file.extra_directory()?;
            add(&mut directory, entries)?;
            below.push((tag, directory.finish_with_offsets()?.pointer.0));
        }
    }
    let mut image = file.new_image::<C>(w as u32, h as u32)?;
    if layout.alpha {
        image.extra_samples(&[ExtraSamples::UnassociatedAlpha])?;
    }
    if let Some(Resolution { x, y, absolute }) = metadata.resolution {
        let rational = |v: f64| Rational { n: (v * 1000.0).round().clamp(1.0, f64::from(u32::MAX)) as u32, d: 1000 };
        image.resolution_unit(if absolute { ResolutionUnit::Inch } else { ResolutionUnit::None });
        image.x_resolution(rational(x));
        image.y_resolution(rational(y));
    }
    let directory = image.encoder();
    add(directory, &tags.main)?;
    for (tag, at) in below {
        directory.write_tag(Tag::Unknown(tag), at as u32)?;
    }
    for (tag, contents) in [
        (tag::XMP, metadata.xmp.as_deref()),
        (tag::PHOTOSHOP, metadata.photoshop.as_deref()),
        (tag::ICC, picture.icc.as_deref()),
    ] {
        contents.map_or(Ok(()), |contents| directory.write_tag(Tag::Unknown(tag), contents))?;
    }
    if let Some(records) = metadata.iptc() {
        directory.write_tag(Tag::Unknown(tag::IPTC), records)?;
    }
    image.write_data(&picture.interleaved(layout, code))
}

fn add<W: Write + Seek, K: TiffKind>(directory: &mut DirectoryEncoder<W, K>, entries: &[Entry]) -> TiffResult<()> {
    let mut all = Directory::empty();
    for entry in entries {
        if let Some(kind) = Type::from_u16(entry.kind) {
            let written = directory.write_entry_bytes(kind, &entry.data)?;
            all.extend([(Tag::from_u16_exhaustive(entry.tag), written)]);
        }
    }
    directory.extend_from(&all);
    Ok(())
}
