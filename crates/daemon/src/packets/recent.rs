//! The fronts of packets that left, for the while in which a node on the way may report on one of them: what
//! is said to the packet's sender then has to quote it.

use peerbound_wire::PacketId;

use crate::packets::ip::Packet;

/// Packets remembered: 1024 x 180 bytes = 184 kB. When more than these are on their way, a report may find
/// its packet forgotten; a later one will not.
const FRONTS_MAX: usize = 1024;

/// Bytes of each: the headers of IPv6 and TCP, and some extension headers.
const FRONT_BYTES: usize = 96;

/// The front of one packet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Front {
    frame: PacketId,
    packet: Packet,
    len: u8,
    bytes: [u8; FRONT_BYTES],
}

impl Front {
    pub(crate) fn packet(&self) -> &Packet {
        &self.packet
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

/// The packets that left last. Frames are numbered one after the other, so each number has a place.
#[derive(Default)]
pub(crate) struct Recent {
    places: Vec<Option<Front>>,
}

impl Recent {
    /// Remembers the front of a packet that left in this frame.
    pub(crate) fn remember(&mut self, frame: PacketId, packet: &Packet, bytes: &[u8]) {
        if self.places.is_empty() {
            self.places = vec![None; FRONTS_MAX];
        }
        let len = bytes.len().min(FRONT_BYTES);
        let mut front =
            Front { frame, packet: *packet, len: u8::try_from(len).unwrap_or(0), bytes: [0; FRONT_BYTES] };
        front.bytes[..len].copy_from_slice(&bytes[..len]);
        if let Some(place) = self.places.get_mut(place(frame)) {
            *place = Some(front);
        }
    }

    /// Returns the front of the packet that left in this frame, once.
    pub(crate) fn take(&mut self, frame: PacketId) -> Option<Front> {
        self.places.get_mut(place(frame))?.take_if(|front| front.frame == frame)
    }
}

fn place(PacketId(number): PacketId) -> usize {
    usize::try_from(number % FRONTS_MAX as u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;

    use super::*;

    fn packet(payload_bytes: usize) -> (Packet, Vec<u8>) {
        let mut bytes = Vec::new();
        let builder = PacketBuilder::ipv6([1; 16], [2; 16], 64).udp(1, 2);
        builder.write(&mut bytes, &vec![7; payload_bytes]).unwrap();
        (Packet::parse(&bytes).unwrap(), bytes)
    }

    #[test]
    fn a_front_is_found_by_its_frame_and_told_once() {
        let mut recent = Recent::default();
        let [(long, long_bytes), (short, short_bytes)] = [200, 10].map(packet);
        recent.remember(PacketId(5), &long, &long_bytes);
        recent.remember(PacketId(6), &short, &short_bytes);

        let front = recent.take(PacketId(5)).unwrap();
        assert_eq!((front.packet(), front.bytes()), (&long, &long_bytes[..96]));
        assert!(recent.take(PacketId(5)).is_none());
        assert_eq!(recent.take(PacketId(6)).unwrap().bytes(), short_bytes);
    }

    #[test]
    fn a_later_packet_takes_the_place_of_an_earlier() {
        let mut recent = Recent::default();
        let (packet, bytes) = packet(1);
        recent.remember(PacketId(5), &packet, &bytes);
        recent.remember(PacketId(5 + 1024), &packet, &bytes);

        assert!(recent.take(PacketId(5)).is_none());
        assert!(recent.take(PacketId(5 + 1024)).is_some());
    }
}
