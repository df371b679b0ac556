//! Training: the step, checkpoints, the run, processes that train together, and what is made of trained weights.

pub mod checkpoint;
pub mod group;
pub mod grow;
pub mod mean;
pub mod report;
pub mod run;
pub mod step;
mod together;
