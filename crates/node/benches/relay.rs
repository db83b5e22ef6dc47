//! What a hop costs: a relay opens, decides and seals, all in memory, no socket. It is measured with either record
//! layer and compared, in the same run, with the same records opened and sealed by two bare sessions of
//! OpenSSL's. The goals: by OpenSSL's record layer a hop of at most 1.3 times that, and by our own one
//! that is at least 1.25 times faster. Besides, what of a hop is left to the thread that decides when others open and
//! seal: its inverse is how many times faster a relay can get by them.
//!
//! `cargo bench -p peerbound-node` prints the comparison last.
#![expect(clippy::disallowed_methods, reason = "a benchmark asks the clock")]

use std::hint::black_box;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use peerbound_dtls::{RecordLayer, Suite};
use peerbound_node::{Event, Node, NodeConfig, Sealing, Sending, StaticRoute};
use peerbound_wire::{FlowId, HEADER_BYTES, Header, Kind, NodeId};

use bare::Bare;
use members::{DATAGRAM_BYTES, FRAME_BYTES, config, contexts, ids_of, nanos, neighbour};
use ratios::{are_asked_for, medians, processor_time};

#[path = "../../../bench/support/bare.rs"]
mod bare;
#[path = "../../../bench/support/members.rs"]
mod members;
#[path = "../../../bench/support/ratios.rs"]
mod ratios;

/// Datagrams sealed ahead of each measurement: each can be opened once.
const PREPARED: usize = 1024;
/// Datagrams between two visits of the owner: what one system call receives.
const RECEIVED_AT_ONCE: usize = 32;
/// Rounds of the comparison at the end, both sides in turn; their median counts.
const ROUNDS: usize = 200;

fn main() {
    let mut hop = Hop::new(RecordLayer::Direct);
    let mut by_openssl = Hop::new(RecordLayer::Openssl);
    let mut bare = Bare::new();
    if are_asked_for() {
        return compare(&mut hop, &mut by_openssl, &mut bare);
    }
    println!("suite {}, datagrams of {DATAGRAM_BYTES} bytes", hop.suite.name);

    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("relay");
    group.throughput(Throughput::Bytes(DATAGRAM_BYTES as u64));
    group.bench_function("hop", |bencher| bencher.iter_custom(|count| repeat(count, |part| hop.run(part))));
    group.bench_function("hop_by_openssl", |bencher| {
        bencher.iter_custom(|count| repeat(count, |part| by_openssl.run(part)));
    });
    group.bench_function("open_and_seal", |bencher| {
        bencher.iter_custom(|count| repeat(count, |part| bare.run(part)));
    });
    group.throughput(Throughput::Elements(1));
    group.bench_function("header", |bencher| {
        let mut bytes = Header::new(Kind::Data, NodeId::new([1; 16]), NodeId::new([3; 16])).encode();
        bencher.iter(|| rewrite(black_box(&mut bytes)));
    });
    group.finish();
    criterion.final_summary();

    compare(&mut hop, &mut by_openssl, &mut bare);
}

/// Reads a header and writes over it what a hop changes, the part of a hop's own work that is the same for any node.
fn rewrite(bytes: &mut [u8]) {
    let (header, _) = Header::decode(bytes).unwrap();
    Header::write_hop_over(bytes, header.hop_limit, header.path_mtu.min(1363)).unwrap();
}

/// Runs `measure` in parts that can be prepared, until `count` datagrams are done.
fn repeat(count: u64, mut measure: impl FnMut(usize) -> Duration) -> Duration {
    let mut left = usize::try_from(count).unwrap();
    let mut total = Duration::ZERO;
    while left > 0 {
        let part = left.min(PREPARED);
        total += measure(part);
        left -= part;
    }
    total
}

fn compare(hop: &mut Hop, by_openssl: &mut Hop, bare: &mut Bare) {
    let round = |_| {
        let divided = hop.run_divided(PREPARED);
        let [alone, by_openssl, bare] = [hop.run(PREPARED), by_openssl.run(PREPARED), bare.run(PREPARED)]
            .map(|time| nanos(time, PREPARED));
        let deciding = nanos(divided.deciding, PREPARED);
        let all = deciding + nanos(divided.elsewhere, PREPARED);
        [alone, by_openssl, bare, by_openssl / bare, alone / by_openssl, all, deciding, deciding / alone]
    };
    let [hop, by_openssl, bare, above_bare, direct, rest @ ..] =
        medians(&(0..ROUNDS).map(round).collect::<Vec<_>>());
    let [divided, deciding, left] = rest;
    if are_asked_for() {
        ratios::say("hop-by-openssl", above_bare);
        ratios::say("hop", direct);
        ratios::say("hop-deciding", left);
        return;
    }
    println!("\nmedians over {ROUNDS} rounds of {PREPARED} datagrams");
    println!("  hop                         {hop:7.0} ns");
    println!("  hop by OpenSSL's records    {by_openssl:7.0} ns");
    println!("  OpenSSL's open and seal     {bare:7.0} ns");
    println!(
        "  hop, opened and sealed elsewhere {divided:7.0} ns, of which to decide {deciding:.0} ns: {left:.3} of the hop"
    );
    println!("  hop by OpenSSL / open+seal  {above_bare:7.3}    (goal: at most 1.3)");
    println!("  hop by OpenSSL / hop        {:7.3}    (goal: at least 1.25)", 1.0 / direct);
}

/// A–B–C, of which B is measured.
struct Hop {
    nodes: [Node; 3],
    now: Instant,
    suite: Suite,
}

impl Hop {
    fn new(record_layer: RecordLayer) -> Self {
        let now = Instant::now();
        let contexts = contexts(3);
        let ids = ids_of(&contexts);
        let neighbour = |index, address| neighbour(&ids, index, address);
        let node = |us: usize, neighbours, routes| {
            let config = NodeConfig { record_layer, ..config(&contexts[us], neighbours, routes) };
            Node::new(config, [u8::try_from(us).unwrap(); 32], 1, now)
        };
        let via_b = |to: usize| vec![StaticRoute { destination: ids[to], via: ids[1] }];
        let nodes = [
            node(0, vec![neighbour(1, Some(address(1)))], via_b(2)),
            node(1, vec![neighbour(0, None), neighbour(2, None)], Vec::new()),
            node(2, vec![neighbour(1, Some(address(1)))], via_b(0)),
        ];
        let mut hop = Self { nodes, now, suite: Suite::by_name("ECDHE-ECDSA-AES128-GCM-SHA256").unwrap() };
        hop.bring_up();
        hop
    }

    fn bring_up(&mut self) {
        let now = self.now;
        self.nodes.iter_mut().for_each(|node| node.handle_timeout(now));
        loop {
            let mut batches = Vec::new();
            for (from, node) in self.nodes.iter_mut().enumerate() {
                batches.extend(std::iter::from_fn(|| node.poll_transmit()).map(|batch| (from, batch)));
            }
            if batches.is_empty() {
                break;
            }
            for (from, batch) in batches {
                let to = index_of(batch.destination);
                for datagram in batch.datagrams() {
                    self.nodes[to].handle_datagram(address(from), datagram, now);
                }
            }
        }
        let events: Vec<_> = std::iter::from_fn(|| self.nodes[1].poll_event()).collect();
        assert_eq!(events.len(), 2, "both neighbours come up: {events:?}");
        for event in events {
            let Event::NeighbourUp { peer, .. } = event else { panic!("{event:?}") };
            self.suite = peer.suite;
        }
    }

    /// Lets A seal so many datagrams for C.
    fn prepare(&mut self, count: usize) -> Vec<Vec<u8>> {
        let [a, _, c] = &mut self.nodes;
        let payload = [7; FRAME_BYTES - HEADER_BYTES];
        let sending = Sending { destination: c.id(), flow: FlowId(1), is_reply: false, payload: &payload };
        let mut prepared = Vec::new();
        for _ in 0..count {
            a.send(sending, self.now).unwrap();
            while let Some(batch) = a.poll_transmit() {
                prepared.extend(batch.datagrams().map(<[u8]>::to_vec));
            }
        }
        assert!(prepared.iter().all(|datagram| datagram.len() == DATAGRAM_BYTES));
        prepared
    }

    /// Lets B relay so many datagrams from A to C, opened before they come to it and sealed after they have left, and
    /// returns the processor times of that.
    fn run_divided(&mut self, count: usize) -> Divided {
        let prepared = self.prepare(count);
        let b = &mut self.nodes[1];
        b.set_sealing(Sealing::Later);
        let opener = b.opener_at(address(0)).expect("its records are sealed directly");
        let (mut sent, mut batches) = (0, Vec::new());
        let (mut plaintexts, mut opened) = (Vec::new(), Vec::new());
        let (mut elsewhere, mut deciding) = (Duration::ZERO, Duration::ZERO);
        for received in prepared.chunks(RECEIVED_AT_ONCE) {
            let started = processor_time();
            plaintexts.clear();
            let key = opener.ready().expect("the session is there");
            opened.extend(received.iter().map(|datagram| key.open(datagram, &mut plaintexts).unwrap()));
            let opened_at = processor_time();
            let mut rest = &mut plaintexts[..];
            for opened in opened.drain(..) {
                let (plaintext, others) = rest.split_at_mut(opened.plaintext_bytes);
                black_box(b.handle_opened(address(0), &opened, plaintext, self.now));
                rest = others;
            }
            batches.extend(std::iter::from_fn(|| b.poll_unsealed()));
            black_box((b.poll_event(), b.poll_timeout()));
            let decided_at = processor_time();
            for batch in batches.drain(..) {
                let (batch, list) = batch.seal();
                sent += batch.bytes.len();
                b.recycle(black_box(batch).bytes);
                b.recycle_list(list);
            }
            deciding += decided_at - opened_at;
            elsewhere += opened_at - started + (processor_time() - decided_at);
        }
        b.set_sealing(Sealing::AtOnce);
        assert_eq!(sent, count * DATAGRAM_BYTES, "everything went on");
        Divided { elsewhere, deciding }
    }

    /// Lets B relay so many datagrams from A to C and returns the processor time of that.
    fn run(&mut self, count: usize) -> Duration {
        let prepared = self.prepare(count);
        let b = &mut self.nodes[1];
        let mut sent = 0;
        let started = processor_time();
        for received in prepared.chunks(RECEIVED_AT_ONCE) {
            for datagram in received {
                black_box(b.handle_datagram(address(0), datagram, self.now));
            }
            while let Some(batch) = b.poll_transmit() {
                sent += batch.bytes.len();
                b.recycle(black_box(batch).bytes);
            }
            while let Some(event) = b.poll_event() {
                black_box(event);
            }
            black_box(b.poll_timeout());
        }
        let took = processor_time() - started;
        assert_eq!(sent, count * DATAGRAM_BYTES, "everything went on");
        took
    }
}

/// What a hop takes that is divided among threads, without what it takes to cross them.
struct Divided {
    /// To open and to seal.
    elsewhere: Duration,
    /// Everything else.
    deciding: Duration,
}

fn address(index: usize) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, u8::try_from(index).unwrap()], 4433))
}

fn index_of(address: SocketAddr) -> usize {
    match address {
        SocketAddr::V4(v4) => usize::from(v4.ip().octets()[3]),
        SocketAddr::V6(_) => panic!("no node has such an address"),
    }
}
