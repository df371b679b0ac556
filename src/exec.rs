//! Runs a plan, on the CPU or on a GPU.

mod cpu;
mod gpu;

pub use cpu::CpuExecutor;
pub use gpu::GpuExecutor;
