//! Files, folders and pipes: where pictures come from and where results go.

mod support;

use sasnet::image::{self, Format};
use sasnet::low_level::smooth::Options;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use support::folder::Folder;
use support::{Ran, sasnet, write_picture};

fn still() -> Options {
    Options::default().with_noise(0.0)
}

/// A FIFO, and what is written into it; None, and a word, where there are none.
#[cfg(unix)]
fn fifo(path: &Path) -> Option<std::thread::JoinHandle<Vec<u8>>> {
    let made = Command::new("mkfifo").arg(path).status().is_ok_and(|status| status.success());
    if !made {
        println!("NOT TESTED: mkfifo is not permitted");
        return None;
    }
    let path = path.to_path_buf();
    Some(std::thread::spawn(move || std::fs::read(path).unwrap()))
}

/// A device of a folder's own that is always full, as /dev/full; None, and a word, where that is not permitted.
#[cfg(target_os = "linux")]
fn full(path: &Path) -> Option<std::fs::File> {
    let made = Command::new("mknod").arg(path).args(["c", "1", "7"]).status().is_ok_and(|status| status.success());
    let opened = std::fs::OpenOptions::new().write(true).open(path).ok().filter(|_| made);
    if opened.is_none() {
        println!("NOT TESTED: devices are not permitted");
    }
    opened
}

#[cfg(unix)]
#[test]
fn every_output_of_every_command_may_be_a_fifo() {
    use std::os::unix::fs::FileTypeExt;
    let f = Folder::new(0.0);
    f.pictures(&["set/input/a.png", "set/gt/a.png"], 12, 13);
    let eval = "eval set/input set/gt --adapter cpu --weights w.safetensors";
    for (command, out, begins) in [
        ("smooth set/input/a.png --adapter cpu --weights w.safetensors -o", "a.png", &b"\x89PNG"[..]),
        ("smooth set/input/a.png --adapter cpu --weights w.safetensors --format bmp -o", "no-extension", b"BM"),
        (&format!("{eval} --csv"), "s.csv", b"set,"),
        (&format!("{eval} --json"), "s.json", b"{"),
        (&format!("{eval} --markdown"), "s.md", b"|"),
        (&format!("{eval} --sheet"), "sheet.png", b"\x89PNG"),
        (&format!("{eval} --sheet"), "sheet", b"\x89PNG"),
        ("weights w.safetensors -o", "no-weights", b""),
    ] {
        let Some(reader) = fifo(&f.path(out)) else { return };
        let arguments: Vec<&str> = command.split(' ').chain([out]).collect();
        Ran::of(sasnet().args(&arguments).current_dir(f.folder.path())).ok();
        let got = reader.join().unwrap();
        assert!(got.starts_with(begins) && got.len() > 10, "{arguments:?}: {} bytes", got.len());
        assert!(f.path(out).symlink_metadata().unwrap().file_type().is_fifo(), "{out} is still there");
        if out == "no-weights" {
            assert!(got == f.bytes("w.safetensors"));
        }
    }
}

/// What fails there is an error, and the device is still there.
#[cfg(target_os = "linux")]
#[test]
fn a_full_device_is_an_error() {
    use std::os::unix::fs::FileTypeExt;
    let f = Folder::new(0.0);
    f.picture("a.png", 6, 6);
    if full(&f.path("full")).is_none() {
        return;
    }
    f.smooth(&["a.png", "-o", "full"]).fails(1, &["full: No space left"]);
    Ran::of(f.command("weights").args(["w.safetensors", "-o", "full"])).fails(1, &["full: No space left"]);
    assert!(f.path("full").symlink_metadata().unwrap().file_type().is_char_device());
}

/// The shell's file keeps what it has, and what comes after.
#[cfg(target_os = "linux")]
#[test]
fn dev_stdout_is_what_the_shell_opened() {
    let f = Folder::new(0.0);
    f.picture("a.png", 6, 6);
    let expected = f.expected("a.png", "a.png", &still());
    let to_file = |name: &str| {
        let mut file = std::fs::File::create(f.path(name)).unwrap();
        file.write_all(b"before").unwrap();
        let own = ["a.png", "-o", "/dev/stdout", "--adapter", "cpu", "--weights", "w.safetensors"];
        let status = f.command("smooth").args(own).stdout(file.try_clone().unwrap()).status().unwrap();
        assert!(status.success());
        file.write_all(b"after").unwrap();
        f.bytes(name)
    };
    assert!(to_file("whole") == [&b"before"[..], &expected, b"after"].concat());
    assert!(Path::new("/dev/stdout").symlink_metadata().unwrap().is_symlink());
    let ran = f.command("weights").args(["w.safetensors", "-o", "/dev/stdout"]).output().unwrap();
    assert!(ran.status.success() && ran.stdout == f.bytes("w.safetensors"), "nothing else is printed there");
    f.pictures(&["set/input/a.png", "set/gt/a.png"], 12, 13);
    let eval = |sheet: &str| {
        let own = ["set/input", "set/gt", "--adapter", "cpu", "--weights", "w.safetensors", "--sheet", sheet];
        f.command("eval").args(own).output().unwrap().stdout
    };
    assert!(String::from_utf8(eval("sheet.png")).unwrap().starts_with('|'), "the table");
    assert!(eval("/dev/stdout") == f.bytes("sheet.png"), "the sheet alone");
}

#[test]
fn pairs_whose_names_do_not_agree_are_refused() {
    let f = Folder::new(0.0);
    for i in 1..=10 {
        write_picture(f.path(format!("set/input/lq_{i}.png")), 12, 10 + i, i);
        write_picture(f.path(format!("set/gt/hq_{i:02}.png")), 12, 10 + i, i);
        write_picture(f.path(format!("other/gt/x{}.png", i * i)), 12, 10 + i, i);
    }
    let own = ["--adapter", "cpu", "--weights", "w.safetensors"];
    let eval = |arguments: &[&str]| Ran::of(f.command("eval").args(arguments).args(own));
    // Sizes differ, so that a wrong pair would be an error.
    let table = eval(&["set/input", "set/gt", "--per-image"]).ok().stdout;
    assert_eq!(table.matches("lq_").count(), 10, "{table}");
    let shown = "their order lq_1.png with x1.png, lq_2.png with x4.png, ";
    let refused = eval(&["set/input", "other/gt"]);
    refused.fails(1, &["do not say which belongs to which", shown, "and 5 more", "--pair-by-order"]);
    eval(&["set/input", "other/gt", "--pair-by-order"]).ok();
    let train = |more: &[&str]| {
        let fixed = "-o run --steps 1 --batch 1 --crop 8 --blocks 1 --features 4 --adapter cpu --validate set/input";
        let fixed = fixed.split(' ').chain(["--validate-truths", "set/gt", "--inputs", "set/input", "--truths"]);
        Ran::of(f.command("train").args(fixed).args(more))
    };
    train(&["other/gt"]).fails(1, &[shown, "--pair-by-order"]);
    train(&["other/gt", "--pair-by-order"]).ok();
    // What is no picture is left out with a word there, too.
    std::fs::write(f.path("set/gt/hq_11.HEIC"), "x").unwrap();
    let said = eval(&["set/input", "set/gt"]).ok().stderr;
    assert!(said.contains("set/input: 1 left out: set/gt/hq_11.HEIC (no pictures by their extension)"), "{said}");
}

/// A log on a full disk, or that nobody reads, does not end the work.
#[cfg(target_os = "linux")]
#[test]
fn messages_that_cannot_be_written_do_not_end_a_batch() {
    let f = Folder::new(0.0);
    f.pictures(&["in/a.png", "in/b.png"], 6, 6);
    std::fs::write(f.path("in/broken.png"), "no picture").unwrap();
    let run = |out: &str, stderr: Stdio| {
        let own = ["in", "-v", "-o", out, "--adapter", "cpu", "--weights", "w.safetensors"];
        let status = f.command("smooth").args(own).stderr(stderr).status().unwrap();
        assert_eq!(status.code(), Some(1), "one picture is broken");
        assert_eq!(f.names(out), ["a.png", "b.png"]);
    };
    if let Some(device) = full(&f.path("full")) {
        run("out", device.into());
    }
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    run("unread", writer.into());
}

#[test]
fn what_is_left_out_is_said() {
    let f = Folder::new(0.0);
    f.pictures(&["in/p2.png", "in/p10.png", "in/sub/s.png", "in/.hidden.png"], 6, 6);
    for name in ["in/b.HEIC", "in/notes.txt"] {
        std::fs::write(f.path(name), "x").unwrap();
    }
    let ran = f.smooth(&["in", "-o", "out"]).ok();
    let line = ran.stderr.lines().last().unwrap();
    for part in [
        "smoothed 2 of 2 pictures in ",
        "4 left out: ",
        "in/sub (folders, which --recursive goes into)",
        "in/b.HEIC, in/notes.txt (no pictures by their extension)",
        "in/.hidden.png (hidden)",
    ] {
        assert!(line.contains(part), "{part:?} is not in: {line}");
    }
    assert_eq!(f.names("out"), ["p10.png", "p2.png"]);
    f.smooth(&["in/sub", "in/sub", "-o", "out"]).fails(1, &["would get the same name"]);
    std::fs::create_dir_all(f.path("only/deep")).unwrap();
    f.smooth(&["only", "-o", "out"]).fails(1, &["holds no pictures", "--recursive goes into the folders in it"]);
}

#[cfg(unix)]
#[test]
fn folders_in_folders_keep_their_places_and_links_in_a_circle_end() {
    let f = Folder::new(0.0);
    f.pictures(&["in/a.png", "in/x/a.png", "in/x/y/b.png"], 6, 6);
    std::os::unix::fs::symlink(f.path("in"), f.path("in/x/again")).unwrap();
    std::os::unix::fs::symlink("loop.png", f.path("in/loop.png")).unwrap();
    // The results lie in the folder itself: they are no pictures of the second run.
    for _ in 0..2 {
        let ran = f.smooth(&["in", "--recursive", "-o", "in/out"]);
        let ran = ran.fails(1, &["in/loop.png: Too many levels", "smoothed 3 of 4", "1 picture failed"]);
        assert!(ran.stderr.contains("in/x/again (links to folders that are done anyway)"), "{}", ran.stderr);
    }
    assert_eq!(f.names("in/out"), ["a.png", "x"]);
    assert_eq!((f.names("in/out/x"), f.names("in/out/x/y")), (vec!["a.png".into(), "y".into()], vec!["b.png".into()]));
    assert!(f.bytes("in/out/x/y/b.png") == f.expected("in/x/y/b.png", "b.png", &still()));
}

#[test]
fn results_that_exist_are_skipped_or_kept() {
    let f = Folder::new(0.0);
    f.pictures(&["in/a.png", "in/b.png"], 6, 6);
    std::fs::create_dir(f.path("out")).unwrap();
    std::fs::write(f.path("out/a.png"), "mine").unwrap();
    let ran = f.smooth(&["in", "-o", "out", "--no-clobber"]);
    ran.fails(1, &["out/a.png: exists already, and --no-clobber replaces no file", "smoothed 1 of 2"]);
    assert!(f.bytes("out/a.png") == b"mine");
    f.smooth(&["in/a.png", "-o", "out/a.png", "--no-clobber"]).fails(1, &["exists already"]);
    let ran = f.smooth(&["in", "-o", "out", "--skip-existing"]).ok();
    let said = "smoothed 0 of 0 pictures in 0.0 s, 2 left out: in/a.png, in/b.png (pictures whose results exist)";
    assert!(ran.stderr.contains(said) && !ran.stderr.contains("running on"), "{}", ran.stderr);
    f.smooth(&["in/a.png", "-o", "out/a.png", "--skip-existing"]).ok();
    assert!(f.bytes("out/a.png") == b"mine");
    std::fs::remove_file(f.path("out/b.png")).unwrap();
    let ran = f.smooth(&["in", "-o", "out", "--skip-existing"]).ok();
    assert!(ran.stderr.contains("smoothed 1 of 1 picture"), "{}", ran.stderr);
    assert!(f.bytes("out/b.png") == f.expected("in/b.png", "b.png", &still()));
    f.smooth(&["in", "-o", "out", "--skip-existing", "--no-clobber"]).fails(2, &["--no-clobber"]);
}

/// Interrupted at any time, a batch leaves complete pictures alone, and goes on from there.
#[cfg(unix)]
#[test]
fn a_batch_that_is_killed_goes_on_where_it_was() {
    let f = Folder::new(0.0);
    let names: Vec<String> = (0..12).map(|i| format!("{i}.png")).collect();
    names.iter().for_each(|name| f.picture(&format!("in/{name}"), 60, 80));
    std::fs::create_dir(f.path("out")).unwrap();
    for (signal, left) in [("-INT", 2), ("-TERM", 5), ("-KILL", 8)] {
        let own = ["in", "-o", "out", "--skip-existing", "-q", "--adapter", "cpu", "--weights", "w.safetensors"];
        let mut child = f.command("smooth").args(own).spawn().unwrap();
        let pictures = || f.names("out").into_iter().filter(|name| !name.starts_with('.')).count();
        while pictures() < left && child.try_wait().unwrap().is_none() {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        let kill = format!("kill {signal} {}", child.id());
        Command::new("sh").args(["-c", &kill]).stderr(Stdio::null()).status().unwrap();
        let code = child.wait().unwrap().code();
        if signal != "-KILL" {
            assert_eq!(code, Some(130), "{signal}");
            assert!(f.names("out").iter().all(|name| !name.starts_with('.')), "{:?}", f.names("out"));
        }
        for name in f.names("out").iter().filter(|name| !name.starts_with('.')) {
            image::read(f.path("out").join(name)).unwrap_or_else(|e| panic!("half a picture: {e}"));
        }
    }
    f.smooth(&["in", "-o", "out", "--skip-existing"]).ok();
    for name in names {
        assert!(f.bytes(&format!("out/{name}")) == f.expected(&format!("in/{name}"), &name, &still()), "{name}");
    }
}

/// Within a picture, and within a video of which no more frames come.
#[cfg(unix)]
#[test]
fn what_is_stopped_leaves_nothing() {
    let f = Folder::new(0.0);
    f.picture("large.png", 2000, 2000);
    std::fs::create_dir(f.path("out")).unwrap();
    let own = ["--adapter", "cpu", "--weights", "w.safetensors", "--ensemble"];
    for arguments in [["large.png", "-o", "out/large.png"], ["-", "-o", "out/video.y4m"]] {
        let mut command = f.command("smooth");
        let command = command.args(arguments).args(own).stdin(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        let frame = [&b"YUV4MPEG2 W8 H8 F25:1 Cmono\nFRAME\n"[..], &[100; 64]].concat();
        if arguments[0] == "-" {
            input.write_all(&frame).unwrap();
            while f.names("out").is_empty() {
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
        }
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        lines.find(|line| line.contains("running on")).unwrap();
        std::thread::sleep(std::time::Duration::from_secs(1));
        let kill = format!("kill -INT {}", child.id());
        Command::new("sh").args(["-c", &kill]).status().unwrap();
        let said: Vec<String> = lines.collect();
        assert!(said.first().is_some_and(|line| line.contains("stopping")), "{said:?}");
        assert_eq!(child.wait().unwrap().code(), Some(130), "{said:?}");
        assert_eq!(f.names("out"), [""; 0], "{said:?}");
        drop(input);
    }
}

#[test]
fn suffixes_and_formats_name_results() {
    let f = Folder::new(0.0);
    f.pictures(&["in/a.png", "in/b.bmp"], 6, 6);
    f.smooth(&["in", "--suffix", "_smooth"]).ok();
    assert_eq!(f.names("in"), ["a.png", "a_smooth.png", "b.bmp", "b_smooth.bmp"]);
    let ran = f.smooth(&["in", "--suffix", "_smooth"]).ok();
    assert!(
        ran.stderr.contains("smoothed 2 of 2") && ran.stderr.contains("(results of others, by --suffix)"),
        "{}",
        ran.stderr
    );
    assert_eq!(f.names("in").len(), 4, "results are not smoothed again");
    f.smooth(&["in/a.png", "in/b.bmp", "-o", "out", "--suffix=-1", "--format", "JPG"]).ok();
    assert_eq!(f.names("out"), ["a-1.jpg", "b-1.jpg"]);
    assert!(f.bytes("out/b-1.jpg") == f.expected("in/b.bmp", "b.jpg", &still()));
    f.smooth(&["in/a.png", "-o", "no-extension", "--format", "tif"]).ok();
    assert_eq!(Format::from_contents(&f.bytes("no-extension")), Some(Format::Tiff));
    f.smooth(&["in/a.png", "-o", "x.png", "--format", "jpg"]).fails(1, &["x.png: its extension says another format"]);
    f.smooth(&["in/a.png", "-o", "x.png", "--suffix", "_s"]).fails(1, &["--suffix is for results that keep"]);
    f.smooth(&["in/a.png", "-o", "x", "--format", "heic"]).fails(2, &["give one of png, jpg"]);
    f.smooth(&["in/a.png", "--suffix", "a/b"]).fails(2, &["give a part of a name"]);
    // Both would be a.png.
    f.picture("two/a.bmp", 6, 6);
    f.picture("two/a.png", 6, 6);
    f.smooth(&["two", "-o", "out", "--format", "png"]).fails(1, &["two/a.png: would get the same name as two/a.bmp"]);
}

#[test]
fn other_extensions_of_a_format_are_pictures_too() {
    let f = Folder::new(0.0);
    f.pictures(&["in/a.jfif", "in/b.JPE", "in/c.dib"], 6, 6);
    f.smooth(&["in", "-o", "out"]).ok();
    assert_eq!(f.names("out"), ["a.jfif", "b.JPE", "c.dib"]);
    for (name, format) in [("out/a.jfif", Format::Jpeg), ("out/b.JPE", Format::Jpeg), ("out/c.dib", Format::Bmp)] {
        assert_eq!(Format::from_contents(&f.bytes(name)), Some(format), "{name}");
    }
}

#[test]
fn what_cannot_be_written_is_noticed_before_computing() {
    let f = Folder::new(0.0);
    f.picture("a.png", 6, 6);
    // Sides of 16-bit numbers in a JPEG, of 14 bits in a WebP; the picture has too few lines to take long.
    write_picture(f.path("in/wide.png"), 1, 66_000, 1);
    f.picture("in/b.png", 6, 6);
    let ran = f.smooth(&["in", "-o", "out", "--format", "jpg"]);
    let ran = ran.fails(
        1,
        &["in/wide.png: 66000x1 pixels do not fit a JPEG, which holds at most 65535 on a side", "smoothed 1 of 2"],
    );
    assert!(!ran.stderr.contains("panicked"));
    f.smooth(&["in/wide.png", "-o", "w.webp"]).fails(1, &["do not fit a WebP, which holds at most 16383 on a side"]);
    #[cfg(target_os = "linux")]
    for out in ["/sys/out", "/sys/out/a.png", "/proc/a.png"] {
        // Root may write anywhere but there.
        let ran = f.smooth(&["a.png", "in/b.png", "-o", out]);
        let ran = ran.fails(1, &[out.trim_end_matches("/a.png"), "os error"]);
        assert!(!ran.stderr.contains("running on"), "before a device is opened: {}", ran.stderr);
    }
}

#[test]
fn messages_are_for_people_or_programs() {
    let f = Folder::new(0.0);
    f.pictures(&["in/a.png", "in/b.png"], 6, 7);
    std::fs::write(f.path("in/notes.txt"), "x").unwrap();
    std::fs::write(f.path("in/broken.png"), "x").unwrap();
    let quiet = f.smooth(&["in/a.png", "-o", "out/a.png", "-q"]).ok();
    assert!(quiet.stderr.is_empty() && quiet.stdout.is_empty(), "{quiet:?}");
    f.smooth(&["in/a.png", "-o", "out/a.png", "-q", "-v"]).fails(2, &["--verbose"]);
    let verbose = f.smooth(&["in/a.png", "-o", "out/a.png", "-v"]).ok();
    assert!(verbose.stderr.contains("in/a.png -> out/a.png, 7x6, "), "{}", verbose.stderr);
    let ran = f.smooth(&["in", "-o", "out", "--json", "--quiet"]).fails(1, &["in/broken.png"]);
    let lines: Vec<serde_json::Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |input: &str| lines.iter().find(|line| line["input"] == input).unwrap_or_else(|| panic!("{lines:?}"));
    assert_eq!((&of("in/a.png")["status"], &of("in/a.png")["output"]), (&"smoothed".into(), &"out/a.png".into()));
    assert_eq!((&of("in/a.png")["width"], &of("in/a.png")["height"]), (&7.into(), &6.into()));
    assert!(of("in/broken.png")["status"] == "failed" && of("in/broken.png")["error"].is_string());
    assert_eq!(of("in/notes.txt")["status"], "left out");
    let last = &lines[lines.len() - 1];
    assert_eq!((&last["smoothed"], &last["failed"], &last["left_out"]), (&2.into(), &1.into(), &1.into()));
    f.smooth(&["in/a.png", "-o", "-", "--json"]).fails(1, &["--json prints on standard output"]);
}
