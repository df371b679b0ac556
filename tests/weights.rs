//! The weights file: what is written is read again, and nothing else is.

mod support;

use proptest::prelude::*;
use sasnet::low_level::exec::Device;
use sasnet::low_level::net::{Latent, Network, Sasnet};
use sasnet::low_level::onnx;
use sasnet::low_level::smooth::{Options, Smoother};
use sasnet::low_level::tensor::Tensor;
use sasnet::low_level::weights::{MODELS, Precision, Weights};
use serde_json::{Map, Value, json};
use std::path::PathBuf;
use support::{picture, small_weights};

/// A folder with a path for a weights file.
fn temporary() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("some.safetensors");
    (folder, path)
}

fn bytes(weights: &Weights, precision: Precision) -> Vec<u8> {
    let (_folder, path) = temporary();
    weights.write(&path, precision).unwrap();
    std::fs::read(path).unwrap()
}

/// What reading these bytes from a file says; panics where it succeeds, or does not name the file.
#[track_caller]
fn error(bytes: &[u8]) -> String {
    let (_folder, path) = temporary();
    std::fs::write(&path, bytes).unwrap();
    let error = Weights::read(&path).expect_err("the file is bad").to_string();
    assert!(error.starts_with(&format!("{}: ", path.display())), "{error}");
    error
}

#[track_caller]
fn says(bytes: &[u8], parts: &[&str]) {
    let error = error(bytes);
    for part in parts {
        assert!(error.contains(part), "{part:?} is not in: {error}");
    }
}

/// A weights file taken apart.
struct Parts {
    header: Map<String, Value>,
    data: Vec<u8>,
}

impl Parts {
    fn of(bytes: &[u8]) -> Parts {
        let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let header = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
        Parts { header, data: bytes[8 + length..].to_vec() }
    }

    fn bytes(&self) -> Vec<u8> {
        with_header(&serde_json::to_vec(&self.header).unwrap(), &self.data)
    }

    fn metadata(&mut self) -> &mut Map<String, Value> {
        self.header["__metadata__"].as_object_mut().unwrap()
    }

    /// The data of a tensor.
    fn tensor(&mut self, name: &str) -> &mut [u8] {
        let offset = |i: usize| self.header[name]["data_offsets"][i].as_u64().unwrap() as usize;
        let range = offset(0)..offset(1);
        &mut self.data[range]
    }
}

fn with_header(header: &[u8], data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header, data].concat()
}

const CONV: &str = "blocks.0.g1.conv1.weight";

fn small() -> Weights {
    small_weights(&[1], 4, true, 1.0)
}

fn edited(edit: impl FnOnce(&mut Parts)) -> Vec<u8> {
    let mut parts = Parts::of(&bytes(&small(), Precision::F32));
    edit(&mut parts);
    parts.bytes()
}

#[test]
fn the_parts_put_together_again_are_good() {
    assert_eq!(Weights::parse(&edited(|_| ())), Ok(small()));
}

#[test]
fn f32_round_trips_and_the_same_weights_give_the_same_bytes() {
    let mut weights = small_weights(&[2], 8, true, 0.5);
    weights
        .metadata
        .extend(["b", "trained", "a", "z", "10"].map(|key| (key.to_string(), format!("\"{key}\" \u{e9}\n"))));
    weights.params[0] = -0.0;
    weights.params[1] = f32::MIN_POSITIVE / 8.0;
    weights.params[2] = f32::MAX;
    let first = bytes(&weights, Precision::F32);
    assert_eq!(bytes(&weights, Precision::F32), first);
    let back = Weights::parse(&first).unwrap();
    assert_eq!(back.params.iter().map(|v| v.to_bits()).collect::<Vec<_>>(), {
        weights.params.iter().map(|v| v.to_bits()).collect::<Vec<_>>()
    });
    assert_eq!(back, weights);
    assert_eq!(bytes(&back, Precision::F32), first);
    // Another implementation of the format reads it too: the data begins at a multiple of 8, without gaps.
    assert_eq!((first.len() - Parts::of(&first).data.len()) % 8, 0);
    assert_eq!(Parts::of(&first).data.len(), 4 * weights.network.layout().parameters());
}

#[test]
fn f16_is_within_half_precision_and_half_as_large() {
    let weights = small_weights(&[1], 8, true, 1.0);
    let file = bytes(&weights, Precision::F16);
    assert_eq!(Parts::of(&file).data.len(), 2 * weights.network.layout().parameters());
    let back = Weights::parse(&file).unwrap();
    assert_eq!((&back.network, &back.metadata), (&weights.network, &weights.metadata));
    let error = |(a, b): (&f32, &f32)| f64::from((a - b).abs()) / (f64::from(a.abs()) / 2048.0 + 0.5f64.powi(25));
    let worst = weights.params.iter().zip(&back.params).map(error).fold(0.0, f64::max);
    assert!(worst <= 1.0, "{worst} of the rounding error");
    assert_ne!(back.params, weights.params);
    // What half precision holds comes back as it is.
    assert_eq!(bytes(&back, Precision::F16), file);
}

#[test]
fn values_that_would_be_refused_are_not_written_and_the_old_file_stays() {
    let (_folder, path) = temporary();
    let good = small();
    good.write(&path, Precision::F32).unwrap();
    let at = good.network.layout().get("blocks.0.g2.conv2.bias").unwrap().offset + 3;
    for (value, precision, part) in [
        (f32::NAN, Precision::F32, "has a NaN at element 3"),
        (f32::INFINITY, Precision::F16, "has a inf at element 3"),
        (-70_000.0, Precision::F16, "has a -70000 at element 3, more than half precision holds"),
    ] {
        let mut bad = good.clone();
        bad.params[at] = value;
        let error = bad.write(&path, precision).unwrap_err().to_string();
        assert!(error.contains("some.safetensors") && error.contains("blocks.0.g2.conv2.bias"), "{error}");
        assert!(error.contains(part), "{error}");
        assert_eq!(Weights::read(&path).unwrap(), good);
    }
    let mut large = good.clone();
    large.params[at] = -70_000.0;
    large.write(&path, Precision::F32).unwrap();
    assert_eq!(Weights::read(&path).unwrap(), large);
}

#[test]
fn every_network_is_built_from_its_file_and_smooths() {
    let mut results: Vec<Tensor> = vec![];
    for (blocks, scale) in [(&[1][..], 2), (&[3], 2), (&[1, 2], 4), (&[2, 1, 1], 8)] {
        for (features, attention) in [(1, true), (4, true), (4, false), (17, false)] {
            let weights = small_weights(blocks, features, attention, 0.0);
            let back = Weights::parse(&bytes(&weights, Precision::F32)).unwrap();
            assert_eq!(back, weights);
            assert_eq!(back.network.scale(), scale);
            let x = picture(5, 7, 1);
            let options = Options::default();
            let y = Smoother::new(back, Device::Cpu).smooth(&x, &options).unwrap();
            assert_eq!(y.shape, x.shape);
            assert!(y.data.iter().all(|v| (0.0..=1.0).contains(v)), "{blocks:?} {features} {attention}: {:?}", y.data);
            assert!(
                results.iter().all(|other| *other != y),
                "{blocks:?} {features} {attention} is like another network"
            );
            results.push(y);
        }
    }
}

#[test]
fn the_noise_scale_is_that_of_the_file_or_the_papers() {
    let weights = |text: Option<&str>| {
        let file = edited(|parts| match text {
            Some(text) => drop(parts.metadata().insert("noise".into(), text.into())),
            None => drop(parts.metadata().remove("noise")),
        });
        Weights::parse(&file).unwrap().noise().unwrap()
    };
    assert_eq!([weights(None), weights(Some("0")), weights(Some("0.25"))], [1.0, 0.0, 0.25]);
}

/// A network that keeps what is structure in z takes no noise, and says so; files of the paper's form do not say what
/// they are.
#[test]
fn the_latent_is_that_of_the_file() {
    let config = Network::from(Sasnet::new(&[1], 4).unwrap().with_latent(Latent::Keep));
    let keep = support::with_latent(Weights::initial(&config, 5));
    let mut file = Parts::of(&bytes(&keep, Precision::F32));
    assert_eq!(file.metadata()["latent"], "keep");
    assert_eq!((Weights::parse(&file.bytes()).unwrap(), keep.noise().unwrap()), (keep.clone(), 0.0));
    assert!(!Parts::of(good_file()).metadata().contains_key("latent"));
    file.metadata().insert("noise".into(), "0.5".into());
    says(&file.bytes(), &["the noise scale is 0.5", "structure of z kept", "takes none"]);
    let options = Options::default().with_noise(0.5);
    let error = Smoother::new(keep, Device::Cpu).smooth(&picture(5, 7, 1), &options).unwrap_err();
    assert!(error.to_string().contains("give 0, as this network takes none"), "{error}");
}

#[test]
fn the_shipped_weights_are_good() {
    let weights = Weights::builtin();
    weights.noise().unwrap();
    assert!(weights.params.iter().any(|v| *v != 0.0));
}

#[test]
fn wrong_tensors() {
    let renamed = edited(|parts| {
        let tensor = parts.header.remove(CONV).unwrap();
        parts.header.insert("blocks.0.g1.conv9.weight".into(), tensor);
    });
    says(&renamed, &["the tensor blocks.0.g1.conv1.weight is missing"]);
    // The last one in the file, with its data.
    let cut = edited(|parts| {
        let last = parts.tensor("blocks.0.g3.conv3.bias").len();
        parts.header.remove("blocks.0.g3.conv3.bias");
        parts.data.truncate(parts.data.len() - last);
    });
    says(&cut, &["the tensor blocks.0.g3.conv3.bias is missing"]);
    let extra = edited(|parts| {
        let end = parts.data.len();
        parts.data.extend([0; 8]);
        let tensor = json!({ "dtype": "F32", "shape": [2], "data_offsets": [end, end + 8] });
        parts.header.insert("blocks.1.g1.conv1.bias".into(), tensor);
    });
    says(&extra, &["the tensor blocks.1.g1.conv1.bias does not belong to a network of 1 block, 4 features"]);
    for shape in [json!([9, 4, 3, 3]), json!([4, 9, 9]), json!([324])] {
        let file = edited(|parts| parts.header[CONV]["shape"] = shape.clone());
        says(&file, &[CONV, &shape.to_string().trim_matches(['[', ']']).replace(',', "x"), "not 4x9x3x3"]);
    }
    // The same network without attention has other tensors.
    let file = edited(|parts| drop(parts.metadata().insert("attention".into(), "none".into())));
    says(&file, &["the tensor blocks.0.g1.channel.fc1.bias does not belong", "no attention"]);
}

#[test]
fn values_that_are_not_finite() {
    for (value, text) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf"), (f32::NEG_INFINITY, "-inf")] {
        let file = edited(|parts| parts.tensor(CONV)[20..24].copy_from_slice(&value.to_le_bytes()));
        says(&file, &[&format!("the tensor {CONV} has a {text} at element 5")]);
    }
    let mut parts = Parts::of(&bytes(&small(), Precision::F16));
    let name = "blocks.0.g2.spatial.bias";
    parts.tensor(name).copy_from_slice(&[0x00, 0x7C]); // infinity
    says(&parts.bytes(), &[&format!("the tensor {name} has a inf at element 0")]);
}

#[test]
fn other_number_formats() {
    for (dtype, size) in [("F64", 8), ("BF16", 2), ("I32", 4), ("U8", 1), ("BOOL", 1)] {
        let file = edited(|parts| {
            // The last tensor, so that the others stay where they are.
            let name = "blocks.0.g3.conv3.bias";
            let (start, count) = (parts.data.len() - 4 * 9, 9);
            parts.data.resize(start + size * count, 0);
            let tensor = json!({ "dtype": dtype, "shape": [9], "data_offsets": [start, start + size * count] });
            parts.header.insert(name.into(), tensor);
        });
        says(&file, &[&format!("the tensor blocks.0.g3.conv3.bias is {dtype}, not F32 or F16")]);
    }
    // Not a format at all.
    says(&edited(|parts| parts.header[CONV]["dtype"] = "F33".into()), &["not a complete safetensors file"]);
}

#[test]
fn wrong_metadata() {
    for key in ["blocks", "features", "attention"] {
        says(&edited(|parts| drop(parts.metadata().remove(key))), &[&format!("has no \"{key}\"")]);
    }
    says(&edited(|parts| drop(parts.header.remove("__metadata__"))), &["has no \"blocks\""]);
    for (key, value, part) in [
        ("features", "0", "features are 0; give a number from 1 to 1024"),
        ("features", "1000000", "features are 1000000"),
        ("features", "-1", "\"features\" is \"-1\", not a number"),
        ("features", "4.0", "\"features\" is \"4.0\""),
        ("features", "", "\"features\" is \"\""),
        ("features", "99999999999999999999", "\"features\" is \"9999"),
        ("blocks", "0", "the blocks are 0; give"),
        ("blocks", "65", "the blocks are 65; give"),
        ("blocks", "1,1,1,1", "the blocks are 1,1,1,1;"),
        ("blocks", "", "\"blocks\" is \"\", not numbers separated by commas"),
        ("blocks", "one", "\"blocks\" is \"one\""),
        ("blocks", "18446744073709551616", "\"blocks\" is \"1844"),
        ("blocks", "2", "the tensor blocks.1.g1.conv1.weight is missing"),
        ("attention", "maybe", "\"attention\" is \"maybe\", not \"cbam\" or \"none\""),
        ("latent", "maybe", "\"latent\" is \"maybe\", not \"drop\" or \"keep\""),
        ("latent", "keep", "the tensor latent.conv1.weight is missing"),
        ("scale", "4", "\"scale\" is \"4\", not 2, which the network makes it"),
        ("noise", "loud", "noise scale is \"loud\""),
        ("noise", "-1", "noise scale is \"-1\""),
        ("noise", "NaN", "noise scale is \"NaN\""),
    ] {
        says(&edited(|parts| drop(parts.metadata().insert(key.into(), value.into()))), &[part]);
    }
}

#[test]
fn truncated_anywhere() {
    let file = bytes(&small(), Precision::F32);
    let data = file.len() - Parts::of(&file).data.len();
    let lengths = (0..data + 64).chain((data + 64..file.len()).step_by(97)).chain([file.len() - 1]);
    for length in lengths {
        let message = Weights::parse(&file[..length]).expect_err("the file is cut");
        assert!(message.contains("not a complete safetensors file"), "{length} bytes: {message}");
    }
    says(&file[..data / 2], &["not a complete safetensors file"]);
    says(&[], &["not a complete safetensors file"]);
    says(&[&file[..], b"more"].concat(), &["not a complete safetensors file"]);
}

#[test]
fn hostile_headers() {
    let file = bytes(&small(), Precision::F32);
    for length in [0, 1, 100_000_000, 100_000_001, 1 << 40, u64::MAX / 2, u64::MAX - 7, u64::MAX] {
        error(&[&length.to_le_bytes()[..], &file[8..]].concat());
    }
    for header in ["", "{", "{}", "[]", "null", "{\"__metadata__\":{}}", "{\"__metadata__\":7}", "\u{0}\u{0}"] {
        error(&with_header(header.as_bytes(), &[]));
    }
    let deep = [b"[".repeat(100_000), b"]".repeat(100_000)].concat();
    error(&with_header(&deep, &[]));
    let all = 4 * 324;
    for (shape, offsets) in [
        (json!([u64::MAX, u64::MAX]), json!([0, all])),
        (json!([1u64 << 62, 4]), json!([0, all])),
        (json!([4, 9, 3, 3]), json!([all, 0])),
        (json!([4, 9, 3, 3]), json!([u64::MAX - 3, u64::MAX])),
        (json!([4, 9, 3, 3]), json!([0, u64::MAX])),
        (json!([4, 9, 3, 3]), json!([4, all + 4])),
        (json!([4, 9, 3, -3]), json!([0, all])),
    ] {
        error(&edited(|parts| parts.header[CONV] = json!({ "dtype": "F32", "shape": shape, "data_offsets": offsets })));
    }
}

/// The largest network that a header may ask for has 21 GB of weights; a file without them must not cost that.
#[test]
fn metadata_alone_takes_no_memory() {
    let metadata = json!({ "blocks": "64,64,64", "features": "1024", "attention": "cbam" });
    let header = json!({ "__metadata__": metadata }).to_string();
    #[cfg(target_os = "linux")]
    let peak = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmPeak:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1000
    };
    #[cfg(not(target_os = "linux"))]
    let peak = || 0;
    let before = peak();
    says(&with_header(header.as_bytes(), &[]), &["the tensor blocks.0.g1.conv1.weight is missing"]);
    let after = peak();
    assert!(after < before + 4000, "{before} MB of addresses before, {after} MB after");
}

#[test]
fn a_file_that_is_not_there() {
    let (_folder, path) = temporary();
    assert!(Weights::read(&path).unwrap_err().to_string().contains("some.safetensors"));
}

fn good_file() -> &'static [u8] {
    static FILE: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    FILE.get_or_init(|| bytes(&small(), Precision::F32))
}

/// Any, often those that make a number infinite.
fn byte() -> impl Strategy<Value = u8> {
    prop_oneof![any::<u8>(), Just(0x7F), Just(0xFF)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Half of the places are in the header, which is the smaller part.
    #[test]
    fn one_wrong_byte(place in 0.0f64..1.0, in_header: bool, value in byte()) {
        let mut file = good_file().to_vec();
        let data = file.len() - Parts::of(&file).data.len();
        let range = if in_header { data } else { file.len() };
        file[(place * range as f64) as usize] = value;
        if let Ok(weights) = Weights::parse(&file) {
            prop_assert!(weights.params.iter().all(|v| v.is_finite()));
            prop_assert_eq!(weights.params.len(), weights.network.layout().len());
            prop_assert!(weights.noise().is_ok());
        }
    }

    #[test]
    fn random_headers(header in prop::collection::vec(any::<u8>(), 0..200), data in prop::collection::vec(any::<u8>(), 0..50)) {
        prop_assert!(Weights::parse(&with_header(&header, &data)).is_err());
        prop_assert!(Weights::parse(&header).is_err());
    }
}

/// Half precision must not change a result by more than a rounding here and there.
#[test]
fn results_stay_in_half_precision() {
    let folder = tempfile::tempdir().unwrap();
    let [full, half] = ["full.safetensors", "half.safetensors"].map(|name| folder.path().join(name));
    small_weights(&[2], 16, true, 0.0).write(&full, Precision::F32).unwrap();
    let ran = support::Ran::of(support::sasnet().arg("weights").arg(&full).args(["--f16", "-o"]).arg(&half)).ok();
    assert!(ran.stdout.contains("2 blocks, 16 features, x2"), "{}", ran.stdout);
    let sizes = [&full, &half].map(|path| path.metadata().unwrap().len());
    assert!((sizes[1] as f64) < 0.6 * sizes[0] as f64, "{sizes:?}");
    let [y, y_half] = [full, half].map(|path| {
        let picture = support::picture(48, 64, 3);
        let mut smoother = Smoother::new(Weights::read(&path).unwrap(), Device::Cpu);
        smoother.smooth(&picture, &Options::default()).unwrap()
    });
    let psnr = sasnet::lab::metrics::score(&y_half, &y).unwrap().psnr;
    println!("{psnr:.1} dB between f16 and f32");
    assert!(psnr > 55.0 && y != y_half, "{psnr}");
}

/// What is in the model is tested where it is made, in `src/onnx/tests.rs`.
#[test]
fn onnx_models_are_written_beside_weights() {
    let folder = tempfile::tempdir().unwrap();
    let [weights, onnx, again] = ["w.safetensors", "w.onnx", "again.safetensors"].map(|name| folder.path().join(name));
    small_weights(&[1], 4, true, 0.0).write(&weights, Precision::F32).unwrap();
    let run = |out: &std::path::Path, more: &[&std::ffi::OsStr]| {
        support::Ran::of(support::sasnet().arg("weights").arg(&weights).arg("--onnx").arg(out).args(more))
    };
    let ran = run(&onnx, &["-o".as_ref(), again.as_ref()]).ok();
    assert!(ran.stderr.contains("w.onnx") && ran.stderr.contains("again.safetensors"), "{}", ran.stderr);
    assert_eq!(std::fs::read(&onnx).unwrap(), onnx::export(&Weights::read(&again).unwrap()).unwrap());
    run(&folder.path().join("w.pb"), &[]).fails(1, &["w.pb: is no .onnx", "ONNX model"]);
}

/// The shipped models are in half precision: writing them so again loses nothing.
#[test]
fn shipped_models_are_small() {
    for (name, bytes) in MODELS {
        let weights = Weights::model(name).unwrap();
        assert!(bytes.len() < 2 * weights.network.layout().parameters() + 20_000, "{name}: {} bytes", bytes.len());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("again.safetensors");
        weights.write(&path, Precision::F16).unwrap();
        assert_eq!(Weights::read(&path).unwrap(), weights, "{name}");
    }
}

#[test]
fn a_mean_is_of_the_same_network() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let write = |name: &str, features, seed| {
        let weights = Weights::initial(&Sasnet::new(&[1], features).unwrap().into(), seed);
        weights.write(&path(name), Precision::F32).unwrap();
        weights.params
    };
    let all = [write("a.safetensors", 8, 1), write("b.safetensors", 8, 2), write("c.safetensors", 8, 3)];
    write("other.safetensors", 4, 1);
    let run = |arguments: &str| {
        support::Ran::of(support::sasnet().current_dir(folder.path()).arg("weights").args(arguments.split(' ')))
    };
    run("a.safetensors --mean b.safetensors --mean c.safetensors -o mean.safetensors").ok();
    let mean = Weights::read(&path("mean.safetensors")).unwrap();
    assert_eq!(mean.metadata["mean_of"], "3");
    for (i, got) in mean.params.iter().enumerate() {
        let want = all.iter().map(|params| params[i]).sum::<f32>() / 3.0;
        assert!((got - want).abs() <= 1e-6, "{i}: {got}, not {want}");
    }
    run("a.safetensors --mean other.safetensors -o no.safetensors").fails(
        1,
        &["other.safetensors has a network of 1 block, 4 features", "a.safetensors one of 1 block, 8 features"],
    );
    run("a.safetensors --mean none.safetensors -o no.safetensors").fails(1, &["none.safetensors", "No such file"]);
    run("a.safetensors --mean b.safetensors").fails(2, &["--out"]);
    assert!(!path("no.safetensors").exists());
}

#[test]
fn a_grown_network_is_trained_from_its_file() {
    let data = support::runs::Data::new();
    let run = |arguments: &[&str]| {
        let mut command = support::sasnet();
        command.current_dir(data.path("")).args(arguments);
        support::Ran::of(&mut command)
    };
    let small = ["--blocks", "1", "--features", "4", "--latent", "keep", "--steps", "2", "--ema", "0.5"];
    support::Ran::of(&mut data.command("small", &small)).ok();
    let grow = ["weights", "small/weights.safetensors", "--grow", "--blocks", "2", "--features", "6", "-o"];
    run(&[&grow[..], &["large.safetensors"]].concat()).ok();
    let large = Weights::read(&data.path("large.safetensors")).unwrap();
    assert_eq!(large.network, Sasnet::new(&[2], 6).unwrap().with_latent(Latent::Keep).into());
    assert_eq!(large.metadata["grown_from"], "1 block, structure of z kept, 4 features");
    // How the small one was trained is said as that.
    assert_eq!((large.metadata["grown_from.steps"].as_str(), large.metadata.get("steps")), ("2", None));
    assert_eq!(large.metadata["noise"], "0");

    let file = data.path("large.safetensors").display().to_string();
    let from = ["--from", &file, "--steps", "1", "--rate", "1e-9", "--decay-from", "0"];
    support::Ran::of(&mut data.command("run", &from)).ok();
    let trained = Weights::read(&data.path("run/weights.safetensors")).unwrap();
    assert_eq!((&trained.network, trained.metadata["steps"].as_str()), (&large.network, "1"));
    let off = trained.params.iter().zip(&large.params).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(0.0 < off && off < 1e-6, "it begins with these weights: {off}");

    run(&["weights", "small/weights.safetensors", "--grow", "-o", "no.safetensors"])
        .fails(1, &["cannot be grown", "1 block, structure of z kept, 4 features"]);
    run(&["weights", "small/weights.safetensors", "--features", "9", "-o", "no.safetensors"]).fails(2, &["--grow"]);
    run(&["weights", "small/weights.safetensors", "--grow"]).fails(2, &["--out"]);
    assert!(!data.path("no.safetensors").exists());
    for (other, value) in [("--blocks", "3"), ("--resume", ""), ("--init", "uniform")] {
        let more =
            [&["--from", &file, other][..], if value.is_empty() { &[] } else { std::slice::from_ref(&value) }].concat();
        support::Ran::of(&mut data.command("new", &more)).fails(2, &["--from", other]);
    }
    let nothing = ["--from", "nothing.safetensors"];
    support::Ran::of(&mut data.command("new", &nothing)).fails(1, &["nothing.safetensors", "No such file"]);
    let noisy = ["--from", &file, "--noise", "1"];
    support::Ran::of(&mut data.command("new", &noisy)).fails(1, &["noise scale is 1", "structure of z kept"]);
    assert!(!data.path("new").exists());
}

/// A checkpoint becomes a weights file: without the moments, with the weights' average where there is one.
#[test]
fn a_checkpoint_becomes_weights() {
    let data = support::runs::Data::new();
    let arguments = [&support::runs::NEW[..], &["--steps", "3", "--ema", "0.5"]].concat();
    support::Ran::of(&mut data.command("run", &arguments)).ok();
    let convert = |from: &str, out: &str| {
        let mut command = support::sasnet();
        command.arg("weights").arg(data.path(from)).arg("-o").arg(data.path(out));
        support::Ran::of(&mut command)
    };
    convert("run/checkpoint.safetensors", "w.safetensors").ok();
    convert("run", "of-folder.safetensors").ok();
    let [weights, of_folder, result] = ["w.safetensors", "of-folder.safetensors", "run/weights.safetensors"]
        .map(|f| std::fs::read(data.path(f)).unwrap());
    assert!(weights == result && of_folder == result);
    let mut smooth = support::sasnet();
    smooth.arg("smooth").arg(data.path("validation/a.png")).arg("-o").arg(data.path("a.png"));
    support::Ran::of(smooth.args(["--adapter", "cpu"]).arg("--weights").arg(data.path("run"))).ok();
    convert("run", "w.png").fails(1, &["w.png", "no .safetensors"]);
    convert(".", "w2.safetensors").fails(1, &["a folder without a checkpoint"]);
    support::Ran::of(support::sasnet().args(["weights", "nothing"])).fails(1, &["nothing", "No such file"]);
    support::Ran::of(support::sasnet().args(["weights", "small", "--f16"])).fails(2, &["--out"]);
}
