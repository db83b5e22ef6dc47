//! One function per rung. Each makes its set-up, sends one datagram, and reports what was seen.

pub(crate) mod demux;
pub(crate) mod kernel;
pub(crate) mod old_note;
pub(crate) mod own_session;
pub(crate) mod records;
pub(crate) mod stolen_keys;

use peerbound_dtls::Record;
use peerbound_node::{Lock, Verdict};

use crate::cast::Who;
use crate::report::{Expected, FollowUp, Rung, SentDatagram};
use crate::rig::{Rig, RigError};

/// What C says to A.
const REPLY: &[u8] = b"Yes, A: directly.";

/// Frames that put one record number well ahead of another: less than the replay window is wide.
const LEAD: usize = 24;

/// How a datagram ended: what is claimed of it before, and what is seen of it after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Lock(Lock),
    Accepted,
    Killed,
    /// Nothing that could be observed.
    Unknown,
}

impl End {
    fn name(self) -> &'static str {
        match self {
            Self::Lock(lock) => lock.name(),
            Self::Accepted => "none",
            Self::Killed => "killed",
            Self::Unknown => "unknown",
        }
    }
}

impl From<Verdict> for End {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Dropped(lock) => Self::Lock(lock),
            Verdict::Accepted => Self::Accepted,
            Verdict::Killed => Self::Killed,
            Verdict::Challenged => Self::Unknown,
        }
    }
}

/// The words of a rung that do not depend on the run.
struct Script {
    label: &'static str,
    setup: &'static str,
    meaning: &'static str,
    clause: &'static str,
    /// What is claimed.
    end: End,
    a_b_alive: bool,
}

/// What was seen in the run.
struct Seen {
    sent: SentDatagram,
    observed: String,
    end: End,
    evidence: Vec<String>,
    follow_up: Option<FollowUp>,
    a_b_alive: bool,
    /// What else was claimed and came true, or not.
    rest_holds: bool,
}

impl Script {
    fn report(self, seen: Seen) -> Rung {
        let holds = seen.end == self.end && seen.a_b_alive == self.a_b_alive && seen.rest_holds;
        Rung {
            label: self.label.to_owned(),
            setup: self.setup.to_owned(),
            sent: seen.sent,
            observed: seen.observed,
            lock: seen.end.name().to_owned(),
            evidence: seen.evidence,
            expected: Expected { lock: self.end.name().to_owned(), a_b_alive: self.a_b_alive },
            follow_up: seen.follow_up,
            a_b_alive: seen.a_b_alive,
            meaning: self.meaning.to_owned(),
            clause: self.clause.to_owned(),
            holds,
        }
    }
}

/// Describes a datagram, with what the oracle says about it.
fn describe(rig: &Rig<'_>, what: &str, from: Who, datagram: &[u8]) -> Result<SentDatagram, RigError> {
    Ok(SentDatagram {
        what: what.to_owned(),
        source: rig.station(from).address.to_string(),
        destination: rig.station(Who::A).address.to_string(),
        bytes: datagram.len(),
        record: record_number(datagram),
        is_protected: epoch_one_number(datagram).is_some(),
        sealed_by: rig.sealed_by(datagram)?,
    })
}

fn record_number(datagram: &[u8]) -> Option<u64> {
    Record::split(datagram).ok().map(|(record, _)| record.header.sequence)
}

/// Whether the oracle named the session that C has with B.
fn is_sealed_by_c(sent: &SentDatagram) -> bool {
    sent.sealed_by.as_deref() == Some("session B–C, direction C→B")
}

/// The newest record number that A has accepted from B.
fn newest_from_b(rig: &Rig<'_>) -> u64 {
    let b = rig.station(Who::B).address;
    let accepted =
        rig.station(Who::A).arrivals.iter().filter(|a| a.from == b && a.verdict == Verdict::Accepted);
    accepted.filter_map(|arrival| epoch_one_number(&arrival.datagram)).max().unwrap_or(0)
}

fn epoch_one_number(datagram: &[u8]) -> Option<u64> {
    let (record, _) = Record::split(datagram).ok()?;
    (record.header.epoch == 1).then_some(record.header.sequence)
}

/// How often A's node counted this discard for the session at B's address.
fn discarded(rig: &Rig<'_>, discard: peerbound_dtls::Discard) -> u64 {
    rig.station(Who::A).node.counters().records_discarded.get(discard)
}

#[cfg(test)]
mod tests {
    use peerbound_node::Demux;

    use super::*;
    use crate::cast::Cast;
    use crate::rig::{Plan, SocketMode};
    use crate::tape::Tape;

    #[test]
    fn without_the_kernels_lock_rung_0_does_not_hold() {
        let cast = Cast::of_nodes().unwrap();

        let rung = kernel::with_socket(&cast, &mut Tape::default(), SocketMode::Open).unwrap();

        assert!(!rung.holds, "{rung:#?}");
        assert_eq!(rung.lock, "unknown");
    }

    #[test]
    fn with_a_promiscuous_demultiplexer_rung_1_does_not_hold() {
        let cast = Cast::of_nodes().unwrap();
        let plan = Plan { a_demux: Demux::EverySession, ..Plan::CHAIN };

        let rung = demux::with_plan(&cast, &mut Tape::default(), plan).unwrap();

        assert!(!rung.holds, "{rung:#?}");
        assert_ne!(rung.lock, "demux");
    }

    #[test]
    fn with_an_aead_suite_the_control_does_not_kill() {
        let cast = Cast::of_nodes().unwrap();

        let rung = old_note::one_wrong_record(&cast, &mut Tape::default()).unwrap();

        assert!(!rung.holds && rung.a_b_alive, "{rung:#?}");
        assert_eq!(rung.lock, "record-auth");
    }
}
