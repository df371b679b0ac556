//! Nodes of a graph put together where a GPU's kernels can do the work of several in one, which saves a pass over a map of
//! many channels. Pure: nodes in, nodes out.
//!
//! The only rule: the gates of both attentions, applied to a map that nothing but one convolution reads, are applied
//! where the convolution loads it. (In a graph with gradients the gated map is read by them, too, and stays.)

use crate::graph::{Graph, Node, Value};
use crate::kernel::Kernels;
use crate::ops::Op;
use crate::ops::conv3x3::{Conv3x3, GatedConv3x3};
use std::collections::HashMap;

/// The graph's nodes for these kernels.
pub fn fuse(graph: &Graph, kernels: Kernels) -> Vec<Node> {
    let mut reads: HashMap<Value, usize> = HashMap::new();
    let read = graph.nodes().iter().flat_map(|node| &node.inputs).chain(graph.outputs());
    read.for_each(|v| *reads.entry(*v).or_default() += 1);
    // Gated maps that are read once, and by whom they are made.
    let gates: HashMap<Value, &Node> = (graph.nodes().iter())
        .filter(|node| matches!(node.op, Op::Gate(_)) && reads.get(&node.outputs[0]) == Some(&1))
        .map(|node| (node.outputs[0], node))
        .collect();
    let mut fused = vec![];
    let mut nodes = vec![];
    for node in graph.nodes() {
        if let (Op::Conv3x3(Conv3x3 { slope }), [x, gated, w, b]) = (&node.op, &node.inputs[..])
            && let Some(gate) = gates.get(gated)
            && GatedConv3x3::has_kernel(kernels, graph.shape(node.outputs[0]).c)
        {
            fused.push(*gated);
            let [r, cgate, sgate] = gate.inputs[..] else { unreachable!("three inputs") };
            let inputs = vec![*x, r, cgate, sgate, *w, *b];
            nodes.push(Node { op: GatedConv3x3 { slope: *slope }.into(), inputs, ..node.clone() });
        } else {
            nodes.push(node.clone());
        }
    }
    nodes.retain(|node| !node.outputs.iter().any(|v| fused.contains(v)));
    nodes
}
