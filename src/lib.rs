//! SASNet.
pub mod error;
pub mod exec;
pub mod graph;
pub mod kernel;
pub mod net;
pub mod ops;
pub mod plan;
pub mod tensor;
