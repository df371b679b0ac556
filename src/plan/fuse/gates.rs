//! The gates of both attentions, applied where a convolution loads the gated map.
//!
//! Only where nothing else reads that map. In a graph with gradients they read it, too, and it stays.

use super::Reads;
use crate::graph::Value;
use crate::kernel::Kernels;
use crate::ops::conv3x3::{Conv3x3, Epilogue, GatedConv3x3, takes_gates};
use crate::ops::{Graph, Node, Op};
use std::collections::{HashMap, HashSet};

pub(super) fn fuse(graph: &Graph, kernels: Kernels, reads: &Reads, nodes: Vec<Node>) -> Vec<Node> {
    let gates: HashMap<Value, Node> = (nodes.iter())
        .filter(|node| matches!(node.op, Op::Gate(_)) && reads.once(node.outputs[0]))
        .map(|node| (node.outputs[0], node.clone()))
        .collect();
    let mut applied: HashSet<Value> = HashSet::new();
    let mut gated = |node: Node| {
        if let (Op::Conv3x3(Conv3x3 { slope }), [x, map, w, b]) = (&node.op, &node.inputs[..])
            && let Some(gate) = gates.get(map)
            && takes_gates(kernels, graph.shape(node.outputs[0]).c)
        {
            applied.insert(*map);
            let [r, cgate, sgate] = gate.inputs[..] else { unreachable!("three inputs") };
            let inputs = vec![*x, r, cgate, sgate, *w, *b];
            return Node { op: GatedConv3x3 { slope: *slope, epilogue: Epilogue::Nothing }.into(), inputs, ..node };
        }
        node
    };
    let mut nodes: Vec<Node> = nodes.into_iter().map(&mut gated).collect();
    nodes.retain(|node| !(matches!(node.op, Op::Gate(_)) && applied.contains(&node.outputs[0])));
    nodes
}
