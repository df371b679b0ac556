//! A gate of each element: y = x sigmoid(h). What SASNet keeps of z ([`crate::net::Latent::Keep`]).
//!
//! Gradients, with s = sigmoid(h): dx = dy s, dh = dy x s (1 - s).

#[cfg(feature = "cpu")]
use super::cpu::*;
use super::{Graph, Node, Operator, arity, check};
use crate::graph::Value;
use crate::kernel::{Grid, Lowering, Operand::*, Shader};
use crate::tensor::Shape;

/// Its kernels.
pub static SHADER: Shader = Shader::new("sigmoid_gate", include_str!("../../shaders/sigmoid_gate.wgsl"));

/// (x, h) -> x sigmoid(h), of one shape.
#[derive(Clone, Debug, PartialEq)]
pub struct SigmoidGate;

/// (x, h, dy) -> dx, dh.
#[derive(Clone, Debug, PartialEq)]
pub struct SigmoidGateBackward;

impl Operator for SigmoidGate {
    fn name(&self) -> &'static str {
        "sigmoid_gate"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [x, h] = arity(inputs)?;
        check!(x == h, "x is {x}, h is {h}");
        Ok(vec![x])
    }

    fn backward(&self, g: &mut Graph, node: &Node, dy: &[Option<Value>], _: &[bool]) -> Vec<Option<Value>> {
        let inputs = [node.inputs[0], node.inputs[1], dy[0].expect("dy")];
        let d = g.apply(&node.name, SigmoidGateBackward, &inputs).expect("one shape");
        d.into_iter().map(Some).collect()
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], y: &mut [Out<T>], _: &Cpu<T>) {
        let [x, h] = x else { unreachable!("two inputs") };
        y[0].data.par_chunks_mut(CHUNK).enumerate().for_each(|(i, y)| {
            let at = i * CHUNK;
            for ((y, x), h) in y.iter_mut().zip(&x.data[at..]).zip(&h.data[at..]) {
                *y = *x * sigmoid(*h);
            }
        });
    }

    fn gpu(&self, l: &mut Lowering) {
        let len = l.outputs[0].len();
        l.dispatch(
            (&SHADER, "forward"),
            &[],
            &[("x", Input(0)), ("h", Input(1)), ("y", Output(0))],
            &[("len", len.into())],
            Grid::Linear(len),
        );
    }
}

impl Operator for SigmoidGateBackward {
    fn name(&self) -> &'static str {
        "sigmoid_gate.backward"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [x, h, dy] = arity(inputs)?;
        check!(x == h && x == dy, "x is {x}, h is {h}, dy is {dy}");
        Ok(vec![x; 2])
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], y: &mut [Out<T>], _: &Cpu<T>) {
        let [x, h, dy] = x else { unreachable!("three inputs") };
        let [dx, dh] = y else { unreachable!("two outputs") };
        let chunks = dx.data.par_chunks_mut(CHUNK).zip(dh.data.par_chunks_mut(CHUNK));
        chunks.enumerate().for_each(|(i, (dx, dh))| {
            let at = i * CHUNK;
            for (i, (dx, dh)) in dx.iter_mut().zip(dh).enumerate() {
                let (x, dy, s) = (x.data[at + i], dy.data[at + i], sigmoid(h.data[at + i]));
                *dx = dy * s;
                *dh = dy * x * s * (T::one() - s);
            }
        });
    }

    fn gpu(&self, l: &mut Lowering) {
        let len = l.outputs[0].len();
        l.dispatch(
            (&SHADER, "backward"),
            &[],
            &[("x", Input(0)), ("h", Input(1)), ("dy", Input(2)), ("dx", Output(0)), ("dh", Output(1))],
            &[("len", len.into())],
            Grid::Linear(len),
        );
    }
}
