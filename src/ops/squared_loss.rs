//! Squared error: `loss = k sum over channels of (y - target)^2`, mean over pixels and images. Gradient: `dy = 2 k (y - target) / (N
//! H W)`.

#[cfg(feature = "cpu")]
use super::cpu::*;
use super::sums::{self, SUMS};
use super::{Graph, Node, Operator, arity, check};
use crate::graph::Value;
use crate::kernel::{Grid, Lowering, Operand::*, Param, Shader};
use crate::tensor::Shape;

/// (y, target) -> loss (1, 1, 1, 1).
#[derive(Clone, Debug, PartialEq)]
pub struct SquaredLoss {
    /// Factor of the squares.
    pub k: f64,
}

/// (y, target) -> dy. The loss is where the backward pass starts: its own gradient is 1.
#[derive(Clone, Debug, PartialEq)]
pub struct SquaredLossBackward {
    /// Factor of the squares.
    pub k: f64,
}

/// Its kernels.
pub static SHADER: Shader =
    Shader { prelude: SUMS, ..Shader::new("squared_loss", include_str!("../../shaders/squared_loss.wgsl")) };

fn params(y: Shape, k: f64, parts: usize) -> [(&'static str, Param); 3] {
    let factor = k / (y.n * y.plane()) as f64;
    [("len", y.len().into()), ("factor", (factor as f32).into()), ("parts", parts.into())]
}

impl Operator for SquaredLoss {
    fn name(&self) -> &'static str {
        "squared_loss"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [y, target] = arity(inputs)?;
        check!(y == target, "y is {y}, target is {target}");
        Ok(vec![Shape::SCALAR])
    }

    fn backward(&self, g: &mut Graph, node: &Node, _: &[Option<Value>], _: &[bool]) -> Vec<Option<Value>> {
        let op = SquaredLossBackward { k: self.k };
        vec![Some(g.apply1(&node.name, op, &node.inputs.clone()).expect("one shape")), None]
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], loss: &mut [Out<T>], _: &Cpu<T>) {
        let part = |(y, t): (&[T], &[T])| sum_by(y.len(), |i| (y[i] - t[i]) * (y[i] - t[i]));
        let parts: Vec<T> = x[0].data.par_chunks(CHUNK).zip(x[1].data.par_chunks(CHUNK)).map(part).collect();
        let pixels = (x[0].shape.n * x[0].shape.plane()) as f64;
        loss[0].data[0] = T::of(self.k / pixels) * sum(&parts);
    }

    fn gpu(&self, l: &mut Lowering) {
        let y = l.inputs[0];
        let parts = sums::parts(y.len(), 16);
        let reads = [("y", Input(0)), ("goal", Input(1))];
        let params = params(y, self.k, parts);
        sums::lower(l, (&SHADER, ["partial", "total"]), parts, &reads, ("loss", 0), &params);
    }
}

impl Operator for SquaredLossBackward {
    fn name(&self) -> &'static str {
        "squared_loss.backward"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        SquaredLoss { k: self.k }.infer(inputs)?;
        Ok(vec![inputs[0]])
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], dy: &mut [Out<T>], _: &Cpu<T>) {
        let pixels = (x[0].shape.n * x[0].shape.plane()) as f64;
        let step = T::of(2.0 * self.k / pixels);
        dy[0].data.par_chunks_mut(CHUNK).enumerate().for_each(|(i, dy)| {
            let (y, target) = (&x[0].data[i * CHUNK..], &x[1].data[i * CHUNK..]);
            for ((dy, y), t) in dy.iter_mut().zip(y).zip(target) {
                *dy = step * (*y - *t);
            }
        });
    }

    fn gpu(&self, l: &mut Lowering) {
        let y = l.inputs[0];
        let bindings = [("y", Input(0)), ("goal", Input(1)), ("dy", Output(0))];
        l.dispatch((&SHADER, "backward"), &[], &bindings, &params(y, self.k, 0), Grid::Linear(y.len()));
    }
}
