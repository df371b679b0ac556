//! The face for programs that wait: each function of the asynchronous core, run to its end on this thread.

use super::{Device, DeviceOptions, Executor, GpuExecutor};
use crate::error::Result;
use crate::gpu::Gpu;
use crate::graph::Value;
use crate::kernel::RunParams;
use crate::ops::Graph;
use std::ops::Range;
use std::sync::Arc;

impl Device {
    /// Opens a device: `cpu`, or the adapter of this number in the list or whose description
    /// ([`crate::low_level::gpu::Adapter`]) contains `name`; None = a real GPU, or the
    /// CPU where there is none.
    ///
    /// # Errors
    /// [`crate::Error::Gpu`] where no adapter is called so, or a named one cannot be opened.
    pub fn open(name: Option<&str>) -> Result<Device> {
        Device::open_with(&DeviceOptions { adapter: name.map(str::to_string), ..DeviceOptions::default() })
    }

    /// The same with all that can be chosen ([`Device::open_async`]).
    ///
    /// # Errors
    /// As [`Device::open_async`].
    pub fn open_with(options: &DeviceOptions) -> Result<Device> {
        pollster::block_on(Device::open_async(options))
    }

    /// Runs a future of the core to its end, and the device meanwhile.
    pub(crate) fn drive<T>(&self, future: impl Future<Output = Result<T>>) -> Result<T> {
        match self {
            #[cfg(feature = "cpu")]
            Device::Cpu => pollster::block_on(future),
            Device::Gpu(gpu) => gpu.drive(future),
        }
    }
}

impl Executor {
    /// Makes a graph ready ([`Executor::new_async`]).
    ///
    /// # Errors
    /// As [`Executor::new_async`].
    pub fn new(graph: Graph, device: &Device) -> Result<Executor> {
        device.drive(Executor::new_async(graph, device))
    }

    /// The device.
    fn device(&self) -> Device {
        match self {
            #[cfg(feature = "cpu")]
            Executor::Cpu(_) => Device::Cpu,
            Executor::Gpu(exec) => Device::Gpu(exec.gpu().clone()),
        }
    }

    /// Fills every reusable buffer with NaN ([`Executor::poison_async`]).
    pub fn poison(&mut self) -> Result<()> {
        self.device().drive(self.poison_async())
    }

    /// Sets an input, a persistent value or a view of one ([`Executor::write_async`]).
    ///
    /// # Errors
    /// As [`Executor::write_async`].
    pub fn write(&mut self, value: Value, data: &[f32]) -> Result<()> {
        self.device().drive(self.write_async(value, data))
    }

    /// Runs all nodes in order; on a GPU returns when they are submitted ([`Executor::run_async`]).
    pub fn run(&mut self, run_params: &RunParams) -> Result<()> {
        self.device().drive(self.run_async(run_params))
    }

    /// Runs some consecutive steps of the plan ([`Executor::run_steps_async`]).
    pub fn run_steps(&mut self, steps: Range<usize>, run_params: &RunParams) -> Result<()> {
        self.device().drive(self.run_steps_async(steps, run_params))
    }

    /// Waits until the device has done all that it was given.
    pub fn wait(&self) -> Result<()> {
        match self {
            #[cfg(feature = "cpu")]
            Executor::Cpu(_) => Ok(()),
            Executor::Gpu(exec) => exec.gpu().wait(),
        }
    }

    /// Runs all nodes in order and returns the seconds that each took ([`Executor::profile_async`]).
    pub fn profile(&mut self, run_params: &RunParams) -> Result<Option<Vec<f64>>> {
        self.device().drive(self.profile_async(run_params))
    }

    /// Reads an output, a persistent value or a view of one ([`Executor::read_async`]).
    pub fn read(&mut self, value: Value) -> Result<Vec<f32>> {
        self.device().drive(self.read_async(value))
    }

    /// Reads several such values ([`Executor::read_all_async`]).
    pub fn read_all(&mut self, values: &[Value]) -> Result<Vec<Vec<f32>>> {
        self.device().drive(self.read_all_async(values))
    }
}

impl GpuExecutor {
    /// Makes a graph ready ([`GpuExecutor::new_async`]).
    ///
    /// # Errors
    /// As [`GpuExecutor::new_async`].
    pub fn new(graph: Graph, gpu: Arc<Gpu>) -> Result<Self> {
        gpu.clone().drive(GpuExecutor::new_async(graph, gpu))
    }

    /// Sets an input, a persistent value or a view of one ([`GpuExecutor::write_async`]).
    ///
    /// # Errors
    /// As [`GpuExecutor::write_async`].
    pub fn write(&self, value: Value, data: &[f32]) -> Result<()> {
        self.gpu().drive(self.write_async(value, data))
    }

    /// Runs all nodes in order; returns when they are submitted ([`GpuExecutor::run_async`]).
    pub fn run(&self, run_params: &RunParams) -> Result<()> {
        self.gpu().drive(self.run_async(run_params))
    }

    /// As [`GpuExecutor::run`], with the seconds that each node took ([`GpuExecutor::profile_async`]).
    pub fn profile(&self, run_params: &RunParams) -> Result<Option<Vec<f64>>> {
        self.gpu().drive(self.profile_async(run_params))
    }

    /// Reads an output, a persistent value or a view of one; waits for the device.
    pub fn read(&self, value: Value) -> Result<Vec<f32>> {
        self.gpu().drive(self.read_async(value))
    }

    /// Fills every reusable buffer with NaN ([`GpuExecutor::poison_async`]).
    pub fn poison(&self) -> Result<()> {
        self.gpu().drive(self.poison_async())
    }
}
