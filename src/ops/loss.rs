//! The loss (paper: L1): mean |y - target| over all elements.
//!
//! Gradient: dy = sign(y - target) / elements, sign(0) = 0. The loss is where backward starts, its own gradient is 1;
//! the target takes none.

#[cfg(feature = "cpu")]
use super::cpu::*;
use super::sums::{self, SUMS};
use super::{Graph, Node, Operator, arity, check};
use crate::graph::Value;
use crate::kernel::{Grid, Lowering, Operand::*, Shader};
use crate::tensor::Shape;

/// Its kernels.
pub static SHADER: Shader = Shader { prelude: SUMS, ..Shader::new("loss", include_str!("../../shaders/loss.wgsl")) };

/// (y, target) -> loss (1, 1, 1, 1).
#[derive(Clone, Debug, PartialEq)]
pub struct L1Loss;

/// (y, target) -> dy.
#[derive(Clone, Debug, PartialEq)]
pub struct L1LossBackward;

impl Operator for L1Loss {
    fn name(&self) -> &'static str {
        "loss"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [y, target] = arity(inputs)?;
        check!(y == target, "y is {y}, target is {target}");
        Ok(vec![Shape::SCALAR])
    }

    fn backward(&self, g: &mut Graph, node: &Node, _: &[Option<Value>], _: &[bool]) -> Vec<Option<Value>> {
        vec![Some(g.apply1(&node.name, L1LossBackward, &node.inputs.clone()).expect("one shape")), None]
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], loss: &mut [Out<T>], _: &Cpu<T>) {
        let parts: Vec<T> = (x[0].data.par_chunks(CHUNK).zip(x[1].data.par_chunks(CHUNK)))
            .map(|(y, target)| sum_by(y.len(), |i| (y[i] - target[i]).abs()))
            .collect();
        loss[0].data[0] = sum(&parts) / T::of(x[0].data.len() as f64);
    }

    fn gpu(&self, l: &mut Lowering) {
        let len = l.inputs[0].len();
        let parts = sums::parts(len, 16);
        let params = [("len", len.into()), ("parts", parts.into())];
        let reads = [("y", Input(0)), ("goal", Input(1))];
        sums::lower(l, (&SHADER, ["partial", "total"]), parts, &reads, ("loss", 0), &params);
    }
}

impl Operator for L1LossBackward {
    fn name(&self) -> &'static str {
        "loss.backward"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [y, target] = arity(inputs)?;
        check!(y == target, "y is {y}, target is {target}");
        Ok(vec![y])
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], dy: &mut [Out<T>], _: &Cpu<T>) {
        let step = T::one() / T::of(x[0].data.len() as f64);
        dy[0].data.par_chunks_mut(CHUNK).enumerate().for_each(|(i, dy)| {
            let (y, target) = (&x[0].data[i * CHUNK..], &x[1].data[i * CHUNK..]);
            for ((dy, y), t) in dy.iter_mut().zip(y).zip(target) {
                // Not signum, which is 1 at 0; and a NaN must stay one.
                let d = *y - *t;
                *dy = if d == T::zero() { d } else { step * d.signum() };
            }
        });
    }

    fn gpu(&self, l: &mut Lowering) {
        let len = l.inputs[0].len();
        l.dispatch(
            (&SHADER, "backward"),
            &[],
            &[("y", Input(0)), ("goal", Input(1)), ("dy", Output(0))],
            &[("len", len.into()), ("parts", 0usize.into())],
            Grid::Linear(len),
        );
    }
}
