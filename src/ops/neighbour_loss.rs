//! Loss of a picture and of its differences to the pixels around (Zhu et al. 2019): with e = y - target, `loss = mean |e| + 2
//! sum over o of mean |e(p + o) - e(p)|`, o in [`OFFSETS`], each mean over the pairs inside the image.
//!
//! Gradient, as a gather: `dy(p) = sgn e(p) / M + 2 sum over o of (sgn[e(p) - e(p - o)] - sgn[e(p + o) - e(p)]) / M_o`,
//! M and M_o the numbers of elements and of pairs. The loss is where the backward pass starts: its own gradient is 1.

#[cfg(feature = "cpu")]
use super::cpu::*;
use super::sums::{self, SUMS};
use super::{Graph, Node, Operator, arity, check};
use crate::graph::Value;
use crate::kernel::{Grid, Lowering, Operand::*, Param, Shader};
use crate::tensor::Shape;

/// Rows and columns to the neighbours.
pub const OFFSETS: [(usize, isize); 12] =
    [(0, 1), (1, 0), (1, 1), (1, -1), (0, 2), (2, 0), (1, 2), (1, -2), (2, 1), (2, -1), (2, 2), (2, -2)];

/// (y, target) -> loss (1, 1, 1, 1); sides of 3 or more.
#[derive(Clone, Debug, PartialEq)]
pub struct NeighbourLoss;

/// (y, target) -> dy.
#[derive(Clone, Debug, PartialEq)]
pub struct NeighbourLossBackward;

/// Its kernels.
pub static SHADER: Shader =
    Shader { prelude: SUMS, ..Shader::new("neighbour_loss", include_str!("../../shaders/neighbour_loss.wgsl")) };

fn params(y: Shape, parts: usize) -> [(&'static str, Param); 4] {
    [("h", y.h.into()), ("w", y.w.into()), ("len", y.len().into()), ("parts", parts.into())]
}

/// Weight of each offset's terms: 2 over the number of its pairs.
#[cfg(feature = "cpu")]
fn weights<T: Real>(y: Shape) -> [T; 12] {
    OFFSETS.map(|(dy, dx)| T::of(2.0 / (y.n * y.c * (y.h - dy) * (y.w - dx.unsigned_abs())) as f64))
}

/// Place of the neighbour of pixel (row, column), if it is inside.
#[cfg(feature = "cpu")]
fn neighbour(y: Shape, (row, column): (usize, usize), (dy, dx): (isize, isize)) -> Option<usize> {
    let (row, column) = (row.checked_add_signed(dy)?, column.checked_add_signed(dx)?);
    (row < y.h && column < y.w).then_some(row * y.w + column)
}

/// The sign, 0 at 0; a NaN stays one.
#[cfg(feature = "cpu")]
fn sign<T: Real>(v: T) -> T {
    if v == T::zero() { v } else { v.signum() }
}

impl Operator for NeighbourLoss {
    fn name(&self) -> &'static str {
        "neighbour_loss"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [y, target] = arity(inputs)?;
        check!(y == target, "y is {y}, target is {target}");
        check!(y.h > 2 && y.w > 2, "y is {y}, its sides must be 3 or more");
        Ok(vec![Shape::SCALAR])
    }

    fn backward(&self, g: &mut Graph, node: &Node, _: &[Option<Value>], _: &[bool]) -> Vec<Option<Value>> {
        vec![Some(g.apply1(&node.name, NeighbourLossBackward, &node.inputs.clone()).expect("one shape")), None]
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], loss: &mut [Out<T>], _: &Cpu<T>) {
        let (shape, plane) = (x[0].shape, x[0].shape.plane());
        let (one, weights) = (T::one() / T::of(shape.len() as f64), weights::<T>(shape));
        let of_plane = |(y, target): (&[T], &[T])| {
            let e = |i: usize| y[i] - target[i];
            sum_by(plane, |i| {
                let at = (i / shape.w, i % shape.w);
                let pairs = OFFSETS.iter().zip(&weights).filter_map(|((dy, dx), weight)| {
                    neighbour(shape, at, (*dy as isize, *dx)).map(|o| *weight * (e(o) - e(i)).abs())
                });
                one * e(i).abs() + pairs.sum::<T>()
            })
        };
        let parts: Vec<T> = x[0].data.par_chunks(plane).zip(x[1].data.par_chunks(plane)).map(of_plane).collect();
        loss[0].data[0] = sum(&parts);
    }

    fn gpu(&self, l: &mut Lowering) {
        let y = l.inputs[0];
        let parts = sums::parts(y.len(), 4);
        let reads = [("y", Input(0)), ("goal", Input(1))];
        sums::lower(l, (&SHADER, ["partial", "total"]), parts, &reads, ("loss", 0), &params(y, parts));
    }
}

impl Operator for NeighbourLossBackward {
    fn name(&self) -> &'static str {
        "neighbour_loss.backward"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        NeighbourLoss.infer(inputs)?;
        Ok(vec![inputs[0]])
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], dy: &mut [Out<T>], _: &Cpu<T>) {
        let (shape, plane) = (x[0].shape, x[0].shape.plane());
        let (one, weights) = (T::one() / T::of(shape.len() as f64), weights::<T>(shape));
        let inputs = x[0].data.par_chunks(plane).zip(x[1].data.par_chunks(plane));
        dy[0].data.par_chunks_mut(plane).zip(inputs).for_each(|(d, (y, target))| {
            let e = |i: usize| y[i] - target[i];
            for (i, d) in d.iter_mut().enumerate() {
                let at = (i / shape.w, i % shape.w);
                *d = one * sign(e(i));
                for ((dy, dx), weight) in OFFSETS.iter().zip(&weights) {
                    for o in [(*dy as isize, *dx), (-(*dy as isize), -*dx)] {
                        if let Some(o) = neighbour(shape, at, o) {
                            *d += *weight * sign(e(i) - e(o));
                        }
                    }
                }
            }
        });
    }

    fn gpu(&self, l: &mut Lowering) {
        let y = l.inputs[0];
        let bindings = [("y", Input(0)), ("goal", Input(1)), ("dy", Output(0))];
        l.dispatch((&SHADER, "backward"), &[], &bindings, &params(y, 0), Grid::Linear(y.len()));
    }
}
