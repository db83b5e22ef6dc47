//! Routers alone, without sessions: one module per hazard.

mod changing;
mod loops;
mod mesh;
mod prefixes;
mod proofs;
mod stories;
