use super::*;
use crate::error::Result;
use crate::tensor::{Shape, Tensor};
use std::path::PathBuf;

mod alpha;
mod colours;
mod damage;
mod formats;
mod light;
mod metadata;
mod several;
mod tiffs;

/// A picture whose values are codes of its depth, so that lossless formats return it exactly.
fn sample(h: usize, w: usize, alpha: bool, depth: Depth) -> Picture {
    let levels = if depth == Depth::Eight { 256 } else { 65536 };
    let value = |i: usize| (i * 40503 % levels) as f32 / (levels - 1) as f32;
    let shape = Shape::new(1, 3, h, w);
    let mut picture: Picture = Tensor::new(shape, (0..shape.len()).map(value).collect()).into();
    // Opaque enough for no colour to be hidden.
    picture.alpha = alpha.then(|| (0..shape.plane()).map(|i| value(i + 5).max(0.2)).collect());
    if let Some(alpha) = &mut picture.alpha {
        alpha.iter_mut().for_each(|a| *a = (*a * (levels - 1) as f32).round() / (levels - 1) as f32);
    }
    picture.depth = depth;
    picture
}

/// The same in grey.
fn grey(mut picture: Picture) -> Picture {
    let plane = picture.tensor.shape.plane();
    picture.tensor.data = picture.tensor.data[..plane].repeat(3);
    picture.grey = true;
    picture
}

/// What a file of this format gives back.
fn back(picture: &Picture, format: Format) -> Picture {
    back_with(picture, format, &WriteOptions::default())
}

fn back_with(picture: &Picture, format: Format, options: &WriteOptions) -> Picture {
    decode(&encode(picture, format, options).unwrap(), Some(format)).unwrap()
}

/// The largest difference of colours, in 8-bit codes.
fn worst(a: &Picture, b: &Picture) -> f32 {
    assert_eq!(a.tensor.shape, b.tensor.shape);
    a.tensor.data.iter().zip(&b.tensor.data).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) * 255.0
}

fn texts(notes: &[Note]) -> Vec<&str> {
    notes.iter().map(Note::text).collect()
}

/// What [`check`] says of one picture.
fn told(picture: &Picture, format: Format) -> Vec<String> {
    let notes = check(std::slice::from_ref(picture), format, &WriteOptions::default()).unwrap();
    notes.iter().map(ToString::to_string).collect()
}

/// What an error says.
fn refused<T: std::fmt::Debug>(result: Result<T>) -> String {
    result.unwrap_err().to_string()
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn pnm_is_what_its_extensions_say() {
    for (depth, top) in [(Depth::Eight, "255"), (Depth::Sixteen, "65535")] {
        let picture = sample(2, 3, false, depth);
        let begins = |picture: &Picture, kind: &str| {
            let bytes = encode(picture, Format::Pnm, &WriteOptions::default()).unwrap();
            assert!(bytes.starts_with(format!("{kind}\n3 2\n{top}\n").as_bytes()), "{kind}, {depth:?}");
        };
        begins(&picture, "P6");
        begins(&grey(picture), "P5");
    }
}

#[test]
fn lossless_formats_give_back_what_they_were_given() {
    use Format::*;
    for (h, w) in [(1, 1), (7, 5), (16, 3), (1, 33)] {
        for (alpha, depth, is_grey) in [false, true].into_iter().flat_map(|alpha| {
            let depths = [Depth::Eight, Depth::Sixteen].into_iter();
            depths.flat_map(move |depth| [false, true].map(|is_grey| (alpha, depth, is_grey)))
        }) {
            let picture = sample(h, w, alpha, depth);
            let picture = if is_grey { grey(picture) } else { picture };
            for format in [Png, Tiff, WebP, Bmp, Pnm, Tga, Qoi] {
                let abilities = format.abilities();
                let deep = depth == Depth::Sixteen;
                if deep && !abilities.sixteen || alpha && abilities.alpha != super::format::Alpha::Full {
                    continue;
                }
                let mut expected = picture.clone();
                expected.grey &= abilities.grey[usize::from(alpha)];
                let back = back(&picture, format);
                assert_eq!(back, expected, "{h}x{w} {format} alpha {alpha} {depth:?} grey {is_grey}");
                assert_eq!(
                    decode_size(&encode(&picture, format, &WriteOptions::default()).unwrap(), Some(format)).unwrap(),
                    (h, w)
                );
                assert_eq!(told(&picture, format), [""; 0]);
            }
        }
    }
}

#[test]
fn compression_of_png_and_tiff_loses_nothing() {
    let flat: Picture = Tensor::new(Shape::new(1, 3, 64, 64), vec![0.2; 3 * 4096]).into();
    for depth in [Depth::Eight, Depth::Sixteen] {
        for picture in [sample(33, 21, false, depth), sample(33, 21, true, depth), grey(sample(33, 21, true, depth))] {
            for effort in [PngEffort::Fast, PngEffort::Balanced, PngEffort::Best] {
                assert_eq!(back_with(&picture, Format::Png, &WriteOptions::default().with_png_effort(effort)), picture);
            }
            use TiffCompression::*;
            for compression in [None, Lzw, Deflate, PackBits] {
                let options = WriteOptions::default().with_tiff_compression(compression);
                assert_eq!(back_with(&picture, Format::Tiff, &options), picture, "{compression:?}");
                let size = encode(&flat, Format::Tiff, &options).unwrap().len();
                assert_eq!(size > 12_000, compression == None, "{compression:?}: {size} bytes");
            }
        }
    }
}

#[test]
fn sixteen_bits_become_the_nearest_eight_and_that_is_said() {
    let picture = sample(4, 4, false, Depth::Sixteen);
    for format in [Format::WebP, Format::Bmp, Format::Qoi] {
        let back = back(&picture, format);
        assert_eq!(back.depth, Depth::Eight);
        assert!(worst(&back, &picture) <= 0.5001);
        assert_eq!(told(&picture, format), ["16 bits a value became 8"]);
    }
}

/// Smooth enough for a JPEG.
fn gentle(h: usize, w: usize) -> Picture {
    let shape = Shape::new(1, 3, h, w);
    let value = |i: usize| {
        let (c, y, x) = (i / (h * w), i / w % h, i % w);
        ((x + c * 5) as f32 / w as f32 * 3.0).sin() * 0.3 + y as f32 / h as f32 * 0.3 + 0.3
    };
    Tensor::new(shape, (0..shape.len()).map(value).collect()).into()
}

#[test]
fn quality_and_chroma_of_jpeg() {
    let picture = gentle(48, 64);
    let size = |options: &WriteOptions| encode(&picture, Format::Jpeg, options).unwrap().len();
    let options = WriteOptions::default();
    assert!(size(&options.clone().with_quality(30)) * 3 < size(&options.clone().with_quality(100)) * 2);
    assert!(worst(&back(&picture, Format::Jpeg), &picture) < 8.0);
    for chroma in [Chroma::Full, Chroma::HalfWidth, Chroma::HalfHeight, Chroma::Half] {
        let back = back_with(&picture, Format::Jpeg, &options.clone().with_chroma(chroma));
        assert_eq!(back.chroma, Some(chroma));
        // As the input has it, where nobody asks for another.
        assert_eq!(super::tests::back(&back, Format::Jpeg).chroma, Some(chroma));
    }
    assert_eq!(back_with(&picture, Format::Jpeg, &options.clone().with_quality(80)).chroma, Some(Chroma::Half));
    assert_eq!(back(&picture, Format::Jpeg).chroma, Some(Chroma::Full));
    assert!(refused(encode(&picture, Format::Jpeg, &options.with_quality(0))).contains("from 1 to 100"));
}

#[cfg(feature = "lossy-webp")]
#[test]
fn webp_is_lossy_where_a_quality_is_asked_for() {
    for mut picture in [gentle(48, 64), grey(gentle(48, 64))] {
        for alpha in [false, true] {
            picture.alpha = alpha.then(|| (0..48 * 64).map(|i| if i % 64 < 32 { 1.0 } else { 0.6 }).collect());
            let size = |options: &WriteOptions| encode(&picture, Format::WebP, options).unwrap().len();
            let (lossless, lossy) = (WriteOptions::default(), WriteOptions::default().with_quality(80));
            assert!(size(&lossy) * 2 < size(&lossless));
            let back = back_with(&picture, Format::WebP, &lossy);
            assert!(worst(&back, &picture) < 24.0, "{}", worst(&back, &picture));
            assert_eq!(back.alpha.is_some(), alpha);
            assert!(back.alpha.iter().flatten().zip(picture.alpha.iter().flatten()).all(|(a, b)| (a - b).abs() < 0.01));
        }
    }
}

#[test]
fn values_are_clipped_and_rounded() {
    let x = Tensor::new(Shape::new(1, 1, 1, 6), vec![-1.0, 0.4999 / 255.0, 0.5001 / 255.0, 0.5, 1.0, 7.0]);
    assert_eq!(quantise(&x), [0, 0, 1, 128, 255, 255]);
    assert_eq!([-1.0, 1.0 / 65535.0, 2.0].map(picture::code16), [0, 1, 65535]);
}

#[test]
fn a_failed_write_leaves_the_old_file() {
    let folder = folder();
    let path = folder.path().join("a.webp");
    let old = sample(2, 2, false, Depth::Eight);
    write(&path, &old).unwrap();
    // WebP holds at most 16,383 columns.
    let error = write(&path, &Tensor::zeros(Shape::new(1, 3, 1, 20_000)).into()).unwrap_err();
    assert!(error.to_string().contains("a.webp"), "{error}");
    assert_eq!(read(&path).unwrap(), old);
}

#[test]
fn errors_name_the_file_and_what_to_do() {
    let folder = folder();
    let text = |result: Result<Picture>| result.unwrap_err().to_string();
    let path = folder.path().join("a.png");
    assert!(text(read(&path)).contains("a.png"));
    std::fs::write(&path, "no picture").unwrap();
    assert!(
        text(read(&path)).contains("PNG, JPEG, WebP, TIFF, BMP, GIF, PNM, TGA, QOI, Radiance HDR, OpenEXR expected")
    );
    let damaged = folder.path().join("damaged.png");
    write(&damaged, &sample(30, 30, false, Depth::Eight)).unwrap();
    let bytes = std::fs::read(&damaged).unwrap();
    std::fs::write(&damaged, &bytes[..bytes.len() / 2]).unwrap();
    assert!(text(read(&damaged)).contains("damaged.png"));
    for name in ["a.heic", "a", "a.png.txt"] {
        let error = write(folder.path().join(name), &sample(1, 1, false, Depth::Eight)).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains(".png .jpg .webp .tif .bmp"), "{error}");
    }
}

#[test]
fn folders_give_their_pictures_by_name() {
    let folder = folder();
    let none = pictures(folder.path()).unwrap_err().to_string();
    assert!(none.contains("holds no pictures"), "{none}");
    std::fs::create_dir(folder.path().join("deep")).unwrap();
    for name in ["b.png", "A.JPG", "notes.txt", ".hidden.png", "deep/c.bmp"] {
        std::fs::write(folder.path().join(name), "").unwrap();
    }
    let names = |found: Vec<PathBuf>| {
        found.iter().map(|p| p.file_name().unwrap().to_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(pictures(folder.path()).unwrap()), ["A.JPG", "b.png"]);
    assert_eq!(names(pictures_below(folder.path()).unwrap()), ["A.JPG", "b.png", "c.bmp"]);
    assert_eq!(names(pictures(folder.path().join("notes.txt")).unwrap()), ["notes.txt"]);
    assert!(pictures(folder.path().join("missing")).is_err());
}

#[test]
fn formats_that_are_not_read_are_refused_by_name() {
    for (begin, words) in [
        (&b"\0\0\0\x18ftypheic"[..], ["HEIC", "heif-convert"]),
        (b"\0\0\0\x20ftypavif", ["AVIF", "avifdec"]),
        (b"\xFF\x0A\x80", ["JPEG XL", "djxl"]),
        (b"\0\0\0\x0CJXL \r\n", ["JPEG XL", "djxl"]),
        (b"8BPS\0\x01", ["Photoshop", "magick"]),
        (b"\0\0\0\x0CjP  \r\n", ["JPEG 2000", "opj_decompress"]),
        (b"%PDF-1.7", ["PDF", "pdftoppm"]),
        (b"FUJIFILMCCD-RAW 0201", ["raw file", "darktable"]),
        (b"\0\0\0\x18ftypcrx ", ["raw file", "darktable"]),
        (b"II*\0\x10\0\0\0CR\x02\0", ["raw file", "darktable"]),
    ] {
        for text in [refused(decode(begin, None)), refused(decode_size(begin, None))] {
            assert!(words.iter().all(|word| text.contains(word)), "{text}");
        }
    }
    assert!(refused(decode(b"", None)).contains("empty"));
    // Nothing marks a TGA; text is none.
    assert!(refused(decode(b"some text", Some(Format::Png))).contains("expected"));
}

#[test]
fn a_size_that_a_format_cannot_hold_is_told_beforehand() {
    for (format, side, most) in
        [(Format::WebP, 20_000, "16383"), (Format::Jpeg, 70_000, "65535"), (Format::Gif, 70_000, "65535")]
    {
        let picture: Picture = Tensor::zeros(Shape::new(1, 3, 1, side)).into();
        let text = refused(check(&[picture], format, &WriteOptions::default()));
        assert!(text.contains(most) && text.contains(&format!("{side}x1")), "{text}");
        assert!(format.check_size(1, side).is_err() && format.check_size(1, 9).is_ok());
    }
}

#[test]
fn rgb_order_is_kept() {
    let bmp = image::RgbImage::from_pixel(1, 1, image::Rgb([10u8, 20, 30]));
    let mut bytes = std::io::Cursor::new(vec![]);
    bmp.write_to(&mut bytes, image::ImageFormat::Bmp).unwrap();
    assert_eq!(quantise(&decode(bytes.get_ref(), None).unwrap().tensor), [10, 20, 30]);
}
