//! One place in which segments of a flow become a super-packet. Pure.

use tun_rs::{
    VIRTIO_NET_HDR_GSO_TCPV4, VIRTIO_NET_HDR_GSO_TCPV6, VIRTIO_NET_HDR_GSO_UDP_L4, VIRTIO_NET_HDR_LEN,
    VirtioNetHdr,
};

use crate::packets::checksum::{sum, write_word};
use crate::packets::ip::{IpVersion, V6_HEADER_BYTES};
use crate::tun::headers::{
    NEEDS_CHECKSUM, PSH, TCP_FLAGS_AT, Transport, UDP_LENGTH_AT, V4_CHECKSUM_AT, V4_LENGTH_AT, V6_LENGTH_AT,
    pseudo_sum,
};
use crate::tun::shape::{Joining, Shape};
use crate::tun::split::PACKET_BYTES_MAX;

/// Datagrams of UDP in one: the kernel cuts off no more than 128 from one, and before Linux 6.9 no more than 64.
const DATAGRAMS_MAX: usize = 64;

/// What one slot holds: the kernel's description, and the longest packet.
pub(crate) const SLOT_BYTES: usize = VIRTIO_NET_HDR_LEN + PACKET_BYTES_MAX;

/// Room for one super-packet.
pub(crate) struct Slot {
    /// Room for the header of virtio, then the packet.
    buffer: Vec<u8>,
    grown: Option<Grown>,
}

/// What is in a slot.
#[derive(Debug, Clone, Copy)]
struct Grown {
    shape: Shape,
    /// Bytes of the packet.
    len: usize,
    packets: usize,
    /// Payload of each packet but the last.
    payload_bytes: usize,
    /// Whether the checksum of the first packet was looked at: where it stays alone, the kernel does so.
    is_verified: bool,
}

/// What can be done with a packet and the open super-packet of its flow.
pub(crate) enum Meeting {
    Joined,
    /// It joins, and nothing can follow it.
    JoinedLast,
    Refused,
}

impl Slot {
    pub(crate) fn new() -> Self {
        Self { buffer: vec![0; SLOT_BYTES], grown: None }
    }

    /// Returns what has grown here, and its transport.
    pub(crate) fn grown(&self) -> Option<(&[u8], Transport)> {
        self.grown.as_ref().map(|grown| (self.packet(grown), grown.shape.transport))
    }

    fn packet(&self, grown: &Grown) -> &[u8] {
        &self.buffer[VIRTIO_NET_HDR_LEN..VIRTIO_NET_HDR_LEN + grown.len]
    }

    /// Gives a packet to `write` that joins no other.
    pub(crate) fn write_alone(&mut self, packet: &[u8], write: &mut impl FnMut(&[u8], usize)) {
        let end = VIRTIO_NET_HDR_LEN + packet.len();
        self.buffer[..VIRTIO_NET_HDR_LEN].fill(0);
        self.buffer[VIRTIO_NET_HDR_LEN..end].copy_from_slice(packet);
        write(&self.buffer[..end], 1);
    }

    /// Begins with a packet, unless nothing may follow it.
    pub(crate) fn open(&mut self, packet: &[u8], shape: Shape, write: &mut impl FnMut(&[u8], usize)) {
        if shape.joining == Joining::Last {
            return self.write_alone(packet, write);
        }
        self.buffer[VIRTIO_NET_HDR_LEN..VIRTIO_NET_HDR_LEN + packet.len()].copy_from_slice(packet);
        self.grown = Some(Grown {
            shape,
            len: packet.len(),
            packets: 1,
            payload_bytes: packet.len() - shape.header_bytes,
            is_verified: false,
        });
    }

    /// Puts a packet behind those that are here, if it is the next of them.
    pub(crate) fn meet(&mut self, packet: &[u8], shape: &Shape) -> Meeting {
        let Self { buffer, grown: Some(grown) } = self else { return Meeting::Refused };
        let end = VIRTIO_NET_HDR_LEN + grown.len;
        let first = &buffer[VIRTIO_NET_HDR_LEN..end];
        let payload = &packet[shape.header_bytes..];
        let has_room = grown.len + payload.len() <= PACKET_BYTES_MAX
            && (shape.transport == Transport::Tcp || grown.packets < DATAGRAMS_MAX);
        let is_next = has_room
            && payload.len() <= grown.payload_bytes
            && grown.shape.is_followed_by(first, (packet, shape), grown.packets, grown.len);
        // A checksum is made anew over the whole, so a wrong one would be lost in it.
        let is_first_intact = || grown.is_verified || grown.shape.is_intact(first);
        if !is_next || !shape.is_intact(packet) || !is_first_intact() {
            return Meeting::Refused;
        }
        grown.is_verified = true;
        buffer[end..end + payload.len()].copy_from_slice(payload);
        grown.len += payload.len();
        grown.packets += 1;
        if shape.joining == Joining::Last {
            buffer[VIRTIO_NET_HDR_LEN + shape.transport_at + TCP_FLAGS_AT] |= PSH;
        }
        let is_last = shape.joining == Joining::Last
            || payload.len() < grown.payload_bytes
            || grown.len + grown.payload_bytes > PACKET_BYTES_MAX;
        if is_last { Meeting::JoinedLast } else { Meeting::Joined }
    }

    /// Gives what has grown to `write`.
    pub(crate) fn close(&mut self, write: &mut impl FnMut(&[u8], usize)) {
        let Some(grown) = self.grown.take() else { return };
        let description = match grown.packets {
            1 => Ok(VirtioNetHdr::default()),
            _ => self.join(&grown),
        };
        // Lengths that fit into a slot fit into the headers.
        if description.is_ok_and(|description| description.encode(&mut self.buffer).is_ok()) {
            write(&self.buffer[..VIRTIO_NET_HDR_LEN + grown.len], grown.packets);
        }
    }

    /// Writes the headers of several packets as those of one; says how it is to be cut.
    fn join(&mut self, grown: &Grown) -> Result<VirtioNetHdr, std::num::TryFromIntError> {
        let Shape { version, transport, transport_at, header_bytes, .. } = grown.shape;
        let packet = &mut self.buffer[VIRTIO_NET_HDR_LEN..VIRTIO_NET_HDR_LEN + grown.len];
        let transport_bytes = u16::try_from(grown.len - transport_at)?;
        match version {
            IpVersion::V4 => {
                write_word(packet, V4_LENGTH_AT, u16::try_from(grown.len)?);
                write_word(packet, V4_CHECKSUM_AT, 0);
                let checksum = !sum(&packet[..transport_at]);
                write_word(packet, V4_CHECKSUM_AT, checksum);
            }
            IpVersion::V6 => write_word(packet, V6_LENGTH_AT, u16::try_from(grown.len - V6_HEADER_BYTES)?),
        }
        if transport == Transport::Udp {
            write_word(packet, transport_at + UDP_LENGTH_AT, transport_bytes);
        }
        let pseudo = pseudo_sum(packet, version, transport, transport_bytes);
        write_word(packet, transport_at + transport.checksum_at(), pseudo);
        Ok(VirtioNetHdr {
            flags: NEEDS_CHECKSUM,
            gso_type: match (transport, version) {
                (Transport::Tcp, IpVersion::V4) => VIRTIO_NET_HDR_GSO_TCPV4,
                (Transport::Tcp, IpVersion::V6) => VIRTIO_NET_HDR_GSO_TCPV6,
                (Transport::Udp, _) => VIRTIO_NET_HDR_GSO_UDP_L4,
            },
            hdr_len: u16::try_from(header_bytes)?,
            gso_size: u16::try_from(grown.payload_bytes)?,
            csum_start: u16::try_from(transport_at)?,
            csum_offset: u16::try_from(transport.checksum_at())?,
        })
    }
}
