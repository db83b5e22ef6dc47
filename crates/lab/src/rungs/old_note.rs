//! The negative control: the old note's suite, CBC with encrypt-then-MAC. One wrong record and the
//! session between A and B is dead.

use peerbound_node::Event;

use crate::cast::{Cast, NOTE_SUITE, Who};
use crate::report::{FollowUp, Rung};
use crate::rig::{Plan, Rig, RigError};
use crate::rungs::{End, LEAD, REPLY, Script, Seen, describe, is_sealed_by_c};
use crate::tape::Tape;

pub(crate) fn one_wrong_record(cast: &Cast, tape: &mut Tape) -> Result<Rung, RigError> {
    let script = Script {
        label: "control",
        setup: "as rung 3, with the old note's suite: ECDHE-RSA-AES256-SHA, CBC with encrypt-then-MAC, DTLS 1.2",
        meaning: "With encrypt-then-MAC OpenSSL answers one record that does not verify with a fatal alert: anyone who can send from B's address ends the session. This is why a node speaks AEAD suites only.",
        clause: "RFC 7366, 3 (a wrong MAC may be fatal), against RFC 6347, 4.1.2.7",
        end: End::Killed,
        a_b_alive: false,
    };
    let mut rig = Rig::up(cast, Plan::CHAIN)?;
    for _ in 0..LEAD {
        rig.send(Who::C, Who::B, false, b"one more record")?;
    }
    let reply = rig.seal(Who::C, Who::A, true, REPLY)?;
    let sent = describe(&rig, "its reply, sealed for B, from B's address", Who::B, &reply)?;
    rig.keep_secrets(Who::A, Who::B);
    let b = rig.cast.id(Who::B);
    let old_session = rig.station(Who::A).node.session_secrets(b).map(|secrets| secrets.client_random);

    let verdict = rig.deliver(Who::B, Who::A, &reply, "control: CBC and encrypt-then-MAC")?;

    let a_b_alive = rig.station(Who::A).node.session_secrets(b).is_some();
    let reason = rig.station(Who::A).events.iter().rev().find_map(|(_, event)| match event {
        Event::NeighbourDown { id, reason } if *id == b => Some(reason.clone()),
        _ => None,
    });
    let suite = rig.station(Who::A).events.iter().find_map(|(_, event)| match event {
        Event::NeighbourUp { peer, .. } => Some(peer.suite.name),
        _ => None,
    });
    let evidence = vec![
        format!("the suite of A–B: {}", suite.unwrap_or("unknown")),
        format!("A's node: {verdict}"),
        format!("A's neighbour B: {}", reason.as_deref().unwrap_or("still up")),
    ];
    rig.run_until("A has dialled B anew", |rig| {
        rig.is_usable(Who::A, Who::B) && rig.is_usable(Who::B, Who::A)
    })?;
    let new_session = rig.station(Who::A).node.session_secrets(b).map(|secrets| secrets.client_random);
    let follow_up = FollowUp {
        what: "A dials B again".to_owned(),
        observed: if new_session == old_session {
            "the same session"
        } else {
            "a new session; the old one is lost"
        }
        .to_owned(),
    };
    let rest_holds = suite == Some(NOTE_SUITE) && is_sealed_by_c(&sent) && new_session != old_session;
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
