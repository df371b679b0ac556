//! Pictures of other programs, and the flags about them.

mod support;

use sasnet::image::{self, Format, Metadata, ReadOptions, WriteOptions};
use sasnet::low_level::weights::Precision;
use sasnet::{Picture, Shape, Tensor};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use support::{Ran, sasnet, small_weights};

const KINDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pictures/kinds");

struct Folder(tempfile::TempDir);

impl Folder {
    /// With a network, and some of the pictures.
    fn new(pictures: &[&str]) -> Folder {
        let folder = Folder(tempfile::tempdir().unwrap());
        small_weights(&[2], 8, true, 0.0).write(&folder.path("w.safetensors"), Precision::F32).unwrap();
        for name in pictures {
            std::fs::copy(Path::new(KINDS).join(name), folder.path(name)).unwrap();
        }
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn smooth(&self, arguments: &[&str]) -> Ran {
        let own = ["--adapter", "cpu", "--weights", "w.safetensors"];
        Ran::of(sasnet().arg("smooth").current_dir(self.0.path()).args(arguments).args(own))
    }

    fn read(&self, name: &str) -> Picture {
        image::read(self.path(name)).unwrap()
    }

    fn size(&self, name: &str) -> u64 {
        self.path(name).metadata().unwrap().len()
    }
}

fn gentle(h: usize, w: usize) -> Picture {
    let values = (0..3 * h * w).map(|i| ((i % w) as f32 / 9.0).sin() * 0.3 + 0.4 + (i / w % h) as f32 / h as f32 * 0.2);
    Tensor::new(Shape::new(1, 3, h, w), values.collect()).into()
}

#[test]
fn text_in_grey_or_black_and_white_stays_grey() {
    let folder = Folder::new(&["page.png", "bit1.png", "icc_gray.jpg"]);
    for (name, out) in [("page.png", "page.out.png"), ("bit1.png", "bit1.out.png"), ("icc_gray.jpg", "gray.out.jpg")] {
        folder.smooth(&[name, "-o", out]).ok();
        let (before, after) = (folder.read(name), folder.read(out));
        assert!(before.grey && after.grey, "{name}");
        assert_eq!(before.icc, after.icc, "{name}");
        let bytes = std::fs::read(folder.path(out)).unwrap();
        if out.ends_with("png") {
            assert_eq!(bytes[25], 0, "one channel");
        }
    }
}

#[test]
fn what_hides_behind_transparency_does_not_matter() {
    for name in ["al_magenta.png", "cutout.png"] {
        let picture = image::read(Path::new(KINDS).join(name)).unwrap();
        let alpha = picture.alpha.clone().unwrap();
        let hidden = |i: &usize| alpha[*i] == 0.0;
        assert!((0..alpha.len()).any(|i| hidden(&i)), "{name}");
        let mut other = picture.clone();
        let plane = other.tensor.shape.plane();
        other.tensor.data.iter_mut().enumerate().filter(|(i, _)| hidden(&(i % plane))).for_each(|(_, v)| *v = 0.3);
        let bytes = image::encode(&other, Format::Png, &WriteOptions::default()).unwrap();
        assert_eq!(image::decode(&bytes, None).unwrap().tensor, picture.tensor, "{name}");
    }
}

#[test]
fn what_a_camera_wrote_is_kept_and_what_has_no_place_is_said_once() {
    let folder = Folder::new(&["xmp.jpg"]);
    for out in ["out.jpg", "out.png", "out.tif", "out.webp"] {
        folder.smooth(&["xmp.jpg", "-o", out]).ok();
        let (old, new) = (folder.read("xmp.jpg").metadata, folder.read(out).metadata);
        let exif = String::from_utf8_lossy(new.exif.as_ref().unwrap()).into_owned();
        assert!(exif.contains("MakerX") && exif.contains("Copyright Me"), "{out}");
        assert_eq!(new.xmp, old.xmp, "{out}");
        assert_eq!(new.photoshop.is_some(), ["out.jpg", "out.tif"].contains(&out), "{out}");
        // Turned as the camera said, once.
        assert_eq!(folder.read(out).size(), folder.read("xmp.jpg").size());
    }
    folder.smooth(&["xmp.jpg", "-o", "stripped.jpg", "--strip"]).ok();
    assert_eq!(folder.read("stripped.jpg").metadata, Metadata::default());
    let told = folder.smooth(&["xmp.jpg", "-o", "out.bmp"]).ok().stderr;
    assert_eq!(
        told.matches("EXIF, XMP, IPTC, the resolution are left out: BMP has no place for them").count(),
        1,
        "{told}"
    );
}

#[test]
fn notes_are_told_once_however_many_pictures_they_are_true_of() {
    let folder = Folder::new(&[]);
    let mut deep = gentle(9, 9);
    deep.depth = image::Depth::Sixteen;
    deep.alpha = Some(vec![0.5; 81]);
    std::fs::create_dir(folder.path("in")).unwrap();
    for name in ["in/a.tif", "in/b.tif", "in/c.tif"] {
        // Multiplied by alpha, as the reader is to say.
        image::write(folder.path(name), &deep).unwrap();
        let mut bytes = std::fs::read(folder.path(name)).unwrap();
        let at = bytes.windows(8).position(|w| w == [0x52, 1, 3, 0, 1, 0, 0, 0]).unwrap();
        bytes[at + 8] = 1;
        std::fs::write(folder.path(name), bytes).unwrap();
    }
    let text = folder.smooth(&["in", "-o", "out"]).ok().stderr;
    assert_eq!(text.matches("colours that were multiplied by alpha").count(), 2, "{text}");
    assert!(text.contains("note: in/a.tif: colours") && text.contains("note: 2 more: colours"), "{text}");
}

#[test]
fn damaged_files_fail_and_are_written_under_keep_going() {
    let folder = Folder::new(&[]);
    image::write(folder.path("whole.jpg"), &gentle(64, 64)).unwrap();
    let bytes = std::fs::read(folder.path("whole.jpg")).unwrap();
    std::fs::write(folder.path("cut.jpg"), &bytes[..bytes.len() / 2]).unwrap();
    let mut zeroed = bytes.clone();
    let (from, to) = (bytes.len() / 2, bytes.len() / 2 + 200);
    zeroed[from..to].fill(0);
    std::fs::write(folder.path("zeroed.jpg"), zeroed).unwrap();
    for name in ["cut.jpg", "zeroed.jpg"] {
        let text = folder.smooth(&[name, "-o", "out.png"]).fails(1, &[]).stderr;
        assert!(text.contains(name) && text.contains("damaged") && text.contains("--keep-going"), "{text}");
        assert!(!folder.path("out.png").exists());
        let text = folder.smooth(&[name, "-o", "out.png", "--keep-going"]).fails(1, &[]).stderr;
        assert!(text.contains("warning") && text.contains("what could be read is written"), "{text}");
        assert_eq!(folder.read("out.png").size(), (64, 64));
        std::fs::remove_file(folder.path("out.png")).unwrap();
    }
}

#[test]
fn all_frames_and_pages_are_smoothed_or_refused() {
    let folder = Folder::new(&["anim.webp"]);
    let all = |name: &str| image::read_pages(folder.path(name), &ReadOptions::default()).unwrap();
    let frames = all("anim.webp");
    assert_eq!(frames.len(), 3);
    for out in ["out.webp", "out.png", "out.gif"] {
        folder.smooth(&["anim.webp", "-o", out]).ok();
        let smoothed = all(out);
        assert_eq!(
            smoothed.iter().map(|frame| frame.delay).collect::<Vec<_>>(),
            frames.iter().map(|frame| frame.delay).collect::<Vec<_>>()
        );
        assert!(smoothed.windows(2).all(|pair| pair[0].tensor != pair[1].tensor), "they differ");
    }
    let text = folder.smooth(&["anim.webp", "-o", "out.jpg"]).fails(1, &[]).stderr;
    assert!(text.contains("3 frames") && text.contains(".gif") && !folder.path("out.jpg").exists(), "{text}");
    folder.smooth(&["anim.webp", "-o", "pages.tif"]).ok();
    folder.smooth(&["pages.tif", "-o", "again.tif"]).ok();
    assert_eq!(all("again.tif").len(), 3);
}

#[test]
fn flags_about_results() {
    let folder = Folder::new(&["cutout.png"]);
    image::write(folder.path("a.png"), &gentle(40, 60)).unwrap();
    let size = |out: &str, flags: &[&str]| {
        folder.smooth(&[&["a.png", "-o", out], flags].concat()).ok();
        folder.size(out)
    };
    assert!(size("40.jpg", &["--quality", "40"]) < size("98.jpg", &["--quality", "98"]));
    assert!(size("420.jpg", &["--chroma", "420"]) < size("444.jpg", &["--chroma", "444"]));
    assert_eq!(folder.read("420.jpg").chroma, Some(image::Chroma::Half));
    assert!(size("best.png", &["--png-effort", "best"]) <= size("fast.png", &["--png-effort", "fast"]));
    assert!(size("deflate.tif", &[]) < size("none.tif", &["--tiff-compression", "none"]));
    if cfg!(feature = "lossy-webp") {
        assert!(size("lossy.webp", &["--quality", "60"]) < size("lossless.webp", &[]));
    }
    folder.smooth(&["cutout.png", "-o", "red.jpg", "--background", "ff0000", "--quality", "100"]).ok();
    let (red, alpha) = (folder.read("red.jpg").tensor, folder.read("cutout.png").alpha.unwrap());
    let plane = red.shape.plane();
    let corner = (0..3).map(|c| red.data[c * plane]).collect::<Vec<_>>();
    assert!(alpha[0] == 0.0 && corner[0] > 0.95 && corner[1] < 0.05 && corner[2] < 0.05, "{corner:?}");
    for wrong in [["--quality", "0"], ["--quality", "101"], ["--background", "red"], ["--chroma", "411"]] {
        folder.smooth(&[&["a.png", "-o", "never.jpg"][..], &wrong].concat()).fails(2, &[wrong[1]]);
    }
}

#[test]
fn dates_are_kept_where_that_is_asked_for() {
    let folder = Folder::new(&["cutout.png"]);
    let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    std::fs::File::options().append(true).open(folder.path("cutout.png")).unwrap().set_modified(old).unwrap();
    let date = |name: &str| folder.path(name).metadata().unwrap().modified().unwrap();
    folder.smooth(&["cutout.png", "-o", "new.png"]).ok();
    assert_ne!(date("new.png"), old);
    folder.smooth(&["cutout.png", "-o", "kept.png", "--keep-dates"]).ok();
    assert_eq!(date("kept.png"), old);
}
