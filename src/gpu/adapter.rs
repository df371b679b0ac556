//! Which GPU.

use crate::error::{Error, Result};
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
