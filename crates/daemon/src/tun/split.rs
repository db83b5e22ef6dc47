//! Cuts what the interface gives: a super-packet, which the host's kernel left uncut and whose checksum it left
//! unfinished, becomes the packets that a network carries. Pure: it knows bytes, and no device.
//!
//! Nothing is copied and nothing allocated: the headers of each segment are written in front of its own payload, over the
//! end of the payload before it, which has left by then.

use tun_rs::{
    VIRTIO_NET_HDR_GSO_TCPV4, VIRTIO_NET_HDR_GSO_TCPV6, VIRTIO_NET_HDR_GSO_UDP_L4, VIRTIO_NET_HDR_LEN,
    VirtioNetHdr,
};

use crate::packets::checksum::{fold, sum, write_word};
use crate::packets::ip::{IpVersion, V4_HEADER_BYTES, V6_HEADER_BYTES, word};
use crate::tun::headers::{
    CWR, FIN, GSO_ECN, GSO_NONE, NEEDS_CHECKSUM, PSH, TCP_FLAGS_AT, TCP_SEQUENCE_AT, Transport,
    UDP_LENGTH_AT, V4_CHECKSUM_AT, V4_ID_AT, V4_LENGTH_AT, V6_LENGTH_AT, pseudo_sum, version_of,
};

/// What one read may give: the kernel's description, and the longest packet.
const READ_BYTES_MAX: usize = VIRTIO_NET_HDR_LEN + PACKET_BYTES_MAX;

/// The longest IP packet, as long as its length has 16 bits.
pub(crate) const PACKET_BYTES_MAX: usize = 65_535;

/// Headers of a segment: 60 bytes of IPv4 or 40 of IPv6, 60 of TCP, and some extension headers. A super-packet that has
/// more of them is not cut.
const HEADER_BYTES_MAX: usize = 256;

/// Whether the kernel describes each packet in front of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// It gives packets alone, and takes such.
    Plain,
    /// A header of virtio comes first: what is to be cut where, and which checksum is to be finished.
    Virtio,
}

/// What was read last, as far as it has not been given out.
pub struct Splitter {
    framing: Framing,
    buffer: Vec<u8>,
    state: State,
    /// The headers of a super-packet, with zeros where those of its segments differ.
    headers: [u8; HEADER_BYTES_MAX],
}

enum State {
    Empty,
    /// What was read, so many bytes: nobody has looked at it.
    Read(usize),
    /// One packet, from here to there in the buffer.
    Whole(usize, usize),
    Cutting(Cut),
}

/// A packet on its way out.
#[derive(Debug, PartialEq, Eq)]
pub struct Outgoing<'a> {
    /// The packet.
    pub bytes: &'a mut [u8],
    /// Whether it is the next piece of the super-packet that the packet before it is from: the same addresses, ports and
    /// marks.
    pub continues: bool,
}

/// A super-packet that is being cut.
#[derive(Debug, Clone, Copy)]
struct Cut {
    version: IpVersion,
    transport: Transport,
    transport_at: usize,
    header_bytes: usize,
    /// The sums over what the headers of all segments have in common: that of IPv4, and that of the transport with its
    /// pseudo-header.
    ip_sum: u16,
    transport_sum: u16,
    /// What the next segment has of its own.
    id: u16,
    sequence: u32,
    flags: u8,
    payload_bytes: usize,
    /// Where its payload begins in the buffer, and where that of the last one ends.
    at: usize,
    end: usize,
    is_first: bool,
}

impl Splitter {
    /// Makes one, and the only buffer it ever has: for the longest that one read may give.
    #[must_use]
    pub fn new(framing: Framing) -> Self {
        Self::with_room(framing, READ_BYTES_MAX)
    }

    /// Makes one for reads of up to so many bytes, the kernel's description counted.
    #[must_use]
    pub(crate) fn with_room(framing: Framing, bytes: usize) -> Self {
        Self { framing, buffer: vec![0; bytes], state: State::Empty, headers: [0; HEADER_BYTES_MAX] }
    }

    /// Returns where the next read goes. What was not given out is lost.
    pub fn room(&mut self) -> &mut [u8] {
        self.state = State::Empty;
        &mut self.buffer
    }

    /// Takes in what was read: so many bytes.
    pub fn fill(&mut self, len: usize) {
        self.state = State::Read(len.min(self.buffer.len()));
    }

    /// Takes over what another was filled with, as far as there is room for it.
    pub(crate) fn fill_from(&mut self, other: &Self) {
        if let State::Read(len) = other.state {
            let len = len.min(self.buffer.len());
            self.buffer[..len].copy_from_slice(&other.buffer[..len]);
            self.state = State::Read(len);
        }
    }

    /// Returns how many bytes it can be filled with.
    pub(crate) fn capacity(&self) -> usize {
        self.buffer.len()
    }

    /// Returns what was read, the packet or super-packet as the kernel gave it, until some of it is given out.
    pub fn uncut(&mut self) -> Option<&mut [u8]> {
        let State::Read(len) = self.state else { return None };
        let from = self.packet_at().min(len);
        self.buffer.get_mut(from..len)
    }

    /// Loses the next packet. What comes after it counts as the beginning.
    pub fn skip(&mut self) {
        self.next_packet();
        if let State::Cutting(cut) = &mut self.state {
            cut.is_first = true;
        }
    }

    /// Returns whether there is nothing to give out.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self.state, State::Empty)
    }

    /// Gives out the next packet.
    pub fn next_packet(&mut self) -> Option<Outgoing<'_>> {
        if let State::Read(len) = self.state {
            self.state = self.begin(len);
        }
        let (from, to, continues) = match &mut self.state {
            State::Empty | State::Read(_) => return None,
            State::Whole(from, to) => {
                let (from, to) = (*from, *to);
                self.state = State::Empty;
                (from, to, false)
            }
            State::Cutting(cut) => {
                let continues = !cut.is_first;
                let (from, to) = cut.next(&self.headers, &mut self.buffer);
                if cut.at >= cut.end {
                    self.state = State::Empty;
                }
                (from, to, continues)
            }
        };
        Some(Outgoing { bytes: self.buffer.get_mut(from..to)?, continues })
    }

    /// Returns where in the buffer a packet begins that was read.
    fn packet_at(&self) -> usize {
        match self.framing {
            Framing::Plain => 0,
            Framing::Virtio => VIRTIO_NET_HDR_LEN,
        }
    }

    /// Does what the header of virtio says, where there is one. What cannot be done goes on as it is, and is refused where it does not fit.
    fn begin(&mut self, len: usize) -> State {
        let whole = State::Whole(self.packet_at().min(len), len);
        if self.framing == Framing::Plain {
            return whole;
        }
        let Ok(header) = VirtioNetHdr::decode(&self.buffer[..len]) else { return whole };
        let packet = &mut self.buffer[VIRTIO_NET_HDR_LEN..len];
        if header.gso_type == GSO_NONE {
            if header.flags & NEEDS_CHECKSUM != 0 {
                finish_checksum(packet, header.csum_start.into(), header.csum_offset.into());
            }
            return whole;
        }
        Cut::new(packet, &header, &mut self.headers).map_or(whole, State::Cutting)
    }
}

impl Cut {
    fn new(packet: &[u8], header: &VirtioNetHdr, headers: &mut [u8; HEADER_BYTES_MAX]) -> Option<Self> {
        let version = version_of(packet)?;
        let transport = match (header.gso_type & !GSO_ECN, version) {
            (VIRTIO_NET_HDR_GSO_TCPV4, IpVersion::V4) | (VIRTIO_NET_HDR_GSO_TCPV6, IpVersion::V6) => {
                Transport::Tcp
            }
            (VIRTIO_NET_HDR_GSO_UDP_L4, _) => Transport::Udp,
            _ => return None,
        };
        // The checksum begins where the transport does, whatever headers stand before it.
        let transport_at = usize::from(header.csum_start);
        let least = match version {
            IpVersion::V4 => V4_HEADER_BYTES,
            IpVersion::V6 => V6_HEADER_BYTES,
        };
        if header.flags & NEEDS_CHECKSUM == 0 || transport_at < least || header.gso_size == 0 {
            return None;
        }
        let header_bytes = transport_at + transport.header_bytes(packet.get(transport_at..)?)?;
        let common = headers.get_mut(..header_bytes)?;
        common.copy_from_slice(packet.get(..header_bytes)?);
        let (id, ip_sum) = match version {
            IpVersion::V4 => {
                let id = word(common, V4_ID_AT)?;
                for at in [V4_LENGTH_AT, V4_ID_AT, V4_CHECKSUM_AT] {
                    write_word(common, at, 0);
                }
                (id, sum(&common[..transport_at]))
            }
            IpVersion::V6 => (0, 0),
        };
        let (sequence, flags) = match transport {
            Transport::Tcp => {
                let at = transport_at + TCP_SEQUENCE_AT;
                let sequence = u32::from_be_bytes(*common.get(at..)?.first_chunk()?);
                common[at..at + 4].fill(0);
                let flags = std::mem::take(common.get_mut(transport_at + TCP_FLAGS_AT)?);
                (sequence, flags)
            }
            Transport::Udp => {
                write_word(common, transport_at + UDP_LENGTH_AT, 0);
                (0, 0)
            }
        };
        write_word(common, transport_at + transport.checksum_at(), 0);
        let pseudo = pseudo_sum(common, version, transport, 0);
        Some(Self {
            version,
            transport,
            transport_at,
            header_bytes,
            ip_sum,
            transport_sum: fold(u32::from(sum(&common[transport_at..])) + u32::from(pseudo)),
            id,
            sequence,
            flags,
            payload_bytes: header.gso_size.into(),
            at: VIRTIO_NET_HDR_LEN + header_bytes,
            end: VIRTIO_NET_HDR_LEN + packet.len(),
            is_first: true,
        })
    }

    /// Makes the next segment where it is; returns from where to where that is.
    fn next(&mut self, headers: &[u8; HEADER_BYTES_MAX], buffer: &mut [u8]) -> (usize, usize) {
        let (from, to) = (self.at - self.header_bytes, self.end.min(self.at + self.payload_bytes));
        let (packet, is_last) = (&mut buffer[from..to], to == self.end);
        packet[..self.header_bytes].copy_from_slice(&headers[..self.header_bytes]);
        let transport_bytes = length(packet, self.transport_at);
        match self.version {
            IpVersion::V4 => {
                let packet_bytes = length(packet, 0);
                write_word(packet, V4_LENGTH_AT, packet_bytes);
                write_word(packet, V4_ID_AT, self.id);
                let sum = u32::from(self.ip_sum) + u32::from(packet_bytes) + u32::from(self.id);
                write_word(packet, V4_CHECKSUM_AT, !fold(sum));
            }
            IpVersion::V6 => write_word(packet, V6_LENGTH_AT, length(packet, V6_HEADER_BYTES)),
        }
        // The pseudo-header has the length, too.
        let mut transport_sum = u32::from(self.transport_sum) + u32::from(transport_bytes);
        let transport = &mut packet[self.transport_at..];
        match self.transport {
            Transport::Tcp => {
                let flags = self.flags_of(is_last);
                let sequence = self.sequence.to_be_bytes();
                transport[TCP_SEQUENCE_AT..TCP_SEQUENCE_AT + 4].copy_from_slice(&sequence);
                transport[TCP_FLAGS_AT] = flags;
                transport_sum += u32::from(sum(&sequence)) + u32::from(flags);
            }
            Transport::Udp => {
                write_word(transport, UDP_LENGTH_AT, transport_bytes);
                transport_sum += u32::from(transport_bytes);
            }
        }
        transport_sum += u32::from(sum(&packet[self.header_bytes..]));
        let checksum = self.transport.checksum_word(!fold(transport_sum));
        write_word(packet, self.transport_at + self.transport.checksum_at(), checksum);
        self.id = self.id.wrapping_add(1);
        self.sequence = self.sequence.wrapping_add(u32::try_from(to - self.at).unwrap_or(0));
        self.at = to;
        self.is_first = false;
        (from, to)
    }

    /// What ends the data stands on the last segment, and the answer to a mark on the first (RFC 3168, 6.1.2).
    fn flags_of(&self, is_last: bool) -> u8 {
        let of_last = if is_last { 0 } else { FIN | PSH };
        let of_first = if self.is_first { 0 } else { CWR };
        self.flags & !of_last & !of_first
    }
}

/// Returns how long a packet is from here on. It has no more bytes than its length can say: the whole of which it is a
/// piece had not.
fn length(packet: &[u8], from: usize) -> u16 {
    u16::try_from(packet.len().saturating_sub(from)).unwrap_or(u16::MAX)
}

/// Finishes a checksum, of which the sender has written the sum over the pseudo-header in its place.
fn finish_checksum(packet: &mut [u8], start: usize, offset: usize) {
    let Some(checked) = packet.get(start..).filter(|checked| checked.len() >= offset + 2) else { return };
    // In UDP zero would mean that there is none; elsewhere both ways to write zero mean the same (RFC 1071, 1).
    let checksum = Transport::Udp.checksum_word(!sum(checked));
    write_word(packet, start + offset, checksum);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tun::samples::{Sample, framed, is_right, transport_at};

    fn split(read: &[u8]) -> Vec<(Vec<u8>, bool)> {
        let mut splitter = Splitter::new(Framing::Virtio);
        splitter.room()[..read.len()].copy_from_slice(read);
        splitter.fill(read.len());
        let mut packets = Vec::new();
        while let Some(Outgoing { bytes, continues }) = splitter.next_packet() {
            packets.push((bytes.to_vec(), continues));
        }
        assert!(splitter.is_empty());
        packets
    }

    fn payload(bytes: usize) -> Vec<u8> {
        (0..bytes).map(|at| u8::try_from(at % 251).unwrap()).collect()
    }

    #[test]
    fn a_super_packet_of_tcp_becomes_the_segments_that_its_sender_would_have_made() {
        for version in [IpVersion::V4, IpVersion::V6] {
            let whole = Sample { flags: 0x99, ..Sample::tcp(version, u32::MAX - 1500, &payload(2500)) };

            let packets = split(&whole.uncut(1000));

            let expected: Vec<_> = [(0, 1000, 0x90), (1000, 2000, 0x10), (2000, 2500, 0x19)]
                .into_iter()
                .zip(0..)
                .map(|((from, to, flags), number)| {
                    let segment = Sample {
                        id: 7 + number,
                        sequence: whole.sequence.wrapping_add(from),
                        flags,
                        payload: whole.payload[from as usize..to].to_vec(),
                        ..whole.clone()
                    };
                    (segment.bytes(), number > 0)
                })
                .collect();
            assert_eq!(packets, expected);
        }
    }

    #[test]
    fn a_super_packet_of_udp_becomes_datagrams() {
        for version in [IpVersion::V4, IpVersion::V6] {
            let whole = Sample::udp(version, &payload(2500));

            let packets = split(&whole.uncut(1200));

            let expected = whole.payload.chunks(1200).zip(0..).map(|(payload, number)| {
                let datagram = Sample { id: 7 + number, payload: payload.to_vec(), ..whole.clone() };
                (datagram.bytes(), number > 0)
            });
            assert_eq!(packets, expected.collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_checksum_of_a_single_packet_is_finished() {
        for sample in [Sample::tcp(IpVersion::V6, 1, b"hello"), Sample::udp(IpVersion::V4, b"hello")] {
            let mut unfinished = sample.uncut(0);
            unfinished[1] = GSO_NONE;

            assert_eq!(split(&unfinished), [(sample.bytes(), false)]);
        }
    }

    #[test]
    fn a_packet_that_wants_nothing_passes_as_it_is() {
        let packet = Sample::udp(IpVersion::V6, b"hello").bytes();

        assert_eq!(split(&framed(&VirtioNetHdr::default(), &packet)), [(packet.clone(), false)]);
        let mut plain = Splitter::new(Framing::Plain);
        plain.room()[..packet.len()].copy_from_slice(&packet);
        plain.fill(packet.len());
        assert_eq!(plain.next_packet().unwrap().bytes, packet);
        assert!(plain.next_packet().is_none());
    }

    proptest! {
        #[test]
        fn segments_are_right_and_hold_the_payload(
            is_v4: bool,
            is_udp: bool,
            payload_bytes in 1..20_000_usize,
            segment_bytes in 1..2000_u16,
            sequence: u32,
        ) {
            let version = if is_v4 { IpVersion::V4 } else { IpVersion::V6 };
            let whole = match is_udp {
                true => Sample::udp(version, &payload(payload_bytes)),
                false => Sample::tcp(version, sequence, &payload(payload_bytes)),
            };

            let packets = split(&whole.uncut(segment_bytes));

            let mut joined: Vec<u8> = Vec::new();
            for (packet, _) in &packets {
                prop_assert!(is_right(packet), "{packet:?}");
                joined.extend(&packet[whole.header_bytes()..]);
            }
            prop_assert_eq!(joined, whole.payload);
            prop_assert_eq!(packets.len(), payload_bytes.div_ceil(segment_bytes.into()));
        }

        #[test]
        fn whatever_the_header_says_no_byte_is_touched_that_is_not_there(
            fields: [u16; 4],
            flags: u8,
            gso_type in prop_oneof![any::<u8>(), Just(1), Just(4), Just(5)],
            start in prop_oneof![any::<u16>(), 0..80_u16],
            packet in proptest::collection::vec(any::<u8>(), 0..400),
            first: u8,
            is_one_of_ours: bool,
        ) {
            let [hdr_len, gso_size, csum_offset, _] = fields;
            let header = VirtioNetHdr { flags, gso_type, hdr_len, gso_size, csum_start: start, csum_offset };
            let mut packet = if is_one_of_ours { Sample::tcp(IpVersion::V6, 1, &packet).bytes() } else { packet };
            if let Some(byte) = packet.first_mut() {
                *byte = if is_one_of_ours { *byte } else { first };
            }

            let packets = split(&framed(&header, &packet));

            prop_assert!(packets.iter().all(|(bytes, _)| bytes.len() <= packet.len()));
        }

        #[test]
        fn whatever_is_read_is_given_out(read in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(!split(&read).is_empty());
        }
    }

    #[test]
    fn samples_are_judged_by_their_bytes() {
        let packet = Sample::tcp(IpVersion::V4, 1, b"hello").bytes();
        assert!(is_right(&packet));

        for at in [transport_at(&packet) - 1, packet.len() - 1] {
            let mut bent = packet.clone();
            bent[at] ^= 1;
            assert!(!is_right(&bent));
        }
    }
}
