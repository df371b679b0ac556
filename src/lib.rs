//! SASNet.
pub mod error;
pub mod file;
pub mod geometry;
pub mod image;
pub mod metrics;
pub mod tensor;
pub mod train;
