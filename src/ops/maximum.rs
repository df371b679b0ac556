//! The larger of two maps, element by element. Gradient: dy to the larger, of equal ones to the first.

#[cfg(feature = "cpu")]
use super::cpu::*;
use super::{Graph, Node, Operator, arity, check};
use crate::graph::Value;
use crate::kernel::{Grid, Lowering, Operand::*, Shader};
use crate::tensor::Shape;

/// (a, b) -> y, of one shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Maximum;

/// (a, b, dy) -> da, db.
#[derive(Clone, Debug, PartialEq)]
pub struct MaximumBackward;

/// Its kernels.
pub static SHADER: Shader = Shader::new("maximum", include_str!("../../shaders/maximum.wgsl"));

impl Operator for Maximum {
    fn name(&self) -> &'static str {
        "maximum"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [a, b] = arity(inputs)?;
        check!(a == b, "a is {a}, b is {b}");
        Ok(vec![a])
    }

    fn backward(&self, g: &mut Graph, node: &Node, dy: &[Option<Value>], _: &[bool]) -> Vec<Option<Value>> {
        let inputs = [node.inputs[0], node.inputs[1], dy[0].expect("dy")];
        g.apply(&node.name, MaximumBackward, &inputs).expect("one shape").into_iter().map(Some).collect()
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], y: &mut [Out<T>], _: &Cpu<T>) {
        y[0].data.par_chunks_mut(CHUNK).enumerate().for_each(|(i, y)| {
            let (a, b) = (&x[0].data[i * CHUNK..], &x[1].data[i * CHUNK..]);
            for ((y, a), b) in y.iter_mut().zip(a).zip(b) {
                *y = if *b > *a { *b } else { *a };
            }
        });
    }

    fn gpu(&self, l: &mut Lowering) {
        let len = l.outputs[0].len();
        let bindings = [("a", Input(0)), ("b", Input(1)), ("y", Output(0))];
        l.dispatch((&SHADER, "forward"), &[], &bindings, &[("len", len.into())], Grid::Linear(len));
    }
}

impl Operator for MaximumBackward {
    fn name(&self) -> &'static str {
        "maximum.backward"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [a, b, dy] = arity(inputs)?;
        check!(a == b && a == dy, "a is {a}, b is {b}, dy is {dy}");
        Ok(vec![a; 2])
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], d: &mut [Out<T>], _: &Cpu<T>) {
        let [da, db] = d else { unreachable!("two outputs") };
        for (i, (da, db)) in da.data.iter_mut().zip(db.data.iter_mut()).enumerate() {
            let dy = x[2].data[i];
            (*da, *db) = if x[1].data[i] > x[0].data[i] { (T::zero(), dy) } else { (dy, T::zero()) };
        }
    }

    fn gpu(&self, l: &mut Lowering) {
        let len = l.inputs[0].len();
        let bindings = [("a", Input(0)), ("b", Input(1)), ("dy", Input(2)), ("da", Output(0)), ("db", Output(1))];
        l.dispatch((&SHADER, "backward"), &[], &bindings, &[("len", len.into())], Grid::Linear(len));
    }
}
