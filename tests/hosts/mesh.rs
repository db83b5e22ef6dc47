//! Who is in the mesh: certificates and a configuration file for each host.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::Ipv6Addr;
use std::path::PathBuf;
use std::process::Command;

use peerbound_daemon::unix_seconds;
use peerbound_dtls::{Authority, Validity};
use peerbound_node::node_id;
use tempfile::TempDir;

use crate::host::Host;
use crate::support::{Program, peerbound};

/// The files of a mesh.
pub(crate) struct Mesh {
    pub(crate) folder: TempDir,
    names: Vec<&'static str>,
    overlay: BTreeMap<&'static str, Ipv6Addr>,
}

impl Mesh {
    /// Certifies hosts, and writes a file for each: who stands first in a pair dials the other.
    pub(crate) fn new(hosts: &[&Host], links: &[[&Host; 2]]) -> Self {
        let mut mesh = Self {
            folder: tempfile::tempdir().unwrap(),
            names: hosts.iter().map(|host| host.name).collect(),
            overlay: BTreeMap::new(),
        };
        let validity = Validity::days(unix_seconds(), 2);
        let authority = Authority::generate("test CA (throw-away)", validity).unwrap();
        mesh.write("ca.pem", &authority.certificate_to_pem().unwrap());
        for host in hosts {
            let identity = authority.issue(host.name, validity).unwrap();
            mesh.overlay.insert(host.name, node_id(&identity.key_hash()).address());
            mesh.write(&format!("{}.pem", host.name), &identity.certificates_to_pem().unwrap());
            mesh.write(&format!("{}.key", host.name), &identity.key_to_pem().unwrap());
            mesh.write(&format!("{}.toml", host.name), mesh.config(host, links).as_bytes());
        }
        mesh
    }

    /// Gives hosts an interface into the overlay.
    pub(crate) fn with_interfaces(self, hosts: &[&Host]) -> Self {
        for host in hosts {
            self.alter(host, "[node]", "[tun]\n[node]");
        }
        self
    }

    /// Returns the address by which a host is known in the overlay.
    pub(crate) fn overlay(&self, host: &Host) -> Ipv6Addr {
        self.overlay[host.name]
    }

    /// Returns one end of a flow through the overlay.
    pub(crate) fn end<'a>(&self, host: &'a Host) -> (&'a Host, Ipv6Addr) {
        (host, self.overlay(host))
    }

    /// Changes a line of a host's configuration.
    pub(crate) fn alter(&self, host: &Host, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.file(host)).unwrap();
        assert!(text.contains(from), "{text}");
        std::fs::write(self.file(host), text.replace(from, to)).unwrap();
    }

    /// Returns where a host's configuration lies.
    pub(crate) fn file(&self, host: &Host) -> PathBuf {
        self.folder.path().join(format!("{}.toml", host.name))
    }

    /// Prepares a command that is a node on a host: "run", "listen" or "send".
    pub(crate) fn command(&self, host: &Host, verb: &str, rest: &[&str]) -> Command {
        let file = self.file(host).display().to_string();
        peerbound([verb, "--json", "-c", &file].into_iter().chain(rest.iter().copied()))
    }

    /// Starts a node on a host, and waits until it listens.
    #[track_caller]
    pub(crate) fn start(&self, host: &Host) -> Program {
        let mut node = host.start(&mut self.command(host, "run", &[]));
        node.wait_for("ready", |said| said["event"] == "ready");
        node
    }

    fn config(&self, host: &Host, links: &[[&Host; 2]]) -> String {
        let name = host.name;
        let mut text = format!(
            "[node]\ncertificate = \"{name}.pem\"\nkey = \"{name}.key\"\nroots = [\"ca.pem\"]\nlisten = \"{}\"\n\
             routing = \"dynamic\"\n",
            host.listen()
        );
        let mut near = vec![name];
        for [one, other] in links {
            let (neighbour, is_dialled) = match name {
                name if name == one.name => (other, true),
                name if name == other.name => (one, false),
                _ => continue,
            };
            near.push(neighbour.name);
            let named = neighbour.name;
            write!(text, "[[neighbour]]\nname = \"{named}\"\ncertificate = \"{named}.pem\"\n").unwrap();
            if is_dialled {
                writeln!(text, "address = \"{}\"", neighbour.listen()).unwrap();
            }
        }
        text.push_str("[names]\n");
        for far in self.names.iter().filter(|far| !near.contains(far)) {
            writeln!(text, "{far} = \"{far}.pem\"").unwrap();
        }
        text
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.folder.path().join(name), bytes).unwrap();
    }
}
