//! Nodes as a whole, in memory: one module per hazard. Time is virtual: see `vclock`.

mod liveness;
mod support;
mod triangle;
mod vclock;
