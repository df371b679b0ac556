//! SASNet.
pub mod error;
pub mod gpu;
pub mod kernel;
pub mod tensor;
