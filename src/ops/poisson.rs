//! Solves `(1 + beta (Dx'Dx + Dy'Dy)) u = beta b` on each channel, D the differences around the border ([`super::differences`]):
//! exactly, by dense products, for any size. With `M_n[a, b] = (cos t + sin t) / sqrt n`, `t = 2 pi a b / n`, symmetric and its own inverse,
//! which diagonalises D'D of n values:
//!
//! `u = M_H [(M_H (beta b) M_W) / (1 + beta (l_H(a) + l_W(b)))] M_W`, `l_n(a) = 2 - 2 cos(2 pi a / n)`
//!
//! It is its own gradient: all of that is symmetric.

#[cfg(feature = "cpu")]
use super::Workspace;
#[cfg(feature = "cpu")]
use super::cpu::*;
use super::{Graph, MATRIX_PRODUCT, Node, Operator, arity};
use crate::graph::Value;
use crate::kernel::{Grid, Lowering, Operand, Operand::*, Shader};
use crate::tensor::Shape;
use glam::UVec3;

/// b (N, C, H, W) -> u of the same shape.
#[derive(Clone, Debug, PartialEq)]
pub struct PoissonSolve {
    /// Weight of the differences.
    pub beta: f64,
}

/// Its kernels.
pub static SHADER: Shader =
    Shader { prelude: MATRIX_PRODUCT, ..Shader::new("poisson", include_str!("../../shaders/poisson.wgsl")) };

/// M_n; a b mod n is reduced as an integer, so that no digits of the angle are lost.
#[cfg(feature = "cpu")]
fn hartley<T: Real>(n: usize) -> Vec<T> {
    let turn = |k: usize| (2.0 * std::f64::consts::PI * k as f64 / n as f64).sin_cos();
    let values: Vec<T> = (0..n).map(turn).map(|(sin, cos)| T::of((cos + sin) / (n as f64).sqrt())).collect();
    (0..n * n).map(|i| values[(i / n) * (i % n) % n]).collect()
}

/// l_n.
#[cfg(feature = "cpu")]
fn eigenvalues(n: usize) -> Vec<f64> {
    (0..n).map(|a| 2.0 - 2.0 * (2.0 * std::f64::consts::PI * a as f64 / n as f64).cos()).collect()
}

impl Operator for PoissonSolve {
    fn name(&self) -> &'static str {
        "poisson"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [b] = arity(inputs)?;
        Ok(vec![b])
    }

    fn macs(&self, inputs: &[Shape], _: &[Shape]) -> u64 {
        let b = inputs[0];
        (2 * b.len() * (b.h + b.w)) as u64
    }

    fn backward(&self, g: &mut Graph, node: &Node, dy: &[Option<Value>], _: &[bool]) -> Vec<Option<Value>> {
        vec![Some(g.apply1(&node.name, self.clone(), &[dy[0].expect("dy")]).expect("any shape"))]
    }

    #[cfg(feature = "cpu")]
    fn workspace(&self, inputs: &[Shape], _: &[Shape]) -> Workspace {
        Workspace { per_thread: inputs[0].plane(), shared: 0 }
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], u: &mut [Out<T>], cpu: &Cpu<T>) {
        let (Shape { h, w, .. }, beta) = (x[0].shape, self.beta);
        let (by_rows, by_columns) = (hartley::<T>(h), hartley::<T>(w));
        let (rows, columns) = (eigenvalues(h), eigenvalues(w));
        u[0].data.par_chunks_mut(h * w).zip(x[0].data.par_chunks(h * w)).for_each(|(u, b)| {
            // M_H v M_W, of v in `u`.
            let transform = |u: &mut [T], v: &[T]| {
                cpu.with_scratch(h * w, |half| {
                    product((h, w, h), half, w, T::zero(), &by_rows, (h, 1), v, (w, 1));
                    product((h, w, w), u, w, T::zero(), half, (w, 1), &by_columns, (w, 1));
                });
            };
            transform(u, b);
            for (i, v) in u.iter_mut().enumerate() {
                *v *= T::of(beta / (1.0 + beta * (rows[i / w] + columns[i % w])));
            }
            let scaled = u.to_vec();
            transform(u, &scaled);
        });
    }

    fn gpu(&self, l: &mut Lowering) {
        let b = l.inputs[0];
        let (planes, h, w) = (b.n * b.c, b.h, b.w);
        let [by_rows, by_columns] = [h, w].map(|n| l.scratch(n * n));
        let [one, two] = [(); 2].map(|()| l.scratch(b.len()));
        let params = |n: usize| {
            [
                ("planes", planes.into()),
                ("h", h.into()),
                ("w", w.into()),
                ("n", n.into()),
                ("beta", (self.beta as f32).into()),
            ]
        };
        let mut run = |entry, bindings: &[(&'static str, Operand)], n, grid| {
            l.dispatch((&SHADER, entry), &[], bindings, &params(n), grid);
        };
        run("fill", &[("m_out", by_rows)], h, Grid::Linear(h * h));
        run("fill", &[("m_out", by_columns)], w, Grid::Linear(w * w));
        let tiles = Grid::Workgroups(UVec3::new(w.div_ceil(64) as u32, h.div_ceil(64) as u32, planes as u32));
        run("from_left", &[("m", by_rows), ("x", Input(0)), ("y", one)], 0, tiles);
        run("from_right", &[("m", by_columns), ("x", one), ("y", two)], 0, tiles);
        run("divide", &[("y", two)], 0, Grid::Linear(b.len()));
        run("from_left", &[("m", by_rows), ("x", two), ("y", one)], 0, tiles);
        run("from_right", &[("m", by_columns), ("x", one), ("y", Output(0))], 0, tiles);
    }
}
