//! CBAM's channel gate: gate = sigmoid(M(mean r) + M(max r)), M = fc2 . ReLU . fc1, over the h w pixels of a channel.
//!
//! Two operators, so that a map may come in parts: [`ChannelStats`] leaves sums and maxima of [`TILE_ROWS`] x
//! [`TILE_COLUMNS`] pixels, [`ChannelGate`] makes the gates of all tiles together. [`super::gate::Gate`] applies them.
//!
//! Gradients: dpre = dgate gate (1 - gate); through M for the mean and for the maximum, whose weight gradients add:
//! dfc2 = dpre (x) hidden, dhidden = fc2^T dpre where hidden > 0, dfc1 = dhidden (x) stat, dstat = fc1^T dhidden. All
//! tiles of a channel have the same dstat, which is kept once a channel instead of once a tile; it gives dr = dmean /
//! (h w) + (p is the maximum's ? dmax : 0). The maximum's gradient goes to one winner, the first in row-major order.

#[cfg(feature = "cpu")]
use super::cpu::*;
use super::{Graph, Node, Operator, arity, check};
use crate::graph::Value;
use crate::kernel::{
    Grid, Lowering,
    Operand::{self, *},
    Param, Shader,
};
use crate::tensor::Shape;

/// Rows of a tile of [`ChannelStats`].
pub const TILE_ROWS: usize = 8;
/// Columns of a tile of [`ChannelStats`].
pub const TILE_COLUMNS: usize = 16;

/// r (N, F, h, w) -> the sums of its tiles' pixels, then their maxima (N, 2F, ceil(h / 8), ceil(w / 16)).
///
/// Its gradient takes the upstream gradient of [`ChannelGate`], (N, 2F).
#[derive(Clone, Debug, PartialEq)]
pub struct ChannelStats;

/// (r, dstats (N, 2F: of the mean, of the maximum)) -> dr.
#[derive(Clone, Debug, PartialEq)]
pub struct ChannelStatsBackward;

/// (tiles (N, 2F, ., .), fc1.weight (K, F), fc1.bias (K), fc2.weight (F, K), fc2.bias (F)) -> gate (N, F) and, for the
/// gradient, stats (N, 2F: means, then maxima).
#[derive(Clone, Debug, PartialEq)]
pub struct ChannelGate {
    /// Pixels of the whole map, h w.
    pub pixels: usize,
}

/// (stats, fc1.weight, fc1.bias, fc2.weight, gate, dgate) -> dstats (N, 2F) and the gradients of the four weights.
#[derive(Clone, Debug, PartialEq)]
pub struct ChannelGateBackward;

/// Text in front of the shaders that make the gates.
pub(super) const MLP: &str = include_str!("../../shaders/channel_mlp.wgsl");

/// Its kernels.
pub static SHADER: Shader = Shader {
    prelude: MLP,
    unchecked: Some(
        "a tile, a channel, an image, a weight and an element are below their numbers, by the grid or a test of the index, \
         and pixels of a tile are cut off at the map's borders; hidden values are at most as many as the workgroup's arrays \
         hold, which `params` asserts, and at least one where they are shared; a maximum's place is compared and no index; \
         loops count up to a parameter or a constant",
    ),
    ..Shader::new("channel_attention", include_str!("../../shaders/channel_attention.wgsl"))
};
/// Width of the shaders' hidden layer at most: the length of their workgroup arrays.
pub(super) const MAX_HIDDEN: usize = 64;

/// Parameters of all kernels: those of maps (N, F, h, w) and of tiles (th x tw of them).
fn params(map: Shape, k: usize, tiles: Shape, pixels: usize) -> Vec<(&'static str, Param)> {
    assert!(k <= MAX_HIDDEN, "the kernels take {MAX_HIDDEN} hidden values at most, not {k}");
    let sizes = [("n", map.n), ("f", map.c), ("k", k), ("h", map.h), ("w", map.w), ("th", tiles.h), ("tw", tiles.w)];
    sizes.into_iter().chain([("pixels", pixels)]).map(|(name, v)| (name, v.into())).collect()
}

fn workgroups(x: usize, y: usize) -> Grid {
    Grid::Workgroups(glam::UVec3::new(x as u32, y as u32, 1))
}

impl Operator for ChannelStats {
    fn name(&self) -> &'static str {
        "channel_attention.stats"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [r] = arity(inputs)?;
        Ok(vec![Shape::new(r.n, 2 * r.c, r.h.div_ceil(TILE_ROWS), r.w.div_ceil(TILE_COLUMNS))])
    }

    fn accepts_f16(&self, _: usize, operand: Operand) -> bool {
        operand == Input(0)
    }

    fn backward(&self, g: &mut Graph, node: &Node, dy: &[Option<Value>], _: &[bool]) -> Vec<Option<Value>> {
        let inputs = [node.inputs[0], dy[0].expect("dy")];
        vec![Some(g.apply1(&node.name, ChannelStatsBackward, &inputs).expect("shapes of the forward pass"))]
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], out: &mut [Out<T>], _: &Cpu<T>) {
        let [r] = x else { unreachable!("one input") };
        let (f, width, tiles) = (r.shape.c, r.shape.w, out[0].shape.plane());
        for (n, tiled) in out[0].data.chunks_exact_mut(2 * f * tiles).enumerate() {
            let (sums, maxima) = tiled.split_at_mut(f * tiles);
            (sums.par_chunks_exact_mut(tiles))
                .zip(maxima.par_chunks_exact_mut(tiles))
                .zip(r.image(n).par_chunks_exact(r.shape.plane()))
                .for_each(|((sums, maxima), plane)| tile_stats(plane, width, sums, maxima));
        }
    }

    fn gpu(&self, l: &mut Lowering) {
        let (r, tiles) = (l.inputs[0], l.outputs[0]);
        let params = params(r, 0, tiles, r.plane());
        let grid = Grid::Linear(tiles.len() / 2);
        l.dispatch((&SHADER, "tile_stats"), &[], &[("r", Input(0)), ("tiles", Output(0))], &params, grid);
    }
}

/// Sum and maximum of each tile of a plane. Wider registers than every x86-64 has make it slower, by the sums across them.
#[cfg(feature = "cpu")]
fn tile_stats<T: Real>(plane: &[T], width: usize, sums: &mut [T], maxima: &mut [T]) {
    // Columns first, which vectorises; then 16 columns by a tree.
    let (mut column_sums, mut column_maxima) = (vec![T::zero(); width], vec![T::zero(); width]);
    let across = width.div_ceil(TILE_COLUMNS);
    let rows = plane.chunks(TILE_ROWS * width).zip(sums.chunks_exact_mut(across).zip(maxima.chunks_exact_mut(across)));
    for (rows, (sums, maxima)) in rows {
        column_sums.copy_from_slice(&rows[..width]);
        column_maxima.copy_from_slice(&rows[..width]);
        for row in rows.chunks_exact(width).skip(1) {
            for ((sum, max), v) in column_sums.iter_mut().zip(&mut column_maxima).zip(row) {
                *sum += *v;
                *max = if *v > *max { *v } else { *max };
            }
        }
        let columns = column_sums.chunks(TILE_COLUMNS).zip(column_maxima.chunks(TILE_COLUMNS));
        for ((s, m), (sum_out, max_out)) in columns.zip(sums.iter_mut().zip(maxima)) {
            *sum_out = sum(s);
            *max_out = largest(m.iter().copied());
        }
    }
}

/// Place of the first of the largest values; 0 where they are all NaN.
#[cfg(feature = "cpu")]
#[inline(always)]
fn first_largest<T: Real>(values: &[T]) -> usize {
    // The maximum first, then the piece that has it, then its place there: all but the last loop vectorises.
    let mut lanes = [T::neg_infinity(); 16];
    let pieces = values.chunks_exact(16);
    let rest = largest(pieces.remainder().iter().copied());
    for piece in pieces {
        for i in 0..16 {
            lanes[i] = if piece[i] > lanes[i] { piece[i] } else { lanes[i] };
        }
    }
    let max = largest(lanes.into_iter().chain([rest]));
    let mut pieces = values.chunks(64).enumerate();
    let piece = pieces.find(|(_, piece)| piece.iter().fold(false, |found, v| found | (*v == max)));
    piece.and_then(|(i, piece)| Some(64 * i + piece.iter().position(|v| *v == max)?)).unwrap_or(0)
}

#[cfg(feature = "cpu")]
#[inline(always)]
fn largest<T: Real>(values: impl Iterator<Item = T>) -> T {
    values.fold(T::neg_infinity(), |a, b| if b > a { b } else { a })
}

impl Operator for ChannelStatsBackward {
    fn name(&self) -> &'static str {
        "channel_attention.stats.backward"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [r, dstats] = arity(inputs)?;
        check!(dstats == Shape::new(r.n, 2 * r.c, 1, 1), "r is {r}, dstats is {dstats}");
        Ok(vec![r])
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], out: &mut [Out<T>], _: &Cpu<T>) {
        let [r, dstats] = x else { unreachable!("two inputs") };
        let (f, plane) = (r.shape.c, r.shape.plane());
        let planes = out[0].data.par_chunks_exact_mut(plane).zip(r.data.par_chunks_exact(plane));
        planes.enumerate().for_each(|(i, (dr, r))| {
            let (dmean, dmax) = (dstats.image(i / f)[i % f], dstats.image(i / f)[f + i % f]);
            dr.fill(dmean / T::of(plane as f64));
            dr[vectorised!(first_largest(r))] += dmax;
        });
    }

    fn gpu(&self, l: &mut Lowering) {
        let r = l.inputs[0];
        let params = params(r, 0, Shape::SCALAR, r.plane());
        let argmax = l.scratch(r.n * r.c);
        l.dispatch((&SHADER, "argmax_of"), &[], &[("r", Input(0)), ("argmax", argmax)], &params, workgroups(r.c, r.n));
        let bindings = [("dstats_in", Input(1)), ("argmax_in", argmax), ("dr", Output(0))];
        l.dispatch((&SHADER, "backward_input"), &[], &bindings, &params, Grid::Linear(r.len()));
    }
}

impl Operator for ChannelGate {
    fn name(&self) -> &'static str {
        "channel_attention.gate"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [tiles, w1, b1, w2, b2] = arity(inputs)?;
        let (f, k) = (tiles.c / 2, w1.n);
        check!(tiles.c.is_multiple_of(2), "tiles are {tiles}: sums and maxima are as many");
        check!(w1 == Shape::new(k, f, 1, 1), "fc1.weight is {w1}, the map has {f} channels");
        check!(w2 == Shape::new(f, k, 1, 1), "fc2.weight is {w2}, not {f}x{k}");
        check!(b1.len() == k && b2.len() == f, "fc1.bias is {b1}, fc2.bias is {b2}, not {k} and {f}");
        let per_channel = Shape::new(tiles.n, f, 1, 1);
        Ok(vec![per_channel, per_channel.with_c(2 * f)])
    }

    fn macs(&self, inputs: &[Shape], _: &[Shape]) -> u64 {
        (2 * inputs[0].n * 2 * inputs[1].len()) as u64
    }

    fn backward(&self, g: &mut Graph, node: &Node, dy: &[Option<Value>], _: &[bool]) -> Vec<Option<Value>> {
        let [_, w1, b1, w2, _] = node.inputs[..] else { unreachable!("five inputs") };
        let [gate, stats] = node.outputs[..] else { unreachable!("two outputs") };
        let inputs = [stats, w1, b1, w2, gate, dy[0].expect("dy")];
        let d = g.apply(&node.name, ChannelGateBackward, &inputs).expect("shapes of the forward pass");
        d.into_iter().map(Some).collect()
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], out: &mut [Out<T>], _: &Cpu<T>) {
        let [tiles, w1, b1, w2, b2] = x else { unreachable!("five inputs") };
        let [gate, stats] = out else { unreachable!("two outputs") };
        let (f, plane, k) = (tiles.shape.c / 2, tiles.shape.plane(), w1.shape.n);
        let pixels = T::of(self.pixels as f64);
        for (n, stats) in stats.data.chunks_exact_mut(2 * f).enumerate() {
            for (c, (stat, tiles)) in stats.iter_mut().zip(tiles.image(n).chunks_exact(plane)).enumerate() {
                *stat = if c < f { sum(tiles) / pixels } else { largest(tiles.iter().copied()) };
            }
            let (mean, max) = stats.split_at(f);
            let (mean, max) = (hidden(w1.data, b1.data, mean), hidden(w1.data, b1.data, max));
            for (c, gate) in gate.data[n * f..][..f].iter_mut().enumerate() {
                let row = &w2.data[c * k..][..k];
                *gate = sigmoid(dot(row, &mean) + dot(row, &max) + b2.data[c] + b2.data[c]);
            }
        }
    }

    fn gpu(&self, l: &mut Lowering) {
        let (tiles, f) = (l.inputs[0], l.outputs[0].c);
        lower_reduce(l, 0, self.pixels, Output(1));
        let params = params(tiles.with_c(f), l.inputs[1].n, tiles, self.pixels);
        let bindings = [&mlp_bindings(Output(1), 1)[..], &[("gate", Output(0))]].concat();
        l.dispatch((&SHADER, "mlp"), &[], &bindings, &params, workgroups(tiles.n, 1));
    }
}

/// Lowers mean and maximum of each channel, to `stats`, of the tiles that are input `tiles`.
pub(super) fn lower_reduce(l: &mut Lowering, tiles: usize, pixels: usize, stats: Operand) {
    let of = l.inputs[tiles];
    let params = params(of.with_c(of.c / 2), 0, of, pixels);
    let bindings = [("tiles_in", Input(tiles)), ("channel_stats", stats)];
    l.dispatch((&SHADER, "reduce"), &[], &bindings, &params, workgroups(of.c / 2, of.n));
}

/// What `channel_mlp.wgsl` reads: statistics, and M's four weights from input `first` on.
pub(super) fn mlp_bindings(stats: Operand, first: usize) -> [(&'static str, Operand); 5] {
    let [w1, b1, w2, b2] = [0, 1, 2, 3].map(|i| Input(first + i));
    [("channel_stats_in", stats), ("fc1w", w1), ("fc1b", b1), ("fc2w", w2), ("fc2b", b2)]
}

/// ReLU(fc1 v), (K).
#[cfg(feature = "cpu")]
fn hidden<T: Real>(w1: &[T], b1: &[T], v: &[T]) -> Vec<T> {
    let row = |(w, b): (&[T], &T)| (dot(w, v) + *b).max(T::zero());
    w1.chunks_exact(v.len()).zip(b1).map(row).collect()
}

impl Operator for ChannelGateBackward {
    fn name(&self) -> &'static str {
        "channel_attention.gate.backward"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [stats, w1, b1, w2, gate, dgate] = arity(inputs)?;
        check!(gate == dgate && stats == gate.with_c(2 * gate.c), "stats are {stats}, dgate is {dgate}");
        Ok(vec![stats, w1, b1, w2, Shape::new(1, gate.c, 1, 1)])
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], out: &mut [Out<T>], _: &Cpu<T>) {
        let [stats, w1, b1, w2, gate, dgate] = x else { unreachable!("six inputs") };
        let [dstats, dw1, db1, dw2, db2] = out else { unreachable!("five outputs") };
        let (f, k) = (gate.shape.c, w1.shape.n);
        for d in [&mut *dstats, dw1, db1, dw2, db2] {
            d.data.fill(T::zero());
        }
        for n in 0..gate.shape.n {
            let slope = |(gate, dgate): (&T, &T)| *dgate * *gate * (T::one() - *gate);
            let dpre: Vec<T> = gate.image(n).iter().zip(dgate.image(n)).map(slope).collect();
            for (stat, dstat) in stats.image(n).chunks(f).zip(dstats.data[n * 2 * f..].chunks_mut(f)) {
                let hidden = hidden(w1.data, b1.data, stat);
                let mut dhidden = vec![T::zero(); k];
                for (c, &dpre) in dpre.iter().enumerate() {
                    db2.data[c] += dpre;
                    for j in 0..k {
                        dw2.data[c * k + j] += dpre * hidden[j];
                        dhidden[j] += w2.data[c * k + j] * dpre;
                    }
                }
                for j in (0..k).filter(|&j| hidden[j] > T::zero()) {
                    db1.data[j] += dhidden[j];
                    for c in 0..f {
                        dw1.data[j * f + c] += dhidden[j] * stat[c];
                        dstat[c] += w1.data[j * f + c] * dhidden[j];
                    }
                }
            }
        }
    }

    fn gpu(&self, l: &mut Lowering) {
        let (gate, k) = (l.inputs[4], l.inputs[1].n);
        let params = params(gate, k, Shape::SCALAR, 0);
        let (stats, of_hidden) = (("channel_stats_in", Input(0)), l.scratch(gate.n * 3 * k));
        let gates = [("gate_in", Input(4)), ("dgate_in", Input(5))];
        let mut run = |entry, bindings: &[&[_]], grid| {
            l.dispatch((&SHADER, entry), &[], &bindings.concat(), &params, grid);
        };
        let weights = [("fc1w", Input(1)), ("fc1b", Input(2)), ("fc2w", Input(3))];
        let out = [("dstats", Output(0)), ("of_hidden", of_hidden)];
        run("backward_stats", &[&[stats], &weights, &gates, &out], workgroups(gate.n, 1));
        let of_hidden = ("of_hidden_in", of_hidden);
        let out = [("dfc1w", Output(1)), ("dfc1b", Output(2))];
        run("backward_fc1", &[&[stats, of_hidden], &out], Grid::Linear(k * (gate.c + 1)));
        let out = [("dfc2w", Output(3)), ("dfc2b", Output(4))];
        run("backward_fc2", &[&gates, &[of_hidden], &out], Grid::Linear(gate.c * (k + 1)));
    }
}
