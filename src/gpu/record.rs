//! A list of dispatches, made ready once and run many times.

use super::memory::Answer;
use super::pipeline::{Checks, Pipeline};
use super::reflect::check_names;
use super::{Buffer, Gpu, Slice};
use crate::error::Result;
use crate::kernel::{Dispatch, Grid, PARAMS_STRIDE, RunParams};
use crate::observer::Each;
use std::ops::Range;
use std::sync::Arc;
#[cfg(not(target_arch = "wasm32"))]
use std::time::Instant;
#[cfg(target_arch = "wasm32")]
use web_time::Instant;

/// Workgroups a dimension that every device allows.
const MAX_GROUPS: u32 = 65_535;
/// Groups of dispatches whose times are taken in one submission: their timestamps go into one set.
const PROFILED_TOGETHER: usize = 256;

/// One kernel run with the memory of its operands, in the order of [`Dispatch::bindings`].
#[derive(Clone, Debug)]
pub struct Command {
    /// The kernel.
    pub dispatch: Dispatch,
    /// One slice for each of the dispatch's bindings.
    pub slices: Vec<Slice>,
    /// How long it takes beside others: multiply-accumulates, or what takes their time.
    pub work: u64,
}

/// Dispatches with their pipelines, parameters and bind groups.
pub struct Recorded {
    steps: Vec<Step>,
    run_params: Buffer,
    /// Keeps the bytes counted as long as the bind groups use them.
    uniforms: Buffer,
}

struct Step {
    pipeline: Arc<Pipeline>,
    bindings: wgpu::BindGroup,
    groups: [u32; 3],
    work: u64,
    /// Work up to its end.
    done: u64,
}

impl Step {
    fn encode(&self, pass: &mut wgpu::ComputePass) {
        pass.set_pipeline(&self.pipeline.raw);
        pass.set_bind_group(0, &self.bindings, &[]);
        pass.dispatch_workgroups(self.groups[0], self.groups[1], self.groups[2]);
    }
}

impl Gpu {
    /// Builds what commands need, of kernels that check their indices: no slice is too short for that. Panics where a
    /// command does not fit its shader: wrong names are a bug of ours.
    pub async fn record_async(&self, commands: &[Command]) -> Result<Recorded> {
        self.record_with(commands, Checks::All).await
    }

    /// Builds what commands need, of kernels without checks where their shaders are declared to need none
    /// ([`crate::kernel::Shader::unchecked`]).
    ///
    /// # Safety
    /// Each slice must be as long as its command's parameters say, as those are that a [`crate::plan::Plan`] gives to
    /// the operands of its own dispatches.
    pub(crate) async unsafe fn record_unchecked_async(&self, commands: &[Command]) -> Result<Recorded> {
        self.record_with(commands, Checks::AsDeclared).await
    }

    async fn record_with(&self, commands: &[Command], checks: Checks) -> Result<Recorded> {
        let mut pipelines = Vec::with_capacity(commands.len());
        let mut params = Vec::new();
        for (i, command) in commands.iter().enumerate() {
            let pipeline = self.pipeline(&command.dispatch, checks).await?;
            params.extend(pipeline.entry.encode(&name(&command.dispatch), &command.dispatch.params));
            let end = (i + 1) * PARAMS_STRIDE;
            assert!(params.len() <= end, "{}: more than {PARAMS_STRIDE} bytes of parameters", name(&command.dispatch));
            params.resize(end, 0);
            pipelines.push(pipeline);
        }
        if let Some(cache) = &self.cache {
            cache.store();
        }
        params.resize(params.len().max(PARAMS_STRIDE), 0);
        let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
        let uniforms = self.counted_buffer("parameters", params.len() as u64, usage).await?;
        let run_params = self.counted_buffer("run parameters", size_of::<RunParams>() as u64, usage).await?;
        let build = || {
            self.queue.write_buffer(uniforms.raw(), 0, &params);
            let mut done = 0;
            let step = |(i, (command, pipeline)): (usize, (&Command, Arc<Pipeline>))| {
                done += command.work;
                let bindings = self.bind(command, &pipeline, &run_params, &uniforms, (i * PARAMS_STRIDE) as u64);
                let groups = groups(&command.dispatch, pipeline.entry.workgroup_size);
                Step { pipeline, bindings, groups, work: command.work, done }
            };
            commands.iter().zip(pipelines).enumerate().map(step).collect()
        };
        let steps = self.checked(|| "bind groups".into(), build).await?;
        Ok(Recorded { steps, run_params, uniforms })
    }

    fn bind(
        &self,
        command: &Command,
        pipeline: &Pipeline,
        run_params: &Buffer,
        uniforms: &Buffer,
        offset: u64,
    ) -> wgpu::BindGroup {
        let (dispatch, entry) = (&command.dispatch, &pipeline.entry);
        let kernel = name(dispatch);
        let wanted: Vec<&str> = entry.storage.iter().map(|b| b.name.as_str()).collect();
        let given: Vec<&str> = dispatch.bindings.iter().map(|(n, _)| *n).collect();
        check_names(&kernel, "bindings", &wanted, &given);
        assert_eq!(command.slices.len(), given.len(), "{kernel}: slices");
        fn range(binding: u32, buffer: &Buffer, offset: u64, size: u64) -> wgpu::BindGroupEntry<'_> {
            wgpu::BindGroupEntry {
                binding,
                resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                    buffer: buffer.raw(),
                    offset,
                    size: wgpu::BufferSize::new(size),
                }),
            }
        }
        let mut entries = Vec::new();
        entries.extend(entry.run.map(|i| range(i, run_params, 0, size_of::<RunParams>() as u64)));
        entries.extend(entry.params.map(|i| range(i, uniforms, offset, entry.params_size as u64)));
        for b in &entry.storage {
            let place = given.iter().position(|n| *n == b.name).expect("the names were checked");
            let slice = &command.slices[place];
            entries.push(range(b.index, &slice.buffer, slice.offset, slice.size));
        }
        self.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(&kernel),
            layout: &pipeline.layout,
            entries: &entries,
        })
    }
}

/// How many steps the first submission of those that are left takes: all that begin before so much work is done.
fn submission(work: impl Iterator<Item = u64>, most: u64) -> usize {
    let begin = |sum: &mut u64, work| Some(std::mem::replace(sum, *sum + work));
    work.scan(0, begin).take_while(|before| *before < most).count()
}

/// Splits steps into submissions of at most so much work, each as long as it then is.
fn by_submission(mut steps: &[Step], mut most: impl FnMut() -> u64) -> impl Iterator<Item = &[Step]> {
    std::iter::from_fn(move || {
        let (first, rest) = steps.split_at(submission(steps.iter().map(|step| step.work), most()));
        steps = rest;
        (!first.is_empty()).then_some(first)
    })
}

fn command_buffer(steps: &[Step], gpu: &Gpu) -> wgpu::CommandBuffer {
    let mut encoder = gpu.device.create_command_encoder(&Default::default());
    let mut pass = encoder.begin_compute_pass(&Default::default());
    steps.iter().for_each(|step| step.encode(&mut pass));
    drop(pass);
    encoder.finish()
}

fn name(dispatch: &Dispatch) -> String {
    format!("{}.{}", dispatch.shader.stem, dispatch.entry)
}

/// Workgroups of a dispatch; panics where a dimension passes what every device allows.
fn groups(dispatch: &Dispatch, size: [u32; 3]) -> [u32; 3] {
    let groups = match dispatch.grid {
        Grid::Threads(t) => [t.x.div_ceil(size[0]), t.y.div_ceil(size[1]), t.z.div_ceil(size[2])],
        Grid::Workgroups(g) => g.to_array(),
        Grid::Linear(len) => {
            assert_eq!(size[1..], [1, 1], "{}: a linear grid needs a linear workgroup", name(dispatch));
            let groups = u32::try_from(len.div_ceil(size[0] as usize)).expect("fewer than 2^32 workgroups");
            let x = groups.clamp(1, MAX_GROUPS);
            [x, groups.div_ceil(x), 1]
        }
    };
    assert!(groups.iter().all(|g| *g <= MAX_GROUPS), "{}: {groups:?} workgroups", name(dispatch));
    groups
}

impl Recorded {
    /// Runs all dispatches in order after uploading `run`. Returns when everything is submitted;
    /// [`Gpu::read_async`] waits.
    pub async fn run_async(&self, gpu: &Gpu, run: &RunParams) -> Result<()> {
        self.run_part_async(gpu, 0..self.steps.len(), run, None).await
    }

    /// As [`Recorded::run_async`], but where there are several submissions, waits for each before the next one, and
    /// `each` hears between the two how much of the run is done, from 0 to 1, and may end it. What waiting costs: a
    /// fraction of a millisecond beside the tens that a submission takes.
    ///
    /// # Errors
    /// Whatever `each` returns; [`crate::Error::Gpu`] where the device fails.
    pub async fn run_observed_async(
        &self,
        gpu: &Gpu,
        run: &RunParams,
        each: &mut dyn FnMut(f64) -> Result<()>,
    ) -> Result<()> {
        self.run_part_async(gpu, 0..self.steps.len(), run, Some(each)).await
    }

    /// Some consecutive dispatches, as [`Recorded::run_observed_async`] where there is somebody who hears.
    pub(crate) async fn run_part_async(
        &self,
        gpu: &Gpu,
        part: Range<usize>,
        run: &RunParams,
        each: Option<&mut Each<'_>>,
    ) -> Result<()> {
        let upload = || gpu.queue.write_buffer(self.run_params.raw(), 0, bytemuck::bytes_of(run));
        let steps = &self.steps[part.clone()];
        let Some(each) = each else {
            let submit = || {
                upload();
                // A device begins with the first while the next are recorded.
                by_submission(steps, || gpu.pace.most()).for_each(|steps| {
                    gpu.queue.submit([command_buffer(steps, gpu)]);
                });
            };
            return gpu.checked(|| "run".into(), submit).await;
        };
        upload();
        let (mut end, last) = (part.start, part.end);
        for steps in by_submission(steps, || gpu.pace.next()) {
            end += steps.len();
            let commands = command_buffer(steps, gpu);
            let done = Arc::new(Answer::default());
            let began = Instant::now();
            let submit = || {
                gpu.queue.submit([commands]);
                let done = done.clone();
                gpu.queue.on_submitted_work_done(move || done.set(()));
            };
            gpu.checked(|| "run".into(), submit).await?;
            // Who reads the result waits for the last one.
            if end < last {
                done.get().await;
                gpu.pace.took(steps.iter().map(|step| step.work).sum(), began.elapsed());
                each(self.done(end))?;
            }
        }
        Ok(())
    }

    /// How much of a run is done with so many dispatches.
    pub(crate) fn done(&self, dispatches: usize) -> f64 {
        let work = |step: Option<&Step>| step.map_or(0.0, |step| step.done as f64);
        work(self.steps[..dispatches].last()) / work(self.steps.last()).max(1.0)
    }

    /// Puts all dispatches into a pass of the host's. `run` and what was written before are uploaded ahead of the next
    /// submission.
    pub async fn record_into_async(&self, gpu: &Gpu, run: &RunParams, pass: &mut wgpu::ComputePass<'_>) -> Result<()> {
        let encode = || {
            gpu.queue.write_buffer(self.run_params.raw(), 0, bytemuck::bytes_of(run));
            self.steps.iter().for_each(|step| step.encode(pass));
        };
        gpu.checked(|| "record".into(), encode).await
    }

    /// Queues the upload of what changes from run to run, ahead of the next submission.
    pub(crate) fn write_run_params(&self, gpu: &Gpu, run: &RunParams) {
        gpu.queue.write_buffer(self.run_params.raw(), 0, bytemuck::bytes_of(run));
    }

    /// Puts some consecutive dispatches into a pass.
    pub(crate) fn encode_part(&self, part: Range<usize>, pass: &mut wgpu::ComputePass) {
        self.steps[part].iter().for_each(|step| step.encode(pass));
    }

    /// Records what [`Recorded::run_async`] submits, and drops it: the CPU's part of a run, to be measured where a
    /// driver may not return from submitting before the run is done.
    pub async fn encode_async(&self, gpu: &Gpu) -> Result<()> {
        let record =
            || by_submission(&self.steps, || gpu.pace.most()).for_each(|steps| drop(command_buffer(steps, gpu)));
        gpu.checked(|| "recording".into(), record).await
    }

    /// As [`Recorded::run_async`], but waits, and returns the seconds that each group of dispatches took, from the
    /// device's own timestamps; None where it has none. `groups` are numbers of consecutive dispatches, all of them
    /// together. A group is a pass of its own, because only there may WebGPU put timestamps, so that the sum may be
    /// more than a run takes.
    pub async fn profile_async(&self, gpu: &Gpu, run: &RunParams, groups: &[usize]) -> Result<Option<Vec<f64>>> {
        assert_eq!(groups.iter().sum::<usize>(), self.steps.len(), "groups hold all dispatches");
        if !gpu.device.features().contains(wgpu::Features::TIMESTAMP_QUERY) {
            return Ok(None);
        }
        let bytes = |groups: &[usize]| groups.len() as u64 * 2 * u64::from(wgpu::QUERY_SIZE);
        let usage = wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC;
        let stamps = gpu.counted_buffer("timestamps", bytes(groups).max(8), usage).await?;
        let submit = || {
            gpu.queue.write_buffer(self.run_params.raw(), 0, bytemuck::bytes_of(run));
            let (mut steps, mut at) = (&self.steps[..], 0);
            for groups in groups.chunks(PROFILED_TOGETHER) {
                let queries = gpu.device.create_query_set(&wgpu::QuerySetDescriptor {
                    label: Some("timestamps"),
                    ty: wgpu::QueryType::Timestamp,
                    count: 2 * groups.len() as u32,
                });
                let mut encoder = gpu.device.create_command_encoder(&Default::default());
                for (i, dispatches) in groups.iter().enumerate() {
                    let (now, later) = steps.split_at(*dispatches);
                    let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                        label: None,
                        timestamp_writes: Some(wgpu::ComputePassTimestampWrites {
                            query_set: &queries,
                            beginning_of_pass_write_index: Some(2 * i as u32),
                            end_of_pass_write_index: Some(2 * i as u32 + 1),
                        }),
                    });
                    now.iter().for_each(|step| step.encode(&mut pass));
                    steps = later;
                }
                encoder.resolve_query_set(&queries, 0..2 * groups.len() as u32, stamps.raw(), at);
                gpu.queue.submit([encoder.finish()]);
                at += bytes(groups);
            }
        };
        gpu.checked(|| "profile".into(), submit).await?;
        let words = gpu.read_async(&[stamps.slice()]).await?.remove(0);
        let ticks: Vec<u64> = bytemuck::pod_collect_to_vec(&words);
        let seconds = f64::from(gpu.queue.get_timestamp_period()) * 1e-9;
        let took = |i: usize| ticks[2 * i + 1].saturating_sub(ticks[2 * i]) as f64 * seconds;
        Ok(Some((0..groups.len()).map(took).collect()))
    }

    /// Bytes of the uniform buffers.
    pub fn allocated_bytes(&self) -> u64 {
        self.run_params.size() + self.uniforms.size()
    }

    /// Passes that a run records, each a submission, where nobody waits for them.
    pub fn passes(&self, gpu: &Gpu) -> usize {
        by_submission(&self.steps, || gpu.pace.most()).count()
    }

    /// Dispatches.
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// True where there is nothing to run.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::submission;

    #[test]
    fn more_work_is_more_submissions() {
        let work = [1, 99, 1, 300, 0, 5];
        let mut at = 0;
        let lengths: Vec<usize> = std::iter::from_fn(|| {
            let n = submission(work[at..].iter().copied(), 100);
            at += n;
            (n > 0).then_some(n)
        })
        .collect();
        // One that is too much is begun with what was there before it, and the next are behind it.
        assert_eq!(lengths, [2, 2, 2]);
    }
}
