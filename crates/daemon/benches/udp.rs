//! What UDP costs a relay on real sockets, in processor time for each datagram of 1400 bytes, over loopback: plain
//! sockets, `BatchSocket` with batches of several sizes, and the whole of a running node in the middle of two
//! others beside the sum of its parts, each measured alone in the same run. The goal is a whole of at most 1.25
//! times the sum.
//!
//! `cargo bench -p peerbound-daemon --bench udp` prints what was found, `-- --ratios` for `bench/guard`.
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot start has nothing to measure")]

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use peerbound_daemon::BatchSocket;
use peerbound_node::Transmit;

use bare::Bare;
use chain::Chain;
use members::{DATAGRAM_BYTES, nanos};
use ratios::{are_asked_for, medians, processor_time, say};

#[path = "../../../bench/support/bare.rs"]
mod bare;
#[path = "udp/chain.rs"]
mod chain;
#[path = "../../../bench/support/members.rs"]
mod members;
#[path = "../../../bench/support/ratios.rs"]
mod ratios;

/// Datagrams of one call: one, some, and as many as fit 64 KiB.
const BATCHES: [usize; 3] = [1, 8, 46];

/// Datagrams of one measurement of a part.
const DATAGRAMS: usize = 46 * 16;

/// Rounds, in each of which everything is measured in turn.
const ROUNDS: usize = 25;

/// How long the whole is loaded in each round.
const LOADED: Duration = Duration::from_millis(150);

fn main() {
    let mut sockets = Sockets::new();
    let mut bare = Bare::new();
    let mut chain = Chain::start();
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let plain = sockets.plain();
        let [single, some, full] = BATCHES.map(|batch| sockets.batched(batch));
        let records = nanos(bare.run(DATAGRAMS), DATAGRAMS);
        let whole = chain.run(LOADED);
        let parts = records + full.sending + full.receiving;
        let of_plain = |cost: Cost| cost.both() / plain.both();
        rounds.push([
            plain.sending,
            plain.receiving,
            single.sending,
            single.receiving,
            some.sending,
            some.receiving,
            full.sending,
            full.receiving,
            records,
            parts,
            whole,
            of_plain(single),
            of_plain(some),
            of_plain(full),
            whole / parts,
        ]);
    }
    report(medians(&rounds));
}

fn report(found: [f64; 15]) {
    let [plain_out, plain_in, one_out, one_in, some_out, some_in, full_out, full_in, rest @ ..] = found;
    let [records, parts, whole, one, some, full, relay] = rest;
    if are_asked_for() {
        say("batch-of-1", one);
        say("batch-of-8", some);
        say("batch-of-46", full);
        say("relay-on-sockets", relay);
        return;
    }
    println!("processor time for each datagram of {DATAGRAM_BYTES} bytes, medians over {ROUNDS} rounds");
    println!("                         send      receive   both, by plain sockets");
    println!("  plain sockets       {plain_out:6.0} ns  {plain_in:6.0} ns");
    println!("  batches of 1        {one_out:6.0} ns  {one_in:6.0} ns  {one:6.3}");
    println!("  batches of 8        {some_out:6.0} ns  {some_in:6.0} ns  {some:6.3}");
    println!("  batches of 46       {full_out:6.0} ns  {full_in:6.0} ns  {full:6.3}");
    println!("  open and seal       {records:6.0} ns");
    println!("  sum of the parts    {parts:6.0} ns: open, seal, send and receive in batches of 46");
    println!("  a running relay     {whole:6.0} ns, ratio {relay:.3} (goal: at most 1.25)");
}

/// What a datagram costs on its way out and on its way in.
#[derive(Clone, Copy)]
struct Cost {
    sending: f64,
    receiving: f64,
}

impl Cost {
    fn both(self) -> f64 {
        self.sending + self.receiving
    }
}

/// Two sockets of each kind, one that sends to the other.
struct Sockets {
    plain: [UdpSocket; 2],
    batched: [BatchSocket; 2],
}

impl Sockets {
    fn new() -> Self {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let plain = [(); 2].map(|()| UdpSocket::bind(any).unwrap());
        let batched = [(); 2].map(|()| BatchSocket::bind(any).unwrap());
        Self { plain, batched }
    }

    /// Sends and receives one by one, a few at a time so that none is lost.
    fn plain(&self) -> Cost {
        let [from, to] = &self.plain;
        let destination = to.local_addr().unwrap();
        let (datagram, mut buffer) = ([7; DATAGRAM_BYTES], [0; 2048]);
        let [mut sending, mut receiving] = [Duration::ZERO; 2];
        for _ in 0..DATAGRAMS / BATCHES[2] {
            let begun = processor_time();
            for _ in 0..BATCHES[2] {
                from.send_to(&datagram, destination).unwrap();
            }
            let sent = processor_time();
            for _ in 0..BATCHES[2] {
                assert_eq!(to.recv_from(&mut buffer).unwrap().0, DATAGRAM_BYTES);
            }
            sending += sent - begun;
            receiving += processor_time() - sent;
        }
        Cost { sending: nanos(sending, DATAGRAMS), receiving: nanos(receiving, DATAGRAMS) }
    }

    /// Sends and receives in batches of one call each.
    fn batched(&mut self, batch: usize) -> Cost {
        let [from, to] = &mut self.batched;
        let transmit = Transmit {
            destination: to.local_address().unwrap(),
            bytes: vec![7; DATAGRAM_BYTES * batch],
            segment_bytes: DATAGRAM_BYTES,
        };
        let [mut sending, mut receiving] = [Duration::ZERO; 2];
        let mut datagrams = 0;
        while datagrams < DATAGRAMS {
            // As many as a plain socket has waiting.
            let calls = BATCHES[2].div_ceil(batch);
            let begun = processor_time();
            for _ in 0..calls {
                from.send(&transmit, 0).unwrap();
            }
            let sent = processor_time();
            let mut received = 0;
            while received < calls * batch {
                to.receive(|_, datagram| {
                    assert_eq!(datagram.len(), DATAGRAM_BYTES);
                    received += 1;
                })
                .unwrap();
            }
            sending += sent - begun;
            receiving += processor_time() - sent;
            datagrams += received;
        }
        Cost { sending: nanos(sending, datagrams), receiving: nanos(receiving, datagrams) }
    }
}
