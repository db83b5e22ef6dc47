//! What a network in user space needs of the machine: to take what hosts send, and to hand hosts what
//! arrives. Addresses are those of the hosts' own sockets, whatever stands for them on the machine.

use std::io;
use std::net::{SocketAddr, UdpSocket};

use mio::Registry;

use crate::trace::HostIndex;

/// Why the machine did not carry something.
#[derive(Debug, thiserror::Error)]
pub enum CarrierError {
    /// A socket or an interface refused.
    #[error("{what}: {source}")]
    Socket {
        /// What was tried.
        what: String,
        /// What the kernel says.
        source: io::Error,
    },
    /// No socket of the run has this address.
    #[error("no socket of the run owns {0}")]
    NoSuchSource(SocketAddr),
    /// A namespace could not be made or used.
    #[cfg(target_os = "linux")]
    #[error(transparent)]
    Namespace(#[from] crate::backend::namespace::NamespaceError),
}

impl CarrierError {
    pub(crate) fn socket(what: impl Into<String>, source: io::Error) -> Self {
        Self::Socket { what: what.into(), source }
    }
}

/// A UDP datagram between hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Datagram {
    pub(crate) source: SocketAddr,
    pub(crate) destination: SocketAddr,
    pub(crate) bytes: Vec<u8>,
}

/// Something that comes from a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outgoing {
    /// One of its sockets has sent a datagram.
    Datagram { by: HostIndex, datagram: Datagram },
    /// Its kernel's word on a datagram that was handed to it: nobody reads there, or nobody who wants to
    /// hear this sender.
    Refusal {
        by: HostIndex,
        /// The source of the datagram that was refused.
        source: SocketAddr,
        destination: SocketAddr,
        /// The beginning of its payload, where the kernel says so much.
        quoted: Option<Vec<u8>>,
        /// The packet that says so, where there is a host to carry it to.
        packet: Option<Vec<u8>>,
    },
    /// A connected socket of the host was told of an error.
    Told { host: HostIndex, error: &'static str },
}

/// What became of a datagram that was handed to the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Handed {
    /// It is in the host's hands.
    Over,
    /// The machine had no room for it.
    NoRoom,
}

/// How a fresh socket of a host has sent a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spoken {
    /// It is on its way to us, as everything that the host sends.
    Already,
    /// The network has to take it as sent.
    ByUs,
}

/// The hosts of a run on a real machine.
pub(crate) trait Carrier {
    /// Lists the address of each host's own socket.
    fn addresses(&self) -> &[SocketAddr];

    /// Returns the address at which `viewer` finds `host`.
    fn address_for(&self, host: HostIndex, viewer: HostIndex) -> SocketAddr;

    /// Returns whose address it is that `viewer` saw, by that host's own socket.
    fn named(&self, seen: SocketAddr, viewer: HostIndex) -> SocketAddr;

    /// Binds a socket to a host's own address, beside others that may be bound there.
    fn bind(&self, host: HostIndex) -> Result<UdpSocket, CarrierError>;

    /// Makes a fresh socket of `host`, connected to `to`, and watches it for errors; returns its address.
    fn connected_socket(&mut self, host: HostIndex, to: HostIndex) -> Result<SocketAddr, CarrierError>;

    /// Lets such a socket send.
    fn speak(&mut self, source: SocketAddr, bytes: &[u8]) -> Result<Spoken, CarrierError>;

    /// Lets a poller watch what hosts send.
    fn register(&mut self, registry: &Registry) -> io::Result<()>;

    /// Takes everything that hosts have sent.
    fn receive(&mut self, take: &mut dyn FnMut(Outgoing)) -> Result<(), CarrierError>;

    /// Hands a host a datagram.
    fn deliver(&mut self, to: HostIndex, datagram: &Datagram) -> Result<Handed, CarrierError>;

    /// Hands a host a packet that is no datagram.
    fn deliver_packet(&mut self, to: HostIndex, packet: &[u8]) -> Result<(), CarrierError>;

    /// Tells the sender of a datagram that its path takes no packets larger than `mtu`; says whether there
    /// is anybody to tell.
    fn tell_too_big(&mut self, datagram: &Datagram, mtu: u16) -> Result<bool, CarrierError>;
}

/// Returns the name that errno.h has for what a socket was told.
pub(crate) fn error_name(error: &io::Error) -> &'static str {
    #[cfg(target_os = "linux")]
    if error.raw_os_error() == Some(nix::errno::Errno::EMSGSIZE as i32) {
        return "EMSGSIZE";
    }
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "ECONNREFUSED",
        io::ErrorKind::HostUnreachable => "EHOSTUNREACH",
        io::ErrorKind::NetworkUnreachable => "ENETUNREACH",
        _ => "another error",
    }
}

/// Binds a UDP socket that suffers others at its address.
pub(crate) fn bind(address: SocketAddr, buffer_bytes: usize) -> io::Result<UdpSocket> {
    use socket2::{Domain, Protocol, Socket, Type};
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_address(true)?;
    // Less than asked for is normal (net.core.rmem_max) and no reason to stop.
    let _ = socket.set_recv_buffer_size(buffer_bytes);
    let _ = socket.set_send_buffer_size(buffer_bytes);
    socket.bind(&address.into())?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}
