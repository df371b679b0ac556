//! Cases of the operators that only the deep methods of the paper's Table 2 have.

use super::*;
use sasnet::low_level::ops::{
    activation::Bounded, activation::Function, affine::Affine, batch_norm::BatchNorm, blur::Blur, constant::Constant,
    constant::Detach, conv::Conv, conv::Padding, coverage::Coverage, differences::Differences, edge_loss::EdgeLoss,
    edge_loss::Edges, grey_gradient::GreyGradient, maximum::Maximum, neighbour_loss::NeighbourLoss, phases::Phases,
    phases::PhasesInverse, resize::Resize, running_stats::RunningStats, squared_loss::SquaredLoss, ssim::Products,
    ssim::Squares, ssim::SsimLoss, sweep::Sweep, transpose::Transpose,
};

fn random_inputs(shapes: &[Shape], seed: usize) -> Vec<(Shape, Vec<f32>)> {
    let mut random = Random::new(seed);
    shapes.iter().map(|shape| (*shape, random.vec(shape.len()))).collect()
}

/// Batch, channels, rows, columns; with a ReLU, away from where its gradient jumps.
fn batch_norm((n, c, h, w): (usize, usize, usize, usize), relu: bool) -> Case {
    let shapes = [Shape::new(n, c, h, w), Shape::new(1, c, 1, 1), Shape::new(1, c, 1, 1)];
    let case = |seed, relu| Case::new("batch_norm", BatchNorm { relu }, random_inputs(&shapes, seed), &[true; 3]);
    let clear = |seed: &usize| {
        let y = &case(*seed, false).want[0];
        !relu || y.iter().all(|v| v.abs() * y.len() as f64 > 0.3)
    };
    case((1..).find(clear).expect("the numbers do not end"), relu)
}

/// Three steps of the running statistics.
fn running_stats(c: usize, correction: f64) -> Case {
    let mut graph = Graph::new(Layout::default());
    let mut random = Random::new(c);
    let stats = graph.input("stats", Shape::new(1, 3, 1, c));
    let running = ["mean", "var"].map(|name| graph.persistent(name, Shape::new(1, c, 1, 1)));
    graph.apply_in_place("running", RunningStats { correction }, &[stats], &running).unwrap();
    let value = |(name, value): (&str, Value)| Compared { name: name.into(), value, kind: Kind::Forward, range: None };
    Case {
        stem: "running_stats",
        name: format!("running statistics of {c}"),
        forward: graph.clone(),
        graph,
        inputs: vec![(stats, random.vec(3 * c))],
        state: running.map(|value| (value, random.vec(c))).into(),
        runs: vec![RunParams::default(); 3],
        of: vec![],
        wrt: vec![],
        compared: [("mean", running[0]), ("var", running[1])].map(value).into(),
        want: vec![],
    }
    .finish()
}

/// Of numbers over the whole range, up to where exponentials overflow.
fn bounded(function: Function, shape: Shape) -> Case {
    let mut x = random_inputs(&[shape], shape.len());
    for (i, x) in x[0].1.iter_mut().enumerate() {
        *x = match i % 5 {
            2 => 200f32.copysign(*x),
            3 => *x * 10.0,
            4 => *x * 0.01,
            _ => *x * 2.0,
        };
    }
    Case::new("activation", Bounded(function), x, &[true])
}

/// `equal`: every third pair of elements is equal, where the gradient of the absolute value is 0.
fn neighbour_loss(shape: Shape, equal: bool) -> Case {
    let mut inputs = random_inputs(&[shape, shape], shape.len() + 1);
    if equal {
        let y = inputs[0].1.clone();
        inputs[1].1.iter_mut().zip(&y).step_by(3).for_each(|(t, y)| *t = *y);
    }
    Case::new("neighbour_loss", NeighbourLoss, inputs, &[true, false])
}

/// Batch, channels of x and y, rows and columns of x, those of the kernel.
type General = (usize, usize, usize, usize, usize, [usize; 2]);

/// A convolution of any kernel; with a ReLU, away from where its gradient jumps.
fn conv((n, ci, co, h, w, [kh, kw]): General, padding: Padding, bias: bool, relu: bool) -> Case {
    let shapes = [Shape::new(n, ci, h, w), Shape::new(co, ci, kh, kw), Shape::new(1, co, 1, 1)];
    let shapes = if bias { &shapes[..] } else { &shapes[..2] };
    let case =
        |seed, relu| Case::new("conv", Conv { padding, relu }, random_inputs(shapes, seed), &[true; 3][..shapes.len()]);
    let clear = |seed: &usize| {
        let y = &case(*seed, false).want[0];
        !relu || y.iter().all(|v| v.abs() * y.len() as f64 > 0.3)
    };
    case((1..).find(clear).expect("the numbers do not end"), relu)
}

/// Factor of the distance, and x.
fn phases(d: usize, x: Shape) -> [Case; 2] {
    let y = Shape::new(x.n * d * d, x.c, x.h.div_ceil(d), x.w.div_ceil(d));
    [
        Case::new("phases", Phases { d }, random_inputs(&[x], d), &[true]),
        Case::new("phases", PhasesInverse { d, size: [x.h, x.w] }, random_inputs(&[y], d), &[true]),
    ]
}

/// Gates in (-1, 1), as a tanh makes them.
fn sweep(shape: Shape, up: bool) -> Case {
    Case::new("sweep", Sweep { up }, random_inputs(&[shape; 2], shape.len()), &[true; 2])
}

/// `ties`: few different values.
fn maximum(shape: Shape, ties: bool) -> Case {
    let mut inputs = random_inputs(&[shape; 2], shape.len());
    if ties {
        inputs.iter_mut().for_each(|(_, values)| *values = with_ties(std::mem::take(values)));
    }
    Case::new("maximum", Maximum, inputs, &[true; 2])
}

/// The loss of two unlike pictures in [0, 1], by all of its operators: where they are alike, little is left of 1 - 1.
fn similarity(shape: Shape) -> Case {
    let mut inputs = random_inputs(&[shape; 2], shape.len());
    let target = inputs[1].1.clone();
    inputs[1].1.iter_mut().for_each(|v| *v = 0.5 + 0.4 * *v);
    inputs[0].1.iter_mut().zip(&target).for_each(|(y, t)| *y = 0.5 - 0.2 * *t + 0.2 * *y);
    Case::of("ssim", "the similarity".into(), inputs, &[true, false], 0, |g, x| {
        let products = g.apply1("ssim", Products, x).unwrap();
        let squares = g.apply1("ssim", Squares, &x[1..]).unwrap();
        let [products, squares] = [products, squares].map(|v| g.apply1("ssim", Blur, &[v]).unwrap());
        let loss = g.apply1("ssim", SsimLoss { weight: 0.3 }, &[products, squares]).unwrap();
        vec![loss, products, squares]
    })
}

/// Edges of codes, and the loss of a guess at them; over the whole range of logits.
fn edges(n: usize, h: usize, w: usize) -> [Case; 2] {
    let (picture, map) = (Shape::new(n, 3, h, w), Shape::new(n, 1, h, w));
    let mut codes = random_inputs(&[picture], h * w);
    // Steps of a few codes beside edges, and beyond [0, 1].
    let code = |v: f32| (127.5 + 20.0 * v + if v > 0.3 { 90.0 } else { 0.0 }).round() / 255.0;
    codes[0].1.iter_mut().enumerate().for_each(|(i, v)| *v = if i % 97 == 5 { 1.5 } else { code(*v) });
    let mut inputs = random_inputs(&[map; 2], h * w + 1);
    for (i, e) in inputs[0].1.iter_mut().enumerate() {
        *e *= [1.0, 4.0, 30.0, 200.0][i % 4];
    }
    inputs[1].1.iter_mut().for_each(|l| *l = if *l > 0.5 { 1.0 } else { 0.0 });
    [
        Case::new("edge_loss", Edges, codes, &[false]),
        Case::new("edge_loss", EdgeLoss { weight: 32.768 }, inputs, &[true, false]),
    ]
}

fn coverage((n, c, h, w): (usize, usize, usize, usize), first: usize, height: usize) -> Case {
    let shapes = [Shape::new(n, c, h, w), Shape::new(1, c, 1, 1)];
    Case::new("coverage", Coverage { first, height }, random_inputs(&shapes, h * w), &[true; 2])
}

const DIFFERENCES: [Differences; 4] = [
    Differences { adjoint: false, open: false },
    Differences { adjoint: true, open: false },
    Differences { adjoint: false, open: true },
    Differences { adjoint: true, open: true },
];

/// Cases for the kernels and the CPU in f32.
pub fn cases() -> Vec<Case> {
    let mut cases = vec![];
    for shape in SHAPES {
        cases.push(elementwise(Affine { k: 2.0, c: -1.0 }, "affine", 1, shape));
        cases.extend([Function::Tanh, Function::Sigmoid].map(|function| bounded(function, shape)));
        cases.push(Case::new("constant", Constant { shape, value: -0.7 }, vec![], &[]));
        cases.push(Case::new("constant", Detach, random_inputs(&[shape], 3), &[false]));
    }
    cases.push(batch_norm((1, 1, 1, 1), false));
    for size in [(3, 3, 1, 17), (1, 9, 7, 13), (2, 5, 16, 16), (1, 257, 1, 2), (2, 3, 65, 63), (1, 1, 257, 1)] {
        cases.extend([false, true].map(|relu| batch_norm(size, relu)));
    }
    cases.extend([1, 255, 257].map(|c| running_stats(c, 1.0)));
    cases.push(running_stats(64, 1.01));
    for shape in [(1, 1, 3, 3), (3, 3, 4, 17), (1, 9, 7, 13), (1, 3, 31, 3), (2, 3, 33, 65)] {
        let shape = Shape::new(shape.0, shape.1, shape.2, shape.3);
        cases.extend([false, true].map(|equal| neighbour_loss(shape, equal)));
    }
    let uneven = Padding { top: 1, bottom: 0, left: 0, right: 2 };
    let convs = [
        ((1, 1, 1, 1, 1, [1, 1]), Padding::default()),
        ((2, 3, 5, 7, 13, [5, 5]), Padding::all(2)),
        ((1, 17, 65, 9, 8, [1, 1]), Padding::default()),
        ((2, 3, 9, 20, 17, [16, 16]), Padding::all(4)),
        ((1, 5, 3, 9, 18, [8, 8]), Padding::all(7)),
        ((3, 2, 4, 31, 17, [2, 5]), uneven),
        ((1, 65, 66, 5, 7, [4, 3]), uneven),
        ((1, 3, 2, 33, 35, [3, 3]), Padding::all(1)),
    ];
    for (i, (size, padding)) in convs.into_iter().enumerate() {
        cases.push(conv(size, padding, i % 3 > 0, i % 2 > 0));
    }
    for shape in [Shape::new(1, 1, 1, 1), Shape::new(2, 3, 7, 13), Shape::new(1, 5, 16, 31), Shape::new(1, 2, 9, 258)] {
        cases.extend([1, 2, 3].into_iter().flat_map(|d| phases(d, shape)));
        cases.push(Case::new("blur", Blur, random_inputs(&[shape], 1), &[true]));
        cases.extend([false, true].map(|up| sweep(shape, up)));
        cases.push(Case::new("transpose", Transpose, random_inputs(&[shape], 2), &[true]));
        cases.extend([2, 4, 8].map(|s| Case::new("resize", Resize { s }, random_inputs(&[shape], s), &[true])));
        cases.extend([false, true].map(|ties| maximum(shape, ties)));
        cases.push(similarity(shape));
        let two = random_inputs(&[shape; 2], 5);
        cases.push(Case::new("squared_loss", SquaredLoss { k: 0.5 }, two, &[true, false]));
        cases.extend(DIFFERENCES.map(|op| Case::new("differences", op, random_inputs(&[shape], 6), &[true])));
    }
    cases.push(similarity(Shape::new(2, 3, 33, 65)));
    cases.push(Case::new("transpose", Transpose, random_inputs(&[Shape::new(1, 65_537, 1, 2)], 2), &[true]));
    let large = Shape::new(1, 2, 65, 130);
    cases.push(Case::new("squared_loss", SquaredLoss { k: 2.0 }, random_inputs(&[large; 2], 5), &[true, false]));
    for (n, h, w) in [(1, 2, 2), (2, 3, 17), (1, 16, 16), (3, 31, 47)] {
        cases.extend(edges(n, h, w));
        let picture = Shape::new(n, 3, h, w);
        cases.push(Case::new("grey_gradient", GreyGradient, random_inputs(&[picture], 8), &[true]));
    }
    for (size, first, height) in
        [((1, 1, 8, 8), 0, 8), ((2, 3, 9, 15), 0, 9), ((1, 3, 5, 16), 3, 20), ((2, 2, 17, 23), 11, 28)]
    {
        cases.push(coverage(size, first, height));
    }
    cases
}

/// Cases for finite differences.
pub fn small() -> Vec<Case> {
    let shape = Shape::new(2, 3, 3, 5);
    [
        elementwise(Affine { k: 2.0, c: -1.0 }, "affine", 1, shape),
        elementwise(Bounded(Function::Tanh), "activation", 1, shape),
        elementwise(Bounded(Function::Sigmoid), "activation", 1, shape),
        batch_norm((2, 3, 4, 5), false),
        batch_norm((2, 3, 3, 4), true),
        neighbour_loss(Shape::new(2, 3, 4, 5), false),
        conv((2, 2, 3, 4, 5, [2, 3]), Padding { top: 1, bottom: 0, left: 2, right: 1 }, true, true),
        conv((1, 2, 3, 9, 10, [8, 8]), Padding::all(7), false, false),
        elementwise(Blur, "blur", 1, Shape::new(1, 2, 7, 5)),
        sweep(shape, false),
        sweep(shape, true),
        elementwise(Transpose, "transpose", 1, shape),
        elementwise(Resize { s: 4 }, "resize", 1, Shape::new(2, 2, 3, 2)),
        maximum(shape, false),
        similarity(Shape::new(2, 3, 6, 7)),
        elementwise(GreyGradient, "grey_gradient", 1, shape),
        Case::new("squared_loss", SquaredLoss { k: 2.0 }, random_inputs(&[shape; 2], 5), &[true, false]),
        solution(shape, 1, PeriodicSolve { a: 7.0, k: 2.0, mean: false }),
        solution(shape, 2, PeriodicSolve { a: 7.0, k: 1.0, mean: true }),
        coverage((2, 2, 5, 9), 2, 11),
        edge_loss(),
    ]
    .into_iter()
    .chain(DIFFERENCES.map(|op| elementwise(op, "differences", 1, shape)))
    .chain(phases(2, shape))
    .collect()
}

/// Of labels without a gradient, and logits of all sizes that differences can tell.
fn edge_loss() -> Case {
    let map = Shape::new(2, 1, 3, 4);
    let mut inputs = random_inputs(&[map; 2], 9);
    inputs[1].1.iter_mut().for_each(|l| *l = if *l > 0.3 { 1.0 } else { 0.0 });
    Case::new("edge_loss", EdgeLoss { weight: 3.0 }, inputs, &[true, false])
}
