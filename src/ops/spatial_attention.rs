//! CBAM's spatial gate, with a bias and without batch normalisation (running statistics would mix the two directions):
//! gate = sigmoid(conv7x7([max_c x, mean_c x]) + b), zero padding 3, and y = x gate.
//!
//! Gradients, with c running over the F channels of a pixel: dgate = sum_c dy x; dpre = dgate gate (1 - gate);
//! dstats = dpre convolved with the flipped kernel; dw = correlation of stats with dpre, db = sum dpre;
//! dx = dy gate + dmean / F + (c is the maximum's ? dmax : 0), the first channel winning ties.

use super::{Cpu, In, Operator, Out, Real, arity, check, sigmoid, sum};
use crate::graph::{Graph, Node, Value};
use crate::kernel::{Grid, Lowering, Operand::*, Param};
use crate::tensor::Shape;
use rayon::prelude::*;

/// (x (N, F, h, w), w (1, 2, 7, 7), b (1)) -> y = x gate, and what the gradient needs: gate (N, 1, h, w),
/// stats (N, 2, h, w: maxima, then means), argmax (N, 1, h, w: index of the channel).
#[derive(Clone, Debug, PartialEq)]
pub struct SpatialAttention;

/// (x, w, gate, stats, argmax, dy) -> dx, dw, db.
#[derive(Clone, Debug, PartialEq)]
pub struct SpatialAttentionBackward;

const SHADER: &str = "spatial_attention";

/// Parameters of all kernels.
fn params(x: Shape, splits: usize) -> [(&'static str, Param); 5] {
    [("n", x.n), ("f", x.c), ("h", x.h), ("w", x.w), ("splits", splits)].map(|(name, v)| (name, v.into()))
}

/// Side of the kernel.
const SIDE: usize = 7;
/// Its elements.
const TAPS: usize = SIDE * SIDE;
/// Rows that one task takes.
const ROWS: usize = 32;
/// Pixels that one task takes, so that a channel's part of them stays in the nearest cache.
const PIXELS: usize = 1024;

impl Operator for SpatialAttention {
    fn name(&self) -> &'static str {
        "spatial_attention"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [x, w, b] = arity(inputs)?;
        check!(w == Shape::new(1, 2, SIDE, SIDE), "the weight is {w}, not 1x2x7x7");
        check!(b.len() == 1, "the bias is {b}, not one number");
        Ok(vec![x, x.with_c(1), x.with_c(2), x.with_c(1)])
    }

    fn macs(&self, inputs: &[Shape], outputs: &[Shape]) -> u64 {
        (inputs[1].len() * outputs[1].len()) as u64
    }

    fn paper_extras(&self, _: &[Shape], outputs: &[Shape]) -> u64 {
        outputs[1].len() as u64
    }

    fn backward(&self, g: &mut Graph, node: &Node, dy: &[Option<Value>], _: &[bool]) -> Vec<Option<Value>> {
        let [x, w, _] = node.inputs[..] else { unreachable!("three inputs") };
        let [_, gate, stats, argmax] = node.outputs[..] else { unreachable!("four outputs") };
        let inputs = [x, w, gate, stats, argmax, dy[0].expect("dy")];
        let d = g.apply(&node.name, SpatialAttentionBackward, &inputs).expect("shapes of the forward pass");
        d.into_iter().map(Some).collect()
    }

    fn cpu<T: Real>(&self, x: &[In<T>], out: &mut [Out<T>], _: &Cpu<T>) {
        let [x, w, b] = x else { unreachable!("three inputs") };
        let [y, gate, stats, argmax] = out else { unreachable!("four outputs") };
        let (f, plane, width) = (x.shape.c, x.shape.plane(), x.shape.w);
        let mean_of = T::one() / T::of(f as f64);
        for n in 0..x.shape.n {
            let x = x.image(n);
            let (max, mean) = stats.data[n * 2 * plane..][..2 * plane].split_at_mut(plane);
            let argmax = &mut argmax.data[n * plane..][..plane];
            (max.par_chunks_mut(PIXELS))
                .zip(mean.par_chunks_mut(PIXELS))
                .zip(argmax.par_chunks_mut(PIXELS))
                .enumerate()
                .for_each(|(i, ((max, mean), argmax))| {
                    let first = &x[i * PIXELS..];
                    max.copy_from_slice(&first[..max.len()]);
                    mean.copy_from_slice(&first[..mean.len()]);
                    argmax.fill(T::from_index(0));
                    for c in 1..f {
                        let channel = &x[c * plane + i * PIXELS..];
                        let index = T::from_index(c);
                        for (((max, mean), argmax), v) in max.iter_mut().zip(&mut *mean).zip(&mut *argmax).zip(channel)
                        {
                            *mean += *v;
                            *argmax = if *v > *max { index } else { *argmax };
                            *max = if *v > *max { *v } else { *max };
                        }
                    }
                    mean.iter_mut().for_each(|m| *m *= mean_of);
                });
            let stats = &stats.data[n * 2 * plane..][..2 * plane];
            let gate = &mut gate.data[n * plane..][..plane];
            let padded: Vec<Vec<T>> = stats.chunks_exact(plane).map(|s| pad(s, width)).collect();
            gate.par_chunks_mut(ROWS * width).enumerate().for_each(|(i, gate)| {
                let kernels = w.data.chunks_exact(TAPS).map(<[T]>::to_vec);
                correlate(padded.iter().zip(kernels), width, i * ROWS, gate);
                gate.iter_mut().for_each(|g| *g = sigmoid(*g + b.data[0]));
            });
            scale(x, gate, &mut y.data[n * f * plane..][..f * plane]);
        }
    }

    fn gpu(&self, l: &mut Lowering) {
        let x = l.inputs[0];
        let params = params(x, 0);
        let pixels = Grid::Threads(glam::UVec3::new(x.w as u32, x.h as u32, x.n as u32));
        let (y, gate, stats, argmax) = (Output(0), Output(1), Output(2), Output(3));
        let mut run = |entry, bindings: &[_], grid| l.dispatch((SHADER, entry), &[], bindings, &params, grid);
        run("pool", &[("x", Input(0)), ("stats", stats), ("argmax", argmax)], Grid::Linear(x.n * x.plane()));
        run("gates", &[("stats_in", stats), ("w", Input(1)), ("b", Input(2)), ("gate", gate)], pixels);
        run("scale", &[("x", Input(0)), ("gate_in", gate), ("y", y)], Grid::Linear(x.len()));
    }
}

/// A plane with a border of zeros, three wide.
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

/// y = x gate, for all channels of an image.
fn scale<T: Real>(x: &[T], gate: &[T], y: &mut [T]) {
    y.par_chunks_mut(gate.len()).zip(x.par_chunks(gate.len())).for_each(|(y, x)| {
        for ((y, x), gate) in y.iter_mut().zip(x).zip(gate) {
            *y = *x * *gate;
        }
    });
}

impl Operator for SpatialAttentionBackward {
    fn name(&self) -> &'static str {
        "spatial_attention.backward"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [x, w, gate, stats, argmax, dy] = arity(inputs)?;
        check!(x == dy && gate == x.with_c(1) && stats == x.with_c(2) && argmax == gate, "x is {x}, dy is {dy}");
        Ok(vec![x, w, Shape::SCALAR])
    }

    fn cpu<T: Real>(&self, x: &[In<T>], out: &mut [Out<T>], _: &Cpu<T>) {
        let [x, w, gate, stats, argmax, dy] = x else { unreachable!("six inputs") };
        let [dx, dw, db] = out else { unreachable!("three outputs") };
        let (f, plane, width) = (x.shape.c, x.shape.plane(), x.shape.w);
        let (height, mean_of) = (x.shape.h, T::one() / T::of(f as f64));
        dw.data.fill(T::zero());
        db.data.fill(T::zero());
        let mut dpre = vec![T::zero(); plane];
        for n in 0..x.shape.n {
            let (x, dy, gate, stats) = (x.image(n), dy.image(n), gate.image(n), stats.image(n));
            dpre.par_chunks_mut(PIXELS).enumerate().for_each(|(i, dpre)| {
                dpre.fill(T::zero());
                for c in 0..f {
                    let at = c * plane + i * PIXELS;
                    for ((d, x), dy) in dpre.iter_mut().zip(&x[at..]).zip(&dy[at..]) {
                        *d += *x * *dy;
                    }
                }
                for (d, g) in dpre.iter_mut().zip(&gate[i * PIXELS..]) {
                    *d = *d * *g * (T::one() - *g);
                }
            });
            db.data[0] += sum(&dpre);
            // Both padded alike, so that pixel p of one meets p + tap of the other at a fixed distance.
            let padded: Vec<Vec<T>> = stats.chunks_exact(plane).map(|s| pad(s, width)).collect();
            let border = pad(&dpre, width);
            let stride = width + SIDE - 1;
            let inner = &border[SIDE / 2 * (stride + 1)..][..height * stride - (SIDE - 1)];
            dw.data.par_iter_mut().enumerate().for_each(|(i, dw)| {
                let tap = i % TAPS;
                *dw += super::dot(inner, &padded[i / TAPS][tap / SIDE * stride + tap % SIDE..][..inner.len()]);
            });
            let mut dstats = vec![T::zero(); 2 * plane];
            for (dstats, kernel) in dstats.chunks_exact_mut(plane).zip(w.data.chunks_exact(TAPS)) {
                dstats.par_chunks_mut(ROWS * width).enumerate().for_each(|(i, dstats)| {
                    let flipped = kernel.iter().rev().copied().collect();
                    correlate([(&border, flipped)].into_iter(), width, i * ROWS, dstats);
                });
            }
            let (dmax, dmean) = dstats.split_at(plane);
            let dx = &mut dx.data[n * f * plane..][..f * plane];
            let argmax = argmax.image(n);
            dx.par_chunks_mut(plane).zip(dy.par_chunks(plane)).enumerate().for_each(|(c, (dx, dy))| {
                let index = T::from_index(c).index();
                for i in 0..plane {
                    let max = if argmax[i].index() == index { dmax[i] } else { T::zero() };
                    dx[i] = dy[i] * gate[i] + dmean[i] * mean_of + max;
                }
            });
        }
    }

    fn gpu(&self, l: &mut Lowering) {
        let x = l.inputs[0];
        // Workgroups that share the 16 x 16 tiles of pixels.
        let splits = (x.n * x.h.div_ceil(16) * x.w.div_ceil(16)).clamp(1, 64);
        let params = params(x, splits);
        let [dpre, dstats, sums] = [l.scratch(x.n * x.plane()), l.scratch(2 * x.n * x.plane()), l.scratch(splits * 99)];
        let pixels = Grid::Threads(glam::UVec3::new(x.w as u32, x.h as u32, x.n as u32));
        let groups = |n: usize| Grid::Workgroups(glam::UVec3::new(n as u32, 1, 1));
        let (gate, dy) = (("gate_in", Input(2)), ("dy", Input(5)));
        let mut run = |entry, bindings: &[_], grid| l.dispatch((SHADER, entry), &[], bindings, &params, grid);
        run("backward_gate", &[("x", Input(0)), gate, dy, ("dpre", dpre)], Grid::Linear(x.n * x.plane()));
        run("backward_stats", &[("w", Input(1)), ("dpre_in", dpre), ("dstats", dstats)], pixels);
        run("backward_weight", &[("stats_in", Input(3)), ("dpre_in", dpre), ("sums", sums)], groups(splits));
        run("reduce_weight", &[("sums_in", sums), ("dw", Output(1)), ("db", Output(2))], groups(1));
        run(
            "backward_input",
            &[gate, dy, ("dstats_in", dstats), ("argmax_in", Input(4)), ("dx", Output(0))],
            Grid::Linear(x.len()),
        );
    }
}
