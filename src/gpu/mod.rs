//! The only module that drives wgpu: adapter, device, buffers, pipelines, running and reading back.
//!
//! A [`Gpu`] makes [`Buffer`]s and turns a list of [`Command`]s (a [`Dispatch`] and the memory of its operands) into a
//! [`Recorded`], which runs any number of times with different [`RunParams`]. Failures of the device are [`Error::Gpu`]:
//! errors are caught in wgpu's error scopes, and no handler is installed on a device that a host brings along.

mod adapter;
mod cache;
mod record;
pub mod reflect;

pub use adapter::{Adapter, AdapterChoice, list_adapters, list_kernels};
pub use record::{Command, Recorded};
pub use wgpu::ComputePass;

use crate::error::{Error, Limit, Result, TooLarge};
use crate::kernel::{Dispatch, Kernels, RunParams, Shader, Variant};
use crate::plan::Target;
use reflect::{Entry, Reflection, check_names};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

/// How long another thread that polls the device may take to hand over an answer that it has. Not for ever: the reader
/// may have been called by that thread.
const ANSWER: Duration = Duration::from_secs(10);

/// A device with its compiled kernels.
pub struct Gpu {
    device: wgpu::Device,
    queue: wgpu::Queue,
    info: wgpu::AdapterInfo,
    allocated: Arc<AtomicU64>,
    shaders: Mutex<HashMap<(&'static str, bool), Arc<Module>>>,
    pipelines: Mutex<HashMap<PipelineKey, Arc<Pipeline>>>,
    /// Not on a host's device.
    cache: Option<cache::Cache>,
    staging: Mutex<Option<Buffer>>,
    lost: Arc<Mutex<Option<String>>>,
    kernels: Kernels,
    /// Shaders have 64-bit integers.
    wide: bool,
    /// What is replaced by what in the text of shaders: [`Gpu::with_shader_replacement`].
    replaced: HashMap<&'static str, Vec<(String, String)>>,
}

struct Module {
    raw: wgpu::ShaderModule,
    reflection: Reflection,
}

/// Shader, entry point, f16, and its constants by name with their bits.
type PipelineKey = (&'static str, &'static str, bool, Vec<(&'static str, u64)>);

struct Pipeline {
    raw: wgpu::ComputePipeline,
    layout: wgpu::BindGroupLayout,
    entry: Entry,
}

/// Device memory; a clone is the same memory.
#[derive(Clone, Debug)]
pub struct Buffer(Arc<Memory>);

#[derive(Debug)]
struct Memory {
    raw: wgpu::Buffer,
    /// Bytes to give back to the count on drop; `None` for a host's buffer.
    counted: Option<Arc<AtomicU64>>,
}

impl Drop for Memory {
    fn drop(&mut self) {
        if let Some(allocated) = &self.counted {
            allocated.fetch_sub(self.raw.size(), Ordering::Relaxed);
        }
    }
}

impl Buffer {
    /// Uses a buffer that the host made, which needs the usages STORAGE, COPY_SRC and COPY_DST. It is not counted.
    pub fn from_raw(raw: wgpu::Buffer) -> Buffer {
        Buffer(Arc::new(Memory { raw, counted: None }))
    }

    /// wgpu's buffer.
    pub fn raw(&self) -> &wgpu::Buffer {
        &self.0.raw
    }

    /// Size in bytes.
    pub fn size(&self) -> u64 {
        self.0.raw.size()
    }

    /// All of it.
    pub fn slice(&self) -> Slice {
        Slice { buffer: self.clone(), offset: 0, size: self.size() }
    }
}

/// A range of a [`Buffer`].
#[derive(Clone, Debug)]
pub struct Slice {
    /// The memory.
    pub buffer: Buffer,
    /// First byte; a multiple of [`Gpu::offset_alignment`] where a kernel uses it.
    pub offset: u64,
    /// Bytes.
    pub size: u64,
}

impl Gpu {
    /// Opens a device: the chosen adapter with the largest buffers and workgroups that it has, and the kernels made for
    /// it.
    pub fn new(choice: &AdapterChoice) -> Result<Gpu> {
        Gpu::open(choice, None)
    }

    /// The same with the kernels called `kernel` ([`Kernels::names`]).
    ///
    /// # Errors
    /// [`Error::Invalid`] for an unknown name, [`Error::Gpu`] where the adapter cannot run these kernels.
    pub fn open(choice: &AdapterChoice, kernel: Option<&str>) -> Result<Gpu> {
        if let Some(name) = kernel.filter(|name| !Kernels::names().contains(name)) {
            let names = Kernels::names().join(", ");
            return Err(Error::Invalid(format!("there are no kernels {name:?}; give one of: auto, {names}")));
        }
        let adapter = adapter::choose(choice)?;
        let can = adapter::kernels(&adapter);
        let chosen = match kernel {
            None => Some(&can[0]),
            Some(name) => can.iter().find(|k| k.name() == name),
        };
        let Some(&kernels) = chosen else {
            let list = can.iter().map(|k| k.name()).collect::<Vec<_>>().join(", ");
            let adapter = Adapter(adapter.get_info());
            return Err(Error::Gpu(format!("{adapter} cannot run the kernels {kernel:?}, only: {list}")));
        };
        let has = adapter.limits();
        let base = wgpu::Limits::default();
        let limits = wgpu::Limits {
            max_buffer_size: has.max_buffer_size.max(base.max_buffer_size),
            max_storage_buffer_binding_size: has.max_storage_buffer_binding_size,
            max_compute_workgroup_storage_size: has.max_compute_workgroup_storage_size,
            max_compute_invocations_per_workgroup: has.max_compute_invocations_per_workgroup,
            max_compute_workgroup_size_x: has.max_compute_workgroup_size_x,
            max_compute_workgroup_size_y: has.max_compute_workgroup_size_y,
            max_compute_workgroup_size_z: has.max_compute_workgroup_size_z,
            ..base
        };
        // The rest of the baseline is lowered to what the adapter has: the kernels need little of it.
        let limits = limits.or_worse_values_from(&has);
        let info = adapter.get_info();
        let mut features =
            wgpu::Features::SHADER_F16 | wgpu::Features::PIPELINE_CACHE | wgpu::Features::TIMESTAMP_QUERY;
        let family = kernels.family();
        features |= family.requires | family.prefers;
        let mut experimental_features = wgpu::ExperimentalFeatures::disabled();
        if family.requires.intersects(wgpu::Features::all_experimental_mask()) {
            // SAFETY: asks to accept that wgpu's cooperative matrices may have bugs. They are used only where a person
            // asks for them, and their results are compared before (`exec::Device::open_with`).
            experimental_features = unsafe { wgpu::ExperimentalFeatures::enabled() };
        }
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("sasnet"),
            required_features: features & adapter.features(),
            experimental_features,
            required_limits: limits,
            memory_hints: wgpu::MemoryHints::MemoryUsage,
            ..Default::default()
        };
        let (device, queue) = pollster::block_on(adapter.request_device(&descriptor))
            .map_err(|e| Error::Gpu(format!("{}: {e}", info.name)))?;
        let mut gpu = Gpu::from_device(device, queue).with_kernels(kernels);
        gpu.cache = cache::Cache::open(&gpu.device, &gpu.info);
        // The device is ours, so that its loss may be listened to: wgpu reports it in no other way.
        let lost = gpu.lost.clone();
        gpu.device.set_device_lost_callback(move |reason, message| {
            *lost.lock().unwrap() = Some(format!("the device was lost ({reason:?}): {message}"));
        });
        Ok(gpu)
    }

    /// Uses the host's device; installs no handlers on it.
    pub fn from_device(device: wgpu::Device, queue: wgpu::Queue) -> Gpu {
        let info = device.adapter_info();
        Gpu {
            kernels: Kernels::of_device(info.device_type, device.features(), None)[0],
            wide: device.features().contains(wgpu::Features::SHADER_INT64),
            info,
            device,
            queue,
            allocated: Arc::default(),
            shaders: Mutex::default(),
            pipelines: Mutex::default(),
            cache: None,
            staging: Mutex::default(),
            lost: Arc::default(),
            replaced: HashMap::new(),
        }
    }

    /// The kernels in use.
    pub fn kernels(&self) -> Kernels {
        self.kernels
    }

    /// Uses other kernels than those made for the type of this adapter; the device needs the features for them.
    pub fn with_kernels(self, kernels: Kernels) -> Gpu {
        Gpu { kernels, ..self }
    }

    /// Uses shaders without 64-bit integers, as on devices that have none.
    #[must_use]
    pub fn with_words_of_32_bits(self) -> Gpu {
        Gpu { wide: false, ..self }
    }

    /// What a plan for this device must respect.
    pub fn target(&self) -> Target {
        Target::Gpu { max_binding: self.max_binding(), kernels: self.kernels }
    }

    /// For tests that must fail on a wrong kernel: uses a shader with the text `from` replaced by `to`, everywhere, as some
    /// kernels are written out several times. Panics unless `from` occurs, so that a test does not outlive what it was written
    /// for.
    #[must_use]
    pub fn with_shader_replacement(mut self, shader: &'static Shader, from: &str, to: &str) -> Gpu {
        self.replaced.entry(shader.stem).or_default().push((from.into(), to.into()));
        let _ = self.source(shader, shader.matrices);
        self.shaders.get_mut().unwrap().retain(|(stem, _), _| *stem != shader.stem);
        self.pipelines.get_mut().unwrap().retain(|(stem, ..), _| *stem != shader.stem);
        self
    }

    fn source(&self, shader: &Shader, half: bool) -> String {
        let text = shader.source(Variant { half, wide: self.wide });
        self.replaced.get(shader.stem).into_iter().flatten().fold(text, |text, (from, to)| {
            assert!(text.contains(from), "{from:?} occurs nowhere in shaders/{}.wgsl", shader.stem);
            text.replace(from, to)
        })
    }

    /// What the device can do.
    pub fn limits(&self) -> wgpu::Limits {
        self.device.limits()
    }

    /// The adapter: name, type, backend, driver.
    pub fn info(&self) -> &wgpu::AdapterInfo {
        &self.info
    }

    /// wgpu's device.
    pub fn device(&self) -> &wgpu::Device {
        &self.device
    }

    /// wgpu's queue.
    pub fn queue(&self) -> &wgpu::Queue {
        &self.queue
    }

    /// Bytes in live buffers of this device: tensors, parameters and the staging buffer of [`Gpu::read`].
    pub fn allocated(&self) -> u64 {
        self.allocated.load(Ordering::Relaxed)
    }

    /// Most bytes that one operand of a kernel may have.
    pub fn max_binding(&self) -> u64 {
        let limits = self.device.limits();
        limits.max_storage_buffer_binding_size.min(limits.max_buffer_size)
    }

    /// Offsets of slices that kernels use are multiples of this.
    pub fn offset_alignment(&self) -> u64 {
        u64::from(self.device.limits().min_storage_buffer_offset_alignment)
    }

    /// A buffer of `bytes` (at least 4, rounded up to words) for kernels, zeroed.
    pub fn buffer(&self, label: &str, bytes: u64) -> Result<Buffer> {
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
        self.counted_buffer(label, bytes.next_multiple_of(4).max(4), usage)
    }

    fn counted_buffer(&self, label: &str, size: u64, usage: wgpu::BufferUsages) -> Result<Buffer> {
        let raw = self.checked(
            || format!("buffer {label:?} of {size} bytes"),
            || {
                self.device.create_buffer(&wgpu::BufferDescriptor {
                    label: Some(label),
                    size,
                    usage,
                    mapped_at_creation: false,
                })
            },
        )?;
        self.allocated.fetch_add(size, Ordering::Relaxed);
        Ok(Buffer(Arc::new(Memory { raw, counted: Some(self.allocated.clone()) })))
    }

    /// Copies numbers to the start of a slice.
    pub fn write(&self, slice: &Slice, data: &[f32]) -> Result<()> {
        self.checked(|| "upload".into(), || self.write_unchecked(slice, bytemuck::cast_slice(data)))
    }

    fn write_unchecked(&self, slice: &Slice, bytes: &[u8]) {
        assert!(bytes.len() as u64 <= slice.size, "{} bytes into a slice of {}", bytes.len(), slice.size);
        self.queue.write_buffer(slice.buffer.raw(), slice.offset, bytes);
    }

    /// Copies slices, each to one of its size.
    pub fn copy(&self, slices: &[[Slice; 2]]) -> Result<()> {
        if slices.is_empty() {
            return Ok(());
        }
        self.checked(
            || "copy".into(),
            || {
                let mut encoder = self.device.create_command_encoder(&Default::default());
                for [from, to] in slices {
                    encoder.copy_buffer_to_buffer(
                        from.buffer.raw(),
                        from.offset,
                        to.buffer.raw(),
                        to.offset,
                        from.size,
                    );
                }
                self.queue.submit([encoder.finish()]);
            },
        )
    }

    /// Waits for all work and reads slices back.
    pub fn read(&self, slices: &[Slice]) -> Result<Vec<Vec<f32>>> {
        let bytes = slices.iter().map(|s| s.size).sum::<u64>();
        if bytes == 0 {
            return Ok(vec![Vec::new(); slices.len()]);
        }
        let mut staging = self.staging.lock().unwrap();
        if staging.as_ref().is_none_or(|b| b.size() < bytes) {
            *staging = None; // frees it before the larger one is made
            let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
            *staging = Some(self.counted_buffer("read-back", bytes, usage)?);
        }
        let buffer = staging.as_ref().expect("just made").raw();
        let (sender, receiver) = mpsc::channel();
        self.checked(
            || "read back".into(),
            || {
                let mut encoder = self.device.create_command_encoder(&Default::default());
                let mut at = 0;
                for slice in slices {
                    encoder.copy_buffer_to_buffer(slice.buffer.raw(), slice.offset, buffer, at, slice.size);
                    at += slice.size;
                }
                self.queue.submit([encoder.finish()]);
                buffer.map_async(wgpu::MapMode::Read, 0..bytes, move |result| {
                    // The receiver is gone only where waiting failed, which is reported.
                    let _ = sender.send(result);
                });
            },
        )?;
        self.wait()?;
        // The work is done, but where a host's thread polls the device, too, it may be that thread which brings the
        // answer.
        let mapped = receiver.recv_timeout(ANSWER).map_err(|_| "no answer".to_string());
        mapped.and_then(|r| r.map_err(|e| e.to_string())).map_err(|e| self.failure("read back", &e))?;
        let view = buffer.get_mapped_range(0..bytes).map_err(|e| self.failure("read back", &e.to_string()))?;
        let mut rest: &[u8] = &view;
        let mut out = Vec::with_capacity(slices.len());
        for slice in slices {
            let (head, tail) = rest.split_at(slice.size as usize);
            out.push(bytemuck::pod_collect_to_vec(head));
            rest = tail;
        }
        drop(view);
        buffer.unmap();
        Ok(out)
    }

    /// Waits until the device has done all that it was given.
    pub fn wait(&self) -> Result<()> {
        self.device
            .poll(wgpu::PollType::wait_indefinitely())
            .map(|_| ())
            .map_err(|e| self.failure("waiting", &e.to_string()))
    }

    /// Runs `f` in error scopes. `what` names it in the error.
    fn checked<T>(&self, what: impl FnOnce() -> String, f: impl FnOnce() -> T) -> Result<T> {
        let scopes = [wgpu::ErrorFilter::Validation, wgpu::ErrorFilter::OutOfMemory, wgpu::ErrorFilter::Internal]
            .map(|filter| self.device.push_error_scope(filter));
        let value = f();
        // Scopes are a stack: the last one goes first.
        let mut first = None;
        for scope in scopes.into_iter().rev() {
            first = first.or(pollster::block_on(scope.pop()));
        }
        match first {
            Some(wgpu::Error::OutOfMemory { .. }) => Err(TooLarge::new(what(), Limit::Device, 0, 0).into()),
            Some(e) => Err(self.failure(&what(), &e.to_string())),
            None => match self.lost.lock().unwrap().as_ref() {
                Some(lost) => Err(Error::Gpu(lost.clone())),
                None => Ok(value),
            },
        }
    }

    fn failure(&self, what: &str, message: &str) -> Error {
        match self.lost.lock().unwrap().as_ref() {
            Some(lost) => Error::Gpu(format!("{what}: {lost}")),
            None => Error::Gpu(format!("{what}: {message}")),
        }
    }

    fn module(&self, shader: &'static Shader, half: bool) -> Result<Arc<Module>> {
        let mut shaders = self.shaders.lock().unwrap();
        if let Some(module) = shaders.get(&(shader.stem, half)) {
            return Ok(module.clone());
        }
        let unchecked = shader.unchecked.is_some() && !self.replaced.contains_key(shader.stem);
        let source = wgpu::ShaderSource::Wgsl(self.source(shader, half).into());
        let descriptor = wgpu::ShaderModuleDescriptor { label: Some(shader.stem), source };
        let raw = self.checked(
            || format!("shader {}", shader.stem),
            || {
                if unchecked {
                    // SAFETY: the shader's record says why; the text is our own.
                    unsafe {
                        self.device.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked())
                    }
                } else {
                    self.device.create_shader_module(descriptor)
                }
            },
        )?;
        let module = Arc::new(Module { raw, reflection: Reflection::of(shader, half) });
        shaders.insert((shader.stem, half), module.clone());
        Ok(module)
    }

    fn pipeline(&self, dispatch: &Dispatch) -> Result<Arc<Pipeline>> {
        let (stem, name) = (dispatch.shader.stem, dispatch.entry);
        let constants = dispatch.constants.iter().map(|(n, v)| (*n, v.to_bits())).collect();
        let half = dispatch.half && dispatch.shader.has_act();
        let key: PipelineKey = (stem, name, half, constants);
        if let Some(pipeline) = self.pipelines.lock().unwrap().get(&key) {
            return Ok(pipeline.clone());
        }
        let module = self.module(dispatch.shader, half)?;
        let entry = module.reflection.entries.get(name);
        let entry = entry.unwrap_or_else(|| panic!("shader {stem} has no entry point {name:?}")).clone();
        for (constant, _) in &dispatch.constants {
            let known = &module.reflection.constants;
            assert!(
                known.iter().any(|k| k == constant),
                "{stem}.{name}: constant {constant:?} is not one of {known:?}"
            );
        }
        let raw = self.checked(|| format!("pipeline {stem}.{name}"), || self.build(dispatch, &module.raw, &entry))?;
        let pipeline = Arc::new(Pipeline { raw: raw.0, layout: raw.1, entry });
        self.pipelines.lock().unwrap().insert(key, pipeline.clone());
        Ok(pipeline)
    }

    fn build(
        &self,
        dispatch: &Dispatch,
        module: &wgpu::ShaderModule,
        entry: &Entry,
    ) -> (wgpu::ComputePipeline, wgpu::BindGroupLayout) {
        let label = format!("{}.{}", dispatch.shader.stem, dispatch.entry);
        let slot = |binding, ty, size: usize| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer {
                ty,
                has_dynamic_offset: false,
                min_binding_size: wgpu::BufferSize::new(size as u64),
            },
            count: None,
        };
        let uniform = wgpu::BufferBindingType::Uniform;
        let mut entries = Vec::new();
        entries.extend(entry.run.map(|i| slot(i, uniform, size_of::<RunParams>())));
        entries.extend(entry.params.map(|i| slot(i, uniform, entry.params_size)));
        for b in &entry.storage {
            let ty = wgpu::BufferBindingType::Storage { read_only: !b.writable };
            entries.push(slot(b.index, ty, b.stride as usize));
        }
        let layout = self
            .device
            .create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: Some(&label), entries: &entries });
        let pipeline_layout = self.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(&label),
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        });
        let pipeline = self.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(&label),
            layout: Some(&pipeline_layout),
            module,
            entry_point: Some(dispatch.entry),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants: &dispatch.constants,
                // Every kernel fills its workgroup memory before it reads it.
                zero_initialize_workgroup_memory: false,
            },
            cache: self.cache.as_ref().map(cache::Cache::raw),
        });
        (pipeline, layout)
    }
}
