//! The auto-encoder and the U-net go everywhere that SASNet goes: command line, files, training, smoothing.

mod support;

use sasnet::low_level::exec::Device;
use sasnet::low_level::kernel::Kernels;
use sasnet::low_level::net::{Network, Unet};
use sasnet::low_level::smooth::{Options, Smoother};
use sasnet::low_level::weights::{Precision, Weights};
use std::path::Path;
use support::picture;
use support::runs::{run, smooth_and_measure, train_in_parts, write_pairs};

const BOTH: [&str; 2] = ["autoencoder", "unet"];

fn small(architecture: &str) -> Network {
    Unet::new(2, architecture == "unet").unwrap().into()
}

#[test]
fn files_say_which_network() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("some.safetensors");
    for architecture in BOTH {
        let weights = Weights::initial(&small(architecture), 1);
        weights.write(&path, Precision::F32).unwrap();
        assert_eq!(Weights::read(&path).unwrap(), weights);
        let mut bytes = std::fs::read(&path).unwrap();
        let name = architecture;
        let metadata = format!("{{\"architecture\":\"{name}\",\"features\":\"2\",\"scale\":\"16\"}}");
        let at = bytes.windows(metadata.len()).position(|w| w == metadata.as_bytes()).expect("the metadata");
        bytes[at + "{\"architecture\":\"".len()] = b'x';
        std::fs::write(&path, &bytes).unwrap();
        let error = Weights::read(&path).unwrap_err().to_string();
        assert!(error.contains("\"architecture\"") && error.contains("unet"), "{error}");
    }
    // SASNet's files are what they were.
    Weights::builtin().write(&path, Precision::F32).unwrap();
    assert!(!String::from_utf8_lossy(&std::fs::read(&path).unwrap()).contains("architecture"));
}

/// U(-1 / sqrt(fan_in), 1 / sqrt(fan_in)) with PyTorch's fan-in: of a transposed convolution outputs times elements.
#[test]
fn initial_weights_have_pytorchs_bounds() {
    let weights = Weights::initial(&Network::from(Unet::new(16, true).unwrap()), 1);
    let layout = weights.network.layout();
    for (name, fan_in) in [
        ("down.0.conv1", 3 * 9),
        ("down.4.conv2", 256 * 9),
        ("up.3.transposed", 128 * 4),
        ("up.0.conv1", 32 * 9),
        ("out", 16),
    ] {
        let values = &weights.params[layout.get(&format!("{name}.weight")).unwrap().range()];
        let (largest, bound) = (values.iter().fold(0f32, |a, b| a.max(b.abs())), 1.0 / (fan_in as f32).sqrt());
        assert!(largest <= bound && largest > 0.8 * bound, "{name}: {largest} of {bound}");
        let bias = &weights.params[layout.get(&format!("{name}.bias")).unwrap().range()];
        assert!(bias.iter().all(|v| v.abs() <= bound), "{name}");
    }
}

#[test]
fn any_size_is_smoothed_alike_by_cpu_and_gpu() {
    for architecture in BOTH {
        let weights = Weights::initial(&Unet::new(4, architecture == "unet").unwrap().into(), 1);
        let smooth = |device: Device, h, w| {
            let mut smoother = Smoother::new(weights.clone(), device);
            smoother.smooth(&picture(h, w, 1), &Options::default()).unwrap()
        };
        for (h, w) in [(1, 1), (37, 21), (16, 48)] {
            let want = smooth(Device::Cpu, h, w);
            assert_eq!(want.shape, picture(h, w, 1).shape);
            for kernels in [Kernels::Gpu, Kernels::SoftwareSimd] {
                let got = smooth(Device::Gpu(support::gpu_with(kernels)), h, w);
                let error = got.data.iter().zip(&want.data).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(error < 1e-5, "{architecture:?}, {h}x{w}, {}: {error}", kernels.name());
            }
        }
    }
}

#[test]
fn training_goes_on_as_if_it_had_not_stopped() {
    let folder = tempfile::tempdir().unwrap();
    write_pairs(folder.path());
    for architecture in BOTH {
        let name = architecture;
        let new = format!("--paper --architecture {name} --features 2 --batch 2 --crop 32");
        let file = train_in_parts(folder.path(), name, &new);
        let weights = Weights::read(&folder.path().join(&file)).unwrap();
        assert_eq!((weights.network.clone(), weights.noise().unwrap()), (small(architecture), 0.0));
        // The file is all that smoothing needs to know.
        smooth_and_measure(folder.path(), name, &file, 32);
        let small = format!("smooth inputs/0.png -o no.png --weights {file} --adapter cpu --max-memory 20kB");
        run(folder.path(), &small).fails(1, &[name, "cannot be cut into slabs"]);
        run(folder.path(), &format!("train -o new --inputs inputs --truths truths {new} --noise 0.5"))
            .fails(1, &["noise", name]);
        run(folder.path(), &format!("train -o new --inputs inputs --truths truths {new} --init identity"))
            .fails(1, &["identity", name]);
    }
}

#[test]
fn plan_prints_table_3s_numbers() {
    let here = Path::new(".");
    for (name, parameters, gmac) in [("unet", "31031875", "144.53"), ("autoencoder", "27898435", "115.54")] {
        let plan = run(here, &format!("plan --architecture {name}")).ok().stdout;
        assert!(plan.contains(&format!("{name}, 64 features, x16, {parameters} parameters")), "{plan}");
        assert!(plan.contains(&format!("the full network         {gmac} GMAC")), "{plan}");
        let step = run(here, &format!("plan --architecture {name} --features 4 --train 1x32")).ok().stdout;
        assert!(step.contains("activations stored") && !step.contains("rebuilt"), "{step}");
        for flag in ["--blocks 4", "--no-attention"] {
            run(here, &format!("plan --architecture {name} {flag}")).fails(1, &[name, flag.split(' ').next().unwrap()]);
        }
    }
    run(here, "plan --architecture resnet50").fails(2, &["sasnet, unet, autoencoder, resnet, jessnet, drf, deaf"]);
}
