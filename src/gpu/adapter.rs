//! Which GPU.

use crate::error::{Error, Result};
use crate::kernel::{Kernels, MatrixUnit};
use std::fmt;

/// Which adapter to open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AdapterChoice {
    /// A real GPU: discrete before integrated before virtual; never a software driver.
    #[default]
    RealGpu,
    /// The first adapter whose line in the list ([`Adapter`]'s `Display`) contains this, in any case.
    Named(String),
}

/// An adapter of this machine.
#[derive(Clone, Debug)]
pub struct Adapter(pub wgpu::AdapterInfo);

impl fmt::Display for Adapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.0.device_type {
            wgpu::DeviceType::DiscreteGpu => "discrete GPU",
            wgpu::DeviceType::IntegratedGpu => "integrated GPU",
            wgpu::DeviceType::VirtualGpu => "virtual GPU",
            wgpu::DeviceType::Cpu => "software",
            wgpu::DeviceType::Other => "other",
        };
        write!(f, "{} ({kind}, {}, {} {})", self.0.name, self.0.backend, self.0.driver, self.0.driver_info)
    }
}

/// The adapters of this machine, real GPUs first.
pub fn list_adapters() -> Vec<Adapter> {
    enumerate().iter().map(|a| Adapter(a.get_info())).collect()
}

/// The adapters with the kernels that each can run, the one chosen by itself first.
pub fn list_kernels() -> Vec<(Adapter, Vec<Kernels>)> {
    enumerate().iter().map(|a| (Adapter(a.get_info()), kernels(a))).collect()
}

/// The kernels that an adapter can run, the one chosen by itself first.
pub(super) fn kernels(adapter: &wgpu::Adapter) -> Vec<Kernels> {
    let info = adapter.get_info();
    Kernels::of_device(info.device_type, adapter.features(), matrix_unit(adapter, &info))
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

fn enumerate() -> Vec<wgpu::Adapter> {
    // The primary backends: Vulkan, Metal, DX12. OpenGL would list the same devices again, without all that is needed.
    let backends = wgpu::Backends::PRIMARY;
    let descriptor = wgpu::InstanceDescriptor { backends, ..wgpu::InstanceDescriptor::new_without_display_handle() };
    let mut adapters = pollster::block_on(wgpu::Instance::new(descriptor).enumerate_adapters(backends));
    adapters.sort_by_key(|a| rank(&a.get_info()));
    adapters
}

fn rank(info: &wgpu::AdapterInfo) -> usize {
    use wgpu::DeviceType::*;
    let order = [DiscreteGpu, IntegratedGpu, VirtualGpu, Other, Cpu];
    order.iter().position(|t| *t == info.device_type).expect("all types are listed")
}

pub(super) fn choose(choice: &AdapterChoice) -> Result<wgpu::Adapter> {
    let adapters = enumerate();
    let lines: Vec<String> = adapters.iter().map(|a| Adapter(a.get_info()).to_string()).collect();
    let wanted = |(adapter, line): &(wgpu::Adapter, &String)| match choice {
        AdapterChoice::RealGpu => rank(&adapter.get_info()) <= 2,
        AdapterChoice::Named(name) => line.to_lowercase().contains(&name.to_lowercase()),
    };
    let found = adapters.into_iter().zip(&lines).find(wanted).map(|(adapter, _)| adapter);
    found.ok_or_else(|| {
        let missing = match choice {
            AdapterChoice::RealGpu => "no GPU".to_string(),
            AdapterChoice::Named(name) => format!("no adapter with {name:?} in its name"),
        };
        let list = if lines.is_empty() { "none".to_string() } else { lines.join("; ") };
        Error::Gpu(format!("{missing}; adapters found: {list}"))
    })
}
