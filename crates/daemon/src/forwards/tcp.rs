//! TCP: joins a connection of this host to one of the overlay, byte for byte, with both ends of each
//! closed on their own.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv6Addr, Shutdown, SocketAddr};
use std::time::Duration;

use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Token};
use peerbound_wire::NodeId;
use smoltcp::iface::{Interface, SocketHandle};
use smoltcp::socket::tcp::{CongestionControl, Socket, SocketBuffer, State};
use smoltcp::wire::{IpAddress, IpEndpoint, IpProtocol, Ipv6Packet, TcpPacket};
use tracing::debug;

use crate::config::{Expose, Forward, Transport};
use crate::forwards::port::CALLING_PORTS;
use crate::forwards::stack::Bench;
use crate::forwards::{ForwardError, count};

/// Bytes that may be on their way in one direction: with a round trip of 10 ms that is 25 MB/s.
const WINDOW_BYTES: usize = 256 * 1024;

/// Connections at a time: 128 x 2 x 256 KiB = 64 MiB at worst.
const CONNECTIONS_MAX: usize = 128;

/// How long the other end may be silent although it is asked: then it is gone, or the way to it is.
const SILENCE_MAX: Duration = Duration::from_secs(60);
const ASK_AFTER: Duration = Duration::from_secs(20);

/// All connections, and where they come from.
pub(super) struct Streams {
    us: Ipv6Addr,
    listeners: BTreeMap<Token, Listener>,
    exposes: BTreeMap<u16, Expose>,
    /// Asked for by others, not established yet.
    awaited: Vec<(SocketHandle, u16)>,
    joined: BTreeMap<Token, Joined>,
    next_port: u16,
    has_more: bool,
}

struct Listener {
    socket: TcpListener,
    forward: Forward,
    is_ready: bool,
}

/// A connection here and one there.
struct Joined {
    stream: TcpStream,
    handle: SocketHandle,
    is_readable: bool,
    is_writable: bool,
    /// Nothing more comes from this host.
    has_ended_here: bool,
    /// This host was told that nothing more comes.
    was_told_end: bool,
    has_been_established: bool,
}

/// What is to become of a connection after a turn.
#[derive(PartialEq, Eq)]
enum Fate {
    GoesOn,
    Over,
    /// One end broke: so does the other.
    Broken,
}

impl Streams {
    pub(super) fn new(
        us: NodeId,
        forwards: impl Iterator<Item = Forward>,
        exposes: impl Iterator<Item = Expose>,
        bench: &mut Bench,
    ) -> Result<Self, ForwardError> {
        let mut listeners = BTreeMap::new();
        for forward in forwards {
            let mut listen = || -> io::Result<_> {
                let mut socket = TcpListener::bind(forward.listen)?;
                let token = bench.tokens.next();
                bench.registry.register(&mut socket, token, Interest::READABLE)?;
                Ok((token, Listener { socket, forward, is_ready: true }))
            };
            let (token, listener) = listen().map_err(|source| ForwardError {
                what: format!("the forward from tcp {} cannot listen", forward.listen),
                source,
            })?;
            listeners.insert(token, listener);
        }
        let exposes = exposes.map(|expose| (expose.port, expose)).collect();
        Ok(Self {
            us: us.address(),
            listeners,
            exposes,
            awaited: Vec::new(),
            joined: BTreeMap::new(),
            next_port: *CALLING_PORTS.start(),
            has_more: false,
        })
    }

    /// Returns where this host listens.
    pub(super) fn listens(&self) -> Vec<(Transport, SocketAddr)> {
        let addresses = self.listeners.values().filter_map(|listener| listener.socket.local_addr().ok());
        addresses.map(|address| (Transport::Tcp, address)).collect()
    }

    pub(super) fn on_ready(&mut self, event: &Event) {
        if let Some(listener) = self.listeners.get_mut(&event.token()) {
            listener.is_ready = true;
        }
        if let Some(joined) = self.joined.get_mut(&event.token()) {
            joined.is_readable |= event.is_readable() || event.is_read_closed() || event.is_error();
            joined.is_writable |= event.is_writable() || event.is_write_closed() || event.is_error();
        }
    }

    /// Returns whether something is left to be done that no event will tell of.
    pub(super) fn has_more(&self) -> bool {
        self.has_more
    }

    /// Makes a socket for whoever is about to connect to an exposed port. Without one, the stack refuses
    /// the connection, as it does for ports that are not exposed.
    pub(super) fn expect(&mut self, packet: &[u8], bench: &mut Bench) {
        let Some((source, port)) = connecting(packet) else { return };
        let Some(expose) = self.exposes.get(&port) else { return };
        let may = expose.only.as_ref().is_none_or(|only| only.iter().any(|node| node.address() == source.0));
        // A request that is sent again belongs to the socket that the first one found.
        let from = IpEndpoint { addr: IpAddress::Ipv6(source.0), port: source.1 };
        let is_known = self
            .awaited
            .iter()
            .map(|(handle, _)| *handle)
            .any(|handle| bench.sockets.get::<Socket<'_>>(handle).remote_endpoint() == Some(from));
        if is_known {
            return;
        }
        if !may || self.count() >= CONNECTIONS_MAX {
            count(&bench.meter.connections_refused);
            return;
        }
        let mut socket = socket();
        if socket.listen((self.us, port)).is_ok() {
            self.awaited.push((bench.sockets.add(socket), port));
        }
    }

    /// Accepts who connects to this host, and calls the node that the port leads to.
    pub(super) fn accept(&mut self, interface: &mut Interface, bench: &mut Bench) {
        let mut accepted = Vec::new();
        for listener in self.listeners.values_mut().filter(|listener| listener.is_ready) {
            loop {
                match listener.socket.accept() {
                    Ok((stream, _)) => accepted.push((stream, listener.forward)),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        listener.is_ready = false;
                        break;
                    }
                    // As ECONNABORTED, or no file descriptors left: the next turn tries again.
                    Err(error) => {
                        debug!(%error, listen = %listener.forward.listen, "A connection was not accepted");
                        break;
                    }
                }
            }
        }
        for (stream, forward) in accepted {
            if self.count() >= CONNECTIONS_MAX {
                count(&bench.meter.connections_refused);
                reset(&stream);
                continue;
            }
            let mut socket = socket();
            let port = self.calling_port(bench);
            let called =
                socket.connect(interface.context(), (forward.to.address(), forward.port), (self.us, port));
            if let Err(error) = called {
                debug!(%error, "A connection could not be called for");
                count(&bench.meter.connections_failed);
                reset(&stream);
                continue;
            }
            let handle = bench.sockets.add(socket);
            self.join(stream, handle, bench);
        }
    }

    /// Moves what there is to move, and ends what is over.
    pub(super) fn turn(&mut self, bench: &mut Bench) {
        self.answer_awaited(bench);
        self.has_more = false;
        let mut ended = Vec::new();
        for (token, joined) in &mut self.joined {
            let fate = joined.turn(bench.sockets.get_mut(joined.handle));
            if fate != Fate::GoesOn {
                ended.push((*token, fate));
            }
        }
        for (token, fate) in ended {
            let Some(mut joined) = self.joined.remove(&token) else { continue };
            if fate == Fate::Broken {
                count(&bench.meter.connections_failed);
                reset(&joined.stream);
                bench.sockets.get_mut::<Socket<'_>>(joined.handle).abort();
                // The socket leaves with the turn after its last word.
                self.awaited.push((joined.handle, 0));
                self.has_more = true;
            } else {
                bench.sockets.remove(joined.handle);
            }
            let _ = bench.registry.deregister(&mut joined.stream);
        }
    }

    /// Calls the service for each connection that another node has established.
    fn answer_awaited(&mut self, bench: &mut Bench) {
        for (handle, port) in std::mem::take(&mut self.awaited) {
            let state = bench.sockets.get::<Socket<'_>>(handle).state();
            match state {
                State::SynReceived => self.awaited.push((handle, port)),
                // One that still listens was made for a packet that has found another socket.
                State::Listen | State::Closed | State::TimeWait => {
                    bench.sockets.remove(handle);
                }
                State::SynSent
                | State::Established
                | State::FinWait1
                | State::FinWait2
                | State::CloseWait
                | State::Closing
                | State::LastAck => self.call_service(handle, port, bench),
            }
        }
    }

    fn call_service(&mut self, handle: SocketHandle, port: u16, bench: &mut Bench) {
        let Some(expose) = self.exposes.get(&port) else { return };
        match TcpStream::connect(expose.to) {
            Ok(stream) => self.join(stream, handle, bench),
            Err(error) => {
                debug!(%error, service = %expose.to, "A service cannot be reached");
                count(&bench.meter.connections_failed);
                bench.sockets.get_mut::<Socket<'_>>(handle).abort();
                self.awaited.push((handle, 0));
            }
        }
    }

    fn join(&mut self, mut stream: TcpStream, handle: SocketHandle, bench: &mut Bench) {
        let token = bench.tokens.next();
        // Whoever speaks in small pieces means them.
        let _ = stream.set_nodelay(true);
        if let Err(error) =
            bench.registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)
        {
            tracing::error!(%error, "The poller takes no more sockets");
            count(&bench.meter.connections_failed);
            bench.sockets.get_mut::<Socket<'_>>(handle).abort();
            self.awaited.push((handle, 0));
            return;
        }
        let joined = Joined {
            stream,
            handle,
            is_readable: false,
            is_writable: false,
            has_ended_here: false,
            was_told_end: false,
            has_been_established: false,
        };
        count(&bench.meter.connections);
        self.joined.insert(token, joined);
    }

    fn count(&self) -> usize {
        self.awaited.len() + self.joined.len()
    }

    /// Returns a port from which nobody calls.
    fn calling_port(&mut self, bench: &Bench) -> u16 {
        loop {
            let port = self.next_port;
            self.next_port = if port == *CALLING_PORTS.end() { *CALLING_PORTS.start() } else { port + 1 };
            let is_taken = self.joined.values().any(|joined| {
                let socket = bench.sockets.get::<Socket<'_>>(joined.handle);
                socket.local_endpoint().is_some_and(|local| local.port == port)
            });
            // There are thirty times as many ports as connections.
            if !is_taken {
                return port;
            }
        }
    }
}

const _: () = assert!(CONNECTIONS_MAX * 30 < (65_535 - 61_000));

impl Joined {
    fn turn(&mut self, socket: &mut Socket<'_>) -> Fate {
        self.has_been_established |= socket.may_send() || socket.may_recv();
        if self.carry_out(socket).and_then(|()| self.carry_in(socket)).is_err() {
            return Fate::Broken;
        }
        match socket.state() {
            State::Closed | State::TimeWait => {
                let has_ended_well = self.has_ended_here && self.was_told_end;
                if has_ended_well { Fate::Over } else { Fate::Broken }
            }
            State::Listen
            | State::SynSent
            | State::SynReceived
            | State::Established
            | State::FinWait1
            | State::FinWait2
            | State::CloseWait
            | State::Closing
            | State::LastAck => Fate::GoesOn,
        }
    }

    /// From this host into the overlay.
    fn carry_out(&mut self, socket: &mut Socket<'_>) -> io::Result<()> {
        while socket.can_send() && self.is_readable && !self.has_ended_here {
            let read = socket
                .send(|room| {
                    let read = self.stream.read(room);
                    (*read.as_ref().unwrap_or(&0), read)
                })
                .map_err(io::Error::other)?;
            match read {
                Ok(0) => {
                    self.has_ended_here = true;
                    socket.close();
                }
                Ok(_) => {}
                Err(error) if is_not_yet(&error) => self.is_readable = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// From the overlay to this host.
    fn carry_in(&mut self, socket: &mut Socket<'_>) -> io::Result<()> {
        while socket.can_recv() && self.is_writable {
            let written = socket
                .recv(|bytes| {
                    let written = self.stream.write(bytes);
                    (*written.as_ref().unwrap_or(&0), written)
                })
                .map_err(io::Error::other)?;
            match written {
                Ok(_) => {}
                Err(error) if is_not_yet(&error) => self.is_writable = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let has_ended_there = self.has_been_established
            && !socket.may_recv()
            && !matches!(socket.state(), State::Closed if !self.has_ended_here);
        if has_ended_there && !self.was_told_end && self.is_writable {
            match self.stream.shutdown(Shutdown::Write) {
                Ok(()) => self.was_told_end = true,
                Err(error) if error.kind() == ErrorKind::NotConnected => return Err(error),
                Err(_) => self.was_told_end = true,
            }
        }
        Ok(())
    }
}

/// A stream that still connects is not connected, and says so.
fn is_not_yet(error: &io::Error) -> bool {
    error.kind() == ErrorKind::WouldBlock || error.kind() == ErrorKind::NotConnected
}

fn socket() -> Socket<'static> {
    let buffer = || SocketBuffer::new(vec![0; WINDOW_BYTES]);
    let mut socket = Socket::new(buffer(), buffer());
    let of = |time: Duration| smoltcp::time::Duration::from(time);
    socket.set_timeout(Some(of(SILENCE_MAX)));
    socket.set_keep_alive(Some(of(ASK_AFTER)));
    socket.set_nagle_enabled(false);
    socket.set_congestion_control(CongestionControl::Cubic);
    socket
}

/// Tells a peer on this host that the connection broke, rather than that it ended.
fn reset(stream: &TcpStream) {
    // Without it, it is told of an end.
    let _ = socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

/// Reads from a packet that somebody wants to connect: from which address and port, and to which port.
fn connecting(packet: &[u8]) -> Option<((Ipv6Addr, u16), u16)> {
    let packet = Ipv6Packet::new_checked(packet).ok()?;
    if packet.next_header() != IpProtocol::Tcp {
        return None;
    }
    let segment = TcpPacket::new_checked(packet.payload()).ok()?;
    (segment.syn() && !segment.ack()).then(|| ((packet.src_addr(), segment.src_port()), segment.dst_port()))
}
