//! Regions of a plan on a device.

use crate::gpu::{Buffer, Command, Slice};
use crate::kernel::Dispatch;
use crate::plan::Region;

/// A kernel with the buffers of its operands.
pub(super) fn command(buffers: &[Buffer], (dispatch, regions): &(Dispatch, Vec<Region>), macs: u64) -> Command {
    Command { dispatch: dispatch.clone(), slices: regions.iter().map(|region| slice(buffers, *region)).collect(), macs }
}

/// A region of the plan on the device.
pub(super) fn slice(buffers: &[Buffer], region: Region) -> Slice {
    let (offset, size) = (region.offset as u64 * 4, region.words() as u64 * 4);
    Slice { buffer: buffers[region.buffer].clone(), offset, size }
}
