//! A training pass that rebuilds activations gives the gradient of one that keeps them.

mod support;

use sasnet::lab::train::step::{self, Settings};
use sasnet::low_level::exec::{CpuExecutor, Device, Executor};
use sasnet::low_level::graph::Value;
use sasnet::low_level::kernel::{Kernels, RunParams};
use sasnet::low_level::net::training::Pass;
use sasnet::low_level::net::{Latent, Network, Sasnet};
use sasnet::low_level::ops::Graph;
use sasnet::low_level::ops::noise::Noise;
use sasnet::low_level::plan::Target;
use sasnet::low_level::tensor::{Shape, worst};
use sasnet::low_level::weights::Weights;

const RUN_PARAMS: RunParams = RunParams {
    seed: [3, 5],
    noise_scale: 1.0,
    clip: f32::INFINITY,
    learning_rate: 0.0,
    correction1: 1.0,
    correction2: 1.0,
    average: 0.0,
};

/// A network's pass over pictures of a shape.
struct Case {
    config: Network,
    shape: Shape,
    params: Vec<f32>,
}

/// What a pass gives: the loss, the flat gradient, and the largest error of what was rebuilt.
struct Result {
    loss: f64,
    grads: Vec<f64>,
    rebuilt: Option<f64>,
}

impl Case {
    fn new(config: &Network, seed: u64) -> Case {
        let shape = Shape::new(2, 3, 16 * config.scale(), 20 * config.scale());
        Case { config: config.clone(), shape, params: support::with_latent(Weights::initial(config, seed)).params }
    }

    fn graph(&self, store_activations: bool) -> (Graph, [Value; 2], Pass) {
        let mut g = Graph::new(self.config.layout());
        let [x, target] = ["x", "target"].map(|name| g.input(name, self.shape));
        let noise = self.config.noise_shape(self.shape).map(|shape| Noise { shape, first_row: 0, first_image: 0 });
        let noise = noise.map(|noise| g.apply1("noise", noise, &[]).unwrap());
        let pass = self.config.training(&mut g, [x, target], noise, store_activations).unwrap();
        (g, [x, target], pass)
    }

    fn pictures(&self) -> [Vec<f32>; 2] {
        [1, 4].map(|seed| {
            let picture = |seed| support::picture(self.shape.h, self.shape.w, seed).data;
            [picture(seed), picture(seed + 1)].concat()
        })
    }

    fn in_f64(&self, store_activations: bool) -> Result {
        let (g, inputs, pass) = self.graph(store_activations);
        let params = g.params();
        let mut exec = CpuExecutor::<f64>::new(g).unwrap();
        exec.poison();
        let [x, target] = self.pictures();
        for (value, data) in [(inputs[0], &x), (inputs[1], &target), (params, &self.params)] {
            exec.get_mut(value).iter_mut().zip(data).for_each(|(to, from)| *to = f64::from(*from));
        }
        exec.run(&RUN_PARAMS);
        Result::of(&pass, |value| exec.get(value).to_vec())
    }

    fn on(&self, device: &Device, store_activations: bool) -> Result {
        let (g, inputs, pass) = self.graph(store_activations);
        let params = g.params();
        let mut exec = Executor::new(g, device).unwrap();
        exec.poison().unwrap();
        let [x, target] = self.pictures();
        for (value, data) in [(inputs[0], &x), (inputs[1], &target), (params, &self.params)] {
            exec.write(value, data).unwrap();
        }
        exec.run(&RUN_PARAMS).unwrap();
        Result::of(&pass, |value| exec.read(value).unwrap().into_iter().map(f64::from).collect())
    }

    /// Of each parameter, by how much of its largest value the gradient differs.
    fn errors(&self, got: &Result, want: &Result) -> Vec<f64> {
        let layout = self.config.layout();
        let error = |range: std::ops::Range<usize>| {
            let (got, want) = (&got.grads[range.clone()], &want.grads[range]);
            let largest = want.iter().fold(0f64, |a, b| a.max(b.abs())).max(f64::MIN_POSITIVE);
            worst(got.iter().zip(want).map(|(g, w)| (g - w).abs() / largest))
        };
        layout.entries().iter().map(|entry| error(entry.range())).collect()
    }
}

impl Result {
    fn of(pass: &Pass, mut read: impl FnMut(Value) -> Vec<f64>) -> Result {
        let (loss, grads) = (read(pass.loss)[0], read(pass.grads));
        let error = |pair: &[Value; 2]| {
            let (was, is) = (read(pair[0]), read(pair[1]));
            worst(was.iter().zip(&is).map(|(a, b)| (a - b).abs()))
        };
        Result { loss, grads, rebuilt: pass.rebuilt.iter().map(error).reduce(f64::max) }
    }
}

/// x2, x4 and x8, with attention and without, z kept and dropped; a last level of one block has only the part of it
/// that y_cor needs.
fn configs() -> Vec<Network> {
    let blocks: [&[usize]; 4] = [&[4], &[2, 2], &[1], &[1, 2, 1]];
    let network = |blocks: &[usize], attention, latent| {
        Network::from(Sasnet::new(blocks, 8).unwrap().with_attention(attention).with_latent(latent))
    };
    let kinds = [true, false].into_iter().flat_map(|attention| Latent::ALL.map(|latent| (attention, latent)));
    let kinds: Vec<_> = kinds.collect();
    blocks
        .iter()
        .flat_map(|blocks| kinds.iter().map(|(attention, latent)| network(blocks, *attention, *latent)))
        .collect()
}

/// `run` with activations rebuilt and with activations stored must agree in every parameter's gradient, in one of so
/// many draws of the weights: in f32 one draw in fifteen has an activation or two maxima so near to where LeakyReLU or
/// the maximum turn that rounding decides, and some tensors' gradients jump by 1e-4 to 4e-3 (with stored activations
/// from f64 just so).
fn agree(what: &str, run: impl Fn(&Case, bool) -> Result, draws: u64, tolerance: f64) {
    for config in configs() {
        let mut least = vec![f64::INFINITY; config.layout().entries().len()];
        for seed in 0..draws {
            let case = Case::new(&config, seed);
            let (rebuilding, storing) = (run(&case, false), run(&case, true));
            let errors = case.errors(&rebuilding, &storing);
            let worst = errors.iter().copied().fold(0.0, f64::max);
            let rebuilt = rebuilding.rebuilt.expect("values are rebuilt");
            println!("{config:?} {what}: gradients differ by {worst:.1e}, rebuilt to {rebuilt:.1e}");
            least.iter_mut().zip(errors).for_each(|(least, error)| *least = least.min(error));
            assert!(rebuilt <= tolerance && storing.rebuilt.is_none(), "{config:?} {what}: rebuilt to {rebuilt}");
            assert!((rebuilding.loss - storing.loss).abs() <= 1e-6 * storing.loss, "{config:?} {what}: the loss");
        }
        let layout = config.layout();
        let wrong = layout.entries().iter().zip(least).filter(|(_, least)| *least > tolerance);
        let wrong: Vec<String> = wrong.map(|(entry, least)| format!("{}: {least:.1e}", entry.name)).collect();
        assert!(wrong.is_empty(), "{config:?} {what}:\n{}", wrong.join("\n"));
    }
}

#[test]
fn cpu_f64() {
    agree("f64", Case::in_f64, 1, 1e-11);
}

#[test]
fn cpu_f32() {
    agree("f32", |case, store| case.on(&Device::Cpu, store), 3, 1e-4);
}

#[test]
fn gpu() {
    for kernels in [Kernels::Gpu, Kernels::SoftwareSimd] {
        let device = Device::Gpu(support::gpu_with(kernels));
        agree(&format!("{kernels:?}"), |case, store| case.on(&device, store), 3, 1e-4);
    }
}

/// Mixed precision: with the kernels that keep hidden maps in f16 the way forward is in f16, and the way back, which
/// computes the same maps again, in f32. Its gradient must be that of f64 to 1 %, as a whole: f16 rounds each map to
/// 5e-4, and activations near 0 take the other side of the LeakyReLU.
#[test]
fn gradients_hold_in_mixed_precision() {
    for kernels in support::half_kernels() {
        let device = Device::Gpu(support::gpu_with(kernels));
        for config in configs() {
            let case = Case::new(&config, 0);
            let (mixed, want) = (case.on(&device, false), case.in_f64(false));
            let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
            let error = norm(&mut mixed.grads.iter().zip(&want.grads).map(|(a, b)| a - b));
            let error = error / norm(&mut want.grads.iter().copied());
            let loss = (mixed.loss - want.loss).abs() / want.loss;
            let rebuilt = mixed.rebuilt.unwrap();
            println!("{config:?} {kernels:?}: gradient {error:.1e}, loss {loss:.1e}, rebuilt to {rebuilt:.1e}");
            assert!(
                error < 0.01 && loss < 1e-3 && rebuilt < 1e-2,
                "{config:?} {kernels:?}: {error}, {loss}, {rebuilt}"
            );
            assert!(error > 1e-6, "{config:?} {kernels:?}: nothing is in f16");
        }
    }
}

/// The comparison would notice a wrong gradient: here that of a weight that is off by 1e-3.
#[test]
fn another_gradient_is_noticed() {
    let case = Case::new(&configs()[0], 0);
    let mut other = Case::new(&configs()[0], 0);
    let weight = case.config.layout().get("blocks.2.g1.conv3.weight").unwrap().offset;
    other.params[weight] += 1e-3;
    let errors = case.errors(&other.in_f64(false), &case.in_f64(true));
    assert!(errors.iter().any(|error| *error > 1e-4), "{errors:?}");
}

/// Memory of a step of the paper's networks and batch, all in all.
#[test]
fn a_step_of_the_paper_fits_512_mb() {
    let tiles = Target::Gpu { max_binding: u64::MAX, kernels: Kernels::Gpu };
    let lanes = Target::Gpu { max_binding: u64::MAX, kernels: Kernels::SoftwareSimd };
    for target in [Target::Cpu { threads: 2 }, Target::Cpu { threads: 64 }, tiles, lanes] {
        for blocks in [&[16][..], &[8, 8], &[8, 8, 8]] {
            let config = Network::from(Sasnet::new(blocks, 64).unwrap());
            let bytes = step::plan(&config, &Settings::default(), target).unwrap().peak_bytes();
            assert!(bytes <= 512 << 20, "{blocks:?} on {target:?}: {bytes} bytes");
        }
    }
    // It does not grow with the depth, but for parameters: weights, two gradients and Adam's moments.
    let of = |depth| {
        let config = Network::from(Sasnet::new(&[depth], 64).unwrap());
        let plan = step::plan(&config, &Settings::default(), Target::Cpu { threads: 2 }).unwrap();
        plan.peak_bytes() - 5 * 4 * config.layout().len() as u64
    };
    assert!(of(32) < of(4) + (1 << 20), "{} and {} bytes", of(32), of(4));
}
