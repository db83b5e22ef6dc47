//! A handful of nodes and the wires between them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use peerbound_dtls::{Authority, Context, ContextConfig, KeyHash, Validity};
use peerbound_node::{
    Event, FrameAction, FrameDrop, Node, NodeConfig, Sealing, SendError, Sending, Transmit, Verdict, node_id,
};
use peerbound_wire::{ErrorMessage, FlowId, Header, NodeId, PacketId};

use crate::vclock::{START_UNIX, VirtualClock};

mod insider;
mod plan;
mod weather;

pub(crate) use insider::Insider;
pub(crate) use plan::Plan;
pub(crate) use weather::{Conditions, FAIR, Weather};

pub(crate) const FLOW: FlowId = FlowId(1);

/// A datagram on its way.
struct Packet {
    from: usize,
    source: SocketAddr,
    to: usize,
    bytes: Vec<u8>,
}

/// One datagram that was delivered, and what became of it.
pub(crate) struct Delivery {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) bytes: Vec<u8>,
    pub(crate) verdict: Verdict,
}

pub(crate) struct Net {
    pub(crate) clock: VirtualClock,
    pub(crate) nodes: Vec<Node>,
    pub(crate) events: Vec<Vec<Event>>,
    pub(crate) contexts: Vec<Context>,
    configs: Vec<NodeConfig>,
    boots: Vec<u32>,
    /// The port from which each node seems to dial, as a NAT would have it; answers come from
    /// where they were asked.
    pub(crate) ports: Vec<u16>,
    wire: BTreeMap<Duration, VecDeque<Packet>>,
    pub(crate) weather: Weather,
    /// Wires that carry nothing, as (from, to).
    pub(crate) cut: BTreeSet<(usize, usize)>,
    /// Wires that take longer than others, as (from, to), and by how much.
    pub(crate) slow: BTreeMap<(usize, usize), Duration>,
    /// Wires that carry no datagram longer than this, as (from, to).
    pub(crate) narrow: BTreeMap<(usize, usize), usize>,
    /// Wires that carry no alerts, and so no farewells, as (from, to).
    pub(crate) farewells_lost: BTreeSet<(usize, usize)>,
    /// Whether records in the clear get lost, and with them every handshake.
    pub(crate) handshakes_lost: bool,
    /// Nodes whose place an insider has taken.
    pub(crate) insiders: BTreeMap<usize, Insider>,
    pub(crate) deliveries: Vec<Delivery>,
    /// Whether records are opened and sealed away from the nodes, as by a daemon with several threads.
    pub(crate) elsewhere: bool,
}

pub(crate) fn address(index: usize) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, u8::try_from(index).unwrap() + 1], 4433))
}

fn index_of(address: SocketAddr) -> Option<usize> {
    match address {
        SocketAddr::V4(v4) if v4.ip().octets()[..3] == [192, 0, 2] => {
            usize::from(v4.ip().octets()[3]).checked_sub(1)
        }
        SocketAddr::V4(_) | SocketAddr::V6(_) => None,
    }
}

impl Net {
    pub(crate) fn new(plan: &Plan) -> Self {
        Self::with(plan, |_, _, _| {})
    }

    /// Makes the nodes of a plan; `change` may change each one's configuration first, and is told
    /// the ids of all. Their ids are in the order of their indices, so that what is decided by
    /// comparing ids is the same in every run.
    pub(crate) fn with(plan: &Plan, change: impl Fn(usize, &[NodeId], &mut NodeConfig)) -> Self {
        let clock = VirtualClock::start();
        let validity = Validity::days(START_UNIX, 365);
        let authority = Authority::generate("test root", validity).unwrap();
        let contexts: Vec<_> = (0..plan.nodes)
            .map(|index| {
                let identity = std::iter::repeat_with(|| authority.issue(&name(index), validity).unwrap())
                    .find(|identity| usize::from(identity.key_hash().0[0]) * plan.nodes / 256 == index)
                    .unwrap();
                Context::new(ContextConfig::new(identity, vec![authority.to_root()])).unwrap()
            })
            .collect();
        let ids: Vec<_> = contexts.iter().map(|context| node_id(&context.key_hash())).collect();
        let configs: Vec<_> = (0..plan.nodes)
            .map(|us| {
                let mut config = plan.config(us, &ids, &contexts[us]);
                change(us, &ids, &mut config);
                config
            })
            .collect();
        let mut net = Self {
            nodes: Vec::new(),
            events: vec![Vec::new(); plan.nodes],
            boots: vec![1; plan.nodes],
            ports: vec![address(0).port(); plan.nodes],
            wire: BTreeMap::new(),
            weather: Weather::new(FAIR, 0),
            cut: BTreeSet::new(),
            slow: BTreeMap::new(),
            narrow: BTreeMap::new(),
            farewells_lost: BTreeSet::new(),
            handshakes_lost: false,
            insiders: BTreeMap::new(),
            deliveries: Vec::new(),
            elsewhere: false,
            clock,
            contexts,
            configs,
        };
        net.nodes = (0..plan.nodes).map(|index| net.boot(index)).collect();
        net
    }

    /// Makes the nodes of a plan and runs until every configured neighbour is usable.
    pub(crate) fn up(plan: &Plan) -> Self {
        let mut net = Self::new(plan);
        net.run_until_up();
        net
    }

    pub(crate) fn run_until_up(&mut self) {
        self.run_until(Duration::from_secs(60), Self::is_up);
    }

    /// Returns whether every configured neighbour of every node is usable; insiders do not count.
    pub(crate) fn is_up(&self) -> bool {
        let nodes = self.nodes.iter().enumerate().filter(|(index, _)| !self.insiders.contains_key(index));
        nodes.into_iter().all(|(_, node)| node.neighbours().iter().all(|neighbour| neighbour.is_usable))
    }

    /// Returns whether `of` is a usable neighbour of `at`.
    pub(crate) fn is_usable(&self, at: usize, of: usize) -> bool {
        let id = self.id(of);
        self.nodes[at].neighbours().iter().any(|neighbour| neighbour.id == id && neighbour.is_usable)
    }

    pub(crate) fn id(&self, index: usize) -> NodeId {
        node_id(&self.contexts[index].key_hash())
    }

    pub(crate) fn key(&self, index: usize) -> KeyHash {
        self.contexts[index].key_hash()
    }

    /// Takes a node away without a farewell and puts a fresh one in its place.
    pub(crate) fn restart(&mut self, index: usize) {
        self.boots[index] += 1;
        self.nodes[index] = self.boot(index);
    }

    /// Puts an insider in the place of a node: it has its certificate, and dials `victim`.
    pub(crate) fn replace_by_insider(&mut self, index: usize, victim: usize) {
        let (us, them) = (self.id(index), self.id(victim));
        let insider = Insider::dial(self.contexts[index].clone(), us, (victim, them), self.clock.now());
        self.insiders.insert(index, insider);
    }

    pub(crate) fn insider(&mut self, index: usize) -> &mut Insider {
        self.insiders.get_mut(&index).unwrap()
    }

    /// Sends a request from one node to another.
    pub(crate) fn send(&mut self, from: usize, to: usize, payload: &[u8]) -> Result<PacketId, SendError> {
        let sending = Sending { destination: self.id(to), flow: FLOW, is_reply: false, payload };
        self.nodes[from].send(sending, self.clock.now())
    }

    /// Sends a reply from one node to another.
    pub(crate) fn reply(&mut self, from: usize, to: usize, payload: &[u8]) -> Result<PacketId, SendError> {
        let sending = Sending { destination: self.id(to), flow: FLOW, is_reply: true, payload };
        self.nodes[from].send(sending, self.clock.now())
    }

    /// Cuts both wires between two nodes.
    pub(crate) fn cut_both(&mut self, one: usize, other: usize) {
        self.cut.extend([(one, other), (other, one)]);
    }

    /// Lets virtual time pass.
    pub(crate) fn run_for(&mut self, time: Duration) {
        let end = self.clock.elapsed() + time;
        self.run(end, |_| false);
    }

    /// Lets a tenth of a second pass: time for a frame to cross any plan and for its answer to come.
    pub(crate) fn run_a_little(&mut self) {
        self.run_for(Duration::from_millis(100));
    }

    /// Runs until `done` holds, and fails when it does not within `limit` of virtual time.
    pub(crate) fn run_until(&mut self, limit: Duration, done: impl Fn(&Self) -> bool) {
        let end = self.clock.elapsed() + limit;
        assert!(self.run(end, &done), "it did not come about within {limit:?}; {}", self.summary());
    }

    /// Lets every node send what it has to send, now.
    pub(crate) fn flush(&mut self) {
        for index in 0..self.nodes.len() {
            self.collect(index);
        }
    }

    /// Returns the payloads delivered to a node.
    pub(crate) fn delivered(&self, index: usize) -> Vec<Vec<u8>> {
        self.deliveries_at(index).into_iter().map(|(_, payload)| payload).collect()
    }

    /// Returns the frames delivered to a node.
    pub(crate) fn deliveries_at(&self, index: usize) -> Vec<(Header, Vec<u8>)> {
        let delivered = |event: &Event| match event {
            Event::Delivered { header, payload } => Some((*header, payload.clone())),
            _ => None,
        };
        self.events[index].iter().filter_map(delivered).collect()
    }

    /// Returns the errors reported to a node, with their reporters.
    pub(crate) fn errors(&self, index: usize) -> Vec<(NodeId, ErrorMessage)> {
        let error = |event: &Event| match event {
            Event::Error { reporter, message } => Some((*reporter, *message)),
            _ => None,
        };
        self.events[index].iter().filter_map(error).collect()
    }

    /// Returns where a node sent the frames that pass `which`.
    pub(crate) fn sent_to(&self, index: usize, which: impl Fn(&Header) -> bool) -> Vec<NodeId> {
        let sent = |event: &Event| match event {
            Event::Frame(seen) if which(&seen.header) => match seen.action {
                FrameAction::Sent(next) => Some(next),
                FrameAction::Delivered | FrameAction::Dropped(_) => None,
            },
            _ => None,
        };
        self.events[index].iter().filter_map(sent).collect()
    }

    /// Returns a node's comings and goings as short words, oldest first.
    pub(crate) fn story(&self, index: usize) -> Vec<String> {
        let of = |id: &NodeId| {
            (0..self.contexts.len()).find(|other| self.id(*other) == *id).map_or_else(String::new, name)
        };
        let word = |event: &Event| match event {
            Event::NeighbourUp { id, .. } => Some(format!("{} up", of(id))),
            Event::NeighbourReplaced { id } => Some(format!("{} replaced", of(id))),
            Event::NeighbourMoved { id, .. } => Some(format!("{} moved", of(id))),
            Event::NeighbourDown { id, reason } => Some(format!("{} down: {reason}", of(id))),
            Event::DialFailed { id, reason, .. } => Some(format!("{} not reached: {reason}", of(id))),
            Event::StrangerFailed { reason, .. } => Some(format!("stranger: {reason}")),
            Event::Delivered { .. } | Event::Error { .. } | Event::Pong { .. } => None,
            Event::Inner(_) | Event::Frame(_) | Event::RouteChanged(_) | Event::Session(_) => None,
            Event::TraceReport(_) | Event::WhoIs { .. } => None,
        };
        self.events[index].iter().filter_map(word).collect()
    }

    pub(crate) fn dropped(&self, index: usize, reason: FrameDrop) -> u64 {
        self.nodes[index].counters().frames_dropped.get(&reason).copied().unwrap_or(0)
    }

    /// Takes the datagrams that are on their way between two nodes off the wire.
    pub(crate) fn intercept(&mut self, from: usize, to: usize) -> Vec<Vec<u8>> {
        self.flush();
        let mut taken = Vec::new();
        for packets in self.wire.values_mut() {
            let (ours, others) = std::mem::take(packets)
                .into_iter()
                .partition::<VecDeque<_>, _>(|packet| (packet.from, packet.to) == (from, to));
            *packets = others;
            taken.extend(ours.into_iter().map(|packet| packet.bytes));
        }
        taken
    }

    /// Hands a datagram to a node as if it came from `source`, at this moment.
    pub(crate) fn inject(&mut self, source: SocketAddr, to: usize, datagram: &[u8]) -> Verdict {
        let verdict = self.nodes[to].handle_datagram(source, datagram, self.clock.now());
        self.collect(to);
        verdict
    }

    fn boot(&self, index: usize) -> Node {
        let seed = [u8::try_from(index).unwrap() + 1; 32];
        Node::new(self.configs[index].clone(), seed, self.boots[index], self.clock.now())
    }

    fn run(&mut self, end: Duration, done: impl Fn(&Self) -> bool) -> bool {
        let mut steps_at_once = 0;
        loop {
            self.flush();
            if done(self) {
                return true;
            }
            let start = self.clock.now() - self.clock.elapsed();
            let nodes = self.nodes.iter().enumerate().filter(|(index, _)| !self.insiders.contains_key(index));
            let nodes = nodes.filter_map(|(_, node)| node.poll_timeout());
            let timeout = nodes.chain(self.insiders.values().filter_map(Insider::poll_timeout)).min();
            let timeout = timeout.map(|at| at.saturating_duration_since(start));
            let arrival = self.wire.keys().next().copied();
            let Some(next) = timeout.into_iter().chain(arrival).min().filter(|next| *next <= end) else {
                self.clock.advance_to(start + end);
                return false;
            };
            steps_at_once = if next > self.clock.elapsed() { 0 } else { steps_at_once + 1 };
            assert!(steps_at_once < 1000, "a timer is due for ever; {}", self.summary());
            self.clock.advance_to(start + next);
            self.step();
        }
    }

    fn step(&mut self) {
        let now = self.clock.now();
        while let Some(entry) = self.wire.first_entry().filter(|entry| *entry.key() <= self.clock.elapsed()) {
            for Packet { from, source, to, bytes } in entry.remove() {
                if let Some(insider) = self.insiders.get_mut(&to) {
                    insider.handle_datagram(&bytes, now);
                } else {
                    let verdict = self.hand_to(to, source, &bytes);
                    self.deliveries.push(Delivery { from, to, bytes, verdict });
                }
                self.collect(to);
            }
        }
        for index in 0..self.nodes.len() {
            if let Some(insider) = self.insiders.get_mut(&index) {
                if insider.poll_timeout().is_some_and(|at| at <= now) {
                    insider.handle_timeout(now);
                }
            } else if self.nodes[index].poll_timeout().is_some_and(|at| at <= now) {
                self.nodes[index].handle_timeout(now);
            }
            self.collect(index);
        }
    }

    /// Puts on the wire what a node, or the insider in its place, has to send, and checks its books.
    fn collect(&mut self, index: usize) {
        if let Some(insider) = self.insiders.get_mut(&index) {
            let victim = insider.victim;
            let datagrams: Vec<_> = std::iter::from_fn(|| insider.poll_transmit()).collect();
            datagrams.into_iter().for_each(|datagram| self.put_on_wire(index, address(victim), datagram));
            return;
        }
        while let Some(batch) = self.take_batch(index) {
            for datagram in batch.datagrams() {
                self.put_on_wire(index, batch.destination, datagram.to_vec());
            }
        }
        while let Some(event) = self.nodes[index].poll_event() {
            self.events[index].push(event);
        }
        let counters = self.nodes[index].counters();
        assert!(counters.is_conserved(), "node {index}: {counters:#?}");
    }

    /// Gives a datagram to a node: as it came, or opened with what the node gave out for that.
    fn hand_to(&mut self, to: usize, source: SocketAddr, bytes: &[u8]) -> Verdict {
        let (node, now) = (&mut self.nodes[to], self.clock.now());
        let opener = node.opener_at(source).filter(|_| self.elsewhere);
        let mut plaintext = Vec::new();
        let opened = opener.and_then(|opener| opener.ready()?.open(bytes, &mut plaintext));
        match opened {
            Some(opened) => node.handle_opened(source, &opened, &mut plaintext, now),
            None => node.handle_datagram(source, bytes, now),
        }
    }

    fn take_batch(&mut self, index: usize) -> Option<Transmit> {
        let node = &mut self.nodes[index];
        if !self.elsewhere {
            return node.poll_transmit();
        }
        node.set_sealing(Sealing::Later);
        let (batch, list) = node.poll_unsealed()?.seal();
        node.recycle_list(list);
        Some(batch)
    }

    fn put_on_wire(&mut self, from: usize, destination: SocketAddr, bytes: Vec<u8>) {
        const ALERT: u8 = 21;
        let Some(to) = index_of(destination).filter(|to| *to < self.nodes.len()) else {
            return;
        };
        let is_lost_farewell = self.farewells_lost.contains(&(from, to)) && bytes.first() == Some(&ALERT);
        let is_in_the_clear = bytes.get(3..5) == Some(&[0, 0]);
        let is_lost_handshake = self.handshakes_lost && is_in_the_clear;
        let is_too_long = self.narrow.get(&(from, to)).is_some_and(|most| bytes.len() > *most);
        if is_too_long || self.cut.contains(&(from, to)) || is_lost_farewell || is_lost_handshake {
            return;
        }
        let is_an_answer = destination != address(to);
        let port = if is_an_answer { address(from).port() } else { self.ports[from] };
        let source = SocketAddr::new(address(from).ip(), port);
        let slower = self.slow.get(&(from, to)).copied().unwrap_or_default();
        for arrival in self.weather.arrivals() {
            let arrival = arrival + slower;
            let packet = Packet { from, source, to, bytes: bytes.clone() };
            self.wire.entry(self.clock.elapsed() + arrival).or_default().push_back(packet);
        }
    }

    fn summary(&self) -> String {
        let stories =
            (0..self.nodes.len()).map(|index| format!("\n{}: {:?}", name(index), self.story(index)));
        format!("at {:?}:{}", self.clock.elapsed(), stories.collect::<String>())
    }
}

pub(crate) fn name(index: usize) -> String {
    ["A", "B", "C", "D", "E", "F"].get(index).map_or_else(|| format!("N{index}"), |name| (*name).to_owned())
}

/// Runs a story once for each seed, and names the seed of one that fails.
pub(crate) fn for_each_seed(seeds: std::ops::Range<u64>, story: impl Fn(u64)) {
    struct Named(u64);
    impl Drop for Named {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("the seed was {}", self.0);
            }
        }
    }
    for seed in seeds {
        let _named = Named(seed);
        story(seed);
    }
}
