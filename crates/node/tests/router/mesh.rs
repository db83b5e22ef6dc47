//! Routers without sessions: messages are lost, delayed and overtaken, links come and go, and each end
//! hears of that in its own time. Chance comes from a seed.
#![expect(clippy::disallowed_methods, reason = "an Instant can be had in no other way")]
#![allow(dead_code, reason = "tests and benchmark use different parts")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use peerbound_dtls::ErrorStack;
use peerbound_node::{Feasibility, ProofBook, Router, RouterConfig, Signer, Trust};
use peerbound_wire::{Claim, Item, List, NodeId, Prefix, ProofItem, ProofsPacker, RouteSeq, RoutingMessage};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Keys that anybody could forge: what is proved about ways needs no cryptography.
#[derive(Clone, Copy)]
pub(crate) struct Toy(pub(crate) NodeId);

/// As long as those of a P-256 key.
const CERTIFICATE_BYTES: usize = 480;
const SIGNATURE_BYTES: usize = 71;

fn toy_signature(id: &[u8], message: &[u8]) -> Vec<u8> {
    let hash = id.iter().chain(message).fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash.to_be_bytes().into_iter().cycle().take(SIGNATURE_BYTES).collect()
}

impl Signer for Toy {
    fn certificate(&self) -> Result<Vec<u8>, ErrorStack> {
        Ok(self.0.as_bytes().iter().copied().cycle().take(CERTIFICATE_BYTES).collect())
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, ErrorStack> {
        Ok(toy_signature(self.0.as_bytes(), message))
    }
}

/// Believes every toy.
pub(crate) struct Nursery;

/// A toy that may announce what stands in its certificate.
#[derive(Clone)]
pub(crate) struct Landed(pub(crate) NodeId, pub(crate) Vec<Prefix>);

impl Signer for Landed {
    fn certificate(&self) -> Result<Vec<u8>, ErrorStack> {
        let mut certificate = Toy(self.0).certificate()?;
        let mut prefixes = Vec::new();
        self.1.iter().for_each(|prefix| prefix.write_into(&mut prefixes));
        certificate[32..32 + prefixes.len()].copy_from_slice(&prefixes);
        certificate[31] = u8::try_from(self.1.len()).unwrap();
        certificate[30] = LANDED;
        Ok(certificate)
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, ErrorStack> {
        Toy(self.0).sign(message)
    }
}

/// Marks the certificate of a [`Landed`].
const LANDED: u8 = 0xa5;

impl Trust for Nursery {
    fn signer_of(&self, certificate: &[u8], message: &[u8], signature: &[u8]) -> Option<NodeId> {
        let id = certificate.first_chunk::<16>().filter(|_| certificate.len() == CERTIFICATE_BYTES)?;
        (toy_signature(id, message) == signature).then_some(NodeId::new(*id))
    }

    fn prefixes_of(&self, certificate: &[u8]) -> Vec<Prefix> {
        if certificate[30] != LANDED {
            return Vec::new();
        }
        let bytes = &certificate[32..32 + usize::from(certificate[31]) * 17];
        List::decode(bytes).unwrap().iter().collect()
    }
}

/// The proofs of these origins, as messages, in order.
pub(crate) fn proofs_of(origins: impl Iterator<Item = NodeId>, bytes_max: usize) -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    let mut packer = ProofsPacker::new(bytes_max);
    for origin in origins {
        let claim = Claim { origin, seqno: RouteSeq(0), prefixes: List::decode(&[]).unwrap() };
        let certificate = Toy(origin).certificate().unwrap();
        let signature = Toy(origin).sign(&claim.signed_bytes()).unwrap();
        let item = ProofItem { claim, certificate: &certificate, signature: &signature };
        if !packer.push(&item) {
            messages.push(std::mem::replace(&mut packer, ProofsPacker::new(bytes_max)).finish());
            assert!(packer.push(&item));
        }
    }
    messages.push(packer.finish());
    messages
}

pub(crate) fn now() -> Instant {
    Instant::now()
}

#[derive(Debug, Clone)]
enum Happening {
    Arrival { from: usize, to: usize, link: u32, bytes: Vec<u8> },
    Up { at: usize, peer: usize, link: u32 },
    Down { at: usize, peer: usize },
}

/// What a mesh is made from.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) nodes: usize,
    /// With the cost of each, the same in both directions.
    pub(crate) links: BTreeMap<(usize, usize), u16>,
    pub(crate) feasibility: Feasibility,
    /// Messages lost, in permille.
    pub(crate) loss: u32,
    pub(crate) latency: Duration,
    /// The most that chance adds to it.
    pub(crate) jitter: Duration,
    pub(crate) seed: u64,
}

impl Plan {
    pub(crate) fn new(nodes: usize, links: &[(usize, usize, u16)]) -> Self {
        let links = links.iter().map(|(one, other, cost)| (pair(*one, *other), *cost)).collect();
        Self {
            nodes,
            links,
            feasibility: Feasibility::On,
            loss: 0,
            latency: Duration::from_millis(5),
            jitter: Duration::ZERO,
            seed: 1,
        }
    }

    /// A ring with chords by chance, until the nodes have so many neighbours on average.
    pub(crate) fn random(nodes: usize, degree: usize, costs: u32, seed: u64) -> Self {
        let mut chance = ChaCha8Rng::seed_from_u64(seed ^ 0x6d65_7368);
        let mut plan = Self { seed, ..Self::new(nodes, &[]) };
        let mut add = |one: usize, other: usize, chance: &mut ChaCha8Rng| {
            let cost = 100 * u16::try_from(1 + chance.next_u32() % costs).unwrap();
            plan.links.entry(pair(one, other)).or_insert(cost);
            plan.links.len()
        };
        for node in 1..nodes {
            let other = below(&mut chance, node);
            add(other, node, &mut chance);
        }
        let wanted = (nodes * degree / 2).min(nodes * (nodes - 1) / 2);
        loop {
            let (one, other) = (below(&mut chance, nodes), below(&mut chance, nodes));
            if nodes <= 2 || (one != other && add(one, other, &mut chance) >= wanted) {
                break;
            }
        }
        plan
    }
}

fn pair(one: usize, other: usize) -> (usize, usize) {
    (one.min(other), one.max(other))
}

fn below(chance: &mut ChaCha8Rng, limit: usize) -> usize {
    usize::try_from(chance.next_u64() % limit as u64).unwrap()
}

pub(crate) struct Mesh {
    pub(crate) plan: Plan,
    pub(crate) ids: Vec<NodeId>,
    pub(crate) routers: Vec<Router>,
    pub(crate) book: Arc<ProofBook>,
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    /// Times that anything happened at a router, timers included.
    pub(crate) steps: u64,
    /// Whether to look for loops after every message.
    pub(crate) watches: bool,
    pub(crate) loops_seen: Vec<String>,
    indices: BTreeMap<NodeId, usize>,
    start: Instant,
    now: Duration,
    chance: ChaCha8Rng,
    happenings: BTreeMap<(Duration, u64), Happening>,
    count: u64,
    timers: BTreeSet<(Duration, usize)>,
    timer_of: Vec<Option<Duration>>,
    /// Links that are there, with a number that differs at each coming, and the ends that know of it.
    up: BTreeMap<(usize, usize), (u32, BTreeSet<usize>)>,
    links_made: u32,
    late: std::cell::Cell<usize>,
}

impl Mesh {
    /// Makes routers of which none has a link yet.
    pub(crate) fn new(plan: Plan) -> Self {
        let mut chance = ChaCha8Rng::seed_from_u64(plan.seed);
        let ids: Vec<_> = (0..plan.nodes)
            .map(|_| {
                let mut bytes = [0; 16];
                chance.fill_bytes(&mut bytes);
                NodeId::new(bytes)
            })
            .collect();
        let mut mesh = Self {
            routers: Vec::new(),
            book: Arc::new(ProofBook::new(Nursery)),
            messages: 0,
            bytes: 0,
            steps: 0,
            watches: false,
            loops_seen: Vec::new(),
            start: Instant::now(),
            now: Duration::ZERO,
            chance,
            happenings: BTreeMap::new(),
            count: 0,
            timers: BTreeSet::new(),
            timer_of: vec![None; plan.nodes],
            up: BTreeMap::new(),
            links_made: 0,
            late: std::cell::Cell::new(0),
            indices: ids.iter().copied().zip(0..).collect(),
            ids,
            plan,
        };
        mesh.routers = (0..mesh.plan.nodes).map(|index| mesh.boot(index)).collect();
        mesh
    }

    /// Makes routers and brings all links of the plan up.
    pub(crate) fn up(plan: Plan) -> Self {
        let links: Vec<_> = plan.links.keys().copied().collect();
        let mut mesh = Self::new(plan);
        links.into_iter().for_each(|(one, other)| mesh.join(one, other));
        mesh
    }

    fn boot(&mut self, index: usize) -> Router {
        let neighbours: Vec<_> = self.neighbours(index).map(|(peer, cost)| (self.ids[peer], cost)).collect();
        let costs: BTreeMap<_, _> = neighbours.into_iter().collect();
        let config = RouterConfig { costs, feasibility: self.plan.feasibility, ..RouterConfig::default() };
        let neighbours: Vec<_> = config.costs.keys().copied().collect();
        let proofs = (&config, Arc::clone(&self.book));
        let id = self.ids[index];
        Router::new(id, &neighbours, proofs, Toy(id), 1300, &mut self.chance, self.start + self.now).unwrap()
    }

    fn neighbours(&self, index: usize) -> impl Iterator<Item = (usize, u16)> + use<'_> {
        self.plan.links.iter().filter_map(move |((one, other), cost)| match index {
            _ if index == *one => Some((*other, *cost)),
            _ if index == *other => Some((*one, *cost)),
            _ => None,
        })
    }

    pub(crate) fn now(&self) -> Instant {
        self.start + self.now
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.now
    }

    /// Brings a link up; each end hears of it in its own time.
    pub(crate) fn join(&mut self, one: usize, other: usize) {
        assert!(self.plan.links.contains_key(&pair(one, other)), "no such link in the plan");
        if self.up.contains_key(&pair(one, other)) {
            return;
        }
        self.links_made += 1;
        let link = self.links_made;
        self.up.insert(pair(one, other), (link, BTreeSet::new()));
        self.happen(Happening::Up { at: one, peer: other, link });
        self.happen(Happening::Up { at: other, peer: one, link });
    }

    /// Cuts a link; what is on it is lost, and each end hears of it in its own time.
    pub(crate) fn cut(&mut self, one: usize, other: usize) {
        if self.up.remove(&pair(one, other)).is_some() {
            self.happen(Happening::Down { at: one, peer: other });
            self.happen(Happening::Down { at: other, peer: one });
        }
    }

    /// Cuts every link of a node and puts one in its place that remembers nothing.
    pub(crate) fn restart(&mut self, index: usize) {
        let links: Vec<_> =
            self.up.keys().copied().filter(|(one, other)| *one == index || *other == index).collect();
        for (one, other) in &links {
            self.up.remove(&(*one, *other));
            let peer = if *one == index { *other } else { *one };
            let id = self.ids[index];
            self.routers[peer].on_neighbour_down(id, self.start + self.now);
            self.collect(peer);
        }
        self.routers[index] = self.boot(index);
        self.collect(index);
        links.into_iter().for_each(|(one, other)| self.join(one, other));
    }

    /// Puts a router that remembers nothing in the place of one, and no neighbour notices.
    pub(crate) fn replace(&mut self, index: usize) {
        self.routers[index] = self.boot(index);
        let joined = |peer: &usize| self.is_joined(index, *peer);
        let peers: Vec<_> = self.neighbours(index).map(|(peer, _)| peer).filter(joined).collect();
        for peer in peers {
            let id = self.ids[peer];
            self.routers[index].on_neighbour_up(id, self.start + self.now);
        }
        self.collect(index);
    }

    pub(crate) fn is_joined(&self, one: usize, other: usize) -> bool {
        self.up.contains_key(&pair(one, other))
    }

    pub(crate) fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while self.step(end) {}
        self.now = end;
    }

    /// Runs until `done`, and returns when that was.
    pub(crate) fn run_until(&mut self, limit: Duration, done: impl Fn(&Self) -> bool) -> Duration {
        let (started, end) = (self.now, self.now + limit);
        while !done(self) {
            assert!(self.step(end), "it did not come about within {limit:?}");
        }
        self.now - started
    }

    /// Hands a router a message as if a neighbour had sent it.
    pub(crate) fn inject(&mut self, from: usize, to: usize, bytes: &[u8]) {
        let message = RoutingMessage::decode(bytes).unwrap();
        self.routers[to].on_message(self.ids[from], &message, self.start + self.now);
        self.collect(to);
    }

    fn step(&mut self, end: Duration) -> bool {
        let happening = self.happenings.keys().next().map(|(at, _)| *at);
        let timer = self.timers.first().map(|(at, _)| *at);
        let Some(next) = happening.into_iter().chain(timer).min().filter(|next| *next <= end) else {
            return false;
        };
        self.now = self.now.max(next);
        self.steps += 1;
        let index = if timer == Some(next) {
            let (_, index) = self.timers.first().copied().unwrap();
            self.routers[index].handle_timeout(self.start + self.now);
            index
        } else {
            let Some((_, happening)) = self.happenings.pop_first() else { return false };
            let Some(index) = self.let_happen(happening) else { return true };
            index
        };
        self.collect(index);
        if self.watches {
            self.look_for_loops();
        }
        true
    }

    fn let_happen(&mut self, happening: Happening) -> Option<usize> {
        let now = self.start + self.now;
        match happening {
            Happening::Arrival { from, to, link, bytes } => {
                self.up.get(&pair(from, to)).filter(|(current, _)| *current == link)?;
                let message = RoutingMessage::decode(&bytes).unwrap();
                self.routers[to].on_message(self.ids[from], &message, now);
                Some(to)
            }
            Happening::Up { at, peer, link } => {
                let (current, known) = self.up.get_mut(&pair(at, peer))?;
                if *current != link {
                    return None;
                }
                known.insert(at);
                self.routers[at].on_neighbour_up(self.ids[peer], now);
                Some(at)
            }
            Happening::Down { at, peer } => {
                // It may have come back before this end noticed that it was gone.
                if self.up.get(&pair(at, peer)).is_some_and(|(_, known)| known.contains(&at)) {
                    return None;
                }
                self.routers[at].on_neighbour_down(self.ids[peer], now);
                Some(at)
            }
        }
    }

    fn collect(&mut self, index: usize) {
        while let Some((to, bytes)) = self.routers[index].poll_transmit() {
            self.messages += 1;
            self.bytes += bytes.len() as u64;
            let to = self.ids_index(to);
            let Some((link, _)) = self.up.get(&pair(index, to)) else { continue };
            let link = *link;
            if self.chance.next_u32() % 1000 >= self.plan.loss {
                self.happen(Happening::Arrival { from: index, to, link, bytes });
            }
        }
        let timer = self.routers[index].poll_timeout().map(|at| at.saturating_duration_since(self.start));
        if timer != self.timer_of[index] {
            self.timer_of[index].map(|at| self.timers.remove(&(at, index)));
            timer.map(|at| self.timers.insert((at, index)));
            self.timer_of[index] = timer;
        }
    }

    fn ids_index(&self, id: NodeId) -> usize {
        self.indices[&id]
    }

    fn happen(&mut self, happening: Happening) {
        let jitter = u64::try_from(self.plan.jitter.as_micros()).unwrap();
        let jitter = Duration::from_micros(if jitter == 0 { 0 } else { self.chance.next_u64() % jitter });
        self.count += 1;
        self.happenings.insert((self.now + self.plan.latency + jitter, self.count), happening);
    }

    pub(crate) fn next_hop(&self, at: usize, to: usize) -> Option<usize> {
        self.routers[at].next_hop(&self.ids[to]).map(|id| self.ids_index(id))
    }

    /// Follows next hops over links that both ends know to be there; a frame goes no further elsewhere.
    fn look_for_loops(&mut self) {
        for to in 0..self.plan.nodes {
            for from in 0..self.plan.nodes {
                let mut way = vec![from];
                let mut at = from;
                while let Some(next) = self.next_hop(at, to).filter(|next| self.is_known(at, *next)) {
                    way.push(next);
                    if way.len() > self.plan.nodes + 1 {
                        self.loops_seen.push(format!("{:?} to {to}: {way:?}", self.now));
                        return;
                    }
                    at = next;
                }
            }
        }
    }

    fn is_known(&self, at: usize, peer: usize) -> bool {
        self.up.get(&pair(at, peer)).is_some_and(|(_, known)| known.len() == 2)
    }

    /// Says what is not as it should be: a way that is missing, or longer than the shortest, or too many.
    pub(crate) fn faults(&self) -> Vec<String> {
        (0..self.plan.nodes).flat_map(|to| self.faults_to(to)).collect()
    }

    fn faults_to(&self, to: usize) -> Vec<String> {
        let distances = self.distances_to(to);
        let mut faults = Vec::new();
        for from in (0..self.plan.nodes).filter(|from| *from != to) {
            let mut sum = 0;
            let mut at = from;
            let mut steps = 0;
            while let Some(next) = self.next_hop(at, to).filter(|_| steps <= self.plan.nodes) {
                sum += u32::from(self.plan.links[&pair(at, next)]);
                at = next;
                steps += 1;
            }
            let length = (at == to).then_some(sum);
            if length != distances[from] || (length.is_none() && self.next_hop(from, to).is_some()) {
                faults.push(format!("{from} to {to}: {length:?}, and {:?} is right", distances[from]));
            }
        }
        faults
    }

    /// Dijkstra, over the links that are there.
    fn distances_to(&self, to: usize) -> Vec<Option<u32>> {
        let mut distances = vec![None; self.plan.nodes];
        let mut around = vec![Vec::new(); self.plan.nodes];
        for (one, other) in self.up.keys() {
            around[*one].push(*other);
            around[*other].push(*one);
        }
        let mut open = BTreeSet::from([(0, to)]);
        while let Some((distance, at)) = open.pop_first() {
            if distances[at].is_some() {
                continue;
            }
            distances[at] = Some(distance);
            for next in &around[at] {
                open.insert((distance + u32::from(self.plan.links[&pair(at, *next)]), *next));
            }
        }
        distances
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.routers.iter().all(|router| router.reachable() + 1 == self.plan.nodes)
    }

    /// The same, and cheap to ask after every step of a large mesh: mostly a late router says no.
    pub(crate) fn is_complete_at_last(&self) -> bool {
        let late = self.late.get();
        if self.routers[late].reachable() + 1 < self.plan.nodes {
            return false;
        }
        let other = self.routers.iter().position(|router| router.reachable() + 1 < self.plan.nodes);
        self.late.set(other.unwrap_or(0));
        other.is_none()
    }

    pub(crate) fn degree(&self, index: usize) -> usize {
        self.neighbours(index).count()
    }

    /// Cuts all links of a node at once.
    pub(crate) fn kill(&mut self, index: usize) {
        let peers: Vec<_> = self.neighbours(index).map(|(peer, _)| peer).collect();
        peers.into_iter().for_each(|peer| self.cut(index, peer));
    }

    /// Says what is not as it should be on the ways to some of the nodes.
    pub(crate) fn faults_among(&self, some: usize) -> Vec<String> {
        let step = (self.plan.nodes / some).max(1);
        (0..self.plan.nodes).step_by(step).flat_map(|to| self.faults_to(to)).collect()
    }
}
