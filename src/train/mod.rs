//! Training.
pub mod data;
pub mod pairs;
mod rng;
