//! SASNet on one page ("Deep Scale-Aware Image Smoothing", Li, Qin, Xu, Ji).
//!
//! ```text
//! x -> Haar -> L forward blocks -> y_cor = a1, z = a2 dropped
//! n ~ N(0, I) in z's place -> L inverse blocks -> inverse Haar -> y
//! ```
//!
//! That is the paper's form ([`Latent::Drop`]), in which all of the result comes from the three half-size channels of y_cor: the
//! limit on sharp edges. In ours ([`Latent::Keep`]) one more residual block h reads both halves and says how much of each
//! element of z is structure:
//!
//! ```text
//! x -> Haar -> L forward blocks -> y_cor, z
//! y_cor, z sigmoid(h([y_cor, z])) -> L inverse blocks -> inverse Haar -> y
//! ```
//!
//! h begins as 0 (its last convolution is): half of z is kept.
//!
//! At scale x4 and x8 the transform and the blocks come two and three times. Layer names are those of the weights file.
//!
//! [`Config::architecture`] may name another network ([`unet`]); [`smooth`] and [`training::pass`] build any.

use crate::error::{Error, Result};
use crate::graph::{Gradients, Graph, Layout, Node, Value};
use crate::ops::{
    Op, add::Add, channel_attention::ChannelGate, channel_attention::ChannelStats, channel_attention::TILE_ROWS,
    channels::Concat, channels::Split, conv3x3::Conv3x3, coupling::Coupling, exp_scale::ExpScale, gate::Gate,
    haar::Haar, haar_inverse::HaarInverse, loss::L1Loss, noise::Noise, rows::Rows, sigmoid_gate::SigmoidGate,
    spatial_attention::SpatialGate, spatial_attention::SpatialStats,
};
use crate::tensor::Shape;

pub mod training;
pub mod unet;

/// Slope of the LeakyReLU (lineage: InvDN).
pub const LEAKY_SLOPE: f64 = 0.2;

/// A kind of network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// The paper's.
    Sasnet,
    /// A plain auto-encoder ([`unet`]).
    AutoEncoder,
    /// A U-net ([`unet`]).
    Unet,
}

impl Architecture {
    /// All of them.
    pub const ALL: [Architecture; 3] = [Architecture::Sasnet, Architecture::AutoEncoder, Architecture::Unet];

    /// Its name, on the command line and in the weights file.
    pub fn name(self) -> &'static str {
        match self {
            Architecture::Sasnet => "sasnet",
            Architecture::AutoEncoder => "autoencoder",
            Architecture::Unet => "unet",
        }
    }
}

impl std::str::FromStr for Architecture {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let names = Self::ALL.map(Self::name).join(", ");
        Self::ALL.into_iter().find(|a| a.name() == name).ok_or(format!("give one of: {names}"))
    }
}

/// What stands in z's place on SASNet's way up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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

/// Which network: what the weights file's metadata says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Its kind.
    pub architecture: Architecture,
    /// SASNet's invertible blocks at each scale, the finest first: `[16]` is the paper's, `[8, 8]` its x4, `[8, 8, 8]` its
    /// x8. Of the others empty.
    pub blocks: Vec<usize>,
    /// Width F of SASNet's subnets, or of the others' first level.
    pub features: usize,
    /// Channel and spatial attention (CBAM) in every subnet of SASNet.
    pub attention: bool,
    /// What stands in z's place. Of the others [`Latent::Drop`].
    pub latent: Latent,
}

impl Default for Config {
    /// The paper's: x2, 16 blocks, 64 features, with attention.
    fn default() -> Self {
        Config::of(Architecture::Sasnet)
    }
}

impl Config {
    /// The full-size network of a kind; SASNet's is the paper's.
    pub fn of(architecture: Architecture) -> Self {
        let sasnet = architecture == Architecture::Sasnet;
        let blocks = if sasnet { vec![16] } else { vec![] };
        Config { architecture, blocks, features: 64, attention: sasnet, latent: Latent::Drop }
    }

    /// 2, 4, 8 or 16: sides of an image are padded to a multiple of it.
    pub fn scale(&self) -> usize {
        match self.architecture {
            Architecture::Sasnet => 1 << self.blocks.len(),
            _ => 1 << (unet::LEVELS - 1),
        }
    }

    /// Checks the ranges that the network is defined for.
    pub fn check(&self) -> Result<()> {
        let fail = |what: String| Err(Error::Invalid(what));
        if self.architecture != Architecture::Sasnet {
            if !self.blocks.is_empty() || self.attention || self.latent != Latent::Drop {
                let name = self.architecture.name();
                return fail(format!("an architecture {name} has neither blocks nor attention nor a latent"));
            }
        } else if !(1..=3).contains(&self.blocks.len()) || self.blocks.iter().any(|b| !(1..=64).contains(b)) {
            return fail(format!(
                "blocks are {:?}; give one, two or three numbers from 1 to 64 (x2, x4, x8)",
                self.blocks
            ));
        }
        if !(1..=1024).contains(&self.features) {
            return fail(format!("features are {}; give a number from 1 to 1024", self.features));
        }
        Ok(())
    }

    /// Channels of z at a level: 4 C - 3 of the C that the level's transform reads.
    fn z_channels(&self, level: usize) -> usize {
        3 * 4usize.pow(level as u32 + 1) - 3
    }

    /// Names, dimensions and order of all parameters.
    pub fn layout(&self) -> Layout {
        if self.architecture != Architecture::Sasnet {
            return unet::layout(self);
        }
        let mut layout = Layout::default();
        let (f, k) = (self.features, (self.features / 16).max(4));
        let mut subnet = |name: &str, c_in: usize, c_out: usize| {
            let mut add = |layer: &str, dims: &[usize]| {
                layout.push(format!("{name}.{layer}.weight"), dims);
                layout.push(format!("{name}.{layer}.bias"), &dims[..1]);
            };
            add("conv1", &[f, c_in, 3, 3]);
            add("conv2", &[f, f, 3, 3]);
            if self.attention {
                add("channel.fc1", &[k, f]);
                add("channel.fc2", &[f, k]);
                add("spatial", &[1, 2, 7, 7]);
            }
            add("conv3", &[c_out, c_in + f, 3, 3]);
        };
        let levels = self.blocks.iter().enumerate().flat_map(|(level, &count)| std::iter::repeat_n(level, count));
        for (l, level) in levels.enumerate() {
            let z = self.z_channels(level);
            for (g, c_in, c_out) in [("g1", z, 3), ("g2", 3, z), ("g3", 3, z)] {
                subnet(&format!("blocks.{l}.{g}"), c_in, c_out);
            }
        }
        if self.latent == Latent::Keep {
            let z = self.z_channels(self.blocks.len() - 1);
            subnet(LATENT, 3 + z, z);
        }
        layout
    }

    /// Shape of the noise in z's place for an image of shape `x`; None for networks that take none.
    pub fn noise_shape(&self, x: Shape) -> Option<Shape> {
        let (level, scale) = (self.blocks.len().checked_sub(1)?, self.scale());
        let shape = || Shape::new(x.n, self.z_channels(level), x.h / scale, x.w / scale);
        self.takes_noise().then(shape)
    }

    /// Does noise stand in z's place?
    pub fn takes_noise(&self) -> bool {
        self.architecture == Architecture::Sasnet && self.latent == Latent::Drop
    }

    /// Checks that noise of this scale can stand in z's place.
    pub fn check_noise(&self, scale: f32) -> Result<()> {
        if self.takes_noise() || scale == 0.0 {
            return Ok(());
        }
        let network = match self.architecture {
            Architecture::Sasnet => format!("a network of latent {}", self.latent.name()),
            other => format!("an architecture {}", other.name()),
        };
        Err(Error::Invalid(format!("the noise scale is {scale}, {network} takes none; give 0")))
    }
}

/// Name of the residual block that finds structure in z.
const LATENT: &str = "latent";

/// A layer: weight and bias by name.
fn layer(g: &mut Graph, name: &str) -> Result<[Value; 2]> {
    Ok([g.param(&format!("{name}.weight"))?, g.param(&format!("{name}.bias"))?])
}

/// A way through the network, in either direction, as steps that can be undone. An invertible block is two of them,
/// `additive` and `affine`; its inverse is their inverses the other way round. With `grads` it is the way back of a
/// reversible training step ([`training`]): its values are those of an earlier way in the other direction, and with
/// each step the gradients are pulled back through the step that it undoes.
struct Way<'a> {
    g: &'a mut Graph,
    c: &'a Config,
    grads: Option<&'a mut Gradients>,
    /// The first node since the last step.
    start: usize,
    /// Keep the features of all slabs until all channel gates are known, instead of computing them again.
    keep_features: bool,
}

/// A map in slabs of rows, from top to bottom. Mostly the one slab is the whole map; in several, the network runs in less
/// memory, with the same result bit for bit.
pub type Slabs = Vec<Value>;

/// Rows of a slab are a multiple of this, but for the last's: the kernels' tiles are no higher.
pub const SLAB_ROWS: usize = 16;

/// Rows that a subnet reads above and below those that it computes. The convolutions need 1 each and the spatial
/// attention 3; with 8 the tiles of [`ChannelStats`] keep their places.
const HALO: usize = 8;

const _: () = assert!(SLAB_ROWS.is_multiple_of(TILE_ROWS), "slabs begin where tiles of statistics do");
const _: () = assert!(HALO.is_multiple_of(TILE_ROWS), "a halo moves tiles of statistics by whole tiles");
const _: () = assert!(HALO >= 3 + 3, "three convolutions of 3x3 and one of 7x7 stay inside");

/// A slab with its halo.
struct Window {
    /// Its rows in the slabs that it reads.
    rows: Rows,
    /// The slab's own rows in the window.
    own: Rows,
    /// The slabs that it reads.
    slabs: std::ops::Range<usize>,
}

fn windows(g: &Graph, x: &[Value]) -> Vec<Window> {
    let starts: Vec<usize> = x.iter().scan(0, |at, v| Some(std::mem::replace(at, *at + g.shape(*v).h))).collect();
    let height = x.iter().map(|v| g.shape(*v).h).sum();
    let ends = starts.iter().skip(1).copied().chain([height]);
    let window = |(&from, to): (&usize, usize)| {
        let (first, end) = (from.saturating_sub(HALO), (to + HALO).min(height));
        let slabs = starts.partition_point(|s| *s <= first) - 1..starts.partition_point(|s| *s < end);
        let rows = Rows { first: first - starts[slabs.start], count: end - first };
        Window { rows, own: Rows { first: from - first, count: to - from }, slabs }
    };
    starts.iter().zip(ends).map(window).collect()
}

impl<'a> Way<'a> {
    fn new(g: &'a mut Graph, c: &'a Config, grads: Option<&'a mut Gradients>) -> Self {
        let start = g.nodes().len();
        Way { g, c, grads, start, keep_features: true }
    }

    /// The residual block g of a map x (N, c_in, h, w) -> (N, c_out, h, w), `name` as in `blocks.0.g1`. Each slab of the
    /// result goes to `then` as soon as it is there, with its number.
    fn subnet(
        &mut self,
        name: &str,
        x: &[Value],
        mut then: impl FnMut(&mut Self, usize, Value) -> Result<Value>,
    ) -> Result<Slabs> {
        let windows = windows(self.g, x);
        let alone = x.len() == 1;
        let cut = |g: &mut Graph, rows: &Rows, x: &[Value]| if alone { Ok(x[0]) } else { g.apply1(name, *rows, x) };
        let conv = |g: &mut Graph, at: &str, maps: &[Value], slope| {
            let name = format!("{name}.{at}");
            let weights = layer(g, &name)?;
            g.apply1(&name, Conv3x3 { slope }, &[maps, &weights].concat())
        };
        let features = |g: &mut Graph, window: &Window| {
            let x = cut(g, &window.rows, &x[window.slabs.clone()])?;
            let r = conv(g, "conv1", &[x], Some(LEAKY_SLOPE))?;
            Ok([x, conv(g, "conv2", &[r], Some(LEAKY_SLOPE))?])
        };
        let mut kept = vec![None; x.len()];
        let mut channel_gate = None;
        if self.c.attention {
            let name = format!("{name}.channel");
            let mut tiles = vec![];
            for (window, kept) in windows.iter().zip(&mut kept) {
                let [x, r] = features(self.g, window)?;
                *kept = self.keep_features.then_some([x, r]);
                let stats = self.g.apply1(&name, ChannelStats, &[r])?;
                let own_tiles =
                    Rows { first: window.own.first / TILE_ROWS, count: window.own.count.div_ceil(TILE_ROWS) };
                tiles.push(cut(self.g, &own_tiles, &[stats])?);
            }
            let pixels = x.iter().map(|v| self.g.shape(*v).plane()).sum();
            let all = Rows { first: 0, count: tiles.iter().map(|t| self.g.shape(*t).h).sum() };
            let tiles = cut(self.g, &all, &tiles)?;
            let ([w1, b1], [w2, b2]) = (layer(self.g, &format!("{name}.fc1"))?, layer(self.g, &format!("{name}.fc2"))?);
            channel_gate = Some(self.g.apply(&name, ChannelGate { pixels }, &[tiles, w1, b1, w2, b2])?[0]);
        }
        let mut out = vec![];
        for (k, (window, kept)) in windows.iter().zip(kept).enumerate() {
            let [x, mut r] = kept.map_or_else(|| features(self.g, window), Ok)?;
            if let Some(channel_gate) = channel_gate {
                let spatial = format!("{name}.spatial");
                let [w, b] = layer(self.g, &spatial)?;
                let stats = self.g.apply1(&spatial, SpatialStats, &[r, channel_gate])?;
                let spatial_gate = self.g.apply1(&spatial, SpatialGate, &[stats, w, b])?;
                r = self.g.apply1(name, Gate, &[r, channel_gate, spatial_gate])?;
            }
            let y = conv(self.g, "conv3", &[x, r], None)?;
            let y = cut(self.g, &window.own, &[y])?;
            out.push(then(self, k, y)?);
        }
        Ok(out)
    }

    /// Applies an operator to `x` and the values beside it; `undone` makes `x` of the result and the values beside that.
    fn step(
        &mut self,
        name: &str,
        x: &[Value],
        (op, beside): (impl Into<Op>, &[Value]),
        (undone, beside_undone): (impl Into<Op>, &[Value]),
    ) -> Result<Vec<Value>> {
        let y = self.g.apply(name, op, &[x, beside].concat())?;
        if let Some(grads) = self.grads.as_deref_mut() {
            // The subnets of this step are those of the undone one.
            let mut tape = self.g.nodes()[self.start..].to_vec();
            let inputs = [&y, beside_undone].concat();
            let (op, name, outputs, updates) = (undone.into(), name.to_string(), x.to_vec(), vec![]);
            tape.pop();
            tape.push(Node { op, name, inputs, outputs, updates });
            self.g.pull_back(&tape, |_| true, grads)?;
        }
        self.start = self.g.nodes().len();
        Ok(y)
    }

    /// a1' = a1 + g1(a2), beta = 1; its inverse with beta = -1.
    fn additive(&mut self, l: usize, [a1, a2]: [Slabs; 2], beta: f32) -> Result<[Slabs; 2]> {
        let name = format!("blocks.{l}");
        let a1 = self.subnet(&format!("{name}.g1"), &a2, |way, k, t| {
            Ok(way.step(&name, &[a1[k]], (Add { beta }, &[t]), (Add { beta: -beta }, &[t]))?[0])
        })?;
        Ok([a1, a2])
    }

    /// a2' = a2 exp(s) + g3(a1'), s = tanh(g2(a1') / 2); inverse a2 = (a2' - g3(a1')) exp(-s).
    fn affine(&mut self, l: usize, [a1, a2]: [Slabs; 2], inverse: bool) -> Result<[Slabs; 2]> {
        let name = format!("blocks.{l}");
        let sign = if inverse { -1.0 } else { 1.0 };
        let mut undone_e = vec![];
        let e = self.subnet(&format!("{name}.g2"), &a1, |way, _, h| {
            let e = way.g.apply1(&name, ExpScale { sign }, &[h])?;
            undone_e.push(match way.grads {
                Some(_) => way.g.apply1(&name, ExpScale { sign: -sign }, &[h])?,
                None => e,
            });
            Ok(e)
        })?;
        let (op, undone) = (Coupling { inverse }, Coupling { inverse: !inverse });
        let a2 = self.subnet(&format!("{name}.g3"), &a1, |way, k, t| {
            let (op, undone) = ((op.clone(), &[e[k], t][..]), (undone.clone(), &[undone_e[k], t][..]));
            Ok(way.step(&name, &[a2[k]], op, undone)?[0])
        })?;
        Ok([a1, a2])
    }

    /// Haar transform of each slab, split into the first 3 channels and the others.
    fn transform(&mut self, x: &[Value]) -> Result<[Slabs; 2]> {
        let mut a = [vec![], vec![]];
        for &x in x {
            let bands = self.step("haar", &[x], (Haar { scale: 0.25 }, &[]), (HaarInverse { scale: 1.0 }, &[]))?;
            let parts = self.step("haar", &bands, (Split { first: 3 }, &[]), (Concat, &[]))?;
            a.iter_mut().zip(parts).for_each(|(slabs, part)| slabs.push(part));
        }
        Ok(a)
    }

    /// The inverse of [`Way::transform`].
    fn inverse_transform(&mut self, [a1, a2]: [Slabs; 2]) -> Result<Slabs> {
        let (op, undone) = (HaarInverse { scale: 1.0 }, Haar { scale: 0.25 });
        let slab = |(a1, a2)| {
            let bands = self.step("haar_inverse", &[a1, a2], (Concat, &[]), (Split { first: 3 }, &[]))?;
            Ok(self.step("haar_inverse", &bands, (op.clone(), &[]), (undone.clone(), &[]))?[0])
        };
        a1.into_iter().zip(a2).map(slab).collect()
    }

    /// x -> y_cor, z. Without `keep_z` the last block's g2 and g3, which feed only z, are skipped, and a2 as it was
    /// before them stands in z's place.
    fn down(&mut self, mut x: Slabs, keep_z: bool) -> Result<[Slabs; 2]> {
        let (mut a, mut l, depth) = ([vec![], vec![]], 0, self.c.blocks.iter().sum::<usize>());
        for (level, &blocks) in self.c.blocks.iter().enumerate() {
            if level > 0 {
                let [a1, a2] = a;
                let joined = a1
                    .into_iter()
                    .zip(a2)
                    .map(|(a1, a2)| Ok(self.step("haar", &[a1, a2], (Concat, &[]), (Split { first: 3 }, &[]))?[0]));
                x = joined.collect::<Result<_>>()?;
            }
            a = self.transform(&x)?;
            for _ in 0..blocks {
                a = self.additive(l, a, 1.0)?;
                if keep_z || l + 1 < depth {
                    a = self.affine(l, a, false)?;
                }
                l += 1;
            }
        }
        Ok(a)
    }

    /// y_cor, z -> x, the inverse of [`Way::down`] with the same `keep_z`.
    fn up(&mut self, mut a: [Slabs; 2], keep_z: bool) -> Result<Slabs> {
        let depth = self.c.blocks.iter().sum::<usize>();
        let mut l = depth;
        for (level, &blocks) in self.c.blocks.iter().enumerate().rev() {
            for _ in 0..blocks {
                l -= 1;
                if keep_z || l + 1 < depth {
                    a = self.affine(l, a, true)?;
                }
                a = self.additive(l, a, -1.0)?;
            }
            let y = self.inverse_transform(a)?;
            if level == 0 {
                return Ok(y);
            }
            a = [vec![], vec![]];
            for y in y {
                let parts = self.step("haar_inverse", &[y], (Split { first: 3 }, &[]), (Concat, &[]))?;
                a.iter_mut().zip(parts).for_each(|(slabs, part)| slabs.push(part));
            }
        }
        unreachable!("level 0 returns")
    }
}

impl Way<'_> {
    /// z sigmoid(h([y_cor, z])): the part of z that is structure.
    fn structure(&mut self, [y_cor, z]: &[Slabs; 2]) -> Result<Slabs> {
        let join = |(a, z): (&Value, &Value)| self.g.apply1(LATENT, Concat, &[*a, *z]);
        let joined: Slabs = y_cor.iter().zip(z).map(join).collect::<Result<_>>()?;
        self.subnet(LATENT, &joined, |way, k, h| way.g.apply1(LATENT, SigmoidGate, &[z[k], h]))
    }
}

/// The residual block g: x (N, c_in, h, w) -> (N, c_out, h, w). `name` as in `blocks.0.g1`.
pub fn subnet(g: &mut Graph, c: &Config, name: &str, x: Value) -> Result<Value> {
    Ok(Way::new(g, c, None).subnet(name, &[x], |_, _, y| Ok(y))?[0])
}

/// x (N, 3, H, W), sides multiples of the scale -> y_cor (N, 3, H/scale, W/scale), and z with
/// `keep_z`; otherwise the last block's g2 and g3, which feed only z, are skipped.
pub fn downscale(g: &mut Graph, c: &Config, x: Value, keep_z: bool) -> Result<(Value, Option<Value>)> {
    let [y_cor, z] = Way::new(g, c, None).down(vec![x], keep_z)?;
    Ok((y_cor[0], keep_z.then_some(z[0])))
}

/// What stands in z's place in a network of [`Latent::Keep`]: the part of z that is structure.
pub fn structure(g: &mut Graph, c: &Config, y_cor: Value, z: Value) -> Result<Value> {
    Ok(Way::new(g, c, None).structure(&[vec![y_cor], vec![z]])?[0])
}

/// The way back: y_cor and what stands in z's place -> (N, 3, H, W).
pub fn upscale(g: &mut Graph, c: &Config, y_cor: Value, z: Value) -> Result<Value> {
    Ok(Way::new(g, c, None).up([vec![y_cor], vec![z]], true)?[0])
}

/// The whole network: x (N, 3, H, W), sides multiples of the scale, in slabs of rows -> y of the same shape and slabs, not
/// clipped. The rows of all slabs but the last are multiples of [`SLAB_ROWS`] times the scale. The noise in z's place has
/// the scale and seed of [`crate::kernel::RunParams`]. `keep_features`: where there are several slabs, the features of all
/// wait for the channel gates, instead of being computed twice. Only SASNet takes several slabs.
pub fn smooth(g: &mut Graph, c: &Config, x: &[Value], keep_features: bool) -> Result<Slabs> {
    if c.architecture != Architecture::Sasnet {
        let &[x] = x else { return Err(Error::Invalid(format!("{} slabs of a network that takes one", x.len()))) };
        return Ok(vec![unet::forward(g, c, x)?]);
    }
    let noise = x.iter().map(|v| c.noise_shape(g.shape(*v))).collect::<Option<Vec<Shape>>>();
    let mut way = Way { keep_features, ..Way::new(g, c, None) };
    let a = way.down(x.to_vec(), noise.is_none())?;
    let latent = match noise {
        Some(shapes) => {
            let mut row = 0;
            let noise = shapes.into_iter().map(|shape| {
                let noise = Noise { shape, first_row: row };
                row += shape.h;
                way.g.apply1("noise", noise, &[])
            });
            noise.collect::<Result<_>>()?
        }
        None => way.structure(&a)?,
    };
    let [y_cor, _] = a;
    way.up([y_cor, latent], true)
}

/// The mean absolute error of `y`, a scalar.
pub fn loss(g: &mut Graph, y: Value, target: Value) -> Result<Value> {
    g.apply1("loss", L1Loss, &[y, target])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameter_counts_are_the_papers() {
        let count = |blocks: &[usize], attention| {
            Config { blocks: blocks.to_vec(), attention, ..Config::default() }.layout().parameters()
        };
        assert_eq!(count(&[16], true), 2_151_984);
        assert_eq!(count(&[16], false), 2_119_392);
        assert_eq!((count(&[8, 8], true) + 5_000) / 10_000, 267);
        assert_eq!((count(&[8, 8, 8], true) + 5_000) / 10_000, 636);
        let keep = Config { latent: Latent::Keep, ..Config::default() };
        assert_eq!(keep.layout().parameters() - 2_151_984, 50_748);
    }

    #[test]
    fn configurations_out_of_range_are_refused() {
        for blocks in [vec![], vec![0], vec![1; 4], vec![65]] {
            let config = Config { blocks, ..Config::default() };
            assert!(config.check().is_err(), "{config:?}");
        }
        assert!(Config { features: 0, ..Config::default() }.check().is_err());
        assert!(Config { blocks: vec![], ..Config::of(Architecture::Sasnet) }.check().is_err());
        for architecture in Architecture::ALL {
            assert_eq!(architecture.name().parse(), Ok(architecture));
            assert!(Config::of(architecture).check().is_ok());
            let mixed = Config { architecture, ..Config::default() };
            assert_eq!(mixed.check().is_ok(), architecture == Architecture::Sasnet);
        }
    }
}
