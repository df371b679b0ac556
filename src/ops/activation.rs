//! Bounded activations: y = tanh(x), y = sigmoid(x) = 1 / (1 + exp(-x)).
//!
//! Gradients, of the output: `dx = dy (1 - y^2)`; `dx = dy y (1 - y)`.

#[cfg(feature = "cpu")]
use super::cpu::*;
use super::{Graph, Node, Operator, arity, check};
use crate::graph::Value;
use crate::kernel::{Grid, Lowering, Operand::*, Shader};
use crate::tensor::Shape;

/// Which activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    /// tanh(x)
    Tanh,
    /// 1 / (1 + exp(-x))
    Sigmoid,
}

/// x -> y of the same shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Bounded(
    /// Which.
    pub Function,
);

/// (y, dy) -> dx.
#[derive(Clone, Debug, PartialEq)]
pub struct BoundedBackward(
    /// Which.
    pub Function,
);

/// Its kernels.
pub static SHADER: Shader = Shader::new("activation", include_str!("../../shaders/activation.wgsl"));

impl Operator for Bounded {
    fn name(&self) -> &'static str {
        match self.0 {
            Function::Tanh => "activation.tanh",
            Function::Sigmoid => "activation.sigmoid",
        }
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [x] = arity(inputs)?;
        Ok(vec![x])
    }

    fn backward(&self, g: &mut Graph, node: &Node, dy: &[Option<Value>], _: &[bool]) -> Vec<Option<Value>> {
        let inputs = [node.outputs[0], dy[0].expect("dy")];
        vec![Some(g.apply1(&node.name, BoundedBackward(self.0), &inputs).expect("one shape"))]
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], y: &mut [Out<T>], _: &Cpu<T>) {
        y[0].data.par_chunks_mut(CHUNK).zip(x[0].data.par_chunks(CHUNK)).for_each(|(y, x)| {
            for (y, x) in y.iter_mut().zip(x) {
                *y = match self.0 {
                    Function::Tanh => x.tanh(),
                    Function::Sigmoid => sigmoid(*x),
                };
            }
        });
    }

    fn gpu(&self, l: &mut Lowering) {
        let entry = match self.0 {
            Function::Tanh => "forward_tanh",
            Function::Sigmoid => "forward_sigmoid",
        };
        let len = l.outputs[0].len();
        let bindings = [("x", Input(0)), ("y", Output(0))];
        l.dispatch((&SHADER, entry), &[], &bindings, &[("len", len.into())], Grid::Linear(len));
    }
}

impl Operator for BoundedBackward {
    fn name(&self) -> &'static str {
        match self.0 {
            Function::Tanh => "activation.tanh.backward",
            Function::Sigmoid => "activation.sigmoid.backward",
        }
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [y, dy] = arity(inputs)?;
        check!(y == dy, "y is {y}, dy is {dy}");
        Ok(vec![y])
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], dx: &mut [Out<T>], _: &Cpu<T>) {
        let one = T::one();
        dx[0].data.par_chunks_mut(CHUNK).enumerate().for_each(|(i, dx)| {
            let (y, dy) = (&x[0].data[i * CHUNK..], &x[1].data[i * CHUNK..]);
            for ((dx, y), dy) in dx.iter_mut().zip(y).zip(dy) {
                *dx = *dy
                    * match self.0 {
                        Function::Tanh => (one - *y) * (one + *y),
                        Function::Sigmoid => *y * (one - *y),
                    };
            }
        });
    }

    fn gpu(&self, l: &mut Lowering) {
        let entry = match self.0 {
            Function::Tanh => "backward_tanh",
            Function::Sigmoid => "backward_sigmoid",
        };
        let len = l.outputs[0].len();
        let bindings = [("y_in", Input(0)), ("dy", Input(1)), ("dx", Output(0))];
        l.dispatch((&SHADER, entry), &[], &bindings, &[("len", len.into())], Grid::Linear(len));
    }
}
