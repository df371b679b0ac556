//! Steps: a node's kernels as its operator asks for them, and with regions for their operands.

use super::regions::Occupant;
use super::{Region, Repeat, Step, Target, prepack};
use crate::graph::Value;
use crate::kernel::{Lowering, Operand};
use crate::ops::{Graph, Node, Operator, Workspace};
use crate::tensor::Shape;
use std::collections::{HashMap, HashSet};

/// Lowers a node to its kernels; for a CPU there are only its shapes.
pub(super) fn lower(graph: &Graph, node: &Node, half: &HashSet<Value>, target: Target) -> Lowering {
    let shape = |v: &Value| graph.shape(*v);
    let inputs: Vec<Shape> = node.inputs.iter().map(shape).collect();
    let outputs: Vec<Shape> = node.outputs.iter().chain(&node.updates).map(shape).collect();
    let reads = node.inputs.iter().enumerate().map(|(i, v)| (Operand::Input(i), v));
    let writes = node.outputs.iter().enumerate().map(|(i, v)| (Operand::Output(i), v));
    let halves = reads.chain(writes).filter(|(_, v)| half.contains(v)).map(|(operand, _)| operand).collect();
    let mut lowering = Lowering::new(inputs, outputs, target.kernels().unwrap_or_default(), halves);
    if target.kernels().is_some() {
        node.op.gpu(&mut lowering);
    }
    lowering
}

/// Finds the largest working memory of a node on a CPU.
pub(super) fn workspace(nodes: &[Node], lowered: &[Lowering], target: Target) -> Workspace {
    let mut most = Workspace::default();
    if let Target::Cpu { .. } = target {
        for (node, lowering) in nodes.iter().zip(lowered) {
            let own = node.op.workspace(&lowering.inputs, &lowering.outputs);
            most.per_thread = most.per_thread.max(own.per_thread);
            most.shared = most.shared.max(own.shared);
        }
    }
    most
}

/// Turns the node of index `index` into a step, with a region for each operand of its kernels.
pub(super) fn step(
    index: usize,
    node: &Node,
    lowering: &Lowering,
    packed: &[Option<Region>],
    values: &[Option<Region>],
    reusable: &HashMap<Occupant, Region>,
) -> Step {
    let inputs: Vec<Option<Region>> = node.inputs.iter().map(|v| values[v.0]).collect();
    let written = node.outputs.iter().chain(&node.updates);
    let outputs: Vec<Region> = written.map(|v| values[v.0].expect("what is written has a region")).collect();
    let region = |(_, operand): &(&str, Operand)| match *operand {
        Operand::Input(i) => inputs[i].expect("what is read has a region"),
        Operand::Output(i) => outputs[i],
        Operand::Scratch(i) => reusable[&Occupant::Scratch { node: index, index: i }],
        Operand::Packed(i) => packed[i].unwrap_or_else(|| reusable[&Occupant::Packed { node: index, index: i }]),
    };
    let dispatches = prepack::dispatches(lowering, packed);
    let dispatches = dispatches.map(|d| (d.clone(), d.bindings.iter().map(region).collect())).collect();
    let shapes = &lowering.outputs[..node.outputs.len()];
    let running = || *outputs.last().expect("what is repeated updates a value that says whether it is done");
    let repeat = node.op.repeats().map(|most| Repeat { most, running: running() });
    let macs = node.op.macs(&lowering.inputs, shapes);
    Step {
        op: node.op.name(),
        name: node.name.clone(),
        shapes: shapes.to_vec(),
        macs,
        paper_count: macs + node.op.paper_extras(&lowering.inputs, shapes),
        dispatches,
        repeat,
        inputs,
        outputs,
    }
}
