//! How a texture is laid on a structure.

use super::super::synthetic::{self, texture::of_kind};
use super::Textures;
use crate::rng::Rng;
use serde::{Deserialize, Serialize};

/// How textures are laid on structures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Blend {
    /// Added: `clip(S + k (T - mean T))`, k such that T's standard deviation is uniform in the recipe's strength.
    #[default]
    Plain,
    /// Half of the samples as [`Blend::Plain`], half as [`Blend::Varied`].
    Mixed,
    /// As textures are in pictures: mostly added, but also multiplied, or cut into the structure as the joints of a
    /// mosaic or a pavement are; some much stronger, some larger or smaller than in their file, and now and then none
    /// at all, or a structure that is flat.
    Varied,
}

/// A varied sample is laid on a flat structure, or gets no texture, one time in so many.
const FLAT_ONE_IN: usize = 25;
const BARE_ONE_IN: usize = 30;
/// Of twelve textures so many are multiplied, and so many cut as joints.
const MULTIPLIED_OF_12: usize = 2;
const JOINTS_OF_12: usize = 2;
/// One texture in so many is stronger than the recipe's upper bound, by at most this factor (25 to 45 of 255).
const STRONG_ONE_IN: usize = 3;
const STRONG: f32 = 1.8;
/// Half of the textures from files are scaled by a factor from 1 / SCALE to SCALE.
const SCALE: f32 = 1.6;
/// Kinds that have joints, by their names in [`synthetic::texture::KINDS`].
const WITH_JOINTS: [&str; 5] = ["bricks", "tiles", "mosaic", "pebbles", "crackle"];

/// Replaces a structure (3, crop, crop) by a flat one now and then: one colour, or one that changes slowly; often black
/// or white, which the others rarely are.
pub(super) fn flatten(rng: &mut Rng, crop: usize, target: &mut [f32]) {
    if rng.below(FLAT_ONE_IN) > 0 {
        return;
    }
    let extreme = rng.below(3);
    let slope = if rng.below(2) == 0 { [0.0; 2] } else { [(); 2].map(|()| rng.between((-0.15, 0.15)) / crop as f32) };
    for plane in target.chunks_exact_mut(crop * crop) {
        let level = match extreme {
            0 => 0.0,
            1 => 1.0,
            _ => rng.unit(),
        };
        for (i, v) in plane.iter_mut().enumerate() {
            *v = (level + slope[0] * (i % crop) as f32 + slope[1] * (i / crop) as f32).clamp(0.0, 1.0);
        }
    }
}

/// Lays a texture, which may be augmented, on a structure (3, crop, crop).
pub(super) fn lay(
    rng: &mut Rng,
    textures: &Textures,
    augment: bool,
    strength: (f32, f32),
    crop: usize,
    out: &mut [f32],
) {
    if rng.below(BARE_ONE_IN) == 0 {
        return;
    }
    let way = rng.below(12);
    if way < JOINTS_OF_12 {
        return cut_joints(rng, crop, out);
    }
    let strong = rng.below(STRONG_ONE_IN) == 0;
    let strength = if strong { (strength.1, STRONG * strength.1) } else { strength };
    let strength = rng.between(strength) / 255.0;
    let texture = if augment { textures.augmented(crop, rng) } else { field(rng, textures, crop) };
    let multiplied = way < JOINTS_OF_12 + MULTIPLIED_OF_12;
    for (v, t) in out.iter_mut().zip(&texture) {
        // As strong as an added one where the structure is half bright.
        *v += strength * t * if multiplied { 2.0 * *v } else { 1.0 };
    }
}

/// A texture (3, crop, crop) of mean 0 and deviation 1, as a whole.
fn field(rng: &mut Rng, textures: &Textures, crop: usize) -> Vec<f32> {
    let pictures = match textures {
        Textures::Synthetic => return synthetic::texture(rng, crop),
        Textures::Pictures(pictures) => pictures,
    };
    let texture = &pictures[rng.below(pictures.len())];
    let scale = if rng.below(2) == 0 { 1.0 } else { SCALE.powf(rng.between((-1.0, 1.0))) };
    // Becomes `crop` pixels, with one beyond for the last one's neighbour.
    let size = if scale == 1.0 { crop } else { (crop as f32 / scale).ceil() as usize + 2 };
    let mut field = vec![0.0; 3 * size * size];
    texture.add(1.0, size, rng, &mut field);
    if scale == 1.0 { field } else { resize(&field, size, crop, scale) }
}

/// Scales planes of `from` x `from` by a factor, bilinearly, and cuts them to `to` x `to`.
fn resize(x: &[f32], from: usize, to: usize, scale: f32) -> Vec<f32> {
    let places: Vec<(usize, f32)> = (0..to)
        .map(|i| {
            let at = i as f32 / scale;
            (at as usize, at.fract())
        })
        .collect();
    let mut y = Vec::with_capacity(3 * to * to);
    for plane in x.chunks_exact(from * from) {
        for &row in &places {
            y.extend(places.iter().map(|&column| bilinear(plane, from, row, column)));
        }
    }
    y
}

/// The value of a plane of `side` x `side` between four of its pixels: from the upper row and its lower, the left column
/// and its right, each with how far on.
pub(super) fn bilinear(plane: &[f32], side: usize, (row, down): (usize, f32), (column, across): (usize, f32)) -> f32 {
    let [upper, lower] = [row, row + 1].map(|row| {
        let at = row * side + column;
        plane[at] + across * (plane[at + 1] - plane[at])
    });
    upper + down * (lower - upper)
}

/// Cuts dark joints, now and then light ones, into a structure, and lets what lies between them differ a little.
fn cut_joints(rng: &mut Rng, crop: usize, out: &mut [f32]) {
    let name = WITH_JOINTS[rng.below(WITH_JOINTS.len())];
    let kind = synthetic::texture::KINDS.iter().find(|kind| kind.name == name).expect("a kind of texture");
    let field = of_kind(rng, crop, kind);
    let plane = &field[..crop * crop];
    // The lowest of the field are the joints: those below a quantile, with soft edges.
    let mut sorted = plane.to_vec();
    sorted.sort_by(f32::total_cmp);
    let share = rng.between((0.1, 0.25));
    let limit = sorted[(share * sorted.len() as f32) as usize];
    let soft = 0.25 * (sorted[sorted.len() / 2] - sorted[0]).max(1e-3);
    let depth = rng.between((0.3, 0.95));
    let colour = if rng.below(5) == 0 { rng.between((0.7, 1.0)) } else { rng.between((0.0, 0.3)) };
    let between = rng.between((0.0, 12.0)) / 255.0;
    for (c, values) in out.chunks_exact_mut(crop * crop).enumerate() {
        for (i, v) in values.iter_mut().enumerate() {
            let joint = depth * ((limit - plane[i]) / soft + 0.5).clamp(0.0, 1.0);
            *v += between * field[c * crop * crop + i].clamp(-2.0, 2.0);
            *v += joint * (colour - *v);
        }
    }
}
