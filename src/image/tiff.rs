//! TIFF and BigTIFF: pages of any depth, in several spaces.

mod jpeg;
mod read;
mod rebuilt;
mod write;

pub(super) use read::{read, size};
pub(super) use write::write;
