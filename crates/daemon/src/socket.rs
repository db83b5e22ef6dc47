//! One UDP socket that receives and sends in batches: GRO on the way in, GSO on the way out.

use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::time::Duration;

use mio::net::UdpSocket;
use peerbound_node::Transmit;
use quinn_udp::{BATCH_SIZE, RecvMeta, UdpSockRef, UdpSocketState};
use socket2::{Domain, SockRef, Socket, Type};

/// Bytes of one receive buffer. With GRO the kernel puts up to 64 KiB side by side, and loses what
/// does not fit without a word.
const RECEIVE_BYTES: usize = 65_536;

/// Bytes asked of the kernel for what waits to be received: 32 full GRO batches.
const RECEIVE_BUFFER_BYTES: usize = 2 * 1024 * 1024;

/// What the socket itself had to drop or give up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SocketCounters {
    /// Batches received by one call each.
    pub receive_calls: u64,
    /// Batches sent by one call each.
    pub send_calls: u64,
    /// Datagrams from port 0. They cannot be answered, and an attempt would switch GSO off.
    pub from_port_zero: u64,
    /// Batches that the kernel refused to send.
    pub send_errors: u64,
    /// Times that the kernel's buffer was full.
    pub full: u64,
    /// How much the kernel may hold to be sent, as it counts.
    pub send_buffer_bytes: usize,
}

/// A socket with its buffers.
pub struct BatchSocket {
    socket: UdpSocket,
    state: UdpSocketState,
    buffers: Vec<u8>,
    counters: SocketCounters,
}

/// What one call received: buffers that each hold datagrams of one length from one source, side by side.
pub(crate) struct Received {
    buffers: Vec<u8>,
    metas: [RecvMeta; BATCH_SIZE],
    count: usize,
}

impl SocketCounters {
    /// Adds what another socket of the same node counted.
    pub(crate) fn add(&mut self, other: &Self) {
        self.receive_calls += other.receive_calls;
        self.send_calls += other.send_calls;
        self.from_port_zero += other.from_port_zero;
        self.send_errors += other.send_errors;
        self.full += other.full;
        self.send_buffer_bytes = self.send_buffer_bytes.max(other.send_buffer_bytes);
    }
}

impl Received {
    /// Whether no buffer was left over: then more may wait, and else nothing did.
    pub(crate) fn is_full(&self) -> bool {
        self.count == BATCH_SIZE
    }

    /// Walks over the buffers in order of arrival: where each came from, when, by the time of day, and its datagrams.
    pub(crate) fn groups(
        &self,
    ) -> impl Iterator<Item = (SocketAddr, Option<Duration>, impl Iterator<Item = &[u8]>)> {
        let buffers = self.metas.iter().zip(self.buffers.chunks(RECEIVE_BYTES)).take(self.count);
        buffers.filter(|(meta, _)| meta.addr.port() != 0).map(|(meta, buffer)| {
            let received = &buffer[..meta.len.min(buffer.len())];
            // An empty datagram is one all the same.
            let empty = received.is_empty().then_some(received);
            (meta.addr, meta.timestamp, empty.into_iter().chain(received.chunks(meta.stride.max(1))))
        })
    }
}

impl BatchSocket {
    /// Binds a socket.
    ///
    /// # Errors
    /// Those of bind(2): the port is in use, the address is not this host's.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        Self::over(std::net::UdpSocket::bind(address)?)
    }

    /// Binds one more socket beside one that is bound; the kernel shares out what comes for the address, by its source,
    /// so that whoever sends from one address always reaches one of them (SO_REUSEPORT, socket(7)).
    ///
    /// # Errors
    /// When the kernel does not share addresses.
    pub(crate) fn bind_beside(&self) -> io::Result<Self> {
        let address = self.local_address()?;
        // Not before the first is bound: then two nodes could have one address, and neither would know.
        SockRef::from(&self.socket).set_reuse_port(true)?;
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, None)?;
        if address.is_ipv6() {
            socket.set_only_v6(SockRef::from(&self.socket).only_v6()?)?;
        }
        socket.set_reuse_port(true)?;
        socket.bind(&address.into())?;
        Self::over(socket.into())
    }

    /// Takes over a socket that is bound.
    ///
    /// # Errors
    /// When the kernel refuses an option.
    pub fn over(socket: std::net::UdpSocket) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let socket = UdpSocket::from_std(socket);
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        ask_for_less(&socket);
        // Less than asked for is normal (net.core.rmem_max) and no reason to stop.
        let _ = state.set_recv_buffer_size(UdpSockRef::from(&socket), RECEIVE_BUFFER_BYTES);
        Ok(Self {
            socket,
            state,
            buffers: vec![0; RECEIVE_BYTES * BATCH_SIZE],
            counters: SocketCounters::default(),
        })
    }

    /// Connects the socket, so that the kernel drops what comes from anyone but `peer`. What was queued
    /// before stays, from whomever it is.
    ///
    /// # Errors
    /// Those of connect(2).
    pub fn connect(&self, peer: SocketAddr) -> io::Result<()> {
        self.socket.connect(peer)
    }

    /// Returns the address the socket is bound to.
    ///
    /// # Errors
    /// Those of getsockname(2).
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Returns what was counted so far.
    #[must_use]
    pub fn counters(&self) -> SocketCounters {
        self.counters
    }

    /// Receives one batch and hands every datagram of it to `take`, in order of arrival.
    ///
    /// # Errors
    /// `WouldBlock` when nothing waits; others are the kernel's.
    pub fn receive(&mut self, mut take: impl FnMut(SocketAddr, &[u8])) -> io::Result<()> {
        let received = self.receive_batch()?;
        for (from, _, datagrams) in received.groups() {
            datagrams.for_each(|datagram| take(from, datagram));
        }
        self.give_back(received);
        Ok(())
    }

    /// Receives one batch, whose buffers are to be given back: until then none can be received.
    ///
    /// # Errors
    /// Those of [`Self::receive`].
    pub(crate) fn receive_batch(&mut self) -> io::Result<Received> {
        let mut metas = [RecvMeta::default(); BATCH_SIZE];
        let mut chunks = self.buffers.chunks_mut(RECEIVE_BYTES);
        let mut slices: [IoSliceMut<'_>; BATCH_SIZE] =
            std::array::from_fn(|_| IoSliceMut::new(chunks.next().unwrap_or_default()));
        let count = self.state.recv(UdpSockRef::from(&self.socket), &mut slices, &mut metas)?;
        self.counters.receive_calls += 1;
        let from_port_zero = metas.iter().take(count).filter(|meta| meta.addr.port() == 0).count();
        self.counters.from_port_zero += from_port_zero as u64;
        Ok(Received { buffers: std::mem::take(&mut self.buffers), metas, count })
    }

    /// Takes the buffers of a batch back.
    pub(crate) fn give_back(&mut self, received: Received) {
        self.buffers = received.buffers;
    }

    /// Limits what the kernel holds to be sent, as it counts; returns what it made of that.
    pub(crate) fn limit_send_buffer(&mut self, bytes: usize) -> usize {
        // Linux doubles what is asked for (socket(7)).
        let asked = if cfg!(target_os = "linux") { bytes / 2 } else { bytes };
        // Less than asked for is normal (net.core.wmem_max) and no reason to stop.
        let _ = self.state.set_send_buffer_size(UdpSockRef::from(&self.socket), asked);
        let made = self.state.send_buffer_size(UdpSockRef::from(&self.socket)).unwrap_or(bytes);
        self.counters.send_buffer_bytes = made;
        made
    }

    /// Sends a batch by as few calls as the kernel allows. A batch the kernel refuses is counted
    /// and dropped, as a network would.
    ///
    /// # Errors
    /// `WouldBlock` with the number of bytes already sent, when the kernel's buffer is full.
    pub fn send(&mut self, batch: &Transmit, from_byte: usize) -> Result<(), Blocked> {
        let per_call = batch.segment_bytes * self.state.max_gso_segments().max(1);
        let mut sent = from_byte;
        while sent < batch.bytes.len() {
            let end = batch.bytes.len().min(sent + per_call);
            let contents = &batch.bytes[sent..end];
            let transmit = quinn_udp::Transmit {
                destination: batch.destination,
                ecn: None,
                contents,
                segment_size: (contents.len() > batch.segment_bytes).then_some(batch.segment_bytes),
                src_ip: None,
            };
            match self.state.try_send(UdpSockRef::from(&self.socket), &transmit) {
                Ok(()) => self.counters.send_calls += 1,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.counters.full += 1;
                    return Err(Blocked { sent });
                }
                Err(error) => {
                    self.counters.send_errors += 1;
                    tracing::debug!(%error, destination = %batch.destination, "The kernel refused to send");
                }
            }
            sent = end;
        }
        Ok(())
    }

    pub(crate) fn source(&mut self) -> &mut UdpSocket {
        &mut self.socket
    }
}

/// Asks the kernel not to say of every datagram to which of our addresses it came and how it was marked, which
/// [`UdpSocketState`] has asked for: nobody here wants to know, and it is a twentieth of what it takes to receive a lone datagram.
fn ask_for_less(socket: &UdpSocket) {
    let reference = SockRef::from(socket);
    // Each is for one version of IP. Where it cannot be had, the kernel says what it said before.
    let _ = reference.set_recv_tos_v4(false);
    let _ = reference.set_recv_tclass_v6(false);
    #[cfg(target_os = "linux")]
    {
        use nix::sys::socket::{setsockopt, sockopt};
        let _ = setsockopt(socket, sockopt::Ipv4PacketInfo, &false);
        let _ = setsockopt(socket, sockopt::Ipv6RecvPacketInfo, &false);
    }
}

/// Says that the kernel's buffer was full after so many bytes of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blocked {
    /// Bytes of the batch that are on their way.
    pub sent: usize,
}
