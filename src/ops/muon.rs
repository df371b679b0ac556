//! Muon (Jordan et al. 2024) on matrices in the flat array of all parameters: where Adam divides each element of the moment
//! by its own size, this makes the moment orthogonal as a whole. With g = gradient times the clip factor:
//! m = beta m + (1 - beta) g, u = beta m + (1 - beta) g (Nesterov), X = u / |u|_2, five times
//! X = (a + b X X^T + c (X X^T)^2) X, which brings the singular values of X from 0.002 on near 1 (0.68 to 1.21), and
//! w -= rate scale sqrt(columns) X.
//!
//! An element of X is about 1 / sqrt(columns) in size, so that one of w changes by about rate times scale. A weight of
//! (outputs, inputs, 3, 3) is a matrix of `outputs` rows and 9 `inputs` columns.

#[cfg(feature = "cpu")]
use super::cpu::*;
use super::{Operator, arity, check};
use crate::graph::Layout;
use crate::kernel::{Grid, Lowering, Operand::*, Shader};
use crate::tensor::Shape;
use glam::uvec3;
use std::ops::{Range, RangeInclusive};

/// Its kernel.
pub static SHADER: Shader = Shader::new("muon", include_str!("../../shaders/muon.wgsl"));

/// a, b and c (Jordan et al.): steep at 0.
const POLYNOMIAL: [f64; 3] = [3.4445, -4.7750, 2.0315];
/// How often it is applied.
const TIMES: usize = 5;
/// Keeps the quotient finite where a gradient is 0.
const EPS: f64 = 1e-20;

/// A matrix in the flat array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Matrix {
    /// First element.
    pub offset: usize,
    /// Rows; at most half as many as columns, which the kernel's working memory asks for.
    pub rows: usize,
    /// Columns.
    pub columns: usize,
}

impl Matrix {
    /// Channels of either side of a convolution that is one. Fewer, a picture's, are Adam's; more are too much for the one
    /// workgroup that a matrix gets (256 to 256: 1.6 thousand million multiply-adds).
    pub const CHANNELS: RangeInclusive<usize> = 16..=256;

    /// The matrices of a layout: weights of 3x3 convolutions between many channels.
    pub fn of(layout: &Layout) -> Vec<Matrix> {
        let is_one = |dims: &[usize]| match *dims {
            [outputs, inputs, 3, 3] => {
                [outputs, inputs].iter().all(|side| Self::CHANNELS.contains(side)) && 2 * outputs <= 9 * inputs
            }
            _ => false,
        };
        let entries = layout.entries().iter().filter(|entry| is_one(&entry.dims));
        entries.map(|entry| Matrix { offset: entry.offset, rows: entry.dims[0], columns: entry.fan_in() }).collect()
    }

    /// Its elements in the flat array.
    pub fn range(&self) -> Range<usize> {
        self.offset..self.offset + self.rows * self.columns
    }

    /// Elements of working memory on the CPU: X and the next, X X^T and its polynomial.
    fn work(&self) -> usize {
        2 * self.rows * (self.rows + self.columns)
    }
}

/// (gradient, (norm, factor), [`Muon::table`]), updating the parameters and the moment in place, of its matrices alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Muon {
    /// The matrices, in the order of their places.
    pub matrices: Vec<Matrix>,
    /// Decay of the moment.
    pub beta: f64,
    /// How far an element goes, of the learning rate.
    pub scale: f64,
}

impl Muon {
    /// Muon for these matrices.
    pub fn new(matrices: Vec<Matrix>) -> Muon {
        Muon { matrices, beta: 0.95, scale: 0.7 }
    }

    /// What the kernel reads of the matrices, a constant of the graph: place, rows and columns of each.
    pub fn table(&self) -> (Shape, Vec<f64>) {
        let rows = self.matrices.iter().flat_map(|m| [m.offset, m.rows, m.columns].map(|v| v as f64));
        (Shape::new(1, 1, self.matrices.len(), 3), rows.collect())
    }
}

impl Operator for Muon {
    fn name(&self) -> &'static str {
        "muon"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [grad, clip, table] = arity(inputs)?;
        check!(clip.len() == 2, "the clip is {clip}, not a norm and a factor");
        check!(!self.matrices.is_empty() && table == self.table().0, "the table is {table}, not one of the matrices");
        // The table's numbers are of f32.
        check!(grad.len() <= 1 << 24, "{} parameters are more than {}", grad.len(), 1 << 24);
        let mut end = 0;
        for matrix in &self.matrices {
            let Matrix { offset, rows, columns } = *matrix;
            check!(rows > 0 && 2 * rows <= columns, "a matrix of {rows}x{columns} has too few columns");
            check!(offset >= end && matrix.range().end <= grad.len(), "a matrix at {offset} is out of place");
            end = matrix.range().end;
        }
        Ok(vec![])
    }

    fn workspace(&self, _inputs: &[Shape], _outputs: &[Shape]) -> super::Workspace {
        super::Workspace { per_thread: 0, shared: self.matrices.iter().map(Matrix::work).sum() }
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], y: &mut [Out<T>], cpu: &Cpu<T>) {
        let (grad, factor) = (x[0].data, x[1].data[1]);
        let [w, m] = y else { unreachable!("two arrays to update") };
        let mut shared = cpu.shared.lock().expect("no thread panicked with the buffer");
        // Each matrix's parts of the weights, the moment and the working memory.
        let mut rest = (&mut w.data[..], &mut m.data[..], &mut shared[..]);
        let mut tasks = vec![];
        let mut end = 0;
        for matrix in &self.matrices {
            let Range { start, end: next } = matrix.range();
            let (w, m) = (&mut rest.0[start - end..], &mut rest.1[start - end..]);
            let ((w, w_rest), (m, m_rest)) = (w.split_at_mut(next - start), m.split_at_mut(next - start));
            let (work, work_rest) = rest.2.split_at_mut(matrix.work());
            tasks.push((matrix, w, m, work));
            (rest, end) = ((w_rest, m_rest, work_rest), next);
        }
        let (beta, alpha) = (T::of(self.beta), T::of(1.0 - self.beta));
        let rate = T::of(cpu.run.learning_rate.into()) * T::of(self.scale);
        tasks.into_par_iter().for_each(|(matrix, w, m, work)| {
            let (x, rest) = work.split_at_mut(w.len());
            for ((x, m), g) in x.iter_mut().zip(m).zip(&grad[matrix.range()]) {
                let g = *g * factor;
                *m = beta * *m + alpha * g;
                *x = beta * *m + alpha * g;
            }
            orthogonalise(matrix, x, rest);
            let step = rate * T::of(matrix.columns as f64).sqrt();
            for (w, x) in w.iter_mut().zip(x) {
                *w -= step * *x;
            }
        });
    }

    fn gpu(&self, l: &mut Lowering) {
        let len = l.inputs[0].len();
        let work = l.scratch(3 * len);
        let [a, b, c] = POLYNOMIAL.map(|v| v as f32);
        l.dispatch(
            (&SHADER, "muon"),
            &[],
            &[
                ("grad", Input(0)),
                ("clip", Input(1)),
                ("table", Input(2)),
                ("w", Output(0)),
                ("m", Output(1)),
                ("work", work),
            ],
            &[
                ("len", len.into()),
                ("times", TIMES.into()),
                ("beta", (self.beta as f32).into()),
                ("rest", ((1.0 - self.beta) as f32).into()),
                ("scale", (self.scale as f32).into()),
                ("a", a.into()),
                ("b", b.into()),
                ("c", c.into()),
                ("eps", (EPS as f32).into()),
            ],
            Grid::Workgroups(uvec3(self.matrices.len() as u32, 1, 1)),
        );
    }
}

/// Brings the singular values of `x`, a matrix, near 1; `work` is the rest of [`Matrix::work`].
#[cfg(feature = "cpu")]
fn orthogonalise<T: Real>(matrix: &Matrix, x: &mut [T], work: &mut [T]) {
    let Matrix { rows, columns, .. } = *matrix;
    let [a, b, c] = POLYNOMIAL.map(T::of);
    let (next, squares) = work.split_at_mut(x.len());
    let (square, polynomial) = squares.split_at_mut(rows * rows);
    let inverse = T::one() / (dot(x, x).sqrt() + T::of(EPS));
    x.iter_mut().for_each(|x| *x *= inverse);
    for _ in 0..TIMES {
        // square = X X^T, polynomial = b square + c square^2, next = a X + polynomial X
        product((rows, rows, columns), square, rows, T::zero(), x, (columns, 1), x, (1, columns));
        product((rows, rows, rows), polynomial, rows, T::zero(), square, (rows, 1), square, (rows, 1));
        for (p, s) in polynomial.iter_mut().zip(&*square) {
            *p = b * *s + c * *p;
        }
        next.copy_from_slice(x);
        product((rows, columns, rows), next, columns, a, polynomial, (rows, 1), x, (columns, 1));
        x.copy_from_slice(next);
    }
}
