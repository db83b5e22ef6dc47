//! One host: a network namespace with an address of its own, gone with the test however that ends.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;

use peerbound_lab::Namespace;

use crate::support::Program;

/// The port of every node: each has an address of its own.
const PORT: u16 = 4433;

/// A host.
pub(crate) struct Host {
    pub(crate) name: &'static str,
    pub(crate) address: Ipv4Addr,
    pub(crate) namespace: Namespace,
}

/// Makes hosts; `None`, and a line that says why, where this machine makes none for us.
pub(crate) fn hosts<const N: usize>(names: [&'static str; N]) -> Option<[Host; N]> {
    let mut made = Vec::new();
    for (name, number) in names.into_iter().zip(1..) {
        match Namespace::new() {
            Ok(namespace) => made.push(Host { name, address: Ipv4Addr::new(10, 77, 0, number), namespace }),
            Err(error) if std::env::var_os("PEERBOUND_REQUIRE_NETNS").is_none() => {
                eprintln!("skipped: {error}");
                return None;
            }
            Err(error) => panic!("{error}"),
        }
    }
    made.try_into().ok()
}

impl Host {
    /// Returns where a node on it listens.
    pub(crate) fn listen(&self) -> SocketAddr {
        (self.address, PORT).into()
    }

    /// Returns the addresses that may be behind it: a network of its own, and the one that all nodes are in.
    pub(crate) fn may_announce(&self) -> [String; 2] {
        [self.site(), "10.77.0.0/24".to_owned()]
    }

    /// Returns the network behind it.
    pub(crate) fn site(&self) -> String {
        format!("10.8{}.0.0/16", self.number())
    }

    /// Returns the address of a host in the network behind it; its own is the first.
    pub(crate) fn in_site(&self, number: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 80 + self.number(), 0, number)
    }

    /// Gives it that network, with another host in it.
    pub(crate) fn lead_to(&self, other: &Self) {
        let peer = other.namespace.path();
        self.run(&format!("ip link add site type veth peer name site netns {peer}"));
        for (host, number) in [(self, 1), (other, 2)] {
            host.run(&format!("ip addr add {}/16 dev site", self.in_site(number)));
            host.run("ip link set site up");
        }
        other.run(&format!("ip route add default via {}", self.in_site(1)));
        self.namespace.set("ipv4/ip_forward", "1").unwrap();
    }

    fn number(&self) -> u8 {
        self.address.octets()[3]
    }

    /// Runs a command of the system there, which must succeed.
    #[track_caller]
    pub(crate) fn run(&self, command: &str) -> String {
        let mut words = command.split_whitespace();
        let program = words.next().expect("a command has a name");
        match self.namespace.run(program, words) {
            Ok(printed) => printed,
            Err(error) => panic!("at {}: {error}", self.name),
        }
    }

    /// Starts a program there that prints JSON lines.
    #[track_caller]
    pub(crate) fn start(&self, command: &mut Command) -> Program {
        let started = self.namespace.enter("start", || Ok(Program::start(self.name, command)));
        started.expect("the host can be entered")
    }
}
