//! Whole nodes as processes on hosts of their own: network namespaces that each test makes itself, with virtual
//! wires in between that are cut, slowed and mended under traffic. What is measured is printed; what is asserted
//! holds on a machine that stalls. As root; elsewhere each test says that it was skipped, and why.
//! PEERBOUND_REQUIRE_NETNS=1 demands them.
#![cfg(target_os = "linux")]

mod chain;
mod changes;
mod crashes;
mod flow;
mod host;
mod losses;
mod mesh;
mod packets;
mod privileges;
mod restarts;
mod ring;
mod roaming;
mod routes;
mod seen;
mod services;
mod sizes;
mod super_packets;
#[expect(dead_code, reason = "these tests need a part of what all tests of processes share")]
#[path = "../support/mod.rs"]
mod support;
mod talk;
mod threads;
mod topologies;
mod wire;
