//! What a router knows, for people to read.

use std::sync::Arc;

use peerbound_wire::{Metric, NodeId, Prefix, RouteSeq, ShortId};

use crate::router::Router;
use crate::router::feasibility::Feasibility;
use crate::router::origins::{OWN_SLOT, Row};

/// All that is known of the ways to one destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteView {
    /// Where they lead.
    pub destination: NodeId,
    /// The neighbour that was chosen, if any.
    pub next_hop: Option<NodeId>,
    /// How far it is; infinite when there is no way.
    pub metric: Metric,
    /// How often the destination had announced itself anew.
    pub seqno: RouteSeq,
    /// The sequence number up to which the destination's own word is there; `None` before it is.
    pub proved: Option<RouteSeq>,
    /// The best that was ever said of it here, sequence number and metric: what is feasible is better.
    pub said: Option<(RouteSeq, Metric)>,
    /// How many links the way has, as the neighbours tell it.
    pub links: Option<u8>,
    /// The relays on the way, nearest first: the next hop included, the destination not, and of a long way
    /// the first ones only.
    pub path: Vec<ShortId>,
    /// What the destination announces besides its own address, as far as it is proved.
    pub prefixes: Vec<Prefix>,
    /// What each neighbour offers.
    pub candidates: Vec<CandidateView>,
}

/// What one neighbour offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CandidateView {
    /// Who.
    pub neighbour: NodeId,
    /// How far the destination is from it, as it says; infinite when it retracted what it had said.
    pub metric: Metric,
    /// How far it is by this neighbour, the link to it included.
    pub total: Metric,
    /// With which sequence number.
    pub seqno: RouteSeq,
    /// Why it was chosen, or why not.
    pub standing: Standing,
}

/// Why a way was chosen, or why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// It is the one in use.
    Chosen,
    /// It could be used, and another one is shorter, or as short and in use already.
    Longer,
    /// It could lead back here: it is no better than what was said here before.
    NotFeasible,
    /// The destination's own word is missing.
    Unproved,
    /// The neighbour has no way, or none that is not through us.
    Retracted,
}

impl Standing {
    /// Returns the word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Chosen => "chosen",
            Self::Longer => "longer",
            Self::NotFeasible => "not feasible",
            Self::Unproved => "unproved",
            Self::Retracted => "retracted",
        }
    }
}

impl Router {
    /// Lists what is known of every destination but ourselves, in order of their ids.
    #[must_use]
    pub fn routes(&self) -> Vec<RouteView> {
        let others = self.origins.numbers().filter(|number| self.origins.row(*number).next != OWN_SLOT);
        let mut views: Vec<_> = others.map(|number| self.view(number)).collect();
        views.sort_unstable_by_key(|view| view.destination);
        views
    }

    /// Lists the certificates, in DER, by which destinations proved who they are, ourselves included, in order
    /// of the ids.
    pub(crate) fn certificates(&self) -> Vec<(NodeId, Arc<[u8]>)> {
        let rows = self.origins.numbers().map(|number| self.origins.row(number));
        let proofs = rows.filter_map(|row| Some((row.id, row.proof.as_ref()?)));
        let mut certificates: Vec<_> =
            proofs.map(|(id, proof)| (id, Arc::clone(&proof.certificate))).collect();
        certificates.sort_unstable_by_key(|(id, _)| *id);
        certificates
    }

    /// Returns how many destinations can be reached, ourselves not counted.
    #[must_use]
    pub fn reachable(&self) -> usize {
        self.origins.numbers().filter(|number| self.origins.row(*number).next < OWN_SLOT).count()
    }

    fn view(&self, number: u32) -> RouteView {
        let row = self.origins.row(number);
        let links = row.path().links().filter(|_| row.is_reachable());
        let candidates = (0..self.slots()).filter_map(|slot| self.candidate_view(number, slot));
        RouteView {
            destination: row.id,
            next_hop: self.peers.get(usize::from(row.next)).map(|peer| peer.id),
            metric: row.metric,
            seqno: row.seqno,
            proved: row.proof.as_ref().map(|proof| proof.seqno),
            said: (!row.said.is_none()).then_some((row.said.seqno, row.said.metric)),
            links,
            path: links.map_or_else(Vec::new, |_| row.path().relays().collect()),
            prefixes: row.proof.iter().flat_map(|proof| proof.prefixes()).collect(),
            candidates: candidates.collect(),
        }
    }

    fn candidate_view(&self, number: u32, slot: u16) -> Option<CandidateView> {
        let row = self.origins.row(number);
        let peer = self.peer(slot);
        peer.link.as_ref()?;
        let candidate = self.origins.candidate(number, slot);
        Some(CandidateView {
            neighbour: peer.id,
            metric: candidate.metric,
            total: candidate.metric.over(peer.cost),
            seqno: candidate.seqno,
            standing: standing(row, slot, candidate, self.feasibility),
        })
    }
}

fn standing(
    row: &Row,
    slot: u16,
    candidate: crate::router::origins::Candidate,
    rule: Feasibility,
) -> Standing {
    if candidate.metric.is_infinite() {
        Standing::Retracted
    } else if row.next == slot {
        Standing::Chosen
    } else if row.proof.is_none() {
        Standing::Unproved
    } else if !candidate.proved_up_to(row.proved).is_feasible(row.said, rule) {
        Standing::NotFeasible
    } else {
        Standing::Longer
    }
}
