//! Packets for this host that another thread is to give to its kernel, side by side in one buffer that comes back empty;
//! and the port that chooses the thread, by flow, so that no flow overtakes itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::{Receiver, Sender};
use peerbound_node::DeliveredPacket;
use peerbound_wire::Header;

use crate::crew::post::{Gauge, Handover};
use crate::packets::PacketPort;
use crate::tun::TunPort;

/// Buffers under way to one thread: what comes when it has not put so many into the kernel is dropped, as by a device
/// whose queue is full. 8 x 64 x 1.4 kB = 720 kB.
pub(crate) const DELIVERIES_MAX: usize = 8;

/// Packets in one buffer: as many as the kernel takes as one super-packet, and some.
const PACKETS_MAX: usize = 64;

/// Some packets for this host.
#[derive(Debug, Default)]
pub(crate) struct Deliveries {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Deliveries {
    /// Walks over the packets.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| self.bytes.get(start..*end).unwrap_or_default())
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    fn add(&mut self, packet: &[u8]) {
        self.bytes.extend_from_slice(packet);
        self.ends.push(self.bytes.len());
    }
}

/// Gives packets to the kernel, each by the queue of its flow: our own, or another, and while others work by the thread
/// that has that.
pub(crate) struct SharedPort {
    own: TunPort,
    hands: Vec<Hand>,
    shares: Arc<AtomicBool>,
}

/// What leads to one other queue.
struct Hand {
    /// The queue itself, for as long as we have it.
    port: Option<TunPort>,
    filling: Option<Deliveries>,
    to: Sender<Handover>,
    back: Receiver<Deliveries>,
    gauge: Arc<Gauge>,
    /// Packets for which there was no buffer, since the last flush.
    refused: usize,
}

impl SharedPort {
    /// Makes one over the port of our own queue; `shares` says whether others work.
    pub(crate) fn new(own: TunPort, shares: Arc<AtomicBool>) -> Self {
        Self { own, hands: Vec::new(), shares }
    }

    /// Adds another queue, the way to its thread, and the buffers that go it.
    pub(crate) fn add(
        &mut self,
        port: Option<TunPort>,
        (to, back): (Sender<Handover>, Receiver<Deliveries>),
        gauge: Arc<Gauge>,
    ) {
        self.hands.push(Hand { port, filling: None, to, back, gauge, refused: 0 });
    }
}

/// Returns the queue of a flow that others begin, of so many.
fn queue_for(header: &Header, queues: usize) -> usize {
    // The origin has chosen its flow ids one after the other; its own id is as good as random.
    let [.., a, b] = *header.source.as_bytes();
    let number = header.flow.0.wrapping_add(u32::from(a) << 8 | u32::from(b));
    usize::try_from(number).unwrap_or(0) % queues
}

impl PacketPort for SharedPort {
    fn deliver(&mut self, packet: &DeliveredPacket) -> bool {
        self.deliver_by(packet, None)
    }

    fn deliver_by(&mut self, packet: &DeliveredPacket, queue: Option<usize>) -> bool {
        let queue = queue.unwrap_or_else(|| queue_for(&packet.header, 1 + self.hands.len()));
        let shares = self.shares.load(Ordering::Relaxed);
        let hand = queue.checked_sub(1).and_then(|index| self.hands.get_mut(index));
        match hand {
            None => self.own.put(&packet.bytes),
            Some(Hand { port: Some(port), .. }) if !shares => port.put(&packet.bytes),
            Some(hand) => hand.take(&packet.bytes),
        }
        true
    }

    fn flush(&mut self) -> usize {
        self.own.flush() + self.hands.iter_mut().map(Hand::flush).sum::<usize>()
    }
}

impl Hand {
    fn take(&mut self, packet: &[u8]) {
        if self.filling.is_none() {
            self.filling = self.back.try_recv().ok();
        }
        let Some(filling) = &mut self.filling else {
            self.refused += 1;
            return;
        };
        filling.add(packet);
        if filling.ends.len() >= PACKETS_MAX {
            self.send();
        }
    }

    fn send(&mut self) {
        if let Some(full) = self.filling.take() {
            // There is room for as many as there are buffers; only a thread that is gone takes none.
            let _ = self.to.try_send(Handover::Deliver(full));
            self.gauge.bell.ring();
        }
    }

    fn flush(&mut self) -> usize {
        self.send();
        let by_us = self.port.as_mut().map_or(0, TunPort::flush);
        by_us + std::mem::take(&mut self.refused) + self.gauge.take_refused()
    }
}
