//! What each operator of a network is in ONNX, in the order of the formulas of its file in `ops/`. Those of training alone,
//! and those that cut a map into rows, have no form there.

use super::Builder;
use super::proto::{Attribute, Body, Node, Values};
use crate::error::{Error, Result};
use crate::ops::activation::Function;
use crate::ops::periodic_solve::PeriodicSolve;
use crate::ops::{Op, Operator as _};
use crate::tensor::Shape;

/// A tensor of the model.
pub(super) struct Tensor {
    pub(super) name: String,
    /// Its shape at the size at which the graph was made: of a map, batch and sides may be any.
    pub(super) shape: Shape,
    /// It is to be read by a convolution of this dilation: [`crate::ops::phases`] takes no part in the model.
    pub(super) dilation: usize,
}

use Attribute::{Int, Ints};

/// Dilation of the convolution that reads what this operator makes.
pub(super) fn dilation(op: &Op, x: &[&Tensor]) -> usize {
    match op {
        Op::Phases(op) => op.d,
        Op::PhasesInverse(_) => 1,
        _ => x.first().map_or(1, |x| x.dilation),
    }
}

/// Appends an operator: its inputs -> the names of its outputs.
pub(super) fn lower(m: &mut Builder, op: &Op, inputs: &[&Tensor]) -> Result<Vec<String>> {
    let x: Vec<&str> = inputs.iter().map(|tensor| tensor.name.as_str()).collect();
    let y = match op {
        Op::Add(op) if op.beta == 1.0 => m.node("Add", &x, &[]),
        Op::Add(op) if op.beta == -1.0 => m.node("Sub", &x, &[]),
        Op::Add(op) => {
            let b = scaled(m, x[1], op.beta);
            m.node("Add", &[x[0], &b], &[])
        }
        Op::Scale(op) => scaled(m, x[0], op.k),
        Op::Affine(op) => {
            let (scaled, c) = (scaled(m, x[0], op.k), m.float(op.c));
            m.node("Add", &[&scaled, &c], &[])
        }
        Op::Bounded(op) => m.node(if op.0 == Function::Tanh { "Tanh" } else { "Sigmoid" }, &x, &[]),
        Op::Maximum(_) => m.node("Max", &x, &[]),
        Op::Transpose(_) => m.node("Transpose", &x, &[("perm", Ints(vec![0, 1, 3, 2]))]),
        Op::MaxPool(_) => m.node("MaxPool", &x, &[("kernel_shape", Ints(vec![2, 2])), ("strides", Ints(vec![2, 2]))]),
        Op::Concat(_) => m.node("Concat", &x, &[("axis", Int(1))]),
        Op::Split(op) => {
            let sizes = m.ints(&[op.first as i64, (inputs[0].shape.c - op.first) as i64]);
            let outputs: Vec<String> = (0..2).map(|i| format!("{}.{i}", m.name("Split"))).collect();
            m.push("Split", &[x[0], &sizes], &[("axis", Int(1))], outputs.clone());
            return Ok(outputs);
        }

        Op::Conv3x3(op) => {
            let [maps @ .., w, b] = &x[..] else { unreachable!("a weight and a bias") };
            let map = if maps.len() == 1 { maps[0].to_string() } else { m.node("Concat", maps, &[("axis", Int(1))]) };
            let d = inputs[0].dilation as i64;
            let y = m.node("Conv", &[&map, w, b], &[("dilations", Ints(vec![d; 2])), ("pads", Ints(vec![d; 4]))]);
            match op.slope {
                None => y,
                Some(0.0) => m.node("Relu", &[&y], &[]),
                Some(slope) => m.node("LeakyRelu", &[&y], &[("alpha", Attribute::Float(slope as f32))]),
            }
        }
        // Only a convolution of one map is dilated, and the maps of its phases go through nothing else.
        Op::Phases(_) | Op::PhasesInverse(_) => x[0].to_string(),
        Op::Conv(op) => {
            let p = op.padding;
            let pads = [p.top, p.left, p.bottom, p.right].map(|n| n as i64);
            let y = m.node("Conv", &x, &[("pads", Ints(pads.to_vec()))]);
            if op.relu { m.node("Relu", &[&y], &[]) } else { y }
        }
        Op::PixelConv(op) if op.side == 1 => m.node("Conv", &x, &[]),
        Op::PixelConv(_) => m.node("ConvTranspose", &x, &[("strides", Ints(vec![2, 2]))]),

        Op::Haar(op) => {
            let kernel = haar(m, inputs[0].shape.c, op.scale);
            m.node("Conv", &[x[0], &kernel], &[("strides", Ints(vec![2, 2]))])
        }
        Op::HaarInverse(op) => {
            let kernel = haar(m, inputs[0].shape.c / 4, op.scale);
            m.node("ConvTranspose", &[x[0], &kernel], &[("strides", Ints(vec![2, 2]))])
        }
        Op::ExpScale(op) => {
            let half = scaled(m, x[0], 0.5);
            let s = m.node("Tanh", &[&half], &[]);
            let s = if op.sign == 1.0 { s } else { m.node("Neg", &[&s], &[]) };
            m.node("Exp", &[&s], &[])
        }
        Op::Coupling(op) => {
            let [x, e, t] = x[..] else { unreachable!("three inputs") };
            if op.inverse {
                let difference = m.node("Sub", &[x, t], &[]);
                m.node("Mul", &[&difference, e], &[])
            } else {
                let product = m.node("Mul", &[x, e], &[]);
                m.node("Add", &[&product, t], &[])
            }
        }
        Op::SigmoidGate(_) => {
            let gate = m.node("Sigmoid", &[x[1]], &[]);
            m.node("Mul", &[x[0], &gate], &[])
        }
        // Zeros: the model has no noise.
        Op::Noise(op) => zeros(m, op.shape),

        // The map itself stands for its tiles' sums and maxima.
        Op::ChannelStats(_) => x[0].to_string(),
        Op::ChannelGate(_) => {
            let [r, w1, b1, w2, b2] = x[..] else { unreachable!("five inputs") };
            let [mean, max] = ["GlobalAveragePool", "GlobalMaxPool"].map(|pool| {
                let v = m.node(pool, &[r], &[]);
                let v = m.node("Conv", &[&v, w1, b1], &[]);
                let v = m.node("Relu", &[&v], &[]);
                m.node("Conv", &[&v, w2, b2], &[])
            });
            let sum = m.node("Add", &[&mean, &max], &[]);
            m.node("Sigmoid", &[&sum], &[])
        }
        Op::SpatialStats(_) => {
            let z = m.node("Mul", &x, &[]);
            let [max, mean] = ["ReduceMax", "ReduceMean"].map(|kind| m.node(kind, &[&z], &[("axes", Ints(vec![1]))]));
            m.node("Concat", &[&max, &mean], &[("axis", Int(1))])
        }
        Op::SpatialGate(_) => {
            let pre = m.node("Conv", &x, &[("pads", Ints(vec![3; 4]))]);
            m.node("Sigmoid", &[&pre], &[])
        }
        Op::Gate(_) => {
            let z = m.node("Mul", &x[..2], &[]);
            m.node("Mul", &[&z, x[2]], &[])
        }

        Op::GreyGradient(_) => grey_gradient(m, x[0]),
        Op::Resize(op) => resize(m, x[0], op.s, inputs[0].shape.c),
        Op::Sweep(op) => sweep(m, x[0], x[1], op.up),
        Op::Differences(op) => differences(m, x[0], op.adjoint, op.open),
        Op::Coverage(_) => coverage(m, x[0], x[1], inputs[0].shape.c),
        Op::PeriodicSolve(op) => {
            // The last two are tables for transforms of one size, for which the model has dense products of any.
            let change = periodic_solve(m, x[x.len() - 3], op);
            if x.len() == 4 { m.node("Add", &[x[0], &change], &[]) } else { change }
        }

        other => {
            let message = format!("the operator {} of \"{}\" has no form in ONNX", other.name(), m.layer);
            return Err(Error::Invalid(message));
        }
    };
    Ok(vec![y])
}

/// k x.
fn scaled(m: &mut Builder, x: &str, k: f32) -> String {
    let k = m.float(k);
    m.node("Mul", &[x, &k], &[])
}

/// The transform of `c` channels as a kernel of stride 2, (4 c, c, 2, 2), times `scale`; its transpose, as a transposed
/// convolution, is the inverse.
fn haar(m: &mut Builder, c: usize, scale: f32) -> String {
    const SIGNS: [[f32; 4]; 4] = [[1., 1., 1., 1.], [1., -1., 1., -1.], [1., 1., -1., -1.], [1., -1., -1., 1.]];
    let element = |i: usize| {
        let (row, column, tap) = (i / (4 * c), i / 4 % c, i % 4);
        if row % c == column { scale * SIGNS[row / c][tap] } else { 0.0 }
    };
    m.constant(vec![4 * c, c, 2, 2], Values::Floats((0..16 * c * c).map(element).collect()))
}

/// A map of zeros, smaller than the picture by the network's scale.
fn zeros(m: &mut Builder, shape: Shape) -> String {
    let picture = m.picture.clone();
    let sides = m.node("Shape", &[&picture], &[]);
    let smaller = m.ints(&[1, 1, m.scale as i64, m.scale as i64]);
    let sides = m.node("Div", &[&sides, &smaller], &[]);
    let others = m.ints(&[0, 2, 3]);
    let [batch, height, width] = [0, 1, 2].map(|i| {
        let sides = m.node("Gather", &[&sides, &others], &[("axis", Int(0))]);
        rows(m, &sides, [i, i + 1], 0)
    });
    let channels = m.ints(&[shape.c as i64]);
    let shape = m.node("Concat", &[&batch, &channels, &height, &width], &[("axis", Int(0))]);
    m.node("ConstantOfShape", &[&shape], &[])
}

/// Elements `from` to `to` along an axis, counted from the end where they are negative; `to` of [`END`] is the end.
fn rows(m: &mut Builder, x: &str, [from, to]: [i64; 2], axis: i64) -> String {
    let (from, to, axis) = (m.ints(&[from]), m.ints(&[to]), m.ints(&[axis]));
    m.node("Slice", &[x, &from, &to, &axis], &[])
}

const END: i64 = i64::MAX;

fn grey_gradient(m: &mut Builder, x: &str) -> String {
    let shares = m.constant(vec![1, 3, 1, 1], Values::Floats(vec![0.2989, 0.5870, 0.1140]));
    let grey = m.node("Conv", &[x, &shares], &[]);
    let [down, right] = [2, 3].map(|axis| {
        let mut difference = |to: [i64; 2], from: [i64; 2]| {
            let [to, from] = [to, from].map(|range| rows(m, &grey, range, axis));
            m.node("Sub", &[&to, &from], &[])
        };
        let ends = [difference([1, 2], [0, 1]), difference([-1, END], [-2, -1])];
        let middle = difference([2, END], [0, -2]);
        let middle = scaled(m, &middle, 0.5);
        m.node("Concat", &[&ends[0], &middle, &ends[1]], &[("axis", Int(axis))])
    });
    m.node("Concat", &[&right, &down], &[("axis", Int(1))])
}

/// Each sample spreads a tent as a transposed convolution of each channel; what would lie beyond the border is left out.
fn resize(m: &mut Builder, x: &str, s: usize, c: usize) -> String {
    let tent: Vec<f32> = (1..2 * s).map(|i| 1.0 - i.abs_diff(s) as f32 / s as f32).collect();
    let plane: Vec<f32> = tent.iter().flat_map(|a| tent.iter().map(move |b| a * b)).collect();
    let kernel = m.constant(vec![c, 1, tent.len(), tent.len()], Values::Floats(plane.repeat(c)));
    let (s, c) = (s as i64, c as i64);
    let pads = vec![s - 1, s - 1, 0, 0];
    m.node("ConvTranspose", &[x, &kernel], &[("strides", Ints(vec![s; 2])), ("pads", Ints(pads)), ("group", Int(c))])
}

/// A loop over the rows: h' = x + g (h - x), h of zeros at first.
fn sweep(m: &mut Builder, x: &str, g: &str, up: bool) -> String {
    let zero = m.int(0);
    let first = m.node("Gather", &[x, &zero], &[("axis", Int(2))]);
    let start = m.node("Sub", &[&first, &first], &[]);
    let [h, row, gate, difference, share, next, kept] =
        ["h", "row", "gate", "difference", "share", "next", "kept"].map(|name| format!("{}/{name}", m.name("Scan")));
    let node = |kind, inputs: [&String; 2], output: &String| Node {
        kind,
        name: output.clone(),
        inputs: inputs.map(String::clone).to_vec(),
        outputs: vec![output.clone()],
        attributes: vec![],
    };
    let mut nodes = vec![
        node("Sub", [&h, &row], &difference),
        node("Mul", [&gate, &difference], &share),
        node("Add", [&row, &share], &next),
    ];
    nodes.push(Node { inputs: vec![next.clone()], ..node("Identity", [&next; 2], &kept) });
    let body = Body { nodes, inputs: vec![h, row, gate], outputs: vec![next, kept] };
    let directions = i64::from(up);
    let attributes = [
        ("body", Attribute::Body(body)),
        ("num_scan_inputs", Int(2)),
        ("scan_input_axes", Ints(vec![2; 2])),
        ("scan_input_directions", Ints(vec![directions; 2])),
        ("scan_output_axes", Ints(vec![2])),
        ("scan_output_directions", Ints(vec![directions])),
    ];
    let outputs: Vec<String> = (0..2).map(|i| format!("{}.{i}", m.name("Scan"))).collect();
    m.push("Scan", &[&start, x, g], &attributes, outputs.clone());
    outputs[1].clone()
}

fn differences(m: &mut Builder, x: &str, adjoint: bool, open: bool) -> String {
    let axis = [("axis", Int(2))];
    let (last, others) = (rows(m, x, [-1, END], 2), rows(m, x, [0, -1], 2));
    let nothing = |m: &mut Builder| m.node("Sub", &[&last, &last], &[]);
    match (adjoint, open) {
        (false, false) => {
            let parts = [rows(m, x, [1, END], 2), rows(m, x, [0, 1], 2)];
            let next = m.node("Concat", &[&parts[0], &parts[1]], &axis);
            m.node("Sub", &[&next, x], &[])
        }
        (false, true) => {
            let next = rows(m, x, [1, END], 2);
            let (inner, nothing) = (m.node("Sub", &[&next, &others], &[]), nothing(m));
            m.node("Concat", &[&inner, &nothing], &axis)
        }
        (true, _) => {
            let last = if open { nothing(m) } else { last };
            let before = m.node("Concat", &[&last, &others], &axis);
            let own = if open { m.node("Concat", &[&others, &last], &axis) } else { x.to_string() };
            m.node("Sub", &[&before, &own], &[])
        }
    }
}

/// Numbers 0, 1, ... below the size of an axis, along that axis, and the size.
fn places(m: &mut Builder, x: &str, axis: i64) -> [String; 2] {
    let n = m.side(x, axis);
    let (zero, one) = (m.int(0), m.int(1));
    let places = m.node("Range", &[&zero, &n, &one], &[]);
    if axis == 3 {
        return [places, n];
    }
    let axes = m.ints(&[1]);
    [m.node("Unsqueeze", &[&places, &axes], &[]), n]
}

fn as_float(m: &mut Builder, x: &str) -> String {
    m.node("Cast", &[x], &[("to", Int(1))])
}

fn as_double(m: &mut Builder, x: &str) -> String {
    m.node("Cast", &[x], &[("to", Int(11))])
}

fn coverage(m: &mut Builder, x: &str, b: &str, c: usize) -> String {
    let (zero, one, seven, eight) = (m.int(0), m.int(1), m.int(7), m.int(8));
    let [rows, columns] = [2, 3].map(|axis| {
        let [i, n] = places(m, x, axis);
        let last = m.node("Sub", &[&n, &eight], &[]);
        let last = m.node("Min", &[&i, &last], &[]);
        let first = m.node("Sub", &[&i, &seven], &[]);
        let first = m.node("Max", &[&first, &zero], &[]);
        let more = m.node("Sub", &[&last, &first], &[]);
        m.node("Add", &[&more, &one], &[])
    });
    let count = m.node("Mul", &[&rows, &columns], &[]);
    let count = as_float(m, &count);
    let mean = m.node("Div", &[x, &count], &[]);
    let shape = m.ints(&[1, c as i64, 1, 1]);
    let bias = m.node("Reshape", &[b, &shape], &[]);
    let sum = m.node("Add", &[&mean, &bias], &[]);
    scaled(m, &sum, 0.5)
}

/// k P(b), P(b) = (1 + a (Dx'Dx + Dy'Dy))^-1 b: with `M_n[i, j] = (cos t + sin t) / sqrt n`, `t = 2 pi i j / n`, which is symmetric,
/// its own inverse, and diagonalises D'D of n values, it is `M_H [(M_H b M_W) k / (1 + a (l_H(i) + l_W(j)))] M_W`. In double precision, since a and k multiply roundings.
fn periodic_solve(m: &mut Builder, b: &str, op: &PeriodicSolve) -> String {
    use std::f64::consts::{PI, TAU};
    let [(by_rows, of_rows), (by_columns, of_columns)] = [2, 3].map(|axis| {
        let [i, n] = places(m, b, axis);
        let size = as_double(m, &n);
        // M_n: places times places as integers, so that no digits of the angle are lost, and less than half a turn.
        let flat = m.ints(&[-1]);
        let row = m.node("Reshape", &[&i, &flat], &[]);
        let axes = m.ints(&[1]);
        let column = m.node("Unsqueeze", &[&row, &axes], &[]);
        let product = m.node("Mul", &[&column, &row], &[]);
        let turns = m.node("Mod", &[&product, &n], &[]);
        let two = m.int(2);
        let half = m.node("Div", &[&n, &two], &[]);
        let turns = m.node("Add", &[&turns, &half], &[]);
        let turns = m.node("Mod", &[&turns, &n], &[]);
        let turns = m.node("Sub", &[&turns, &half], &[]);
        let angle = part_of(m, &turns, TAU, &size);
        let [sin, cos] = ["Sin", "Cos"].map(|kind| m.node(kind, &[&angle], &[]));
        let sum = m.node("Add", &[&sin, &cos], &[]);
        let root = m.node("Sqrt", &[&size], &[]);
        let matrix = m.node("Div", &[&sum, &root], &[]);
        // l_n(a) = 4 sin^2(pi a / n), the same of n - a.
        let back = m.node("Sub", &[&n, &i], &[]);
        let nearer = m.node("Min", &[&i, &back], &[]);
        let angle = part_of(m, &nearer, PI, &size);
        let sin = m.node("Sin", &[&angle], &[]);
        let square = m.node("Mul", &[&sin, &sin], &[]);
        let four = m.double(4.0);
        (matrix, m.node("Mul", &[&square, &four], &[]))
    });
    let transform = |m: &mut Builder, v: &str| {
        let half = m.node("MatMul", &[&by_rows, v], &[]);
        m.node("MatMul", &[&half, &by_columns], &[])
    };
    let sum = m.node("Add", &[&of_rows, &of_columns], &[]);
    let (a, k, one) = (m.double(op.a), m.double(op.k), m.double(1.0));
    let weighted = m.node("Mul", &[&sum, &a], &[]);
    let divisor = m.node("Add", &[&weighted, &one], &[]);
    let mut b = as_double(m, b);
    if !op.mean {
        let mean = m.node("ReduceMean", &[&b], &[("axes", Ints(vec![2, 3]))]);
        b = m.node("Sub", &[&b, &mean], &[]);
    }
    let v = transform(m, &b);
    let v = m.node("Mul", &[&v, &k], &[]);
    let v = m.node("Div", &[&v, &divisor], &[]);
    let change = transform(m, &v);
    as_float(m, &change)
}

/// turn x / n, x whole numbers.
fn part_of(m: &mut Builder, x: &str, turn: f64, n: &str) -> String {
    let (x, turn) = (as_double(m, x), m.double(turn));
    let x = m.node("Mul", &[&x, &turn], &[]);
    m.node("Div", &[&x, n], &[])
}
