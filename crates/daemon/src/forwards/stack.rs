//! The thread of the forwards: one poller for the sockets of this host, one interface for the overlay's.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, TryRecvError};
use mio::{Events, Poll};
use peerbound_wire::NodeId;
use smoltcp::iface::{Config, Interface, SocketSet};
use smoltcp::wire::{HardwareAddress, IpCidr, Ipv6Cidr};
use tracing::error;

use crate::clock;
use crate::config::{ServicesConfig, Transport};
use crate::daemon::NodeHandle;
use crate::forwards::device::Card;
use crate::forwards::tcp::Streams;
use crate::forwards::udp::Datagrams;
use crate::forwards::{ForwardError, Meter, WAKER};

/// Packets taken in one turn, so that local sockets stay prompt.
const PACKETS_PER_TURN: usize = 256;

/// The longest sleep: idle conversations are looked for so often.
const SLEEP_MAX: Duration = Duration::from_secs(10);

/// The addresses of all nodes: fd00::/8 (RFC 4193).
const OVERLAY_PREFIX_BITS: u8 = 8;

/// Numbers for the poller: each socket gets its own, and none twice.
pub(super) struct Tokens(usize);

impl Tokens {
    pub(super) fn next(&mut self) -> mio::Token {
        self.0 += 1;
        mio::Token(self.0)
    }
}

/// What a turn works with, beside the conversations themselves.
pub(super) struct Bench {
    pub(super) sockets: SocketSet<'static>,
    pub(super) registry: mio::Registry,
    pub(super) tokens: Tokens,
    pub(super) meter: Arc<Meter>,
}

pub(super) struct Stack {
    poll: Poll,
    packets: Receiver<Vec<u8>>,
    card: Card,
    interface: Interface,
    bench: Bench,
    streams: Streams,
    datagrams: Datagrams,
    started: Instant,
}

impl Stack {
    pub(super) fn new(
        us: NodeId,
        services: &ServicesConfig,
        (poll, packets): (Poll, Receiver<Vec<u8>>),
        meter: Arc<Meter>,
        seed: u64,
    ) -> Result<Self, ForwardError> {
        let registry = poll.registry().try_clone().map_err(|source| ForwardError {
            what: "the poller of the forwards cannot be made".to_owned(),
            source,
        })?;
        let mut card = Card::default();
        let mut config = Config::new(HardwareAddress::Ip);
        config.random_seed = seed;
        let mut interface = Interface::new(config, &mut card, smoltcp::time::Instant::ZERO);
        interface.update_ip_addrs(|addresses| {
            let address = IpCidr::Ipv6(Ipv6Cidr::new(us.address(), OVERLAY_PREFIX_BITS));
            addresses.push(address).expect("there is room for one address");
        });
        let sockets = SocketSet::new(Vec::new());
        let mut bench = Bench { sockets, registry, tokens: Tokens(WAKER.0), meter };
        let of = |transport: Transport| {
            let forwards = services.forwards.iter().filter(move |forward| forward.transport == transport);
            let exposes = services.exposes.iter().filter(move |expose| expose.transport == transport);
            (forwards.copied(), exposes.cloned())
        };
        let (forwards, exposes) = of(Transport::Tcp);
        let streams = Streams::new(us, forwards, exposes, &mut bench)?;
        let (forwards, exposes) = of(Transport::Udp);
        let datagrams = Datagrams::new(us, forwards, exposes, &mut bench)?;
        Ok(Self { poll, packets, card, interface, bench, streams, datagrams, started: clock::now() })
    }

    /// Returns where this host listens.
    pub(super) fn listens(&self) -> Vec<(Transport, SocketAddr)> {
        [self.streams.listens(), self.datagrams.listens()].concat()
    }

    /// Runs until nobody is left to send packets.
    pub(super) fn run(mut self, node: &NodeHandle) {
        let mut ready = Events::with_capacity(256);
        let mut sleep = Duration::ZERO;
        loop {
            if let Err(error) = self.poll.poll(&mut ready, Some(sleep))
                && error.kind() != std::io::ErrorKind::Interrupted
            {
                error!(%error, "The poller of the forwards failed; they stop");
                return;
            }
            for event in &ready {
                self.streams.on_ready(event);
                self.datagrams.on_ready(event);
            }
            if !self.take_packets() {
                return;
            }
            let now = clock::now();
            self.streams.accept(&mut self.interface, &mut self.bench);
            self.interface.poll(self.time(now), &mut self.card, &mut self.bench.sockets);
            self.streams.turn(&mut self.bench);
            self.datagrams.turn(&mut self.bench, now);
            self.interface.poll(self.time(now), &mut self.card, &mut self.bench.sockets);
            let packets = self.card.take_out();
            if !packets.is_empty()
                && let Err(error) = node.send_packets(packets)
            {
                // As a network loses packets; TCP sends them again.
                tracing::debug!(%error, "The node takes no packets from the forwards");
            }
            sleep = self.sleep(now);
        }
    }

    /// Takes what has arrived; returns whether more may come.
    fn take_packets(&mut self) -> bool {
        for _ in 0..PACKETS_PER_TURN {
            match self.packets.try_recv() {
                Ok(packet) => {
                    self.streams.expect(&packet, &mut self.bench);
                    self.card.take_in(packet);
                }
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
        true
    }

    fn sleep(&mut self, now: Instant) -> Duration {
        if !self.packets.is_empty() || self.streams.has_more() {
            return Duration::ZERO;
        }
        let wanted = self.interface.poll_delay(self.time(now), &self.bench.sockets);
        wanted.map_or(SLEEP_MAX, |wanted| Duration::from_micros(wanted.total_micros()).min(SLEEP_MAX))
    }

    fn time(&self, now: Instant) -> smoltcp::time::Instant {
        let since = now.saturating_duration_since(self.started).as_micros();
        smoltcp::time::Instant::from_micros(i64::try_from(since).unwrap_or(i64::MAX))
    }
}
