//! Services carried over the overlay by the stack of our own: A forwards, B relays, C exposes.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};

use peerbound_daemon::{Daemon, Expose, Forward, ServicesConfig, Transport};
use peerbound_wire::NodeId;

use crate::support::{DEADLINE, Members, wait_until};

const PORT: u16 = 80;
const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

#[test]
fn a_stream_crosses_whole_in_both_directions_and_each_end_is_closed_on_its_own() {
    let (_site, [a, _b, c], service) = chain(Transport::Tcp, None);
    let total = 3_000_000;

    let (upward, downward) = (pattern(total, 1), pattern(total, 2));
    let received = std::thread::scope(|scope| {
        let serving = scope.spawn(|| {
            let (mut stream, _) = service.accept().unwrap();
            let mut received = Vec::new();
            // The whole request first: its end is told while the answer is still to come.
            stream.read_to_end(&mut received).unwrap();
            stream.write_all(&downward).unwrap();
            received
        });
        let mut stream = connect(&a);
        stream.write_all(&upward).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        assert!(answer == downward, "{} of {total} bytes came back", answer.len());
        serving.join().unwrap()
    });

    assert!(received == upward, "{} of {total} bytes arrived", received.len());
    for daemon in [&a, &c] {
        let counters = daemon.status().unwrap().forwards.unwrap();
        assert_eq!((counters.connections, counters.connections_failed), (1, 0), "{counters:?}");
    }
}

/// So many connections that a node on a busy machine loses segments of some: each is closed on one side while the other still
/// sends, which is where a stack must not take what it repeats, or asks, for payload.
#[test]
fn many_connections_at_a_time_do_not_mix() {
    const AT_A_TIME: u32 = 60;
    let (_site, [a, _b, _c], service) = chain(Transport::Tcp, None);

    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..AT_A_TIME {
                let (mut stream, _) = service.accept().unwrap();
                std::thread::spawn(move || {
                    let mut bytes = Vec::new();
                    stream.read_to_end(&mut bytes).unwrap();
                    stream.write_all(&bytes).unwrap();
                });
            }
        });
        for seed in 0..AT_A_TIME {
            let a = &a;
            scope.spawn(move || {
                let bytes = pattern(50_000, seed);
                let mut stream = connect(a);
                stream.write_all(&bytes).unwrap();
                stream.shutdown(Shutdown::Write).unwrap();
                let mut echo = Vec::new();
                stream.read_to_end(&mut echo).unwrap();
                assert!(echo == bytes, "{} bytes came back", echo.len());
            });
        }
    });
}

#[test]
fn a_port_that_is_not_exposed_and_a_service_that_is_not_there_break_the_connection() {
    let (_site, [a, _b, c], service) = chain(Transport::Tcp, None);
    // Nobody listens there any more.
    drop(service);

    let mut stream = connect(&a);

    assert!(is_broken(&mut stream));
    wait_until("C counts the failure", || c.status().unwrap().forwards.unwrap().connections_failed == 1);
}

#[test]
fn who_is_not_on_the_list_is_refused() {
    let nobody = NodeId::new([7; 16]);
    let (_site, [a, _b, c], _service) = chain(Transport::Tcp, Some(vec![nobody]));

    let mut stream = connect(&a);

    assert!(is_broken(&mut stream));
    let counters = c.status().unwrap().forwards.unwrap();
    assert!(counters.connections_refused >= 1 && counters.connections == 0, "{counters:?}");
}

#[test]
fn datagrams_cross_and_answers_find_who_asked() {
    let members = Members::new(&["A", "B", "C"]);
    let service = UdpSocket::bind(ANY).unwrap();
    let [a, _b, _c] = chain_to(&members, Transport::Udp, service.local_addr().unwrap(), None);
    let clients = [(); 2].map(|()| {
        let client = UdpSocket::bind(ANY).unwrap();
        client.set_read_timeout(Some(DEADLINE)).unwrap();
        client.connect(a.forwards()[0].1).unwrap();
        client
    });
    service.set_read_timeout(Some(DEADLINE)).unwrap();

    clients[0].send(b"first").unwrap();
    clients[1].send(b"second").unwrap();

    let mut buffer = [0; 2000];
    for _ in &clients {
        let (length, from) = service.recv_from(&mut buffer).unwrap();
        let answer = [b"to the ", &buffer[..length]].concat();
        service.send_to(&answer, from).unwrap();
    }
    for (client, answer) in clients.iter().zip(["to the first", "to the second"]) {
        let length = client.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], answer.as_bytes());
    }
}

#[test]
fn a_datagram_too_long_for_a_packet_is_dropped_and_counted() {
    let members = Members::new(&["A", "B", "C"]);
    let service = UdpSocket::bind(ANY).unwrap();
    let [a, _b, _c] = chain_to(&members, Transport::Udp, service.local_addr().unwrap(), None);
    let client = UdpSocket::bind(ANY).unwrap();
    client.connect(a.forwards()[0].1).unwrap();

    client.send(&[0; 1400]).unwrap();

    wait_until("it is counted", || a.status().unwrap().forwards.unwrap().datagrams_dropped == 1);
}

#[test]
fn an_address_in_use_stops_the_start_with_its_name() {
    let members = Members::new(&["A", "B", "C"]);
    let taken = TcpListener::bind(ANY).unwrap();
    let listen = taken.local_addr().unwrap();
    let forward = Forward { transport: Transport::Tcp, listen, to: members.ids[2], port: PORT };
    let services = ServicesConfig { forwards: vec![forward], exposes: Vec::new() };
    let config = members.config(0, ANY);

    let refusal = Daemon::start(peerbound_daemon::DaemonConfig { services, ..config }).err().unwrap();

    let refusal = refusal.to_string();
    assert!(refusal.starts_with(&format!("the forward from tcp {listen} cannot listen: ")), "{refusal}");
    assert!(refusal.ends_with("; change it in `services`"), "{refusal}");
}

fn chain(transport: Transport, only: Option<Vec<NodeId>>) -> (Members, [Daemon; 3], TcpListener) {
    let members = Members::new(&["A", "B", "C"]);
    let service = TcpListener::bind(ANY).unwrap();
    let daemons = chain_to(&members, transport, service.local_addr().unwrap(), only);
    (members, daemons, service)
}

fn chain_to(
    members: &Members,
    transport: Transport,
    to: SocketAddr,
    only: Option<Vec<NodeId>>,
) -> [Daemon; 3] {
    let forward = Forward { transport, listen: ANY, to: members.ids[2], port: PORT };
    let expose = Expose { transport, port: PORT, to, only };
    let of_a = ServicesConfig { forwards: vec![forward], exposes: Vec::new() };
    let of_c = ServicesConfig { forwards: Vec::new(), exposes: vec![expose] };
    members.chain_with(of_a, of_c)
}

fn connect(daemon: &Daemon) -> TcpStream {
    let stream = TcpStream::connect(daemon.forwards()[0].1).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.set_write_timeout(Some(DEADLINE)).unwrap();
    stream
}

/// Waits for the end of a connection and says whether it broke.
fn is_broken(stream: &mut TcpStream) -> bool {
    matches!(stream.read(&mut [0; 1]), Err(error) if error.kind() == ErrorKind::ConnectionReset)
}

/// Bytes of which no two stretches are alike.
fn pattern(length: usize, seed: u32) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_be_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}
