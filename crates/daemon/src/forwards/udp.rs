//! UDP: a conversation for everyone who sends, remembered while it is in use.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::net::{Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::net::UdpSocket;
use mio::{Interest, Token};
use peerbound_wire::NodeId;
use smoltcp::iface::SocketHandle;
use smoltcp::socket::udp::{PacketBuffer, PacketMetadata, Socket};
use smoltcp::wire::{IpAddress, IpEndpoint};

use crate::config::{Expose, Forward, Transport};
use crate::forwards::device::PACKET_BYTES_MAX;
use crate::forwards::port::CALLING_PORTS;
use crate::forwards::stack::Bench;
use crate::forwards::{ForwardError, count};

/// The longest datagram: a packet less the headers of IPv6 and UDP. A longer one is dropped and counted,
/// for the overlay cuts nothing in pieces.
const DATAGRAM_BYTES_MAX: usize = PACKET_BYTES_MAX - 40 - 8;

/// Datagrams that wait in one socket of the stack: 64 x 1.1 kB = 70 kB each way.
const WAITING_MAX: usize = 64;

/// Conversations at a time, each with a socket here or there: 256 x 140 kB = 36 MB at worst.
const CONVERSATIONS_MAX: usize = 256;

/// How long a conversation is remembered without a datagram (RFC 4787, 4.3 recommends five minutes).
const IDLE_MAX: Duration = Duration::from_secs(300);

/// Datagrams taken from one socket of this host in one turn.
const DATAGRAMS_PER_TURN: usize = 64;

/// All conversations, and where they come from.
pub(super) struct Datagrams {
    us: Ipv6Addr,
    listeners: BTreeMap<Token, Listener>,
    exposed: Vec<Exposed>,
    next_port: u16,
}

/// A socket of this host that leads to another node, and who has sent to it.
struct Listener {
    socket: UdpSocket,
    forward: Forward,
    is_ready: bool,
    calls: BTreeMap<SocketAddr, Call>,
}

struct Call {
    handle: SocketHandle,
    used_at: Instant,
}

/// A port of our overlay address that leads to a service here, and who has sent to it.
struct Exposed {
    expose: Expose,
    handle: SocketHandle,
    callers: BTreeMap<IpEndpoint, Caller>,
}

struct Caller {
    token: Token,
    socket: UdpSocket,
    is_ready: bool,
    used_at: Instant,
}

impl Datagrams {
    pub(super) fn new(
        us: NodeId,
        forwards: impl Iterator<Item = Forward>,
        exposes: impl Iterator<Item = Expose>,
        bench: &mut Bench,
    ) -> Result<Self, ForwardError> {
        let mut listeners = BTreeMap::new();
        for forward in forwards {
            let (token, socket) = UdpSocket::bind(forward.listen)
                .and_then(|socket| registered(socket, bench))
                .map_err(|source| ForwardError {
                    what: format!("the forward from udp {} cannot listen", forward.listen),
                    source,
                })?;
            listeners.insert(token, Listener { socket, forward, is_ready: true, calls: BTreeMap::new() });
        }
        let us = us.address();
        let exposed = exposes
            .map(|expose| {
                let handle = bench.sockets.add(bound(us, expose.port));
                Exposed { expose, handle, callers: BTreeMap::new() }
            })
            .collect();
        Ok(Self { us, listeners, exposed, next_port: *CALLING_PORTS.start() })
    }

    /// Returns where this host listens.
    pub(super) fn listens(&self) -> Vec<(Transport, SocketAddr)> {
        let addresses = self.listeners.values().filter_map(|listener| listener.socket.local_addr().ok());
        addresses.map(|address| (Transport::Udp, address)).collect()
    }

    pub(super) fn on_ready(&mut self, event: &Event) {
        if let Some(listener) = self.listeners.get_mut(&event.token()) {
            listener.is_ready = true;
        }
        let callers = self.exposed.iter_mut().flat_map(|exposed| exposed.callers.values_mut());
        for caller in callers.filter(|caller| caller.token == event.token()) {
            caller.is_ready = true;
        }
    }

    /// Moves what there is to move, and forgets what is idle.
    pub(super) fn turn(&mut self, bench: &mut Bench, now: Instant) {
        self.forget_idle(bench, now);
        let mut conversations = self.count();
        for listener in self.listeners.values_mut() {
            listener.carry_out(bench, (self.us, &mut self.next_port), &mut conversations, now);
            listener.carry_in(bench, now);
        }
        for exposed in &mut self.exposed {
            exposed.carry_in(bench, &mut conversations, now);
            exposed.carry_out(bench, now);
        }
    }

    fn count(&self) -> usize {
        let calls: usize = self.listeners.values().map(|listener| listener.calls.len()).sum();
        let callers: usize = self.exposed.iter().map(|exposed| exposed.callers.len()).sum();
        calls + callers
    }

    fn forget_idle(&mut self, bench: &mut Bench, now: Instant) {
        let is_idle = |used_at: Instant| now.saturating_duration_since(used_at) > IDLE_MAX;
        for listener in self.listeners.values_mut() {
            listener.calls.retain(|_, call| {
                let is_idle = is_idle(call.used_at);
                if is_idle {
                    bench.sockets.remove(call.handle);
                }
                !is_idle
            });
        }
        for exposed in &mut self.exposed {
            exposed.callers.retain(|_, caller| {
                let is_idle = is_idle(caller.used_at);
                if is_idle {
                    let _ = bench.registry.deregister(&mut caller.socket);
                }
                !is_idle
            });
        }
    }
}

impl Listener {
    /// From this host into the overlay.
    fn carry_out(
        &mut self,
        bench: &mut Bench,
        (us, next_port): (Ipv6Addr, &mut u16),
        conversations: &mut usize,
        now: Instant,
    ) {
        let mut buffer = [0; DATAGRAM_BYTES_MAX + 1];
        for _ in 0..DATAGRAMS_PER_TURN {
            if !self.is_ready {
                return;
            }
            let (length, from) = match self.socket.recv_from(&mut buffer) {
                Ok(received) => received,
                Err(error) => {
                    // Others than "nothing there" tell of an earlier answer that found nobody.
                    self.is_ready = error.kind() != ErrorKind::WouldBlock;
                    continue;
                }
            };
            if !self.calls.contains_key(&from) && *conversations >= CONVERSATIONS_MAX {
                count(&bench.meter.datagrams_dropped);
                continue;
            }
            let call = self.calls.entry(from).or_insert_with(|| {
                *conversations += 1;
                let port = *next_port;
                *next_port = if port == *CALLING_PORTS.end() { *CALLING_PORTS.start() } else { port + 1 };
                Call { handle: bench.sockets.add(bound(us, port)), used_at: now }
            });
            call.used_at = now;
            let to = endpoint(self.forward.to.address(), self.forward.port);
            send(bench, call.handle, buffer.get(..length).unwrap_or_default(), to);
        }
        // What is left waits for the next turn; the poller tells of it again only when more comes.
    }

    /// From the overlay back to who asked.
    fn carry_in(&mut self, bench: &mut Bench, now: Instant) {
        for (client, call) in &mut self.calls {
            while let Ok((datagram, from)) = bench.sockets.get_mut::<Socket<'_>>(call.handle).recv() {
                // Anybody can send to the port; only who was asked may answer.
                let is_answer = from.endpoint == endpoint(self.forward.to.address(), self.forward.port);
                if is_answer && self.socket.send_to(datagram, *client).is_ok() {
                    call.used_at = now;
                    count(&bench.meter.datagrams);
                } else {
                    count(&bench.meter.datagrams_dropped);
                }
            }
        }
    }
}

impl Exposed {
    /// From the overlay to the service.
    fn carry_in(&mut self, bench: &mut Bench, conversations: &mut usize, now: Instant) {
        let mut arrived = Vec::new();
        while let Ok((datagram, from)) = bench.sockets.get_mut::<Socket<'_>>(self.handle).recv() {
            arrived.push((datagram.to_vec(), from.endpoint));
        }
        for (datagram, from) in arrived {
            let sent = self.caller(from, bench, conversations, now).is_some_and(|caller| {
                caller.used_at = now;
                caller.socket.send(&datagram).is_ok()
            });
            count(if sent { &bench.meter.datagrams } else { &bench.meter.datagrams_dropped });
        }
    }

    /// Finds the conversation with somebody, or begins one if he may and there is room.
    fn caller(
        &mut self,
        from: IpEndpoint,
        bench: &mut Bench,
        conversations: &mut usize,
        now: Instant,
    ) -> Option<&mut Caller> {
        if !self.callers.contains_key(&from) {
            let may = self
                .expose
                .only
                .as_ref()
                .is_none_or(|only| only.iter().any(|node| IpAddress::Ipv6(node.address()) == from.addr));
            if !may || *conversations >= CONVERSATIONS_MAX {
                return None;
            }
            let any: SocketAddr = match self.expose.to {
                SocketAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
                SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
            };
            let socket = UdpSocket::bind(any).ok()?;
            socket.connect(self.expose.to).ok()?;
            let (token, socket) = registered(socket, bench).ok()?;
            *conversations += 1;
            self.callers.insert(from, Caller { token, socket, is_ready: true, used_at: now });
        }
        self.callers.get_mut(&from)
    }

    /// From the service back into the overlay.
    fn carry_out(&mut self, bench: &mut Bench, now: Instant) {
        let mut buffer = [0; DATAGRAM_BYTES_MAX + 1];
        for (to, caller) in &mut self.callers {
            for _ in 0..DATAGRAMS_PER_TURN {
                if !caller.is_ready {
                    break;
                }
                match caller.socket.recv(&mut buffer) {
                    Ok(length) => {
                        caller.used_at = now;
                        send(bench, self.handle, buffer.get(..length).unwrap_or_default(), *to);
                    }
                    Err(error) => caller.is_ready = error.kind() != ErrorKind::WouldBlock,
                }
            }
        }
    }
}

fn send(bench: &mut Bench, handle: SocketHandle, datagram: &[u8], to: IpEndpoint) {
    // The buffer has one byte more than may be sent, so that a longer datagram shows.
    let fits = datagram.len() <= DATAGRAM_BYTES_MAX;
    let socket = bench.sockets.get_mut::<Socket<'_>>(handle);
    let sent = fits && socket.send_slice(datagram, to).is_ok();
    count(if sent { &bench.meter.datagrams } else { &bench.meter.datagrams_dropped });
}

fn bound(us: Ipv6Addr, port: u16) -> Socket<'static> {
    let buffer = || {
        PacketBuffer::new(vec![PacketMetadata::EMPTY; WAITING_MAX], vec![0; WAITING_MAX * PACKET_BYTES_MAX])
    };
    let mut socket = Socket::new(buffer(), buffer());
    socket.bind((us, port)).expect("a new socket can be bound, and no port is 0");
    socket
}

fn registered(mut socket: UdpSocket, bench: &mut Bench) -> io::Result<(Token, UdpSocket)> {
    let token = bench.tokens.next();
    bench.registry.register(&mut socket, token, Interest::READABLE)?;
    Ok((token, socket))
}

fn endpoint(address: Ipv6Addr, port: u16) -> IpEndpoint {
    IpEndpoint { addr: IpAddress::Ipv6(address), port }
}
