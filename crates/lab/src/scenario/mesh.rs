//! Lays out a mesh: a ring, so that it hangs together, and chords by chance until everyone has as many
//! neighbours as he is to have on average.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::scenario::plan::{Dials, HostPlan, HostRole, LinkPlan, MeshPlan};
use crate::trace::HostIndex;

/// The port of every node.
pub(crate) const PORT: u16 = 4433;

/// Keeps the chance of the layout apart from that of everything else with the same seed.
const STREAM: u64 = 0x6c61_796f_7574;

/// Hosts and links, as one run has them.
#[derive(Debug, Clone, PartialEq)]
pub struct Layout<'a> {
    /// Who takes part.
    pub hosts: Cow<'a, [HostPlan]>,
    /// The paths between them.
    pub links: Cow<'a, [LinkPlan]>,
}

impl MeshPlan {
    /// Draws the links.
    #[must_use]
    pub(crate) fn lay_out(&self, seed: u64) -> Layout<'static> {
        let host = |index| HostPlan {
            name: format!("N{index}"),
            address: address_of(index),
            role: HostRole::Node(Box::new(self.node.clone())),
        };
        let link = |(one, other)| LinkPlan {
            between: [HostIndex(one), HostIndex(other)],
            dials: Dials::First,
            admits: [true, true],
            through: None,
            forth: self.conditions.clone(),
            back: self.conditions.clone(),
        };
        Layout {
            hosts: (0..self.nodes).map(host).collect(),
            links: self.pairs(seed).into_iter().map(link).collect(),
        }
    }

    fn pairs(&self, seed: u64) -> BTreeSet<(u32, u32)> {
        let nodes = u64::from(self.nodes);
        let every_pair = nodes * nodes.saturating_sub(1) / 2;
        let wanted = (nodes * u64::from(self.degree) / 2).min(every_pair);
        let ring = (1..self.nodes).map(|node| (node - 1, node));
        let mut pairs: BTreeSet<_> = ring.chain((self.nodes > 2).then_some((0, self.nodes - 1))).collect();
        let mut chance = ChaCha8Rng::seed_from_u64(seed);
        chance.set_stream(STREAM);
        while (pairs.len() as u64) < wanted {
            let (one, other) = (draw(&mut chance, self.nodes), draw(&mut chance, self.nodes));
            if one != other {
                pairs.insert((one.min(other), one.max(other)));
            }
        }
        pairs
    }
}

/// Gives the hosts addresses of 10.0.0.0/8, from 10.0.0.1 on.
pub(crate) fn address_of(index: u32) -> SocketAddr {
    let first = u32::from(Ipv4Addr::new(10, 0, 0, 1));
    SocketAddr::new(IpAddr::V4(Ipv4Addr::from(first + index)), PORT)
}

/// Draws a number below `end`, evenly but for one part in 2^32.
fn draw(chance: &mut ChaCha8Rng, end: u32) -> u32 {
    let drawn = (u64::from(chance.next_u32()) * u64::from(end)) >> 32;
    u32::try_from(drawn).expect("a product with a fraction of 32 bits, less the fraction")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::scenario::plan::{Conditions, NodePlan};

    fn mesh(nodes: u32, degree: u32) -> MeshPlan {
        MeshPlan { nodes, degree, conditions: Conditions::default(), node: NodePlan::default() }
    }

    #[test]
    fn a_mesh_has_as_many_links_as_its_degree_asks_for() {
        assert_eq!(mesh(1000, 6).pairs(1).len(), 3000);
        assert_eq!(mesh(5, 4).pairs(1).len(), 10);
        assert_eq!(mesh(4, 100).pairs(1).len(), 6);
        assert_eq!(mesh(2, 1).pairs(1).len(), 1);
    }

    #[test]
    fn every_node_is_on_the_ring() {
        let mut neighbours: BTreeMap<u32, usize> = BTreeMap::new();
        for (one, other) in mesh(100, 2).pairs(7) {
            *neighbours.entry(one).or_default() += 1;
            *neighbours.entry(other).or_default() += 1;
        }

        assert_eq!(neighbours.len(), 100);
        assert!(neighbours.values().all(|count| *count == 2));
    }

    #[test]
    fn the_seed_decides_the_layout() {
        assert_eq!(mesh(100, 6).lay_out(1), mesh(100, 6).lay_out(1));
        assert_ne!(mesh(100, 6).pairs(1), mesh(100, 6).pairs(2));
    }
}
