//! SASNet.
pub mod error;
pub mod kernel;
pub mod tensor;
