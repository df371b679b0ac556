//! How a picture is smoothed.

use crate::geometry::Flip;

/// How to smooth.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "lab", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Options {
    /// Scale of the noise in z's place, 0 = none; None = the scale that the weights were trained with.
    pub noise: Option<f32>,
    /// Seed of the noise.
    pub seed: u64,
    /// The mean of the eight flips and rotations, each with its own noise (the paper's self-ensemble), some shifted by a
    /// pixel, so that the network's 2x2 blocks lie in all four ways (which the paper does not).
    pub ensemble: bool,
    /// How much of the result is smoothed, 0 to 1, the rest is the picture itself; None = 1.
    pub amount: Option<f32>,
    /// How much larger textures may be than those that the network knows, 1 to [`MAX_TEXTURE_SIZE`]; None = 1. Above 1
    /// the picture is smoothed again smaller by 2, 4, ... up to this factor; small structure is lost, edges stay those of
    /// the picture smoothed in full.
    pub texture_size: Option<f32>,
}

/// The largest [`Options::texture_size`].
pub const MAX_TEXTURE_SIZE: f32 = 8.0;

impl Options {
    /// With noise of this scale.
    #[must_use]
    pub fn with_noise(self, scale: f32) -> Options {
        Options { noise: Some(scale), ..self }
    }

    /// With the noise of this seed.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Options {
        Options { seed, ..self }
    }

    /// With the mean of the eight flips and rotations, or without.
    #[must_use]
    pub fn with_ensemble(self, ensemble: bool) -> Options {
        Options { ensemble, ..self }
    }

    /// With this much of the result, 0 to 1; the rest is the picture itself.
    #[must_use]
    pub fn with_amount(self, amount: f32) -> Options {
        Options { amount: Some(amount), ..self }
    }

    /// With textures that are larger by this factor, 1 to [`MAX_TEXTURE_SIZE`].
    #[must_use]
    pub fn with_texture_size(self, texture_size: f32) -> Options {
        Options { texture_size: Some(texture_size), ..self }
    }

    /// Passes through the network that one picture takes.
    pub fn passes(&self) -> usize {
        self.flips() * (1 + self.factors().count())
    }

    /// Passes at one size.
    pub(super) fn flips(&self) -> usize {
        if self.ensemble { Flip::COUNT } else { 1 }
    }

    /// By how much smaller the picture is smoothed, again and again: each result guides the next one, whose textures it
    /// has lost.
    pub(super) fn factors(&self) -> impl Iterator<Item = f32> {
        let size = self.texture_size.unwrap_or(1.0).min(MAX_TEXTURE_SIZE);
        let doublings = [2.0, 4.0].into_iter().filter(move |factor| *factor < size);
        doublings.chain((size > 1.0).then_some(size))
    }
}
