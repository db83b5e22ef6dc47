//! The reference model: which pairs of nodes must be able to talk at the end of a run, by nothing but
//! the scenario and who runs. Where it is not sure, it does not claim.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::judge::Judge;
use crate::run::routes::{has_session, next_hops};
use crate::scenario::{
    Attempts, Boot, Conditions, FaultAction, FaultPlan, HostPlan, HostRole, IdentityPlan, Layout, LinkPlan,
    NatPlan, NodePlan, Path, Routing, SocketPlan,
};
use crate::trace::HostIndex;

/// The loss up to which a link counts as usable: three hellos in a row are lost once in 125, and what
/// is lost of a handshake is sent again several times within its deadline.
const LOSS_MAX: f64 = 0.2;

/// The one-way delay up to which a link counts as usable: a neighbour is given up after 1.75 s of
/// silence, and a handshake takes three round trips.
const DELAY_MAX: Duration = Duration::from_millis(300);

/// The rate from which on a link counts as usable, in bits per second: a flight of 3 kB in 100 ms.
const RATE_MIN: u64 = 250_000;

/// Bytes of IPv6 and UDP headers before a datagram.
const HEADERS_BYTES: u32 = 48;

/// Bytes that may have to wait before a link with a rate: the flights of both ends.
const QUEUE_BYTES_MIN: u32 = 8192;

/// What the model knows.
pub(crate) struct Reference<'a> {
    pub(crate) layout: &'a Layout<'a>,
    /// The conditions of each link as they stand, forth and back.
    pub(crate) conditions: &'a [[Conditions; 2]],
    pub(crate) faults: &'a [FaultPlan],
    pub(crate) nats: &'a [NatPlan],
    pub(crate) now: Duration,
}

impl Reference<'_> {
    /// Lists the pairs that must be able to talk, each direction for itself.
    pub(crate) fn connected_pairs(&self, judge: &Judge) -> Vec<[HostIndex; 2]> {
        let usable: BTreeSet<[HostIndex; 2]> = (0..)
            .zip(self.layout.links.iter())
            .filter(|(index, link)| self.is_usable(*index, link, judge))
            .map(|(_, link)| link.between)
            .collect();
        let hosts = (0..).map(HostIndex).zip(self.layout.hosts.iter());
        let nodes: Vec<_> = hosts.filter_map(|(host, plan)| Some((host, node_of(plan)?))).collect();
        let is_static = nodes.iter().all(|(_, node)| node.routing == Routing::Static);
        let mut pairs = Vec::new();
        for (from, _) in &nodes {
            let reached =
                if is_static { self.by_static_routes(&usable, *from) } else { reachable(&usable, *from) };
            pairs.extend(reached.into_iter().map(|to| [*from, to]));
        }
        let both_ways: BTreeSet<_> = pairs.iter().copied().collect();
        pairs.retain(|[from, to]| both_ways.contains(&[*to, *from]));
        pairs
    }

    /// A static route never gives way: whoever is on it must be there.
    fn by_static_routes(&self, usable: &BTreeSet<[HostIndex; 2]>, from: HostIndex) -> BTreeSet<HostIndex> {
        let links: Vec<_> =
            self.layout.links.iter().filter(|link| has_session(link)).map(|link| link.between).collect();
        let mut routes = BTreeMap::new();
        let mut reached = BTreeSet::new();
        for to in next_hops(links.iter().copied(), from).into_keys() {
            let mut at = from;
            while at != to {
                let hops = routes.entry(at).or_insert_with(|| next_hops(links.iter().copied(), at));
                let Some(next) = hops.get(&to).copied() else { break };
                if !usable.contains(&[at, next]) && !usable.contains(&[next, at]) {
                    break;
                }
                at = next;
            }
            if at == to {
                reached.insert(to);
            }
        }
        reached
    }

    fn is_usable(&self, index: usize, link: &LinkPlan, judge: &Judge) -> bool {
        let [one, other] = link.between;
        let (Some(first), Some(second)) = (self.node(one), self.node(other)) else {
            return false;
        };
        let is_behind_nat = |host: &HostIndex| self.nats.iter().any(|nat| nat.in_front_of.contains(host));
        has_session(link)
            && link.through.is_none()
            && link.between.iter().all(|host| judge.standing().is_running(*host) && !is_behind_nat(host))
            && first.dtls == second.dtls
            && [(first, other), (second, one)].into_iter().all(|(node, peer)| is_plain(node, peer))
            && self
                .conditions
                .get(index)
                .into_iter()
                .flatten()
                .all(|way| carries(way, first.mtu.max(second.mtu)))
            && !self.faults.iter().any(|fault| self.is_in_the_way(fault, link))
    }

    fn node(&self, host: HostIndex) -> Option<&NodePlan> {
        self.layout.hosts.get(host.0 as usize).and_then(node_of)
    }

    /// A fault without an end may hit every attempt; one that picks a single datagram hits one.
    fn is_in_the_way(&self, fault: &FaultPlan, link: &LinkPlan) -> bool {
        let [one, other] = link.between;
        let ways = [Path { from: one, to: other }, Path { from: other, to: one }];
        let hurts = match fault.action {
            FaultAction::Drop | FaultAction::FlipBit(_) | FaultAction::Delay(_) => true,
            FaultAction::Duplicate | FaultAction::Reorder => false,
        };
        let is_over = fault.which.nth.is_some() || fault.which.until.is_some_and(|until| until <= self.now);
        hurts && !is_over && ways.into_iter().any(|way| fault.on.covers(way))
    }
}

fn node_of(host: &HostPlan) -> Option<&NodePlan> {
    match &host.role {
        HostRole::Node(node) => Some(node),
        HostRole::RecordModel(_) | HostRole::Forwarder { .. } | HostRole::Bystander => None,
    }
}

/// Returns whether a node is made as a deployed one, as far as its link with `peer` goes.
fn is_plain(node: &NodePlan, peer: HostIndex) -> bool {
    let takes_peer = match node.socket {
        SocketPlan::Open => true,
        SocketPlan::ConnectedTo(only) => only == peer,
    };
    takes_peer
        && node.identity == IdentityPlan::Own
        && node.attempts == Attempts::Renewed
        && node.boot == Boot::AtOnce
}

fn carries(way: &Conditions, mtu: u16) -> bool {
    let in_bursts = way.bursts.map_or(0.0, |bursts| bursts.loss_bad.get().max(bursts.loss_good.get()));
    way.is_up
        && way.loss.get() + in_bursts <= LOSS_MAX
        && way.latency + way.jitter <= DELAY_MAX
        && way.rate.is_none_or(|rate| rate >= RATE_MIN && way.queue_bytes >= QUEUE_BYTES_MIN)
        && way.mtu.is_none_or(|limit| u32::from(limit) >= u32::from(mtu) + HEADERS_BYTES)
}

fn reachable(usable: &BTreeSet<[HostIndex; 2]>, from: HostIndex) -> BTreeSet<HostIndex> {
    next_hops(usable.iter().copied(), from).into_keys().collect()
}
