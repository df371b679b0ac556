//! CBAM's spatial gate, with a bias and without batch normalisation (running statistics would mix the two directions):
//! gate = sigmoid(conv7x7([max_c z, mean_c z]) + b), zero padding 3, of z = r cgate, the map behind the channel gate.
//!
//! Two operators: [`SpatialStats`] pools the channels, [`SpatialGate`] makes the gates; [`super::gate::Gate`] applies
//! them. On GPUs [`ChannelGateAndSpatialStats`] makes the channel gates where it pools.
//!
//! Gradients: dpre = dgate gate (1 - gate); dstats = dpre convolved with the flipped kernel; dw = correlation of stats
//! with dpre, db = sum dpre; with c running over the F channels of a pixel, dz = dmean / F + (c is the maximum's ? dmax
//! : 0), the first channel winning ties, dr = dz cgate, and dcgate = the sum over a channel's pixels of dz r.

use super::channel_attention::{self, ChannelGate};
#[cfg(feature = "cpu")]
use super::cpu::*;
use super::{Graph, Node, Operator, arity, check};
use crate::graph::Value;
use crate::kernel::{
    Grid, Kernels, Lowering,
    Operand::{self, *},
    Param, Shader,
};
use crate::tensor::Shape;

/// (r (N, F, h, w), cgate (N, F)) -> maxima over the channels of r cgate, then means (N, 2, h, w).
#[derive(Clone, Debug, PartialEq)]
pub struct SpatialStats;

/// [`ChannelGate`] and [`SpatialStats`] of the map that it gates, in one kernel behind the reduction: (r (N, F, h, w), tiles,
/// fc1.weight, fc1.bias, fc2.weight, fc2.bias) -> maxima and means (N, 2, h, w), cgate (N, F), channel stats (N, 2F).
///
/// [`crate::plan::fuse`] makes it, behind the gradient.
#[derive(Clone, Debug, PartialEq)]
pub struct ChannelGateAndSpatialStats {
    /// Pixels of the whole map, h w.
    pub pixels: usize,
}

impl ChannelGateAndSpatialStats {
    fn gate(&self) -> ChannelGate {
        ChannelGate { pixels: self.pixels }
    }

    /// Tells whether there is a kernel for so many hidden values.
    pub(crate) fn takes(kernels: Kernels, hidden: usize) -> bool {
        kernels != Kernels::SoftwareSimd && hidden <= channel_attention::MAX_HIDDEN
    }
}

/// (r, cgate, dstats (N, 2, h, w)) -> dr, dcgate.
#[derive(Clone, Debug, PartialEq)]
pub struct SpatialStatsBackward;

/// (stats (N, 2, h, w), w (1, 2, 7, 7), b (1)) -> gate (N, 1, h, w).
#[derive(Clone, Debug, PartialEq)]
pub struct SpatialGate;

/// (stats, w, gate, dgate) -> dstats, dw, db.
#[derive(Clone, Debug, PartialEq)]
pub struct SpatialGateBackward;

/// Its kernels.
pub static SHADER: Shader = Shader {
    prelude: channel_attention::MLP,
    unchecked: Some(
        "a pixel's row and column are below the map's, or cut off there, before they are an index, a channel below `f`, or \
         cut off there, a tile of pixels below their number and a split below `splits`, which is the grid; tiles in workgroup \
         memory are 22 x 22 for 16 x 16 pixels and 7 x 7 taps, and what is loaded for more elements is not put there; gates \
         are there of 64 channels at a time; of the hidden layer as in `channel_attention`; loops count up to a parameter or \
         a constant",
    ),
    ..Shader::new("spatial_attention", include_str!("../../shaders/spatial_attention.wgsl"))
};

/// Parameters of all kernels.
fn params(map: Shape, splits: usize, k: usize) -> [(&'static str, Param); 6] {
    let sizes = [("n", map.n), ("f", map.c), ("h", map.h), ("w", map.w), ("splits", splits), ("k", k)];
    sizes.map(|(name, v)| (name, v.into()))
}

/// A workgroup for 16 x 16 pixels.
fn squares(map: Shape) -> Grid {
    Grid::Workgroups(glam::UVec3::new(map.w.div_ceil(16) as u32, map.h.div_ceil(16) as u32, map.n as u32))
}

/// Side of the kernel.
const SIDE: usize = 7;
/// Its elements.
#[cfg(feature = "cpu")]
const TAPS: usize = SIDE * SIDE;
/// Rows that one task takes.
#[cfg(feature = "cpu")]
const ROWS: usize = 32;
impl Operator for SpatialStats {
    fn name(&self) -> &'static str {
        "spatial_attention.stats"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [r, cgate] = arity(inputs)?;
        check!(cgate == Shape::new(r.n, r.c, 1, 1), "the channel gates are {cgate}, r is {r}");
        Ok(vec![r.with_c(2)])
    }

    fn accepts_f16(&self, _: usize, operand: Operand) -> bool {
        operand == Input(0)
    }

    fn backward(&self, g: &mut Graph, node: &Node, dy: &[Option<Value>], _: &[bool]) -> Vec<Option<Value>> {
        let inputs = [node.inputs[0], node.inputs[1], dy[0].expect("dy")];
        let d = g.apply(&node.name, SpatialStatsBackward, &inputs).expect("shapes of the forward pass");
        d.into_iter().map(Some).collect()
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], out: &mut [Out<T>], _: &Cpu<T>) {
        let [r, cgate] = x else { unreachable!("two inputs") };
        let (f, plane) = (r.shape.c, r.shape.plane());
        let mean_of = T::one() / T::of(f as f64);
        for (n, stats) in out[0].data.chunks_exact_mut(2 * plane).enumerate() {
            let (r, cgate) = (r.image(n), cgate.image(n));
            let (max, mean) = stats.split_at_mut(plane);
            max.par_chunks_mut(PIXELS).zip(mean.par_chunks_mut(PIXELS)).enumerate().for_each(|(i, (max, mean))| {
                max.fill(T::neg_infinity());
                mean.fill(T::zero());
                for (c, &gate) in cgate.iter().enumerate() {
                    let r = &r[c * plane + i * PIXELS..];
                    vectorised!({
                        for ((max, mean), r) in max.iter_mut().zip(&mut *mean).zip(r) {
                            let z = *r * gate;
                            *mean += z;
                            *max = if z > *max { z } else { *max };
                        }
                    });
                }
                mean.iter_mut().for_each(|m| *m *= mean_of);
            });
        }
    }

    fn gpu(&self, l: &mut Lowering) {
        let r = l.inputs[0];
        let bindings = [("r", Input(0)), ("cgate", Input(1)), ("stats", Output(0))];
        let (kernel, grid) = match l.kernels {
            Kernels::SoftwareSimd => ("pool_rows", squares(r)),
            _ => ("pool", pixels(r)),
        };
        l.dispatch((&SHADER, kernel), &[], &bindings, &params(r, 0, 0), grid);
    }
}

/// A workgroup for 64 pixels, of which a dimension has no more than 65,535.
fn pixels(r: Shape) -> Grid {
    let groups = r.plane().div_ceil(64);
    let down = groups.div_ceil(65_535);
    Grid::Workgroups(glam::UVec3::new(groups.div_ceil(down) as u32, down as u32, r.n as u32))
}

impl Operator for ChannelGateAndSpatialStats {
    fn name(&self) -> &'static str {
        "attention.gate_and_stats"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [r, gated @ ..] = inputs else { return Err("takes a map".into()) };
        let gated = self.gate().infer(gated)?;
        Ok([SpatialStats.infer(&[*r, gated[0]])?, gated].concat())
    }

    fn macs(&self, inputs: &[Shape], outputs: &[Shape]) -> u64 {
        self.gate().macs(&inputs[1..], &outputs[1..])
    }

    fn accepts_f16(&self, _: usize, operand: Operand) -> bool {
        operand == Input(0)
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], out: &mut [Out<T>], cpu: &Cpu<T>) {
        let (pooled, gated) = out.split_at_mut(1);
        self.gate().cpu(&x[1..], gated, cpu);
        let gate = In { shape: gated[0].shape, data: gated[0].data };
        SpatialStats.cpu(&[In { ..x[0] }, gate], pooled, cpu);
    }

    fn gpu(&self, l: &mut Lowering) {
        let r = l.inputs[0];
        channel_attention::lower_reduce(l, 1, self.pixels, Output(2));
        let own = [("r", Input(0)), ("stats", Output(0)), ("cgate_out", Output(1))];
        let bindings = [&own[..], &channel_attention::mlp_bindings(Output(2), 2)].concat();
        l.dispatch((&SHADER, "gate_and_pool"), &[], &bindings, &params(r, 0, l.inputs[2].n), pixels(r));
    }
}

impl Operator for SpatialStatsBackward {
    fn name(&self) -> &'static str {
        "spatial_attention.stats.backward"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [r, cgate, dstats] = arity(inputs)?;
        check!(dstats == r.with_c(2) && cgate == Shape::new(r.n, r.c, 1, 1), "r is {r}, dstats is {dstats}");
        Ok(vec![r, cgate])
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], out: &mut [Out<T>], _: &Cpu<T>) {
        let [r, cgate, dstats] = x else { unreachable!("three inputs") };
        let [dr, dcgate] = out else { unreachable!("two outputs") };
        let (f, plane) = (r.shape.c, r.shape.plane());
        let mean_of = T::one() / T::of(f as f64);
        let sums = by_pixels(dr, PIXELS, |n, first, dr| {
            let len = dr[0].len();
            // The maximum's channel of each pixel.
            let (mut max, mut winner) = (vec![T::neg_infinity(); len], vec![0u32; len]);
            for (c, gate) in cgate.image(n).iter().enumerate() {
                let r = r.pixels(n, c, first, len);
                vectorised!({
                    let (c, gate) = (c as u32, *gate);
                    for ((max, winner), r) in max.iter_mut().zip(&mut winner).zip(r) {
                        let z = *r * gate;
                        *winner = if z > *max { c } else { *winner };
                        *max = if z > *max { z } else { *max };
                    }
                });
            }
            let [dmax, dmean] = planes(dstats, n, first, len);
            let channels = dr.iter_mut().zip(cgate.image(n)).enumerate();
            let dcgate = channels.map(|(c, (dr, gate))| {
                let r = r.pixels(n, c, first, len);
                vectorised!({
                    let (c, gate, mean_of) = (c as u32, *gate, mean_of);
                    for (((dz, winner), dmax), dmean) in dr.iter_mut().zip(&winner).zip(dmax).zip(dmean) {
                        let max = if *winner == c { *dmax } else { T::zero() };
                        *dz = *dmean * mean_of + max;
                    }
                    let dcgate = dot(dr, r);
                    dr.iter_mut().for_each(|d| *d *= gate);
                    dcgate
                })
            });
            dcgate.collect::<Vec<T>>()
        });
        for (n, sums) in sums.chunks_exact(plane.div_ceil(PIXELS)).enumerate() {
            for (c, dcgate) in dcgate.data[n * f..][..f].iter_mut().enumerate() {
                *dcgate = sums.iter().map(|sums| sums[c]).sum();
            }
        }
    }

    fn gpu(&self, l: &mut Lowering) {
        let r = l.inputs[0];
        let params = params(r, 0, 0);
        let argmax = l.scratch(r.n * r.plane());
        let (r_in, dstats) = (("r", Input(0)), ("dstats_in", Input(2)));
        let mut run = |entry, bindings: &[_], grid| l.dispatch((&SHADER, entry), &[], bindings, &params, grid);
        run(
            "backward_input",
            &[r_in, dstats, ("cgate", Input(1)), ("argmax", argmax), ("dr", Output(0))],
            Grid::Linear(r.n * r.plane()),
        );
        run(
            "backward_cgate",
            &[r_in, dstats, ("argmax_in", argmax), ("dcgate", Output(1))],
            Grid::Workgroups(glam::UVec3::new(r.c as u32, r.n as u32, 1)),
        );
    }
}

impl Operator for SpatialGate {
    fn name(&self) -> &'static str {
        "spatial_attention.gate"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [stats, w, b] = arity(inputs)?;
        check!(stats.c == 2, "the statistics are {stats}, not maxima and means");
        check!(w == Shape::new(1, 2, SIDE, SIDE), "the weight is {w}, not 1x2x7x7");
        check!(b.len() == 1, "the bias is {b}, not one number");
        Ok(vec![stats.with_c(1)])
    }

    fn macs(&self, inputs: &[Shape], outputs: &[Shape]) -> u64 {
        (inputs[1].len() * outputs[0].len()) as u64
    }

    fn paper_extras(&self, _: &[Shape], outputs: &[Shape]) -> u64 {
        outputs[0].len() as u64
    }

    fn backward(&self, g: &mut Graph, node: &Node, dy: &[Option<Value>], _: &[bool]) -> Vec<Option<Value>> {
        let inputs = [node.inputs[0], node.inputs[1], node.outputs[0], dy[0].expect("dy")];
        let d = g.apply(&node.name, SpatialGateBackward, &inputs).expect("shapes of the forward pass");
        d.into_iter().map(Some).collect()
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], out: &mut [Out<T>], _: &Cpu<T>) {
        let [stats, w, b] = x else { unreachable!("three inputs") };
        let (plane, width) = (stats.shape.plane(), stats.shape.w);
        for (n, gate) in out[0].data.chunks_exact_mut(plane).enumerate() {
            let padded: Vec<Vec<T>> = stats.image(n).chunks_exact(plane).map(|s| pad(s, width)).collect();
            gate.par_chunks_mut(ROWS * width).enumerate().for_each(|(i, gate)| {
                let kernels = w.data.chunks_exact(TAPS).map(<[T]>::to_vec);
                vectorised!({
                    correlate(padded.iter().zip(kernels), width, i * ROWS, gate);
                    gate.iter_mut().for_each(|g| *g = sigmoid(*g + b.data[0]));
                });
            });
        }
    }

    fn gpu(&self, l: &mut Lowering) {
        let stats = l.inputs[0];
        let bindings = [("stats_in", Input(0)), ("w", Input(1)), ("b", Input(2)), ("gate", Output(0))];
        let kernel = if l.kernels == Kernels::SoftwareSimd { "gates_rows" } else { "gates" };
        l.dispatch((&SHADER, kernel), &[], &bindings, &params(stats, 0, 0), squares(stats));
    }
}

/// A plane with a border of zeros, three wide.
#[cfg(feature = "cpu")]
fn pad<T: Real>(plane: &[T], width: usize) -> Vec<T> {
    let (height, stride) = (plane.len() / width, width + SIDE - 1);
    let mut padded = vec![T::zero(); (height + SIDE - 1) * stride];
    for (row, out) in plane.chunks_exact(width).zip(padded.chunks_exact_mut(stride).skip(SIDE / 2)) {
        out[SIDE / 2..][..width].copy_from_slice(row);
    }
    padded
}

/// The sum of the 7x7 correlations of padded planes with their kernels, from row `first` on. Rows run on into the
/// border, so that a tap is one long loop.
#[cfg(feature = "cpu")]
#[inline(always)]
fn correlate<'a, T: Real>(
    planes: impl Iterator<Item = (&'a Vec<T>, Vec<T>)>,
    width: usize,
    first: usize,
    out: &mut [T],
) {
    let stride = width + SIDE - 1;
    let mut sums = vec![T::zero(); out.len() / width * stride - (SIDE - 1)];
    for (padded, kernel) in planes {
        for (tap, k) in kernel.into_iter().enumerate() {
            let from = &padded[(first + tap / SIDE) * stride + tap % SIDE..];
            for (sum, v) in sums.iter_mut().zip(from) {
                *sum += k * *v;
            }
        }
    }
    for (out, sums) in out.chunks_exact_mut(width).zip(sums.chunks(stride)) {
        out.copy_from_slice(&sums[..width]);
    }
}

impl Operator for SpatialGateBackward {
    fn name(&self) -> &'static str {
        "spatial_attention.gate.backward"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [stats, w, gate, dgate] = arity(inputs)?;
        check!(gate == dgate && stats == gate.with_c(2), "the gates are {gate}, dgate is {dgate}");
        Ok(vec![stats, w, Shape::SCALAR])
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], out: &mut [Out<T>], _: &Cpu<T>) {
        let [stats, w, gate, dgate] = x else { unreachable!("four inputs") };
        let [dstats, dw, db] = out else { unreachable!("three outputs") };
        let (plane, width, height) = (gate.shape.plane(), gate.shape.w, gate.shape.h);
        dw.data.fill(T::zero());
        db.data.fill(T::zero());
        for (n, dstats) in dstats.data.chunks_exact_mut(2 * plane).enumerate() {
            let slope = |(gate, dgate): (&T, &T)| *dgate * *gate * (T::one() - *gate);
            let dpre: Vec<T> = gate.image(n).iter().zip(dgate.image(n)).map(slope).collect();
            db.data[0] += sum(&dpre);
            // Both padded alike, so that pixel p of one meets p + tap of the other at a fixed distance.
            let padded: Vec<Vec<T>> = stats.image(n).chunks_exact(plane).map(|s| pad(s, width)).collect();
            let border = pad(&dpre, width);
            let stride = width + SIDE - 1;
            let inner = &border[SIDE / 2 * (stride + 1)..][..height * stride - (SIDE - 1)];
            dw.data.par_iter_mut().enumerate().for_each(|(i, dw)| {
                let tap = i % TAPS;
                let met = &padded[i / TAPS][tap / SIDE * stride + tap % SIDE..][..inner.len()];
                *dw += vectorised!(dot(inner, met));
            });
            for (dstats, kernel) in dstats.chunks_exact_mut(plane).zip(w.data.chunks_exact(TAPS)) {
                dstats.par_chunks_mut(ROWS * width).enumerate().for_each(|(i, dstats)| {
                    let flipped = kernel.iter().rev().copied().collect();
                    vectorised!(correlate([(&border, flipped)].into_iter(), width, i * ROWS, dstats));
                });
            }
        }
    }

    fn gpu(&self, l: &mut Lowering) {
        let gate = l.inputs[2];
        // Workgroups that share the 16 x 16 tiles of pixels: enough to fill a large GPU.
        let splits = (gate.n * gate.h.div_ceil(16) * gate.w.div_ceil(16)).clamp(1, 512);
        let params = params(gate, splits, 0);
        let sums = l.scratch(splits * 99);
        let groups = |n: usize| Grid::Workgroups(glam::UVec3::new(n as u32, 1, 1));
        let dpre = [("gate_in", Input(2)), ("dgate", Input(3))];
        let mut run = |entry, bindings: &[_], grid| l.dispatch((&SHADER, entry), &[], bindings, &params, grid);
        run("backward_stats", &[&dpre[..], &[("w", Input(1)), ("dstats", Output(0))]].concat(), squares(gate));
        run("backward_weight", &[&dpre[..], &[("stats_in", Input(0)), ("sums", sums)]].concat(), groups(splits));
        run("reduce_weight", &[("sums_in", sums), ("dw", Output(1)), ("db", Output(2))], groups(99));
    }
}
