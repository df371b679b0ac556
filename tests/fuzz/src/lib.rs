//! What is fuzzed: a function a target, each of which takes any bytes, and tells whether they were accepted. `tests/corpus.rs` gives them the corpus without a
//! fuzzer, `fuzz_targets/` what libFuzzer makes of it. `docs/reliability.md` has the commands.

use sasnet::image::{
    self, Format, PngEffort, ReadOptions, TiffCompression, WriteOptions, decode_pages, decode_size, encode_pages,
};
use sasnet::lab::train::checkpoint::{CHECKPOINT, Checkpoint, PARTS};
use sasnet::{Picture, Tensor, Weights};
use std::io::Cursor;
use std::path::Path;

// The program's reader of video, which no library has.
#[allow(dead_code, reason = "the program takes more of it")]
#[path = "../../../src/cli/smooth/frames.rs"]
mod frames;
#[allow(dead_code, reason = "the program takes more of it")]
#[path = "../../../src/cli/smooth/yuv.rs"]
mod yuv;

/// Takes any bytes, and tells whether they were accepted.
pub type Target = fn(&[u8]) -> bool;

/// All targets, by name.
pub const TARGETS: [(&str, Target); 9] = [
    ("png", png),
    ("jpeg", jpeg),
    ("tiff", tiff),
    ("webp", webp),
    ("plain", plain),
    ("metadata", metadata),
    ("video", video),
    ("weights", weights),
    ("checkpoint", checkpoint),
];

/// Larger pictures are left out: they say nothing that small ones do not, slowly.
const MOST_PIXELS: usize = 1 << 14;

/// PNG, animated too.
pub fn png(bytes: &[u8]) -> bool {
    picture(bytes, Format::Png)
}

/// JPEG.
pub fn jpeg(bytes: &[u8]) -> bool {
    picture(bytes, Format::Jpeg)
}

/// TIFF and BigTIFF.
pub fn tiff(bytes: &[u8]) -> bool {
    picture(bytes, Format::Tiff)
}

/// WebP, animated too.
pub fn webp(bytes: &[u8]) -> bool {
    picture(bytes, Format::WebP)
}

/// All other formats, by contents; what no format begins so is a TGA.
pub fn plain(bytes: &[u8]) -> bool {
    let format = Format::from_contents(bytes).unwrap_or(Format::Tga);
    ![Format::Png, Format::Jpeg, Format::Tiff, Format::WebP].contains(&format) && picture(bytes, format)
}

/// Reads a picture of this format, and writes what was read.
fn picture(bytes: &[u8], format: Format) -> bool {
    if Format::from_contents(bytes).unwrap_or(Format::Tga) != format {
        return false;
    }
    let size = decode_size(bytes, Some(format));
    if matches!(size, Ok((h, w)) if h.saturating_mul(w) > MOST_PIXELS) {
        return true;
    }
    let mut accepted = false;
    for damaged in [false, true] {
        let options = ReadOptions::default().with_damaged(damaged);
        let Ok(pictures) = decode_pages(bytes, Some(format), &options) else { continue };
        accepted = true;
        assert_eq!(size.as_ref().ok(), Some(&pictures[0].size()), "the header's size is the picture's");
        pictures.iter().for_each(check);
        if pictures.iter().all(|picture| picture.tensor.shape.plane() <= MOST_PIXELS) {
            written(&pictures, format);
        }
    }
    accepted
}

/// Checks what holds of every picture that was read.
fn check(picture: &Picture) {
    let (tensor, plane) = (&picture.tensor, picture.tensor.shape.plane());
    assert_eq!((tensor.data.len(), plane > 0), (3 * plane, true));
    assert!(tensor.data.iter().all(|v| (0.0..=1.0).contains(v)), "colours are in [0, 1]");
    if let Some(alpha) = &picture.alpha {
        assert_eq!(alpha.len(), plane);
        assert!(alpha.iter().all(|v| (0.0..=1.0).contains(v)), "alpha is in [0, 1]");
    }
}

/// Writes pictures in a format that holds them, and reads them again.
fn written(pictures: &[Picture], format: Format) {
    let options = options();
    if image::check(pictures, format, &options).is_err() {
        return;
    }
    let file = encode_pages(pictures, format, &options).expect("what is checked can be written");
    let again = decode_pages(&file, Some(format), &ReadOptions::default()).expect("what is written can be read");
    assert_eq!(again.len(), pictures.len());
    assert_eq!(again[0].size(), pictures[0].size());
}

/// A picture of 2x2 pixels with these bytes as EXIF, XMP, IPTC, colour profile or text, into a format and back. The
/// first byte says what they are, the second which format.
pub fn metadata(bytes: &[u8]) -> bool {
    let [kind, format, block @ ..] = bytes else { return false };
    let mut picture = Picture::from(Tensor::new(sasnet::Shape::new(1, 3, 2, 2), vec![0.5; 12]));
    picture.grey = kind & 0x80 != 0;
    let (metadata, block) = (&mut picture.metadata, block.to_vec());
    match kind & 0x0F {
        0 => metadata.exif = Some(block),
        1 => metadata.xmp = Some(block),
        2 => metadata.photoshop = Some(block),
        3 => picture.icc = Some(block),
        4 => metadata.comments = vec![block],
        5 => metadata.texts = vec![(*b"tEXt", block)],
        6 => metadata.colour_chunks = vec![(*b"cICP", block)],
        7 => metadata.colour_chunks = vec![(*b"gAMA", block)],
        8 => metadata.colour_chunks = vec![(*b"cHRM", block)],
        // A file of the formats that carry blocks, as it is.
        _ => {
            let Ok(found) = decode_pages(&block, None, &ReadOptions::default()) else { return false };
            picture.metadata = found[0].metadata.clone();
            picture.icc = found[0].icc.clone();
        }
    }
    let format = Format::all().nth(usize::from(*format) % Format::all().count()).expect("there is one");
    let (pictures, options) = (std::slice::from_ref(&picture), options());
    if image::check(pictures, format, &options).is_err() {
        return false;
    }
    let Ok(file) = encode_pages(pictures, format, &options) else { return false };
    let again = decode_pages(&file, Some(format), &ReadOptions::default());
    // Chunks that no PNG would have been read with are the caller's.
    let own_chunks = !picture.metadata.texts.is_empty() || !picture.metadata.colour_chunks.is_empty();
    assert!(again.is_ok() || own_chunks, "what is written can be read: {again:?}");
    again.into_iter().flatten().for_each(|picture| check(&picture));
    true
}

fn options() -> WriteOptions {
    WriteOptions::default().with_png_effort(PngEffort::Fast).with_tiff_compression(TiffCompression::PackBits)
}

/// y4m video: a frame that nothing changes stays as it is.
pub fn video(bytes: &[u8]) -> bool {
    let input = Box::new(Cursor::new(bytes.to_vec()));
    let Ok(reader) = frames::Reader::new(Path::new("video"), input) else { return false };
    let layout = reader.layout.clone();
    if layout.h.saturating_mul(layout.w) > MOST_PIXELS {
        return true;
    }
    for frame in reader.map_while(Result::ok) {
        check(&Picture::from(frame.colours.clone()));
        let same = layout.changed(&frame.planes, &frame.colours, &frame.colours);
        assert_eq!(same, frame.planes);
        layout.write(&same);
    }
    true
}

/// A weights file.
pub fn weights(bytes: &[u8]) -> bool {
    let Ok(weights) = Weights::parse(bytes) else { return false };
    assert_eq!(weights.params.len(), weights.network.layout().len());
    assert!(weights.params.iter().all(|v| v.is_finite()));
    weights.noise().expect("it is checked");
    true
}

/// A run's folder: the first line is its checkpoint.json, the rest the checkpoint's only part; with an empty first line
/// the whole checkpoint.
pub fn checkpoint(bytes: &[u8]) -> bool {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let (list, part) = bytes.split_at(end);
    let folder = tempfile::tempdir().expect("a folder for the run");
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).expect("it can be written");
    let rest = part.get(1..).unwrap_or_default();
    if list.is_empty() {
        write(CHECKPOINT, rest);
    } else {
        write(PARTS, list);
        write("checkpoint-1.part0", rest);
    }
    let Ok(Some(checkpoint)) = Checkpoint::load(folder.path()) else { return false };
    assert_eq!(checkpoint.m.len(), checkpoint.weights.params.len());
    true
}
