//! Running statistics of a batch normalisation, by which it works at test time: after each step `running = KEEP running +
//! (1 - KEEP) batch`. No gradient flows through them.

#[cfg(feature = "cpu")]
use super::cpu::*;
use super::{Operator, arity, check};
use crate::kernel::{Grid, Lowering, Operand::*, Shader};
use crate::tensor::Shape;

/// Share that a step keeps.
pub const KEEP: f64 = 0.9;

/// stats of a [`super::batch_norm::BatchNorm`], updating running_mean (C) and running_var (C).
#[derive(Clone, Debug, PartialEq)]
pub struct RunningStats {
    /// Factor of the variance: n / (n - 1), as PyTorch has it, or 1, as TensorFlow.
    pub correction: f64,
}

/// Its kernel.
pub static SHADER: Shader = Shader::new("running_stats", include_str!("../../shaders/running_stats.wgsl"));

impl Operator for RunningStats {
    fn name(&self) -> &'static str {
        "running_stats"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [stats] = arity(inputs)?;
        check!((stats.n, stats.c, stats.h) == (1, 3, 1), "stats are {stats}, not of three rows");
        Ok(vec![])
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], out: &mut [Out<T>], _: &Cpu<T>) {
        let [mean, var] = out else { unreachable!("two updates") };
        let c = mean.data.len();
        let (keep, rest) = (T::of(KEEP), T::of(1.0 - KEEP));
        for i in 0..c {
            mean.data[i] = keep * mean.data[i] + rest * x[0].data[i];
            var.data[i] = keep * var.data[i] + rest * T::of(self.correction) * x[0].data[2 * c + i];
        }
    }

    fn gpu(&self, l: &mut Lowering) {
        let c = l.inputs[0].w;
        let params = [
            ("c", c.into()),
            ("keep", (KEEP as f32).into()),
            ("rest", ((1.0 - KEEP) as f32).into()),
            ("rest_of_var", (((1.0 - KEEP) * self.correction) as f32).into()),
        ];
        let bindings = [("stats", Input(0)), ("running_mean", Output(0)), ("running_var", Output(1))];
        l.dispatch((&SHADER, "running"), &[], &bindings, &params, Grid::Linear(c));
    }
}
