//! The GPU executor: the plan's buffers on the device, its dispatches recorded once.

use crate::error::Result;
use crate::gpu::{Buffer, Command, Gpu, Recorded, Slice};
use crate::graph::{Graph, Value};
use crate::kernel::Globals;
use crate::plan::{Location, Plan};
use std::sync::Arc;

/// Runs a graph on a GPU.
pub struct GpuExecutor {
    gpu: Arc<Gpu>,
    graph: Graph,
    plan: Plan,
    buffers: Vec<Buffer>,
    recorded: Recorded,
}

impl GpuExecutor {
    /// Plans the graph, allocates all that it needs and builds its kernels.
    ///
    /// # Errors
    /// [`crate::Error::TooLarge`] where a value is larger than a binding can be, [`crate::Error::Gpu`] where the device
    /// fails.
    pub fn new(graph: Graph, gpu: Arc<Gpu>) -> Result<Self> {
        let plan = Plan::new(&graph, gpu.target())?;
        let buffers = plan.buffers.iter().enumerate();
        let buffers: Vec<Buffer> =
            buffers.map(|(i, b)| gpu.buffer(&format!("plan {i}"), b.len as u64 * 4)).collect::<Result<_>>()?;
        let dispatches = plan.steps.iter().flat_map(|step| &step.dispatches);
        let commands: Vec<Command> = dispatches
            .map(|(dispatch, places)| Command {
                dispatch: dispatch.clone(),
                slices: places.iter().map(|place| slice(&buffers, *place)).collect(),
            })
            .collect();
        let recorded = gpu.record(&commands)?;
        Ok(GpuExecutor { gpu, graph, plan, buffers, recorded })
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The graph.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The device.
    pub fn gpu(&self) -> &Arc<Gpu> {
        &self.gpu
    }

    /// Bytes allocated on the device: [`Plan::peak_bytes`].
    pub fn allocated_bytes(&self) -> u64 {
        self.buffers.iter().map(Buffer::size).sum::<u64>() + self.recorded.allocated_bytes()
    }

    /// Where a value lives, for hosts that share their buffers with the network.
    pub fn slice(&self, value: Value) -> Slice {
        let place = self.plan.locations[value.0];
        slice(&self.buffers, place.unwrap_or_else(|| panic!("{} is not in the plan", self.graph.info(value).name)))
    }

    /// Sets an input, a persistent value or a view of one.
    pub fn write(&self, value: Value, data: &[f32]) -> Result<()> {
        let slice = self.slice(value);
        assert_eq!(data.len() as u64 * 4, slice.size, "values for {}", self.graph.info(value).name);
        self.gpu.write(&slice, data)
    }

    /// Runs all nodes in order; returns when they are submitted.
    pub fn run(&self, globals: &Globals) -> Result<()> {
        self.recorded.run(&self.gpu, globals, &[])
    }

    /// Reads an output, a persistent value or a view of one; waits for the device.
    pub fn read(&self, value: Value) -> Result<Vec<f32>> {
        Ok(self.gpu.read(&[self.slice(value)])?.remove(0))
    }

    /// Reads several values at once.
    pub fn read_all(&self, values: &[Value]) -> Result<Vec<Vec<f32>>> {
        self.gpu.read(&values.iter().map(|v| self.slice(*v)).collect::<Vec<_>>())
    }

    /// Fills every reusable buffer with NaN: what a kernel reads before it is written shows.
    pub fn poison(&self) -> Result<()> {
        for (buffer, plan) in self.buffers.iter().zip(&self.plan.buffers).filter(|(_, plan)| !plan.persistent) {
            self.gpu.write(&buffer.slice(), &vec![f32::NAN; plan.len])?;
        }
        Ok(())
    }
}

fn slice(buffers: &[Buffer], place: Location) -> Slice {
    Slice { buffer: buffers[place.buffer].clone(), offset: place.offset as u64 * 4, size: place.len as u64 * 4 }
}
