//! A picture in memory.

use std::time::Duration;

use super::alpha;
use super::hdr::LogScale;
use super::metadata::Metadata;
use super::note::Note;
use crate::error::{Error, Result};
use crate::geometry::Flip;
use crate::tensor::{Shape, Tensor};

/// How finely a file stores its values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Depth {
    /// 8 bits or fewer.
    #[default]
    Eight,
    /// Integers of more than 8 bits; written as 16.
    Sixteen,
    /// Floating point; written as 32 bits.
    Float,
}

/// How much coarser than its brightness a JPEG stores a picture's colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Chroma {
    /// As fine (4:4:4).
    Full,
    /// Half the columns (4:2:2).
    HalfWidth,
    /// Half the rows (4:4:0).
    HalfHeight,
    /// Half the columns and rows (4:2:0).
    Half,
}

/// A picture and what its file says about it beyond the colours.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Picture {
    /// (1, 3, H, W): red, green and blue, the file's own code values scaled to [0, 1]; HDR values by [`Self::log`].
    /// What hides behind alpha 0 has its visible neighbours' colour.
    pub tensor: Tensor,
    /// H * W opacities in [0, 1], where the file has them. Colours are not multiplied by them.
    pub alpha: Option<Vec<f32>>,
    /// The file has one channel; all three of the tensor are alike. Written as the mean of the three.
    pub grey: bool,
    /// How finely values are stored.
    pub depth: Depth,
    /// The logarithmic scale of [`Self::tensor`], where the file's values are not in [0, 1]; undone in writing.
    pub log: Option<LogScale>,
    /// The ICC profile of the colours, where the file has one: of grey where [`Self::grey`], otherwise of RGB.
    pub icc: Option<Vec<u8>>,
    /// How long this frame of an animation shows.
    pub delay: Option<Duration>,
    /// How finely a JPEG stored the colours.
    pub chroma: Option<Chroma>,
    /// What else the file says.
    pub metadata: Metadata,
    /// What was converted, lost or damaged in reading.
    pub notes: Vec<Note>,
}

impl From<Tensor> for Picture {
    /// An opaque 8-bit picture without a profile; the tensor is (1, 3, H, W).
    fn from(tensor: Tensor) -> Self {
        Picture {
            tensor,
            alpha: None,
            grey: false,
            depth: Depth::Eight,
            log: None,
            icc: None,
            delay: None,
            chroma: None,
            metadata: Metadata::default(),
            notes: vec![],
        }
    }
}

impl Picture {
    /// The same picture with other colours, (1, 3, H, W).
    ///
    /// # Errors
    /// [`Error::Invalid`] where they are of another size.
    pub fn with(self, tensor: Tensor) -> Result<Picture> {
        if tensor.shape != self.tensor.shape || tensor.data.len() != tensor.shape.len() {
            let (own, new) = (self.tensor.shape, tensor.shape);
            return Err(Error::Invalid(format!("colours of {new} for a picture of {own}")));
        }
        Ok(Picture { tensor, ..self })
    }

    /// What is wrong with the file, where it is damaged.
    pub fn damage(&self) -> Option<&str> {
        self.notes.iter().find_map(|note| match note {
            Note::Damaged(text) => Some(text.as_str()),
            _ => None,
        })
    }

    /// Rows and columns.
    pub fn size(&self) -> (usize, usize) {
        (self.tensor.shape.h, self.tensor.shape.w)
    }

    /// A picture of samples that are interleaved, from 0 to `top`: grey or RGB, with or without alpha.
    pub(super) fn from_samples<T: Copy + Into<f32>>(
        samples: &[T],
        top: f32,
        (h, w): (usize, usize),
        layout: Layout,
    ) -> Picture {
        let channel = |c: usize| samples.iter().skip(c).step_by(layout.channels()).map(move |&v| v.into() / top);
        let shape = Shape::new(1, 3, h, w);
        let mut colours = Vec::with_capacity(shape.len());
        (0..3).for_each(|c| colours.extend(channel(if layout.grey { 0 } else { c })));
        let alpha = layout.alpha.then(|| channel(layout.channels() - 1).collect());
        Picture { alpha, grey: layout.grey, ..Tensor::new(shape, colours).into() }
    }

    /// The picture as it is to be seen, where its file stores it flipped or turned.
    pub(super) fn oriented(mut self, flip: Flip) -> Picture {
        if flip == Flip::default() {
            return self;
        }
        let (h, w) = self.size();
        let alpha = self.alpha.map(|alpha| flip.apply(&Tensor::new(Shape::new(1, 1, h, w), alpha)).data);
        if flip.transpose {
            self.metadata.resolution = self.metadata.resolution.map(|r| r.transposed());
        }
        Picture { tensor: flip.apply(&self.tensor), alpha, ..self }
    }

    /// The picture with its visible neighbours' colours where alpha is 0.
    pub(super) fn filled(mut self) -> Picture {
        if let Some(alpha) = &self.alpha {
            alpha::fill_hidden(&mut self.tensor, alpha);
        }
        self
    }

    /// Pixel by pixel the codes of what a file of this layout stores: of values in [0, 1], or in HDR's own units.
    pub(super) fn interleaved<T>(&self, layout: Layout, code: fn(f32) -> T) -> Vec<T> {
        let plane = self.tensor.shape.plane();
        let value = |v: f32| code(self.log.map_or(v, |log| log.undo(v)));
        let mut codes = Vec::with_capacity(plane * layout.channels());
        for i in 0..plane {
            let [r, g, b] = [0, 1, 2].map(|c| self.tensor.data[c * plane + i]);
            if layout.grey {
                // Alike, as they are before the network, they stay what they are, to the last bit.
                codes.push(value(if r == g && g == b { r } else { (r + g + b) / 3.0 }));
            } else {
                codes.extend([r, g, b].map(value));
            }
            if layout.alpha {
                codes.push(code(self.alpha.as_ref().map_or(1.0, |alpha| alpha[i])));
            }
        }
        codes
    }
}

/// Which channels a file stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub grey: bool,
    pub alpha: bool,
}

impl Layout {
    pub(super) fn channels(self) -> usize {
        (if self.grey { 1 } else { 3 }) + usize::from(self.alpha)
    }
}

/// [0, 1] to 0..=255, clipped and rounded to nearest.
pub(super) fn code8(x: f32) -> u8 {
    (x.clamp(0.0, 1.0) * 255.0).round() as u8
}

/// [0, 1] to 0..=65535, clipped and rounded to nearest.
pub(super) fn code16(x: f32) -> u16 {
    (x.clamp(0.0, 1.0) * 65535.0).round() as u16
}

/// The 8-bit codes of a tensor in its own order: [0, 1] to 0..=255, clipped and rounded to nearest.
pub fn quantise(x: &Tensor) -> Vec<u8> {
    x.data.iter().map(|&v| code8(v)).collect()
}
