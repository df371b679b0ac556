//! Training samples a second: `cargo bench --bench data`. On one core: RAYON_NUM_THREADS=1.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sasnet::lab::bench::picture;
use sasnet::lab::dataset::source::{STRENGTH, Source};
use sasnet::lab::dataset::synthetic::{structure, texture};
use sasnet::low_level::rng::Rng;
use sasnet::low_level::tensor::Shape;
use sasnet::{Result, image};

const CROP: usize = 128;
const BATCH: usize = 16;

/// Batches of the paper's size from folders and from the generator.
fn batches(c: &mut Criterion) {
    let folder = tempfile::tempdir().expect("there is room");
    let write = |i: usize| -> Result<()> {
        image::write(folder.path().join(format!("{i}.png")), &picture(Shape::new(1, 3, 384, 512), 7919 + i).into())
    };
    (0..4).try_for_each(write).expect("pictures are written");
    let sources = [
        ("folders", Source::blend(folder.path(), folder.path(), STRENGTH)),
        ("generator", Source::synthetic(STRENGTH)),
    ];
    let mut group = c.benchmark_group(format!("batch of {BATCH}, {CROP}x{CROP}"));
    group.throughput(Throughput::Elements(BATCH as u64));
    for (name, source) in sources {
        let source = source.expect("the data is good");
        let mut step = 0;
        group.bench_function(name, |b| {
            b.iter(|| {
                step += 1;
                source.batch(1, step, BATCH, CROP)
            });
        });
    }
}

/// Every kind alone: none may be slow.
fn kinds(c: &mut Criterion) {
    let mut group = c.benchmark_group(format!("{CROP}x{CROP}"));
    group.sample_size(50).throughput(Throughput::Elements(1));
    let mut case = |name: String, draw: &dyn Fn(&mut Rng) -> Vec<f32>| {
        let mut i = 0;
        group.bench_function(name, |b| {
            b.iter(|| {
                i += 1;
                draw(&mut Rng::new(&[i]))
            });
        });
    };
    for kind in &structure::KINDS {
        case(format!("structure {}", kind.name), &|rng| structure::of_kind(rng, CROP, kind));
    }
    for kind in &texture::KINDS {
        case(format!("texture {}", kind.name), &|rng| texture::of_kind(rng, CROP, kind));
    }
}

criterion_group!(all, batches, kinds);
criterion_main!(all);
