//! Packets of programs on hosts of their own, through interfaces of the overlay.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};

use peerbound_daemon::{Daemon, PacketDrop, RouteRule, TunConfig};

use crate::namespaces::Namespace;
use crate::support::{DEADLINE, Members, wait_until};

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
    TunConfig { name: "peerbound0".to_owned(), mtu, routes: RouteRule::Harmless, offload: true }
}

/// A–B–C in a row, each on a host of its own, with interfaces at A and C.
fn chain(mtu: u16) -> Option<[Station; 3]> {
    chain_with(mtu, [1440; 3])
}

/// The same, given the largest datagram that each of them sends.
fn chain_with(mtu: u16, link_mtus: [u16; 3]) -> Option<[Station; 3]> {
    let [a, b, c] = [Namespace::new()?, Namespace::new()?, Namespace::new()?];
    b.connect(("to-a", "10.77.1.2/24"), (&a, "net0", "10.77.1.1/24"));
    b.connect(("to-c", "10.77.2.2/24"), (&c, "net0", "10.77.2.3/24"));
    let members = Members::new(&["A", "B", "C"]);
    let relay = |host| Some(SocketAddr::from((host, 7001)));
    let start = |host: &Namespace, index, neighbours: &[(usize, Option<SocketAddr>)], routes, tun| {
        let mut config = members.config_of(index, neighbours, routes);
        config.listen = SocketAddr::from(([0, 0, 0, 0], 7001));
        config.tun = tun;
        config.node.mtu = link_mtus[index];
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
    daemon.abort(DEADLINE).unwrap();

    // A child that another test starts at this moment holds every descriptor until it is a program of its own.
    wait_until("the interface is gone", || {
        !host.output("ip", &["link", "show", "peerbound0"]).status.success()
    });
    assert_eq!(host.run("ip", &["-6", "route", "show", "fd00::/8"]), "");
}

#[test]
fn a_stream_crosses_the_relay_whole_in_both_directions() {
    let Some([a, _b, c]) = chain(1300) else { return };
    let listener = c.host.enter(|| TcpListener::bind((c.daemon.id().address(), 0)).unwrap());
    let to = listener.local_addr().unwrap();
    let sent: Vec<u8> =
        (0..2_000_000_u32).map(|number| number.to_be_bytes()[3] ^ number.to_be_bytes()[2]).collect();

    let came_back = std::thread::scope(|scope| {
        scope.spawn(|| {
            let (stream, _) = listener.accept().unwrap();
            stream.set_read_timeout(Some(DEADLINE)).unwrap();
            std::io::copy(&mut &stream, &mut &stream).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
        });
        let stream = a.host.enter(|| TcpStream::connect(to).unwrap());
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        scope.spawn({
            let stream = stream.try_clone().unwrap();
            let sent = &sent;
            move || {
                (&stream).write_all(sent).unwrap();
                stream.shutdown(Shutdown::Write).unwrap();
            }
        });
        let mut came_back = Vec::new();
        (&stream).read_to_end(&mut came_back).unwrap();
        came_back
    });

    assert!(came_back == sent, "{} of {} bytes came back", came_back.len(), sent.len());
    let [at_a, at_c] = [&a, &c].map(|station| station.daemon.status().unwrap());
    assert!(at_a.counters.is_conserved() && at_c.counters.is_conserved());
}

#[test]
fn whoever_sends_what_does_not_fit_further_on_learns_what_does() {
    // A's own link takes more than its interface gives; the link behind B takes less.
    let Some([a, b, c]) = chain_with(1340, [1500, 1400, 1500]) else { return };
    let whole = ["-6", "-M", "do", "-c", "1", "-W", "20", "-s", "1292"];
    let address = c.address();

    // The first one may be lost to the report, or to the kernel's look at it.
    wait_until("the kernel knows the size that fits", || {
        a.host.output("ping", &[&whole[..], &[&address]].concat());
        mtu_of_route(&a.host, &address).is_some_and(|mtu| (1280..1340).contains(&mtu))
    });

    // C's kernel learns it from its first answer, which is as large.
    let once = ["-6", "-c", "1", "-W", "2", "-s", "1292", &address];
    wait_until("the other kernel knows it, too", || a.host.output("ping", &once).status.success());

    // Both cut it into pieces that fit.
    let said = a.host.run("ping", &["-6", "-c", "3", "-i", "0.2", "-W", "20", "-s", "1292", &address]);
    assert!(said.contains("3 received"), "{said}");
    assert!(b.daemon.status().unwrap().counters.is_conserved());
    assert!(a.daemon.status().unwrap().packets.complaints > 0);
}

/// Returns what a host's kernel believes that fits on the way to an address.
fn mtu_of_route(host: &Namespace, address: &str) -> Option<u32> {
    let route = host.run("ip", &["-6", "route", "get", address]);
    let mut words = route.split_whitespace().skip_while(|word| *word != "mtu");
    words.nth(1)?.parse().ok()
}

#[test]
fn an_address_that_nobody_has_is_unreachable_at_once() {
    let Some([a, ..]) = chain(1300) else { return };

    let output = a.host.output("ping", &["-6", "-c", "1", "-W", "20", "fd00::1:2:3"]);

    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("No route"), "{said}");
    let packets = a.daemon.status().unwrap().packets;
    assert!(
        packets.dropped.get(&PacketDrop::UnknownDestination).is_some_and(|count| *count > 0),
        "{packets:?}"
    );
}
