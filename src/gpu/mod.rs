//! The only module that drives wgpu: adapter, device, buffers, pipelines, running and reading back.
//!
//! A [`Gpu`] makes [`Buffer`]s and turns a list of [`Command`]s (a [`crate::kernel::Dispatch`] and the memory of its
//! operands) into a [`Recorded`], which runs any number of times with different [`crate::kernel::RunParams`]. Failures
//! of the device are [`Error::Gpu`]: errors are caught in wgpu's error scopes, and no handler is installed on a device
//! that a host brings along.
//!
//! What may wait is asynchronous (`..._async`), without threads, timers or blocking, as a browser needs it; functions
//! of the same names without the ending run it to its end.

mod adapter;
#[cfg(not(target_arch = "wasm32"))]
mod blocking;
mod cache;
mod memory;
mod pace;
mod pipeline;
mod record;
pub mod reflect;
mod texture;

pub(crate) use adapter::kernel_limits;
pub use adapter::{Adapter, AdapterChoice, GpuOptions, list_adapters_async, list_kernels_async};
#[cfg(not(target_arch = "wasm32"))]
pub use blocking::{list_adapters, list_kernels};
pub use memory::{Buffer, Slice};
pub use record::{Command, Recorded};
pub use texture::{DRAW, LOAD, Output, STORE, TextureKernels};
pub use wgpu::ComputePass;

use crate::error::{Error, Limit, Result, TooLarge};
use crate::kernel::{Kernels, Shader};
use crate::plan::Target;
use pipeline::Compiled;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

/// A device with its compiled kernels.
pub struct Gpu {
    device: wgpu::Device,
    queue: wgpu::Queue,
    info: wgpu::AdapterInfo,
    allocated: Arc<AtomicU64>,
    pace: pace::Pace,
    compiled: Compiled,
    /// On a host's device, the host's.
    cache: Option<cache::Cache>,
    staging: Mutex<Option<Buffer>>,
    lost: Arc<Mutex<Option<String>>>,
    kernels: Kernels,
    /// Shaders have 64-bit integers.
    wide: bool,
    /// What is replaced by what in the text of shaders: [`Gpu::with_shader_replacement`].
    replaced: HashMap<&'static str, Vec<(String, String)>>,
}

impl Gpu {
    /// Opens a device with the largest buffers and workgroups that its adapter has.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an unknown name of kernels, [`Error::Gpu`] where there is no such adapter, where it
    /// cannot run these kernels, or where it fails.
    pub async fn open_async(options: &GpuOptions) -> Result<Gpu> {
        let (adapter, kernels) = adapter::choose(options).await?;
        let (device, queue) = adapter::open(&adapter, kernels).await?;
        let mut gpu = Gpu::from_device(device, queue).with_kernels(kernels);
        let folder = options.cache.as_deref();
        gpu.cache = folder.and_then(|folder| cache::Cache::open(&gpu.device, &gpu.info, folder));
        // The device is ours, so that its loss may be listened to: wgpu reports it in no other way.
        let lost = gpu.lost.clone();
        gpu.device.set_device_lost_callback(move |reason, message| {
            let why = if message.is_empty() { String::new() } else { format!(": {message}") };
            let destroyed = matches!(reason, wgpu::DeviceLostReason::Destroyed);
            let how = if destroyed { "was lost: it was destroyed" } else { "was lost" };
            *lost.lock().unwrap() = Some(format!("the device {how}{why}"));
        });
        Ok(gpu)
    }

    /// Uses the host's device; installs no handlers on it.
    pub fn from_device(device: wgpu::Device, queue: wgpu::Queue) -> Gpu {
        let info = device.adapter_info();
        Gpu {
            kernels: Kernels::of_device(&info, device.features(), None)[0],
            pace: pace::Pace::new(info.device_type),
            wide: device.features().contains(wgpu::Features::SHADER_INT64),
            info,
            device,
            queue,
            allocated: Arc::default(),
            compiled: Compiled::default(),
            cache: None,
            staging: Mutex::default(),
            lost: Arc::default(),
            replaced: HashMap::new(),
        }
    }

    /// Compiles kernels by way of the host's cache of them, which the host keeps.
    #[must_use]
    pub fn with_pipeline_cache(self, cache: wgpu::PipelineCache) -> Gpu {
        Gpu { cache: Some(cache::Cache::of_host(cache)), ..self }
    }

    /// Hears from the host that its device is lost, which wgpu tells one listener alone: everything fails from now on.
    pub fn set_lost(&self, why: &str) {
        *self.lost.lock().unwrap() = Some(format!("the device was lost: {why}"));
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

    /// For tests that must fail on a wrong kernel: uses a shader with the text `from` replaced by `to`, everywhere, as
    /// some kernels are written out several times. Panics unless `from` occurs, so that a test does not outlive what it
    /// was written for.
    #[must_use]
    pub fn with_shader_replacement(mut self, shader: &'static Shader, from: &str, to: &str) -> Gpu {
        self.replaced.entry(shader.stem).or_default().push((from.into(), to.into()));
        let _ = self.source(shader, shader.matrices);
        self.compiled.forget(shader.stem);
        self
    }

    /// What a plan for this device must respect.
    pub fn target(&self) -> Target {
        Target::Gpu { max_binding: self.max_binding(), kernels: self.kernels }
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

    /// Bytes in live buffers of this device: tensors, parameters and the staging buffer of [`Gpu::read_async`].
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

    /// Polls the device whenever `future` waits, which only somebody who has the device can do otherwise, and comes back
    /// at once: for short waits. A browser polls by itself.
    #[cfg(feature = "cpu")]
    pub(crate) async fn polled<T>(&self, future: impl Future<Output = T>) -> T {
        let mut future = std::pin::pin!(future);
        std::future::poll_fn(|context| {
            let state = future.as_mut().poll(context);
            if state.is_pending() && cfg!(not(target_arch = "wasm32")) {
                // That it fails, too, the future hears.
                let _ = self.device.poll(wgpu::PollType::Poll);
                context.waker().wake_by_ref();
            }
            state
        })
        .await
    }

    /// Runs `f` in error scopes. `what` names it in the error.
    async fn checked<T>(&self, what: impl FnOnce() -> String, f: impl FnOnce() -> T) -> Result<T> {
        let scopes = [wgpu::ErrorFilter::Validation, wgpu::ErrorFilter::OutOfMemory, wgpu::ErrorFilter::Internal]
            .map(|filter| self.device.push_error_scope(filter));
        let value = f();
        // Scopes are a stack: the last one goes first. All are off it before the first answer is awaited.
        let [validation, memory, internal] = scopes;
        let answers = [internal, memory, validation].map(wgpu::ErrorScopeGuard::pop);
        let mut first = None;
        for answer in answers {
            first = first.or(answer.await);
        }
        match first {
            Some(wgpu::Error::OutOfMemory { .. }) => Err(TooLarge::new(what(), Limit::Device, 0, 0).into()),
            Some(e) => Err(self.failure(&what(), &e.to_string())),
            None => self.alive().map(|()| value),
        }
    }

    /// As [`Gpu::checked`], where nothing may wait: a native device answers at once, and of a browser's what it says later
    /// is not heard.
    pub(crate) fn checked_now<T>(&self, what: &str, f: impl FnOnce() -> T) -> Result<T> {
        let mut value = None;
        let checked = {
            let checked = std::pin::pin!(self.checked(|| what.into(), || value = Some(f())));
            checked.poll(&mut Context::from_waker(Waker::noop()))
        };
        match checked {
            Poll::Ready(Err(error)) => Err(error),
            _ => Ok(value.expect("it was called before the first answer was awaited")),
        }
    }

    /// Fails where the device is known to be lost.
    pub(crate) fn alive(&self) -> Result<()> {
        match self.lost.lock().unwrap().as_ref() {
            Some(lost) => Err(Error::Lost(lost.clone())),
            None => Ok(()),
        }
    }

    fn failure(&self, what: &str, message: &str) -> Error {
        match self.lost.lock().unwrap().as_ref() {
            Some(lost) => Error::Lost(format!("{what}: {lost}")),
            None => Error::Gpu(format!("{what}: {message}")),
        }
    }
}
