//! Routers alone, without sessions: one module per hazard.

mod loops;
mod mesh;
mod prefixes;
mod proofs;
mod stories;
