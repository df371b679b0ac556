//! Regions of buffers, and those of values: in a buffer of their own, in what is packed, or in a reusable buffer.

use super::Buffer;
use crate::graph::{Storage, Value, ValueInfo};
use crate::ops::Graph;
use std::collections::HashMap;

/// A region of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Region {
    /// Index of the buffer.
    pub buffer: usize,
    /// First of the buffer's words of 4 bytes.
    pub offset: usize,
    /// Elements.
    pub len: usize,
    /// Elements are f16, of 2 bytes, instead of 4.
    pub half: bool,
}

impl Region {
    /// Words of 4 bytes.
    pub fn words(&self) -> usize {
        words(self.len, self.half)
    }

    /// The `len` elements from element `offset` on, of a region of f32.
    pub(crate) fn part(self, offset: usize, len: usize) -> Region {
        assert!(!self.half && offset + len <= self.len, "{len} elements from {offset} on lie in {self:?}");
        Region { offset: self.offset + offset, len, ..self }
    }
}

/// Something that occupies a reusable buffer for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Occupant {
    /// A transient value.
    Value(Value),
    /// The parameters as they are written, until they are packed.
    Parameters,
    /// Scratch memory of a node.
    Scratch { node: usize, index: usize },
    /// The memory that a node packs for itself: a request of its own that reads more than parameters.
    Packed { node: usize, index: usize },
}

/// Words of 4 bytes that `len` elements take.
pub(super) fn words(len: usize, half: bool) -> usize {
    if half { len.div_ceil(2) } else { len }
}

/// Gives each value that keeps its contents a buffer, but parameters that are not kept. Returns these buffers, and the
/// region of each such value.
pub(super) fn persistent_buffers(graph: &Graph, keeps_parameters: bool) -> (Vec<Buffer>, HashMap<Value, Region>) {
    let (mut buffers, mut regions) = (vec![], HashMap::new());
    for (i, info) in graph.values().iter().enumerate() {
        if info.storage == Storage::Persistent && (keeps_parameters || Value(i) != graph.params()) {
            let len = info.shape.len();
            regions.insert(Value(i), Region { buffer: buffers.len(), offset: 0, len, half: false });
            // Not even a graph without parameters has an empty buffer: devices make none.
            buffers.push(Buffer { len: len.max(1), persistent: true });
        }
    }
    (buffers, regions)
}

/// Finds the region of each value while the steps run.
pub(super) fn value_regions(
    graph: &Graph,
    persistent: &HashMap<Value, Region>,
    copies: &[(Value, Region)],
    reusable: &HashMap<Occupant, Region>,
) -> Vec<Option<Region>> {
    let copies: HashMap<Value, Region> = copies.iter().copied().collect();
    let region = |(i, info): (usize, &ValueInfo)| match info.storage {
        Storage::Transient => reusable.get(&Occupant::Value(Value(i))).copied(),
        Storage::Persistent => persistent.get(&Value(i)).copied(),
        Storage::View { base, offset } => {
            let whole = persistent.get(&base).map(|whole| whole.part(offset, info.shape.len()));
            whole.or_else(|| copies.get(&Value(i)).copied())
        }
    };
    graph.values().iter().enumerate().map(region).collect()
}
