//! What is made of a picture and its smoothed form.

use sasnet::applications::{self, Abstraction, Tonemap};
use sasnet::image::{Depth, LogScale, Note};
use sasnet::low_level::tensor::Tensor;
use sasnet::{Error, Picture, Result};

/// What is made of a picture and its smoothed form.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Effect {
    /// The smoothed picture itself.
    Smooth,
    /// Stronger detail, by so much.
    Enhance(f32),
    /// HDR for a screen, so finely stored.
    Tonemap(Tonemap, Depth),
    /// As if drawn.
    Abstract(Abstraction),
    /// A map of edges, so much brighter.
    Edges(f32),
}

impl Effect {
    /// What was done to a picture.
    pub fn done(&self) -> &'static str {
        match self {
            Effect::Smooth => "smoothed",
            Effect::Enhance(_) => "enhanced",
            Effect::Tonemap(..) => "tone-mapped",
            Effect::Abstract(_) => "abstracted",
            Effect::Edges(_) => "traced",
        }
    }

    /// Makes all of a picture but its tensor what the result is, so that it is known before anything is computed whether
    /// a file can hold it.
    ///
    /// # Errors
    /// Where this is done to pictures of another kind only.
    pub fn declare(&self, picture: &mut Picture) -> Result<()> {
        match *self {
            Effect::Smooth | Effect::Enhance(_) | Effect::Abstract(_) => {}
            Effect::Tonemap(..) if picture.log.is_none() => {
                let message = "its values are codes for a screen, and there is no light to map; give HDR: .hdr, .exr, \
                               or .tif of floating-point values above 1";
                return Err(Error::Invalid(message.into()));
            }
            Effect::Tonemap(_, depth) => {
                picture.log = None;
                picture.depth = depth;
                leave_out_profile(picture, "the result is coded as sRGB");
            }
            Effect::Edges(_) => {
                picture.log = None;
                picture.depth = picture.depth.min(Depth::Sixteen);
                picture.grey = true;
                leave_out_profile(picture, "a map of edges has no colours");
            }
        }
        Ok(())
    }

    /// The result of a picture and its smoothed form, whose HDR values are on this scale.
    pub fn apply(&self, mut x: Tensor, mut y: Tensor, log: Option<LogScale>) -> Result<Tensor> {
        match self {
            Effect::Smooth => Ok(y),
            Effect::Enhance(boost) => applications::enhance(&x, y, *boost),
            Effect::Tonemap(options, _) => {
                if let Some(log) = log {
                    x.data.iter_mut().chain(&mut y.data).for_each(|v| *v = log.undo(*v));
                }
                applications::tonemap(&x, y, options)
            }
            Effect::Abstract(options) => {
                drop(x);
                applications::abstraction(y, options)
            }
            Effect::Edges(gain) => {
                drop(x);
                applications::edges(y, *gain)
            }
        }
    }
}

/// Leaves out what a file says of its colours, which are no longer those.
fn leave_out_profile(picture: &mut Picture, why: &str) {
    let chunks = std::mem::take(&mut picture.metadata.colour_chunks);
    if picture.icc.take().is_some() || !chunks.is_empty() {
        picture.notes.push(Note::Lost(format!("the colour profile is left out: {why}")));
    }
}
