//! How a picture of any size is smoothed in a given memory: in slabs of rows, as few as fit.
//!
//! Each slab goes through a subnet with a halo of rows, and all of them before the next subnet begins, since channel
//! attention needs the whole map's mean and maximum. The result is that of one slab, bit for bit; what more slabs cost is
//! the work on the halos and, where not even one map of features has room, on computing all features twice.

use crate::error::{Error, Result};
use crate::graph::{Graph, Value};
use crate::net::{self, Config, SLAB_ROWS};
use crate::plan::{Plan, Target};
use crate::tensor::Shape;

/// In how many slabs, and what is kept meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bands {
    /// Slabs at most; their rows are multiples of [`SLAB_ROWS`] at the coarsest scale.
    pub count: usize,
    /// Keep all slabs' features until the channel gates are known, instead of computing them twice.
    pub keep_features: bool,
}

/// The graph that smooths a picture, with its inputs and outputs: slabs of rows, from top to bottom.
pub struct Banded {
    /// The graph.
    pub graph: Graph,
    /// Its input (1, 3, H, W), sides multiples of the network's scale.
    pub x: Vec<Value>,
    /// Its output, of the same shapes.
    pub y: Vec<Value>,
    /// How it is cut.
    pub bands: Bands,
}

impl Bands {
    /// The picture in one piece.
    pub const WHOLE: Bands = Bands { count: 1, keep_features: true };

    /// The graph of a picture of this shape, sides multiples of the network's scale.
    pub fn graph(self, config: &Config, shape: Shape) -> Result<Banded> {
        let unit = SLAB_ROWS * config.scale();
        let rows = shape.h.div_ceil(unit).div_ceil(self.count) * unit;
        let mut graph = Graph::new(config.layout());
        let heights = (0..shape.h).step_by(rows).map(|first| rows.min(shape.h - first));
        let x: Vec<Value> = heights.map(|h| graph.input("x", Shape { h, ..shape })).collect();
        let y = net::smooth(&mut graph, config, &x, self.keep_features)?;
        y.iter().for_each(|y| graph.output(*y));
        Ok(Banded { graph, x, y, bands: self })
    }

    /// The cheapest way for a picture of this shape that needs no more than `max_memory` bytes, with its plan.
    ///
    /// # Errors
    /// [`Error::TooLarge`] where none does, with what the smallest needs.
    pub fn within(config: &Config, shape: Shape, target: Target, max_memory: u64) -> Result<(Banded, Plan)> {
        let units = shape.h.div_ceil(SLAB_ROWS * config.scale());
        let mut last = None;
        for bands in Bands::all(units) {
            let banded = bands.graph(config, shape)?;
            last = Some(match Plan::new(&banded.graph, target) {
                Ok(plan) if plan.peak_bytes() <= max_memory => return Ok((banded, plan)),
                Ok(plan) => needs(plan.peak_bytes(), max_memory),
                Err(error @ Error::TooLarge(_)) => error,
                Err(other) => return Err(other),
            });
        }
        Err(last.expect("one slab is always tried"))
    }

    /// All that are tried, the fastest first: counts in steps of a half or less, up to one unit a slab.
    fn all(units: usize) -> impl Iterator<Item = Bands> {
        let next = move |&n: &usize| (n < units).then(|| (n + n.div_ceil(2)).min(units));
        let counts = move || std::iter::successors(Some(1), next);
        let again = counts().filter(|count| *count > 1).map(|count| Bands { count, keep_features: false });
        counts().map(|count| Bands { count, keep_features: true }).chain(again)
    }
}

fn needs(bytes: u64, max_memory: u64) -> Error {
    let mb = |bytes: u64| bytes.div_ceil(1_000_000);
    Error::TooLarge(format!("needs {} MB of memory, {} MB are there", mb(bytes), max_memory / 1_000_000))
}
