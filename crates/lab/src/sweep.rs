//! Sweeps: one scenario under many seeds and parameters, in parts on many machines, and what comes
//! out of it all. Nothing here runs a scenario; it says which runs there are and counts what they gave.

mod interval;
mod merge;
mod results;
mod seeds;
mod shard;
mod summary;

pub use interval::Rate;
pub use merge::{Insist, MergeError, merge};
pub use results::{
    RUNS_MAX, SWEEP_SCHEMA, SweepFile, SweepFileError, SweepPlan, SweptFailure, SweptRun, scenario_hash,
    write_line,
};
pub use seeds::{SEEDS_MAX, Seeds, SeedsError};
pub use shard::{SHARDS_VARIABLE, Shard, ShardError};
pub use summary::{FailingRun, PointSummary, Spread, Summary};
