//! Runs a plan, on the CPU or on a GPU.

mod cpu;

pub use cpu::CpuExecutor;
