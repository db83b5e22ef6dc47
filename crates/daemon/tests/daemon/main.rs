//! Daemons on loopback, with real sockets and threads: one module per hazard.

mod admission;
mod batches;
mod config;
mod control;
mod forwards;
mod healing;
mod inner;
mod metrics;
mod namespaces;
mod nat;
mod observing;
mod queues;
mod relaying;
mod resolving;
mod shutdown;
mod super_packets;
mod support;
mod taps;
mod tun;
mod workers;
