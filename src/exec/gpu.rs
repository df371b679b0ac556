//! The GPU executor: the plan's buffers on the device, its dispatches recorded once.

use crate::error::{Error, Result};
use crate::gpu::{Buffer, Command, ComputePass, Gpu, Recorded, Slice};
use crate::graph::{Graph, Place, Value};
use crate::kernel::{Dispatch, RunParams};
use crate::plan::{Location, Plan};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Runs a graph on a GPU.
pub struct GpuExecutor {
    gpu: Arc<Gpu>,
    graph: Graph,
    plan: Plan,
    buffers: Vec<Buffer>,
    recorded: Recorded,
    prepare: Option<Recorded>,
    /// Parameters have been written since `prepare` ran.
    stale: AtomicBool,
    /// `prepare` has run, and what was written may be overwritten.
    prepared: AtomicBool,
}

impl GpuExecutor {
    /// Plans the graph, allocates all that it needs and builds its kernels.
    ///
    /// # Errors
    /// [`crate::Error::TooLarge`] where a value is larger than a binding can be, [`crate::Error::Gpu`] where the device
    /// fails.
    pub fn new(graph: Graph, gpu: Arc<Gpu>) -> Result<Self> {
        let plan = Plan::new(&graph, gpu.target())?;
        let buffers = plan.buffers.iter().enumerate();
        let buffers: Vec<Buffer> =
            buffers.map(|(i, b)| gpu.buffer(&format!("plan {i}"), b.len as u64 * 4)).collect::<Result<_>>()?;
        let command = |(dispatch, places): &(Dispatch, Vec<Location>), macs| Command {
            dispatch: dispatch.clone(),
            slices: places.iter().map(|place| slice(&buffers, *place)).collect(),
            macs,
        };
        let dispatches = plan.steps.iter().flat_map(|step| {
            let share = |dispatch| (dispatch, step.macs / step.dispatches.len() as u64);
            step.dispatches.iter().map(share)
        });
        let commands: Vec<Command> = dispatches.map(|(dispatch, macs)| command(dispatch, macs)).collect();
        // SAFETY: the plan gives every operand of its dispatches the length that the operator's shape rule says, and the
        // dispatches' parameters are of the same shapes.
        let recorded = unsafe { gpu.record_unchecked(&commands)? };
        let commands: Vec<Command> = plan.prepare.iter().map(|dispatch| command(dispatch, 0)).collect();
        // SAFETY: as above.
        let record = || unsafe { gpu.record_unchecked(&commands) };
        let prepare = if commands.is_empty() { None } else { Some(record()?) };
        let (stale, prepared) = Default::default();
        Ok(GpuExecutor { gpu, graph, plan, buffers, recorded, prepare, stale, prepared })
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The graph.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The device.
    pub fn gpu(&self) -> &Arc<Gpu> {
        &self.gpu
    }

    /// Bytes allocated on the device: [`Plan::peak_bytes`].
    pub fn allocated_bytes(&self) -> u64 {
        let prepare = self.prepare.as_ref().map_or(0, Recorded::allocated_bytes);
        self.buffers.iter().map(Buffer::size).sum::<u64>() + self.recorded.allocated_bytes() + prepare
    }

    /// Where a value lives, for hosts that share their buffers with the network. Not the parameters, which may not be
    /// kept: [`GpuExecutor::write`].
    pub fn slice(&self, value: Value) -> Slice {
        let place = self.plan.locations[value.0];
        slice(&self.buffers, place.unwrap_or_else(|| panic!("{} is not in the plan", self.graph.info(value).name)))
    }

    /// Sets an input, a persistent value or a view of one. Parameters that the plan does not keep ([`Plan::upload`]) are
    /// written all together, or one by one, before each run that shall see new ones.
    pub fn write(&self, value: Value, data: &[f32]) -> Result<()> {
        let info = self.graph.info(value);
        let place = match (info.place, self.plan.upload) {
            (Place::View { base, offset }, Some(upload)) if base == self.graph.params() => {
                if self.prepared.load(Ordering::Relaxed) && !self.stale.load(Ordering::Relaxed) {
                    let message = format!("{} is written alone after a run, which kept no parameters", info.name);
                    return Err(Error::Invalid(message));
                }
                Location { offset: upload.offset + offset, len: info.shape.len(), ..upload }
            }
            (_, Some(upload)) if value == self.graph.params() => upload,
            _ => self.plan.locations[value.0].unwrap_or_else(|| panic!("{} is not in the plan", info.name)),
        };
        assert_eq!(data.len(), place.len, "values for {}", info.name);
        let copied = self.plan.copies.iter().map(|(from, _)| from);
        let mut read = self.plan.prepare.iter().flat_map(|(_, places)| places).chain(copied);
        if info.place != Place::Transient && read.any(|at| at.buffer == place.buffer) {
            self.stale.store(true, Ordering::Relaxed);
        }
        self.gpu.write(&slice(&self.buffers, place), data)?;
        // At once: before the next run's `prepare` a host may submit a pass that it recorded, whose maps lie where this does.
        if value == self.graph.params() && self.prepared.load(Ordering::Relaxed) && !self.plan.prepare_always {
            self.prepare()?;
        }
        Ok(())
    }

    /// Prepares what the kernels want of the parameters, where these have changed.
    fn prepare(&self) -> Result<()> {
        if !self.plan.prepare_always && !self.stale.swap(false, Ordering::Relaxed) {
            return Ok(());
        }
        self.prepared.store(true, Ordering::Relaxed);
        let copies = self.plan.copies.iter();
        let copies: Vec<_> = copies.map(|(from, to)| [*from, *to].map(|at| slice(&self.buffers, at))).collect();
        self.gpu.copy(&copies)?;
        self.prepare.as_ref().map_or(Ok(()), |prepare| prepare.run(&self.gpu, &RunParams::default(), &[]))
    }

    /// Runs all nodes in order; returns when they are submitted.
    pub fn run(&self, globals: &RunParams) -> Result<()> {
        self.prepare()?;
        self.recorded.run(&self.gpu, globals, &[])
    }

    /// Puts a run into a compute pass of a host's, among its own work: what the host copied or computed into
    /// [`GpuExecutor::slice`] of the inputs before is smoothed, and what comes behind finds the result in that of the outputs.
    ///
    /// The inputs' memory is used for other maps during a run: they are to be written for each. `globals` are uploaded ahead of
    /// the next submission, so record, submit, and only then record the next run. The pass's pipeline and bind group 0 are ours
    /// afterwards. All of the run is in the one pass, however large the picture ([`GpuExecutor::run`] cuts at what takes a
    /// watchdog's time). Parameters may be written from when the outputs of the last run have been read.
    ///
    /// # Errors
    /// [`crate::Error::Gpu`] where the device fails. What is wrong with the host's pass, wgpu reports when it is finished.
    ///
    /// ```no_run
    /// # use sasnet::{Shape, Weights, embed::{self, RunParams, Gpu, GpuExecutor}, wgpu};
    /// # fn host(device: wgpu::Device, queue: wgpu::Queue) -> sasnet::Result<()> {
    /// let weights = Weights::builtin();
    /// let (graph, x, y) = embed::graph(&weights.config, Shape::new(1, 3, 720, 1280))?;
    /// let exec = GpuExecutor::new(graph, Gpu::from_device(device.clone(), queue.clone()).into())?;
    /// exec.write(exec.graph().params(), &weights.params)?;
    /// let (x, y) = (exec.slice(x), exec.slice(y)); // 1x3x720x1280 f32 each
    /// // In a frame:
    /// let mut encoder = device.create_command_encoder(&Default::default());
    /// // ... the host's passes that write x.buffer.raw() from x.offset on ...
    /// exec.record_into(&RunParams::default(), &mut encoder.begin_compute_pass(&Default::default()))?;
    /// // ... and those that read y ...
    /// queue.submit([encoder.finish()]);
    /// # Ok(()) }
    /// ```
    pub fn record_into(&self, globals: &RunParams, pass: &mut ComputePass) -> Result<()> {
        self.prepare()?;
        self.recorded.record_into(&self.gpu, globals, pass)
    }

    /// Records a run's commands and drops them ([`Recorded::encode`]).
    pub fn encode(&self) -> Result<()> {
        self.recorded.encode(&self.gpu)
    }

    /// Passes that a run's commands are recorded into ([`Recorded::passes`]).
    pub fn passes(&self) -> usize {
        self.recorded.passes()
    }

    /// As [`Self::run`], but waits, and returns the seconds that each node took, what is prepared for them left out; None
    /// where the device has no timestamps.
    pub fn profile(&self, globals: &RunParams) -> Result<Option<Vec<f64>>> {
        self.prepare()?;
        let dispatches: Vec<usize> = self.plan.steps.iter().map(|step| step.dispatches.len()).collect();
        self.recorded.profile(&self.gpu, globals, &dispatches)
    }

    /// Reads an output, a persistent value or a view of one; waits for the device.
    pub fn read(&self, value: Value) -> Result<Vec<f32>> {
        Ok(self.gpu.read(&[self.slice(value)])?.remove(0))
    }

    /// Reads several values at once.
    pub fn read_all(&self, values: &[Value]) -> Result<Vec<Vec<f32>>> {
        self.gpu.read(&values.iter().map(|v| self.slice(*v)).collect::<Vec<_>>())
    }

    /// Fills every reusable buffer with NaN: what a kernel reads before it is written shows.
    pub fn poison(&self) -> Result<()> {
        // Parameters that are not kept may lie in such a buffer.
        self.prepare()?;
        for (buffer, plan) in self.buffers.iter().zip(&self.plan.buffers).filter(|(_, plan)| !plan.persistent) {
            self.gpu.write(&buffer.slice(), &vec![f32::NAN; plan.len])?;
        }
        Ok(())
    }
}

fn slice(buffers: &[Buffer], place: Location) -> Slice {
    Slice { buffer: buffers[place.buffer].clone(), offset: place.offset as u64 * 4, size: place.words() as u64 * 4 }
}
