//! The demonstration: the way that works, then the ladder, then the negative control.

use std::collections::BTreeSet;

use peerbound_daemon::now;
use peerbound_dtls::openssl_version;
use peerbound_node::Event;

use crate::cast::{Cast, Who};
use crate::ladder::{self, LabError};
use crate::relay_run;
use crate::report::{DemoReport, NodeReport, RelayReport};
use crate::rig::{Plan, Rig, RigError};
use crate::rungs::old_note;
use crate::tape::Tape;

/// A finished demonstration.
pub struct Demo {
    /// What was observed.
    pub report: DemoReport,
    /// The throw-away authority and identities, for those who want to keep them.
    pub cast: Cast,
    /// Every datagram, and the key log of every session.
    pub tape: Tape,
}

/// Runs it all on loopback.
///
/// # Errors
/// When the set-up itself fails; an observation against the claim is no error but in the report.
pub fn run_demo() -> Result<Demo, LabError> {
    let started = now();
    let cast = Cast::of_nodes()?;
    let mut tape = Tape::default();
    let (nodes, relay) = ladder::with_patience(|tape| show_the_way_that_works(&cast, tape), &mut tape)?;
    let ladder = ladder::climb(&cast, &mut tape)?;
    let of_the_note = Cast::of_the_old_note()?;
    let control = ladder::with_patience(|tape| old_note::one_wrong_record(&of_the_note, tape), &mut tape)?;
    let holds = relay.holds && ladder.iter().all(|rung| rung.holds) && control.holds;
    let elapsed_ms = u64::try_from(now().saturating_duration_since(started).as_millis()).unwrap_or(u64::MAX);
    let openssl = openssl_version().to_owned();
    let report = DemoReport { schema: 1, openssl, nodes, relay, ladder, control, holds, elapsed_ms };
    Ok(Demo { report, cast, tape })
}

fn show_the_way_that_works(cast: &Cast, tape: &mut Tape) -> Result<(Vec<NodeReport>, RelayReport), RigError> {
    let mut rig = Rig::up(cast, Plan::CHAIN)?;
    let relay = relay_run::run(&mut rig)?;
    let nodes = Who::ALL.into_iter().map(|who| node_report(&rig, who)).collect();
    tape.append(rig.finish());
    Ok((nodes, relay))
}

fn node_report(rig: &Rig<'_>, who: Who) -> NodeReport {
    let station = rig.station(who);
    let id = station.node.id();
    let neighbours: BTreeSet<_> = station
        .events
        .iter()
        .filter_map(|(_, event)| match event {
            Event::NeighbourUp { peer, .. } => Some(format!("{} ({})", peer.name, peer.suite.name)),
            _ => None,
        })
        .collect();
    NodeReport {
        name: who.name().to_owned(),
        id: id.to_string(),
        overlay: id.address().to_string(),
        listens: station.address.to_string(),
        neighbours: neighbours.into_iter().collect(),
    }
}
