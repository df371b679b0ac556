//! Every operator, forward and backward, three ways: the kernels and the f32 CPU code against the CPU in f64, the f64
//! gradients against finite differences, and each kernel made wrong on purpose, which the same comparison must catch.

mod common;
#[path = "operators/mutations.rs"]
mod mutations;

use mutations::{MUTATIONS, Mutation};
use sasnet::exec::{CpuExecutor, Device, Executor};
use sasnet::gpu::{Gpu, reflect};
use sasnet::graph::{Graph, Layout, Value};
use sasnet::kernel::{Globals, Kernels, MatrixUnit, Operand};
use sasnet::net::{self, Config};
use sasnet::ops::{
    Op, Operator, adam::Adam, add::Add, add::Scale, average::Average, channel_attention::ChannelGate,
    channel_attention::ChannelStats, channels::Concat, channels::Split, conv3x3::Conv3x3, conv3x3::GatedConv3x3,
    conv3x3::Then, coupling::Coupling, exp_scale::ExpScale, gate::Gate, grad_norm::GradNorm, haar::Haar,
    haar_inverse::HaarInverse, loss::L1Loss, max_pool::MaxPool, noise::Noise, pixel_conv::PixelConv, rows::Rows,
    spatial_attention::SpatialGate, spatial_attention::SpatialStats,
};
use sasnet::plan::{Plan, Target};
use sasnet::tensor::Shape;
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
    runs: Vec<Globals>,
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
            Op::L1Loss(_) => 0,
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
        let (state, runs, want) = (vec![], vec![Globals::default()], vec![]);
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
        for globals in &self.runs {
            exec.poison();
            set(&mut exec, &self.inputs);
            exec.run(globals);
            self.want.extend(self.compared.iter().map(|c| {
                let all = exec.get(c.value);
                all[c.range.clone().unwrap_or(0..all.len())].to_vec()
            }));
        }
        self
    }

    fn with_globals(self, globals: Globals) -> Case {
        Case { runs: vec![globals], ..self }.finish()
    }

    /// Everything that is compared, for each run.
    fn run(&self, exec: &mut Executor) -> Vec<Vec<f32>> {
        let mut out = vec![];
        for (value, data) in &self.state {
            exec.write(*value, data).unwrap();
        }
        for globals in &self.runs {
            exec.poison().unwrap();
            // The flat array of gradients is no reusable buffer.
            for c in self.compared.iter().filter(|c| c.range.is_some()) {
                exec.write(c.value, &vec![f32::NAN; self.graph.shape(c.value).len()]).unwrap();
            }
            for (value, data) in &self.inputs {
                exec.write(*value, data).unwrap();
            }
            exec.run(globals).unwrap();
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
        let dispatches = plan.steps.iter().flat_map(|step| &step.dispatches).chain(&plan.prepare);
        dispatches.map(|(d, _)| (d.shader, d.entry)).collect()
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
    // A NaN must count as wrong: `max` would drop it.
    let errors = got.iter().zip(want).map(|(g, w)| (g - w).abs());
    let error = errors.fold(0f64, |a, b| if b > a || b.is_nan() { b } else { a });
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

/// Shapes for what works element by element: 1, primes, a workgroup (256) and one more and one less.
const SHAPES: [Shape; 7] = [
    Shape::new(1, 1, 1, 1),
    Shape::new(3, 3, 1, 17),
    Shape::new(1, 9, 7, 13),
    Shape::new(3, 5, 1, 17),
    Shape::new(1, 1, 16, 16),
    Shape::new(1, 1, 257, 1),
    Shape::new(1, 17, 31, 11),
];

fn elementwise(op: impl Into<Op> + Clone, stem: &'static str, inputs: usize, shape: Shape) -> Case {
    let mut random = Random::new(shape.len());
    let inputs = (0..inputs).map(|_| (shape, random.vec(shape.len()))).collect::<Vec<_>>();
    let wrt = vec![true; inputs.len()];
    Case::new(stem, op, inputs, &wrt)
}

/// The scale of a coupling, over the whole range that a bad start can give.
fn exp_scale(sign: f32, shape: Shape) -> Case {
    let mut x = Random::new(shape.len()).vec(shape.len());
    for (i, x) in x.iter_mut().enumerate() {
        *x = match i % 7 {
            3 if i % 2 == 1 => 50f32.copysign(*x),
            3 => 200f32.copysign(*x),
            4 => *x * 10.0,
            5 => 0.0,
            _ => *x * 2.0,
        };
    }
    Case::new("exp_scale", ExpScale { sign }, vec![(shape, x)], &[true])
}

fn haar((n, c, h, w): (usize, usize, usize, usize), inverse: bool) -> Case {
    let mut random = Random::new(n * c * h * w);
    let len = 4 * n * c * h * w;
    if inverse {
        let x = (Shape::new(n, 4 * c, h, w), random.vec(len));
        Case::new("haar_inverse", HaarInverse { scale: 1.0 }, vec![x], &[true])
    } else {
        let x = (Shape::new(n, c, 2 * h, 2 * w), random.vec(len));
        Case::new("haar", Haar { scale: 0.25 }, vec![x], &[true])
    }
}

/// Batch, channels, first row and rows of three slabs of 9, 14 and 7 rows.
fn rows((n, c, first, count): (usize, usize, usize, usize)) -> Case {
    let mut random = Random::new(n * c * first + count);
    let slabs = [9, 14, 7].map(|h| Shape::new(n, c, h, 11));
    Case::new("rows", Rows { first, count }, slabs.map(|s| (s, random.vec(s.len()))).to_vec(), &[])
}

fn channels((n, ca, cb, h, w): (usize, usize, usize, usize, usize)) -> [Case; 2] {
    let mut random = Random::new(n * ca * cb * h * w);
    let [a, b, x] = [ca, cb, ca + cb].map(|c| (Shape::new(n, c, h, w), random.vec(n * c * h * w)));
    [
        Case::new("channels", Concat, vec![a, b], &[true, true]),
        Case::new("channels", Split { first: ca }, vec![x], &[true]),
    ]
}

/// Batch, channels of x and r (0: none) and of y, rows, columns, LeakyReLU, and which of x and r need a gradient.
type Conv = (usize, usize, usize, usize, usize, usize, bool, [bool; 2]);

fn conv(conv: Conv) -> Case {
    conv_with(conv.6.then_some(net::LEAKY_SLOPE), conv)
}

/// The same with a LeakyReLU of another slope.
fn conv_with(slope: Option<f64>, (n, cx, cr, co, h, w, _, needs): Conv) -> Case {
    let case = |seed, slope| {
        let mut random = Random::new(seed);
        let weights = [Shape::new(co, cx + cr, 3, 3), Shape::new(1, co, 1, 1)];
        let maps = [cx, cr].map(|c| Shape::new(n, c, h, w));
        let maps = if cr == 0 { &maps[..1] } else { &maps[..] };
        let inputs = maps.iter().chain(&weights).map(|s| (*s, random.vec(s.len()))).collect();
        Case::new("conv3x3", Conv3x3 { slope }, inputs, &[&needs[..maps.len()], &[true, true]].concat())
    };
    // Where y would be nearer to 0 than f32 can tell, the gradient of the LeakyReLU may take either side.
    let clear = |seed: &usize| {
        let y = &case(*seed, None).want[0];
        slope.is_none() || y.iter().all(|v| v.abs() * y.len() as f64 > 0.3)
    };
    case((0..).find(clear).expect("the numbers do not end"), slope)
}

/// A convolution whose output is exactly 0: which side of the LeakyReLU that is must be the same everywhere.
fn conv_at_kink(slope: f64) -> Case {
    let mut random = Random::new(3);
    let [x, w, b] = [Shape::new(2, 3, 5, 7), Shape::new(5, 3, 3, 3), Shape::new(1, 5, 1, 1)];
    let inputs = vec![(x, vec![0.0; x.len()]), (w, random.vec(w.len())), (b, vec![0.0; b.len()])];
    Case::new("conv3x3", Conv3x3 { slope: Some(slope) }, inputs, &[true; 3])
}

/// Batch, channels, rows and columns of y.
fn max_pool((n, c, h, w): (usize, usize, usize, usize), ties: bool) -> Case {
    let shape = Shape::new(n, c, 2 * h, 2 * w);
    let x = Random::new(shape.len()).vec(shape.len());
    Case::new("max_pool", MaxPool, vec![(shape, if ties { with_ties(x) } else { x })], &[true])
}

/// Batch, channels of x and y, rows and columns of x, side.
fn pixel_conv((n, ci, co, h, w, side): (usize, usize, usize, usize, usize, usize)) -> Case {
    let mut random = Random::new(n * ci * co * h * w);
    let weight = if side == 1 { Shape::new(co, ci, 1, 1) } else { Shape::new(ci, co, 2, 2) };
    let shapes = [Shape::new(n, ci, h, w), weight, Shape::new(1, co, 1, 1)];
    Case::new("pixel_conv", PixelConv { side }, shapes.map(|s| (s, random.vec(s.len()))).to_vec(), &[true; 3])
}

/// What may follow a gated convolution, and how many maps it reads beside its output.
const THENS: [(Then, usize); 7] = [
    (Then::Nothing, 0),
    (Then::Add(Add { beta: 1.0 }), 1),
    (Then::Add(Add { beta: -1.0 }), 1),
    (Then::ExpScale(ExpScale { sign: 1.0 }), 0),
    (Then::ExpScale(ExpScale { sign: -1.0 }), 0),
    (Then::Coupling(Coupling { inverse: false }), 2),
    (Then::Coupling(Coupling { inverse: true }), 2),
];

/// Batch, channels of x, r and y, rows, columns.
fn gated_conv(
    (n, cx, cr, co, h, w): (usize, usize, usize, usize, usize, usize),
    (then, beside): (Then, usize),
) -> Case {
    let mut random = Random::new(n * cx * cr * co * h * w);
    let maps = [Shape::new(n, cx, h, w), Shape::new(n, cr, h, w), Shape::new(n, cr, 1, 1), Shape::new(n, 1, h, w)];
    let weights = [Shape::new(co, cx + cr, 3, 3), Shape::new(1, co, 1, 1)];
    let beside = vec![Shape::new(n, co, h, w); beside];
    let inputs = maps.iter().chain(&weights).chain(&beside).map(|s| (*s, random.vec(s.len()))).collect();
    Case::new("conv3x3", GatedConv3x3 { slope: None, then }, inputs, &[])
}

/// A convolution whose output's statistics are taken: batch, channels of x and y, rows, columns.
fn conv_and_stats((n, cx, co, h, w): (usize, usize, usize, usize, usize)) -> Case {
    let mut random = Random::new(n * cx * co * h * w);
    let shapes = [Shape::new(n, cx, h, w), Shape::new(co, cx, 3, 3), Shape::new(1, co, 1, 1)];
    let inputs = shapes.map(|s| (s, random.vec(s.len()))).to_vec();
    Case::of("conv3x3", "convolution with statistics".into(), inputs, &[], 1, |g, x| {
        let y = g.apply1("conv", Conv3x3 { slope: Some(net::LEAKY_SLOPE) }, x).unwrap();
        vec![y, g.apply1("stats", ChannelStats, &[y]).unwrap()]
    })
}

/// Few different values, so that most maxima are ties.
fn with_ties(values: Vec<f32>) -> Vec<f32> {
    values.iter().map(|v| (v * 3.0).round() / 3.0 - 0.5).collect()
}

/// Batch, channels, hidden width, rows, columns.
fn channel_attention((n, f, k, h, w): (usize, usize, usize, usize, usize), ties: bool) -> Case {
    let mut random = Random::new(n * f * h * w + k);
    let shapes = [(n, f, h, w), (k, f, 1, 1), (1, k, 1, 1), (f, k, 1, 1), (1, f, 1, 1)];
    let mut inputs = shapes
        .map(|(n, c, h, w)| {
            let shape = Shape::new(n, c, h, w);
            (shape, random.vec(shape.len()))
        })
        .to_vec();
    if ties {
        inputs[0].1 = with_ties(inputs[0].1.clone());
    }
    Case::of("channel_attention", format!("channel gates, ties {ties},"), inputs, &[true; 5], 1, |g, x| {
        let tiles = g.apply1("stats", ChannelStats, &x[..1]).unwrap();
        let gate = ChannelGate { pixels: h * w };
        let mut outputs = g.apply("gate", gate, &[&[tiles], &x[1..]].concat()).unwrap();
        outputs.push(tiles);
        outputs
    })
}

/// Batch, channels, rows, columns.
fn spatial_attention((n, f, h, w): (usize, usize, usize, usize), ties: bool) -> [Case; 2] {
    let mut random = Random::new(n * f * h * w);
    let r = random.vec(n * f * h * w);
    // Gates of two kinds, so that ties stay ties.
    let gates = (0..n * f).map(|i| if i % 3 == 0 { 0.5 } else { 0.75 }).collect();
    let map = (Shape::new(n, f, h, w), if ties { with_ties(r) } else { r });
    let stats = vec![
        (Shape::new(n, 2, h, w), random.vec(n * 2 * h * w)),
        (Shape::new(1, 2, 7, 7), random.vec(98).iter().map(|v| v / 4.0).collect()),
        (Shape::SCALAR, random.vec(1)),
    ];
    [
        Case::new("spatial_attention", SpatialStats, vec![map, (Shape::new(n, f, 1, 1), gates)], &[true; 2]),
        Case::new("spatial_attention", SpatialGate, stats, &[true; 3]),
    ]
}

/// Batch, channels, rows, columns.
fn gate((n, f, h, w): (usize, usize, usize, usize)) -> Case {
    let mut random = Random::new(n * f * h * w);
    let shapes = [Shape::new(n, f, h, w), Shape::new(n, f, 1, 1), Shape::new(n, 1, h, w)];
    Case::new("gate", Gate, shapes.map(|s| (s, random.vec(s.len()))).to_vec(), &[true; 3])
}

/// `equal`: every third pair of elements is equal, where the gradient is 0.
fn loss(shape: Shape, equal: bool) -> Case {
    let mut random = Random::new(shape.len());
    let (y, mut target) = (random.vec(shape.len()), random.vec(shape.len()));
    if equal {
        target.iter_mut().zip(&y).step_by(3).for_each(|(t, y)| *t = *y);
    }
    Case::new("loss", L1Loss, vec![(shape, y), (shape, target)], &[true, false])
}

fn noise(shape: Shape) -> [Case; 3] {
    let some = Globals { seed: [0x1234_5678, 0x9abc_def0], origin: [1000, 7], noise_scale: 0.7, ..Globals::default() };
    let settings = [some, Globals { origin: [u32::MAX, 12], ..some }, Globals { noise_scale: 0.0, ..some }];
    let mut first_row = 0;
    settings.map(|globals| {
        first_row += 5;
        Case::new("noise", Noise { shape, first_row }, vec![], &[]).with_globals(globals)
    })
}

fn grad_norm(len: usize, clip: f32) -> Case {
    let shape = Shape::new(1, 1, 1, len);
    let grad = Random::new(len).vec(len);
    Case::new("grad_norm", GradNorm, vec![(shape, grad)], &[]).with_globals(Globals { clip, ..Globals::default() })
}

/// Four steps with the clipping in front; `size` is that of the gradient, so that `eps` matters where it is small.
fn adam(len: usize, clip: f32, size: f32) -> Case {
    let shape = Shape::new(1, 1, 1, len);
    let mut random = Random::new(len);
    let mut graph = Graph::new(Layout::default());
    let grad = graph.input("grad", shape);
    let state = ["w", "m", "v"].map(|name| graph.persistent(name, shape));
    let factor = graph.apply1("clip", GradNorm, &[grad]).unwrap();
    graph.apply_in_place("adam", Adam::default(), &[grad, factor], &state).unwrap();
    graph.output(factor);
    let value = |(name, value): (&str, Value)| Compared { name: name.into(), value, kind: Kind::Forward, range: None };
    let compared = [("clip", factor), ("w", state[0]), ("m", state[1]), ("v", state[2])].map(value).into();
    let runs = (1..=4)
        .map(|step| Globals {
            clip,
            learning_rate: 0.02,
            correction1: (1.0 - 0.9f64.powi(step)) as f32,
            correction2: (1.0 - 0.999f64.powi(step)) as f32,
            ..Globals::default()
        })
        .collect();
    Case {
        stem: "adam",
        name: format!("adam of {len}, clip {clip}, gradient {size}"),
        forward: graph.clone(),
        graph,
        inputs: vec![(grad, random.vec(len).iter().map(|g| g * size).collect())],
        state: vec![(state[0], random.vec(len)), (state[1], vec![0.0; len]), (state[2], vec![0.0; len])],
        runs,
        of: vec![],
        wrt: vec![],
        compared,
        want: vec![],
    }
    .finish()
}

/// Four steps with a `rest` that falls, as at the start of a run.
fn average(len: usize) -> Case {
    let shape = Shape::new(1, 1, 1, len);
    let mut random = Random::new(len);
    let mut graph = Graph::new(Layout::default());
    let w = graph.input("w", shape);
    let a = graph.persistent("a", shape);
    graph.apply_in_place("average", Average, &[w], &[a]).unwrap();
    Case {
        stem: "average",
        name: format!("average of {len}"),
        forward: graph.clone(),
        graph,
        inputs: vec![(w, random.vec(len))],
        state: vec![(a, random.vec(len))],
        runs: [0.9, 0.5, 0.1, 0.01].map(|average| Globals { average, ..Globals::default() }).into(),
        of: vec![],
        wrt: vec![],
        compared: vec![Compared { name: "a".into(), value: a, kind: Kind::Forward, range: None }],
        want: vec![],
    }
    .finish()
}

/// The residual block of the network, with all its parameters: `g1` reads 9 channels, `g2` 3.
fn subnet(g: &str, features: usize, attention: bool, (n, h, w): (usize, usize, usize)) -> Case {
    let config = Config { blocks: vec![1], features, attention, ..Config::default() };
    let mut layout = Layout::default();
    for entry in config.layout().entries().iter().filter(|e| e.name.contains(g)) {
        layout.push(entry.name.clone(), &entry.dims);
    }
    let shape = Shape::new(n, if g == "g1" { 9 } else { 3 }, h, w);
    let mut random = Random::new(shape.len() * features);
    let mut graph = Graph::new(layout.clone());
    let x = graph.input("x", shape);
    let y = net::subnet(&mut graph, &config, &format!("blocks.0.{g}"), x).unwrap();
    graph.output(y);
    let forward = graph.clone();
    let dy = graph.input("dy", graph.shape(y));
    let (grads, dx) = graph.vjp(&[(y, Some(dy))], &[x]).unwrap();
    graph.output(dx[0]);
    let mut params = vec![0.0; layout.len()];
    let mut compared = vec![
        Compared { name: "y".into(), value: y, kind: Kind::Forward, range: None },
        Compared { name: "dx".into(), value: dx[0], kind: Kind::Gradient, range: None },
    ];
    for entry in layout.entries() {
        let fan_in: usize = entry.dims[1..].iter().product();
        let values = random.vec(entry.len()).into_iter().map(|v| v * (2.0 / fan_in as f32).sqrt());
        params[entry.range()].copy_from_slice(&values.collect::<Vec<_>>());
        let range = Some(entry.range());
        compared.push(Compared { name: format!("d{}", entry.name), value: grads, kind: Kind::Gradient, range });
    }
    Case {
        stem: "subnet",
        name: format!("subnet {g} of {shape:?}, {features} features, attention {attention}"),
        inputs: vec![(x, random.vec(shape.len())), (dy, random.vec(graph.shape(dy).len()))],
        state: vec![(graph.params(), params)],
        runs: vec![Globals::default()],
        of: vec![(y, Some(dy))],
        wrt: vec![(x, dx[0]), (graph.params(), grads)],
        graph,
        forward,
        compared,
        want: vec![],
    }
    .finish()
}

const BOTH: [bool; 2] = [true, true];

/// What runs on the GPU and on the CPU in f32; small ones first.
static CASES: LazyLock<Vec<Case>> = LazyLock::new(|| {
    let mut cases = vec![];
    for shape in SHAPES {
        for beta in [1.0, -1.0] {
            cases.push(elementwise(Add { beta }, "add", 2, shape));
        }
        cases.push(elementwise(Scale { k: -0.3 }, "add", 1, shape));
        cases.extend([1.0, -1.0].map(|sign| exp_scale(sign, shape)));
        cases.extend([false, true].map(|inverse| elementwise(Coupling { inverse }, "coupling", 3, shape)));
        cases.extend([false, true].map(|equal| loss(shape, equal)));
        cases.extend(noise(shape));
    }
    for size in [(1, 1, 1, 1), (3, 3, 1, 17), (1, 3, 7, 13), (3, 1, 31, 11), (1, 1, 255, 1), (1, 1, 1, 257)] {
        cases.extend([false, true].map(|inverse| haar(size, inverse)));
    }
    for size in [(1, 1, 1, 1), (3, 3, 1, 17), (1, 3, 7, 13), (1, 1, 255, 1), (2, 1, 1, 257)] {
        cases.extend([false, true].map(|ties| max_pool(size, ties)));
    }
    let pixel_convs = [
        (1, 1, 1, 1, 1, 1),
        (1, 1, 1, 1, 1, 2),
        (3, 3, 5, 1, 17, 2),
        (3, 16, 3, 7, 13, 1),
        (1, 17, 3, 8, 8, 2),
        (1, 63, 33, 5, 13, 2),
        (2, 64, 70, 3, 7, 1),
        (1, 65, 16, 16, 1, 2),
        (2, 6, 4, 65, 63, 2),
        (1, 64, 3, 31, 65, 1),
    ];
    cases.extend(pixel_convs.map(pixel_conv));
    for size in [(1, 1, 1, 1, 1), (3, 3, 9, 1, 5), (1, 9, 64, 7, 13), (3, 12, 5, 5, 1), (1, 3, 2, 3, 17)] {
        cases.extend(channels(size));
    }
    let convs = [
        (1, 1, 0, 1, 1, 1, false, BOTH),
        (3, 3, 0, 9, 1, 17, true, BOTH),
        (1, 9, 0, 3, 17, 1, true, BOTH),
        (3, 9, 5, 3, 7, 13, false, BOTH),
        (3, 9, 64, 3, 7, 13, false, BOTH),
        (1, 3, 64, 9, 15, 16, true, [false, true]),
        (1, 4, 5, 6, 8, 16, true, [true, false]),
        (1, 4, 5, 6, 9, 15, true, [false, false]),
        (3, 9, 0, 64, 5, 7, true, BOTH),
        (1, 64, 0, 64, 11, 31, true, BOTH),
        (1, 16, 0, 17, 16, 15, true, BOTH),
        (1, 17, 0, 16, 9, 17, false, BOTH),
        (1, 45, 28, 16, 8, 16, false, BOTH),
        (1, 16, 0, 73, 7, 15, true, BOTH),
        (3, 73, 0, 45, 5, 7, true, BOTH),
        (1, 2, 0, 3, 3, 257, false, BOTH),
        (1, 2, 1, 3, 255, 3, true, BOTH),
        (3, 3, 0, 3, 65, 63, true, BOTH),
    ];
    cases.extend(convs.map(conv));
    let relus = [(1, 3, 0, 5, 9, 17, true, BOTH), (2, 16, 0, 33, 7, 9, true, BOTH), (1, 32, 40, 35, 5, 18, true, BOTH)];
    cases.extend(relus.map(|conv| conv_with(Some(0.0), conv)));
    cases.extend([0.0, net::LEAKY_SLOPE].map(conv_at_kink));
    // The lanes have gated kernels for up to 9 outputs.
    let gated = [
        (2, 2, 3, 3, 25, 14),
        (1, 9, 16, 3, 7, 13),
        (3, 3, 17, 9, 17, 31),
        (2, 1, 1, 1, 1, 1),
        (1, 3, 64, 9, 13, 16),
        (1, 5, 7, 8, 25, 5),
    ];
    cases.extend(gated.into_iter().flat_map(|size| THENS.map(|then| gated_conv(size, then))));
    let with_stats = [
        (1, 64, 64, 11, 31),
        (3, 3, 17, 9, 16),
        (2, 5, 70, 25, 7),
        (1, 16, 10, 1, 1),
        (1, 4, 33, 16, 49),
        (2, 3, 32, 25, 33),
    ];
    cases.extend(with_stats.map(conv_and_stats));
    cases.extend([(1, 1, 0, 1), (3, 5, 0, 30), (1, 2, 9, 12), (2, 3, 1, 27), (1, 4, 16, 7), (1, 1, 29, 1)].map(rows));
    for ties in [false, true] {
        let sizes = [
            (1, 1, 4, 1, 1),
            (3, 16, 4, 1, 17),
            (1, 17, 4, 7, 13),
            (3, 5, 7, 16, 17),
            (1, 63, 4, 15, 17),
            (1, 64, 4, 16, 16),
            (1, 65, 64, 257, 1),
            (65, 3, 5, 1, 3),
            (1, 2, 4, 31, 37),
            (1, 1, 4, 130, 260),
        ];
        cases.extend(sizes.map(|size| channel_attention(size, ties)));
        let sizes = [
            (1, 1, 1, 1),
            (3, 3, 1, 17),
            (1, 16, 17, 1),
            (3, 17, 7, 13),
            (1, 64, 11, 31),
            (1, 5, 15, 16),
            (3, 4, 17, 16),
            (1, 2, 63, 65),
            (3, 2, 3, 257),
        ];
        cases.extend(sizes.into_iter().flat_map(|size| spatial_attention(size, ties)));
        if !ties {
            cases.extend(sizes.map(gate));
        }
    }
    for len in [1, 255, 256, 257, 4097, 1_052_677] {
        cases.extend([f32::INFINITY, 1e9, 0.3].map(|clip| grad_norm(len, clip)));
    }
    cases.push(loss(Shape::new(1, 1, 1, 1_052_677), false));
    for len in [1, 255, 257, 1009] {
        cases.extend([(f32::INFINITY, 1.0), (0.1, 1.0), (10.0, 1e-7)].map(|(clip, size)| adam(len, clip, size)));
        cases.push(average(len));
    }
    cases.push(subnet("g1", 16, true, (1, 7, 13)));
    cases.push(subnet("g2", 17, true, (3, 5, 17)));
    cases.push(subnet("g1", 9, false, (3, 1, 11)));
    cases
});

/// A graph with hidden maps: `r`, of numbers that f16 has, passes through a convolution that changes nothing, so that
/// it is hidden; `build` makes outputs of it. Where one is hidden again, another such convolution brings it to light.
fn hidden(stem: &'static str, what: String, r: Shape, build: impl FnOnce(&mut Hidden, Value) -> Vec<Value>) -> Case {
    let mut hidden = Hidden { graph: Graph::new(Layout::default()), data: vec![], random: Random::new(r.len()) };
    let input = hidden.input(r);
    let r = hidden.unchanged(input, Some(1.0));
    let mut compared = vec![];
    for y in build(&mut hidden, r) {
        let node = hidden.graph.nodes().iter().find(|node| node.outputs[0] == y).expect("an operator's first output");
        let light = node.op.takes_half(node.inputs.len(), Operand::Output(0));
        let (value, kind) = if light { (hidden.unchanged(y, None), Kind::Hidden) } else { (y, Kind::Forward) };
        hidden.graph.output(value);
        compared.push(Compared { name: "output".into(), value, kind, range: None });
    }
    let Hidden { graph, data, .. } = hidden;
    Case {
        stem,
        name: what,
        forward: graph.clone(),
        graph,
        inputs: data,
        state: vec![],
        runs: vec![Globals::default()],
        of: vec![],
        wrt: vec![],
        compared,
        want: vec![],
    }
    .finish()
}

struct Hidden {
    graph: Graph,
    data: Vec<(Value, Vec<f32>)>,
    random: Random,
}

impl Hidden {
    /// Numbers that f16 has.
    fn input(&mut self, shape: Shape) -> Value {
        let value = self.graph.input("input", shape);
        let numbers = self.random.vec(shape.len()).into_iter().map(|v| (v * 1024.0).round() / 1024.0);
        self.data.push((value, numbers.collect()));
        value
    }

    /// The convolution with a weight of 1 for the pixel itself.
    fn unchanged(&mut self, x: Value, slope: Option<f64>) -> Value {
        let c = self.graph.shape(x).c;
        let w = self.graph.input("one", Shape::new(c, c, 3, 3));
        let b = self.graph.input("zero", Shape::new(1, c, 1, 1));
        self.data
            .push((w, (0..c * c * 9).map(|i| if i / 9 % c == i / 9 / c && i % 9 == 4 { 1.0 } else { 0.0 }).collect()));
        self.data.push((b, vec![0.0; c]));
        self.graph.apply1("unchanged", Conv3x3 { slope }, &[x, w, b]).unwrap()
    }
}

/// Batch, channels of x (0: none, and y is hidden) and of r and y, rows, columns.
fn hidden_conv((n, cx, cr, co, h, w): (usize, usize, usize, usize, usize, usize)) -> Case {
    let what = format!("hidden conv3x3 {n}x({cx}+{cr})x{h}x{w} to {co}");
    hidden("conv3x3", what, Shape::new(n, cr, h, w), |hidden, r| {
        let mut inputs = vec![r];
        if cx > 0 {
            inputs.insert(0, hidden.input(Shape::new(n, cx, h, w)));
        }
        inputs.push(hidden.input(Shape::new(co, cx + cr, 3, 3)));
        // Not a number that f16 has: what rounding loses is kept.
        let bias = hidden.input(Shape::new(1, co, 1, 1));
        hidden.data.last_mut().expect("the bias").1.iter_mut().for_each(|v| *v = *v * 3.3 + 1.0 / 3.0);
        inputs.push(bias);
        let slope = if cx > 0 { None } else { Some(net::LEAKY_SLOPE) };
        vec![hidden.graph.apply1("conv", Conv3x3 { slope }, &inputs).unwrap()]
    })
}

/// A hidden map's convolution whose output's statistics are taken, itself hidden or not: batch, channels of r and y, rows,
/// columns.
fn hidden_conv_and_stats((n, cr, co, h, w): (usize, usize, usize, usize, usize), hides: bool) -> Case {
    let what = format!("hidden convolution with statistics {n}x{cr}x{h}x{w} to {co}, hidden {hides}");
    hidden("conv3x3", what, Shape::new(n, cr, h, w), |hidden, r| {
        let weights = [Shape::new(co, cr, 3, 3), Shape::new(1, co, 1, 1)].map(|shape| hidden.input(shape));
        let conv = Conv3x3 { slope: Some(net::LEAKY_SLOPE) };
        let y = hidden.graph.apply1("conv", conv, &[r, weights[0], weights[1]]).unwrap();
        let stats = hidden.graph.apply1("stats", ChannelStats, &[y]).unwrap();
        // A sum is not for hidden maps.
        vec![if hides { y } else { hidden.graph.apply1("sum", Add { beta: 1.0 }, &[y, y]).unwrap() }, stats]
    })
}

/// Both kinds of statistics of a hidden map, and gates applied to it.
/// Batch, channels of x, r and y, rows, columns. The gates are powers of 2, so that f16 has the gated numbers, too.
fn hidden_gated_conv(
    (n, cx, cr, co, h, w): (usize, usize, usize, usize, usize, usize),
    (then, beside): (Then, usize),
) -> Case {
    let what = format!("hidden gated conv3x3 {n}x({cx}+{cr})x{h}x{w} to {co}, then {then:?}");
    let shapes = [(n, cx, h, w), (n, cr, 1, 1), (n, 1, h, w), (co, cx + cr, 3, 3), (1, co, 1, 1)];
    hidden("conv3x3", what, Shape::new(n, cr, h, w), |hidden, r| {
        let mut inputs: Vec<Value> = shapes.map(|(n, c, h, w)| hidden.input(Shape::new(n, c, h, w))).into();
        for gates in &inputs[1..3] {
            let (_, numbers) = hidden.data.iter_mut().find(|(v, _)| v == gates).expect("an input");
            numbers.iter_mut().for_each(|v| *v = 0.5f32.powi((*v * 3.0) as i32));
        }
        inputs.insert(1, r);
        inputs.extend((0..beside).map(|_| hidden.input(Shape::new(n, co, h, w))));
        vec![hidden.graph.apply1("conv", GatedConv3x3 { slope: None, then }, &inputs).unwrap()]
    })
}

fn hidden_attention((n, f, h, w): (usize, usize, usize, usize)) -> [Case; 3] {
    let shape = Shape::new(n, f, h, w);
    let gates = [shape.with_c(1), Shape::new(n, f, 1, 1)];
    let case = |stem, op: Op, beside: &[Shape]| {
        hidden(stem, format!("hidden {op:?} of {shape:?}"), shape, |hidden, r| {
            let beside: Vec<Value> = beside.iter().map(|shape| hidden.input(*shape)).collect();
            vec![hidden.graph.apply1("attention", op, &[&[r], &beside[..]].concat()).unwrap()]
        })
    };
    [
        case("channel_attention", ChannelStats.into(), &[]),
        case("spatial_attention", SpatialStats.into(), &gates[1..]),
        case("gate", Gate.into(), &[gates[1], gates[0]]),
    ]
}

/// What keeps hidden maps in f16 where the kernels do.
static HALF_CASES: LazyLock<Vec<Case>> = LazyLock::new(|| {
    let convs = [
        (1, 0, 1, 1, 1, 1),
        (3, 0, 3, 9, 1, 17),
        (1, 0, 16, 64, 7, 13),
        (1, 0, 64, 64, 11, 31),
        (1, 0, 17, 48, 16, 16),
        (3, 0, 5, 73, 9, 15),
        (3, 9, 64, 3, 7, 13),
        (1, 3, 64, 9, 15, 16),
        (1, 45, 28, 17, 8, 18),
        (1, 3, 16, 130, 5, 3),
    ];
    let sizes = [(1, 1, 1, 1), (3, 16, 1, 17), (1, 17, 7, 13), (1, 64, 11, 31)];
    let attention = sizes.into_iter().flat_map(hidden_attention);
    let gated = [(1, 9, 16, 3, 7, 13), (3, 3, 17, 9, 17, 31), (1, 3, 64, 9, 13, 16), (2, 9, 5, 70, 3, 5)];
    let gated = gated.into_iter().flat_map(|size| THENS.map(|then| hidden_gated_conv(size, then)));
    let with_stats =
        [(1, 64, 64, 11, 31), (3, 3, 32, 17, 16), (2, 5, 70, 25, 7), (1, 16, 17, 1, 1), (1, 5, 48, 16, 49)];
    let with_stats =
        with_stats.into_iter().flat_map(|size| [true, false].map(|hides| hidden_conv_and_stats(size, hides)));
    convs.map(hidden_conv).into_iter().chain(gated).chain(attention).chain(with_stats).collect()
});

/// Every case on a device, twice.
fn all(title: &str, cases: &[Case], device: &Device) {
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
    all("GPU, tiles", &CASES, &Device::Gpu(common::gpu_with(Kernels::Tiles)));
}

#[test]
fn gpu_lanes_agree_with_f64_and_with_themselves() {
    all("GPU, lanes", &CASES, &Device::Gpu(common::gpu_with(Kernels::Lanes)));
}

#[test]
fn cpu_agrees_with_f64_and_with_itself() {
    all("CPU", &CASES, &Device::Cpu);
}

/// Without hidden maps these kernels are those for tiles, which another test runs.
#[test]
fn gpu_hidden_maps_agree_with_f64_and_with_themselves() {
    for kernels in common::half_kernels() {
        for case in HALF_CASES.iter() {
            let plan = Plan::new(&case.graph, Target::Gpu { max_binding: 1 << 27, kernels }).unwrap();
            assert!(plan.locations.iter().flatten().any(|at| at.half), "{} has hidden maps", case.name);
        }
        all(&format!("GPU, {}", kernels.name()), &HALF_CASES, &Device::Gpu(common::gpu_with(kernels)));
    }
}

/// An output does not depend on how high the image is, nor where its tile begins: rows computed alone, from a multiple of 16
/// on and with those around them, are those of the whole, to the bit.
#[test]
fn rows_alone_are_those_of_the_whole() {
    let (config, halo, w) = (Config { blocks: vec![1], features: 20, attention: false, ..Config::default() }, 3, 37);
    let all = [vec![Kernels::Lanes, Kernels::Tiles], common::half_kernels()].concat();
    let x = Random::new(7).vec(9 * 80 * w);
    for kernels in all {
        let run = |first: usize, rows: usize| {
            let mut graph = Graph::new(config.layout());
            let input = graph.input("x", Shape::new(1, 9, rows, w));
            let y = net::subnet(&mut graph, &config, "blocks.0.g1", input).unwrap();
            graph.output(y);
            let params = Random::new(3).vec(graph.layout().len()).into_iter().map(|v| v / 8.0).collect::<Vec<_>>();
            let mut exec = Executor::new(graph.clone(), &Device::Gpu(common::gpu_with(kernels))).unwrap();
            exec.poison().unwrap();
            exec.write(graph.params(), &params).unwrap();
            let part: Vec<f32> = (0..9).flat_map(|c| &x[(c * 80 + first) * w..][..rows * w]).copied().collect();
            exec.write(input, &part).unwrap();
            exec.run(&Globals::default()).unwrap();
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
    let mut exec = Executor::new(graph, &Device::Gpu(common::gpu())).unwrap();
    exec.poison().unwrap();
    let data: Vec<f32> = (0..len).map(|i| i as f32).collect();
    exec.write(x, &data).unwrap();
    exec.run(&Globals::default()).unwrap();
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
        loss(shape, false),
        haar((2, 3, 2, 3), false),
        haar((2, 3, 2, 3), true),
        conv((2, 3, 0, 4, 4, 5, true, BOTH)),
        conv((2, 4, 0, 3, 3, 5, false, BOTH)),
        conv((2, 2, 3, 4, 3, 4, true, BOTH)),
        conv((1, 2, 3, 4, 3, 4, false, [false, true])),
        conv((1, 2, 3, 2, 3, 4, false, [true, false])),
        conv_with(Some(0.0), (2, 2, 3, 4, 3, 4, true, BOTH)),
        max_pool((2, 3, 2, 3), false),
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
        backward.run(&Globals::default());
        let upstream: Vec<Vec<f64>> = (case.of.iter())
            .map(|(_, dy)| dy.map_or(vec![1.0], |dy| data.iter().find(|(v, _)| *v == dy).expect("an input").1.clone()))
            .collect();
        let mut forward = CpuExecutor::<f64>::new(case.forward.clone()).unwrap();
        // The upstream gradients are no part of the forward graph.
        data.retain(|(v, _)| case.of.iter().all(|(_, dy)| *dy != Some(*v)));
        let mut scalar = |data: &[(Value, Vec<f64>)]| {
            set(&mut forward, data);
            forward.run(&Globals::default());
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

/// A comparison that nothing can fail proves nothing: each of the wrong kernels must fail it.
#[test]
fn wrong_kernels_are_caught() {
    let half = common::half_kernels();
    let matrix = matrix_stem(&half);
    // A run that is there for these kernels need not repeat the others.
    let only_matrix = std::env::var("SASNET_KERNELS").is_ok_and(|kernels| kernels == "matrix");
    let mutations: Vec<&Mutation> =
        MUTATIONS.iter().filter(|(stem, ..)| !only_matrix || *stem == "conv3x3_matrix").collect();
    let missed: Vec<String> = (mutations.iter())
        .filter(|(stem, entry, from, to)| {
            let (kernels, stem) = match (*stem, *entry) {
                ("conv3x3_lanes", _) | (_, "pool_rows" | "gates_rows") => (Kernels::Lanes, *stem),
                ("conv3x3_matrix", _) => match (half.last(), matrix) {
                    (Some(kernels), Some(stem)) => (*kernels, stem),
                    _ => return false,
                },
                (_, "forward_hidden" | "forward_hidden_stats") if half.is_empty() => return false,
                (_, "forward_hidden" | "forward_hidden_stats") => (Kernels::TilesF16, *stem),
                _ => (Kernels::Tiles, *stem),
            };
            // The same device with caches of its own.
            let gpu = common::gpu_with(kernels);
            let broken = Gpu::from_device(gpu.device().clone(), gpu.queue().clone()).with_kernels(kernels);
            let device = Device::Gpu(Arc::new(broken.with_shader_replacement(stem, from, to)));
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
    let gpu = common::gpu();
    let _ = Gpu::from_device(gpu.device().clone(), gpu.queue().clone()).with_shader_replacement("add", "nowhere", "");
}

/// No kernel is left out of the cases, nor of the wrong ones.
#[test]
fn every_kernel_is_compared_and_made_wrong() {
    // As on a device that can run all; matrices of 16x16 are made wrong in the same way.
    let matrix = Kernels::Matrix(MatrixUnit { side: 8, lanes: 8 });
    let half = [Kernels::TilesF16, matrix];
    let matrix_stem = matrix_stem(&half).expect("matrices are the last");
    let mut kernels = BTreeSet::new();
    // `peak` belongs to no operator; tests/bench.rs compares it and makes it wrong.
    let all = reflect::shaders().filter(|(stem, _)| *stem != "peak");
    for (stem, half) in all.filter(|(stem, _)| !reflect::is_matrix(stem) || *stem == matrix_stem) {
        let entries = reflect::Reflection::of(stem, half).entries;
        kernels.extend(entries.into_keys().map(|entry| (stem.to_string(), entry)));
    }
    let run = |cases: &[Case], all: &[Kernels]| -> BTreeSet<_> {
        cases
            .iter()
            .flat_map(|case| all.iter().flat_map(|kernels| case.kernels(*kernels)).collect::<Vec<_>>())
            .collect()
    };
    let compared = &run(&CASES, &[Kernels::Tiles, Kernels::Lanes]) | &run(&HALF_CASES, &half);
    let own = |stem: &'static str| if stem == "conv3x3_matrix" { matrix_stem } else { stem };
    let broken: BTreeSet<_> = MUTATIONS.iter().map(|(stem, entry, ..)| (own(stem), *entry)).collect();
    for (set, what) in [(compared, "compared"), (broken, "made wrong")] {
        let set: BTreeSet<_> = set.into_iter().map(|(stem, entry)| (stem.to_string(), entry.to_string())).collect();
        assert_eq!(set, kernels, "{what}");
    }
}
