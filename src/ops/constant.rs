//! What gradients do not flow to: a constant, and a value cut off from its gradient.
//!
//! A convolution's bias straight before a batch normalisation has a gradient of exactly 0, as the batch's mean takes it
//! away again; summed in f32 it is noise, which Adam blows up to full steps. Such a bias is detached, or it is a constant.

#[cfg(feature = "cpu")]
use super::cpu::*;
use super::{Graph, Node, Operator, arity, check};
use crate::graph::Value;
use crate::kernel::{Grid, Lowering, Operand::*, Shader};
use crate::tensor::Shape;

/// () -> y, all of one value.
#[derive(Clone, Debug, PartialEq)]
pub struct Constant {
    /// Shape of y.
    pub shape: Shape,
    /// The value.
    pub value: f32,
}

/// x -> the same, and no gradient to x.
#[derive(Clone, Debug, PartialEq)]
pub struct Detach;

/// Its kernels.
pub static SHADER: Shader = Shader::new("constant", include_str!("../../shaders/constant.wgsl"));

impl Operator for Constant {
    fn name(&self) -> &'static str {
        "constant"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [] = arity(inputs)?;
        check!(!self.shape.is_empty(), "has no elements: {}", self.shape);
        Ok(vec![self.shape])
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, _: &[In<T>], y: &mut [Out<T>], _: &Cpu<T>) {
        y[0].data.fill(T::of(self.value.into()));
    }

    fn gpu(&self, l: &mut Lowering) {
        let len = self.shape.len();
        let params = [("len", len.into()), ("value", self.value.into())];
        l.dispatch((&SHADER, "fill"), &[], &[("y", Output(0))], &params, Grid::Linear(len));
    }
}

impl Operator for Detach {
    fn name(&self) -> &'static str {
        "constant.detach"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [x] = arity(inputs)?;
        Ok(vec![x])
    }

    fn backward(&self, _: &mut Graph, _: &Node, _: &[Option<Value>], _: &[bool]) -> Vec<Option<Value>> {
        vec![None]
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], y: &mut [Out<T>], _: &Cpu<T>) {
        y[0].data.copy_from_slice(x[0].data);
    }

    fn gpu(&self, l: &mut Lowering) {
        let len = l.outputs[0].len();
        let params = [("len", len.into()), ("value", 0f32.into())];
        l.dispatch((&SHADER, "copy"), &[], &[("x", Input(0)), ("y", Output(0))], &params, Grid::Linear(len));
    }
}
