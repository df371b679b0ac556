//! Fusion: nodes of a graph put together where a GPU's kernels can do the work of several in one, which saves a pass
//! over a map of many channels. Pure: nodes in, nodes out. Each rule is a file of its own.
//!
//! Not put together: g2 and g3, which begin with the same map. Their first convolutions as one would read its 3
//! channels once instead of twice, beside 64 channels that each writes: the same time on a CPU and on a software
//! driver, within what a run differs from the next (`cargo bench -- "first convolutions"` measures it on any device).
//! And what g3 goes on from would lie in memory while g2 runs: 12.6 MB more in f32 at 512x384, 6.3 MB in f16, where the
//! peaks are 41.4 and 26.8 MB (`tests/plans.rs` asks for 48 and 30).

mod attention;
mod channel_stats;
mod epilogue;
mod gates;

use crate::graph::Value;
use crate::kernel::Kernels;
use crate::ops::{Graph, Node};
use std::collections::HashMap;

/// Returns the graph's nodes for these kernels; None: for the CPU, as they are.
pub fn fuse(graph: &Graph, kernels: Option<Kernels>) -> Vec<Node> {
    let nodes = graph.nodes().to_vec();
    let Some(kernels) = kernels else { return nodes };
    let reads = Reads::of(graph);
    let nodes = gates::fuse(graph, kernels, &reads, nodes);
    let nodes = channel_stats::fuse(graph, kernels, nodes);
    let nodes = attention::fuse(graph, kernels, nodes);
    epilogue::fuse(&reads, nodes)
}

/// How often each value of a graph is read, outputs once more.
struct Reads(HashMap<Value, usize>);

impl Reads {
    fn of(graph: &Graph) -> Reads {
        let mut reads = HashMap::new();
        let read = graph.nodes().iter().flat_map(|node| &node.inputs).chain(graph.outputs());
        read.for_each(|v| *reads.entry(*v).or_default() += 1);
        Reads(reads)
    }

    /// True where nothing but one node reads the value, so that this node may compute it itself.
    fn once(&self, value: Value) -> bool {
        self.0.get(&value) == Some(&1)
    }
}
