//! DRF on one page: the hybrid of a convolutional and a recurrent network of "Learning Recursive Filters for Low-Level
//! Vision via a Hybrid Neural Network" (Liu et al. 2016), one of the deep methods that the paper compares with.
//!
//! ```text
//! d = differences of x's grey, horizontal and vertical
//! c0 = conv0([x - 1/2, d]);  p_k = c0 pooled k times                          5 -> 3
//! v = conv1([c0, up 2 p1, up 4 p2, up 8 p3])                                  12 -> R
//! c2 = conv2(d);  c3 .. c6 = conv3 .. conv6(pool of the one before)           2 -> R -> 2R -> 2R -> 2R -> 4R, ReLU
//! c6 = conv6s(up c6);  c7 = conv7([c4, up c6]);  c8 = conv8([c3, up c7])      -> 4R -> 2R -> R, ReLU
//! x1, y1, x2, y2 = tanh(conv9([c2, up c8]))                                   2R -> 4R
//! h = the maximum of v swept right, left (gates x1, then x2), down and up (y1, y2)
//! y = sigmoid(conv11(ReLU conv10(h)))                                         R -> 4R -> 3
//! ```
//!
//! All convolutions are 3x3 but conv2, which is 5x5. The authors' has R of 16: 147,677 parameters, 7.59 GMAC on 512x384.
//! Trained with half of the squared error.

use super::normalised::Layers;
use super::slabs::Slabs;
use super::training::{Losses, Pass};
use super::{Architecture, Sizes, check_features, layer, take};
use crate::error::Result;
use crate::graph::{Layout, Value};
use crate::ops::Graph;
use crate::ops::{
    activation::Bounded, activation::Function, affine::Affine, channels::Concat, channels::Split, conv::Conv,
    conv::Padding, conv3x3::Conv3x3, grey_gradient::GreyGradient, max_pool::MaxPool, maximum::Maximum, resize::Resize,
    squared_loss::SquaredLoss, sweep::Sweep, transpose::Transpose,
};
use std::collections::BTreeMap;

/// A DRF's sizes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drf {
    features: usize,
}

impl Drf {
    /// Maps that are swept.
    ///
    /// # Errors
    /// [`crate::Error::Invalid`] unless there are 1 to 1024 features.
    pub fn new(features: usize) -> Result<Drf> {
        check_features(features)?;
        Ok(Drf { features })
    }

    /// Its result and loss in training.
    pub fn losses(&self, g: &mut Graph, x: Value, target: Value) -> Result<Losses> {
        let y = self.forward(g, x)?;
        let loss = g.apply1("loss", SquaredLoss { k: 0.5 }, &[y, target])?;
        Ok(Losses { outputs: vec![("y", y)], terms: vec![loss], layers: (Layers::new(false), false) })
    }

    /// x (N, 3, H, W), sides multiples of 16 -> y of the same shape.
    fn forward(&self, g: &mut Graph, x: Value) -> Result<Value> {
        let d = g.apply1("gradient", GreyGradient, &[x])?;
        let centred = g.apply1("conv0", Affine { k: 1.0, c: -0.5 }, &[x])?;
        let c0 = conv(g, "conv0", &[centred, d], None)?;
        let mut maps = vec![c0];
        let mut pooled = c0;
        for s in [2, 4, 8] {
            pooled = g.apply1("conv1", MaxPool, &[pooled])?;
            maps.push(g.apply1("conv1", Resize { s }, &[pooled])?);
        }
        let fine = g.apply1("conv1", Concat, &maps[..2])?;
        let coarse = g.apply1("conv1", Concat, &maps[2..])?;
        let v = conv(g, "conv1", &[fine, coarse], None)?;
        let gates = self.gates(g, d)?;
        let h = self.filtered(g, v, gates)?;
        let r = conv(g, "conv10", &[h], Some(0.0))?;
        let y = conv(g, "conv11", &[r], None)?;
        g.apply1("conv11", Bounded(Function::Sigmoid), &[y])
    }

    /// The gates (N, 4R, H, W) of the picture's differences: x1, y1, x2, y2.
    fn gates(&self, g: &mut Graph, d: Value) -> Result<Value> {
        let relu = Some(0.0);
        let [w, b] = layer(g, "conv2")?;
        let c2 = g.apply1("conv2", Conv { padding: Padding::all(2), relu: true }, &[d, w, b])?;
        let mut down = vec![c2];
        for name in ["conv3", "conv4", "conv5", "conv6"] {
            let pooled = g.apply1(name, MaxPool, &[down[down.len() - 1]])?;
            down.push(conv(g, name, &[pooled], relu)?);
        }
        let up = |g: &mut Graph, name: &str, x: Value| g.apply1(name, Resize { s: 2 }, &[x]);
        let c6 = up(g, "conv6s", down[4])?;
        let c6 = conv(g, "conv6s", &[c6], relu)?;
        let c6 = up(g, "conv7", c6)?;
        let c7 = conv(g, "conv7", &[down[2], c6], relu)?;
        let c7 = up(g, "conv8", c7)?;
        let c8 = conv(g, "conv8", &[down[1], c7], relu)?;
        let c8 = up(g, "conv9", c8)?;
        let gates = conv(g, "conv9", &[c2, c8], None)?;
        g.apply1("conv9", Bounded(Function::Tanh), &[gates])
    }

    /// v (N, R, H, W) swept in four directions, each twice in cascade, and the maximum of these, the first of equal ones.
    fn filtered(&self, g: &mut Graph, v: Value, gates: Value) -> Result<Value> {
        let mut halves = |x: Value, first: usize| -> Result<[Value; 2]> {
            let parts = g.apply("gates", Split { first }, &[x])?;
            Ok([parts[0], parts[1]])
        };
        let [one, two] = halves(gates, 2 * self.features)?;
        let [[x1, y1], [x2, y2]] = [halves(one, self.features)?, halves(two, self.features)?];
        let across = |g: &mut Graph, v: Value, gates: [Value; 2]| -> Result<Value> {
            let mut cascade =
                |up: bool| gates.into_iter().try_fold(v, |v, gate| g.apply1("sweep", Sweep { up }, &[v, gate]));
            let both = [cascade(false)?, cascade(true)?];
            g.apply1("sweep", Maximum, &both)
        };
        let transpose = |g: &mut Graph, x: Value| g.apply1("sweep", Transpose, &[x]);
        let [vt, x1, x2] = [transpose(g, v)?, transpose(g, x1)?, transpose(g, x2)?];
        let rows = across(g, vt, [x1, x2])?;
        let rows = transpose(g, rows)?;
        let columns = across(g, v, [y1, y2])?;
        g.apply1("sweep", Maximum, &[rows, columns])
    }
}

/// A 3x3 convolution of one map or of two put together.
fn conv(g: &mut Graph, name: &str, maps: &[Value], slope: Option<f64>) -> Result<Value> {
    let weights = layer(g, name)?;
    g.apply1(name, Conv3x3 { slope }, &[maps, &weights].concat())
}

impl Architecture for Drf {
    const NAMES: &'static [&'static str] = &["drf"];

    fn build(_: &str, sizes: &Sizes) -> Result<Drf> {
        Drf::new(sizes.features.unwrap_or(16))
    }

    fn name(&self) -> &'static str {
        "drf"
    }

    fn about(&self) -> &'static str {
        "the recursive filters of Liu et al. 2016; of the paper's Table 2"
    }

    fn sizes(&self) -> Sizes {
        Sizes { features: Some(self.features), ..Sizes::default() }
    }

    fn describe(&self) -> String {
        format!("drf, {} features", self.features)
    }

    fn metadata(&self) -> BTreeMap<String, String> {
        BTreeMap::from([("features".into(), self.features.to_string())])
    }

    fn parse(_: &str, metadata: &mut BTreeMap<String, String>) -> Result<Drf, String> {
        Drf::new(take(metadata, "features", "a number")?).map_err(|e| e.to_string())
    }

    fn layout(&self) -> Layout {
        let (r, mut layout) = (self.features, Layout::default());
        let all = [
            ("conv0", 3, 5, 3),
            ("conv1", r, 12, 3),
            ("conv2", r, 2, 5),
            ("conv3", 2 * r, r, 3),
            ("conv4", 2 * r, 2 * r, 3),
            ("conv5", 2 * r, 2 * r, 3),
            ("conv6", 4 * r, 2 * r, 3),
            ("conv6s", 4 * r, 4 * r, 3),
            ("conv7", 2 * r, 6 * r, 3),
            ("conv8", r, 4 * r, 3),
            ("conv9", 4 * r, 2 * r, 3),
            ("conv10", 4 * r, r, 3),
            ("conv11", 3, 4 * r, 3),
        ];
        for (name, outputs, inputs, side) in all {
            layout.push_layer(name, &[outputs, inputs, side, side], outputs);
        }
        layout
    }

    fn scale(&self) -> usize {
        16
    }

    /// A sweep goes through the whole picture.
    fn receptive_field(&self) -> Option<usize> {
        None
    }

    /// At most seven layers one behind the other make the gates, of which a tanh takes less than all, and two the result.
    fn f16_error(&self) -> f64 {
        6.0
    }

    fn smooth(&self, g: &mut Graph, x: &[Value], _: bool) -> Result<Slabs> {
        Ok(vec![self.forward(g, x[0])?])
    }

    /// Its activations are always stored.
    fn training(&self, g: &mut Graph, [x, target]: [Value; 2], _: Option<Value>, _: bool) -> Result<Pass> {
        Ok(self.losses(g, x, target)?.pass(g, &[])?.0)
    }
}
