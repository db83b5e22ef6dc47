//! What of a scenario has no meaning for nodes that are programs of their own: found before anything starts,
//! and named by its key.

use std::collections::BTreeSet;

use crate::scenario::{
    Attempts, Boot, Conditions, DemuxPlan, Dials, DtlsPlan, Expectation, HostRole, IdentityPlan, Layout,
    LinkPlan, NodePlan, Scenario, SocketPlan, Switch,
};
use crate::topology::{Ground, TOPOLOGY_NODES_MAX, TopologyError};

/// Where a run that this is refused to can be had.
const ELSEWHERE: &str = "take it out, or use `peerbound prove`";

/// Counts before anything is laid out: a mesh may have thousands.
pub(super) fn check_size(scenario: &Scenario) -> Result<(), TopologyError> {
    let nodes = scenario.attacker().0 as usize;
    if nodes > TOPOLOGY_NODES_MAX {
        return Err(unfit(format!(
            "{nodes} nodes are more than the {TOPOLOGY_NODES_MAX} that are started as programs: take some out, or use `peerbound prove`"
        )));
    }
    Ok(())
}

/// Says the first thing that nodes as programs cannot be or do.
pub(super) fn check(scenario: &Scenario, layout: &Layout<'_>, ground: Ground) -> Result<(), TopologyError> {
    if let Some(nat) = scenario.nats.first() {
        return Err(unfit(format!("`nat` {:?}: nobody translates addresses here: {ELSEWHERE}", nat.name)));
    }
    if let Some(listener) = scenario.listeners.first() {
        return Err(unfit(format!(
            "`listener` {:?}: only nodes are started here: {ELSEWHERE}",
            listener.name
        )));
    }
    if !scenario.faults.is_empty() {
        return Err(unfit(format!("`fault`: nobody picks out single datagrams here: {ELSEWHERE}")));
    }
    for host in layout.hosts.iter() {
        match &host.role {
            HostRole::Node(plan) => check_node(&host.name, plan)?,
            HostRole::Forwarder { .. } | HostRole::RecordModel(_) | HostRole::Bystander => {
                return Err(unfit(format!(
                    "`host` {:?}: it runs no node, and only nodes are started here: {ELSEWHERE}",
                    host.name
                )));
            }
        }
    }
    for link in layout.links.iter() {
        check_link(scenario, link, ground)?;
    }
    let addresses: BTreeSet<_> = layout.hosts.iter().map(|host| host.address.ip()).collect();
    if ground == Ground::Namespaces && addresses.len() < layout.hosts.len() {
        return Err(unfit(
            "`address`: two nodes have the same, and each is a host of its own: correct one".to_owned(),
        ));
    }
    Ok(())
}

/// Lists the tables that say what happens in an experiment, and nothing about who takes part. That everyone
/// reaches everyone is what is waited for.
pub(super) fn left_out(scenario: &Scenario) -> Vec<&'static str> {
    let has_expected = |expectation: &Expectation| *expectation != Expectation::ReachableAll;
    let tables = [
        ("[[step]]", scenario.steps.is_empty()),
        ("[[expect]]", !scenario.expectations.iter().any(has_expected)),
    ];
    tables.into_iter().filter(|(_, is_empty)| !is_empty).map(|(table, _)| table).collect()
}

/// A deployed node is made in one way only: what an experiment takes away from it, no file can.
fn check_node(name: &str, plan: &NodePlan) -> Result<(), TopologyError> {
    let usual = NodePlan::default();
    // Taken apart, so that another key of nodes has to be thought of here.
    let NodePlan {
        dtls,
        gate,
        replay_mirror,
        demux,
        routing: _,
        feasibility,
        first_timeout,
        handshake_deadline,
        attempts,
        mtu: _,
        rekey_records,
        rekey_age,
        socket,
        boot,
        identity,
        e2e: _,
    } = plan;
    let odd = [
        ("suite", dtls.suite.is_some()),
        ("version", dtls.version != DtlsPlan::NODE.version),
        ("encrypt_then_mac", dtls.encrypt_then_mac != DtlsPlan::NODE.encrypt_then_mac),
        ("renegotiation", dtls.renegotiation != DtlsPlan::NODE.renegotiation),
        ("gate", *gate != Switch::On),
        ("replay_mirror", *replay_mirror != Switch::On),
        ("demux", *demux != DemuxPlan::BySource),
        ("feasibility", *feasibility != Switch::On),
        ("first_timeout", *first_timeout != usual.first_timeout),
        ("handshake_deadline", *handshake_deadline != usual.handshake_deadline),
        ("attempts", *attempts != Attempts::Renewed),
        ("rekey_records", *rekey_records != usual.rekey_records),
        ("rekey_age", *rekey_age != usual.rekey_age),
        ("socket", *socket != SocketPlan::Open),
        ("boot", *boot != Boot::AtOnce),
        ("identity", *identity != IdentityPlan::Own),
    ];
    match odd.into_iter().find(|(_, is_odd)| *is_odd) {
        Some((key, _)) => {
            Err(unfit(format!("`{key}` of {name}: no file of a deployed node can say that: {ELSEWHERE}")))
        }
        None => Ok(()),
    }
}

fn check_link(scenario: &Scenario, link: &LinkPlan, ground: Ground) -> Result<(), TopologyError> {
    let [one, other] = link.between.map(|end| scenario.name(end).into_owned());
    let of_link = format!("of the link {one}-{other}");
    if link.through.is_some() {
        return Err(unfit(format!("`through` {of_link}: only nodes are started here: {ELSEWHERE}")));
    }
    if link.dials != Dials::Nobody && link.admits != [true, true] {
        return Err(unfit(format!(
            "`admits` {of_link}: a file of a node names its neighbours, and each end names the other: {ELSEWHERE}"
        )));
    }
    for conditions in [&link.forth, &link.back] {
        if let Some(key) = odd_condition(conditions, ground) {
            let why = match ground {
                Ground::Loopback => "nothing lies between the nodes on loopback",
                Ground::Namespaces => "a wire between namespaces has `rate`, `queue`, `mtu` and `up` only",
            };
            return Err(unfit(format!(
                "`{key}` {of_link}: {why}: take it out, or use `peerbound prove`, whose network has it"
            )));
        }
    }
    if link.forth.mtu != link.back.mtu || link.forth.is_up != link.back.is_up {
        return Err(unfit(format!(
            "`forth` and `back` {of_link}: a wire has one `mtu` and is up or down at both ends: let them be alike"
        )));
    }
    Ok(())
}

/// Finds the key of a condition that the ground does not have. The default latency is no condition: it is
/// what the simulator needs for one event to come after another.
fn odd_condition(conditions: &Conditions, ground: Ground) -> Option<&'static str> {
    let usual = Conditions::default();
    let Conditions { latency, jitter, loss, bursts, duplicate, reorder, rate, queue_bytes, mtu, icmp, is_up } =
        conditions;
    let of_wires = [
        ("rate", *rate != usual.rate),
        ("queue", *queue_bytes != usual.queue_bytes),
        ("mtu", *mtu != usual.mtu),
        ("up", *is_up != usual.is_up),
    ];
    let of_networks = [
        ("latency", *latency != usual.latency),
        ("jitter", *jitter != usual.jitter),
        ("loss", *loss != usual.loss),
        ("bursts", *bursts != usual.bursts),
        ("duplicate", *duplicate != usual.duplicate),
        ("reorder", *reorder != usual.reorder),
        ("icmp", *icmp != usual.icmp),
    ];
    let has_wires = ground == Ground::Namespaces;
    let odd = of_networks.into_iter().chain(of_wires.into_iter().filter(|_| !has_wires));
    odd.into_iter().find(|(_, is_odd)| *is_odd).map(|(key, _)| key)
}

fn unfit(sentence: String) -> TopologyError {
    TopologyError::Unfit(sentence)
}
