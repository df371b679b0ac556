//! The convolution's kernels on GPUs: their parameters and bindings, and which of them a convolution takes.

pub(super) mod lanes;
pub(super) mod matrix;
pub(super) mod tiles;

use super::{Epilogue, TILES_SHADER};
use crate::kernel::{
    Grid, Kernels, Lowering,
    Operand::{self, *},
    Param,
};
use crate::ops::{add::Add, coupling::Coupling, exp_scale::ExpScale};
use crate::tensor::Shape;

/// Tells whether the kernel for so many outputs also gives their statistics ([`super::Conv3x3WithStats`]).
pub(crate) fn gives_stats(kernels: Kernels, outputs: usize) -> bool {
    match kernels {
        Kernels::SoftwareSimd => lanes::gives_stats(outputs),
        _ => tiles::gives_stats(kernels, outputs),
    }
}

/// Tells whether the kernel for so many outputs applies gates and an epilogue ([`super::GatedConv3x3`]).
pub(crate) fn takes_gates(kernels: Kernels, outputs: usize) -> bool {
    match kernels {
        Kernels::SoftwareSimd => lanes::takes_gates(outputs),
        _ => true,
    }
}

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

    /// As [`forward_bindings`] binds the node's first `maps` inputs: a hidden map is always r; an only one then stands
    /// there alone.
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

impl Epilogue {
    /// The shaders' EPILOGUE.
    fn number(gated: Option<&Epilogue>) -> f64 {
        match gated {
            None | Some(Epilogue::Nothing) => 0.0,
            Some(Epilogue::Add(_)) => 1.0,
            Some(Epilogue::ExpScale(_)) => 2.0,
            Some(Epilogue::Coupling(Coupling { inverse })) => {
                if *inverse {
                    4.0
                } else {
                    3.0
                }
            }
        }
    }

    /// The shaders' `factor`.
    fn factor(gated: Option<&Epilogue>) -> f64 {
        match gated {
            Some(Epilogue::Add(Add { beta })) => f64::from(*beta),
            Some(Epilogue::ExpScale(ExpScale { sign })) => f64::from(*sign),
            _ => 0.0,
        }
    }

    /// The maps beside, which a kernel has also where it reads none (bind any map).
    fn bindings(gated: Option<&Epilogue>) -> [(&'static str, Operand); 2] {
        let [a, e] = match gated {
            Some(Epilogue::Add(_)) => [Input(6), Input(0)],
            Some(Epilogue::Coupling(_)) => [Input(6), Input(7)],
            _ => [Input(0); 2],
        };
        [("a", a), ("e", e)]
    }
}

/// Lowers the convolution of the node's first `maps` inputs; `gated`: it is [`GatedConv3x3`], and what follows; `tiles`
/// get the statistics.
pub(super) fn forward(
    l: &mut Lowering,
    slope: Option<f64>,
    maps: usize,
    gated: Option<&Epilogue>,
    tiles: Option<Operand>,
) {
    let (x, y) = (l.inputs[0], l.outputs[0]);
    let factor = Epilogue::factor(gated);
    let sizes = Sizes { co: y.c, slope: slope.unwrap_or(1.0), factor, ..Sizes::of(x, &l.inputs[..maps]) };
    let weights = weights(maps, gated);
    assert!(tiles.is_none() || gives_stats(l.kernels, y.c), "no kernel for statistics of {y}");
    match l.kernels {
        Kernels::SoftwareSimd => {
            let weights = (Input(weights), Some(Input(weights + 1)));
            lanes::forward(l, sizes, (Input(0), Input(maps - 1)), gated, weights, Output(0), tiles);
        }
        // A convolution of f32 maps alone keeps their precision; one of few channels or into few, too, which matrices would
        // do for 16, in no less time.
        Kernels::Matrix(unit) if !l.half.is_empty() && sizes.cx + sizes.cr > 4 && !tiles::in_slices(l.kernels, y.c) => {
            matrix::forward(l, sizes, (maps, gated), (Output(0), tiles), unit)
        }
        _ => tiles::forward(l, sizes, (maps, gated), (Output(0), tiles), tiles::Weights::Plain),
    }
}

/// Place of the weight among the node's inputs; the bias follows.
fn weights(maps: usize, gated: Option<&Epilogue>) -> usize {
    if gated.is_some() { 4 } else { maps }
}

/// The bindings of gates, which a kernel has also where it is told that there are none (bind any map).
fn gate_bindings(gated: Option<&Epilogue>) -> [(&'static str, Operand); 2] {
    let [cgate, sgate] = if gated.is_some() { [Input(2), Input(3)] } else { [Input(0); 2] };
    [("cgate", cgate), ("sgate", sgate)]
}

/// The entry point of the tiles' and the matrices' convolution that stores into y, or into an f16 one, perhaps with its
/// statistics, and its bindings.
fn forward_bindings(
    l: &Lowering,
    (maps, gated): (usize, Option<&Epilogue>),
    packed: Operand,
    (y, tiles): (Operand, Option<Operand>),
) -> (&'static str, Vec<(&'static str, Operand)>) {
    let mut bindings = gate_bindings(gated).to_vec();
    bindings.extend([("x", Input(0)), ("r", Input(maps - 1)), ("packed_in", packed)]);
    let hidden = l.half.contains(&y);
    bindings.push((if hidden { "y_hidden" } else { "y" }, y));
    bindings.extend(tiles.map(|tiles| ("tiles", tiles)));
    if !hidden && tiles.is_none() {
        bindings.extend(Epilogue::bindings(gated));
    }
    let kernel = match (hidden, tiles) {
        (false, None) => "forward",
        (true, None) => "forward_hidden",
        (false, Some(_)) => "forward_stats",
        (true, Some(_)) => "forward_hidden_stats",
    };
    (kernel, bindings)
}

/// Lowers the convolution of dy with the transposed weight, for the input channels of each of `parts`.
pub(super) fn backward_input(l: &mut Lowering, parts: &[(usize, usize)]) {
    let [dy, w] = l.inputs[..] else { unreachable!("two inputs") };
    for (i, &(first, count)) in parts.iter().enumerate() {
        // A convolution of dy: its channels are the inputs, the wanted ones the outputs.
        let sizes = Sizes { co: count, slope: 1.0, first, count: w.c, ..Sizes::of(dy, &[dy]) };
        if l.kernels == Kernels::SoftwareSimd {
            lanes::forward(l, sizes, (Input(0), Input(0)), None, (Input(1), None), Output(i), None);
        } else {
            tiles::forward(l, sizes, (1, None), (Output(i), None), tiles::Weights::Transposed);
        }
    }
}

/// Lowers the gradient of weight and bias.
pub(super) fn backward_weight(l: &mut Lowering) {
    let (dy, maps) = (l.inputs[0], &l.inputs[1..]);
    let sizes = Sizes { co: dy.c, ..Sizes::of(dy, maps) };
    if l.kernels == Kernels::SoftwareSimd {
        return lanes::backward_weight(l, sizes);
    }
    tiles::backward_weight(l, sizes);
}

/// Lowers the gradient before the activation.
pub(super) fn activation_backward(l: &mut Lowering, slope: f64) {
    let y = l.inputs[0];
    l.dispatch(
        (&TILES_SHADER, "activation_backward"),
        &[],
        &[("y_in", Input(0)), ("dy", Input(1)), ("dx", Output(0))],
        &tiles::params(Sizes { co: y.c, slope, ..Sizes::of(y, &[]) }, 0),
        Grid::Linear(y.len()),
    );
}
