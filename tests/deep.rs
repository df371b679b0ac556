//! The deep methods that the paper compares with go everywhere that SASNet goes: command line, files, training,
//! smoothing. What they compute `tests/fixtures.rs` compares.

mod support;

use sasnet::low_level::exec::Device;
use sasnet::low_level::graph::Role;
use sasnet::low_level::kernel::Kernels;
use sasnet::low_level::net::{Deaf, Drf, JessNet, Network, ResNet, Sizes};
use sasnet::low_level::smooth::{Options, Smoother};
use sasnet::low_level::weights::{Precision, Weights};
use std::path::Path;
use support::picture;
use support::runs::{run, smooth_and_measure, train_in_parts, write_pairs};

/// Small ones, with the options that make them.
fn all() -> [(Network, &'static str); 4] {
    [
        (ResNet::new(2, 3).unwrap().into(), "--blocks 2 --features 3"),
        (JessNet::new([1, 1, 2], 3).unwrap().into(), "--blocks 1,1,2 --features 3"),
        (Drf::new(2).unwrap().into(), "--features 2"),
        (Deaf::new(4, 168.0).unwrap().into(), "--features 4 --beta 168"),
    ]
}

/// Initial weights with running statistics that are not those of a new network.
fn weights(network: &Network) -> Weights {
    let mut weights = Weights::initial(network, 1);
    for (i, entry) in network.layout().entries().iter().enumerate() {
        if let Role::Statistic(start) = entry.role {
            weights.params[entry.range()].iter_mut().enumerate().for_each(|(k, v)| {
                *v = start + ((7 * i + 3 * k) % 11) as f32 / 40.0;
            });
        }
    }
    weights
}

#[test]
fn files_say_which_network_and_keep_statistics_exact() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("some.safetensors");
    for (network, _) in all() {
        let weights = weights(&network);
        weights.write(&path, Precision::F32).unwrap();
        assert_eq!(Weights::read(&path).unwrap(), weights);
        weights.folded().write(&path, Precision::F32).unwrap();
        assert_eq!(Weights::read(&path).unwrap(), weights.folded());
        weights.write(&path, Precision::F16).unwrap();
        let half = Weights::read(&path).unwrap();
        for entry in network.layout().entries() {
            let same = half.params[entry.range()] == weights.params[entry.range()];
            assert!(same || entry.role.is_learned(), "{}: {} is rounded", network.name(), entry.name);
        }
    }
}

#[test]
fn any_size_is_smoothed_alike_by_cpu_and_gpu() {
    for (network, _) in all() {
        let weights = weights(&network);
        let smooth = |device: Device, h, w| {
            let mut smoother = Smoother::new(weights.clone(), device);
            smoother.smooth(&picture(h, w, 1), &Options::default()).unwrap()
        };
        for (h, w) in [(1, 1), (37, 21), (16, 48)] {
            let want = smooth(Device::Cpu, h, w);
            for kernels in [Kernels::Gpu, Kernels::SoftwareSimd] {
                let got = smooth(Device::Gpu(support::gpu_with(kernels)), h, w);
                let error = got.data.iter().zip(&want.data).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(error < 1e-5, "{}, {h}x{w}, {}: {error}", network.name(), kernels.name());
            }
        }
    }
}

#[test]
fn training_goes_on_as_if_it_had_not_stopped() {
    let folder = tempfile::tempdir().unwrap();
    write_pairs(folder.path());
    for (network, options) in all() {
        let name = network.name();
        let new = format!("--paper --architecture {name} {options} --batch 2 --crop 16");
        let file = train_in_parts(folder.path(), name, &new);
        let trained = Weights::read(&folder.path().join(&file)).unwrap();
        assert_eq!(trained.network, network);
        for entry in network.layout().entries() {
            if let Role::Statistic(start) = entry.role {
                let moved = trained.params[entry.range()].iter().any(|v| *v != start);
                assert!(moved, "{name}: {} is as at the start", entry.name);
            }
        }
        smooth_and_measure(folder.path(), name, &file, 16);
    }
}

#[test]
fn parameters_and_operations_are_those_of_the_authors_layers() {
    let here = Path::new(".");
    let plan = run(here, "plan --table2").ok().stdout;
    for (name, parameters, gmac) in [
        ("resnet", 1_961_091, "384.62"),
        ("jessnet", 3_417_863, "668.49"),
        ("drf", 147_677, "7.59"),
        // 0.14 of it the solve.
        ("deaf", 754_691, "288.34"),
        ("unet", 31_031_875, "144.53"),
    ] {
        let network = Network::build(name, &Sizes::default()).unwrap();
        assert_eq!(network.layout().parameters(), parameters, "{name}");
        let line = plan.lines().find(|line| line.starts_with(name)).expect("a line for each");
        let cells: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(cells[1..3], [&parameters.to_string(), gmac], "{line}");
    }
    for published in ["209.12", "719.04", "672.04", "14.42", "748", "3638", "1053", "214"] {
        assert!(plan.contains(published), "{published} is not in: {plan}");
    }
}

#[test]
fn what_a_network_does_not_have_is_refused() {
    let here = Path::new(".");
    run(here, "plan --architecture resnet --blocks 2,2").fails(1, &["resnet", "one number"]);
    run(here, "plan --architecture jessnet --blocks 2").fails(1, &["jessnet", "three numbers"]);
    run(here, "plan --architecture drf --blocks 2").fails(1, &["drf", "--blocks"]);
    run(here, "plan --architecture unet --beta 2").fails(1, &["unet", "--beta"]);
    run(here, "plan --architecture deaf --beta 0").fails(1, &["beta"]);
    run(here, "plan --table2 --architecture drf").fails(2, &["--table2"]);
}
