//! Training: pairs, generated pictures, batches, the step, checkpoints and the run.

pub mod checkpoint;
pub mod data;
pub mod grow;
pub mod pairs;
pub mod report;
pub mod rng;
pub mod run;
pub mod step;
pub mod synthetic;
