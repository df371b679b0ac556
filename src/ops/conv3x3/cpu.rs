//! The convolution on the CPU. In f32 by Winograd's method, or directly where one side has few channels; in f64, the
//! oracle of the tests, by matrix products that share no code with those.

mod cell;
mod direct;
mod products;
mod weight;
mod winograd;

use super::super::{Cpu, In, Out, Real, Workspace};
use crate::tensor::Shape;
use cell::{Epilogue, SharedMap};
use pulp::Arch;
use std::any::TypeId;

pub(super) use products::transpose;

/// Fewest channels of either side for Winograd's method. On 256x192, 2 cores of Zen 5: 9 -> 64 in 0.96 ms, directly
/// 1.31; 67 -> 9 in 1.11, directly 1.43; 3 -> 64 in 0.78, directly 0.61; 73 -> 3 in 0.90, directly 0.68.
const WIDE: usize = 9;

/// Fewest channels of the side that has more. A choice for exactness, not for time: Winograd is faster below, too (16
/// -> 16 in 0.34 ms, directly 0.51; gradient of the weights 0.58, by matrix products 1.34), but its errors are twice
/// and four times as large, and the fixture of 16 features and 3 blocks was then off by 7.9e-5 of a weight after its
/// training steps (6.8e-6 without Winograd). The fixture of 32 features is off by 4.8e-6 after training (7.6e-6 without
/// Winograd). So are 13 of 14 like it from other seeds, by 1.6e-5 at most; one is off by 9.1e-5 (4.1e-6 without), for a
/// LeakyReLU whose input, 1.7e-7 of the largest, gets the other sign.
const WIDEST: usize = 32;

/// Tells whether the convolution is Winograd's.
fn is_wide(c_in: usize, c_out: usize) -> bool {
    c_in.min(c_out) >= WIDE && c_in.max(c_out) >= WIDEST
}

/// Tells whether the gradient of the weights is Winograd's. On 256x192: 3 -> 64 in 1.30 ms, by matrix products 0.81; 9
/// -> 64 in 1.57, products 2.04; 73 -> 3 in 1.78, products 2.88; 67 -> 9 in 2.51, products 4.23.
fn weight_is_wide(c_in: usize, c_out: usize) -> bool {
    c_in >= WIDE && c_in.max(c_out) >= WIDEST
}

/// Tells whether a map is so small that its cells are mostly empty. Then matrix products, which have none, are faster.
///
/// The gradient of the weights of such a map has many elements that are exactly 0, as few pixels meet and ReLU makes
/// zeros. Winograd's method makes rounding errors of them, and Adam makes steps of those, as large as any others: the
/// fixtures of the U-nets were off by 3e-3 of a weight.
fn is_small(map: Shape) -> bool {
    5 * map.n * map.plane() < 2 * cell::count(map) * cell::ROWS * cell::COLUMNS
}

/// The values, where T is f32.
fn as_f32<T: Real>(values: &[T]) -> Option<&[f32]> {
    (TypeId::of::<T>() == TypeId::of::<f32>()).then(|| bytemuck::cast_slice(values))
}

/// The values, where T is f32.
fn as_f32_mut<T: Real>(values: &mut [T]) -> Option<&mut [f32]> {
    (TypeId::of::<T>() == TypeId::of::<f32>()).then(|| bytemuck::cast_slice_mut(values))
}

/// The map, where T is f32.
fn map_as_f32<'a, T: Real>(map: &In<'a, T>) -> In<'a, f32> {
    In { shape: map.shape, data: as_f32(map.data).expect("T is f32") }
}

/// Working memory of [`convolve`].
pub(super) fn convolve_workspace(c_in: usize, y: Shape) -> Workspace {
    let method = if is_wide(c_in, y.c) { winograd::workspace } else { direct::workspace };
    let (per_thread, shared) = method(c_in, y.c);
    Workspace { per_thread: per_thread.max(products::convolve_workspace(c_in, y)), shared }
}

/// y = act(conv(concat of maps, w) + bias).
pub(super) fn convolve<T: Real>(
    maps: &[In<T>],
    w: &[T],
    bias: Option<&[T]>,
    slope: Option<T>,
    y: &mut Out<T>,
    cpu: &Cpu<T>,
) {
    // Of one picture it may be some rows, which must have the bits that they have in the whole.
    let small = y.shape.n > 1 && is_small(y.shape);
    let Some(data) = as_f32_mut(y.data).filter(|_| !small) else {
        return products::convolve(maps, w, bias, slope, y, cpu);
    };
    let y = SharedMap::new(y.shape, data);
    let f32s = |values| as_f32(values).expect("T is f32");
    let maps: Vec<In<f32>> = maps.iter().map(map_as_f32).collect();
    let slope = slope.map(|slope| slope.to_f32().expect("a number"));
    let epilogue = Epilogue { bias: bias.map(f32s), slope };
    let c_in = maps.iter().map(|m| m.shape.c).sum();
    let method = if is_wide(c_in, y.shape().c) { winograd::convolve } else { direct::convolve };
    method(&maps, f32s(w), epilogue, &y, cpu, Arch::new());
}

/// Working memory of [`weight_gradient`].
pub(super) fn weight_workspace(dy: Shape, maps: &[Shape]) -> Workspace {
    let c_in = maps.iter().map(|m| m.c).sum();
    let products = products::weight_workspace(dy, maps);
    if !weight_is_wide(c_in, dy.c) {
        return products;
    }
    let (per_thread, shared) = weight::workspace(c_in, dy);
    Workspace { per_thread: per_thread.max(products.per_thread), shared: shared.max(products.shared) }
}

/// dw[o, i, tap] = sum of dy[o, p] x[i, p + tap]; db[o] = sum of dy[o, p].
pub(super) fn weight_gradient<T: Real>(dy: In<T>, maps: &[In<T>], dw: &mut [T], db: &mut [T], cpu: &Cpu<T>) {
    let c_in: usize = maps.iter().map(|m| m.shape.c).sum();
    let wide = weight_is_wide(c_in, dy.shape.c) && !is_small(dy.shape);
    let (true, Some(dw_f32), Some(db_f32)) = (wide, as_f32_mut(dw), as_f32_mut(db)) else {
        return products::weight_gradient(dy, maps, dw, db, cpu);
    };
    let maps: Vec<In<f32>> = maps.iter().map(map_as_f32).collect();
    weight::weight_gradient(map_as_f32(&dy), &maps, dw_f32, db_f32, cpu, Arch::new());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::RunParams;
    use std::sync::Mutex;

    /// Every set of instructions that this machine has.
    fn archs() -> Vec<Arch> {
        let mut archs = vec![Arch::Scalar];
        #[cfg(target_arch = "x86_64")]
        archs.extend(pulp::x86::V3::try_new().map(Arch::V3));
        let best = Arch::new();
        if !archs.iter().any(|arch| std::mem::discriminant(arch) == std::mem::discriminant(&best)) {
            archs.push(best);
        }
        archs
    }

    #[test]
    fn all_instruction_sets_agree_with_f64() {
        for (c_in, c_out) in [(9, 19), (20, 9), (3, 10), (11, 7), (64, 3)] {
            let shape = Shape::new(2, 0, 11, 70);
            let (x_shape, y_shape) = (shape.with_c(c_in), shape.with_c(c_out));
            let mut state = 1u32;
            let mut random = |len: usize| -> Vec<f32> {
                let mut next = || {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (state >> 8) as f32 / (1 << 23) as f32 - 1.0
                };
                (0..len).map(|_| next()).collect()
            };
            let [x, w, b, dy] = [x_shape.len(), 9 * c_in * c_out, c_out, y_shape.len()].map(&mut random);
            let wide = |v: &[f32]| v.iter().map(|v| f64::from(*v)).collect::<Vec<_>>();
            let (x64, w64, b64, dy64) = (wide(&x), wide(&w), wide(&b), wide(&dy));
            let (forward, backward) = (convolve_workspace(c_in, y_shape), weight_workspace(y_shape, &[x_shape]));
            let winograd = weight::workspace(c_in, y_shape);
            let per_thread = forward.per_thread.max(backward.per_thread).max(winograd.0);
            let shared = forward.shared.max(backward.shared).max(winograd.1);
            let threads = rayon::current_num_threads();

            let buffers: Vec<_> = (0..threads).map(|_| Mutex::new(vec![f64::NAN; per_thread])).collect();
            let cpu =
                Cpu { run: &RunParams::default(), threads: &buffers, shared: &Mutex::new(vec![f64::NAN; shared]) };
            let mut want = [y_shape.len(), 9 * c_in * c_out, c_out].map(|len| vec![f64::NAN; len]);
            let [y, dw, db] = &mut want;
            let x64 = In { shape: x_shape, data: &x64 };
            products::convolve(&[x64], &w64, Some(&b64), Some(0.2), &mut Out { shape: y_shape, data: y }, &cpu);
            products::weight_gradient(In { shape: y_shape, data: &dy64 }, &[x64], dw, db, &cpu);

            for arch in archs() {
                let buffers: Vec<_> = (0..threads).map(|_| Mutex::new(vec![f32::NAN; per_thread])).collect();
                let cpu =
                    Cpu { run: &RunParams::default(), threads: &buffers, shared: &Mutex::new(vec![f32::NAN; shared]) };
                let x = In { shape: x_shape, data: &x };
                let epilogue = Epilogue { bias: Some(&b), slope: Some(0.2) };
                let mut got = [y_shape.len(), y_shape.len(), 9 * c_in * c_out, c_out].map(|len| vec![f32::NAN; len]);
                let [by_winograd, by_sums, dw, db] = &mut got;
                winograd::convolve(&[x], &w, epilogue, &SharedMap::new(y_shape, by_winograd), &cpu, arch);
                direct::convolve(&[x], &w, epilogue, &SharedMap::new(y_shape, by_sums), &cpu, arch);
                weight::weight_gradient(In { shape: y_shape, data: &dy }, &[x], dw, db, &cpu, arch);
                for (i, (got, want)) in got.iter().zip([&want[0], &want[0], &want[1], &want[2]]).enumerate() {
                    let largest = want.iter().fold(0f64, |a, b| a.max(b.abs()));
                    let errors = got.iter().zip(want).map(|(g, w)| (f64::from(*g) - w).abs() / largest);
                    let error = errors.fold(0f64, |a, b| if b > a || b.is_nan() { b } else { a });
                    assert!(error < 1e-5, "{c_in} -> {c_out}, {arch:?}, result {i}: {error:.1e}");
                }
            }
        }
    }
}
