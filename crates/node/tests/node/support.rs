//! A handful of nodes and the wires between them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use peerbound_dtls::{Authority, Context, ContextConfig, KeyHash, Validity};
use peerbound_node::{Event, NeighbourConfig, Node, NodeConfig, StaticRoute, Verdict, node_id};
use peerbound_wire::{FlowId, NodeId};

use crate::vclock::{START_UNIX, VirtualClock};

pub(crate) const FLOW: FlowId = FlowId(1);

/// Every wire takes this long.
const LATENCY: Duration = Duration::from_millis(1);

/// Which nodes there are, who is whose neighbour, and by which routes they reach others.
pub(crate) struct Plan {
    pub(crate) nodes: usize,
    /// The first of each pair dials the second.
    pub(crate) links: Vec<(usize, usize)>,
    /// At the first, frames for the second go to the third.
    pub(crate) routes: Vec<(usize, usize, usize)>,
}

impl Plan {
    /// A, B and C in a row: A and C know each other only through B.
    pub(crate) fn chain_of_three() -> Self {
        Self { nodes: 3, links: vec![(0, 1), (2, 1)], routes: vec![(0, 2, 1), (2, 0, 1)] }
    }
}

pub(crate) struct Net {
    pub(crate) clock: VirtualClock,
    pub(crate) nodes: Vec<Node>,
    pub(crate) events: Vec<Vec<Event>>,
    pub(crate) contexts: Vec<Context>,
    configs: Vec<NodeConfig>,
    boots: Vec<u32>,
    wire: BTreeMap<Duration, VecDeque<(usize, usize, Vec<u8>)>>,
    /// Wires that carry nothing, as (from, to).
    pub(crate) cut: BTreeSet<(usize, usize)>,
    /// Every datagram that was delivered, with its verdict.
    pub(crate) verdicts: Vec<(usize, usize, Vec<u8>, Verdict)>,
}

pub(crate) fn address(index: usize) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, u8::try_from(index).unwrap() + 1], 4433))
}

fn index_of(address: SocketAddr) -> Option<usize> {
    match address {
        SocketAddr::V4(v4) => usize::from(v4.ip().octets()[3]).checked_sub(1),
        SocketAddr::V6(_) => None,
    }
}

impl Net {
    pub(crate) fn new(plan: &Plan) -> Self {
        Self::with(plan, |_, _| {})
    }

    /// Makes the nodes of a plan; `change` may change each one's configuration first.
    pub(crate) fn with(plan: &Plan, change: impl Fn(usize, &mut NodeConfig)) -> Self {
        let clock = VirtualClock::start();
        let validity = Validity::days(START_UNIX, 365);
        let authority = Authority::generate("test root", validity).unwrap();
        let contexts: Vec<_> = (0..plan.nodes)
            .map(|index| {
                let identity = authority.issue(&name(index), validity).unwrap();
                Context::new(ContextConfig::new(identity, vec![authority.to_root()])).unwrap()
            })
            .collect();
        let id = |index: usize| node_id(&contexts[index].key_hash());
        let configs: Vec<_> = (0..plan.nodes)
            .map(|us| {
                let neighbour = |index: usize, dial: bool| NeighbourConfig {
                    id: id(index),
                    name: name(index),
                    address: dial.then(|| address(index)),
                };
                let dialled =
                    plan.links.iter().filter(|link| link.0 == us).map(|link| neighbour(link.1, true));
                let awaited = plan
                    .links
                    .iter()
                    .filter(|link| link.1 == us && !plan.links.contains(&(us, link.0)))
                    .map(|link| neighbour(link.0, false));
                let routes = plan.routes.iter().filter(|route| route.0 == us);
                let mut config = NodeConfig {
                    neighbours: dialled.chain(awaited).collect(),
                    routes: routes
                        .map(|route| StaticRoute { destination: id(route.1), via: id(route.2) })
                        .collect(),
                    observe_frames: true,
                    ..NodeConfig::new(contexts[us].clone())
                };
                change(us, &mut config);
                config
            })
            .collect();
        let mut net = Self {
            nodes: Vec::new(),
            events: vec![Vec::new(); plan.nodes],
            boots: vec![1; plan.nodes],
            wire: BTreeMap::new(),
            cut: BTreeSet::new(),
            verdicts: Vec::new(),
            clock,
            contexts,
            configs,
        };
        net.nodes = (0..plan.nodes).map(|index| net.boot(index)).collect();
        net
    }

    /// Runs until every configured neighbour is usable.
    pub(crate) fn up(plan: &Plan) -> Self {
        let mut net = Self::new(plan);
        net.run_until_up();
        net
    }

    pub(crate) fn run_until_up(&mut self) {
        self.run_until(Duration::from_secs(30), |net| {
            net.nodes.iter().all(|node| node.neighbours().iter().all(|neighbour| neighbour.is_usable))
        });
    }

    pub(crate) fn id(&self, index: usize) -> NodeId {
        self.nodes[index].id()
    }

    pub(crate) fn key(&self, index: usize) -> KeyHash {
        self.contexts[index].key_hash()
    }

    /// Takes a node away without a farewell and puts a fresh one in its place.
    pub(crate) fn restart(&mut self, index: usize) {
        self.boots[index] += 1;
        self.nodes[index] = self.boot(index);
    }

    /// Lets virtual time pass.
    pub(crate) fn run_for(&mut self, time: Duration) {
        let end = self.clock.elapsed() + time;
        self.run(end, |_| false);
    }

    /// Runs until `done` holds, and fails when it does not within `limit` of virtual time.
    pub(crate) fn run_until(&mut self, limit: Duration, done: impl Fn(&Self) -> bool) {
        let end = self.clock.elapsed() + limit;
        assert!(self.run(end, &done), "it did not come about within {limit:?}; events: {:#?}", self.events);
    }

    /// Lets every node send what it has to send, now.
    pub(crate) fn flush(&mut self) {
        for index in 0..self.nodes.len() {
            self.collect(index);
        }
    }

    /// Returns the payloads delivered to a node.
    pub(crate) fn delivered(&self, index: usize) -> Vec<Vec<u8>> {
        self.events[index]
            .iter()
            .filter_map(|event| match event {
                Event::Delivered { payload, .. } => Some(payload.clone()),
                _ => None,
            })
            .collect()
    }

    pub(crate) fn assert_conserved(&self) {
        for (index, node) in self.nodes.iter().enumerate() {
            assert!(node.counters().is_conserved(), "node {index}: {:#?}", node.counters());
        }
    }

    /// Puts a datagram on the wire as if `from` had sent it.
    pub(crate) fn inject(&mut self, from: usize, to: usize, datagram: Vec<u8>) {
        let arrival = self.clock.elapsed() + LATENCY;
        self.wire.entry(arrival).or_default().push_back((from, to, datagram));
    }

    fn boot(&self, index: usize) -> Node {
        let seed = [u8::try_from(index).unwrap() + 1; 32];
        Node::new(self.configs[index].clone(), seed, self.boots[index], self.clock.now())
    }

    fn run(&mut self, end: Duration, done: impl Fn(&Self) -> bool) -> bool {
        loop {
            self.flush();
            if done(self) {
                return true;
            }
            let start = self.clock.now() - self.clock.elapsed();
            let timeout = self.nodes.iter().filter_map(Node::poll_timeout).min();
            let timeout = timeout.map(|at| at.saturating_duration_since(start));
            let arrival = self.wire.keys().next().copied();
            let Some(next) = timeout.into_iter().chain(arrival).min().filter(|next| *next <= end) else {
                self.clock.advance_to(start + end);
                return false;
            };
            self.clock.advance_to(start + next);
            self.step();
        }
    }

    fn step(&mut self) {
        let now = self.clock.now();
        while let Some(entry) = self.wire.first_entry().filter(|entry| *entry.key() <= self.clock.elapsed()) {
            for (from, to, datagram) in entry.remove() {
                let verdict = self.nodes[to].handle_datagram(address(from), &datagram, now);
                self.verdicts.push((from, to, datagram, verdict));
                self.collect(to);
            }
        }
        for index in 0..self.nodes.len() {
            if self.nodes[index].poll_timeout().is_some_and(|at| at <= now) {
                self.nodes[index].handle_timeout(now);
            }
        }
    }

    fn collect(&mut self, index: usize) {
        let arrival = self.clock.elapsed() + LATENCY;
        while let Some(batch) = self.nodes[index].poll_transmit() {
            let Some(to) = index_of(batch.destination).filter(|to| *to < self.nodes.len()) else {
                continue;
            };
            if self.cut.contains(&(index, to)) {
                continue;
            }
            for datagram in batch.datagrams() {
                self.wire.entry(arrival).or_default().push_back((index, to, datagram.to_vec()));
            }
        }
        while let Some(event) = self.nodes[index].poll_event() {
            self.events[index].push(event);
        }
    }
}

fn name(index: usize) -> String {
    ["A", "B", "C", "D", "E", "F"].get(index).map_or_else(|| format!("N{index}"), |name| (*name).to_owned())
}
