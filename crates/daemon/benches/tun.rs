//! What the interface costs for each segment, without the kernel: a super-packet is cut, and segments are put together
//! again. Beside it a plain copy of the same bytes in the same run, and what `tun-rs` brings along for both.
//!
//! `cargo bench -p peerbound-daemon` prints the comparison last.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use etherparse::PacketBuilder;
use peerbound_daemon::{Coalescer, Framing, Splitter, UdpSegments};
use tun_rs::{VIRTIO_NET_HDR_GSO_TCPV6, VIRTIO_NET_HDR_LEN, VirtioNetHdr, gso_split, handle_gro};

#[path = "../../../bench/support/ratios.rs"]
#[expect(dead_code, reason = "what is timed here is too short for the clock of a thread")]
mod ratios;

/// Bytes of a segment with its headers, as they fit into the interface of a node with the usual `mtu`.
const SEGMENT_BYTES: usize = 1270;
const HEADER_BYTES: usize = 40 + 20 + 12;
const PAYLOAD_BYTES: usize = SEGMENT_BYTES - HEADER_BYTES;

/// Segments of one super-packet: as many as the kernel puts into one.
const SEGMENTS: usize = 50;

/// Rounds of the comparison at the end, all sides in turn; their medians count.
const ROUNDS: usize = 500;

/// What is measured, by name.
const MEASURES: [(&str, Measure); 5] = [
    ("copy", Sides::copy),
    ("split", Sides::split),
    ("coalesce", Sides::coalesce),
    ("split_of_tun_rs", Sides::split_of_tun_rs),
    ("coalesce_of_tun_rs", Sides::coalesce_of_tun_rs),
];

/// Treats all segments once; says how long that took.
type Measure = fn(&mut Sides) -> Duration;

fn main() {
    let mut sides = Sides::new();
    if ratios::are_asked_for() {
        let [copy, split, coalesce, ..] = medians(&mut sides);
        ratios::say("split", split.as_secs_f64() / copy.as_secs_f64());
        ratios::say("coalesce", coalesce.as_secs_f64() / copy.as_secs_f64());
        return;
    }
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("tun");
    group.throughput(Throughput::Bytes((SEGMENT_BYTES * SEGMENTS) as u64));
    for (name, measure) in MEASURES {
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|count| (0..count).map(|_| measure(&mut sides)).sum());
        });
    }
    group.finish();
    criterion.final_summary();

    let medians = medians(&mut sides);
    println!("for each segment of {SEGMENT_BYTES} bytes:");
    for ((name, _), time) in MEASURES.iter().zip(medians) {
        let nanos = time.as_secs_f64() * 1e9 / SEGMENTS as f64;
        println!("{name:<20} {nanos:4.0} ns, {:.1} copies", time.as_secs_f64() / medians[0].as_secs_f64());
    }
}

/// Measures all in turn, so that a busy machine changes all.
fn medians(sides: &mut Sides) -> [Duration; 5] {
    let mut times = MEASURES.map(|_| Vec::new());
    for _ in 0..ROUNDS {
        for ((_, measure), times) in MEASURES.iter().zip(&mut times) {
            times.push(measure(sides));
        }
    }
    times.map(median)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// What is measured, with its buffers.
struct Sides {
    /// As the kernel gives it.
    uncut: Vec<u8>,
    /// As they arrive.
    segments: Vec<Vec<u8>>,
    splitter: Splitter,
    coalescer: Coalescer,
    copied: Vec<u8>,
    /// What `tun-rs` takes: a buffer for each segment, with room for the whole.
    buffers: Vec<Vec<u8>>,
    sizes: Vec<usize>,
}

impl Sides {
    fn new() -> Self {
        let payload = vec![0xa5; PAYLOAD_BYTES * SEGMENTS];
        let mut whole = vec![0; VIRTIO_NET_HDR_LEN];
        whole.extend(packet(1, &payload));
        let description = VirtioNetHdr {
            flags: 1,
            gso_type: VIRTIO_NET_HDR_GSO_TCPV6,
            hdr_len: u16::try_from(HEADER_BYTES).unwrap(),
            gso_size: u16::try_from(PAYLOAD_BYTES).unwrap(),
            csum_start: 40,
            csum_offset: 16,
        };
        description.encode(&mut whole).unwrap();
        let at = |index| u32::try_from(index * PAYLOAD_BYTES).unwrap() + 1;
        Self {
            uncut: whole,
            segments: (0..SEGMENTS).map(|index| packet(at(index), &payload[..PAYLOAD_BYTES])).collect(),
            splitter: Splitter::new(Framing::Virtio),
            coalescer: Coalescer::new(UdpSegments::Taken),
            copied: vec![0; SEGMENT_BYTES],
            buffers: std::iter::repeat_with(|| Vec::with_capacity(70_000)).take(SEGMENTS).collect(),
            sizes: vec![0; SEGMENTS],
        }
    }

    fn copy(&mut self) -> Duration {
        let start = Instant::now();
        for segment in &self.segments {
            self.copied.copy_from_slice(black_box(segment));
            black_box(&mut self.copied);
        }
        start.elapsed()
    }

    fn split(&mut self) -> Duration {
        // The kernel writes there; what is measured is what follows.
        self.splitter.room()[..self.uncut.len()].copy_from_slice(&self.uncut);
        let start = Instant::now();
        self.splitter.fill(self.uncut.len());
        while let Some(packet) = self.splitter.next_packet() {
            black_box(packet.bytes);
        }
        start.elapsed()
    }

    fn coalesce(&mut self) -> Duration {
        let write = |frame: &[u8], _| {
            black_box(frame);
        };
        let start = Instant::now();
        for segment in &self.segments {
            self.coalescer.take(black_box(segment), write);
        }
        self.coalescer.flush(write);
        start.elapsed()
    }

    fn split_of_tun_rs(&mut self) -> Duration {
        let description = VirtioNetHdr::decode(&self.uncut).unwrap();
        self.buffers.iter_mut().for_each(|buffer| buffer.resize(SEGMENT_BYTES, 0));
        let mut whole = self.uncut[VIRTIO_NET_HDR_LEN..].to_vec();
        let start = Instant::now();
        let cut = gso_split(&mut whole, description, &mut self.buffers, &mut self.sizes, 0, true).unwrap();
        let took = start.elapsed();
        assert_eq!(cut, SEGMENTS);
        took
    }

    /// Its tables and the packets in its buffers are there before, as they are where it has received them.
    fn coalesce_of_tun_rs(&mut self) -> Duration {
        for (buffer, segment) in self.buffers.iter_mut().zip(&self.segments) {
            buffer.clear();
            buffer.resize(VIRTIO_NET_HDR_LEN, 0);
            buffer.extend_from_slice(segment);
        }
        let (mut tcp, mut udp, mut to_write) =
            (Default::default(), Default::default(), Vec::with_capacity(SEGMENTS));
        let start = Instant::now();
        handle_gro(&mut self.buffers, VIRTIO_NET_HDR_LEN, &mut tcp, &mut udp, true, &mut to_write).unwrap();
        let took = start.elapsed();
        assert_eq!(to_write.len(), 1);
        took
    }
}

fn packet(sequence: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let builder = PacketBuilder::ipv6([0xfd; 16], [0xfe; 16], 64).tcp(1, 2, sequence, 1000).ack(1);
    let builder = builder.options_raw(&[1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2]).unwrap();
    builder.write(&mut bytes, payload).unwrap();
    bytes
}
