//! The mean of the 8 x 8 patches that windows paint (Xu et al. 2015): `y = (x / n + b) / 2`, x the sum of the patches at each pixel,
//! `n(i, j) = n_H(i) n_W(j)` how many of them cover it, `n_H(i) = min(i, H - 8) - max(i - 7, 0) + 1`; b a bias of each channel.
//!
//! Gradients: `dx = dy / (2 n)`; `db[c]` = half of the sum of `dy[c]`.

#[cfg(feature = "cpu")]
use super::cpu::*;
use super::{Graph, Node, Operator, arity, check};
use crate::graph::Value;
use crate::kernel::{Grid, Lowering, Operand::*, Param, Shader};
use crate::tensor::Shape;
use glam::UVec3;

/// Side of a patch.
const SIDE: usize = 8;

/// (x (N, C, h, W), b (C)) -> y of x's shape; x is some rows of a map.
#[derive(Clone, Debug, PartialEq)]
pub struct Coverage {
    /// First row.
    pub first: usize,
    /// Rows of the whole map, 8 or more.
    pub height: usize,
}

/// dy -> dx, db.
#[derive(Clone, Debug, PartialEq)]
pub struct CoverageBackward {
    /// As forward.
    pub first: usize,
    /// As forward.
    pub height: usize,
}

/// Its kernels.
pub static SHADER: Shader = Shader::new("coverage", include_str!("../../shaders/coverage.wgsl"));

fn params(x: Shape, first: usize, height: usize) -> [(&'static str, Param); 6] {
    [
        ("n", x.n.into()),
        ("c", x.c.into()),
        ("h", x.h.into()),
        ("w", x.w.into()),
        ("first", first.into()),
        ("height", height.into()),
    ]
}

/// How many windows of `count - 7` cover place i of `count`.
#[cfg(feature = "cpu")]
fn windows(i: usize, count: usize) -> usize {
    i.min(count - SIDE) - i.saturating_sub(SIDE - 1) + 1
}

/// 1 / n of each pixel of a plane.
#[cfg(feature = "cpu")]
fn shares<T: Real>(x: Shape, first: usize, height: usize) -> Vec<T> {
    let at = |i: usize| windows(first + i / x.w, height) * windows(i % x.w, x.w);
    (0..x.plane()).map(|i| T::of(1.0 / at(i) as f64)).collect()
}

fn check_map(x: Shape, first: usize, height: usize) -> Result<(), String> {
    check!(x.w >= SIDE && height >= SIDE, "the map is {}x{height}, its sides must be {SIDE} or more", x.w);
    check!(first + x.h <= height, "rows {first} to {} of {height}", first + x.h);
    Ok(())
}

impl Operator for Coverage {
    fn name(&self) -> &'static str {
        "coverage"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [x, b] = arity(inputs)?;
        check_map(x, self.first, self.height)?;
        check!(b.len() == x.c, "x is {x}, the bias {b}");
        Ok(vec![x])
    }

    fn backward(&self, g: &mut Graph, node: &Node, dy: &[Option<Value>], _: &[bool]) -> Vec<Option<Value>> {
        let op = CoverageBackward { first: self.first, height: self.height };
        let d = g.apply(&node.name, op, &[dy[0].expect("dy")]).expect("the shape of y");
        d.into_iter().map(Some).collect()
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], y: &mut [Out<T>], _: &Cpu<T>) {
        let (s, half) = (x[0].shape, T::of(0.5));
        let shares = shares::<T>(s, self.first, self.height);
        y[0].data.par_chunks_mut(s.plane()).enumerate().for_each(|(i, y)| {
            let (x, b) = (&x[0].data[i * s.plane()..], x[1].data[i % s.c]);
            for ((y, x), share) in y.iter_mut().zip(x).zip(&shares) {
                *y = half * (*x * *share + b);
            }
        });
    }

    fn gpu(&self, l: &mut Lowering) {
        let x = l.inputs[0];
        let params = params(x, self.first, self.height);
        let bindings = [("x", Input(0)), ("b", Input(1)), ("y", Output(0))];
        l.dispatch((&SHADER, "forward"), &[], &bindings, &params, Grid::Linear(x.len()));
    }
}

impl Operator for CoverageBackward {
    fn name(&self) -> &'static str {
        "coverage.backward"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [dy] = arity(inputs)?;
        check_map(dy, self.first, self.height)?;
        Ok(vec![dy, Shape::new(1, dy.c, 1, 1)])
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, dy: &[In<T>], out: &mut [Out<T>], _: &Cpu<T>) {
        let ([dx, db], s, half) = (out, dy[0].shape, T::of(0.5)) else { unreachable!("two outputs") };
        let shares = shares::<T>(s, self.first, self.height);
        dx.data.par_chunks_mut(s.plane()).zip(dy[0].data.par_chunks(s.plane())).for_each(|(dx, dy)| {
            for ((dx, dy), share) in dx.iter_mut().zip(dy).zip(&shares) {
                *dx = half * *dy * *share;
            }
        });
        for (c, db) in db.data.iter_mut().enumerate() {
            *db = half * (0..s.n).map(|n| sum(&dy[0].image(n)[c * s.plane()..][..s.plane()])).sum::<T>();
        }
    }

    fn gpu(&self, l: &mut Lowering) {
        let dy = l.inputs[0];
        let params = params(dy, self.first, self.height);
        l.dispatch(
            (&SHADER, "backward_input"),
            &[],
            &[("dy", Input(0)), ("dx", Output(0))],
            &params,
            Grid::Linear(dy.len()),
        );
        let channels = Grid::Workgroups(UVec3::new(dy.c as u32, 1, 1));
        l.dispatch((&SHADER, "backward_bias"), &[], &[("dy", Input(0)), ("db", Output(1))], &params, channels);
    }
}
