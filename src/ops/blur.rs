//! Gaussian blur of each channel, sigma 1.5, 11 taps in each direction that sum to 1, zeros outside. It is its own
//! gradient: the taps are symmetric, and so are the zeros.

#[cfg(feature = "cpu")]
use super::cpu::*;
use super::{Graph, Node, Operator, arity};
use crate::graph::Value;
use crate::kernel::{Grid, Lowering, Operand::*, Shader};
use crate::tensor::Shape;

/// Taps on each side of the middle.
#[cfg(feature = "cpu")]
const REACH: usize = 5;
/// Standard deviation in pixels.
#[cfg(feature = "cpu")]
const SIGMA: f64 = 1.5;

/// x (N, C, H, W) -> y of the same shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Blur;

/// Its kernels.
pub static SHADER: Shader = Shader::new("blur", include_str!("../../shaders/blur.wgsl"));

/// The taps, from the first to the last.
#[cfg(feature = "cpu")]
fn taps<T: Real>() -> [T; 2 * REACH + 1] {
    let raw: [f64; 2 * REACH + 1] =
        std::array::from_fn(|i| (-(i as f64 - REACH as f64).powi(2) / (2.0 * SIGMA * SIGMA)).exp());
    let sum: f64 = raw.iter().sum();
    raw.map(|v| T::of(v / sum))
}

/// Blurred value `i` of `count`, of which `get` gives one.
#[cfg(feature = "cpu")]
fn at<T: Real>(taps: &[T], i: usize, count: usize, get: impl Fn(usize) -> T) -> T {
    let inside = taps.iter().enumerate().filter_map(|(k, tap)| {
        let j = (i + k).checked_sub(REACH).filter(|j| *j < count)?;
        Some(*tap * get(j))
    });
    inside.sum()
}

impl Operator for Blur {
    fn name(&self) -> &'static str {
        "blur"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [x] = arity(inputs)?;
        Ok(vec![x])
    }

    fn backward(&self, g: &mut Graph, node: &Node, dy: &[Option<Value>], _: &[bool]) -> Vec<Option<Value>> {
        vec![Some(g.apply1(&node.name, Blur, &[dy[0].expect("dy")]).expect("any shape"))]
    }

    #[cfg(feature = "cpu")]
    fn workspace(&self, inputs: &[Shape], _: &[Shape]) -> super::Workspace {
        super::Workspace { per_thread: inputs[0].plane(), shared: 0 }
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], y: &mut [Out<T>], cpu: &Cpu<T>) {
        let (Shape { h, w, .. }, taps) = (x[0].shape, taps::<T>());
        y[0].data.par_chunks_mut(h * w).zip(x[0].data.par_chunks(h * w)).for_each(|(y, x)| {
            cpu.with_scratch(h * w, |rows| {
                for (i, v) in rows.iter_mut().enumerate() {
                    *v = at(&taps, i % w, w, |j| x[i / w * w + j]);
                }
                for (i, y) in y.iter_mut().enumerate() {
                    *y = at(&taps, i / w, h, |j| rows[j * w + i % w]);
                }
            });
        });
    }

    fn gpu(&self, l: &mut Lowering) {
        let x = l.inputs[0];
        let rows = l.scratch(x.len());
        let params = [("h", x.h.into()), ("w", x.w.into()), ("len", x.len().into())];
        l.dispatch((&SHADER, "rows"), &[], &[("x", Input(0)), ("y", rows)], &params, Grid::Linear(x.len()));
        l.dispatch((&SHADER, "columns"), &[], &[("x", rows), ("y", Output(0))], &params, Grid::Linear(x.len()));
    }
}
