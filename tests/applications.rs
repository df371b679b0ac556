//! What is made of smoothed pictures: `sasnet enhance`, `tonemap`, `abstract`, `edges`.

mod support;

use sasnet::applications::{self, Abstraction, Tonemap};
use sasnet::image::{self, Depth, LogScale, quantise};
use sasnet::{Device, Options, Picture, Smoother, Tensor};
use std::path::Path;
use support::folder::Folder;
use support::{Ran, picture};

/// A subcommand in a folder, with the folder's weights on the CPU.
fn run(f: &Folder, subcommand: &str, arguments: &[&str]) -> Ran {
    let own = ["--adapter", "cpu", "--weights", "w.safetensors"];
    Ran::of(f.command(subcommand).args(arguments).args(own))
}

fn read(f: &Folder, name: &str) -> Picture {
    image::read(f.path(name)).unwrap()
}

/// A picture's tensor, and that smoothed.
fn smoothed(f: &Folder, name: &str) -> (Tensor, Tensor) {
    let x = read(f, name).tensor;
    let y = Smoother::new(f.weights.clone(), Device::Cpu).smooth(&x, &Options::default()).unwrap();
    (x, y)
}

/// Light from 0 to 500.
fn write_light(f: &Folder, name: &str) {
    let mut light: Picture = picture(20, 28, 3).into();
    (light.depth, light.log) = (Depth::Float, Some(LogScale { low: 0.01, top: 500.0 }));
    image::write(f.path(name), &light).unwrap();
}

#[test]
fn the_command_writes_what_the_library_makes() {
    let f = Folder::new(0.0);
    f.pictures(&["a.png"], 20, 28);
    let (x, y) = smoothed(&f, "a.png");
    for (name, arguments, wanted) in [
        ("enhance", &["--boost", "2.5"][..], applications::enhance(&x, y.clone(), 2.5)),
        ("abstract", &[], applications::abstraction(y.clone(), &Abstraction::default())),
        ("edges", &["--gain", "3"], applications::edges(y.clone(), 3.0)),
    ] {
        run(&f, name, &[&["a.png", "-o", "out.png"], arguments].concat()).ok();
        let (found, wanted) = (read(&f, "out.png"), wanted.unwrap());
        assert_eq!(quantise(&found.tensor), quantise(&wanted), "{name}");
        assert_eq!(found.grey, name == "edges", "{name}");
    }
    run(&f, "enhance", &["a.png", "-o", "same.png", "--boost", "0"]).ok();
    assert_eq!(read(&f, "same.png").tensor, x, "nothing is added");
}

#[test]
fn light_becomes_an_ordinary_picture() {
    let f = Folder::new(0.0);
    write_light(&f, "light.exr");
    let (mut x, mut y) = smoothed(&f, "light.exr");
    let log = read(&f, "light.exr").log.unwrap();
    x.data.iter_mut().chain(&mut y.data).for_each(|v| *v = log.undo(*v));
    let mut options = Tonemap::default();
    (options.contrast, options.detail, options.saturation) = (8.0, 1.5, 0.5);
    let wanted = applications::tonemap(&x, y, &options).unwrap();
    let flags = ["--contrast", "8", "--detail", "1.5", "--saturation", "0.5"];
    for (out, bits, depth) in [("8.png", "8", Depth::Eight), ("16.png", "16", Depth::Sixteen)] {
        run(&f, "tonemap", &[&["light.exr", "-o", out, "--bits", bits], &flags[..]].concat()).ok();
        let found = read(&f, out);
        assert_eq!((found.depth, found.log), (depth, None));
        let step = if bits == "8" { 1.0 / 255.0 } else { 1.0 / 65535.0 };
        assert!(found.tensor.data.iter().zip(&wanted.data).all(|(a, b)| (a - b).abs() <= 0.5001 * step), "{out}");
    }
    let dark = quantise(&wanted);
    assert!(dark.iter().any(|&v| v < 120) && dark.contains(&255), "both ends of the range are in use");
}

#[test]
fn light_stays_light_where_it_is_enhanced_and_no_edge_is_light() {
    let f = Folder::new(0.0);
    write_light(&f, "light.exr");
    run(&f, "enhance", &["light.exr", "-o", "more.exr"]).ok();
    assert!(read(&f, "more.exr").log.is_some());
    run(&f, "edges", &["light.exr", "-o", "edges.png"]).ok();
    let edges = read(&f, "edges.png");
    assert!(edges.grey && edges.log.is_none());
    run(&f, "edges", &["light.exr", "-o", "edges.exr"]).fails(1, &["edges.exr", "light"]);
    assert!(!f.path("edges.exr").exists());
}

#[test]
fn what_is_not_for_it_is_refused_before_anything_is_written() {
    let f = Folder::new(0.0);
    f.pictures(&["a.png"], 20, 28);
    let text = run(&f, "tonemap", &["a.png", "-o", "out.png"]).fails(1, &["a.png", "no light to map", ".exr"]).stderr;
    assert!(text.contains("tone-mapped 0 of 1 picture"), "{text}");
    std::fs::write(f.path("a.y4m"), "YUV4MPEG2 W16 H16 F1:1 C420\n").unwrap();
    for name in ["enhance", "tonemap", "abstract", "edges"] {
        run(&f, name, &["a.y4m", "-o", "out.y4m"]).fails(1, &["a.y4m: it is video", "sasnet smooth"]);
    }
    for (name, flag, wrong) in [
        ("enhance", "--boost", "-1"),
        ("tonemap", "--contrast", "1"),
        ("tonemap", "--detail", "nan"),
        ("tonemap", "--saturation", "3"),
        ("tonemap", "--bits", "12"),
        ("abstract", "--levels", "1"),
        ("abstract", "--softness", "1.5"),
        ("abstract", "--line-width", "0"),
        ("abstract", "--line-strength", "dark"),
        ("edges", "--gain", "0"),
    ] {
        run(&f, name, &["a.png", "-o", "out.png", flag, wrong]).fails(2, &[flag, wrong]);
    }
    assert!(!f.path("out.png").exists() && !f.path("out.y4m").exists());
}

#[test]
fn folders_transparency_and_profiles_go_as_with_smooth() {
    let f = Folder::new(0.0);
    let kinds = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pictures/kinds"));
    for name in ["cutout.png", "icc_gray.jpg"] {
        std::fs::copy(kinds.join(name), f.path(name)).unwrap();
    }
    let ran = run(&f, "edges", &["cutout.png", "icc_gray.jpg", "-o", ".", "--suffix", "_edges", "--json"]).ok();
    assert!(ran.stderr.contains("icc_gray.jpg: the colour profile is left out: a map of edges"), "{}", ran.stderr);
    assert!(ran.stderr.contains("traced 2 of 2 pictures"), "{}", ran.stderr);
    let last: serde_json::Value = serde_json::from_str(ran.stdout.lines().last().unwrap()).unwrap();
    assert_eq!((&last["traced"], &last["failed"]), (&2.into(), &0.into()), "{last}");
    assert_eq!(read(&f, "cutout_edges.png").alpha, read(&f, "cutout.png").alpha);
    assert_eq!(read(&f, "icc_gray_edges.jpg").icc, None);
    run(&f, "abstract", &["icc_gray.jpg", "-o", "abstract.jpg"]).ok();
    assert_eq!(read(&f, "abstract.jpg").icc, read(&f, "icc_gray.jpg").icc, "colours keep their meaning");
}
