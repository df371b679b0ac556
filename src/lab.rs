//! The lab: training, evaluation and measuring, as the command line offers them. For programs that do the same; not a
//! part of what is kept stable.

pub mod bench;
pub mod dataset;
pub mod eval;
pub mod metrics;
pub mod shard;
pub mod sheet;
pub mod table1;
pub mod table2;
pub mod train;
pub mod tune;
