//! Detail boost.

use super::{check_pair, check_range, each_row};
use crate::error::Result;
use crate::tensor::Tensor;
use std::ops::RangeInclusive;

/// How many times the detail is added.
pub const BOOST: RangeInclusive<f32> = 0.0..=20.0;

/// Makes detail stronger: x + `boost` (x - y), clipped to [0, 1] (Farbman, Fattal, Lischinski and Szeliski, "Edge-preserving
/// decompositions for multi-scale tone and detail manipulation", SIGGRAPH 2008, with one level). Edges that the smoothing keeps get
/// no halos.
///
/// Both are (1, 3, H, W) in [0, 1]; a `boost` of 0 gives x itself. On a logarithmic scale of HDR values it is their ratios that grow.
///
/// # Errors
/// [`Error::Invalid`](crate::Error::Invalid) for other shapes and a boost outside of [`BOOST`].
pub fn enhance(x: &Tensor, mut y: Tensor, boost: f32) -> Result<Tensor> {
    check_pair(x, &y)?;
    check_range("boost", boost, &BOOST)?;
    let w = x.shape.w;
    each_row(&mut y.data, w, |i, row| {
        row.iter_mut().zip(&x.data[i * w..]).for_each(|(y, x)| *y = (x + boost * (x - *y)).clamp(0.0, 1.0));
    });
    Ok(y)
}

#[cfg(test)]
mod tests {
    use super::super::tests::row;
    use super::*;

    #[test]
    fn detail_is_added() {
        let (x, y) = (row(&[0.5, 0.75, 0.1, 0.9]), row(&[0.5, 0.5, 0.6, 0.4]));
        assert_eq!(enhance(&x, y.clone(), 0.0).unwrap(), x, "nothing of it");
        assert_eq!(enhance(&x, x.clone(), 20.0).unwrap(), x, "no detail");
        assert_eq!(enhance(&x, y, 1.0).unwrap(), row(&[0.5, 1.0, 0.0, 1.0]), "once more, clipped");
    }
}
