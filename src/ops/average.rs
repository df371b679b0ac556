//! A moving average of the weights over the steps of a training run: a += rest (w - a), rest = 1 - decay
//! (Polyak & Juditsky, as an exponential average).
//!
//! `rest` may change from step to step: [`crate::kernel::RunParams::average`].

#[cfg(feature = "cpu")]
use super::cpu::*;
use super::{Operator, arity};
use crate::kernel::{Grid, Lowering, Operand::*, Shader};
use crate::tensor::Shape;

/// Its kernels.
pub static SHADER: Shader = Shader::new("average", include_str!("../../shaders/average.wgsl"));

/// weights, updating their average in place.
#[derive(Clone, Debug, PartialEq)]
pub struct Average;

impl Operator for Average {
    fn name(&self) -> &'static str {
        "average"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [_] = arity(inputs)?;
        Ok(vec![])
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], y: &mut [Out<T>], cpu: &Cpu<T>) {
        let rest = T::of(cpu.run.average.into());
        (y[0].data.par_chunks_mut(CHUNK)).zip(x[0].data.par_chunks(CHUNK)).for_each(|(a, w)| {
            a.iter_mut().zip(w).for_each(|(a, w)| *a += rest * (*w - *a));
        });
    }

    fn gpu(&self, l: &mut Lowering) {
        let len = l.inputs[0].len();
        l.dispatch(
            (&SHADER, "average"),
            &[],
            &[("w", Input(0)), ("a", Output(0))],
            &[("len", len.into())],
            Grid::Linear(len),
        );
    }
}
