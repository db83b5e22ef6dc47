//! Experiments on the peer-binding of DTLS. What is reported was observed in the run that reports
//! it: by counters, by the key oracle, by the error of a socket; never by the script.
#![forbid(unsafe_code)]
#![warn(clippy::unwrap_used)]

mod backend;
mod cast;
mod demo;
pub mod experiment;
mod hexadecimal;
mod ip_packet;
pub mod judge;
mod ladder;
mod library;
mod pcapng;
pub mod prove;
mod relay_run;
mod report;
mod rig;
pub mod run;
mod rungs;
pub mod scenario;
pub mod shrink;
pub mod sweep;
mod tape;
pub mod topology;
pub mod trace;
mod workers;

#[cfg(target_os = "linux")]
pub use backend::namespace::{Namespace, NamespaceError};
pub use cast::{Cast, CastError};
pub use demo::{Demo, run_demo};
pub use ip_packet::IpPacketError;
pub use ladder::LabError;
pub use library::{LibraryEntry, UnknownScenario, library};
pub use pcapng::{Capture, CaptureError, CapturedFrame, CapturedPacket, InterfaceIndex};
pub use report::{DemoReport, Expected, FollowUp, Hop, NodeReport, RelayReport, Rung, SentDatagram, Trip};
pub use rig::RigError;
pub use tape::{Tape, Taped};
pub use workers::{run_all, workers_of_this_machine};
