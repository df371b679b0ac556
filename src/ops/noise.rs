//! Gaussian noise in z's place.
use super::{Cpu, In, Operator, Out, Real, arity};
use crate::kernel::{Grid, Lowering, Operand::*};
use crate::tensor::Shape;

/// () -> noise of a shape, times [`crate::kernel::Globals::noise_scale`].
#[derive(Clone, Debug, PartialEq)]
pub struct Noise {
    /// (N, C, h, w).
    pub shape: Shape,
}

impl Operator for Noise {
    fn name(&self) -> &'static str {
        "noise"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [] = arity(inputs)?;
        Ok(vec![self.shape])
    }

    fn cpu<T: Real>(&self, _: &[In<T>], y: &mut [Out<T>], cpu: &Cpu<T>) {
        assert_eq!(cpu.globals.noise_scale, 0.0);
        y[0].data.fill(T::zero());
    }

    fn gpu(&self, l: &mut Lowering) {
        let s = self.shape;
        l.dispatch(
            ("noise", "noise"),
            &[],
            &[("y", Output(0))],
            &[("n", s.n.into()), ("c", s.c.into()), ("h", s.h.into()), ("w", s.w.into())],
            Grid::Linear(s.len()),
        );
    }
}
