//! Faults that are addressed: which datagram, and what becomes of it.

use std::time::Duration;

use peerbound_dtls::ContentType;

use crate::scenario::words::Word;
use crate::trace::HostIndex;

/// The way from one host to another, by the addresses in the datagrams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path {
    /// Whose address they come from.
    pub from: HostIndex,
    /// Whose address they go to.
    pub to: HostIndex,
}

/// One way or both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Course {
    /// `A>B`.
    OneWay(Path),
    /// `A-B`.
    BothWays(Path),
}

impl Course {
    /// Returns whether datagrams on `path` are meant.
    #[must_use]
    pub fn covers(self, path: Path) -> bool {
        match self {
            Self::OneWay(way) => way == path,
            Self::BothWays(way) => way == path || (way.to, way.from) == (path.from, path.to),
        }
    }
}

/// What happens to some datagrams on a path.
#[derive(Debug, Clone, PartialEq)]
pub struct FaultPlan {
    /// Where.
    pub on: Course,
    /// To which.
    pub which: Which,
    /// What.
    pub action: FaultAction,
}

/// Picks datagrams: those of a pattern, one of them or all, within a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Which {
    /// What they look like.
    pub pattern: Pattern,
    /// The how-manieth of these, from 1; `None` is every one.
    pub nth: Option<u32>,
    /// Not before this time of the run.
    pub from: Duration,
    /// Not from this time on.
    pub until: Option<Duration>,
}

/// What a datagram looks like on the wire; a key that is missing fits all. A datagram of several
/// records or messages fits if one of them does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pattern {
    /// A handshake message in it. A `Finished` is known by its place: a protected handshake record.
    pub handshake: Option<HandshakeMessage>,
    /// The type of a record in it.
    pub record: Option<ContentType>,
    /// The epoch of that record.
    pub epoch: Option<u16>,
}

/// What becomes of a datagram that a fault fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultAction {
    /// It is lost.
    Drop,
    /// It arrives twice.
    Duplicate,
    /// It takes longer by this.
    Delay(Duration),
    /// One bit of its first record's body is turned over: from the front, or with a negative number from
    /// the end (-1 is the last).
    FlipBit(i64),
    /// The next one on the path overtakes it.
    Reorder,
}

/// A message of the handshake (RFC 5246, 7.4; RFC 6347, 4.3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum HandshakeMessage {
    /// 0.
    HelloRequest,
    /// 1.
    ClientHello,
    /// 2.
    ServerHello,
    /// 3.
    HelloVerifyRequest,
    /// 11.
    Certificate,
    /// 12.
    ServerKeyExchange,
    /// 13.
    CertificateRequest,
    /// 14.
    ServerHelloDone,
    /// 15.
    CertificateVerify,
    /// 16.
    ClientKeyExchange,
    /// 20.
    Finished,
}

impl HandshakeMessage {
    /// Returns its number on the wire.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::HelloRequest => 0,
            Self::ClientHello => 1,
            Self::ServerHello => 2,
            Self::HelloVerifyRequest => 3,
            Self::Certificate => 11,
            Self::ServerKeyExchange => 12,
            Self::CertificateRequest => 13,
            Self::ServerHelloDone => 14,
            Self::CertificateVerify => 15,
            Self::ClientKeyExchange => 16,
            Self::Finished => 20,
        }
    }
}

impl Word for HandshakeMessage {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("HelloRequest", Self::HelloRequest),
        ("ClientHello", Self::ClientHello),
        ("ServerHello", Self::ServerHello),
        ("HelloVerifyRequest", Self::HelloVerifyRequest),
        ("Certificate", Self::Certificate),
        ("ServerKeyExchange", Self::ServerKeyExchange),
        ("CertificateRequest", Self::CertificateRequest),
        ("ServerHelloDone", Self::ServerHelloDone),
        ("CertificateVerify", Self::CertificateVerify),
        ("ClientKeyExchange", Self::ClientKeyExchange),
        ("Finished", Self::Finished),
    ];
}

impl Word for ContentType {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("change-cipher-spec", Self::ChangeCipherSpec),
        ("alert", Self::Alert),
        ("handshake", Self::Handshake),
        ("application-data", Self::ApplicationData),
    ];
}
