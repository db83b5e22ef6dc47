//! What the interface does with segments asks for no memory: every buffer it needs, it has from the beginning.

use allocation_counter::measure;
use etherparse::PacketBuilder;
use peerbound_daemon::{Coalescer, Framing, Splitter, UdpSegments};

const PAYLOAD_BYTES: usize = 1200;
const SEGMENTS: usize = 200;

/// Segments of some flows, in turn.
fn segments() -> Vec<Vec<u8>> {
    let segment = |index: usize| {
        let (port, number) = (u16::try_from(index % 20).unwrap(), u32::try_from(index / 20).unwrap());
        let sequence = number * u32::try_from(PAYLOAD_BYTES).unwrap();
        let builder = PacketBuilder::ipv6([0xfd; 16], [0xfe; 16], 64).tcp(port, 2, sequence, 1000).ack(1);
        let mut bytes = Vec::new();
        builder.write(&mut bytes, &[7; PAYLOAD_BYTES]).unwrap();
        bytes
    };
    (0..SEGMENTS).map(segment).collect()
}

#[test]
fn segments_are_put_together_and_cut_without_an_allocation() {
    let segments = segments();
    let mut coalescer = Coalescer::new(UdpSegments::Taken);
    let mut splitter = Splitter::new(Framing::Virtio);
    let (mut frames, mut packets, mut cut) = (0, 0, 0);
    let mut kernel = |frame: &[u8], count: usize| {
        (frames, packets) = (frames + 1, packets + count);
        splitter.room()[..frame.len()].copy_from_slice(frame);
        splitter.fill(frame.len());
        while let Some(packet) = splitter.next_packet() {
            cut += usize::from(packet.bytes.len() == PAYLOAD_BYTES + 60);
        }
    };

    let used = measure(|| {
        for segment in &segments {
            coalescer.take(segment, &mut kernel);
        }
        coalescer.flush(&mut kernel);
    });

    assert_eq!(used.count_total, 0, "{used:?} for {SEGMENTS} segments");
    assert_eq!((packets, cut), (SEGMENTS, SEGMENTS));
    // There are more flows than slots, so that some went out before their time.
    assert!(frames > 20, "{frames}");
}
