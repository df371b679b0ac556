//! SASNet on one page ("Deep Scale-Aware Image Smoothing", Li, Qin, Xu, Ji).
//!
//! ```text
//! x -> Haar -> L forward blocks -> y_cor = a1, z = a2 dropped
//! n ~ N(0, I) in z's place -> L inverse blocks -> inverse Haar -> y
//! ```
//!
//! At scale x4 and x8 the transform and the blocks come two and three times. Layer names are those of the weights file.

use crate::error::{Error, Result};
use crate::graph::{Graph, Layout, Value};
use crate::ops::{
    add::Add, channel_attention::ChannelGate, channel_attention::ChannelStats, channels::Concat, channels::Split,
    conv3x3::Conv3x3, coupling::Coupling, exp_scale::ExpScale, gate::Gate, haar::Haar, haar_inverse::HaarInverse,
    loss::L1Loss, noise::Noise, spatial_attention::SpatialGate, spatial_attention::SpatialStats,
};
use crate::tensor::Shape;

/// Slope of the LeakyReLU (lineage: InvDN).
pub const LEAKY_SLOPE: f64 = 0.2;

/// Which network: what the weights file's metadata says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Invertible blocks at each scale, the finest first: `[16]` is the paper's, `[8, 8]` its x4, `[8, 8, 8]` its x8.
    pub blocks: Vec<usize>,
    /// Width F of the subnets.
    pub features: usize,
    /// Channel and spatial attention (CBAM) in every subnet.
    pub attention: bool,
}

impl Default for Config {
    /// The paper's: x2, 16 blocks, 64 features, with attention.
    fn default() -> Self {
        Config { blocks: vec![16], features: 64, attention: true }
    }
}

impl Config {
    /// 2, 4 or 8: sides of an image are padded to a multiple of it.
    pub fn scale(&self) -> usize {
        1 << self.blocks.len()
    }

    /// Checks the ranges that the network is defined for.
    pub fn check(&self) -> Result<()> {
        let fail = |what: String| Err(Error::Invalid(what));
        if !(1..=3).contains(&self.blocks.len()) || self.blocks.iter().any(|b| !(1..=64).contains(b)) {
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
        let mut layout = Layout::default();
        let (f, k) = (self.features, (self.features / 16).max(4));
        let levels = self.blocks.iter().enumerate().flat_map(|(level, &count)| std::iter::repeat_n(level, count));
        for (l, level) in levels.enumerate() {
            let z = self.z_channels(level);
            for (g, c_in, c_out) in [("g1", z, 3), ("g2", 3, z), ("g3", 3, z)] {
                let mut add = |layer: &str, dims: &[usize]| {
                    layout.push(format!("blocks.{l}.{g}.{layer}.weight"), dims);
                    layout.push(format!("blocks.{l}.{g}.{layer}.bias"), &dims[..1]);
                };
                add("conv1", &[f, c_in, 3, 3]);
                add("conv2", &[f, f, 3, 3]);
                if self.attention {
                    add("channel.fc1", &[k, f]);
                    add("channel.fc2", &[f, k]);
                    add("spatial", &[1, 2, 7, 7]);
                }
                add("conv3", &[c_out, c_in + f, 3, 3]);
            }
        }
        layout
    }

    /// Shape of z (and of the noise in its place) for an image of shape `x`.
    pub fn z_shape(&self, x: Shape) -> Shape {
        let scale = self.scale();
        Shape::new(x.n, self.z_channels(self.blocks.len() - 1), x.h / scale, x.w / scale)
    }
}

/// A layer: weight and bias by name.
fn layer(g: &mut Graph, name: &str) -> Result<[Value; 2]> {
    Ok([g.param(&format!("{name}.weight"))?, g.param(&format!("{name}.bias"))?])
}

/// The residual block g: x (N, c_in, h, w) -> (N, c_out, h, w). `name` as in `blocks.0.g1`.
pub fn subnet(g: &mut Graph, config: &Config, name: &str, x: Value) -> Result<Value> {
    let slope = Some(LEAKY_SLOPE);
    let conv = |g: &mut Graph, at: &str, maps: &[Value], slope| {
        let name = format!("{name}.{at}");
        let weights = layer(g, &name)?;
        g.apply1(&name, Conv3x3 { slope }, &[maps, &weights].concat())
    };
    let mut r = conv(g, "conv1", &[x], slope)?;
    r = conv(g, "conv2", &[r], slope)?;
    if config.attention {
        let (channel, spatial) = (format!("{name}.channel"), format!("{name}.spatial"));
        let ([w1, b1], [w2, b2]) = (layer(g, &format!("{channel}.fc1"))?, layer(g, &format!("{channel}.fc2"))?);
        let tiles = g.apply1(&channel, ChannelStats, &[r])?;
        let gate = ChannelGate { pixels: g.shape(r).plane() };
        let channel_gate = g.apply(&channel, gate, &[tiles, w1, b1, w2, b2])?[0];
        let [w, b] = layer(g, &spatial)?;
        let stats = g.apply1(&spatial, SpatialStats, &[r, channel_gate])?;
        let spatial_gate = g.apply1(&spatial, SpatialGate, &[stats, w, b])?;
        r = g.apply1(name, Gate, &[r, channel_gate, spatial_gate])?;
    }
    conv(g, "conv3", &[x, r], None)
}

/// a1' = a1 + g1(a2);  a2' = a2 exp(s) + g3(a1'), s = tanh(g2(a1') / 2). Without `keep_z` a2' is not computed.
fn block_forward(g: &mut Graph, c: &Config, l: usize, a: [Value; 2], keep_z: bool) -> Result<[Value; 2]> {
    let [a1, a2] = a;
    let name = format!("blocks.{l}");
    let g1 = subnet(g, c, &format!("{name}.g1"), a2)?;
    let a1 = g.apply1(&name, Add { beta: 1.0 }, &[a1, g1])?;
    if !keep_z {
        return Ok([a1, a2]);
    }
    let h = subnet(g, c, &format!("{name}.g2"), a1)?;
    let e = g.apply1(&name, ExpScale { sign: 1.0 }, &[h])?;
    let t = subnet(g, c, &format!("{name}.g3"), a1)?;
    Ok([a1, g.apply1(&name, Coupling { inverse: false }, &[a2, e, t])?])
}

/// a2 = (a2' - g3(a1')) exp(-s), s = tanh(g2(a1') / 2);  a1 = a1' - g1(a2).
fn block_inverse(g: &mut Graph, c: &Config, l: usize, a: [Value; 2]) -> Result<[Value; 2]> {
    let [a1, a2] = a;
    let name = format!("blocks.{l}");
    let h = subnet(g, c, &format!("{name}.g2"), a1)?;
    let e = g.apply1(&name, ExpScale { sign: -1.0 }, &[h])?;
    let t = subnet(g, c, &format!("{name}.g3"), a1)?;
    let a2 = g.apply1(&name, Coupling { inverse: true }, &[a2, e, t])?;
    let g1 = subnet(g, c, &format!("{name}.g1"), a2)?;
    Ok([g.apply1(&name, Add { beta: -1.0 }, &[a1, g1])?, a2])
}

/// x (N, 3, H, W), sides multiples of the scale -> y_cor (N, 3, H/scale, W/scale), and z ([`Config::z_shape`]) with
/// `keep_z`; otherwise the last block's g2 and g3, which feed only z, are skipped.
pub fn downscale(g: &mut Graph, c: &Config, x: Value, keep_z: bool) -> Result<(Value, Option<Value>)> {
    let (mut x, mut l, depth) = (x, 0, c.blocks.iter().sum::<usize>());
    let mut a = [x; 2];
    for (level, &blocks) in c.blocks.iter().enumerate() {
        if level > 0 {
            x = g.apply1("haar", Concat, &a)?;
        }
        let bands = g.apply1("haar", Haar { scale: 0.25 }, &[x])?;
        let parts = g.apply("haar", Split { first: 3 }, &[bands])?;
        a = [parts[0], parts[1]];
        for _ in 0..blocks {
            a = block_forward(g, c, l, a, keep_z || l + 1 < depth)?;
            l += 1;
        }
    }
    Ok((a[0], keep_z.then_some(a[1])))
}

/// The way back: y_cor and z (or noise) -> (N, 3, H, W).
pub fn upscale(g: &mut Graph, c: &Config, y_cor: Value, z: Value) -> Result<Value> {
    let (mut a, mut l) = ([y_cor, z], c.blocks.iter().sum::<usize>());
    for (level, &blocks) in c.blocks.iter().enumerate().rev() {
        for _ in 0..blocks {
            l -= 1;
            a = block_inverse(g, c, l, a)?;
        }
        let bands = g.apply1("haar_inverse", Concat, &a)?;
        let y = g.apply1("haar_inverse", HaarInverse { scale: 1.0 }, &[bands])?;
        if level == 0 {
            return Ok(y);
        }
        let parts = g.apply("haar_inverse", Split { first: 3 }, &[y])?;
        a = [parts[0], parts[1]];
    }
    unreachable!("level 0 returns")
}

/// The whole network: x (N, 3, H, W), sides multiples of the scale -> y of the same shape, not clipped. The noise in
/// z's place has the scale and seed of [`crate::kernel::Globals`].
pub fn smooth(g: &mut Graph, c: &Config, x: Value) -> Result<Value> {
    let shape = c.z_shape(g.shape(x));
    let (y_cor, _) = downscale(g, c, x, false)?;
    let noise = g.apply1("noise", Noise { shape }, &[])?;
    upscale(g, c, y_cor, noise)
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
            Config { blocks: blocks.to_vec(), features: 64, attention }.layout().parameters()
        };
        assert_eq!(count(&[16], true), 2_151_984);
        assert_eq!(count(&[16], false), 2_119_392);
        assert_eq!((count(&[8, 8], true) + 5_000) / 10_000, 267);
        assert_eq!((count(&[8, 8, 8], true) + 5_000) / 10_000, 636);
    }

    #[test]
    fn configurations_out_of_range_are_refused() {
        for blocks in [vec![], vec![0], vec![1; 4], vec![65]] {
            let config = Config { blocks, ..Config::default() };
            assert!(config.check().is_err(), "{config:?}");
        }
        assert!(Config { features: 0, ..Config::default() }.check().is_err());
        assert!(Config::default().check().is_ok());
    }
}
