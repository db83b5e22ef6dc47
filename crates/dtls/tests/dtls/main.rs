//! The dtls crate as a whole, one module per hazard. Time is virtual: see `vclock`.

mod chance;
mod error_queue;
mod handshake;
mod loss;
mod network;
mod raw_peer;
mod resumption;
mod sizes;
mod support;
mod vclock;
