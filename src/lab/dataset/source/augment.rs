//! Makes more of few pictures: structures in other colours and sizes and of parts of two, textures at other angles and
//! sizes, negative, of other contrast and of two. Without it a long run learns its pictures by heart.

use super::blend::bilinear;
use crate::rng::Rng;
use crate::tensor::{Shape, Tensor};
use crate::upsample;
use std::f32::consts::{SQRT_2, TAU};

/// Half of the structures are made smaller, by a factor down to this; none larger, which would blur their edges.
const SMALLEST: f32 = 0.5;
/// One structure in so many is composed of two.
const COMPOSED_ONE_IN: usize = 4;
/// Of structures in other colours one in so many is a negative, and one in so many greyer.
const NEGATIVE_ONE_IN: usize = 4;
const GREYER_ONE_IN: usize = 3;
/// Half of the textures are turned and scaled, by a factor from 1 / SCALE to SCALE.
const SCALE: f32 = 1.6;
/// One texture in so many is mixed with another, has its sign changed, its contrast.
const MIXED_ONE_IN: usize = 6;
const CHANGED_ONE_IN: usize = 3;

/// Writes a structure (3, crop, crop). `draw` writes one as it is, of a side that it is given.
pub(super) fn structure(rng: &mut Rng, crop: usize, out: &mut [f32], draw: &impl Fn(&mut Rng, usize, &mut [f32])) {
    varied(rng, crop, out, draw);
    if rng.below(COMPOSED_ONE_IN) == 0 {
        let mut other = vec![0.0; out.len()];
        varied(rng, crop, &mut other, draw);
        let mask = shape(rng, crop);
        for (plane, other) in out.chunks_exact_mut(crop * crop).zip(other.chunks_exact(crop * crop)) {
            for ((v, other), mask) in plane.iter_mut().zip(other).zip(&mask) {
                *v += mask * (other - *v);
            }
        }
    }
}

/// A structure that may be smaller and in other colours.
fn varied(rng: &mut Rng, crop: usize, out: &mut [f32], draw: &impl Fn(&mut Rng, usize, &mut [f32])) {
    if rng.below(2) == 0 {
        draw(rng, crop, out);
    } else {
        let side = (crop as f32 / rng.between((SMALLEST, 1.0))).ceil() as usize;
        let mut large = Tensor::zeros(Shape::new(1, 3, side, side));
        draw(rng, side, &mut large.data);
        out.copy_from_slice(&upsample::shrink(&large, crop, crop).data);
    }
    if rng.below(2) == 0 {
        recolour(rng, out);
    }
}

/// Exchanges the channels, changes gamma and contrast, and now and then takes the negative, or part of the colour.
fn recolour(rng: &mut Rng, out: &mut [f32]) {
    let mut order = [0, 1, 2];
    order.swap(0, rng.below(3));
    order.swap(1, 1 + rng.below(2));
    let gamma = 2.0_f32.powf(rng.between((-0.7, 0.7)));
    let (mut black, mut white) = (rng.between((0.0, 0.25)), rng.between((0.75, 1.0)));
    if rng.below(NEGATIVE_ONE_IN) == 0 {
        std::mem::swap(&mut black, &mut white);
    }
    let grey = if rng.below(GREYER_ONE_IN) == 0 { rng.unit() } else { 0.0 };
    let plane = out.len() / 3;
    for i in 0..plane {
        let pixel = order.map(|c| out[c * plane + i]);
        let mean = pixel.iter().sum::<f32>() / 3.0;
        for (c, v) in pixel.into_iter().enumerate() {
            out[c * plane + i] = black + (white - black) * (v + grey * (mean - v)).powf(gamma);
        }
    }
}

/// A mask (crop, crop) in 0..=1 of curved outlines, one pixel soft: where the sum of three waves is above 0.
fn shape(rng: &mut Rng, crop: usize) -> Vec<f32> {
    let waves = [(); 3].map(|()| {
        let angle = rng.between((0.0, TAU));
        let frequency = TAU / rng.between((0.4, 2.0)) / crop as f32;
        (frequency * angle.cos(), frequency * angle.sin(), rng.between((0.0, TAU)))
    });
    let at = |i: usize| {
        let (y, x) = ((i / crop) as f32, (i % crop) as f32);
        let mut value = 0.0;
        let mut slope = [0.0; 2];
        for (fy, fx, phase) in waves {
            let (sin, cos) = (fy * y + fx * x + phase).sin_cos();
            value += sin;
            slope[0] += fy * cos;
            slope[1] += fx * cos;
        }
        (value / slope[0].hypot(slope[1]).max(1e-6) + 0.5).clamp(0.0, 1.0)
    };
    (0..crop * crop).map(at).collect()
}

/// A texture (3, crop, crop), about of mean 0 and deviation 1. `draw` adds one as it is, of a side that it is given.
pub(super) fn texture(rng: &mut Rng, crop: usize, draw: &impl Fn(&mut Rng, usize, &mut [f32])) -> Vec<f32> {
    let mut field = turned(rng, crop, draw);
    if rng.below(MIXED_ONE_IN) == 0 {
        let share = rng.between((0.3, 1.0));
        let norm = share.hypot(1.0);
        let other = turned(rng, crop, draw);
        field.iter_mut().zip(other).for_each(|(v, other)| *v = (*v + share * other) / norm);
    }
    if rng.below(CHANGED_ONE_IN) == 0 {
        field.iter_mut().for_each(|v| *v = -*v);
    }
    if rng.below(CHANGED_ONE_IN) == 0 {
        let gamma = 2.0_f32.powf(rng.between((-0.7, 0.7)));
        let (mean, deviation) = moments(&field);
        field.iter_mut().for_each(|v| *v = v.abs().powf(gamma).copysign(*v));
        let (changed_mean, changed) = moments(&field);
        let gain = deviation / changed.max(1e-6);
        field.iter_mut().for_each(|v| *v = mean + gain * (*v - changed_mean));
    }
    field
}

fn moments(x: &[f32]) -> (f32, f32) {
    let mean = x.iter().sum::<f32>() / x.len() as f32;
    (mean, (x.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / x.len() as f32).sqrt())
}

/// A texture as it is, or turned by any angle and scaled, bilinearly.
fn turned(rng: &mut Rng, crop: usize, draw: &impl Fn(&mut Rng, usize, &mut [f32])) -> Vec<f32> {
    let mut y = vec![0.0; 3 * crop * crop];
    if rng.below(2) == 0 {
        draw(rng, crop, &mut y);
        return y;
    }
    let scale = SCALE.powf(rng.between((-1.0, 1.0)));
    let (sin, cos) = rng.between((0.0, TAU)).sin_cos();
    // As far as the corners reach, with one pixel beyond for the last one's neighbour.
    let side = (SQRT_2 * crop as f32 / scale).ceil() as usize + 2;
    let mut field = vec![0.0; 3 * side * side];
    draw(rng, side, &mut field);
    let (middle, reach) = ((crop - 1) as f32 / 2.0, (side - 2) as f32 / 2.0);
    for i in 0..crop * crop {
        let [down, across] = [i / crop, i % crop].map(|at| (at as f32 - middle) / scale);
        let place = |at: f32| {
            let at = (reach + at).clamp(0.0, (side - 2) as f32);
            (at as usize, at.fract())
        };
        let (row, column) = (place(cos * down - sin * across), place(sin * down + cos * across));
        for (c, plane) in field.chunks_exact(side * side).enumerate() {
            y[c * crop * crop + i] = bilinear(plane, side, row, column);
        }
    }
    y
}
