//! The nodes of a scenario as programs of their own: where each listens, whom it dials, what its file says,
//! and what lies between them. It starts nothing and opens no socket but to find a free port.

mod built_in;
mod file;
mod fit;
#[cfg(target_os = "linux")]
mod hosts;

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use crate::run::next_hops;
use crate::scenario::{Dials, HostPlan, LinkPlan, NodePlan, Routing, Scenario};
use crate::trace::HostIndex;
pub use built_in::{BuiltIn, built_in};
#[cfg(target_os = "linux")]
pub use hosts::Hosts;

/// Nodes that are started together: x about 20 MB and 6 threads = 1.3 GB and 400 threads.
pub const TOPOLOGY_NODES_MAX: usize = 64;

/// What the nodes stand on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ground {
    /// All on the loopback interface of this host, each with a port of its own.
    Loopback,
    /// Each in a network namespace of its own, joined by virtual wires.
    Namespaces,
}

/// Why nodes cannot be started as a scenario describes them.
#[derive(Debug, thiserror::Error)]
pub enum TopologyError {
    /// Something in the scenario has no meaning for nodes as programs.
    #[error("{0}")]
    Unfit(String),
    /// No port could be had.
    #[error("no free port could be found on loopback: {0}")]
    NoPort(#[source] io::Error),
}

/// Nodes and the wires between them.
#[derive(Debug, Clone, PartialEq)]
pub struct Topology {
    /// What it is called.
    pub name: String,
    /// What it is, in a few words.
    pub title: String,
    /// What it stands on.
    pub ground: Ground,
    /// The nodes, in the order of the scenario.
    pub nodes: Vec<TopologyNode>,
    /// What lies between them.
    pub wires: Vec<Wire>,
    /// Tables of the scenario that nothing is done with, as `[[step]]`.
    pub left_out: Vec<&'static str>,
}

/// One node.
#[derive(Debug, Clone, PartialEq)]
pub struct TopologyNode {
    /// What it is called.
    pub name: String,
    /// Where it listens.
    pub listen: SocketAddr,
    /// The largest datagram it sends, in bytes of UDP payload.
    pub mtu: u16,
    /// How it finds its ways.
    pub routing: Routing,
    /// Its neighbours.
    pub neighbours: Vec<TopologyNeighbour>,
    /// For each node further away, by its place, the neighbour that leads there; none where ways are learned.
    pub routes: BTreeMap<usize, usize>,
    /// Every node that can be reached from it over the sessions, by its place.
    pub reaches: Vec<usize>,
}

/// A neighbour of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopologyNeighbour {
    /// Its place among the nodes.
    pub node: usize,
    /// Whether it is dialled from here.
    pub is_dialled: bool,
}

/// What lies between two nodes that are hosts of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wire {
    /// The two ends.
    pub ends: [usize; 2],
    /// What limits the datagrams that leave each of the two.
    pub limits: [Option<RateLimit>; 2],
    /// The largest IP packet it takes; `None` is Ethernet's.
    pub mtu: Option<u16>,
    /// Whether anything passes.
    pub is_up: bool,
}

impl Wire {
    /// Returns what the interface at one of its ends is called: the kernel has room for 15 letters.
    #[must_use]
    pub fn interface(&self, topology: &Topology, end: usize) -> String {
        let other = self.ends[1 - end];
        match topology.nodes.get(other) {
            Some(node) if node.name.len() <= 12 => format!("to-{}", node.name),
            Some(_) | None => format!("to-{other}"),
        }
    }
}

/// So many bits in a second, behind a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// Bits in a second.
    pub bits: u64,
    /// Bytes that may wait.
    pub queue_bytes: u32,
}

impl Topology {
    /// Makes programs of the nodes of a scenario. In a mesh `seed` draws the links.
    ///
    /// # Errors
    /// When the scenario says something that nodes as programs cannot be or do: names the key.
    pub fn new(scenario: &Scenario, seed: u64, ground: Ground) -> Result<Self, TopologyError> {
        fit::check_size(scenario)?;
        let layout = scenario.layout(seed);
        fit::check(scenario, &layout, ground)?;
        let listen = match ground {
            Ground::Loopback => loopback_addresses(layout.hosts.len()).map_err(TopologyError::NoPort)?,
            Ground::Namespaces => layout.hosts.iter().map(|host| host.address).collect(),
        };
        let nodes = layout.hosts.iter().zip(listen).enumerate();
        Ok(Self {
            name: scenario.name.clone(),
            title: scenario.title.clone(),
            ground,
            nodes: nodes.map(|(index, (host, listen))| node(index, host, listen, &layout.links)).collect(),
            wires: match ground {
                Ground::Loopback => Vec::new(),
                Ground::Namespaces => layout.links.iter().map(wire).collect(),
            },
            left_out: fit::left_out(scenario),
        })
    }

    /// Finds a node by its name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&TopologyNode> {
        self.nodes.iter().find(|node| node.name == name)
    }
}

/// Takes as many free ports as there are nodes, all at the same time, so that none is taken twice.
fn loopback_addresses(count: usize) -> io::Result<Vec<SocketAddr>> {
    let sockets: io::Result<Vec<_>> = (0..count).map(|_| UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))).collect();
    sockets?.iter().map(UdpSocket::local_addr).collect()
}

fn node(index: usize, host: &HostPlan, listen: SocketAddr, links: &[LinkPlan]) -> TopologyNode {
    let plan = host.node().cloned().unwrap_or_else(NodePlan::default);
    let sessions = links.iter().filter(|link| link.dials != Dials::Nobody);
    let next = next_hops(sessions.map(|link| link.between), host_index(index));
    let neighbours: Vec<_> = links.iter().filter_map(|link| neighbour(link, host_index(index))).collect();
    let is_neighbour = |node: usize| neighbours.iter().any(|neighbour| neighbour.node == node);
    let far = next.iter().map(|(to, via)| (place(*to), place(*via))).filter(|(to, _)| !is_neighbour(*to));
    TopologyNode {
        name: host.name.clone(),
        listen,
        mtu: plan.mtu,
        routing: plan.routing,
        routes: match plan.routing {
            Routing::Static => far.collect(),
            Routing::Dynamic => BTreeMap::new(),
        },
        reaches: next.keys().map(|to| place(*to)).collect(),
        neighbours,
    }
}

fn neighbour(link: &LinkPlan, us: HostIndex) -> Option<TopologyNeighbour> {
    let [first, second] = link.between;
    let (other, dialling) = match us {
        us if us == first => (second, Dials::First),
        us if us == second => (first, Dials::Second),
        _ => return None,
    };
    let is_dialled = link.dials == dialling || link.dials == Dials::Both;
    (link.dials != Dials::Nobody).then(|| TopologyNeighbour { node: place(other), is_dialled })
}

fn wire(link: &LinkPlan) -> Wire {
    let limit = |conditions: &crate::scenario::Conditions| {
        conditions.rate.map(|bits| RateLimit { bits, queue_bytes: conditions.queue_bytes })
    };
    Wire {
        ends: link.between.map(place),
        limits: [limit(&link.forth), limit(&link.back)],
        mtu: link.forth.mtu,
        is_up: link.forth.is_up,
    }
}

fn place(host: HostIndex) -> usize {
    host.0 as usize
}

fn host_index(place: usize) -> HostIndex {
    HostIndex(u32::try_from(place).expect("nodes have a ceiling far below"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topology(text: &str, ground: Ground) -> Topology {
        let scenario = Scenario::parse(text, "x.toml", &[]).unwrap_or_else(|error| panic!("{error}\n{text}"));
        Topology::new(&scenario, 1, ground).unwrap()
    }

    const HEAD: &str = "schema = 1\nname = \"x\"\ntitle = \"X\"\n[[node]]\nname = \"A\"\n[[node]]\nname = \"B\"\n\
                        [[node]]\nname = \"C\"\n[[expect]]\nsession = \"A-B\"\nis = \"alive\"\n";

    #[test]
    fn static_ways_are_the_shortest_and_only_to_those_further_away() {
        let links =
            "[[link]]\nbetween = [\"A\", \"B\"]\n[[link]]\nbetween = [\"C\", \"B\"]\ndials = \"both\"\n";

        let topology = topology(&format!("{HEAD}{links}"), Ground::Namespaces);

        let [a, b, c] = topology.nodes.as_slice() else { panic!("three nodes") };
        assert_eq!((&a.routes, &c.routes), (&BTreeMap::from([(2, 1)]), &BTreeMap::from([(0, 1)])));
        assert!(b.routes.is_empty());
        assert_eq!(a.reaches, [1, 2]);
        let dials =
            |node: &TopologyNode| node.neighbours.iter().map(|one| one.is_dialled).collect::<Vec<_>>();
        assert_eq!((dials(a), dials(b), dials(c)), (vec![true], vec![false, true], vec![true]));
        let config = topology.config_of(a);
        assert!(config.contains("listen = \"10.0.0.1:4433\"") && config.contains("via = \"B\""), "{config}");
        assert!(config.ends_with("[names]\nC = \"pki/C.pem\"\n"), "{config}");
        assert!(!config.contains("routing"), "{config}");
    }

    #[test]
    fn on_loopback_every_node_has_a_port_of_its_own_and_there_are_no_wires() {
        let links = "[[link]]\nbetween = [\"A\", \"B\"]\n[[link]]\nbetween = [\"C\", \"B\"]\n";

        let topology = topology(&format!("{HEAD}{links}"), Ground::Loopback);

        let mut ports: Vec<_> = topology.nodes.iter().map(|node| node.listen.port()).collect();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 3);
        assert!(topology.wires.is_empty());
    }

    #[test]
    fn conditions_of_a_wire_are_those_of_its_ends() {
        let links = "[[link]]\nbetween = [\"A\", \"B\"]\nmtu = 1300\nforth = { rate = \"8 Mbit/s\", queue = 9000 }\n\
                     [[link]]\nbetween = [\"C\", \"B\"]\nup = false\n";

        let topology = topology(&format!("{HEAD}{links}"), Ground::Namespaces);

        let limit = RateLimit { bits: 8_000_000, queue_bytes: 9000 };
        let [first, second] = topology.wires.as_slice() else { panic!("two wires") };
        assert_eq!(*first, Wire { ends: [0, 1], limits: [Some(limit), None], mtu: Some(1300), is_up: true });
        assert_eq!(*second, Wire { ends: [2, 1], limits: [None, None], mtu: None, is_up: false });
        assert_eq!(first.interface(&topology, 0), "to-B");
    }

    #[test]
    fn every_topology_that_comes_with_the_program_stands_on_both_grounds() {
        for entry in built_in() {
            let scenario = Scenario::parse(entry.text, entry.name, &[]).unwrap();
            assert_eq!(scenario.name, entry.name);
            for ground in [Ground::Loopback, Ground::Namespaces] {
                let topology = Topology::new(&scenario, 1, ground).unwrap();
                assert!(topology.left_out.is_empty(), "{}", entry.name);
                assert!(topology.nodes.iter().all(|node| node.reaches.len() == topology.nodes.len() - 1));
            }
        }
    }
}
