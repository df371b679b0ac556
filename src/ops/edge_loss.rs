//! Edges of a smooth picture, and the balanced cross-entropy of a network's guess at them (Feng et al. 2021).
//!
//! A pixel is an edge (1, else 0) where `min(|gx|, 255) + min(|gy|, 255) >= 99`, of Sobel's 3x3 differences of the blue channel in
//! code values, mirrored at the border without repeating it.
//!
//! The loss is weight times the mean of `u (softplus(e) - l e)`, e the logits, l the labels, u = 1 - q on edges and q
//! elsewhere, q the share of edges. Gradient: `weight u (sigmoid(e) - l) / M`.

#[cfg(feature = "cpu")]
use super::cpu::*;
use super::sums::{self, SUMS};
use super::{Graph, Node, Operator, arity, check};
use crate::graph::Value;
use crate::kernel::{Grid, Lowering, Operand::*, Param, Shader};
use crate::tensor::Shape;

/// target (N, 3, H, W), sides of 2 or more -> labels (N, 1, H, W). No gradient.
#[derive(Clone, Debug, PartialEq)]
pub struct Edges;

/// (logits (N, 1, H, W), labels) -> loss (1, 1, 1, 1), q (1, 1, 1, 1). No gradient to the labels.
#[derive(Clone, Debug, PartialEq)]
pub struct EdgeLoss {
    /// Factor of the loss.
    pub weight: f64,
}

/// (logits, labels, q) -> gradient of the logits. The loss is where the backward pass starts: its own gradient is 1.
#[derive(Clone, Debug, PartialEq)]
pub struct EdgeLossBackward {
    /// Factor of the loss.
    pub weight: f64,
}

/// Its kernels.
pub static SHADER: Shader =
    Shader { prelude: SUMS, ..Shader::new("edge_loss", include_str!("../../shaders/edge_loss.wgsl")) };

fn params(labels: Shape, weight: f64, parts: usize) -> [(&'static str, Param); 5] {
    [
        ("h", labels.h.into()),
        ("w", labels.w.into()),
        ("len", labels.len().into()),
        ("weight", (weight as f32).into()),
        ("parts", parts.into()),
    ]
}

/// The index mirrored into 0..n.
#[cfg(feature = "cpu")]
fn mirrored(i: isize, n: usize) -> usize {
    let i = i.unsigned_abs();
    if i < n { i } else { 2 * (n - 1) - i }
}

/// The nearest whole number, of two the even one.
#[cfg(feature = "cpu")]
fn round<T: Real>(v: T) -> T {
    let (half, two) = (T::of(0.5), T::of(2.0));
    if (v - v.floor()) == half { two * (v / two).round() } else { v.round() }
}

impl Operator for Edges {
    fn name(&self) -> &'static str {
        "edge_loss.edges"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [x] = arity(inputs)?;
        check!(x.c == 3 && x.h > 1 && x.w > 1, "x is {x}, not of three channels and sides of 2 or more");
        Ok(vec![x.with_c(1)])
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], labels: &mut [Out<T>], _: &Cpu<T>) {
        let (Shape { h, w, .. }, most) = (x[0].shape, T::of(255.0));
        labels[0].data.par_chunks_mut(h * w).enumerate().for_each(|(n, labels)| {
            let blue = &x[0].image(n)[2 * h * w..];
            let code =
                |i: isize, j: isize| round(most * blue[mirrored(i, h) * w + mirrored(j, w)]).max(T::zero()).min(most);
            for (at, label) in labels.iter_mut().enumerate() {
                let (i, j) = ((at / w) as isize, (at % w) as isize);
                let sum = |f: &dyn Fn(isize) -> T| f(-1) + T::of(2.0) * f(0) + f(1);
                let gx = sum(&|k| code(i + k, j + 1)) - sum(&|k| code(i + k, j - 1));
                let gy = sum(&|k| code(i + 1, j + k)) - sum(&|k| code(i - 1, j + k));
                let is_edge = gx.abs().min(most) + gy.abs().min(most) >= T::of(99.0);
                *label = if is_edge { T::one() } else { T::zero() };
            }
        });
    }

    fn gpu(&self, l: &mut Lowering) {
        let labels = l.outputs[0];
        let bindings = [("goal", Input(0)), ("labels", Output(0))];
        l.dispatch((&SHADER, "edges"), &[], &bindings, &params(labels, 0.0, 0), Grid::Linear(labels.len()));
    }
}

impl Operator for EdgeLoss {
    fn name(&self) -> &'static str {
        "edge_loss"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [logits, labels] = arity(inputs)?;
        check!(logits == labels, "the logits are {logits}, the labels {labels}");
        Ok(vec![Shape::SCALAR; 2])
    }

    fn backward(&self, g: &mut Graph, node: &Node, _: &[Option<Value>], _: &[bool]) -> Vec<Option<Value>> {
        let inputs = [node.inputs[0], node.inputs[1], node.outputs[1]];
        let op = EdgeLossBackward { weight: self.weight };
        vec![Some(g.apply1(&node.name, op, &inputs).expect("shapes of the forward pass")), None]
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], out: &mut [Out<T>], _: &Cpu<T>) {
        let (e, l, len) = (x[0].data, x[1].data, T::of(x[0].data.len() as f64));
        let total = |f: &(dyn Fn(usize) -> T + Sync)| {
            let chunk = |k: usize| sum_by(CHUNK.min(e.len() - k * CHUNK), |i| f(k * CHUNK + i));
            let parts: Vec<T> = (0..e.len().div_ceil(CHUNK)).into_par_iter().map(chunk).collect();
            sum(&parts)
        };
        let q = total(&|i| l[i]) / len;
        let term = |i: usize| {
            let softplus = e[i].max(T::zero()) + (-e[i].abs()).exp().ln_1p();
            // Not max alone, which makes 0 of NaN.
            let softplus = if e[i].is_nan() { e[i] } else { softplus };
            (if l[i] > T::zero() { T::one() - q } else { q }) * (softplus - l[i] * e[i])
        };
        out[0].data[0] = T::of(self.weight) * (total(&term) / len);
        out[1].data[0] = q;
    }

    fn gpu(&self, l: &mut Lowering) {
        let labels = l.inputs[1];
        let parts = sums::parts(labels.len(), 4);
        let params = params(labels, self.weight, parts);
        let mut sum = |entries, reads: &[_], to| sums::lower(l, (&SHADER, entries), parts, reads, to, &params);
        sum(["count", "share"], &[("labels_in", Input(1))], ("share_out", 1));
        let reads = [("logits", Input(0)), ("labels_in", Input(1)), ("q", Output(1))];
        sum(["partial", "total"], &reads, ("loss", 0));
    }
}

impl Operator for EdgeLossBackward {
    fn name(&self) -> &'static str {
        "edge_loss.backward"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [logits, labels, q] = arity(inputs)?;
        check!(logits == labels && q == Shape::SCALAR, "the logits are {logits}, the labels {labels}, q {q}");
        Ok(vec![logits])
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], d: &mut [Out<T>], _: &Cpu<T>) {
        let [e, l, q] = [x[0].data, x[1].data, x[2].data];
        let step = T::of(self.weight) / T::of(e.len() as f64);
        for (i, d) in d[0].data.iter_mut().enumerate() {
            let u = if l[i] > T::zero() { T::one() - q[0] } else { q[0] };
            *d = step * u * (sigmoid(e[i]) - l[i]);
        }
    }

    fn gpu(&self, l: &mut Lowering) {
        let labels = l.inputs[1];
        let bindings = [("logits", Input(0)), ("labels_in", Input(1)), ("q", Input(2)), ("d", Output(0))];
        l.dispatch((&SHADER, "backward"), &[], &bindings, &params(labels, self.weight, 0), Grid::Linear(labels.len()));
    }
}
