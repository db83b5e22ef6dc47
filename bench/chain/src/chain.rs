//! Three hosts in a row, A–B–C: network namespaces without names, joined by virtual wires with an MTU of
//! 1500. There is nothing to clean up: they are gone with this process and what it has started.

use std::net::Ipv4Addr;

use anyhow::Context;
use peerbound_lab::Namespace;

/// Whether wires carry super-packets, as virtual ones do, or single packets, as if there were a network card
/// that knows nothing of segmentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Offloads {
    On,
    Off,
}

/// The hosts.
#[derive(Debug)]
pub(crate) struct Chain {
    pub(crate) a: Namespace,
    pub(crate) b: Namespace,
    pub(crate) c: Namespace,
}

impl Chain {
    /// Addresses on the wires.
    pub(crate) const A: Ipv4Addr = Ipv4Addr::new(10, 77, 1, 1);
    pub(crate) const B_TO_A: Ipv4Addr = Ipv4Addr::new(10, 77, 1, 2);
    pub(crate) const B_TO_C: Ipv4Addr = Ipv4Addr::new(10, 77, 2, 2);
    pub(crate) const C: Ipv4Addr = Ipv4Addr::new(10, 77, 2, 1);

    /// What the hosts call their ends of the wires.
    pub(crate) const TO_A: &str = "to-a";
    pub(crate) const TO_B: &str = "to-b";
    pub(crate) const TO_C: &str = "to-c";

    /// Makes the hosts and lays the wires.
    pub(crate) fn new(offloads: Offloads) -> anyhow::Result<Self> {
        let chain = Self { a: Namespace::new()?, b: Namespace::new()?, c: Namespace::new()? };
        let ends =
            [(&chain.a, Self::A, Self::B_TO_A, Self::TO_A), (&chain.c, Self::C, Self::B_TO_C, Self::TO_C)];
        for (host, address, relay, name) in ends {
            let mut words = vec!["link", "add", Self::TO_B, "type", "veth", "peer", "name", name, "netns"];
            let path = chain.b.path();
            words.push(&path);
            host.run("ip", words)?;
            for (namespace, interface, address) in [(host, Self::TO_B, address), (&chain.b, name, relay)] {
                let lines =
                    format!("address add {address}/24 dev {interface}\nlink set {interface} up mtu 1500\n");
                namespace.run_with_input("ip", ["-batch", "-"], &lines)?;
                if offloads == Offloads::Off {
                    switch_off(namespace, interface)?;
                }
            }
        }
        Ok(chain)
    }
}

fn switch_off(namespace: &Namespace, interface: &str) -> anyhow::Result<()> {
    let features = ["tso", "off", "gso", "off", "gro", "off", "tx-udp-segmentation", "off"];
    let words = ["-K", interface].into_iter().chain(features);
    namespace.run("ethtool", words).context("offloads cannot be switched off (apt install ethtool)")?;
    Ok(())
}
