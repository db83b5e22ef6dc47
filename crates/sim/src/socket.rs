//! The UDP sockets of hosts, looked up as Linux does it.

use std::collections::VecDeque;
use std::net::SocketAddr;

use crate::flight::FlightId;
use crate::ids::{HostId, SocketId};

/// Bytes that may wait in a socket that nobody reads: Linux's `net.core.rmem_default`.
pub(crate) const RECEIVE_QUEUE_BYTES: usize = 212_992;

/// The first of the ports that are given to whoever asks for none (RFC 6335, 6).
pub(crate) const EPHEMERAL_PORT_FIRST: u16 = 49_152;

/// Why a socket was not bound.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BindError {
    /// EADDRINUSE: another socket has the port, and not both of them share it.
    #[error("port {port} of {host} is taken")]
    InUse {
        /// The host's name.
        host: String,
        /// The port.
        port: u16,
    },
    /// No ephemeral port is left.
    #[error("{host} has no port left")]
    NoPortLeft {
        /// The host's name.
        host: String,
    },
}

/// Whether a socket lets others have its port, as `SO_REUSEADDR` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Sharing {
    /// It has its port for itself.
    #[default]
    Exclusive,
    /// It shares it with those that share it, too.
    Shared,
}

/// One UDP socket, bound to every address of its host.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) host: HostId,
    pub(crate) port: u16,
    pub(crate) sharing: Sharing,
    /// Whom it is connected to.
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) reader: Reader,
}

/// Who reads a socket.
#[derive(Debug)]
pub(crate) enum Reader {
    /// Nobody yet: what arrives waits.
    Nobody { waiting: VecDeque<FlightId>, bytes: usize },
    /// The node of its host.
    Node,
    /// An application.
    Application,
    /// The socket is closed.
    Closed,
}

impl Socket {
    pub(crate) fn is_open(&self) -> bool {
        !matches!(self.reader, Reader::Closed)
    }

    /// Ranks how well a socket fits a datagram, as `compute_score` in the kernel does: a connected
    /// socket takes only what comes from its peer, and stands above an unconnected one.
    fn score(&self, port: u16, source: SocketAddr) -> Option<u8> {
        if !self.is_open() || self.port != port {
            return None;
        }
        match self.peer {
            None => Some(1),
            Some(peer) if peer == source => Some(2),
            Some(_) => None,
        }
    }
}

/// Returns the socket that a datagram for this port is given to: the one that fits best, and of equals
/// the one that was bound last, as those that share a port by `SO_REUSEADDR` are found.
pub(crate) fn look_up<'a>(
    sockets: impl Iterator<Item = (SocketId, &'a Socket)>,
    port: u16,
    source: SocketAddr,
) -> Option<SocketId> {
    sockets.filter_map(|(id, socket)| Some((socket.score(port, source)?, id))).max().map(|(_, id)| id)
}

#[cfg(test)]
mod tests {
    use super::*;

    const B: &str = "10.0.0.2:4433";
    const C: &str = "10.0.0.3:4433";

    fn socket(port: u16, peer: Option<&str>) -> Socket {
        let peer = peer.map(|peer| peer.parse().expect("a literal address"));
        Socket { host: HostId(0), port, sharing: Sharing::Shared, peer, reader: Reader::Application }
    }

    fn found(sockets: &[Socket], port: u16, source: &str) -> Option<u32> {
        let numbered = (0..).map(SocketId).zip(sockets);
        look_up(numbered, port, source.parse().expect("a literal address")).map(|SocketId(number)| number)
    }

    #[test]
    fn a_connected_socket_stands_above_an_unconnected_one_and_takes_its_peer_only() {
        let sockets = [socket(4433, Some(B)), socket(4433, None)];

        assert_eq!(found(&sockets, 4433, B), Some(0));
        assert_eq!(found(&sockets, 4433, C), Some(1));
        assert_eq!(found(&sockets[..1], 4433, C), None);
        assert_eq!(found(&sockets[..1], 4433, "10.0.0.2:4434"), None);
        assert_eq!(found(&sockets, 4434, B), None);
    }

    #[test]
    fn of_equal_sockets_the_one_bound_last_is_found_and_a_closed_one_never() {
        let mut sockets = [socket(4433, None), socket(4433, None)];
        assert_eq!(found(&sockets, 4433, C), Some(1));

        sockets[1].reader = Reader::Closed;

        assert_eq!(found(&sockets, 4433, C), Some(0));
    }
}
