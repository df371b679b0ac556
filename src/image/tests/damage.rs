//! Files that are cut off, overwritten, or made to take all memory.

use super::ifd::tag;
use super::*;
use crate::error::Error;

fn keep_going() -> ReadOptions {
    ReadOptions::default().with_damaged(true)
}

/// No two parts of it are alike.
fn noisy(h: usize, w: usize) -> Picture {
    let shape = Shape::new(1, 3, h, w);
    let value = |i: usize| (i.wrapping_mul(i).wrapping_mul(31) / 7 + i * 7) % 251;
    Tensor::new(shape, (0..shape.len()).map(|i| value(i) as f32 / 255.0).collect()).into()
}

#[test]
fn a_jpeg_that_is_cut_off_is_an_error_or_what_there_is_of_it() {
    let whole = encode(&noisy(64, 64), Format::Jpeg, &WriteOptions::default()).unwrap();
    let intact = decode(&whole, None).unwrap();
    for part in [0.6, 0.9] {
        let cut = &whole[..(whole.len() as f64 * part) as usize];
        let text = refused(decode(cut, None));
        assert!(text.contains("damaged"), "{text}");
        let picture = decode_pages(cut, None, &keep_going()).unwrap().remove(0);
        assert!(picture.damage().unwrap().contains("cut off"), "{:?}", picture.notes);
        // The upper part is there.
        assert_eq!(picture.tensor.data[..64 * 16], intact.tensor.data[..64 * 16]);
        assert_ne!(picture.tensor, intact.tensor);
    }
    assert_eq!(decode(&whole, None).unwrap().damage(), None);
    // What other programs append is no damage.
    assert!(decode(&[whole.as_slice(), b"trailer"].concat(), None).is_ok());
}

#[test]
fn a_jpeg_that_was_overwritten_is_seen_to_be() {
    let picture = noisy(64, 64);
    for options in [WriteOptions::default(), WriteOptions::default().with_quality(50)] {
        let whole = encode(&picture, Format::Jpeg, &options).unwrap();
        let begin = whole.windows(2).position(|pair| pair == [0xFF, 0xDA]).unwrap() + 20;
        let mut seen = 0;
        for i in 0..20 {
            let mut bytes = whole.clone();
            let at = begin + (whole.len() - begin - 300) * i / 20;
            bytes[at..at + 200].fill(if i % 2 == 0 { 0 } else { 0x77 });
            seen += usize::from(matches!(decode(&bytes, None), Err(Error::Damaged(_))));
            assert!(decode_pages(&bytes, None, &keep_going()).is_ok());
        }
        // Codes that end in step by chance cannot be told.
        assert!(seen >= 15, "{seen} of 20");
    }
    // Flat pictures end in codes of few bits, text in white.
    for value in [0.0, 1.0, 0.37] {
        for (h, w) in [(1, 1), (64, 64), (300, 400), (17, 1000)] {
            let flat: Picture = Tensor::new(Shape::new(1, 3, h, w), vec![value; 3 * h * w]).into();
            for chroma in [Chroma::Full, Chroma::Half] {
                let back = back_with(&flat, Format::Jpeg, &WriteOptions::default().with_chroma(chroma));
                assert!(worst(&back, &flat) <= 2.0, "{h}x{w} of {value}: {}", worst(&back, &flat));
            }
            assert!(worst(&back(&grey(flat.clone()), Format::Jpeg), &flat) <= 2.0);
            // Each channel in a scan of its own, with the shortest codes that there can be.
            let mut shortest = vec![];
            let mut encoder = jpeg_encoder::Encoder::new(&mut shortest, 95);
            encoder.set_optimized_huffman_tables(true);
            let codes = vec![(value * 255.0) as u8; 3 * h * w];
            encoder.encode(&codes, w as u16, h as u16, jpeg_encoder::ColorType::Rgb).unwrap();
            assert!(worst(&decode(&shortest, None).unwrap(), &flat) <= 2.0, "{h}x{w} of {value}");
        }
    }
}

#[test]
fn png_tiff_and_webp_that_are_cut_off_are_errors_or_what_there_is_of_them() {
    let picture = sample(64, 64, false, Depth::Eight);
    for format in [Format::Png, Format::Tiff, Format::WebP, Format::Bmp] {
        let whole =
            encode(&picture, format, &WriteOptions::default().with_tiff_compression(TiffCompression::None)).unwrap();
        let cut = match format {
            // The directory is at the end.
            Format::Tiff => {
                let mut cut = whole.clone();
                let far = (whole.len() as u32 * 2).to_le_bytes();
                // The first strip's place.
                let place = whole.windows(8).position(|w| w == [0x11, 1, 4, 0, 1, 0, 0, 0]).unwrap() + 8;
                cut[place..place + 4].copy_from_slice(&far);
                cut
            }
            _ => whole[..whole.len() / 2].to_vec(),
        };
        let text = refused(decode(&cut, None));
        assert!(text.contains("damaged") || text.contains(format.name()), "{text}");
        if format == Format::Png {
            let picture = decode_pages(&cut, None, &keep_going()).unwrap().remove(0);
            assert!(picture.damage().is_some());
        }
    }
}

/// A stream of zlib that unpacks to `length` zeros or a little more: one literal, then copies of it, 258 at a time.
fn bomb(length: usize) -> Vec<u8> {
    let (mut out, mut held, mut bits) = (vec![0x78, 0x01], 0u32, 0);
    let mut put = |value: u32, count: u32| {
        held |= value << bits;
        bits += count;
        while bits >= 8 {
            out.push(held as u8);
            (held, bits) = (held >> 8, bits - 8);
        }
    };
    // The last block, fixed codes; the codes themselves are written from their highest bit on.
    put(0b011, 3);
    put(0b0000_1100, 8);
    for _ in 0..length / 258 {
        // 285: a length of 258. Then distance 1.
        put(0b1010_0011, 8);
        put(0, 5);
    }
    put(0, 7);
    put(0, 8);
    // The checksum of n zeros: n modulo 65521, and 1.
    let n = (length / 258 * 258 + 1) % 65521;
    out.extend(((n as u32) << 16 | 1).to_be_bytes());
    out
}

#[test]
fn a_profile_that_unpacks_to_more_than_there_may_be_is_left_out() {
    let plain = encode(&sample(4, 4, false, Depth::Eight), Format::Png, &WriteOptions::default()).unwrap();
    let with_profile = |length: usize| {
        let contents = [b"a\0\0".to_vec(), bomb(length)].concat();
        let mut png = plain[..33].to_vec();
        png.extend((contents.len() as u32).to_be_bytes());
        let chunk = [b"iCCP".as_slice(), &contents].concat();
        png.extend(&chunk);
        png.extend(crc(&chunk).to_be_bytes());
        png.extend(&plain[33..]);
        decode(&png, None).unwrap()
    };
    let notes = with_profile(40 << 20).notes;
    assert_eq!(texts(&notes), ["its colour profile is damaged, or larger than 16 MB unpacked: left out"]);
    // The same with little in it is read, and then found to be no profile.
    assert_eq!(texts(&with_profile(1000).notes), ["its colour profile is not one of RGB, as its pixels are: left out"]);
}

fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| crc >> 1 ^ if crc & 1 == 1 { 0xEDB8_8320 } else { 0 })
    })
}

#[test]
fn a_file_that_only_claims_a_size_is_refused() {
    let mut png = encode(&sample(4, 4, false, Depth::Eight), Format::Png, &WriteOptions::default()).unwrap();
    png[16..20].copy_from_slice(&100_000u32.to_be_bytes());
    png[20..24].copy_from_slice(&100_000u32.to_be_bytes());
    let check = crc(&png[12..29]);
    png[29..33].copy_from_slice(&check.to_be_bytes());
    let text = refused(decode(&png, None));
    assert!(text.contains("100000x100000"), "{text}");
}

/// A TIFF of directories that all have the same contents, one strip of no bytes.
fn pages(count: usize, (h, w): (u16, u16)) -> Vec<u8> {
    let one = tiffs::file(tiffs::bits(&[8], 1), (h, w), &[]);
    let (directory, mut out) = (&one[8..], one.clone());
    // The offset of the next directory stands behind the entries.
    let next = |at: usize| at + 2 + 12 * usize::from(u16::from_ne_bytes([directory[0], directory[1]]));
    let mut at = 8;
    for _ in 1..count {
        let place = (out.len() as u32).to_ne_bytes();
        out[next(at)..next(at) + 4].copy_from_slice(&place);
        at = out.len();
        out.extend(directory);
    }
    out
}

#[test]
fn a_tiff_that_only_claims_pages_is_refused() {
    // A page of bytes may be that large, one of three bytes a pixel is not.
    let text = refused(decode(&tiffs::file(tiffs::bits(&[8; 3], 2), (65_535, 65_535), &[]), None));
    assert!(text.contains("65535x65535"), "{text}");
    // Each page might be one; all together they would take 25 GB.
    let text = refused(decode_pages(&pages(2, (40_000, 20_000)), None, &keep_going()));
    assert!(text.contains("2 of its pictures") && text.contains("1600000000 pixels"), "{text}");
    assert_eq!(decode_size(&pages(3, (10, 20)), None).unwrap(), (10, 20));
}

#[test]
fn a_gif_that_only_claims_a_size_is_refused() {
    let mut gif = encode(&sample(4, 4, false, Depth::Eight), Format::Gif, &WriteOptions::default()).unwrap();
    assert!(decode(&gif, None).is_ok());
    // The screen, and then the frame on it.
    gif[6..10].fill(0xFF);
    let text = refused(decode(&gif, None));
    assert!(text.contains("65535x65535"), "{text}");
    let frame = gif.windows(5).position(|bytes| bytes == [0x2C, 0, 0, 0, 0]).unwrap() + 5;
    gif[6..10].copy_from_slice(&[4, 0, 4, 0]);
    gif[frame..frame + 4].fill(0xFF);
    let text = refused(decode(&gif, None));
    assert!(text.contains("GIF"), "{text}");
}

#[test]
fn frames_that_are_too_many_are_refused() {
    use super::decoder::check_all;
    let most = (16u64 << 30) / 16;
    assert!(check_all(2, most).is_ok() && check_all(1, u64::MAX).is_ok());
    let text = check_all(2, most + 1).unwrap_err().to_string();
    assert!(text.contains("2 of its pictures") && text.contains("split"), "{text}");
}

#[test]
fn what_has_no_pixels_is_no_picture() {
    let text = refused(decode(b"P6\n2 0\n255\n", None));
    assert!(text.contains("2x0"), "{text}");
    let text = refused(decode(&pages(1, (0, 3)), None));
    assert!(text.contains("3x0"), "{text}");
}

#[test]
fn a_tiff_that_claims_two_sizes_is_refused() {
    let mut entries = tiffs::bits(&[8], 1);
    entries.push(tiffs::short(tag::WIDTH, 1));
    let text = refused(decode(&tiffs::file(entries, (2, 3), &[0; 6]), None));
    assert!(text.contains("two sizes"), "{text}");
}

#[test]
fn what_stands_between_the_headers_of_a_jpeg_does_no_harm() {
    let picture =
        Picture { metadata: Metadata { xmp: Some(b"<x/>".to_vec()), ..Metadata::default() }, ..noisy(16, 24) };
    let whole = encode(&picture, Format::Jpeg, &WriteOptions::default()).unwrap();
    let first = 4 + usize::from(whole[5]);
    let bytes = [&whole[..first], &[0, 0xFF, 0, 7, 7, 7], &whole[first..]].concat();
    assert_eq!(decode_size(&bytes, None).unwrap(), (16, 24));
    let read = decode(&bytes, None).unwrap();
    assert_eq!((read.size(), read.metadata.xmp), ((16, 24), picture.metadata.xmp));
}
