//! Whole runs on the simulator: what the judge finds, and what he must not miss.

mod ladder;
mod support;
