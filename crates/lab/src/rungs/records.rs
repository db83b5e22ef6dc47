//! Rungs 2 to 4: C's record comes before A's session with B, and the record itself gives it away.

use peerbound_dtls::{Discard, RECORD_HEADER_BYTES};
use peerbound_node::{Demux, Lock};

use crate::cast::{Cast, Who};
use crate::report::Rung;
use crate::rig::{Plan, Rig, RigError};
use crate::rungs::{
    End, LEAD, REPLY, Script, Seen, describe, discarded, epoch_one_number, is_sealed_by_c, newest_from_b,
};
use crate::tape::Tape;

pub(crate) fn every_session_fresh_number(cast: &Cast, tape: &mut Tape) -> Result<Rung, RigError> {
    let script = Script {
        label: "2a",
        setup: "A's demultiplexer offers a stray datagram to every session it has",
        meaning: "A finds a session to try, that with B, but its keys did not seal this record: the AEAD tag is wrong.",
        clause: "RFC 6347, 4.1.2.7 (invalid records are discarded silently)",
        end: End::Lock(Lock::RecordAuth),
        a_b_alive: true,
    };
    let plan = Plan { a_demux: Demux::EverySession, ..Plan::CHAIN };
    offer(cast, tape, script, plan, Who::C, Number::AheadOfB)
}

pub(crate) fn every_session_seen_number(cast: &Cast, tape: &mut Tape) -> Result<Rung, RigError> {
    let script = Script {
        label: "2b",
        setup: "the same, and the record's number is one that A has already had from B",
        meaning: "Two sessions count their records independently. A took C's number for a repetition before it looked at the tag.",
        clause: "RFC 6347, 4.1.2.6 (anti-replay)",
        end: End::Lock(Lock::Replay),
        a_b_alive: true,
    };
    let plan = Plan { a_demux: Demux::EverySession, ..Plan::CHAIN };
    offer(cast, tape, script, plan, Who::C, Number::SeenFromB)
}

pub(crate) fn from_b_address(cast: &Cast, tape: &mut Tape) -> Result<Rung, RigError> {
    let script = Script {
        label: "3",
        setup: "the datagram comes from B's own address and port (sent through B's socket, as a spoofer would)",
        meaning: "Address and port are those of the session, and still the tag is wrong: the address is not the lock, the key is.",
        clause: "RFC 6347, 4.1.2.7",
        end: End::Lock(Lock::RecordAuth),
        a_b_alive: true,
    };
    offer(cast, tape, script, Plan::CHAIN, Who::B, Number::AheadOfB)
}

pub(crate) fn rewritten_number(cast: &Cast, tape: &mut Tape) -> Result<Rung, RigError> {
    let script = Script {
        label: "4",
        setup: "from B's address, and the record number is rewritten to the next that A expects from B",
        meaning: "The number is part of what the tag authenticates. Rewriting it makes a perfect header around a record that still does not verify.",
        clause: "RFC 6347, 4.1.2.1 (epoch and sequence number are in the MAC); RFC 5246, 6.2.3.3",
        end: End::Lock(Lock::RecordAuth),
        a_b_alive: true,
    };
    offer(cast, tape, script, Plan::CHAIN, Who::B, Number::Rewritten)
}

/// Which record number C's datagram has when it is sent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Number {
    /// Higher than any that A has had from B.
    AheadOfB,
    /// One that A has had from B.
    SeenFromB,
    /// C's record with the number overwritten.
    Rewritten,
}

fn offer(
    cast: &Cast,
    tape: &mut Tape,
    script: Script,
    plan: Plan,
    through: Who,
    number: Number,
) -> Result<Rung, RigError> {
    let mut rig = Rig::up(cast, plan)?;
    let (ahead, behind) = match number {
        Number::AheadOfB | Number::Rewritten => (Who::C, None),
        Number::SeenFromB => (Who::B, Some(Who::A)),
    };
    for _ in 0..LEAD {
        rig.send(ahead, behind.unwrap_or(Who::B), false, b"one more record")?;
    }
    rig.run_until("the records are taken", |rig| match number {
        Number::AheadOfB | Number::Rewritten => true,
        Number::SeenFromB => newest_from_b(rig) >= LEAD as u64,
    })?;
    let mut datagram = rig.seal(Who::C, Who::A, true, REPLY)?;
    let mut sent = describe(&rig, "its reply, sealed for B, straight to A", through, &datagram)?;
    let was_sealed_by_c = is_sealed_by_c(&sent);
    // Hellos may have arrived since: the number that counts is that of this moment.
    rig.receive(Who::A)?;
    let expected_next = newest_from_b(&rig) + 1;
    if number == Number::Rewritten {
        rewrite_number(&mut datagram, expected_next);
        sent.what = format!(
            "the same record with its number {} rewritten to {expected_next}",
            sent.record.unwrap_or(0)
        );
        sent.record = epoch_one_number(&datagram);
        sent.sealed_by = rig.sealed_by(&datagram)?;
    }
    let discard = match number {
        Number::SeenFromB => Discard::Replay,
        Number::AheadOfB | Number::Rewritten => Discard::BadMac,
    };
    let before = discarded(&rig, discard);

    let comment = format!("rung {}: {}", script.label, script.setup);
    let verdict = rig.deliver(through, Who::A, &datagram, &comment)?;

    let counted = discarded(&rig, discard) - before;
    let evidence = vec![
        format!("A's node: {verdict}"),
        format!(
            "A's counter `{}`: +{counted}; A has had B's records up to {}",
            discard.name(),
            expected_next - 1
        ),
    ];
    let a_b_alive = rig.a_b_is_alive();
    tape.append(rig.finish());
    let (observed, end) = (verdict.to_string(), End::from(verdict));
    let rest_holds = was_sealed_by_c && counted == 1;
    Ok(script.report(Seen { sent, observed, end, evidence, follow_up: None, a_b_alive, rest_holds }))
}

/// Overwrites the 48-bit sequence number in the header of the first record.
fn rewrite_number(datagram: &mut [u8], number: u64) {
    if let Some(header) = datagram.first_chunk_mut::<RECORD_HEADER_BYTES>() {
        header[5..11].copy_from_slice(&number.to_be_bytes()[2..]);
    }
}
