//! 3x3 convolution, stride 1, zero padding 1, with bias and an optional LeakyReLU, over the channels of one map or of
//! two maps put together: y = act(conv(concat[x, r], w) + b).
//!
//! Two inputs, because g's last convolution reads concat[x, r] and a copy of 64 channels would cost a pass.
//!
//! Gradients. With dpre = dy where y > 0, slope dy elsewhere (the output tells: LeakyReLU keeps the sign, and ReLU, of slope
//! 0, makes 0 of all that is not above): dx[i, p] = sum over o, tap of w[o, i, tap] dpre[o, p - tap]: the convolution of
//! dpre with the flipped kernel and the channels exchanged; `dw[o, i, tap]` = sum over images and p of
//! `dpre[o, p] x[i, p + tap]`; `db[o]` = sum of `dpre[o]`.

use super::add::{Add, CHUNK};
use super::channel_attention::ChannelStats;
use super::coupling::Coupling;
use super::exp_scale::ExpScale;
use super::{Cpu, Graph, In, Node, Op, Operator, Out, Real, Workspace, arity, check};
use crate::graph::Value;
use crate::kernel::{
    Grid, Kernels, Lowering,
    Operand::{self, *},
    Param,
};
use crate::tensor::Shape;
use rayon::prelude::*;

mod cpu;
mod lanes;
mod matrix;
mod tiles;

pub(crate) use lanes::unrolled;
pub(crate) use matrix::unrolled as matrix_unrolled;
pub(crate) use tiles::unrolled as tiles_unrolled;

/// (x (N, Cx, h, w), [r (N, Cr, h, w)], weight (Co, Cx + Cr, 3, 3), bias (Co)) -> y (N, Co, h, w).
#[derive(Clone, Debug, PartialEq)]
pub struct Conv3x3 {
    /// Slope of the LeakyReLU for negative values, 0 = ReLU; None = no activation.
    pub slope: Option<f64>,
}

/// `(x, r, cgate (N, Cr), sgate (N, 1, h, w), weight, bias, what `then` reads beside) -> y`: [`Conv3x3`] of x and of r
/// behind its gates ([`super::gate::Gate`]), and what follows it, for inference ([`crate::low_level::plan::fuse`]).
#[derive(Clone, Debug, PartialEq)]
pub struct GatedConv3x3 {
    /// Slope of the LeakyReLU for negative values; None = no activation.
    pub slope: Option<f64>,
    /// What is done to its output where it is stored; nothing where there is a slope.
    pub then: Then,
}

/// What a convolution does to its output: an operator of maps beside it, and of the output as its last input.
#[derive(Clone, Debug, PartialEq)]
pub enum Then {
    /// Stores it.
    Nothing,
    /// Of one map beside it.
    Add(Add),
    /// Of none.
    ExpScale(ExpScale),
    /// Of two.
    Coupling(Coupling),
}

impl Then {
    /// The operator, where it is one of these.
    pub fn of(op: &Op) -> Option<Then> {
        match op {
            Op::Add(op) => Some(Then::Add(op.clone())),
            Op::ExpScale(op) => Some(Then::ExpScale(op.clone())),
            Op::Coupling(op) => Some(Then::Coupling(op.clone())),
            _ => None,
        }
    }

    fn op(&self) -> Option<Op> {
        match self {
            Then::Nothing => None,
            Then::Add(op) => Some(op.clone().into()),
            Then::ExpScale(op) => Some(op.clone().into()),
            Then::Coupling(op) => Some(op.clone().into()),
        }
    }

    /// The shaders' THEN.
    fn number(gated: Option<&Then>) -> f64 {
        match gated {
            None | Some(Then::Nothing) => 0.0,
            Some(Then::Add(_)) => 1.0,
            Some(Then::ExpScale(_)) => 2.0,
            Some(Then::Coupling(Coupling { inverse })) => {
                if *inverse {
                    4.0
                } else {
                    3.0
                }
            }
        }
    }

    /// The shaders' `factor`.
    fn factor(gated: Option<&Then>) -> f64 {
        match gated {
            Some(Then::Add(Add { beta })) => f64::from(*beta),
            Some(Then::ExpScale(ExpScale { sign })) => f64::from(*sign),
            _ => 0.0,
        }
    }

    /// The maps beside, which a kernel has also where it reads none (bind any map).
    fn bindings(gated: Option<&Then>) -> [(&'static str, Operand); 2] {
        let [a, e] = match gated {
            Some(Then::Add(_)) => [Input(6), Input(0)],
            Some(Then::Coupling(_)) => [Input(6), Input(7)],
            _ => [Input(0); 2],
        };
        [("a", a), ("e", e)]
    }
}

/// [`Conv3x3`] that also gives [`ChannelStats`] of its output (N, 2 Co, ceil(h / 8), ceil(w / 16)), for inference
/// ([`crate::low_level::plan::fuse`]).
#[derive(Clone, Debug, PartialEq)]
pub struct Conv3x3WithStats {
    /// Slope of the LeakyReLU for negative values; None = no activation.
    pub slope: Option<f64>,
}

/// (y, dy) -> dpre: the gradient before the activation.
#[derive(Clone, Debug, PartialEq)]
pub struct ActivationBackward {
    /// Slope of the LeakyReLU, 0 = ReLU.
    pub slope: f64,
}

/// (dpre (N, Co, h, w), weight (Co, Ci, 3, 3)) -> the gradients of Ci's parts, of so many channels each.
#[derive(Clone, Debug, PartialEq)]
pub struct Conv3x3BackwardInput {
    /// First channel and number of channels of each wanted part.
    pub parts: Vec<(usize, usize)>,
}

/// `(dpre (N, Co, h, w), x, [r]) -> dw (Co, Cx + Cr, 3, 3), db (Co)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Conv3x3BackwardWeight;

/// The parameters of the kernels, by the shader's names.
#[derive(Clone, Copy, Default)]
struct Sizes {
    n: usize,
    cx: usize,
    cr: usize,
    co: usize,
    h: usize,
    w: usize,
    slope: f64,
    factor: f64,
    first: usize,
    count: usize,
    splits: usize,
}

impl Sizes {
    /// Batch and size of `map`, channels of the inputs.
    fn of(map: Shape, maps: &[Shape]) -> Sizes {
        let channels = |i: usize| maps.get(i).map_or(0, |m| m.c);
        Sizes { n: map.n, cx: channels(0), cr: channels(1), h: map.h, w: map.w, ..Sizes::default() }
    }

    /// As [`forward_bindings`] binds the node's first `maps` inputs: a hidden map is always r; an only one then stands there
    /// alone.
    fn as_bound(self, l: &Lowering, maps: usize) -> Sizes {
        if maps == 1 && l.half.contains(&Input(0)) { Sizes { cx: 0, cr: self.cx, ..self } } else { self }
    }

    /// Those alone on which packed weights depend, so that nodes with the same weights share them.
    fn packing(self) -> Sizes {
        Sizes { n: 0, h: 0, w: 0, slope: 0.0, factor: 0.0, ..self }
    }

    fn params(self) -> [(&'static str, Param); 11] {
        let Sizes { n, cx, cr, co, h, w, slope, factor, first, count, splits } = self;
        [
            ("n", n.into()),
            ("cx", cx.into()),
            ("cr", cr.into()),
            ("co", co.into()),
            ("h", h.into()),
            ("w", w.into()),
            ("slope", (slope as f32).into()),
            ("factor", (factor as f32).into()),
            ("first", first.into()),
            ("count", count.into()),
            ("splits", splits.into()),
        ]
    }
}

impl Operator for Conv3x3 {
    fn name(&self) -> &'static str {
        "conv3x3"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        check!(inputs.len() == 3 || inputs.len() == 4, "takes 3 or 4 inputs, got {}", inputs.len());
        let (maps, [w, b]) = inputs.split_at(inputs.len() - 2) else { unreachable!("two remain") };
        let x = maps[0];
        let channels: usize = maps.iter().map(|m| m.c).sum();
        check!(maps.iter().all(|m| m.with_c(1) == x.with_c(1)), "x is {x}, r is {}", maps[maps.len() - 1]);
        check!(w.c == channels, "weight has {} inputs, x has {channels}", w.c);
        check!((w.h, w.w) == (3, 3), "weight is {w}, not 3x3");
        check!(b.len() == w.n, "weight has {} outputs, bias {}", w.n, b.len());
        Ok(vec![x.with_c(w.n)])
    }

    fn macs(&self, inputs: &[Shape], outputs: &[Shape]) -> u64 {
        (inputs[inputs.len() - 2].c * 9 * outputs[0].len()) as u64
    }

    /// A bias each; and half an operation for each LeakyReLU, which is what reproduces the paper's figure.
    fn paper_extras(&self, _: &[Shape], outputs: &[Shape]) -> u64 {
        (outputs[0].len() + self.slope.map_or(0, |_| outputs[0].len() / 2)) as u64
    }

    fn backward(&self, g: &mut Graph, node: &Node, dy: &[Option<Value>], needs: &[bool]) -> Vec<Option<Value>> {
        let (maps, [w, _]) = node.inputs.split_at(node.inputs.len() - 2) else { unreachable!("two remain") };
        let mut apply = |op: Op, inputs: &[Value]| g.apply(&node.name, op, inputs).expect("shapes of the forward pass");
        let dpre = match self.slope {
            Some(slope) => apply(ActivationBackward { slope }.into(), &[node.outputs[0], dy[0].expect("dy")])[0],
            None => dy[0].expect("dy"),
        };
        let inputs: Vec<Value> = std::iter::once(dpre).chain(maps.iter().copied()).collect();
        let dw = apply(Conv3x3BackwardWeight.into(), &inputs);
        // The weight's input channels are those of x, then those of r.
        let mut end = 0;
        let ranges = maps.iter().map(|&m| {
            end += g.shape(m).c;
            (end - g.shape(m).c, g.shape(m).c)
        });
        let parts: Vec<_> = ranges.zip(needs).filter(|(_, needed)| **needed).map(|(range, _)| range).collect();
        let mut dx = vec![];
        if !parts.is_empty() {
            dx = g.apply(&node.name, Conv3x3BackwardInput { parts }, &[dpre, *w]).expect("shapes of the forward pass");
        }
        let mut dx = dx.into_iter();
        let wanted = |&needed: &bool| if needed { dx.next() } else { None };
        let mut d: Vec<Option<Value>> = needs[..maps.len()].iter().map(wanted).collect();
        d.extend(dw.into_iter().map(Some));
        d
    }

    /// The last map, and an output with an activation: hidden maps. Not the image or the half of it that comes first. Nor
    /// the output of two maps: kernels that write f16 read the second as f16, which it need not be.
    fn takes_half(&self, inputs: usize, operand: Operand) -> bool {
        match operand {
            Output(_) => self.slope.is_some() && inputs == 3,
            operand => operand == Input(inputs - 3),
        }
    }

    fn workspace(&self, inputs: &[Shape], outputs: &[Shape]) -> Workspace {
        cpu::convolve_workspace(inputs[inputs.len() - 2].c, outputs[0])
    }

    fn cpu<T: Real>(&self, x: &[In<T>], y: &mut [Out<T>], cpu: &Cpu<T>) {
        let (maps, [w, b]) = x.split_at(x.len() - 2) else { unreachable!("two remain") };
        cpu::convolve(maps, w.data, Some(b.data), self.slope.map(T::of), &mut y[0], cpu);
    }

    fn gpu(&self, l: &mut Lowering) {
        forward(l, self.slope, l.inputs.len() - 2, None, None);
    }
}

/// Lowers the convolution of the node's first `maps` inputs; `gated`: it is [`GatedConv3x3`], and what follows; `tiles`
/// get the statistics.
fn forward(l: &mut Lowering, slope: Option<f64>, maps: usize, gated: Option<&Then>, tiles: Option<Operand>) {
    let (x, y) = (l.inputs[0], l.outputs[0]);
    let factor = Then::factor(gated);
    let sizes = Sizes { co: y.c, slope: slope.unwrap_or(1.0), factor, ..Sizes::of(x, &l.inputs[..maps]) };
    let weights = weights(maps, gated);
    assert!(tiles.is_none() || Conv3x3WithStats::has_kernel(l.kernels, y.c), "no kernel for statistics of {y}");
    match l.kernels {
        Kernels::Lanes => {
            let packed = lanes::pack(l, sizes, (Input(weights), Some(Input(weights + 1))));
            lanes::forward(l, sizes, (Input(0), Input(maps - 1)), gated, packed, Output(0), tiles);
        }
        // A convolution of f32 maps alone keeps their precision; one of few channels, too, which matrices would do for
        // 16, in no less time.
        Kernels::Matrix(unit) if !l.half.is_empty() && sizes.cx + sizes.cr > 4 => {
            matrix::forward(l, sizes, (maps, gated), (Output(0), tiles), unit)
        }
        _ => tiles::forward(l, sizes, (maps, gated), (Output(0), tiles), tiles::Weights::Plain),
    }
}

/// Place of the weight among the node's inputs; the bias follows.
fn weights(maps: usize, gated: Option<&Then>) -> usize {
    if gated.is_some() { 4 } else { maps }
}

/// The bindings of gates, which a kernel has also where it is told that there are none (bind any map).
fn gate_bindings(gated: Option<&Then>) -> [(&'static str, Operand); 2] {
    let [cgate, sgate] = if gated.is_some() { [Input(2), Input(3)] } else { [Input(0); 2] };
    [("cgate", cgate), ("sgate", sgate)]
}

/// The entry point of the tiles' and the matrices' convolution that stores into y, or into an f16 one, perhaps with its
/// statistics, and its bindings.
fn forward_bindings(
    l: &Lowering,
    (maps, gated): (usize, Option<&Then>),
    packed: Operand,
    (y, tiles): (Operand, Option<Operand>),
) -> (&'static str, Vec<(&'static str, Operand)>) {
    let mut bindings = gate_bindings(gated).to_vec();
    bindings.extend([("x", Input(0)), ("r", Input(maps - 1)), ("packed_in", packed)]);
    let hidden = l.half.contains(&y);
    bindings.push((if hidden { "y_hidden" } else { "y" }, y));
    bindings.extend(tiles.map(|tiles| ("tiles", tiles)));
    if !hidden && tiles.is_none() {
        bindings.extend(Then::bindings(gated));
    }
    let kernel = match (hidden, tiles) {
        (false, None) => "forward",
        (true, None) => "forward_hidden",
        (false, Some(_)) => "forward_stats",
        (true, Some(_)) => "forward_hidden_stats",
    };
    (kernel, bindings)
}

impl GatedConv3x3 {
    /// Have these kernels one for so many outputs?
    pub fn has_kernel(kernels: Kernels, outputs: usize) -> bool {
        kernels != Kernels::Lanes || lanes::takes_gates(outputs)
    }
}

impl Operator for GatedConv3x3 {
    fn name(&self) -> &'static str {
        "conv3x3.gated"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let (own, beside) = inputs.split_at(inputs.len().min(6));
        let [x, r, cgate, sgate, w, b] = arity(own)?;
        super::gate::check_gates([r, cgate, sgate])?;
        let y = Conv3x3 { slope: self.slope }.infer(&[x, r, w, b])?;
        match self.then.op() {
            Some(op) => {
                check!(self.slope.is_none(), "has a slope, and {op:?} follows");
                op.infer(&[beside, &y].concat())
            }
            None => {
                check!(beside.is_empty(), "takes 6 inputs, got {}", inputs.len());
                Ok(y)
            }
        }
    }

    fn macs(&self, inputs: &[Shape], outputs: &[Shape]) -> u64 {
        Conv3x3 { slope: self.slope }.macs(&inputs[..6], outputs)
    }

    fn paper_extras(&self, inputs: &[Shape], outputs: &[Shape]) -> u64 {
        Conv3x3 { slope: self.slope }.paper_extras(inputs, outputs)
    }

    fn takes_half(&self, _: usize, operand: Operand) -> bool {
        operand == Input(1) || self.slope.is_some() && operand == Output(0)
    }

    fn workspace(&self, inputs: &[Shape], outputs: &[Shape]) -> Workspace {
        cpu::convolve_workspace(inputs[4].c, outputs[0])
    }

    /// Only the oracle of the kernels: the operators one after the other.
    fn cpu<T: Real>(&self, x: &[In<T>], y: &mut [Out<T>], cpu: &Cpu<T>) {
        let ([x, r, cgate, sgate, w, b], beside) = x.split_at(6) else { unreachable!("six inputs") };
        let mut gated = vec![T::zero(); r.data.len()];
        super::gate::Gate.cpu(&[*r, *cgate, *sgate], &mut [Out { shape: r.shape, data: &mut gated }], cpu);
        let r = In { shape: r.shape, data: &gated };
        Conv3x3 { slope: self.slope }.cpu(&[*x, r, *w, *b], y, cpu);
        if let Some(op) = self.then.op() {
            let last = y[0].data.to_vec();
            op.cpu(&[beside, &[In { shape: y[0].shape, data: &last }]].concat(), y, cpu);
        }
    }

    fn gpu(&self, l: &mut Lowering) {
        forward(l, self.slope, 2, Some(&self.then), None);
    }
}

impl Conv3x3WithStats {
    /// Have these kernels one for so many outputs?
    pub fn has_kernel(kernels: Kernels, outputs: usize) -> bool {
        match kernels {
            Kernels::Lanes => lanes::gives_stats(outputs),
            _ => tiles::gives_stats(outputs),
        }
    }
}

impl Operator for Conv3x3WithStats {
    fn name(&self) -> &'static str {
        "conv3x3.with_stats"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let y = Conv3x3 { slope: self.slope }.infer(inputs)?;
        Ok([&y[..], &ChannelStats.infer(&y)?].concat())
    }

    fn takes_half(&self, inputs: usize, operand: Operand) -> bool {
        operand != Output(1) && Conv3x3 { slope: self.slope }.takes_half(inputs, operand)
    }

    fn macs(&self, inputs: &[Shape], outputs: &[Shape]) -> u64 {
        Conv3x3 { slope: self.slope }.macs(inputs, outputs)
    }

    fn paper_extras(&self, inputs: &[Shape], outputs: &[Shape]) -> u64 {
        Conv3x3 { slope: self.slope }.paper_extras(inputs, outputs)
    }

    fn workspace(&self, inputs: &[Shape], outputs: &[Shape]) -> Workspace {
        Conv3x3 { slope: self.slope }.workspace(inputs, outputs)
    }

    /// Only the oracle of the kernels.
    fn cpu<T: Real>(&self, x: &[In<T>], out: &mut [Out<T>], cpu: &Cpu<T>) {
        let (y, tiles) = out.split_at_mut(1);
        Conv3x3 { slope: self.slope }.cpu(x, y, cpu);
        ChannelStats.cpu(&[In { shape: y[0].shape, data: y[0].data }], tiles, cpu);
    }

    fn gpu(&self, l: &mut Lowering) {
        forward(l, self.slope, l.inputs.len() - 2, None, Some(Output(1)));
    }
}

impl Operator for ActivationBackward {
    fn name(&self) -> &'static str {
        "conv3x3.backward_activation"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [y, dy] = arity(inputs)?;
        check!(y == dy, "y is {y}, dy is {dy}");
        Ok(vec![y])
    }

    fn cpu<T: Real>(&self, x: &[In<T>], dx: &mut [Out<T>], _: &Cpu<T>) {
        let slope = T::of(self.slope);
        dx[0].data.par_chunks_mut(CHUNK).enumerate().for_each(|(i, dx)| {
            let (y, dy) = (&x[0].data[i * CHUNK..], &x[1].data[i * CHUNK..]);
            for ((dx, y), dy) in dx.iter_mut().zip(y).zip(dy) {
                *dx = if *y > T::zero() { *dy } else { slope * *dy };
            }
        });
    }

    fn gpu(&self, l: &mut Lowering) {
        let y = l.inputs[0];
        l.dispatch(
            ("conv3x3", "activation_backward"),
            &[],
            &[("y_in", Input(0)), ("dy", Input(1)), ("dx", Output(0))],
            &tiles::params(Sizes { co: y.c, slope: self.slope, ..Sizes::of(y, &[]) }, 0),
            Grid::Linear(y.len()),
        );
    }
}

impl Operator for Conv3x3BackwardInput {
    fn name(&self) -> &'static str {
        "conv3x3.backward_input"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [dy, w] = arity(inputs)?;
        check!(dy.c == w.n, "weight has {} outputs, dy has {}", w.n, dy.c);
        check!(self.parts.iter().all(|&(first, c)| first + c <= w.c), "weight has {} inputs", w.c);
        Ok(self.parts.iter().map(|&(_, c)| dy.with_c(c)).collect())
    }

    fn macs(&self, inputs: &[Shape], outputs: &[Shape]) -> u64 {
        outputs.iter().map(|y| (inputs[1].n * 9 * y.len()) as u64).sum()
    }

    fn workspace(&self, inputs: &[Shape], outputs: &[Shape]) -> Workspace {
        outputs.iter().map(|y| cpu::convolve_workspace(inputs[0].c, *y)).fold(Workspace::default(), |a, b| Workspace {
            per_thread: a.per_thread.max(b.per_thread),
            shared: a.shared.max(b.shared),
        })
    }

    fn cpu<T: Real>(&self, x: &[In<T>], dx: &mut [Out<T>], cpu: &Cpu<T>) {
        let [dy, w] = x else { unreachable!("two inputs") };
        for (dx, &(first, count)) in dx.iter_mut().zip(&self.parts) {
            let w = cpu::transpose(w.data, w.shape.n, w.shape.c, first, count);
            cpu::convolve(&[*dy], &w, None, None, dx, cpu);
        }
    }

    fn gpu(&self, l: &mut Lowering) {
        let [dy, w] = l.inputs[..] else { unreachable!("two inputs") };
        for (i, &(first, count)) in self.parts.iter().enumerate() {
            if l.kernels == Kernels::Lanes {
                // A convolution of dy: its channels are the inputs, the wanted ones the outputs.
                let sizes = Sizes { co: count, slope: 1.0, first, count: w.c, ..Sizes::of(dy, &[dy]) };
                let packed = lanes::pack(l, sizes, (Input(1), None));
                lanes::forward(l, sizes, (Input(0), Input(0)), None, packed, Output(i), None);
                continue;
            }
            let sizes = Sizes { co: count, slope: 1.0, first, count: w.c, ..Sizes::of(dy, &[dy]) };
            tiles::forward(l, sizes, (1, None), (Output(i), None), tiles::Weights::Turned);
        }
    }
}

impl Operator for Conv3x3BackwardWeight {
    fn name(&self) -> &'static str {
        "conv3x3.backward_weight"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        check!(inputs.len() == 2 || inputs.len() == 3, "takes 2 or 3 inputs, got {}", inputs.len());
        let (dy, maps) = (inputs[0], &inputs[1..]);
        check!(maps.iter().all(|m| m.with_c(dy.c) == dy), "dy is {dy}, x is {}", maps[0]);
        let channels = maps.iter().map(|m| m.c).sum();
        Ok(vec![Shape::new(dy.c, channels, 3, 3), Shape::new(1, dy.c, 1, 1)])
    }

    fn macs(&self, inputs: &[Shape], outputs: &[Shape]) -> u64 {
        (outputs[0].len() * inputs[0].n * inputs[0].plane()) as u64
    }

    fn workspace(&self, inputs: &[Shape], _: &[Shape]) -> Workspace {
        cpu::weight_workspace(inputs[0], &inputs[1..])
    }

    fn cpu<T: Real>(&self, x: &[In<T>], out: &mut [Out<T>], cpu: &Cpu<T>) {
        let [dw, db] = out else { unreachable!("two outputs") };
        cpu::weight_gradient(x[0], &x[1..], dw.data, db.data, cpu);
    }

    fn gpu(&self, l: &mut Lowering) {
        let (dy, maps) = (l.inputs[0], &l.inputs[1..]);
        let sizes = Sizes { co: dy.c, ..Sizes::of(dy, maps) };
        if l.kernels == Kernels::Lanes {
            return lanes::backward_weight(l, sizes);
        }
        tiles::backward_weight(l, sizes);
    }
}
