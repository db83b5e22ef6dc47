//! Rung 5: C is given the keys of A–B. Its record is accepted, and B pays for it.

use peerbound_dtls::{ContentType, Direction, Role, SealError};
use peerbound_node::{Event, Lock, Verdict};
use peerbound_wire::{Flags, Frame, Header, Kind, PacketId};

use crate::cast::{Cast, Who};
use crate::report::{FollowUp, Rung};
use crate::rig::{FLOW, Plan, Rig, RigError};
use crate::rungs::{End, REPLY, Script, Seen, describe, newest_from_b};
use crate::tape::Tape;

pub(crate) fn shared_keys(cast: &Cast, tape: &mut Tape) -> Result<Rung, RigError> {
    let script = Script {
        label: "5",
        setup: "C is given the keys of A–B and seals as B would, from B's address, with B's next record number",
        meaning: "Only the key opens the lock. But one key in two hands is one counter in two hands: C took B's number, so B's genuine record is dropped as a replay. With a nonce made from the number (ChaCha20-Poly1305) the two records would even share key and nonce, which gives away their contents.",
        clause: "RFC 6347, 4.1.2.6; RFC 7905, 2; RFC 5288, 3 (a nonce must not repeat under a key)",
        end: End::Accepted,
        a_b_alive: true,
    };
    let mut rig = Rig::up(cast, Plan::CHAIN)?;
    rig.receive(Who::A)?;
    let number = newest_from_b(&rig) + 1;
    let forged = seal_as_b(&rig, number)?;
    let sent = describe(&rig, "a record of its own under the keys of A–B", Who::B, &forged)?;
    let events_before = rig.station(Who::A).events.len();

    let verdict = rig.deliver(Who::B, Who::A, &forged, "rung 5: sealed by C with the keys of A–B")?;

    let delivered = rig.station(Who::A).events[events_before..]
        .iter()
        .any(|(_, event)| matches!(event, Event::Delivered { payload, .. } if payload == REPLY));
    let genuine = rig.seal(Who::B, Who::A, false, b"B's own next record")?;
    let genuine_number = super::record_number(&genuine);
    let collision =
        rig.deliver(Who::B, Who::A, &genuine, "rung 5: B's genuine record with the same number")?;

    let evidence = vec![
        format!("A's node: {verdict}"),
        format!("A's application received C's reply: {delivered}"),
        format!("the oracle cannot tell: it names {}", sent.sealed_by.as_deref().unwrap_or("nobody")),
    ];
    let follow_up = FollowUp {
        what: format!("B sends its genuine record {}", genuine_number.unwrap_or(0)),
        observed: collision.to_string(),
    };
    let a_b_alive = rig.a_b_is_alive();
    let rest_holds = verdict == Verdict::Accepted
        && delivered
        && genuine_number == Some(number)
        && collision == Verdict::Dropped(Lock::Replay)
        && sent.sealed_by.as_deref() == Some("session A–B, direction B→A");
    tape.append(rig.finish());
    let (observed, end) = (verdict.to_string(), End::from(verdict));
    Ok(script.report(Seen {
        sent,
        observed,
        end,
        evidence,
        follow_up: Some(follow_up),
        a_b_alive,
        rest_holds,
    }))
}

/// Seals a data frame from C under the write keys that B has towards A.
fn seal_as_b(rig: &Rig<'_>, number: u64) -> Result<Vec<u8>, RigError> {
    let cast = rig.cast;
    let a = &rig.station(Who::A).node;
    let secrets = a.session_secrets(cast.id(Who::B)).ok_or(RigError::Missing("the secrets of A–B"))?;
    let keys = secrets.record_keys()?;
    let from_b = match a.session_role(cast.id(Who::B)) {
        Some(Role::Server) => Direction::ClientToServer,
        Some(Role::Client) | None => Direction::ServerToClient,
    };
    let header = Header {
        flow: FLOW,
        flags: Flags::REPLY,
        packet: PacketId(1_000_000),
        boot_epoch: 1,
        ..Header::new(Kind::Data, cast.id(Who::C), cast.id(Who::A))
    };
    let mut frame = Vec::new();
    Frame { header, payload: REPLY }.encode_into(&mut frame);
    // Not B's own explicit nonce: one that C makes up, so that at least GCM's nonces differ.
    let nonce = *b"C's own!";
    keys.of(from_b).seal(ContentType::ApplicationData, number, nonce, &frame).map_err(|error| match error {
        SealError::Openssl(stack) => RigError::Keys(stack),
        SealError::NotAead | SealError::TooLong { .. } => RigError::Missing("an AEAD suite on A–B"),
    })
}
