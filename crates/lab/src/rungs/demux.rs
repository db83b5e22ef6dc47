//! Rung 1: A's socket takes datagrams from anyone, and the demultiplexer finds no session for C.

use peerbound_node::{DatagramDrop, Lock};

use crate::cast::{Cast, Who};
use crate::report::Rung;
use crate::rig::{Plan, Rig, RigError};
use crate::rungs::{End, REPLY, Script, Seen, describe, is_sealed_by_c};
use crate::tape::Tape;

pub(crate) fn strict(cast: &Cast, tape: &mut Tape) -> Result<Rung, RigError> {
    with_plan(cast, tape, Plan::CHAIN)
}

/// The experiment on any set-up, so that a test can take the lock away.
pub(crate) fn with_plan(cast: &Cast, tape: &mut Tape, plan: Plan) -> Result<Rung, RigError> {
    let script = Script {
        label: "1",
        setup: "A's socket takes datagrams from anyone; sessions are found by source address",
        meaning: "An association is found by host and port. C's address has none at A, so there is nothing to open the record with.",
        clause: "RFC 6347, 4.1.1",
        end: End::Lock(Lock::Demux),
        a_b_alive: true,
    };
    let mut rig = Rig::up(cast, plan)?;
    let reply = rig.seal(Who::C, Who::A, true, REPLY)?;
    let sent = describe(&rig, "its reply, sealed for B, straight to A", Who::C, &reply)?;
    let strays = |rig: &Rig<'_>| {
        let counters = rig.station(Who::A).node.counters();
        counters.datagrams_dropped.get(&DatagramDrop::NoSession).copied().unwrap_or(0)
    };
    let before = strays(&rig);

    let verdict = rig.deliver(Who::C, Who::A, &reply, "rung 1: straight to A, strict demultiplexer")?;

    let counted = strays(&rig) - before;
    let evidence = vec![
        format!("A's node: {verdict}"),
        format!("A's counter `{}`: +{counted}", DatagramDrop::NoSession.name()),
    ];
    let a_b_alive = rig.a_b_is_alive();
    let rest_holds = is_sealed_by_c(&sent) && counted == 1;
    tape.append(rig.finish());
    let (observed, end) = (verdict.to_string(), End::from(verdict));
    Ok(script.report(Seen { sent, observed, end, evidence, follow_up: None, a_b_alive, rest_holds }))
}
