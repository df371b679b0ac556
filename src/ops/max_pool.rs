//! 2x2 max pooling: y[i, j] is the largest of the cell x[2i..2i+2, 2j..2j+2]. A last odd row or column is in none.
//!
//! Gradient: y[i, j] is one element of its cell, so dx = dy there and 0 at the other three, and in what is in no cell.
//! Of equal ones that is the first in row-major order.

#[cfg(feature = "cpu")]
use super::cpu::*;
use super::{Graph, Node, Operator, arity, check};
use crate::graph::Value;
use crate::kernel::{Grid, Lowering, Operand::*, Param, Shader};
use crate::tensor::Shape;

/// x (N, C, H, W), H and W 2 or more -> y (N, C, floor(H / 2), floor(W / 2)).
#[derive(Clone, Debug, PartialEq)]
pub struct MaxPool;

/// (x, dy) -> dx.
#[derive(Clone, Debug, PartialEq)]
pub struct MaxPoolBackward;

/// Its kernels.
pub static SHADER: Shader = Shader::new("max_pool", include_str!("../../shaders/max_pool.wgsl"));

fn params(x: Shape) -> [(&'static str, Param); 3] {
    [("h", x.h.into()), ("w", x.w.into()), ("planes", (x.n * x.c).into())]
}

/// The four places of cell `i` of a plane in x, whose rows have `w` elements, in row-major order.
#[cfg(feature = "cpu")]
fn cell(i: usize, w: usize) -> [usize; 4] {
    let at = i / (w / 2) * 2 * w + i % (w / 2) * 2;
    [at, at + 1, at + w, at + w + 1]
}

/// The first place of a cell's largest element.
#[cfg(feature = "cpu")]
fn winner<T: Real>(x: &[T], cell: [usize; 4]) -> usize {
    cell.into_iter().reduce(|best, at| if x[at] > x[best] { at } else { best }).expect("a cell has four")
}

impl Operator for MaxPool {
    fn name(&self) -> &'static str {
        "max_pool"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [x] = arity(inputs)?;
        check!(x.h > 1 && x.w > 1, "x is {x}, its height and width must be 2 or more");
        Ok(vec![Shape::new(x.n, x.c, x.h / 2, x.w / 2)])
    }

    fn backward(&self, g: &mut Graph, node: &Node, dy: &[Option<Value>], _: &[bool]) -> Vec<Option<Value>> {
        let inputs = [node.inputs[0], dy[0].expect("dy")];
        vec![Some(g.apply1(&node.name, MaxPoolBackward, &inputs).expect("shapes of the forward pass"))]
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], y: &mut [Out<T>], _: &Cpu<T>) {
        let (plane, s) = (y[0].shape.plane(), x[0].shape);
        let planes = y[0].data.par_chunks_mut(plane).zip(x[0].data.par_chunks(s.plane()));
        planes.for_each(|(y, x)| {
            for (i, y) in y.iter_mut().enumerate() {
                *y = x[winner(x, cell(i, s.w))];
            }
        });
    }

    fn gpu(&self, l: &mut Lowering) {
        let (x, y) = (l.inputs[0], l.outputs[0]);
        let bindings = [("x", Input(0)), ("y", Output(0))];
        l.dispatch((&SHADER, "forward"), &[], &bindings, &params(x), Grid::Linear(y.len()));
    }
}

impl Operator for MaxPoolBackward {
    fn name(&self) -> &'static str {
        "max_pool.backward"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [x, dy] = arity(inputs)?;
        check!(MaxPool.infer(&[x])? == [dy], "x is {x}, dy is {dy}");
        Ok(vec![x])
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], dx: &mut [Out<T>], _: &Cpu<T>) {
        let [x, dy] = x else { unreachable!("two inputs") };
        let (plane, w) = (x.shape.plane(), x.shape.w);
        let inputs = x.data.par_chunks(plane).zip(dy.data.par_chunks(dy.shape.plane()));
        dx[0].data.par_chunks_mut(plane).zip(inputs).for_each(|(dx, (x, dy))| {
            dx.fill(T::zero());
            for (i, dy) in dy.iter().enumerate() {
                dx[winner(x, cell(i, w))] = *dy;
            }
        });
    }

    fn gpu(&self, l: &mut Lowering) {
        let x = l.inputs[0];
        let bindings = [("x", Input(0)), ("dy", Input(1)), ("dx", Output(0))];
        l.dispatch((&SHADER, "backward"), &[], &bindings, &params(x), Grid::Linear(x.len()));
    }
}
