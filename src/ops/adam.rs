//! Adam (Kingma & Ba), as PyTorch has it, on the flat arrays of all parameters: g = gradient times the clip factor,
//! m = beta1 m + (1 - beta1) g, v = beta2 v + (1 - beta2) g^2,
//! w -= rate (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps).
//!
//! The rate and the two bias corrections change from step to step: [`crate::kernel::RunParams`].

#[cfg(feature = "cpu")]
use super::cpu::*;
use super::{Operator, arity, check};
use crate::kernel::{Grid, Lowering, Operand::*, Shader};
use crate::tensor::Shape;
use std::ops::Range;

/// Its kernels.
pub static SHADER: Shader = Shader::new("adam", include_str!("../../shaders/adam.wgsl"));

/// (gradient, (norm, factor)), updating the parameters and both moments in place.
#[derive(Clone, Debug, PartialEq)]
pub struct Adam {
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Keeps the quotient finite.
    pub eps: f64,
    /// Elements that it leaves as they are, another optimiser's: ranges, in order.
    pub without: Vec<Range<usize>>,
}

impl Adam {
    /// The ranges of `len` elements that it updates.
    fn ranges(&self, len: usize) -> Vec<Range<usize>> {
        let begins = std::iter::once(0).chain(self.without.iter().map(|range| range.end));
        let ends = self.without.iter().map(|range| range.start).chain([len]);
        begins.zip(ends).map(|(begin, end)| begin..end).filter(|range| !range.is_empty()).collect()
    }
}

impl Default for Adam {
    fn default() -> Self {
        Adam { beta1: 0.9, beta2: 0.999, eps: 1e-8, without: vec![] }
    }
}

impl Operator for Adam {
    fn name(&self) -> &'static str {
        "adam"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [grad, clip] = arity(inputs)?;
        check!(clip.len() == 2, "the clip is {clip}, not a norm and a factor");
        let order = self.without.iter().flat_map(|range| [range.start, range.end]).chain([grad.len()]);
        check!(order.is_sorted(), "the ranges {:?} of {} are not in order", self.without, grad.len());
        Ok(vec![])
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], y: &mut [Out<T>], cpu: &Cpu<T>) {
        let (grad, factor) = (x[0].data, x[1].data[1]);
        let [w, m, v] = y else { unreachable!("three arrays to update") };
        let (b1, b2, eps) = (T::of(self.beta1), T::of(self.beta2), T::of(self.eps));
        // Not 1 - b in T: in f32 that loses half of the digits of 1 - 0.999.
        let (a1, a2) = (T::of(1.0 - self.beta1), T::of(1.0 - self.beta2));
        let rate = T::of(cpu.run.learning_rate.into());
        let (c1, c2) = (T::of(cpu.run.correction1.into()), T::of(cpu.run.correction2.into()));
        for range in self.ranges(grad.len()) {
            (w.data[range.clone()].par_chunks_mut(CHUNK))
                .zip(m.data[range.clone()].par_chunks_mut(CHUNK))
                .zip(v.data[range.clone()].par_chunks_mut(CHUNK))
                .zip(grad[range].par_chunks(CHUNK))
                .for_each(|(((w, m), v), grad)| {
                    for (((w, m), v), g) in w.iter_mut().zip(m).zip(v).zip(grad) {
                        let g = *g * factor;
                        *m = b1 * *m + a1 * g;
                        *v = b2 * *v + a2 * g * g;
                        *w -= rate * (*m / c1) / ((*v / c2).sqrt() + eps);
                    }
                });
        }
    }

    fn gpu(&self, l: &mut Lowering) {
        for range in self.ranges(l.inputs[0].len()) {
            l.dispatch(
                (&SHADER, "adam"),
                &[],
                &[("grad", Input(0)), ("clip", Input(1)), ("w", Output(0)), ("m", Output(1)), ("v", Output(2))],
                &[
                    ("first", range.start.into()),
                    ("end", range.end.into()),
                    ("beta1", (self.beta1 as f32).into()),
                    ("rest1", ((1.0 - self.beta1) as f32).into()),
                    ("beta2", (self.beta2 as f32).into()),
                    ("rest2", ((1.0 - self.beta2) as f32).into()),
                    ("eps", (self.eps as f32).into()),
                ],
                Grid::Linear(range.len()),
            );
        }
    }
}
