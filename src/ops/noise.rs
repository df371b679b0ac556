//! Gaussian noise in z's place: y[n, c, i, j] = scale z(seed; n0 + n, c, y0 + i, j), with the slab's first row y0 in
//! the image, and the first image's number n0 in the batch. Counter-based, so that a value depends on its place in the
//! batch only: not on slab, thread or device.
//!
//! Philox4x32-10 (Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3") with the counter (column, row, channel,
//! image) and the seed as key gives four words, the first two of which Box-Muller turns into
//! z = sqrt(-2 ln(v / 2^24)) cos(2 pi t / 2^24), v = (c0 >> 8) + 1, t = c1 >> 8. The integers are exact everywhere;
//! logarithm and cosine are short polynomials after an exact range reduction, because WGSL's own may differ from driver
//! to driver. What is left between two devices is a few roundings.

#[cfg(feature = "cpu")]
use super::cpu::*;
use super::{Operator, arity};
#[cfg(feature = "cpu")]
use crate::kernel::RunParams;
use crate::kernel::{Grid, Lowering, Operand::*, Shader};
use crate::tensor::Shape;

/// Its kernels.
pub static SHADER: Shader = Shader::new("noise", include_str!("../../shaders/noise.wgsl"));

/// () -> noise of a shape, times [`crate::kernel::RunParams::noise_scale`].
#[derive(Clone, Debug, PartialEq)]
pub struct Noise {
    /// (N, C, h, w).
    pub shape: Shape,
    /// Row of the image in which its first row lies, where it is a part of the image's noise.
    pub first_row: usize,
    /// Number in the batch of its first image, where it is a part of the batch's noise.
    pub first_image: usize,
}

/// Philox4x32-10: ten rounds over a counter of four words with a key of two.
#[cfg(feature = "cpu")]
fn philox(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let wide = |a: u32, b: u32| {
        let product = u64::from(a) * u64::from(b);
        ((product >> 32) as u32, product as u32)
    };
    let (mut c, mut k) = (counter, key);
    for _ in 0..10 {
        let ((high0, low0), (high1, low1)) = (wide(0xD251_1F53, c[0]), wide(0xCD9E_8D57, c[2]));
        c = [high1 ^ c[1] ^ k[0], low1, high0 ^ c[3] ^ k[1], low0];
        k = [k[0].wrapping_add(0x9E37_79B9), k[1].wrapping_add(0xBB67_AE85)];
    }
    c
}

/// ln(v / 2^24) for v in 1..=2^24: v = m 2^k with m in (1/sqrt 2, sqrt 2], ln m = 2 atanh(s), s = (m - 1) / (m + 1).
#[cfg(feature = "cpu")]
fn log_unit<T: Real>(v: u32) -> T {
    let bits = (v as f32).to_bits(); // exact
    let mut k = (bits >> 23) as i32 - 127 - 24;
    let mut m = f32::from_bits((bits & 0x7f_ffff) | 0x3f80_0000);
    if m > std::f32::consts::SQRT_2 {
        m *= 0.5;
        k += 1;
    }
    let m = T::of(m.into());
    let s = (m - T::one()) / (m + T::one());
    let q = s * s;
    let series = q * horner(q, [1.0 / 3.0, 1.0 / 5.0, 1.0 / 7.0, 1.0 / 9.0]);
    let two = T::of(2.0);
    T::of(k.into()) * T::of(std::f64::consts::LN_2) + (two * s + two * s * series)
}

/// cos(2 pi t / 2^24) for t in 0..2^24: the quadrant q, and Taylor series of the rest in [-pi/4, pi/4).
#[cfg(feature = "cpu")]
fn cos_turn<T: Real>(t: u32) -> T {
    let q = ((t + 0x20_0000) >> 22) & 3;
    let r = ((t + 0x20_0000) & 0x3f_ffff) as i32 - 0x20_0000;
    let a = T::of(r.into()) * T::of(std::f64::consts::TAU / f64::from(1 << 24));
    let b = a * a;
    let value = match q & 1 {
        0 => T::one() + b * horner(b, [-1.0 / 2.0, 1.0 / 24.0, -1.0 / 720.0, 1.0 / 40_320.0]),
        _ => a + a * b * horner(b, [-1.0 / 6.0, 1.0 / 120.0, -1.0 / 5_040.0, 1.0 / 362_880.0]),
    };
    if q == 1 || q == 2 { -value } else { value }
}

/// c0 + c1 x + c2 x^2 + c3 x^3
#[cfg(feature = "cpu")]
fn horner<T: Real>(x: T, c: [f64; 4]) -> T {
    let [c0, c1, c2, c3] = c.map(T::of);
    c0 + x * (c1 + x * (c2 + x * c3))
}

/// Standard normal noise at a place of the image.
#[cfg(feature = "cpu")]
fn normal<T: Real>(seed: [u32; 2], image: u32, channel: u32, row: u32, column: u32) -> T {
    let [u, t, ..] = philox([column, row, channel, image], seed);
    (T::of(-2.0) * log_unit((u >> 8) + 1)).sqrt() * cos_turn(t >> 8)
}

impl Operator for Noise {
    fn name(&self) -> &'static str {
        "noise"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [] = arity(inputs)?;
        Ok(vec![self.shape])
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, _: &[In<T>], y: &mut [Out<T>], cpu: &Cpu<T>) {
        let RunParams { seed, noise_scale, .. } = *cpu.run;
        if noise_scale == 0.0 {
            return y[0].data.fill(T::zero());
        }
        let (c, w, scale) = (self.shape.c, self.shape.w, T::of(noise_scale.into()));
        y[0].data.par_chunks_mut(self.shape.plane()).enumerate().for_each(|(plane, y)| {
            let (image, channel) = ((self.first_image + plane / c) as u32, (plane % c) as u32);
            for (row, y) in (self.first_row as u32..).zip(y.chunks_exact_mut(w)) {
                for (column, y) in (0u32..).zip(y) {
                    *y = scale * normal(seed, image, channel, row, column);
                }
            }
        });
    }

    fn gpu(&self, l: &mut Lowering) {
        let s = self.shape;
        l.dispatch(
            (&SHADER, "noise"),
            &[],
            &[("y", Output(0))],
            &[
                ("n", s.n.into()),
                ("c", s.c.into()),
                ("h", s.h.into()),
                ("w", s.w.into()),
                ("first_row", self.first_row.into()),
                ("first_image", self.first_image.into()),
            ],
            Grid::Linear(s.len()),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::CpuExecutor;
    use crate::graph::Layout;
    use crate::ops::Graph;

    fn noise<T: Real>(shape: Shape, first_row: usize, run: &RunParams) -> Vec<T> {
        let mut graph = Graph::new(Layout::default());
        let y = graph.apply1("noise", Noise { shape, first_row, first_image: 0 }, &[]).unwrap();
        graph.output(y);
        let mut exec = CpuExecutor::<T>::new(graph).unwrap();
        exec.poison();
        exec.run(run);
        exec.get(y).to_vec()
    }

    const RUN_PARAMS: RunParams = RunParams {
        seed: [0x1234_5678, 0x9abc_def0],
        noise_scale: 1.0,
        clip: f32::INFINITY,
        learning_rate: 0.0,
        correction1: 1.0,
        correction2: 1.0,
        average: 0.0,
    };

    #[test]
    fn philox_gives_its_authors_known_answers() {
        assert_eq!(philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(philox([u32::MAX; 4], [u32::MAX; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        let (counter, key) = ([0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0]);
        assert_eq!(philox(counter, key), [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]);
    }

    #[test]
    fn the_polynomials_are_logarithm_and_cosine() {
        let ends = [1, 2, 3, (1 << 24) - 1, 1 << 24].into_iter();
        for v in ends.chain((0..100_000).map(|i| 1 + i * 167)) {
            let (got, want) = (log_unit::<f64>(v), (f64::from(v) / f64::from(1 << 24)).ln());
            assert!((got - want).abs() <= 3e-9 * want.abs(), "ln {v}: {got}, {want}");
        }
        for t in (0..100_000).map(|i| i * 167).chain([(1 << 24) - 1]) {
            let (got, want) = (cos_turn::<f64>(t), (std::f64::consts::TAU * f64::from(t) / f64::from(1 << 24)).cos());
            assert!((got - want).abs() <= 4e-8, "cos {t}: {got}, {want}");
        }
    }

    #[test]
    fn moments_are_those_of_a_normal_distribution() {
        let y = noise::<f64>(Shape::new(2, 9, 101, 103), 1000, &RUN_PARAMS);
        let moment = |k: i32| y.iter().map(|v| v.powi(k)).sum::<f64>() / y.len() as f64;
        // Four standard errors.
        let root = (y.len() as f64).sqrt();
        for (k, want, deviation) in [(1, 0.0, 1.0), (2, 1.0, 2f64), (3, 0.0, 15.0), (4, 3.0, 96.0)] {
            let (got, bound) = (moment(k), 4.0 * deviation.sqrt() / root);
            assert!((got - want).abs() < bound, "moment {k}: {got}, want {want} within {bound}");
        }
        // Neighbours in every direction are independent.
        for distance in [1, 103, 101 * 103, 9 * 101 * 103] {
            let correlation = y.iter().zip(&y[distance..]).map(|(a, b)| a * b).sum::<f64>() / y.len() as f64;
            assert!(correlation.abs() < 4.0 / root, "distance {distance}: {correlation}");
        }
    }

    #[test]
    fn a_slab_has_the_noise_of_its_place_in_the_image() {
        let (whole, part, top) = (Shape::new(2, 3, 13, 17), Shape::new(2, 3, 5, 17), 6);
        let all = noise::<f32>(whole, 1000, &RUN_PARAMS);
        let slab = noise::<f32>(part, 1000 + top, &RUN_PARAMS);
        for (i, v) in slab.iter().enumerate() {
            let (plane, row, column) = (i / part.plane(), i / part.w % part.h, i % part.w);
            assert_eq!(*v, all[(plane * whole.h + top + row) * whole.w + column], "{plane} {row} {column}");
        }
        let mut graph = Graph::new(Layout::default());
        let second = Noise { shape: Shape::new(1, 3, 13, 17), first_row: 1000, first_image: 1 };
        let y = graph.apply1("noise", second, &[]).unwrap();
        graph.output(y);
        let mut exec = CpuExecutor::<f32>::new(graph).unwrap();
        exec.run(&RUN_PARAMS);
        assert_eq!(exec.get(y), &all[all.len() / 2..], "an image has the noise of its number");
        let seed = [RUN_PARAMS.seed[0], RUN_PARAMS.seed[1] ^ 1];
        let other = noise::<f32>(part, 1000 + top, &RunParams { seed, ..RUN_PARAMS });
        assert!(other.iter().zip(&slab).all(|(a, b)| a != b), "another seed, other noise");
    }

    #[test]
    fn the_scale_is_a_factor_and_scale_0_is_exactly_0() {
        let shape = Shape::new(1, 3, 5, 7);
        let one = noise::<f64>(shape, 1000, &RUN_PARAMS);
        let half = noise::<f64>(shape, 1000, &RunParams { noise_scale: 0.5, ..RUN_PARAMS });
        assert!(one.iter().zip(&half).all(|(a, b)| a * 0.5 == *b));
        let none = noise::<f64>(shape, 1000, &RunParams { noise_scale: 0.0, ..RUN_PARAMS });
        assert!(none.iter().all(|v| v.to_bits() == 0));
    }
}
