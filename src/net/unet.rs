//! The two networks of the paper's Table 3 that are no SASNet, on one page: a U-net, and the same without its skip
//! connections, a plain auto-encoder.
//!
//! ```text
//! x -> down.0 ----------------------------------------> up.0 -> out -> y
//!        pool -> down.1 ---------------------------> up.1
//!                  pool -> down.2 --------------> up.2
//!                            pool -> down.3 -> up.3
//!                                      pool -> down.4
//! ```
//!
//! The paper does not define them. These are the original U-net's layers (Ronneberger et al. 2015) with zero padding:
//! at each level two 3x3 convolutions with ReLU, twice the features of the level above; 2x2 max pooling down, 2x2
//! transposed convolutions up, skips by concatenation (the skip first, as PyTorch implementations have it), and at the
//! end a 1x1 convolution to the picture itself, without activation. 64 features make 31.03 M parameters and 144.5 GMAC
//! on 512x384, without skips 27.90 M and 115.5.

use super::slabs::Slabs;
use super::training::{self, Pass};
use super::{Architecture, Sizes, check_features, layer, take};
use crate::error::Result;
use crate::graph::{Layout, Value};
use crate::ops::Graph;
use crate::ops::{conv3x3::Conv3x3, max_pool::MaxPool, pixel_conv::PixelConv};
use std::collections::BTreeMap;

/// Levels of resolution.
const LEVELS: usize = 5;

/// A U-net's sizes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unet {
    features: usize,
    skips: bool,
}

impl Unet {
    /// `features` features at the first of five levels, each twice as many as the one before; without `skips` a plain
    /// auto-encoder.
    ///
    /// # Errors
    /// [`crate::Error::Invalid`] unless there are 1 to 1024 features.
    pub fn new(features: usize, skips: bool) -> Result<Unet> {
        check_features(features)?;
        Ok(Unet { features, skips })
    }
}

impl Architecture for Unet {
    const NAMES: &'static [&'static str] = &["unet", "autoencoder"];

    fn build(name: &str, sizes: &Sizes) -> Result<Unet> {
        Unet::new(sizes.features.unwrap_or(64), name == "unet")
    }

    fn name(&self) -> &'static str {
        if self.skips { "unet" } else { "autoencoder" }
    }

    fn about(&self) -> &'static str {
        match self.skips {
            true => "a U-net of five levels, each with twice the features of the one before; of the paper's Table 3",
            false => "the same without skip connections; of Table 3, too",
        }
    }

    fn sizes(&self) -> Sizes {
        Sizes { features: Some(self.features), ..Sizes::default() }
    }

    fn describe(&self) -> String {
        format!("{}, {} features", self.name(), self.features)
    }

    fn metadata(&self) -> BTreeMap<String, String> {
        BTreeMap::from([("features".into(), self.features.to_string())])
    }

    fn parse(name: &str, metadata: &mut BTreeMap<String, String>) -> Result<Unet, String> {
        let features = take(metadata, "features", "a number")?;
        Unet::new(features, name == "unet").map_err(|e| e.to_string())
    }

    fn layout(&self) -> Layout {
        let mut layout = Layout::default();
        let mut add = |layer: String, dims: &[usize], outputs: usize| layout.push_layer(&layer, dims, outputs);
        let features = |level: usize| self.features << level;
        for level in 0..LEVELS {
            let (f, inputs) = (features(level), if level == 0 { 3 } else { features(level - 1) });
            add(format!("down.{level}.conv1"), &[f, inputs, 3, 3], f);
            add(format!("down.{level}.conv2"), &[f, f, 3, 3], f);
        }
        let maps = if self.skips { 2 } else { 1 };
        for level in (0..LEVELS - 1).rev() {
            let f = features(level);
            add(format!("up.{level}.transposed"), &[2 * f, f, 2, 2], f);
            add(format!("up.{level}.conv1"), &[f, maps * f, 3, 3], f);
            add(format!("up.{level}.conv2"), &[f, f, 3, 3], f);
        }
        add("out".into(), &[3, self.features, 1, 1], 3);
        layout
    }

    fn scale(&self) -> usize {
        1 << (LEVELS - 1)
    }

    /// Two convolutions at each level down, two up at each but the last, and a cell of the coarsest level.
    fn receptive_field(&self) -> Option<usize> {
        let convolutions = |level: usize| if level + 1 < LEVELS { 4 } else { 2 };
        Some((0..LEVELS).map(|level| convolutions(level) << level).sum::<usize>() + self.scale())
    }

    /// It has nine hidden maps one behind the other, each a whole input of the next level instead of a part of a sum:
    /// three times as much as a SASNet, by independent errors of each.
    fn f16_error(&self) -> f64 {
        6.0
    }

    fn smooth(&self, g: &mut Graph, x: &[Value], _: bool) -> Result<Slabs> {
        Ok(vec![forward(g, self, x[0])?])
    }

    /// Its activations are always stored.
    fn training(&self, g: &mut Graph, [x, target]: [Value; 2], _: Option<Value>, _: bool) -> Result<Pass> {
        let y = forward(g, self, x)?;
        training::stored(g, y, target)
    }
}

/// x (N, 3, H, W), sides multiples of 16 -> y of the same shape.
fn forward(g: &mut Graph, c: &Unet, x: Value) -> Result<Value> {
    let (mut r, mut skips) = (x, vec![]);
    for level in 0..LEVELS {
        let name = format!("down.{level}");
        if level > 0 {
            skips.push(r);
            r = g.apply1(&name, MaxPool, &[r])?;
        }
        r = convolutions(g, &name, &[r])?;
    }
    for (level, skip) in skips.into_iter().enumerate().rev() {
        let name = format!("up.{level}");
        let up = pixel_conv(g, &format!("{name}.transposed"), r, 2)?;
        r = if c.skips { convolutions(g, &name, &[skip, up])? } else { convolutions(g, &name, &[up])? };
    }
    pixel_conv(g, "out", r, 1)
}

/// Two 3x3 convolutions with ReLU, of one map or of two put together.
fn convolutions(g: &mut Graph, name: &str, maps: &[Value]) -> Result<Value> {
    let mut conv = |at: &str, maps: &[Value]| {
        let name = format!("{name}.{at}");
        let weights = layer(g, &name)?;
        g.apply1(&name, Conv3x3 { slope: Some(0.0) }, &[maps, &weights].concat())
    };
    let r = conv("conv1", maps)?;
    conv("conv2", &[r])
}

fn pixel_conv(g: &mut Graph, name: &str, x: Value, side: usize) -> Result<Value> {
    let [w, b] = layer(g, name)?;
    g.apply1(name, PixelConv { side }, &[x, w, b])
}

#[cfg(test)]
mod tests {
    use super::super::{Network, count::full_network};
    use super::*;
    use crate::tensor::Shape;

    #[test]
    fn parameters_and_operations_are_table_3s() {
        let count = |name, parameters, macs| {
            let network = Network::build(name, &Sizes::default()).unwrap();
            assert_eq!(network.layout().parameters(), parameters, "{name}");
            assert_eq!(full_network(&network, Shape::new(1, 3, 384, 512)).unwrap().macs(), macs, "{name}");
        };
        // 31.03 M and 144.5 GMAC, 27.90 M and 115.5 GMAC. By hand, without skips: the upper convolutions read half.
        let without_skips = 9 * (64 * 64 + 128 * 128 + 256 * 256 + 512 * 512);
        count("unet", 31_031_875, 144_527_327_232);
        count("autoencoder", 31_031_875 - without_skips, 144_527_327_232 - 4 * 9 * 64 * 64 * 384 * 512);
        assert_eq!((31_031_875 - without_skips + 5_000) / 10_000, 2790);
    }
}
