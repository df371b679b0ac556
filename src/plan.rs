//! The plan of a graph: where every value lives, and what it costs. Pure: a graph in, a plan out, no device.
//!
//! [`Plan::new`] is the page to begin with; its parts are pure functions:
//!
//! - [`mod@fuse`] puts nodes together where one kernel does the work of several;
//! - `precision` finds the values that lie in memory as f16;
//! - `prepack` collects what kernels make of parameters before the steps;
//! - `lifetimes` lists when each thing is needed, and assigns what is never needed together to the same buffer;
//! - `regions` and `steps` say where each value and each kernel's operand lies.

use crate::error::{Limit, Result, TooLarge};
use crate::graph::Value;
use crate::kernel::{Dispatch, Kernels, Lowering, PARAMS_STRIDE, RunParams};
use crate::ops::{Graph, Node, Workspace};
use crate::tensor::Shape;

pub mod fuse;
mod lifetimes;
mod precision;
mod prepack;
mod regions;
mod steps;

pub use prepack::Prepack;
pub use regions::Region;
use regions::{Occupant, words};

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
            return Err(TooLarge::new(name, Limit::Binding, bytes, max_binding).into());
        }
        if u32::try_from(len).is_err() {
            return Err(TooLarge::new(name, Limit::Elements, len as u64, u32::MAX.into()).into());
        }
        Ok(())
    }
}

/// A buffer of the plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Buffer {
    /// Words of 4 bytes.
    pub len: usize,
    /// Keeps its contents from run to run; zero at first.
    pub persistent: bool,
}

/// Multiply-accumulates in whose time a device reads or writes an element: some 25 on an H200, 20 on a server's cores.
const MACS_PER_ELEMENT: u64 = 16;

/// How long something takes beside others: multiply-accumulates, and all that is read and written.
fn work<'a>(macs: u64, regions: impl IntoIterator<Item = &'a Region>) -> u64 {
    macs + MACS_PER_ELEMENT * regions.into_iter().map(|region| region.len as u64).sum::<u64>()
}

/// How a step runs more than once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repeat {
    /// Times at most.
    pub most: usize,
    /// It runs again while any element here is not 0.
    pub running: Region,
}

/// A node of the graph as it will run.
#[derive(Clone, Debug)]
pub struct Step {
    /// Operator's name.
    pub op: &'static str,
    /// Layer.
    pub name: String,
    /// Inputs; None: parameters that the step needs only packed.
    pub inputs: Vec<Option<Region>>,
    /// Outputs, then values updated in place.
    pub outputs: Vec<Region>,
    /// Output's shape, for reports; empty for operators that only update.
    pub shapes: Vec<Shape>,
    /// Kernels, on a GPU; operands in the order of [`Dispatch::bindings`].
    pub dispatches: Vec<(Dispatch, Vec<Region>)>,
    /// How it runs more than once (None: it does not).
    pub repeat: Option<Repeat>,
    /// Multiply-accumulate operations, of one time.
    pub macs: u64,
    /// As the paper's Table 2 counts: also biases and activations.
    pub paper_count: u64,
}

impl Step {
    /// How long one time takes beside other steps; for the CPU, which has no kernels.
    #[cfg(feature = "cpu")]
    pub(crate) fn work(&self) -> u64 {
        work(self.macs, self.inputs.iter().flatten().chain(&self.outputs))
    }

    /// How long each kernel takes beside others.
    pub(crate) fn works(&self) -> impl Iterator<Item = u64> {
        let macs = self.macs / self.dispatches.len().max(1) as u64;
        self.dispatches.iter().map(move |(_, regions)| work(macs, regions))
    }
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
        let lowered: Vec<Lowering> = nodes.iter().map(|node| steps::lower(graph, node, &half, target)).collect();

        let keeps_parameters = prepack::keeps_parameters(graph, &nodes, target);
        let (mut buffers, persistent) = regions::persistent_buffers(graph, keeps_parameters);
        let packing = prepack::prepack(graph, &nodes, &lowered, !keeps_parameters, buffers.len());
        if packing.words > 0 {
            buffers.push(Buffer { len: packing.words, persistent: true });
        }
        let occupants = lifetimes::lifetimes(graph, &nodes, &half, &lowered, &packing);
        let (shared, reusable) = lifetimes::assign_buffers(&occupants, buffers.len());
        buffers.extend(shared);

        let regions = regions::value_regions(graph, &persistent, &packing.copies, &reusable);
        let steps: Vec<Step> = (nodes.iter().zip(&lowered).enumerate())
            .map(|(i, (node, lowering))| steps::step(i, node, lowering, &packing.of_nodes[i], &regions, &reusable))
            .collect();
        let upload = reusable.get(&Occupant::Parameters).copied();
        let prepack = packing.resolve(graph, upload, &regions);
        // Scratch memory and what is packed, too.
        for at in steps.iter().flat_map(|s| &s.dispatches).chain(&prepack.kernels).flat_map(|(_, regions)| regions) {
            target.check_binding("a kernel's working memory", at.len, at.half)?;
        }
        let workspace = steps::workspace(&nodes, &lowered, target);
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
                    let list = |dispatches: usize| dispatches.max(1) * PARAMS_STRIDE + size_of::<RunParams>();
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
