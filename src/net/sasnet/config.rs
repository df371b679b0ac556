//! Which SASNet: its sizes, parameters and metadata.

use super::super::reversible::Traversal;
use super::super::training::Pass;
use super::super::{Architecture, Sizes, Slabs, check_features, in_words, list, residual, take, wrong};
use super::{grow, pass, smooth};
use crate::error::{Error, Result};
use crate::graph::{Layout, Value};
use crate::ops::Graph;
use crate::ops::noise::Noise;
use crate::tensor::Shape;
use std::collections::BTreeMap;

/// Second input of the way up, in z's place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Latent {
    /// Noise, or nothing: the paper's form, which drops z.
    #[default]
    Drop,
    /// The part of z that is structure: z times the sigmoid of a residual block `latent` of [y_cor, z]; no noise.
    Keep,
}

impl Latent {
    /// All of them.
    pub const ALL: [Latent; 2] = [Latent::Drop, Latent::Keep];

    /// Its name, on the command line and in the weights file.
    pub fn name(self) -> &'static str {
        match self {
            Latent::Drop => "drop",
            Latent::Keep => "keep",
        }
    }
}

impl std::str::FromStr for Latent {
    type Err = &'static str;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|l| l.name() == name).ok_or("give drop or keep")
    }
}

/// A SASNet's sizes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sasnet {
    blocks: Vec<usize>,
    features: usize,
    attention: bool,
    latent: Latent,
}

impl Default for Sasnet {
    /// The paper's: x2, 16 blocks, 64 features, with attention.
    fn default() -> Self {
        Sasnet { blocks: vec![16], features: 64, attention: true, latent: Latent::Drop }
    }
}

impl Sasnet {
    /// `blocks` invertible blocks at each scale, the finest first: `[16]` is the paper's, `[8, 8]` its x4, `[8, 8, 8]`
    /// its x8; residual blocks of `features` features, with attention; z is dropped.
    ///
    /// # Errors
    /// [`Error::Invalid`] unless there are one to three numbers from 1 to 64, and 1 to 1024 features.
    pub fn new(blocks: &[usize], features: usize) -> Result<Sasnet> {
        if !(1..=3).contains(&blocks.len()) || blocks.iter().any(|b| !(1..=64).contains(b)) {
            return Err(Error::Invalid(format!(
                "the blocks are {}; give one, two or three numbers from 1 to 64 (x2, x4, x8)",
                list(blocks)
            )));
        }
        check_features(features)?;
        Ok(Sasnet { blocks: blocks.to_vec(), features, ..Sasnet::default() })
    }

    /// With channel and spatial attention (CBAM) in every residual block, or without.
    #[must_use]
    pub fn with_attention(self, attention: bool) -> Sasnet {
        Sasnet { attention, ..self }
    }

    /// With this in z's place.
    #[must_use]
    pub fn with_latent(self, latent: Latent) -> Sasnet {
        Sasnet { latent, ..self }
    }

    /// Invertible blocks at each scale, the finest first.
    pub fn blocks(&self) -> &[usize] {
        &self.blocks
    }

    /// Width F of the residual blocks.
    pub fn features(&self) -> usize {
        self.features
    }

    /// Tells whether there is attention.
    pub fn attention(&self) -> bool {
        self.attention
    }

    /// Returns what stands in z's place.
    pub fn latent(&self) -> Latent {
        self.latent
    }

    /// Channels of z at a level: 4 C - 3 of the C that the level's transform reads.
    fn z_channels(&self, level: usize) -> usize {
        3 * 4usize.pow(level as u32 + 1) - 3
    }

    /// Shape of z for a picture of shape `x`.
    fn z_shape(&self, x: Shape) -> Shape {
        let scale = self.scale();
        Shape::new(x.n, self.z_channels(self.blocks.len() - 1), x.h / scale, x.w / scale)
    }

    /// The noise in z's place for a picture in slabs: that of the whole picture.
    pub(super) fn noise(&self, g: &mut Graph, x: &[Value]) -> Result<Slabs> {
        let mut first_row = 0;
        let slab = |x: &Value| {
            let shape = self.z_shape(g.shape(*x));
            let noise = Noise { shape, first_row, first_image: 0 };
            first_row += shape.h;
            g.apply1("noise", noise, &[])
        };
        x.iter().map(slab).collect()
    }
}

impl Architecture for Sasnet {
    const NAMES: &'static [&'static str] = &["sasnet"];

    fn build(_: &str, sizes: &Sizes) -> Result<Sasnet> {
        let paper = Sasnet::default();
        let blocks = sizes.blocks.as_deref().unwrap_or(&paper.blocks);
        let network = Sasnet::new(blocks, sizes.features.unwrap_or(paper.features))?;
        Ok(network.with_attention(sizes.attention.unwrap_or(true)).with_latent(sizes.latent.unwrap_or_default()))
    }

    fn name(&self) -> &'static str {
        "sasnet"
    }

    fn about(&self) -> &'static str {
        "the paper's, of invertible blocks"
    }

    fn sizes(&self) -> Sizes {
        Sizes {
            blocks: Some(self.blocks.clone()),
            features: Some(self.features),
            attention: Some(self.attention),
            latent: Some(self.latent),
            ..Sizes::default()
        }
    }

    fn describe(&self) -> String {
        let blocks = in_words(&self.blocks).replace(',', "+");
        let latent = if self.latent == Latent::Keep { ", structure of z kept" } else { "" };
        let attention = if self.attention { "" } else { ", no attention" };
        format!("{blocks}{latent}, {} features{attention}", self.features)
    }

    fn metadata(&self) -> BTreeMap<String, String> {
        let blocks: Vec<String> = self.blocks.iter().map(usize::to_string).collect();
        let mut metadata = BTreeMap::from([
            ("blocks".into(), blocks.join(",")),
            ("features".into(), self.features.to_string()),
            ("attention".into(), if self.attention { "cbam" } else { "none" }.into()),
        ]);
        // Files of the paper's form do not say it: none did before there was another.
        if self.latent != Latent::Drop {
            metadata.insert("latent".into(), self.latent.name().into());
        }
        metadata
    }

    fn parse(_: &str, metadata: &mut BTreeMap<String, String>) -> Result<Sasnet, String> {
        let text: String = take(metadata, "blocks", "")?;
        let blocks = text.split(',').map(|b| b.trim().parse::<usize>()).collect::<Result<Vec<_>, _>>();
        let blocks = blocks.map_err(|_| wrong("blocks", &text, "numbers separated by commas"))?;
        let features = take(metadata, "features", "a number")?;
        let attention = match take::<String>(metadata, "attention", "")?.as_str() {
            "cbam" => true,
            "none" => false,
            other => return Err(wrong("attention", other, "\"cbam\" or \"none\"")),
        };
        let latent = match metadata.contains_key("latent") {
            true => take(metadata, "latent", "\"drop\" or \"keep\"")?,
            false => Latent::Drop,
        };
        let network = Sasnet::new(&blocks, features).map_err(|e| e.to_string())?;
        Ok(network.with_attention(attention).with_latent(latent))
    }

    fn layout(&self) -> Layout {
        let mut layout = Layout::default();
        let mut block = |name: &str, c_in, c_out| {
            residual::layout(&mut layout, name, (c_in, c_out), self.features, self.attention);
        };
        let levels = self.blocks.iter().enumerate().flat_map(|(level, &count)| std::iter::repeat_n(level, count));
        for (l, level) in levels.enumerate() {
            let z = self.z_channels(level);
            for (g, c_in, c_out) in [("g1", z, 3), ("g2", 3, z), ("g3", 3, z)] {
                block(&format!("blocks.{l}.{g}"), c_in, c_out);
            }
        }
        if self.latent == Latent::Keep {
            let z = self.z_channels(self.blocks.len() - 1);
            block("latent", 3 + z, z);
        }
        layout
    }

    /// 2, 4 or 8.
    fn scale(&self) -> usize {
        1 << self.blocks.len()
    }

    /// The whole picture with attention, whose channel gates read its mean and maximum. Without, three convolutions for
    /// each step down and up, at the level's resolution, and a cell for the pixels that share one.
    fn receptive_field(&self) -> Option<usize> {
        let steps = self.blocks.iter().enumerate().map(|(level, blocks)| (2 << level) * (3 * 4 * blocks + 1));
        let latent = if self.latent == Latent::Keep { 3 * self.scale() } else { 0 };
        (!self.attention).then(|| steps.sum::<usize>() + latent)
    }

    fn noise_shape(&self, x: Shape) -> Option<Shape> {
        (self.latent == Latent::Drop).then(|| self.z_shape(x))
    }

    fn is_invertible(&self) -> bool {
        true
    }

    /// The last convolution of what keeps z: half of z is kept at first.
    fn begins_as_zero(&self, parameter: &str) -> bool {
        parameter.starts_with("latent.conv3.")
    }

    /// The last convolution of every subnet.
    fn ends_a_block(&self, parameter: &str) -> bool {
        parameter.contains(".conv3.")
    }

    fn grow(&self, params: &[f32], larger: &Sizes, initial: &dyn Fn() -> Vec<f32>) -> Result<Vec<f32>> {
        let larger = Sasnet::build(self.name(), larger)?;
        Ok(grow::grow(self, params, &larger, initial()))
    }

    /// Two roundings of the largest value, each at most one. Every factor of a sum is off by at most one; the errors are
    /// independent, so that a sum is off by about 2^0.5 / 3^0.5 of one, of its size; and g's outputs, which three such
    /// layers make, are a part of what they are added to.
    fn f16_error(&self) -> f64 {
        2.0
    }

    fn skips(&self) -> Option<&'static str> {
        (self.latent == Latent::Drop).then_some("z's last g2 and g3")
    }

    fn takes_slabs(&self) -> bool {
        true
    }

    fn repeats(&self) -> Vec<usize> {
        self.blocks.clone()
    }

    fn with_repeats(&self, blocks: Vec<usize>) -> Sasnet {
        Sasnet { blocks, ..self.clone() }
    }

    fn smooth(&self, g: &mut Graph, x: &[Value], keep_features: bool) -> Result<Slabs> {
        let mut t = Traversal::new(g, None);
        t.keep_features = keep_features;
        smooth(&mut t, self, x)
    }

    fn training(&self, g: &mut Graph, pictures: [Value; 2], noise: Option<Value>, store: bool) -> Result<Pass> {
        pass::training(self, g, pictures, noise, store)
    }

    fn complete(&self, g: &mut Graph, x: Value) -> Result<Value> {
        pass::complete(self, g, x)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameter_counts_are_the_papers() {
        let count = |blocks: &[usize], attention| {
            Sasnet::new(blocks, 64).unwrap().with_attention(attention).layout().parameters()
        };
        assert_eq!(count(&[16], true), 2_151_984);
        assert_eq!(count(&[16], false), 2_119_392);
        assert_eq!((count(&[8, 8], true) + 5_000) / 10_000, 267);
        assert_eq!((count(&[8, 8, 8], true) + 5_000) / 10_000, 636);
        let keep = Sasnet::default().with_latent(Latent::Keep);
        assert_eq!(keep.layout().parameters() - 2_151_984, 50_748);
    }

    #[test]
    fn sizes_out_of_range_are_refused() {
        for blocks in [&[][..], &[0], &[1; 4], &[65]] {
            assert!(Sasnet::new(blocks, 64).is_err(), "{blocks:?}");
        }
        assert!(Sasnet::new(&[1], 0).is_err() && Sasnet::new(&[1], 1025).is_err());
    }
}
