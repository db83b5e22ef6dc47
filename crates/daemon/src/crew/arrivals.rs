//! What a worker received, opened as far as that was its to do, side by side in one buffer. It goes to the data thread
//! and comes back empty.

use std::net::SocketAddr;
use std::time::Duration;

use peerbound_dtls::{Opened, ReadyOpener};

/// Datagrams and packets, in order of arrival.
#[derive(Debug, Default)]
pub(crate) struct Arrivals {
    bytes: Vec<u8>,
    items: Vec<(Arrival, usize)>,
}

/// What is known of one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// A datagram as it came.
    Datagram(SocketAddr),
    /// The plaintext of a datagram, and what the session is to judge it by.
    Opened(SocketAddr, Opened),
    /// What follows was received at this time of day, where the kernel told it.
    Received(Option<Duration>),
    /// A packet of this host; whether it is the next piece of the super-packet before it.
    Packet {
        /// See [`crate::tun::Outgoing::continues`].
        continues: bool,
    },
    /// So many packets of this host were dropped, for the queues of their flows stood.
    Stood(usize),
}

impl Arrivals {
    /// Notes when the kernel received what is added next.
    pub(crate) fn add_time(&mut self, arrived: Option<Duration>) {
        self.items.push((Arrival::Received(arrived), self.bytes.len()));
    }

    /// Adds a datagram, opened where it is one for this key.
    pub(crate) fn add_datagram(&mut self, from: SocketAddr, datagram: &[u8], key: Option<&ReadyOpener>) {
        let opened = key.and_then(|key| key.open(datagram, &mut self.bytes));
        match opened {
            Some(opened) => self.items.push((Arrival::Opened(from, opened), self.bytes.len())),
            None => self.add(Arrival::Datagram(from), datagram),
        }
    }

    /// Adds a packet of this host.
    pub(crate) fn add_packet(&mut self, packet: &[u8], continues: bool) {
        // What the data thread knows of the packet before it, it has forgotten when the buffer is another.
        let continues = continues && !self.items.is_empty();
        self.add(Arrival::Packet { continues }, packet);
    }

    /// Notes that packets of this host were dropped, if any were, for the queues of their flows stood.
    pub(crate) fn add_stood(&mut self, packets: usize) {
        if packets > 0 {
            self.items.push((Arrival::Stood(packets), self.bytes.len()));
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.items.clear();
    }

    /// Hands each to `take`, with its bytes, which may be changed.
    pub(crate) fn for_each(&mut self, mut take: impl FnMut(Arrival, &mut [u8])) {
        let mut start = 0;
        for (arrival, end) in &self.items {
            take(*arrival, self.bytes.get_mut(start..*end).unwrap_or_default());
            start = *end;
        }
    }

    fn add(&mut self, arrival: Arrival, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.items.push((arrival, self.bytes.len()));
    }
}
