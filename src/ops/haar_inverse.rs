//! The inverse Haar transform: a = L+H1+H2+H3, b = L-H1+H2-H3, c = L+H1-H2-H3, d = L-H1-H2+H3, times a factor s
//! (1 as the inverse).
//!
//! Gradient: dy = s M dx, as in [`super::haar`]: the forward transform with factor s.

#[cfg(feature = "cpu")]
use super::cpu::*;
use super::haar::Haar;
use super::{Graph, Node, Operator, arity, check};
use crate::graph::Value;
use crate::kernel::{Grid, Lowering, Operand::*, Shader};
use crate::tensor::Shape;

/// Its kernels.
pub static SHADER: Shader = Shader::new("haar_inverse", include_str!("../../shaders/haar_inverse.wgsl"));

/// y (N, 4C, h, w), band-major -> x (N, C, 2h, 2w).
#[derive(Clone, Debug, PartialEq)]
pub struct HaarInverse {
    /// The factor s: 1 as the inverse, 1/4 as the gradient of the transform.
    pub scale: f32,
}

impl Operator for HaarInverse {
    fn name(&self) -> &'static str {
        "haar_inverse"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [y] = arity(inputs)?;
        check!(y.c % 4 == 0, "y is {y}, its channels must be four bands");
        Ok(vec![Shape::new(y.n, y.c / 4, 2 * y.h, 2 * y.w)])
    }

    fn backward(&self, g: &mut Graph, node: &Node, dx: &[Option<Value>], _: &[bool]) -> Vec<Option<Value>> {
        let op = Haar { scale: self.scale };
        vec![Some(g.apply1(&node.name, op, &[dx[0].expect("dx")]).expect("x has even sides"))]
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, y: &[In<T>], x: &mut [Out<T>], _: &Cpu<T>) {
        let (y, s) = (y[0], T::of(self.scale.into()));
        let Shape { c, h, w, .. } = y.shape;
        x[0].data.par_chunks_mut(c * h * w).enumerate().for_each(|(n, x)| {
            let y = y.image(n);
            let (band, channels) = (c / 4 * h * w, c / 4);
            for (i, j) in (0..channels * h).flat_map(|i| (0..w).map(move |j| (i, j))) {
                let o = i * w + j;
                let (l, h1, h2, h3) = (y[o], y[o + band], y[o + 2 * band], y[o + 3 * band]);
                let (top, bottom) = (4 * i * w + 2 * j, 4 * i * w + 2 * w + 2 * j);
                x[top] = s * (l + h1 + h2 + h3);
                x[top + 1] = s * (l - h1 + h2 - h3);
                x[bottom] = s * (l + h1 - h2 - h3);
                x[bottom + 1] = s * (l - h1 - h2 + h3);
            }
        });
    }

    fn gpu(&self, l: &mut Lowering) {
        let (x, y) = (l.outputs[0], l.inputs[0]);
        let cells = y.len() / 4;
        l.dispatch(
            (&SHADER, "haar_inverse"),
            &[],
            &[("x", Output(0)), ("y", Input(0))],
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
