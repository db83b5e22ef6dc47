//! What nodes do for programs of their hosts: services without an interface, and names.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::time::{Duration, Instant};

use crate::flow::stream_by;
use crate::host::{Host, hosts};
use crate::mesh::Mesh;
use crate::support::DEADLINE;
use crate::wire::link;

/// Bytes of a stream, in each direction.
const STREAM_BYTES: usize = 300_000;

/// How long an answer is waited for, before it is asked again.
const PATIENCE: Duration = Duration::from_secs(1);

/// What an answer says of a name that there is not (RFC 1035, 4.1.1).
const NO_SUCH_NAME: u8 = 3;

/// Where a forward listens.
const BY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);

#[test]
fn services_of_a_host_are_reached_through_a_relay_without_an_interface_at_either_end() {
    let Some([a, b, c]) = hosts(["A", "B", "C"]) else { return };
    let _wires = [link(&a, &b), link(&b, &c)];
    let mesh = Mesh::new(&[&a, &b, &c], &[[&a, &b], [&c, &b]]);
    let streams = c.namespace.enter("bind", || TcpListener::bind("127.0.0.1:0")).unwrap();
    let datagrams = c.namespace.enter("bind", || UdpSocket::bind("127.0.0.1:0")).unwrap();
    let (tcp, udp) = (streams.local_addr().unwrap(), datagrams.local_addr().unwrap());
    mesh.add(&a, &format!("[services]\nforward = [\"tcp {BY} -> C:80\", \"udp {BY} -> C:80\"]\n"));
    mesh.add(&c, &format!("[services]\nexpose = [\"tcp 80 -> {tcp} for A\", \"udp 80 -> {udp} for A\"]\n"));
    let _nodes = [&a, &b, &c].map(|host| mesh.start(host));
    mesh.wait_for_way(&a, &c, true);
    mesh.wait_for_way(&c, &a, true);

    let took = stream_by(&a, BY, streams, STREAM_BYTES);
    println!("TCP by a forward through a relay, there and back: {took:?}");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut heard = [0; 64];
            datagrams.set_read_timeout(Some(DEADLINE)).unwrap();
            let (length, from) = datagrams.recv_from(&mut heard).unwrap();
            datagrams.send_to(&[&b"you said "[..], &heard[..length]].concat(), from).unwrap();
        });
        assert_eq!(answer_from(BY, b"hello", &a), b"you said hello");
    });

    assert!(!a.run("ip -brief link").contains("peerbound"), "no interface was needed");
}

#[test]
fn nodes_have_names_at_the_interface_of_a_host() {
    let Some([a, b, c]) = hosts(["A", "B", "C"]) else { return };
    let _wires = [link(&a, &b), link(&b, &c)];
    let mesh = Mesh::new(&[&a, &b, &c], &[[&a, &b], [&c, &b]]).with_interfaces(&[&a]);
    mesh.add(&a, "[resolver]\n");
    let _node = mesh.start(&a);
    let resolver = (mesh.overlay(&a), 53).into();

    for host in [&a, &b, &c] {
        let answer = answer_from(resolver, &question(host.name), &a);
        assert!(answer.ends_with(&mesh.overlay(host).octets()), "{}: {answer:?}", host.name);
    }
    let answer = answer_from(resolver, &question("nobody"), &a);

    assert_eq!(answer[3] & 0x0f, NO_SUCH_NAME, "{answer:?}");
}

/// Sends a datagram from a host until one comes back.
#[track_caller]
fn answer_from(there: SocketAddr, asked: &[u8], host: &Host) -> Vec<u8> {
    let here = if there.is_ipv4() { "127.0.0.1:0" } else { "[::]:0" };
    let socket = host.namespace.enter("bind", || UdpSocket::bind(here)).unwrap();
    socket.connect(there).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let (mut heard, end) = ([0; 2048], Instant::now() + DEADLINE);
    loop {
        socket.send(asked).unwrap();
        match socket.recv(&mut heard) {
            Ok(length) => return heard[..length].to_vec(),
            Err(error) => assert!(Instant::now() < end, "{there} says within {DEADLINE:?}: {error}"),
        }
    }
}

/// Asks for the IPv6 address of a node (RFC 1035, 4.1; RFC 3596, 2.1). The record of the answer stands last in
/// the message, and the address last in the record.
fn question(node: &str) -> Vec<u8> {
    let mut message = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in [node, "peerbound", ""] {
        message.push(u8::try_from(label.len()).expect("names are short"));
        message.extend(label.as_bytes());
    }
    message.extend([0, 28, 0, 1]);
    message
}
