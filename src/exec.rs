//! Runs a plan, on the CPU or on a GPU, behind one interface.

#[cfg(feature = "cpu")]
mod available;
#[cfg(not(target_arch = "wasm32"))]
mod blocking;
#[cfg(feature = "cpu")]
mod check;
#[cfg(feature = "cpu")]
mod cpu;
mod gpu;
mod memory;
mod upload;

#[cfg(feature = "cpu")]
pub use available::memory_limits;
#[cfg(feature = "cpu")]
pub(crate) use available::{available_memory, release_memory, resident_memory};
#[cfg(feature = "cpu")]
pub use cpu::CpuExecutor;
pub use gpu::GpuExecutor;
pub use memory::Maps;

use crate::error::{Error, Result};
#[cfg(feature = "cpu")]
use crate::error::{Limit, TooLarge};
use crate::gpu::{Adapter, AdapterChoice, Gpu, GpuOptions};
use crate::graph::Value;
use crate::kernel::RunParams;
use crate::ops::Graph;
use crate::plan::{Plan, Region, Target};
use crate::tensor::Shape;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

/// A device that runs the network.
#[derive(Clone)]
#[non_exhaustive]
pub enum Device {
    /// All cores, f32.
    #[cfg(feature = "cpu")]
    Cpu,
    /// A GPU.
    Gpu(Arc<Gpu>),
}

/// Which device to open, and how ([`Device::open_with`]).
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct DeviceOptions {
    /// `cpu`, or an adapter's number in the list, or a part of its description ([`Adapter`]); None = a real GPU, or the
    /// CPU where there is none.
    pub adapter: Option<String>,
    /// Name of a family of kernels ([`crate::kernel::Kernels::names`]); None or `auto` = the one made for the adapter.
    pub kernel: Option<String>,
    /// Folder where a GPU's compiled kernels are kept for the next start; None = they are not.
    pub cache: Option<PathBuf>,
    /// Which of several adapters of one name, from 0, in turn: for processes that share a machine.
    pub turn: usize,
}

impl Device {
    /// Opens a device.
    ///
    /// Kernels for cooperative matrices, a young feature of drivers and of wgpu, are compared with the CPU before;
    /// where they are wrong a warning is logged, and those for tiles in f16 are used.
    ///
    /// # Errors
    /// As [`Device::open`], and where the kernels are unknown or not for this device.
    pub async fn open_async(options: &DeviceOptions) -> Result<Device> {
        let DeviceOptions { adapter, kernel, cache, turn } = options;
        let kernel = kernel.as_deref().filter(|kernel| *kernel != "auto");
        let open = async |adapter| {
            let (kernel, cache, turn) = (kernel.map(str::to_string), cache.clone(), *turn);
            let options = GpuOptions { adapter, kernel, cache, turn };
            let gpu = Gpu::open_async(&options).await?;
            Ok(Device::Gpu(Arc::new(with_right_matrices(gpu).await)))
        };
        match adapter.as_deref() {
            Some(name) if name.eq_ignore_ascii_case("cpu") => Device::cpu(kernel),
            Some(name) => match open(AdapterChoice::Named(name.into())).await {
                Ok(gpu) => Ok(gpu),
                Err(Error::Gpu(message)) if kernel.is_none() && cfg!(feature = "cpu") => {
                    Err(Error::Gpu(format!("{message}; \"cpu\" needs none")))
                }
                Err(other) => Err(other),
            },
            None => match open(AdapterChoice::RealGpu).await {
                Ok(gpu) => Ok(gpu),
                Err(error) if kernel.is_some() || cfg!(not(feature = "cpu")) => Err(error),
                Err(error) => {
                    log::info!("{error}; using the CPU");
                    Device::cpu(None)
                }
            },
        }
    }

    /// The CPU, which has no kernels to choose.
    fn cpu(kernel: Option<&str>) -> Result<Device> {
        #[cfg(feature = "cpu")]
        return match kernel {
            None => Ok(Device::Cpu),
            Some(kernel) => Err(Error::Invalid(format!("the CPU has no kernels to choose; leave out {kernel}"))),
        };
        #[cfg(not(feature = "cpu"))]
        {
            // Nothing is to be chosen of what is not there.
            let _ = kernel;
            Err(Error::Invalid("this program was built without the CPU executor".into()))
        }
    }

    /// Returns what a plan for this device must respect.
    pub fn target(&self) -> Target {
        match self {
            #[cfg(feature = "cpu")]
            Device::Cpu => Target::Cpu { threads: rayon::current_num_threads() },
            Device::Gpu(gpu) => gpu.target(),
        }
    }

    /// Tells whether its kernels compute in f16.
    pub(crate) fn is_half(&self) -> bool {
        match self {
            #[cfg(feature = "cpu")]
            Device::Cpu => false,
            Device::Gpu(gpu) => gpu.kernels().half(),
        }
    }

    /// For people: which device it is.
    pub fn describe(&self) -> String {
        match self {
            #[cfg(feature = "cpu")]
            Device::Cpu => match rayon::current_num_threads() {
                1 => "CPU, 1 thread".into(),
                threads => format!("CPU, {threads} threads"),
            },
            Device::Gpu(gpu) => format!("{}, kernels {}", Adapter(gpu.info().clone()), gpu.kernels().name()),
        }
    }
}

#[cfg(feature = "cpu")]
use check::with_right_matrices;

/// Without the CPU executor there is nothing to compare cooperative matrices with.
#[cfg(not(feature = "cpu"))]
async fn with_right_matrices(gpu: Gpu) -> Gpu {
    use crate::kernel::Kernels;
    match gpu.kernels() {
        Kernels::Matrix(_) => gpu.with_kernels(Kernels::GpuF16),
        _ => gpu,
    }
}

/// A graph ready to run on a device.
pub enum Executor {
    /// On the CPU.
    #[cfg(feature = "cpu")]
    Cpu(Box<CpuExecutor<f32>>),
    /// On a GPU.
    Gpu(Box<GpuExecutor>),
}

impl Executor {
    /// Plans the graph and allocates all that it needs.
    ///
    /// # Errors
    /// [`Error::TooLarge`] where the device cannot hold it, [`Error::Gpu`] where the device fails.
    pub async fn new_async(graph: Graph, device: &Device) -> Result<Executor> {
        match device {
            #[cfg(feature = "cpu")]
            Device::Cpu => Ok(Executor::Cpu(Box::new(CpuExecutor::new(graph)?))),
            Device::Gpu(gpu) => Ok(Executor::Gpu(Box::new(GpuExecutor::new_async(graph, gpu.clone()).await?))),
        }
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        match self {
            #[cfg(feature = "cpu")]
            Executor::Cpu(exec) => exec.plan(),
            Executor::Gpu(exec) => exec.plan(),
        }
    }

    /// The graph.
    pub fn graph(&self) -> &Graph {
        match self {
            #[cfg(feature = "cpu")]
            Executor::Cpu(exec) => exec.graph(),
            Executor::Gpu(exec) => exec.graph(),
        }
    }

    /// Shape of a value.
    pub fn shape(&self, value: Value) -> Shape {
        self.graph().shape(value)
    }

    /// Bytes allocated for the graph; the plan's [`Plan::peak_bytes`] predicts them.
    pub fn allocated_bytes(&self) -> u64 {
        match self {
            #[cfg(feature = "cpu")]
            Executor::Cpu(exec) => exec.allocated_bytes(),
            Executor::Gpu(exec) => exec.allocated_bytes(),
        }
    }

    /// Fills every reusable buffer with NaN: what a kernel reads before it is written shows. For tests.
    pub async fn poison_async(&mut self) -> Result<()> {
        match self {
            #[cfg(feature = "cpu")]
            Executor::Cpu(exec) => exec.poison(),
            Executor::Gpu(exec) => exec.poison_async().await?,
        }
        Ok(())
    }

    /// Sets an input, a persistent value or a view of one.
    ///
    /// # Errors
    /// As [`CpuExecutor::write`] and [`GpuExecutor::write_async`].
    pub async fn write_async(&mut self, value: Value, data: &[f32]) -> Result<()> {
        match self {
            #[cfg(feature = "cpu")]
            Executor::Cpu(exec) => exec.write(value, data),
            Executor::Gpu(exec) => exec.write_async(value, data).await,
        }
    }

    /// Runs all nodes in order; on a GPU returns when they are submitted.
    pub async fn run_async(&mut self, run_params: &RunParams) -> Result<()> {
        match self {
            #[cfg(feature = "cpu")]
            Executor::Cpu(exec) => exec.run(run_params),
            Executor::Gpu(exec) => exec.run_async(run_params).await?,
        }
        Ok(())
    }

    /// Runs some consecutive steps of the plan; on a GPU returns when they are submitted. A run is all of them, once and
    /// in order, in as many parts as one likes: between two, what the steps before have written can be read.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the plan has no such steps, [`Error::Gpu`] where the device fails.
    pub async fn run_steps_async(&mut self, steps: Range<usize>, run_params: &RunParams) -> Result<()> {
        let of = self.plan().steps.len();
        if steps.start > steps.end || steps.end > of {
            return Err(Error::Invalid(format!("steps {} to {} of a plan of {of}", steps.start, steps.end)));
        }
        match self {
            #[cfg(feature = "cpu")]
            Executor::Cpu(exec) => exec.run_steps(steps, run_params),
            Executor::Gpu(exec) => exec.run_steps_async(steps, run_params).await?,
        }
        Ok(())
    }

    /// Runs all nodes in order; `each` hears now and then how much is done, from 0 to 1, and may end the run. On a GPU
    /// returns when the last submission is on its way.
    ///
    /// # Errors
    /// Whatever `each` returns, and as [`Executor::run_async`].
    pub async fn run_observed_async(
        &mut self,
        run_params: &RunParams,
        each: &mut dyn FnMut(f64) -> Result<()>,
    ) -> Result<()> {
        match self {
            #[cfg(feature = "cpu")]
            Executor::Cpu(exec) => exec.run_observed(run_params, each),
            Executor::Gpu(exec) => exec.run_observed_async(run_params, each).await,
        }
    }

    /// Compiles what a plan for a GPU needs, kernel by kernel; `each` hears of every one, and may end it. Those of other
    /// plans on this device are there already.
    ///
    /// # Errors
    /// Whatever `each` returns; [`Error::Gpu`] where the device fails.
    pub async fn compile_async(plan: &Plan, device: &Device, each: &mut dyn FnMut() -> Result<()>) -> Result<()> {
        match device {
            #[cfg(feature = "cpu")]
            Device::Cpu => {}
            Device::Gpu(gpu) => {
                for (dispatch, _) in plan.steps.iter().flat_map(|step| &step.dispatches) {
                    gpu.compile_async(dispatch).await?;
                    each()?;
                }
            }
        }
        Ok(())
    }

    /// Runs all nodes in order and returns the seconds that each took; None on a GPU that has no timestamps.
    pub async fn profile_async(&mut self, run_params: &RunParams) -> Result<Option<Vec<f64>>> {
        match self {
            #[cfg(feature = "cpu")]
            Executor::Cpu(exec) => Ok(Some(exec.profile(run_params))),
            Executor::Gpu(exec) => exec.profile_async(run_params).await,
        }
    }

    /// Reads an output, a persistent value or a view of one; waits for the device.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the value is none of these, [`Error::Gpu`] where the device fails.
    pub async fn read_async(&mut self, value: Value) -> Result<Vec<f32>> {
        Ok(self.read_all_async(&[value]).await?.remove(0))
    }

    /// Reads several such values; waits for the device once.
    pub async fn read_all_async(&mut self, values: &[Value]) -> Result<Vec<Vec<f32>>> {
        match self {
            #[cfg(feature = "cpu")]
            Executor::Cpu(exec) => {
                let read = |value: &Value| match exec.plan().region(*value) {
                    Some(_) => Ok(exec.get(*value).to_vec()),
                    None => Err(not_kept(exec.graph(), *value)),
                };
                values.iter().map(read).collect()
            }
            Executor::Gpu(exec) => exec.read_all_async(values).await,
        }
    }
}

fn name(graph: &Graph, value: Value) -> &str {
    graph.values().get(value.0).map_or("a value of another graph", |info| &info.name)
}

/// The error for a value that is asked for and has no place.
fn not_kept(graph: &Graph, value: Value) -> Error {
    Error::Invalid(format!("{} is not kept by the plan: neither input nor output", name(graph, value)))
}

/// Returns `region`, where `value` is to be written; fails where there is none or `given` elements do not fill it.
fn to_write(graph: &Graph, value: Value, region: Option<Region>, given: usize) -> Result<Region> {
    let name = name(graph, value);
    match region {
        Some(region) if region.len == given => Ok(region),
        Some(Region { len, .. }) => Err(Error::Invalid(format!("{name} takes {len} values, given {given}"))),
        None => Err(Error::Invalid(format!("{name} is not in the plan, given {given} values"))),
    }
}

/// Fails where `bytes` are more than there is: a host that allocates them would be killed.
#[cfg(feature = "cpu")]
fn check_memory(bytes: u64) -> Result<()> {
    let available = available_memory();
    if bytes > available {
        return Err(TooLarge::new("the graph", Limit::Memory, bytes, available).into());
    }
    Ok(())
}
