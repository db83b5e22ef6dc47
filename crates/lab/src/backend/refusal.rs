//! What real sockets cannot do, found in a scenario before anything is started.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use crate::backend::faces::LOOPBACK_HOSTS_MAX;
use crate::run::{Backend, StageError};
use crate::scenario::{Action, Expectation, HostRole, Occasion, Routing, Scenario, Source, Trigger};

/// Hosts in namespaces there can be: each takes some 10 ms to set up.
pub(crate) const NETNS_HOSTS_MAX: usize = 32;

/// How long a run in real time may take. Longer ones wait for timers, which is what virtual time is for.
pub(crate) const REAL_TIME_MAX: Duration = Duration::from_secs(60);

/// How near a round trip may come to a timeout that begins with it: closer, and the machine decides which
/// of them is first.
const TIMER_PRECISION: Duration = Duration::from_millis(50);

/// Says the first thing in a scenario that a backend of real sockets cannot do.
pub(crate) fn refuse(scenario: &Scenario, backend: Backend) -> Result<(), StageError> {
    let first = of_the_whole(scenario, backend)
        .or_else(|| in_steps(scenario, backend))
        .or_else(|| in_expectations(scenario, backend));
    match first {
        Some(what) => Err(StageError::Impossible { backend, what }),
        None => Ok(()),
    }
}

fn of_the_whole(scenario: &Scenario, backend: Backend) -> Option<String> {
    let hosts = scenario.hosts.len();
    let most = match backend {
        Backend::Sim => return None,
        Backend::Loopback => LOOPBACK_HOSTS_MAX,
        Backend::Netns => NETNS_HOSTS_MAX,
    };
    if let Some(mesh) = &scenario.mesh {
        return Some(format!("run a mesh of {} nodes (`mesh`): use --on sim", mesh.nodes));
    }
    if hosts > most {
        return Some(format!("run {hosts} hosts, at most {most}: use --on sim"));
    }
    if scenario.ends > REAL_TIME_MAX {
        return Some(format!(
            "take {:?} of real time (`ends`), at most {REAL_TIME_MAX:?}: use --on sim, where time is virtual",
            scenario.ends
        ));
    }
    if let Some(nat) = scenario.nats.first() {
        return Some(match backend {
            Backend::Sim | Backend::Loopback => format!(
                "translate addresses (`nat` {:?}): between sockets of one host nobody does; use --on sim",
                nat.name
            ),
            Backend::Netns => format!(
                "translate addresses (`nat` {:?}): no kernel stands between the hosts there; use --on sim",
                nat.name
            ),
        });
    }
    let of_a_host = scenario.hosts.iter().find_map(|host| match &host.role {
        HostRole::Node(plan) => (plan.routing == Routing::Dynamic).then(|| {
            format!("wait for routes to be found (`routing` of {}): use --on sim", host.name)
        }),
        HostRole::RecordModel(_) => Some(format!(
            "run the record-layer model of {} (`record_model`): a daemon speaks no Connection IDs; use --on sim",
            host.name
        )),
        HostRole::Forwarder { .. } | HostRole::Bystander => None,
    });
    if of_a_host.is_some() {
        return of_a_host;
    }
    if let Some(tight) = tight_timing(scenario) {
        return Some(tight);
    }
    let addresses: BTreeSet<_> = scenario.hosts.iter().map(|host| host.address.ip()).collect();
    if backend == Backend::Netns && addresses.len() < hosts {
        return Some("give one address to two hosts (`address`): use --on sim".to_owned());
    }
    None
}

/// Finds a link on which an answer comes at the moment at which its sender stops waiting for it.
fn tight_timing(scenario: &Scenario) -> Option<String> {
    scenario.links.iter().find_map(|link| {
        let round_trip = link.forth.latency + link.back.latency;
        let timeouts = link.between.iter().filter_map(|end| match &scenario.hosts.get(end.0 as usize)?.role {
            HostRole::Node(plan) => Some(plan.first_timeout),
            HostRole::RecordModel(_) | HostRole::Forwarder { .. } | HostRole::Bystander => None,
        });
        let tight = timeouts.into_iter().find(|timeout| timeout.abs_diff(round_trip) < TIMER_PRECISION)?;
        Some(format!(
            "tell a round trip of {round_trip:?} from a timeout of {tight:?} (`latency`, `first_timeout`): in \
             real time they must be {TIMER_PRECISION:?} apart; use --on sim, where time is virtual"
        ))
    })
}

fn in_steps(scenario: &Scenario, backend: Backend) -> Option<String> {
    let own: BTreeSet<SocketAddr> = scenario.hosts.iter().map(|host| host.address).collect();
    scenario.steps.iter().zip(1..).find_map(|(step, number)| {
        if step.trigger == Trigger::On(Occasion::Converged) {
            return Some(format!(
                "know when all routes are found (step {number}): a daemon tells nobody its routes; use --on sim"
            ));
        }
        match &step.action {
            Action::Rebind(_) => Some(format!("rebind a NAT (step {number}): use --on sim")),
            Action::Inject(injection) => match injection.source {
                Source::Address(address) if backend == Backend::Loopback && !own.contains(&address) => {
                    Some(format!(
                        "spoof an address that no socket of the run owns (step {number}: source {address}): \
                         use --on sim or --on netns"
                    ))
                }
                Source::Host(_) | Source::ConnectedSocketOf(_) | Source::Attacker | Source::Address(_) => None,
            },
            Action::Send(_)
            | Action::Ping { .. }
            | Action::Talk { .. }
            | Action::Seal { .. }
            | Action::SealUnder { .. }
            | Action::SealWithKeys { .. }
            | Action::Forge { .. }
            | Action::Capture { .. }
            | Action::Release(_)
            | Action::Boot(_)
            | Action::Crash(_)
            | Action::Restart(_)
            | Action::ShutDown(_)
            | Action::Link { .. }
            | Action::Renegotiate { .. }
            | Action::Rekey { .. }
            | Action::Wait(_) => None,
        }
    })
}

fn in_expectations(scenario: &Scenario, backend: Backend) -> Option<String> {
    scenario.expectations.iter().zip(1..).find_map(|(expectation, number)| match expectation {
        Expectation::ReachableAll => Some(format!(
            "know all routes (expectation {number}): a daemon tells nobody its routes; use --on sim"
        )),
        Expectation::Told { error, .. } if backend == Backend::Loopback && error == "EMSGSIZE" => {
            Some(format!(
                "tell a sender of a path's MTU (expectation {number}: {error}): no router stands between \
             sockets of one host; use --on sim or --on netns"
            ))
        }
        _ => None,
    })
}
