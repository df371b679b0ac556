//! Prepacking: what kernels make of parameters before the steps, such as weights in the order that a convolution wants.
//!
//! Packed parameters ([`Lowering::prepack`]) share one buffer, from run to run, and are made again only where
//! parameters have changed. Where no step changes the parameters, a GPU keeps nothing else of them: the array as it is
//! written lies in a reusable buffer until it has been packed, and the few parameters that steps read directly are
//! copied.

use super::{Region, Target};
use crate::graph::{Storage, Value};
use crate::kernel::{Dispatch, Lowering, Operand, PackRequest};
use crate::ops::{Graph, Node};
use std::collections::HashSet;

/// Words between the starts of what is packed: WebGPU's alignment of bindings.
const ALIGNMENT: usize = 64;

/// The work on parameters before the steps.
#[derive(Clone, Debug, Default)]
pub struct Prepack {
    /// Where the parameters are written, if they are not kept: all of them before the next run.
    pub upload: Option<Region>,
    /// Copies, from and to, of the parameters that steps read themselves, if they are not kept.
    pub copies: Vec<(Region, Region)>,
    /// Kernels that pack; operands in the order of [`Dispatch::bindings`].
    pub kernels: Vec<(Dispatch, Vec<Region>)>,
    /// The steps themselves change parameters, so that all this belongs to every run.
    pub every_run: bool,
}

impl Prepack {
    /// Where a parameter that is not kept, or all of them, are written; None: any other value.
    pub(crate) fn uploaded(&self, graph: &Graph, value: Value) -> Option<Region> {
        match graph.values().get(value.0)?.storage {
            Storage::View { base, offset } if base == graph.params() => {
                self.upload.map(|all| all.part(offset, graph.shape(value).len()))
            }
            _ => self.upload.filter(|_| value == graph.params()),
        }
    }

    /// True where this buffer is read: what is written to it then has to be packed.
    pub(crate) fn reads(&self, buffer: usize) -> bool {
        let copied = self.copies.iter().map(|(from, _)| from);
        self.kernels.iter().flat_map(|(_, regions)| regions).chain(copied).any(|at| at.buffer == buffer)
    }
}

/// Packed parameters whose own regions are not known yet.
pub(super) struct Packing {
    /// The parameters are not kept: they have to be uploaded before they are packed.
    pub(super) uploads: bool,
    /// For each request of each node, where it is packed before the steps. None: the node packs it, in its own step.
    pub(super) of_nodes: Vec<Vec<Option<Region>>>,
    /// Parameters that steps read themselves, with their copies.
    pub(super) copies: Vec<(Value, Region)>,
    /// Words of the buffer for all this.
    pub(super) words: usize,
    buffer: usize,
    packed: Vec<Packed>,
    every_run: bool,
}

/// The parameters that one kernel packs.
struct Packed {
    dispatch: Dispatch,
    /// Parameters in the order of the bindings; None: what is packed.
    operands: Vec<Option<Value>>,
    region: Region,
}

/// True where the parameters stay as they were written: some step reads all of them, changes any, or they are a result.
pub(super) fn keeps_parameters(graph: &Graph, nodes: &[Node], target: Target) -> bool {
    let params = graph.params();
    matches!(target, Target::Cpu { .. })
        || graph.outputs().contains(&params)
        || nodes.iter().any(|node| node.inputs.contains(&params) || !node.updates.is_empty())
}

/// Collects what the nodes ask to have packed, each thing once, in the buffer of this index.
pub(super) fn prepack(graph: &Graph, nodes: &[Node], lowered: &[Lowering], uploads: bool, buffer: usize) -> Packing {
    let (of_nodes, copies, packed) = Default::default();
    let mut packing = Packing { uploads, of_nodes, copies, words: 0, buffer, packed, every_run: false };
    let mut updated: HashSet<Value> = HashSet::new();
    for (node, lowering) in nodes.iter().zip(lowered) {
        // Parameters are known before the first step, unless an earlier one changes them.
        let known = |v: Value| graph.base(v).is_some_and(|base| !updated.contains(&base));
        let operand = |(_, operand): &(&str, Operand)| match *operand {
            Operand::Packed(_) => Some(None),
            Operand::Input(i) if known(node.inputs[i]) => Some(Some(node.inputs[i])),
            _ => None,
        };
        let place = |request: &PackRequest| {
            let operands: Option<Vec<_>> = request.dispatch.bindings.iter().map(operand).collect();
            operands.map(|operands| packing.add(request, operands))
        };
        let regions = lowering.prepack.iter().map(place).collect();
        packing.of_nodes.push(regions);
        updated.extend(node.updates.iter().filter_map(|v| graph.base(*v)));
    }
    let mut read = packing.packed.iter().flat_map(|packed| packed.operands.iter().flatten());
    packing.every_run = read.any(|v| graph.base(*v).is_some_and(|base| updated.contains(&base)));
    if uploads {
        packing.copy_parameters(graph, nodes, lowered);
    }
    packing
}

/// Lists a node's kernels in order: those that pack what is not packed before the steps come first.
pub(super) fn dispatches<'a>(
    lowering: &'a Lowering,
    packed: &'a [Option<Region>],
) -> impl Iterator<Item = &'a Dispatch> {
    let own = lowering.prepack.iter().zip(packed).filter(|(_, before)| before.is_none());
    own.map(|(request, _)| &request.dispatch).chain(&lowering.dispatches)
}

impl Packing {
    /// Returns the region of what is packed, the same for the same kernel on the same parameters.
    fn add(&mut self, request: &PackRequest, operands: Vec<Option<Value>>) -> Region {
        let dispatch = &request.dispatch;
        let same = |known: &&Packed| {
            // Requests of two nodes name the same parameters by different inputs.
            let names = |d: &Dispatch| d.bindings.iter().map(|(name, _)| *name).collect::<Vec<_>>();
            let rest = |d: &Dispatch| Dispatch { bindings: vec![], ..d.clone() };
            known.operands == operands
                && names(&known.dispatch) == names(dispatch)
                && rest(&known.dispatch) == rest(dispatch)
        };
        if let Some(known) = self.packed.iter().find(same) {
            return known.region;
        }
        let region = self.allocate(request.len, dispatch.half);
        self.packed.push(Packed { dispatch: dispatch.clone(), operands, region });
        region
    }

    fn copy_parameters(&mut self, graph: &Graph, nodes: &[Node], lowered: &[Lowering]) {
        for (i, (node, lowering)) in nodes.iter().zip(lowered).enumerate() {
            let bindings = dispatches(lowering, &self.of_nodes[i]).flat_map(|d| &d.bindings);
            let read: Vec<Value> = bindings
                .filter_map(|(_, operand)| if let Operand::Input(i) = operand { Some(node.inputs[*i]) } else { None })
                .filter(|v| graph.base(*v) == Some(graph.params()))
                .collect();
            for v in read {
                if self.copies.iter().all(|(known, _)| *known != v) {
                    let region = self.allocate(graph.shape(v).len(), false);
                    self.copies.push((v, region));
                }
            }
        }
    }

    fn allocate(&mut self, len: usize, half: bool) -> Region {
        let region = Region { buffer: self.buffer, offset: self.words, len, half };
        self.words += region.words().next_multiple_of(ALIGNMENT);
        region
    }

    /// Gives the parameters the regions in which they lie before the steps: in `upload`, or else where the steps find
    /// them.
    pub(super) fn resolve(self, graph: &Graph, upload: Option<Region>, regions: &[Option<Region>]) -> Prepack {
        let prepack = Prepack { upload, every_run: self.every_run, ..Prepack::default() };
        let written = |v: Value| {
            let at = prepack.uploaded(graph, v).or(regions[v.0]);
            at.unwrap_or_else(|| panic!("{} is packed, and neither kept nor uploaded", graph.info(v).name))
        };
        let copies = self.copies.into_iter().map(|(v, to)| (written(v), to)).collect();
        let kernel = |packed: Packed| {
            let regions = packed.operands.iter().map(|v| v.map_or(packed.region, written)).collect();
            (packed.dispatch, regions)
        };
        let kernels = self.packed.into_iter().map(kernel).collect();
        Prepack { copies, kernels, ..prepack }
    }
}
