//! Differences of each row to the next, around the border: `y(i) = x(i + 1) - x(i)`, and the adjoint of that, `y(i) = x(i - 1) -
//! x(i)`. Of columns: the same, of the transposed map. Each is the other's gradient.

#[cfg(feature = "cpu")]
use super::cpu::*;
use super::{Graph, Node, Operator, arity};
use crate::graph::Value;
use crate::kernel::{Grid, Lowering, Operand::*, Shader};
use crate::tensor::Shape;

/// x (N, C, H, W) -> y of the same shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Differences {
    /// To the row before instead.
    pub adjoint: bool,
    /// The difference across the border counts as 0: y's last row, of the adjoint x's.
    pub open: bool,
}

/// Its kernel.
pub static SHADER: Shader = Shader::new("differences", include_str!("../../shaders/differences.wgsl"));

impl Operator for Differences {
    fn name(&self) -> &'static str {
        if self.adjoint { "differences.adjoint" } else { "differences" }
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [x] = arity(inputs)?;
        Ok(vec![x])
    }

    fn backward(&self, g: &mut Graph, node: &Node, dy: &[Option<Value>], _: &[bool]) -> Vec<Option<Value>> {
        let op = Differences { adjoint: !self.adjoint, open: self.open };
        vec![Some(g.apply1(&node.name, op, &[dy[0].expect("dy")]).expect("any shape"))]
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], y: &mut [Out<T>], _: &Cpu<T>) {
        let Shape { h, w, .. } = x[0].shape;
        y[0].data.par_chunks_mut(h * w).zip(x[0].data.par_chunks(h * w)).for_each(|(y, x)| {
            for (i, y) in y.chunks_exact_mut(w).enumerate() {
                let row = |i: usize| (&x[i * w..][..w], !self.open || i + 1 < h || !self.adjoint);
                let (own, other) = (row(i), row(if self.adjoint { i + h - 1 } else { i + 1 } % h));
                let counts = self.adjoint || !self.open || i + 1 < h;
                for ((y, own_v), other_v) in y.iter_mut().zip(own.0).zip(other.0) {
                    let of = |v: T, counts: bool| if counts { v } else { T::zero() };
                    *y = of(of(*other_v, other.1) - of(*own_v, own.1), counts);
                }
            }
        });
    }

    fn gpu(&self, l: &mut Lowering) {
        let x = l.inputs[0];
        let entry = if self.adjoint { "adjoint" } else { "forward" };
        let params =
            [("h", x.h.into()), ("w", x.w.into()), ("len", x.len().into()), ("open", usize::from(self.open).into())];
        l.dispatch((&SHADER, entry), &[], &[("x", Input(0)), ("y", Output(0))], &params, Grid::Linear(x.len()));
    }
}
