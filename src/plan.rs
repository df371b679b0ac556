//! The plan of a graph: where every value lives, and what it costs. Pure: a graph in, a plan out, no device.
//!
//! Transient values share a few buffers: a value gets one when it is written and gives it back after its last use.
//! Buffers, not offsets in one arena, because wgpu tracks usage per whole buffer.

use crate::error::{Error, Result};
use crate::graph::{Graph, Place, Value};
use crate::kernel::{Dispatch, Globals, Kernels, Lowering, Operand, PARAMS_STRIDE};
use crate::ops::{Operator, Workspace};
use crate::tensor::Shape;

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

/// A place: a buffer and elements (of 4 bytes) in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Location {
    /// Index of the buffer.
    pub buffer: usize,
    /// First element.
    pub offset: usize,
    /// Elements.
    pub len: usize,
}

/// A buffer of the plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Buffer {
    /// Elements of 4 bytes.
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
    /// Inputs.
    pub inputs: Vec<Location>,
    /// Outputs, then values updated in place.
    pub outputs: Vec<Location>,
    /// Output's shape, for reports; empty for operators that only update.
    pub shapes: Vec<Shape>,
    /// Kernels, on a GPU; operands in the order of [`Dispatch::bindings`].
    pub dispatches: Vec<(Dispatch, Vec<Location>)>,
    /// Multiply-accumulate operations.
    pub macs: u64,
    /// As the paper's Table 2 counts: also biases and activations.
    pub paper_count: u64,
}

/// A graph with a place for everything.
#[derive(Clone, Debug)]
pub struct Plan {
    /// All buffers.
    pub buffers: Vec<Buffer>,
    /// Place of each value of the graph that is used.
    pub locations: Vec<Option<Location>>,
    /// The nodes in order.
    pub steps: Vec<Step>,
    /// Working memory of the CPU executor.
    pub workspace: Workspace,
    /// For whom.
    pub target: Target,
}

/// Bytes of an element.
const ELEMENT: u64 = 4;

/// Reusable buffers while planning: those free now.
struct Pool {
    buffers: Vec<Buffer>,
    free: Vec<usize>,
}

impl Pool {
    fn take(&mut self, len: usize) -> Location {
        // The smallest that is large enough, else the largest, which grows; else a new one.
        let fits =
            self.free.iter().copied().filter(|&i| self.buffers[i].len >= len).min_by_key(|&i| self.buffers[i].len);
        let grows = || self.free.iter().copied().max_by_key(|&i| self.buffers[i].len);
        let buffer = fits.or_else(grows).unwrap_or_else(|| {
            self.buffers.push(Buffer { len: 0, persistent: false });
            self.buffers.len() - 1
        });
        self.free.retain(|&i| i != buffer);
        self.buffers[buffer].len = self.buffers[buffer].len.max(len);
        Location { buffer, offset: 0, len }
    }
}

fn check_binding(name: &str, len: usize, max_binding: u64) -> Result<()> {
    let bytes = len as u64 * ELEMENT;
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

impl Plan {
    /// Plans `graph`. Fails where one value is larger than the device's largest binding.
    pub fn new(graph: &Graph, target: Target) -> Result<Plan> {
        let values = graph.values();
        let shape = |v: &Value| values[v.0].shape;
        if let Target::Gpu { max_binding, .. } = target {
            // Before the operators are lowered, whose parameters have 32 bits.
            for info in values {
                check_binding(&info.name, info.shape.len(), max_binding)?;
            }
        }
        let mut pool = Pool { buffers: vec![], free: vec![] };
        let mut locations: Vec<Option<Location>> = vec![None; values.len()];
        for (i, info) in values.iter().enumerate() {
            if info.place == Place::Persistent {
                // Not even a graph without parameters has an empty buffer: devices make none.
                pool.buffers.push(Buffer { len: info.shape.len().max(1), persistent: true });
                locations[i] = Some(Location { buffer: pool.buffers.len() - 1, offset: 0, len: info.shape.len() });
            }
        }
        for (i, info) in values.iter().enumerate() {
            if let Place::View { base, offset } = info.place {
                let base = locations[base.0].expect("a view's base is persistent");
                assert!(offset + info.shape.len() <= base.len, "{} is inside its base", info.name);
                locations[i] = Some(Location { offset: base.offset + offset, len: info.shape.len(), ..base });
            }
        }

        // The last node that uses each value; outputs live to the end.
        let mut last = vec![0; values.len()];
        for (i, node) in graph.nodes().iter().enumerate() {
            node.inputs.iter().chain(&node.outputs).for_each(|v| last[v.0] = i);
        }
        graph.outputs().iter().for_each(|v| last[v.0] = usize::MAX);
        for &v in graph.inputs() {
            locations[v.0] = Some(pool.take(shape(&v).len()));
        }

        let mut steps = Vec::with_capacity(graph.nodes().len());
        let mut workspace = Workspace::default();
        for (i, node) in graph.nodes().iter().enumerate() {
            let inputs: Vec<Shape> = node.inputs.iter().map(shape).collect();
            let outputs: Vec<Shape> = node.outputs.iter().map(shape).collect();
            for &v in &node.outputs {
                if values[v.0].place == Place::Transient {
                    locations[v.0] = Some(pool.take(shape(&v).len()));
                }
            }
            let place = |v: &Value| locations[v.0].expect("a value is written before it is read");
            let read: Vec<Location> = node.inputs.iter().map(place).collect();
            let written: Vec<Location> = node.outputs.iter().chain(&node.updates).map(place).collect();
            let mut dispatches = vec![];
            match target {
                Target::Cpu { .. } => {
                    let own = node.op.workspace(&inputs, &outputs);
                    workspace.per_thread = workspace.per_thread.max(own.per_thread);
                    workspace.shared = workspace.shared.max(own.shared);
                }
                Target::Gpu { kernels, .. } => {
                    let all = node.outputs.iter().chain(&node.updates).map(shape).collect();
                    let (d, scratch) = Default::default();
                    let mut l = Lowering { inputs: inputs.clone(), outputs: all, kernels, dispatches: d, scratch };
                    node.op.gpu(&mut l);
                    let scratch: Vec<Location> = l.scratch.iter().map(|&len| pool.take(len)).collect();
                    pool.free.extend(scratch.iter().map(|s| s.buffer));
                    let resolve = |operand: &Operand| match *operand {
                        Operand::Input(i) => read[i],
                        Operand::Output(i) => written[i],
                        Operand::Scratch(i) => scratch[i],
                    };
                    dispatches.extend(l.dispatches.into_iter().map(|d| {
                        let places = d.bindings.iter().map(|(_, operand)| resolve(operand)).collect();
                        (d, places)
                    }));
                }
            }
            // What is used here for the last time makes room for what follows.
            let mut done: Vec<Value> = node.inputs.iter().chain(&node.outputs).copied().collect();
            done.sort_unstable();
            done.dedup();
            for v in done {
                if last[v.0] == i && values[v.0].place == Place::Transient {
                    pool.free.push(locations[v.0].expect("placed above").buffer);
                }
            }
            let macs = node.op.macs(&inputs, &outputs);
            let paper_count = macs + node.op.paper_extras(&inputs, &outputs);
            steps.push(Step {
                op: node.op.name(),
                name: node.name.clone(),
                inputs: read,
                outputs: written,
                shapes: outputs,
                dispatches,
                macs,
                paper_count,
            });
        }
        let plan = Plan { buffers: pool.buffers, locations, steps, workspace, target };
        if let Target::Gpu { max_binding, .. } = target {
            // Scratch memory too.
            plan.buffers.iter().try_for_each(|b| check_binding("a kernel's scratch memory", b.len, max_binding))?;
        }
        Ok(plan)
    }

    /// Place of a value, where it is used.
    pub fn location(&self, value: Value) -> Option<Location> {
        self.locations[value.0]
    }

    /// Bytes of everything that runs need: the buffers, the CPU executor's working memory, and on a GPU the kernels'
    /// parameters.
    pub fn peak_bytes(&self) -> u64 {
        let buffers = self.buffers.iter().map(|b| b.len as u64 * ELEMENT).sum::<u64>();
        buffers
            + match self.target {
                Target::Cpu { threads } => {
                    (self.workspace.shared + threads * self.workspace.per_thread) as u64 * ELEMENT
                }
                Target::Gpu { .. } => (self.dispatches().max(1) * PARAMS_STRIDE + size_of::<Globals>()) as u64,
            }
    }

    /// Runs of kernels, on a GPU.
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
