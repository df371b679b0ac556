//! Weights of the pairs of 8-neighbours by how alike they are (Ham, Cho, Ponce 2017, equation 3): with d the squared
//! distance of the pair's features, mapped linearly so that its least and greatest value over all pairs of the picture
//! become 0 and 1 (where all are equal it stays),
//!   w = factor (exp(-bandwidth d) + floor), and times another map of weights where one is given.
//!
//! For filters only: it has no gradient.

#[cfg(feature = "cpu")]
use super::cpu::*;
use super::sums::shares;
use super::{Operator, check};
use crate::kernel::{Grid, Lowering, Operand::*, Shader};
use crate::tensor::Shape;

/// Its kernels.
pub static SHADER: Shader = Shader::new("pair_weights", include_str!("../../shaders/pair_weights.wgsl"));

/// Added to the exponential, so that no pair is quite apart.
const FLOOR: f64 = 1e-5;

/// Rows down and columns right from a pair's first pixel to its second: each pair of 8-neighbours once. The first two
/// are the pairs of 4-neighbours.
pub const PAIRS: [(usize, isize); 4] = [(0, 1), (1, 0), (1, 1), (1, -1)];

/// (features (1, 3, H, W), and other weights (1, 4, H, W) where they are factors) -> weights (1, 4, H, W) of [`PAIRS`],
/// where the first pixel is, 0 where the second is outside.
#[derive(Clone, Debug, PartialEq)]
pub struct PairWeights {
    /// Of the scaled distances; 0 makes all pairs alike.
    pub bandwidth: f64,
    /// Factor of all.
    pub factor: f64,
}

/// The pixels of a row of `w` whose neighbour so many columns right lies in the row, too.
#[cfg(feature = "cpu")]
#[inline(always)]
pub(crate) fn inside(w: usize, right: isize) -> std::ops::Range<usize> {
    (-right).max(0) as usize..(w as isize - right.max(0)) as usize
}

#[cfg(feature = "cpu")]
impl PairWeights {
    /// Writes the squared distances of row `row` with the pairs of kind `pair`, for the pixels that have one.
    #[inline(always)]
    fn distances<T: Real>(x: &[&[T]; 3], (h, w): (usize, usize), row: usize, pair: usize, d: &mut [T]) {
        let (down, right) = PAIRS[pair];
        let range = inside(w, right);
        if row + down >= h || range.is_empty() {
            return;
        }
        let from = row * w + range.start;
        let to = ((row + down) * w + range.start).wrapping_add_signed(right);
        let d = &mut d[range];
        d.fill(T::zero());
        for x in x {
            let (a, b) = (&x[from..][..d.len()], &x[to..][..d.len()]);
            d.iter_mut().zip(a).zip(b).for_each(|((d, a), b)| *d += (*a - *b) * (*a - *b));
        }
    }
}

impl Operator for PairWeights {
    fn name(&self) -> &'static str {
        "pair_weights"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        check!((1..=2).contains(&inputs.len()), "takes 1 or 2 inputs, got {}", inputs.len());
        let x = inputs[0];
        check!((x.n, x.c) == (1, 3), "features are {x}, not 1x3 channels");
        check!(inputs[1..].iter().all(|a| *a == x.with_c(4)), "features are {x}, weights {}", inputs[inputs.len() - 1]);
        Ok(vec![x.with_c(4)])
    }

    fn macs(&self, inputs: &[Shape], _: &[Shape]) -> u64 {
        inputs[0].plane() as u64 * 4 * 8
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], y: &mut [Out<T>], _: &Cpu<T>) {
        let Shape { h, w, .. } = x[0].shape;
        let features = planes::<T, 3>(&x[0], 0, 0, h * w);
        let others = x.get(1).map(|x| planes::<T, 4>(x, 0, 0, h * w));
        // Distances first, in the weights' place.
        by_pixels(&mut y[0], w, |_, first, y| {
            vectorised!({
                for (pair, y) in y.iter_mut().enumerate() {
                    // No pair: neither the least nor the greatest, and no weight.
                    y.fill(T::nan());
                    Self::distances(&features, (h, w), first / w, pair, y);
                }
            });
        });
        let extremes = |d: &[T]| {
            let found = d.iter().filter(|d| !d.is_nan());
            found.fold((T::infinity(), T::neg_infinity()), |(low, high), d| (low.min(*d), high.max(*d)))
        };
        let of_rows: Vec<(T, T)> = y[0].data.par_chunks(w).map(extremes).collect();
        let low = of_rows.iter().fold(T::infinity(), |low, of| low.min(of.0));
        let high = of_rows.iter().fold(T::neg_infinity(), |high, of| high.max(of.1));
        let (low, scale) = if high > low { (low, (high - low).recip()) } else { (T::zero(), T::one()) };
        let (bandwidth, factor, floor) = (T::of(-self.bandwidth), T::of(self.factor), T::of(FLOOR));
        by_pixels(&mut y[0], w, |_, first, y| {
            vectorised!({
                for (pair, y) in y.iter_mut().enumerate() {
                    for d in y.iter_mut() {
                        let weight = factor * ((bandwidth * ((*d - low) * scale)).fast_exp() + floor);
                        *d = if d.is_nan() { T::zero() } else { weight };
                    }
                    if let Some(others) = others {
                        y.iter_mut().zip(&others[pair][first..]).for_each(|(y, other)| *y *= *other);
                    }
                }
            });
        });
    }

    fn gpu(&self, l: &mut Lowering) {
        let Shape { h, w, .. } = l.inputs[0];
        let (parts, lanes) = shares(l.kernels, h * w);
        let (found, range) = (l.scratch(2 * parts), l.scratch(2));
        let sizes = [("h", h), ("w", w), ("parts", parts), ("lanes", lanes), ("product", l.inputs.len() - 1)];
        let numbers = [("bandwidth", self.bandwidth), ("factor", self.factor), ("floor", FLOOR)];
        let numbers = numbers.map(|(name, v)| (name, (v as f32).into()));
        let params = [&sizes.map(|(name, v)| (name, v.into()))[..], &numbers].concat();
        let groups = |n: usize| Grid::Workgroups(glam::UVec3::new(n as u32, 1, 1));
        let features = ("x", Input(0));
        l.dispatch((&SHADER, "extremes"), &[], &[features, ("found", found)], &params, groups(parts));
        l.dispatch((&SHADER, "range"), &[], &[("found_in", found), ("scale", range)], &params, groups(1));
        let other = ("other", if l.inputs.len() == 2 { Input(1) } else { Input(0) });
        let bindings = [features, ("scale_in", range), other, ("y", Output(0))];
        l.dispatch((&SHADER, "weights"), &[], &bindings, &params, Grid::Linear(h * w));
    }
}
