//! Runs a plan, on the CPU or on a GPU, behind one interface.

mod cpu;

pub use cpu::CpuExecutor;

use crate::error::Result;
use crate::graph::{Graph, Value};
use crate::kernel::Globals;
use crate::plan::Plan;

/// What runs the network.
#[derive(Clone)]
pub enum Device {
    /// All cores, f32.
    Cpu,
}

impl Device {
    /// For people: which device it is.
    pub fn describe(&self) -> String {
        match self {
            Device::Cpu => format!("CPU, {} threads", rayon::current_num_threads()),
        }
    }
}

/// A graph ready to run on a device.
pub enum Executor {
    /// On the CPU.
    Cpu(Box<CpuExecutor<f32>>),
}

impl Executor {
    /// Plans the graph and allocates all that it needs.
    ///
    /// # Errors
    /// [`crate::Error::TooLarge`] where the device cannot hold it, [`crate::Error::Gpu`] where the device fails.
    pub fn new(graph: Graph, device: &Device) -> Result<Executor> {
        match device {
            Device::Cpu => Ok(Executor::Cpu(Box::new(CpuExecutor::new(graph)))),
        }
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        match self {
            Executor::Cpu(exec) => exec.plan(),
        }
    }

    /// Sets an input, a persistent value or a view of one.
    pub fn write(&mut self, value: Value, data: &[f32]) -> Result<()> {
        match self {
            Executor::Cpu(exec) => exec.get_mut(value).copy_from_slice(data),
        }
        Ok(())
    }

    /// Runs all nodes in order.
    pub fn run(&mut self, globals: &Globals) -> Result<()> {
        match self {
            Executor::Cpu(exec) => exec.run(globals),
        }
        Ok(())
    }

    /// Reads an output, a persistent value or a view of one; waits for the device.
    pub fn read(&mut self, value: Value) -> Result<Vec<f32>> {
        match self {
            Executor::Cpu(exec) => Ok(exec.get(value).to_vec()),
        }
    }
}
