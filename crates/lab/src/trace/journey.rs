//! The way of one datagram through a trace: where it was sent, and where it ended.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use peerbound_node::Verdict;
use peerbound_wire::Kind;

use crate::trace::carried::{Carried, Leavings};
use crate::trace::words::{contents_of, word_of};
use crate::trace::{DatagramId, Happening, HostIndex, Nanos, SealedBy, Trace, Way};

/// One datagram from its sender to its end.
#[derive(Debug, Clone, PartialEq)]
pub struct Journey<'a> {
    /// Which.
    pub datagram: DatagramId,
    /// The entry that says it was sent.
    pub entry: usize,
    /// When it was sent.
    pub sent_at: Nanos,
    /// By whom.
    pub by: HostIndex,
    /// In which way.
    pub way: Way,
    /// The source address in it.
    pub source: SocketAddr,
    /// The destination address in it.
    pub destination: SocketAddr,
    /// Its payload.
    pub bytes: &'a [u8],
    /// What the scenario calls it.
    pub label: Option<&'a str>,
    /// What it is a copy of.
    pub copy_of: Option<DatagramId>,
    /// Who sealed it.
    pub sealed_by: Option<SealedBy>,
    /// What is in it, as far as can be seen without keys.
    pub contents: String,
    /// The frame in it, where its sender said so.
    pub carries: Option<Carried<'a>>,
    /// Where and how it ended; `None` while it was still on its way.
    pub end: Option<JourneyEnd<'a>>,
}

/// How a journey ended.
#[derive(Debug, Clone, PartialEq)]
pub struct JourneyEnd<'a> {
    /// When.
    pub at: Nanos,
    /// At whom; `None` when the network lost it.
    pub host: Option<HostIndex>,
    /// How.
    pub fate: Fate<'a>,
}

/// The end itself.
#[derive(Debug, Clone, PartialEq)]
pub enum Fate<'a> {
    /// The network lost it, for this reason.
    Lost(&'a str),
    /// The kernel had no socket for it.
    Refused {
        /// Whether an ICMP port unreachable went back.
        icmp: bool,
    },
    /// A node came to a verdict.
    Judged {
        /// The verdict.
        verdict: Verdict,
        /// The counted reason of a drop.
        reason: Option<&'a str>,
        /// The clause that says so.
        clause: &'static str,
    },
    /// An application read it from a plain socket.
    Read(&'a str),
}

impl Fate<'_> {
    /// Returns the one word for it: `accepted`, a lock's name, `lost`, `read`, ...
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Lost(_) => "lost",
            Self::Refused { .. } => "kernel",
            Self::Judged { verdict, .. } => word_of(*verdict),
            Self::Read(_) => "read",
        }
    }
}

impl<'a> Journey<'a> {
    /// Returns what the scenario calls it, or else the message in it, or else what kind of frame that is
    /// where it is no data.
    #[must_use]
    pub fn title(&self) -> Option<&'a str> {
        let of_kind = |frame: Carried<'a>| match frame.header.kind {
            Kind::Data | Kind::InnerHandshake | Kind::Trace => None,
            Kind::Routing => Some("routing"),
            Kind::Error => Some("error"),
            Kind::Ping => Some("ping"),
        };
        self.label.or_else(|| self.carries.and_then(|frame| frame.label.or_else(|| of_kind(frame))))
    }

    /// Returns the one word for its end, or `on its way`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        self.end.as_ref().map_or("on its way", |end| end.fate.word())
    }
}

impl Trace {
    /// Follows every datagram, in the order in which they were sent.
    #[must_use]
    pub fn journeys(&self) -> Vec<Journey<'_>> {
        let mut journeys: Vec<Journey<'_>> = Vec::new();
        let mut places = BTreeMap::new();
        let mut leavings = Leavings::default();
        for (index, entry) in self.entries.iter().enumerate() {
            let (datagram, host, fate) = match &entry.what {
                Happening::Sent {
                    datagram,
                    by,
                    way,
                    source,
                    destination,
                    bytes,
                    label,
                    copy_of,
                    sealed_by,
                } => {
                    places.insert(*datagram, journeys.len());
                    journeys.push(Journey {
                        datagram: *datagram,
                        entry: index,
                        sent_at: entry.at,
                        by: *by,
                        way: *way,
                        source: *source,
                        destination: *destination,
                        bytes,
                        label: label.as_deref(),
                        copy_of: *copy_of,
                        sealed_by: *sealed_by,
                        contents: contents_of(bytes),
                        carries: leavings.take(self, entry),
                        end: None,
                    });
                    continue;
                }
                Happening::Lost { datagram, why } => (datagram, None, Fate::Lost(why)),
                Happening::Refused { datagram, host, icmp } => {
                    (datagram, Some(*host), Fate::Refused { icmp: *icmp })
                }
                Happening::Arrived { datagram, host, verdict, reason, clause, .. } => (
                    datagram,
                    Some(*host),
                    Fate::Judged { verdict: *verdict, reason: reason.as_deref(), clause },
                ),
                Happening::Read { datagram, host, by } => (datagram, Some(*host), Fate::Read(by)),
                Happening::Frame { .. } => {
                    leavings.note(entry);
                    continue;
                }
                Happening::Told { .. }
                | Happening::Event { .. }
                | Happening::Step { .. }
                | Happening::Violation { .. } => continue,
            };
            if let Some(journey) = places.get(datagram).and_then(|place| journeys.get_mut(*place)) {
                journey.end = Some(JourneyEnd { at: entry.at, host, fate });
            }
        }
        journeys
    }
}
