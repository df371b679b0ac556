//! The plan of a graph: where every value lives, and what it costs. Pure: a graph in, a plan out, no device.
//!
//! Transient values share a few buffers: the largest values are placed first, each in the smallest buffer that no other
//! value needs from its writing to its last use. Buffers, not offsets in one arena, because wgpu tracks usage per whole
//! buffer.
//!
//! What kernels prepare from parameters ([`Lowering::prepare`]) shares one buffer of its own, from run to run. Where no
//! step changes the parameters, a GPU keeps nothing else of them: the array as it is written lies in a reusable buffer
//! until it has been prepared, and the few parameters that steps read directly are copied.
//!
//! Some kernels keep hidden feature maps as f16. A value is one where the operator that writes it and all that read it
//! take it so ([`Operator::accepts_f16`]): in a graph with gradients there is none.

use crate::error::{Error, Result};
use crate::fuse::fuse;
use crate::graph::{Graph, Node, Place, Value};
use crate::kernel::{Dispatch, Kernels, Lowering, Operand, PARAMS_STRIDE, Prepare, RunParams};
use crate::ops::{Operator, Workspace};
use crate::tensor::Shape;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};

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

/// A place: a buffer and elements in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Location {
    /// Index of the buffer.
    pub buffer: usize,
    /// First of the buffer's words of 4 bytes.
    pub offset: usize,
    /// Elements.
    pub len: usize,
    /// Elements are f16, of 2 bytes, instead of 4.
    pub half: bool,
}

impl Location {
    /// Words of 4 bytes.
    pub fn words(&self) -> usize {
        words(self.len, self.half)
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
    /// Inputs; None: parameters of which the step needs only what is prepared from them.
    pub inputs: Vec<Option<Location>>,
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
    /// Where the parameters are written, if they are not kept: all of them before the next run.
    pub upload: Option<Location>,
    /// Copies of parameters, from and to, made where they have changed.
    pub copies: Vec<(Location, Location)>,
    /// Kernels that run before the steps where the parameters have changed.
    pub prepare: Vec<(Dispatch, Vec<Location>)>,
    /// The steps themselves change parameters, so that [`Plan::prepare`] belongs to every run.
    pub prepare_always: bool,
    /// The graph's nodes, some of them put together ([`crate::low_level::fuse`]).
    pub nodes: Vec<Node>,
    /// The same nodes with places, in order.
    pub steps: Vec<Step>,
    /// Working memory of the CPU executor.
    pub workspace: Workspace,
    /// For whom.
    pub target: Target,
}

/// Bytes of a word.
const WORD: u64 = 4;
/// Words between the starts of what is prepared: WebGPU's alignment of bindings.
const ALIGNMENT: usize = 64;

/// Stands for the buffer of [`Plan::upload`] until it has one.
const UPLOAD: usize = usize::MAX;

/// What wants a part of the reusable buffers: so many words from one step to another, both included.
struct Tenant {
    words: usize,
    first: usize,
    last: usize,
}

/// Spreads tenants over buffers. Returns the buffers' sizes and the buffer of each.
///
/// The largest tenant first, into the smallest buffer that is free for all of its time, else into a new one. (Step by
/// step, a small value that came first took a map's buffer: 73 MB for the network of 39.)
fn spread(tenants: &[Tenant]) -> (Vec<usize>, Vec<usize>) {
    let mut order: Vec<usize> = (0..tenants.len()).collect();
    order.sort_by_key(|&i| (Reverse(tenants[i].words), tenants[i].first));
    // Of each buffer: its size, and the tenants' first steps with their last ones.
    let mut buffers: Vec<(usize, BTreeMap<usize, usize>)> = vec![];
    let mut places = vec![0; tenants.len()];
    for i in order {
        let Tenant { words, first, last } = tenants[i];
        let free = |(_, taken): &(usize, BTreeMap<usize, usize>)| {
            taken.range(..=last).next_back().is_none_or(|(_, end)| *end < first)
        };
        // Later buffers are smaller.
        places[i] = buffers.iter().rposition(free).unwrap_or_else(|| {
            buffers.push((words, BTreeMap::new()));
            buffers.len() - 1
        });
        buffers[places[i]].1.insert(first, last);
    }
    (buffers.into_iter().map(|(words, _)| words).collect(), places)
}

/// The values that are f16.
fn half_values(graph: &Graph, nodes: &[Node]) -> HashSet<Value> {
    let takes = |node: &Node, operand| node.op.accepts_f16(node.inputs.len(), operand);
    let mut half: HashSet<Value> = HashSet::new();
    for node in nodes {
        half.extend(node.outputs.iter().enumerate().filter(|(i, _)| takes(node, Operand::Output(*i))).map(|(_, v)| *v));
    }
    half.retain(|v| graph.info(*v).place == Place::Transient && !graph.outputs().contains(v));
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

fn check_binding(name: &str, len: usize, half: bool, max_binding: u64) -> Result<()> {
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

/// A node before anything has a place: tenants by their index.
struct Lowered {
    inputs: Vec<Shape>,
    /// And of what it updates.
    outputs: Vec<Shape>,
    dispatches: Vec<Dispatch>,
    scratch: Vec<usize>,
    prepared: Vec<Made>,
}

/// Where an operator gets what it asked to have prepared.
enum Made {
    /// Of parameters, before the steps.
    Before(Location),
    /// Of other values, each time, in scratch memory.
    InStep { tenant: usize, len: usize, half: bool },
}

/// What kernels ask to have prepared of parameters, each thing once.
struct Prepared {
    buffer: usize,
    words: usize,
    list: Vec<(Dispatch, Vec<Location>)>,
}

impl Prepared {
    /// Place of what is made of operands at `read` (None: no parameters, not to be prepared).
    fn place(
        &mut self,
        len: usize,
        dispatch: &Dispatch,
        read: impl Fn(Operand) -> Option<Location>,
    ) -> Option<Location> {
        let new = Location { buffer: self.buffer, offset: self.words, len, half: dispatch.half };
        // The prepare's own operand is its only one that is no input.
        let operands = dispatch.bindings.iter().map(|(_, operand)| match operand {
            Operand::Prepared(_) => Some(new),
            other => read(*other),
        });
        let places: Vec<Location> = operands.collect::<Option<_>>()?;
        // The same kernel with the same operands but its own.
        let alike = |a: &Location, b: &Location| a == b || (a.buffer == self.buffer && b.buffer == self.buffer);
        let same = |(known, at): &&(Dispatch, Vec<Location>)| {
            let bindings = |d: &Dispatch| d.bindings.iter().map(|(name, _)| *name).collect::<Vec<_>>();
            let rest = |d: &Dispatch| Dispatch { bindings: vec![], ..d.clone() };
            rest(known) == rest(dispatch)
                && bindings(known) == bindings(dispatch)
                && at.iter().zip(&places).all(|(a, b)| alike(a, b))
        };
        if let Some((_, known)) = self.list.iter().find(same) {
            return known.iter().copied().find(|at| at.buffer == self.buffer);
        }
        self.words += new.words().next_multiple_of(ALIGNMENT);
        self.list.push((dispatch.clone(), places));
        Some(new)
    }
}

impl Plan {
    /// Plans `graph`. Fails where one value is larger than the device's largest binding.
    pub fn new(graph: &Graph, target: Target) -> Result<Plan> {
        let values = graph.values();
        let shape = |v: &Value| values[v.0].shape;
        let nodes = match target {
            Target::Gpu { kernels, .. } => fuse(graph, kernels),
            Target::Cpu { .. } => graph.nodes().to_vec(),
        };
        let half = match target {
            Target::Gpu { kernels, .. } if kernels.half() => half_values(graph, &nodes),
            _ => HashSet::new(),
        };
        if let Target::Gpu { max_binding, .. } = target {
            // Before the operators are lowered, whose parameters have 32 bits.
            for (i, info) in values.iter().enumerate() {
                check_binding(&info.name, info.shape.len(), half.contains(&Value(i)), max_binding)?;
            }
        }
        // Parameters that no step changes need not stay.
        let kept = |v: Value| {
            matches!(target, Target::Cpu { .. })
                || v != graph.params()
                || graph.outputs().contains(&v)
                || nodes.iter().any(|node| node.inputs.contains(&v) || !node.updates.is_empty())
        };
        let mut buffers = vec![];
        let mut locations: Vec<Option<Location>> = vec![None; values.len()];
        for (i, info) in values.iter().enumerate() {
            if info.place == Place::Persistent && kept(Value(i)) {
                // Not even a graph without parameters has an empty buffer: devices make none.
                buffers.push(Buffer { len: info.shape.len().max(1), persistent: true });
                let place = Location { buffer: buffers.len() - 1, offset: 0, len: info.shape.len(), half: false };
                locations[i] = Some(place);
            }
        }

        // From when to when each transient value is needed: inputs from the start, outputs to the end.
        let mut tenants: Vec<Tenant> = vec![];
        let mut tenant_of: Vec<Option<usize>> = vec![None; values.len()];
        let written = nodes.iter().enumerate().flat_map(|(i, node)| node.outputs.iter().map(move |v| (i, *v)));
        for (first, v) in graph.inputs().iter().map(|v| (0, *v)).chain(written) {
            if values[v.0].place == Place::Transient {
                tenant_of[v.0] = Some(tenants.len());
                tenants.push(Tenant { words: words(shape(&v).len(), half.contains(&v)), first, last: first });
            }
        }
        let read = nodes.iter().enumerate().flat_map(|(i, node)| node.inputs.iter().map(move |v| (i, *v)));
        for (last, v) in read.chain(graph.outputs().iter().map(|v| (usize::MAX, *v))) {
            if let Some(t) = tenant_of[v.0] {
                tenants[t].last = last;
            }
        }

        let upload = (!kept(graph.params())).then(|| {
            let words = shape(&graph.params()).len();
            tenants.push(Tenant { words: words.max(1), first: 0, last: 0 });
            Location { buffer: UPLOAD, offset: 0, len: words, half: false }
        });
        let upload_tenant = tenants.len() - 1;
        for (i, info) in values.iter().enumerate() {
            if let Place::View { base, offset } = info.place {
                let base = locations[base.0].or(upload).expect("a view's base is persistent");
                assert!(offset + info.shape.len() <= base.len, "{} is inside its base", info.name);
                locations[i] = Some(Location { offset: base.offset + offset, len: info.shape.len(), ..base });
            }
        }

        // Lower the operators: what they need beside their operands.
        let mut workspace = Workspace::default();
        let mut prepared = Prepared { buffer: buffers.len(), words: 0, list: vec![] };
        let mut updated: HashSet<usize> = HashSet::new();
        let mut lowered: Vec<Lowered> = Vec::with_capacity(nodes.len());
        for (i, node) in nodes.iter().enumerate() {
            let inputs: Vec<Shape> = node.inputs.iter().map(shape).collect();
            let outputs: Vec<Shape> = node.outputs.iter().chain(&node.updates).map(shape).collect();
            let kernels = match target {
                Target::Cpu { .. } => {
                    let own = node.op.workspace(&inputs, &outputs);
                    workspace.per_thread = workspace.per_thread.max(own.per_thread);
                    workspace.shared = workspace.shared.max(own.shared);
                    Kernels::default()
                }
                Target::Gpu { kernels, .. } => kernels,
            };
            let reads = node.inputs.iter().enumerate().map(|(i, v)| (Operand::Input(i), v));
            let writes = node.outputs.iter().enumerate().map(|(i, v)| (Operand::Output(i), v));
            let halves = reads.chain(writes).filter(|(_, v)| half.contains(v)).map(|(operand, _)| operand).collect();
            let mut l = Lowering::new(inputs, outputs, kernels, halves);
            if matches!(target, Target::Gpu { .. }) {
                node.op.gpu(&mut l);
            }
            let mut scratch = |words| {
                tenants.push(Tenant { words, first: i, last: i });
                tenants.len() - 1
            };
            // Parameters are known before the first step, unless an earlier one changes them.
            let known = |operand| {
                let Operand::Input(i) = operand else { return None };
                locations[node.inputs[i].0].filter(|at| !updated.contains(&at.buffer))
            };
            let mut own = Lowered {
                scratch: l.scratch.iter().map(|&len| scratch(len)).collect(),
                inputs: l.inputs,
                outputs: l.outputs,
                dispatches: vec![],
                prepared: vec![],
            };
            for Prepare { len, dispatch } in l.prepare {
                let half = dispatch.half;
                let made = prepared.place(len, &dispatch, known).map(Made::Before).unwrap_or_else(|| {
                    own.dispatches.push(dispatch);
                    Made::InStep { tenant: scratch(words(len, half)), len, half }
                });
                own.prepared.push(made);
            }
            own.dispatches.extend(l.dispatches);
            lowered.push(own);
            updated.extend(node.updates.iter().filter_map(|v| locations[v.0]).map(|at| at.buffer));
        }
        let Prepared { buffer, words: mut prepared_words, list: mut prepare } = prepared;
        let prepare_always = prepare.iter().flat_map(|(_, places)| places).any(|at| updated.contains(&at.buffer));
        // Parameters that steps read themselves.
        let mut copies: Vec<(Location, Location)> = vec![];
        for (node, l) in nodes.iter().zip(&lowered) {
            let bindings = l.dispatches.iter().flat_map(|d| &d.bindings);
            for (_, operand) in bindings {
                let Operand::Input(i) = operand else { continue };
                let place = &mut locations[node.inputs[*i].0];
                if let Some(from) = place.filter(|at| at.buffer == UPLOAD) {
                    let to = Location { buffer, offset: prepared_words, ..from };
                    prepared_words += to.words().next_multiple_of(ALIGNMENT);
                    copies.push((from, to));
                    *place = Some(to);
                }
            }
        }
        if prepared_words > 0 {
            buffers.push(Buffer { len: prepared_words, persistent: true });
        }

        // Give everything its place.
        let (sizes, places) = spread(&tenants);
        let first = buffers.len();
        buffers.extend(sizes.into_iter().map(|len| Buffer { len, persistent: false }));
        let tenant = |t: usize, len, half| Location { buffer: first + places[t], offset: 0, len, half };
        for (i, t) in tenant_of.iter().enumerate() {
            if let Some(t) = t {
                locations[i] = Some(tenant(*t, values[i].shape.len(), half.contains(&Value(i))));
            }
        }
        let uploaded = |mut at: Location| {
            if at.buffer == UPLOAD {
                at.buffer = first + places[upload_tenant];
            }
            at
        };
        let upload = upload.map(uploaded);
        copies.iter_mut().for_each(|(from, _)| *from = uploaded(*from));
        prepare.iter_mut().flat_map(|(_, places)| places).for_each(|at| *at = uploaded(*at));
        // What is only prepared has no place when the steps run.
        locations.iter_mut().for_each(|at| *at = at.filter(|at| at.buffer != UPLOAD));
        let place = |v: &Value| locations[v.0];
        let steps = (nodes.iter().zip(lowered))
            .map(|(node, l)| {
                let read: Vec<Option<Location>> = node.inputs.iter().map(place).collect();
                let written = node.outputs.iter().chain(&node.updates).map(place);
                let written: Vec<Location> = written.map(|at| at.expect("what is written has a place")).collect();
                let resolve = |operand: &Operand| match *operand {
                    Operand::Input(i) => read[i].expect("what is read has a place"),
                    Operand::Output(i) => written[i],
                    Operand::Scratch(i) => tenant(l.scratch[i], tenants[l.scratch[i]].words, false),
                    Operand::Prepared(i) => match l.prepared[i] {
                        Made::Before(place) => place,
                        Made::InStep { tenant: t, len, half } => tenant(t, len, half),
                    },
                };
                let with_places = |d: Dispatch| {
                    let places = d.bindings.iter().map(|(_, operand)| resolve(operand)).collect();
                    (d, places)
                };
                let outputs = &l.outputs[..node.outputs.len()];
                let macs = node.op.macs(&l.inputs, outputs);
                Step {
                    op: node.op.name(),
                    name: node.name.clone(),
                    shapes: outputs.to_vec(),
                    macs,
                    paper_count: macs + node.op.paper_extras(&l.inputs, outputs),
                    dispatches: l.dispatches.iter().cloned().map(with_places).collect(),
                    inputs: read,
                    outputs: written,
                }
            })
            .collect();
        let plan =
            Plan { buffers, locations, upload, copies, prepare, prepare_always, nodes, steps, workspace, target };
        if let Target::Gpu { max_binding, .. } = target {
            // Scratch memory and what is prepared, too.
            let bound =
                plan.steps.iter().flat_map(|s| &s.dispatches).chain(&plan.prepare).flat_map(|(_, places)| places);
            for at in bound {
                check_binding("a kernel's working memory", at.len, at.half, max_binding)?;
            }
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
        let buffers = self.buffers.iter().map(|b| b.len as u64 * WORD).sum::<u64>();
        buffers
            + match self.target {
                Target::Cpu { threads } => (self.workspace.shared + threads * self.workspace.per_thread) as u64 * WORD,
                Target::Gpu { .. } => {
                    // Each list of dispatches has its own.
                    let list = |dispatches: usize| dispatches.max(1) * PARAMS_STRIDE + size_of::<RunParams>();
                    let prepare = if self.prepare.is_empty() { 0 } else { list(self.prepare.len()) };
                    (list(self.dispatches()) + prepare) as u64
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
