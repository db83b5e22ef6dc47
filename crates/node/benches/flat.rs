//! Whether the cost of a frame depends on how many neighbours and routes a relay has: the same datagrams through
//! relays with few and with many, in turn. And what a neighbour costs at rest, in memory.
//!
//! `cargo bench -p peerbound-node --bench flat` prints what was found, `-- --ratios` for `bench/guard`.
#![expect(clippy::disallowed_methods, reason = "a benchmark asks the clock")]
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot start has nothing to measure")]

use std::hint::black_box;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use peerbound_node::{NeighbourConfig, Node, Sending, StaticRoute};
use peerbound_wire::{FlowId, HEADER_BYTES, NodeId};

use members::{DATAGRAM_BYTES, FRAME_BYTES, config, contexts, ids_of, nanos, neighbour};
use ratios::{are_asked_for, medians, processor_time, say};

#[path = "../../../bench/support/members.rs"]
mod members;
#[path = "../../../bench/support/ratios.rs"]
mod ratios;

const NEIGHBOURS: [usize; 2] = [3, 1000];
const ROUTES: [usize; 2] = [10, 10_000];

/// Datagrams of one turn, and rounds of turns of which the median counts. A turn is long enough for each route to be
/// used: in a shorter one a relay mostly waits for what the others have driven out of the caches.
const DATAGRAMS: usize = 10_240;
const ROUNDS: usize = 25;

/// Datagrams that are made before they are carried: few, since a relay uses its buffers again and again.
const PREPARED: usize = 64;
const _: () =
    assert!(DATAGRAMS >= ROUTES[1] && DATAGRAMS.is_multiple_of(PREPARED) && PREPARED.is_multiple_of(BURST));

/// Datagrams between two visits of the owner: what one system call receives. One sender has them all.
const BURST: usize = 32;

/// What a neighbour may take at rest, in bytes.
const MEMORY_GOAL: f64 = 200_000.0;

/// From whom datagrams come, and for whom they are.
#[derive(Clone, Copy)]
enum Traffic {
    /// From one neighbour, for all destinations beyond another one.
    OnePair,
    /// From each neighbour in turn to the next one, a burst at a time.
    AllPairs,
}

fn main() {
    let mut small = Star::new(NEIGHBOURS[0], ROUTES[0]);
    let before = resident_bytes();
    let mut wide = Star::new(NEIGHBOURS[1], ROUTES[0]);
    // What the nodes at the other ends take beside their sessions was counted before them.
    let per_neighbour = (resident_bytes() - before - wide.unconnected_bytes) / NEIGHBOURS[1] as f64 / 2.0;
    let mut long = Star::new(NEIGHBOURS[0], ROUTES[1]);
    let round = |_| {
        let [few, many, far] =
            [&mut small, &mut wide, &mut long].map(|star| nanos(star.run(Traffic::OnePair), DATAGRAMS));
        let [few_all, many_all] =
            [&mut small, &mut wide].map(|star| nanos(star.run(Traffic::AllPairs), DATAGRAMS));
        [few, many, far, few_all, many_all, many / few, far / few, many_all / few_all]
    };
    let found = medians(&(0..ROUNDS).map(round).collect::<Vec<_>>());
    let [few, many, far, few_all, many_all, neighbours, routes, spread] = found;
    if are_asked_for() {
        say("neighbours-1000", neighbours);
        say("routes-10000", routes);
        say("neighbours-1000-in-turn", spread);
        say("memory-per-neighbour", per_neighbour / MEMORY_GOAL);
        return;
    }
    println!("medians over {ROUNDS} rounds of {DATAGRAMS} datagrams of {DATAGRAM_BYTES} bytes");
    println!("  3 neighbours, 10 routes                 {few:6.0} ns");
    println!(
        "  1000 neighbours                         {many:6.0} ns, ratio {neighbours:.3} (goal: at most 1.15)"
    );
    println!(
        "  10,000 routes                           {far:6.0} ns, ratio {routes:.3} (goal: at most 1.15)"
    );
    println!("  in turn from all of 3 neighbours        {few_all:6.0} ns");
    println!(
        "  in turn from all of 1000                {many_all:6.0} ns, ratio {spread:.3}: their sessions are in no cache"
    );
    println!(
        "  memory of a neighbour at rest           {per_neighbour:6.0} bytes (goal: at most {MEMORY_GOAL})"
    );
}

/// A relay and its neighbours.
struct Star {
    relay: Node,
    peers: Vec<Node>,
    ids: Vec<NodeId>,
    /// Destinations beyond the second neighbour.
    far: Vec<NodeId>,
    turn: usize,
    now: Instant,
    /// Bytes that all nodes took before they were connected.
    unconnected_bytes: f64,
}

impl Star {
    fn new(neighbours: usize, routes: usize) -> Self {
        let now = Instant::now();
        let before = resident_bytes();
        let contexts = contexts(neighbours + 1);
        let ids = ids_of(&contexts);
        let (relay_id, peer_ids) = (ids[neighbours], &ids[..neighbours]);
        let far: Vec<_> = (0..routes).map(far_id).collect();
        let via =
            |via: NodeId| far.iter().map(move |destination| StaticRoute { destination: *destination, via });
        let node = |index: usize, neighbours: Vec<NeighbourConfig>, routes: Vec<StaticRoute>| {
            let config = config(&contexts[index], neighbours, routes);
            Node::new(config, [u8::try_from(index % 251).unwrap(); 32], 1, now)
        };
        let neighbour = |index, address| neighbour(&ids, index, address);
        let peer = |index: usize| {
            let next = StaticRoute { destination: peer_ids[(index + 1) % neighbours], via: relay_id };
            let mut routes = vec![next];
            if index == 0 {
                routes.extend(via(relay_id));
            }
            node(index, vec![neighbour(neighbours, Some(address(neighbours)))], routes)
        };
        let peers = (0..neighbours).map(peer).collect();
        let relay = node(
            neighbours,
            (0..neighbours).map(|index| neighbour(index, None)).collect(),
            via(peer_ids[1]).collect(),
        );
        let unconnected_bytes = resident_bytes() - before;
        let ids = peer_ids.to_vec();
        let mut star = Self { relay, peers, ids, far, turn: 0, now, unconnected_bytes };
        (0..neighbours).for_each(|index| star.bring_up(index));
        star
    }

    fn bring_up(&mut self, index: usize) {
        let (peer, relay) = (&mut self.peers[index], &mut self.relay);
        peer.handle_timeout(self.now);
        loop {
            let there = carry(peer, (relay, address(index)), self.now);
            let back = carry(relay, (peer, address(self.ids.len())), self.now);
            if !there && !back {
                break;
            }
        }
        while relay.poll_event().is_some() {}
        while peer.poll_event().is_some() {}
    }

    /// Lets the relay carry the datagrams of one turn and returns the processor time of that.
    fn run(&mut self, traffic: Traffic) -> Duration {
        (0..DATAGRAMS / PREPARED).map(|_| self.carry_some(traffic)).sum()
    }

    fn carry_some(&mut self, traffic: Traffic) -> Duration {
        let prepared: Vec<_> = (0..PREPARED / BURST).map(|_| self.prepare(traffic)).collect();
        let mut sent = 0;
        let started = processor_time();
        for (from, datagrams) in &prepared {
            for datagram in datagrams {
                black_box(self.relay.handle_datagram(*from, datagram, self.now));
            }
            while let Some(batch) = self.relay.poll_transmit() {
                sent += batch.bytes.len();
                self.relay.recycle(black_box(batch).bytes);
            }
            while let Some(event) = self.relay.poll_event() {
                black_box(event);
            }
            black_box(self.relay.poll_timeout());
        }
        let took = processor_time() - started;
        assert_eq!(sent, PREPARED * DATAGRAM_BYTES, "everything went on");
        took
    }

    /// Seals one burst.
    fn prepare(&mut self, traffic: Traffic) -> (SocketAddr, Vec<Vec<u8>>) {
        let payload = [7; FRAME_BYTES - HEADER_BYTES];
        let mut datagrams = Vec::new();
        self.turn += 1;
        let sender = match traffic {
            Traffic::OnePair => 0,
            Traffic::AllPairs => self.turn % self.peers.len(),
        };
        for number in 0..BURST {
            let destination = match traffic {
                Traffic::OnePair => self.far[(self.turn * BURST + number) * 7 % self.far.len()],
                Traffic::AllPairs => self.ids[(sender + 1) % self.ids.len()],
            };
            let sending = Sending { destination, flow: FlowId(1), is_reply: false, payload: &payload };
            let peer = &mut self.peers[sender];
            peer.send(sending, self.now).unwrap();
            while let Some(batch) = peer.poll_transmit() {
                datagrams.extend(batch.datagrams().map(<[u8]>::to_vec));
            }
        }
        assert!(datagrams.iter().all(|datagram| datagram.len() == DATAGRAM_BYTES));
        (address(sender), datagrams)
    }
}

/// Carries what a node sends; returns whether it sent anything.
fn carry(from: &mut Node, (to, source): (&mut Node, SocketAddr), now: Instant) -> bool {
    let mut is_any = false;
    while let Some(batch) = from.poll_transmit() {
        is_any = true;
        for datagram in batch.datagrams() {
            to.handle_datagram(source, datagram, now);
        }
    }
    is_any
}

/// Makes up an id that lies anywhere among the others.
fn far_id(index: usize) -> NodeId {
    let number = (index as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    NodeId::new(((u128::from(number) << 64) | u128::from(!number)).to_be_bytes())
}

/// Gives each node a prefix of its own, since handshakes are limited by prefix.
fn address(index: usize) -> SocketAddr {
    let [high, low] = u16::try_from(index).unwrap().to_be_bytes();
    SocketAddr::from(([10, high, low, 1], 4433))
}

/// Returns what this process has in memory.
fn resident_bytes() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<f64>().unwrap() * 1024.0
}
