//! A host: a machine with an address and sockets, and perhaps a node on it.

use std::net::{IpAddr, SocketAddr};

use peerbound_node::{Node, NodeConfig};

use crate::ids::{HostId, NatId, SocketId};
use crate::socket::Sharing;
use crate::stream::Stream;
use crate::time::VirtualTime;

/// One host.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) ip: IpAddr,
    /// The NAT that it is behind.
    pub(crate) nat: Option<NatId>,
    pub(crate) power: Power,
    /// Its sockets, in the order in which they were bound; closed ones are taken out.
    pub(crate) sockets: Vec<SocketId>,
    pub(crate) tenant: Tenant,
    /// How many times a node was booted here.
    pub(crate) boots: u32,
    /// The paths from here, by where they lead to, in order.
    pub(crate) paths: Vec<(HostId, u32)>,
}

/// Whether a host has power.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Power {
    /// It has.
    On,
    /// It has not: what is sent there is gone, and nobody is told.
    Off,
}

/// The node on a host.
#[derive(Debug)]
pub(crate) enum Tenant {
    /// None was ever run here.
    None,
    /// One runs.
    Running(Box<Running>),
    /// One ran, and can be booted again.
    Gone(Box<Installed>),
}

/// A node that runs.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) node: NodeBox,
    pub(crate) socket: SocketId,
    /// What its OpenSSL draws from.
    pub(crate) stream: Stream,
    pub(crate) config: NodeConfig,
    /// The moment for which its waking is in the queue; an earlier one is put there beside it.
    pub(crate) wakes_at: Option<VirtualTime>,
}

/// What is needed to boot a node again.
#[derive(Debug)]
pub(crate) struct Installed {
    pub(crate) config: NodeConfig,
    pub(crate) port: u16,
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) sharing: Sharing,
}

/// A node, which has nothing to say to a debugger.
pub(crate) struct NodeBox(pub(crate) Node);

impl std::fmt::Debug for NodeBox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Node").field(&self.0.id()).finish()
    }
}

impl Host {
    pub(crate) fn new(name: &str, ip: IpAddr) -> Self {
        Self {
            name: name.to_owned(),
            ip,
            nat: None,
            power: Power::On,
            sockets: Vec::new(),
            tenant: Tenant::None,
            boots: 0,
            paths: Vec::new(),
        }
    }

    pub(crate) fn running(&self) -> Option<&Running> {
        match &self.tenant {
            Tenant::Running(running) => Some(running),
            Tenant::None | Tenant::Gone(_) => None,
        }
    }

    pub(crate) fn running_mut(&mut self) -> Option<&mut Running> {
        match &mut self.tenant {
            Tenant::Running(running) => Some(running),
            Tenant::None | Tenant::Gone(_) => None,
        }
    }
}
