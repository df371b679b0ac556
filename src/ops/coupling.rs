//! The affine coupling, with e = exp(s) or exp(-s) from [`super::exp_scale`]:
//! forward y = x e + t; inverse y = (x - t) e.
//!
//! Gradients, forward: dx = dy e, de = dy x, dt = dy (the same value, no kernel).
//! Inverse: dx = dy e, de = dy (x - t), dt = -dy e = -dx.

#[cfg(feature = "cpu")]
use super::cpu::*;
use super::{Graph, Node, Operator, arity, check};
use crate::graph::Value;
use crate::kernel::{Grid, Lowering, Operand::*, Shader};
use crate::tensor::Shape;

/// Its kernels.
pub static SHADER: Shader = Shader::new("coupling", include_str!("../../shaders/coupling.wgsl"));

/// (x, e, t) -> y, all of one shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Coupling {
    /// (x - t) e instead of x e + t.
    pub inverse: bool,
}

/// (x, e, t, dy) -> dx, de, and dt for the inverse.
#[derive(Clone, Debug, PartialEq)]
pub struct CouplingBackward {
    /// As forward.
    pub inverse: bool,
}

impl Operator for Coupling {
    fn name(&self) -> &'static str {
        if self.inverse { "coupling.inverse" } else { "coupling.forward" }
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [x, e, t] = arity(inputs)?;
        check!(x == e && x == t, "x is {x}, e is {e}, t is {t}");
        Ok(vec![x])
    }

    fn backward(&self, g: &mut Graph, node: &Node, dy: &[Option<Value>], _: &[bool]) -> Vec<Option<Value>> {
        let dy = dy[0].expect("dy");
        let op = CouplingBackward { inverse: self.inverse };
        let inputs = [node.inputs[0], node.inputs[1], node.inputs[2], dy];
        let d = g.apply(&node.name, op, &inputs).expect("one shape");
        vec![Some(d[0]), Some(d[1]), Some(if self.inverse { d[2] } else { dy })]
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], y: &mut [Out<T>], _: &Cpu<T>) {
        let [x, e, t] = x else { unreachable!("three inputs") };
        y[0].data.par_chunks_mut(CHUNK).enumerate().for_each(|(i, y)| {
            let at = i * CHUNK;
            for (((y, x), e), t) in y.iter_mut().zip(&x.data[at..]).zip(&e.data[at..]).zip(&t.data[at..]) {
                *y = if self.inverse { (*x - *t) * *e } else { *x * *e + *t };
            }
        });
    }

    fn gpu(&self, l: &mut Lowering) {
        let len = l.outputs[0].len();
        l.dispatch(
            (&SHADER, if self.inverse { "inverse" } else { "forward" }),
            &[],
            &[("x", Input(0)), ("e", Input(1)), ("t", Input(2)), ("y", Output(0))],
            &[("len", len.into())],
            Grid::Linear(len),
        );
    }
}

impl Operator for CouplingBackward {
    fn name(&self) -> &'static str {
        if self.inverse { "coupling.inverse.backward" } else { "coupling.forward.backward" }
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [x, e, t, dy] = arity(inputs)?;
        check!(x == e && x == t && x == dy, "x is {x}, e is {e}, t is {t}, dy is {dy}");
        Ok(vec![x; if self.inverse { 3 } else { 2 }])
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], y: &mut [Out<T>], _: &Cpu<T>) {
        let [x, e, t, dy] = x else { unreachable!("four inputs") };
        let (x, e, t, dy) = (x.data, e.data, t.data, dy.data);
        let [dx, de, rest @ ..] = y else { unreachable!("two or three outputs") };
        for i in 0..dx.data.len() {
            dx.data[i] = dy[i] * e[i];
            de.data[i] = dy[i] * if self.inverse { x[i] - t[i] } else { x[i] };
        }
        if let [dt] = rest {
            for (dt, dx) in dt.data.iter_mut().zip(dx.data.iter()) {
                *dt = -*dx;
            }
        }
    }

    fn gpu(&self, l: &mut Lowering) {
        let len = l.outputs[0].len();
        let bindings = [
            ("e", Input(1)),
            ("x", Input(0)),
            ("dy", Input(3)),
            ("dx", Output(0)),
            ("de", Output(1)),
            ("t", Input(2)),
            ("dt", Output(2)),
        ];
        // The forward coupling's gradient needs no t, and its dt is dy.
        let (entry, bindings) =
            if self.inverse { ("backward_inverse", &bindings[..]) } else { ("backward_forward", &bindings[..5]) };
        l.dispatch((&SHADER, entry), &[], bindings, &[("len", len.into())], Grid::Linear(len));
    }
}
