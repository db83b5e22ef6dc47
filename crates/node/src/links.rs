//! The associations of a node, found by the address of their far end.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use peerbound_dtls::{Association, DiscardCounts, Role};
use peerbound_wire::NodeId;

use crate::index::Secret;
use crate::outbound::Outbound;
use crate::strangers::site;
use crate::timed_map::{Timed, TimedMap};
use crate::traffic::Traffic;

/// One association, and whom it is with.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) association: Association,
    /// Whom we dialled; `None` when we were dialled.
    pub(crate) dialled: Option<NodeId>,
    /// Who proved to be there.
    pub(crate) peer: Option<NodeId>,
    /// The frames that it carried.
    pub(crate) traffic: Traffic,
    /// When it is forgotten: its peer has moved, and what was on its way has arrived by then.
    pub(crate) retires_at: Option<Instant>,
}

impl Link {
    pub(crate) fn new(association: Association, dialled: Option<NodeId>) -> Self {
        Self { association, dialled, peer: None, traffic: Traffic::default(), retires_at: None }
    }

    /// Returns whose it is: of who proved to be there, or of whom we expect there.
    pub(crate) fn owner(&self) -> Option<NodeId> {
        self.peer.or(self.dialled)
    }

    /// Moves what the association has to send into the batches.
    pub(crate) fn flush(&mut self, address: SocketAddr, outbound: &mut Outbound) {
        while let Some(datagram) = self.association.poll_transmit() {
            outbound.push(address, datagram);
        }
    }

    /// Returns who was the client of the live session's handshake, given who we are.
    pub(crate) fn client(&self, us: NodeId) -> Option<NodeId> {
        match self.association.session()?.role() {
            Role::Client => Some(us),
            Role::Server => self.peer,
        }
    }
}

impl Timed for Link {
    fn poll_timeout(&self) -> Option<Instant> {
        self.association.poll_timeout().into_iter().chain(self.retires_at).min()
    }
}

/// All links, by address.
#[derive(Debug)]
pub(crate) struct Links {
    by_address: TimedMap<SocketAddr, Link>,
}

impl Links {
    pub(crate) fn new(secret: Secret) -> Self {
        Self { by_address: TimedMap::new(secret) }
    }

    pub(crate) fn get(&self, address: &SocketAddr) -> Option<&Link> {
        self.by_address.get(address)
    }

    pub(crate) fn get_mut(&mut self, address: &SocketAddr) -> Option<&mut Link> {
        self.by_address.get_mut(address)
    }

    pub(crate) fn insert(&mut self, address: SocketAddr, link: Link) {
        self.by_address.insert(address, link);
    }

    pub(crate) fn remove(&mut self, address: &SocketAddr) -> Option<Link> {
        self.by_address.remove(address)
    }

    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.by_address.keys().copied().collect()
    }

    /// Returns the addresses with a live session.
    pub(crate) fn live_addresses(&self) -> Vec<SocketAddr> {
        self.by_address
            .iter()
            .filter(|(_, link)| link.association.is_live())
            .map(|(address, _)| *address)
            .collect()
    }

    /// Returns the addresses whose timers are due.
    pub(crate) fn due(&mut self, now: Instant) -> Vec<SocketAddr> {
        self.by_address.due(now)
    }

    /// See [`TimedMap::note`].
    pub(crate) fn note(&mut self) {
        self.by_address.note();
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.by_address.poll_timeout()
    }

    pub(crate) fn half_open(&self) -> usize {
        self.by_address.values().filter(|link| link.association.is_half_open()).count()
    }

    /// Returns whose half-open handshake is to end so that one from `newcomer` can begin: the oldest of
    /// the site that has most of them. `None` when that is the newcomer's own, or has no more than it.
    pub(crate) fn half_open_in_favour_of(&self, newcomer: IpAddr) -> Option<SocketAddr> {
        let mut sites = BTreeMap::<IpAddr, Vec<(Instant, SocketAddr)>>::new();
        for (address, link) in self.by_address.iter() {
            if let Some(since) = link.association.half_open_since() {
                sites.entry(site(address.ip())).or_default().push((since, *address));
            }
        }
        let already = sites.get(&site(newcomer)).map_or(0, Vec::len);
        let oldest_of_each = sites.into_values().map(|of_site| (of_site.len(), of_site.into_iter().min()));
        let (most, oldest) = oldest_of_each.max_by_key(|(count, oldest)| (*count, Reverse(*oldest)))?;
        oldest.filter(|_| most > already).map(|(_, address)| address)
    }

    pub(crate) fn discards(&self) -> DiscardCounts {
        let mut counts = DiscardCounts::default();
        self.by_address.values().for_each(|link| counts.add(&link.association.discards()));
        counts
    }
}
