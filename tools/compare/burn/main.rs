//! burn's Vulkan backend as a contender of `compare.py`: the inner convolution, 3x3 with padding 1, and LeakyReLU 0.2.
//!
//! `burn-conv FILE N,C,H,W RUNS STRIDE KIND`: FILE has the input (N, C, H, W), the weight (C, C, 3, 3) and the bias (C), f32 after
//! f32; KIND is `software` or `gpu`. Prints what `contenders.py` prints, of the answer each STRIDEth value. A run takes its input
//! from memory and leaves its output there.

use burn::tensor::activation::leaky_relu;
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, DeviceKind, Tensor, TensorData};
use std::time::Instant;

fn main() {
    let arguments = std::env::args().skip(1).collect::<Vec<_>>();
    let [file, shape, runs, stride, kind] = arguments.try_into().expect("FILE N,C,H,W RUNS STRIDE KIND");
    let [n, c, h, w] = shape.split(',').map(|v| v.parse().unwrap()).collect::<Vec<usize>>().try_into().unwrap();
    let bytes = std::fs::read(&file).unwrap();
    let mut values = bytes.chunks_exact(4).map(|word| f32::from_le_bytes(word.try_into().unwrap()));
    let mut take = |len: usize| values.by_ref().take(len).collect::<Vec<f32>>();
    let (x, weight, bias) = (take(n * c * h * w), take(c * c * 9), take(c));
    let device = Device::vulkan(match kind.as_str() {
        "software" => DeviceKind::Cpu,
        "gpu" => DeviceKind::DefaultDevice,
        other => panic!("{other} is neither software nor gpu"),
    });
    let weight = Tensor::<4>::from_data(TensorData::new(weight, [c, c, 3, 3]), &device);
    let bias = Tensor::<1>::from_data(TensorData::new(bias, [c]), &device);
    let run = || {
        let x = Tensor::<4>::from_data(TensorData::new(x.clone(), [n, c, h, w]), &device);
        let options = ConvOptions::new([1, 1], [1, 1], [1, 1], 1);
        let y = leaky_relu(conv2d(x, weight.clone(), Some(bias.clone()), options), 0.2);
        y.into_data().try_to_vec::<f32>().expect("f32")
    };
    let y = run(); // tunes and compiles
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    let start = Instant::now();
    while start.elapsed().as_secs_f64() < 0.5 {
        run();
    }
    let ms: Vec<f64> = (0..runs.parse().unwrap())
        .map(|_: usize| {
            let start = Instant::now();
            run();
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    let samples: Vec<f32> = y.into_iter().step_by(stride.parse().unwrap()).collect();
    let version =
        include_str!("Cargo.toml").split("burn = { version = \"=").nth(1).and_then(|rest| rest.split('"').next());
    let version = version.expect("burn's version is given");
    let peak = peak();
    println!(
        r#"{{"name": "burn", "version": "{version}", "ms": {ms:?}, "samples": {samples:?}, "process_bytes": {peak}}}"#
    );
}

/// Most bytes of the process's memory since they were last cleared (Linux).
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok()).map_or(0, |kb| kb * 1024)
}
