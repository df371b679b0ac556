//! The residual block g of the paper's subnets (lineage: InvDN's block with CBAM in it): x (N, c_in, h, w) -> (N,
//! c_out, h, w).
//!
//! ```text
//! r = LeakyReLU(conv1(x))            c_in -> F
//! r = LeakyReLU(conv2(r))            F -> F
//! r = r channel_gate(r)              F
//! r = r spatial_gate(r)              F
//! g = conv3([x, r])                  c_in + F -> c_out
//! ```

use super::layer;
use super::reversible::Traversal;
use super::slabs::{HALO, Slabs, Window, windows};
use crate::error::Result;
use crate::graph::{Layout, Value};
use crate::ops::Graph;
use crate::ops::{
    channel_attention::ChannelGate, channel_attention::ChannelStats, channel_attention::TILE_ROWS, conv3x3::Conv3x3,
    gate::Gate, rows::Rows, spatial_attention::SpatialGate, spatial_attention::SpatialStats,
};

/// Slope of the LeakyReLU (lineage: InvDN).
pub const LEAKY_SLOPE: f64 = 0.2;

/// Appends the block's parameters: width `f`, with attention or without.
pub(super) fn layout(layout: &mut Layout, name: &str, (c_in, c_out): (usize, usize), f: usize, attention: bool) {
    let mut add = |layer: &str, dims: &[usize]| {
        layout.push_layer(&format!("{name}.{layer}"), dims, dims[0]);
    };
    add("conv1", &[f, c_in, 3, 3]);
    add("conv2", &[f, f, 3, 3]);
    if attention {
        let hidden = (f / 16).max(4);
        add("channel.fc1", &[hidden, f]);
        add("channel.fc2", &[f, hidden]);
        add("spatial", &[1, 2, 7, 7]);
    }
    add("conv3", &[c_out, c_in + f, 3, 3]);
}

impl Traversal<'_> {
    /// The block of a map in slabs. Each slab of the result goes to `then` as soon as it is there, with its number.
    ///
    /// The channel gates need the mean and the maximum of the whole map: with several slabs the features of all come
    /// first.
    pub(super) fn residual(
        &mut self,
        name: &str,
        x: &[Value],
        mut then: impl FnMut(&mut Self, usize, Value) -> Result<Value>,
    ) -> Result<Slabs> {
        let windows = windows(self.g, x, HALO);
        let mut kept = vec![None; x.len()];
        let channel_gate = match self.g.layout().get(&format!("{name}.channel.fc1.weight")) {
            Some(_) => Some(self.channel_gate(name, x, &windows, &mut kept)?),
            None => None,
        };
        let mut out = vec![];
        for (k, (window, kept)) in windows.iter().zip(kept).enumerate() {
            let [x, mut r] = kept.map_or_else(|| features(self.g, name, x, window), Ok)?;
            if let Some(channel_gate) = channel_gate {
                let spatial = format!("{name}.spatial");
                let [w, b] = layer(self.g, &spatial)?;
                let stats = self.g.apply1(&spatial, SpatialStats, &[r, channel_gate])?;
                let spatial_gate = self.g.apply1(&spatial, SpatialGate, &[stats, w, b])?;
                r = self.g.apply1(name, Gate, &[r, channel_gate, spatial_gate])?;
            }
            let y = conv(self.g, name, "conv3", &[x, r], None)?;
            let y = if windows.len() == 1 { y } else { self.g.apply1(name, window.own, &[y])? };
            out.push(then(self, k, y)?);
        }
        Ok(out)
    }

    /// The channel gates of a map's features; these go to `kept` where they are to be kept.
    fn channel_gate(
        &mut self,
        name: &str,
        x: &[Value],
        windows: &[Window],
        kept: &mut [Option<[Value; 2]>],
    ) -> Result<Value> {
        let channel = format!("{name}.channel");
        let cut = |g: &mut Graph, rows: Rows, x: &[Value]| {
            if windows.len() == 1 { Ok(x[0]) } else { g.apply1(name, rows, x) }
        };
        let mut tiles = vec![];
        for (window, kept) in windows.iter().zip(kept) {
            let [x, r] = features(self.g, name, x, window)?;
            *kept = self.keep_features.then_some([x, r]);
            let stats = self.g.apply1(&channel, ChannelStats, &[r])?;
            let own = Rows { first: window.own.first / TILE_ROWS, count: window.own.count.div_ceil(TILE_ROWS) };
            tiles.push(cut(self.g, own, &[stats])?);
        }
        let pixels = x.iter().map(|v| self.g.shape(*v).plane()).sum();
        let all = Rows { first: 0, count: tiles.iter().map(|t| self.g.shape(*t).h).sum() };
        let tiles = cut(self.g, all, &tiles)?;
        let [w1, b1] = layer(self.g, &format!("{channel}.fc1"))?;
        let [w2, b2] = layer(self.g, &format!("{channel}.fc2"))?;
        Ok(self.g.apply(&channel, ChannelGate { pixels }, &[tiles, w1, b1, w2, b2])?[0])
    }
}

/// The part of x in a window, and what its first two convolutions make of it.
fn features(g: &mut Graph, name: &str, x: &[Value], window: &Window) -> Result<[Value; 2]> {
    let x = if x.len() == 1 { x[0] } else { g.apply1(name, window.rows, &x[window.slabs.clone()])? };
    let r = conv(g, name, "conv1", &[x], Some(LEAKY_SLOPE))?;
    Ok([x, conv(g, name, "conv2", &[r], Some(LEAKY_SLOPE))?])
}

fn conv(g: &mut Graph, block: &str, at: &str, maps: &[Value], slope: Option<f64>) -> Result<Value> {
    let name = format!("{block}.{at}");
    let weights = layer(g, &name)?;
    g.apply1(&name, Conv3x3 { slope }, &[maps, &weights].concat())
}

/// The block alone: x (N, c_in, h, w) -> (N, c_out, h, w); `name` as in `blocks.0.g1`.
pub fn residual(g: &mut Graph, name: &str, x: Value) -> Result<Value> {
    Ok(Traversal::new(g, None).residual(name, &[x], |_, _, y| Ok(y))?[0])
}
