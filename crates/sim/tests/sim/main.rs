//! Worlds as a whole, one module per hazard.

mod determinism;
mod support;
mod triangle;
