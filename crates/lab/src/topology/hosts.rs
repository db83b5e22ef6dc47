//! A network namespace for each node of a topology, and virtual wires between them: what the nodes see is
//! hosts of their own. They are gone with the last program inside.

use std::io;

use crate::backend::namespace::{Namespace, NamespaceError};
use crate::topology::{RateLimit, Topology, Wire};

/// Bytes that a token bucket lets pass at once: a jumbo frame, and what a rate of 100 Mbit/s sends between
/// two ticks of a kernel that has 250 in a second.
const BURST_BYTES_MIN: u64 = 10_000;
const TICKS: u64 = 250;

/// The hosts of a topology.
#[derive(Debug)]
pub struct Hosts {
    namespaces: Vec<Namespace>,
}

impl Hosts {
    /// Makes a host for each node and lays the wires.
    ///
    /// # Errors
    /// When the kernel makes no namespaces for us, or `ip` or `tc` is not there or refuses.
    pub fn new(topology: &Topology) -> Result<Self, NamespaceError> {
        let namespaces: Result<Vec<_>, _> = topology.nodes.iter().map(|_| Namespace::new()).collect();
        let hosts = Self { namespaces: namespaces? };
        for wire in &topology.wires {
            hosts.lay(topology, wire)?;
        }
        Ok(hosts)
    }

    /// Does something on the host of a node: a program that it starts stays there.
    ///
    /// # Errors
    /// When it fails; `what` is then the beginning of the sentence.
    pub fn enter<T: Send>(
        &self,
        node: usize,
        what: &str,
        act: impl FnOnce() -> io::Result<T> + Send,
    ) -> Result<T, NamespaceError> {
        self.namespace(node).enter(what, act)
    }

    fn lay(&self, topology: &Topology, wire: &Wire) -> Result<(), NamespaceError> {
        let [here, there] = [0, 1].map(|end| wire.interface(topology, end));
        let [first, second] = wire.ends.map(|end| self.namespace(end));
        first.run(
            "ip",
            ["link", "add", &here, "type", "veth", "peer", "name", &there, "netns", &second.path()],
        )?;
        for (end, interface) in [here, there].iter().enumerate() {
            let namespace = self.namespace(wire.ends[end]);
            let [ours, theirs] = [end, 1 - end].map(|end| topology.nodes[wire.ends[end]].listen.ip());
            // Each end knows the other one alone: there is no network behind a wire. IPv6 has no time for
            // the detection of duplicates, for the nodes bind at once.
            let nodad = if ours.is_ipv6() { " nodad" } else { "" };
            let mut lines = format!("addr add {ours} peer {theirs} dev {interface}{nodad}\n");
            if let Some(mtu) = wire.mtu {
                lines += &format!("link set {interface} mtu {mtu}\n");
            }
            if wire.is_up {
                lines += &format!("link set {interface} up\n");
            }
            namespace.run_with_input("ip", ["-batch", "-"], &lines)?;
            if let Some(limit) = wire.limits[end] {
                limit_rate(namespace, interface, limit)?;
            }
        }
        Ok(())
    }

    fn namespace(&self, node: usize) -> &Namespace {
        self.namespaces.get(node).expect("there is a host for every node")
    }
}

fn limit_rate(namespace: &Namespace, interface: &str, limit: RateLimit) -> Result<(), NamespaceError> {
    let burst = (limit.bits / 8 / TICKS).max(BURST_BYTES_MIN);
    let [rate, burst, queue] =
        [format!("{}bit", limit.bits), burst.to_string(), limit.queue_bytes.max(1).to_string()];
    let words =
        ["qdisc", "add", "dev", interface, "root", "tbf", "rate", &rate, "burst", &burst, "limit", &queue];
    namespace.run("tc", words).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Scenario;
    use crate::topology::Ground;

    #[test]
    fn hosts_reach_each_other_over_their_wires_and_nobody_beyond() {
        let text = "schema = 1\nname = \"x\"\ntitle = \"X\"\n\
                    [[node]]\nname = \"A\"\n[[node]]\nname = \"B\"\n[[node]]\nname = \"C\"\n\
                    [[link]]\nbetween = [\"A\", \"B\"]\nrate = \"20 Mbit/s\"\nmtu = 1300\n\
                    [[link]]\nbetween = [\"B\", \"C\"]\nup = false\n\
                    [[expect]]\nsession = \"A-B\"\nis = \"alive\"\n";
        let scenario = Scenario::parse(text, "x.toml", &[]).unwrap();
        let topology = Topology::new(&scenario, 1, Ground::Namespaces).unwrap();
        let hosts = match Hosts::new(&topology) {
            Ok(hosts) => hosts,
            Err(error) if std::env::var_os("PEERBOUND_REQUIRE_NETNS").is_none() => {
                eprintln!("skipped: {error}");
                return;
            }
            Err(error) => panic!("{error}"),
        };
        let [a, b, c] = [0, 1, 2].map(|node| topology.nodes[node].listen);
        let bound = |node, address| hosts.enter(node, "bind", move || std::net::UdpSocket::bind(address));

        let (from, to) = (bound(0, a).unwrap(), bound(1, b).unwrap());
        from.send_to(b"over the wire", b).unwrap();

        let mut buffer = [0; 64];
        to.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
        let (length, source) = to.recv_from(&mut buffer).unwrap();
        assert_eq!((&buffer[..length], source), (&b"over the wire"[..], a));
        assert!(to.send_to(b"a cut wire", c).is_err(), "nothing leads to C");
        let queue = hosts.namespace(0).run("tc", ["qdisc", "show", "dev", "to-B"]).unwrap();
        assert!(queue.contains("tbf") && queue.contains("rate 20Mbit"), "{queue}");
        let link = hosts.namespace(1).run("ip", ["link", "show", "to-A"]).unwrap();
        assert!(link.contains("mtu 1300"), "{link}");
    }
}
