//! The network inside a host's own frame: on its device, from a texture of its into another, in its encoder.
//!
//! ```no_run
//! # use sasnet::{Weights, embed::*, wgpu};
//! # fn host(adapter: &wgpu::Adapter, device: &wgpu::Device, queue: &wgpu::Queue, from: wgpu::TextureView, to: wgpu::TextureView)
//! # -> sasnet::Result<()> {
//! // Once a device:
//! let context = Context::new(device, queue, ContextOptions::default())?;
//! let network = Network::new(&context, Weights::builtin())?; // compiles: 1 to 4 s, so on a thread, or step by step
//! // Once a size:
//! let formats = [wgpu::TextureFormat::Rgba8UnormSrgb, wgpu::TextureFormat::Rgba16Float]; // of the two views
//! let mut session = Session::new(&network, [1280, 720], formats, SessionOptions::default())?;
//! // In a frame:
//! let mut encoder = device.create_command_encoder(&Default::default());
//! session.prepare(&Frame::default())?;
//! session.record(&mut encoder, &from, &to)?;
//! queue.submit([encoder.finish()]);
//! # Ok(()) }
//! ```
//!
//! | | |
//! |---|---|
//! | [`requirements`] | what to ask of a device, before it exists |
//! | [`estimate`] | bytes and work of a size, without a device |
//! | [`Context`] | the host's device and queue |
//! | [`Network`] | kernels and weights, for any size |
//! | [`Session`] | memory for one size; records runs |
//!
//! Everything is `Send` and `Sync`; nothing is global, and nothing is written to disk. What goes wrong is an
//! [`crate::Error`]; after [`Context::lost`] everything is [`crate::Error::Lost`].
//!
//! Where a host has planes instead of textures, a [`GpuExecutor`] of the graph that [`graph`] builds is run by itself or
//! recorded by [`GpuExecutor::record_into`] on a [`Gpu`] made of the host's device ([`Gpu::from_device`]).

mod context;
mod network;
mod session;
mod transfer;

pub use crate::exec::{GpuExecutor, Maps};
pub use crate::gpu::{Buffer, Gpu, Slice};
pub use crate::kernel::RunParams;
pub use crate::smooth::graph;
pub use context::{Context, ContextOptions, Requirements, requirements};
#[cfg(not(target_arch = "wasm32"))]
pub use network::Pending;
pub use network::{Compiling, Network};
pub use session::{Estimate, Frame, Scope, Session, SessionOptions, estimate};
pub use transfer::{Alpha, Transfer};
