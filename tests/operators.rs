//! Every operator, forward and backward, three ways: the kernels and the f32 CPU code against the CPU in f64, the f64
//! gradients against finite differences, and each kernel made wrong on purpose, which the same comparison must catch.

#[path = "operators/cases.rs"]
mod cases;
#[path = "operators/dawn.rs"]
mod dawn;
#[path = "operators/deep.rs"]
mod deep;
#[path = "operators/mutations.rs"]
mod mutations;
mod support;

use cases::*;
use mutations::{MUTATIONS, Mutation};
use sasnet::low_level::exec::{CpuExecutor, Device, Executor};
use sasnet::low_level::gpu::{Gpu, reflect};
use sasnet::low_level::graph::{Layout, Value};
use sasnet::low_level::kernel::{Kernels, MatrixUnit, Operand, RunParams};
use sasnet::low_level::net::{Network, Sasnet, residual::LEAKY_SLOPE, residual::residual};
use sasnet::low_level::ops::{
    Graph, Op, Operator, SHADERS, adam::Adam, add, add::Add, add::Scale, average::Average,
    channel_attention::ChannelGate, channel_attention::ChannelStats, channels::Concat, channels::Split,
    conv3x3::Conv3x3, conv3x3::Epilogue, conv3x3::GatedConv3x3, coupling::Coupling, exp_scale::ExpScale, gate::Gate,
    gaussian, gaussian::Border, gaussian::Gaussian, grad_norm::GradNorm, gradient_step::GradientStep,
    gradient_step::Penalty, guided::Guide, guided::Guided, haar::Haar, haar_inverse::HaarInverse,
    joint_bilateral::JointBilateral, lab::Lab, loss::L1Loss, max_pool::MaxPool, muon::Matrix, muon::Muon, noise::Noise,
    pair_weights::PairWeights, pcg::PcgStart, pcg::Solution, periodic_solve, periodic_solve::PeriodicSolve,
    pixel_conv::PixelConv, rows::Rows, rtv_weights::RtvWeights, shader, sigmoid_gate::SigmoidGate,
    spatial_attention::SpatialGate, spatial_attention::SpatialStats,
};
use sasnet::low_level::plan::{Plan, Target};
use sasnet::low_level::tensor::{Shape, worst};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Arc, LazyLock};

/// Random numbers in [-1, 1), the same everywhere.
struct Random(u32);

impl Random {
    fn new(seed: usize) -> Random {
        Random((seed as u32).wrapping_mul(0x9E37_79B9) ^ 0x1234_5678)
    }

    fn vec(&mut self, len: usize) -> Vec<f32> {
        let mut next = || {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 17;
            self.0 ^= self.0 << 5;
            (self.0 >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..len).map(|_| next()).collect()
    }
}

/// How a tensor is compared, and how far it may be off relative to its largest value.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// 1e-5
    Forward,
    /// 1e-4
    Gradient,
    /// A hidden map in f16, of 11 bits: half a unit in the last place, 2^-11, and what sums in f32 leave.
    Hidden,
}

impl Kind {
    fn tolerance(self) -> f64 {
        match self {
            Kind::Forward => 1e-5,
            Kind::Gradient => 1e-4,
            Kind::Hidden => 2f64.powi(-11) + 1e-5,
        }
    }
}

/// A tensor that is compared after each run; all of it or a range.
struct Compared {
    name: String,
    value: Value,
    kind: Kind,
    range: Option<Range<usize>>,
}

/// One operator on given inputs, as a graph with its gradient.
struct Case {
    /// The operator's file.
    stem: &'static str,
    name: String,
    graph: Graph,
    /// `graph` before the gradient's operators were added.
    forward: Graph,
    /// Set before each run.
    inputs: Vec<(Value, Vec<f32>)>,
    /// Set before the first run.
    state: Vec<(Value, Vec<f32>)>,
    /// One run each.
    runs: Vec<RunParams>,
    /// Outputs with their upstream gradients.
    of: Vec<(Value, Option<Value>)>,
    /// Inputs with their gradients.
    wrt: Vec<(Value, Value)>,
    compared: Vec<Compared>,
    /// What f64 says, for each run and each of `compared`.
    want: Vec<Vec<f64>>,
}

impl Case {
    /// `op` on inputs, with the gradients of those that `wrt` marks.
    fn new(stem: &'static str, op: impl Into<Op>, inputs: Vec<(Shape, Vec<f32>)>, wrt: &[bool]) -> Case {
        let op = op.into();
        let has_upstream = match op {
            Op::Split(_) => 2,
            Op::L1Loss(_) | Op::NeighbourLoss(_) | Op::SquaredLoss(_) | Op::EdgeLoss(_) => 0,
            _ => 1,
        };
        let name = format!("{op:?}");
        Case::of(stem, name, inputs, wrt, has_upstream, |g, x| g.apply(stem, op, x).unwrap())
    }

    /// What `build` makes of inputs: its values are compared, the first `has_upstream` of them have upstream gradients
    /// (0: the first is a loss).
    fn of(
        stem: &'static str,
        name: String,
        inputs: Vec<(Shape, Vec<f32>)>,
        wrt: &[bool],
        has_upstream: usize,
        build: impl FnOnce(&mut Graph, &[Value]) -> Vec<Value>,
    ) -> Case {
        let mut graph = Graph::new(Layout::default());
        let shapes: Vec<Shape> = inputs.iter().map(|(shape, _)| *shape).collect();
        let mut inputs: Vec<(Value, Vec<f32>)> = (inputs.into_iter().enumerate())
            .map(|(i, (shape, data))| (graph.input(&format!("input {i}"), shape), data))
            .collect();
        let values: Vec<Value> = inputs.iter().map(|(v, _)| *v).collect();
        let outputs = build(&mut graph, &values);
        let mut compared = vec![];
        for (i, &value) in outputs.iter().enumerate() {
            graph.output(value);
            compared.push(Compared { name: format!("output {i}"), value, kind: Kind::Forward, range: None });
        }
        let forward = graph.clone();
        let (mut of, mut gradients) = (vec![], vec![]);
        if wrt.contains(&true) {
            let mut random = Random::new(shapes[0].len());
            for &y in &outputs[..has_upstream.max(1)] {
                let shape = graph.shape(y);
                let dy = (has_upstream > 0).then(|| graph.input("dy", shape));
                inputs.extend(dy.map(|dy| (dy, random.vec(shape.len()))));
                of.push((y, dy));
            }
            let wanted: Vec<Value> = values.iter().zip(wrt).filter(|(_, w)| **w).map(|(v, _)| *v).collect();
            let (_, d) = graph.vjp(&of, &wanted).unwrap();
            for (i, (&x, &dx)) in wanted.iter().zip(&d).enumerate() {
                graph.output(dx);
                let name = format!("gradient {i}");
                compared.push(Compared { name, value: dx, kind: Kind::Gradient, range: None });
                gradients.push((x, dx));
            }
        }
        let name = format!("{name} of {shapes:?}");
        let (state, runs, want) = (vec![], vec![RunParams::default()], vec![]);
        Case { stem, name, graph, forward, inputs, state, runs, of, wrt: gradients, compared, want }.finish()
    }

    /// Computes what f64 says.
    fn finish(mut self) -> Case {
        let mut exec = CpuExecutor::<f64>::new(self.graph.clone()).unwrap();
        let set = |exec: &mut CpuExecutor<f64>, list: &[(Value, Vec<f32>)]| {
            for (value, data) in list {
                exec.get_mut(*value).iter_mut().zip(data).for_each(|(to, from)| *to = f64::from(*from));
            }
        };
        self.want.clear();
        set(&mut exec, &self.state);
        for run_params in &self.runs {
            exec.poison();
            set(&mut exec, &self.inputs);
            exec.run(run_params);
            self.want.extend(self.compared.iter().map(|c| {
                let all = exec.get(c.value);
                all[c.range.clone().unwrap_or(0..all.len())].to_vec()
            }));
        }
        self
    }

    fn with_run_params(self, run_params: RunParams) -> Case {
        Case { runs: vec![run_params], ..self }.finish()
    }

    /// Everything that is compared, for each run.
    fn run(&self, exec: &mut Executor) -> Vec<Vec<f32>> {
        let mut out = vec![];
        for (value, data) in &self.state {
            exec.write(*value, data).unwrap();
        }
        for run_params in &self.runs {
            exec.poison().unwrap();
            // The flat array of gradients is no reusable buffer.
            for c in self.compared.iter().filter(|c| c.range.is_some()) {
                exec.write(c.value, &vec![f32::NAN; self.graph.shape(c.value).len()]).unwrap();
            }
            for (value, data) in &self.inputs {
                exec.write(*value, data).unwrap();
            }
            exec.run(run_params).unwrap();
            for c in &self.compared {
                let all = exec.read(c.value).unwrap();
                out.push(all[c.range.clone().unwrap_or(0..all.len())].to_vec());
            }
        }
        out
    }

    /// The comparison: every tensor with its error.
    fn compare(&self, got: &[Vec<f32>]) -> Vec<(String, Kind, f64)> {
        assert_eq!((got.len(), self.want.len()), (self.runs.len() * self.compared.len(), got.len()), "{}", self.name);
        let rows = got.iter().zip(&self.want).enumerate().map(|(i, (got, want))| {
            let c = &self.compared[i % self.compared.len()];
            let got: Vec<f64> = got.iter().map(|v| f64::from(*v)).collect();
            let run = if self.runs.len() > 1 { format!(", run {}", i / self.compared.len()) } else { String::new() };
            (format!("{}: {}{run}", self.name, c.name), c.kind, relative_error(&got, want))
        });
        rows.collect()
    }

    /// Kernels that it runs on a GPU: shader and entry point.
    fn kernels(&self, kernels: Kernels) -> Vec<(&'static str, &'static str)> {
        let plan = Plan::new(&self.graph, Target::Gpu { max_binding: 1 << 27, kernels }).unwrap();
        let dispatches = plan.steps.iter().flat_map(|step| &step.dispatches).chain(&plan.prepack.kernels);
        dispatches.map(|(d, _)| (d.shader.stem, d.entry)).collect()
    }

    /// Does the comparison fail on this device?
    fn is_wrong_on(&self, device: &Device) -> bool {
        let mut exec = Executor::new(self.graph.clone(), device).unwrap();
        self.compare(&self.run(&mut exec)).iter().any(|(_, kind, error)| wrong(*error, kind.tolerance()))
    }
}

/// max |got - want| / max |want|; NaN where a number is none.
fn relative_error(got: &[f64], want: &[f64]) -> f64 {
    assert_eq!(got.len(), want.len());
    let largest = want.iter().fold(0f64, |a, b| a.max(b.abs()));
    let error = worst(got.iter().zip(want).map(|(g, w)| (g - w).abs()));
    if error == 0.0 { 0.0 } else { error / largest }
}

/// NaN is wrong, too.
fn wrong(error: f64, tolerance: f64) -> bool {
    error.is_nan() || error > tolerance
}

/// All comparisons of a test: the largest error of each operator, and what is off.
#[derive(Default)]
struct Report {
    tensors: usize,
    worst: BTreeMap<(&'static str, String), f64>,
    wrong: Vec<String>,
}

impl Report {
    fn add(&mut self, stem: &'static str, what: &str, name: &str, error: f64, tolerance: f64) {
        self.tensors += 1;
        let worst = self.worst.entry((stem, what.into())).or_default();
        *worst = worst.max(error);
        if wrong(error, tolerance) {
            self.wrong.push(format!("{name}: {error:.1e} > {tolerance:.0e}"));
        }
    }

    fn finish(self, title: &str) {
        println!("{title}: {} tensors; largest relative errors", self.tensors);
        self.worst.iter().for_each(|((stem, what), error)| println!("  {stem:18} {what:8} {error:.1e}"));
        let list = self.wrong.join("\n");
        assert!(self.wrong.is_empty(), "{title}: {} of {} are off\n{list}", self.wrong.len(), self.tensors);
    }
}

/// Every case on a device, twice.
fn all<'a>(title: &str, cases: impl IntoIterator<Item = &'a Case>, device: &Device) {
    let mut report = Report::default();
    for case in cases {
        let mut exec = Executor::new(case.graph.clone(), device).unwrap();
        let got = case.run(&mut exec);
        for (name, kind, error) in case.compare(&got) {
            report.add(case.stem, &format!("{kind:?}"), &name, error, kind.tolerance());
        }
        let bits = |list: &[Vec<f32>]| list.iter().flatten().map(|v| v.to_bits()).collect::<Vec<_>>();
        let again = case.run(&mut exec);
        report.add(case.stem, "again", &format!("{}: again", case.name), f64::from(bits(&got) != bits(&again)), 0.0);
    }
    report.finish(title);
}

#[test]
fn gpu_tiles_agree_with_f64_and_with_themselves() {
    all("GPU, tiles", CASES.iter(), &Device::Gpu(support::gpu_with(Kernels::Gpu)));
}

/// All but convolutions are as of tiles.
#[test]
fn gpu_narrow_tiles_agree_with_f64_and_with_themselves() {
    let convolutions = CASES.iter().filter(|case| case.stem == "conv3x3");
    all("GPU, narrow tiles", convolutions, &Device::Gpu(support::gpu_with(Kernels::GpuNarrow)));
}

#[test]
fn gpu_lanes_agree_with_f64_and_with_themselves() {
    all("GPU, lanes", CASES.iter(), &Device::Gpu(support::gpu_with(Kernels::SoftwareSimd)));
}

/// Devices without 64-bit integers load pairs otherwise.
#[test]
fn gpu_lanes_of_32_bits_agree_with_f64_and_with_themselves() {
    let gpu = support::gpu_with(Kernels::SoftwareSimd);
    let gpu = Gpu::from_device(gpu.device().clone(), gpu.queue().clone()).with_kernels(Kernels::SoftwareSimd);
    let convolutions = CASES.iter().filter(|case| case.stem == "conv3x3");
    all("GPU, lanes of 32 bits", convolutions, &Device::Gpu(Arc::new(gpu.with_words_of_32_bits())));
}

#[test]
fn cpu_agrees_with_f64_and_with_itself() {
    all("CPU", CASES.iter(), &Device::Cpu);
}

/// Without hidden maps these kernels are those for tiles, which another test runs.
#[test]
fn gpu_hidden_maps_agree_with_f64_and_with_themselves() {
    for kernels in support::half_kernels() {
        for case in HALF_CASES.iter() {
            let plan = Plan::new(&case.graph, Target::Gpu { max_binding: 1 << 27, kernels }).unwrap();
            assert!(plan.regions.iter().flatten().any(|at| at.half), "{} has hidden maps", case.name);
        }
        all(&format!("GPU, {}", kernels.name()), HALF_CASES.iter(), &Device::Gpu(support::gpu_with(kernels)));
    }
}

/// An output does not depend on how high the image is, nor where its tile begins: rows computed alone, from a multiple
/// of 16 on and with those around them, are those of the whole, to the bit.
#[test]
fn rows_alone_are_those_of_the_whole() {
    let (config, halo, w) = (Network::from(Sasnet::new(&[1], 20).unwrap().with_attention(false)), 3, 37);
    let all = [vec![Kernels::SoftwareSimd, Kernels::Gpu], support::half_kernels()].concat();
    let x = Random::new(7).vec(9 * 80 * w);
    for kernels in all {
        let run = |first: usize, rows: usize| {
            let mut graph = Graph::new(config.layout());
            let input = graph.input("x", Shape::new(1, 9, rows, w));
            let y = residual(&mut graph, "blocks.0.g1", input).unwrap();
            graph.output(y);
            let params = Random::new(3).vec(graph.layout().len()).into_iter().map(|v| v / 8.0).collect::<Vec<_>>();
            let mut exec = Executor::new(graph.clone(), &Device::Gpu(support::gpu_with(kernels))).unwrap();
            exec.poison().unwrap();
            exec.write(graph.params(), &params).unwrap();
            let part: Vec<f32> = (0..9).flat_map(|c| &x[(c * 80 + first) * w..][..rows * w]).copied().collect();
            exec.write(input, &part).unwrap();
            exec.run(&RunParams::default()).unwrap();
            exec.read(y).unwrap()
        };
        let whole = run(0, 80);
        for (first, rows) in [(0, 21), (16, 40), (32, 48), (48, 17)] {
            let part = run(first, rows);
            let own = if first == 0 { 0 } else { halo }..if first + rows == 80 { rows } else { rows - halo };
            for (c, row) in (0..3).flat_map(|c| own.clone().map(move |row| (c, row))) {
                let bits = |y: &[f32], at: usize| y[at * w..][..w].iter().map(|v| v.to_bits()).collect::<Vec<_>>();
                let (got, want) = (bits(&part, c * rows + row), bits(&whole, c * 80 + first + row));
                assert_eq!(got, want, "{}, rows from {first}: channel {c}, row {row}", kernels.name());
            }
        }
    }
}

/// A grid of more workgroups than one dimension takes is folded; no smaller case gets there.
#[test]
fn a_long_grid_is_folded() {
    let len = 65_535 * 256 + 257;
    let mut graph = Graph::new(Layout::default());
    let x = graph.input("x", Shape::new(1, 1, 1, len));
    let y = graph.apply1("scale", Scale { k: 2.0 }, &[x]).unwrap();
    graph.output(y);
    let mut exec = Executor::new(graph, &Device::Gpu(support::gpu())).unwrap();
    exec.poison().unwrap();
    let data: Vec<f32> = (0..len).map(|i| i as f32).collect();
    exec.write(x, &data).unwrap();
    exec.run(&RunParams::default()).unwrap();
    let got = exec.read(y).unwrap();
    let off = got.iter().zip(&data).position(|(y, x)| *y != 2.0 * x);
    assert_eq!(off, None, "first wrong element");
}

/// Gradients in f64 against central differences of the sum of outputs times upstream gradients, for every element of
/// every input and parameter.
#[test]
fn gradients_agree_with_finite_differences() {
    const STEP: f64 = 1e-5;
    let shape = Shape::new(2, 3, 3, 5);
    let mut cases = vec![
        elementwise(Add { beta: 1.0 }, "add", 2, shape),
        elementwise(Add { beta: -1.0 }, "add", 2, shape),
        elementwise(Scale { k: -0.3 }, "add", 1, shape),
        elementwise(ExpScale { sign: 1.0 }, "exp_scale", 1, shape),
        elementwise(ExpScale { sign: -1.0 }, "exp_scale", 1, shape),
        elementwise(Coupling { inverse: false }, "coupling", 3, shape),
        elementwise(Coupling { inverse: true }, "coupling", 3, shape),
        elementwise(SigmoidGate, "sigmoid_gate", 2, shape),
        loss(shape, false),
        haar((2, 3, 2, 3), false),
        haar((2, 3, 2, 3), true),
        conv((2, 3, 0, 4, 4, 5, true, BOTH)),
        conv((2, 4, 0, 3, 3, 5, false, BOTH)),
        conv((2, 2, 3, 4, 3, 4, true, BOTH)),
        conv((1, 2, 3, 4, 3, 4, false, [false, true])),
        conv((1, 2, 3, 2, 3, 4, false, [true, false])),
        conv_with(Some(0.0), (2, 2, 3, 4, 3, 4, true, BOTH)),
        max_pool((2, 3, 5, 6), false),
        pixel_conv((2, 3, 4, 3, 4, 1)),
        pixel_conv((2, 3, 2, 3, 4, 2)),
        channel_attention((2, 5, 4, 3, 4), false),
        channel_attention((1, 3, 4, 1, 1), false),
        gate((2, 5, 3, 4)),
        subnet("g2", 4, true, (1, 4, 3)),
        subnet("g2", 3, false, (2, 3, 3)),
    ];
    cases.extend(channels((2, 2, 3, 3, 4)));
    cases.extend(spatial_attention((2, 5, 3, 4), false));
    cases.extend(spatial_attention((1, 3, 8, 5), false));
    cases.extend(deep::small());
    let mut report = Report::default();
    for case in &cases {
        let wide = |list: &[(Value, Vec<f32>)]| -> Vec<(Value, Vec<f64>)> {
            list.iter().map(|(v, data)| (*v, data.iter().map(|x| f64::from(*x)).collect())).collect()
        };
        let mut data = wide(&[&case.state[..], &case.inputs].concat());
        let set = |exec: &mut CpuExecutor<f64>, data: &[(Value, Vec<f64>)]| {
            data.iter().for_each(|(v, x)| exec.get_mut(*v).copy_from_slice(x));
        };
        let mut backward = CpuExecutor::<f64>::new(case.graph.clone()).unwrap();
        set(&mut backward, &data);
        backward.run(&RunParams::default());
        let upstream: Vec<Vec<f64>> = (case.of.iter())
            .map(|(_, dy)| dy.map_or(vec![1.0], |dy| data.iter().find(|(v, _)| *v == dy).expect("an input").1.clone()))
            .collect();
        let mut forward = CpuExecutor::<f64>::new(case.forward.clone()).unwrap();
        // The upstream gradients are no part of the forward graph.
        data.retain(|(v, _)| case.of.iter().all(|(_, dy)| *dy != Some(*v)));
        let mut scalar = |data: &[(Value, Vec<f64>)]| {
            set(&mut forward, data);
            forward.run(&RunParams::default());
            let term = |((y, _), dy): (&(Value, _), &Vec<f64>)| -> f64 {
                forward.get(*y).iter().zip(dy).map(|(y, dy)| y * dy).sum()
            };
            case.of.iter().zip(&upstream).map(term).sum::<f64>()
        };
        for (i, (x, dx)) in case.wrt.iter().enumerate() {
            let at = data.iter().position(|(v, _)| v == x).expect("an input or a parameter");
            let numbers: Vec<f64> = (0..data[at].1.len())
                .map(|i| {
                    let mut with = |step: f64| {
                        let before = data[at].1[i];
                        data[at].1[i] = before + step;
                        let value = scalar(&data);
                        data[at].1[i] = before;
                        value
                    };
                    (with(STEP) - with(-STEP)) / (2.0 * STEP)
                })
                .collect();
            let error = relative_error(backward.get(*dx), &numbers);
            report.add(case.stem, "", &format!("{}: gradient {i}", case.name), error, 1e-7);
        }
    }
    report.finish("finite differences");
}

/// Against a singular value decomposition that is known beforehand: Muon keeps the vectors, and makes of each value what
/// the polynomial makes of it five times.
#[test]
fn muon_changes_singular_values_alone() {
    let values = [1.0, 0.5, 0.2, 0.05, 0.01, 0.003];
    let (rows, columns) = (values.len(), 20);
    // Row k of the orthonormal cosine transform of n numbers.
    let cosine = |n: usize, k: usize, i: usize| {
        let scale = if k == 0 { 1.0 } else { 2.0 } / n as f64;
        scale.sqrt() * (std::f64::consts::PI * k as f64 * (i as f64 + 0.5) / n as f64).cos()
    };
    let matrix = |values: &dyn Fn(usize) -> f64| -> Vec<f64> {
        let element = |i: usize, j: usize| -> f64 {
            (0..rows).map(|k| cosine(rows, k, i) * values(k) * cosine(columns, k, j)).sum()
        };
        (0..rows * columns).map(|at| element(at / columns, at % columns)).collect()
    };
    let norm = values.iter().map(|v| v * v).sum::<f64>().sqrt();
    let near_1 = |value: f64| (0..5).fold(value, |v, _| v * (3.4445 + v * v * (-4.7750 + v * v * 2.0315)));
    let changed = values.map(|value| near_1(value / norm));
    assert!(changed.iter().all(|v| (0.68..1.21).contains(v)), "{changed:?}");

    let case = muon(&[(rows, columns)], f32::INFINITY, 1, |len| vec![0.0; len]);
    let mut exec = CpuExecutor::<f64>::new(case.graph.clone()).unwrap();
    let first = places(&[(rows, columns)]).0[0].offset;
    let grad = matrix(&|k| 1e-3 * values[k]);
    exec.get_mut(case.inputs[0].0)[first..first + grad.len()].copy_from_slice(&grad);
    exec.run(&case.runs[0]);
    let got = exec.get(case.state[0].0)[first..first + grad.len()].to_vec();
    let step = f64::from(case.runs[0].learning_rate) * 0.7 * (columns as f64).sqrt();
    let want = matrix(&|k| -step * changed[k]);
    let error = relative_error(&got, &want);
    assert!(error < 1e-10, "{error:.1e}");
}

/// A comparison that nothing can fail proves nothing: each of the wrong kernels must fail it.
#[test]
fn wrong_kernels_are_caught() {
    let half = support::half_kernels();
    let matrix = matrix_stem(&half);
    // A run that is there for these kernels need not repeat the others.
    let only_matrix = std::env::var("SASNET_KERNELS").is_ok_and(|kernels| kernels == "matrix");
    let mutations: Vec<&Mutation> =
        MUTATIONS.iter().filter(|(stem, ..)| !only_matrix || *stem == "conv3x3_matrix").collect();
    let missed: Vec<String> = (mutations.iter())
        .filter(|(stem, entry, from, to)| {
            let (kernels, stem) = match (*stem, *entry) {
                ("conv3x3_lanes", _) | (_, "pool_rows" | "gates_rows") => (Kernels::SoftwareSimd, *stem),
                ("conv3x3_narrow", _) => (Kernels::GpuNarrow, "conv3x3"),
                ("conv3x3_matrix", _) => match (half.last(), matrix) {
                    (Some(kernels), Some(stem)) => (*kernels, stem),
                    _ => return false,
                },
                (_, "forward_hidden" | "forward_hidden_stats") if half.is_empty() => return false,
                (_, "forward_hidden" | "forward_hidden_stats") => (Kernels::GpuF16, *stem),
                _ => (Kernels::Gpu, *stem),
            };
            // The same device with caches of its own.
            let gpu = support::gpu_with(kernels);
            let broken = Gpu::from_device(gpu.device().clone(), gpu.queue().clone()).with_kernels(kernels);
            let device = Device::Gpu(Arc::new(broken.with_shader_replacement(shader(stem).unwrap(), from, to)));
            let cases = CASES.iter().chain(HALF_CASES.iter());
            let concerned = cases.filter(|case| case.kernels(kernels).contains(&(stem, entry)));
            !concerned.into_iter().any(|case| case.is_wrong_on(&device))
        })
        .map(|mutation| format!("{mutation:?}"))
        .collect();
    println!("{} wrong kernels", mutations.len());
    assert!(missed.is_empty(), "{} of {} are not caught\n{}", missed.len(), mutations.len(), missed.join("\n"));
}

/// The shader for the adapter's cooperative matrices. That of another size is written by the same code, and cannot run.
fn matrix_stem(half: &[Kernels]) -> Option<&'static str> {
    let Some(Kernels::Matrix(unit)) = half.last() else { return None };
    Some(if unit.side == 8 { "conv3x3_matrix8" } else { "conv3x3_matrix16" })
}

#[test]
#[should_panic(expected = "occurs nowhere in shaders/add.wgsl")]
fn a_replacement_must_be_there() {
    let gpu = support::gpu();
    let _ = Gpu::from_device(gpu.device().clone(), gpu.queue().clone()).with_shader_replacement(
        &add::SHADER,
        "nowhere",
        "",
    );
}

/// No kernel is left out of the cases, nor of the wrong ones.
#[test]
fn every_kernel_is_compared_and_made_wrong() {
    // As on a device that can run all; matrices of 16x16 are made wrong in the same way.
    let matrix = Kernels::Matrix(MatrixUnit { side: 8, subgroup_size: 8 });
    let half = [Kernels::GpuF16, matrix];
    let matrix_stem = matrix_stem(&half).expect("matrices are the last");
    let mut kernels = BTreeSet::new();
    for shader in SHADERS.iter().filter(|shader| !shader.matrices || shader.stem == matrix_stem) {
        for variant in shader.variants() {
            let entries = reflect::Reflection::of(shader, variant.half).entries;
            kernels.extend(entries.into_keys().map(|entry| (shader.stem.to_string(), entry)));
        }
    }
    let run = |cases: &[Case], all: &[Kernels]| -> BTreeSet<_> {
        cases
            .iter()
            .flat_map(|case| all.iter().flat_map(|kernels| case.kernels(*kernels)).collect::<Vec<_>>())
            .collect()
    };
    let compared = &run(&CASES, &[Kernels::Gpu, Kernels::SoftwareSimd]) | &run(&HALF_CASES, &half);
    let own = |stem: &'static str| match stem {
        "conv3x3_matrix" => matrix_stem,
        "conv3x3_narrow" => "conv3x3",
        stem => stem,
    };
    let broken: BTreeSet<_> = MUTATIONS.iter().map(|(stem, entry, ..)| (own(stem), *entry)).collect();
    for (set, what) in [(compared, "compared"), (broken, "made wrong")] {
        let set: BTreeSet<_> = set.into_iter().map(|(stem, entry)| (stem.to_string(), entry.to_string())).collect();
        assert_eq!(set, kernels, "{what}");
    }
}
