//! The processor's part of a frame: recording the shipped model at 1280x720, which a host does beside its own work.
//! `cargo bench --bench embed`

use criterion::{Criterion, criterion_group, criterion_main};
use sasnet::Weights;
use sasnet::embed::{Context, Frame, Network, Session, SessionOptions};
use sasnet::low_level::gpu::{AdapterChoice, Gpu, GpuOptions};
use sasnet::wgpu::{self, TextureFormat::Rgba8Unorm, TextureUsages as Usages};
use std::sync::Arc;

const SIZE: [u32; 2] = [1280, 720];

fn recording(c: &mut Criterion) {
    let name = std::env::var("SASNET_ADAPTER").unwrap_or_default();
    let gpu = Gpu::open(&GpuOptions { adapter: AdapterChoice::Named(name), ..GpuOptions::default() });
    let gpu = Arc::new(gpu.expect("there is an adapter; tools/software-vulkan.sh fetches one"));
    let network = Network::new(&Context::from(gpu.clone()), Weights::builtin()).unwrap();
    let mut session = Session::new(&network, SIZE, [Rgba8Unorm; 2], SessionOptions::default()).unwrap();
    let view = |usage| {
        let texture = gpu.device().create_texture(&wgpu::TextureDescriptor {
            label: None,
            size: wgpu::Extent3d { width: SIZE[0], height: SIZE[1], depth_or_array_layers: 1 },
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: Rgba8Unorm,
            usage,
            view_formats: &[],
        });
        texture.create_view(&Default::default())
    };
    // Stored, not drawn: Mesa's lavapipe draws only with short vectors.
    let (from, to) = (view(Usages::TEXTURE_BINDING), view(Usages::STORAGE_BINDING));
    session.prepare(&Frame::default()).unwrap();
    let encoder = || gpu.device().create_command_encoder(&Default::default());
    c.bench_function("record 1280x720", |b| {
        b.iter_batched_ref(
            encoder,
            |encoder| session.record(encoder, &from, &to).unwrap(),
            criterion::BatchSize::PerIteration,
        );
    });
    c.bench_function("prepare 1280x720", |b| b.iter(|| session.prepare(&Frame::default()).unwrap()));
}

criterion_group!(benches, recording);
criterion_main!(benches);
