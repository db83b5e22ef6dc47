//! Puts the hops of a trace in order: who was on the way out, who on the way back, where somebody said nothing,
//! and whether the two are the same way.

use peerbound_node::{TracePlace, TraceSeen};
use peerbound_wire::{HOP_LIMIT_DEFAULT, NodeId, TraceLeg, TraceReport};

/// One stop on one leg of a way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stop {
    /// Who is there, as it says itself or its neighbours do; `None` when nobody does.
    pub(crate) node: Option<NodeId>,
    /// What it says of itself.
    pub(crate) report: Option<TraceReport>,
}

/// A way out and its way back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Way {
    /// From the origin on, to the destination where the request came that far.
    pub(crate) out: Vec<Stop>,
    /// From the destination on, to the origin; empty when no answer came.
    pub(crate) back: Vec<Stop>,
    /// Whether the two have the same nodes; `None` when that is not known.
    pub(crate) is_symmetric: Option<bool>,
}

impl Way {
    /// Puts what was said in order.
    pub(crate) fn of(hops: &[TraceSeen]) -> Self {
        let out = leg(hops, TraceLeg::Out, None);
        let destination = hops.iter().find(|hop| hop.place == TracePlace::Destination);
        let is_answered = hops.iter().any(|hop| hop.place == TracePlace::End);
        let back = match destination.filter(|_| is_answered) {
            Some(destination) => leg(hops, TraceLeg::Back, Some(destination)),
            None => Vec::new(),
        };
        let is_symmetric = is_same(&out, &back).filter(|_| !back.is_empty());
        Self { out, back, is_symmetric }
    }
}

/// A frame has lost one hop of its limit for each relay behind it, so the limit says who stands where.
fn leg(hops: &[TraceSeen], leg: TraceLeg, from: Option<&TraceSeen>) -> Vec<Stop> {
    let mut stops: Vec<Stop> = Vec::new();
    let mut put = |at: usize, stop: Stop| {
        if stops.len() <= at {
            stops.resize(at + 1, Stop { node: None, report: None });
        }
        // Who speaks twice, as after a change of ways, is heard once.
        if stops[at].node.is_none() {
            stops[at] = stop;
        }
    };
    if let Some(destination) = from {
        put(0, Stop { node: Some(destination.reporter), report: None });
    }
    for hop in hops.iter().filter(|hop| hop.report.leg == leg) {
        let crossed = usize::from(HOP_LIMIT_DEFAULT.0.saturating_sub(hop.report.hop_limit.0));
        let at = match hop.place {
            TracePlace::Origin => 0,
            TracePlace::Relay | TracePlace::Destination | TracePlace::End => crossed + 1,
        };
        put(at, Stop { node: Some(hop.reporter), report: Some(hop.report) });
    }
    if let (Some(destination), Some(first)) = (from, stops.get_mut(1)) {
        first.node = first.node.or(destination.report.egress);
    }
    name_the_silent(&mut stops);
    stops
}

/// The neighbours of a node that says nothing say who it is.
fn name_the_silent(stops: &mut [Stop]) {
    for at in 0..stops.len() {
        if stops[at].node.is_some() {
            continue;
        }
        let before = at.checked_sub(1).and_then(|before| stops[before].report?.egress);
        let behind = || stops.get(at + 1).and_then(|behind| behind.report?.ingress);
        stops[at].node = before.or_else(behind);
    }
}

fn is_same(out: &[Stop], back: &[Stop]) -> Option<bool> {
    if out.len() != back.len() {
        return Some(false);
    }
    let pairs = || out.iter().zip(back.iter().rev()).map(|(out, back)| Some((out.node?, back.node?)));
    if pairs().flatten().any(|(out, back)| out != back) {
        return Some(false);
    }
    pairs().all(|pair| pair.is_some()).then_some(true)
}

#[cfg(test)]
mod tests {
    use peerbound_wire::HopLimit;

    use super::*;

    const A: NodeId = NodeId::new([0xa; 16]);
    const B: NodeId = NodeId::new([0xb; 16]);
    const C: NodeId = NodeId::new([0xc; 16]);
    const D: NodeId = NodeId::new([0xd; 16]);

    fn hop(
        reporter: NodeId,
        (place, leg, hop_limit): (TracePlace, TraceLeg, u8),
        (ingress, egress): (Option<NodeId>, Option<NodeId>),
    ) -> TraceSeen {
        let report = TraceReport {
            leg,
            hop_limit: HopLimit(hop_limit),
            path_mtu: 1363,
            token: 1,
            ingress,
            egress,
            frame_bytes_max: 1363,
            round_trip: None,
            queue_delay: None,
            session_age: None,
        };
        TraceSeen { reporter, place, report }
    }

    fn nodes(stops: &[Stop]) -> Vec<Option<NodeId>> {
        stops.iter().map(|stop| stop.node).collect()
    }

    fn chain() -> Vec<TraceSeen> {
        use TraceLeg::{Back, Out};
        vec![
            hop(A, (TracePlace::Origin, Out, 32), (None, Some(B))),
            hop(B, (TracePlace::Relay, Out, 32), (Some(A), Some(C))),
            hop(C, (TracePlace::Destination, Out, 31), (Some(B), Some(B))),
            hop(B, (TracePlace::Relay, Back, 32), (Some(C), Some(A))),
            hop(A, (TracePlace::End, Back, 31), (Some(B), None)),
        ]
    }

    #[test]
    fn a_way_that_comes_back_as_it_went_is_symmetric_in_whatever_order_it_is_told() {
        let mut hops = chain();
        hops.reverse();

        let way = Way::of(&hops);

        assert_eq!(nodes(&way.out), [Some(A), Some(B), Some(C)]);
        assert_eq!(nodes(&way.back), [Some(C), Some(B), Some(A)]);
        assert_eq!(way.is_symmetric, Some(true));
    }

    #[test]
    fn a_relay_that_says_nothing_is_named_by_its_neighbours() {
        let hops: Vec<_> = chain().into_iter().filter(|hop| hop.reporter != B).collect();

        let way = Way::of(&hops);

        assert_eq!(nodes(&way.out), [Some(A), Some(B), Some(C)]);
        assert_eq!(nodes(&way.back), [Some(C), Some(B), Some(A)], "A's link says from where it came");
        assert!(way.out[1].report.is_none());
        assert_eq!(way.is_symmetric, Some(true));
    }

    #[test]
    fn two_relays_that_say_nothing_leave_what_is_not_known() {
        // A – B – D – E – C, and the three in the middle are silent.
        let hops = [
            hop(A, (TracePlace::Origin, TraceLeg::Out, 32), (None, Some(B))),
            hop(C, (TracePlace::Destination, TraceLeg::Out, 29), (Some(D), Some(D))),
            hop(A, (TracePlace::End, TraceLeg::Back, 29), (Some(B), None)),
        ];

        let way = Way::of(&hops);

        assert_eq!(nodes(&way.out), [Some(A), Some(B), None, Some(D), Some(C)]);
        assert_eq!(way.is_symmetric, None);
    }

    #[test]
    fn a_way_back_over_somebody_else_is_not_symmetric() {
        let mut hops = chain();
        hops[3] = hop(D, (TracePlace::Relay, TraceLeg::Back, 32), (Some(C), Some(A)));

        assert_eq!(Way::of(&hops).is_symmetric, Some(false));
    }

    #[test]
    fn a_way_that_nobody_answered_ends_where_it_was_last_heard_of() {
        let way = Way::of(&chain()[..2]);

        assert_eq!(nodes(&way.out), [Some(A), Some(B)]);
        assert_eq!((way.back.len(), way.is_symmetric), (0, None));
    }

    #[test]
    fn a_hop_limit_that_cannot_be_is_no_reason_to_panic() {
        let hops = [hop(B, (TracePlace::Relay, TraceLeg::Out, 255), (None, None))];

        assert_eq!(nodes(&Way::of(&hops).out), [None, Some(B)]);
        let hops = [hop(B, (TracePlace::Relay, TraceLeg::Out, 0), (None, None))];
        assert_eq!(Way::of(&hops).out.len(), 34);
    }
}
