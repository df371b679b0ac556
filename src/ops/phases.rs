//! The pictures of every d-th pixel, of which a picture has d x d: a 3x3 convolution of dilation d is one of dilation 1
//! on each of them, so that all kernels for that serve it.
//!
//! Phase (a, b) of image n is image `(n d + a) d + b` of the result, and its pixel (i, j) is the picture's (i d + a, j d + b);
//! beyond the picture 0, as the convolution's padding. Putting them together again leaves these out. Each is the
//! gradient of the other.

#[cfg(feature = "cpu")]
use super::cpu::*;
use super::{Graph, Node, Operator, arity, check};
use crate::graph::Value;
use crate::kernel::{
    Grid, Lowering,
    Operand::{self, *},
    Param, Shader,
};
use crate::tensor::Shape;

/// x (N, C, H, W) -> y (N d d, C, ceil(H / d), ceil(W / d)).
#[derive(Clone, Debug, PartialEq)]
pub struct Phases {
    /// Distance of the pixels.
    pub d: usize,
}

/// y (N d d, C, ceil(H / d), ceil(W / d)) -> x (N, C, H, W).
#[derive(Clone, Debug, PartialEq)]
pub struct PhasesInverse {
    /// Distance of the pixels.
    pub d: usize,
    /// Rows and columns of x.
    pub size: [usize; 2],
}

/// Its kernels.
pub static SHADER: Shader = Shader::new("phases", include_str!("../../shaders/phases.wgsl"));

fn params(x: Shape, d: usize) -> [(&'static str, Param); 5] {
    [("n", x.n.into()), ("c", x.c.into()), ("h", x.h.into()), ("w", x.w.into()), ("d", d.into())]
}

/// Of a plane of y, the plane of x that it is a phase of, and the phase.
#[cfg(feature = "cpu")]
fn plane_of(x: Shape, d: usize, plane: usize) -> (usize, [usize; 2]) {
    let (image, c) = (plane / x.c, plane % x.c);
    (image / (d * d) * x.c + c, [image / d % d, image % d])
}

impl Operator for Phases {
    fn name(&self) -> &'static str {
        "phases"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [x] = arity(inputs)?;
        check!(self.d > 0, "d is 0");
        Ok(vec![Shape::new(x.n * self.d * self.d, x.c, x.h.div_ceil(self.d), x.w.div_ceil(self.d))])
    }

    fn backward(&self, g: &mut Graph, node: &Node, dy: &[Option<Value>], _: &[bool]) -> Vec<Option<Value>> {
        let x = g.shape(node.inputs[0]);
        let inverse = PhasesInverse { d: self.d, size: [x.h, x.w] };
        vec![Some(g.apply1(&node.name, inverse, &[dy[0].expect("dy")]).expect("the shape of y"))]
    }

    fn accepts_f16(&self, _: usize, _: Operand) -> bool {
        true
    }

    fn same_precision(&self) -> bool {
        true
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], y: &mut [Out<T>], _: &Cpu<T>) {
        let (x, d, s) = (x[0], self.d, y[0].shape);
        y[0].data.par_chunks_mut(s.plane()).enumerate().for_each(|(plane, y)| {
            let (from, [a, b]) = plane_of(x.shape, d, plane);
            let from = &x.data[from * x.shape.plane()..][..x.shape.plane()];
            for (i, row) in y.chunks_exact_mut(s.w).enumerate() {
                row.fill(T::zero());
                if i * d + a < x.shape.h {
                    let source = from[(i * d + a) * x.shape.w..][..x.shape.w].iter().skip(b).step_by(d);
                    row.iter_mut().zip(source).for_each(|(y, x)| *y = *x);
                }
            }
        });
    }

    fn gpu(&self, l: &mut Lowering) {
        let params = params(l.inputs[0], self.d);
        let grid = Grid::Linear(l.outputs[0].len());
        l.dispatch((&SHADER, "split"), &[], &[("x", Input(0)), ("y", Output(0))], &params, grid);
    }
}

impl Operator for PhasesInverse {
    fn name(&self) -> &'static str {
        "phases.inverse"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let ([y], [h, w], d) = (arity(inputs)?, self.size, self.d);
        check!(d > 0 && y.n.is_multiple_of(d * d), "there are {} images of {d}x{d} phases", y.n);
        let x = Shape::new(y.n / (d * d), y.c, h, w);
        check!(Phases { d }.infer(&[x])? == [y], "y is {y}, x {x}");
        Ok(vec![x])
    }

    fn backward(&self, g: &mut Graph, node: &Node, dx: &[Option<Value>], _: &[bool]) -> Vec<Option<Value>> {
        vec![Some(g.apply1(&node.name, Phases { d: self.d }, &[dx[0].expect("dx")]).expect("the shape of x"))]
    }

    fn accepts_f16(&self, _: usize, _: Operand) -> bool {
        true
    }

    fn same_precision(&self) -> bool {
        true
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, y: &[In<T>], x: &mut [Out<T>], _: &Cpu<T>) {
        let (y, d, s) = (y[0], self.d, x[0].shape);
        x[0].data.par_chunks_mut(s.plane()).enumerate().for_each(|(plane, x)| {
            let (n, c) = (plane / s.c, plane % s.c);
            for (i, row) in x.chunks_exact_mut(s.w).enumerate() {
                for b in 0..d {
                    let image = (n * d + i % d) * d + b;
                    let from = &y.data[((image * s.c + c) * y.shape.h + i / d) * y.shape.w..][..y.shape.w];
                    row.iter_mut().skip(b).step_by(d).zip(from).for_each(|(x, y)| *x = *y);
                }
            }
        });
    }

    fn gpu(&self, l: &mut Lowering) {
        let params = params(l.outputs[0], self.d);
        let grid = Grid::Linear(l.outputs[0].len());
        l.dispatch((&SHADER, "join"), &[], &[("y_in", Input(0)), ("dx", Output(0))], &params, grid);
    }
}
