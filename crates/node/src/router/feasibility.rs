//! Whether a way may be taken: the one rule that keeps ways from closing to a loop.

use peerbound_wire::{Metric, RouteSeq};

/// Whether the feasibility condition of RFC 8966, 3.5.1 is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Feasibility {
    /// As on every deployed node.
    #[default]
    On,
    /// Every way counts as feasible: for an experiment that shows the loops it makes.
    Off,
}

/// The best that this node has ever said of an origin (RFC 8966, 2.4 and 3.2.5): sequence number and
/// metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Distance {
    pub(crate) seqno: RouteSeq,
    pub(crate) metric: Metric,
}

impl Distance {
    /// Nothing has been said: everything is better.
    pub(crate) const NONE: Self = Self { seqno: RouteSeq(0), metric: Metric::INFINITE };

    /// Returns whether nothing has been said yet.
    pub(crate) fn is_none(self) -> bool {
        self.metric.is_infinite()
    }

    /// Returns whether this is strictly better than `other`: newer, or as new and shorter.
    pub(crate) fn is_better_than(self, other: Self) -> bool {
        other.is_none()
            || self.seqno.is_newer_than(other.seqno)
            || (self.seqno == other.seqno && self.metric < other.metric)
    }

    /// Returns whether a neighbour that is this far may be the next hop of a node that has said `said`.
    pub(crate) fn is_feasible(self, said: Self, rule: Feasibility) -> bool {
        match rule {
            Feasibility::On => self.is_better_than(said),
            Feasibility::Off => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn distance(seqno: u16, metric: u16) -> Distance {
        Distance { seqno: RouteSeq(seqno), metric: Metric(metric) }
    }

    #[test]
    fn feasible_is_what_is_strictly_better_than_all_that_was_said() {
        let said = distance(5, 300);

        let verdicts = [(5, 299), (5, 300), (6, 60_000), (4, 0), (5, 301)]
            .map(|(seqno, metric)| distance(seqno, metric).is_feasible(said, Feasibility::On));

        assert_eq!(verdicts, [true, false, true, false, false]);
        assert!(distance(4, 60_000).is_feasible(Distance::NONE, Feasibility::On));
        assert!(distance(4, 60_000).is_feasible(said, Feasibility::Off));
    }
}
