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

/// The lock of a verdict; `None` when the datagram was accepted or killed the session.
fn lock_of(verdict: Verdict) -> Option<Lock> {
    match verdict {
        Verdict::Dropped(lock) => Some(lock),
        Verdict::Accepted | Verdict::Challenged | Verdict::Killed => None,
    }
}

fn lock_name(lock: Option<Lock>) -> String {
    lock.map_or("none", Lock::name).to_owned()
}

/// The words of a rung that do not depend on the run.
struct Script {
    label: &'static str,
    setup: &'static str,
    meaning: &'static str,
    clause: &'static str,
    /// What is claimed: the lock, `None` for "accepted".
    lock: Option<Lock>,
    a_b_alive: bool,
}

/// What was seen in the run.
struct Seen {
    sent: SentDatagram,
    observed: String,
    lock: Option<Lock>,
    evidence: Vec<String>,
    follow_up: Option<FollowUp>,
    a_b_alive: bool,
    /// What else was claimed and came true, or not.
    rest_holds: bool,
}

impl Script {
    fn report(self, seen: Seen) -> Rung {
        let holds = seen.lock == self.lock && seen.a_b_alive == self.a_b_alive && seen.rest_holds;
        Rung {
            label: self.label.to_owned(),
            setup: self.setup.to_owned(),
            sent: seen.sent,
            observed: seen.observed,
            lock: lock_name(seen.lock),
            evidence: seen.evidence,
            expected: Expected { lock: lock_name(self.lock), a_b_alive: self.a_b_alive },
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
