//! The table `[services]`: what is carried from here to another node's service, and which of ours others
//! may reach. One line each, as text that reads like what it does.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;

use peerbound_wire::NodeId;
use serde::Deserialize;

/// Lines of each of the two lists: a service each.
const SERVICES_MAX: usize = 256;

/// The table `[services]` as it is typed.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServicesFile {
    /// `"tcp 127.0.0.1:8080 -> NODE:80"`: who connects here is connected to that node's port.
    #[serde(default)]
    pub forward: Vec<String>,
    /// `"tcp 80 -> 127.0.0.1:8080"`, or with `for A, B` behind it: what others may reach.
    #[serde(default)]
    pub expose: Vec<String>,
}

/// The transport that a service speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Transport {
    /// A stream of bytes.
    Tcp,
    /// Datagrams.
    Udp,
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

/// A port of this host that leads to another node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forward {
    /// What is carried.
    pub transport: Transport,
    /// Where this host listens.
    pub listen: SocketAddr,
    /// Where it leads.
    pub to: NodeId,
    /// The port there.
    pub port: u16,
}

/// A port of our overlay address that leads to a service of this host, or one that it reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expose {
    /// What is carried.
    pub transport: Transport,
    /// The port of our overlay address.
    pub port: u16,
    /// The service.
    pub to: SocketAddr,
    /// Who may use it; `None` is every member.
    pub only: Option<Vec<NodeId>>,
}

/// What is forwarded and exposed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServicesConfig {
    /// Ports of this host that lead to other nodes.
    pub forwards: Vec<Forward>,
    /// Services that others may reach.
    pub exposes: Vec<Expose>,
}

impl ServicesConfig {
    /// Returns whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.forwards.is_empty() && self.exposes.is_empty()
    }

    /// Reads both lists; `find` knows the nodes by name. The error is the key and what is wrong with it.
    pub(crate) fn validate(
        file: &ServicesFile,
        us: NodeId,
        find: impl Fn(&str) -> Option<NodeId>,
    ) -> Result<Self, (String, String)> {
        for (key, lines) in [("forward", &file.forward), ("expose", &file.expose)] {
            if lines.len() > SERVICES_MAX {
                let problem = format!("{} are more than the {SERVICES_MAX} a node may have", lines.len());
                return Err((format!("services.{key}"), problem));
            }
        }
        let mut services = Self::default();
        let mut seen = BTreeMap::new();
        for line in &file.forward {
            let about = |problem: String| (format!("services.forward {line:?}"), problem);
            let forward = forward(line, &find).map_err(about)?;
            if forward.to == us {
                return Err(about("this is our own node: name another".to_owned()));
            }
            let place = (forward.transport, forward.listen.to_string());
            // Any free port is another one each time.
            if forward.listen.port() != 0 && seen.insert(place, line).is_some() {
                return Err(about("another forward listens there already: choose another port".to_owned()));
            }
            services.forwards.push(forward);
        }
        for line in &file.expose {
            let about = |problem: String| (format!("services.expose {line:?}"), problem);
            let expose = expose(line, &find).map_err(about)?;
            if seen.insert((expose.transport, expose.port.to_string()), line).is_some() {
                return Err(about("this port is exposed already: remove one of the two".to_owned()));
            }
            services.exposes.push(expose);
        }
        Ok(services)
    }
}

fn forward(line: &str, find: impl Fn(&str) -> Option<NodeId>) -> Result<Forward, String> {
    let form = || "write it as \"tcp 127.0.0.1:8080 -> NODE:80\", or with udp".to_owned();
    let (from, to) = line.split_once("->").ok_or_else(form)?;
    let (transport, listen) = from.trim().split_once(' ').ok_or_else(form)?;
    let transport = self::transport(transport).ok_or_else(form)?;
    let listen = listen.trim();
    let listen = listen.parse().map_err(|_| {
        format!("{listen:?} is no address and port to listen on: write it as 127.0.0.1:8080 or [::1]:8080")
    })?;
    let (node, port) = to.trim().rsplit_once(':').ok_or_else(form)?;
    let port = self::port(port)?;
    let to = find(node.trim()).ok_or_else(|| nobody(node))?;
    Ok(Forward { transport, listen, to, port })
}

fn expose(line: &str, find: impl Fn(&str) -> Option<NodeId>) -> Result<Expose, String> {
    let form =
        || "write it as \"tcp 80 -> 127.0.0.1:8080\", with udp, or with \"for A, B\" behind".to_owned();
    let (from, to) = line.split_once("->").ok_or_else(form)?;
    let (transport, port) = from.trim().split_once(' ').ok_or_else(form)?;
    let transport = self::transport(transport).ok_or_else(form)?;
    let port = self::port(port)?;
    let (to, only) = match to.split_once(" for ") {
        None => (to, None),
        Some((to, names)) => (to, Some(names)),
    };
    let to = to.trim();
    let to: SocketAddr = to.parse().ok().filter(|to: &SocketAddr| to.port() != 0).ok_or_else(|| {
        format!("{to:?} is no address and port of a service: write it as 127.0.0.1:8080 or [::1]:8080")
    })?;
    let node = |name: &str| find(name.trim()).ok_or_else(|| nobody(name));
    let only = only.map(|names| names.split(',').map(node).collect()).transpose()?;
    Ok(Expose { transport, port, to, only })
}

fn transport(text: &str) -> Option<Transport> {
    match text {
        "tcp" => Some(Transport::Tcp),
        "udp" => Some(Transport::Udp),
        _ => None,
    }
}

fn port(text: &str) -> Result<u16, String> {
    let text = text.trim();
    text.parse().ok().filter(|port| *port != 0).ok_or_else(|| format!("{text:?} is no port: give 1 to 65535"))
}

fn nobody(name: &str) -> String {
    let name = name.trim();
    format!("nobody is called {name:?}: use a neighbour's name, one from [names], or a node id")
}

#[cfg(test)]
mod tests {
    use super::*;

    const US: NodeId = NodeId::new([1; 16]);
    const C: NodeId = NodeId::new([0xc; 16]);

    fn find(name: &str) -> Option<NodeId> {
        [("us", US), ("C", C)].into_iter().find(|(known, _)| *known == name).map(|(_, id)| id)
    }

    fn validate(forward: &[&str], expose: &[&str]) -> Result<ServicesConfig, (String, String)> {
        let texts = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect();
        ServicesConfig::validate(&ServicesFile { forward: texts(forward), expose: texts(expose) }, US, find)
    }

    #[test]
    fn lines_say_what_they_do() {
        let services = validate(
            &["tcp 127.0.0.1:8080 -> C:80", "udp [::1]:53->C:53"],
            &["tcp 80 -> 127.0.0.1:8080", "udp 53 -> 127.0.0.53:53 for C, us"],
        );

        let services = services.unwrap();
        let listen = |text: &str| text.parse().unwrap();
        assert_eq!(
            services.forwards,
            [
                Forward { transport: Transport::Tcp, listen: listen("127.0.0.1:8080"), to: C, port: 80 },
                Forward { transport: Transport::Udp, listen: listen("[::1]:53"), to: C, port: 53 },
            ]
        );
        assert_eq!(services.exposes[0].only, None);
        assert_eq!(services.exposes[1].only, Some(vec![C, US]));
    }

    #[test]
    fn each_wrong_line_is_quoted_with_its_fix() {
        let wrong_forwards = [
            ("sctp 127.0.0.1:1 -> C:1", "write it as \"tcp 127.0.0.1:8080 -> NODE:80\", or with udp"),
            ("tcp 127.0.0.1:1", "write it as \"tcp 127.0.0.1:8080 -> NODE:80\", or with udp"),
            (
                "tcp localhost:1 -> C:1",
                "\"localhost:1\" is no address and port to listen on: write it as 127.0.0.1:8080 or [::1]:8080",
            ),
            ("tcp 127.0.0.1:1 -> C:0", "\"0\" is no port: give 1 to 65535"),
            ("tcp 127.0.0.1:1 -> C:70000", "\"70000\" is no port: give 1 to 65535"),
            (
                "tcp 127.0.0.1:1 -> D:1",
                "nobody is called \"D\": use a neighbour's name, one from [names], or a node id",
            ),
            ("tcp 127.0.0.1:1 -> us:1", "this is our own node: name another"),
        ];
        for (line, problem) in wrong_forwards {
            let key = format!("services.forward {line:?}");
            assert_eq!(validate(&[line], &[]), Err((key, problem.to_owned())), "{line}");
        }
        let wrong_exposes = [
            (
                "80 -> 127.0.0.1:80",
                "write it as \"tcp 80 -> 127.0.0.1:8080\", with udp, or with \"for A, B\" behind",
            ),
            (
                "tcp 80 -> 127.0.0.1:0",
                "\"127.0.0.1:0\" is no address and port of a service: write it as 127.0.0.1:8080 or [::1]:8080",
            ),
            (
                "tcp 80 -> 127.0.0.1:80 for D",
                "nobody is called \"D\": use a neighbour's name, one from [names], or a node id",
            ),
        ];
        for (line, problem) in wrong_exposes {
            let key = format!("services.expose {line:?}");
            assert_eq!(validate(&[], &[line]), Err((key, problem.to_owned())), "{line}");
        }
    }

    #[test]
    fn the_same_port_twice_is_refused_and_of_another_transport_is_not() {
        let twice = ["tcp 127.0.0.1:1 -> C:1", "tcp 127.0.0.1:1 -> C:2"];
        let (key, problem) = validate(&twice, &[]).unwrap_err();
        assert_eq!(key, format!("services.forward {:?}", twice[1]));
        assert_eq!(problem, "another forward listens there already: choose another port");

        let (_, problem) = validate(&[], &["tcp 1 -> 127.0.0.1:1", "tcp 1 -> 127.0.0.1:2"]).unwrap_err();
        assert_eq!(problem, "this port is exposed already: remove one of the two");

        assert!(validate(&[], &["tcp 1 -> 127.0.0.1:1", "udp 1 -> 127.0.0.1:1"]).is_ok());
    }

    #[test]
    fn too_many_lines_are_refused() {
        let lines = vec!["tcp 127.0.0.1:0 -> C:1"; SERVICES_MAX + 1];

        let (key, problem) = validate(&lines, &[]).unwrap_err();

        assert_eq!(
            (key.as_str(), problem.as_str()),
            ("services.forward", "257 are more than the 256 a node may have")
        );
    }
}
