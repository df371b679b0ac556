//! Some rows of a map that comes in slabs: cuts a slab with its halo out, a slab out of its halo, and puts slabs
//! together. For inference only: it has no gradient.

#[cfg(feature = "cpu")]
use super::cpu::*;
use super::{Operator, check};
use crate::kernel::{Grid, Lowering, Operand::*, Shader};
use crate::tensor::Shape;
use std::ops::Range;

/// Its kernels.
pub static SHADER: Shader = Shader::new("rows", include_str!("../../shaders/rows.wgsl"));

/// Slabs x_i (N, C, h_i, w), one under the other -> `count` of their rows from `first` on (N, C, count, w).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rows {
    /// First row, counted from the first slab's.
    pub first: usize,
    /// How many.
    pub count: usize,
}

impl Rows {
    /// For each slab its rows that are wanted, and the row of the result where they begin.
    fn parts(self, slabs: impl Iterator<Item = Shape>) -> impl Iterator<Item = (Range<usize>, usize)> {
        let end = self.first + self.count;
        slabs.scan(0, move |at, slab| {
            let start = std::mem::replace(at, *at + slab.h);
            let inside = |row: usize| row.clamp(start, start + slab.h) - start;
            Some((inside(self.first)..inside(end), (start.max(self.first) - self.first).min(self.count)))
        })
    }
}

impl Operator for Rows {
    fn name(&self) -> &'static str {
        "rows"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let Some(&x) = inputs.first() else { return Err("takes one slab or more".into()) };
        let with_h = |s: Shape, h| Shape { h, ..s };
        check!(inputs.iter().all(|s| with_h(*s, 1) == with_h(x, 1)), "slabs differ in more than height");
        let (end, height) = (self.first + self.count, inputs.iter().map(|s| s.h).sum::<usize>());
        check!(self.count > 0 && end <= height, "rows {} to {end} are wanted of {height}", self.first);
        Ok(vec![with_h(x, self.count)])
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], y: &mut [Out<T>], _: &Cpu<T>) {
        let w = y[0].shape.w;
        for (x, (rows, to)) in x.iter().zip(self.parts(x.iter().map(|x| x.shape))) {
            let planes = y[0].data.chunks_exact_mut(self.count * w).zip(x.data.chunks_exact(x.shape.plane()));
            for (y, x) in planes {
                y[to * w..][..rows.len() * w].copy_from_slice(&x[rows.start * w..rows.end * w]);
            }
        }
    }

    fn gpu(&self, l: &mut Lowering) {
        let (y, slabs) = (l.outputs[0], l.inputs.clone());
        for (i, (rows, to)) in self.parts(slabs.iter().copied()).enumerate().filter(|(_, (rows, _))| !rows.is_empty()) {
            let len = y.n * y.c * rows.len() * y.w;
            let sizes = [("w", y.w), ("xh", slabs[i].h), ("yh", y.h), ("first", rows.start), ("to", to)];
            let params: Vec<_> = sizes.into_iter().chain([("rows", rows.len()), ("len", len)]).collect();
            let params: Vec<_> = params.into_iter().map(|(name, v)| (name, v.into())).collect();
            l.dispatch((&SHADER, "rows"), &[], &[("x", Input(i)), ("y", Output(0))], &params, Grid::Linear(len));
        }
    }
}
