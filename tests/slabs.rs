//! Pictures in slabs of rows: the same result as in one piece, bit for bit, in no more memory than was given.

mod support;

use proptest::prelude::*;
use sasnet::Error;
use sasnet::low_level::exec::Device;
use sasnet::low_level::fit::Cut;
use sasnet::low_level::kernel::Kernels;
use sasnet::low_level::net::{Latent, Network, ResNet, SLAB_ROWS, Sasnet};
use sasnet::low_level::plan::{Plan, Target};
use sasnet::low_level::smooth::{Options, Smoother};
use sasnet::low_level::tensor::{Shape, Tensor};
use sasnet::low_level::weights::Weights;
use std::sync::LazyLock;

fn weights(blocks: &[usize], features: usize, attention: bool) -> Weights {
    Weights::initial(&Network::from(Sasnet::new(blocks, features).unwrap().with_attention(attention)), 5)
}

/// Small networks of every kind.
static NETWORKS: LazyLock<Vec<Weights>> = LazyLock::new(|| {
    let paper =
        [weights(&[2], 6, true), weights(&[1], 5, false), weights(&[1, 1], 4, true), weights(&[1, 1, 1], 4, true)];
    let keep = |blocks: &[usize], attention| {
        let config = Network::from(Sasnet::new(blocks, 5).unwrap().with_attention(attention).with_latent(Latent::Keep));
        support::with_latent(Weights::initial(&config, 5))
    };
    let resnet = Weights::initial(&ResNet::new(2, 5).unwrap().into(), 5);
    paper.into_iter().chain([keep(&[2], true), keep(&[1, 1], false), resnet]).collect()
});

fn picture(w: usize, h: usize) -> Tensor {
    let shape = Shape::new(1, 3, h, w);
    // Not smooth, and no two rows alike.
    let value = |i: usize| (i.wrapping_mul(2_654_435_761) >> 7) as u32 % 1009;
    Tensor::new(shape, (0..shape.len()).map(|i| value(i) as f32 / 1009.0).collect())
}

/// Smooths in one piece and within a part of the memory that this takes; checks that they agree. Returns how many slabs
/// it took, and whether features were kept; None where so little memory does not do.
fn compare(weights: &Weights, device: &Device, (w, h): (usize, usize), part: f64) -> Option<(usize, bool)> {
    let noise = if weights.network.takes_noise() { 0.7 } else { 0.0 };
    compare_with(Options::default().with_noise(noise).with_seed(3), weights, device, (w, h), part)
}

fn compare_with(
    options: Options,
    weights: &Weights,
    device: &Device,
    (w, h): (usize, usize),
    part: f64,
) -> Option<(usize, bool)> {
    let x = picture(w, h);
    let mut whole = Smoother::new(weights.clone(), device.clone());
    let want = whole.smooth(&x, &options).unwrap();
    let (cut, plan) = whole.last_plan().unwrap();
    assert_eq!(cut, Cut::WHOLE);
    let memory = (plan.peak_bytes() as f64 * part) as u64;
    drop(whole);
    let mut cut_graph = Smoother::new(weights.clone(), device.clone()).with_max_memory(Some(memory));
    let got = match cut_graph.smooth(&x, &options) {
        Ok(got) => got,
        Err(Error::TooLarge(_)) => return None,
        Err(other) => panic!("{other}"),
    };
    let (cut, plan) = cut_graph.last_plan().unwrap();
    assert!(plan.peak_bytes() <= memory, "{} of {memory} bytes", plan.peak_bytes());
    assert_eq!(plan.peak_bytes(), cut_graph.allocated_bytes(), "planned and allocated");
    let off = got.data.iter().zip(&want.data).position(|(a, b)| a.to_bits() != b.to_bits());
    assert_eq!(off, None, "{w}x{h} in {cut:?} on {}: first wrong element", device.describe());
    Some((cut.count, cut.keep_features))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn slabs_give_the_whole_pictures_result(
        (w, h, network) in (1usize..90, 1usize..400, 0..NETWORKS.len()),
        part in 0.3f64..1.0,
        gpu in any::<bool>(),
        tiles in any::<bool>(),
    ) {
        let kernels = if tiles { Kernels::Gpu } else { Kernels::SoftwareSimd };
        let device = if gpu { Device::Gpu(support::gpu_with(kernels)) } else { Device::Cpu };
        compare(&NETWORKS[network], &device, (w, h), part);
    }
}

/// Among such sizes there are all ways of cutting.
#[test]
fn few_slabs_many_slabs_and_features_computed_twice() {
    for device in [Device::Cpu, Device::Gpu(support::gpu())] {
        let network = weights(&[2], 24, true);
        let tried: Vec<_> =
            [0.99, 0.95, 0.9, 0.7, 0.5, 0.4, 0.3].map(|part| compare(&network, &device, (70, 600), part)).into();
        println!("{}: {tried:?}", device.describe());
        assert!(tried.iter().flatten().any(|(count, keep)| (2..=8).contains(count) && *keep), "{tried:?}");
        assert!(tried.iter().flatten().any(|(_, keep)| !keep), "{tried:?}");
    }
}

/// The eight passes of an ensemble, each flipped otherwise.
#[test]
fn slabs_of_an_ensemble() {
    let options = Options::default().with_noise(0.7).with_seed(3).with_ensemble(true);
    let of = |w, h, part| compare_with(options.clone(), &NETWORKS[0], &Device::Cpu, (w, h), part);
    assert!(of(131, 151, 0.9).is_some_and(|(count, _)| count > 1));
}

/// A host whose device takes only small bindings.
#[test]
fn small_bindings_are_enough() {
    let config = Network::default();
    let shape = Shape::new(1, 3, 384, 512);
    let target = Target::Gpu { max_binding: 9 << 20, kernels: Kernels::Gpu };
    let (cut_graph, plan) = Cut::within(&config, shape, target, u64::MAX).unwrap();
    assert!(cut_graph.cut.count > 1 && cut_graph.cut.keep_features, "{:?}", cut_graph.cut);
    for (_, places) in plan.steps.iter().flat_map(|s| &s.dispatches) {
        places.iter().for_each(|at| assert!(at.words() * 4 <= 9 << 20, "{at:?}"));
    }
}

#[test]
fn slabs_are_multiples_of_the_tiles() {
    let config = Network::from(Sasnet::new(&[1, 1], 4).unwrap());
    let cut_graph = Cut { count: 3, keep_features: true }.graph(&config, Shape::new(1, 3, 500, 8)).unwrap();
    let heights: Vec<usize> = cut_graph.x.iter().map(|x| cut_graph.graph.shape(*x).h).collect();
    assert_eq!((heights.iter().sum::<usize>(), heights.len()), (500, 3));
    assert!(heights[..2].iter().all(|h| h.is_multiple_of(4 * SLAB_ROWS)), "{heights:?}");
}

/// What the whole network takes for the paper's picture, and a 24-megapixel photograph in a gigabyte and a half.
#[test]
fn the_full_network_is_small() {
    let config = Network::default();
    let gpu = |kernels| Target::Gpu { max_binding: 1 << 27, kernels };
    let megabytes = |plan: &Plan| plan.peak_bytes() as f64 / 1e6;
    let plan = Cut::within(&config, Shape::new(1, 3, 384, 512), gpu(Kernels::Gpu), u64::MAX).unwrap().1;
    assert!(megabytes(&plan) < 48.0, "{:.1} MB", megabytes(&plan));
    let photo = Shape::new(1, 3, 4000, 6000);
    let (cut_graph, plan) = Cut::within(&config, photo, gpu(Kernels::Gpu), 1_500_000_000).unwrap();
    println!("24 megapixels: {:?}, {:.0} MB, {} dispatches", cut_graph.cut, megabytes(&plan), plan.dispatches());
}
