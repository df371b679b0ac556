//! Nodes of a graph put together where a GPU's kernels can do the work of several in one, which saves a pass over a map of
//! many channels. Pure: nodes in, nodes out.
//!
//! - The statistics of a convolution's output are made where the convolution has it in registers.
//! - The gates of both attentions, applied to a map that nothing but one convolution reads, are applied where the
//!   convolution loads it. (In a graph with gradients the gated map is read by them, too, and stays.)
//! - What comes next after such a convolution, if it is a sum, the scale of a coupling or a coupling and nothing else
//!   reads the convolution's output, is done where the convolution stores it.
//!
//! Not put together: g2 and g3, which begin with the same map. Their first convolutions as one would read its 3 channels once
//! instead of twice, beside 64 channels that each writes: the same time on a CPU and on a software driver, within what a run
//! differs from the next (`cargo bench -- "first convolutions"` measures it on any device). And what g3 goes on from would lie
//! in memory while g2 runs: 12.6 MB more in f32 at 512x384, 6.3 MB in f16, where the peaks are 41.4 and 26.8 MB
//! (`tests/bands.rs` asks for 48 and 30).

use crate::graph::{Graph, Node, Value};
use crate::kernel::Kernels;
use crate::ops::Op;
use crate::ops::conv3x3::{Conv3x3, Conv3x3WithStats, Epilogue, GatedConv3x3};
use std::collections::{HashMap, HashSet};

/// The graph's nodes for these kernels.
pub fn fuse(graph: &Graph, kernels: Kernels) -> Vec<Node> {
    let family = kernels.family();
    let mut reads: HashMap<Value, usize> = HashMap::new();
    let read = graph.nodes().iter().flat_map(|node| &node.inputs).chain(graph.outputs());
    read.for_each(|v| *reads.entry(*v).or_default() += 1);
    // Gated maps that are read once, and by whom they are made.
    let gates: HashMap<Value, &Node> = (graph.nodes().iter())
        .filter(|node| matches!(node.op, Op::Gate(_)) && reads.get(&node.outputs[0]) == Some(&1))
        .map(|node| (node.outputs[0], node))
        .collect();
    // Statistics of convolutions' outputs, and by whom they are made.
    let convolutions = graph.nodes().iter().filter(|node| matches!(node.op, Op::Conv3x3(_)));
    let convolved: HashSet<Value> = convolutions.map(|node| node.outputs[0]).collect();
    let stats: HashMap<Value, &Node> = (graph.nodes().iter())
        .filter(|node| matches!(node.op, Op::ChannelStats(_)) && convolved.contains(&node.inputs[0]))
        .filter(|node| (family.gives_stats)(graph.shape(node.inputs[0]).c))
        .map(|node| (node.inputs[0], node))
        .collect();
    let mut fused: HashSet<Value> = stats.values().map(|node| node.outputs[0]).collect();
    let mut nodes: Vec<Node> = vec![];
    for node in graph.nodes() {
        if let (Op::Conv3x3(Conv3x3 { slope }), [x, gated, w, b]) = (&node.op, &node.inputs[..])
            && let Some(gate) = gates.get(gated)
            && (family.takes_gates)(graph.shape(node.outputs[0]).c)
        {
            fused.insert(*gated);
            let [r, cgate, sgate] = gate.inputs[..] else { unreachable!("three inputs") };
            let inputs = vec![*x, r, cgate, sgate, *w, *b];
            nodes.push(Node {
                op: GatedConv3x3 { slope: *slope, epilogue: Epilogue::Nothing }.into(),
                inputs,
                ..node.clone()
            });
        } else if let (Op::Conv3x3(Conv3x3 { slope }), Some(stats)) =
            (&node.op, node.outputs.first().and_then(|v| stats.get(v)))
        {
            let outputs = [&node.outputs[..], &stats.outputs].concat();
            nodes.push(Node { op: Conv3x3WithStats { slope: *slope }.into(), outputs, ..node.clone() });
        } else if let (Some(next), Some((last, beside))) = (Epilogue::of(&node.op), node.inputs.split_last())
            && let Some(Node { op: Op::GatedConv3x3(GatedConv3x3 { slope: None, epilogue }), inputs, outputs, .. }) =
                nodes.last_mut()
            && outputs[..] == [*last]
            && reads.get(last) == Some(&1)
        {
            *epilogue = next;
            inputs.extend(beside);
            *outputs = node.outputs.clone();
        } else {
            nodes.push(node.clone());
        }
    }
    // A node that makes a fused value beside another is the one that took it over.
    nodes.retain(|node| !matches!(node.outputs[..], [v] if fused.contains(&v)));
    nodes
}
