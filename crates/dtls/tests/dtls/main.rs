//! The dtls crate as a whole, one module per hazard. Time is virtual: see `vclock`.

mod handshake;
mod support;
mod vclock;
