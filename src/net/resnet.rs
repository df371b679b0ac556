//! ResNet on one page: the residual network of "A Benchmark for Edge-Preserving Image Smoothing" (Zhu et al. 2019), one of
//! the deep methods that the paper compares with.
//!
//! ```text
//! u = 2x - 1
//! r = a = ReLU(head(u))                                   3 -> F
//! n times:  r = r + bn2(conv2(ReLU(bn1(conv1(r)))))       F -> F, without bias
//! r = bn(mid.conv(r)) + a
//! r = ReLU(tail1(r)); r = ReLU(tail2(r))                  F -> 4F -> 4F
//! y = x + tanh(out(r)) / 2                                1x1, 4F -> 3
//! ```
//!
//! All convolutions are 3x3 but the last. The authors' has 16 blocks of 64 features: 1.96 M parameters, 384.6 GMAC on
//! 512x384. Trained with the loss of [`crate::low_level::ops::neighbour_loss`], in [0, 1] and with one truth a picture.

use super::normalised::{self, Layers, Pairs};
use super::slabs::{SLAB_ROWS, Slabs, windows};
use super::training::{Losses, Pass};
use super::{Architecture, Sizes, check_features, in_words, layer, take};
use crate::error::{Error, Result};
use crate::graph::{Layout, Value};
use crate::ops::Graph;
use crate::ops::{
    activation::Bounded, activation::Function, add::Add, affine::Affine, conv3x3::Conv3x3,
    neighbour_loss::NeighbourLoss, pixel_conv::PixelConv, rows::Rows,
};
use std::collections::BTreeMap;

/// A ResNet's sizes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResNet {
    blocks: usize,
    features: usize,
    folded: bool,
}

/// Rows of a slab of the tail, whose maps are the widest.
const TAIL_ROWS: usize = 4 * SLAB_ROWS;
/// Rows around such a slab: two convolutions.
const TAIL_HALO: usize = SLAB_ROWS;

impl ResNet {
    /// `blocks` residual blocks of `features` features; the tail has four times as many.
    ///
    /// # Errors
    /// [`Error::Invalid`] unless there are 1 to 256 blocks and 1 to 256 features.
    pub fn new(blocks: usize, features: usize) -> Result<ResNet> {
        check_features(features)?;
        if !(1..=256).contains(&blocks) || features > 256 {
            let message = format!("{blocks} blocks of {features} features; give 1 to 256 of each");
            return Err(Error::Invalid(message));
        }
        Ok(ResNet { blocks, features, folded: false })
    }

    /// The layout with the normalisations.
    fn normalised(&self) -> Layout {
        let f = self.features;
        let mut layout = Layout::default();
        layout.push_layer("head", &[f, 3, 3, 3], f);
        for [name, norm] in self.pairs() {
            layout.push(format!("{name}.weight"), &[f, f, 3, 3]);
            normalised::push(&mut layout, &norm, f);
        }
        layout.push_layer("tail1", &[4 * f, f, 3, 3], 4 * f);
        layout.push_layer("tail2", &[4 * f, 4 * f, 3, 3], 4 * f);
        layout.push_layer("out", &[3, 4 * f, 1, 1], 3);
        layout
    }

    fn pairs(&self) -> Pairs {
        let numbers = (0..self.blocks).flat_map(|i| [1, 2].map(|k| (i, k)));
        let blocks = numbers.map(|(i, k)| [format!("blocks.{i}.conv{k}"), format!("blocks.{i}.bn{k}")]);
        blocks.chain([["mid.conv", "mid.bn"].map(String::from)]).collect()
    }

    /// Rows that a pixel of the result depends on, above and below.
    fn reach(&self) -> usize {
        2 * self.blocks + 4
    }

    /// Its result and loss in training.
    pub fn losses(&self, g: &mut Graph, x: Value, target: Value) -> Result<Losses> {
        normalised::check_trains(self.name(), self.folded)?;
        let mut layers = Layers::new(false);
        let y = self.forward(g, &mut layers, x)?;
        let loss = g.apply1("loss", NeighbourLoss, &[y, target])?;
        Ok(Losses { outputs: vec![("y", y)], terms: vec![loss], layers: (layers, false) })
    }

    /// x (N, 3, H, W) -> y of the same shape.
    fn forward(&self, g: &mut Graph, layers: &mut Layers, x: Value) -> Result<Value> {
        let u = g.apply1("head", Affine { k: 2.0, c: -1.0 }, &[x])?;
        let first = conv(g, "head", u)?;
        let mut r = first;
        for pair in self.pairs().chunks(2).take(self.blocks) {
            let [one, two] = pair else { unreachable!("a block has two convolutions") };
            let t = layers.conv_norm(g, [&one[0], &one[1]], &[r], true)?;
            let t = layers.conv_norm(g, [&two[0], &two[1]], &[t], false)?;
            r = g.apply1(&two[0], Add { beta: 1.0 }, &[r, t])?;
        }
        let r = layers.conv_norm(g, ["mid.conv", "mid.bn"], &[r], false)?;
        let r = g.apply1("mid", Add { beta: 1.0 }, &[r, first])?;
        let change = if layers.folded() { tail_in_slabs(g, r)? } else { tail(g, r)? };
        g.apply1("out", Add { beta: 0.5 }, &[x, change])
    }
}

fn conv(g: &mut Graph, name: &str, x: Value) -> Result<Value> {
    let [w, b] = layer(g, name)?;
    g.apply1(name, Conv3x3 { slope: Some(0.0) }, &[x, w, b])
}

/// The last layers: twice the change of the picture.
fn tail(g: &mut Graph, r: Value) -> Result<Value> {
    let r = conv(g, "tail1", r)?;
    let r = conv(g, "tail2", r)?;
    let [w, b] = layer(g, "out")?;
    let r = g.apply1("out", PixelConv { side: 1 }, &[r, w, b])?;
    g.apply1("out", Bounded(Function::Tanh), &[r])
}

/// The same in slabs of rows: its maps are four times as large as any before.
fn tail_in_slabs(g: &mut Graph, r: Value) -> Result<Value> {
    let height = g.shape(r).h;
    if height <= TAIL_ROWS {
        return tail(g, r);
    }
    let mut slabs = vec![];
    for start in (0..height).step_by(TAIL_ROWS) {
        let end = (start + TAIL_ROWS).min(height);
        let (first, last) = (start.saturating_sub(TAIL_HALO), (end + TAIL_HALO).min(height));
        let window = g.apply1("tail", Rows { first, count: last - first }, &[r])?;
        let y = tail(g, window)?;
        slabs.push(g.apply1("tail", Rows { first: start - first, count: end - start }, &[y])?);
    }
    g.apply1("tail", Rows { first: 0, count: height }, &slabs)
}

impl Architecture for ResNet {
    const NAMES: &'static [&'static str] = &["resnet"];

    fn build(_: &str, sizes: &Sizes) -> Result<ResNet> {
        let blocks = sizes.blocks.clone().unwrap_or(vec![16]);
        let [blocks] = blocks[..] else {
            return Err(Error::Invalid(format!("{} for an architecture resnet; give one number", in_words(&blocks))));
        };
        ResNet::new(blocks, sizes.features.unwrap_or(64))
    }

    fn name(&self) -> &'static str {
        "resnet"
    }

    fn about(&self) -> &'static str {
        "the residual network of Zhu et al. 2019; of the paper's Table 2"
    }

    fn sizes(&self) -> Sizes {
        Sizes { blocks: Some(vec![self.blocks]), features: Some(self.features), ..Sizes::default() }
    }

    fn describe(&self) -> String {
        format!("resnet, {}, {} features", in_words(&[self.blocks]), self.features)
    }

    fn metadata(&self) -> BTreeMap<String, String> {
        let entries = [("blocks", self.blocks), ("features", self.features)];
        let mut metadata = entries.map(|(key, number)| (key.to_string(), number.to_string())).into();
        normalised::say_folded(&mut metadata, self.folded);
        metadata
    }

    fn parse(_: &str, metadata: &mut BTreeMap<String, String>) -> Result<ResNet, String> {
        let [blocks, features] = ["blocks", "features"].map(|key| take(metadata, key, "a number"));
        let network = ResNet::new(blocks?, features?).map_err(|e| e.to_string())?;
        Ok(ResNet { folded: normalised::take_folded(metadata)?, ..network })
    }

    fn layout(&self) -> Layout {
        let layout = self.normalised();
        if self.folded { normalised::folded_layout(&layout, &self.pairs()) } else { layout }
    }

    fn normalisations(&self) -> Pairs {
        if self.folded { vec![] } else { self.pairs() }
    }

    fn folded(&self) -> ResNet {
        ResNet { folded: true, ..*self }
    }

    fn scale(&self) -> usize {
        1
    }

    fn receptive_field(&self) -> Option<usize> {
        Some(self.reach())
    }

    /// Three layers make the result of the last sum, one behind the other, and each block one part of that sum; of what
    /// they make half is added to the picture. As a U-net, which has more layers, each a whole input of the next.
    fn f16_error(&self) -> f64 {
        6.0
    }

    fn takes_slabs(&self) -> bool {
        true
    }

    fn repeats(&self) -> Vec<usize> {
        vec![self.blocks]
    }

    fn with_repeats(&self, repeats: Vec<usize>) -> ResNet {
        ResNet { blocks: repeats[0], ..*self }
    }

    fn smooth(&self, g: &mut Graph, x: &[Value], _: bool) -> Result<Slabs> {
        let layers = || Layers::new(self.folded);
        if x.len() == 1 {
            return Ok(vec![self.forward(g, &mut layers(), x[0])?]);
        }
        let windows = windows(g, x, self.reach().next_multiple_of(SLAB_ROWS));
        let slab = |window: &super::slabs::Window| {
            let x = g.apply1("window", window.rows, &x[window.slabs.clone()])?;
            let y = self.forward(g, &mut layers(), x)?;
            g.apply1("window", window.own, &[y])
        };
        windows.iter().map(slab).collect()
    }

    /// Its activations are always stored.
    fn training(&self, g: &mut Graph, [x, target]: [Value; 2], _: Option<Value>, _: bool) -> Result<Pass> {
        Ok(self.losses(g, x, target)?.pass(g, &[])?.0)
    }
}
