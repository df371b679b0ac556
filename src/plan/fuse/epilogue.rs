//! A convolution's epilogue: the operator that comes next, done where the convolution stores its output.
//!
//! A sum, the scale of a coupling or a coupling, behind a convolution with gates ([`super::gates`]) that has no
//! activation and whose output nothing else reads.

use super::Reads;
use crate::ops::conv3x3::{Epilogue, GatedConv3x3};
use crate::ops::{Node, Op};

pub(super) fn fuse(reads: &Reads, nodes: Vec<Node>) -> Vec<Node> {
    let mut fused: Vec<Node> = vec![];
    for node in nodes {
        if let (Some(next), Some((last, beside))) = (Epilogue::of(&node.op), node.inputs.split_last())
            && let Some(Node { op: Op::GatedConv3x3(conv), inputs, outputs, .. }) = fused.last_mut()
            && let GatedConv3x3 { slope: None, epilogue: epilogue @ Epilogue::Nothing } = conv
            && outputs[..] == [*last]
            && reads.once(*last)
        {
            *epilogue = next;
            inputs.extend(beside);
            *outputs = node.outputs;
        } else {
            fused.push(node);
        }
    }
    fused
}
