//! `docs/formats.md`: what each format keeps, converts and refuses, as it happens.

use super::colours::{cmyk_jpeg, cmyk_profile, encoded, palette_bmp, png_with};
use super::ifd::{Entry, tag};
use super::light::hdr;
use super::metadata::full;
use super::several::frames;
use super::tiffs::{bits, file, short, written};
use super::*;
use ::tiff::encoder::colortype::*;
use image::{DynamicImage, GrayImage, ImageFormat, Luma};

/// Pictures, and what of them a file should give back.
struct Row {
    name: &'static str,
    pictures: Vec<Picture>,
    /// The same where a format holds light.
    light: Option<Vec<Picture>>,
    kept: fn(&[Picture], &[Picture]) -> bool,
}

fn same_values(a: &[Picture], b: &[Picture]) -> bool {
    a[0].depth == b[0].depth && a[0].tensor == b[0].tensor
}

fn rows() -> Vec<Row> {
    let base = gentle(24, 24);
    let light = hdr(false);
    let of = |change: &dyn Fn(&mut Picture)| {
        let (mut a, mut b) = (base.clone(), light.clone());
        change(&mut a);
        change(&mut b);
        (vec![a], Some(vec![b]))
    };
    let mut rows = vec![];
    let mut row = |name, (pictures, light), kept| rows.push(Row { name, pictures, light, kept });
    // More colours than a palette has.
    let (eight, deep) = (sample(24, 24, false, Depth::Eight), sample(24, 24, false, Depth::Sixteen));
    row("8 bits a value", (vec![eight], None), same_values);
    row("16 bits a value", (vec![deep.clone()], None), same_values);
    row("floating point in 0 to 1", (vec![Picture { depth: Depth::Float, ..deep }], None), same_values);
    row("floating point outside (HDR)", (vec![light.clone()], None), |a, b| {
        let values = |picture: &Picture| {
            picture.log.map(|log| picture.tensor.data.iter().map(|&t| log.undo(t)).collect::<Vec<_>>())
        };
        let (Some(a), Some(b)) = (values(&a[0]), values(&b[0])) else { return false };
        a.iter().zip(b).all(|(a, b)| (a - b).abs() <= b * 0.01 + 0.005 * 400.0)
    });
    row("grey", of(&|picture| *picture = grey(picture.clone())), |_, b| b[0].grey);
    let alpha = |picture: &mut Picture| {
        let plane = picture.tensor.shape.plane();
        picture.alpha = Some((0..plane).map(|i| if i % 2 == 0 { 1.0 } else { 0.6 }).collect());
    };
    row("transparency", of(&alpha), |a, b| {
        let near = |a: &Picture, b: &Picture| {
            a.alpha.iter().flatten().zip(b.alpha.iter().flatten()).all(|(a, b)| (a - b).abs() < 1e-3)
        };
        b[0].alpha.is_some() && near(&a[0], &b[0])
    });
    let p3 = moxcms::ColorProfile::new_display_p3().encode().unwrap();
    row("profile of RGB", of(&|picture| picture.icc = Some(p3.clone())), |a, b| a[0].icc == b[0].icc);
    let mut dim = grey(base.clone());
    dim.icc = Some(moxcms::ColorProfile::new_gray_with_gamma(1.0).encode().unwrap());
    row("profile of grey", (vec![dim], None), |a, b| b[0].grey && a[0].icc == b[0].icc);
    let chunks = |name: &[u8; 4], contents: &[u8]| {
        (vec![decode(&png_with(&gentle(24, 24), name, contents), None).unwrap()], None)
    };
    fn same_chunks(a: &[Picture], b: &[Picture]) -> bool {
        a[0].metadata.colour_chunks == b[0].metadata.colour_chunks
    }
    row("PNG's gAMA and cHRM", chunks(b"gAMA", &100_000u32.to_be_bytes()), same_chunks);
    row("PNG's cICP: PQ, HLG", chunks(b"cICP", &[9, 16, 0, 1]), same_chunks);
    let all = full().metadata;
    let only = |take: fn(&Metadata) -> Metadata| of(&|picture| picture.metadata = take(&all));
    row("EXIF, GPS", only(|m| Metadata { exif: m.exif.clone(), ..Metadata::default() }), |_, b| {
        b[0].metadata.exif.is_some()
    });
    row("XMP", only(|m| Metadata { xmp: m.xmp.clone(), ..Metadata::default() }), |a, b| {
        a[0].metadata.xmp == b[0].metadata.xmp
    });
    row("IPTC", only(|m| Metadata { photoshop: m.photoshop.clone(), ..Metadata::default() }), |a, b| {
        a[0].metadata.photoshop == b[0].metadata.photoshop
    });
    row("resolution", only(|m| Metadata { resolution: m.resolution, ..Metadata::default() }), |_, b| {
        b[0].metadata.resolution.is_some()
    });
    row("PNG's texts", only(|m| Metadata { texts: m.texts.clone(), ..Metadata::default() }), |a, b| {
        a[0].metadata.texts == b[0].metadata.texts
    });
    row("comments of JPEG", only(|m| Metadata { comments: m.comments.clone(), ..Metadata::default() }), |_, b| {
        !b[0].metadata.comments.is_empty() || !b[0].metadata.texts.is_empty()
    });
    row("frames of an animation", (frames(), None), |a, b| a.len() == b.len() && b[1].delay == a[1].delay);
    let mut pages = frames();
    pages.iter_mut().for_each(|page| page.delay = None);
    row("pages", (pages, None), |a, b| a.len() == b.len());
    rows
}

/// What becomes of a row in a format. That something changes and nobody is told would be a fault.
fn outcome(row: &Row, format: Format) -> &'static str {
    let options = WriteOptions::default();
    let light = row.light.as_ref().filter(|_| format.abilities().light);
    let pictures = light.unwrap_or(&row.pictures);
    let Ok(bytes) = encode_pages(pictures, format, &options) else { return "refused" };
    let back = decode_pages(&bytes, Some(format), &ReadOptions::default()).unwrap();
    let notes = check(pictures, format, &options).unwrap();
    let lost = notes.iter().any(|note| matches!(note, Note::Lost(_)));
    let converted = notes.iter().any(|note| matches!(note, Note::Converted(_)));
    match (row.kept)(pictures, &back) {
        true => "kept",
        false if lost => "left out",
        false if converted => "converted",
        // The three channels are alike: nothing is lost.
        false if row.name == "grey" => "as RGB",
        false if format == Format::Jpeg && row.name.starts_with("8 bits") => "lossy",
        false => panic!("{} in {format} changes without a word", row.name),
    }
}

/// A table of Markdown, in columns of one width each.
fn table(rows: &[Vec<String>]) -> String {
    let width = |c: usize| rows.iter().map(|row| row[c].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
    let line = |row: &[String]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
    };
    let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
    let mut lines: Vec<String> = rows.iter().map(|row| line(row)).collect();
    lines.insert(1, line(&rule));
    lines.concat()
}

fn out() -> String {
    let head = std::iter::once(String::new()).chain(Format::all().map(|format| format.to_string())).collect();
    let body = rows().into_iter().map(|row| {
        let cells = Format::all().map(|format| outcome(&row, format).to_string());
        std::iter::once(row.name.to_string()).chain(cells).collect()
    });
    table(&std::iter::once(head).chain(body).collect::<Vec<Vec<String>>>())
}

/// Kinds of files, smallest examples.
fn inputs() -> Vec<(&'static str, Vec<u8>, Option<Format>)> {
    let plain = |picture: &Picture, format| encode(picture, format, &WriteOptions::default()).unwrap();
    let image = |image: DynamicImage, format| encoded(image, format);
    let (small, deep) = (gentle(16, 16), sample(16, 16, false, Depth::Sixteen));
    let several = |pictures: &[Picture], format| encode_pages(pictures, format, &WriteOptions::default()).unwrap();
    let mut pages = frames();
    pages.iter_mut().for_each(|page| page.delay = None);
    let with = |entries: Vec<Entry>, more: Vec<Entry>| [entries, more].concat();
    let compressed = |number: u16| file(with(bits(&[8; 3], 2), vec![short(tag::COMPRESSION, number)]), (1, 1), &[0; 3]);
    let map: Vec<u16> = (0..12).map(|v| v * 5140).collect();
    let dng = Entry { tag: tag::DNG_VERSION, kind: 1, data: vec![1, 4, 0, 0], at: 0 };
    let preview = with(bits(&[8; 3], 2), vec![short(tag::NEW_SUBFILE_TYPE, 1)]);
    let tiff = None;
    let jpeg = plain(&small, Format::Jpeg);
    let grey_image = || GrayImage::from_fn(16, 16, |x, y| Luma([(x * y) as u8]));
    vec![
        ("PNG, 8 bits", plain(&small, Format::Png), None),
        ("PNG, 16 bits", plain(&deep, Format::Png), None),
        ("PNG, grey", image(grey_image().into(), ImageFormat::Png), None),
        ("PNG, animated", several(&frames(), Format::Png), None),
        ("JPEG", jpeg.clone(), None),
        ("JPEG, grey", image(grey_image().into(), ImageFormat::Jpeg), None),
        ("JPEG, CMYK", cmyk_jpeg([9, 9, 9, 9], false, None), None),
        ("JPEG, CMYK or YCCK with a profile", cmyk_jpeg([9, 9, 9, 9], true, Some(&cmyk_profile())), None),
        ("JPEG, cut off", jpeg[..jpeg.len() - 30].to_vec(), None),
        ("WebP", plain(&small, Format::WebP), None),
        ("WebP, animated", several(&frames(), Format::WebP), None),
        ("TIFF, 1 bit", file(bits(&[1], 1), (1, 8), &[7]), tiff),
        ("TIFF, 4 bits", file(bits(&[4], 1), (1, 2), &[7]), tiff),
        ("TIFF, 10, 12, 14 bits", file(bits(&[12; 3], 2), (1, 2), &[0; 12]), tiff),
        ("TIFF, 16 bits", plain(&deep, Format::Tiff), tiff),
        ("TIFF, signed 16 bits", written::<GrayI16>(1, 1, &[5]), tiff),
        ("TIFF, 32 bits", written::<RGB32>(1, 1, &[5, 6, 7]), tiff),
        ("TIFF, 64 bits", written::<Gray64>(1, 1, &[5]), tiff),
        ("TIFF, floating point in 0 to 1", written::<RGB32Float>(1, 1, &[0.5, 0.1, 1.0]), tiff),
        ("TIFF, floating point outside", written::<RGB32Float>(1, 1, &[0.5, 0.1, 255.0]), tiff),
        ("TIFF, negative values", written::<RGB32Float>(1, 1, &[-0.5, 0.1, 2.0]), tiff),
        ("TIFF, infinite values", written::<RGB32Float>(1, 1, &[f32::INFINITY, 0.1, 2.0]), tiff),
        ("TIFF, 64-bit floating point", written::<Gray64Float>(1, 1, &[0.5]), tiff),
        ("TIFF, palette", file(with(bits(&[2], 3), vec![Entry::shorts(tag::COLOUR_MAP, &map)]), (1, 4), &[0x1B]), tiff),
        (
            "TIFF, alpha that colours were multiplied by",
            file(with(bits(&[8; 4], 2), vec![short(tag::EXTRA_SAMPLES, 1)]), (1, 1), &[9, 9, 9, 99]),
            tiff,
        ),
        (
            "TIFF, more channels",
            file(with(bits(&[8; 4], 2), vec![short(tag::EXTRA_SAMPLES, 0)]), (1, 1), &[9; 4]),
            tiff,
        ),
        ("TIFF, CMYK", file(bits(&[8; 4], 5), (1, 1), &[9; 4]), tiff),
        ("TIFF, L\\*a\\*b\\*", file(bits(&[8; 3], 8), (1, 1), &[9; 3]), tiff),
        ("TIFF, YCbCr", file(with(bits(&[8; 3], 6), vec![Entry::shorts(530, &[1, 1])]), (1, 1), &[99; 3]), tiff),
        ("TIFF, LogLuv", file(bits(&[16; 3], 32845), (1, 1), &[0; 6]), tiff),
        ("TIFF, pages", several(&pages, Format::Tiff), tiff),
        ("TIFF, only a reduced picture", file(preview, (1, 1), &[0; 3]), tiff),
        ("TIFF of CCITT Group 3", compressed(2), tiff),
        ("TIFF of the old kind of JPEG", compressed(6), tiff),
        ("TIFF of Zstandard", include_bytes!("../../../tests/fuzz/seeds/tiff/zstd.tif").to_vec(), tiff),
        ("DNG, NEF, ARW and other raw files", file(with(bits(&[8; 3], 2), vec![dng]), (1, 1), &[0; 3]), tiff),
        ("BMP", plain(&small, Format::Bmp), None),
        ("BMP, palette of greys", palette_bmp([0x0010_1010, 0x00FF_FFFF]), None),
        ("GIF", plain(&small, Format::Gif), None),
        ("GIF, animated", several(&frames(), Format::Gif), None),
        ("PNM, 16 bits", plain(&deep, Format::Pnm), None),
        ("TGA", plain(&small, Format::Tga), Some(Format::Tga)),
        ("QOI", plain(&small, Format::Qoi), None),
        ("Radiance HDR", plain(&hdr(false), Format::Hdr), None),
        ("OpenEXR", plain(&hdr(true), Format::Exr), None),
        ("HEIC", b"\0\0\0\x18ftypheic".to_vec(), None),
        ("AVIF", b"\0\0\0\x20ftypavif".to_vec(), None),
        ("JPEG XL", b"\xFF\x0A".to_vec(), None),
        ("JPEG 2000", b"\0\0\0\x0CjP  \r\n".to_vec(), None),
        ("PSD", b"8BPS".to_vec(), None),
        ("PDF", b"%PDF".to_vec(), None),
    ]
}

fn described(pictures: &[Picture]) -> String {
    let first = &pictures[0];
    let mut words = vec![if first.grey { "grey" } else { "RGB" }.to_string()];
    words.push(match (first.depth, first.log.is_some()) {
        (Depth::Eight, _) => "8 bits".into(),
        (Depth::Sixteen, _) => "16 bits".into(),
        (Depth::Float, false) => "floating point".into(),
        (Depth::Float, true) => "floating point on a logarithmic scale".into(),
    });
    words.extend(first.alpha.is_some().then(|| "alpha".into()));
    if pictures.len() > 1 {
        words.push(format!("{} {}", pictures.len(), if first.delay.is_some() { "frames" } else { "pages" }));
    }
    let notes = first.notes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    format!("{}{}{notes}", words.join(", "), if notes.is_empty() { "" } else { ". " })
}

fn input_table() -> String {
    let mut rows = vec![vec!["input".to_string(), "becomes".to_string()]];
    for (name, bytes, hint) in inputs() {
        let becomes = match decode_pages(&bytes, hint, &ReadOptions::default()) {
            Ok(pictures) => described(&pictures),
            Err(error) => format!("**refused**: {error}"),
        };
        rows.push(vec![name.to_string(), becomes]);
    }
    table(&rows)
}

#[test]
fn the_documentation_says_what_happens() {
    let text = format!(
        "<!-- Generated by src/image/tests/formats.rs from what happens; renewed as it says there. -->\n\
         # Formats\n\n\
         What each format keeps, converts and refuses. Nothing changes without a word: `sasnet smooth` says each thing \
         once (`note: ...`), and the\nlibrary lists it in `Picture::notes` and `image::check`.\n\n\
         ## Out\n\n{}\n\
         `lossy`: as JPEG is. `left out` and `converted` are said. `as RGB`: three channels that are alike. WebP is lossless \
         unless `--quality` asks for less.\n`--strip` leaves all metadata out but what colours need. An orientation is \
         applied, and is 1 from then on.\n\n\
         ## In\n\n{}\n\
         Integers of any depth go by their range. Floating point outside 0 to 1 is HDR: it is smoothed on a logarithmic \
         scale, ln(1 + v / low), which is\nundone in writing, and stays floating point; low is a 64th of the geometric mean. \
         Smoothed values stay below the largest of the input.\n\n\
         Not looked for: further layers of an OpenEXR, further pictures in one PNM.\n\n\
         AVIF is left out: the encoder in Rust (rav1e by ravif) would bring 33 packages to the 165 that there are, and nothing \
         well kept in Rust decodes it.\n`avifenc` makes one of a PNG with its metadata.\n",
        out(),
        input_table(),
    );
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/formats.md");
    if std::env::var_os("SASNET_RENEW_FORMATS").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    let differs = committed.lines().zip(text.lines()).position(|(a, b)| a != b);
    assert!(
        committed == text,
        "docs/formats.md is not what happens, from line {} on; if that is wanted, renew it with \
         SASNET_RENEW_FORMATS=1 cargo test --lib image::tests::formats, and read the diff",
        differs.unwrap_or(committed.lines().count().min(text.lines().count())) + 1
    );
}
