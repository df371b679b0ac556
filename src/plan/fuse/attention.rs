//! The channel gates, made by every workgroup that pools the channels of the map behind them: that costs less than a
//! dispatch of one workgroup, for which a GPU waits.
//!
//! Only where one operator pools by a gate: of a map in parts each part would make them again.

use crate::graph::Value;
use crate::kernel::Kernels;
use crate::ops::spatial_attention::ChannelGateAndSpatialStats as Fused;
use crate::ops::{Graph, Node, Op};
use std::collections::HashMap;

pub(super) fn fuse(graph: &Graph, kernels: Kernels, nodes: Vec<Node>) -> Vec<Node> {
    let pools = |node: &Node| matches!(node.op, Op::SpatialStats(_));
    // Gates by what pools behind them, the first that reads what they make.
    let mut gates: HashMap<Value, (Fused, Node)> = HashMap::new();
    for gate in &nodes {
        let Op::ChannelGate(op) = &gate.op else { continue };
        let mut readers = nodes.iter().filter(|node| gate.outputs.iter().any(|v| node.inputs.contains(v)));
        if let Some(pool) = readers.next().filter(|node| pools(node))
            && !readers.any(pools)
            && Fused::takes(kernels, graph.shape(gate.inputs[1]).n)
        {
            gates.insert(pool.outputs[0], (Fused { pixels: op.pixels }, gate.clone()));
        }
    }
    let taken: Vec<Value> = gates.values().map(|(_, gate)| gate.outputs[0]).collect();
    let fused = |node: Node| {
        let Some((op, gate)) = node.outputs.first().and_then(|v| gates.get(v)) else { return node };
        let inputs = [&node.inputs[..1], &gate.inputs].concat();
        let outputs = [&node.outputs[..], &gate.outputs].concat();
        Node { op: op.clone().into(), inputs, outputs, ..node }
    };
    let stays = |node: &Node| !node.outputs.first().is_some_and(|v| taken.contains(v));
    nodes.into_iter().filter(stays).map(fused).collect()
}
