//! The part of a node that says how its neighbours stand.

use peerbound_wire::NodeId;

use crate::neighbour::{Neighbour, NeighbourState};
use crate::neighbour_view::{NeighbourPhase, NeighbourView};
use crate::node::Node;

impl Node {
    /// Lists the neighbours as they stand, in order of their ids.
    #[must_use]
    pub fn neighbours(&self) -> Vec<NeighbourView> {
        self.neighbours.iter().map(|(id, neighbour)| self.neighbour_view(*id, neighbour)).collect()
    }

    /// Returns a neighbour as it stands.
    #[must_use]
    pub fn neighbour(&self, id: NodeId) -> Option<NeighbourView> {
        Some(self.neighbour_view(id, self.neighbours.get(&id)?))
    }

    fn neighbour_view(&self, id: NodeId, neighbour: &Neighbour) -> NeighbourView {
        let at = neighbour.address().or_else(|| neighbour.opening().first().copied());
        let link = at.and_then(|at| self.links.get(&at)).filter(|link| link.owner() == Some(id));
        let session = neighbour.address().and(link).and_then(|link| link.association.session());
        let (mut traffic, mut discards) = (neighbour.traffic, neighbour.discards.clone());
        if let Some(link) = link {
            traffic.add(&link.traffic);
            discards.add(&link.association.discards());
        }
        NeighbourView {
            id,
            name: neighbour.config.name.clone(),
            dialled_at: neighbour.addresses().first().copied(),
            address: neighbour.address(),
            phase: phase_of(neighbour),
            is_usable: neighbour.is_usable(),
            role: session.map(|session| session.role()),
            suite: session.and_then(|session| Some(session.peer()?.suite.name)),
            round_trip: self.round_trip(id),
            mtu: neighbour
                .address()
                .map(|_| neighbour.mtu_search.as_ref().map_or(self.config.mtu, |search| search.mtu())),
            frame_bytes_max: session.and_then(|session| session.payload_bytes_max()),
            session_since: session.and(link).and_then(|link| link.association.live_since()),
            up_since: neighbour.up_since(),
            redial_at: neighbour.redial_at(),
            last_error: neighbour.last_error.as_ref().map(|(reason, _)| reason.clone()),
            last_error_at: neighbour.last_error.as_ref().map(|(_, at)| *at),
            traffic,
            discards,
            proofs: neighbour.liveness().map(|liveness| liveness.proofs()),
            last_silence: neighbour.last_silence,
        }
    }
}

fn phase_of(neighbour: &Neighbour) -> NeighbourPhase {
    match neighbour.state {
        NeighbourState::Away { redial_at: None } => NeighbourPhase::Awaited,
        NeighbourState::Away { redial_at: Some(_) } => NeighbourPhase::Away,
        NeighbourState::Opening(_) => NeighbourPhase::Opening,
        NeighbourState::Up { announced_at: None, .. } => NeighbourPhase::Probing,
        NeighbourState::Up { announced_at: Some(_), .. } => NeighbourPhase::Up,
    }
}
