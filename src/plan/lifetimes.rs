//! Lifetimes of what lies in reusable buffers, and its assignment to them.
//!
//! Buffers, not offsets in one arena, because wgpu tracks usage per whole buffer.

use super::Buffer;
use super::prepack::Packing;
use super::regions::{Occupant, Region, words};
use crate::graph::{Storage, Value};
use crate::kernel::Lowering;
use crate::ops::{Graph, Node};
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};

/// The steps, from the first to the last, during which elements are needed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lifetime {
    len: usize,
    half: bool,
    first: usize,
    last: usize,
}

impl Lifetime {
    /// Words of 4 bytes; at least one, as devices make no empty buffers.
    fn words(&self) -> usize {
        words(self.len, self.half).max(1)
    }
}

/// Lists the lifetimes of everything that lies in reusable buffers: values from their writing to their last use (inputs
/// from the start, outputs to the end), all else of a node during its step.
pub(super) fn lifetimes(
    graph: &Graph,
    nodes: &[Node],
    half: &HashSet<Value>,
    lowered: &[Lowering],
    packing: &Packing,
) -> Vec<(Occupant, Lifetime)> {
    let read = nodes.iter().enumerate().flat_map(|(i, node)| node.inputs.iter().map(move |v| (*v, i)));
    // A later read replaces an earlier one.
    let last: HashMap<Value, usize> = read.chain(graph.outputs().iter().map(|v| (*v, usize::MAX))).collect();
    let written = nodes.iter().enumerate().flat_map(|(i, node)| node.outputs.iter().map(move |v| (i, *v)));
    let values = graph.inputs().iter().map(|v| (0, *v)).chain(written);
    let mut list: Vec<(Occupant, Lifetime)> = values
        .filter(|(_, v)| graph.info(*v).storage == Storage::Transient)
        .map(|(first, v)| {
            let (len, half, last) = (graph.shape(v).len(), half.contains(&v), last.get(&v).map_or(first, |&last| last));
            (Occupant::Value(v), Lifetime { len, half, first, last })
        })
        .collect();
    if packing.uploads {
        let len = graph.shape(graph.params()).len();
        list.push((Occupant::Parameters, Lifetime { len, half: false, first: 0, last: 0 }));
    }
    for (node, (lowering, packed)) in lowered.iter().zip(&packing.of_nodes).enumerate() {
        let during = |len, half| Lifetime { len, half, first: node, last: node };
        let scratch = lowering.scratch.iter().enumerate();
        list.extend(scratch.map(|(index, &len)| (Occupant::Scratch { node, index }, during(len, false))));
        let own = lowering.prepack.iter().zip(packed).enumerate().filter(|(_, (_, before))| before.is_none());
        list.extend(own.map(|(index, (request, _))| {
            (Occupant::Packed { node, index }, during(request.len, request.dispatch.half))
        }));
    }
    list
}

/// Assigns occupants to buffers; the first buffer has the index `first`. Returns the buffers and each one's region.
///
/// The largest comes first, into the smallest buffer that is free for all of its time, else into a new one. (Step by
/// step, a small value that came first took a map's buffer: 73 MB for the network of 39.) Of almost one size
/// ([`size_class`]) the earliest comes first, which takes as few buffers as can be. (By their exact sizes, the phases of
/// JESSNet's maps, 0.2 % larger than the maps, kept two buffers to themselves: 319 MB for the network of 219.)
pub(super) fn assign_buffers(
    occupants: &[(Occupant, Lifetime)],
    first: usize,
) -> (Vec<Buffer>, HashMap<Occupant, Region>) {
    let mut order: Vec<&(Occupant, Lifetime)> = occupants.iter().collect();
    order.sort_by_key(|(_, life)| (Reverse(size_class(life.words())), life.first));
    // Of each buffer: its size, and the occupants' first steps with their last ones.
    let mut buffers: Vec<(usize, BTreeMap<usize, usize>)> = vec![];
    let mut regions = HashMap::new();
    for (occupant, life) in order {
        let free = |(_, taken): &(usize, BTreeMap<usize, usize>)| {
            taken.range(..=life.last).next_back().is_none_or(|(_, end)| *end < life.first)
        };
        // Later buffers are smaller.
        let index = buffers.iter().rposition(free).unwrap_or_else(|| {
            buffers.push((life.words(), BTreeMap::new()));
            buffers.len() - 1
        });
        buffers[index].0 = buffers[index].0.max(life.words());
        buffers[index].1.insert(life.first, life.last);
        regions.insert(*occupant, Region { buffer: first + index, offset: 0, len: life.len, half: life.half });
    }
    (buffers.into_iter().map(|(len, _)| Buffer { len, persistent: false }).collect(), regions)
}

/// A number of words, rounded to its first six binary digits: by 1.6 % at most. To the nearest, as maps are often of few
/// digits, and what is a little larger belongs to them.
fn size_class(words: usize) -> usize {
    let digits = usize::BITS - words.leading_zeros();
    let unit = 1 << digits.saturating_sub(6);
    (words + unit / 2) / unit * unit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_of_almost_one_size_shares_buffers() {
        assert_eq!([1, 63, 64, 65, 1000, 1020].map(size_class), [1, 63, 64, 66, 1008, 1024]);
        // A map of 64 channels of 512x384, and its 3x3 phases.
        assert_eq!(size_class(64 * 384 * 512), size_class(9 * 64 * 128 * 171));
        // Never more than two of them at once; by their exact sizes they would take three buffers.
        let lives = [(1001, 0, 1), (1001, 1, 2), (1001, 2, 3), (1000, 3, 4), (1001, 4, 5)];
        let life = |(len, first, last)| Lifetime { len, half: false, first, last };
        let occupants: Vec<_> = lives.iter().enumerate().map(|(i, l)| (Occupant::Value(Value(i)), life(*l))).collect();
        let (buffers, _) = assign_buffers(&occupants, 0);
        assert_eq!(buffers, [1001; 2].map(|len| Buffer { len, persistent: false }));
    }

    #[test]
    fn buffers_are_shared_by_what_is_never_needed_together() {
        let life = |len, half, first, last| Lifetime { len, half, first, last };
        let lives = [life(4, false, 0, 1), life(9, false, 1, 2), life(7, true, 2, 3), life(0, false, 3, 3)];
        let occupants: Vec<_> = lives.iter().enumerate().map(|(i, l)| (Occupant::Value(Value(i)), *l)).collect();
        let (buffers, regions) = assign_buffers(&occupants, 5);
        assert_eq!(buffers, [9, 4].map(|len| Buffer { len, persistent: false }));
        let region = |i| regions[&Occupant::Value(Value(i))];
        assert_eq!([0, 1, 2, 3].map(|i| region(i).buffer), [6, 5, 6, 5]);
        assert_eq!(region(2), Region { buffer: 6, offset: 0, len: 7, half: true });
    }
}
