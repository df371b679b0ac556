//! Which GPU.

use crate::error::{Error, Result};
use crate::kernel::{Kernels, MatrixUnit};
use std::fmt;
use std::path::PathBuf;

/// Which adapter to open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AdapterChoice {
    /// A real GPU: discrete before integrated before virtual before what says no type, as in browsers; never a software
    /// driver.
    #[default]
    RealGpu,
    /// The adapter of this number in the list, from 0 on; else the first one whose line there ([`Adapter`]'s `Display`)
    /// contains this, in any case.
    Named(String),
}

/// An adapter of this machine.
#[derive(Clone, Debug)]
pub struct Adapter(pub wgpu::AdapterInfo);

impl Adapter {
    /// What it is, in words.
    pub fn kind(&self) -> &'static str {
        match self.0.device_type {
            wgpu::DeviceType::DiscreteGpu => "discrete GPU",
            wgpu::DeviceType::IntegratedGpu => "integrated GPU",
            wgpu::DeviceType::VirtualGpu => "virtual GPU",
            wgpu::DeviceType::Cpu => "software",
            wgpu::DeviceType::Other => "other",
        }
    }
}

impl fmt::Display for Adapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind();
        write!(f, "{} ({kind}, {}, {} {})", self.0.name, self.0.backend, self.0.driver, self.0.driver_info)
    }
}

/// Which device to open, and how.
#[derive(Clone, Debug, Default)]
pub struct GpuOptions {
    /// The adapter.
    pub adapter: AdapterChoice,
    /// Name of a family of kernels ([`Kernels::names`]); None = the one made for the adapter.
    pub kernel: Option<String>,
    /// Folder where compiled kernels are kept for the next start; None = they are not.
    pub cache: Option<PathBuf>,
    /// Which of several adapters of one name, from 0, in turn.
    pub turn: usize,
}

/// The adapters of this machine, real GPUs first.
pub async fn list_adapters_async() -> Vec<Adapter> {
    enumerate().await.iter().map(|a| Adapter(a.get_info())).collect()
}

/// The adapters with the kernels that each can run, the one chosen by itself first.
pub async fn list_kernels_async() -> Vec<(Adapter, Vec<Kernels>)> {
    enumerate().await.iter().map(|a| (Adapter(a.get_info()), kernels(a))).collect()
}

/// The kernels that an adapter can run, the one chosen by itself first.
fn kernels(adapter: &wgpu::Adapter) -> Vec<Kernels> {
    let info = adapter.get_info();
    Kernels::of_device(&info, adapter.features(), matrix_unit(adapter, &info))
}

/// The adapter's unit for matrix products, as far as kernels can use it. Only an adapter speaks of it, not a device.
fn matrix_unit(adapter: &wgpu::Adapter, info: &wgpu::AdapterInfo) -> Option<MatrixUnit> {
    use wgpu::CooperativeScalarType::{F16, F32};
    // Mesa's lavapipe multiplies right with vectors of 8 lanes, and crashes with 16.
    let crashes = info.device_type == wgpu::DeviceType::Cpu && info.subgroup_max_size > 8;
    if crashes || !adapter.features().contains(wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX) {
        return None;
    }
    let properties = adapter.cooperative_matrix_properties();
    let has = |side: &u32| {
        let fits = |m: &wgpu::CooperativeMatrixProperties| {
            [m.m_size, m.n_size, m.k_size] == [*side; 3] && m.ab_type == F16 && m.cr_type == F32
        };
        properties.iter().any(fits)
    };
    // Four subgroups are a workgroup of 256 at most, and as many as a matrix has rows at least.
    // For Metal wgpu says 64, but subgroups of Apple's GPUs have 32.
    let subgroup_size = if info.backend == wgpu::Backend::Metal { 32 } else { info.subgroup_max_size };
    let unit = |side| MatrixUnit { side, subgroup_size };
    [16, 8].into_iter().find(has).filter(|_| (4..=64).contains(&subgroup_size)).map(unit)
}

async fn enumerate() -> Vec<wgpu::Adapter> {
    // The primary backends: Vulkan, Metal, DX12. OpenGL would list the same devices again, without all that is needed.
    let backends = wgpu::Backends::PRIMARY;
    let descriptor = wgpu::InstanceDescriptor { backends, ..wgpu::InstanceDescriptor::new_without_display_handle() };
    let instance = wgpu::Instance::new(descriptor);
    #[cfg(not(target_arch = "wasm32"))]
    let mut adapters = instance.enumerate_adapters(backends).await;
    // A browser shows one adapter: that which suits what is asked for.
    #[cfg(target_arch = "wasm32")]
    let mut adapters: Vec<_> = {
        let power_preference = wgpu::PowerPreference::HighPerformance;
        let options = wgpu::RequestAdapterOptions { power_preference, ..Default::default() };
        instance.request_adapter(&options).await.into_iter().collect()
    };
    adapters.sort_by_key(|a| rank(&a.get_info()));
    adapters
}

fn rank(info: &wgpu::AdapterInfo) -> usize {
    use wgpu::DeviceType::*;
    let order = [DiscreteGpu, IntegratedGpu, VirtualGpu, Other, Cpu];
    order.iter().position(|t| *t == info.device_type).expect("all types are listed")
}

/// The adapter and the kernels that are asked for.
pub(super) async fn choose(options: &GpuOptions) -> Result<(wgpu::Adapter, Kernels)> {
    let kernel = options.kernel.as_deref();
    let names = Kernels::names();
    if let Some(name) = kernel.filter(|name| !names.contains(name)) {
        let names = names.join(", ");
        return Err(Error::Invalid(format!("there are no kernels {name:?}; give one of: auto, {names}")));
    }
    let adapter = choose_adapter(&options.adapter, options.turn).await?;
    let can = kernels(&adapter);
    let chosen = match kernel {
        None => can.first(),
        Some(name) => can.iter().find(|k| k.name() == name),
    };
    let Some(&kernels) = chosen else {
        let kernel = kernel.unwrap_or("auto");
        let list = can.iter().map(|k| k.name()).collect::<Vec<_>>().join(", ");
        let adapter = Adapter(adapter.get_info());
        return Err(Error::Gpu(format!("{adapter} cannot run the kernels {kernel}, only: {list}")));
    };
    Ok((adapter, kernels))
}

async fn choose_adapter(choice: &AdapterChoice, turn: usize) -> Result<wgpu::Adapter> {
    let mut adapters = enumerate().await;
    let lines: Vec<String> = adapters.iter().map(|a| Adapter(a.get_info()).to_string()).collect();
    let wanted = match choice {
        AdapterChoice::RealGpu => {
            adapters.iter().position(|adapter| adapter.get_info().device_type != wgpu::DeviceType::Cpu)
        }
        AdapterChoice::Named(name) => named(name, &lines),
    };
    // One that is named by its number is no other.
    let is_number = |place: usize| matches!(choice, AdapterChoice::Named(name) if *name == place.to_string());
    let found = wanted.map(|first| if is_number(first) { first } else { in_turn(&lines, first, turn) });
    found.map(|place| adapters.swap_remove(place)).ok_or_else(|| {
        let missing = match choice {
            AdapterChoice::RealGpu => "no GPU".to_string(),
            AdapterChoice::Named(name) => format!("no adapter with {name:?} in its name"),
        };
        let numbered: Vec<String> = lines.iter().enumerate().map(|(i, line)| format!("{i}: {line}")).collect();
        let list = if lines.is_empty() { "none".to_string() } else { numbered.join("; ") };
        Error::Gpu(format!("{missing}; adapters found: {list}"))
    })
}

/// Of the adapters that are called as the one at `first`, the place of number `turn`, in a circle.
fn in_turn(lines: &[String], first: usize, turn: usize) -> usize {
    let same: Vec<usize> = (first..lines.len()).filter(|place| lines[*place] == lines[first]).collect();
    same[turn % same.len()]
}

/// The place in a list of adapters of one that is named by its number or by a part of its line.
fn named(name: &str, lines: &[String]) -> Option<usize> {
    let number = name.parse().ok().filter(|i| *i < lines.len());
    number.or_else(|| lines.iter().position(|line| line.to_lowercase().contains(&name.to_lowercase())))
}

/// The limits that kernels need, and `has` for all others: a table, so that a device can be asked for what it lacks.
pub(crate) fn kernel_limits(has: &wgpu::Limits) -> wgpu::Limits {
    let base = wgpu::Limits::default();
    wgpu::Limits {
        max_bind_groups: 1,
        max_bindings_per_bind_group: 16,
        max_storage_buffers_per_shader_stage: base.max_storage_buffers_per_shader_stage,
        max_uniform_buffers_per_shader_stage: 2,
        max_sampled_textures_per_shader_stage: 1,
        max_storage_textures_per_shader_stage: 1,
        max_compute_workgroup_storage_size: base.max_compute_workgroup_storage_size,
        max_compute_invocations_per_workgroup: base.max_compute_invocations_per_workgroup,
        max_compute_workgroup_size_x: base.max_compute_workgroup_size_x,
        max_compute_workgroup_size_y: base.max_compute_workgroup_size_y,
        max_compute_workgroups_per_dimension: base.max_compute_workgroups_per_dimension,
        min_storage_buffer_offset_alignment: base.min_storage_buffer_offset_alignment,
        min_uniform_buffer_offset_alignment: base.min_uniform_buffer_offset_alignment,
        ..has.clone()
    }
}

/// Opens an adapter's device with the features that kernels use.
pub(super) async fn open(adapter: &wgpu::Adapter, kernels: Kernels) -> Result<(wgpu::Device, wgpu::Queue)> {
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
    let family = kernels.family();
    let always = wgpu::Features::SHADER_F16 | wgpu::Features::PIPELINE_CACHE | wgpu::Features::TIMESTAMP_QUERY;
    let features = always | family.requires | family.prefers;
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
    let opened = adapter.request_device(&descriptor).await;
    opened.map_err(|e| Error::Gpu(format!("{}: {e}", adapter.get_info().name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_take_adapters_of_one_name_in_turn() {
        let lines = ["big", "big", "small", "big"].map(String::from);
        assert_eq!([0, 1, 2, 3, 7].map(|turn| in_turn(&lines, 0, turn)), [0, 1, 3, 0, 1]);
        assert_eq!([0, 5].map(|turn| in_turn(&lines, 2, turn)), [2, 2]);
    }

    #[test]
    fn adapters_have_numbers_and_names() {
        let lines = ["NVIDIA H100 (0)", "NVIDIA H100 (1)", "Radeon 780M"].map(String::from);
        for (name, place) in
            [("0", Some(0)), ("1", Some(1)), ("h100", Some(0)), ("780", Some(2)), ("2", Some(2)), ("9", None)]
        {
            assert_eq!(named(name, &lines), place, "{name}");
        }
    }
}
