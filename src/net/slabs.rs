//! Slabs: a map in rows, from top to bottom, each computed with a halo. Mostly the one slab is the whole map; in
//! several, a network runs in less memory, with the same result bit for bit.

use crate::graph::Value;
use crate::ops::Graph;
use crate::ops::{channel_attention::TILE_ROWS, rows::Rows};
use std::ops::Range;

/// A map in slabs.
pub type Slabs = Vec<Value>;

/// Rows of a slab are a multiple of this, but for the last's: the kernels' tiles are no higher.
pub const SLAB_ROWS: usize = 16;

/// Rows that a residual block reads above and below those that it computes. The convolutions need 1 each and the
/// spatial attention 3; with 8 the tiles of [`crate::ops::channel_attention::ChannelStats`] keep their places.
pub(super) const HALO: usize = 8;

const _: () = assert!(SLAB_ROWS.is_multiple_of(TILE_ROWS), "slabs begin where tiles of statistics do");
const _: () = assert!(HALO.is_multiple_of(TILE_ROWS), "a halo moves tiles of statistics by whole tiles");
const _: () = assert!(HALO >= 3 + 3, "three convolutions of 3x3 and one of 7x7 stay inside");

/// A slab with its halo.
pub(crate) struct Window {
    /// Its rows in the slabs that it reads.
    pub(crate) rows: Rows,
    /// The slab's own rows in the window.
    pub(crate) own: Rows,
    /// The slabs that it reads.
    pub(crate) slabs: Range<usize>,
}

/// The windows of a map's slabs, with so many rows above and below.
pub(crate) fn windows(g: &Graph, x: &[Value], halo: usize) -> Vec<Window> {
    let starts: Vec<usize> = x.iter().scan(0, |at, v| Some(std::mem::replace(at, *at + g.shape(*v).h))).collect();
    let height = x.iter().map(|v| g.shape(*v).h).sum();
    let ends = starts.iter().skip(1).copied().chain([height]);
    let window = |(&from, to): (&usize, usize)| {
        let (first, end) = (from.saturating_sub(halo), (to + halo).min(height));
        let slabs = starts.partition_point(|s| *s <= first) - 1..starts.partition_point(|s| *s < end);
        let rows = Rows { first: first - starts[slabs.start], count: end - first };
        Window { rows, own: Rows { first: from - first, count: to - from }, slabs }
    };
    starts.iter().zip(ends).map(window).collect()
}
