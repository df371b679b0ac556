//! A host's device, and what is asked of it.

use crate::error::{Error, Result};
use crate::fit::Cut;
use crate::gpu::{Gpu, kernel_limits};
use crate::kernel::Kernels;
use crate::plan::{Plan, Target};
use crate::smooth::Model;
use crate::tensor::Shape;
use crate::weights::Precision;
use std::sync::Arc;

/// What to ask of a device.
#[derive(Clone, Debug)]
pub struct Requirements {
    /// Features that are needed, and those that make it faster where the adapter has them.
    pub features: wgpu::Features,
    /// WebGPU's default limits with buffers and bindings as large as the picture takes in one piece, or as the adapter
    /// allows: larger ones go in slabs.
    pub limits: wgpu::Limits,
}

/// Says what a device needs for pictures up to `max_size` (width, height), before it exists: to be added to what the host
/// asks for itself.
///
/// # Errors
/// [`Error::Gpu`] where the adapter lacks something, with all of it; [`Error::Invalid`] for a size that is no picture's.
pub fn requirements(
    adapter: &wgpu::Adapter,
    model: impl Into<Model>,
    max_size: [u32; 2],
    precision: Precision,
) -> Result<Requirements> {
    let model = model.into();
    let kernels = kernels(&adapter.get_info(), adapter.features(), precision)?;
    let family = kernels.family();
    let wanted = family.requires | family.prefers | wgpu::Features::PIPELINE_CACHE;
    let target = Target::Gpu { max_binding: u64::MAX, kernels };
    let cut_graph = Cut::WHOLE.graph(model.subject(), padded(&model, max_size)?)?;
    let plan = Plan::new(&cut_graph.graph, target)?;
    let largest = plan.buffers.iter().map(|buffer| buffer.len as u64 * 4).max().unwrap_or(0);
    let (has, base) = (adapter.limits(), wgpu::Limits::default());
    let limits = wgpu::Limits {
        max_buffer_size: largest.min(has.max_buffer_size).max(base.max_buffer_size),
        max_storage_buffer_binding_size: largest
            .min(has.max_storage_buffer_binding_size)
            .max(base.max_storage_buffer_binding_size),
        ..base
    };
    check_limits(&has)?;
    // The rest of the baseline is lowered to what the adapter has: the kernels need little of it.
    Ok(Requirements { features: wanted & adapter.features(), limits: limits.or_worse_values_from(&has) })
}

/// The shape in which a picture (width, height) is smoothed.
pub(super) fn padded(model: &Model, [w, h]: [u32; 2]) -> Result<Shape> {
    if w == 0 || h == 0 {
        return Err(Error::Invalid(format!("the picture is {w}x{h}; give a pixel at least")));
    }
    let padding = model.padding();
    Ok(Shape::new(1, 3, padding.side(h as usize), padding.side(w as usize)))
}

/// The kernels for a precision, on a device with these features.
fn kernels(info: &wgpu::AdapterInfo, features: wgpu::Features, precision: Precision) -> Result<Kernels> {
    match precision {
        Precision::F32 => Ok(Kernels::of_device(info, features, None)[0]),
        Precision::F16 => Kernels::half_of_device(info, features)
            .ok_or_else(|| Error::Gpu("f16 takes the feature SHADER_F16, which is not there; use F32".into())),
    }
}

/// Fails with all limits that kernels need and that are not there.
fn check_limits(has: &wgpu::Limits) -> Result<()> {
    let mut missing = vec![];
    kernel_limits(has).check_limits_with_fail_fn(has, false, |name, needed, has| {
        missing.push(format!("{name} is {has}, needed: {needed}"));
    });
    if missing.is_empty() { Ok(()) } else { Err(Error::Gpu(format!("the device's limits: {}", missing.join("; ")))) }
}

/// How to use a host's device.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ContextOptions {
    /// F16 keeps hidden maps in f16: half the memory, and a rounding error that changes one 8-bit value in 200 by one. It
    /// needs `wgpu::Features::SHADER_F16`.
    pub precision: Precision,
    /// The host's cache of compiled kernels, which the host keeps.
    pub pipeline_cache: Option<wgpu::PipelineCache>,
}

impl Default for ContextOptions {
    fn default() -> Self {
        ContextOptions { precision: Precision::F32, pipeline_cache: None }
    }
}

impl ContextOptions {
    /// With this precision of hidden maps.
    #[must_use]
    pub fn with_precision(self, precision: Precision) -> ContextOptions {
        ContextOptions { precision, ..self }
    }

    /// With the host's cache of compiled kernels.
    #[must_use]
    pub fn with_pipeline_cache(self, cache: wgpu::PipelineCache) -> ContextOptions {
        ContextOptions { pipeline_cache: Some(cache), ..self }
    }
}

/// A host's device and queue: one for each device, so that nothing is compiled twice. A clone is the same.
#[derive(Clone)]
pub struct Context {
    pub(super) gpu: Arc<Gpu>,
}

impl Context {
    /// Takes a host's device. Compiles nothing, and installs no handlers on it.
    ///
    /// # Errors
    /// [`Error::Gpu`] where the device has not the limits or the features that kernels need, with all of them by name
    /// ([`requirements`] says them before).
    pub fn new(device: &wgpu::Device, queue: &wgpu::Queue, options: ContextOptions) -> Result<Context> {
        let kernels = kernels(&device.adapter_info(), device.features(), options.precision)?;
        check_limits(&device.limits())?;
        let mut gpu = Gpu::from_device(device.clone(), queue.clone()).with_kernels(kernels);
        if let Some(cache) = options.pipeline_cache {
            gpu = gpu.with_pipeline_cache(cache);
        }
        Ok(Context { gpu: gpu.into() })
    }

    /// For the host's device-lost callback: everything of this context returns [`Error::Lost`] from now on.
    pub fn lost(&self, why: &str) {
        self.gpu.set_lost(why);
    }

    /// The device.
    pub fn gpu(&self) -> &Arc<Gpu> {
        &self.gpu
    }

    /// Kernels compiled so far.
    pub fn compiled_kernels(&self) -> usize {
        self.gpu.compiled_kernels()
    }
}

/// For programs that have opened a device by this library.
impl From<Arc<Gpu>> for Context {
    fn from(gpu: Arc<Gpu>) -> Context {
        Context { gpu }
    }
}
