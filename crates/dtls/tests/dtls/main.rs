//! The dtls crate as a whole, one module per hazard. Time is virtual: see `vclock`.

mod association;
mod chance;
mod cookie;
mod direct;
mod elsewhere;
mod error_queue;
mod garbage;
mod handshake;
mod hostile;
mod interference;
mod keys;
mod late;
mod limits;
mod loss;
mod network;
mod raw_peer;
mod rekey;
mod renegotiation;
mod resumption;
mod signatures;
mod simultaneous;
mod sizes;
mod support;
mod vclock;
