//! `sasnet eval`: networks side by side on sets of pictures.

mod support;

use sasnet::image;
use sasnet::lab::eval::Worst;
use sasnet::lab::metrics::{Row, Scores, score};
use sasnet::lab::sheet::{ContactSheet, difference};
use sasnet::low_level::exec::Device;
use sasnet::low_level::smooth::{Options, Smoother};
use sasnet::low_level::tensor::{Shape, Tensor};
use sasnet::low_level::weights::{Precision, Weights};
use sasnet::{Filter, Model};
use serde_json::Value;
use std::path::{Path, PathBuf};
use support::{Ran, picture, sasnet, small_weights, write_picture};

/// Seeds of the pictures: an input's, which its ground truth's is 5 more than.
const SETS: [(&str, &[(&str, usize)]); 2] = [("kodim", &[("a", 0), ("b", 1)]), ("traced", &[("S1T1", 2)])];

/// Two sets and two networks, one of which adds noise.
struct Bench {
    folder: tempfile::TempDir,
    networks: [(&'static str, Weights); 2],
}

impl Bench {
    fn new() -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let networks = [("plain", small_weights(&[1], 4, false, 0.0)), ("noisy", small_weights(&[2], 8, true, 1.0))];
        for (label, weights) in &networks {
            weights.write(&folder.path().join(format!("{label}.safetensors")), Precision::F32).unwrap();
        }
        let bench = Bench { folder, networks };
        for (name, seed) in SETS[0].1 {
            bench.pair(&format!("kodim/input/{name}.png"), &format!("kodim/gt/{name}.png"), *seed);
        }
        bench.pair("traced/S1T1.png", "traced/S1.png", 2);
        bench
    }

    fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    fn pair(&self, input: &str, truth: &str, seed: usize) {
        write_picture(self.path(input), 13, 18 + seed, seed);
        write_picture(self.path(truth), 13, 18 + seed, seed + 5);
    }

    /// `sasnet eval` in the folder, on the CPU.
    fn eval(&self, arguments: &[&str]) -> Ran {
        let mut command = sasnet();
        Ran::of(command.arg("eval").current_dir(self.folder.path()).args(arguments).args(["--adapter", "cpu"]))
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    fn rows(&self, name: &str) -> Vec<Row> {
        csv::Reader::from_path(self.path(name)).unwrap().deserialize().collect::<Result<_, _>>().unwrap()
    }

    /// What a network makes of a picture.
    fn smoothed(&self, network: usize, seed: usize, options: &Options) -> Tensor {
        let mut smoother = Smoother::new(self.networks[network].1.clone(), Device::Cpu);
        smoother.smooth(&picture(13, 18 + seed, seed), options).unwrap()
    }

    fn before(&self, seed: usize) -> Scores {
        score(&picture(13, 18 + seed, seed), &picture(13, 18 + seed, seed + 5)).unwrap()
    }

    fn after(&self, network: usize, seed: usize, options: &Options) -> Scores {
        score(&self.smoothed(network, seed, options), &picture(13, 18 + seed, seed + 5)).unwrap()
    }

    fn expected(&self, networks: &[usize], options: &Options) -> Vec<Row> {
        let mut rows = vec![];
        for (set, images) in SETS {
            for &(image, seed) in images {
                for &network in networks {
                    let (label, after) = (self.networks[network].0, self.after(network, seed, options));
                    rows.push(Row::new([set, label, image], self.before(seed), after));
                }
            }
        }
        rows
    }
}

const BOTH_SETS: [&str; 4] = ["--set", "kodim", "--set", "traced"];
const BOTH_NETWORKS: [&str; 4] = ["--weights", "plain.safetensors", "--weights", "noisy=noisy.safetensors"];

fn mean(scores: &[Scores]) -> Scores {
    Scores::mean(scores).unwrap()
}

fn cell(s: &Scores) -> String {
    format!("{:.2} / {:.4}", s.psnr, s.ssim)
}

/// The cells of a table, line by line, its heading first; all lines are of one width.
fn table(markdown: &str) -> Vec<Vec<&str>> {
    let lines: Vec<&str> = markdown.lines().take_while(|line| line.starts_with('|')).collect();
    assert!(lines.len() > 2 && lines.iter().all(|line| line.len() == lines[0].len()), "{markdown}");
    assert!(lines[1].starts_with("|--") && lines[1].ends_with("--:|"), "{markdown}");
    let cells = lines.iter().map(|line| line.trim_matches('|').split('|').map(str::trim).collect());
    cells.enumerate().filter(|(i, _)| *i != 1).map(|(_, row)| row).collect()
}

#[test]
fn two_sets_and_two_networks() {
    let b = Bench::new();
    let files = "--csv new/s.csv --json new/r.json --markdown new/t.md --sheet new/sheet.png --worst 1 --save new/save";
    let arguments: Vec<&str> =
        [&BOTH_SETS[..], &BOTH_NETWORKS, &["--seed", "4"]].concat().into_iter().chain(files.split(' ')).collect();
    let ran = b.eval(&[&arguments[..], &["--details", "--luma", "--per-image"]].concat()).ok();
    assert!(ran.stderr.contains("kodim: 2 pictures") && ran.stderr.contains("traced: 1 picture"), "{}", ran.stderr);
    let options = Options::default().with_seed(4);
    let expected = b.expected(&[0, 1], &options);
    assert_eq!(b.rows("new/s.csv"), expected);
    assert!(expected.iter().all(|row| row.psnr != row.psnr_in) && expected[0].psnr != expected[1].psnr);

    // Means: kodim's of two pictures, traced's of one.
    let kodim = [0, 1].map(|network| mean(&[0, 1].map(|seed| b.after(network, seed, &options))));
    let kodim_in = mean(&[b.before(0), b.before(1)]);
    assert_eq!(ran.stdout, b.text("new/t.md"));
    let rows = table(&ran.stdout);
    assert_eq!(rows[0], ["set", "input", "plain", "noisy"]);
    assert_eq!(rows[1], ["kodim", &cell(&kodim_in), &cell(&kodim[0]), &cell(&kodim[1])]);
    assert_eq!(rows[2][..2], ["kodim, Y", &format!("{:.2} / {:.4}", kodim_in.psnr_y, kodim_in.ssim_y)]);
    assert_eq!(rows[3][..2], ["traced", &cell(&b.before(2))]);
    let parameters = [0, 1].map(|i| b.networks[i].1.network.layout().parameters());
    assert_eq!(rows[5][0], "parameters");
    assert_eq!([2, 3].map(|i| rows[5][i].replace(',', "").parse::<usize>().unwrap()), parameters);
    // The plan's own figure.
    let plan = Ran::of(sasnet().args(["plan", "--weights", b.path("noisy.safetensors").to_str().unwrap()])).ok().stdout;
    let full = plan.lines().find(|line| line.contains("the full network")).unwrap();
    assert!(rows[6][0] == "GMAC at 512x384" && full.contains(&format!(" {} GMAC", rows[6][3])), "{full}");
    assert_eq!(rows[7], ["noise scale", "", "0", "1"]);
    assert!(ran.stdout.contains("means over 2 of kodim, 1 of traced.\n"), "{}", ran.stdout);
    let images = table(&ran.stdout[ran.stdout.find("| picture").unwrap()..]);
    let names: Vec<&str> = images.iter().map(|row| row[0]).collect();
    assert_eq!(names, ["picture", "kodim/a", "kodim/a, Y", "kodim/b", "kodim/b, Y", "traced/S1T1", "traced/S1T1, Y"]);
    assert_eq!(images[3][3], cell(&b.after(1, 1, &options)));

    let json: Value = serde_json::from_str(&b.text("new/r.json")).unwrap();
    let number = |pointer: &str| json.pointer(pointer).and_then(Value::as_f64).unwrap_or_else(|| panic!("{pointer}"));
    let close = |pointer: &str, value: f64| assert!((number(pointer) - value).abs() < 1e-12, "{pointer}");
    close("/sets/0/networks/1/psnr", kodim[1].psnr);
    close("/sets/0/input/ssim_y", kodim_in.ssim_y);
    close("/sets/0/images/1/networks/0/ssim", b.after(0, 1, &options).ssim);
    close("/sets/1/images/0/width", 20.0);
    close("/networks/0/parameters", parameters[0] as f64);
    close("/networks/1/noise", 1.0);
    close("/options/seed", 4.0);
    assert!((number("/networks/1/gmac") - rows[6][3].parse::<f64>().unwrap()).abs() < 0.0051);
    for (pointer, text) in [
        ("/networks/1/metadata/blocks", "2"),
        ("/networks/0/file", "plain.safetensors"),
        ("/networks/0/label", "plain"),
        ("/sets/1/name", "traced"),
        ("/sets/0/images/1/name", "b"),
        ("/version", env!("CARGO_PKG_VERSION")),
    ] {
        assert_eq!(json.pointer(pointer).and_then(Value::as_str), Some(text), "{pointer}");
    }
    assert!(json["device"].as_str().unwrap().starts_with("CPU, "));

    // The results, and the sheet: the worst of each set by the first network.
    let gain = |seed: usize| b.after(0, seed, &options).psnr - b.before(seed).psnr;
    let worst = if gain(0) < gain(1) { ("a", 0) } else { ("b", 1) };
    let captions = ["input", "plain", "noisy", "ground truth", "plain: difference x4", "noisy: difference x4"];
    let mut sheet = ContactSheet::new(&captions, Worst::CELL).unwrap();
    for (set, (name, seed)) in [("kodim", worst), ("traced", ("S1T1", 2))] {
        let (x, truth) = (picture(13, 18 + seed, seed), picture(13, 18 + seed, seed + 5));
        let y = [0, 1].map(|network| b.smoothed(network, seed, &options));
        let d = [0, 1].map(|network| difference(&y[network], &truth, 4.0).unwrap());
        let dbs = [b.before(seed), b.after(0, seed, &options), b.after(1, seed, &options)].map(|s| s.psnr);
        let label = format!("{set}/{name}  {:.2} -> {:.2}, {:.2} dB", dbs[0], dbs[1], dbs[2]);
        sheet.row(&label, &[&x, &y[0], &y[1], &truth, &d[0], &d[1]]).unwrap();
        for (network, y) in ["plain", "noisy"].into_iter().zip(&y) {
            let saved = image::read(b.path(format!("new/save/{set}/{network}/{name}.png"))).unwrap().tensor;
            assert_eq!(image::quantise(&saved), image::quantise(y), "{set} {network} {name}");
        }
    }
    sheet.write(b.path("expected.png")).unwrap();
    assert!(std::fs::read(b.path("new/sheet.png")).unwrap() == std::fs::read(b.path("expected.png")).unwrap());
}

#[test]
fn options_reach_the_networks() {
    let b = Bench::new();
    let run = |more: &[&str]| {
        b.eval(&[&BOTH_SETS[..], &BOTH_NETWORKS, &["--csv", "s.csv"], more].concat()).ok();
        b.rows("s.csv")
    };
    let plain = run(&[]);
    assert_eq!(plain, b.expected(&[0, 1], &Options::default()));
    let ensemble = run(&["--noise", "0.5", "--ensemble", "--seed", "3"]);
    assert_eq!(ensemble, b.expected(&[0, 1], &Options::default().with_noise(0.5).with_seed(3).with_ensemble(true)));
    assert!(plain != ensemble);

    // That of the whole process.
    assert_eq!(run(&["--max-memory", "4GB"]), plain);
    let less = [&BOTH_SETS[..], &BOTH_NETWORKS, &["--max-memory", "1MB"]].concat();
    b.eval(&less).fails(1, &["18x13 pixels do not fit"]);
}

#[test]
fn networks_share_a_gpus_memory() {
    let b = Bench::new();
    let gpu = support::gpu();
    let mut smoother = Smoother::new(b.networks[1].1.clone(), Device::Gpu(gpu.clone()));
    let mut peak = |seed| {
        smoother.smooth(&picture(13, 18 + seed, seed), &Options::default()).unwrap();
        smoother.last_plan().unwrap().1.peak_bytes()
    };
    let needed = [0, 1, 2].map(&mut peak).into_iter().max().unwrap();
    let eval = |bytes: u64, networks: &[&str]| {
        let memory = format!("{}kB", bytes as f64 / 1e3);
        let arguments = [&BOTH_SETS[..], networks, &["--adapter", &gpu.info().name, "--max-memory", &memory]].concat();
        Ran::of(sasnet().arg("eval").current_dir(b.folder.path()).args(arguments))
    };
    eval(2 * needed, &BOTH_NETWORKS).ok();
    eval(needed + 1, &BOTH_NETWORKS).fails(1, &["18x13 pixels do not fit"]);
    eval(needed + 1, &BOTH_NETWORKS[2..]).ok();
}

#[test]
fn one_set_and_one_network() {
    let b = Bench::new();
    let noisy = ["--weights", "noisy.safetensors"];
    let options = Options::default().with_seed(4);
    let eval = |arguments: &[&str]| b.eval(&[arguments, &noisy, &["--seed", "4", "--csv", "s.csv"]].concat()).ok();
    let expected: Vec<Row> = b.expected(&[1], &options).into_iter().filter(|row| row.set == "kodim").collect();
    let ran = eval(&["kodim/input", "kodim/gt", "--save", "results", "--sheet", "sheet.png"]);
    assert_eq!(b.rows("s.csv"), expected, "a set named after the folder");
    assert_eq!(table(&ran.stdout)[0], ["set", "input", "noisy"]);
    let names: Vec<_> = b.path("results").read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(names.len() == 2 && names.contains(&"b.png".into()), "{names:?}");
    let (_, width) = image::size(b.path("sheet.png")).unwrap();
    assert_eq!(width, 8 + 4 * (Worst::CELL + 8), "input, result, ground truth, difference");

    // Side by side, ground truth left.
    for (name, seed) in SETS[0].1 {
        let w = 18 + seed;
        let [left, right] = [seed + 5, *seed].map(|seed| picture(13, w, seed));
        let rows = left.data.chunks(w).zip(right.data.chunks(w));
        let both: Vec<f32> = rows.flat_map(|(l, r)| [l, r].concat()).collect();
        std::fs::create_dir_all(b.path("both")).unwrap();
        let both = Tensor::new(Shape::new(1, 3, 13, 2 * w), both);
        image::write(b.path(format!("both/{name}.png")), &both.into()).unwrap();
    }
    for arguments in [&["both"][..], &["--set", "both"], &["--set", "K|O=both"]] {
        let ran = eval(arguments);
        let name = arguments.last().unwrap().split('=').next().unwrap();
        let expected: Vec<Row> = expected.iter().map(|row| Row { set: name.into(), ..row.clone() }).collect();
        assert_eq!(b.rows("s.csv"), expected);
        assert!(ran.stderr.contains(&format!("{name}: 2 pictures, ground truth left, input right")), "{}", ran.stderr);
        assert!(ran.stdout.contains(&format!("\n| {} ", name.replace('|', "\\|"))), "{}", ran.stdout);
    }
}

#[test]
fn the_shipped_model_and_the_papers_gains() {
    let b = Bench::new();
    let ran = b.eval(&["--set", "traced", "--published"]).ok();
    assert_eq!(table(&ran.stdout)[0], ["set", "input", "small"]);
    let gains = table(&ran.stdout[ran.stdout.find("| gain").unwrap()..]);
    assert_eq!(gains[0], ["gain in PSNR, dB", "small", "SASNet, published"]);
    assert_eq!((gains[1][0], gains[1][2]), ("traced", ""));
    let weights = Weights::builtin();
    let y = Smoother::new(weights, Device::Cpu).smooth(&picture(13, 20, 2), &Options::default()).unwrap();
    let gain = score(&y, &picture(13, 20, 7)).unwrap().psnr - b.before(2).psnr;
    assert_eq!(gains[1][1], format!("{gain:.2}"));
    assert_eq!(gains[2..], [["SPS, the real set", "", "12.9"], ["NKS, the real set", "", "6.7"]]);
    assert!(ran.stdout.contains("Published, on the real sets (not these pictures)"));
    let without = b.eval(&["--set", "traced", "--weights", "small"]).ok().stdout;
    assert!(!without.contains("ublished") && table(&without) == table(&ran.stdout));
}

#[test]
fn filters_beside_a_network() {
    let b = Bench::new();
    let filters = ["--method", "gf,r=2,eps=0.032", "--method", "edges=l0"];
    let ran =
        b.eval(&[&["--set", "traced", "--weights", "small", "--ensemble", "--details"], &filters[..]].concat()).ok();
    let rows = table(&ran.stdout);
    assert_eq!(rows[0], ["set", "input", "small", "gf", "edges"]);
    let settings =
        [Filter::new("gf").unwrap().with("r", 2).unwrap().with("eps", 0.032).unwrap(), Filter::new("l0").unwrap()];
    for (cell, filter) in rows[1][3..].iter().zip(settings) {
        let y = Smoother::new(filter, Device::Cpu).smooth(&picture(13, 20, 2), &Options::default()).unwrap();
        assert_eq!(*cell, self::cell(&score(&y, &picture(13, 20, 7)).unwrap()));
    }
    assert_eq!(rows[2][3..], ["-", "-"], "a filter has no parameters that are trained");
    assert_eq!(table(&b.eval(&["--set", "traced", "--method", "gf"]).ok().stdout)[0], ["set", "input", "gf"]);
    b.eval(&["--set", "traced", "--method", "gf,r"]).fails(1, &["--method gf,r: \"r\" is no", "as in sigma=3"]);
    b.eval(&["--set", "traced", "--method", "gauss"]).fails(1, &["no method gauss"]);
}

/// A finish is the networks', and part of the report; filters beside them are what they are.
#[test]
fn networks_are_finished() {
    let b = Bench::new();
    let set = ["--set", "traced", "--weights", "plain.safetensors", "--method", "gf"];
    let run = |more: &[&str]| b.eval(&[&set[..], more].concat()).ok().stdout;
    let plain = run(&["--json", "plain.json"]);
    let finished = run(&["--finish=rtv,lambda=0.02,sigma=1", "--json", "finished.json"]);
    let filter = "rtv,lambda=0.02,sigma=1".parse::<Filter>().unwrap();
    assert!(finished.contains(&format!(", networks finished by {filter}.")) && !plain.contains("finished"));
    let mut smoother = Smoother::new(b.networks[0].1.clone(), Device::Cpu).with_finish(filter.clone());
    let y = smoother.smooth(&picture(13, 20, 2), &Options::default()).unwrap();
    let (before, after) = (table(&plain), table(&finished));
    assert_eq!(after[1][2], cell(&score(&y, &picture(13, 20, 7)).unwrap()));
    assert!(after[1][2] != before[1][2] && after[1][3] == before[1][3]);
    let [before, after] =
        ["plain", "finished"].map(|name| -> Value { serde_json::from_str(&b.text(&format!("{name}.json"))).unwrap() });
    assert_eq!(after["networks"][0]["finish"], filter.to_string());
    assert!([&before["networks"][0], &after["networks"][1]].iter().all(|network| network.get("finish").is_none()));

    // Shards of which one was finished are not of one evaluation.
    let shard = |i: &str, more: &[&str]| {
        b.eval(&[&BOTH_SETS[..], &BOTH_NETWORKS, &["--shard", i, "--json", "s.json"], more].concat()).ok();
    };
    shard("1/2", &[]);
    shard("2/2", &["--finish"]);
    let merge = || {
        let arguments = ["eval", "--merge", "s-1-of-2.json", "s-2-of-2.json"];
        Ran::of(sasnet().current_dir(b.folder.path()).args(arguments))
    };
    merge().fails(1, &["another networks"]);
    shard("2/2", &[]);
    merge().ok();
}

#[test]
fn all_methods_of_table_1() {
    let b = Bench::new();
    let arguments = ["--table1", "--set", "kodim", "--set", "traced", "--json", "r.json"];
    let given = ["--weights", "drf=plain.safetensors", "--method", "rtv,lambda=0.0025"];
    let ran = b.eval(&[&arguments[..], &given].concat()).ok();
    let rows = table(&ran.stdout);
    assert_eq!(rows[0], ["method", "setting", "kodim", "traced", "SPS, published", "NKS, published"]);
    let names: Vec<&str> = rows.iter().skip(1).map(|row| row[0]).collect();
    let filters = ["gf", "l0", "rtv", "rgf", "sdf", "ils", "ils-welsch"];
    let others = ["pnls", "iso", "deaf", "resnet", "jessnet"];
    assert_eq!(names, [&["input"], &filters[..], &["drf", "sasnet"], &others].concat());

    // The setting that is shown is the one that was scored; what is given replaces it.
    let row = |name: &str| rows.iter().find(|row| row[0] == name).unwrap();
    assert_eq!([row("gf")[1], row("rtv")[1], row("sasnet")[1]], ["r=2 eps=0.032", "lambda=0.0025", "model small"]);
    let gf = Filter::new("gf").unwrap().with("r", 2).unwrap().with("eps", 0.032).unwrap();
    for (name, model) in [("gf", gf.into()), ("sasnet", Model::from(Weights::builtin()))] {
        let y = Smoother::new(model, Device::Cpu).smooth(&picture(13, 20, 2), &Options::default()).unwrap();
        assert_eq!(row(name)[3], cell(&score(&y, &picture(13, 20, 7)).unwrap()), "{name}");
    }
    let drf = mean(&[0, 1].map(|seed| b.after(0, seed, &Options::default())));
    assert_eq!(row("drf")[2], cell(&drf));

    // What was published stands apart from what was measured.
    assert_eq!(row("sasnet")[4..], ["+12.9 dB", "+6.7 dB"]);
    assert_eq!(row("jessnet")[2..], ["-", "-", "31.73 / 0.92", ""]);
    assert!(ran.stdout.contains("Published: on the real SPS and NKS, not on these pictures"), "{}", ran.stdout);
    assert!(ran.stdout.contains("pnls: its inner step") && ran.stdout.contains("deaf, resnet, jessnet: no weights"));
    let mut merge = sasnet();
    let merge = merge.current_dir(b.folder.path()).args(["eval", "--table1", "--merge", "r.json"]);
    assert_eq!(Ran::of(merge).ok().stdout, ran.stdout);

    let some = b.eval(&["--table1", "--set", "traced", "--methods", "sasnet,gf"]).ok().stdout;
    let names: Vec<&str> = table(&some).iter().map(|row| row[0]).collect();
    assert_eq!(names, ["method", "input", "gf", "sasnet"]);
    let unknown = ["--table1", "--set", "traced", "--methods", "gf,jessnet"];
    b.eval(&unknown).fails(1, &["there is no jessnet; there are gf, l0", "--weights NAME=FILE"]);
    b.eval(&["--set", "traced", "--methods", "gf"]).fails(2, &["--table1"]);
}

#[test]
fn equal_pictures_have_infinite_psnr() {
    let b = Bench::new();
    write_picture(b.path("same/input/a.png"), 13, 13, 1);
    write_picture(b.path("same/gt/a.png"), 13, 13, 1);
    let ran = b.eval(&["--set", "same", "--json", "r.json", "--csv", "s.csv", "--published"]).ok();
    assert_eq!(table(&ran.stdout)[1][1], "inf / 1.0000");
    let json: Value = serde_json::from_str(&b.text("r.json")).unwrap();
    assert!(json["sets"][0]["input"]["psnr"].is_null() && json["sets"][0]["networks"][0]["psnr"].is_f64());
    assert_eq!(b.rows("s.csv")[0].psnr_in, f64::INFINITY);
}

#[test]
fn shards_join_to_the_same_table() {
    let b = Bench::new();
    fn of<'a>(more: &[&'a str]) -> Vec<&'a str> {
        [&BOTH_SETS[..], &BOTH_NETWORKS, &["--seed", "4"], more].concat()
    }
    let shown =
        ["--luma", "--details", "--per-image", "--csv", "all.csv", "--json", "all.json", "--markdown", "all.md"];
    b.eval(&of(&shown)).ok();
    // More shards than pictures: the fourth has none.
    for number in 1..=4 {
        let shard = format!("{number}/4");
        let given = ["--shard", &shard, "--json", "part.json", "--csv", "part.csv", "--save", "saved"];
        let ran = b.eval(&of(&given)).ok();
        let own = if number == 4 { "scored 0 of 3 pictures" } else { "scored 1 of 3 pictures" };
        assert!(ran.stdout.is_empty() && ran.stderr.contains(own), "{}", ran.stderr);
        assert_eq!(b.rows(&format!("part-{number}-of-4.csv")).len(), if number == 4 { 0 } else { 2 });
    }
    for saved in ["kodim/plain/a.png", "kodim/noisy/b.png", "traced/plain/S1T1.png"] {
        assert!(b.path("saved").join(saved).exists(), "{saved}");
    }
    // In any order.
    let parts = [2, 4, 1, 3].map(|number| format!("part-{number}-of-4.json"));
    let merge = |parts: &[String], more: &[&str]| {
        let mut command = sasnet();
        Ran::of(command.current_dir(b.path("")).args(["eval", "--merge"]).args(parts).args(more))
    };
    let ran = merge(&parts, &shown.map(|word| word.replace("all.", "joined.").leak() as &str)).ok();
    assert_eq!(ran.stdout, b.text("all.md"));
    for name in ["all.md", "all.csv", "all.json"] {
        assert_eq!(b.text(&name.replace("all", "joined")), b.text(name), "{name}");
    }

    // A stream has no name of a shard's own.
    let ran = b.eval(&of(&["--shard", "1/4", "--json", "/dev/stdout"])).ok();
    assert!(ran.stdout.contains("\"shard\""), "{}", ran.stdout);

    merge(&parts[..2], &[]).fails(1, &["shards are missing: 1/4, 3/4"]);
    merge(&[&parts[..], &parts[..1]].concat(), &[]).fails(1, &["part-2-of-4.json: has shard 2/4, as part-2-of-4.json"]);
    merge(&["all.csv".into()], &[]).fails(1, &["all.csv: not a report of scores"]);
    b.eval(&[&BOTH_SETS[..], &BOTH_NETWORKS, &["--seed", "5", "--shard", "2/4", "--json", "other.json"]].concat()).ok();
    let other = [&parts[1..], &["other-2-of-4.json".into()]].concat();
    merge(&other, &[]).fails(1, &["other-2-of-4.json: not of one evaluation with part-4-of-4.json: another options"]);
    // Weights that changed from shard to shard, under the same name.
    let file = b.path("plain.safetensors");
    let kept = std::fs::read(&file).unwrap();
    let mut changed = b.networks[0].1.clone();
    changed.params[0] += 1.0;
    changed.write(&file, Precision::F32).unwrap();
    b.eval(&of(&["--shard", "2/4", "--json", "changed.json"])).ok();
    std::fs::write(&file, kept).unwrap();
    let changed = [&parts[1..], &["changed-2-of-4.json".into()]].concat();
    merge(&changed, &[]).fails(1, &["changed-2-of-4.json: not of one evaluation", "another networks"]);
    for wrong in [&["--set", "kodim"][..], &["--ensemble"], &["--finish"], &["--amount", "0.5"], &["--worst", "3"]] {
        merge(&parts, wrong).fails(2, &["cannot be used with"]);
    }
    merge(&parts, &["--json", "part-1-of-4.json"]).fails(1, &["part-1-of-4.json: is read, and would be overwritten"]);
    b.eval(&of(&["--shard", "1/4"])).fails(1, &["--shard needs --json"]);
    b.eval(&of(&["--shard", "5/4", "--json", "x.json"])).fails(2, &["no shard 5/4", "i from 1 to N"]);
    b.eval(&of(&["--shard", "1/4", "--luma"])).fails(2, &["cannot be used with"]);
}

#[test]
fn networks_of_one_file_name() {
    let b = Bench::new();
    for (folder, label) in [("1", "plain"), ("2", "noisy")] {
        std::fs::create_dir(b.path(folder)).unwrap();
        std::fs::copy(b.path(format!("{label}.safetensors")), b.path(folder).join("w.safetensors")).unwrap();
    }
    let both = ["--set", "traced", "--weights", "1/w.safetensors", "--weights", "2/w.safetensors"];
    let ran = b.eval(&[&both[..], &["--save", "out"]].concat()).ok();
    assert_eq!(table(&ran.stdout)[0][2..], ["1/w.safetensors", "2/w.safetensors"]);
    assert!(b.path("out/1-w.safetensors/S1T1.png").exists() && b.path("out/2-w.safetensors/S1T1.png").exists());
}

#[test]
fn mistakes_are_found_before_the_work() {
    let b = Bench::new();
    let fails = |code: i32, arguments: &[&str], parts: &[&str]| {
        let ran = b.eval(arguments).fails(code, parts);
        assert!(ran.stdout.is_empty(), "{}", ran.stdout);
    };
    let set = ["--set", "kodim"];
    fails(2, &[], &["INPUTS"]);
    fails(2, &["kodim/input", "--set", "kodim"], &["cannot be used with"]);
    fails(2, &["--set", "kodim", "--worst", "3"], &["--sheet"]);
    fails(2, &["--set", "kodim", "--sheet", "s.png", "--worst", "0"], &["0 is not in 1.."]);
    for wrong in ["=kodim", "kodim=", ""] {
        fails(1, &["--set", wrong], &["--set", "give NAME=DIR"]);
        fails(
            1,
            &["--set", "kodim", "--weights", wrong],
            &[if wrong == "kodim=" { "LABEL=FILE" } else { "--weights" }],
        );
    }
    fails(1, &["--set", "none"], &["none: No such file"]);
    fails(1, &["--set", "."], &["holds no pictures", "but the folders kodim, traced", "set/input/ and set/gt/"]);
    fails(1, &["--set", "a=kodim", "--set", "a=traced"], &["two sets are called \"a\""]);
    fails(1, &[&set[..], &["--weights", "a=small", "--weights", "a=plain.safetensors"]].concat(), &["two networks"]);
    fails(1, &[&set[..], &["--weights", "none"]].concat(), &["none: No such file"]);

    // Outputs. Nothing is there that could be mistaken for a result.
    for option in ["--csv", "--json", "--markdown", "--sheet", "--save"] {
        fails(1, &[&set[..], &[option, "plain.safetensors/x.png"]].concat(), &["plain.safetensors"]);
    }
    fails(1, &[&set[..], &["--csv", "traced"]].concat(), &["traced: is a folder"]);
    fails(1, &[&set[..], &["--sheet", "s.txt"]].concat(), &["s.txt: the extension must say"]);
    let pictures = ["kodim/input/a.png", "kodim/gt/a.png"].map(|name| std::fs::read(b.path(name)).unwrap());
    for (option, file) in [
        ("--save", "kodim/gt"),
        ("--save", "kodim/input"),
        ("--csv", "kodim/gt/a.png"),
        ("--markdown", "kodim/../kodim/input/a.png"),
        ("--sheet", "kodim/gt/a.png"),
    ] {
        fails(1, &[&set[..], &[option, file]].concat(), &[file, "would be overwritten"]);
    }
    let weights = ["--weights", "plain.safetensors", "--json", "plain.safetensors"];
    fails(1, &[&set[..], &weights].concat(), &["plain.safetensors: is read"]);
    assert_eq!(pictures, ["kodim/input/a.png", "kodim/gt/a.png"].map(|name| std::fs::read(b.path(name)).unwrap()));
    fails(1, &[&set[..], &["--csv", "x", "--json", "./x"]].concat(), &["./x: would be written twice, as x, too"]);
    fails(2, &[&set[..], &["--methods", "gf", "--details"]].concat(), &["--table1"]);
    let twins = ["--set", "a/b=kodim", "--set", "a-b=kodim", "--save", "out"];
    fails(1, &twins, &["two results would be called so"]);

    // Pictures: the last one of the last set.
    b.pair("bad/input/a.png", "bad/gt/a.png", 0);
    write_picture(b.path("bad/input/z.png"), 10, 40, 1);
    write_picture(b.path("bad/gt/z.png"), 10, 40, 1);
    let bad = [&set[..], &["--set", "bad", "--save", "saved"]].concat();
    fails(1, &bad, &["bad/input/z.png", "SSIM needs 11 x 11"]);
    write_picture(b.path("bad/gt/z.png"), 11, 40, 1);
    fails(1, &bad, &["bad/input/z.png: 10 rows x 40 columns", "11 x 40: make them one size"]);
    write_picture(b.path("bad/input/z.png"), 11, 40, 1);
    let bytes = std::fs::read(b.path("bad/gt/z.png")).unwrap();
    std::fs::write(b.path("bad/gt/z.png"), &bytes[..bytes.len() / 2]).unwrap();
    fails(1, &bad, &["bad/gt/z.png: the file is damaged: unexpected end of file\n"]);
    assert!(!b.path("saved/kodim/a.png").exists(), "nothing was smoothed before");
    std::fs::remove_file(b.path("bad/gt/z.png")).unwrap();
    fails(1, &bad, &["no ground truth for z.png"]);
    fails(1, &["kodim/input/a.png", "kodim/gt/b.png"], &["13 rows x 18 columns", "13 x 19"]);
}
