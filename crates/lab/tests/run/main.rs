//! Whole runs on the simulator: what the judge finds, and what he must not miss.

mod determinism;
mod ending;
mod judge;
mod ladder;
mod library;
mod mutants;
mod plans;
mod properties;
mod record_models;
mod refusals;
mod support;
