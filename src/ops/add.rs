//! y = a + beta b, and y = k x.
//!
//! Gradients: da = dy (the same value, no kernel), db = beta dy; dx = k dy.

#[cfg(feature = "cpu")]
use super::cpu::*;
use super::{Graph, Node, Operator, arity, check};
use crate::graph::Value;
use crate::kernel::{Grid, Lowering, Operand::*, Shader};
use crate::tensor::Shape;

/// Its kernels.
pub static SHADER: Shader = Shader::new("add", include_str!("../../shaders/add.wgsl"));

/// (a, b) -> a + beta b, of one shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Add {
    /// Factor of b.
    pub beta: f32,
}

/// x -> k x.
#[derive(Clone, Debug, PartialEq)]
pub struct Scale {
    /// The factor.
    pub k: f32,
}

impl Operator for Add {
    fn name(&self) -> &'static str {
        "add"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [a, b] = arity(inputs)?;
        check!(a == b, "a is {a}, b is {b}");
        Ok(vec![a])
    }

    fn backward(&self, g: &mut Graph, node: &Node, dy: &[Option<Value>], needs: &[bool]) -> Vec<Option<Value>> {
        let db = match (needs[1], self.beta == 1.0) {
            (false, _) => None,
            (true, true) => dy[0],
            (true, false) => {
                let scaled = g.apply1(&node.name, Scale { k: self.beta }, &[dy[0].expect("dy")]);
                Some(scaled.expect("scaling keeps the shape"))
            }
        };
        vec![dy[0], db]
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], y: &mut [Out<T>], _: &Cpu<T>) {
        let beta = T::of(self.beta.into());
        y[0].data.par_chunks_mut(CHUNK).enumerate().for_each(|(i, y)| {
            let (a, b) = (&x[0].data[i * CHUNK..], &x[1].data[i * CHUNK..]);
            vectorised!({
                for ((y, a), b) in y.iter_mut().zip(a).zip(b) {
                    *y = *a + beta * *b;
                }
            });
        });
    }

    fn gpu(&self, l: &mut Lowering) {
        let len = l.outputs[0].len();
        l.dispatch(
            (&SHADER, "add"),
            &[],
            &[("a", Input(0)), ("b", Input(1)), ("y", Output(0))],
            &[("len", len.into()), ("k", self.beta.into())],
            Grid::Linear(len),
        );
    }
}

impl Operator for Scale {
    fn name(&self) -> &'static str {
        "add.scale"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [x] = arity(inputs)?;
        Ok(vec![x])
    }

    fn backward(&self, g: &mut Graph, node: &Node, dy: &[Option<Value>], _: &[bool]) -> Vec<Option<Value>> {
        vec![Some(g.apply1(&node.name, self.clone(), &[dy[0].expect("dy")]).expect("scaling keeps the shape"))]
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], y: &mut [Out<T>], _: &Cpu<T>) {
        let k = T::of(self.k.into());
        y[0].data.par_chunks_mut(CHUNK).enumerate().for_each(|(i, y)| {
            for (y, x) in y.iter_mut().zip(&x[0].data[i * CHUNK..]) {
                *y = k * *x;
            }
        });
    }

    fn gpu(&self, l: &mut Lowering) {
        let len = l.outputs[0].len();
        l.dispatch(
            (&SHADER, "scale"),
            &[],
            &[("x", Input(0)), ("y", Output(0))],
            &[("len", len.into()), ("k", self.k.into())],
            Grid::Linear(len),
        );
    }
}
