//! Horizontal and vertical differences of a picture's grey, `0.2989 r + 0.5870 g + 0.1140 b`: central ones over 2, one-sided at
//! the border (Liu et al. 2016).
//!
//! Gradient: the differences are linear; a pixel of grey has in that of its left neighbour +1/2 (+1 at the border), in
//! that of its right one -1/2 (-1), and in its own only at the border. Each channel has its share of that.

#[cfg(feature = "cpu")]
use super::cpu::*;
use super::{Graph, Node, Operator, arity, check};
use crate::graph::Value;
use crate::kernel::{Grid, Lowering, Operand::*, Param, Shader};
use crate::tensor::Shape;

/// x (N, 3, H, W), sides of 2 or more -> y (N, 2, H, W): horizontal, vertical.
#[derive(Clone, Debug, PartialEq)]
pub struct GreyGradient;

/// dy -> dx.
#[derive(Clone, Debug, PartialEq)]
pub struct GreyGradientBackward;

/// Its kernels.
pub static SHADER: Shader = Shader::new("grey_gradient", include_str!("../../shaders/grey_gradient.wgsl"));

/// Shares of red, green and blue.
#[cfg(feature = "cpu")]
const SHARES: [f64; 3] = [0.2989, 0.5870, 0.1140];

fn params(x: Shape) -> [(&'static str, Param); 3] {
    [("n", x.n.into()), ("h", x.h.into()), ("w", x.w.into())]
}

/// What difference `j` of `count` values is made of: two places, and the factor of the second's value minus the first's.
#[cfg(feature = "cpu")]
fn ends<T: Real>(j: usize, count: usize) -> (usize, usize, T) {
    let (from, to) = (j.saturating_sub(1), (j + 1).min(count - 1));
    (from, to, T::of(1.0 / (to - from) as f64))
}

impl Operator for GreyGradient {
    fn name(&self) -> &'static str {
        "grey_gradient"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [x] = arity(inputs)?;
        check!(x.c == 3 && x.h > 1 && x.w > 1, "x is {x}, not of three channels and sides of 2 or more");
        Ok(vec![x.with_c(2)])
    }

    fn backward(&self, g: &mut Graph, node: &Node, dy: &[Option<Value>], _: &[bool]) -> Vec<Option<Value>> {
        vec![Some(g.apply1(&node.name, GreyGradientBackward, &[dy[0].expect("dy")]).expect("the shape of y"))]
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], y: &mut [Out<T>], _: &Cpu<T>) {
        let Shape { h, w, .. } = x[0].shape;
        let shares = SHARES.map(T::of);
        y[0].data.par_chunks_mut(2 * h * w).enumerate().for_each(|(n, y)| {
            let x = x[0].image(n);
            let grey = |at: usize| (0..3).map(|c| shares[c] * x[c * h * w + at]).sum::<T>();
            for at in 0..h * w {
                let (i, j) = (at / w, at % w);
                let (from, to, k) = ends::<T>(j, w);
                y[at] = k * (grey(i * w + to) - grey(i * w + from));
                let (from, to, k) = ends::<T>(i, h);
                y[h * w + at] = k * (grey(to * w + j) - grey(from * w + j));
            }
        });
    }

    fn gpu(&self, l: &mut Lowering) {
        let x = l.inputs[0];
        let bindings = [("x", Input(0)), ("y", Output(0))];
        l.dispatch((&SHADER, "forward"), &[], &bindings, &params(x), Grid::Linear(x.n * x.plane()));
    }
}

impl Operator for GreyGradientBackward {
    fn name(&self) -> &'static str {
        "grey_gradient.backward"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [dy] = arity(inputs)?;
        check!(dy.c == 2 && dy.h > 1 && dy.w > 1, "dy is {dy}, not of two channels and sides of 2 or more");
        Ok(vec![dy.with_c(3)])
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, dy: &[In<T>], dx: &mut [Out<T>], _: &Cpu<T>) {
        let Shape { h, w, .. } = dy[0].shape;
        dx[0].data.par_chunks_mut(3 * h * w).enumerate().for_each(|(n, dx)| {
            let dy = dy[0].image(n);
            let mut grey = vec![T::zero(); h * w];
            for at in 0..h * w {
                let (i, j) = (at / w, at % w);
                let (from, to, k) = ends::<T>(j, w);
                grey[i * w + to] += k * dy[at];
                grey[i * w + from] -= k * dy[at];
                let (from, to, k) = ends::<T>(i, h);
                grey[to * w + j] += k * dy[h * w + at];
                grey[from * w + j] -= k * dy[h * w + at];
            }
            for (dx, share) in dx.chunks_exact_mut(h * w).zip(SHARES) {
                dx.iter_mut().zip(&grey).for_each(|(dx, grey)| *dx = T::of(share) * *grey);
            }
        });
    }

    fn gpu(&self, l: &mut Lowering) {
        let dy = l.inputs[0];
        let bindings = [("dy", Input(0)), ("dx", Output(0))];
        l.dispatch((&SHADER, "backward"), &[], &bindings, &params(dy), Grid::Linear(dy.n * dy.plane()));
    }
}
