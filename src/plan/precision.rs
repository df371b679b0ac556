//! Precision: which values lie in memory as f16.
//!
//! A value does where the operator that writes it and all that read it take it so ([`Operator::accepts_f16`]). In a
//! graph with gradients there is none.

use crate::graph::{Storage, Value};
use crate::kernel::{Kernels, Operand};
use crate::ops::{Graph, Node, Operator};
use std::collections::HashSet;

/// Returns the values that are f16; none for kernels that keep all in f32, and for the CPU (None).
pub(super) fn half_values(graph: &Graph, nodes: &[Node], kernels: Option<Kernels>) -> HashSet<Value> {
    if !kernels.is_some_and(Kernels::half) {
        return HashSet::new();
    }
    let takes = |node: &Node, operand| node.op.accepts_f16(node.inputs.len(), operand);
    let mut half: HashSet<Value> = HashSet::new();
    for node in nodes {
        half.extend(node.outputs.iter().enumerate().filter(|(i, _)| takes(node, Operand::Output(*i))).map(|(_, v)| *v));
    }
    half.retain(|v| graph.info(*v).storage == Storage::Transient && !graph.outputs().contains(v));
    // Each value that falls out may take another with it.
    loop {
        let before = half.len();
        for node in nodes {
            for (_, v) in node.inputs.iter().enumerate().filter(|(i, _)| !takes(node, Operand::Input(*i))) {
                half.remove(v);
            }
            if let (true, [x, ..], [y, ..]) = (node.op.same_precision(), &node.inputs[..], &node.outputs[..])
                && !(half.contains(x) && half.contains(y))
            {
                half.remove(x);
                half.remove(y);
            }
        }
        if half.len() == before {
            return half;
        }
    }
}
