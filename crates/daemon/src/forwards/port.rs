//! Where the data thread hands packets over: chooses those that are for the stack.

use std::collections::BTreeSet;
use std::net::Ipv6Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_channel::{Sender, TrySendError};
use mio::Waker;
use peerbound_node::DeliveredPacket;

use crate::config::Transport;
use crate::packets::PacketPort;

/// Packets that may wait for the stack: 1024 x 1.4 kB = 1.4 MB.
pub(super) const PACKETS_MAX: usize = 1024;

/// The ports from which forwards call: above those that Linux gives to programs of its own
/// (ip_local_port_range ends at 60999), so that a TUN device with the same address is not disturbed.
pub(super) const CALLING_PORTS: std::ops::RangeInclusive<u16> = 61_000..=65_535;

/// Which packets for our address the stack takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Share {
    /// All of them: there is nobody else, and who calls a closed port is told.
    Everything,
    /// Those for its own ports: the rest is the TUN device's.
    Ports(BTreeSet<(Transport, u16)>),
}

/// Chooses packets on the data thread and hands them to the stack.
pub(super) struct StackPort {
    pub(super) us: Ipv6Addr,
    pub(super) share: Share,
    /// Taken when the port is dropped: the stack is woken to find it gone.
    pub(super) packets: Option<Sender<Vec<u8>>>,
    pub(super) waker: Arc<Waker>,
    pub(super) overflowed: Arc<AtomicU64>,
}

impl PacketPort for StackPort {
    fn deliver(&mut self, packet: &DeliveredPacket) -> bool {
        if !self.wants(&packet.bytes) {
            return false;
        }
        let Some(packets) = &self.packets else { return false };
        match packets.try_send(packet.bytes.clone()) {
            // The stack sleeps only on an empty queue.
            Ok(()) if packets.len() == 1 => drop(self.waker.wake()),
            Ok(()) | Err(TrySendError::Disconnected(_)) => {}
            // As a full queue in a network; TCP slows down.
            Err(TrySendError::Full(_)) => {
                self.overflowed.fetch_add(1, Ordering::Relaxed);
            }
        }
        true
    }
}

impl StackPort {
    fn wants(&self, packet: &[u8]) -> bool {
        let Some((destination, protocol, port)) = destination_of(packet) else { return false };
        if destination != self.us {
            return false;
        }
        match &self.share {
            Share::Everything => true,
            Share::Ports(ports) => protocol
                .is_some_and(|protocol| CALLING_PORTS.contains(&port) || ports.contains(&(protocol, port))),
        }
    }
}

impl Drop for StackPort {
    fn drop(&mut self) {
        // The stack ends when it finds nobody at the other end of the queue.
        self.packets = None;
        let _ = self.waker.wake();
    }
}

/// Reads where an IPv6 packet goes: the address, and the transport with its port where that follows the
/// header at once, as it does in all packets of these stacks (RFC 8200, 3).
fn destination_of(packet: &[u8]) -> Option<(Ipv6Addr, Option<Transport>, u16)> {
    const HEADER_BYTES: usize = 40;
    let (header, rest) = packet.split_first_chunk::<HEADER_BYTES>()?;
    if header[0] >> 4 != 6 {
        return None;
    }
    let destination: [u8; 16] = header.get(24..)?.try_into().ok()?;
    let transport = match header[6] {
        6 => Some(Transport::Tcp),
        17 => Some(Transport::Udp),
        _ => None,
    };
    let port = rest.get(2..4).map_or(0, |port| u16::from_be_bytes([port[0], port[1]]));
    Some((Ipv6Addr::from(destination), transport, port))
}

#[cfg(test)]
mod tests {
    use mio::{Poll, Token};
    use peerbound_wire::{Header, Kind, NodeId};

    use super::*;

    const US: NodeId = NodeId::new([0xb; 16]);
    const THEM: NodeId = NodeId::new([0xa; 16]);

    fn packet(to: NodeId, next_header: u8, port: u16) -> DeliveredPacket {
        let mut bytes = vec![0x60, 0, 0, 0, 0, 8, next_header, 64];
        bytes.extend(THEM.address().octets());
        bytes.extend(to.address().octets());
        bytes.extend(1u16.to_be_bytes());
        bytes.extend(port.to_be_bytes());
        DeliveredPacket { header: Header::new(Kind::Data, THEM, US), bytes }
    }

    #[test]
    fn beside_a_tun_device_only_ports_of_its_own_are_the_stacks() {
        let poll = Poll::new().unwrap();
        let (packets, waiting) = crossbeam_channel::bounded(8);
        let mut port = StackPort {
            us: US.address(),
            share: Share::Ports([(Transport::Tcp, 80)].into()),
            packets: Some(packets),
            waker: Arc::new(Waker::new(poll.registry(), Token(0)).unwrap()),
            overflowed: Arc::default(),
        };

        let taken: Vec<_> = [
            packet(US, 6, 80),
            packet(US, 17, 80),
            packet(US, 6, 81),
            packet(US, 6, 61_000),
            packet(THEM, 6, 80),
            packet(US, 58, 80),
        ]
        .iter()
        .map(|packet| port.deliver(packet))
        .collect();

        assert_eq!(taken, [true, false, false, true, false, false]);
        assert_eq!(waiting.len(), 2);
    }

    #[test]
    fn what_finds_the_queue_full_is_counted_and_goes_to_nobody_else() {
        let poll = Poll::new().unwrap();
        let (packets, _waiting) = crossbeam_channel::bounded(1);
        let overflowed = Arc::new(AtomicU64::new(0));
        let mut port = StackPort {
            us: US.address(),
            share: Share::Everything,
            packets: Some(packets),
            waker: Arc::new(Waker::new(poll.registry(), Token(0)).unwrap()),
            overflowed: Arc::clone(&overflowed),
        };

        assert!(port.deliver(&packet(US, 6, 1)) && port.deliver(&packet(US, 6, 1)));

        assert_eq!(overflowed.load(Ordering::Relaxed), 1);
    }
}
