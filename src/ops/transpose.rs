//! Rows and columns of each channel exchanged: y[j, i] = x[i, j]. Its gradient is the same of dy.

#[cfg(feature = "cpu")]
use super::cpu::*;
use super::{Graph, Node, Operator, arity};
use crate::graph::Value;
use crate::kernel::{Grid, Lowering, Operand::*, Shader};
use crate::tensor::Shape;
use glam::UVec3;

/// x (N, C, H, W) -> y (N, C, W, H).
#[derive(Clone, Debug, PartialEq)]
pub struct Transpose;

/// Its kernel.
pub static SHADER: Shader = Shader::new("transpose", include_str!("../../shaders/transpose.wgsl"));

impl Operator for Transpose {
    fn name(&self) -> &'static str {
        "transpose"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [x] = arity(inputs)?;
        Ok(vec![Shape { h: x.w, w: x.h, ..x }])
    }

    fn backward(&self, g: &mut Graph, node: &Node, dy: &[Option<Value>], _: &[bool]) -> Vec<Option<Value>> {
        vec![Some(g.apply1(&node.name, Transpose, &[dy[0].expect("dy")]).expect("any shape"))]
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], y: &mut [Out<T>], _: &Cpu<T>) {
        let Shape { h, w, .. } = x[0].shape;
        y[0].data.par_chunks_mut(h * w).zip(x[0].data.par_chunks(h * w)).for_each(|(y, x)| {
            for (j, column) in y.chunks_exact_mut(h).enumerate() {
                column.iter_mut().zip(x[j..].iter().step_by(w)).for_each(|(y, x)| *y = *x);
            }
        });
    }

    fn gpu(&self, l: &mut Lowering) {
        let x = l.inputs[0];
        let planes = x.n * x.c;
        // A dimension has at most 65,535 workgroups.
        let deep = planes.min(65_535);
        let params = [("h", x.h.into()), ("w", x.w.into()), ("planes", planes.into()), ("deep", deep.into())];
        let grid = UVec3::new(x.w.div_ceil(16) as u32, x.h.div_ceil(16) as u32, deep as u32);
        l.dispatch((&SHADER, "transpose"), &[], &[("x", Input(0)), ("y", Output(0))], &params, Grid::Workgroups(grid));
    }
}
