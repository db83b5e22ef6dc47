//! The part of a node that takes in what its owner changes while it runs: whom to trust, neighbours, routes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use peerbound_dtls::{Admission, Context};
use peerbound_wire::{NodeId, Prefix};

use crate::config::{NeighbourConfig, StaticRoute};
use crate::event::Event;
use crate::inner::EndToEnd;
use crate::neighbour::Neighbour;
use crate::node::Node;
use crate::queue::Rate;
use crate::router::{ProofBook, RouterError};

/// Why a node goes on with the context that it has.
#[derive(Debug, thiserror::Error)]
pub enum ReplaceError {
    /// The certificate is for another key, and the key is who we are.
    #[error(
        "the certificate is for another key, which makes another node of us: keep the key (`peerbound pki renew`), or start the node anew"
    )]
    AnotherKey,
    /// Others would not believe what we say of ourselves.
    #[error(transparent)]
    Router(#[from] RouterError),
}

/// Admits the holders of these keys.
pub(super) fn admission_of(neighbours: BTreeSet<NodeId>) -> Admission {
    Admission::Rule(Arc::new(move |key| neighbours.contains(&crate::node_id(key))))
}

impl Node {
    /// Trusts and is trusted by another context from here on: other roots, other certificates revoked, another
    /// certificate of ours. Sessions with those who are refused by it end at once, and the others go on;
    /// so with what is known of the ways to nodes further away.
    ///
    /// # Errors
    /// When our certificate is for another key, or others would not believe us; then nothing changes.
    pub fn replace_context(&mut self, context: Context, now: Instant) -> Result<(), ReplaceError> {
        if context.key_hash() != self.config.context.key_hash() {
            return Err(ReplaceError::AnotherKey);
        }
        if let Some(router) = &mut self.router {
            router.replace_trust(context.clone(), Arc::new(ProofBook::new(context.clone())), now)?;
        }
        self.config.context = context.clone();
        for address in self.links.addresses() {
            if let Some(link) = self.links.get_mut(&address) {
                link.association.replace_context(&context, now);
            }
            self.settle_link(address, now);
        }
        self.judge_inner_again(&context, now);
        self.note_changes();
        Ok(())
    }

    /// Takes in one more neighbour, or changes where one is dialled and what the link to it costs.
    pub fn set_neighbour(&mut self, config: NeighbourConfig, cost: u16, now: Instant) {
        let id = config.id;
        if id == self.us {
            return;
        }
        if let Some(router) = &mut self.router {
            router.add_neighbour(id, cost);
            router.set_cost(id, cost, now);
        }
        match self.neighbours.get_mut(&id) {
            None => self.neighbours.insert(id, Neighbour::new(config, self.config.healing, now)),
            Some(neighbour) => {
                let attempts = neighbour.change(config, now);
                attempts.into_iter().for_each(|address| self.close_link(address, now));
            }
        }
        self.admission = admission_of(self.neighbours.keys().copied().collect());
        self.note_changes();
    }

    /// Parts from a neighbour: its sessions end, and it is neither dialled nor admitted.
    pub fn remove_neighbour(&mut self, id: NodeId, now: Instant) {
        let Some(neighbour) = self.neighbours.remove(&id) else {
            return;
        };
        self.admission = admission_of(self.neighbours.keys().copied().collect());
        let its = |address: &SocketAddr| {
            self.links.get(address).is_some_and(|link| link.peer == Some(id) || link.dialled == Some(id))
        };
        let addresses: Vec<_> = self.links.addresses().into_iter().filter(its).collect();
        addresses.into_iter().for_each(|address| self.close_link(address, now));
        if neighbour.is_usable() {
            let reason = "it is no neighbour any more".to_owned();
            tracing::info!(%id, reason, "Neighbour down");
            self.events.push_back(Event::NeighbourDown { id, reason });
            self.route_past(id, now);
        }
        if let Some(router) = &mut self.router {
            router.remove_neighbour(id, now);
        }
        self.note_changes();
    }

    /// Returns where a neighbour may be dialled: what it was set with, or what was found of its names since.
    #[must_use]
    pub fn neighbour_addresses(&self, id: NodeId) -> Vec<SocketAddr> {
        self.neighbours.get(&id).map(|neighbour| neighbour.config.addresses.clone()).unwrap_or_default()
    }

    /// Gives the links to some neighbours so much at most from here on, and as much as they take to all others.
    pub fn set_rates(&mut self, rates: BTreeMap<NodeId, Rate>) {
        self.queues.set_rates(&rates);
        self.config.rates = rates;
    }

    /// Lets payloads to and from nodes travel in inner sessions, or in the clear, from here on. Sessions with
    /// those with whom there are to be none end; returns how many.
    pub fn set_end_to_end(
        &mut self,
        default: EndToEnd,
        exceptions: BTreeMap<NodeId, EndToEnd>,
        now: Instant,
    ) -> usize {
        (self.config.inner.default, self.config.inner.exceptions) = (default, exceptions);
        let peers = self.inner.sessions.keys().copied();
        let ending: Vec<_> = peers.filter(|peer| !self.is_end_to_end(peer)).collect();
        ending.iter().for_each(|peer| self.end_inner(*peer, "it is to be in the clear from here on", now));
        ending.len()
    }

    /// Takes other routes in place of those that were set.
    pub fn set_routes(&mut self, routes: Vec<StaticRoute>) {
        self.relay.set_routes(&routes);
        self.config.routes = routes;
    }

    /// Announces other prefixes from here on.
    ///
    /// # Errors
    /// When our certificate does not carry them; then what was announced stays.
    pub fn set_prefixes(&mut self, prefixes: &[Prefix], now: Instant) -> Result<(), RouterError> {
        if let Some(router) = &mut self.router {
            router.set_prefixes(prefixes, now)?;
        }
        self.note_changes();
        Ok(())
    }

    /// Returns the last second of our certificate's validity, in seconds since 1970.
    #[must_use]
    pub fn certificate_expires_at(&self) -> Option<i64> {
        self.config.context.certificate_expires_at()
    }

    fn note_changes(&mut self) {
        self.links.note();
        self.neighbours.note();
        self.pass_routing_on();
    }
}
