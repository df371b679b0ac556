//! Kinds of TIFF that are not written here.

use super::ifd::{Directories, Entry, Exif, tag};
use super::*;
use ::tiff::encoder::{TiffEncoder, colortype::*};
use ::tiff::tags::{ExtraSamples, Tag};
use std::io::Cursor;

pub(super) fn short(tag: u16, value: u16) -> Entry {
    Entry::shorts(tag, &[value])
}

/// A file of one directory and one strip of samples.
pub(super) fn file(mut entries: Vec<Entry>, (h, w): (u16, u16), samples: &[u8]) -> Vec<u8> {
    let long = |tag, value: usize| Entry { tag, kind: 4, data: (value as u32).to_ne_bytes().to_vec(), at: 0 };
    entries.extend([short(tag::WIDTH, w), short(tag::HEIGHT, h), long(279, samples.len()), long(273, 0)]);
    if !entries.iter().any(|entry| entry.tag == tag::COMPRESSION) {
        entries.push(short(tag::COMPRESSION, 1));
    }
    let size = Exif { main: entries.clone(), ..Exif::default() }.bytes().len();
    entries.pop_if(|entry| entry.tag == 273);
    entries.retain(|entry| entry.tag != 273);
    entries.push(long(273, size));
    let mut bytes = Exif { main: entries, ..Exif::default() }.bytes();
    bytes.extend(samples);
    bytes
}

pub(super) fn bits(bits: &[u16], photometric: u16) -> Vec<Entry> {
    vec![Entry::shorts(tag::BITS, bits), short(tag::SAMPLES, bits.len() as u16), short(tag::PHOTOMETRIC, photometric)]
}

pub(super) fn written<C: ColorType>(w: u32, h: u32, samples: &[C::Inner]) -> Vec<u8>
where
    [C::Inner]: ::tiff::encoder::TiffValue,
{
    let mut out = Cursor::new(vec![]);
    TiffEncoder::new(&mut out).unwrap().write_image::<C>(w, h, samples).unwrap();
    out.into_inner()
}

#[test]
fn integers_of_any_depth_go_by_their_range() {
    let codes = |picture: &Picture| quantise(&picture.tensor)[..3].to_vec();
    let half = |picture: Picture| {
        assert!(picture.grey && picture.log.is_none());
        assert_eq!(codes(&picture), [0, 128, 255]);
        picture
    };
    assert_eq!(half(decode(&written::<Gray32>(3, 1, &[0, 1 << 31, u32::MAX]), None).unwrap()).depth, Depth::Sixteen);
    assert_eq!(half(decode(&written::<Gray64>(3, 1, &[0, 1 << 63, u64::MAX]), None).unwrap()).depth, Depth::Sixteen);
    half(decode(&written::<GrayI8>(3, 1, &[-128, 0, 127]), None).unwrap());
    half(decode(&written::<GrayI16>(3, 1, &[i16::MIN, 0, i16::MAX]), None).unwrap());
    let deep = half(decode(&written::<GrayI32>(3, 1, &[i32::MIN, 0, i32::MAX]), None).unwrap());
    assert_eq!(texts(&deep.notes), ["integers of 32 or 64 bits became 16 bits"]);
    // 1, 2 and 4 bits; rows begin at whole bytes.
    for (depth, samples, expected) in [
        (1, &[0b1010_0000, 0b0100_0000][..], &[255, 0, 255, 0, 255, 0][..]),
        (2, &[0b0001_1000, 0b1100_0000], &[0, 85, 170, 255, 0, 0]),
        (4, &[0x0F, 0x80, 0x12, 0x30], &[0, 255, 136, 17, 34, 51]),
    ] {
        let picture = decode(&file(bits(&[depth], 1), (2, 3), samples), None).unwrap();
        assert_eq!((&quantise(&picture.tensor)[..6], picture.grey), (expected, true), "{depth} bits");
        let white = decode(&file(bits(&[depth], 0), (2, 3), samples), None).unwrap();
        let inverted: Vec<u8> = expected.iter().map(|v| 255 - v).collect();
        assert_eq!(quantise(&white.tensor)[..6], inverted, "{depth} bits, white is zero");
    }
    // Others are packed without a gap: 0, a third, all of the range.
    for (depth, samples, top) in [
        (3, &[0b0000_1011, 0b1000_0000, 0b1110_1000, 0][..], [0, 73, 255]),
        (12, &[0x00, 0x05, 0x55, 0xFF, 0xF0, 0xFF, 0xF5, 0x55, 0x00, 0x00], [0, 85, 255]),
        (15, &[0x00, 0x00, 0xAA, 0xAB, 0xFF, 0xF8, 0xFF, 0xFE, 0xAA, 0xA8, 0, 0], [0, 85, 255]),
    ] {
        let picture = decode(&file(bits(&[depth], 1), (2, 3), samples), None).unwrap();
        let both = [top, [top[2], top[1], top[0]]].concat();
        assert_eq!((&quantise(&picture.tensor)[..6], picture.grey), (&both[..], true), "{depth} bits");
        let white = decode(&file(bits(&[depth], 0), (2, 3), samples), None).unwrap();
        assert_eq!(quantise(&white.tensor)[..6], both.iter().map(|v| 255 - v).collect::<Vec<u8>>(), "{depth} bits");
        assert_eq!(picture.depth, if depth > 8 { Depth::Sixteen } else { Depth::Eight });
    }
    for (space, count) in [(2, 3), (5, 4)] {
        let text = refused(decode(&file(bits(&[14], space), (1, 2), &[0; 12]), None));
        assert!(text.contains(&format!("1 of {count} samples")), "{text}");
    }
    // In an order of bits, or in planes, that nobody was seen to write; and signed.
    for tag in [266, 284, 339] {
        let entries = [bits(&[12; 3], 2), vec![short(tag, 2)]].concat();
        let text = refused(decode(&file(entries, (1, 2), &[0; 12]), None));
        assert!(text.contains("12 bits") && text.contains("tiffcp"), "{text}");
    }
}

/// Files of tifffile 2026.3 with imagecodecs, and the pixel (1, 2) of each.
#[test]
fn what_other_programs_pack_and_compress_by_zstandard_is_read() {
    macro_rules! seed {
        ($name:literal) => {
            ($name, &include_bytes!(concat!("../../../tests/fuzz/seeds/tiff/", $name, ".tif"))[..])
        };
    }
    let near = |(name, bytes): (&str, &[u8]), size: (usize, usize), depth, pixel: [f32; 3]| {
        let picture = decode(bytes, None).unwrap_or_else(|e| panic!("{name}: {e}"));
        let (shape, x) = (picture.tensor.shape, &picture.tensor.data);
        assert_eq!(((shape.h, shape.w), picture.depth, picture.notes.len()), (size, depth, 0), "{name}");
        let found = [0, 1, 2].map(|c| x[c * shape.plane() + shape.w + 2]);
        assert!(found.iter().zip(pixel).all(|(a, b)| (a - b).abs() < 1e-5), "{name}: {found:?}");
    };
    near(seed!("bits10"), (5, 7), Depth::Sixteen, [299.0, 249.0, 299.0].map(|v| v / 1023.0));
    near(seed!("bits12"), (5, 7), Depth::Sixteen, [1200.0, 1000.0, 1200.0].map(|v| v / 4095.0));
    near(seed!("bits14"), (5, 7), Depth::Sixteen, [4800.0, 4000.0, 4800.0].map(|v| v / 16383.0));
    near(seed!("zstd"), (5, 7), Depth::Eight, [60.0, 50.0, 60.0].map(|v| v / 255.0));
    near(seed!("zstd-big-endian"), (5, 7), Depth::Sixteen, [60.0, 50.0, 60.0].map(|v| v / 255.0));
    near(seed!("zstd-float-tiles"), (20, 36), Depth::Float, [0.05, 0.04, 0.05]);
    let (_, bytes) = seed!("zstd");
    let broken = [&bytes[..bytes.len() - 30], &[0xAA; 30]].concat();
    assert!(decode(&broken, None).is_err());
}

#[test]
fn floating_point_stays_what_it_is() {
    let inside = decode(&written::<RGB32Float>(1, 2, &[0.0, 0.25, 1.0, 0.5, 0.125, 0.75]), None).unwrap();
    assert_eq!((inside.log, inside.depth), (None, Depth::Float));
    assert_eq!(back(&inside, Format::Tiff).tensor.data, [0.0, 0.5, 0.25, 0.125, 1.0, 0.75]);
    assert_eq!(told(&inside, Format::Png), ["floating point became 16 bits"]);
    // Codes up to 255 come back as codes up to 255.
    let codes = decode(&written::<RGB32Float>(1, 2, &[0.0, 64.0, 255.0, 128.0, 32.0, 200.0]), None).unwrap();
    let out = back(&codes, Format::Tiff);
    let values: Vec<f32> = out.tensor.data.iter().map(|&v| out.log.unwrap().undo(v)).collect();
    for (value, expected) in values.iter().zip([0.0, 128.0, 64.0, 32.0, 255.0, 200.0]) {
        assert!((value - expected).abs() < 0.01, "{value}, was {expected}");
    }
    assert!(refused(encode(&codes, Format::Png, &WriteOptions::default())).contains("values up to 255"));
    let doubles = decode(&written::<Gray64Float>(2, 1, &[0.5, 1.0]), None).unwrap();
    assert_eq!(texts(&doubles.notes), ["floating point of 64 bits became 32 bits"]);
    // Half precision: 0, 0.5, 1.
    let mut entries = bits(&[16], 1);
    entries.push(short(339, 3));
    let halves: Vec<u8> = [0u16, 0x3800, 0x3C00].iter().flat_map(|v| v.to_ne_bytes()).collect();
    assert_eq!(decode(&file(entries, (1, 3), &halves), None).unwrap().tensor.data[..3], [0.0, 0.5, 1.0]);
}

#[test]
fn alpha_that_colours_were_multiplied_by_is_taken_out_and_said() {
    let samples = [100u8, 50, 0, 128, 7, 8, 9, 255];
    let with = |kind: ExtraSamples| {
        let mut out = Cursor::new(vec![]);
        let mut encoder = TiffEncoder::new(&mut out).unwrap();
        let mut image = encoder.new_image::<RGB8>(1, 2).unwrap();
        image.extra_samples(&[kind]).unwrap();
        image.write_data(&samples).unwrap();
        out.into_inner()
    };
    let picture = decode(&with(ExtraSamples::AssociatedAlpha), None).unwrap();
    assert_eq!(quantise(&picture.tensor), [199, 7, 100, 8, 0, 9]);
    assert_eq!(texts(&picture.notes), ["colours that were multiplied by alpha are stored as they are"]);
    let plain = decode(&with(ExtraSamples::UnassociatedAlpha), None).unwrap();
    assert_eq!(quantise(&plain.tensor), [100, 7, 50, 8, 0, 9]);
    let other = decode(&with(ExtraSamples::Unspecified), None).unwrap();
    assert_eq!((other.alpha, texts(&other.notes)), (None, vec!["left out: 1 further channel"]));
    // What is written says which alpha it has.
    for picture in [picture, sample(3, 3, true, Depth::Sixteen), grey(sample(3, 3, true, Depth::Eight))] {
        let bytes = encode(&picture, Format::Tiff, &WriteOptions::default()).unwrap();
        let chain = Directories::open(&bytes).unwrap().chain();
        assert_eq!(chain[0].entry(tag::EXTRA_SAMPLES).unwrap().integers(), [2]);
    }
}

#[test]
fn palettes_planes_and_bigtiff_are_read() {
    let map: Vec<u16> =
        [[0u16, 255, 10, 20], [0, 128, 10, 30], [0, 0, 10, 40]].concat().iter().map(|v| v * 257).collect();
    let with_map = |depth: u16| {
        let mut entries = bits(&[depth], 3);
        let size = 1 << depth;
        let map: Vec<u16> = map.chunks(4).flat_map(|c| c.iter().copied().chain(vec![0; size - 4])).collect();
        entries.push(Entry::shorts(tag::COLOUR_MAP, &map));
        entries
    };
    for (depth, samples) in [(2, vec![0b0111_0000]), (4, vec![0x13, 0x00]), (8, vec![1, 3, 0])] {
        let picture = decode(&file(with_map(depth), (1, 3), &samples), None).unwrap();
        assert_eq!(quantise(&picture.tensor), [255, 20, 0, 128, 30, 0, 0, 40, 0], "{depth} bits");
        assert_eq!((picture.depth, picture.grey), (Depth::Eight, false));
    }
    let mut planar = bits(&[8; 3], 2);
    planar.push(short(284, 2));
    // A strip for each plane.
    let long = |tag, values: &[u32]| Entry {
        tag,
        kind: 4,
        data: values.iter().flat_map(|v| v.to_ne_bytes()).collect(),
        at: 0,
    };
    planar.extend([short(tag::WIDTH, 2), short(tag::HEIGHT, 1), short(tag::COMPRESSION, 1), long(279, &[2, 2, 2])]);
    let size =
        Exif { main: [planar.clone(), vec![long(273, &[0; 3])]].concat(), ..Exif::default() }.bytes().len() as u32;
    planar.push(long(273, &[size, size + 2, size + 4]));
    let bytes = [Exif { main: planar, ..Exif::default() }.bytes(), vec![1, 2, 3, 4, 5, 6]].concat();
    assert_eq!(quantise(&decode(&bytes, None).unwrap().tensor), [1, 2, 3, 4, 5, 6]);

    let mut big = Cursor::new(vec![]);
    TiffEncoder::new_big(&mut big).unwrap().write_image::<RGB8>(1, 1, &[1, 2, 3]).unwrap();
    assert_eq!(quantise(&decode(big.get_ref(), None).unwrap().tensor), [1, 2, 3]);
    assert_eq!(decode_size(big.get_ref(), None).unwrap(), (1, 1));
}

#[test]
fn lab_ycbcr_and_cmyk_become_rgb() {
    let close = |bytes: &[u8], expected: [i32; 3]| {
        let picture = decode(bytes, None).unwrap();
        let seen = quantise(&picture.tensor);
        let worst = seen.iter().zip(expected).map(|(&a, b)| (i32::from(a) - b).abs()).max().unwrap();
        assert!(worst <= 2, "{seen:?}, expected {expected:?}");
        picture
    };
    // L*a*b* (53.2, 80, 67) is red; D50's white is white.
    let lab = close(&file(bits(&[8; 3], 8), (1, 1), &[138, 81, 70]), [254, 0, 0]);
    assert_eq!((texts(&lab.notes), lab.icc), (vec!["L*a*b* became sRGB"], Some(colour::srgb())));
    close(&file(bits(&[8; 3], 8), (1, 1), &[255, 0, 0]), [255, 255, 255]);
    close(&file(bits(&[8; 3], 9), (1, 1), &[255, 128, 128]), [255, 255, 255]);
    let deep: Vec<u8> = [65535u16, 0, 0].iter().flat_map(|v| v.to_ne_bytes()).collect();
    assert_eq!(close(&file(bits(&[16; 3], 8), (1, 1), &deep), [255, 255, 255]).depth, Depth::Sixteen);
    let mut ycbcr = bits(&[8; 3], 6);
    ycbcr.push(Entry::shorts(530, &[1, 1]));
    close(&file(ycbcr, (1, 1), &[76, 85, 255]), [254, 0, 0]);
    close(&file(bits(&[8; 4], 5), (1, 1), &[255, 0, 0, 0]), [0, 255, 255]);
}

#[test]
fn a_tiff_of_jpeg_is_read() {
    use jpeg_encoder::{ColorType, Encoder};
    let mut jpeg = vec![];
    Encoder::new(&mut jpeg, 100).encode(&[200, 100, 50].repeat(256), 16, 16, ColorType::Rgb).unwrap();
    let mut entries = bits(&[8; 3], 6);
    entries.extend([short(tag::COMPRESSION, 7), Entry::shorts(530, &[1, 1])]);
    let picture = decode(&file(entries, (16, 16), &jpeg), None).unwrap();
    for (c, expected) in [200, 100, 50].iter().enumerate() {
        assert!((i32::from(quantise(&picture.tensor)[c * 256 + 100]) - expected).abs() <= 3);
    }
}

#[test]
fn what_cannot_be_read_is_refused_by_name() {
    for (compression, name) in
        [(2, "CCITT"), (6, "old kind of JPEG"), (34712, "JPEG 2000"), (34887, "LERC"), (34925, "LZMA"), (50001, "WebP")]
    {
        let mut entries = bits(&[8; 3], 2);
        entries.push(short(tag::COMPRESSION, compression));
        let text = refused(decode(&file(entries, (1, 1), &[0; 3]), None));
        assert!(text.contains(name) && text.contains("tiffcp"), "{text}");
    }
    for (space, name) in [(10, "ITU"), (32845, "LogLuv"), (4, "mask"), (77, "unknown space")] {
        let text = refused(decode(&file(bits(&[8; 3], space), (1, 1), &[0; 3]), None));
        assert!(text.contains(name), "{text}");
    }
}

#[test]
fn raw_files_are_refused_and_reduced_pictures_left_out() {
    // What a camera's sensor saw; a DNG; Nikon's compression.
    let dng = Entry { tag: tag::DNG_VERSION, kind: 1, data: vec![1, 4, 0, 0], at: 0 };
    let nikon = [bits(&[8; 3], 2), vec![short(tag::COMPRESSION, 34713)]].concat();
    for entries in [bits(&[16], 32803), [bits(&[8; 3], 2), vec![dng]].concat(), nikon] {
        let bytes = file(entries, (1, 1), &[0; 3]);
        for text in [refused(decode(&bytes, None)), refused(decode_size(&bytes, None))] {
            assert!(text.contains("raw file") && text.contains("darktable"), "{text}");
        }
    }
    // A preview, then the picture itself.
    let mut out = Cursor::new(vec![]);
    let mut encoder = TiffEncoder::new(&mut out).unwrap();
    let mut preview = encoder.new_image::<RGB8>(1, 1).unwrap();
    preview.encoder().write_tag(Tag::Unknown(tag::NEW_SUBFILE_TYPE), 1u32).unwrap();
    preview.write_data(&[9, 9, 9]).unwrap();
    encoder.write_image::<RGB8>(2, 1, &[1, 2, 3, 4, 5, 6]).unwrap();
    let bytes = out.into_inner();
    assert_eq!(quantise(&decode(&bytes, None).unwrap().tensor), [1, 4, 2, 5, 3, 6]);
    assert_eq!(decode_size(&bytes, None).unwrap(), (1, 2));
    let only = [bits(&[8; 3], 2), vec![short(tag::NEW_SUBFILE_TYPE, 1)]].concat();
    assert!(refused(decode(&file(only, (1, 1), &[0; 3]), None)).contains("full size"));
}
