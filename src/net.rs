//! SASNet on one page ("Deep Scale-Aware Image Smoothing", Li, Qin, Xu, Ji).
//!
//! ```text
//! x -> Haar -> L forward blocks -> y_cor = a1, z = a2 dropped
//! n ~ N(0, I) in z's place -> L inverse blocks -> inverse Haar -> y
//! ```
//!
//! At scale x4 and x8 the transform and the blocks come two and three times. Layer names are those of the weights file.

use crate::error::{Error, Result};
use crate::graph::{Gradients, Graph, Layout, Node, Value};
use crate::ops::{
    Op, add::Add, channel_attention::ChannelGate, channel_attention::ChannelStats, channels::Concat, channels::Split,
    conv3x3::Conv3x3, coupling::Coupling, exp_scale::ExpScale, gate::Gate, haar::Haar, haar_inverse::HaarInverse,
    loss::L1Loss, noise::Noise, spatial_attention::SpatialGate, spatial_attention::SpatialStats,
};
use crate::tensor::Shape;

pub mod training;

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
}

impl<'a> Way<'a> {
    fn new(g: &'a mut Graph, c: &'a Config, grads: Option<&'a mut Gradients>) -> Self {
        let start = g.nodes().len();
        Way { g, c, grads, start }
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
    fn additive(&mut self, l: usize, [a1, a2]: [Value; 2], beta: f32) -> Result<[Value; 2]> {
        let name = format!("blocks.{l}");
        let t = subnet(self.g, self.c, &format!("{name}.g1"), a2)?;
        let a1 = self.step(&name, &[a1], (Add { beta }, &[t]), (Add { beta: -beta }, &[t]))?;
        Ok([a1[0], a2])
    }

    /// a2' = a2 exp(s) + g3(a1'), s = tanh(g2(a1') / 2); inverse a2 = (a2' - g3(a1')) exp(-s).
    fn affine(&mut self, l: usize, [a1, a2]: [Value; 2], inverse: bool) -> Result<[Value; 2]> {
        let name = format!("blocks.{l}");
        let sign = if inverse { -1.0 } else { 1.0 };
        let h = subnet(self.g, self.c, &format!("{name}.g2"), a1)?;
        let e = self.g.apply1(&name, ExpScale { sign }, &[h])?;
        let undone_e = match self.grads {
            Some(_) => self.g.apply1(&name, ExpScale { sign: -sign }, &[h])?,
            None => e,
        };
        let t = subnet(self.g, self.c, &format!("{name}.g3"), a1)?;
        let (op, undone) = (Coupling { inverse }, Coupling { inverse: !inverse });
        let a2 = self.step(&name, &[a2], (op, &[e, t]), (undone, &[undone_e, t]))?;
        Ok([a1, a2[0]])
    }

    /// x -> y_cor, z. Without `keep_z` the last block's g2 and g3, which feed only z, are skipped, and a2 as it was
    /// before them stands in z's place.
    fn down(&mut self, mut x: Value, keep_z: bool) -> Result<[Value; 2]> {
        let (mut a, mut l, depth) = ([x; 2], 0, self.c.blocks.iter().sum::<usize>());
        for (level, &blocks) in self.c.blocks.iter().enumerate() {
            if level > 0 {
                x = self.step("haar", &a, (Concat, &[]), (Split { first: 3 }, &[]))?[0];
            }
            let bands = self.step("haar", &[x], (Haar { scale: 0.25 }, &[]), (HaarInverse { scale: 1.0 }, &[]))?;
            let parts = self.step("haar", &bands, (Split { first: 3 }, &[]), (Concat, &[]))?;
            a = [parts[0], parts[1]];
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
    fn up(&mut self, mut a: [Value; 2], keep_z: bool) -> Result<Value> {
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
            let bands = self.step("haar_inverse", &a, (Concat, &[]), (Split { first: 3 }, &[]))?;
            let (op, undone) = (HaarInverse { scale: 1.0 }, Haar { scale: 0.25 });
            let y = self.step("haar_inverse", &bands, (op, &[]), (undone, &[]))?;
            if level == 0 {
                return Ok(y[0]);
            }
            let parts = self.step("haar_inverse", &y, (Split { first: 3 }, &[]), (Concat, &[]))?;
            a = [parts[0], parts[1]];
        }
        unreachable!("level 0 returns")
    }
}

/// x (N, 3, H, W), sides multiples of the scale -> y_cor (N, 3, H/scale, W/scale), and z ([`Config::z_shape`]) with
/// `keep_z`; otherwise the last block's g2 and g3, which feed only z, are skipped.
pub fn downscale(g: &mut Graph, c: &Config, x: Value, keep_z: bool) -> Result<(Value, Option<Value>)> {
    let [y_cor, z] = Way::new(g, c, None).down(x, keep_z)?;
    Ok((y_cor, keep_z.then_some(z)))
}

/// The way back: y_cor and z (or noise) -> (N, 3, H, W).
pub fn upscale(g: &mut Graph, c: &Config, y_cor: Value, z: Value) -> Result<Value> {
    Way::new(g, c, None).up([y_cor, z], true)
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
