//! The convolution on the CPU. In f32 by Winograd's method, or directly where one side has few channels; in f64, the
//! oracle of the tests, and for the gradient of the weights, by matrix products that share no code with those.

mod cell;
mod direct;
mod products;
mod winograd;

use super::super::{Cpu, In, Out, Real, Workspace};
use crate::tensor::Shape;
use cell::{Epilogue, SharedMap};
use std::any::TypeId;

pub(super) use products::{transpose, weight_gradient, weight_workspace};

/// Fewest channels of either side for Winograd's method.
const WIDE: usize = 9;

fn is_wide(c_in: usize, c_out: usize) -> bool {
    c_in >= WIDE && c_out >= WIDE
}

/// The values, where T is f32.
fn as_f32<T: Real>(values: &[T]) -> Option<&[f32]> {
    (TypeId::of::<T>() == TypeId::of::<f32>()).then(|| bytemuck::cast_slice(values))
}

/// The values, where T is f32.
fn as_f32_mut<T: Real>(values: &mut [T]) -> Option<&mut [f32]> {
    (TypeId::of::<T>() == TypeId::of::<f32>()).then(|| bytemuck::cast_slice_mut(values))
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
    let Some(data) = as_f32_mut(y.data) else {
        return products::convolve(maps, w, bias, slope, y, cpu);
    };
    let y = SharedMap::new(&mut Out { shape: y.shape, data });
    let f32s = |values| as_f32(values).expect("T is f32");
    let maps: Vec<In<f32>> = maps.iter().map(|m| In { shape: m.shape, data: f32s(m.data) }).collect();
    let slope = slope.map(|slope| slope.to_f32().expect("a number"));
    let epilogue = Epilogue { bias: bias.map(f32s), slope };
    let c_in = maps.iter().map(|m| m.shape.c).sum();
    let method = if is_wide(c_in, y.shape().c) { winograd::convolve } else { direct::convolve };
    method(&maps, f32s(w), epilogue, &y, cpu);
}
