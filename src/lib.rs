//! SASNet.
pub mod error;
pub mod exec;
pub mod file;
pub mod geometry;
pub mod gpu;
pub mod graph;
pub mod image;
pub mod kernel;
pub mod metrics;
pub mod net;
pub mod ops;
pub mod plan;
pub mod smooth;
pub mod tensor;
pub mod train;
pub mod weights;

pub use error::{Error, Result};
pub use wgpu;
