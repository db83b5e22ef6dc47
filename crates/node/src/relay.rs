//! Decides what becomes of a frame. Pure: no clock, no socket, no queue.

use std::time::{Duration, Instant};

use peerbound_wire::{ErrorCode, Flags, FlowId, Header, NodeId};

use crate::config::{ReturnPath, StaticRoute};
use crate::counters::FrameDrop;
use crate::duplicates::Duplicates;
use crate::index::Secret;
use crate::indexed_map::IndexedMap;
use crate::return_paths::ReturnPaths;

/// Routes, ways back, and the memory of frames seen.
#[derive(Debug)]
pub(crate) struct Relay {
    us: NodeId,
    routes: IndexedMap<NodeId, NodeId>,
    return_path: ReturnPath,
    return_paths: ReturnPaths,
    duplicates: Duplicates,
}

/// What is to be done with a frame that a neighbour sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    /// It is for us.
    Deliver,
    /// It goes on to this neighbour, with this header.
    Forward { next: NodeId, header: Header },
    /// It ends here, and nobody is told.
    Drop(FrameDrop),
    /// It ends here, and its source is told why.
    Refuse(FrameDrop, ErrorCode),
}

/// What says which neighbour leads to a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChosenBy {
    /// A route that was set; it comes before all others.
    Static,
    /// The router, from what neighbours told.
    Learned,
    /// Nothing but that the destination may be a neighbour itself.
    Link,
}

impl Relay {
    pub(crate) fn new(us: NodeId, routes: &[StaticRoute], return_path: ReturnPath, secret: Secret) -> Self {
        Self {
            us,
            routes: by_destination(routes),
            return_path,
            return_paths: ReturnPaths::new(secret),
            duplicates: Duplicates::new(secret),
        }
    }

    /// Takes other routes in place of those that were set.
    pub(crate) fn set_routes(&mut self, routes: &[StaticRoute]) {
        self.routes = by_destination(routes);
    }

    /// Decides about a frame that came from the neighbour `from`. `is_usable` says which neighbours
    /// carry frames at this moment, `learned` which of them leads to a destination as far as is known.
    pub(crate) fn decide(
        &mut self,
        header: &Header,
        from: NodeId,
        (is_usable, learned): (impl Fn(&NodeId) -> bool, impl Fn(&NodeId) -> Option<NodeId>),
        now: Instant,
    ) -> Decision {
        // A frame of our own that comes back is one we have seen, too.
        if header.source == self.us || !self.duplicates.is_first(header) {
            return Decision::Drop(FrameDrop::Duplicate);
        }
        let is_reply = header.flags.contains(Flags::REPLY);
        if header.destination == self.us {
            if !is_reply {
                self.return_paths.remember(header.source, header.flow, from, now);
            }
            return Decision::Deliver;
        }
        let Some(hop_limit) = header.hop_limit.next() else {
            return Decision::Refuse(FrameDrop::HopLimit, ErrorCode::HopLimit);
        };
        let next = self.next_hop(header, (is_usable, learned), now).filter(|next| *next != from);
        let Some(next) = next else {
            return Decision::Refuse(FrameDrop::NoRoute, ErrorCode::NoRoute);
        };
        if !is_reply {
            self.return_paths.remember(header.source, header.flow, from, now);
        }
        Decision::Forward { next, header: Header { hop_limit, ..*header } }
    }

    /// Returns the neighbour to whom a frame with this header goes: a reply the way its request
    /// came, anything else by the route that was set, the way that was learned, or the link that is
    /// there, in this order. `None` when that neighbour is down: never a guess.
    pub(crate) fn next_hop(
        &self,
        header: &Header,
        (is_usable, learned): (impl Fn(&NodeId) -> bool, impl Fn(&NodeId) -> Option<NodeId>),
        now: Instant,
    ) -> Option<NodeId> {
        let destination = header.destination;
        if self.return_path == ReturnPath::AsCame
            && header.flags.contains(Flags::REPLY)
            && let Some(back) = self.return_paths.lookup(destination, header.flow, now).filter(&is_usable)
        {
            return Some(back);
        }
        let (via, _) = self.choose(destination, learned);
        is_usable(&via).then_some(via)
    }

    /// Returns the neighbour that leads to a destination, whether it is up or not, and what says so.
    pub(crate) fn choose(
        &self,
        destination: NodeId,
        learned: impl Fn(&NodeId) -> Option<NodeId>,
    ) -> (NodeId, ChosenBy) {
        if let Some(via) = self.routes.get(&destination) {
            return (*via, ChosenBy::Static);
        }
        learned(&destination).map_or((destination, ChosenBy::Link), |via| (via, ChosenBy::Learned))
    }

    /// Lists the ways back to an origin that are remembered; see [`ReturnPaths::to`].
    pub(crate) fn return_paths_to(&self, origin: NodeId, now: Instant) -> Vec<(FlowId, NodeId, Duration)> {
        self.return_paths.to(origin, now)
    }
}

/// Indexes routes. Whoever runs the node chose their destinations.
fn by_destination(routes: &[StaticRoute]) -> IndexedMap<NodeId, NodeId> {
    let mut indexed = IndexedMap::new(Secret::NONE);
    routes.iter().for_each(|route| indexed.insert(route.destination, route.via));
    indexed
}

#[cfg(test)]
mod tests {
    use peerbound_wire::{HopLimit, Kind, PacketId};

    use super::*;

    const A: NodeId = NodeId::new([0xa; 16]);
    const B: NodeId = NodeId::new([0xb; 16]);
    const C: NodeId = NodeId::new([0xc; 16]);
    const D: NodeId = NodeId::new([0xd; 16]);

    #[expect(clippy::disallowed_methods, reason = "an Instant can be had in no other way")]
    fn now() -> Instant {
        Instant::now()
    }

    /// Nothing has been learned.
    fn no_way(_: &NodeId) -> Option<NodeId> {
        None
    }

    fn request(packet: u64) -> Header {
        Header { flow: FlowId(7), packet: PacketId(packet), ..Header::new(Kind::Data, A, C) }
    }

    fn reply(packet: u64) -> Header {
        Header {
            flow: FlowId(7),
            packet: PacketId(packet),
            flags: Flags::REPLY,
            ..Header::new(Kind::Data, C, A)
        }
    }

    fn next_of(decision: Decision) -> Option<NodeId> {
        match decision {
            Decision::Forward { next, .. } => Some(next),
            Decision::Deliver | Decision::Drop(_) | Decision::Refuse(..) => None,
        }
    }

    #[test]
    fn a_reply_goes_back_the_way_its_request_came_although_the_route_says_otherwise() {
        let mut relay =
            Relay::new(B, &[StaticRoute { destination: A, via: A }], ReturnPath::AsCame, Secret::NONE);
        // A's request reached B through D.
        assert_eq!(next_of(relay.decide(&request(1), D, (|_| true, no_way), now())), Some(C));

        assert_eq!(next_of(relay.decide(&reply(1), C, (|_| true, no_way), now())), Some(D));
    }

    #[test]
    fn a_reply_takes_the_route_when_the_way_back_is_down_or_unknown() {
        let mut relay = Relay::new(B, &[], ReturnPath::AsCame, Secret::NONE);
        relay.decide(&request(1), D, (|_| true, no_way), now());

        assert_eq!(next_of(relay.decide(&reply(1), C, (|id| *id != D, no_way), now())), Some(A));
        let other_flow = Header { flow: FlowId(8), ..reply(2) };
        assert_eq!(next_of(relay.decide(&other_flow, C, (|_| true, no_way), now())), Some(A));
    }

    #[test]
    fn where_any_way_will_do_a_reply_takes_the_shortest() {
        let mut relay = Relay::new(B, &[], ReturnPath::Any, Secret::NONE);
        relay.decide(&request(1), D, (|_| true, no_way), now());

        assert_eq!(next_of(relay.decide(&reply(1), C, (|_| true, no_way), now())), Some(A));
    }

    #[test]
    fn a_route_that_was_set_comes_before_one_that_was_learned_and_that_before_the_link() {
        let learned = |_: &NodeId| Some(D);
        let mut set =
            Relay::new(B, &[StaticRoute { destination: C, via: C }], ReturnPath::AsCame, Secret::NONE);
        let mut unset = Relay::new(B, &[], ReturnPath::AsCame, Secret::NONE);

        assert_eq!(next_of(set.decide(&request(1), A, (|_| true, learned), now())), Some(C));
        assert_eq!(next_of(unset.decide(&request(1), A, (|_| true, learned), now())), Some(D));
        assert_eq!(next_of(unset.decide(&request(2), A, (|_| true, no_way), now())), Some(C));
    }

    #[test]
    fn a_way_back_is_forgotten_in_time() {
        let mut relay = Relay::new(B, &[], ReturnPath::AsCame, Secret::NONE);
        let start = now();
        relay.decide(&request(1), D, (|_| true, no_way), start);

        let later = start + Duration::from_secs(121);

        assert_eq!(next_of(relay.decide(&reply(1), C, (|_| true, no_way), later)), Some(A));
    }

    #[test]
    fn a_frame_whose_next_hop_is_down_is_refused_and_never_sent_elsewhere() {
        let mut relay =
            Relay::new(B, &[StaticRoute { destination: C, via: D }], ReturnPath::AsCame, Secret::NONE);

        let decision = relay.decide(&request(1), A, (|id| *id != D, no_way), now());

        assert_eq!(decision, Decision::Refuse(FrameDrop::NoRoute, ErrorCode::NoRoute));
    }

    #[test]
    fn a_frame_is_not_sent_back_to_where_it_came_from() {
        let mut relay =
            Relay::new(B, &[StaticRoute { destination: C, via: A }], ReturnPath::AsCame, Secret::NONE);

        let decision = relay.decide(&request(1), A, (|_| true, no_way), now());

        assert_eq!(decision, Decision::Refuse(FrameDrop::NoRoute, ErrorCode::NoRoute));
    }

    #[test]
    fn the_last_hop_is_refused_at_a_relay_and_delivered_at_the_destination() {
        let mut at_relay = Relay::new(B, &[], ReturnPath::AsCame, Secret::NONE);
        let mut at_destination = Relay::new(C, &[], ReturnPath::AsCame, Secret::NONE);
        let last = Header { hop_limit: HopLimit(1), ..request(1) };

        let relayed = at_relay.decide(&last, A, (|_| true, no_way), now());
        let delivered = at_destination.decide(&last, B, (|_| true, no_way), now());

        assert_eq!(relayed, Decision::Refuse(FrameDrop::HopLimit, ErrorCode::HopLimit));
        assert_eq!(delivered, Decision::Deliver);
    }

    #[test]
    fn the_same_frame_is_forwarded_once() {
        let mut relay = Relay::new(B, &[], ReturnPath::AsCame, Secret::NONE);

        assert_eq!(next_of(relay.decide(&request(1), A, (|_| true, no_way), now())), Some(C));
        assert_eq!(
            relay.decide(&request(1), D, (|_| true, no_way), now()),
            Decision::Drop(FrameDrop::Duplicate)
        );
    }

    #[test]
    fn our_own_frame_that_comes_back_is_dropped() {
        let mut relay = Relay::new(A, &[], ReturnPath::AsCame, Secret::NONE);

        assert_eq!(
            relay.decide(&request(1), B, (|_| true, no_way), now()),
            Decision::Drop(FrameDrop::Duplicate)
        );
    }
}
