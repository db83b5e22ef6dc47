//! Who is in the mesh: certificates and a configuration file for each host.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::Ipv6Addr;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use peerbound_daemon::control::ControlClient;
use peerbound_daemon::unix_seconds;
use peerbound_dtls::{Authority, Certification, Revoked, Validity, serial_number};
use peerbound_node::{node_id, prefix_uri};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::host::Host;
use crate::support::{DEADLINE, Program, peerbound};

/// The files of a mesh.
pub(crate) struct Mesh {
    pub(crate) folder: TempDir,
    names: Vec<&'static str>,
    overlay: BTreeMap<&'static str, Ipv6Addr>,
    authority: Authority,
    validity: Validity,
    serials: BTreeMap<&'static str, String>,
}

/// The time between two questions to a node.
const PAUSE: Duration = Duration::from_millis(20);

impl Mesh {
    /// Certifies hosts, and writes a file for each: who stands first in a pair dials the other.
    pub(crate) fn new(hosts: &[&Host], links: &[[&Host; 2]]) -> Self {
        let validity = Validity::days(unix_seconds(), 2);
        let mut mesh = Self {
            folder: tempfile::tempdir().unwrap(),
            names: hosts.iter().map(|host| host.name).collect(),
            overlay: BTreeMap::new(),
            authority: Authority::generate("test CA (throw-away)", validity).unwrap(),
            validity,
            serials: BTreeMap::new(),
        };
        mesh.write("ca.pem", &mesh.authority.certificate_to_pem().unwrap());
        mesh.write("crl.pem", &mesh.list_of(&[], 1));
        for host in hosts {
            let uris = host.may_announce().map(|prefix| prefix_uri(&prefix.parse().unwrap()));
            let what = Certification { name: host.name, uris: &uris, validity };
            let identity = mesh.authority.issue_as(&what).unwrap();
            mesh.serials.insert(host.name, serial_number(identity.certificate()).unwrap());
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

    /// Lets a host announce a prefix, from its next start or reload on.
    pub(crate) fn announce(&self, host: &Host, prefix: &str) {
        self.alter(host, "[node]\n", &format!("[node]\nannounce = [\"{prefix}\"]\n"));
    }

    /// Lets a running node read its configuration again.
    #[track_caller]
    pub(crate) fn reload(&self, host: &Host) {
        let reloaded = self.ask(host, "reload");
        assert_eq!(reloaded["needs_restart"], json!([]), "{reloaded:#}");
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

    /// Adds to the end of a host's configuration.
    pub(crate) fn add(&self, host: &Host, more: &str) {
        let text = std::fs::read_to_string(self.file(host)).unwrap();
        std::fs::write(self.file(host), text + more).unwrap();
    }

    /// Takes a host's certificate back: the list that says so takes the place of the former in one step.
    pub(crate) fn revoke(&self, host: &Host) {
        let list = self.list_of(&[Revoked { serial: &self.serials[host.name], at: unix_seconds() - 1 }], 2);
        self.write("crl.pem.beginning", &list);
        let [beginning, list] = ["crl.pem.beginning", "crl.pem"].map(|name| self.folder.path().join(name));
        std::fs::rename(beginning, list).unwrap();
    }

    fn list_of(&self, revoked: &[Revoked<'_>], number: u32) -> Vec<u8> {
        self.authority.revocation_list(revoked, number, self.validity).unwrap().to_pem().unwrap()
    }

    /// Asks the node of a host over its control socket, which is a file and so on no host.
    pub(crate) fn ask(&self, host: &Host, what: &str) -> Value {
        let mut client =
            ControlClient::connect(&self.folder.path().join(format!("{}.sock", host.name))).unwrap();
        client.ask(what, &json!({})).unwrap()
    }

    /// Asks the node of a host again and again, until it answers what is waited for.
    #[track_caller]
    pub(crate) fn wait_until(&self, host: &Host, what: &str, is_so: impl Fn(&Value) -> bool) {
        let end = Instant::now() + DEADLINE;
        loop {
            let answer = self.ask(host, what);
            if is_so(&answer) {
                return;
            }
            assert!(Instant::now() < end, "{what} at {} is so within {DEADLINE:?}: {answer:#}", host.name);
            // The node has better things to do than to answer us.
            std::thread::park_timeout(PAUSE);
        }
    }

    /// Waits until a node has a way to another one, or has none.
    #[track_caller]
    pub(crate) fn wait_for_way(&self, from: &Host, to: &Host, is_there: bool) {
        let is_way = |route: &Value| route["destination"]["name"] == to.name && route["is_usable"] == true;
        self.wait_until(from, "routes", |answer| {
            answer["routes"].as_array().unwrap().iter().any(is_way) == is_there
        });
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
        write!(text, "[control]\nsocket = \"{name}.sock\"\n").unwrap();
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
