//! Values outside [0, 1]: smoothed on a logarithmic scale that is undone.

use super::note::{Note, counted};
use super::picture::Picture;
use crate::error::{Error, Result};

/// A logarithmic scale of HDR values: v becomes ln(1 + v / low) / ln(1 + top / low), so that 0 stays 0, `top` becomes 1,
/// and equal ratios of bright values are equal steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LogScale {
    /// Below it the scale is nearly linear.
    pub low: f32,
    /// The largest value.
    pub top: f32,
}

impl LogScale {
    /// The scale of these values: from a 64th of their geometric mean to the largest.
    pub(super) fn of(values: &[f32]) -> LogScale {
        let top = values.iter().copied().fold(0.0, f32::max);
        let lit = values.iter().filter(|&&v| v > 0.0);
        let (sum, count) = lit.fold((0.0, 0u64), |(sum, count), v| (sum + f64::from(*v).ln(), count + 1));
        let mean = (sum / count.max(1) as f64).exp() as f32;
        // A black picture has no scale of its own, nor has one whose steps f32 cannot tell.
        let top = if top > 1e-30 { top } else { 1.0 };
        LogScale { low: (mean / 64.0).clamp(top * 1e-6, top), top }
    }

    fn span(&self) -> f32 {
        (self.top / self.low).ln_1p()
    }

    /// Onto the scale.
    pub fn apply(&self, v: f32) -> f32 {
        (v / self.low).ln_1p() / self.span()
    }

    /// Back to the value.
    pub fn undo(&self, t: f32) -> f32 {
        (self.low * (t.clamp(0.0, 1.0) * self.span()).exp_m1()).min(self.top)
    }
}

/// Puts a picture of floating-point values onto a scale in [0, 1]: those of a file that holds light (`linear`), or that
/// are outside [0, 1], onto a logarithmic one; others stay as they are. Opacities are clipped to [0, 1].
pub(super) fn scaled(mut picture: Picture, linear: bool) -> Result<Picture> {
    let values = &mut picture.tensor.data;
    let wrong = values.iter().chain(picture.alpha.iter().flatten()).filter(|v| !v.is_finite()).count();
    if wrong > 0 {
        return Err(Error::Invalid(format!(
            "it holds {} (or NaN); replace them first",
            counted(wrong, "infinite value")
        )));
    }
    picture.alpha.iter_mut().flatten().for_each(|alpha| *alpha = alpha.clamp(0.0, 1.0));
    let negative = values.iter_mut().filter(|v| **v < 0.0).map(|v| *v = 0.0).count();
    if negative > 0 {
        picture.notes.push(Note::converted(format!("{} below 0 became 0", counted(negative, "value"))));
    }
    if linear || values.iter().any(|&v| v > 1.0) {
        let log = LogScale::of(values);
        values.iter_mut().for_each(|v| *v = log.apply(*v));
        picture.log = Some(log);
    }
    Ok(picture)
}
