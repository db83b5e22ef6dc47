//! The part of a node that watches its neighbours: who came, who is gone, whom to dial.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use peerbound_dtls::{AssociationEvent, CloseReason, DownReason, Peer};
use peerbound_wire::{Header, Hello, Kind, MtuProbe, NodeId, RoutingMessage};

use crate::counters::FrameDrop;
use crate::event::{Event, SessionSeen};
use crate::links::Link;
use crate::liveness::LinkState;
use crate::neighbour::{Neighbour, NeighbourState, precedence};
use crate::node::Node;

/// How long the session at the old address of a neighbour that moved is kept, for what was on its way: as
/// long as a session that was replaced in its place.
const RETIRED_KEPT: Duration = Duration::from_secs(3);

impl Node {
    /// Takes other addresses at which to dial a neighbour; [`crate::ADDRESSES_MAX`] are kept. What is being
    /// opened, or open, stays. Says whether it is a neighbour.
    pub fn set_neighbour_addresses(&mut self, id: NodeId, addresses: Vec<SocketAddr>, now: Instant) -> bool {
        let Some(neighbour) = self.neighbours.get_mut(&id) else {
            return false;
        };
        neighbour.set_addresses(addresses, now);
        true
    }

    /// Notes why a neighbour cannot be dialled, where the reason lies outside of the node; it is shown until
    /// another one takes its place, or the neighbour is up.
    pub fn note_neighbour_trouble(&mut self, id: NodeId, reason: String, now: Instant) {
        let Some(neighbour) = self.neighbours.get_mut(&id) else {
            return;
        };
        if neighbour.address().is_none() {
            neighbour.last_error = Some((reason, now));
        }
    }

    /// Draws the conclusions after any input to a link; returns who is at its far end, as far as
    /// that is proved and the link lives.
    pub(super) fn settle_link(&mut self, address: SocketAddr, now: Instant) -> Option<NodeId> {
        // Once per event and once more: a datagram of data, which has none, costs one look-up.
        loop {
            let link = self.links.get_mut(&address)?;
            let Some(event) = link.association.poll_event() else {
                link.flush(address, &mut self.outbound);
                if link.association.is_over() {
                    self.remove_link(address);
                    return None;
                }
                return link.peer;
            };
            match event {
                AssociationEvent::Up(peer) => {
                    self.tell_of_session(address, &peer);
                    self.on_session_up(address, &peer, now);
                }
                AssociationEvent::Replaced(peer) => {
                    self.tell_of_session(address, &peer);
                    self.on_session_replaced(address, now);
                }
                AssociationEvent::CandidateFailed(reason) => {
                    self.count_refusal(&reason);
                    self.tell_of_stranger(address, reason, now);
                }
                AssociationEvent::Down(reason) => self.on_session_down(address, reason, now),
            }
        }
    }

    /// Dials, sends hellos, and gives up what is silent.
    pub(super) fn run_neighbour_timers(&mut self, now: Instant) {
        for id in self.neighbours.due(now) {
            self.dial_if_due(id, now);
            self.give_up_if_silent(id, now);
            self.send_hello_if_due(id, now);
            self.probe_mtu_if_due(id, now);
        }
    }

    pub(super) fn on_routing_frame(&mut self, from: NodeId, header: &Header, payload: &[u8], now: Instant) {
        if header.source != from || header.destination != self.us {
            self.counters.drop_frame(FrameDrop::NotFromNeighbour);
            let seen = (Some(header), payload.len());
            self.strays.note_frame(seen, Some(from), FrameDrop::NotFromNeighbour, now);
            return;
        }
        let Ok(message) = RoutingMessage::decode(payload) else {
            self.counters.drop_frame(FrameDrop::BadFrame);
            self.strays.note_frame((Some(header), payload.len()), Some(from), FrameDrop::BadFrame, now);
            return;
        };
        self.counters.frames_delivered += 1;
        let hello = match message {
            RoutingMessage::Hello(hello) => hello,
            RoutingMessage::MtuProbe(MtuProbe { token, .. }) => return self.answer_mtu_probe(from, token),
            RoutingMessage::MtuProbeAnswer(token) => return self.on_mtu_probe_answer(from, token, now),
            RoutingMessage::Sync(_)
            | RoutingMessage::Updates(_)
            | RoutingMessage::Acknowledgement(_)
            | RoutingMessage::SeqRequests(_)
            | RoutingMessage::ProofRequests(_)
            | RoutingMessage::Proofs(_) => return self.on_routing_message(from, &message, now),
        };
        let Some(neighbour) = self.neighbours.get_mut(&from) else {
            return;
        };
        let mut has_restarted = false;
        if let Some(liveness) = neighbour.liveness_mut() {
            has_restarted = liveness.is_other_boot(header.boot_epoch);
            liveness.on_hello(hello, header.boot_epoch, now);
        }
        if has_restarted && neighbour.is_usable() {
            // It has lost what it told us and what we told it: ways by it are gone until it tells anew.
            self.route_past(from, now);
            self.route_by(from, now);
        }
        let Some(neighbour) = self.neighbours.get_mut(&from) else {
            return;
        };
        if neighbour.link_state(now) == Some(LinkState::Alive) {
            self.announce(from, now);
        }
        self.send_hello_if_due(from, now);
    }

    fn announce(&mut self, id: NodeId, now: Instant) {
        let Some(address) = self.neighbours.get_mut(&id).and_then(|neighbour| neighbour.announce(now)) else {
            return;
        };
        let session = self.links.get(&address).and_then(|link| link.association.session());
        if let Some((role, peer)) =
            session.and_then(|session| Some((session.role(), session.peer()?.clone())))
        {
            tracing::info!(%id, %address, suite = peer.suite.name, "Neighbour up");
            self.events.push_back(Event::NeighbourUp { id, address, role, peer });
        }
        self.route_by(id, now);
    }

    fn tell_of_session(&mut self, address: SocketAddr, peer: &Peer) {
        if !self.config.observe_sessions {
            return;
        }
        let session = self.links.get(&address).and_then(|link| link.association.session());
        let secrets = session.and_then(|session| Some((session.role(), session.secrets()?)));
        if let Some((role, secrets)) = secrets {
            let peer = crate::node_id(&peer.key);
            let secrets = Box::new(secrets.clone());
            self.events.push_back(Event::Session(SessionSeen { peer, address, role, secrets }));
        }
    }

    fn on_session_up(&mut self, address: SocketAddr, peer: &Peer, now: Instant) {
        let id = crate::node_id(&peer.key);
        let us = self.us;
        let Some(link) = self.links.get_mut(&address) else {
            return;
        };
        link.peer = Some(id);
        // Whoever accepted did not know whom he would meet.
        link.association.set_precedence(precedence(us, id));
        let new_client = link.client(us);
        let expected = link.dialled.take_if(|expected| *expected != id);
        if let Some(other) = expected.and_then(|expected| self.neighbours.get_mut(&expected)) {
            let reason = format!("\"{}\" is at its address", peer.name);
            other.fail_at(address, reason, &mut self.chance, now);
        }
        let Some(neighbour) = self.neighbours.get_mut(&id) else {
            // It was a neighbour when admission asked.
            return self.close_link(address, now);
        };
        let was_announced = neighbour.is_usable();
        let may_move = neighbour.may_move(now);
        let opening: Vec<_> = neighbour.opening().iter().copied().filter(|other| *other != address).collect();
        let standing = neighbour.address().filter(|other| *other != address);
        if let Some(other) = standing {
            let old_client = self.links.get(&other).and_then(|link| link.client(us));
            if may_move {
                return self.move_neighbour(id, (other, address), now);
            }
            // Both dialled, from addresses that do not match: both ends keep the session whose
            // client has the smaller id. From the same client, the newer one knows better.
            if old_client.is_some_and(|old| new_client.is_some_and(|new| old < new)) {
                self.close_link(address, now);
                return;
            }
            self.close_link(other, now);
        }
        // Where we dial as well, and our hello has precedence, the neighbour may have our session already.
        // When that comes up here, too, it takes the place of one that we accepted.
        if us > id || new_client == Some(us) {
            opening.into_iter().for_each(|other| self.close_link(other, now));
        }
        if was_announced {
            let reason = format!("it came back from {address}");
            tracing::info!(%id, reason, "Neighbour down");
            self.events.push_back(Event::NeighbourDown { id, reason });
            self.route_past(id, now);
        }
        let mtu_search = self.mtu_search_over(address, now);
        if let Some(neighbour) = self.neighbours.get_mut(&id) {
            neighbour.come_up(address, mtu_search, now);
        }
        self.send_hello_if_due(id, now);
    }

    /// Goes over to a session at another address without a gap: the neighbour has proved itself there, by
    /// its certificate and by receiving there what it had to answer. Frames that are on their way over the
    /// old session are still taken; nothing is said there any more, for someone else may have the address.
    fn move_neighbour(&mut self, id: NodeId, (from, to): (SocketAddr, SocketAddr), now: Instant) {
        let mtu_search = self.mtu_search_over(to, now);
        if let Some(old) = self.links.get_mut(&from) {
            old.retires_at = Some(now + RETIRED_KEPT);
            old.dialled = None;
        }
        if let Some(neighbour) = self.neighbours.get_mut(&id) {
            neighbour.move_to(to, mtu_search, now);
        }
        tracing::info!(%id, %from, %to, "Neighbour moved");
        self.events.push_back(Event::NeighbourMoved { id, from, to });
        self.send_hello_if_due(id, now);
    }

    fn on_session_replaced(&mut self, address: SocketAddr, now: Instant) {
        let Some(id) = self.links.get(&address).and_then(|link| link.peer) else {
            return;
        };
        self.events.push_back(Event::NeighbourReplaced { id });
        if let Some(liveness) = self.neighbours.get_mut(&id).and_then(Neighbour::liveness_mut) {
            liveness.on_session_replaced(now);
        }
        self.send_hello_if_due(id, now);
    }

    fn on_session_down(&mut self, address: SocketAddr, reason: DownReason, now: Instant) {
        self.count_refusal(&reason);
        let Some(Link { association, dialled, peer, .. }) = self.links.get(&address) else {
            return;
        };
        let goes_on = !association.is_over();
        let (dialled, peer) = (*dialled, *peer);
        let neighbour = peer.or(dialled).and_then(|id| Some((id, self.neighbours.get_mut(&id)?)));
        let Some((id, neighbour)) = neighbour else {
            self.tell_of_stranger(address, reason, now);
            return;
        };
        if neighbour.opening().contains(&address) {
            if !goes_on {
                neighbour.fail_at(address, reason.to_string(), &mut self.chance, now);
            }
            tracing::info!(%id, %address, %reason, "Neighbour not reached");
            self.events.push_back(Event::DialFailed { id, address, reason: reason.to_string() });
            return;
        }
        let was_up = match neighbour.state {
            NeighbourState::Up { address: at, announced_at, .. } if at == address => announced_at.is_some(),
            // It has a better session, or is dialled elsewhere.
            NeighbourState::Up { .. } | NeighbourState::Opening(_) | NeighbourState::Away { .. } => return,
        };
        // A candidate was on its way when the session ended, or both dialled and we go on.
        let is_opening = |link: &Link| link.dialled == Some(id) && link.peer.is_none();
        let elsewhere: Vec<_> = neighbour
            .addresses()
            .into_iter()
            .filter(|other| *other != address && self.links.get(other).is_some_and(is_opening))
            .collect();
        let is_silent = !was_up && !elsewhere.is_empty();
        neighbour.go_away(reason.to_string(), &mut self.chance, now);
        let open: Vec<_> = goes_on.then_some(address).into_iter().chain(elsewhere).collect();
        if !open.is_empty() {
            neighbour.go_on_opening(open, now);
        }
        if was_up {
            tracing::info!(%id, %reason, "Neighbour down");
            self.events.push_back(Event::NeighbourDown { id, reason: reason.to_string() });
            self.route_past(id, now);
        } else if !is_silent {
            tracing::info!(%id, %address, %reason, "Neighbour not reached");
            self.events.push_back(Event::DialFailed { id, address, reason: reason.to_string() });
        }
        if goes_on && let Some(link) = self.links.get_mut(&address) {
            link.peer = None;
            link.dialled = Some(id);
        }
    }

    fn dial_if_due(&mut self, id: NodeId, now: Instant) {
        let Some(neighbour) = self.neighbours.get_mut(&id) else {
            return;
        };
        let Some(address) = neighbour.due_dial(now) else {
            return;
        };
        let answers = |open: &SocketAddr| self.links.get(open).is_some_and(|l| l.association.has_heard());
        if neighbour.wait_for_answered(answers, now) {
            return;
        }
        let calls_often = neighbour.is_called_often();
        if self.links.get(&address).is_none()
            && let Err(error) = self.dial(id, address, calls_often, now)
        {
            tracing::error!(%error, %id, "No session could be made to dial with");
        }
        // Where there is a link already, the neighbour may be dialling us from there at this moment.
        let is_opening = self
            .links
            .get_mut(&address)
            .is_some_and(|link| link.peer.is_none() && *link.dialled.get_or_insert(id) == id);
        let obstacle = (!is_opening).then_some("its address is taken by another session");
        if let Some(neighbour) = self.neighbours.get_mut(&id) {
            neighbour.on_dialled(address, obstacle, &mut self.chance, now);
        }
        if is_opening {
            self.settle_link(address, now);
        }
    }

    fn give_up_if_silent(&mut self, id: NodeId, now: Instant) {
        let Some(neighbour) = self.neighbours.get_mut(&id) else {
            return;
        };
        let (Some(LinkState::Dead(silence)), Some(address)) =
            (neighbour.link_state(now), neighbour.address())
        else {
            return;
        };
        let was_announced = neighbour.is_usable();
        neighbour.go_away(silence.reason().to_owned(), &mut self.chance, now);
        neighbour.last_silence = Some(silence);
        self.close_link(address, now);
        if was_announced {
            tracing::info!(%id, reason = silence.reason(), "Neighbour down");
            self.events.push_back(Event::NeighbourDown { id, reason: silence.reason().to_owned() });
            self.route_past(id, now);
        } else {
            tracing::info!(%id, %address, reason = silence.reason(), "Neighbour not reached");
            self.events.push_back(Event::DialFailed { id, address, reason: silence.reason().to_owned() });
        }
    }

    /// Tells of a stranger, but not of every one: whoever has a certificate may fail as often as he
    /// likes. All of them are counted.
    fn tell_of_stranger(&mut self, address: SocketAddr, reason: DownReason, now: Instant) {
        if self.stranger_bucket.take(now) {
            self.events.push_back(Event::StrangerFailed { address, reason });
        }
    }

    fn send_hello_if_due(&mut self, id: NodeId, now: Instant) {
        let Some(neighbour) = self.neighbours.get_mut(&id) else {
            return;
        };
        let Some(hello) = neighbour.liveness_mut().and_then(|liveness| liveness.poll_hello(now)) else {
            return;
        };
        let Hello { sequence, .. } = hello;
        neighbour.note_hello(sequence);
        let mut payload = Vec::new();
        RoutingMessage::Hello(hello).encode_into(&mut payload);
        let header = self.originate(Header::new(Kind::Routing, self.us, id));
        // A hello that does not leave is one that is not echoed: liveness draws the conclusion.
        let _ = self.send_control(header, &payload, id);
    }

    /// Ends a link without telling the neighbour's state, which the caller has set.
    pub(super) fn close_link(&mut self, address: SocketAddr, now: Instant) {
        if let Some(link) = self.links.get_mut(&address) {
            link.association.close(now);
            link.flush(address, &mut self.outbound);
        }
        self.remove_link(address);
    }

    pub(super) fn remove_link(&mut self, address: SocketAddr) {
        if let Some(link) = self.links.remove(&address) {
            let discards = link.association.discards();
            self.counters.records_discarded.add(&discards);
            if let Some(neighbour) = link.owner().and_then(|id| self.neighbours.get_mut(&id)) {
                neighbour.discards.add(&discards);
                neighbour.traffic.add(&link.traffic);
            }
        }
    }

    pub(super) fn count_refusal(&mut self, reason: &DownReason) {
        if let DownReason::Closed(CloseReason::Refused(_))
        | DownReason::HandshakeTimeout { last: Some(CloseReason::Refused(_)), .. }
        | DownReason::AnotherPeer { .. } = reason
        {
            self.counters.peers_refused += 1;
            self.strays.note_refusal(reason);
        }
    }
}
