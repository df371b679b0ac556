//! Training: the step, checkpoints, the run, processes that train together, and growing what was trained.

pub mod checkpoint;
pub mod group;
pub mod grow;
pub mod report;
pub mod run;
pub mod step;
mod together;
