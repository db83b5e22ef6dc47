//! The part of a node that knows whose an IP address is: its own by its key, or announced and certified.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};

use peerbound_wire::NodeId;

use crate::node::Node;
use crate::router::AnnouncedPrefixes;

impl Node {
    /// Returns the node that packets to an address are for: the one whose overlay address it is, else the
    /// one that announces it by the longest prefix; of several the nearest, and of equally near ones that
    /// with the smallest id. It may be ourselves. `None` when nobody is known.
    #[must_use]
    pub fn resolve(&self, address: IpAddr) -> Option<NodeId> {
        let address = as_ipv6(address);
        self.node_at(address).or_else(|| self.router.as_ref()?.announcer_of(address))
    }

    /// Returns whether packets that a node sent may have this source address: its own overlay address, or one
    /// that its certificate lets it announce, and that it announces.
    #[must_use]
    pub fn may_send_from(&self, source: NodeId, address: IpAddr) -> bool {
        let address = as_ipv6(address);
        if source.address() == address {
            return true;
        }
        // A prefix may hold the overlay addresses of others, and these are theirs all the same.
        self.router.as_ref().is_some_and(|router| router.announces(&source, address))
            && self.node_at(address).is_none()
    }

    /// Lists the prefixes that can be reached, the shortest first; of others no more than `max`. There are none
    /// where routing is static.
    #[must_use]
    pub fn announced_prefixes(&self, max: usize) -> AnnouncedPrefixes {
        self.router.as_ref().map_or_else(AnnouncedPrefixes::default, |router| router.announced_prefixes(max))
    }

    /// Lists the addresses in the network below at which neighbours are, were, or are dialled: what the host
    /// sends there must never go into the overlay, which is carried by it.
    #[must_use]
    pub fn underlay_addresses(&self) -> BTreeSet<IpAddr> {
        let of_all = self.neighbours.iter().flat_map(|(_, neighbour)| neighbour.known_addresses());
        of_all.map(|address| address.ip().to_canonical()).collect()
    }

    /// Returns the node that has an overlay address, as far as it is known: a neighbour, or one to which
    /// there is a learned way.
    #[must_use]
    pub fn node_at(&self, address: Ipv6Addr) -> Option<NodeId> {
        if address.octets()[0] != 0xfd {
            return None;
        }
        if let Some(id) = self.router.as_ref().and_then(|router| router.reachable_at(address)) {
            return Some(id);
        }
        // Those that no route is learned to are few: each is asked.
        let known = std::iter::once(&self.us).chain(self.neighbours.keys());
        let mut known = known.chain(self.config.routes.iter().map(|route| &route.destination));
        known.find(|id| id.address() == address).copied()
    }
}

fn as_ipv6(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}
