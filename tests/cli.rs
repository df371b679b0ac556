//! The command as a user meets it.

mod support;

use sasnet::filters::FINISH;
use sasnet::image::{self, Picture, quantise};
use sasnet::low_level::exec::Device;
use sasnet::low_level::geometry::{Flip, crop};
use sasnet::low_level::gpu::{list_adapters, list_kernels};
use sasnet::low_level::kernel::Kernels;
use sasnet::low_level::smooth::{Options, Smoother};
use sasnet::low_level::tensor::{Shape, Tensor};
use sasnet::low_level::weights::Weights;
use sasnet::{Error, Filter, Limit, Progress, Sasnet, TooLarge};
use std::ops::ControlFlow;
use std::process::Stdio;
use support::folder::Folder;
use support::{Ran, files, picture, sasnet, small_weights};

fn noise(scale: f32, seed: u64) -> Options {
    Options::default().with_noise(scale).with_seed(seed)
}

#[test]
fn every_format_in_and_out() {
    let f = Folder::new(0.0);
    for from in ["png", "jpg", "webp", "tif", "bmp"] {
        let input = format!("in.{from}");
        f.picture(&input, 9, 12);
        for to in ["png", "JPEG", "webp", "tiff", "bmp"] {
            let output = format!("out of {from}.{to}");
            f.smooth(&[&input, "-o", &output]).ok();
            assert!(f.bytes(&output) == f.expected(&input, &output, &noise(0.0, 0)), "{input} to {output}");
        }
    }
}

#[test]
fn classical_filters() {
    let f = Folder::new(0.0);
    f.picture("a.png", 23, 31);
    let smooth = |arguments: &[&str]| Ran::of(f.command("smooth").args(["a.png", "--adapter", "cpu"]).args(arguments));
    for method in Filter::methods() {
        let output = format!("{}.png", method.name);
        smooth(&["-o", &output, "--method", method.name]).ok();
        let x = image::read(f.path("a.png")).unwrap().tensor;
        let mut smoother = Smoother::new(Filter::new(method.name).unwrap(), Device::Cpu);
        let want = quantise(&smoother.smooth(&x, &Options::default()).unwrap());
        assert_eq!(quantise(&image::read(f.path(&output)).unwrap().tensor), want, "{output}");
        assert_ne!(quantise(&x), want, "{output}");
    }
    smooth(&["-o", "b.png", "--method", "gf", "--set", "r=2", "--set", "guide=channel"]).ok();
    assert_ne!(f.bytes("b.png"), f.bytes("gf.png"));
    let edges = Ran::of(f.command("edges").args(["a.png", "-o", "c.png", "--method", "gf", "--adapter", "cpu"]));
    edges.ok();
    smooth(&["-o", "x.png", "--method", "gauss"])
        .fails(2, &["invalid value 'gauss'", "gf, l0, rtv, rgf, sdf, ils, ils-welsch"]);
    smooth(&["-o", "x.png", "--method", "gf", "--ensemble"]).fails(2, &["cannot be used with", "--ensemble"]);
    smooth(&["-o", "x.png", "--set", "r=2"]).fails(2, &["--method"]);
    for option in ["--ensemble", "--finish"] {
        smooth(&["-o", "x.png", "--set", "r=2", option]).fails(2, &["--method"]);
    }
    smooth(&["-o", "x.png", "--method", "gf", "--set", "r"]).fails(2, &["give a name and a value, as in sigma=3"]);
    smooth(&["-o", "x.png", "--method", "gf", "--set", "q=1"]).fails(1, &["no parameter q; it has r, eps, guide"]);
    smooth(&["-o", "x.png", "--method", "gf", "--set", "r=0"]).fails(1, &["r of the method gf is 0; give 1 to 256"]);
    assert!(!f.path("x.png").exists());
    let all = Ran::of(&mut f.command("methods")).ok().stdout;
    for method in Filter::methods() {
        let own = Ran::of(f.command("methods").arg(method.name)).ok().stdout;
        assert!(all.contains(&own), "{own}");
        for text in [method.title, method.paper, &method.year.to_string()] {
            assert!(own.contains(text), "{own}");
        }
        for parameter in method.parameters {
            let line = own.lines().find(|line| line.trim_start().starts_with(&format!("{}=", parameter.name)));
            assert!(line.is_some_and(|line| line.contains(&parameter.domain.to_string())), "{own}");
        }
    }
}

#[test]
fn a_weak_filter_finishes() {
    let f = Folder::new(0.0);
    f.picture("a.png", 23, 31);
    let smooth = |command, arguments: &[&str]| {
        let options = ["a.png", "--adapter", "cpu", "--weights", "w.safetensors", "-o", "b.png"];
        Ran::of(f.command(command).args(options).args(arguments))
    };
    let x = image::read(f.path("a.png")).unwrap().tensor;
    let want = |filter: &str| {
        let smoother = Smoother::new(f.weights.clone(), Device::Cpu).with_finish(filter.parse::<Filter>().unwrap());
        quantise(&{ smoother }.smooth(&x, &Options::default()).unwrap())
    };
    let cases = [("--finish", FINISH), ("--finish=gf,r=2", "gf,r=2"), ("--finish=rtv,sigma=2", "rtv,sigma=2")];
    let results = cases.map(|(option, filter)| {
        smooth("smooth", &[option]).ok();
        let got = quantise(&image::read(f.path("b.png")).unwrap().tensor);
        assert_eq!(got, want(filter), "{option}");
        got
    });
    assert!(results[0] != results[1] && results[1] != results[2]);
    smooth("enhance", &["--finish"]).ok();
    // The value follows a =, so that a picture after it is a picture.
    let ran = Ran::of(f.command("smooth").args(["--finish", "a.png", "-o", "c.png", "--adapter", "cpu"]));
    assert!(ran.ok().stderr.contains("smoothed 1 of 1"));
    smooth("smooth", &["--finish=gauss"]).fails(2, &["'--finish", "no method gauss; there are gf, "]);
    smooth("smooth", &["--finish=gf,r=0"]).fails(2, &["r of the method gf is 0; give 1 to 256"]);
    let both = ["a.png", "-o", "c.png", "--method", "gf", "--finish"];
    Ran::of(f.command("smooth").args(both)).fails(2, &["cannot be used with", "--finish"]);
    // What the network alone has room for, in slabs.
    std::fs::write(f.path("large.png"), only_a_header(4000, 4000)).unwrap();
    let ran = Ran::of(f.command("smooth").args(["large.png", "-o", "d.png", "--finish", "--max-memory", "1.5GB"]));
    let leave = "or smaller, or leave --finish out, or give it gf, which takes slabs";
    ran.fails(1, &["4000x4000 pixels do not fit: the finish by the method rtv", leave]);
}

#[test]
fn shards_share_a_folder() {
    let f = Folder::new(0.0);
    f.pictures(&["in/a.png", "in/b.png", "in/c.png"], 9, 12);
    f.smooth(&["in", "-o", "whole"]).ok();
    let ran = f.smooth(&["in", "-o", "out", "--shard", "2/2"]).ok();
    assert!(ran.stderr.contains("smoothed 1 of 1 picture (shard 2/2 of 3 pictures)"), "{}", ran.stderr);
    assert_eq!(f.names("out"), ["b.png"]);
    // As a process that MPI started.
    let mut command = f.command("smooth");
    command.args(["in", "-o", "out", "--shard", "auto", "--adapter", "cpu", "--weights", "w.safetensors"]);
    Ran::of(command.env("OMPI_COMM_WORLD_RANK", "0").env("OMPI_COMM_WORLD_SIZE", "2")).ok();
    assert_eq!(f.names("out"), ["a.png", "b.png", "c.png"]);
    assert!(f.names("out").iter().all(|name| f.bytes(&format!("out/{name}")) == f.bytes(&format!("whole/{name}"))));
    f.smooth(&["in", "-o", "out", "--shard", "auto"]).fails(2, &["neither a Slurm array nor MPI", "give i/N"]);
}

#[test]
fn every_size_in_a_folder_of_pictures() {
    for blocks in [&[1][..], &[1, 1, 1]] {
        let f = Folder::with(small_weights(blocks, 4, true, 0.0));
        let sizes = [(1, 1), (1, 7), (7, 1), (2, 3), (33, 47)];
        for (h, w) in sizes {
            f.picture(&format!("in/{h}x{w}.png"), h, w);
        }
        std::fs::write(f.path("in/notes.txt"), "not a picture").unwrap();
        let ran = f.smooth(&["in", "-o", "new/out"]).ok();
        assert!(ran.stderr.contains("smoothed 5 of 5 pictures in "), "{}", ran.stderr);
        assert_eq!(f.names("new/out"), ["1x1.png", "1x7.png", "2x3.png", "33x47.png", "7x1.png"]);
        for (h, w) in sizes {
            let name = format!("{h}x{w}.png");
            assert_eq!(image::size(f.path("new/out").join(&name)).unwrap(), (h, w));
            let expected = f.expected(&format!("in/{name}"), &name, &noise(0.0, 0));
            assert!(f.bytes(&format!("new/out/{name}")) == expected, "{name} of a network of {blocks:?}");
        }
    }
}

#[test]
fn one_several_and_a_folder_of_one() {
    let f = Folder::new(0.0);
    f.pictures(&["a.png", "b.bmp", "one/c.png"], 6, 5);
    let expected = |input: &str| f.expected(input, input.rsplit('/').next().unwrap(), &noise(0.0, 0));
    f.smooth(&["a.png", "-o", "made/for/it.png"]).ok();
    assert!(f.bytes("made/for/it.png") == expected("a.png"));
    f.smooth(&["a.png", "b.bmp", "one", "-o", "several"]).ok();
    assert_eq!(f.names("several"), ["a.png", "b.bmp", "c.png"]);
    assert!(f.bytes("several/b.bmp") == expected("b.bmp") && f.bytes("several/c.png") == expected("one/c.png"));
    f.smooth(&["one", "-o", "of-one"]).ok();
    assert_eq!(f.names("of-one"), ["c.png"]);
    // One picture into a folder that is there.
    f.smooth(&["a.png", "-o", "of-one"]).ok();
    assert_eq!(f.names("of-one"), ["a.png", "c.png"]);
    // Over itself.
    let own = expected("a.png");
    f.smooth(&["a.png", "-o", "a.png"]).ok();
    assert!(f.bytes("a.png") == own);
}

#[test]
fn depth_opacity_and_profile_are_kept() {
    let f = Folder::new(0.0);
    let mut icc = vec![7; 200];
    icc[16..20].copy_from_slice(b"RGB ");
    let alpha: Vec<f32> = (0..30).map(|i| (i * 2000) as f32 / 65535.0).collect();
    let mut deep = Picture::from(picture(5, 6, 3));
    (deep.alpha, deep.icc, deep.depth) = (Some(alpha), Some(icc), image::Depth::Sixteen);
    image::write(f.path("deep.png"), &deep).unwrap();
    f.smooth(&["deep.png", "-o", "out.tif"]).ok();
    let out = image::read(f.path("out.tif")).unwrap();
    assert_eq!((&out.alpha, &out.icc, out.depth), (&deep.alpha, &deep.icc, deep.depth));
    // Really 16 bits: not all values are codes of 8.
    assert!(out.tensor.data.iter().any(|v| (v * 255.0 - (v * 255.0).round()).abs() > 0.01));
    assert!(f.bytes("out.tif") == f.expected("deep.png", "out.tif", &noise(0.0, 0)));
}

#[test]
fn seeds_and_noise() {
    let f = Folder::new(1.0);
    f.picture("a.png", 11, 10);
    let run = |out: &str, arguments: &[&str]| {
        f.smooth(&[&["a.png", "-o", out], arguments].concat()).ok();
        f.bytes(out)
    };
    let first = run("1.png", &[]);
    assert!(first == run("2.png", &[]), "the same twice");
    assert!(first == run("3.png", &["--seed", "0", "--noise", "1"]), "the defaults");
    assert!(first == f.expected("a.png", "a.png", &noise(1.0, 0)));
    let other = run("4.png", &["--seed", "1"]);
    assert!(first != other && other == f.expected("a.png", "a.png", &noise(1.0, 1)));
    let high = 1u64 << 40;
    assert!(run("5.png", &["--seed", &high.to_string()]) == f.expected("a.png", "a.png", &noise(1.0, high)));
    assert!(run("6.png", &["--noise", "0.5"]) != first);
    let none = run("7.png", &["--noise", "0"]);
    assert!(none != first && none == run("8.png", &["--noise", "0", "--seed", "1"]));
    let ensemble = noise(1.0, 3).with_ensemble(true);
    let eight = run("9.png", &["--ensemble", "--seed", "3"]);
    assert!(eight == f.expected("a.png", "a.png", &ensemble) && eight != run("10.png", &["--seed", "3"]));
}

#[test]
fn an_ensemble_hardly_cares_how_the_picture_lies() {
    let photo = image::read(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/mosaic.jpg")).unwrap().tensor;
    let mut smoother = Smoother::new(Weights::builtin(), Device::Cpu);
    for (h, w) in [(48, 64), (47, 33)] {
        let x = crop(&photo, h, w);
        // Squares of what becomes otherwise where the picture lies otherwise.
        let mut squares = |options: &Options| -> f32 {
            let mut smooth = |x: &Tensor| smoother.smooth(x, options).unwrap();
            let straight = smooth(&x);
            let others = Flip::all().skip(1).map(|flip| flip.undo(&smooth(&flip.apply(&x))));
            others.map(|y| y.data.iter().zip(&straight.data).map(|(a, b)| (a - b).powi(2)).sum::<f32>()).sum()
        };
        let (single, ensemble) = (squares(&noise(0.0, 0)), squares(&noise(0.0, 0).with_ensemble(true)));
        println!("{h}x{w}: {single} {ensemble}");
        assert!(0.0 < ensemble && ensemble < single / 4.0, "{ensemble} next to {single} for {h}x{w}");
    }
}

#[test]
fn the_built_in_weights_are_the_default() {
    let f = Folder::with(Weights::builtin());
    f.picture("a.png", 10, 9);
    Ran::of(f.command("smooth").args(["a.png", "-o", "b.png", "--adapter", "CPU"])).ok();
    let options = Options::default();
    assert!(f.bytes("b.png") == f.expected("a.png", "b.png", &options));
}

#[test]
#[cfg(target_os = "linux")] // The user's data are where a variable says.
fn large_models_are_files_of_their_own() {
    for model in ["full", "paper"] {
        let f = Folder::new(0.0);
        f.picture("a.png", 10, 9);
        let smooth = |output: &str| {
            let arguments = ["a.png", "-o", output, "--model", model, "--adapter", "cpu"];
            Ran::of(f.command("smooth").args(arguments).env("XDG_DATA_HOME", f.path("data")))
        };
        let (name, place) =
            (format!("{model}.safetensors"), f.path("data/sasnet").join(format!("{model}.safetensors")));
        let source = format!("weights/{name} of the source");
        smooth("b.png").fails(1, &[&source, place.to_str().unwrap(), "--weights"]);
        assert!(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("weights").join(&name).exists());
        std::fs::create_dir_all(f.path("data/sasnet")).unwrap();
        std::fs::rename(f.path("w.safetensors"), &place).unwrap();
        smooth("b.png").ok();
        assert!(f.bytes("b.png") == f.expected("a.png", "b.png", &Options::default()));
        std::fs::write(&place, b"no weights").unwrap();
        smooth("c.png").fails(1, &[place.to_str().unwrap()]);
    }
}

#[test]
fn a_picture_that_fails_does_not_stop_the_others() {
    let f = Folder::new(0.0);
    f.pictures(&["in/a.png", "in/b.png", "in/c.png"], 20, 20);
    f.picture("out/b.png", 3, 3);
    let old = f.bytes("out/b.png");
    let bytes = f.bytes("in/b.png");
    std::fs::write(f.path("in/b.png"), &bytes[..bytes.len() / 2]).unwrap();
    let ran = f.smooth(&["in", "-o", "out"]);
    let ran = ran.fails(1, &["error: in/b.png: the file is damaged", "smoothed 2 of 3 pictures", "1 picture failed"]);
    assert!(!ran.stderr.contains("a.png") && !ran.stderr.contains("c.png"), "{}", ran.stderr);
    assert_eq!(f.names("out"), ["a.png", "b.png", "c.png"], "no temporary files");
    assert!(f.bytes("out/b.png") == old, "the old output stays");
    for name in ["a.png", "c.png"] {
        assert!(f.bytes(&format!("out/{name}")) == f.expected(&format!("in/{name}"), name, &noise(0.0, 0)), "{name}");
    }
    // Alone, onto an old output.
    f.smooth(&["in/b.png", "-o", "out/b.png"])
        .fails(1, &["in/b.png", "smoothed 0 of 1 picture in", "1 picture failed"]);
    assert!(f.bytes("out/b.png") == old);
    // An output that cannot be written: a folder is in its place.
    std::fs::create_dir(f.path("out/folder.png")).unwrap();
    f.picture("in/folder.png", 4, 4);
    f.smooth(&["in/folder.png", "in/a.png", "-o", "out"]).fails(1, &["out/folder.png", "smoothed 1 of 2 pictures"]);
}

#[test]
fn wrong_inputs_and_outputs() {
    let f = Folder::new(0.0);
    f.pictures(&["a.png", "deep/a.png", "b.png"], 4, 4);
    std::fs::create_dir(f.path("empty")).unwrap();
    let before = f.names(".");
    f.smooth(&["a.png", "-o", "b.heic"])
        .fails(1, &["b.heic: the extension must say the picture's format", ".png .jpg"]);
    f.smooth(&["a.png", "-o", "b"]).fails(1, &["b: the extension must say"]);
    f.smooth(&["a.png", "b.png", "-o", "b.png"]).fails(1, &["b.png: is a file; 2 pictures go into a folder"]);
    for folder in [["deep", "-o", "deep"], ["b.png", "-o", "."]] {
        f.smooth(&folder).fails(1, &[".png: would be overwritten; smooth into another folder"]);
    }
    #[cfg(unix)]
    {
        std::fs::create_dir(f.path("links")).unwrap();
        std::os::unix::fs::symlink(f.path("b.png"), f.path("links/a.png")).unwrap();
        f.smooth(&["a.png", "b.png", "-o", "links"]).fails(1, &["b.png: would be overwritten"]);
        // Two links to one file.
        std::fs::write(f.path("links/c.png"), b"").unwrap();
        std::fs::remove_file(f.path("links/a.png")).unwrap();
        for name in ["a.png", "b.png"] {
            std::os::unix::fs::symlink("c.png", f.path("links").join(name)).unwrap();
        }
        f.smooth(&["a.png", "b.png", "-o", "links"]).fails(1, &["b.png: would get the same name as a.png"]);
        std::fs::remove_dir_all(f.path("links")).unwrap();
    }
    let same = f.smooth(&["a.png", "deep", "-o", "out"]);
    same.fails(1, &["deep/a.png: would get the same name as a.png"]);
    f.smooth(&["missing.png", "-o", "b.png"]).fails(1, &["missing.png: No such file"]);
    f.smooth(&["a.png", "missing", "-o", "out"]).fails(1, &["missing: No such file"]);
    f.smooth(&["empty", "-o", "out"]).fails(1, &["empty: the folder holds no pictures (.png"]);
    f.smooth(&["-o", "out"]).fails(2, &["<IN>"]);
    f.smooth(&["a.png"]).fails(2, &["--out"]);
    assert_eq!(f.names("."), before, "nothing was made");
}

#[test]
fn wrong_options() {
    let f = Folder::new(0.0);
    f.picture("a.png", 4, 4);
    for value in ["-1", "nan", "NaN", "inf", "-inf", "1e30", "1e39", "100.1", "some", ""] {
        // A minus and letters look like options to the parser: attached, they are a value.
        let noise = format!("--noise={value}");
        f.smooth(&["a.png", "-o", "b.png", &noise]).fails(2, &["--noise", "give a number from 0 to 100"]);
    }
    f.smooth(&["a.png", "-o", "b.png", "--noise", "-1"]).fails(2, &["'-1'", "give a number from 0 to 100"]);
    f.smooth(&["a.png", "-o", "b.png", "--seed", "x"]).fails(2, &["--seed"]);
    let command = |arguments: &[&str]| Ran::of(f.command("smooth").args(["a.png", "-o", "b.png"]).args(arguments));
    std::fs::write(f.path("broken.safetensors"), &f.bytes("w.safetensors")[..1000]).unwrap();
    let cpu = ["--adapter", "cpu", "--weights"];
    command(&[&cpu[..], &["broken.safetensors"]].concat())
        .fails(1, &["broken.safetensors: not a complete safetensors"]);
    command(&[&cpu[..], &["a.png"]].concat()).fails(1, &["a.png: not a complete safetensors"]);
    command(&[&cpu[..], &["none"]].concat()).fails(1, &["none: No such file"]);
    let ran =
        command(&["--adapter", "nonsense"]).fails(1, &["no adapter with \"nonsense\" in its name; adapters found: "]);
    assert!(ran.stderr.contains("\"cpu\" needs none"), "{}", ran.stderr);
    for adapter in list_adapters() {
        assert!(ran.stderr.contains(&adapter.to_string()), "{adapter} is not in {}", ran.stderr);
    }
    command(&["--method", "gf", "--set", "r=2", "--set", "r=3"]).fails(1, &["r is given twice: give it once"]);
    assert!(!f.path("b.png").exists());
}

#[test]
fn adapters_are_listed() {
    let one = Ran::of(sasnet().arg("devices").env("RAYON_NUM_THREADS", "1")).ok().stdout;
    assert!(one.ends_with("cpu (CPU, 1 thread)\n"), "{one}");
    let ran = Ran::of(sasnet().arg("devices")).ok();
    let adapters: Vec<String> = list_adapters().iter().enumerate().map(|(i, a)| format!("{i}: {a}")).collect();
    let lines: Vec<&str> = ran.stdout.lines().collect();
    let (kernels, lines): (Vec<&str>, Vec<&str>) = lines.iter().partition(|line| line.starts_with("  "));
    assert_eq!(lines[..lines.len() - 1], adapters);
    // Each has those of f32; one of them is chosen.
    for part in ["  lanes ", "  tiles ", "(auto)"] {
        assert_eq!(kernels.iter().filter(|line| line.contains(part)).count(), adapters.len(), "{part}: {kernels:?}");
    }
    assert!(lines[lines.len() - 1].starts_with("cpu (CPU, "), "{lines:?}");
}

#[test]
fn the_doctor_tests_each_device() {
    let said = Ran::of(sasnet().arg("doctor").env("SASNET_CACHE", "")).ok().stdout;
    let version = format!("sasnet {}, ", env!("CARGO_PKG_VERSION"));
    for part in [version.as_str(), "models: small", "memory that this process may take: ", "not kept", "\ncpu: CPU, "] {
        assert!(said.contains(part), "{part:?} is not in {said}");
    }
    let tests = list_kernels().iter().map(|(_, kernels)| kernels.len()).sum::<usize>() + 1;
    assert_eq!(said.matches(": right, errors up to ").count(), tests, "{said}");
    for (number, (adapter, kernels)) in list_kernels().iter().enumerate() {
        assert!(said.contains(&format!("\n{number}: {adapter}\n")), "{adapter} is not in {said}");
        assert!(said.contains(&format!("self-test of {} (auto)", kernels[0].name())), "{said}");
    }
}

#[test]
fn help_and_version() {
    let help = Ran::of(sasnet().arg("--help")).ok().stdout;
    for subcommand in
        ["smooth", "methods", "eval", "tune", "train", "synth", "plan", "weights", "bench", "devices", "doctor"]
    {
        assert!(help.contains(&format!("\n  {subcommand} ")), "{subcommand} is not in {help}");
        let own = Ran::of(sasnet().args([subcommand, "--help"])).ok().stdout;
        assert!(own.contains(&format!("Usage: sasnet {subcommand}")), "{own}");
        assert!(own.lines().next().unwrap().len() > 10, "{subcommand} says what it does: {own}");
        // Every option is explained, on its line or on the next.
        let lines: Vec<&str> = own.lines().chain([""]).collect();
        for pair in lines.windows(2).filter(|pair| pair[0].trim_start().starts_with('-')) {
            let text = pair[0].trim_start().split_once("  ").map_or(pair[1], |(_, text)| text);
            assert!(text.trim().len() > 5, "{subcommand}: {} is not explained", pair[0]);
        }
        assert_eq!(own, Ran::of(sasnet().args(["help", subcommand])).ok().stdout);
    }
    let version = Ran::of(sasnet().arg("--version")).ok().stdout;
    assert_eq!(version.trim(), format!("sasnet {}", env!("CARGO_PKG_VERSION")));
    Ran::of(&mut sasnet()).fails(2, &["Usage: sasnet"]);
    Ran::of(sasnet().arg("sharpen")).fails(2, &["sharpen"]);
}

#[test]
fn plan_prints_the_papers_numbers() {
    let plan = |arguments: &[&str]| Ran::of(sasnet().arg("plan").args(arguments));
    let paper = plan(&[]).ok().stdout;
    for part in
        ["512x384, 16 blocks, 64 features, x2, 2151984 parameters", " 208.17 GMAC", " 209.1", "203.8", "conv3x3"]
    {
        assert!(paper.contains(part), "{part} is not in {paper}");
    }
    let plain = plan(&["--no-attention"]).ok().stdout;
    assert!(plain.contains("2119392 parameters") && !plain.contains("attention "), "{plain}");
    let four = plan(&["--blocks", "8,8"]).ok().stdout;
    assert!(four.contains("8+8 blocks") && four.contains("x4") && four.contains(" 142.9"), "{four}");
    let steps = plan(&["--blocks", "1", "--features", "4", "--steps", "--cpu", "--size", "7x5"]).ok().stdout;
    assert!(
        steps.contains("blocks.0.g1.conv1 ") && steps.contains("1x4x3x4") && steps.contains("7x5, 1 block"),
        "{steps}"
    );

    let f = Folder::new(0.0);
    for train in [&["--train"][..], &["--train", "16x128", "--cpu"]] {
        let step = plan(train).ok().stdout;
        for part in ["a step on 16 samples of 128x128, 16 blocks", "activations rebuilt", "activations stored"] {
            assert!(step.contains(part), "{part}: {step}");
        }
    }
    plan(&["--train", "1x7"]).fails(1, &["the crop is 7; give a multiple of 2"]);
    plan(&["--train", "1x8", "--size", "8x8"]).fails(2, &["--train", "--size"]);
    let own = Ran::of(f.command("plan").args(["--weights", "w.safetensors"])).ok().stdout;
    assert!(own.contains("2 blocks, 8 features, x2"), "{own}");

    for size in ["0x5", "5", "5x", "x", "5x-1", "5x5x5", "2000000x1"] {
        plan(&["--size", size]).fails(2, &["as in 512x384"]);
    }
    plan(&["--size", "1000000x1000000"]).fails(1, &["elements, which the kernels count in 32 bits"]);
    plan(&["--size", "60000x60000"]).fails(1, &["32 bits"]);
    plan(&["--features", "5000"]).fails(1, &["features are 5000"]);
    plan(&["--weights", "x", "--blocks", "1"]).fails(2, &["--weights", "--blocks"]);
}

/// A PNG of one bit a pixel that says how large it is, and no more.
fn only_a_header(w: u32, h: u32) -> Vec<u8> {
    let crc = |bytes: &[u8]| {
        !bytes.iter().fold(u32::MAX, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 * (crc & 1)))
        })
    };
    let chunk = |name: &[u8], data: &[u8]| {
        let body = [name, data].concat();
        [&(data.len() as u32).to_be_bytes()[..], &body, &crc(&body).to_be_bytes()].concat()
    };
    let header = [&w.to_be_bytes()[..], &h.to_be_bytes(), &[1, 0, 0, 0, 0]].concat();
    [&b"\x89PNG\r\n\x1a\n"[..], &chunk(b"IHDR", &header), &chunk(b"IDAT", &[0x78, 0x9C])].concat()
}

/// Width and height in "Make it {width}x{height} or smaller".
fn advice(message: &str) -> (usize, usize) {
    let (_, size) = message.split_once("Make it ").unwrap_or_else(|| panic!("no size in: {message}"));
    let (w, h) = size.split(' ').next().unwrap().split_once('x').unwrap();
    (w.parse().unwrap(), h.parse().unwrap())
}

fn largest(error: &TooLarge) -> (usize, usize) {
    let [w, h] = error.largest.unwrap_or_else(|| panic!("no size in: {error}"));
    (w, h)
}

fn too_large(result: sasnet::Result<()>) -> TooLarge {
    match result {
        Err(Error::TooLarge(error)) => error,
        other => panic!("{other:?} is not TooLarge"),
    }
}

#[test]
fn pictures_too_large_are_refused_with_the_largest_size() {
    let f = Folder::new(0.0);
    f.picture("in/a.png", 5, 5);
    std::fs::write(f.path("in/b.png"), only_a_header(600_000, 400_000)).unwrap();
    assert_eq!(image::size(f.path("in/b.png")).unwrap(), (400_000, 600_000));
    let ran = f.smooth(&["in", "-o", "out"]);
    let ran = ran.fails(
        1,
        &["error: in/b.png: 600000x400000 pixels do not fit: the network needs ", " MB of memory, ", "smoothed 1 of 2"],
    );
    assert_eq!(f.names("out"), ["a.png"]);
    let (w, h) = advice(&ran.stderr);
    assert!((w as f64 / h as f64 - 1.5).abs() < 0.01, "the shape is kept: {w}x{h}");
    Ran::of(f.command("eval").args(["in/b.png", "in/b.png", "--adapter", "cpu"]))
        .fails(1, &["in/b.png: 600000x400000"]);

    // Free memory changes meanwhile, so that only half and twice the area are certain.
    let smoother = Smoother::new(f.weights.clone(), Device::Cpu);
    let (w, h) = largest(&too_large(smoother.check(1 << 20, 1 << 20)));
    smoother.check(h * 7 / 10, w * 7 / 10).unwrap();
    too_large(smoother.check(h * 14 / 10, w * 14 / 10));
    smoother.check(1, 1).unwrap();
}

#[test]
fn a_gpu_says_to_the_pixel_what_fits() {
    // Weights that are never looked at: only sizes count here.
    let mut weights = small_weights(&[1], 1, false, 0.0);
    weights.network = Sasnet::new(&[1], 1024).unwrap().with_attention(false).into();
    weights.params = vec![0.0; weights.network.layout().len()];
    let mut smoother = Smoother::new(weights, Device::Gpu(support::gpu()));
    let error = too_large(smoother.check(1 << 20, 1 << 19));
    assert_eq!((error.limit, error.picture), (Limit::Binding, Some([1 << 19, 1 << 20])));
    assert!(error.needs > error.available && error.to_string().contains("one binding of this device"), "{error}");
    let (w, h) = largest(&error);
    assert_eq!(advice(&error.to_string()), (w, h));
    assert!(h.abs_diff(2 * w) <= 2, "the shape is kept: {w}x{h}");
    smoother.check(h, w).unwrap();
    too_large(smoother.check(h + 4, w + 2));
    smoother.check(2, 2).unwrap();
    // The same answer from a picture that is there, without running anything.
    let x = Tensor::zeros(Shape::new(1, 3, h + 4, w + 2));
    let error = smoother.smooth(&x, &Options::default()).unwrap_err();
    assert!(matches!(&error, Error::TooLarge(error) if largest(error).0 <= w + 1), "{error}");
}

#[test]
fn a_smoother_refuses_what_is_no_picture() {
    let mut smoother = Smoother::new(small_weights(&[1], 4, true, 0.0), Device::Cpu);
    let mut text = |shape, options: &Options| smoother.smooth(&Tensor::zeros(shape), options).unwrap_err().to_string();
    for shape in [(1, 1, 4, 4), (2, 3, 4, 4), (1, 4, 4, 4), (1, 3, 0, 4), (1, 3, 4, 0)] {
        let (n, c, h, w) = shape;
        let error = text(Shape::new(n, c, h, w), &Options::default());
        assert!(error.contains(&format!("{n}x{c}x{h}x{w}")), "{error}");
    }
    for scale in [-1.0, f32::NAN, f32::INFINITY, 1e30] {
        assert!(text(Shape::new(1, 3, 4, 4), &noise(scale, 0)).contains(&format!("the noise scale is {scale}")));
    }
}

/// On the CPU and the GPU; within one pass, over several, in slabs, and by filters whose iterations end by a rule.
#[test]
fn a_smoother_tells_how_far_it_is_and_can_be_stopped_within() {
    let network = |device| Smoother::new(small_weights(&[2], 8, true, 0.0), device);
    let filter = |device| Smoother::new(Filter::new("rtv").unwrap(), device);
    let gpu = || Device::Gpu(support::gpu());
    let (h, w, options) = (200, 60, Options::default());
    let less = network(Device::Cpu).estimate(h, w).unwrap() - 1;
    let cases = [
        (network(Device::Cpu), options.clone(), 10),
        (network(Device::Cpu).with_max_memory(Some(less)), options.clone(), 20),
        (network(Device::Cpu), options.clone().with_ensemble(true).with_texture_size(2.0), 160),
        (filter(Device::Cpu), options.clone(), 10),
        (network(Device::Cpu).with_finish(Filter::finish()), options.clone(), 20),
        (network(gpu()), options.clone(), 3),
        (filter(gpu()), options, 5),
    ];
    for (i, (mut smoother, options, least)) in cases.into_iter().enumerate() {
        let x = picture(h, w, 1);
        // Stops at the word of this number.
        let mut run = |last: usize| {
            let mut heard = vec![];
            let mut hear = |progress: &Progress| {
                let Progress::Smoothing { part } = progress else { panic!("{progress:?}") };
                heard.push(*part);
                if heard.len() == last { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            let result = smoother.smooth_observed(&x, &options, &mut hear);
            assert!(heard.is_sorted() && heard[0] == 0.0 && heard[heard.len() - 1] <= 1.0, "{i}: {heard:?}");
            (result, heard)
        };
        // While it is planned and compiled, too.
        assert!(matches!(run(2).0, Err(Error::Cancelled)), "{i}");
        let y = run(usize::MAX).0.unwrap();
        let (again, heard) = run(usize::MAX);
        assert!(heard.len() >= least && heard[heard.len() - 1] == 1.0, "{i}: {heard:?}");
        for last in [1, 2, heard.len() / 2, heard.len()] {
            let (stopped, heard) = run(last);
            assert!(matches!(stopped, Err(Error::Cancelled)) && heard.len() == last, "{i}: {stopped:?}, {heard:?}");
        }
        assert!(run(usize::MAX).0.unwrap() == y && again.unwrap() == y, "{i}: and goes on with the next picture");
    }
}

#[test]
fn the_gpu_smooths_as_the_cpu_does() {
    for (weights, h, w) in [
        (small_weights(&[2], 8, true, 1.0), 21, 35),
        (small_weights(&[1, 1], 4, true, 1.0), 13, 9),
        (small_weights(&[1, 1, 1], 4, false, 1.0), 15, 33),
        (Weights::builtin(), 19, 26),
    ] {
        let x = picture(h, w, 4);
        let config = weights.network.clone();
        let run = |device, options: &Options| Smoother::new(weights.clone(), device).smooth(&x, options).unwrap().data;
        let gpu = Device::Gpu(support::gpu());
        let scale = if config.takes_noise() { 1.0 } else { 0.0 };
        for options in [noise(scale, 9), noise(0.0, 0), noise(scale, 9).with_ensemble(true)] {
            let (a, b) = (run(gpu.clone(), &options), run(Device::Cpu, &options));
            let inside = b.iter().filter(|v| (0.01..0.99).contains(*v)).count();
            assert!(inside >= 20, "{inside} of {} values are not clipped: {config:?}, {options:?}", b.len());
            let worst = a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            println!("{worst:.1e}, {inside} of {} not clipped", b.len());
            assert!(worst < 1e-4, "{worst} with {config:?}, {options:?}");
        }
    }
}

/// The command on the GPU, which is the library's.
#[test]
fn the_command_runs_on_a_named_adapter() {
    let f = Folder::new(1.0);
    f.picture("a.png", 9, 15);
    let gpu = support::gpu();
    let name = gpu.info().name.clone();
    let arguments = ["a.png", "-o", "b.png", "--weights", "w.safetensors", "--adapter", &name];
    let ran = Ran::of(f.command("smooth").args(arguments)).ok();
    assert!(ran.stderr.contains(&format!("running on {name}")), "{}", ran.stderr);
    // By its number in the list, too.
    let number = list_adapters().iter().position(|a| a.0.name == name).unwrap().to_string();
    let ran = Ran::of(f.command("smooth").args([&arguments[..6], &[&number]].concat())).ok();
    assert!(ran.stderr.contains(&format!("running on {name}")), "{}", ran.stderr);
    let x = image::read(f.path("a.png")).unwrap().tensor;
    // What does not fit a GPU may fit the CPU.
    std::fs::write(f.path("huge.png"), only_a_header(1 << 20, 1 << 19)).unwrap();
    Ran::of(f.command("smooth").args([&["huge.png", "-o", "no.png"], &arguments[3..]].concat()))
        .fails(1, &["error: huge.png: 1048576x524288 pixels do not fit: ", "or smaller, or use --adapter cpu"]);
    let y = Smoother::new(f.weights.clone(), Device::Gpu(gpu)).smooth(&x, &Options::default()).unwrap();
    assert_eq!(quantise(&image::read(f.path("b.png")).unwrap().tensor), quantise(&y));
}

#[test]
fn kernels_are_chosen_by_name() {
    let f = Folder::new(1.0);
    f.picture("a.png", 9, 15);
    let smooth = |more: &[&str]| {
        let arguments = ["a.png", "-o", "b.png", "--weights", "w.safetensors"];
        Ran::of(f.command("smooth").args(arguments).args(more))
    };
    let (adapter, can) = list_kernels().into_iter().next().expect("there is an adapter");
    let name = adapter.0.name.as_str();
    for name_of_kernels in Kernels::names() {
        let ran = smooth(&["--adapter", name, "--kernel", name_of_kernels]);
        if can.iter().any(|k| k.name() == name_of_kernels) {
            let ran = ran.ok();
            assert!(ran.stderr.contains(&format!("kernels {name_of_kernels}")), "{}", ran.stderr);
        } else {
            ran.fails(1, &[name, &format!("cannot run the kernels {name_of_kernels}, only: ")]);
        }
    }
    let ran = smooth(&["--adapter", name, "--kernel", "auto"]).ok();
    assert!(ran.stderr.contains(&format!("kernels {}", can[0].name())), "{}", ran.stderr);
    smooth(&["--adapter", name, "--kernel", "loom"]).fails(1, &["\"loom\"", "auto", "lanes"]);
    smooth(&["--adapter", "cpu", "--kernel", "tiles"]).fails(1, &["the CPU has no kernels", "leave out tiles"]);
    let half = Ran::of(sasnet().args(["plan", "--kernel", "tiles-f16"])).ok().stdout;
    assert!(half.contains("(tiles-f16)"), "{half}");
    Ran::of(sasnet().args(["plan", "--kernel", "loom"])).fails(2, &["loom", "tiles-f16"]);
}

/// Compiled kernels are kept where the environment says, and a file that is not ours is replaced.
#[test]
fn compiled_kernels_are_kept() {
    let f = Folder::new(1.0);
    f.picture("a.png", 9, 15);
    let gpu = support::gpu();
    let smooth = || {
        let name = gpu.info().name.clone();
        let arguments = ["a.png", "-o", "b.png", "--weights", "w.safetensors", "--adapter", &name];
        Ran::of(f.command("smooth").args(arguments).env("SASNET_CACHE", f.path("cache"))).ok();
        files(&f.path("cache"))
    };
    if !gpu.device().features().contains(sasnet::wgpu::Features::PIPELINE_CACHE) {
        println!("NOT TESTED: this adapter has no pipeline cache");
        return;
    }
    let kept = smooth();
    let (name, data) = kept.first_key_value().expect("a file");
    assert!(kept.len() == 1 && data.len() > 100, "{} bytes in {name}", data.len());
    std::fs::write(f.path("cache").join(name), &data[..data.len() / 2]).unwrap();
    assert!(smooth()[name].len() > data.len() / 2);
}

#[test]
fn a_reader_that_stops_reading_is_no_failure() {
    let mut child = sasnet().args(["plan", "--steps"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn shaders_are_printed_as_devices_get_them() {
    let shader = |arguments: &[&str]| Ran::of(sasnet().arg("shader").args(arguments));
    let list = shader(&[]).ok().stdout;
    assert!(list.lines().any(|line| line.starts_with("conv3x3 ") && line.contains("f16")), "{list}");
    for (arguments, golden) in [
        (&["conv3x3"][..], "conv3x3"),
        (&["conv3x3", "--kernel", "tiles-f16"], "conv3x3-f16"),
        (&["conv3x3_matrix8"], "conv3x3_matrix8"),
    ] {
        let want = std::fs::read_to_string(format!("tests/golden/{golden}.wgsl")).unwrap();
        assert_eq!(shader(arguments).ok().stdout.trim_end(), want.trim_end(), "{golden}");
    }
    assert!(shader(&["conv3x3_lanes", "--wide"]).ok().stdout.contains("alias Pair = u64;"));
    shader(&["loom"]).fails(1, &["loom", "lists all"]);
    shader(&["conv3x3_matrix8", "--kernel", "tiles"]).fails(1, &["takes f16 alone"]);
}

#[test]
fn what_processes_exchange_is_planned() {
    let plan = |processes: &str| {
        let network = ["plan", "--blocks", "4", "--features", "8", "--train", "16x32", "--processes", processes];
        Ran::of(sasnet().args(network))
    };
    let said = plan("8").ok().stdout;
    let bytes = 4.0 * sasnet::Network::from(Sasnet::new(&[4], 8).unwrap()).layout().parameters() as f64;
    assert!(said.contains(&format!("8 processes, 2 samples each, gradients of {:.2} MB", bytes / 1e6)), "{said}");
    assert!(said.contains(&format!("{:.2} MB a step", 2.0 * bytes * 7.0 / 8.0 / 1e6)), "{said}");
    // The last part is all of it, at the end.
    let parts: Vec<&str> = said.lines().filter(|line| line.contains("of the gradients after")).collect();
    assert!(parts.len() > 3 && parts.last().unwrap().contains("100.0 % of the gradients after"), "{said}");
    plan("3").fails(1, &["a batch of 16 samples has no 3 equal parts", "a multiple of 3"]);
}
