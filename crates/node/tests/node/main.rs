//! Nodes as a whole, in memory: one module per hazard. Time is virtual: see `vclock`.

mod allocations;
mod chaos;
mod conservation;
mod elsewhere;
mod facts;
mod healing;
mod hostile;
mod inner;
mod liveness;
mod loss;
mod mtu;
mod queues;
mod relaying;
mod routing;
mod strays;
mod support;
mod trace;
mod triangle;
#[path = "../../../dtls/tests/dtls/vclock.rs"]
mod vclock;
