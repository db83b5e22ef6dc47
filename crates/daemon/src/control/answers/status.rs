//! The answer to `status`.

use std::collections::BTreeMap;
use std::net::{Ipv6Addr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::crew::Workforce;
use crate::socket::SocketCounters;

/// The node in one look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusAnswer {
    /// The version of the program.
    pub version: String,
    /// The version of the control protocol.
    pub control_version: u32,
    /// The version of OpenSSL that is in use.
    pub openssl: String,
    /// Our id.
    pub id: String,
    /// Our overlay address.
    pub overlay: Ipv6Addr,
    /// Where we receive.
    pub listens: SocketAddr,
    /// The file that we were started with.
    pub config: String,
    /// The number of our process.
    pub pid: u32,
    /// How long we have been running, in milliseconds.
    pub uptime_ms: u64,
    /// The largest datagram we send, in bytes of UDP payload.
    pub mtu: u16,
    /// Our certificate; nothing where OpenSSL does not show it.
    pub certificate: Option<CertificateAnswer>,
    /// How many neighbours there are.
    pub neighbours: NeighbourCount,
    /// How ways are found.
    pub routing: RoutingAnswer,
    /// The interface of this host into the overlay; nothing where there is none.
    pub interface: Option<InterfaceAnswer>,
    /// The threads that carry data.
    pub workers: WorkersAnswer,
    /// What was counted since the start.
    pub counters: CountersAnswer,
    /// What an operator should look at, a sentence each.
    pub warnings: Vec<String>,
}

/// The threads that carry data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkersAnswer {
    /// Those that can.
    pub threads: usize,
    /// Those that do at this moment.
    pub at_work: usize,
    /// Addresses of neighbours whose datagrams are opened and sealed by others than the thread that decides.
    pub addresses: usize,
    /// Times that one thread could not do it all and others began to help.
    pub shared: u64,
}

/// Our own certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateAnswer {
    /// The common name in it.
    pub name: String,
    /// The common name of who issued it.
    pub issuer: String,
    /// Until when it is good, in seconds since 1970.
    pub expires_unix_seconds: Option<i64>,
}

/// The interface of this host into the overlay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterfaceAnswer {
    /// What it is called.
    pub name: String,
    /// What other nodes announce, and whether this host has a route there.
    pub routes: Vec<HostRouteAnswer>,
}

/// A prefix that others announce.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostRouteAnswer {
    /// The prefix, as `10.7.0.0/16`.
    pub prefix: String,
    /// "set"; "held": set, and gone soon unless somebody announces it again; "refused" or "failed".
    pub state: String,
    /// Why it is refused or has failed.
    pub reason: Option<String>,
}

/// How many neighbours there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NeighbourCount {
    /// Those in the configuration.
    pub configured: usize,
    /// Those whose link carries frames both ways.
    pub up: usize,
}

/// How ways are found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoutingAnswer {
    /// "static" or "dynamic".
    pub mode: String,
    /// "as-came" or "any".
    pub return_path: String,
    /// Routes in the configuration.
    pub static_routes: usize,
    /// Nodes to which there is a learned way.
    pub reachable: usize,
}

/// What was counted since the start; names of reasons are those of the log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountersAnswer {
    /// Datagrams that arrived.
    pub datagrams_received: u64,
    /// Datagrams dropped before a session judged them, or before they were sent, by reason.
    pub datagrams_dropped: BTreeMap<String, u64>,
    /// Records that sessions discarded, by reason.
    pub records_discarded: BTreeMap<String, u64>,
    /// ClientHellos answered with a demand for a cookie.
    pub hellos_challenged: u64,
    /// Peers whose certificate was refused.
    pub peers_refused: u64,
    /// Frames that came out of link sessions.
    pub frames_received: u64,
    /// Frames that were made here.
    pub frames_originated: u64,
    /// Frames that went into link sessions.
    pub frames_sent: u64,
    /// Frames that found their end here.
    pub frames_delivered: u64,
    /// Frames that went no further, by reason.
    pub frames_dropped: BTreeMap<String, u64>,
    /// Whether received + originated = sent + delivered + dropped; anything else is a fault of ours.
    pub is_conserved: bool,
    /// IP packets that went into the overlay.
    pub packets_sent: u64,
    /// IP packets that somebody here took.
    pub packets_delivered: u64,
    /// IP packets that went no further, by reason.
    pub packets_dropped: BTreeMap<String, u64>,
    /// Events that found their queue full.
    pub events_dropped: u64,
    /// What the socket counted.
    pub socket: SocketAnswer,
}

/// What the socket counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SocketAnswer {
    /// Batches received by one call each.
    pub receive_calls: u64,
    /// Batches sent by one call each.
    pub send_calls: u64,
    /// Datagrams from port 0, which cannot be answered.
    pub from_port_zero: u64,
    /// Batches that the kernel refused to send.
    pub send_errors: u64,
}

impl WorkersAnswer {
    pub(crate) fn of(workforce: Workforce) -> Self {
        let Workforce { threads, at_work, addresses, shared } = workforce;
        Self { threads, at_work, addresses, shared }
    }
}

impl SocketAnswer {
    pub(crate) fn of(counters: &SocketCounters) -> Self {
        Self {
            receive_calls: counters.receive_calls,
            send_calls: counters.send_calls,
            from_port_zero: counters.from_port_zero,
            send_errors: counters.send_errors,
        }
    }
}
