//! The network inside a host's own frame: on its device, in its buffers, recorded into its passes.
//!
//! A [`Gpu`] is made of the host's device and queue ([`Gpu::from_device`]), a [`GpuExecutor`] of the graph that
//! [`graph`] builds for a size; [`GpuExecutor::record_into`] puts a run into a compute pass of the host's (an example
//! is there).

pub use crate::exec::GpuExecutor;
pub use crate::gpu::{Buffer, Gpu, Slice};
pub use crate::kernel::RunParams;
pub use crate::smooth::graph;
