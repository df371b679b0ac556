//! Pipes and video, blends, and memory.

mod support;

use sasnet::image::{self, Picture};
use sasnet::low_level::smooth::Options;
use sasnet::low_level::tensor::Tensor;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use support::folder::Folder;
use support::{Ran, picture};

fn still() -> Options {
    Options::default().with_noise(0.0)
}

/// What a command with these bytes on its standard input gives back.
fn piped(command: &mut Command, input: &[u8]) -> Output {
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.expect("the binary starts");
    let (mut to, input) = (child.stdin.take().unwrap(), input.to_vec());
    let writer = std::thread::spawn(move || {
        // A command that fails reads no further.
        let _ = to.write_all(&input);
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

fn smooth_piped(f: &Folder, arguments: &[&str], input: &[u8]) -> Output {
    let own = ["--adapter", "cpu", "--weights", "w.safetensors"];
    piped(f.command("smooth").args(arguments).args(own), input)
}

#[track_caller]
fn ok(output: Output) -> Vec<u8> {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[track_caller]
fn fails(output: Output, parts: &[&str]) -> Output {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(!said.contains("panicked"), "{said}");
    parts.iter().for_each(|part| assert!(said.contains(part), "{part:?} is not in: {said}"));
    output
}

/// A y4m stream.
fn video<const N: usize>(header: &str, frames: &[[u8; N]]) -> Vec<u8> {
    let frame = |planes: &[u8; N]| [b"FRAME\n", &planes[..]].concat();
    [format!("YUV4MPEG2 {header}\n").into_bytes(), frames.iter().flat_map(frame).collect()].concat()
}

#[test]
fn a_reader_that_goes_ends_pictures_and_video_quietly() {
    let f = Folder::new(0.0);
    f.picture("a.png", 60, 60);
    for (input, bytes) in [("a.png", vec![]), ("-", video("W8 H8 F25:1 C420", &vec![[100; 96]; 20]))] {
        let own = [input, "-o", "-", "--adapter", "cpu", "--weights", "w.safetensors", "--quiet"];
        let mut command = f.command("smooth");
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut child = command.args(own).stdin(Stdio::piped()).stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
        drop(command);
        let mut to = child.stdin.take().unwrap();
        let _ = to.write_all(&bytes);
        drop(to);
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn pictures_go_through_pipes() {
    let f = Folder::new(0.0);
    f.picture("a.png", 9, 7);
    let bytes = f.bytes("a.png");
    assert!(ok(smooth_piped(&f, &["-", "-o", "-"], &bytes)) == f.expected("a.png", "a.png", &still()));
    assert!(
        ok(smooth_piped(&f, &["a.png", "-o", "-", "--format", "bmp"], b"")) == f.expected("a.png", "a.bmp", &still())
    );
    assert!(ok(smooth_piped(&f, &["-", "-o", "b.tif"], &bytes)).is_empty());
    assert!(f.bytes("b.tif") == f.expected("a.png", "a.tif", &still()));
    fails(smooth_piped(&f, &["-", "-o", "-"], b"no picture"), &["standard input: not a picture"]);
    fails(smooth_piped(&f, &["-", "-o", "-"], &bytes[..bytes.len() / 2]), &["standard input: "]);
    fails(smooth_piped(&f, &["-", "-o", "."], &bytes), &["the standard input has no name"]);
    fails(smooth_piped(&f, &["-", "a.png", "-o", "out"], &bytes), &["the standard input (-) is smoothed alone"]);
    fails(smooth_piped(&f, &["a.png", "a.png", "-o", "-"], b""), &["2 pictures do not fit one standard output"]);
    fails(smooth_piped(&f, &["a.png", "-o", "a.y4m"], b""), &["a.y4m: is a name for video"]);
}

#[test]
fn video_goes_through_frame_by_frame() {
    let f = Folder::new(0.0);
    for (space, bytes) in
        [("420jpeg", 1.5), ("422", 2.0), ("444", 3.0), ("420p10", 3.0), ("422p10", 4.0), ("444p10", 6.0)]
    {
        // 10 x 8 pixels, edges in luma and chroma; codes of 10 bits are 4 times those of 8.
        let deep = space.ends_with("p10");
        let header = format!("W10 H8 F30000:1001 Ip A1:1 C{space} XYSCSS=x");
        let code = |i: usize| if i % 10 < 5 { 60 + (i % 3) as u16 * 9 } else { 180 };
        let frame = |shift: usize| -> Vec<u8> {
            let codes = (0..(80.0 * bytes) as usize / if deep { 2 } else { 1 }).map(|i| code(i + shift));
            codes.flat_map(|code| if deep { (4 * code).to_le_bytes().to_vec() } else { vec![code as u8] }).collect()
        };
        let parts = |shift: usize| [&b"FRAME\n"[..], &frame(shift)].concat();
        let mut stream = format!("YUV4MPEG2 {header}\n").into_bytes();
        (0..3).for_each(|shift| stream.extend(parts(shift)));
        let output = smooth_piped(&f, &["-", "-o", "-"], &stream);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let out = ok(output);
        assert_eq!(out.len(), stream.len(), "{space}");
        let head = format!("YUV4MPEG2 {header}\nFRAME\n").len();
        assert!(out[..head] == stream[..head] && out != stream, "{space}: the header stays, the frames do not");
        assert!(said.contains("3 frames of 10x8 in ") && said.contains(" frames per second"), "{said}");
        // The amount 0 is the video itself, also where a code is no colour.
        assert!(ok(smooth_piped(&f, &["-", "-o", "-", "--amount", "0"], &stream)) == stream, "{space}");
        // Through files the same, complete or not at all.
        std::fs::write(f.path("in.y4m"), &stream).unwrap();
        f.smooth(&["in.y4m", "-o", "out.y4m"]).ok();
        assert!(f.bytes("out.y4m") == out, "{space}");
    }
}

#[test]
fn video_that_cannot_be_read_is_an_error() {
    let f = Folder::new(0.0);
    let stream = video("W4 H4 F25:1 C420", &[[100; 24], [110; 24]]);
    let cut = &stream[..stream.len() - 5];
    let output = fails(smooth_piped(&f, &["-", "-o", "-"], cut), &["standard input: ends within a frame"]);
    assert_eq!(output.stdout.len(), stream.len() - 30, "the first frame is out");
    std::fs::write(f.path("in.y4m"), cut).unwrap();
    for out in ["-", "out.y4m", "out.png"] {
        let ran = f.smooth(&["in.y4m", "-o", out, "--format", "png"]);
        ran.fails(1, &["in.y4m: is video, which stays so"]);
        assert!(!f.path(out).exists());
    }
    f.smooth(&["in.y4m", "-o", "out.y4m"]).fails(1, &["in.y4m: ends within a frame"]);
    assert!(!f.path("out.y4m").exists());
    for (header, part) in [
        ("W4 H4 It C420", "interlaced"),
        ("W4 H4 C411", "y4m of another kind than 4:2:0"),
        ("W4 H4 C420p16", "y4m of another kind"),
        ("W4 H-4 C420", "a header is damaged"),
        ("W4000000 H4 Cmono", "4000000x4"),
        ("W40000 H40000 C444", "larger than 1 GiB"),
    ] {
        fails(smooth_piped(&f, &["-", "-o", "-"], &video(header, &[[0; 24]])), &["standard input: ", part]);
    }
    fails(smooth_piped(&f, &["-", "-o", "a.png"], &stream), &["standard input: is video, which stays so"]);
}

#[test]
fn large_textures_take_another_pass() {
    let f = Folder::new(0.0);
    f.picture("a.png", 33, 26);
    f.picture("dot.png", 1, 1);
    let run = |size: &str| {
        f.smooth(&["a.png", "-o", "b.png", "--texture-size", size]).ok();
        f.bytes("b.png")
    };
    let (fine, medium, coarse) = (run("fine"), run("medium"), run("coarse"));
    assert!(fine == f.expected("a.png", "b.png", &still()) && fine == run("1"));
    assert!(medium == run("2") && coarse == run("4.0") && run("1.5") != medium);
    assert!(fine != medium && medium != coarse);
    f.smooth(&["dot.png", "-o", "c.png", "--texture-size", "8"]).ok();
    for size in ["0.5", "8.1", "nan", "-2", "large"] {
        let size = format!("--texture-size={size}");
        f.smooth(&["a.png", "-o", "c.png", &size]).fails(2, &["give fine, medium, coarse, or a number from 1 to 8"]);
    }
}

#[test]
fn an_amount_blends_with_the_picture() {
    let f = Folder::new(0.0);
    let alpha: Vec<f32> = (0..42).map(|i| (i * 1500) as f32 / 65535.0).collect();
    let mut deep = Picture::from(picture(6, 7, 3));
    (deep.alpha, deep.depth) = (Some(alpha), image::Depth::Sixteen);
    image::write(f.path("a.png"), &deep).unwrap();
    let run = |amount: &str| {
        f.smooth(&["a.png", "-o", "b.png", "--amount", amount]).ok();
        image::read(f.path("b.png")).unwrap()
    };
    let (none, half, all) = (run("0"), run("0.5"), run("1"));
    assert!(none == image::read(f.path("a.png")).unwrap(), "colours, opacity, depth");
    assert!(f.bytes("b.png") == f.expected("a.png", "b.png", &still()));
    assert!(half.alpha == deep.alpha && half.depth == deep.depth);
    let between = |i: usize| (none.tensor.data[i] + all.tensor.data[i]) / 2.0;
    let worst = |t: &Tensor| t.data.iter().enumerate().map(|(i, v)| (v - between(i)).abs()).fold(0.0, f32::max);
    assert!(worst(&half.tensor) < 1e-4 && worst(&all.tensor) > 0.01);
    for amount in ["-0.1", "1.1", "nan", "some"] {
        f.smooth(&["a.png", "-o", "c.png", &format!("--amount={amount}")]).fails(2, &["give a number from 0 to 1"]);
    }
}

#[test]
fn memory_has_units() {
    let f = Folder::new(0.0);
    f.picture("a.png", 6, 6);
    for size in ["1TB", "2000MiB", "3 GB", "1.5gib", "4000m", "1tib"] {
        f.smooth(&["a.png", "-o", "b.png", "--max-memory", size]).ok();
    }
    f.smooth(&["a.png", "-o", "c.png", "--max-memory", "2000"]).fails(2, &["a number and a unit", "of what are 2000"]);
    for size in ["", "GB", "2XB", "-1GB", "0MB", "1e5MB", "9999999999TB", "5b"] {
        f.smooth(&["a.png", "-o", "c.png", &format!("--max-memory={size}")])
            .fails(2, &["a number and a unit, as 800MB"]);
    }
    assert!(!f.path("c.png").exists());
}

/// The most that a process has, and what it says.
#[cfg(target_os = "linux")]
fn with_peak(command: &mut Command) -> (u64, Ran) {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut peak = 0;
    // The stream ends with the process; until then its status is there.
    let status = format!("/proc/{}/status", child.id());
    while child.try_wait().unwrap().is_none() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
        peak = peak.max(kilobytes.unwrap_or(0) * 1024);
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    let mut ran = Ran { code: child.wait().unwrap().code(), stdout: String::new(), stderr: String::new() };
    child.stdout.take().unwrap().read_to_string(&mut ran.stdout).unwrap();
    child.stderr.take().unwrap().read_to_string(&mut ran.stderr).unwrap();
    (peak, ran)
}

#[cfg(target_os = "linux")]
#[test]
fn the_whole_process_keeps_to_the_memory() {
    let f = Folder::new(0.0);
    f.picture("a.png", 1000, 1200);
    let run = |out: &str, more: &[&str]| {
        let own = ["a.png", "-o", out, "--adapter", "cpu", "--weights", "w.safetensors"];
        let (peak, ran) = with_peak(f.command("smooth").args(own).args(more));
        ran.ok();
        peak
    };
    let free = run("free.png", &[]);
    assert!(free > 112_000_000, "{free} bytes");
    let kept = run("kept.png", &["--max-memory", "110MB"]);
    assert!(kept < 110_000_000, "{kept} bytes");
    assert!(f.bytes("kept.png") == f.bytes("free.png"), "in slabs, bit for bit");
    println!("{free} bytes, and {kept} of 110 MB");
    // What one picture leaves behind takes nothing from the next, of whatever size.
    f.pictures(&["in/2.png", "in/3.png"], 1000, 1200);
    f.picture("in/1.png", 700, 500);
    let (peak, ran) = with_peak(f.command("smooth").args(["in", "-o", "out", "--adapter", "cpu"]).args([
        "--weights",
        "w.safetensors",
        "--max-memory",
        "110MB",
    ]));
    ran.ok();
    assert!(peak < 110_000_000, "{peak} bytes");
    // What a container or a shell allows is asked, too.
    let limited = |limit: &str, out: &str| {
        let command = format!("ulimit -v {limit}; exec \"$@\"");
        let mut shell = Command::new("sh");
        let binary = env!("CARGO_BIN_EXE_sasnet");
        shell.args(["-c", &command, "sh", binary, "smooth", "a.png", "-o", out, "--adapter", "cpu"]);
        shell.args(["--weights", "w.safetensors"]).current_dir(f.folder.path());
        Ran::of(&mut shell)
    };
    // Threads' stacks and heaps take addresses, too: some hundred MB that nobody uses.
    limited("300000", "limited.png").ok();
    assert!(f.bytes("limited.png") == f.bytes("free.png"));
    f.picture("a.png", 2100, 3000);
    limited("300000", "no.png").fails(1, &["a.png: 3000x2100 pixels do not fit: ", " or smaller"]);
}

/// A control group of the test's own that allows so many bytes; None, and a word, where that is not permitted.
#[cfg(target_os = "linux")]
fn control_group(bytes: u64) -> Option<std::path::PathBuf> {
    for (root, limit) in [("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")] {
        let group = Path::new(root).join(format!("sasnet-test-{}", std::process::id()));
        let is_group = Path::new(root).join("cgroup.procs").exists();
        if is_group && std::fs::create_dir(&group).is_ok() {
            if std::fs::write(group.join(limit), bytes.to_string()).is_ok() {
                return Some(group);
            }
            let _ = std::fs::remove_dir(&group);
        }
    }
    println!("NOT TESTED: control groups are not permitted");
    None
}

/// As in a container, where a process that takes more is killed.
#[cfg(target_os = "linux")]
#[test]
fn a_container_that_is_small_gets_slabs() {
    let f = Folder::new(0.0);
    f.picture("a.png", 1000, 1200);
    let Some(group) = control_group(110_000_000) else { return };
    let enter = format!("echo $$ > {}/cgroup.procs && exec \"$@\"", group.display());
    let run = |arguments: &[&str]| {
        let command = ["-c", &enter, "sh", env!("CARGO_BIN_EXE_sasnet"), "smooth", "--adapter", "cpu"];
        let mut shell = Command::new("sh");
        Ran::of(shell.args(command).args(["--weights", "w.safetensors"]).args(arguments).current_dir(f.folder.path()))
    };
    let small = run(&["a.png", "-o", "b.png"]);
    f.picture("large.png", 2000, 2000);
    let large = run(&["large.png", "-o", "c.png"]);
    std::fs::remove_dir(&group).unwrap();
    small.ok();
    large.fails(1, &["large.png: 2000x2000 pixels do not fit: ", " or smaller"]);
    f.smooth(&["a.png", "-o", "free.png"]).ok();
    assert!(f.bytes("b.png") == f.bytes("free.png"), "in slabs, bit for bit");
}
