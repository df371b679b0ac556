//! Every tensor of the outside fixtures (float64 results of independent JAX models), on each executor.

#[path = "fixtures/deep.rs"]
mod deep;
mod support;

use safetensors::{Dtype, SafeTensors};
use sasnet::low_level::exec::{CpuExecutor, GpuExecutor};
use sasnet::low_level::graph::{Layout, Value};
use sasnet::low_level::kernel::{Kernels, RunParams};
use sasnet::low_level::net::residual::residual;
use sasnet::low_level::net::sasnet::{downscale, structure, upscale};
use sasnet::low_level::net::{Network, Sasnet, Sizes, training::loss};
use sasnet::low_level::ops::{Graph, Op, Real, adam::Adam, grad_norm::GradNorm};
use sasnet::low_level::tensor::{Shape, worst};
use std::collections::HashMap;
use std::path::PathBuf;

/// A fixture file in memory.
struct Fixture {
    name: String,
    tensors: HashMap<String, (Vec<usize>, Vec<f64>)>,
    metadata: HashMap<String, String>,
}

impl Fixture {
    fn all() -> Vec<Fixture> {
        let dir = std::env::var_os("SASNET_FIXTURES").map_or(PathBuf::from("tests/fixtures"), PathBuf::from);
        let mut files: Vec<PathBuf> = std::fs::read_dir(&dir)
            .unwrap_or_else(|e| panic!("{}: {e}", dir.display()))
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|e| e == "safetensors"))
            .collect();
        files.sort();
        assert!(!files.is_empty(), "no .safetensors in {}", dir.display());
        files.iter().map(|path| Fixture::read(path)).collect()
    }

    fn read(path: &std::path::Path) -> Fixture {
        let bytes = std::fs::read(path).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let metadata = SafeTensors::read_metadata(&bytes).unwrap().1.metadata().clone().unwrap_or_default();
        let metadata = metadata.into_iter().collect();
        let tensors = file.tensors().into_iter().map(|(name, view)| {
            let data = match view.dtype() {
                Dtype::F32 => bytemuck::pod_collect_to_vec::<u8, f32>(view.data()).iter().map(|&v| v.into()).collect(),
                Dtype::F64 => bytemuck::pod_collect_to_vec::<u8, f64>(view.data()),
                other => panic!("{name} is {other:?}"),
            };
            (name, (view.shape().to_vec(), data))
        });
        Fixture { name: path.file_stem().unwrap().to_string_lossy().into(), tensors: tensors.collect(), metadata }
    }

    fn shape(&self, name: &str) -> Shape {
        let [n, c, h, w] = self.tensors[name].0[..] else { panic!("{name} has four dimensions") };
        Shape::new(n, c, h, w)
    }

    fn data(&self, name: &str) -> &[f64] {
        &self.tensors[name].1
    }

    fn number(&self, key: &str) -> f64 {
        self.metadata[key].parse().unwrap()
    }

    fn is_subnet(&self) -> bool {
        self.tensors.contains_key("dy")
    }

    /// Of a network that is no SASNet: parameters are generated, and gradients sampled (`tools/reference/unet_jax.py`).
    fn is_sampled(&self) -> bool {
        self.metadata.contains_key("architecture")
    }

    fn config(&self) -> Network {
        let said = |key: &str| self.metadata.get(key).map(String::as_str);
        let mut sizes = Sizes::default();
        sizes.features = said("features").map(|features| features.parse().unwrap());
        sizes.blocks = said("blocks")
            .or(self.is_subnet().then_some("1"))
            .map(|blocks| blocks.split(',').map(|b| b.parse().unwrap()).collect());
        sizes.attention = said("attention").map(|attention| attention == "cbam");
        sizes.latent = said("latent").map(|latent| latent.parse().unwrap());
        Network::build(said("architecture").unwrap_or("sasnet"), &sizes).unwrap()
    }
}

/// What the tests need of an executor.
trait Executor {
    fn new(graph: Graph) -> Self;
    fn set(&mut self, value: Value, data: &[f64]);
    fn get(&mut self, value: Value) -> Vec<f64>;
    fn run(&mut self, run_params: &RunParams);
}

/// A GPU executor with the lanes kernels, or with the tiles kernels.
struct On<const LANES: bool>(GpuExecutor);

impl<const LANES: bool> Executor for On<LANES> {
    fn new(graph: Graph) -> Self {
        let kernels = if LANES { Kernels::SoftwareSimd } else { Kernels::Gpu };
        let executor = GpuExecutor::new(graph, support::gpu_with(kernels)).unwrap();
        executor.poison().unwrap();
        On(executor)
    }
    fn set(&mut self, value: Value, data: &[f64]) {
        self.0.write(value, &data.iter().map(|v| *v as f32).collect::<Vec<_>>()).unwrap();
    }
    fn get(&mut self, value: Value) -> Vec<f64> {
        self.0.read(value).unwrap().into_iter().map(f64::from).collect()
    }
    fn run(&mut self, run_params: &RunParams) {
        self.0.run(run_params).unwrap();
    }
}

impl<T: Real> Executor for CpuExecutor<T> {
    fn new(graph: Graph) -> Self {
        let mut executor = CpuExecutor::new(graph).unwrap();
        executor.poison();
        executor
    }
    fn set(&mut self, value: Value, data: &[f64]) {
        for (to, from) in self.get_mut(value).iter_mut().zip(data) {
            *to = T::of(*from);
        }
    }
    fn get(&mut self, value: Value) -> Vec<f64> {
        CpuExecutor::get(self, value).iter().map(|v| v.to_f64().unwrap()).collect()
    }
    fn run(&mut self, run_params: &RunParams) {
        CpuExecutor::run(self, run_params);
    }
}

/// Largest errors allowed, relative to the tensor's largest value.
struct Tolerance {
    output: f64,
    gradient: f64,
    losses: f64,
    trained: f64,
}

/// The bar for f32.
const F32: Tolerance = Tolerance { output: 2e-6, gradient: 3e-5, losses: 3e-6, trained: 3e-5 };
/// f64 agrees to rounding; what follows a training step, to the f32 of its learning rate.
const F64: Tolerance = Tolerance { output: 1e-12, gradient: 1e-11, losses: 1e-8, trained: 1e-8 };

/// Compares tensors and lists all that are off.
#[derive(Default)]
struct Report {
    compared: usize,
    wrong: Vec<String>,
    worst: HashMap<&'static str, f64>,
}

impl Report {
    fn compare(&mut self, kind: &'static str, name: &str, got: &[f64], want: &[f64], tolerance: f64) {
        assert_eq!(got.len(), want.len(), "{name}");
        let largest = want.iter().fold(0f64, |a, b| a.max(b.abs())).max(f64::MIN_POSITIVE);
        let error = worst(got.iter().zip(want).map(|(g, w)| (g - w).abs() / largest));
        self.compared += 1;
        let of_kind = self.worst.entry(kind).or_default();
        *of_kind = worst([*of_kind, error]);
        if error > tolerance || error.is_nan() {
            self.wrong.push(format!("{name}: {error:.1e} > {tolerance:.0e}"));
        }
    }

    fn finish(self, name: &str, of: usize) {
        println!("{name}: {} tensors, largest relative errors {:?}", self.compared, self.worst);
        assert!(
            self.wrong.is_empty(),
            "{name}: {} of {} are off\n{}",
            self.wrong.len(),
            self.compared,
            self.wrong.join("\n")
        );
        assert_eq!(self.compared, of, "{name}: every tensor is compared");
    }
}

fn sasnet(network: &Network) -> &Sasnet {
    let Network::Sasnet(sasnet) = network else { panic!("{network:?} is no SASNet") };
    sasnet
}

/// Sets the parameters under `prefix`, whose names in the fixture are without it.
fn set_params<E: Executor>(exec: &mut E, graph: &Graph, fixture: &Fixture, prefix: &str) {
    exec.set(graph.params(), &params(fixture, graph.layout(), prefix));
}

fn params(fixture: &Fixture, layout: &Layout, prefix: &str) -> Vec<f64> {
    let mut params = vec![0.0; layout.len()];
    for entry in layout.entries() {
        let Some(name) = entry.name.strip_prefix(prefix) else { continue };
        params[entry.range()].copy_from_slice(fixture.data(&format!("param.{name}")));
    }
    params
}

fn subnet<E: Executor>(fixture: &Fixture, tolerance: &Tolerance) {
    let config = fixture.config();
    let name = if fixture.number("ci") == 9.0 { "blocks.0.g1" } else { "blocks.0.g2" };
    let mut graph = Graph::new(config.layout());
    let x = graph.input("x", fixture.shape("x"));
    let dy = graph.input("dy", fixture.shape("dy"));
    let y = residual(&mut graph, name, x).unwrap();
    let (grads, dx) = graph.vjp(&[(y, Some(dy))], &[x]).unwrap();
    [y, dx[0]].into_iter().for_each(|v| graph.output(v));
    let mut exec = E::new(graph.clone());
    set_params(&mut exec, &graph, fixture, &format!("{name}."));
    exec.set(x, fixture.data("x"));
    exec.set(dy, fixture.data("dy"));
    exec.run(&RunParams::default());
    let mut report = Report::default();
    report.compare("output", "y", &exec.get(y), fixture.data("y"), tolerance.output);
    report.compare("gradient", "grad.x", &exec.get(dx[0]), fixture.data("grad.x"), tolerance.gradient);
    let grads = exec.get(grads);
    for entry in graph.layout().entries() {
        let Some(short) = entry.name.strip_prefix(&format!("{name}.")) else { continue };
        let want = fixture.data(&format!("grad.{short}"));
        report.compare("gradient", &format!("grad.{short}"), &grads[entry.range()], want, tolerance.gradient);
    }
    let parameters = fixture.tensors.keys().filter(|k| k.starts_with("param.")).count();
    // All but x, dy and the parameters are results.
    report.finish(&fixture.name, fixture.tensors.len() - 2 - parameters);
}

fn network<E: Executor>(fixture: &Fixture, tolerance: &Tolerance) {
    let config = fixture.config();
    let mut report = Report::default();

    // The network and all gradients, with noise given, then Adam.
    let mut graph = Graph::new(config.layout());
    let x = graph.input("x", fixture.shape("x"));
    let target = graph.input("target", fixture.shape("target"));
    let noise = config.takes_noise().then(|| graph.input("noise", fixture.shape("noise")));
    let (y_cor, z) = downscale(&mut graph, sasnet(&config), x, noise.is_none()).unwrap();
    let latent = noise.unwrap_or_else(|| structure(&mut graph, y_cor, z).unwrap());
    let y = upscale(&mut graph, sasnet(&config), y_cor, latent).unwrap();
    let loss = loss(&mut graph, y, target).unwrap();
    let (grads, dx) = graph.backward(loss, &[x]).unwrap();
    let [m, v] = ["adam.m", "adam.v"].map(|name| graph.persistent_like_params(name));
    let clip = graph.apply1("clip", GradNorm, &[grads]).unwrap();
    let params = graph.params();
    graph.apply_in_place("adam", Op::Adam(Adam::default()), &[grads, clip], &[params, m, v]).unwrap();
    [y_cor, latent, y, loss, dx[0]].into_iter().for_each(|v| graph.output(v));
    let mut exec = E::new(graph.clone());
    set_params(&mut exec, &graph, fixture, "");
    let mut losses = vec![];
    for step in 1..=fixture.data("train.losses").len() {
        for (value, name) in [(Some(x), "x"), (Some(target), "target"), (noise, "noise")] {
            value.into_iter().for_each(|value| exec.set(value, fixture.data(name)));
        }
        exec.run(&run_params(fixture, step));
        losses.push(exec.get(loss)[0]);
        if step == 1 {
            report.compare("output", "y_cor", &exec.get(y_cor), fixture.data("y_cor"), tolerance.output);
            if noise.is_none() {
                report.compare("output", "latent", &exec.get(latent), fixture.data("latent"), tolerance.output);
            }
            report.compare("output", "y", &exec.get(y), fixture.data("y"), tolerance.output);
            report.compare("losses", "loss", &losses, fixture.data("loss"), tolerance.losses);
            report.compare("gradient", "grad.x", &exec.get(dx[0]), fixture.data("grad.x"), tolerance.gradient);
            let grads = exec.get(grads);
            for entry in graph.layout().entries() {
                let name = format!("grad.{}", entry.name);
                report.compare("gradient", &name, &grads[entry.range()], fixture.data(&name), tolerance.gradient);
            }
        }
    }
    report.compare("losses", "train.losses", &losses, fixture.data("train.losses"), tolerance.losses);
    let trained = exec.get(graph.params());
    for entry in graph.layout().entries() {
        let name = format!("trained.{}", entry.name);
        report.compare("trained", &name, &trained[entry.range()], fixture.data(&name), tolerance.trained);
    }

    // The same gradients with activations rebuilt.
    let mut graph = Graph::new(config.layout());
    let mut input = |name| graph.input(name, fixture.shape(name));
    let [x, target] = ["x", "target"].map(&mut input);
    let noise = config.takes_noise().then(|| input("noise"));
    let pass = config.training(&mut graph, [x, target], noise, false).unwrap();
    let mut exec = E::new(graph.clone());
    set_params(&mut exec, &graph, fixture, "");
    for (value, name) in [(Some(x), "x"), (Some(target), "target"), (noise, "noise")] {
        value.into_iter().for_each(|value| exec.set(value, fixture.data(name)));
    }
    exec.run(&RunParams::default());
    report.compare("losses", "loss", &exec.get(pass.loss), fixture.data("loss"), tolerance.losses);
    let grads = exec.get(pass.grads);
    for entry in graph.layout().entries() {
        let name = format!("grad.{}", entry.name);
        report.compare("gradient, rebuilt", &name, &grads[entry.range()], fixture.data(&name), tolerance.gradient);
    }

    // The round trip, with z kept, and the transform alone.
    let mut graph = Graph::new(config.layout());
    let x = graph.input("x", fixture.shape("x"));
    let haar = graph.apply1("haar", sasnet::low_level::ops::haar::Haar { scale: 0.25 }, &[x]).unwrap();
    let (y_cor, z) = downscale(&mut graph, sasnet(&config), x, true).unwrap();
    let round_trip = upscale(&mut graph, sasnet(&config), y_cor, z).unwrap();
    [haar, z, round_trip].into_iter().for_each(|v| graph.output(v));
    let mut exec = E::new(graph.clone());
    set_params(&mut exec, &graph, fixture, "");
    exec.set(x, fixture.data("x"));
    exec.run(&RunParams::default());
    for (name, value) in [("haar", haar), ("z", z), ("round_trip", round_trip)] {
        report.compare("output", name, &exec.get(value), fixture.data(name), tolerance.output);
    }
    report.compare("round trip", "round_trip = x", &exec.get(round_trip), fixture.data("x"), tolerance.output);

    // All but x, target, noise and the parameters are results; gradients, loss and round trip are compared twice, and
    // there are as many gradients as parameters.
    report.finish(&fixture.name, fixture.tensors.len() - if noise.is_some() { 3 } else { 2 } + 2);
}

/// The parameters of a network of Table 3, flat: a linear congruential generator's numbers in [-1, 1) times sqrt(6 /
/// fan_in) of the weight, all in f32.
fn generated(fixture: &Fixture) -> Vec<f64> {
    let layout = fixture.config().layout();
    let mut params = vec![0.0; layout.len()];
    let (mut state, mut bound) = (fixture.number("seed") as u32, 0f32);
    for entry in layout.entries() {
        if entry.name.ends_with("weight") {
            bound = (6.0 / entry.fan_in() as f64).sqrt() as f32;
        }
        for v in &mut params[entry.range()] {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *v = f64::from(((state >> 8) as f32 / (1 << 23) as f32 - 1.0) * bound);
        }
    }
    params
}

/// The elements of a tensor that a fixture of Table 3 has, which are `count`.
fn sampled(values: &[f64], count: usize) -> Vec<f64> {
    (0..count).map(|i| values[i * values.len() / count]).collect()
}

/// A whole network that is no SASNet: forward, gradient, training.
fn sampled_network<E: Executor>(fixture: &Fixture, tolerance: &Tolerance) {
    let mut report = Report::default();
    let mut graph = Graph::new(fixture.config().layout());
    let [x, target] = ["x", "target"].map(|name| graph.input(name, fixture.shape(name)));
    let y = fixture.config().smooth(&mut graph, &[x], true).unwrap()[0];
    let loss = loss(&mut graph, y, target).unwrap();
    let (grads, dx) = graph.backward(loss, &[x]).unwrap();
    let clip = graph.apply1("clip", GradNorm, &[grads]).unwrap();
    let [m, v] = ["adam.m", "adam.v"].map(|name| graph.persistent_like_params(name));
    let params = graph.params();
    graph.apply_in_place("adam", Op::Adam(Adam::default()), &[grads, clip], &[params, m, v]).unwrap();
    [y, loss, dx[0], clip].into_iter().for_each(|v| graph.output(v));
    let mut exec = E::new(graph.clone());
    exec.set(params, &generated(fixture));
    let compare_params = |report: &mut Report, kind, prefix: &str, got: &[f64], tolerance| {
        for entry in graph.layout().entries() {
            let (name, values) = (format!("{prefix}.{}", entry.name), &got[entry.range()]);
            let want = fixture.data(&name);
            report.compare(kind, &name, &sampled(values, want.len()), want, tolerance);
        }
    };
    let mut losses = vec![];
    for step in 1..=fixture.data("train.losses").len() {
        [(x, "x"), (target, "target")].into_iter().for_each(|(value, name)| exec.set(value, fixture.data(name)));
        exec.run(&run_params(fixture, step));
        losses.push(exec.get(loss)[0]);
        if step == 1 {
            report.compare("output", "y", &exec.get(y), fixture.data("y"), tolerance.output);
            report.compare("gradient", "grad.x", &exec.get(dx[0]), fixture.data("grad.x"), tolerance.gradient);
            report.compare("gradient", "norm", &exec.get(clip)[..1], fixture.data("norm"), tolerance.gradient);
            compare_params(&mut report, "gradient", "grad", &exec.get(grads), tolerance.gradient);
        }
    }
    report.compare("losses", "train.losses", &losses, fixture.data("train.losses"), tolerance.losses);
    compare_params(&mut report, "trained", "trained", &exec.get(params), tolerance.trained);
    // All but x and target are results.
    report.finish(&fixture.name, fixture.tensors.len() - 2);
}

fn run_params(fixture: &Fixture, step: usize) -> RunParams {
    RunParams {
        clip: fixture.number("clip") as f32,
        learning_rate: fixture.number("lr") as f32,
        correction1: (1.0 - 0.9f64.powi(step as i32)) as f32,
        correction2: (1.0 - 0.999f64.powi(step as i32)) as f32,
        ..RunParams::default()
    }
}

fn all<E: Executor>(tolerance: &Tolerance) {
    for fixture in Fixture::all() {
        if deep::is_deep(&fixture) {
            deep::compare::<E>(&fixture, tolerance.output < 1e-9);
            continue;
        }
        let compare = match (fixture.is_subnet(), fixture.is_sampled()) {
            (true, _) => subnet::<E>,
            (_, true) => sampled_network::<E>,
            _ => network::<E>,
        };
        compare(&fixture, tolerance);
    }
}

#[test]
fn cpu_f64() {
    all::<CpuExecutor<f64>>(&F64);
}

#[test]
fn cpu_f32() {
    all::<CpuExecutor<f32>>(&F32);
}

#[test]
fn gpu_tiles() {
    all::<On<false>>(&F32);
}

#[test]
fn gpu_lanes() {
    all::<On<true>>(&F32);
}

/// Inference with hidden maps in f16.
#[test]
fn gpu_hidden() {
    for kernels in support::half_kernels() {
        for fixture in Fixture::all().iter().filter(|fixture| !fixture.is_subnet()) {
            if deep::is_deep(fixture) {
                deep::compare_hidden(fixture, kernels);
                continue;
            }
            let config = fixture.config();
            let mut graph = Graph::new(config.layout());
            let x = graph.input("x", fixture.shape("x"));
            let (mut inputs, mut outputs) = (vec![(x, "x")], vec![]);
            if fixture.is_sampled() {
                outputs.push((config.smooth(&mut graph, &[x], true).unwrap()[0], "y"));
            } else {
                let noise = config.takes_noise().then(|| graph.input("noise", fixture.shape("noise")));
                let (y_cor, z) = downscale(&mut graph, sasnet(&config), x, noise.is_none()).unwrap();
                let latent = noise.unwrap_or_else(|| structure(&mut graph, y_cor, z).unwrap());
                inputs.extend(noise.map(|noise| (noise, "noise")));
                outputs.extend([(y_cor, "y_cor"), (upscale(&mut graph, sasnet(&config), y_cor, latent).unwrap(), "y")]);
            }
            outputs.iter().for_each(|(v, _)| graph.output(*v));
            let exec = GpuExecutor::new(graph.clone(), support::gpu_with(kernels)).unwrap();
            exec.poison().unwrap();
            let f32s = |data: &[f64]| data.iter().map(|v| *v as f32).collect::<Vec<_>>();
            if fixture.is_sampled() {
                exec.write(graph.params(), &f32s(&generated(fixture))).unwrap();
            } else {
                exec.write(graph.params(), &f32s(&params(fixture, graph.layout(), ""))).unwrap();
            }
            for (value, name) in inputs {
                exec.write(value, &f32s(fixture.data(name))).unwrap();
            }
            exec.run(&RunParams::default()).unwrap();
            let mut report = Report::default();
            let results = outputs.len();
            for (value, name) in outputs {
                let got: Vec<f64> = exec.read(value).unwrap().into_iter().map(f64::from).collect();
                report.compare("output", name, &got, fixture.data(name), config.f16_error() / 2048.0);
            }
            report.finish(&format!("{}, {}", fixture.name, kernels.name()), results);
        }
    }
}
