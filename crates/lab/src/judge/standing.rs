//! How things stand, by what nodes told: who runs, who has whom, and what has ever happened to whom.

use std::collections::BTreeSet;

use peerbound_node::Event;

use crate::judge::Life;
use crate::trace::HostIndex;

/// How things stand at a moment of a run.
#[derive(Debug, Clone, Default)]
pub struct Standing {
    running: BTreeSet<HostIndex>,
    /// Who has a neighbour whose link carries frames both ways.
    usable: BTreeSet<(HostIndex, HostIndex)>,
    lost: BTreeSet<(HostIndex, HostIndex)>,
    replaced: BTreeSet<(HostIndex, HostIndex)>,
    not_reached: BTreeSet<HostIndex>,
    strangers: BTreeSet<HostIndex>,
}

impl Standing {
    /// Returns whether a host's node runs.
    #[must_use]
    pub fn is_running(&self, host: HostIndex) -> bool {
        self.running.contains(&host)
    }

    /// Returns whether frames pass both ways between a node and its neighbour, by its own word.
    #[must_use]
    pub fn is_usable(&self, host: HostIndex, neighbour: HostIndex) -> bool {
        self.usable.contains(&(host, neighbour))
    }

    /// Returns whether both ends say so.
    #[must_use]
    pub fn is_up(&self, [one, other]: [HostIndex; 2]) -> bool {
        self.is_usable(one, other) && self.is_usable(other, one)
    }

    /// Returns whether a node has ever lost this neighbour.
    #[must_use]
    pub fn has_lost(&self, host: HostIndex, neighbour: HostIndex) -> bool {
        self.lost.contains(&(host, neighbour))
    }

    /// Returns whether another session has ever taken over between two nodes, by the word of either.
    #[must_use]
    pub fn was_replaced(&self, [one, other]: [HostIndex; 2]) -> bool {
        self.replaced.contains(&(one, other)) || self.replaced.contains(&(other, one))
    }

    /// Returns whether a node has ever not reached a neighbour.
    #[must_use]
    pub fn has_failed_to_dial(&self, host: HostIndex) -> bool {
        self.not_reached.contains(&host)
    }

    /// Returns whether a stranger has ever failed at a node.
    #[must_use]
    pub fn has_refused_a_stranger(&self, host: HostIndex) -> bool {
        self.strangers.contains(&host)
    }

    pub(crate) fn on_life(&mut self, host: HostIndex, change: Life) {
        self.usable.retain(|(of, _)| *of != host);
        match change {
            Life::Booted => self.running.insert(host),
            Life::Crashed | Life::ShutDown => self.running.remove(&host),
        };
    }

    /// Notes what a node told; `peer` is the host that the event names.
    pub(crate) fn on_event(&mut self, host: HostIndex, peer: Option<HostIndex>, event: &Event) {
        match (event, peer) {
            (Event::NeighbourUp { .. }, Some(peer)) => {
                self.usable.insert((host, peer));
            }
            (Event::NeighbourReplaced { .. }, Some(peer)) => {
                self.replaced.insert((host, peer));
            }
            (Event::NeighbourDown { .. }, Some(peer)) => {
                self.usable.remove(&(host, peer));
                self.lost.insert((host, peer));
            }
            (Event::DialFailed { .. }, _) => {
                self.not_reached.insert(host);
            }
            (Event::StrangerFailed { .. }, _) => {
                self.strangers.insert(host);
            }
            _ => {}
        }
    }
}
