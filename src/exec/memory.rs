//! Regions of a plan on a device.

use crate::error::Result;
use crate::gpu::{Buffer, Command, Gpu, Slice};
use crate::kernel::Dispatch;
use crate::plan::{self, Region};
use std::sync::{Arc, Mutex};

/// Memory for what a plan needs within a run alone, for executors whose runs do not overlap. It only grows; a clone is the
/// same memory.
#[derive(Clone, Debug, Default)]
pub struct Maps(Arc<Mutex<Vec<Buffer>>>);

impl Maps {
    /// Bytes allocated on the device.
    pub fn allocated_bytes(&self) -> u64 {
        self.0.lock().unwrap().iter().map(Buffer::size).sum()
    }

    /// A buffer for each of the plan's: one of its own for what persists, and one of these for each other, the largest
    /// for the largest. What is too small is replaced; executors that have it keep it.
    pub(super) async fn buffers(&self, gpu: &Gpu, plan: &[plan::Buffer]) -> Result<Vec<Buffer>> {
        let mut buffers: Vec<Option<Buffer>> = vec![None; plan.len()];
        let mut by_size: Vec<usize> = (0..plan.len()).collect();
        by_size.sort_by_key(|i| std::cmp::Reverse(plan[*i].len));
        let mut maps = self.0.lock().unwrap().clone();
        let mut used = 0;
        for i in by_size {
            let bytes = plan[i].len as u64 * 4;
            if !plan[i].persistent && maps.get(used).is_some_and(|map| map.size() >= bytes) {
                buffers[i] = Some(maps[used].clone());
                used += 1;
                continue;
            }
            let buffer = gpu.buffer_async(&format!("plan {i}"), bytes).await?;
            buffers[i] = Some(buffer.clone());
            if !plan[i].persistent {
                maps.splice(used..(used + 1).min(maps.len()), [buffer]);
                used += 1;
            }
        }
        *self.0.lock().unwrap() = maps;
        Ok(buffers.into_iter().map(|buffer| buffer.expect("each has one")).collect())
    }
}

/// A kernel with the buffers of its operands.
pub(super) fn command(buffers: &[Buffer], (dispatch, regions): &(Dispatch, Vec<Region>), work: u64) -> Command {
    Command { dispatch: dispatch.clone(), slices: regions.iter().map(|region| slice(buffers, *region)).collect(), work }
}

/// A region of the plan on the device.
pub(super) fn slice(buffers: &[Buffer], region: Region) -> Slice {
    let (offset, size) = (region.offset as u64 * 4, region.words() as u64 * 4);
    Slice { buffer: buffers[region.buffer].clone(), offset, size }
}
