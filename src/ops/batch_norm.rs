//! Batch normalisation in training (Ioffe and Szegedy 2015): of each channel, over the n = N H W values of the batch,
//! `y = gamma xh + beta` with `xh = (x - mean) i`, `i = 1 / sqrt(var + eps)`, and ReLU behind it or not. For inference
//! it is folded into the convolution before it ([`fold`]).
//!
//! Gradients. With dy masked by the ReLU: `dbeta = sum dy`; `dgamma = sum dy xh`; mean and variance depend on x, too,
//! which takes the parts of dy along 1 and xh away: `dx = gamma i (dy - dbeta / n - xh dgamma / n)`.

#[cfg(feature = "cpu")]
use super::cpu::*;
use super::{Graph, Node, Operator, arity, check};
use crate::graph::Value;
use crate::kernel::{Grid, Lowering, Operand::*, Param, Shader};
use crate::tensor::Shape;
use glam::UVec3;

/// Added to the variance.
pub const EPS: f64 = 1e-5;

/// (x (N, C, H, W), gamma (C), beta (C)) -> y (N, C, H, W), stats (1, 3, 1, C): mean, i, var (of the batch, biased).
#[derive(Clone, Debug, PartialEq)]
pub struct BatchNorm {
    /// A ReLU follows.
    pub relu: bool,
}

/// (x, y, gamma, stats, dy) -> dx, dgamma, dbeta.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchNormBackward {
    /// As forward; without it y is not read.
    pub relu: bool,
}

/// Its kernels.
pub static SHADER: Shader = Shader::new("batch_norm", include_str!("../../shaders/batch_norm.wgsl"));

/// Makes of a convolution's weight `w` and bias `b`, those of one output, what does the same as the convolution and the
/// normalisation behind it at test time: with the running statistics.
pub fn fold(w: &mut [f64], b: &mut f64, [gamma, beta, mean, var]: [f64; 4]) {
    let k = gamma / (var + EPS).sqrt();
    w.iter_mut().for_each(|w| *w *= k);
    *b = k * (*b - mean) + beta;
}

/// Workgroups that share a channel: enough to fill a GPU, and at least 16 elements an invocation.
fn parts(x: Shape) -> usize {
    (x.n * x.plane()).div_ceil(256 * 16).clamp(1, 64)
}

fn params(x: Shape, relu: bool) -> [(&'static str, Param); 6] {
    [
        ("n", x.n.into()),
        ("c", x.c.into()),
        ("plane", x.plane().into()),
        ("parts", parts(x).into()),
        ("relu", usize::from(relu).into()),
        ("eps", (EPS as f32).into()),
    ]
}

/// One workgroup for each part of each channel.
fn by_parts(x: Shape) -> Grid {
    Grid::Workgroups(UVec3::new(parts(x) as u32, x.c as u32, 1))
}

/// Sum over a channel: of `f` of each image's plane, its first element at the index that it is given.
#[cfg(feature = "cpu")]
fn channel_sum<T: Real>(x: Shape, c: usize, f: impl Fn(usize) -> T) -> T {
    (0..x.n).map(|n| f((n * x.c + c) * x.plane())).sum()
}

impl Operator for BatchNorm {
    fn name(&self) -> &'static str {
        "batch_norm"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [x, gamma, beta] = arity(inputs)?;
        check!(gamma.len() == x.c && beta.len() == x.c, "x is {x}, gamma {gamma}, beta {beta}");
        Ok(vec![x, Shape::new(1, 3, 1, x.c)])
    }

    /// Two a value, as JESSNet's authors count it.
    fn paper_extras(&self, _: &[Shape], outputs: &[Shape]) -> u64 {
        2 * outputs[0].len() as u64
    }

    fn backward(&self, g: &mut Graph, node: &Node, dy: &[Option<Value>], _: &[bool]) -> Vec<Option<Value>> {
        let ([x, gamma, _], [y, stats]) = (&node.inputs[..], &node.outputs[..]) else { unreachable!("3 in, 2 out") };
        let inputs = [*x, *y, *gamma, *stats, dy[0].expect("dy")];
        let d = g.apply(&node.name, BatchNormBackward { relu: self.relu }, &inputs);
        d.expect("shapes of the forward pass").into_iter().map(Some).collect()
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], out: &mut [Out<T>], _: &Cpu<T>) {
        let ([x, gamma, beta], [y, stats]) = (x, out) else { unreachable!("three inputs, two outputs") };
        let (shape, plane) = (x.shape, x.shape.plane());
        let count = T::of((shape.n * plane) as f64);
        let of_channel = |c: usize| {
            let mean = channel_sum(shape, c, |at| sum(&x.data[at..][..plane])) / count;
            let squares = |at: usize| sum_by(plane, |i| (x.data[at + i] - mean) * (x.data[at + i] - mean));
            let var = channel_sum(shape, c, squares) / count;
            [mean, T::one() / (var + T::of(EPS)).sqrt(), var]
        };
        let all: Vec<[T; 3]> = (0..shape.c).into_par_iter().map(of_channel).collect();
        for (c, of_channel) in all.iter().enumerate() {
            (0..3).for_each(|k| stats.data[k * shape.c + c] = of_channel[k]);
        }
        y.data.par_chunks_mut(plane).zip(x.data.par_chunks(plane)).enumerate().for_each(|(i, (y, x))| {
            let c = i % shape.c;
            let [mean, inverse, _] = all[c];
            let (gamma, beta) = (gamma.data[c], beta.data[c]);
            for (y, x) in y.iter_mut().zip(x) {
                let v = gamma * ((*x - mean) * inverse) + beta;
                // Not max, which makes 0 of NaN.
                *y = if self.relu && v < T::zero() { T::zero() } else { v };
            }
        });
    }

    fn gpu(&self, l: &mut Lowering) {
        let x = l.inputs[0];
        let params = params(x, self.relu);
        let sums = l.scratch(parts(x) * x.c);
        let mut run = |entry, bindings: &[_], grid| l.dispatch((&SHADER, entry), &[], bindings, &params, grid);
        run("sums_of", &[("x", Input(0)), ("sums", sums)], by_parts(x));
        run("mean", &[("sums_in", sums), ("stats", Output(1))], Grid::Linear(x.c));
        run("squares", &[("x", Input(0)), ("stats_in", Output(1)), ("sums", sums)], by_parts(x));
        run("variance", &[("sums_in", sums), ("stats", Output(1))], Grid::Linear(x.c));
        let all = [("x", Input(0)), ("gamma", Input(1)), ("beta", Input(2)), ("stats_in", Output(1)), ("y", Output(0))];
        run("normalise", &all, Grid::Linear(x.len()));
    }
}

impl Operator for BatchNormBackward {
    fn name(&self) -> &'static str {
        "batch_norm.backward"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [x, y, gamma, stats, dy] = arity(inputs)?;
        check!(
            BatchNorm { relu: self.relu }.infer(&[x, gamma, gamma])? == [y, stats],
            "x is {x}, y {y}, stats {stats}"
        );
        check!(dy == y, "y is {y}, dy is {dy}");
        Ok(vec![x, gamma, gamma])
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], out: &mut [Out<T>], _: &Cpu<T>) {
        let ([x, y, gamma, stats, dy], [dx, dgamma, dbeta]) = (x, out) else { unreachable!("five in, three out") };
        let (shape, plane) = (x.shape, x.shape.plane());
        let count = T::of((shape.n * plane) as f64);
        let masked = |i: usize| if self.relu && y.data[i] <= T::zero() { T::zero() } else { dy.data[i] };
        let xh = |i: usize, c: usize| (x.data[i] - stats.data[c]) * stats.data[shape.c + c];
        let of_channel = |c: usize| {
            let beta = channel_sum(shape, c, |at| sum_by(plane, |i| masked(at + i)));
            (beta, channel_sum(shape, c, |at| sum_by(plane, |i| masked(at + i) * xh(at + i, c))))
        };
        let all: Vec<(T, T)> = (0..shape.c).into_par_iter().map(of_channel).collect();
        for (c, (beta, gamma)) in all.iter().enumerate() {
            (dbeta.data[c], dgamma.data[c]) = (*beta, *gamma);
        }
        dx.data.par_chunks_mut(plane).enumerate().for_each(|(p, dx)| {
            let (c, at) = (p % shape.c, p * plane);
            let (beta, scale) = (all[c].0 / count, all[c].1 / count);
            for (i, dx) in dx.iter_mut().enumerate() {
                let rest = masked(at + i) - beta - xh(at + i, c) * scale;
                *dx = gamma.data[c] * stats.data[shape.c + c] * rest;
            }
        });
    }

    fn gpu(&self, l: &mut Lowering) {
        let x = l.inputs[0];
        let params = params(x, self.relu);
        let sums = l.scratch(2 * parts(x) * x.c);
        let mut run = |entry, bindings: &[_], grid| l.dispatch((&SHADER, entry), &[], bindings, &params, grid);
        let read = [("x", Input(0)), ("y_in", Input(1)), ("dy", Input(4)), ("stats_in", Input(3))];
        run("backward_sums", &[&read[..], &[("sums", sums)]].concat(), by_parts(x));
        run("backward_weight", &[("sums_in", sums), ("dgamma", Output(1)), ("dbeta", Output(2))], Grid::Linear(x.c));
        let rest = [("gamma", Input(2)), ("dgamma_in", Output(1)), ("dbeta_in", Output(2)), ("dx", Output(0))];
        run("backward_input", &[&read[..], &rest].concat(), Grid::Linear(x.len()));
    }
}
