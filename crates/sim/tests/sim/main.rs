//! Worlds as a whole, one module per hazard.

mod determinism;
mod faults;
mod support;
mod triangle;
