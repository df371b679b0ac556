//! What a caller passes gives errors that say what is wrong; nothing panics, hangs or passes in silence.

mod support;

use sasnet::low_level::exec::{Executor, GpuExecutor};
use sasnet::low_level::gpu::{AdapterChoice, Gpu, GpuOptions, Slice, list_kernels};
use sasnet::low_level::graph::Layout;
use sasnet::low_level::net::{Network, Sasnet};
use sasnet::low_level::ops::{Graph, add::Scale};
use sasnet::low_level::tensor::{Shape, Tensor};
use sasnet::low_level::weights::Precision;
use sasnet::{Device, DeviceOptions, Error, Options, Smoother, Weights, embed};
use std::fmt::Debug;

fn fails<T: Debug>(result: sasnet::Result<T>, says: &[&str]) {
    let message = result.expect_err(says[0]).to_string();
    says.iter().for_each(|part| assert!(message.contains(part), "{message:?} does not say {part:?}"));
}

fn small() -> Weights {
    Weights::initial(&Network::from(Sasnet::new(&[1], 4).unwrap()), 1)
}

#[test]
fn pictures() {
    let mut smoother = Smoother::new(small(), Device::Cpu);
    let options = Options::default();
    for (h, w) in [(0, 0), (0, 5), (5, 0), (usize::MAX, 3), (1 << 40, 2), (1 << 32, 1 << 32)] {
        fails(smoother.check(h, w), &[&format!("{w}x{h}"), "pixels"]);
    }
    let side = (1 << 63) + 1;
    let huge = Tensor { shape: Shape::new(1, 3, side, side), data: vec![0.0; 3] };
    fails(smoother.smooth(&huge, &options), &["3 values of"]);
    let nan = Tensor::new(Shape::new(1, 3, 1, 2), vec![0.5, 0.5, f32::NAN, 0.5, 0.5, 0.5]);
    fails(smoother.smooth(&nan, &options), &["not finite"]);
    let grey = Tensor::new(Shape::new(1, 1, 1, 2), vec![0.5; 2]);
    fails(smoother.smooth(&grey, &options), &["1x1x1x2", "1x3 channels"]);
    for shape in [[1, 3, 0, 16], [1, 3, 16, 0], [0, 3, 16, 16], [1, 1, 16, 16], [1, 3, 3, 16]] {
        let [n, c, h, w] = shape;
        fails(embed::graph(&small().network, Shape::new(n, c, h, w)).map(drop), &["multiples of 2"]);
    }
    fails(embed::graph(&small().network, Shape::new(1, 3, usize::MAX - 1, 2)).map(drop), &["pixels at most"]);
}

#[test]
fn weights() {
    let mut large = small();
    large.params.fill(3e38);
    let picture = Tensor::new(Shape::new(1, 3, 4, 4), (0..48).map(|i| i as f32 / 48.0).collect());
    let options = Options::default().with_noise(0.0);
    fails(Smoother::new(large, Device::Cpu).smooth(&picture, &options), &["not finite", "weights are too large"]);
    let short = Weights { params: vec![0.0; 3], ..small() }.with_identity_blocks();
    let folder = tempfile::tempdir().unwrap();
    fails(short.write(&folder.path().join("w.safetensors"), Precision::F32), &["3 parameters for a network of"]);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is written");
    fails(Smoother::new(short, Device::Cpu).smooth(&picture, &options), &["given 3"]);
}

#[test]
fn values_and_memory_of_others() {
    let mut graph = Graph::new(Layout::default());
    let x = graph.input("x", Shape::new(1, 1, 2, 2));
    let y = graph.apply1("double", Scale { k: 2.0 }, &[x]).unwrap();
    graph.output(y);
    let mut other = graph.clone();
    let unknown = (0..9).fold(y, |y, _| other.apply1("more", Scale { k: 2.0 }, &[y]).unwrap());
    let gpu = support::gpu();
    let exec = GpuExecutor::new(graph.clone(), gpu.clone()).unwrap();
    fails(exec.slice(unknown), &["a value of another graph"]);
    fails(exec.read(unknown), &["a value of another graph"]);
    fails(exec.write(unknown, &[0.0]), &["a value of another graph"]);
    let mut cpu = Executor::new(graph, &Device::Cpu).unwrap();
    fails(cpu.read(unknown), &["a value of another graph"]);

    let buffer = gpu.buffer("four numbers", 16).unwrap();
    fails(gpu.write(&buffer.slice(), &[0.0; 5]), &["20 bytes for a slice of 16"]);
    for (offset, size) in [(0, u64::MAX), (u64::MAX, 4), (16, 4), (0, 20)] {
        let beyond = Slice { buffer: buffer.clone(), offset, size };
        fails(gpu.read(std::slice::from_ref(&beyond)), &["of a buffer of 16"]);
        fails(gpu.write(&beyond, &[]), &["of a buffer of 16"]);
        fails(gpu.copy(&[[beyond, buffer.slice()]]), &["of a buffer of 16"]);
    }
    let half = Slice { size: 8, ..buffer.slice() };
    fails(gpu.copy(&[[half, buffer.slice()]]), &["8 bytes to 16"]);
    fails(gpu.buffer("endless", u64::MAX), &["endless"]);

    let name = gpu.info().name.clone();
    let options = GpuOptions { adapter: AdapterChoice::Named(name), ..GpuOptions::default() };
    let second = Gpu::open(&options).unwrap();
    fails(second.read(&[buffer.slice()]), &["another device"]);
    fails(second.write(&buffer.slice(), &[0.0]), &["another device"]);
}

/// Those for cooperative matrices, too, which are compared with the CPU before anybody else has the device.
#[test]
fn devices_open_with_all_their_kernels() {
    let gpu = support::gpu();
    let (adapter, kernels) = list_kernels().into_iter().find(|(a, _)| a.0.name == gpu.info().name).unwrap();
    let required = std::env::var("SASNET_KERNELS").unwrap_or_default();
    assert!(required.is_empty() || kernels.iter().any(|k| k.name() == required), "{adapter} lacks {required}");
    for kernel in kernels {
        let mut options = DeviceOptions::default();
        options.adapter = Some(adapter.to_string());
        options.kernel = Some(kernel.name().into());
        let Device::Gpu(opened) = Device::open_with(&options).unwrap() else { panic!("{adapter} is no GPU") };
        assert_eq!(opened.kernels().name(), kernel.name());
    }
    let mut options = DeviceOptions::default();
    options.adapter = Some(adapter.to_string());
    options.kernel = Some("loom".into());
    assert!(matches!(Device::open_with(&options).map(drop), Err(Error::Invalid(message)) if message.contains("loom")));
}
