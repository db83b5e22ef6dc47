//! A world in one thread and in virtual time, in which real nodes with real OpenSSL sessions live:
//! links, NATs, the sockets of hosts, and an attacker. It models the world and nothing of the node.
//!
//! The same seed gives the same world, byte for byte, in every process: [`hooks`] put stock OpenSSL
//! under a virtual clock and a seeded stream of chance, and a canary refuses to run where they are not
//! in force. A [`World`] is driven by [`World::step`] and tells what happened by [`Observation`]s.
#![deny(unsafe_code)]
#![warn(clippy::unwrap_used)]

mod chance;
mod conditions;
mod fault;
mod flight;
mod handshake;
pub mod hooks;
mod host;
mod ids;
mod matching;
mod nat;
mod observation;
mod path;
mod queue;
#[expect(unsafe_code, reason = "OpenSSL's random method is C; every block says why it is sound")]
mod random;
mod socket;
mod stream;
mod tap;
mod time;
#[expect(unsafe_code, reason = "C symbols can be defined in no other way; every block says why it is sound")]
mod vclock;
mod world;

pub use conditions::{Bursts, Conditions, Directions, MTU_UNLIMITED, Outage, TooBig};
pub use fault::{Fault, FaultAction};
pub use handshake::{HandshakeType, handshake_fragments, handshake_messages};
pub use hooks::{HookError, START_UNIX_SECONDS};
pub use host::Power;
pub use ids::{DatagramId, FaultId, HostId, NatId, SocketId, TapId};
pub use matching::{Content, DatagramMatch, PathMatch};
pub use nat::{Dependence, Hairpin, NatConfig};
pub use observation::{Loss, Observation, Observe, Observed, SocketError, Way};
pub use path::{HELD_AT_MOST, Path, Transit};
pub use socket::BindError;
pub use tap::{Captured, Rewrite, Tap, TapAction};
pub use time::VirtualTime;
pub use world::attacker::{Injection, Stand};
pub use world::{World, WorldConfig};
