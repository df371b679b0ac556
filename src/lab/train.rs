//! Training: the step, checkpoints, the run, and growing what was trained.

pub mod checkpoint;
pub mod grow;
pub mod report;
pub mod run;
pub mod step;
