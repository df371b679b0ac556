//! The norm of the whole gradient and the factor that clips it:
//! norm = |g|_2, factor = min(1, clip / (norm + 1e-6)), as PyTorch's `clip_grad_norm_`.

#[cfg(feature = "cpu")]
use super::cpu::*;
use super::sums::{self, SUMS};
use super::{Operator, arity};
use crate::kernel::{Lowering, Operand::*, Shader};
use crate::tensor::Shape;

/// Its kernels.
pub static SHADER: Shader =
    Shader { prelude: SUMS, ..Shader::new("grad_norm", include_str!("../../shaders/grad_norm.wgsl")) };

/// flat gradient -> (norm, factor). The clip is [`crate::kernel::RunParams::clip`].
#[derive(Clone, Debug, PartialEq)]
pub struct GradNorm;

impl Operator for GradNorm {
    fn name(&self) -> &'static str {
        "grad_norm"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [_] = arity(inputs)?;
        Ok(vec![Shape::new(1, 1, 1, 2)])
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], y: &mut [Out<T>], cpu: &Cpu<T>) {
        let parts: Vec<T> = x[0].data.par_chunks(CHUNK).map(|g| dot(g, g)).collect();
        let norm = sum(&parts).sqrt();
        let factor = T::of(cpu.run.clip.into()) / (norm + T::of(1e-6));
        y[0].data[0] = norm;
        // A NaN norm must not become a factor of 1, as `min` would have it.
        y[0].data[1] = if factor > T::one() { T::one() } else { factor };
    }

    fn gpu(&self, l: &mut Lowering) {
        let len = l.inputs[0].len();
        let parts = sums::parts(len, 16);
        let params = [("len", len.into()), ("parts", parts.into())];
        sums::lower(l, (&SHADER, ["partial", "total"]), parts, &[("grad", Input(0))], ("clip", 0), &params);
    }
}
