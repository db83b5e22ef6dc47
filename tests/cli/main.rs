//! The command line as a whole program: what it answers to wrong requests, what it writes, how it
//! ends. One module per hazard.

mod asking;
#[cfg(unix)]
mod enrolment;
mod folder;
mod json;
mod node_commands;
mod packaging;
mod passphrases;
mod pinned;
mod pipes;
mod pki_files;
#[cfg(unix)]
mod pki_lifecycle;
mod proofs;
mod renewed_authority;
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
