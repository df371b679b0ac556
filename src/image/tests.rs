use super::*;
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, GrayImage, ImageBuffer, ImageEncoder, ImageFormat, Luma, LumaA, Rgb};
use std::fs::File;
use std::path::PathBuf;

/// A picture whose values are codes of its depth, so that lossless formats return it exactly.
fn sample(h: usize, w: usize, alpha: bool, sixteen_bits: bool) -> Picture {
    let levels = if sixteen_bits { 65536 } else { 256 };
    let value = |i: usize| (i * 40503 % levels) as f32 / (levels - 1) as f32;
    let shape = Shape::new(1, 3, h, w);
    let icc = {
        // Only the header's colour space matters to us; the encoders pass the rest through.
        let mut profile = vec![7; 200];
        profile[16..20].copy_from_slice(b"RGB ");
        profile
    };
    Picture {
        tensor: Tensor::new(shape, (0..shape.len()).map(value).collect()),
        alpha: alpha.then(|| (0..shape.plane()).map(|i| value(i + 5)).collect()),
        icc: Some(icc),
        sixteen_bits,
    }
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn lossless_round_trips() {
    let folder = folder();
    for (h, w) in [(1, 1), (7, 5), (16, 3), (1, 33)] {
        for alpha in [false, true] {
            for sixteen_bits in [false, true] {
                for extension in ["png", "tif", "TIFF", "webp", "bmp"] {
                    let deep = matches!(extension, "png" | "tif" | "TIFF");
                    if sixteen_bits && !deep {
                        continue;
                    }
                    let path = folder.path().join(format!("a.{extension}"));
                    let mut picture = sample(h, w, alpha, sixteen_bits);
                    write(&path, &picture).unwrap();
                    if extension == "bmp" {
                        picture.icc = None;
                    }
                    assert_eq!(read(&path).unwrap(), picture, "{h}x{w} {extension} alpha {alpha} 16 {sixteen_bits}");
                    assert_eq!(size(&path).unwrap(), (h, w));
                }
            }
        }
    }
}

#[test]
fn sixteen_bits_become_the_nearest_eight() {
    let folder = folder();
    let path = folder.path().join("a.webp");
    let picture = sample(4, 4, false, true);
    write(&path, &picture).unwrap();
    let back = read(&path).unwrap();
    assert!(!back.sixteen_bits);
    let worst = back.tensor.data.iter().zip(&picture.tensor.data).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst <= 0.5001 / 255.0, "{worst}");
}

#[test]
fn jpeg_is_close_and_keeps_the_profile() {
    let folder = folder();
    let path = folder.path().join("a.JPG");
    let mut picture = sample(9, 11, true, false);
    for (i, v) in picture.tensor.data.iter_mut().enumerate() {
        *v = (i % 99) as f32 / 198.0 + 0.2;
    }
    write(&path, &picture).unwrap();
    let back = read(&path).unwrap();
    assert_eq!((back.alpha, &back.icc), (None, &picture.icc));
    let mean = back.tensor.data.iter().zip(&picture.tensor.data).map(|(a, b)| (a - b).abs()).sum::<f32>() / 297.0;
    assert!(mean > 0.0 && mean < 0.02, "{mean}");
}

#[test]
fn values_are_clipped_and_rounded() {
    let x = Tensor::new(Shape::new(1, 1, 1, 6), vec![-1.0, 0.4999 / 255.0, 0.5001 / 255.0, 0.5, 1.0, 7.0]);
    assert_eq!(quantise(&x), [0, 0, 1, 128, 255, 255]);
    assert_eq!([code16(-1.0), code16(1.0 / 65535.0), code16(2.0)], [0, 1, 65535]);
}

#[test]
fn grey_and_palette_become_rgb_whatever_the_extension() {
    let folder = folder();
    let path = folder.path().join("grey.jpg");
    let save = |image: DynamicImage| image.save_with_format(&path, ImageFormat::Png).unwrap();
    save(GrayImage::from_fn(3, 2, |x, y| Luma([(10 * x + 100 * y) as u8])).into());
    let grey = read(&path).unwrap();
    let plane = [0, 10, 20, 100, 110, 120].map(|v| v as f32 / 255.0);
    assert_eq!((grey.tensor.data, grey.alpha), ([plane, plane, plane].concat(), None));

    save(ImageBuffer::from_pixel(1, 1, LumaA([1000u16, 3000])).into());
    let deep = read(&path).unwrap();
    assert_eq!((deep.tensor.data, deep.alpha), (vec![1000.0 / 65535.0; 3], Some(vec![3000.0 / 65535.0])));
    assert!(deep.sixteen_bits);

    // A BMP of 2x1 pixels with a palette of two colours (blue, green, red, 0), 8 bits a pixel.
    let mut bmp = b"BM".to_vec();
    for v in [66u32, 0, 62, 40, 2, 1, 1 | 8 << 16, 0, 4, 0, 0, 2, 0, 0x00FF_8040, 0x0001_0203] {
        bmp.extend(v.to_le_bytes());
    }
    bmp.extend([1, 0, 0, 0]);
    std::fs::write(&path, bmp).unwrap();
    let palette = read(&path).unwrap();
    assert_eq!(quantise(&palette.tensor), [0x01, 0xFF, 0x02, 0x80, 0x03, 0x40]);
}

#[test]
fn exif_orientation_is_applied() {
    let folder = folder();
    let path = folder.path().join("turned.png");
    // TIFF header, one entry: tag 0x112 (orientation), SHORT, 1 value: 6 = turn clockwise by 90 degrees.
    let exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0".to_vec();
    let mut encoder = PngEncoder::new(File::create(&path).unwrap());
    encoder.set_exif_metadata(exif).unwrap();
    encoder.write_image(&[1, 1, 1, 2, 2, 2, 3, 3, 3], 3, 1, ExtendedColorType::Rgb8).unwrap();
    let picture = read(&path).unwrap();
    assert_eq!(picture.tensor.shape, Shape::new(1, 3, 3, 1));
    assert_eq!(quantise(&picture.tensor)[..3], [1, 2, 3]);
    assert_eq!(size(&path).unwrap(), (3, 1));
}

#[test]
fn a_grey_profile_is_not_passed_on() {
    let folder = folder();
    let path = folder.path().join("grey.png");
    let mut picture = sample(2, 2, false, false);
    picture.icc.as_mut().unwrap()[16..20].copy_from_slice(b"GRAY");
    write(&path, &picture).unwrap();
    assert_eq!(read(&path).unwrap().icc, None);
}

#[test]
fn a_failed_write_leaves_the_old_file() {
    let folder = folder();
    let path = folder.path().join("a.webp");
    let old = sample(2, 2, false, false);
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
    assert!(text(read(&path)).contains("PNG, JPEG, WebP, TIFF or BMP expected"));
    let damaged = folder.path().join("damaged.png");
    write(&damaged, &sample(30, 30, false, false)).unwrap();
    let bytes = std::fs::read(&damaged).unwrap();
    std::fs::write(&damaged, &bytes[..bytes.len() / 2]).unwrap();
    assert!(text(read(&damaged)).contains("damaged.png"));
    for name in ["a.gif", "a", "a.png.txt"] {
        let error = write(folder.path().join(name), &sample(1, 1, false, false)).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains(".png .jpg .jpeg .jfif "), "{error}");
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
fn rgb_order_is_kept() {
    let folder = folder();
    let path = folder.path().join("a.png");
    ImageBuffer::from_pixel(1, 1, Rgb([10u8, 20, 30])).save(&path).unwrap();
    assert_eq!(quantise(&read(&path).unwrap().tensor), [10, 20, 30]);
}
