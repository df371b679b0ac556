//! CBAM's channel gate: gate = sigmoid(M(mean r) + M(max r)), M = fc2 . ReLU . fc1, and y = r gate.
//!
//! Gradients, with p running over the h w pixels of a channel:
//! dgate = sum_p dy r; dpre = dgate gate (1 - gate); through M for the mean and for the maximum, whose weight
//! gradients add: dfc2 = dpre (x) hidden, dhidden = fc2^T dpre where hidden > 0, dfc1 = dhidden (x) stat,
//! dstat = fc1^T dhidden; and dr = dy gate + dmean / (h w) + (p is the maximum's ? dmax : 0). The maximum's gradient
//! goes to one winner, the first in row-major order.

use super::{Cpu, In, Operator, Out, Real, arity, check, dot, sigmoid, sum};
use crate::graph::{Graph, Node, Value};
use crate::kernel::{Grid, Lowering, Operand::*, Param};
use crate::tensor::Shape;
use rayon::prelude::*;

/// (r (N, F, h, w), fc1.weight (K, F), fc1.bias (K), fc2.weight (F, K), fc2.bias (F)) -> y = r gate, and what the
/// gradient needs: gate (N, F), stats (N, 2F: means, then maxima), argmax (N, F: index of the pixel).
#[derive(Clone, Debug, PartialEq)]
pub struct ChannelAttention;

/// (r, fc1.weight, fc1.bias, fc2.weight, gate, stats, argmax, dy) -> dr and the gradients of the four weights.
#[derive(Clone, Debug, PartialEq)]
pub struct ChannelAttentionBackward;

impl Operator for ChannelAttention {
    fn name(&self) -> &'static str {
        "channel_attention"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [r, w1, b1, w2, b2] = arity(inputs)?;
        let (f, k) = (r.c, w1.n);
        check!(w1 == Shape::new(k, f, 1, 1), "fc1.weight is {w1}, r has {f} channels");
        check!(w2 == Shape::new(f, k, 1, 1), "fc2.weight is {w2}, not {f}x{k}");
        check!(b1.len() == k && b2.len() == f, "fc1.bias is {b1}, fc2.bias is {b2}, not {k} and {f}");
        let per_channel = Shape::new(r.n, f, 1, 1);
        Ok(vec![r, per_channel, per_channel.with_c(2 * f), per_channel])
    }

    fn macs(&self, inputs: &[Shape], _: &[Shape]) -> u64 {
        (2 * inputs[0].n * 2 * inputs[1].len()) as u64
    }

    fn backward(&self, g: &mut Graph, node: &Node, dy: &[Option<Value>], _: &[bool]) -> Vec<Option<Value>> {
        let [r, w1, b1, w2, _] = node.inputs[..] else { unreachable!("five inputs") };
        let [_, gate, stats, argmax] = node.outputs[..] else { unreachable!("four outputs") };
        let inputs = [r, w1, b1, w2, gate, stats, argmax, dy[0].expect("dy")];
        let d = g.apply(&node.name, ChannelAttentionBackward, &inputs).expect("shapes of the forward pass");
        d.into_iter().map(Some).collect()
    }

    fn cpu<T: Real>(&self, x: &[In<T>], out: &mut [Out<T>], _: &Cpu<T>) {
        let [r, w1, b1, w2, b2] = x else { unreachable!("five inputs") };
        let [y, gate, stats, argmax] = out else { unreachable!("four outputs") };
        let (n, f, plane) = (r.shape.n, r.shape.c, r.shape.plane());
        let pooled: Vec<(T, T, usize)> = r.data.par_chunks(plane).map(pool).collect();
        for (i, (mean, max, at)) in pooled.into_iter().enumerate() {
            let (n, c) = (i / f, i % f);
            stats.data[n * 2 * f + c] = mean;
            stats.data[n * 2 * f + f + c] = max;
            argmax.data[i] = T::from_index(at);
        }
        for n in 0..n {
            let (mean, max) = stats.data[n * 2 * f..][..2 * f].split_at(f);
            let (mean, max) = (hidden(w1.data, b1.data, mean), hidden(w1.data, b1.data, max));
            let k = mean.len();
            for c in 0..f {
                let row = &w2.data[c * k..][..k];
                let pre = dot(row, &mean) + dot(row, &max) + b2.data[c] + b2.data[c];
                gate.data[n * f + c] = sigmoid(pre);
            }
        }
        y.data.par_chunks_mut(plane).zip(r.data.par_chunks(plane)).zip(&*gate.data).for_each(|((y, r), gate)| {
            for (y, r) in y.iter_mut().zip(r) {
                *y = *r * *gate;
            }
        });
    }

    fn gpu(&self, l: &mut Lowering) {
        let r = l.inputs[0];
        let params = params(r, l.inputs[1].n);
        let planes = Grid::Workgroups(glam::UVec3::new(r.c as u32, r.n as u32, 1));
        let images = Grid::Workgroups(glam::UVec3::new(r.n as u32, 1, 1));
        let (y, gate, stats, argmax) = (Output(0), Output(1), Output(2), Output(3));
        let mut run = |entry, bindings: &[_], grid| l.dispatch((SHADER, entry), &[], bindings, &params, grid);
        run("pool", &[("r", Input(0)), ("stats", stats), ("argmax", argmax)], planes);
        run(
            "mlp",
            &[
                ("stats_in", stats),
                ("fc1w", Input(1)),
                ("fc1b", Input(2)),
                ("fc2w", Input(3)),
                ("fc2b", Input(4)),
                ("gate", gate),
            ],
            images,
        );
        run("scale", &[("r", Input(0)), ("gate_in", gate), ("y", y)], Grid::Linear(r.len()));
    }
}

const SHADER: &str = "channel_attention";
/// Width of the shader's hidden layer at most: the length of its workgroup arrays.
const MAX_HIDDEN: usize = 64;

/// Parameters of all kernels.
fn params(r: Shape, k: usize) -> [(&'static str, Param); 5] {
    assert!(k <= MAX_HIDDEN, "the kernels take {MAX_HIDDEN} hidden values at most, not {k}");
    [("n", r.n), ("f", r.c), ("k", k), ("h", r.h), ("w", r.w)].map(|(name, v)| (name, v.into()))
}

/// Mean, maximum and its first index.
fn pool<T: Real>(plane: &[T]) -> (T, T, usize) {
    let mean = sum(plane) / T::of(plane.len() as f64);
    // Maximum first, then its place: both loops vectorise.
    let mut lanes = [T::neg_infinity(); 16];
    for chunk in plane.chunks(16) {
        for (lane, v) in lanes.iter_mut().zip(chunk) {
            *lane = if *v > *lane { *v } else { *lane };
        }
    }
    let max = lanes.into_iter().fold(T::neg_infinity(), |a, b| if b > a { b } else { a });
    let at = plane.iter().position(|v| *v == max).unwrap_or(0);
    (mean, max, at)
}

/// ReLU(fc1 v), (K).
fn hidden<T: Real>(w1: &[T], b1: &[T], v: &[T]) -> Vec<T> {
    let row = |(w, b): (&[T], &T)| (dot(w, v) + *b).max(T::zero());
    w1.chunks_exact(v.len()).zip(b1).map(row).collect()
}

impl Operator for ChannelAttentionBackward {
    fn name(&self) -> &'static str {
        "channel_attention.backward"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [r, w1, b1, w2, gate, stats, argmax, dy] = arity(inputs)?;
        let f = r.c;
        check!(
            r == dy && gate.len() == r.n * f && stats.len() == 2 * r.n * f && argmax == gate,
            "r is {r}, dy is {dy}"
        );
        Ok(vec![r, w1, b1, w2, Shape::new(1, f, 1, 1)])
    }

    fn cpu<T: Real>(&self, x: &[In<T>], out: &mut [Out<T>], _: &Cpu<T>) {
        let [r, w1, b1, w2, gate, stats, argmax, dy] = x else { unreachable!("eight inputs") };
        let [dr, dw1, db1, dw2, db2] = out else { unreachable!("five outputs") };
        let (f, k, plane) = (r.shape.c, w1.shape.n, r.shape.plane());
        let dgate: Vec<T> = r.data.par_chunks(plane).zip(dy.data.par_chunks(plane)).map(|(r, dy)| dot(r, dy)).collect();
        for d in [&mut *dw1, db1, dw2, db2] {
            d.data.fill(T::zero());
        }
        let mut dstats = vec![T::zero(); stats.data.len()];
        for n in 0..r.shape.n {
            let dpre: Vec<T> =
                (n * f..(n + 1) * f).map(|i| dgate[i] * gate.data[i] * (T::one() - gate.data[i])).collect();
            for (stat, dstat) in stats.data[n * 2 * f..].chunks(f).zip(dstats[n * 2 * f..].chunks_mut(f)).take(2) {
                let hidden = hidden(w1.data, b1.data, stat);
                let mut dhidden = vec![T::zero(); k];
                for (c, &dpre) in dpre.iter().enumerate() {
                    db2.data[c] += dpre;
                    for j in 0..k {
                        dw2.data[c * k + j] += dpre * hidden[j];
                        dhidden[j] += w2.data[c * k + j] * dpre;
                    }
                }
                for j in (0..k).filter(|&j| hidden[j] > T::zero()) {
                    db1.data[j] += dhidden[j];
                    for c in 0..f {
                        dw1.data[j * f + c] += dhidden[j] * stat[c];
                        dstat[c] += w1.data[j * f + c] * dhidden[j];
                    }
                }
            }
        }
        let pixels = T::of(plane as f64);
        dr.data.par_chunks_mut(plane).zip(dy.data.par_chunks(plane)).enumerate().for_each(|(i, (dr, dy))| {
            let (n, c) = (i / f, i % f);
            let dmean = dstats[n * 2 * f + c] / pixels;
            for (dr, dy) in dr.iter_mut().zip(dy) {
                *dr = *dy * gate.data[i] + dmean;
            }
            dr[argmax.data[i].index()] += dstats[n * 2 * f + f + c];
        });
    }

    fn gpu(&self, l: &mut Lowering) {
        let (r, k) = (l.inputs[0], l.inputs[1].n);
        let params = params(r, k);
        let [dgate, dstats] = [l.scratch(r.n * r.c), l.scratch(2 * r.n * r.c)];
        let planes = Grid::Workgroups(glam::UVec3::new(r.c as u32, r.n as u32, 1));
        let images = Grid::Workgroups(glam::UVec3::new(r.n as u32, 1, 1));
        let rows = Grid::Workgroups(glam::UVec3::new(k as u32, 1, 1));
        let (gate, dy) = (("gate_in", Input(4)), ("dy", Input(7)));
        let hidden = [("stats_in", Input(5)), ("fc1w", Input(1)), ("fc1b", Input(2)), gate, ("dgate_in", dgate)];
        let mut run = |entry, bindings: &[_], grid| l.dispatch((SHADER, entry), &[], bindings, &params, grid);
        run("backward_gate", &[("r", Input(0)), dy, ("dgate", dgate)], planes);
        run("backward_stats", &[&hidden[..], &[("fc2w", Input(3)), ("dstats", dstats)]].concat(), images);
        run(
            "backward_fc1",
            &[&hidden[..], &[("fc2w", Input(3)), ("dfc1w", Output(1)), ("dfc1b", Output(2))]].concat(),
            rows,
        );
        run("backward_fc2", &[&hidden[..], &[("dfc2w", Output(3)), ("dfc2b", Output(4))]].concat(), rows);
        run(
            "backward_input",
            &[dy, gate, ("dstats_in", dstats), ("argmax_in", Input(6)), ("dr", Output(0))],
            Grid::Linear(r.len()),
        );
    }
}
