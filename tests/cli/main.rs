//! The command line as a whole program: what it answers to wrong requests, what it writes, how it
//! ends. One module per hazard.

mod folder;
mod json;
mod node_commands;
mod packaging;
mod passphrases;
mod pipes;
mod pki_files;
mod proofs;
mod runs;
mod scenarios;
#[cfg(unix)]
mod service_manager;
mod shrinking;
#[path = "../support/mod.rs"]
mod support;
mod sweeps;
mod topologies;
mod wrong_files;
mod wrong_requests;
