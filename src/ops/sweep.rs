//! A recurrent sweep down or up the columns, each with a gate of every pixel (Liu et al. 2016): `h_t = (1 - g_t) x_t + g_t h_(t-1)`,
//! `h_(-1) = 0`, t counting the rows from where the sweep begins. Along rows: the same, of transposed maps.
//!
//! Gradients, against the sweep: `a_t = dh_t + g_(t+1) a_(t+1)`; `dx_t = (1 - g_t) a_t`; `dg_t = a_t (h_(t-1) - x_t)`.

#[cfg(feature = "cpu")]
use super::cpu::*;
use super::{Graph, Node, Operator, arity, check};
use crate::graph::Value;
use crate::kernel::{Grid, Lowering, Operand::*, Param, Shader};
use crate::tensor::Shape;

/// (x (N, C, H, W), gates of the same shape) -> h of the same shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Sweep {
    /// From the last row to the first.
    pub up: bool,
}

/// (x, gates, h, dh) -> dx, dg.
#[derive(Clone, Debug, PartialEq)]
pub struct SweepBackward {
    /// As forward.
    pub up: bool,
}

/// Its kernels.
pub static SHADER: Shader = Shader::new("sweep", include_str!("../../shaders/sweep.wgsl"));

fn params(x: Shape, up: bool) -> [(&'static str, Param); 4] {
    [("h", x.h.into()), ("w", x.w.into()), ("lines", (x.n * x.c * x.w).into()), ("up", usize::from(up).into())]
}

/// The rows of a plane in the order of the sweep.
#[cfg(feature = "cpu")]
fn rows(h: usize, up: bool) -> impl DoubleEndedIterator<Item = usize> {
    (0..h).map(move |t| if up { h - 1 - t } else { t })
}

impl Operator for Sweep {
    fn name(&self) -> &'static str {
        "sweep"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [x, g] = arity(inputs)?;
        check!(x == g, "x is {x}, the gates {g}");
        Ok(vec![x])
    }

    fn backward(&self, g: &mut Graph, node: &Node, dh: &[Option<Value>], _: &[bool]) -> Vec<Option<Value>> {
        let inputs = [node.inputs[0], node.inputs[1], node.outputs[0], dh[0].expect("dh")];
        let d = g.apply(&node.name, SweepBackward { up: self.up }, &inputs).expect("one shape");
        d.into_iter().map(Some).collect()
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], h: &mut [Out<T>], _: &Cpu<T>) {
        let Shape { h: height, w, .. } = x[0].shape;
        let inputs = x[0].data.par_chunks(height * w).zip(x[1].data.par_chunks(height * w));
        h[0].data.par_chunks_mut(height * w).zip(inputs).for_each(|(h, (x, g))| {
            let mut last = vec![T::zero(); w];
            for row in rows(height, self.up) {
                let at = row * w..(row + 1) * w;
                for (((h, last), x), g) in h[at.clone()].iter_mut().zip(&mut last).zip(&x[at.clone()]).zip(&g[at]) {
                    *last = (T::one() - *g) * *x + *g * *last;
                    *h = *last;
                }
            }
        });
    }

    fn gpu(&self, l: &mut Lowering) {
        let x = l.inputs[0];
        let bindings = [("x", Input(0)), ("g", Input(1)), ("y", Output(0))];
        l.dispatch((&SHADER, "forward"), &[], &bindings, &params(x, self.up), Grid::Linear(x.n * x.c * x.w));
    }
}

impl Operator for SweepBackward {
    fn name(&self) -> &'static str {
        "sweep.backward"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [x, g, h, dh] = arity(inputs)?;
        check!(x == g && x == h && x == dh, "x is {x}, the gates {g}, h {h}, dh {dh}");
        Ok(vec![x; 2])
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], out: &mut [Out<T>], _: &Cpu<T>) {
        let ([x, g, h, dh], [dx, dg]) = (x, out) else { unreachable!("four inputs, two outputs") };
        let (height, w, plane) = (x.shape.h, x.shape.w, x.shape.plane());
        let planes = dx.data.par_chunks_mut(plane).zip(dg.data.par_chunks_mut(plane)).enumerate();
        planes.for_each(|(i, (dx, dg))| {
            let [x, g, h, dh] = [x, g, h, dh].map(|map| &map.data[i * plane..][..plane]);
            // g_(t+1) a_(t+1)
            let mut carried = vec![T::zero(); w];
            let order: Vec<usize> = rows(height, self.up).collect();
            for (t, row) in order.iter().enumerate().rev() {
                for (j, carried) in carried.iter_mut().enumerate() {
                    let at = row * w + j;
                    let before = if t > 0 { h[order[t - 1] * w + j] } else { T::zero() };
                    let a = dh[at] + *carried;
                    dx[at] = (T::one() - g[at]) * a;
                    dg[at] = a * (before - x[at]);
                    *carried = g[at] * a;
                }
            }
        });
    }

    fn gpu(&self, l: &mut Lowering) {
        let x = l.inputs[0];
        let bindings = [
            ("x", Input(0)),
            ("g", Input(1)),
            ("y_in", Input(2)),
            ("dy", Input(3)),
            ("dx", Output(0)),
            ("dg", Output(1)),
        ];
        l.dispatch((&SHADER, "backward"), &[], &bindings, &params(x, self.up), Grid::Linear(x.n * x.c * x.w));
    }
}
