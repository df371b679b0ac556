//! The Haar transform with IRN's normalisation: each 2x2 cell `[[a, b], [c, d]]` of a channel gives
//! L = s (a+b+c+d), H1 = s (a-b+c-d), H2 = s (a+b-c-d), H3 = s (a-b-c+d), band-major, s = 1/4.
//!
//! Gradient: the matrix M of the four signs is symmetric, and the inverse transform applies M without the factor, so
//! dx = s M dy is the inverse transform times s.

#[cfg(feature = "cpu")]
use super::cpu::*;
use super::haar_inverse::HaarInverse;
use super::{Graph, Node, Operator, arity, check};
use crate::graph::Value;
use crate::kernel::{Grid, Lowering, Operand::*, Shader};
use crate::tensor::Shape;

/// Its kernels.
pub static SHADER: Shader = Shader::new("haar", include_str!("../../shaders/haar.wgsl"));

/// x (N, C, H, W), H and W even -> y (N, 4C, H/2, W/2).
#[derive(Clone, Debug, PartialEq)]
pub struct Haar {
    /// The factor s: 1/4 as the transform, 1 as the gradient of its inverse.
    pub scale: f32,
}

impl Operator for Haar {
    fn name(&self) -> &'static str {
        "haar"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [x] = arity(inputs)?;
        check!(x.h % 2 == 0 && x.w % 2 == 0, "x is {x}, its height and width must be even");
        Ok(vec![Shape::new(x.n, 4 * x.c, x.h / 2, x.w / 2)])
    }

    fn backward(&self, g: &mut Graph, node: &Node, dy: &[Option<Value>], _: &[bool]) -> Vec<Option<Value>> {
        let op = HaarInverse { scale: self.scale };
        vec![Some(g.apply1(&node.name, op, &[dy[0].expect("dy")]).expect("y has four bands"))]
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], y: &mut [Out<T>], _: &Cpu<T>) {
        let (x, s) = (x[0], T::of(self.scale.into()));
        let Shape { c, h, w, .. } = y[0].shape;
        y[0].data.par_chunks_mut(c * h * w).enumerate().for_each(|(n, y)| {
            let x = x.image(n);
            let (band, channels) = (c / 4 * h * w, c / 4);
            for (i, j) in (0..channels * h).flat_map(|i| (0..w).map(move |j| (i, j))) {
                // Row i of all channels' cells laid end to end: the upper pixel row of the pair is row 2i.
                let (top, bottom) = (&x[4 * i * w + 2 * j..], &x[4 * i * w + 2 * w + 2 * j..]);
                let (p, q, r, t) = (top[0], top[1], bottom[0], bottom[1]);
                let o = i * w + j;
                y[o] = s * (p + q + r + t);
                y[o + band] = s * (p - q + r - t);
                y[o + 2 * band] = s * (p + q - r - t);
                y[o + 3 * band] = s * (p - q - r + t);
            }
        });
    }

    fn gpu(&self, l: &mut Lowering) {
        let (x, y) = (l.inputs[0], l.outputs[0]);
        let cells = y.len() / 4;
        l.dispatch(
            (&SHADER, "haar"),
            &[],
            &[("x", Input(0)), ("y", Output(0))],
            &[
                ("c", x.c.into()),
                ("h", y.h.into()),
                ("w", y.w.into()),
                ("cells", cells.into()),
                ("scale", self.scale.into()),
            ],
            Grid::Linear(cells),
        );
    }
}
