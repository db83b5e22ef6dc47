//! What a session is started with: its role, its options, and perhaps an earlier session to resume.

use std::fmt;
use std::time::Duration;

use openssl::ssl::SslSession;

use crate::admission::Admission;
use crate::direct::RecordLayer;
use crate::gate::{GateMode, ReplayMirror};

/// The datagram size that fits an Ethernet path with room for tunnels, in bytes of UDP payload.
pub const MTU_DEFAULT: u16 = 1400;

/// The first retransmission timeout of a node. OpenSSL's own default of 1 s is made for wide-area paths
/// (RFC 6347, 4.2.4.1); neighbours are near, and a spurious copy costs one datagram.
pub const FIRST_TIMEOUT_DEFAULT: Duration = Duration::from_millis(250);

/// Which side of the handshake we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// We sent the ClientHello.
    Client,
    /// We answered it.
    Server,
}

/// How often a ClientHello that nobody answers is sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Repeats {
    /// After waits that double, as every other flight (RFC 6347, 4.2.4.1).
    #[default]
    Doubling,
    /// Every [`SessionOptions::first_timeout`], until something is heard: whoever comes up at the other
    /// end is greeted within one of these. A hello is 200 bytes, and carries no load to speak of.
    Steady,
}

/// What one session may differ in from its siblings.
#[derive(Debug, Clone)]
pub struct SessionOptions {
    /// The largest datagram to send, in bytes of UDP payload.
    pub mtu: u16,
    /// The largest datagram of a handshake, where that is smaller: nobody knows the path yet when it begins.
    pub handshake_mtu: Option<u16>,
    /// How many records a late one may be behind the newest and still be opened, where that is more than
    /// the 64 of OpenSSL's window; rounded up to a multiple of 64. Of no effect on what is sent.
    pub late_records: u64,
    /// Whom to admit.
    pub admission: Admission,
    /// Whether the gate stands before OpenSSL.
    pub gate: GateMode,
    /// Whether replays are known before OpenSSL sees them.
    pub replay_mirror: ReplayMirror,
    /// Who protects the records once the session is established.
    pub record_layer: RecordLayer,
    /// How long a flight waits for its answer before it is sent again; doubles up to a minute.
    pub first_timeout: Duration,
    /// Whether that goes for a ClientHello that nobody answers.
    pub repeats: Repeats,
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self {
            mtu: MTU_DEFAULT,
            handshake_mtu: None,
            late_records: 0,
            admission: Admission::AnyTrusted,
            gate: GateMode::On,
            replay_mirror: ReplayMirror::On,
            record_layer: RecordLayer::default(),
            first_timeout: FIRST_TIMEOUT_DEFAULT,
            repeats: Repeats::Doubling,
        }
    }
}

/// What a client keeps of a session in order to resume it.
#[derive(Clone)]
pub struct ResumableSession(pub(crate) SslSession);

impl fmt::Debug for ResumableSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResumableSession(..)")
    }
}
