//! The GPU executor: the plan's buffers on the device, its dispatches recorded once.

use super::memory::{Maps, command, slice};
use super::upload::ParameterUpload;
#[cfg(not(target_arch = "wasm32"))]
use crate::error::Error;
use crate::error::Result;
use crate::gpu::{Buffer, Command, ComputePass, Gpu, Recorded, Slice};
use crate::graph::Value;
use crate::kernel::RunParams;
use crate::observer::Each;
use crate::ops::Graph;
use crate::plan::{Plan, Repeat, Step};
use std::ops::Range;
use std::sync::Arc;

/// Runs a graph on a GPU.
pub struct GpuExecutor {
    gpu: Arc<Gpu>,
    graph: Graph,
    plan: Plan,
    buffers: Vec<Buffer>,
    recorded: Recorded,
    parameters: ParameterUpload,
}

impl GpuExecutor {
    /// Plans the graph, allocates all that it needs and builds its kernels.
    ///
    /// # Errors
    /// [`crate::Error::TooLarge`] where a value is larger than a binding can be, [`crate::Error::Gpu`] where the device
    /// fails.
    pub async fn new_async(graph: Graph, gpu: Arc<Gpu>) -> Result<Self> {
        let plan = Plan::new(&graph, gpu.target())?;
        GpuExecutor::with_maps_async(graph, plan, gpu, &Maps::default()).await
    }

    /// The same of a plan that there is, made for this device, with the memory of others whose runs do not overlap.
    ///
    /// # Errors
    /// As [`GpuExecutor::new_async`].
    pub(crate) async fn with_maps_async(graph: Graph, plan: Plan, gpu: Arc<Gpu>, maps: &Maps) -> Result<Self> {
        let buffers = maps.buffers(&gpu, &plan.buffers).await?;
        for (value, data) in graph.constants() {
            let at = slice(&buffers, plan.region(*value).expect("a constant has a buffer"));
            gpu.write_async(&at, &data.iter().map(|v| *v as f32).collect::<Vec<_>>()).await?;
        }
        let dispatches = plan.steps.iter().flat_map(|step| step.dispatches.iter().zip(step.works()));
        let commands: Vec<Command> = dispatches.map(|(dispatch, work)| command(&buffers, dispatch, work)).collect();
        // SAFETY: the plan gives every operand of its dispatches the length that the operator's shape rule says, and
        // the dispatches' parameters are of the same shapes.
        let recorded = unsafe { gpu.record_unchecked_async(&commands) }.await?;
        let parameters = ParameterUpload::new(&gpu, &plan.prepack, &buffers).await?;
        Ok(GpuExecutor { gpu, graph, plan, buffers, recorded, parameters })
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
        let buffers = self.buffers.iter().map(Buffer::size).sum::<u64>();
        buffers + self.recorded_bytes()
    }

    /// Where a value lives, for hosts that share their buffers with the network. Not the parameters, which may not be
    /// kept: [`GpuExecutor::write`].
    ///
    /// # Errors
    /// [`crate::Error::Invalid`] where the value is none that the plan keeps.
    pub fn slice(&self, value: Value) -> Result<Slice> {
        let region = self.plan.region(value).ok_or_else(|| super::not_kept(&self.graph, value))?;
        Ok(slice(&self.buffers, region))
    }

    /// Sets an input, a persistent value or a view of one. Parameters that the plan does not keep
    /// ([`crate::low_level::plan::Prepack::upload`]) are written all together, or one by one before the first run.
    ///
    /// # Errors
    /// [`crate::Error::Invalid`] where the value is not in the plan or has another length, and for one parameter alone
    /// after a run which kept no others; [`crate::Error::Gpu`] where the device fails.
    pub async fn write_async(&self, value: Value, data: &[f32]) -> Result<()> {
        let uploaded = self.plan.prepack.uploaded(&self.graph, value);
        let region = super::to_write(&self.graph, value, uploaded.or(self.plan.region(value)), data.len())?;
        let all = value == self.graph.params();
        if uploaded.is_some() && !all {
            self.parameters.check_part(&self.graph.info(value).name)?;
        }
        if self.graph.base(value).is_some() && self.plan.prepack.reads(region.buffer) {
            self.parameters.written();
        }
        self.gpu.write_async(&slice(&self.buffers, region), data).await?;
        // At once: before the next run a host may submit a pass that it recorded, whose maps lie where this does.
        if all { self.parameters.pack_again(&self.gpu).await } else { Ok(()) }
    }

    /// Runs all nodes in order; returns when they are submitted.
    pub async fn run_async(&self, run_params: &RunParams) -> Result<()> {
        self.run_steps_async(0..self.plan.steps.len(), run_params).await
    }

    /// Runs some consecutive steps of the plan; returns when they are submitted. Waits for those that run until they are
    /// done.
    pub async fn run_steps_async(&self, steps: Range<usize>, run_params: &RunParams) -> Result<()> {
        self.parameters.pack(&self.gpu).await?;
        self.run_repeating_async(steps, run_params, None).await
    }

    /// Runs steps, submitting all of them up to one that may run again; `each` hears of submissions that are done.
    async fn run_repeating_async(
        &self,
        steps: Range<usize>,
        run_params: &RunParams,
        mut each: Option<&mut Each<'_>>,
    ) -> Result<()> {
        let mut first = steps.start;
        for i in steps.clone() {
            let Some(Repeat { most, running }) = self.plan.steps[i].repeat else { continue };
            self.submit_async(first..i + 1, run_params, each.as_deref_mut()).await?;
            let running = slice(&self.buffers, running);
            let mut times = 1;
            while self.gpu.read_async(std::slice::from_ref(&running)).await?[0].iter().any(|v| *v != 0.0) {
                if times == most {
                    log::warn!("{} {} ended before it was done", self.plan.steps[i].op, self.plan.steps[i].name);
                    break;
                }
                if let Some(each) = &mut each {
                    each(self.recorded.done(self.dispatches(0..i + 1).end))?;
                }
                self.submit_async(i..i + 1, run_params, each.as_deref_mut()).await?;
                times += 1;
            }
            first = i + 1;
        }
        self.submit_async(first..steps.end, run_params, each).await
    }

    async fn submit_async(
        &self,
        steps: Range<usize>,
        run_params: &RunParams,
        each: Option<&mut Each<'_>>,
    ) -> Result<()> {
        self.recorded.run_part_async(&self.gpu, self.dispatches(steps), run_params, each).await
    }

    /// Runs all nodes in order, but waits for each submission before the next one, and `each` hears between the two how
    /// much of the run is done, and may end it.
    ///
    /// # Errors
    /// As [`Recorded::run_observed_async`].
    pub async fn run_observed_async(
        &self,
        run_params: &RunParams,
        each: &mut dyn FnMut(f64) -> Result<()>,
    ) -> Result<()> {
        self.parameters.pack(&self.gpu).await?;
        self.run_repeating_async(0..self.plan.steps.len(), run_params, Some(each)).await
    }

    /// Packs the parameters where they have changed, which a run that is only recorded needs before.
    ///
    /// # Errors
    /// [`crate::Error::Gpu`] where the device fails.
    pub(crate) async fn pack_async(&self) -> Result<()> {
        self.parameters.pack(&self.gpu).await
    }

    /// Queues the upload of what changes from run to run, ahead of the next submission.
    pub(crate) fn write_run_params(&self, run_params: &RunParams) {
        self.recorded.write_run_params(&self.gpu, run_params);
    }

    /// Bytes of the kernels' parameters.
    pub(crate) fn recorded_bytes(&self) -> u64 {
        self.recorded.allocated_bytes() + self.parameters.allocated_bytes()
    }

    /// Puts some consecutive steps into a pass, and does nothing else.
    pub(crate) fn encode_steps(&self, steps: Range<usize>, pass: &mut ComputePass) {
        self.recorded.encode_part(self.dispatches(steps), pass);
    }

    /// The dispatches of consecutive steps.
    fn dispatches(&self, steps: Range<usize>) -> Range<usize> {
        let dispatches = |steps: &[Step]| steps.iter().map(|step| step.dispatches.len()).sum::<usize>();
        let first = dispatches(&self.plan.steps[..steps.start]);
        first..first + dispatches(&self.plan.steps[steps])
    }

    /// Tells whether a step runs until it is done, which takes reading back.
    pub(crate) fn repeats(&self) -> bool {
        self.plan.steps.iter().any(|step| step.repeat.is_some())
    }

    /// Puts a run into a compute pass of a host's, among its own work: what the host copied or computed into
    /// [`GpuExecutor::slice`] of the inputs before is smoothed, and what comes behind finds the result in that of the
    /// outputs.
    ///
    /// The inputs' memory is used for other maps during a run: they are to be written for each. `run_params` are
    /// uploaded ahead of the next submission, so record, submit, and only then record the next run. The pass's pipeline
    /// and bind group 0 are ours afterwards. All of the run is in the one pass, however large the picture
    /// ([`GpuExecutor::run`] cuts at what takes a watchdog's time). Parameters may be written from when the outputs of
    /// the last run have been read.
    ///
    /// # Errors
    /// [`crate::Error::Gpu`] where the device fails, [`crate::Error::Invalid`] for a graph with steps that run until they
    /// are done. What is wrong with the host's pass, wgpu reports when it is finished.
    ///
    /// ```no_run
    /// # use sasnet::{Shape, Weights, embed::{self, RunParams, Gpu, GpuExecutor}, wgpu};
    /// # fn host(device: wgpu::Device, queue: wgpu::Queue) -> sasnet::Result<()> {
    /// let weights = Weights::builtin();
    /// let (graph, x, y) = embed::graph(&weights.network, Shape::new(1, 3, 720, 1280))?;
    /// let exec = GpuExecutor::new(graph, Gpu::from_device(device.clone(), queue.clone()).into())?;
    /// exec.write(exec.graph().params(), &weights.params)?;
    /// let (x, y) = (exec.slice(x)?, exec.slice(y)?); // 1x3x720x1280 f32 each
    /// // In a frame:
    /// let mut encoder = device.create_command_encoder(&Default::default());
    /// // ... the host's passes that write x.buffer.raw() from x.offset on ...
    /// exec.record_into(&RunParams::default(), &mut encoder.begin_compute_pass(&Default::default()))?;
    /// // ... and those that read y ...
    /// queue.submit([encoder.finish()]);
    /// # Ok(()) }
    /// ```
    #[cfg(not(target_arch = "wasm32"))]
    pub fn record_into(&self, run_params: &RunParams, pass: &mut ComputePass) -> Result<()> {
        if self.repeats() {
            let message = "a graph whose iterations end by a rule cannot be put into a host's pass: run it by itself";
            return Err(Error::Invalid(message.into()));
        }
        self.gpu.drive(async {
            self.parameters.pack(&self.gpu).await?;
            self.recorded.record_into_async(&self.gpu, run_params, pass).await
        })
    }

    /// Records a run's commands and drops them ([`Recorded::encode`]).
    #[cfg(not(target_arch = "wasm32"))]
    pub fn encode(&self) -> Result<()> {
        self.recorded.encode(&self.gpu)
    }

    /// Passes that a run's commands are recorded into ([`Recorded::passes`]).
    pub fn passes(&self) -> usize {
        self.recorded.passes(&self.gpu)
    }

    /// As [`Self::run_async`], but waits, and returns the seconds that each node took, what is packed for them left
    /// out; None where the device has no timestamps.
    pub async fn profile_async(&self, run_params: &RunParams) -> Result<Option<Vec<f64>>> {
        self.parameters.pack(&self.gpu).await?;
        let dispatches: Vec<usize> = self.plan.steps.iter().map(|step| step.dispatches.len()).collect();
        self.recorded.profile_async(&self.gpu, run_params, &dispatches).await
    }

    /// Reads an output, a persistent value or a view of one; waits for the device.
    pub async fn read_async(&self, value: Value) -> Result<Vec<f32>> {
        Ok(self.read_all_async(&[value]).await?.remove(0))
    }

    /// Reads several such values; waits for the device once.
    pub async fn read_all_async(&self, values: &[Value]) -> Result<Vec<Vec<f32>>> {
        let slices = values.iter().map(|value| self.slice(*value)).collect::<Result<Vec<Slice>>>()?;
        self.gpu.read_async(&slices).await
    }

    /// Fills every reusable buffer with NaN: what a kernel reads before it is written shows.
    pub async fn poison_async(&self) -> Result<()> {
        // Parameters that are not kept may lie in such a buffer.
        self.parameters.pack(&self.gpu).await?;
        for (buffer, plan) in self.buffers.iter().zip(&self.plan.buffers).filter(|(_, plan)| !plan.persistent) {
            self.gpu.write_async(&buffer.slice(), &vec![f32::NAN; plan.len]).await?;
        }
        Ok(())
    }
}
