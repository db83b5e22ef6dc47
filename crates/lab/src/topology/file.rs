//! The configuration file of each node, as somebody would write it by hand.

use std::fmt::Write;

use crate::scenario::Routing;
use crate::topology::{Ground, Topology, TopologyNode};

/// The least `mtu` of a node with an interface: 1280 (RFC 8200, 5), and 129 bytes of records and header around.
const INTERFACE_MTU_MIN: u16 = 1280 + 129;

impl TopologyNode {
    /// Returns the name of its configuration file.
    #[must_use]
    pub fn config_file(&self) -> String {
        format!("{}.toml", self.name)
    }

    /// Returns the name of its control socket.
    #[must_use]
    pub fn socket_file(&self) -> String {
        format!("{}.sock", self.name)
    }
}

impl Topology {
    /// Returns whether a node has an interface into the overlay: each that is a host of its own, where packets
    /// of the size that IPv6 takes for granted fit into what it sends.
    #[must_use]
    pub fn has_interface(&self, node: &TopologyNode) -> bool {
        self.ground == Ground::Namespaces && node.mtu >= INTERFACE_MTU_MIN
    }

    /// The folder of certificates and keys, beside the configuration files.
    pub const PKI_FOLDER: &str = "pki";

    /// Returns the text of one node's configuration file. Certificates and keys are expected in
    /// [`Topology::PKI_FOLDER`], under the names of the nodes.
    #[must_use]
    pub fn config_of(&self, node: &TopologyNode) -> String {
        let (pki, name) = (Self::PKI_FOLDER, &node.name);
        let mut text = format!(
            "# {name}, one of the {} nodes of {}.\n\n\
             [node]\n\
             certificate = \"{pki}/{name}.pem\"\n\
             key = \"{pki}/{name}.key\"\n\
             roots = [\"{pki}/ca.pem\"]\n\
             listen = \"{}\"\n\
             mtu = {}\n",
            self.nodes.len(),
            self.name,
            node.listen,
            node.mtu
        );
        if node.routing == Routing::Dynamic {
            text.push_str("routing = \"dynamic\"\n");
        }
        put(&mut text, format_args!("\n[control]\nsocket = \"{}\"\n", node.socket_file()));
        if self.has_interface(node) {
            text.push_str("\n[tun]\n");
        }
        for neighbour in &node.neighbours {
            let Some(other) = self.nodes.get(neighbour.node) else { continue };
            let name = &other.name;
            put(
                &mut text,
                format_args!("\n[[neighbour]]\nname = \"{name}\"\ncertificate = \"{pki}/{name}.pem\"\n"),
            );
            if neighbour.is_dialled {
                put(&mut text, format_args!("address = \"{}\"\n", other.listen));
            }
        }
        for (to, via) in &node.routes {
            if let (Some(to), Some(via)) = (self.nodes.get(*to), self.nodes.get(*via)) {
                put(&mut text, format_args!("\n[[route]]\nto = \"{}\"\nvia = \"{}\"\n", to.name, via.name));
            }
        }
        let is_near = |other: &TopologyNode| {
            let named = node.neighbours.iter().filter_map(|neighbour| self.nodes.get(neighbour.node));
            other.name == node.name || named.into_iter().any(|neighbour| neighbour.name == other.name)
        };
        let far: Vec<_> = self.nodes.iter().filter(|other| !is_near(other)).collect();
        if !far.is_empty() {
            text.push_str("\n[names]\n");
        }
        for other in far {
            put(&mut text, format_args!("{} = \"{pki}/{}.pem\"\n", other.name, other.name));
        }
        text
    }
}

/// Names of hosts are letters, digits and underscores, so nothing here needs quoting beyond quotes.
fn put(text: &mut String, line: std::fmt::Arguments<'_>) {
    text.write_fmt(line).expect("a string takes what is written");
}
