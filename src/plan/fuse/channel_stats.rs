//! The channel statistics of a convolution's output, made where the convolution has it in registers.

use crate::graph::Value;
use crate::kernel::Kernels;
use crate::ops::conv3x3::{Conv3x3, Conv3x3WithStats, gives_stats};
use crate::ops::{Graph, Node, Op};
use std::collections::{HashMap, HashSet};

pub(super) fn fuse(graph: &Graph, kernels: Kernels, nodes: Vec<Node>) -> Vec<Node> {
    let convolutions = nodes.iter().filter(|node| matches!(node.op, Op::Conv3x3(_)));
    let convolved: HashSet<Value> = convolutions.map(|node| node.outputs[0]).collect();
    // Statistics by the convolution's output that they are of.
    let stats: HashMap<Value, Value> = (nodes.iter())
        .filter(|node| matches!(node.op, Op::ChannelStats(_)) && convolved.contains(&node.inputs[0]))
        .filter(|node| gives_stats(kernels, graph.shape(node.inputs[0]).c))
        .map(|node| (node.inputs[0], node.outputs[0]))
        .collect();
    let with_stats = |node: Node| {
        if let Op::Conv3x3(Conv3x3 { slope }) = node.op
            && let Some(stats) = stats.get(&node.outputs[0])
        {
            let outputs = vec![node.outputs[0], *stats];
            return Node { op: Conv3x3WithStats { slope }.into(), outputs, ..node };
        }
        node
    };
    let made =
        |node: &Node| matches!(node.op, Op::ChannelStats(_)) && stats.get(&node.inputs[0]) == Some(&node.outputs[0]);
    nodes.into_iter().filter(|node| !made(node)).map(with_stats).collect()
}
