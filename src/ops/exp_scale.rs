//! The scale of a coupling: y = exp(sign s), s = tanh(x / 2), so that y is in [1/e, e].
//!
//! Without the clamp twice the initial weights give infinities (InvDN's lineage clamps at 1 too).
//!
//! Gradient: dy/dx = y sign ds/dx, and ds/dx = (1 - s^2) / 2.

#[cfg(feature = "cpu")]
use super::cpu::*;
use super::{Graph, Node, Operator, arity, check};
use crate::graph::Value;
use crate::kernel::{Grid, Lowering, Operand::*, Shader};
use crate::tensor::Shape;

/// Its kernels.
pub static SHADER: Shader = Shader::new("exp_scale", include_str!("../../shaders/exp_scale.wgsl"));

/// x -> exp(sign tanh(x / 2)).
#[derive(Clone, Debug, PartialEq)]
pub struct ExpScale {
    /// 1 in the forward direction, -1 in the inverse.
    pub sign: f32,
}

/// (x, y, dy) -> dx.
#[derive(Clone, Debug, PartialEq)]
pub struct ExpScaleBackward {
    /// As forward.
    pub sign: f32,
}

/// tanh(x / 2) = 1 - 2 / (exp(x) + 1). Its absolute error is that of a rounding or two at 1, which is all that exp(s) sees.
#[cfg(feature = "cpu")]
#[inline(always)]
fn tanh_half<T: Real>(x: T) -> T {
    let two = T::one() + T::one();
    T::one() - two / (x.fast_exp() + T::one())
}

impl Operator for ExpScale {
    fn name(&self) -> &'static str {
        "exp_scale"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [x] = arity(inputs)?;
        Ok(vec![x])
    }

    fn backward(&self, g: &mut Graph, node: &Node, dy: &[Option<Value>], _: &[bool]) -> Vec<Option<Value>> {
        let op = ExpScaleBackward { sign: self.sign };
        let inputs = [node.inputs[0], node.outputs[0], dy[0].expect("dy")];
        vec![Some(g.apply1(&node.name, op, &inputs).expect("one shape"))]
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], y: &mut [Out<T>], _: &Cpu<T>) {
        let sign = T::of(self.sign.into());
        y[0].data.par_chunks_mut(CHUNK).enumerate().for_each(|(i, y)| {
            vectorised!({
                for (y, x) in y.iter_mut().zip(&x[0].data[i * CHUNK..]) {
                    *y = (sign * tanh_half(*x)).fast_exp();
                }
            });
        });
    }

    fn gpu(&self, l: &mut Lowering) {
        let len = l.outputs[0].len();
        l.dispatch(
            (&SHADER, "forward"),
            &[],
            &[("x", Input(0)), ("y", Output(0))],
            &[("len", len.into()), ("sign", self.sign.into())],
            Grid::Linear(len),
        );
    }
}

impl Operator for ExpScaleBackward {
    fn name(&self) -> &'static str {
        "exp_scale.backward"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [x, y, dy] = arity(inputs)?;
        check!(x == y && x == dy, "x is {x}, y is {y}, dy is {dy}");
        Ok(vec![x])
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], dx: &mut [Out<T>], _: &Cpu<T>) {
        let (sign, half) = (T::of(self.sign.into()), T::of(0.5));
        let [x, y, dy] = x else { unreachable!("three inputs") };
        dx[0].data.par_chunks_mut(CHUNK).enumerate().for_each(|(i, dx)| {
            let at = i * CHUNK;
            vectorised!({
                for (((dx, x), y), dy) in dx.iter_mut().zip(&x.data[at..]).zip(&y.data[at..]).zip(&dy.data[at..]) {
                    let s = tanh_half(*x);
                    *dx = *dy * *y * sign * (T::one() - s * s) * half;
                }
            });
        });
    }

    fn gpu(&self, l: &mut Lowering) {
        let len = l.outputs[0].len();
        l.dispatch(
            (&SHADER, "backward"),
            &[],
            &[("x", Input(0)), ("y_in", Input(1)), ("dy", Input(2)), ("dx", Output(0))],
            &[("len", len.into()), ("sign", self.sign.into())],
            Grid::Linear(len),
        );
    }
}
