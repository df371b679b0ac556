//! The CPU executor: the plan's buffers as vectors, one operator after the other, each on all cores.

use crate::error::Result;
use crate::graph::Value;
use crate::kernel::RunParams;
use crate::ops::{Cpu, Graph, In, Out, Real};
use crate::plan::{Plan, Region, Repeat, Step, Target};
use std::ops::Range;
use std::sync::Mutex;
use std::time::Instant;

/// Runs a graph on the CPU in `T`: f32, or f64 as the oracle of the tests.
pub struct CpuExecutor<T> {
    graph: Graph,
    plan: Plan,
    buffers: Vec<Vec<T>>,
    threads: Vec<Mutex<Vec<T>>>,
    shared: Mutex<Vec<T>>,
}

impl<T: Real> CpuExecutor<T> {
    /// Plans the graph and allocates all that it needs.
    ///
    /// # Errors
    /// [`crate::Error::TooLarge`] where the machine's memory does not hold it.
    pub fn new(graph: Graph) -> Result<Self> {
        let threads = rayon::current_num_threads();
        let plan = Plan::new(&graph, Target::Cpu { threads })?;
        super::check_memory(plan.peak_bytes() / 4 * size_of::<T>() as u64)?;
        let mut buffers: Vec<Vec<T>> = plan.buffers.iter().map(|b| vec![T::zero(); b.len]).collect();
        for (value, data) in graph.constants() {
            let Region { buffer, offset, len, .. } = plan.region(*value).expect("a constant has a buffer");
            buffers[buffer][offset..offset + len].iter_mut().zip(data).for_each(|(to, v)| *to = T::of(*v));
        }
        let threads = (0..threads).map(|_| Mutex::new(vec![T::zero(); plan.workspace.per_thread])).collect();
        let shared = Mutex::new(vec![T::zero(); plan.workspace.shared]);
        Ok(CpuExecutor { graph, plan, buffers, threads, shared })
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The graph.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Bytes allocated, for elements of 4 bytes: [`Plan::peak_bytes`].
    pub fn allocated_bytes(&self) -> u64 {
        let lock = |m: &Mutex<Vec<T>>| m.lock().expect("no thread panicked with the buffer").len();
        let elements = self.buffers.iter().map(Vec::len).sum::<usize>()
            + self.threads.iter().map(lock).sum::<usize>()
            + lock(&self.shared);
        4 * elements as u64
    }

    fn region(&self, value: Value) -> Region {
        self.plan.region(value).unwrap_or_else(|| panic!("{} is not in the plan", self.graph.info(value).name))
    }

    /// Values of an output, a persistent value or a view, after a run; panics for any other.
    pub fn get(&self, value: Value) -> &[T] {
        let Region { buffer, offset, len, .. } = self.region(value);
        &self.buffers[buffer][offset..offset + len]
    }

    /// Values of an input, a persistent value or a view, to be set before a run; panics for any other.
    pub fn get_mut(&mut self, value: Value) -> &mut [T] {
        let Region { buffer, offset, len, .. } = self.region(value);
        &mut self.buffers[buffer][offset..offset + len]
    }

    /// Sets an input, a persistent value or a view of one.
    ///
    /// # Errors
    /// [`crate::Error::Invalid`] where the value is not in the plan or has another length.
    pub fn write(&mut self, value: Value, data: &[T]) -> Result<()> {
        let Region { buffer, offset, len, .. } =
            super::to_write(&self.graph, value, self.plan.region(value), data.len())?;
        self.buffers[buffer][offset..offset + len].copy_from_slice(data);
        Ok(())
    }

    /// Fills every reusable buffer with NaN: what a kernel reads before it is written shows.
    pub fn poison(&mut self) {
        for (buffer, plan) in self.buffers.iter_mut().zip(&self.plan.buffers) {
            if !plan.persistent {
                buffer.fill(T::nan());
            }
        }
        self.threads.iter_mut().chain([&mut self.shared]).for_each(|m| {
            m.get_mut().expect("no thread panicked with the buffer").fill(T::nan());
        });
    }

    /// Runs all nodes in order.
    pub fn run(&mut self, run_params: &RunParams) {
        self.run_steps(0..self.graph.nodes().len(), run_params);
    }

    /// Runs some consecutive nodes.
    pub fn run_steps(&mut self, steps: Range<usize>, run_params: &RunParams) {
        for i in steps {
            self.step(i, run_params, &mut || Ok(())).expect("nobody ends it");
        }
    }

    /// Runs all nodes in order; `each` hears after each node, and each time that one runs again, how much of the run is
    /// done, and may end it.
    ///
    /// # Errors
    /// Whatever `each` returns; the outputs are then unfinished.
    pub fn run_observed(&mut self, run_params: &RunParams, each: &mut dyn FnMut(f64) -> Result<()>) -> Result<()> {
        let (mut done, of) = (0, self.plan.steps.iter().map(Step::work).sum::<u64>());
        for i in 0..self.graph.nodes().len() {
            done += self.plan.steps[i].work();
            self.step(i, run_params, &mut || each(done as f64 / of as f64))?;
        }
        Ok(())
    }

    /// As [`Self::run`], with the seconds that each node took.
    pub fn profile(&mut self, run_params: &RunParams) -> Vec<f64> {
        let mut seconds = Vec::with_capacity(self.graph.nodes().len());
        for i in 0..self.graph.nodes().len() {
            let start = Instant::now();
            self.run_steps(i..i + 1, run_params);
            seconds.push(start.elapsed().as_secs_f64());
        }
        seconds
    }

    /// Runs a node, as often as it is to be; `each` hears of each time, and may end it.
    fn step(&mut self, i: usize, run_params: &RunParams, each: &mut dyn FnMut() -> Result<()>) -> Result<()> {
        self.once(i, run_params);
        each()?;
        let Some(Repeat { most, running }) = self.plan.steps[i].repeat else { return Ok(()) };
        let Region { buffer, offset, len, .. } = running;
        for _ in 1..most {
            if self.buffers[buffer][offset..offset + len].iter().all(|v| v.is_zero()) {
                return Ok(());
            }
            self.once(i, run_params);
            each()?;
        }
        log::warn!("{} {} ended before it was done", self.plan.steps[i].op, self.plan.steps[i].name);
        Ok(())
    }

    fn once(&mut self, i: usize, run_params: &RunParams) {
        let (node, step) = (&self.graph.nodes()[i], &self.plan.steps[i]);
        // The buffers that the node writes are taken out while it runs, which leaves the others to be read.
        let mut written: Vec<(usize, Vec<T>)> = vec![];
        for region in &step.outputs {
            if written.iter().all(|(buffer, _)| *buffer != region.buffer) {
                written.push((region.buffer, std::mem::take(&mut self.buffers[region.buffer])));
            }
        }
        let shape = |v: &Value| self.graph.shape(*v);
        let inputs: Vec<In<T>> = (node.inputs.iter().zip(&step.inputs))
            .map(|(v, l)| (shape(v), l.expect("the CPU reads all inputs")))
            .map(|(shape, l)| In { shape, data: &self.buffers[l.buffer][l.offset..l.offset + l.len] })
            .collect();
        let mut parts: Vec<(usize, &mut [T])> = vec![];
        for (buffer, data) in &mut written {
            let mut here: Vec<usize> = (0..step.outputs.len()).filter(|&o| step.outputs[o].buffer == *buffer).collect();
            here.sort_by_key(|&o| step.outputs[o].offset);
            let (mut rest, mut at) = (&mut data[..], 0);
            for o in here {
                let Region { offset, len, .. } = step.outputs[o];
                let (part, after) = rest.split_at_mut(offset - at).1.split_at_mut(len);
                parts.push((o, part));
                (rest, at) = (after, offset + len);
            }
        }
        parts.sort_by_key(|(o, _)| *o);
        let shapes = node.outputs.iter().chain(&node.updates).map(shape);
        let mut outputs: Vec<Out<T>> = shapes.zip(parts).map(|(shape, (_, data))| Out { shape, data }).collect();
        T::run(&node.op, &inputs, &mut outputs, &Cpu { run: run_params, threads: &self.threads, shared: &self.shared });
        for (buffer, data) in written {
            self.buffers[buffer] = data;
        }
    }
}
