//! Puts packets that arrived one by one together again, so that this host's kernel takes many of them at once. Pure: it
//! knows bytes, and no device.
//!
//! A super-packet grows only while each packet is what the sender's own kernel would have cut off next: the same headers,
//! the next sequence number, the same size. Everything else closes it, and goes out after it: no flow is ever put out of
//! order. Nothing waits here beyond [`Coalescer::flush`].

use crate::tun::headers::Transport;
use crate::tun::shape::{Joining, Shape, shares_addresses, shares_ends};
use crate::tun::slot::{Meeting, Slot};
use crate::tun::split::PACKET_BYTES_MAX;

/// Super-packets that grow at the same time: 16 x 64 KiB = 1 MiB, and one slot more for packets alone. Where more flows are
/// mixed, they go out before their time, in turn.
const OPEN_MAX: usize = 16;

/// Which super-packets of UDP the kernel takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UdpSegments {
    /// None: before Linux 6.2.
    Refused,
    /// Those of datagrams of one size.
    Taken,
}

/// The super-packets that grow.
pub struct Coalescer {
    udp: UdpSegments,
    slots: Vec<Slot>,
    /// Where the last packet went: the next one is likely to follow it.
    last: usize,
    /// Which slot is emptied next where a further one is wanted.
    next_victim: usize,
    /// For a packet that joins no other.
    aside: Slot,
}

impl Coalescer {
    /// Makes one, with all the buffers it ever has.
    #[must_use]
    pub fn new(udp: UdpSegments) -> Self {
        let slots = std::iter::repeat_with(Slot::new).take(OPEN_MAX).collect();
        Self { udp, slots, last: 0, next_victim: 0, aside: Slot::new() }
    }

    /// Takes a packet that arrived. What is complete by it is given to `write`: the header of virtio with the packet, and
    /// of how many that is made.
    pub fn take(&mut self, packet: &[u8], mut write: impl FnMut(&[u8], usize)) {
        if packet.len() > PACKET_BYTES_MAX {
            // No datagram carries so much.
            return;
        }
        let Some(shape) = Shape::of(packet) else {
            // As a fragment, which has no ports: it stays behind everything between the same hosts.
            return self.pass(packet, shares_addresses, &mut write);
        };
        if shape.joining == Joining::Never
            || shape.transport == Transport::Udp && self.udp == UdpSegments::Refused
        {
            return self.pass(packet, shares_ends, &mut write);
        }
        if let Some(index) = self.find(packet, &shape) {
            self.last = index;
            match self.slots[index].meet(packet, &shape) {
                Meeting::Joined => return,
                Meeting::JoinedLast => return self.slots[index].close(&mut write),
                Meeting::Refused => self.slots[index].close(&mut write),
            }
            return self.slots[index].open(packet, shape, &mut write);
        }
        let index = self.free_slot(&mut write);
        self.last = index;
        self.slots[index].open(packet, shape, &mut write);
    }

    /// Gives everything that has grown to `write`.
    pub fn flush(&mut self, mut write: impl FnMut(&[u8], usize)) {
        self.slots.iter_mut().for_each(|slot| slot.close(&mut write));
    }

    fn find(&self, packet: &[u8], shape: &Shape) -> Option<usize> {
        let is_its = |index: &usize| {
            let grown = self.slots[*index].grown();
            grown.is_some_and(|(grown, transport)| transport == shape.transport && shares_ends(grown, packet))
        };
        Some(self.last).filter(is_its).or_else(|| (0..OPEN_MAX).find(is_its))
    }

    fn free_slot(&mut self, write: &mut impl FnMut(&[u8], usize)) -> usize {
        if let Some(free) = self.slots.iter().position(|slot| slot.grown().is_none()) {
            return free;
        }
        let index = self.next_victim;
        self.slots[index].close(write);
        self.next_victim = (index + 1) % OPEN_MAX;
        index
    }

    /// Lets a packet pass that joins no other, behind those that it must not overtake.
    fn pass(
        &mut self,
        packet: &[u8],
        is_behind: fn(&[u8], &[u8]) -> bool,
        write: &mut impl FnMut(&[u8], usize),
    ) {
        for slot in &mut self.slots {
            if slot.grown().is_some_and(|(grown, _)| is_behind(grown, packet)) {
                slot.close(write);
            }
        }
        self.aside.write_alone(packet, write);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use tun_rs::{VIRTIO_NET_HDR_LEN, VirtioNetHdr};

    use super::*;
    use crate::packets::ip::IpVersion;
    use crate::tun::headers::PSH;
    use crate::tun::samples::{Sample, is_right};
    use crate::tun::slot::SLOT_BYTES;
    use crate::tun::split::{Framing, Splitter};

    type Change = fn(&mut Sample);

    const VERSIONS: [IpVersion; 2] = [IpVersion::V4, IpVersion::V6];

    /// Lets packets arrive in one turn; returns what the kernel is given.
    fn arrive(packets: &[Vec<u8>]) -> Vec<(Vec<u8>, usize)> {
        let mut frames = Vec::new();
        let mut coalescer = Coalescer::new(UdpSegments::Taken);
        for packet in packets {
            coalescer.take(packet, |frame, packets| frames.push((frame.to_vec(), packets)));
        }
        coalescer.flush(|frame, packets| frames.push((frame.to_vec(), packets)));
        frames
    }

    /// Returns what a kernel makes of frames that leaves the cutting to us.
    fn cut(frames: &[(Vec<u8>, usize)]) -> Vec<Vec<u8>> {
        let mut splitter = Splitter::new(Framing::Virtio);
        let mut packets = Vec::new();
        for (frame, _) in frames {
            splitter.room()[..frame.len()].copy_from_slice(frame);
            splitter.fill(frame.len());
            while let Some(packet) = splitter.next_packet() {
                packets.push(packet.bytes.to_vec());
            }
        }
        packets
    }

    fn counts(packets: &[Vec<u8>]) -> Vec<usize> {
        arrive(packets).iter().map(|(_, packets)| *packets).collect()
    }

    /// Cuts a stream as a sender does.
    fn stream(version: IpVersion, bytes: usize, segment_bytes: usize) -> Vec<Sample> {
        let payload: Vec<_> = (0..bytes).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let whole = Sample::tcp(version, u32::MAX - 3000, &[]);
        let pieces = payload.chunks(segment_bytes).zip(0..);
        let samples = pieces.map(|(payload, number)| Sample {
            id: 7 + number,
            sequence: whole.sequence.wrapping_add(u32::from(number) * u32::try_from(segment_bytes).unwrap()),
            payload: payload.to_vec(),
            ..whole.clone()
        });
        samples.collect()
    }

    fn bytes_of(samples: &[Sample]) -> Vec<Vec<u8>> {
        samples.iter().map(Sample::bytes).collect()
    }

    #[test]
    fn consecutive_segments_become_one_super_packet_and_the_kernel_makes_them_again() {
        for version in VERSIONS {
            let packets = bytes_of(&stream(version, 12_345, 1220));

            let frames = arrive(&packets);

            assert_eq!(frames.len(), 1, "{version:?}");
            assert_eq!(frames[0].1, packets.len());
            let description = VirtioNetHdr::decode(&frames[0].0).unwrap();
            assert_eq!((description.flags, description.gso_size), (1, 1220));
            assert_eq!(cut(&frames), packets);
        }
    }

    #[test]
    fn datagrams_of_one_size_become_one_super_packet_where_the_kernel_takes_it() {
        for version in VERSIONS {
            let samples: Vec<_> = (0..200_u16)
                .map(|number| Sample { id: 7 + number, ..Sample::udp(version, &number.to_be_bytes()) })
                .collect();
            let packets = bytes_of(&samples);

            let frames = arrive(&packets);

            assert_eq!(frames.iter().map(|(_, packets)| *packets).collect::<Vec<_>>(), [64, 64, 64, 8]);
            let shares = |range: std::ops::Range<usize>| cut(&frames)[range.clone()] == packets[range];
            assert!(version == IpVersion::V4 || shares(0..200));
            let mut without = Vec::new();
            let mut coalescer = Coalescer::new(UdpSegments::Refused);
            for packet in &packets {
                coalescer.take(packet, |_, packets| without.push(packets));
            }
            assert_eq!(without, [1; 200]);
        }
    }

    #[test]
    fn a_packet_alone_is_written_as_it_came() {
        for packet in [
            Sample::tcp(IpVersion::V6, 1, b"hello").bytes(),
            Sample::tcp(IpVersion::V4, 1, b"").bytes(),
            Sample::udp(IpVersion::V4, b"hello").bytes(),
            b"no packet".to_vec(),
            Vec::new(),
        ] {
            let frames = arrive(std::slice::from_ref(&packet));

            assert_eq!(frames, [([&[0; VIRTIO_NET_HDR_LEN][..], &packet].concat(), 1)]);
        }
    }

    #[test]
    fn what_its_sender_wants_delivered_ends_a_super_packet() {
        for version in VERSIONS {
            let mut samples = stream(version, 4000, 1000);
            samples[1].flags |= PSH;

            let frames = arrive(&bytes_of(&samples));

            assert_eq!(frames.iter().map(|(_, packets)| *packets).collect::<Vec<_>>(), [2, 2]);
            assert_eq!(cut(&frames), bytes_of(&samples));
        }
    }

    #[test]
    fn whatever_differs_in_its_headers_begins_another_super_packet() {
        let differences: [(&str, Change); 10] = [
            ("hops", |sample| sample.hops = 63),
            ("mark", |sample| sample.traffic_class = 3),
            ("acknowledged", |sample| sample.acknowledged += 1),
            ("window", |sample| sample.window += 1),
            ("options", |sample| sample.options[7] ^= 1),
            ("fewer options", |sample| sample.options.clear()),
            ("sequence", |sample| sample.sequence ^= 1),
            ("flags", |sample| sample.flags |= 0x40),
            ("end", |sample| sample.flags |= 0x01),
            ("larger", |sample| sample.payload.push(1)),
        ];
        for version in VERSIONS {
            for (name, change) in differences {
                let mut samples = stream(version, 4000, 1000);
                samples[2..].iter_mut().for_each(change);
                let packets = bytes_of(&samples);

                let frames = arrive(&packets);

                assert_eq!(frames[0].1, 2, "{name}");
                assert_eq!(cut(&frames), packets, "{name}");
            }
        }
    }

    #[test]
    fn numbers_of_ipv4_count_only_where_a_packet_may_be_cut_into_fragments() {
        let mut samples = stream(IpVersion::V4, 4000, 1000);
        samples.iter_mut().for_each(|sample| sample.id = 9);
        assert_eq!(counts(&bytes_of(&samples)), [4]);

        samples.iter_mut().for_each(|sample| sample.may_be_cut = true);
        assert_eq!(counts(&bytes_of(&samples)), [1; 4]);
        let mut counted = stream(IpVersion::V4, 4000, 1000);
        counted.iter_mut().for_each(|sample| sample.may_be_cut = true);
        assert_eq!(counts(&bytes_of(&counted)), [4]);
    }

    #[test]
    fn a_corrupt_packet_joins_nothing_and_stays_as_corrupt_as_it_came() {
        for version in VERSIONS {
            for index in 0..4 {
                let mut packets = bytes_of(&stream(version, 4000, 1000));
                *packets[index].last_mut().unwrap() ^= 1;

                let frames = arrive(&packets);

                assert_eq!(cut(&frames), packets, "{index}");
                assert!(
                    frames.iter().any(|(frame, count)| {
                        *count == 1 && frame[VIRTIO_NET_HDR_LEN..] == packets[index]
                    })
                );
            }
        }
    }

    #[test]
    fn a_datagram_without_a_checksum_stays_without() {
        let mut packet = Sample::udp(IpVersion::V4, b"hello").bytes();
        packet[26..28].fill(0);

        assert_eq!(counts(&[packet.clone(), packet]), [1, 1]);
    }

    #[test]
    fn a_super_packet_is_never_longer_than_a_packet_can_be() {
        for version in VERSIONS {
            let packets = bytes_of(&stream(version, 200_000, 1220));

            let frames = arrive(&packets);

            assert_eq!(cut(&frames), packets);
            assert!(frames.len() == 4 && frames.iter().all(|(frame, _)| frame.len() <= SLOT_BYTES));
        }
    }

    #[test]
    fn a_fragment_waits_for_all_that_came_before_it_between_its_hosts() {
        let samples = stream(IpVersion::V4, 2000, 1000);
        let mut fragment = Sample::udp(IpVersion::V4, b"piece").bytes();
        fragment[6] = 0x20;

        let frames = arrive(&[samples[0].bytes(), fragment.clone(), samples[1].bytes()]);

        assert_eq!(frames.len(), 3);
        assert_eq!(frames[1].0[VIRTIO_NET_HDR_LEN..], fragment);
    }

    proptest! {
        #[test]
        fn flows_that_are_mixed_keep_their_order_and_every_packet(
            picks in proptest::collection::vec((0..24_u16, 0..40_u8, 1..1300_usize), 1..300),
            is_v4: bool,
        ) {
            let version = if is_v4 { IpVersion::V4 } else { IpVersion::V6 };
            let mut sequences = BTreeMap::new();
            let mut packets = Vec::new();
            for (port, kind, size) in picks {
                let sequence: &mut u32 = sequences.entry(port).or_default();
                let size = if kind < 30 { 1000 } else { size };
                let mut sample = Sample { port, ..Sample::tcp(version, *sequence, &vec![kind; size]) };
                match kind {
                    31 => sample.flags |= PSH,
                    32 => sample.payload.clear(),
                    33 => sample.acknowledged += 1,
                    34 => sample.flags |= 1,
                    35 => sample.transport = Transport::Udp,
                    36 => sample.sequence = 5,
                    _ => {}
                }
                *sequence += u32::try_from(sample.payload.len()).unwrap();
                let mut bytes = sample.bytes();
                if kind == 37 {
                    *bytes.last_mut().unwrap() ^= 0x80;
                }
                packets.push(bytes);
            }

            let frames = arrive(&packets);

            let by_ends = |packets: &[Vec<u8>]| {
                let mut flows: BTreeMap<(u8, Vec<u8>), Vec<Vec<u8>>> = BTreeMap::new();
                for packet in packets {
                    let at = crate::tun::samples::transport_at(packet);
                    let mut packet = packet.clone();
                    if is_v4 {
                        // The number says nothing here, and a super-packet counts it on.
                        packet[4..6].fill(0);
                        packet[10..12].fill(0);
                    }
                    let protocol = packet[if is_v4 { 9 } else { 6 }];
                    flows.entry((protocol, packet[at..at + 4].to_vec())).or_default().push(packet);
                }
                flows
            };
            prop_assert!(by_ends(&cut(&frames)) == by_ends(&packets));
            prop_assert_eq!(frames.iter().map(|(_, packets)| packets).sum::<usize>(), packets.len());
            for (frame, count) in &frames {
                prop_assert!(*count > 1 || packets.contains(&frame[VIRTIO_NET_HDR_LEN..].to_vec()));
            }
        }

        #[test]
        fn what_is_cut_and_put_together_again_is_one_stream(
            is_v4: bool,
            bytes in 1..60_000_usize,
            segment_bytes in 100..1500_usize,
        ) {
            let version = if is_v4 { IpVersion::V4 } else { IpVersion::V6 };
            let packets = bytes_of(&stream(version, bytes, segment_bytes));

            let frames = arrive(&packets);

            prop_assert_eq!(frames.len(), 1);
            let again = cut(&frames);
            prop_assert!(again.iter().all(|packet| is_right(packet)));
            prop_assert_eq!(again, packets);
        }

        #[test]
        fn any_bytes_pass(packets in proptest::collection::vec(
            (any::<bool>(), proptest::collection::vec(any::<u8>(), 0..100)), 0..20)
        ) {
            let packets: Vec<_> = packets.into_iter().map(|(is_v6, mut bytes)| {
                if let Some(first) = bytes.first_mut() {
                    *first = if is_v6 { 0x60 } else { 0x45 };
                }
                bytes
            }).collect();

            let taken: usize = arrive(&packets).iter().map(|(_, packets)| *packets).sum();

            prop_assert_eq!(taken, packets.len());
        }
    }
}
