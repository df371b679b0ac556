//! y = k x + c. Gradient: dx = k dy.

use super::add::Scale;
#[cfg(feature = "cpu")]
use super::cpu::*;
use super::{Graph, Node, Operator, arity};
use crate::graph::Value;
use crate::kernel::{Grid, Lowering, Operand::*, Shader};
use crate::tensor::Shape;

/// x -> k x + c.
#[derive(Clone, Debug, PartialEq)]
pub struct Affine {
    /// The factor.
    pub k: f32,
    /// Added to it.
    pub c: f32,
}

/// Its kernel.
pub static SHADER: Shader = Shader::new("affine", include_str!("../../shaders/affine.wgsl"));

impl Operator for Affine {
    fn name(&self) -> &'static str {
        "affine"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [x] = arity(inputs)?;
        Ok(vec![x])
    }

    fn backward(&self, g: &mut Graph, node: &Node, dy: &[Option<Value>], _: &[bool]) -> Vec<Option<Value>> {
        vec![Some(g.apply1(&node.name, Scale { k: self.k }, &[dy[0].expect("dy")]).expect("scaling keeps the shape"))]
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], y: &mut [Out<T>], _: &Cpu<T>) {
        let (k, c) = (T::of(self.k.into()), T::of(self.c.into()));
        y[0].data.par_chunks_mut(CHUNK).enumerate().for_each(|(i, y)| {
            for (y, x) in y.iter_mut().zip(&x[0].data[i * CHUNK..]) {
                *y = k * *x + c;
            }
        });
    }

    fn gpu(&self, l: &mut Lowering) {
        let len = l.outputs[0].len();
        l.dispatch(
            (&SHADER, "affine"),
            &[],
            &[("x", Input(0)), ("y", Output(0))],
            &[("len", len.into()), ("k", self.k.into()), ("c", self.c.into())],
            Grid::Linear(len),
        );
    }
}
