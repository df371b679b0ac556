//! Data without data: `sasnet synth`, and `sasnet train` without folders and with several.

mod support;

use sasnet::image;
use sasnet::lab::dataset::source::{STRENGTH, Source};
use sasnet::low_level::tensor::Shape;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use support::{Ran, files, sasnet, write_picture};

fn synth(folder: &Path, arguments: &[&str]) -> Ran {
    Ran::of(sasnet().current_dir(folder).arg("synth").args(arguments))
}

fn train(folder: &Path, out: &str, arguments: &[&str]) -> Ran {
    let small = ["--adapter", "cpu", "--batch", "2", "--crop", "16", "--steps", "4", "--out", out];
    let network = ["--blocks", "1", "--features", "8"];
    let network = if arguments.contains(&"--resume") { &[][..] } else { &network };
    Ran::of(sasnet().current_dir(folder).arg("train").args(small).args(network).args(arguments))
}

#[test]
fn pairs_are_written_as_training_sees_them() {
    let dir = tempfile::tempdir().unwrap();
    let plain = ["--blend", "plain"];
    let ran =
        synth(dir.path(), &[&["-o", "a/b", "--count", "11", "--size", "40x24", "--seed", "5"], &plain[..]].concat())
            .ok();
    assert!(ran.stderr.contains("pairs of synthetic structures; textures: synthetic\n"), "{}", ran.stderr);
    let [input, truth] = ["input", "gt"].map(|name| files(&dir.path().join("a/b").join(name)));
    assert_eq!((input.len(), truth.len()), (11, 11));
    let batch = Source::synthetic(STRENGTH).unwrap().batch(5, 10, 1, 40);
    for (name, expected) in [("input", batch.input), ("gt", batch.target)] {
        let written = image::read(dir.path().join("a/b").join(name).join("0010.png")).unwrap().tensor;
        assert_eq!(written.shape, Shape::new(1, 3, 24, 40));
        let expected = sasnet::low_level::geometry::crop(&expected, 24, 40);
        assert!(image::quantise(&written) == image::quantise(&expected), "{name}");
    }
    let names: Vec<String> =
        dir.path().join("a/b").read_dir().unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(names.len(), 3, "nothing but input, gt and overview.jpg: {names:?}");
    // Four pairs beside each other, three rows of them.
    let (h, w) = image::size(dir.path().join("a/b/overview.jpg")).unwrap();
    assert!(w > 8 * 128 && h > 3 * 24 && h < 4 * 64, "{h} x {w}");
    // The same again, to the byte, and another seed.
    synth(dir.path(), &[&["-o", "same", "--count", "3", "--size", "40x24", "--seed", "5"], &plain[..]].concat()).ok();
    synth(dir.path(), &["-o", "other", "--count", "3", "--size", "40x24", "--seed", "6"]).ok();
    for (name, bytes) in files(&dir.path().join("same/input")) {
        assert!(bytes == input[&name], "{name}");
        assert!(bytes != files(&dir.path().join("other/input"))[&name], "{name}");
    }
}

#[test]
fn folders_with_pictures_are_replaced_only_when_told() {
    let dir = tempfile::tempdir().unwrap();
    let pairs =
        |count, more: &[&str]| synth(dir.path(), &[&["-o", "out", "--size", "16", "--count", count], more].concat());
    pairs("3", &[]).ok();
    std::fs::write(dir.path().join("out/notes.txt"), "mine").unwrap();
    let before = files(&dir.path().join("out/gt"));
    pairs("2", &["--seed", "2"]).fails(1, &["out: is not empty", "--force"]);
    assert!(files(&dir.path().join("out/gt")) == before);
    // What fails on the way leaves what was there.
    write_picture(dir.path().join("good/a.png"), 20, 20, 1);
    std::fs::write(dir.path().join("good/bad.png"), "no picture").unwrap();
    pairs("2", &["--force", "--structures", "good"]).fails(1, &["bad.png"]);
    assert!(files(&dir.path().join("out/gt")) == before);
    pairs("2", &["--seed", "2", "--force"]).ok();
    assert_eq!(files(&dir.path().join("out/gt")).len(), 2, "none of the old ones is left");
    assert_eq!(std::fs::read_to_string(dir.path().join("out/notes.txt")).unwrap(), "mine");
    // An empty folder is as good as none; a file is not.
    std::fs::create_dir(dir.path().join("empty")).unwrap();
    synth(dir.path(), &["-o", "empty", "--size", "16", "--count", "1"]).ok();
    synth(dir.path(), &["-o", "good/a.png"]).fails(1, &["a.png: is a file"]);
}

#[test]
fn wrong_options_say_what_is_right() {
    let dir = tempfile::tempdir().unwrap();
    for (arguments, parts) in [
        (["--size", "7"], ["--size", "from 8 to 8192"]),
        (["--size", "4x300"], ["--size", "from 8 to 8192"]),
        (["--size", "wide"], ["--size", "as in 256 or 512x384"]),
        (["--count", "0"], ["--count", "1..=1000000"]),
        (["--strength", "8"], ["--strength", "as in 8,25"]),
        (["--structures", "synthetic=-1"], ["--structures", "a number that is 0 or more, as in synthetic=2"]),
        (["--textures", "synthetic=nan"], ["--textures", "a number that is 0 or more"]),
        (["--textures", "=2"], ["--textures", "a weight"]),
    ] {
        synth(dir.path(), &[&["-o", "out"], &arguments[..]].concat()).fails(2, &parts);
    }
    for (arguments, part) in [
        (["--strength", "25,8"], "texture strength from 25 to 8"),
        (["--structures", "none"], "none: No such file"),
        (["--structures", "synthetic=0"], "no structures or pairs to train on"),
        (["--textures", "synthetic=0"], "no textures to train on"),
    ] {
        synth(dir.path(), &[&["-o", "out"], &arguments[..]].concat()).fails(1, &[part]);
    }
    assert!(!dir.path().join("out").exists());
}

/// What was there stays, and nothing half-made is left.
#[cfg(unix)]
#[test]
fn a_signal_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    synth(dir.path(), &["-o", "out", "--size", "16", "--count", "2"]).ok();
    let before = files(&dir.path().join("out/input"));
    for signal in ["-INT", "-TERM"] {
        let mut command = sasnet();
        command.current_dir(dir.path()).args(["synth", "-o", "out", "--force", "--size", "256", "--count", "100000"]);
        let mut child = command.stderr(Stdio::null()).spawn().unwrap();
        let made = || std::fs::read_dir(dir.path().join("out")).unwrap().count();
        let deadline = Instant::now() + Duration::from_secs(60);
        while made() < 4 {
            assert!(Instant::now() < deadline && child.try_wait().unwrap().is_none(), "no pairs within a minute");
            std::thread::sleep(Duration::from_millis(5));
        }
        Command::new("sh").args(["-c", &format!("kill {signal} {}", child.id())]).status().unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(130), "{signal}");
        assert_eq!(made(), 3, "{signal}");
        assert!(files(&dir.path().join("out/input")) == before);
    }
}

#[test]
fn training_needs_no_data() {
    let dir = tempfile::tempdir().unwrap();
    let ran = train(dir.path(), "whole", &[]).ok();
    assert!(ran.stderr.contains("training on synthetic structures; textures: synthetic\n"), "{}", ran.stderr);
    // In parts, and from another place.
    train(dir.path(), "parts", &["--max-time", "1e-6"]).ok();
    let elsewhere = dir.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    train(&elsewhere, "../parts", &["--resume"]).ok();
    assert!(files(&dir.path().join("whole")) == files(&dir.path().join("parts")));
}

#[test]
fn folders_and_the_generator_are_mixed() {
    let dir = tempfile::tempdir().unwrap();
    (0..3).for_each(|i| write_picture(dir.path().join(format!("photos/{i}.png")), 20, 20, i));
    (0..2).for_each(|i| write_picture(dir.path().join(format!("odd=name/{i}.png")), 20, 20, i));
    write_picture(dir.path().join("synthetic/a.png"), 20, 20, 9);
    for name in ["set/images/S1T1.png", "set/gt/S1.png", "sps/a.png"] {
        write_picture(dir.path().join(name), 20, 40, 3);
    }
    for (arguments, expected) in [
        (&["--structures", "photos"][..], "structures photos (3); textures: synthetic; augmented"),
        (&["--textures", "photos"], "synthetic structures; textures: photos (3); augmented"),
        (&["--textures", "photos", "--augment=false"], "synthetic structures; textures: photos (3)"),
        (&["--textures", "photos", "--paper"], "synthetic structures; textures: photos (3)"),
        (&["--augment"], "synthetic structures; textures: synthetic; augmented"),
        (
            &[
                "--structures",
                "photos=3",
                "--structures",
                "synthetic",
                "--textures",
                "odd=name",
                "--textures",
                "odd=name=3",
            ],
            "75 % structures photos (3), 25 % synthetic structures; textures: 25 % odd=name (2), 75 % odd=name (2); augmented",
        ),
        (&["--structures", "./synthetic"], "structures ./synthetic (1); textures: synthetic; augmented"),
        (&["--inputs", "sps"], "pairs sps (1)"),
        (&["--inputs", "set", "--inputs", "sps=3"], "25 % pairs set (1), 75 % pairs sps (1)"),
        (&["--inputs", "set/images", "--truths", "set/gt"], "pairs set/images (1)"),
        (
            &["--inputs", "set", "--structures", "synthetic=0.25"],
            "20 % synthetic structures, 80 % pairs set (1); textures: synthetic",
        ),
    ] {
        let ran = train(dir.path(), "run", arguments).ok();
        assert!(ran.stderr.contains(&format!("training on {expected}\n")), "{arguments:?}: {}", ran.stderr);
        // It goes on with the same data, wherever it is started.
        let ran = train(&dir.path().join("photos"), "../run", &["--resume"]).ok();
        let same = |text: &str| {
            let line = text.lines().find(|line| line.starts_with("training on")).unwrap();
            line.replace(&format!("{}/", dir.path().canonicalize().unwrap().display()), "").replace("./", "")
        };
        assert_eq!(same(&ran.stderr), format!("training on {}", expected.replace("./", "")));
        std::fs::remove_dir_all(dir.path().join("run")).unwrap();
    }
    train(dir.path(), "run", &["--inputs", "sps", "--inputs", "set/images", "--truths", "set/gt"])
        .fails(1, &["--inputs and --truths are given 2 and 1 times", "one --truths for each --inputs"]);
    train(dir.path(), "run", &["--inputs", "set/gt", "--truths", "set/images"]).fails(1, &["the other way round"]);
    train(dir.path(), "run", &["--truths", "set/gt"]).fails(2, &["--inputs"]);
    // A run that does not say what it was trained on.
    train(dir.path(), "run", &[]).ok();
    std::fs::remove_file(dir.path().join("run/data.json")).unwrap();
    train(dir.path(), "run", &["--resume"]).fails(1, &["has no data.json", "--structures synthetic is the generator"]);
    train(dir.path(), "run", &["--resume", "--structures", "synthetic"]).ok();
    std::fs::write(dir.path().join("run/data.json"), "{").unwrap();
    train(dir.path(), "run", &["--resume"]).fails(1, &["data.json", "remove it"]);
}
