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
            gate.par_chunks_mut(width).enumerate().for_each(|(row, gate)| {
                gate.fill(b.data[0]);
                for (c, kernel) in w.data.chunks_exact(SIDE * SIDE).enumerate() {
                    add_row(&stats[c * plane..][..plane], width, row, gate, |dy, dx| kernel[dy * SIDE + dx]);
                }
                gate.iter_mut().for_each(|g| *g = sigmoid(*g));
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

/// out += row `row` of the 7x7 correlation of a plane with `tap(dy, dx)`, zero outside.
fn add_row<T: Real>(plane: &[T], width: usize, row: usize, out: &mut [T], tap: impl Fn(usize, usize) -> T) {
    let (height, pad) = (plane.len() / width, SIDE / 2);
    for dy in 0..SIDE {
        let Some(from) = (row + dy).checked_sub(pad).filter(|&from| from < height) else { continue };
        let from = &plane[from * width..][..width];
        for dx in 0..SIDE {
            let tap = tap(dy, dx);
            // out[j] += tap from[j + dx - pad] where that exists.
            let (start, end) = (pad.saturating_sub(dx).min(width), (width + pad).saturating_sub(dx).min(width));
            if start < end {
                for (out, v) in out[start..end].iter_mut().zip(&from[start + dx - pad..]) {
                    *out += tap * *v;
                }
            }
        }
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
        let (height, pad, mean_of) = (x.shape.h, SIDE / 2, T::one() / T::of(f as f64));
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
            dw.data.par_iter_mut().enumerate().for_each(|(i, dw)| {
                let (c, ky, kx) = (i / SIDE / SIDE, i / SIDE % SIDE, i % SIDE);
                let stats = &stats[c * plane..][..plane];
                for row in 0..height {
                    let Some(from) = (row + ky).checked_sub(pad).filter(|&from| from < height) else { continue };
                    let (start, end) = (pad.saturating_sub(kx).min(width), (width + pad).saturating_sub(kx).min(width));
                    if start < end {
                        let stats = &stats[from * width + start + kx - pad..][..end - start];
                        *dw += super::dot(&dpre[row * width + start..row * width + end], stats);
                    }
                }
            });
            let mut dstats = vec![T::zero(); 2 * plane];
            dstats.par_chunks_mut(width).enumerate().for_each(|(row, dstats)| {
                let kernel = &w.data[row / height * SIDE * SIDE..][..SIDE * SIDE];
                add_row(&dpre, width, row % height, dstats, |dy, dx| kernel[SIDE * SIDE - 1 - dy * SIDE - dx]);
            });
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
