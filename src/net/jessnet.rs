//! JESSNet on one page: the network of "Easy2Hard: Learning to Solve the Intractables from a Synthetic Dataset for
//! Structure-preserving Image Smoothing" (Feng et al. 2021), one of the deep methods that the paper compares with.
//!
//! ```text
//! rHDC(x) = x + cbr3(cbr2(cbr1(x)))        cbr_d = ReLU(bn(conv of dilation d)), F -> F
//! r = conv_in(x); r = rHDC(r), a times                    3 -> F
//! edge = conv(cbr(cbr(r)))                                F -> F -> F -> 1, logits
//! first = conv(cbr(rHDC, b times, of cbr([r, edge])))     F + 1 -> F .. F -> 3
//! y = first + conv(rHDC, c times, of cbr([r, edge, first]))    F + 4 -> F .. F -> 3
//! ```
//!
//! All convolutions are 3x3. The authors' has a, b, c of 20, 3, 6 and 64 features: 3.42 M parameters, 668.5 GMAC on
//! 512x384. Names are those of their state dict. The loss: mean absolute error and structural similarity at four scales
//! of `first` and of y, and that of the edges; the edge labels are of the crop.

use super::normalised::{self, Layers, Pairs};
use super::slabs::Slabs;
use super::training::{Losses, Pass, loss};
use super::{Architecture, Sizes, check_features, in_words, layer, list, take};
use crate::error::{Error, Result};
use crate::graph::{Layout, Value};
use crate::ops::Graph;
use crate::ops::{
    add::Add, blur::Blur, channels::Concat, conv3x3::Conv3x3, edge_loss::EdgeLoss, edge_loss::Edges, max_pool::MaxPool,
    ssim::Products, ssim::Squares, ssim::SsimLoss,
};
use std::collections::BTreeMap;

/// Weight of what structural similarity lacks to 1, at each scale.
const SIMILARITY: f64 = 0.1;
/// Scales of the structural similarity, each half of the one before.
const SCALES: usize = 4;
/// Weight of the edges' mean cross-entropy: 0.001 of the sum over the authors' batch of 2 x 128 x 128.
const EDGES: f64 = 32.768;

/// A JESSNet's sizes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JessNet {
    blocks: [usize; 3],
    features: usize,
    folded: bool,
}

/// Results of the network.
struct Outputs {
    edge: Value,
    first: Value,
    y: Value,
}

impl Outputs {
    fn named(&self) -> Vec<(&'static str, Value)> {
        vec![("edge", self.edge), ("first", self.first), ("y", self.y)]
    }
}

impl JessNet {
    /// So many blocks that describe the picture, that find the first result, and that refine it; `features` wide.
    ///
    /// # Errors
    /// [`Error::Invalid`] unless there are 1 to 256 of each, and of features.
    pub fn new(blocks: [usize; 3], features: usize) -> Result<JessNet> {
        check_features(features)?;
        if blocks.iter().any(|n| !(1..=256).contains(n)) || features > 256 {
            let message = format!("{} of {features} features; give 1 to 256 of each", in_words(&blocks));
            return Err(Error::Invalid(message));
        }
        Ok(JessNet { blocks, features, folded: false })
    }

    /// All convolutions in order: name, normalisation behind it, inputs, outputs.
    fn convolutions(&self) -> Vec<(String, Option<String>, usize, usize)> {
        let ([a, b, c], f) = (self.blocks, self.features);
        let mut all = vec![];
        let cbr = |at: &str, conv: usize, inputs: usize| {
            (format!("{at}.{conv}"), Some(format!("{at}.{}", conv + 1)), inputs, f)
        };
        let block = |name: String| {
            [1, 2, 3].map(|d| {
                let [conv, norm] = block_layer(&name, d);
                (conv, Some(norm), f, f)
            })
        };
        all.push(("descriptor.conv_in".into(), None, 3, f));
        all.extend((0..a).flat_map(|i| block(format!("descriptor.res16.{i}"))));
        all.extend([cbr("interpreter1", 0, f), cbr("interpreter1", 3, f)]);
        all.push(("interpreter1.6".into(), None, f, 1));
        all.push(cbr("interpreter2", 0, f + 1));
        all.extend((3..3 + b).flat_map(|i| block(format!("interpreter2.{i}"))));
        all.push(cbr("interpreter2", 3 + b, f));
        all.push((format!("interpreter2.{}", 6 + b), None, f, 3));
        all.push(cbr("refine", 0, f + 4));
        all.extend((3..3 + c).flat_map(|i| block(format!("refine.{i}"))));
        all.push((format!("refine.{}", 3 + c), None, f, 3));
        all
    }

    fn pairs(&self) -> Pairs {
        self.convolutions().into_iter().filter_map(|(conv, norm, ..)| Some([conv, norm?])).collect()
    }

    /// Its results at test time by name; the network is folded.
    pub fn outputs(&self, g: &mut Graph, x: Value) -> Result<Vec<(&'static str, Value)>> {
        Ok(self.forward(g, &mut Layers::new(self.folded), x, [1, 2, 3])?.named())
    }

    /// Its results and loss in training.
    pub fn losses(&self, g: &mut Graph, x: Value, target: Value) -> Result<Losses> {
        normalised::check_trains(self.name(), self.folded)?;
        let mut layers = Layers::new(false);
        let outputs = self.forward(g, &mut layers, x, [1, 2, 3])?;
        let labels = g.apply1("loss", Edges, &[target])?;
        let mut terms = vec![g.apply("loss", EdgeLoss { weight: EDGES }, &[outputs.edge, labels])?[0]];
        for z in [outputs.first, outputs.y] {
            terms.push(loss(g, z, target)?);
        }
        let (mut target, mut results) = (target, [outputs.first, outputs.y]);
        for scale in 0..SCALES {
            if scale > 0 {
                target = g.apply1("loss", MaxPool, &[target])?;
            }
            let squares = g.apply1("loss", Squares, &[target])?;
            let squares = g.apply1("loss", Blur, &[squares])?;
            for z in &mut results {
                if scale > 0 {
                    *z = g.apply1("loss", MaxPool, &[*z])?;
                }
                let products = g.apply1("loss", Products, &[*z, target])?;
                let products = g.apply1("loss", Blur, &[products])?;
                terms.push(g.apply1("loss", SsimLoss { weight: SIMILARITY }, &[products, squares])?);
            }
        }
        Ok(Losses { outputs: outputs.named(), terms, layers: (layers, true) })
    }

    /// x (N, 3, H, W) -> edge (N, 1, H, W), first and y (N, 3, H, W); the dilations of a block's convolutions.
    fn forward(&self, g: &mut Graph, layers: &mut Layers, x: Value, dilations: [usize; 3]) -> Result<Outputs> {
        let [a, b, c] = self.blocks;
        let blocks = |g: &mut Graph, layers: &mut Layers, at: &str, range: std::ops::Range<usize>, x: Value| {
            range.into_iter().try_fold(x, |x, i| {
                let name = format!("{at}.{i}");
                let t = [1, 2, 3].into_iter().zip(dilations).try_fold(x, |t, (k, d)| {
                    let [conv, norm] = block_layer(&name, k);
                    layers.dilated(g, [&conv, &norm], &[t], true, d)
                })?;
                g.apply1(&name, Add { beta: 1.0 }, &[x, t])
            })
        };
        let cbr = |g: &mut Graph, layers: &mut Layers, at: &str, i: usize, maps: &[Value]| {
            layers.conv_norm(g, [&format!("{at}.{i}"), &format!("{at}.{}", i + 1)], maps, true)
        };
        let r = conv(g, "descriptor.conv_in", x)?;
        let r = blocks(g, layers, "descriptor.res16", 0..a, r)?;
        let t = cbr(g, layers, "interpreter1", 0, &[r])?;
        let t = cbr(g, layers, "interpreter1", 3, &[t])?;
        let edge = conv(g, "interpreter1.6", t)?;
        let t = cbr(g, layers, "interpreter2", 0, &[r, edge])?;
        let t = blocks(g, layers, "interpreter2", 3..3 + b, t)?;
        let t = cbr(g, layers, "interpreter2", 3 + b, &[t])?;
        let first = conv(g, &format!("interpreter2.{}", 6 + b), t)?;
        let beside = g.apply1("refine.0", Concat, &[edge, first])?;
        let t = cbr(g, layers, "refine", 0, &[r, beside])?;
        let t = blocks(g, layers, "refine", 3..3 + c, t)?;
        let change = conv(g, &format!("refine.{}", 3 + c), t)?;
        let y = g.apply1("refine", Add { beta: 1.0 }, &[first, change])?;
        Ok(Outputs { edge, first, y })
    }
}

/// Convolution number `k` of a block and its normalisation.
fn block_layer(block: &str, k: usize) -> [String; 2] {
    [format!("{block}.conv_3x3_{k}"), format!("{block}.bn_conv_3x3_{k}")]
}

fn conv(g: &mut Graph, name: &str, x: Value) -> Result<Value> {
    let [w, b] = layer(g, name)?;
    g.apply1(name, Conv3x3 { slope: None }, &[x, w, b])
}

impl Architecture for JessNet {
    const NAMES: &'static [&'static str] = &["jessnet"];

    fn build(_: &str, sizes: &Sizes) -> Result<JessNet> {
        let blocks = sizes.blocks.clone().unwrap_or(vec![20, 3, 6]);
        let [a, b, c] = blocks[..] else {
            let message = format!("{} for an architecture jessnet; give three numbers, as 20,3,6", in_words(&blocks));
            return Err(Error::Invalid(message));
        };
        JessNet::new([a, b, c], sizes.features.unwrap_or(64))
    }

    fn name(&self) -> &'static str {
        "jessnet"
    }

    fn about(&self) -> &'static str {
        "the edge-guided network of Feng et al. 2021; of the paper's Table 2"
    }

    fn sizes(&self) -> Sizes {
        Sizes { blocks: Some(self.blocks.to_vec()), features: Some(self.features), ..Sizes::default() }
    }

    fn describe(&self) -> String {
        format!("jessnet, {}, {} features", in_words(&self.blocks), self.features)
    }

    fn metadata(&self) -> BTreeMap<String, String> {
        let entries = [("blocks", list(&self.blocks)), ("features", self.features.to_string())];
        let mut metadata = entries.map(|(key, text)| (key.to_string(), text)).into();
        normalised::say_folded(&mut metadata, self.folded);
        metadata
    }

    fn parse(_: &str, metadata: &mut BTreeMap<String, String>) -> Result<JessNet, String> {
        let features = take(metadata, "features", "a number")?;
        let text: String = take(metadata, "blocks", "three numbers")?;
        let blocks: Vec<usize> = text.split(',').filter_map(|n| n.parse().ok()).collect();
        let blocks = blocks.try_into().map_err(|_| super::wrong("blocks", &text, "three numbers"))?;
        let network = JessNet::new(blocks, features).map_err(|e| e.to_string())?;
        Ok(JessNet { folded: normalised::take_folded(metadata)?, ..network })
    }

    fn layout(&self) -> Layout {
        let mut layout = Layout::default();
        for (name, norm, inputs, outputs) in self.convolutions() {
            layout.push_layer(&name, &[outputs, inputs, 3, 3], outputs);
            if let Some(norm) = norm {
                normalised::push(&mut layout, &norm, outputs);
            }
        }
        if self.folded { normalised::folded_layout(&layout, &self.pairs()) } else { layout }
    }

    fn normalisations(&self) -> Pairs {
        if self.folded { vec![] } else { self.pairs() }
    }

    fn folded(&self) -> JessNet {
        JessNet { folded: true, ..*self }
    }

    fn scale(&self) -> usize {
        1
    }

    /// A block's dilations, and the convolutions outside blocks.
    fn receptive_field(&self) -> Option<usize> {
        Some(6 * self.blocks.iter().sum::<usize>() + 9)
    }

    fn repeats(&self) -> Vec<usize> {
        self.blocks.to_vec()
    }

    fn with_repeats(&self, repeats: Vec<usize>) -> JessNet {
        JessNet { blocks: repeats.try_into().expect("three"), ..*self }
    }

    /// Three layers are hidden in each block, which is a part of a sum, and two or three at the ends of each part: as a
    /// U-net, whose layers are each a whole input of the next.
    fn f16_error(&self) -> f64 {
        6.0
    }

    fn smooth(&self, g: &mut Graph, x: &[Value], _: bool) -> Result<Slabs> {
        Ok(vec![self.forward(g, &mut Layers::new(self.folded), x[0], [1, 2, 3])?.y])
    }

    /// Its activations are always stored.
    fn training(&self, g: &mut Graph, [x, target]: [Value; 2], _: Option<Value>, _: bool) -> Result<Pass> {
        Ok(self.losses(g, x, target)?.pass(g, &[])?.0)
    }

    /// Operations do not depend on dilations; those beyond the border, of pictures that are no multiples, are none.
    fn complete(&self, g: &mut Graph, x: Value) -> Result<Value> {
        Ok(self.forward(g, &mut Layers::new(self.folded), x, [1; 3])?.y)
    }
}
