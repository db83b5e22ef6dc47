//! Routers alone, without sessions: one module per hazard.

mod loops;
mod mesh;
