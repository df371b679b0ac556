//! Measuring: what is wrong is not timed, what is timed is accounted for.

mod support;

use sasnet::lab::bench::{self, Answer, Report};
use sasnet::lab::train::step::Settings;
use sasnet::low_level::exec::Device;
use sasnet::low_level::gpu::{Command, Gpu};
use sasnet::low_level::kernel::{RunParams, Shader};
use sasnet::low_level::ops::{haar, loss};
use sasnet::low_level::tensor::worst;
use sasnet::{Error, Result};
use serde_json::Value;
use std::sync::Arc;
use support::{Ran, sasnet, small_weights};

fn smoothing(device: &Device) -> Result<Report> {
    bench::smoothing(&small_weights(&[2], 8, true, 1.0), device, (22, 34), 3, &mut ())
}

fn training(device: &Device) -> Result<Report> {
    let settings = Settings { batch: 3, crop: 16, ..Settings::default() };
    bench::training(&small_weights(&[2], 8, true, 1.0), device, &settings, 3, &mut ())
}

/// The test's GPU with a wrong kernel, and caches of its own.
fn broken(shader: &'static Shader, from: &str, to: &str) -> Device {
    let gpu = support::gpu();
    let gpu = Gpu::from_device(gpu.device().clone(), gpu.queue().clone());
    Device::Gpu(Arc::new(gpu.with_shader_replacement(shader, from, to)))
}

#[test]
fn devices_give_one_answer() {
    let devices = [Device::Cpu, Device::Gpu(support::gpu())];
    let [cpu, gpu] = devices.each_ref().map(|device| smoothing(device).unwrap());
    let (Answer::Samples(a), Answer::Samples(b)) = (&cpu.answer, &gpu.answer) else { panic!("{:?}", cpu.answer) };
    assert_eq!((a.len(), b.len()), (usize::div_ceil(3 * 22 * 34, bench::SAMPLE_STRIDE), a.len()));
    assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-4), "{a:?} {b:?}");
    let [cpu, gpu] = devices.each_ref().map(|device| training(device).unwrap());
    let (Answer::Step { loss, gradient_norm: norm }, Answer::Step { loss: other_loss, gradient_norm: other_norm }) =
        (&cpu.answer, &gpu.answer)
    else {
        panic!("{:?}", cpu.answer)
    };
    assert!((loss / other_loss - 1.0).abs() < 1e-5 && (norm / other_norm - 1.0).abs() < 1e-4, "{cpu:?} {gpu:?}");
}

#[test]
fn everything_is_accounted_for() {
    for device in [Device::Cpu, Device::Gpu(support::gpu())] {
        for report in [smoothing(&device).unwrap(), training(&device).unwrap()] {
            assert!(report.check.error > 0.0 && report.check.error < report.check.tolerance, "{report:?}");
            assert_eq!((report.runs, report.planned_bytes), (3, report.allocated_bytes));
            assert!(report.run.min <= report.run.median && report.run.median <= report.run.max);
            for costs in [&report.operators, &report.layers] {
                assert_eq!(costs.iter().map(|c| c.macs).sum::<u64>(), report.macs);
                // Timestamps, or the clock around steps, add up to about a run; the machine may be busy.
                let total: f64 = costs.iter().map(|c| c.ms.expect("software Vulkan has timestamps")).sum();
                assert!(total > 0.1 * report.run.min && total < 10.0 * report.run.max, "{total} {:?}", report.run);
            }
            assert!(report.layers.len() > report.operators.len());
            assert!(report.peak_gflops > 0.1 && report.gflops() < report.peak_gflops, "{}", report.peak_gflops);
            assert_eq!(report.device_bytes.is_some(), matches!(device, Device::Gpu(_)));
            assert_eq!(report.passes, matches!(device, Device::Gpu(_)).then_some(1));
            if let Some(bytes) = report.device_bytes {
                assert!(bytes >= report.allocated_bytes, "{bytes}");
            }
        }
    }
}

#[test]
fn a_wrong_answer_is_not_timed() {
    let wrong = |result: Result<Report>| match result {
        Err(Error::Wrong(message)) => assert!(message.contains("of its largest value"), "{message}"),
        other => panic!("{other:?}"),
    };
    wrong(smoothing(&broken(&haar::SHADER, "p.scale * ((a - b) - (c - d))", "p.scale * ((a - b) + (c - d))")));
    wrong(training(&broken(&loss::SHADER, "dy[i] = sign(", "dy[i] = 1.1 * sign(")));
}

/// y of `shaders/peak.wgsl` on two workgroups and a bit.
fn peak(device: &Device) -> (Vec<f32>, Vec<f32>) {
    let Device::Gpu(gpu) = device else { unreachable!("given a GPU") };
    let x: Vec<f32> = (0..515).map(|i| i as f32 / 515.0).collect();
    let buffers = [&x, &vec![f32::NAN; x.len()]].map(|data| {
        let slice = gpu.buffer("test", 4 * data.len() as u64).unwrap().slice();
        gpu.write(&slice, data).unwrap();
        slice
    });
    let command = Command { dispatch: bench::peak_dispatch(x.len(), 3), slices: buffers.to_vec(), work: 0 };
    gpu.record(&[command]).unwrap().run(gpu, &RunParams::default()).unwrap();
    (x, gpu.read(&buffers[1..]).unwrap().remove(0))
}

/// Largest error against 24 steps in f64.
fn peak_error(device: &Device) -> f64 {
    let (x, y) = peak(device);
    let chain = |start: usize, v: f64| (0..24).fold(start as f64, |a, _| a * v + 1.0);
    let want = x.iter().map(|v| (0..16).map(|start| chain(start, f64::from(*v))).sum::<f64>());
    worst(y.iter().zip(want).map(|(y, want)| (f64::from(*y) - want).abs() / want))
}

/// The peak is measured with multiply-adds that are really done.
#[test]
fn the_kernel_of_the_peak_computes() {
    let error = peak_error(&Device::Gpu(support::gpu()));
    assert!(error < 1e-5, "{error:.1e}");
    let error = peak_error(&broken(&bench::PEAK_SHADER, "round < p.rounds", "round < 1u"));
    assert!(error > 1e-5, "{error:.1e} with fewer rounds");
}

fn command(arguments: &[&str]) -> Ran {
    let small = ["bench", "--adapter", "cpu", "--blocks", "1", "--features", "4", "--runs", "2"];
    Ran::of(sasnet().args(small).args(arguments))
}

#[test]
fn the_command_prints_tables_and_json() {
    let ran = command(&["--size", "33x21"]).ok();
    for part in ["smoothing 33x21; 1 block, 4 features", "Table 2 at 33x21", "GFLOP/s", "conv3x3", "together"] {
        assert!(ran.stdout.contains(part), "{part:?} is not in {}", ran.stdout);
    }
    assert!(ran.stderr.contains("running on CPU") && ran.stderr.contains("checking against f64"), "{}", ran.stderr);
    let paper = command(&["--layers"]).ok().stdout;
    assert!(paper.contains("209.12 G") && paper.contains("748 MB") && paper.contains("conv3x3 g1.conv2"));

    let json = |arguments: &[&str]| -> Value { serde_json::from_str(&command(arguments).ok().stdout).unwrap() };
    let smooth = json(&["--size", "33x21", "--json"]);
    assert_eq!((&smooth["size"]["width"], &smooth["device"]["name"]), (&33.into(), &"cpu".into()));
    assert_eq!((&smooth["runs"], &smooth["network"]["sizes"]["features"]), (&2.into(), &4.into()));
    let train = json(&["--train", "--batch", "2", "--crop", "8", "--json"]);
    assert_eq!((&train["train"]["batch"], &train["train"]["crop"]), (&2.into(), &8.into()));
    assert!(train["answer"]["Step"]["loss"].as_f64().unwrap() > 0.0);
    for report in [smooth, train] {
        for at in ["/run/median", "/peak_gflops", "/macs", "/planned_bytes", "/gflops", "/operators/0/ms"] {
            assert!(report.pointer(at).unwrap_or_else(|| panic!("no {at}")).as_f64().unwrap() > 0.0, "{at}");
        }
        assert_eq!(report["version"], env!("CARGO_PKG_VERSION"));
    }
}

#[test]
fn wrong_options_are_named() {
    command(&["--size", "0x4"]).fails(2, &["as in 512x384"]);
    command(&["--size", "4"]).fails(2, &["as in 512x384"]);
    command(&["--size", "4x4", "--train"]).fails(2, &["--size", "--train"]);
    command(&["--batch", "2"]).fails(2, &["--train"]);
    command(&["--runs", "0"]).fails(2, &["--runs"]);
    command(&["--train", "--crop", "9"]).fails(1, &["the crop is 9; give a multiple of 2"]);
    command(&["--train", "--batch", "0"]).fails(1, &["the batch size is 0"]);
    command(&["--size", "100000x100000"]).fails(1, &["MB"]);
}
