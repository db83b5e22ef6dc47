//! What a hop costs: a relay opens, decides and seals, all in memory, no socket. It is measured with either record
//! layer and compared, in the same run, with the same records opened and sealed by two bare sessions of
//! OpenSSL's. The goals: by OpenSSL's record layer a hop of at most 1.3 times that, and by our own one
//! that is at least 1.25 times faster.
//!
//! `cargo bench -p peerbound-node` prints the comparison last.
#![expect(clippy::disallowed_methods, reason = "a benchmark asks the clock")]

use std::hint::black_box;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use criterion::{Criterion, Throughput};
use peerbound_dtls::{
    Authority, Context, ContextConfig, Doorman, Plaintexts, RecordLayer, Screening, Session, SessionOptions,
    Suite, Validity,
};
use peerbound_node::{Event, NeighbourConfig, Node, NodeConfig, Sending, StaticRoute, node_id};
use peerbound_wire::{FlowId, HEADER_BYTES, Header, Kind, NodeId};

/// Bytes of the datagrams, all told.
const DATAGRAM_BYTES: usize = 1400;
/// What AES-GCM adds to a frame: record header, explicit nonce, tag.
const OVERHEAD_BYTES: usize = 37;
const FRAME_BYTES: usize = DATAGRAM_BYTES - OVERHEAD_BYTES;

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
    let nanos = |time: Duration| time.as_secs_f64() * 1e9 / PREPARED as f64;
    let round = |_| [hop.run(PREPARED), by_openssl.run(PREPARED), bare.run(PREPARED)].map(nanos);
    let rounds: Vec<[f64; 3]> = (0..ROUNDS).map(round).collect();
    let median = |value: &dyn Fn(&[f64; 3]) -> f64| {
        let mut values: Vec<_> = rounds.iter().map(value).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    println!("\nmedians over {ROUNDS} rounds of {PREPARED} datagrams");
    println!("  hop                         {:7.0} ns", median(&|round| round[0]));
    println!("  hop by OpenSSL's records    {:7.0} ns", median(&|round| round[1]));
    println!("  OpenSSL's open and seal     {:7.0} ns", median(&|round| round[2]));
    println!(
        "  hop by OpenSSL / open+seal  {:7.3}    (goal: at most 1.3)",
        median(&|round| round[1] / round[2])
    );
    println!(
        "  hop by OpenSSL / hop        {:7.3}    (goal: at least 1.25)",
        median(&|round| round[1] / round[0])
    );
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
        let contexts = contexts();
        let ids = contexts.each_ref().map(|context| node_id(&context.key_hash()));
        let neighbour = |index: usize, address: Option<SocketAddr>| NeighbourConfig {
            id: ids[index],
            name: index.to_string(),
            addresses: address.into_iter().collect(),
        };
        let node = |us: usize, neighbours, routes| {
            let config = NodeConfig {
                neighbours,
                routes,
                rekey_records: u64::MAX,
                record_layer,
                ..NodeConfig::new(contexts[us].clone())
            };
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

    /// Lets B relay so many datagrams from A to C and returns how long that took.
    fn run(&mut self, count: usize) -> Duration {
        let [a, b, c] = &mut self.nodes;
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

        let mut sent = 0;
        let started = Instant::now();
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
        let took = started.elapsed();
        assert_eq!(sent, count * DATAGRAM_BYTES, "everything went on");
        took
    }
}

/// One session that opens and one that seals, with nothing between them, and their other ends.
struct Bare {
    origin: Session,
    opens: Session,
    seals: Session,
    now: Instant,
    plaintexts: Plaintexts,
}

impl Bare {
    fn new() -> Self {
        let now = Instant::now();
        let [one, middle, other] = contexts();
        let (origin, opens) = establish(&one, &middle, now);
        let (_, seals) = establish(&other, &middle, now);
        Self { origin, opens, seals, now, plaintexts: Plaintexts::new() }
    }

    fn run(&mut self, count: usize) -> Duration {
        let frame = [7; FRAME_BYTES];
        let mut prepared = Vec::new();
        for _ in 0..count {
            self.origin.send(&frame).unwrap();
            prepared.push(self.origin.poll_transmit().unwrap().to_vec());
        }

        let started = Instant::now();
        for datagram in &prepared {
            self.plaintexts.clear();
            black_box(self.opens.handle_datagram(datagram, &mut self.plaintexts, self.now));
            for plaintext in self.plaintexts.iter() {
                self.seals.send(plaintext).unwrap();
            }
            while let Some(sealed) = self.seals.poll_transmit() {
                black_box(sealed);
            }
        }
        let took = started.elapsed();
        assert_eq!(self.plaintexts.iter().map(<[u8]>::len).sum::<usize>(), FRAME_BYTES);
        took
    }
}

fn establish(client: &Context, server: &Context, now: Instant) -> (Session, Session) {
    let options = SessionOptions { record_layer: RecordLayer::Openssl, ..SessionOptions::default() };
    let doorman = Doorman::new([7; 32], now);
    let mut plaintexts = Plaintexts::new();
    let mut client = Session::connect(client, &options, now).unwrap();
    let hello = client.poll_transmit().unwrap().to_vec();
    let Ok(Screening::Challenge(challenge)) = doorman.screen(&hello, address(0), now) else {
        panic!("a hello without a cookie is challenged");
    };
    client.handle_datagram(&challenge, &mut plaintexts, now);
    let hello = client.poll_transmit().unwrap().to_vec();
    let Ok(Screening::Verified(hello)) = doorman.screen(&hello, address(0), now) else {
        panic!("the cookie comes back");
    };
    let mut server = Session::accept(server, &options, &hello, now).unwrap();
    while !(client.is_established() && server.is_established()) {
        let (from, to) =
            if server.has_transmit() { (&mut server, &mut client) } else { (&mut client, &mut server) };
        let datagram = from.poll_transmit().unwrap().to_vec();
        to.handle_datagram(&datagram, &mut plaintexts, now);
    }
    (client, server)
}

fn contexts() -> [Context; 3] {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let validity = Validity::days(since.cast_signed() - 3600, 2);
    let authority = Authority::generate("bench root", validity).unwrap();
    ["A", "B", "C"].map(|name| {
        let identity = authority.issue(name, validity).unwrap();
        Context::new(ContextConfig::new(identity, vec![authority.to_root()])).unwrap()
    })
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
