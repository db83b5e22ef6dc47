//! Rung 6: C does what DTLS asks for and shakes hands with A itself.

use peerbound_dtls::{CloseReason, DownReason, Refusal};
use peerbound_node::{Event, FrameAction, Lock};

use crate::cast::{Cast, Who};
use crate::report::{Rung, SentDatagram};
use crate::rig::{Plan, Rig, RigError};
use crate::rungs::{End, REPLY, Script, Seen, record_number};
use crate::tape::Tape;

pub(crate) fn not_admitted(cast: &Cast, tape: &mut Tape) -> Result<Rung, RigError> {
    let script = Script {
        label: "6a",
        setup: "C shakes hands with A itself; A admits only B",
        meaning: "C has a certificate of the right authority, and it is not one of those A admits: authentication is not admission.",
        clause: "RFC 5246, 7.4.6 and 7.4.8 (the client's certificate and its proof)",
        end: End::Lock(Lock::Identity),
        a_b_alive: true,
    };
    let mut rig = Rig::up(cast, Plan { c_dials_a: true, ..Plan::CHAIN })?;

    rig.run_until("A has judged C's certificate", |rig| refusal(rig).is_some())?;

    let refused = refusal(&rig);
    let counters = rig.station(Who::A).node.counters();
    let is_in = rig.is_usable(Who::C, Who::A);
    let evidence = vec![
        format!("A's node: {}", refused.as_ref().map_or_else(String::new, ToString::to_string)),
        format!("A's counter `peers-refused`: +{}", counters.peers_refused),
        format!("C has a session with A: {is_in}"),
    ];
    let is_c = matches!(&refused, Some(Refusal::NotAdmitted { name, .. }) if name == "C");
    let (end, observed) = if is_c && !is_in {
        (End::Lock(Lock::Identity), "refused at identity".to_owned())
    } else {
        (End::Unknown, "not refused as C".to_owned())
    };
    let rest_holds = counters.peers_refused >= 1;
    let sent = handshake_of(&rig);
    let a_b_alive = rig.a_b_is_alive();
    tape.append(rig.finish());
    Ok(script.report(Seen { sent, observed, end, evidence, follow_up: None, a_b_alive, rest_holds }))
}

pub(crate) fn admitted(cast: &Cast, tape: &mut Tape) -> Result<Rung, RigError> {
    let script = Script {
        label: "6b",
        setup: "C shakes hands with A itself; A admits C, too",
        meaning: "The direct way exists, as C, in a session of A's own with C. DTLS binds the peer; it does not forbid the path.",
        clause: "RFC 6347, 4.2 (the handshake) and 4.1.1 (an association for each host and port)",
        end: End::Accepted,
        a_b_alive: true,
    };
    let mut rig = Rig::up(cast, Plan { c_dials_a: true, a_admits_c: true, ..Plan::CHAIN })?;
    rig.run_until("A and C are neighbours", |rig| {
        rig.is_usable(Who::A, Who::C) && rig.is_usable(Who::C, Who::A)
    })?;
    let (a, c) = (&rig.station(Who::A).node, cast.id(Who::C));
    let name = a.neighbours().into_iter().find(|n| n.id == c).map(|n| n.name);
    let session_with_c = a.session_secrets(c).map(|s| s.client_random);
    let session_with_b = a.session_secrets(cast.id(Who::B)).map(|s| s.client_random);
    let is_new = session_with_c.is_some() && session_with_c != session_with_b;

    let events_before = rig.station(Who::A).events.len();
    let received = send_over_own_session(&mut rig, events_before)?;

    let suite = rig.station(Who::A).events.iter().find_map(|(_, event)| match event {
        Event::NeighbourUp { id, peer, .. } if *id == c => Some((peer.name.clone(), peer.suite.name)),
        _ => None,
    });
    let proved = suite.as_ref().is_some_and(|(proved, _)| proved == "C");
    let evidence = vec![
        format!(
            "A's node: neighbour \"{}\" proved to be \"{}\"",
            name.unwrap_or_default(),
            suite.map_or_else(String::new, |s| s.0)
        ),
        format!("the session is another than A–B: {is_new}"),
        format!("A's application received C's reply: {received}"),
    ];
    let ok = proved && is_new && received;
    let (end, observed) = if ok {
        (End::Accepted, "accepted as C, in a new session".to_owned())
    } else {
        (End::Unknown, "not accepted as C".to_owned())
    };
    let sent = handshake_of(&rig);
    let a_b_alive = rig.a_b_is_alive();
    tape.append(rig.finish());
    Ok(script.report(Seen { sent, observed, end, evidence, follow_up: None, a_b_alive, rest_holds: ok }))
}

/// Sends C's reply, which takes the session with A now that A is a neighbour.
fn send_over_own_session(rig: &mut Rig<'_>, events_before: usize) -> Result<bool, RigError> {
    rig.send(Who::C, Who::A, false, REPLY)?;
    let c = rig.cast.id(Who::C);
    let arrived = |rig: &Rig<'_>| {
        rig.station(Who::A).events[events_before..].iter().any(|(_, event)| {
            matches!(event, Event::Delivered { header, payload } if header.source == c && payload == REPLY)
        })
    };
    rig.run_until("C's reply reaches A's application", arrived)?;
    let came_from_c = rig.station(Who::A).events[events_before..].iter().any(|(_, event)| {
        matches!(event, Event::Frame(seen) if seen.from == Some(c) && seen.action == FrameAction::Delivered)
    });
    Ok(arrived(rig) && came_from_c)
}

fn refusal(rig: &Rig<'_>) -> Option<Refusal> {
    let c = rig.station(Who::C).address;
    rig.station(Who::A).events.iter().find_map(|(_, event)| match event {
        Event::StrangerFailed { address, reason: DownReason::Closed(CloseReason::Refused(refusal)) }
            if *address == c =>
        {
            Some(refusal.clone())
        }
        _ => None,
    })
}

/// Describes C's first hello to A.
fn handshake_of(rig: &Rig<'_>) -> SentDatagram {
    let c = rig.station(Who::C).address;
    let first = rig.station(Who::A).arrivals.iter().find(|arrival| arrival.from == c);
    SentDatagram {
        what: "a ClientHello of its own".to_owned(),
        source: c.to_string(),
        destination: rig.station(Who::A).address.to_string(),
        bytes: first.map_or(0, |arrival| arrival.datagram.len()),
        record: first.and_then(|arrival| record_number(&arrival.datagram)),
        is_protected: false,
        sealed_by: None,
    }
}
