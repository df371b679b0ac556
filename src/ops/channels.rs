//! Puts the channels of two maps together, and takes them apart. Each is the other's gradient.

#[cfg(feature = "cpu")]
use super::cpu::*;
use super::{Graph, Node, Operator, arity, check};
use crate::graph::Value;
use crate::kernel::{Grid, Lowering, Operand::*, Shader};
use crate::tensor::Shape;

/// Its kernels.
pub static SHADER: Shader = Shader::new("channels", include_str!("../../shaders/channels.wgsl"));

/// (a (N, Ca, H, W), b (N, Cb, H, W)) -> y (N, Ca + Cb, H, W).
#[derive(Clone, Debug, PartialEq)]
pub struct Concat;

/// x (N, C, H, W) -> its first `first` channels, the others.
#[derive(Clone, Debug, PartialEq)]
pub struct Split {
    /// Channels of the first output.
    pub first: usize,
}

impl Operator for Concat {
    fn name(&self) -> &'static str {
        "channels.concat"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [a, b] = arity(inputs)?;
        check!(a.with_c(1) == b.with_c(1), "a is {a}, b is {b}: they must agree but for the channels");
        Ok(vec![a.with_c(a.c + b.c)])
    }

    fn backward(&self, g: &mut Graph, node: &Node, dy: &[Option<Value>], _: &[bool]) -> Vec<Option<Value>> {
        let first = g.shape(node.inputs[0]).c;
        let parts = g.apply(&node.name, Split { first }, &[dy[0].expect("dy")]).expect("the parts of y");
        parts.into_iter().map(Some).collect()
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], y: &mut [Out<T>], _: &Cpu<T>) {
        let len = y[0].shape.c * y[0].shape.plane();
        let first = x[0].shape.c * x[0].shape.plane();
        for (n, y) in y[0].data.chunks_exact_mut(len).enumerate() {
            y[..first].copy_from_slice(x[0].image(n));
            y[first..].copy_from_slice(x[1].image(n));
        }
    }

    fn gpu(&self, l: &mut Lowering) {
        let [a, b] = l.inputs[..] else { unreachable!("two inputs") };
        let len = a.len() + b.len();
        l.dispatch(
            (&SHADER, "concat"),
            &[],
            &[("a_in", Input(0)), ("b_in", Input(1)), ("y", Output(0))],
            &[("ca", a.c.into()), ("cb", b.c.into()), ("plane", a.plane().into()), ("len", len.into())],
            Grid::Linear(len),
        );
    }
}

impl Operator for Split {
    fn name(&self) -> &'static str {
        "channels.split"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [x] = arity(inputs)?;
        check!(0 < self.first && self.first < x.c, "x is {x}, it cannot be split after channel {}", self.first);
        Ok(vec![x.with_c(self.first), x.with_c(x.c - self.first)])
    }

    fn backward(&self, g: &mut Graph, node: &Node, dy: &[Option<Value>], _: &[bool]) -> Vec<Option<Value>> {
        let (Some(da), Some(db)) = (dy[0], dy[1]) else {
            panic!("{}: both parts of a split are used", node.name);
        };
        vec![Some(g.apply1(&node.name, Concat, &[da, db]).expect("the parts of x"))]
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], y: &mut [Out<T>], _: &Cpu<T>) {
        let [a, b] = y else { unreachable!("two outputs") };
        let (la, lb) = (a.shape.c * a.shape.plane(), b.shape.c * b.shape.plane());
        for n in 0..x[0].shape.n {
            let x = x[0].image(n);
            a.data[n * la..][..la].copy_from_slice(&x[..la]);
            b.data[n * lb..][..lb].copy_from_slice(&x[la..]);
        }
    }

    fn gpu(&self, l: &mut Lowering) {
        let [a, b] = l.outputs[..] else { unreachable!("two outputs") };
        let len = a.len() + b.len();
        l.dispatch(
            (&SHADER, "split"),
            &[],
            &[("x", Input(0)), ("a", Output(0)), ("b", Output(1))],
            &[("ca", a.c.into()), ("cb", b.c.into()), ("plane", a.plane().into()), ("len", len.into())],
            Grid::Linear(len),
        );
    }
}
