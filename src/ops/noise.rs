//! Gaussian noise in z's place: noise_scale times a standard normal number keyed by (seed, image, channel, row, column),
//! where row and column count from the image's corner ([`crate::kernel::Globals::origin`]): independent of the tiling,
//! the order and the device.
//!
//! Philox4x32-10 makes the bits, Box-Muller the number: see the shader, whose integer part this repeats exactly and whose
//! logarithm and cosine it takes from f64.

use super::{Cpu, In, Operator, Out, Real, arity};
use crate::kernel::{Grid, Lowering, Operand::*};
use crate::tensor::Shape;
use rayon::prelude::*;
use std::f64::consts::TAU;

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
        let Shape { c, h, w, .. } = self.shape;
        let globals = cpu.globals;
        if globals.noise_scale == 0.0 {
            return y[0].data.fill(T::zero());
        }
        let [y0, x0] = globals.origin;
        y[0].data.par_chunks_mut(w).enumerate().for_each(|(i, line)| {
            let (row, channel, image) = (y0 + (i % h) as u32, (i / h % c) as u32, (i / h / c) as u32);
            for (column, y) in (x0..).zip(line) {
                *y = T::of(f64::from(globals.noise_scale) * normal([column, row, channel, image], globals.seed));
            }
        });
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

/// A standard normal number.
fn normal(counter: [u32; 4], seed: [u32; 2]) -> f64 {
    let [a, b, ..] = philox(counter, seed);
    let unit = f64::from((a >> 8) + 1) / f64::from(1 << 24);
    let turn = f64::from(b >> 8) / f64::from(1 << 24);
    (-2.0 * unit.ln()).sqrt() * (turn * TAU).cos()
}

/// Philox4x32-10 (Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3").
fn philox(mut c: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..10 {
        let (a, b) = (0xD251_1F53 * u64::from(c[0]), 0xCD9E_8D57 * u64::from(c[2]));
        c = [(b >> 32) as u32 ^ c[1] ^ key[0], b as u32, (a >> 32) as u32 ^ c[3] ^ key[1], a as u32];
        key = [key[0].wrapping_add(0x9E37_79B9), key[1].wrapping_add(0xBB67_AE85)];
    }
    c
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn philox_gives_its_authors_known_answers() {
        assert_eq!(philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        let ones = [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd];
        assert_eq!(philox([u32::MAX; 4], [u32::MAX; 2]), ones);
    }
}
