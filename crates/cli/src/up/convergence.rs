//! Whether a topology is as it is to be: every link up, as both its ends say.

use std::collections::BTreeSet;

use peerbound_lab::topology::Topology;

use crate::running::Report;

/// What has come about so far.
pub(super) struct Convergence<'a> {
    topology: &'a Topology,
    /// Who says of whom that the link to it is up, by their places.
    up: BTreeSet<(usize, usize)>,
}

impl<'a> Convergence<'a> {
    pub(super) fn new(topology: &'a Topology) -> Self {
        Self { topology, up: BTreeSet::new() }
    }

    /// Takes note of what happened to a node.
    pub(super) fn on_report(&mut self, node: usize, report: &Report) {
        match report {
            Report::NeighbourUp { neighbour, .. } => {
                self.up.extend(self.place(neighbour).map(|other| (node, other)));
            }
            Report::NeighbourDown { neighbour, .. } => {
                if let Some(other) = self.place(neighbour) {
                    self.up.remove(&(node, other));
                }
            }
            Report::Ready { .. }
            | Report::Metrics { .. }
            | Report::Reloaded { .. }
            | Report::NotReloaded { .. }
            | Report::NeighbourReplaced { .. }
            | Report::NeighbourMoved { .. }
            | Report::NeighbourNotReached { .. }
            | Report::Refused { .. }
            | Report::InnerFailed { .. }
            | Report::Stopped => {}
        }
    }

    /// Returns whether every link is up.
    pub(super) fn links_are_up(&self) -> bool {
        self.missing().next().is_none()
    }

    /// Lists the links that are not up, as one end of each sees it.
    pub(super) fn missing(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let topology = self.topology;
        let links =
            topology.nodes.iter().enumerate().flat_map(|(index, node)| {
                node.neighbours.iter().map(move |neighbour| (index, neighbour.node))
            });
        let missing = links.filter(|link| !self.up.contains(link));
        missing.filter_map(move |(one, other)| {
            Some((topology.nodes.get(one)?.name.as_str(), topology.nodes.get(other)?.name.as_str()))
        })
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.topology.nodes.iter().position(|node| node.name == name)
    }
}

#[cfg(test)]
mod tests {
    use peerbound_lab::scenario::Scenario;
    use peerbound_lab::topology::{Ground, built_in};

    use super::*;

    fn up(neighbour: &str) -> Report {
        let text = String::new;
        Report::NeighbourUp { neighbour: neighbour.to_owned(), id: text(), address: text(), suite: text() }
    }

    #[test]
    fn a_topology_is_up_when_both_ends_of_every_link_say_so() {
        let entry = built_in().iter().find(|entry| entry.name == "three-node").unwrap();
        let scenario = Scenario::parse(entry.text, "three-node.toml", &[]).unwrap();
        let topology = Topology::new(&scenario, 1, Ground::Loopback).unwrap();
        let mut convergence = Convergence::new(&topology);

        convergence.on_report(0, &up("B"));
        convergence.on_report(1, &up("A"));
        convergence.on_report(1, &up("C"));
        assert_eq!(convergence.missing().collect::<Vec<_>>(), [("C", "B")]);

        convergence.on_report(2, &up("B"));
        assert!(convergence.links_are_up());

        let down = Report::NeighbourDown { neighbour: "A".to_owned(), reason: String::new() };
        convergence.on_report(1, &down);
        assert_eq!(convergence.missing().collect::<Vec<_>>(), [("B", "A")]);
    }
}
