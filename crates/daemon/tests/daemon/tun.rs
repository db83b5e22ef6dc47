//! Packets of programs on hosts of their own, through interfaces of the overlay.

use std::net::SocketAddr;

use peerbound_daemon::{Daemon, TunConfig};

use crate::namespaces::Namespace;
use crate::support::{Members, wait_until};

/// A host with its node.
struct Station {
    host: Namespace,
    daemon: Daemon,
}

impl Station {
    fn address(&self) -> String {
        self.daemon.id().address().to_string()
    }
}

fn interface(mtu: u16) -> TunConfig {
    TunConfig { name: "peerbound0".to_owned(), mtu, routes: true }
}

/// A–B–C in a row, each on a host of its own, with interfaces at A and C.
fn chain(mtu: u16) -> Option<[Station; 3]> {
    let [a, b, c] = [Namespace::new()?, Namespace::new()?, Namespace::new()?];
    b.connect(("to-a", "10.77.1.2/24"), (&a, "net0", "10.77.1.1/24"));
    b.connect(("to-c", "10.77.2.2/24"), (&c, "net0", "10.77.2.3/24"));
    let members = Members::new(&["A", "B", "C"]);
    let relay = |host| Some(SocketAddr::from((host, 7001)));
    let start = |host: &Namespace, index, neighbours: &[(usize, Option<SocketAddr>)], routes, tun| {
        let mut config = members.config_of(index, neighbours, routes);
        config.listen = SocketAddr::from(([0, 0, 0, 0], 7001));
        config.tun = tun;
        host.enter(|| Daemon::start(config).unwrap())
    };
    let at_a = start(&a, 0, &[(1, relay([10, 77, 1, 2]))], &[(2, 1)][..], Some(interface(mtu)));
    let at_b = start(&b, 1, &[(0, None), (2, None)], &[], None);
    let at_c = start(&c, 2, &[(1, relay([10, 77, 2, 2]))], &[(0, 1)], Some(interface(mtu)));
    let stations = [(a, at_a), (b, at_b), (c, at_c)].map(|(host, daemon)| Station { host, daemon });
    for station in &stations {
        wait_until("all neighbours are up", || {
            station.daemon.status().unwrap().neighbours.iter().all(|neighbour| neighbour.is_usable)
        });
    }
    Some(stations)
}

#[test]
fn a_ping_crosses_the_relay_from_interface_to_interface() {
    let Some([a, b, c]) = chain(1280) else { return };

    let said = a.host.run("ping", &["-6", "-c", "3", "-i", "0.2", "-W", "20", &c.address()]);

    assert!(said.contains("3 received"), "{said}");
    let [at_a, at_b, at_c] = [&a, &b, &c].map(|station| station.daemon.status().unwrap());
    assert!(at_a.packets.sent >= 3 && at_c.packets.delivered >= 3, "{:?} {:?}", at_a.packets, at_c.packets);
    assert_eq!(at_b.packets.delivered, 0);
    assert!(at_b.counters.is_conserved(), "{:#?}", at_b.counters);
}

#[test]
fn an_interface_goes_with_its_addresses_and_routes_when_its_node_ends() {
    let Some(host) = Namespace::new() else { return };
    let members = Members::new(&["A"]);
    let mut config = members.config(0, SocketAddr::from(([127, 0, 0, 1], 0)));
    config.tun = Some(interface(1280));
    let daemon = host.enter(|| Daemon::start(config).unwrap());
    let address = daemon.id().address().to_string();

    let addresses = host.run("ip", &["-6", "address", "show", "dev", "peerbound0"]);
    let routes = host.run("ip", &["-6", "route", "show"]);
    assert!(addresses.contains(&format!("{address}/128")) && addresses.contains("mtu 1280"), "{addresses}");
    assert!(routes.contains("fd00::/8 dev peerbound0"), "{routes}");

    // As a crash: nothing is undone.
    daemon.abort(crate::support::DEADLINE).unwrap();

    // A child that another test starts at this moment holds every descriptor until it is a program of its own.
    wait_until("the interface is gone", || {
        !host.output("ip", &["link", "show", "peerbound0"]).status.success()
    });
    assert_eq!(host.run("ip", &["-6", "route", "show", "fd00::/8"]), "");
}
