//! Packets that cross the interface many at once: what programs send arrives byte for byte, cut or uncut.

use std::collections::BTreeSet;
use std::net::{Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::time::{Duration, Instant};

use peerbound_daemon::BatchSocket;
use peerbound_node::Transmit;

use crate::flow::{stream, stream_by};
use crate::host::{Host, hosts};
use crate::mesh::Mesh;
use crate::support::DEADLINE;
use crate::wire::link;

/// Bytes of a stream, in each direction.
const STREAM_BYTES: usize = 8_000_000;

/// Streams that share those bytes where several run at a time.
const STREAMS: usize = 4;

/// Datagrams that a program gives to its kernel at once, and what they hold: not all of one length.
const DATAGRAMS: u64 = 20;
const DATAGRAM_BYTES: usize = 1000;
const LAST_BYTES: usize = 300;

/// Batches of them that are to arrive whole, each datagram at least once.
const BATCHES: u64 = 50;

#[test]
fn large_streams_arrive_as_they_were_sent_over_both_versions_of_ip() {
    let Some([a, b, c, behind_a, behind_c]) = hosts(["A", "B", "C", "behind-A", "behind-C"]) else { return };
    let _wires = [link(&a, &b), link(&b, &c)];
    a.lead_to(&behind_a);
    c.lead_to(&behind_c);
    let mesh = Mesh::new(&[&a, &b, &c], &[[&a, &b], [&c, &b]]).with_interfaces(&[&a, &c]);
    mesh.announce(&a, &a.site());
    mesh.announce(&c, &c.site());
    let _nodes = [&a, &b, &c].map(|host| mesh.start(host));
    mesh.wait_for_way(&a, &c, true);
    mesh.wait_until(&a, "status", |status| status.to_string().contains("\"state\":\"set\""));
    mesh.wait_until(&c, "status", |status| status.to_string().contains("\"state\":\"set\""));

    let over_v6 = stream(&a, mesh.end(&c), STREAM_BYTES);
    let there = SocketAddr::from((c.in_site(2), 0));
    let listener = behind_c.namespace.enter("bind", || TcpListener::bind(there)).unwrap();
    let there = listener.local_addr().unwrap();
    let over_v4 = stream_by(&behind_a, there, listener, STREAM_BYTES);

    let rate = |took: Duration| STREAM_BYTES as f64 * 16.0 / took.as_secs_f64() / 1e6;
    println!("there and back: {:.0} Mbit/s over IPv6, {:.0} over IPv4", rate(over_v6), rate(over_v4));
    for host in [&a, &c] {
        assert!(has_offload(host));
        let (packets, crossings) = (delivered(&mesh, host), crossings(host));
        println!("{}: {packets} packets, given to the kernel in {crossings}", host.name);
        assert!(crossings < packets / 2, "{crossings} of {packets}");
    }
}

#[test]
fn streams_side_by_side_arrive_as_they_were_sent_also_where_latency_is_favoured() {
    let Some([a, b, c]) = hosts(["A", "B", "C"]) else { return };
    let _wires = [link(&a, &b), link(&b, &c)];
    let mesh = Mesh::new(&[&a, &b, &c], &[[&a, &b], [&c, &b]]).with_interfaces(&[&a, &c]);
    for host in [&a, &b, &c] {
        mesh.alter(host, "[node]\n", "[node]\nfavour = \"latency\"\n");
    }
    let _nodes = [&a, &b, &c].map(|host| mesh.start(host));
    mesh.wait_for_way(&a, &c, true);

    std::thread::scope(|scope| {
        for _ in 0..STREAMS {
            scope.spawn(|| stream(&a, mesh.end(&c), STREAM_BYTES / STREAMS));
        }
    });

    for host in [&a, &b, &c] {
        assert_eq!(mesh.ask(host, "status")["counters"]["is_conserved"], true);
    }
}

#[test]
fn datagrams_that_were_sent_at_once_arrive_each_as_it_was() {
    let Some([a, b, c]) = hosts(["A", "B", "C"]) else { return };
    let _wires = [link(&a, &b), link(&b, &c)];
    let mesh = Mesh::new(&[&a, &b, &c], &[[&a, &b], [&c, &b]]).with_interfaces(&[&a, &c]);
    let _nodes = [&a, &b, &c].map(|host| mesh.start(host));
    mesh.wait_for_way(&a, &c, true);
    let bound = |(host, address): (&Host, Ipv6Addr)| {
        host.namespace.enter("bind", || UdpSocket::bind((address, 0))).unwrap()
    };
    let (from, to) = (bound(mesh.end(&a)), bound(mesh.end(&c)));
    to.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let destination = to.local_addr().unwrap();
    let mut from = BatchSocket::over(from).unwrap();

    let end = Instant::now() + DEADLINE;
    let mut seen = BTreeSet::new();
    let mut buffer = [0; 2048];
    while seen.len() < usize::try_from(BATCHES * DATAGRAMS).unwrap() {
        assert!(Instant::now() < end, "{} datagrams arrived", seen.len());
        // Whole batches again where a datagram was lost, as may be.
        let missing = (0..BATCHES * DATAGRAMS).find(|number| !seen.contains(number)).unwrap();
        let first = missing - missing % DATAGRAMS;
        let bytes = (first..first + DATAGRAMS).flat_map(datagram).collect();
        from.send(&Transmit { destination, bytes, segment_bytes: DATAGRAM_BYTES }, 0).unwrap();
        while let Ok(length) = to.recv(&mut buffer) {
            let number = u64::from_be_bytes(*buffer.first_chunk().unwrap());
            assert!(buffer[..length] == datagram(number), "datagram {number} is another");
            seen.insert(number);
            if number % DATAGRAMS == DATAGRAMS - 1 {
                break;
            }
        }
    }

    println!("C: {} packets, given to the kernel in {}", delivered(&mesh, &c), crossings(&c));
}

#[test]
fn a_node_that_is_told_to_takes_packets_one_by_one() {
    let Some([a, b, c]) = hosts(["A", "B", "C"]) else { return };
    let _wires = [link(&a, &b), link(&b, &c)];
    let mesh = Mesh::new(&[&a, &b, &c], &[[&a, &b], [&c, &b]]).with_interfaces(&[&a, &c]);
    mesh.alter(&a, "[tun]\n", "[tun]\noffload = false\n");
    let _nodes = [&a, &b, &c].map(|host| mesh.start(host));
    mesh.wait_for_way(&a, &c, true);

    stream(&a, mesh.end(&c), STREAM_BYTES / 4);

    assert_eq!([&a, &c].map(has_offload), [false, true]);
    assert_eq!(delivered(&mesh, &a), crossings(&a));
}

/// Makes the datagram with this number: the last of a batch is shorter.
fn datagram(number: u64) -> Vec<u8> {
    let length = if number % DATAGRAMS == DATAGRAMS - 1 { LAST_BYTES } else { DATAGRAM_BYTES };
    number.to_be_bytes().into_iter().cycle().take(length).collect()
}

fn has_offload(host: &Host) -> bool {
    host.run("ip -d link show dev peerbound0").contains("vnet_hdr on")
}

/// Returns how many packets the node gave to its host.
fn delivered(mesh: &Mesh, host: &Host) -> u64 {
    mesh.ask(host, "status")["counters"]["packets_delivered"].as_u64().unwrap()
}

/// Returns in how many pieces the kernel took them.
fn crossings(host: &Host) -> u64 {
    let text = host.run("ip -j -s link show dev peerbound0");
    let links: serde_json::Value = serde_json::from_str(&text).unwrap();
    links[0]["stats64"]["rx"]["packets"].as_u64().unwrap()
}
