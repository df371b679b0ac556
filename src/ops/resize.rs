//! Enlarges a map s times, bilinear: sample j of the result lies at j / s of the map, in each direction; what lies beyond
//! the map counts as 0, so that the last s - 1 rows and columns fade.
//!
//! Gradient, a gather: `dx[i] = sum over |d| < s of (1 - |d| / s) dy[s i + d]` inside dy, in each direction.

#[cfg(feature = "cpu")]
use super::cpu::*;
use super::{Graph, Node, Operator, arity, check};
use crate::graph::Value;
use crate::kernel::{Grid, Lowering, Operand::*, Param, Shader};
use crate::tensor::Shape;

/// x (N, C, H, W) -> y (N, C, s H, s W).
#[derive(Clone, Debug, PartialEq)]
pub struct Resize {
    /// How many times.
    pub s: usize,
}

/// dy -> dx.
#[derive(Clone, Debug, PartialEq)]
pub struct ResizeBackward {
    /// As forward.
    pub s: usize,
}

/// Its kernels.
pub static SHADER: Shader = Shader::new("resize", include_str!("../../shaders/resize.wgsl"));

/// Of the map x.
fn params(x: Shape, s: usize) -> [(&'static str, Param); 4] {
    [("h", x.h.into()), ("w", x.w.into()), ("planes", (x.n * x.c).into()), ("s", s.into())]
}

/// What sample j of the result is made of: places in `count` values, and their shares.
#[cfg(feature = "cpu")]
fn taps<T: Real>(j: usize, s: usize, count: usize) -> impl Iterator<Item = (usize, T)> {
    let share = (j % s) as f64 / s as f64;
    [(j / s, 1.0 - share), (j / s + 1, share)].into_iter().filter(move |(i, _)| *i < count).map(|(i, v)| (i, T::of(v)))
}

impl Operator for Resize {
    fn name(&self) -> &'static str {
        "resize"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [x] = arity(inputs)?;
        check!(self.s > 0, "the factor is 0");
        Ok(vec![Shape { h: self.s * x.h, w: self.s * x.w, ..x }])
    }

    fn backward(&self, g: &mut Graph, node: &Node, dy: &[Option<Value>], _: &[bool]) -> Vec<Option<Value>> {
        vec![Some(g.apply1(&node.name, ResizeBackward { s: self.s }, &[dy[0].expect("dy")]).expect("the shape of y"))]
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], y: &mut [Out<T>], _: &Cpu<T>) {
        let (Shape { h, w, .. }, s) = (x[0].shape, self.s);
        y[0].data.par_chunks_mut(s * h * s * w).zip(x[0].data.par_chunks(h * w)).for_each(|(y, x)| {
            for (at, y) in y.iter_mut().enumerate() {
                let row = |(i, a): (usize, T)| taps::<T>(at % (s * w), s, w).map(move |(j, b)| a * b * x[i * w + j]);
                *y = taps::<T>(at / (s * w), s, h).flat_map(row).sum();
            }
        });
    }

    fn gpu(&self, l: &mut Lowering) {
        let (x, y) = (l.inputs[0], l.outputs[0]);
        let bindings = [("x", Input(0)), ("y", Output(0))];
        l.dispatch((&SHADER, "forward"), &[], &bindings, &params(x, self.s), Grid::Linear(y.len()));
    }
}

impl Operator for ResizeBackward {
    fn name(&self) -> &'static str {
        "resize.backward"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [dy] = arity(inputs)?;
        let s = self.s;
        check!(s > 0 && dy.h % s == 0 && dy.w % s == 0, "dy is {dy}, its sides must be multiples of {s}");
        Ok(vec![Shape { h: dy.h / s, w: dy.w / s, ..dy }])
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, dy: &[In<T>], dx: &mut [Out<T>], _: &Cpu<T>) {
        let (Shape { h, w, .. }, s) = (dx[0].shape, self.s);
        dx[0].data.par_chunks_mut(h * w).zip(dy[0].data.par_chunks(s * h * s * w)).for_each(|(dx, dy)| {
            dx.fill(T::zero());
            for (at, dy) in dy.iter().enumerate() {
                for (i, a) in taps::<T>(at / (s * w), s, h) {
                    taps::<T>(at % (s * w), s, w).for_each(|(j, b)| dx[i * w + j] += a * b * *dy);
                }
            }
        });
    }

    fn gpu(&self, l: &mut Lowering) {
        let dx = l.outputs[0];
        let bindings = [("dy", Input(0)), ("dx", Output(0))];
        l.dispatch((&SHADER, "backward"), &[], &bindings, &params(dx, self.s), Grid::Linear(dx.len()));
    }
}
