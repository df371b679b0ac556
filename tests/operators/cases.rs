//! Every operator on inputs of many sizes, with its gradient: what the tests compare.

use super::*;

/// Shapes for what works element by element: 1, primes, a workgroup (256) and one more and one less.
pub const SHAPES: [Shape; 7] = [
    Shape::new(1, 1, 1, 1),
    Shape::new(3, 3, 1, 17),
    Shape::new(1, 9, 7, 13),
    Shape::new(3, 5, 1, 17),
    Shape::new(1, 1, 16, 16),
    Shape::new(1, 1, 257, 1),
    Shape::new(1, 17, 31, 11),
];

pub fn elementwise(op: impl Into<Op> + Clone, stem: &'static str, inputs: usize, shape: Shape) -> Case {
    let mut random = Random::new(shape.len());
    let inputs = (0..inputs).map(|_| (shape, random.vec(shape.len()))).collect::<Vec<_>>();
    let wrt = vec![true; inputs.len()];
    Case::new(stem, op, inputs, &wrt)
}

/// The scale of a coupling, over the whole range that a bad start can give.
pub fn exp_scale(sign: f32, shape: Shape) -> Case {
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

/// A gate of each element, over the whole range that a bad start can give.
pub fn sigmoid_gate(shape: Shape) -> Case {
    let mut random = Random::new(shape.len());
    let x = random.vec(shape.len());
    let mut h = random.vec(shape.len());
    for (i, h) in h.iter_mut().enumerate() {
        *h = match i % 5 {
            2 => 200f32.copysign(*h),
            3 => *h * 10.0,
            4 => 0.0,
            _ => *h * 2.0,
        };
    }
    Case::new("sigmoid_gate", SigmoidGate, vec![(shape, x), (shape, h)], &[true, true])
}

pub fn haar((n, c, h, w): (usize, usize, usize, usize), inverse: bool) -> Case {
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
pub fn rows((n, c, first, count): (usize, usize, usize, usize)) -> Case {
    let mut random = Random::new(n * c * first + count);
    let slabs = [9, 14, 7].map(|h| Shape::new(n, c, h, 11));
    Case::new("rows", Rows { first, count }, slabs.map(|s| (s, random.vec(s.len()))).to_vec(), &[])
}

pub fn channels((n, ca, cb, h, w): (usize, usize, usize, usize, usize)) -> [Case; 2] {
    let mut random = Random::new(n * ca * cb * h * w);
    let [a, b, x] = [ca, cb, ca + cb].map(|c| (Shape::new(n, c, h, w), random.vec(n * c * h * w)));
    [
        Case::new("channels", Concat, vec![a, b], &[true, true]),
        Case::new("channels", Split { first: ca }, vec![x], &[true]),
    ]
}

/// Batch, channels of x and r (0: none) and of y, rows, columns, LeakyReLU, and which of x and r need a gradient.
pub type Conv = (usize, usize, usize, usize, usize, usize, bool, [bool; 2]);

pub fn conv(conv: Conv) -> Case {
    conv_with(conv.6.then_some(LEAKY_SLOPE), conv)
}

/// The same with a LeakyReLU of another slope.
pub fn conv_with(slope: Option<f64>, (n, cx, cr, co, h, w, _, needs): Conv) -> Case {
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
pub fn conv_at_kink(slope: f64) -> Case {
    let mut random = Random::new(3);
    let [x, w, b] = [Shape::new(2, 3, 5, 7), Shape::new(5, 3, 3, 3), Shape::new(1, 5, 1, 1)];
    let inputs = vec![(x, vec![0.0; x.len()]), (w, random.vec(w.len())), (b, vec![0.0; b.len()])];
    Case::new("conv3x3", Conv3x3 { slope: Some(slope) }, inputs, &[true; 3])
}

/// Batch, channels, rows and columns of x.
pub fn max_pool((n, c, h, w): (usize, usize, usize, usize), ties: bool) -> Case {
    let shape = Shape::new(n, c, h, w);
    let x = Random::new(shape.len()).vec(shape.len());
    Case::new("max_pool", MaxPool, vec![(shape, if ties { with_ties(x) } else { x })], &[true])
}

/// Batch, channels of x and y, rows and columns of x, side.
pub fn pixel_conv((n, ci, co, h, w, side): (usize, usize, usize, usize, usize, usize)) -> Case {
    let mut random = Random::new(n * ci * co * h * w);
    let weight = if side == 1 { Shape::new(co, ci, 1, 1) } else { Shape::new(ci, co, 2, 2) };
    let shapes = [Shape::new(n, ci, h, w), weight, Shape::new(1, co, 1, 1)];
    Case::new("pixel_conv", PixelConv { side }, shapes.map(|s| (s, random.vec(s.len()))).to_vec(), &[true; 3])
}

/// What may follow a gated convolution, and how many maps it reads beside its output.
pub const EPILOGUES: [(Epilogue, usize); 7] = [
    (Epilogue::Nothing, 0),
    (Epilogue::Add(Add { beta: 1.0 }), 1),
    (Epilogue::Add(Add { beta: -1.0 }), 1),
    (Epilogue::ExpScale(ExpScale { sign: 1.0 }), 0),
    (Epilogue::ExpScale(ExpScale { sign: -1.0 }), 0),
    (Epilogue::Coupling(Coupling { inverse: false }), 2),
    (Epilogue::Coupling(Coupling { inverse: true }), 2),
];

/// Batch, channels of x, r and y, rows, columns.
pub fn gated_conv(
    (n, cx, cr, co, h, w): (usize, usize, usize, usize, usize, usize),
    (epilogue, beside): (Epilogue, usize),
) -> Case {
    let mut random = Random::new(n * cx * cr * co * h * w);
    let maps = [Shape::new(n, cx, h, w), Shape::new(n, cr, h, w), Shape::new(n, cr, 1, 1), Shape::new(n, 1, h, w)];
    let weights = [Shape::new(co, cx + cr, 3, 3), Shape::new(1, co, 1, 1)];
    let beside = vec![Shape::new(n, co, h, w); beside];
    let inputs = maps.iter().chain(&weights).chain(&beside).map(|s| (*s, random.vec(s.len()))).collect();
    Case::new("conv3x3", GatedConv3x3 { slope: None, epilogue }, inputs, &[])
}

/// A convolution whose output's statistics are taken: batch, channels of x and y, rows, columns.
pub fn conv_and_stats((n, cx, co, h, w): (usize, usize, usize, usize, usize)) -> Case {
    let mut random = Random::new(n * cx * co * h * w);
    let shapes = [Shape::new(n, cx, h, w), Shape::new(co, cx, 3, 3), Shape::new(1, co, 1, 1)];
    let inputs = shapes.map(|s| (s, random.vec(s.len()))).to_vec();
    Case::of("conv3x3", "convolution with statistics".into(), inputs, &[], 1, |g, x| {
        let y = g.apply1("conv", Conv3x3 { slope: Some(LEAKY_SLOPE) }, x).unwrap();
        vec![y, g.apply1("stats", ChannelStats, &[y]).unwrap()]
    })
}

/// Few different values, so that most maxima are ties.
pub fn with_ties(values: Vec<f32>) -> Vec<f32> {
    values.iter().map(|v| (v * 3.0).round() / 3.0 - 0.5).collect()
}

/// Batch, channels, hidden width, rows, columns.
pub fn channel_attention((n, f, k, h, w): (usize, usize, usize, usize, usize), ties: bool) -> Case {
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

/// Channel gates and the spatial statistics behind them: batch, channels, hidden width, rows, columns.
pub fn gate_and_stats((n, f, k, h, w): (usize, usize, usize, usize, usize)) -> Case {
    let mut random = Random::new(n * f * h * w + k);
    let shapes = [(n, f, h, w), (k, f, 1, 1), (1, k, 1, 1), (f, k, 1, 1), (1, f, 1, 1)];
    let shapes = shapes.map(|(n, c, h, w)| Shape::new(n, c, h, w));
    let inputs = shapes.map(|shape| (shape, random.vec(shape.len()))).to_vec();
    Case::of("spatial_attention", "channel gates and spatial statistics".into(), inputs, &[true; 5], 1, |g, x| {
        let tiles = g.apply1("stats", ChannelStats, &x[..1]).unwrap();
        let gate = ChannelGate { pixels: h * w };
        let gated = g.apply("gate", gate, &[&[tiles], &x[1..]].concat()).unwrap();
        vec![g.apply1("pool", SpatialStats, &[x[0], gated[0]]).unwrap(), gated[0], gated[1]]
    })
}

/// Batch, channels, rows, columns.
pub fn spatial_attention((n, f, h, w): (usize, usize, usize, usize), ties: bool) -> [Case; 2] {
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
pub fn gate((n, f, h, w): (usize, usize, usize, usize)) -> Case {
    let mut random = Random::new(n * f * h * w);
    let shapes = [Shape::new(n, f, h, w), Shape::new(n, f, 1, 1), Shape::new(n, 1, h, w)];
    Case::new("gate", Gate, shapes.map(|s| (s, random.vec(s.len()))).to_vec(), &[true; 3])
}

/// `equal`: every third pair of elements is equal, where the gradient is 0.
pub fn loss(shape: Shape, equal: bool) -> Case {
    let mut random = Random::new(shape.len());
    let (y, mut target) = (random.vec(shape.len()), random.vec(shape.len()));
    if equal {
        target.iter_mut().zip(&y).step_by(3).for_each(|(t, y)| *t = *y);
    }
    Case::new("loss", L1Loss, vec![(shape, y), (shape, target)], &[true, false])
}

pub fn noise(shape: Shape) -> [Case; 3] {
    let some = RunParams { seed: [0x1234_5678, 0x9abc_def0], noise_scale: 0.7, ..RunParams::default() };
    let settings = [some, RunParams { seed: [1, 2], ..some }, RunParams { noise_scale: 0.0, ..some }];
    let mut first_row = 1000;
    settings.map(|run_params| {
        first_row += 5;
        Case::new("noise", Noise { shape, first_row, first_image: first_row - 1000 }, vec![], &[])
            .with_run_params(run_params)
    })
}

pub fn grad_norm(len: usize, clip: f32) -> Case {
    let shape = Shape::new(1, 1, 1, len);
    let grad = Random::new(len).vec(len);
    Case::new("grad_norm", GradNorm, vec![(shape, grad)], &[])
        .with_run_params(RunParams { clip, ..RunParams::default() })
}

/// Steps of an optimiser, which `apply` adds for (gradient, clip) and the weights and their two moments, with the clipping in
/// front; `begin` is what these begin with.
fn descent(
    (stem, name, kind): (&'static str, String, Kind),
    (clip, steps): (f32, i32),
    grad: Vec<f32>,
    begin: [Vec<f32>; 3],
    apply: impl FnOnce(&mut Graph, [Value; 2], &[Value; 3]),
) -> Case {
    let shape = Shape::new(1, 1, 1, grad.len());
    let mut graph = Graph::new(Layout::default());
    let input = graph.input("grad", shape);
    let state = ["w", "m", "v"].map(|name| graph.persistent(name, shape));
    let factor = graph.apply1("clip", GradNorm, &[input]).unwrap();
    apply(&mut graph, [input, factor], &state);
    graph.output(factor);
    let value = |(name, value): (&str, Value)| Compared { name: name.into(), value, kind, range: None };
    let compared = [("clip", factor), ("w", state[0]), ("m", state[1]), ("v", state[2])].map(value).into();
    let runs = (1..=steps)
        .map(|step| RunParams {
            clip,
            learning_rate: 0.02,
            correction1: (1.0 - 0.9f64.powi(step)) as f32,
            correction2: (1.0 - 0.999f64.powi(step)) as f32,
            ..RunParams::default()
        })
        .collect();
    let (inputs, state) = (vec![(input, grad)], state.into_iter().zip(begin).collect());
    let forward = graph.clone();
    Case { stem, name, forward, graph, inputs, state, runs, of: vec![], wrt: vec![], compared, want: vec![] }.finish()
}

/// Four steps of Adam; `size` is that of the gradient, so that `eps` matters where it is small.
pub fn adam(len: usize, clip: f32, size: f32) -> Case {
    let mut random = Random::new(len);
    let grad = random.vec(len).iter().map(|g| g * size).collect();
    let begin = [random.vec(len), vec![0.0; len], vec![0.0; len]];
    let name = format!("adam of {len}, clip {clip}, gradient {size}");
    descent(("adam", name, Kind::Forward), (clip, 4), grad, begin, |graph, inputs, state| {
        graph.apply_in_place("adam", Adam::default(), &inputs, state).unwrap();
    })
}

/// Places for matrices in a flat array of which others have the rest, and its length.
pub fn places(sizes: &[(usize, usize)]) -> (Vec<Matrix>, usize) {
    let mut end = 0;
    let place = |&(rows, columns): &(usize, usize)| {
        let offset = end + 3;
        end = offset + rows * columns;
        Matrix { offset, rows, columns }
    };
    let matrices: Vec<Matrix> = sizes.iter().map(place).collect();
    (matrices, end + 5)
}

/// Steps of Muon on matrices and of Adam on what lies between them, with the gradient that `grad` makes of a length; the
/// weights begin at 0.
pub fn muon(sizes: &[(usize, usize)], clip: f32, steps: i32, grad: impl FnOnce(usize) -> Vec<f32>) -> Case {
    let (matrices, len) = places(sizes);
    let grad = grad(len);
    // The moment begins elsewhere, so that it has not the gradient's direction.
    let begin = [vec![0.0; len], grad.iter().rev().copied().collect(), vec![0.0; len]];
    let name = format!("muon of {sizes:?}, clip {clip}");
    descent(("muon", name, Kind::Gradient), (clip, steps), grad, begin, |graph, [grad, factor], state| {
        let adam = Adam { without: matrices.iter().map(Matrix::range).collect(), ..Adam::default() };
        graph.apply_in_place("adam", adam, &[grad, factor], state).unwrap();
        let muon = Muon::new(matrices);
        let (shape, table) = muon.table();
        let table = graph.constant("table", shape, table);
        graph.apply_in_place("muon", muon, &[grad, factor, table], &state[..2]).unwrap();
    })
}

/// Four steps with a `rest` that falls, as at the start of a run.
pub fn average(len: usize) -> Case {
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
        runs: [0.9, 0.5, 0.1, 0.01].map(|average| RunParams { average, ..RunParams::default() }).into(),
        of: vec![],
        wrt: vec![],
        compared: vec![Compared { name: "a".into(), value: a, kind: Kind::Forward, range: None }],
        want: vec![],
    }
    .finish()
}

/// The residual block of the network, with all its parameters: `g1` reads 9 channels, `g2` 3.
pub fn subnet(g: &str, features: usize, attention: bool, (n, h, w): (usize, usize, usize)) -> Case {
    let config = Network::from(Sasnet::new(&[1], features).unwrap().with_attention(attention));
    let mut layout = Layout::default();
    for entry in config.layout().entries().iter().filter(|e| e.name.contains(g)) {
        layout.push(entry.name.clone(), &entry.dims);
    }
    let shape = Shape::new(n, if g == "g1" { 9 } else { 3 }, h, w);
    let mut random = Random::new(shape.len() * features);
    let mut graph = Graph::new(layout.clone());
    let x = graph.input("x", shape);
    let y = residual(&mut graph, &format!("blocks.0.{g}"), x).unwrap();
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
        runs: vec![RunParams::default()],
        of: vec![(y, Some(dy))],
        wrt: vec![(x, dx[0]), (graph.params(), grads)],
        graph,
        forward,
        compared,
        want: vec![],
    }
    .finish()
}

/// Sizes of a picture: one pixel, row, column; primes; a run of 32, a workgroup and one more; smaller than a window.
const PICTURES: [(usize, usize); 7] = [(1, 1), (1, 65), (33, 1), (2, 3), (13, 17), (32, 31), (16, 16)];

/// A picture in [0, 1] with texture.
pub fn picture(h: usize, w: usize) -> (Shape, Vec<f32>) {
    let shape = Shape::new(1, 3, h, w);
    let random = Random::new(h * w).vec(shape.len());
    let edge = |i: usize| if (i % w + 2 * (i / w)) % 9 < 4 { 0.3 } else { 0.6 };
    (shape, (0..shape.len()).map(|i| edge(i) + 0.2 * random[i]).collect())
}

/// The operators of the classical filters.
pub fn filters((h, w): (usize, usize)) -> Vec<Case> {
    let mut random = Random::new(3 * h + w);
    let f = picture(h, w);
    let mut cases = vec![];
    for (border, sigma, radius) in [(Border::Zero, 1.5, 4), (Border::Repeated, 2.0, 6), (Border::Nothing, 0.7, 3)] {
        let x = Shape::new(2, 3, h, w);
        let name = format!("Gaussian {border:?}, {sigma}");
        cases.push(Case::of("gaussian", name, vec![(x, random.vec(x.len()))], &[], 1, |g, x| {
            let taps = gaussian::taps(g, sigma, radius);
            g.apply("blur", Gaussian { border }, &[x[0], taps]).unwrap()
        }));
    }
    for guide in [Guide::Colour, Guide::Channel] {
        for radius in [1, 2, 5, 40] {
            cases.push(Case::new("guided", Guided { guide, radius, eps: 0.02 }, vec![f.clone()], &[]));
        }
    }
    let guide = (f.0, random.vec(f.0.len()));
    cases.push(Case::of("joint_bilateral", "joint bilateral".into(), vec![f, guide], &[], 1, |g, x| {
        let taps = gaussian::taps(g, 1.3, 4);
        g.apply("bilateral", JointBilateral { sigma_r: 0.3 }, &[x[0], x[1], taps]).unwrap()
    }));
    cases.extend(splitting((h, w)));
    cases.extend(systems((h, w)));
    cases
}

/// Those of L0 gradient minimisation and iterative least squares.
fn splitting((h, w): (usize, usize)) -> Vec<Case> {
    let mut random = Random::new(h + 7 * w);
    let (shape, f) = (Shape::new(2, 3, h, w), picture(2 * h, w).1);
    let u = (shape, f.iter().zip(random.vec(f.len())).map(|(f, v)| f + 0.1 * v).collect::<Vec<f32>>());
    let penalties =
        [Penalty::L0 { threshold: 0.05 }, Penalty::Charbonnier { p: 0.8, eps: 1e-4 }, Penalty::Welsch { gamma: 0.04 }];
    let mut cases = vec![];
    for penalty in penalties {
        for inputs in [vec![u.clone()], vec![u.clone(), (shape, f.clone())]] {
            cases.push(Case::new("gradient_step", GradientStep { penalty, weight: 1.5 }, inputs, &[]));
        }
    }
    for (n, c, a) in [(1, 3, 0.7), (2, 1, 0.1), (1, 2, 1000.0)] {
        cases.extend(
            [1, 2].map(|inputs| solution(Shape::new(n, c, h, w), inputs, PeriodicSolve { a, k: 1.0, mean: true })),
        );
    }
    cases.push(solution(Shape::new(1, 3, h, w), 2, PeriodicSolve { a: 4194.304, k: 4194.304, mean: false }));
    cases
}

/// Of b alone, or of u and b.
pub fn solution(shape: Shape, inputs: usize, op: PeriodicSolve) -> Case {
    let mut random = Random::new(shape.len());
    let x = (0..inputs).map(|_| (shape, random.vec(shape.len()))).collect();
    Case::of("periodic_solve", format!("{op:?} of {inputs}"), x, &vec![true; inputs], 1, |g, x| {
        let tables = [shape.w, shape.h].map(|n| periodic_solve::roots(g, n));
        g.apply("solve", op, &[x, &tables[..]].concat()).unwrap()
    })
}

/// Those of relative total variation and the static/dynamic filter.
fn systems((h, w): (usize, usize)) -> Vec<Case> {
    let mut random = Random::new(h + 9 * w);
    let f = picture(h, w);
    let mut cases = vec![];
    let blurred = (f.0, random.vec(f.0.len()).iter().map(|v| 0.5 + 0.01 * v).collect());
    cases.push(Case::new("rtv_weights", RtvWeights { lambda: 0.01, eps_s: 0.02 }, vec![f.clone(), blurred], &[]));
    // What is outside of [0, 1] is clipped, and what is dark is on the curves' straight parts.
    let colours = f.1.iter().enumerate().map(|(i, v)| if i % 3 == 0 { 0.05 * v } else { 3.0 * v - 1.0 }).collect();
    cases.push(Case::new("lab", Lab, vec![(f.0, colours)], &[]));
    let mut features = (f.0, random.vec(f.0.len()).iter().map(|v| 30.0 * v).collect::<Vec<f32>>());
    // The greatest distance is the last, which the last workgroup finds.
    features.1[f.0.plane() - 1] = 200.0;
    let others = (f.0.with_c(4), random.vec(f.0.with_c(4).len()));
    let alike = (f.0, vec![0.3; f.0.len()]);
    for inputs in [vec![features.clone()], vec![features.clone(), others], vec![alike]] {
        cases.push(Case::new("pair_weights", PairWeights { bandwidth: 8.0, factor: 3.0 }, inputs, &[]));
    }
    // Loose tolerances, so that wrong steps show: exact solutions are the same whichever way they are found.
    for tolerance in [0.1, 1e-3] {
        let name = format!("solutions to {tolerance}, four neighbours");
        cases.push(Case::of("pcg", name, vec![f.clone()], &[], 1, |g, f| {
            let weights = g.apply1("weights", RtvWeights { lambda: 0.02, eps_s: 0.02 }, &[f[0], f[0]]).unwrap();
            let solution = Solution::new(g, g.shape(f[0]));
            solution.solve(g, weights, f[0], PcgStart { from_f: true, tolerance }).unwrap();
            vec![solution.u]
        }));
        let name = format!("solutions to {tolerance}, eight neighbours, one from the other");
        cases.push(Case::of("pcg", name, vec![f.clone(), features.clone()], &[], 1, |g, x| {
            let weights = PairWeights { bandwidth: 8.0, factor: 3.0 };
            let weights = g.apply1("weights", weights, &x[1..]).unwrap();
            let stronger = g.apply1("weights", Scale { k: 2.0 }, &[weights]).unwrap();
            let solution = Solution::new(g, g.shape(x[0]));
            solution.solve(g, weights, x[0], PcgStart { from_f: true, tolerance }).unwrap();
            solution.solve(g, stronger, x[0], PcgStart { from_f: false, tolerance }).unwrap();
            vec![solution.u]
        }));
    }
    cases
}

pub const BOTH: [bool; 2] = [true, true];

/// What runs on the GPU and on the CPU in f32; small ones first.
pub static CASES: LazyLock<Vec<Case>> = LazyLock::new(|| {
    let mut cases = vec![];
    for shape in SHAPES {
        for beta in [1.0, -1.0] {
            cases.push(elementwise(Add { beta }, "add", 2, shape));
        }
        cases.push(elementwise(Scale { k: -0.3 }, "add", 1, shape));
        cases.extend([1.0, -1.0].map(|sign| exp_scale(sign, shape)));
        cases.extend([false, true].map(|inverse| elementwise(Coupling { inverse }, "coupling", 3, shape)));
        cases.push(sigmoid_gate(shape));
        cases.extend([false, true].map(|equal| loss(shape, equal)));
        cases.extend(noise(shape));
    }
    for size in [(1, 1, 1, 1), (3, 3, 1, 17), (1, 3, 7, 13), (3, 1, 31, 11), (1, 1, 255, 1), (1, 1, 1, 257)] {
        cases.extend([false, true].map(|inverse| haar(size, inverse)));
    }
    for size in [(1, 1, 2, 2), (3, 3, 3, 34), (1, 3, 14, 26), (1, 1, 511, 3), (2, 1, 2, 514), (2, 3, 5, 7)] {
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
        // Of even width, where software drivers take columns in pairs.
        (2, 3, 0, 33, 17, 10, true, BOTH),
        (1, 9, 0, 12, 5, 16, true, BOTH),
        (1, 10, 0, 12, 9, 18, true, BOTH),
        (1, 1, 0, 16, 1, 2, true, BOTH),
        (2, 20, 0, 3, 18, 22, false, BOTH),
    ];
    cases.extend(convs.map(conv));
    let relus = [(1, 3, 0, 5, 9, 17, true, BOTH), (2, 16, 0, 33, 7, 9, true, BOTH), (1, 32, 40, 35, 5, 18, true, BOTH)];
    cases.extend(relus.map(|conv| conv_with(Some(0.0), conv)));
    cases.extend([0.0, LEAKY_SLOPE].map(conv_at_kink));
    // The lanes have gated kernels for up to 9 outputs.
    let gated = [
        (2, 2, 3, 3, 25, 14),
        (1, 9, 16, 3, 7, 13),
        (3, 3, 17, 9, 17, 31),
        (2, 1, 1, 1, 1, 1),
        (1, 3, 64, 9, 13, 16),
        (1, 5, 7, 8, 25, 5),
    ];
    cases.extend(gated.into_iter().flat_map(|size| EPILOGUES.map(|epilogue| gated_conv(size, epilogue))));
    let with_stats = [
        (1, 64, 64, 11, 31),
        (3, 3, 17, 9, 16),
        (2, 5, 70, 25, 7),
        (1, 16, 10, 1, 1),
        (1, 4, 33, 16, 49),
        (2, 3, 32, 25, 33),
        (1, 21, 20, 9, 34),
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
            let sizes =
                [(1, 1, 1, 1, 1), (3, 64, 4, 9, 17), (2, 65, 7, 16, 13), (1, 130, 64, 5, 31), (2, 12, 3, 40, 33)];
            cases.extend(sizes.map(gate_and_stats));
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
    let random = |len: usize| Random::new(len).vec(len);
    cases.push(muon(&[(1, 2), (3, 11), (16, 144), (5, 63)], f32::INFINITY, 3, random));
    cases.push(muon(&[(64, 576), (17, 153)], 0.5, 3, random));
    cases.push(muon(&[(4, 36), (2, 18)], 1.0, 2, |len| vec![0.0; len]));
    cases.extend(PICTURES.into_iter().flat_map(filters));
    // Lengths of all radices, and more workgroups than one adds up at once.
    cases.extend([(8, 84), (55, 16), (341, 2), (3, 61), (48, 6)].into_iter().flat_map(splitting));
    cases.extend(systems((120_001, 1)));
    cases.push(subnet("g1", 16, true, (1, 7, 13)));
    cases.push(subnet("g2", 17, true, (3, 5, 17)));
    cases.push(subnet("g1", 9, false, (3, 1, 11)));
    cases.extend(deep::cases());
    cases
});

/// A graph with hidden maps: `r`, of numbers that f16 has, passes through a convolution that changes nothing, so that
/// it is hidden; `build` makes outputs of it. Where one is hidden again, another such convolution brings it to light.
pub fn hidden(
    stem: &'static str,
    what: String,
    r: Shape,
    build: impl FnOnce(&mut Hidden, Value) -> Vec<Value>,
) -> Case {
    let mut hidden = Hidden { graph: Graph::new(Layout::default()), data: vec![], random: Random::new(r.len()) };
    let input = hidden.input(r);
    let r = hidden.unchanged(input, Some(1.0));
    let mut compared = vec![];
    for y in build(&mut hidden, r) {
        let node = hidden.graph.nodes().iter().find(|node| node.outputs[0] == y).expect("an operator's first output");
        let light = node.op.accepts_f16(node.inputs.len(), Operand::Output(0));
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
        runs: vec![RunParams::default()],
        of: vec![],
        wrt: vec![],
        compared,
        want: vec![],
    }
    .finish()
}

pub struct Hidden {
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
pub fn hidden_conv((n, cx, cr, co, h, w): (usize, usize, usize, usize, usize, usize)) -> Case {
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
        let slope = if cx > 0 { None } else { Some(LEAKY_SLOPE) };
        vec![hidden.graph.apply1("conv", Conv3x3 { slope }, &inputs).unwrap()]
    })
}

/// A hidden map's convolution whose output's statistics are taken, itself hidden or not: batch, channels of r and y,
/// rows, columns.
pub fn hidden_conv_and_stats((n, cr, co, h, w): (usize, usize, usize, usize, usize), hides: bool) -> Case {
    let what = format!("hidden convolution with statistics {n}x{cr}x{h}x{w} to {co}, hidden {hides}");
    hidden("conv3x3", what, Shape::new(n, cr, h, w), |hidden, r| {
        let weights = [Shape::new(co, cr, 3, 3), Shape::new(1, co, 1, 1)].map(|shape| hidden.input(shape));
        let conv = Conv3x3 { slope: Some(LEAKY_SLOPE) };
        let y = hidden.graph.apply1("conv", conv, &[r, weights[0], weights[1]]).unwrap();
        let stats = hidden.graph.apply1("stats", ChannelStats, &[y]).unwrap();
        // A sum is not for hidden maps.
        vec![if hides { y } else { hidden.graph.apply1("sum", Add { beta: 1.0 }, &[y, y]).unwrap() }, stats]
    })
}

/// Both kinds of statistics of a hidden map, and gates applied to it.
/// Batch, channels of x, r and y, rows, columns. The gates are powers of 2, so that f16 has the gated numbers, too.
pub fn hidden_gated_conv(
    (n, cx, cr, co, h, w): (usize, usize, usize, usize, usize, usize),
    (epilogue, beside): (Epilogue, usize),
) -> Case {
    let what = format!("hidden gated conv3x3 {n}x({cx}+{cr})x{h}x{w} to {co}, {epilogue:?}");
    let shapes = [(n, cx, h, w), (n, cr, 1, 1), (n, 1, h, w), (co, cx + cr, 3, 3), (1, co, 1, 1)];
    hidden("conv3x3", what, Shape::new(n, cr, h, w), |hidden, r| {
        let mut inputs: Vec<Value> = shapes.map(|(n, c, h, w)| hidden.input(Shape::new(n, c, h, w))).into();
        for gates in &inputs[1..3] {
            let (_, numbers) = hidden.data.iter_mut().find(|(v, _)| v == gates).expect("an input");
            numbers.iter_mut().for_each(|v| *v = 0.5f32.powi((*v * 3.0) as i32));
        }
        inputs.insert(1, r);
        inputs.extend((0..beside).map(|_| hidden.input(Shape::new(n, co, h, w))));
        vec![hidden.graph.apply1("conv", GatedConv3x3 { slope: None, epilogue }, &inputs).unwrap()]
    })
}

pub fn hidden_attention((n, f, h, w): (usize, usize, usize, usize)) -> [Case; 3] {
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
pub static HALF_CASES: LazyLock<Vec<Case>> = LazyLock::new(|| {
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
    let gated = gated.into_iter().flat_map(|size| EPILOGUES.map(|epilogue| hidden_gated_conv(size, epilogue)));
    let with_stats =
        [(1, 64, 64, 11, 31), (3, 3, 32, 17, 16), (2, 5, 70, 25, 7), (1, 16, 17, 1, 1), (1, 5, 48, 16, 49)];
    let with_stats =
        with_stats.into_iter().flat_map(|size| [true, false].map(|hides| hidden_conv_and_stats(size, hides)));
    convs.map(hidden_conv).into_iter().chain(gated).chain(attention).chain(with_stats).collect()
});
