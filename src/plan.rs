//! The plan of a graph: where every value lives, and what it costs. Pure: a graph in, a plan out, no device.
//!
//! [`Plan::new`] is the page to begin with; its parts are pure functions:
//!
//! - [`mod@fuse`] puts nodes together where one kernel does the work of several;
//! - `precision` finds the values that lie in memory as f16;
//! - `prepack` collects what kernels make of parameters before the steps;
//! - `lifetimes` lists when each thing is needed, and assigns what is never needed together to the same buffer.

use crate::error::{Error, Result};
use crate::graph::{Storage, Value, ValueInfo};
use crate::kernel::{Dispatch, Globals, Kernels, Lowering, Operand, PARAMS_STRIDE};
use crate::ops::{Graph, Node, Operator, Workspace};
use crate::tensor::Shape;
use std::collections::{HashMap, HashSet};

pub mod fuse;
mod lifetimes;
mod precision;
mod prepack;

use lifetimes::Occupant;
pub use prepack::Prepack;

/// Bytes of a word.
const WORD: u64 = 4;

/// What runs the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The CPU executor with so many threads.
    Cpu {
        /// Threads, each with its own working memory.
        threads: usize,
    },
    /// A GPU.
    Gpu {
        /// Most bytes that one binding may have.
        max_binding: u64,
        /// Kernels for operators that have several.
        kernels: Kernels,
    },
}

impl Target {
    /// Kernels of a GPU.
    fn kernels(self) -> Option<Kernels> {
        match self {
            Target::Cpu { .. } => None,
            Target::Gpu { kernels, .. } => Some(kernels),
        }
    }

    /// Fails where no kernel can have `len` elements in one binding.
    fn check_binding(self, name: &str, len: usize, half: bool) -> Result<()> {
        let Target::Gpu { max_binding, .. } = self else { return Ok(()) };
        let bytes = words(len, half) as u64 * WORD;
        if bytes > max_binding {
            return Err(Error::TooLarge(format!(
                "{name} needs {bytes} bytes, more than the {max_binding} that one binding of this device may have"
            )));
        }
        if u32::try_from(len).is_err() {
            return Err(Error::TooLarge(format!("{name} has {len} elements, which the kernels count in 32 bits")));
        }
        Ok(())
    }
}

/// A region of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Region {
    /// Index of the buffer.
    pub buffer: usize,
    /// First of the buffer's words of 4 bytes.
    pub offset: usize,
    /// Elements.
    pub len: usize,
    /// Elements are f16, of 2 bytes, instead of 4.
    pub half: bool,
}

impl Region {
    /// Words of 4 bytes.
    pub fn words(&self) -> usize {
        words(self.len, self.half)
    }

    /// The `len` elements from element `offset` on, of a region of f32.
    pub(crate) fn part(self, offset: usize, len: usize) -> Region {
        assert!(!self.half && offset + len <= self.len, "{len} elements from {offset} on lie in {self:?}");
        Region { offset: self.offset + offset, len, ..self }
    }
}

/// Words of 4 bytes that `len` elements take.
fn words(len: usize, half: bool) -> usize {
    if half { len.div_ceil(2) } else { len }
}

/// A buffer of the plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Buffer {
    /// Words of 4 bytes.
    pub len: usize,
    /// Keeps its contents from run to run; zero at first.
    pub persistent: bool,
}

/// A node of the graph as it will run.
#[derive(Clone, Debug)]
pub struct Step {
    /// Operator's name.
    pub op: &'static str,
    /// Layer.
    pub name: String,
    /// Inputs; None: parameters of which the step needs only what is packed of them.
    pub inputs: Vec<Option<Region>>,
    /// Outputs, then values updated in place.
    pub outputs: Vec<Region>,
    /// Output's shape, for reports; empty for operators that only update.
    pub shapes: Vec<Shape>,
    /// Kernels, on a GPU; operands in the order of [`Dispatch::bindings`].
    pub dispatches: Vec<(Dispatch, Vec<Region>)>,
    /// Multiply-accumulate operations.
    pub macs: u64,
    /// As the paper's Table 2 counts: also biases and activations.
    pub paper_count: u64,
}

/// A graph with a region for everything.
#[derive(Clone, Debug)]
pub struct Plan {
    /// All buffers.
    pub buffers: Vec<Buffer>,
    /// Region of each value of the graph that the steps use.
    pub regions: Vec<Option<Region>>,
    /// What is done with the parameters before the steps, where they have changed.
    pub prepack: Prepack,
    /// The graph's nodes, some of them put together ([`mod@fuse`]).
    pub nodes: Vec<Node>,
    /// The same nodes with regions, in order.
    pub steps: Vec<Step>,
    /// Working memory of the CPU executor.
    pub workspace: Workspace,
    /// For whom.
    pub target: Target,
}

impl Plan {
    /// Plans `graph`. Fails where one value is larger than the device's largest binding.
    pub fn new(graph: &Graph, target: Target) -> Result<Plan> {
        let nodes = fuse::fuse(graph, target.kernels());
        let half = precision::half_values(graph, &nodes, target.kernels());
        // Before the operators are lowered, whose parameters have 32 bits.
        for (i, info) in graph.values().iter().enumerate() {
            target.check_binding(&info.name, info.shape.len(), half.contains(&Value(i)))?;
        }
        let lowered: Vec<Lowering> = nodes.iter().map(|node| lower(graph, node, &half, target)).collect();

        let keeps_parameters = prepack::keeps_parameters(graph, &nodes, target);
        let (mut buffers, persistent) = persistent_buffers(graph, keeps_parameters);
        let packing = prepack::prepack(graph, &nodes, &lowered, !keeps_parameters, buffers.len());
        if packing.words > 0 {
            buffers.push(Buffer { len: packing.words, persistent: true });
        }
        let occupants = lifetimes::lifetimes(graph, &nodes, &half, &lowered, &packing);
        let (shared, reusable) = lifetimes::assign_buffers(&occupants, buffers.len());
        buffers.extend(shared);

        let regions = value_regions(graph, &persistent, &packing.copies, &reusable);
        let steps: Vec<Step> = (nodes.iter().zip(&lowered).enumerate())
            .map(|(i, (node, lowering))| step(i, node, lowering, &packing.of_nodes[i], &regions, &reusable))
            .collect();
        let upload = reusable.get(&Occupant::Parameters).copied();
        let prepack = packing.resolve(graph, upload, &regions);
        // Scratch memory and what is packed, too.
        for at in steps.iter().flat_map(|s| &s.dispatches).chain(&prepack.kernels).flat_map(|(_, regions)| regions) {
            target.check_binding("a kernel's working memory", at.len, at.half)?;
        }
        let workspace = workspace(&nodes, &lowered, target);
        Ok(Plan { buffers, regions, prepack, nodes, steps, workspace, target })
    }

    /// Region of a value; None where the steps do not use it.
    pub fn region(&self, value: Value) -> Option<Region> {
        self.regions.get(value.0).copied().flatten()
    }

    /// Bytes of everything that runs need: the buffers, the CPU executor's working memory, and on a GPU the kernels'
    /// parameters.
    pub fn peak_bytes(&self) -> u64 {
        let buffers = self.buffers.iter().map(|b| b.len as u64 * WORD).sum::<u64>();
        buffers
            + match self.target {
                Target::Cpu { threads } => (self.workspace.shared + threads * self.workspace.per_thread) as u64 * WORD,
                Target::Gpu { .. } => {
                    // Each list of dispatches has its own.
                    let list = |dispatches: usize| dispatches.max(1) * PARAMS_STRIDE + size_of::<Globals>();
                    let packs = self.prepack.kernels.len();
                    (list(self.dispatches()) + if packs == 0 { 0 } else { list(packs) }) as u64
                }
            }
    }

    /// Runs of kernels in the steps, on a GPU.
    pub fn dispatches(&self) -> usize {
        self.steps.iter().map(|s| s.dispatches.len()).sum()
    }

    /// Multiply-accumulate operations of one run.
    pub fn macs(&self) -> u64 {
        self.steps.iter().map(|s| s.macs).sum()
    }

    /// Operations of one run as the paper's Table 2 counts them.
    pub fn paper_count(&self) -> u64 {
        self.steps.iter().map(|s| s.paper_count).sum()
    }
}

/// A node's kernels; on a CPU none, only its shapes.
fn lower(graph: &Graph, node: &Node, half: &HashSet<Value>, target: Target) -> Lowering {
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

/// The largest working memory of a node on a CPU.
fn workspace(nodes: &[Node], lowered: &[Lowering], target: Target) -> Workspace {
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

/// A buffer for each value that keeps its contents, but for parameters that are not kept, and whose each is.
fn persistent_buffers(graph: &Graph, keeps_parameters: bool) -> (Vec<Buffer>, HashMap<Value, Region>) {
    let (mut buffers, mut regions) = (vec![], HashMap::new());
    for (i, info) in graph.values().iter().enumerate() {
        if info.storage == Storage::Persistent && (keeps_parameters || Value(i) != graph.params()) {
            let len = info.shape.len();
            regions.insert(Value(i), Region { buffer: buffers.len(), offset: 0, len, half: false });
            // Not even a graph without parameters has an empty buffer: devices make none.
            buffers.push(Buffer { len: len.max(1), persistent: true });
        }
    }
    (buffers, regions)
}

/// The region of each value while the steps run.
fn value_regions(
    graph: &Graph,
    persistent: &HashMap<Value, Region>,
    copies: &[(Value, Region)],
    reusable: &HashMap<Occupant, Region>,
) -> Vec<Option<Region>> {
    let copies: HashMap<Value, Region> = copies.iter().copied().collect();
    let region = |(i, info): (usize, &ValueInfo)| match info.storage {
        Storage::Transient => reusable.get(&Occupant::Value(Value(i))).copied(),
        Storage::Persistent => persistent.get(&Value(i)).copied(),
        Storage::View { base, offset } => {
            let whole = persistent.get(&base).map(|whole| whole.part(offset, info.shape.len()));
            whole.or_else(|| copies.get(&Value(i)).copied())
        }
    };
    graph.values().iter().enumerate().map(region).collect()
}

/// The node of index `index` with a region for each operand of its kernels.
fn step(
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
    let macs = node.op.macs(&lowering.inputs, shapes);
    Step {
        op: node.op.name(),
        name: node.name.clone(),
        shapes: shapes.to_vec(),
        macs,
        paper_count: macs + node.op.paper_extras(&lowering.inputs, shapes),
        dispatches,
        inputs,
        outputs,
    }
}
