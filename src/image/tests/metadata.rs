//! What files say beyond pixels.

use super::ifd::{Entry, Exif, tag};
use super::metadata::Resolution;
use super::*;

fn text(tag: u16, text: &str) -> Entry {
    Entry { tag, kind: 2, data: [text.as_bytes(), &[0]].concat(), at: 0 }
}

/// Maker, orientation, exposure, place.
fn exif(orientation: u16) -> Exif {
    let fraction = |tag, parts: [u32; 2]| Entry {
        tag,
        kind: 5,
        data: parts.iter().flat_map(|v| v.to_ne_bytes()).collect(),
        at: 0,
    };
    Exif {
        main: vec![text(271, "Maker of cameras"), Entry::shorts(tag::ORIENTATION, &[orientation]), text(33432, "me")],
        exif: vec![fraction(33434, [1, 250]), Entry::shorts(34855, &[400])],
        gps: vec![text(1, "N"), fraction(2, [52, 1])],
    }
}

const XMP: &[u8] = b"<x:xmpmeta xmlns:tiff='t'><a tiff:Orientation=\"6\">title</a></x:xmpmeta>";

pub(super) fn full() -> Picture {
    let mut picture = gentle(16, 24);
    let mut metadata = Metadata { resolution: Resolution::new(300.0, 150.0, true), ..Metadata::default() };
    metadata.set_exif(exif(1).bytes());
    metadata.set_xmp(XMP.to_vec());
    metadata.set_iptc(b"\x1c\x02\x78\0\x07caption");
    metadata.comments = vec![b"a comment".to_vec()];
    metadata.texts = vec![(*b"tEXt", b"Author\0me".to_vec()), (*b"iTXt", b"Title\0\0\0\0\0\xC3\xBC".to_vec())];
    picture.metadata = metadata;
    picture
}

#[test]
fn metadata_goes_where_a_format_has_a_place_for_it() {
    let picture = full();
    for format in Format::all().filter(|format| !format.abilities().light) {
        let (abilities, back) = (format.abilities(), back(&picture, format));
        let (old, new) = (&picture.metadata, &back.metadata);
        let told = told(&picture, format).join("; ");
        for (has, kept, name) in [
            (abilities.exif, new.exif.is_some(), "EXIF"),
            (abilities.xmp, new.xmp == old.xmp, "XMP"),
            (abilities.iptc, new.photoshop == old.photoshop, "IPTC"),
            (abilities.resolution, new.resolution.is_some(), "the resolution"),
            (abilities.texts, new.texts.starts_with(&old.texts), "PNG's texts"),
        ] {
            assert_eq!(kept, has, "{name} in {format}");
            assert_eq!(told.contains(name), !has, "{name} in {format}: {told}");
        }
        if abilities.exif {
            // A TIFF holds them as tags of its own, the rest as it is.
            let exif = Exif::parse(new.exif.as_ref().unwrap()).unwrap();
            let value = |entries: &[Entry], tag| entries.iter().find(|e| e.tag == tag).map(|e| e.data.clone());
            assert_eq!(value(&exif.main, 271).unwrap(), b"Maker of cameras\0");
            assert_eq!(value(&exif.exif, 33434).unwrap(), [1u32.to_ne_bytes(), 250u32.to_ne_bytes()].concat());
            assert_eq!(value(&exif.gps, 1).unwrap(), b"N\0");
        }
        if let Some(resolution) = new.resolution {
            assert!((resolution.x - 300.0).abs() < 0.02 && (resolution.y - 150.0).abs() < 0.02 && resolution.absolute);
        }
        let comment = new.comments.first().map(Vec::as_slice).or(new.texts.last().map(|(_, text)| &text[8..]));
        assert_eq!(comment == Some(b"a comment"), abilities.comments, "{format}");
        // Stripped, nothing is left, and nothing is said.
        let options = WriteOptions::default().with_strip(true);
        assert_eq!(back_with(&picture, format, &options).metadata, Metadata::default(), "{format}");
        let told = check(std::slice::from_ref(&picture), format, &options).unwrap();
        assert!(!texts(&told).join("").contains("left out"));
    }
}

#[test]
fn strip_keeps_what_colours_need() {
    let mut picture = full();
    picture.icc = Some(moxcms::ColorProfile::new_display_p3().encode().unwrap());
    let options = WriteOptions::default().with_strip(true);
    assert_eq!(back_with(&picture, Format::Jpeg, &options).icc, picture.icc);
}

#[test]
fn an_orientation_is_applied_and_then_is_1() {
    // 2x3 pixels: 1 2 / 3 4 / 5 6 in red.
    let mut upright: Picture = Tensor::zeros(Shape::new(1, 3, 3, 2)).into();
    (0..6).for_each(|i| upright.tensor.data[i] = (i + 1) as f32 / 255.0);
    let red = |picture: &Picture| quantise(&picture.tensor)[..6].to_vec();
    for (orientation, expected, turned) in [
        (1, [1, 2, 3, 4, 5, 6], false),
        (2, [2, 1, 4, 3, 6, 5], false),
        (3, [6, 5, 4, 3, 2, 1], false),
        (4, [5, 6, 3, 4, 1, 2], false),
        (5, [1, 3, 5, 2, 4, 6], true),
        (6, [5, 3, 1, 6, 4, 2], true),
        (7, [6, 4, 2, 5, 3, 1], true),
        (8, [2, 4, 6, 1, 3, 5], true),
    ] {
        let mut stored = upright.clone();
        stored.alpha = Some((1..7).map(|i| i as f32 / 255.0).collect());
        stored.metadata.exif = Some(exif(orientation).bytes());
        stored.metadata.resolution = Resolution::new(100.0, 200.0, true);
        for format in [Format::Png, Format::WebP] {
            let bytes = encode(&stored, format, &WriteOptions::default()).unwrap();
            let back = decode(&bytes, None).unwrap();
            assert_eq!(red(&back), expected, "{format} {orientation}");
            let alpha: Vec<u8> = back.alpha.iter().flatten().map(|a| (a * 255.0).round() as u8).collect();
            assert_eq!(alpha, expected);
            assert_eq!(back.size(), if turned { (2, 3) } else { (3, 2) });
            assert_eq!(decode_size(&bytes, None).unwrap(), back.size());
            let exif = Exif::parse(back.metadata.exif.as_ref().unwrap()).unwrap();
            let orientation = exif.main.iter().find(|entry| entry.tag == tag::ORIENTATION).unwrap();
            assert_eq!(orientation.integers(), [1]);
            if let Some(resolution) = back.metadata.resolution {
                assert_eq!(resolution.x.round(), if turned { 200.0 } else { 100.0 });
            }
        }
        let jpeg = encode(&stored, Format::Jpeg, &WriteOptions::default()).unwrap();
        assert_eq!(decode(&jpeg, None).unwrap().size(), if turned { (2, 3) } else { (3, 2) });
        assert_eq!(decode_size(&jpeg, None).unwrap(), if turned { (2, 3) } else { (3, 2) });
    }
    let xmp = back(&full(), Format::Jpeg).metadata.xmp.unwrap();
    assert!(String::from_utf8(xmp).unwrap().contains("tiff:Orientation=\"1\""));
}

#[test]
fn what_is_too_long_for_a_jpeg_is_said() {
    let mut picture = full();
    picture.metadata.xmp = Some(vec![b' '; 70_000]);
    assert!(told(&picture, Format::Jpeg).iter().any(|text| text.contains("XMP")));
    assert_eq!(back(&picture, Format::Jpeg).metadata.xmp, None);
    assert_eq!(back(&picture, Format::Tiff).metadata.xmp, picture.metadata.xmp);
}

#[test]
fn exif_blocks_of_either_byte_order_are_understood() {
    // Big-endian: one entry, orientation 6.
    let big = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0".to_vec();
    assert_eq!(Exif::parse(&big).unwrap().main[0].integers(), [6]);
    assert_eq!(
        Exif::parse(&exif(3).bytes()),
        Some({
            let mut expected = exif(3);
            for entries in [&mut expected.main, &mut expected.exif, &mut expected.gps] {
                entries.sort_by_key(|entry| entry.tag);
            }
            let found = Exif::parse(&exif(3).bytes()).unwrap();
            // Only where they lie differs.
            let place =
                |entries: &mut Vec<Entry>, from: &[Entry]| entries.iter_mut().zip(from).for_each(|(e, f)| e.at = f.at);
            place(&mut expected.main, &found.main);
            place(&mut expected.exif, &found.exif);
            place(&mut expected.gps, &found.gps);
            expected
        })
    );
    for damaged in [&big[..20], b"MM", b"", b"II*\0\xFF\xFF\xFF\xFF"] {
        assert!(Exif::parse(damaged).is_none_or(|exif| exif.is_empty()));
    }
}
