//! Convolutions in which each pixel of x makes a cell of side x side pixels of y by itself: the 1x1 convolution, and
//! the 2x2 transposed convolution of stride 2. With q = (o, t) counting the elements t of all cells, s the pixels of x,
//! and a weight w(c, q) that lies in memory as PyTorch has it for either, `y[q, s] = b[o] + sum over c of w(c, q) x[c,
//! s]`.
//!
//! Gradients: `dx[c, s] = sum over q of w(c, q) dy[q, s]`; `dw(c, q) = sum over images and s of x[c, s] dy[q, s]`;
//! `db[o]` = sum over images, s and t of `dy[q, s]`.

#[cfg(feature = "cpu")]
use super::Workspace;
#[cfg(feature = "cpu")]
use super::cpu::*;
use super::{Graph, MATRIX_PRODUCT, Node, Operator, arity, check};
use crate::graph::Value;
use crate::kernel::{Grid, Lowering, Operand::*, Param, Shader};
use crate::tensor::Shape;
use glam::UVec3;

/// (x (N, Ci, h, w), weight, bias (Co)) -> y (N, Co, side h, side w).
#[derive(Clone, Debug, PartialEq)]
pub struct PixelConv {
    /// 1: the 1x1 convolution, weight (Co, Ci, 1, 1). 2: the transposed one, weight (Ci, Co, 2, 2).
    pub side: usize,
}

/// (x, weight, dy) -> dx, dw, db.
#[derive(Clone, Debug, PartialEq)]
pub struct PixelConvBackward {
    /// As the convolution's.
    pub side: usize,
}

/// Its kernels.
pub static SHADER: Shader =
    Shader { prelude: MATRIX_PRODUCT, ..Shader::new("pixel_conv", include_str!("../../shaders/pixel_conv.wgsl")) };

/// Rows of a matrix that a task of the CPU makes.
#[cfg(feature = "cpu")]
const BLOCK: usize = 32;

/// The sizes of the matrix products.
#[derive(Clone, Copy)]
struct Sizes {
    x: Shape,
    co: usize,
    side: usize,
    /// Number of q.
    rows: usize,
    /// In the weight, from a c to the next, and from a q to the next.
    step_c: usize,
    step_q: usize,
}

impl Sizes {
    fn of(side: usize, x: Shape, co: usize) -> Sizes {
        let rows = co * side * side;
        let (step_c, step_q) = if side == 1 { (1, x.c) } else { (rows, 1) };
        Sizes { x, co, side, rows, step_c, step_q }
    }

    fn params(self, splits: usize) -> [(&'static str, Param); 9] {
        let Sizes { x, co, side, step_c, step_q, .. } = self;
        [
            ("n", x.n.into()),
            ("ci", x.c.into()),
            ("co", co.into()),
            ("h", x.h.into()),
            ("w", x.w.into()),
            ("side", side.into()),
            ("step_c", step_c.into()),
            ("step_q", step_q.into()),
            ("splits", splits.into()),
        ]
    }

    /// Elements of y, where they are brought into the order (n, q, s).
    #[cfg(feature = "cpu")]
    fn workspace(self) -> Workspace {
        let shared = if self.side == 1 { 0 } else { self.x.n * self.rows * self.x.plane() };
        Workspace { per_thread: 0, shared }
    }

    /// Places in a plane of y of element t of the cells of row i of x.
    #[cfg(feature = "cpu")]
    fn places(self, i: usize, t: usize) -> impl Iterator<Item = usize> {
        let (side, w) = (self.side, self.x.w);
        let first = (i * side + t / side) * side * w + t % side;
        (first..first + side * w).step_by(side)
    }
}

/// Workgroups for matrices of so many columns and rows.
fn groups(columns: usize, rows: usize, depth: usize) -> Grid {
    Grid::Workgroups(UVec3::new(columns.div_ceil(64) as u32, rows.div_ceil(64) as u32, depth as u32))
}

impl Operator for PixelConv {
    fn name(&self) -> &'static str {
        "pixel_conv"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [x, w, b] = arity(inputs)?;
        let (ci, co) = if self.side == 1 { (w.c, w.n) } else { (w.n, w.c) };
        check!((1..=2).contains(&self.side), "side {} is neither 1 nor 2", self.side);
        check!(ci == x.c, "weight has {ci} inputs, x has {}", x.c);
        check!((w.h, w.w) == (self.side, self.side), "weight is {w}, not {0}x{0}", self.side);
        check!(b.len() == co, "weight has {co} outputs, bias {}", b.len());
        Ok(vec![Shape::new(x.n, co, self.side * x.h, self.side * x.w)])
    }

    fn macs(&self, inputs: &[Shape], outputs: &[Shape]) -> u64 {
        (inputs[0].c * outputs[0].len()) as u64
    }

    fn paper_extras(&self, _: &[Shape], outputs: &[Shape]) -> u64 {
        outputs[0].len() as u64
    }

    fn backward(&self, g: &mut Graph, node: &Node, dy: &[Option<Value>], _: &[bool]) -> Vec<Option<Value>> {
        let inputs = [node.inputs[0], node.inputs[1], dy[0].expect("dy")];
        let d = g.apply(&node.name, PixelConvBackward { side: self.side }, &inputs);
        d.expect("shapes of the forward pass").into_iter().map(Some).collect()
    }

    #[cfg(feature = "cpu")]
    fn workspace(&self, inputs: &[Shape], outputs: &[Shape]) -> Workspace {
        Sizes::of(self.side, inputs[0], outputs[0].c).workspace()
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], y: &mut [Out<T>], cpu: &Cpu<T>) {
        let ([x, w, b], y) = (x, &mut y[0]) else { unreachable!("three inputs") };
        let sizes = Sizes::of(self.side, x.shape, y.shape.c);
        let (plane, cell) = (x.shape.plane(), self.side * self.side);
        let multiply = |all: &mut [T]| {
            for_blocks(all, sizes.rows, plane, |n, q, out| {
                let (w, steps) = (&w.data[q * sizes.step_q..], (sizes.step_q, sizes.step_c));
                let size = (out.len() / plane, plane, x.shape.c);
                product(size, out, plane, T::zero(), w, steps, x.image(n), (plane, 1));
            });
        };
        if self.side == 1 {
            multiply(y.data);
            let planes = y.data.par_chunks_mut(plane).enumerate();
            return planes.for_each(|(i, y)| y.iter_mut().for_each(|y| *y += b.data[i % sizes.co]));
        }
        let mut shared = cpu.shared.lock().expect("no thread panicked with the buffer");
        let cells = &mut shared[..y.data.len()];
        multiply(cells);
        y.data.par_chunks_mut(cell * plane).zip(cells.par_chunks(cell * plane)).enumerate().for_each(
            |(i, (y, cells))| {
                for (t, values) in cells.chunks_exact(plane).enumerate() {
                    for (row, values) in values.chunks_exact(x.shape.w).enumerate() {
                        for (at, v) in sizes.places(row, t).zip(values) {
                            y[at] = *v + b.data[i % sizes.co];
                        }
                    }
                }
            },
        );
    }

    fn gpu(&self, l: &mut Lowering) {
        let sizes = Sizes::of(self.side, l.inputs[0], l.outputs[0].c);
        let bindings = [("x", Input(0)), ("w", Input(1)), ("b", Input(2)), ("y", Output(0))];
        let grid = groups(sizes.x.plane(), sizes.rows, sizes.x.n);
        l.dispatch((&SHADER, "forward"), &[], &bindings, &sizes.params(0), grid);
    }
}

/// Runs `work` on blocks of rows of matrices (images, rows, columns) with the image and the first row.
#[cfg(feature = "cpu")]
fn for_blocks<T: Real>(all: &mut [T], rows: usize, columns: usize, work: impl Fn(usize, usize, &mut [T]) + Sync) {
    all.par_chunks_mut(rows * columns).enumerate().for_each(|(n, image)| {
        image.par_chunks_mut(BLOCK * columns).enumerate().for_each(|(i, block)| work(n, i * BLOCK, block));
    });
}

impl Operator for PixelConvBackward {
    fn name(&self) -> &'static str {
        "pixel_conv.backward"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [x, w, dy] = arity(inputs)?;
        let bias = Shape::new(1, dy.c, 1, 1);
        check!(PixelConv { side: self.side }.infer(&[x, w, bias])? == [dy], "x is {x}, weight {w}, dy {dy}");
        Ok(vec![x, w, bias])
    }

    fn macs(&self, inputs: &[Shape], _: &[Shape]) -> u64 {
        2 * (inputs[0].c * inputs[2].len()) as u64
    }

    #[cfg(feature = "cpu")]
    fn workspace(&self, inputs: &[Shape], _: &[Shape]) -> Workspace {
        Sizes::of(self.side, inputs[0], inputs[2].c).workspace()
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], out: &mut [Out<T>], cpu: &Cpu<T>) {
        let ([x, w, dy], [dx, dw, db]) = (x, out) else { unreachable!("three inputs, three outputs") };
        let sizes = Sizes::of(self.side, x.shape, dy.shape.c);
        let (ci, rows, plane, cell) = (x.shape.c, sizes.rows, x.shape.plane(), self.side * self.side);
        let mut shared = cpu.shared.lock().expect("no thread panicked with the buffer");
        let cells = if self.side == 1 {
            dy.data
        } else {
            let cells = &mut shared[..dy.data.len()];
            cells.par_chunks_mut(plane).enumerate().for_each(|(i, values)| {
                let dy = &dy.data[i / cell * cell * plane..][..cell * plane];
                for (row, values) in values.chunks_exact_mut(x.shape.w).enumerate() {
                    for (at, v) in sizes.places(row, i % cell).zip(values) {
                        *v = dy[at];
                    }
                }
            });
            &*cells
        };
        let image = |n: usize| &cells[n * rows * plane..][..rows * plane];
        for_blocks(dx.data, ci, plane, |n, c, dx| {
            let (w, steps) = (&w.data[c * sizes.step_c..], (sizes.step_c, sizes.step_q));
            product((dx.len() / plane, plane, rows), dx, plane, T::zero(), w, steps, image(n), (plane, 1));
        });
        // The weight's rows are the c or the q.
        let columns = if self.side == 1 { ci } else { rows };
        for_blocks(dw.data, dw.shape.len() / columns, columns, |_, row, dw| {
            for n in 0..x.shape.n {
                let [a, b] = if self.side == 1 { [image(n), x.image(n)] } else { [x.image(n), image(n)] };
                let beta = if n == 0 { T::zero() } else { T::one() };
                let size = (dw.len() / columns, columns, plane);
                product(size, dw, columns, beta, &a[row * plane..], (plane, 1), b, (1, plane));
            }
        });
        db.data.par_iter_mut().enumerate().for_each(|(o, db)| {
            let len = cell * plane;
            *db = (0..dy.shape.n).map(|n| sum(&dy.image(n)[o * len..][..len])).sum();
        });
    }

    fn gpu(&self, l: &mut Lowering) {
        let sizes = Sizes::of(self.side, l.inputs[0], l.inputs[2].c);
        let Sizes { x, rows, .. } = sizes;
        // Enough workgroups to fill a GPU (some hundreds) where the matrix alone is not, but at least 8 pieces of 16
        // pixels for each.
        let blocks = rows.div_ceil(64) * (x.c + 1).div_ceil(64);
        let pieces = x.n * x.plane().div_ceil(16);
        let splits = 512usize.div_ceil(blocks).min(pieces.div_ceil(8));
        let params = sizes.params(splits);
        let parts = l.scratch(splits * (x.c + 1) * rows);
        let mut run = |entry, bindings: &[_], grid| l.dispatch((&SHADER, entry), &[], bindings, &params, grid);
        let input = [("w", Input(1)), ("dy", Input(2)), ("dx", Output(0))];
        run("backward_input", &input, groups(x.plane(), x.c, x.n));
        let weight = [("x", Input(0)), ("dy", Input(2)), ("parts", parts)];
        run("backward_weight", &weight, groups(rows, x.c + 1, splits));
        let reduce = [("parts_in", parts), ("dw", Output(1)), ("db", Output(2))];
        run("reduce_weight", &reduce, Grid::Linear(x.c * rows + sizes.co));
    }
}
