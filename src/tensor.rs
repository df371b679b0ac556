//! Shapes and host tensors, always (N, C, H, W), row-major.

use crate::error::{Error, Result};
use std::fmt;

/// Size of a tensor: batch, channels, rows, columns. A weight of a convolution is (c_out, c_in, kh, kw), a bias
/// (1, c, 1, 1), a matrix (rows, columns, 1, 1), a scalar (1, 1, 1, 1).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Batch.
    pub n: usize,
    /// Channels.
    pub c: usize,
    /// Rows.
    pub h: usize,
    /// Columns.
    pub w: usize,
}

impl Shape {
    /// A single number.
    pub const SCALAR: Shape = Shape::new(1, 1, 1, 1);

    /// (N, C, H, W).
    pub const fn new(n: usize, c: usize, h: usize, w: usize) -> Self {
        Shape { n, c, h, w }
    }

    /// Elements; `usize::MAX` where they are more.
    pub const fn len(&self) -> usize {
        self.n.saturating_mul(self.c).saturating_mul(self.plane())
    }

    /// True where a side is 0.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Pixels of one channel; `usize::MAX` where they are more.
    pub const fn plane(&self) -> usize {
        self.h.saturating_mul(self.w)
    }

    /// The same with `c` channels.
    pub const fn with_c(self, c: usize) -> Self {
        Shape { c, ..self }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}x{}x{}", self.n, self.c, self.h, self.w)
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A tensor in host memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// (N, C, H, W).
    pub shape: Shape,
    /// `shape.len()` values, row-major.
    pub data: Vec<f32>,
}

impl Tensor {
    /// Wraps `data`; panics where its length is not that of `shape`.
    pub fn new(shape: Shape, data: Vec<f32>) -> Self {
        assert_eq!(shape.len(), data.len(), "a tensor of shape {shape}");
        Tensor { shape, data }
    }

    /// All zeros.
    pub fn zeros(shape: Shape) -> Self {
        Tensor { shape, data: vec![0.0; shape.len()] }
    }

    /// The image `i` of the batch, as a batch of one; panics where there is none.
    pub fn image(&self, i: usize) -> Tensor {
        let shape = Shape { n: 1, ..self.shape };
        Tensor::new(shape, self.data[i * shape.len()..(i + 1) * shape.len()].to_vec())
    }

    /// Checks that it is a picture: (1, 3, H, W), a pixel or more.
    pub(crate) fn check_picture(&self) -> Result<()> {
        let (shape, values) = (self.shape, self.data.len());
        if (shape.n, shape.c) == (1, 3) && !shape.is_empty() && values == shape.len() {
            return Ok(());
        }
        Err(Error::Invalid(format!(
            "{values} values of {shape} are no picture: it has 1x3 channels of a pixel or more"
        )))
    }

    /// Puts images of one size together; panics where `images` is empty or their sizes differ.
    pub fn stack(images: &[Tensor]) -> Tensor {
        let first = images[0].shape;
        let mut data = Vec::with_capacity(images.len() * first.len());
        for image in images {
            assert_eq!(image.shape, first, "images of a batch have one size");
            data.extend_from_slice(&image.data);
        }
        Tensor::new(Shape { n: first.n * images.len(), ..first }, data)
    }
}

/// The largest of values that are 0 or more; NaN where one is, which `max` would drop.
pub fn worst<T: PartialOrd + Default + Copy>(values: impl IntoIterator<Item = T>) -> T {
    let is_nan = |v: T| v.partial_cmp(&v).is_none();
    values.into_iter().fold(T::default(), |a, b| if is_nan(a) || b <= a { a } else { b })
}

#[cfg(test)]
mod tests {
    use super::worst;

    #[test]
    fn the_worst_is_the_largest_or_nan() {
        assert_eq!(worst([0.5, 2.0, 1.0]), 2.0);
        assert_eq!(worst::<f32>([]), 0.0);
        for values in [[f64::NAN, 1.0, 2.0], [1.0, f64::NAN, 2.0], [1.0, 2.0, f64::NAN]] {
            assert!(worst(values).is_nan(), "{values:?}");
        }
    }
}
