//! 3x3 convolution, stride 1, zero padding 1, with bias and an optional LeakyReLU, over the channels of one map or of
//! two maps put together: y = act(conv(concat[x, r], w) + b).
//!
//! Two inputs, because g's last convolution reads concat[x, r] and a copy of 64 channels would cost a pass.
//!
//! Gradients. With dpre = dy where y > 0, slope dy elsewhere (the output tells: LeakyReLU keeps the sign, and ReLU, of
//! slope 0, makes 0 of all that is not above): dx[i, p] = sum over o, tap of w[o, i, tap] dpre[o, p - tap]: the
//! convolution of dpre with the flipped kernel and the channels exchanged; `dw[o, i, tap]` = sum over images and p of
//! `dpre[o, p] x[i, p + tap]`; `db[o]` = sum of `dpre[o]`.

#[cfg(feature = "cpu")]
use super::Workspace;
use super::add::Add;
use super::channel_attention::ChannelStats;
use super::coupling::Coupling;
#[cfg(feature = "cpu")]
use super::cpu::*;
use super::exp_scale::ExpScale;
use super::{Graph, Node, Op, Operator, arity, check};
use crate::graph::Value;
use crate::kernel::{
    Lowering,
    Operand::{self, *},
};
use crate::tensor::Shape;

#[cfg(feature = "cpu")]
mod cpu;
mod gpu;
mod shaders;

pub(crate) use gpu::{gives_stats, takes_gates};
pub use shaders::{LANES_SHADER, MATRIX8_SHADER, MATRIX16_SHADER, TILES_SHADER};

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
    /// Operator that is applied where the output is stored; none where there is a slope.
    pub epilogue: Epilogue,
}

/// An operator that a convolution applies to its output: of other maps, and of the output as its last input.
#[derive(Clone, Debug, PartialEq)]
pub enum Epilogue {
    /// Stores it.
    Nothing,
    /// Of one map beside it.
    Add(Add),
    /// Of none.
    ExpScale(ExpScale),
    /// Of two.
    Coupling(Coupling),
}

impl Epilogue {
    /// The operator, where it is one of these.
    pub fn of(op: &Op) -> Option<Epilogue> {
        match op {
            Op::Add(op) => Some(Epilogue::Add(op.clone())),
            Op::ExpScale(op) => Some(Epilogue::ExpScale(op.clone())),
            Op::Coupling(op) => Some(Epilogue::Coupling(op.clone())),
            _ => None,
        }
    }

    fn op(&self) -> Option<Op> {
        match self {
            Epilogue::Nothing => None,
            Epilogue::Add(op) => Some(op.clone().into()),
            Epilogue::ExpScale(op) => Some(op.clone().into()),
            Epilogue::Coupling(op) => Some(op.clone().into()),
        }
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

    /// The last map, and an output with an activation: hidden maps. Not the image or the half of it that comes first.
    /// Nor the output of two maps: kernels that write f16 read the second as f16, which it need not be.
    fn accepts_f16(&self, inputs: usize, operand: Operand) -> bool {
        match operand {
            Output(_) => self.slope.is_some() && inputs == 3,
            operand => operand == Input(inputs - 3),
        }
    }

    #[cfg(feature = "cpu")]
    fn workspace(&self, inputs: &[Shape], outputs: &[Shape]) -> Workspace {
        cpu::convolve_workspace(inputs[inputs.len() - 2].c, outputs[0])
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], y: &mut [Out<T>], cpu: &Cpu<T>) {
        let (maps, [w, b]) = x.split_at(x.len() - 2) else { unreachable!("two remain") };
        cpu::convolve(maps, w.data, Some(b.data), self.slope.map(T::of), &mut y[0], cpu);
    }

    fn gpu(&self, l: &mut Lowering) {
        gpu::forward(l, self.slope, l.inputs.len() - 2, None, None);
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
        match self.epilogue.op() {
            Some(op) => {
                check!(self.slope.is_none(), "has a slope, and {} follows", op.name());
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

    fn accepts_f16(&self, _: usize, operand: Operand) -> bool {
        operand == Input(1) || self.slope.is_some() && operand == Output(0)
    }

    #[cfg(feature = "cpu")]
    fn workspace(&self, inputs: &[Shape], outputs: &[Shape]) -> Workspace {
        cpu::convolve_workspace(inputs[4].c, outputs[0])
    }

    /// Only the oracle of the kernels: the operators one after the other.
    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], y: &mut [Out<T>], cpu: &Cpu<T>) {
        let ([x, r, cgate, sgate, w, b], beside) = x.split_at(6) else { unreachable!("six inputs") };
        let mut gated = vec![T::zero(); r.data.len()];
        super::gate::Gate.cpu(&[*r, *cgate, *sgate], &mut [Out { shape: r.shape, data: &mut gated }], cpu);
        let r = In { shape: r.shape, data: &gated };
        Conv3x3 { slope: self.slope }.cpu(&[*x, r, *w, *b], y, cpu);
        if let Some(op) = self.epilogue.op() {
            let last = y[0].data.to_vec();
            op.cpu(&[beside, &[In { shape: y[0].shape, data: &last }]].concat(), y, cpu);
        }
    }

    fn gpu(&self, l: &mut Lowering) {
        gpu::forward(l, self.slope, 2, Some(&self.epilogue), None);
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

    fn accepts_f16(&self, inputs: usize, operand: Operand) -> bool {
        operand != Output(1) && Conv3x3 { slope: self.slope }.accepts_f16(inputs, operand)
    }

    fn macs(&self, inputs: &[Shape], outputs: &[Shape]) -> u64 {
        Conv3x3 { slope: self.slope }.macs(inputs, outputs)
    }

    fn paper_extras(&self, inputs: &[Shape], outputs: &[Shape]) -> u64 {
        Conv3x3 { slope: self.slope }.paper_extras(inputs, outputs)
    }

    #[cfg(feature = "cpu")]
    fn workspace(&self, inputs: &[Shape], outputs: &[Shape]) -> Workspace {
        Conv3x3 { slope: self.slope }.workspace(inputs, outputs)
    }

    /// Only the oracle of the kernels.
    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], out: &mut [Out<T>], cpu: &Cpu<T>) {
        let (y, tiles) = out.split_at_mut(1);
        Conv3x3 { slope: self.slope }.cpu(x, y, cpu);
        ChannelStats.cpu(&[In { shape: y[0].shape, data: y[0].data }], tiles, cpu);
    }

    fn gpu(&self, l: &mut Lowering) {
        gpu::forward(l, self.slope, l.inputs.len() - 2, None, Some(Output(1)));
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

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], dx: &mut [Out<T>], _: &Cpu<T>) {
        dx[0].data.par_chunks_mut(CHUNK).enumerate().for_each(|(i, dx)| {
            let (y, dy) = (&x[0].data[i * CHUNK..], &x[1].data[i * CHUNK..]);
            vectorised!({
                let slope = T::of(self.slope);
                for ((dx, y), dy) in dx.iter_mut().zip(y).zip(dy) {
                    *dx = *dy * if *y > T::zero() { T::one() } else { slope };
                }
            });
        });
    }

    fn gpu(&self, l: &mut Lowering) {
        gpu::activation_backward(l, self.slope);
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

    #[cfg(feature = "cpu")]
    fn workspace(&self, inputs: &[Shape], outputs: &[Shape]) -> Workspace {
        outputs.iter().map(|y| cpu::convolve_workspace(inputs[0].c, *y)).fold(Workspace::default(), |a, b| Workspace {
            per_thread: a.per_thread.max(b.per_thread),
            shared: a.shared.max(b.shared),
        })
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], dx: &mut [Out<T>], cpu: &Cpu<T>) {
        let [dy, w] = x else { unreachable!("two inputs") };
        for (dx, &(first, count)) in dx.iter_mut().zip(&self.parts) {
            let w = cpu::transpose(w.data, w.shape.n, w.shape.c, first, count);
            cpu::convolve(&[*dy], &w, None, None, dx, cpu);
        }
    }

    fn gpu(&self, l: &mut Lowering) {
        gpu::backward_input(l, &self.parts);
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

    #[cfg(feature = "cpu")]
    fn workspace(&self, inputs: &[Shape], _: &[Shape]) -> Workspace {
        cpu::weight_workspace(inputs[0], &inputs[1..])
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], out: &mut [Out<T>], cpu: &Cpu<T>) {
        let [dw, db] = out else { unreachable!("two outputs") };
        cpu::weight_gradient(x[0], &x[1..], dw.data, db.data, cpu);
    }

    fn gpu(&self, l: &mut Lowering) {
        gpu::backward_weight(l);
    }
}
