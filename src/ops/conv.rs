//! Convolution of any kernel size, stride 1, with zero padding of its own on each side, a bias or none, and a ReLU or
//! none: `y[o, p] = b[o] + sum over i, t of w[o, i, t] x[i, p + t - (top, left)]`. For 3x3 there is
//! [`super::conv3x3`], many times as fast.
//!
//! Gradients, with dy masked by the ReLU: `dx[i, p] = sum over o, t of w[o, i, t] dy[o, p - t + (top, left)]`, the
//! convolution with the kernel turned and the channels exchanged; `dw[o, i, t] = sum over images and p of dy[o, p] x[i, p + t -
//! (top, left)]`; `db[o]` = sum of `dy[o]`.

#[cfg(feature = "cpu")]
use super::Workspace;
use super::conv3x3::ActivationBackward;
#[cfg(feature = "cpu")]
use super::cpu::*;
use super::{Graph, MATRIX_PRODUCT, Node, Operator, check};
use crate::graph::Value;
use crate::kernel::{Grid, Lowering, Operand::*, Param, Shader};
use crate::tensor::Shape;
use glam::UVec3;

/// Zeros around a map.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Padding {
    /// Rows above.
    pub top: usize,
    /// Rows below.
    pub bottom: usize,
    /// Columns to the left.
    pub left: usize,
    /// Columns to the right.
    pub right: usize,
}

impl Padding {
    /// The same on all sides.
    pub fn all(n: usize) -> Padding {
        Padding { top: n, bottom: n, left: n, right: n }
    }
}

/// (x (N, Ci, h, w), weight (Co, Ci, kh, kw), [bias (Co)]) -> y (N, Co, h + top + bottom - kh + 1, w + left + right - kw + 1).
#[derive(Clone, Debug, PartialEq)]
pub struct Conv {
    /// Zeros around x.
    pub padding: Padding,
    /// A ReLU follows.
    pub relu: bool,
}

/// (dy, weight) -> dx, of `rows` x `columns`.
#[derive(Clone, Debug, PartialEq)]
pub struct ConvBackwardInput {
    /// As forward.
    pub padding: Padding,
    /// Rows and columns of x.
    pub size: [usize; 2],
}

/// (x, dy) -> dw (Co, Ci, kh, kw), db (Co).
#[derive(Clone, Debug, PartialEq)]
pub struct ConvBackwardWeight {
    /// As forward.
    pub padding: Padding,
    /// Rows and columns of the kernel.
    pub kernel: [usize; 2],
}

/// Its kernels.
pub static SHADER: Shader =
    Shader { prelude: MATRIX_PRODUCT, ..Shader::new("conv", include_str!("../../shaders/conv.wgsl")) };

/// Outputs of the kernel for few.
const FEW: usize = 4;
/// Sides of the largest kernel that its tile has room for.
const FEW_SIDE: usize = 17;

/// The sizes of a convolution.
#[derive(Clone, Copy)]
struct Sizes {
    x: Shape,
    w: Shape,
    y: Shape,
    padding: Padding,
}

impl Sizes {
    fn params(self, relu: bool, has_bias: bool, splits: usize) -> [(&'static str, Param); 14] {
        let Sizes { x, w, y, padding } = self;
        [
            ("n", x.n.into()),
            ("ci", x.c.into()),
            ("co", y.c.into()),
            ("xh", x.h.into()),
            ("xw", x.w.into()),
            ("yh", y.h.into()),
            ("yw", y.w.into()),
            ("kh", w.h.into()),
            ("kw", w.w.into()),
            ("top", padding.top.into()),
            ("left", padding.left.into()),
            ("relu", usize::from(relu).into()),
            ("has_bias", usize::from(has_bias).into()),
            ("splits", splits.into()),
        ]
    }

    /// Elements of a kernel.
    fn taps(self) -> usize {
        self.w.plane()
    }
}

/// Workgroups for matrices of so many columns and rows.
fn groups(columns: usize, rows: usize, depth: usize) -> Grid {
    Grid::Workgroups(UVec3::new(columns.div_ceil(64) as u32, rows.div_ceil(64) as u32, depth as u32))
}

impl Operator for Conv {
    fn name(&self) -> &'static str {
        "conv"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        check!(inputs.len() == 2 || inputs.len() == 3, "takes 2 or 3 inputs, got {}", inputs.len());
        let (x, w, Padding { top, bottom, left, right }) = (inputs[0], inputs[1], self.padding);
        check!(w.c == x.c, "weight has {} inputs, x has {}", w.c, x.c);
        check!(
            inputs[2..].iter().all(|b| b.len() == w.n),
            "weight has {} outputs, bias {}",
            w.n,
            inputs[inputs.len() - 1]
        );
        check!(top.max(bottom) < w.h && left.max(right) < w.w, "weight is {w}, no wider than the padding");
        let (h, w_) = (x.h + top + bottom, x.w + left + right);
        check!(h >= w.h && w_ >= w.w, "x is {x}, with its padding smaller than the weight, {w}");
        Ok(vec![Shape::new(x.n, w.n, h + 1 - w.h, w_ + 1 - w.w)])
    }

    fn macs(&self, inputs: &[Shape], outputs: &[Shape]) -> u64 {
        (inputs[1].c * inputs[1].plane() * outputs[0].len()) as u64
    }

    fn paper_extras(&self, inputs: &[Shape], outputs: &[Shape]) -> u64 {
        if inputs.len() == 3 { outputs[0].len() as u64 } else { 0 }
    }

    fn backward(&self, g: &mut Graph, node: &Node, dy: &[Option<Value>], needs: &[bool]) -> Vec<Option<Value>> {
        let (x, w) = (node.inputs[0], node.inputs[1]);
        let mut dy = dy[0].expect("dy");
        if self.relu {
            let inputs = [node.outputs[0], dy];
            dy = g.apply1(&node.name, ActivationBackward { slope: 0.0 }, &inputs).expect("one shape");
        }
        let (shape, kernel) = (g.shape(x), g.shape(w));
        let op = ConvBackwardWeight { padding: self.padding, kernel: [kernel.h, kernel.w] };
        let d = g.apply(&node.name, op, &[x, dy]).expect("shapes of the forward pass");
        let op = ConvBackwardInput { padding: self.padding, size: [shape.h, shape.w] };
        let dx = needs[0].then(|| g.apply1(&node.name, op, &[dy, w]).expect("shapes of the forward pass"));
        [dx, Some(d[0]), Some(d[1])][..node.inputs.len()].to_vec()
    }

    #[cfg(feature = "cpu")]
    fn workspace(&self, inputs: &[Shape], outputs: &[Shape]) -> Workspace {
        Workspace { per_thread: columns_len(inputs[1], outputs[0].w), shared: 0 }
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], y: &mut [Out<T>], cpu: &Cpu<T>) {
        let bias = x.get(2).map(|b| b.data);
        convolve(x[0], (x[1].shape, x[1].data), self.padding, (bias, self.relu), &mut y[0], cpu);
    }

    fn gpu(&self, l: &mut Lowering) {
        let sizes = Sizes { x: l.inputs[0], w: l.inputs[1], y: l.outputs[0], padding: self.padding };
        let has_bias = l.inputs.len() == 3;
        // Without a bias none is read (bind the weight).
        let bias = Input(if has_bias { 2 } else { 1 });
        let bindings = [("x", Input(0)), ("w", Input(1)), ("b", bias), ("y", Output(0))];
        let y = sizes.y;
        let few = y.c <= FEW && sizes.w.h.max(sizes.w.w) <= FEW_SIDE;
        let (entry, grid) = match few {
            true => ("forward_few", Grid::Threads(UVec3::new(y.w as u32, y.h as u32, y.n as u32))),
            false => ("forward", groups(y.plane(), y.c, y.n)),
        };
        l.dispatch((&SHADER, entry), &[], &bindings, &sizes.params(self.relu, has_bias, 0), grid);
    }
}

impl Operator for ConvBackwardInput {
    fn name(&self) -> &'static str {
        "conv.backward_input"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [dy, w] = super::arity(inputs)?;
        let x = Shape::new(dy.n, w.c, self.size[0], self.size[1]);
        check!(Conv { padding: self.padding, relu: false }.infer(&[x, w])? == [dy], "x is {x}, weight {w}, dy {dy}");
        Ok(vec![x])
    }

    fn macs(&self, inputs: &[Shape], _: &[Shape]) -> u64 {
        (inputs[1].c * inputs[1].plane() * inputs[0].len()) as u64
    }

    #[cfg(feature = "cpu")]
    fn workspace(&self, inputs: &[Shape], outputs: &[Shape]) -> Workspace {
        let w = Shape { n: inputs[1].c, c: inputs[1].n, ..inputs[1] };
        Workspace { per_thread: columns_len(w, outputs[0].w), shared: 0 }
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], dx: &mut [Out<T>], cpu: &Cpu<T>) {
        let ([dy, w], Padding { top, bottom, left, right }) = (x, self.padding) else { unreachable!("two inputs") };
        let (s, taps) = (w.shape, w.shape.plane());
        let mut turned = Vec::with_capacity(w.data.len());
        for i in 0..s.c {
            (0..s.n).for_each(|o| turned.extend(w.data[(o * s.c + i) * taps..][..taps].iter().rev()));
        }
        let (rows, columns) = (s.h - 1, s.w - 1);
        let around = Padding { top: rows - top, bottom: rows - bottom, left: columns - left, right: columns - right };
        let shape = Shape { n: s.c, c: s.n, ..s };
        convolve(*dy, (shape, &turned), around, (None, false), &mut dx[0], cpu);
    }

    fn gpu(&self, l: &mut Lowering) {
        let sizes = Sizes { x: l.outputs[0], w: l.inputs[1], y: l.inputs[0], padding: self.padding };
        let bindings = [("dy", Input(0)), ("w", Input(1)), ("dx", Output(0))];
        let grid = groups(sizes.x.plane(), sizes.x.c, sizes.x.n);
        l.dispatch((&SHADER, "backward_input"), &[], &bindings, &sizes.params(false, false, 0), grid);
    }
}

impl Operator for ConvBackwardWeight {
    fn name(&self) -> &'static str {
        "conv.backward_weight"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [x, dy] = super::arity(inputs)?;
        let w = Shape::new(dy.c, x.c, self.kernel[0], self.kernel[1]);
        check!(Conv { padding: self.padding, relu: false }.infer(&[x, w])? == [dy], "x is {x}, weight {w}, dy {dy}");
        Ok(vec![w, Shape::new(1, dy.c, 1, 1)])
    }

    fn macs(&self, inputs: &[Shape], outputs: &[Shape]) -> u64 {
        (outputs[0].c * outputs[0].plane() * inputs[1].len()) as u64
    }

    #[cfg(feature = "cpu")]
    fn workspace(&self, inputs: &[Shape], outputs: &[Shape]) -> Workspace {
        let (w, dy) = (outputs[0], inputs[1]);
        Workspace { per_thread: columns_len(w, dy.w), shared: parts(dy).0 * (w.len() + w.n) }
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], out: &mut [Out<T>], cpu: &Cpu<T>) {
        let ([x, dy], [dw, db]) = (x, out) else { unreachable!("two inputs, two outputs") };
        let (w, y, plane) = (dw.shape, dy.shape, dy.shape.plane());
        let (size, taps, depth) = (w.len(), w.plane(), w.c * w.plane());
        let (parts, each) = parts(y);
        let mut shared = cpu.shared.lock().expect("no thread panicked with the buffer");
        let partial = &mut shared[..parts * (size + y.c)];
        partial.par_chunks_mut(size + y.c).enumerate().for_each(|(part, partial)| {
            partial.fill(T::zero());
            let (pw, pb) = partial.split_at_mut(size);
            for task in part * each..((part + 1) * each).min(y.n * y.h) {
                let (n, row) = (task / y.h, task % y.h);
                let dy = &dy.image(n)[row * y.w..];
                pb.iter_mut().enumerate().for_each(|(o, pb)| *pb += sum(&dy[o * plane..][..y.w]));
                for first in (0..w.c).step_by(channels(w)) {
                    let count = channels(w).min(w.c - first);
                    cpu.with_scratch(count * taps * y.w, |columns| {
                        im2col(x, n, first..first + count, row, self.padding, (w, y.w), columns);
                        let size = (y.c, count * taps, y.w);
                        let pw = &mut pw[first * taps..];
                        product(size, pw, depth, T::one(), dy, (plane, 1), columns, (1, y.w));
                    });
                }
            }
        });
        sum_parts(partial, size + y.c);
        dw.data.copy_from_slice(&partial[..size]);
        db.data.copy_from_slice(&partial[size..][..y.c]);
    }

    fn gpu(&self, l: &mut Lowering) {
        let sizes = Sizes { x: l.inputs[0], w: l.outputs[0], y: l.inputs[1], padding: self.padding };
        let depth = sizes.w.c * sizes.taps() + 1; // and the bias
        // Enough workgroups to fill a GPU (some hundreds) where the matrix alone is not, but at least 8 pieces of 16
        // pixels for each.
        let blocks = sizes.y.c.div_ceil(64) * depth.div_ceil(64);
        let pieces = sizes.y.n * sizes.y.plane().div_ceil(16);
        let splits = 512usize.div_ceil(blocks).min(pieces.div_ceil(8));
        let params = sizes.params(false, true, splits);
        let parts = l.scratch(splits * depth * sizes.y.c);
        let weight = [("x", Input(0)), ("dy", Input(1)), ("parts", parts)];
        l.dispatch((&SHADER, "backward_weight"), &[], &weight, &params, groups(depth, sizes.y.c, splits));
        let reduce = [("parts_in", parts), ("dw", Output(0)), ("db", Output(1))];
        l.dispatch((&SHADER, "reduce_weight"), &[], &reduce, &params, Grid::Linear(depth * sizes.y.c));
    }
}

/// Rows of the matrix that lays x out for each element of the kernel, at a time.
#[cfg(feature = "cpu")]
const DEPTH: usize = 2048;
/// Parts over which a weight gradient is summed; fixed, so that the sum does not depend on the number of threads.
#[cfg(feature = "cpu")]
const PARTS: usize = 16;

/// Channels that are laid out at a time.
#[cfg(feature = "cpu")]
fn channels(w: Shape) -> usize {
    (DEPTH / w.plane()).clamp(1, w.c)
}

/// Elements of a row of y laid out.
#[cfg(feature = "cpu")]
fn columns_len(w: Shape, width: usize) -> usize {
    channels(w) * w.plane() * width
}

/// Parts of a weight gradient, and rows of dy of each.
#[cfg(feature = "cpu")]
fn parts(dy: Shape) -> (usize, usize) {
    let each = (dy.n * dy.h).div_ceil(PARTS);
    ((dy.n * dy.h).div_ceil(each), each)
}

/// columns[(i, t), j] = x[i, row + t.y - top, j + t.x - left], zero outside, for some channels i and all j of a row of y.
#[cfg(feature = "cpu")]
fn im2col<T: Real>(
    x: &In<T>,
    n: usize,
    channels: std::ops::Range<usize>,
    row: usize,
    padding: Padding,
    (w, width): (Shape, usize),
    columns: &mut [T],
) {
    let (shape, image) = (x.shape, x.image(n));
    for (k, out) in columns.chunks_exact_mut(width).enumerate() {
        let (channel, ty, tx) = (channels.start + k / w.plane(), k % w.plane() / w.w, k % w.w);
        let Some(source) = (row + ty).checked_sub(padding.top).filter(|r| *r < shape.h) else {
            out.fill(T::zero());
            continue;
        };
        let source = &image[(channel * shape.h + source) * shape.w..][..shape.w];
        // Columns j with 0 <= j + tx - left < w.
        let start = padding.left.saturating_sub(tx).min(width);
        let end = (shape.w + padding.left).saturating_sub(tx).clamp(start, width);
        out[..start].fill(T::zero());
        out[end..].fill(T::zero());
        if start < end {
            out[start..end].copy_from_slice(&source[start + tx - padding.left..][..end - start]);
        }
    }
}

/// A pointer that tasks share to write disjoint parts.
#[cfg(feature = "cpu")]
struct Shared<T>(*mut T);
// SAFETY: every task writes a row of an image that no other task touches ([`convolve`]).
#[cfg(feature = "cpu")]
unsafe impl<T> Sync for Shared<T> {}

/// y = act(conv(x, w) + bias), row by row.
#[cfg(feature = "cpu")]
fn convolve<T: Real>(
    x: In<T>,
    (w, weight): (Shape, &[T]),
    padding: Padding,
    (bias, relu): (Option<&[T]>, bool),
    y: &mut Out<T>,
    cpu: &Cpu<T>,
) {
    let (shape, plane, taps) = (y.shape, y.shape.plane(), w.plane());
    assert_eq!(y.data.len(), shape.len(), "y has its shape");
    let out = Shared(y.data.as_mut_ptr());
    let out = &out;
    (0..shape.n * shape.h).into_par_iter().for_each(|task| {
        let (n, row) = (task / shape.h, task % shape.h);
        // SAFETY: row `row` of plane o of image n is inside y.
        let target = |o: usize| unsafe { out.0.add(((n * shape.c + o) * shape.h + row) * shape.w) };
        for first in (0..w.c).step_by(channels(w)) {
            let count = channels(w).min(w.c - first);
            cpu.with_scratch(count * taps * shape.w, |columns| {
                im2col(&x, n, first..first + count, row, padding, (w, shape.w), columns);
                let (size, beta) = ((shape.c, shape.w, count * taps), if first == 0 { T::zero() } else { T::one() });
                let weight = &weight[first * taps..];
                // SAFETY: this task alone has row `row` of image n, in planes one after the other.
                unsafe { product_at(size, target(0), plane, beta, weight, (w.c * taps, 1), columns, (shape.w, 1)) };
            });
        }
        for o in 0..shape.c {
            // SAFETY: as above.
            let y = unsafe { std::slice::from_raw_parts_mut(target(o), shape.w) };
            let b = bias.map_or(T::zero(), |b| b[o]);
            for v in y {
                let pre = *v + b;
                *v = if relu && pre < T::zero() { T::zero() } else { pre };
            }
        }
    });
}
