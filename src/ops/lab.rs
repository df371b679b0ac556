//! R'G'B' in [0, 1] (clipped) to CIE L*a*b*, by BT.709's transfer function and primaries, as the code of Ham, Cho, Ponce
//! (2017) has it.
//!
//! For filters only: it has no gradient.

#[cfg(feature = "cpu")]
use super::cpu::*;
use super::{Operator, arity, check};
use crate::kernel::{Grid, Lowering, Operand::*, Shader};
use crate::tensor::Shape;

/// Its kernels.
pub static SHADER: Shader = Shader::new("lab", include_str!("../../shaders/lab.wgsl"));

/// x (N, 3, H, W) -> L*, a*, b* of the same shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Lab;

/// X, Y, Z of red, green and blue: the inverse of the authors' matrix
/// (3.240479 -1.53715 -0.498535; -0.969256 1.875992 0.041556; 0.055648 -0.204043 1.057311).
#[cfg(feature = "cpu")]
const XYZ: [[f64; 3]; 3] = [
    [0.4124532201441614, 0.35757958129350004, 0.18042258997053548],
    [0.2126711213412183, 0.7151592053107828, 0.07216877677613244],
    [0.01933381646199075, 0.11919354020662543, 0.9502269222897066],
];
/// X, Y, Z of white.
#[cfg(feature = "cpu")]
const WHITE: [f64; 3] = [0.950456, 1.0, 1.088754];

impl Operator for Lab {
    fn name(&self) -> &'static str {
        "lab"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [x] = arity(inputs)?;
        check!(x.c == 3, "x is {x}, it must have 3 channels");
        Ok(vec![x])
    }

    fn macs(&self, inputs: &[Shape], _: &[Shape]) -> u64 {
        inputs[0].len() as u64 * 10
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], y: &mut [Out<T>], _: &Cpu<T>) {
        by_pixels(&mut y[0], CHUNK, |n, first, y| {
            let x = planes::<T, 3>(&x[0], n, first, y[0].len());
            let y: &mut [&mut [T]; 3] = y.try_into().expect("three planes");
            vectorised!(to_lab(x, y));
        });
    }

    fn gpu(&self, l: &mut Lowering) {
        let x = l.inputs[0];
        let len = x.n * x.plane();
        let params = [("plane", x.plane().into()), ("len", len.into())];
        l.dispatch((&SHADER, "lab"), &[], &[("x", Input(0)), ("y", Output(0))], &params, Grid::Linear(len));
    }
}

#[cfg(feature = "cpu")]
#[inline(always)]
fn to_lab<T: Real>(x: [&[T]; 3], y: &mut [&mut [T]; 3]) {
    let (of, len) = (T::of, x[0].len());
    let ([r, g, b], [lightness, a_star, b_star]) = (x.map(|x| &x[..len]), y.each_mut().map(|y| &mut y[..len]));
    let linear = |c: T| {
        let c = c.max(T::zero()).min(T::one());
        let linear = ((c + of(0.099)) / of(1.099)).fast_power(of(1.0 / 0.45));
        if linear < of(0.018) { c / of(4.5138) } else { linear }
    };
    // Below the cube root's part it is not looked at.
    let curve = |t: T| {
        let root = t.max(of(0.008)).fast_power(of(1.0 / 3.0));
        if t < of(0.008856) { t * of(841.0 / 108.0) + of(4.0 / 29.0) } else { root }
    };
    for i in 0..len {
        let (r, g, b) = (linear(r[i]), linear(g[i]), linear(b[i]));
        let of_white = |row: usize| (of(XYZ[row][0]) * r + of(XYZ[row][1]) * g + of(XYZ[row][2]) * b) / of(WHITE[row]);
        let (x, y, z) = (curve(of_white(0)), curve(of_white(1)), curve(of_white(2)));
        lightness[i] = of(116.0) * y - of(16.0);
        a_star[i] = of(500.0) * (x - y);
        b_star[i] = of(200.0) * (y - z);
    }
}
