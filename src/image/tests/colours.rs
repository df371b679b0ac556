//! Grey, palettes, profiles, inks.

use super::*;
use image::{DynamicImage, GrayAlphaImage, GrayImage, ImageBuffer, ImageFormat, Luma, LumaA};
use std::io::Cursor;

/// A file of another encoder; a JPEG is grey.
pub(super) fn encoded(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(vec![]);
    if format == ImageFormat::Jpeg {
        let (image, mut out) = (image.into().into_luma8(), vec![]);
        let (w, h) = (image.width() as u16, image.height() as u16);
        jpeg_encoder::Encoder::new(&mut out, 95).encode(&image, w, h, jpeg_encoder::ColorType::Luma).unwrap();
        return out;
    }
    image.into().write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

#[test]
fn grey_stays_grey() {
    let image = GrayImage::from_fn(30, 20, |x, y| Luma([(5 * x + 6 * y) as u8]));
    let tiff = super::tiffs::written::<::tiff::encoder::colortype::Gray8>(30, 20, image.as_raw());
    let of = |format| encoded(image.clone(), format);
    for (format, input) in [
        (Format::Png, of(ImageFormat::Png)),
        (Format::Jpeg, of(ImageFormat::Jpeg)),
        (Format::Bmp, of(ImageFormat::Bmp)),
        (Format::Pnm, of(ImageFormat::Pnm)),
        (Format::Tiff, tiff),
    ] {
        let mut picture = decode(&input, None).unwrap();
        assert!(picture.grey, "{format}");
        // The network colours it; what is written is the mean.
        let plane = picture.tensor.shape.plane();
        let before = picture.tensor.clone();
        picture.tensor.data[..plane].iter_mut().for_each(|v| *v += 0.03);
        picture.tensor.data[plane..2 * plane].iter_mut().for_each(|v| *v -= 0.03);
        for out in [Format::Png, Format::Jpeg, Format::Tiff, Format::Bmp, Format::Pnm, Format::Tga] {
            let bytes = encode(&picture, out, &WriteOptions::default()).unwrap();
            let back = decode(&bytes, Some(out)).unwrap();
            assert!(back.grey, "{format} to {out}");
            assert!(worst(&back, &before.clone().into()) < 4.0);
            let mut coloured = picture.clone();
            coloured.grey = false;
            assert!(bytes.len() < encode(&coloured, out, &WriteOptions::default()).unwrap().len(), "{out} is smaller");
        }
    }
    let deep = ImageBuffer::from_pixel(1, 1, LumaA([1000u16, 3000]));
    let deep = decode(&encoded(DynamicImage::from(deep), ImageFormat::Png), None).unwrap();
    assert_eq!((deep.tensor.data, deep.alpha), (vec![1000.0 / 65535.0; 3], Some(vec![3000.0 / 65535.0])));
    assert!(deep.grey && deep.depth == Depth::Sixteen);
    let both = GrayAlphaImage::from_pixel(2, 2, LumaA([9, 100]));
    assert!(decode(&encoded(both, ImageFormat::Png), None).unwrap().grey);
}

/// A BMP of 2x1 pixels with a palette of two colours (blue, green, red, 0), 8 bits a pixel.
pub(super) fn palette_bmp(colours: [u32; 2]) -> Vec<u8> {
    let mut bmp = b"BM".to_vec();
    for v in [66u32, 0, 62, 40, 2, 1, 1 | 8 << 16, 0, 4, 0, 0, 2, 0].into_iter().chain(colours) {
        bmp.extend(v.to_le_bytes());
    }
    bmp.extend([1, 0, 0, 0]);
    bmp
}

#[test]
fn a_palette_is_grey_where_all_of_its_colours_are() {
    let colours = decode(&palette_bmp([0x00FF_8040, 0x0001_0203]), None).unwrap();
    assert!(!colours.grey);
    assert_eq!(quantise(&colours.tensor), [0x01, 0xFF, 0x02, 0x80, 0x03, 0x40]);
    assert!(decode(&palette_bmp([0x0010_1010, 0x00FF_FFFF]), None).unwrap().grey);
}

fn rgb_profile(profile: moxcms::ColorProfile) -> Vec<u8> {
    profile.encode().unwrap()
}

#[test]
fn profiles_of_rgb_and_grey_stay() {
    let p3 = rgb_profile(moxcms::ColorProfile::new_display_p3());
    let grey_profile = moxcms::ColorProfile::new_gray_with_gamma(1.8).encode().unwrap();
    for format in [Format::Png, Format::Jpeg, Format::Tiff, Format::WebP] {
        let picture = Picture { icc: Some(p3.clone()), ..gentle(20, 20) };
        assert_eq!(back(&picture, format).icc, picture.icc, "{format}");
        assert_eq!(told(&picture, format), [""; 0]);
        if format != Format::WebP {
            let picture = Picture { icc: Some(grey_profile.clone()), ..grey(gentle(20, 20)) };
            let back = back(&picture, format);
            assert!(back.grey && back.icc == picture.icc, "{format}");
        }
    }
}

#[test]
fn colours_become_srgb_where_a_format_has_no_place_for_their_profile() {
    let mut picture = gentle(20, 20);
    picture.icc = Some(rgb_profile(moxcms::ColorProfile::new_display_p3()));
    picture.tensor.data.fill(0.0);
    picture.tensor.data[..400].fill(0.5);
    picture.tensor.data[400..800].fill(0.4);
    let back = super::back(&picture, Format::Bmp);
    // Display P3 (0.5, 0.4, 0) in sRGB, by the definitions of both.
    let expected = [131.8, 101.6, 0.0];
    for (c, expected) in expected.iter().enumerate() {
        let code = back.tensor.data[c * 400] * 255.0;
        assert!((code - expected).abs() < 2.0, "channel {c}: {code}, expected {expected}");
    }
    assert_eq!(back.icc, None);
    assert_eq!(told(&picture, Format::Bmp), ["colours became sRGB, as BMP has no place for their profile"]);
    // A grey profile and the three channels of a WebP do not fit together.
    let mut dark = grey(gentle(20, 20));
    dark.icc = Some(moxcms::ColorProfile::new_gray_with_gamma(1.0).encode().unwrap());
    dark.tensor.data.fill(0.2);
    let back = super::back(&dark, Format::WebP);
    // Linear 0.2 in sRGB's curve: 0.4845.
    assert!((back.tensor.data[0] - 0.4845).abs() < 0.01, "{}", back.tensor.data[0]);
    assert_eq!(back.icc, None);
    // sRGB itself needs no words, and its values do not move.
    let picture = Picture { icc: Some(colour::srgb()), ..sample(5, 5, false, Depth::Eight) };
    assert_eq!(told(&picture, Format::Bmp), [""; 0]);
    assert_eq!(super::back(&picture, Format::Bmp).tensor, picture.tensor);
}

#[test]
fn a_profile_of_another_kind_is_left_out_and_said() {
    let mut picture = sample(2, 2, false, Depth::Eight);
    picture.icc = Some(moxcms::ColorProfile::new_gray_with_gamma(2.2).encode().unwrap());
    let back = back(&picture, Format::Tiff);
    assert_eq!(back.icc, None);
    assert_eq!(texts(&back.notes), ["its colour profile is not one of RGB, as its pixels are: left out"]);
}

/// A PNG with a chunk behind its header.
pub(super) fn png_with(picture: &Picture, name: &[u8; 4], contents: &[u8]) -> Vec<u8> {
    let mut picture = picture.clone();
    picture.metadata.colour_chunks = vec![(*name, contents.to_vec())];
    encode(&picture, Format::Png, &WriteOptions::default()).unwrap()
}

#[test]
fn what_pngs_chunks_say_of_colours_stays_or_becomes_a_profile() {
    let mut linear = gentle(20, 20);
    linear.tensor.data.fill(0.2);
    for (plain, is_grey) in [(linear.clone(), false), (grey(linear), true)] {
        let picture = decode(&png_with(&plain, b"gAMA", &100_000u32.to_be_bytes()), None).unwrap();
        assert_eq!(picture.metadata.colour_chunks, [(*b"gAMA", 100_000u32.to_be_bytes().to_vec())]);
        assert_eq!(back(&picture, Format::Png).metadata.colour_chunks, picture.metadata.colour_chunks);
        assert_eq!(told(&picture, Format::Png), [""; 0]);
        let tagged = back(&picture, Format::Tiff);
        assert_eq!(tagged.tensor, picture.tensor, "values stay");
        assert_eq!(told(&picture, Format::Tiff), ["what PNG's chunks say of the colours became a colour profile"]);
        // The profile means what the chunk did: linear 0.2 is 0.4845 in sRGB.
        let seen = back(&tagged, Format::Qoi);
        assert!((seen.tensor.data[0] - 0.4845).abs() < 0.01, "grey {is_grey}: {}", seen.tensor.data[0]);
        let seen = back(&picture, Format::Qoi);
        assert!((seen.tensor.data[0] - 0.4845).abs() < 0.01, "grey {is_grey}: {}", seen.tensor.data[0]);
    }
    // The usual gamma is sRGB.
    let usual = decode(&png_with(&gentle(5, 5), b"gAMA", &45_455u32.to_be_bytes()), None).unwrap();
    assert_eq!(told(&usual, Format::Bmp), [""; 0]);
}

#[test]
fn colours_for_hdr_screens_stay_in_a_png_and_are_refused_elsewhere() {
    for transfer in [16, 18] {
        let picture = decode(&png_with(&gentle(5, 5), b"cICP", &[9, transfer, 0, 1]), None).unwrap();
        assert_eq!(back(&picture, Format::Png).metadata.colour_chunks, [(*b"cICP", vec![9, transfer, 0, 1])]);
        for format in [Format::Jpeg, Format::Tiff, Format::Bmp] {
            let text = refused(encode(&picture, format, &WriteOptions::default()));
            assert!(text.contains("PQ or HLG") && text.contains(".png"), "{text}");
        }
    }
    // Display P3 is no such: it becomes a profile.
    let p3 = decode(&png_with(&gentle(5, 5), b"cICP", &[12, 13, 0, 1]), None).unwrap();
    assert!(back(&p3, Format::Tiff).icc.is_some());
}

/// A profile of CMYK, the smallest that there can be: what each of the 16 full inks over one another looks like, in
/// L*a*b*. Cyan is (55, -37, -50), as printing presses have it, black (16, 0, 0), and they darken one another.
pub(super) fn cmyk_profile() -> Vec<u8> {
    let mut table = b"mft1\0\0\0\0\x04\x03\x02\0".to_vec();
    for v in [1i32, 0, 0, 0, 1, 0, 0, 0, 1] {
        table.extend((v << 16).to_be_bytes());
    }
    let straight = || 0..=255u8;
    (0..4).for_each(|_| table.extend(straight()));
    for corner in 0..16u8 {
        let ink = |bit: u8| corner >> bit & 1 == 1;
        let (mut l, mut a, mut b) = (100.0f32, 0.0, 0.0);
        for (bit, [light, red, yellow]) in
            [(3, [55.0, -37.0, -50.0]), (2, [48.0, 74.0, -3.0]), (1, [89.0, -5.0, 93.0]), (0, [16.0, 0.0, 0.0f32])]
        {
            if ink(bit) {
                (l, a, b) = (l * light / 100.0, a + red, b + yellow);
            }
        }
        if ink(0) {
            (a, b) = (0.0, 0.0);
        }
        table.extend([
            (l * 2.55).round() as u8,
            (a + 128.0).clamp(0.0, 255.0) as u8,
            (b + 128.0).clamp(0.0, 255.0) as u8,
        ]);
    }
    (0..3).for_each(|_| table.extend(straight()));

    let size = 128 + 4 + 12 + table.len();
    let mut profile = (size as u32).to_be_bytes().to_vec();
    profile.extend(b"none\x02\x40\0\0prtrCMYKLab ");
    profile.resize(36, 0);
    profile.extend(b"acsp");
    profile.resize(68, 0);
    // The white of the space between: D50.
    for v in [0x0000_F6D6u32, 0x0001_0000, 0x0000_D32D] {
        profile.extend(v.to_be_bytes());
    }
    profile.resize(128, 0);
    profile.extend(1u32.to_be_bytes());
    profile.extend(b"A2B0");
    profile.extend(144u32.to_be_bytes());
    profile.extend((table.len() as u32).to_be_bytes());
    profile.extend(table);
    profile
}

/// A JPEG of one colour in CMYK, stored as Adobe's programs do: inverted.
pub(super) fn cmyk_jpeg(inks: [u8; 4], ycck: bool, profile: Option<&[u8]>) -> Vec<u8> {
    use jpeg_encoder::{ColorType, Encoder};
    let mut out = vec![];
    let mut encoder = Encoder::new(&mut out, 100);
    profile.map_or(Ok(()), |profile| encoder.add_icc_profile(profile)).unwrap();
    let kind = if ycck { ColorType::CmykAsYcck } else { ColorType::Cmyk };
    encoder.encode(&inks.repeat(256), 16, 16, kind).unwrap();
    out
}

#[test]
fn cmyk_becomes_srgb() {
    for ycck in [false, true] {
        // No profile: each ink takes its colour away.
        let plain = decode(&cmyk_jpeg([255, 0, 0, 0], ycck, None), None).unwrap();
        let mean =
            |picture: &Picture, c: usize| picture.tensor.data[c * 256..][..256].iter().sum::<f32>() / 256.0 * 255.0;
        let seen = [0, 1, 2].map(|c| mean(&plain, c));
        assert!(seen[0] < 4.0 && seen[1] > 251.0 && seen[2] > 251.0, "{seen:?} ycck {ycck}");
        assert_eq!(
            texts(&plain.notes),
            ["CMYK became sRGB, without a colour profile that would say which inks they are"]
        );
        // By the profile: L*a*b* (55, -37, -50) is (0, 148, 220) or so in sRGB.
        let profile = cmyk_profile();
        let by_profile = decode(&cmyk_jpeg([255, 0, 0, 0], ycck, Some(&profile)), None).unwrap();
        let seen = [0, 1, 2].map(|c| mean(&by_profile, c));
        assert!(seen[0] < 8.0 && (seen[1] - 148.0).abs() < 12.0 && (seen[2] - 220.0).abs() < 12.0, "{seen:?}");
        assert_eq!(texts(&by_profile.notes), ["CMYK became sRGB by its colour profile"]);
        assert_eq!(by_profile.icc, Some(colour::srgb()), "and says so");
        let paper = decode(&cmyk_jpeg([0, 0, 0, 0], ycck, Some(&profile)), None).unwrap();
        assert!((0..3).all(|c| mean(&paper, c) > 250.0), "paper is white");
        let black = decode(&cmyk_jpeg([0, 0, 0, 255], ycck, Some(&profile)), None).unwrap();
        assert!((0..3).all(|c| (30.0..55.0).contains(&mean(&black, c))), "{} is the ink's black", mean(&black, 0));
    }
}
