//! Nodes whose data is carried by several threads, each with a socket and a queue of the interface: streams arrive byte
//! for byte, and no flow of datagrams overtakes itself.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use crate::flow::stream;
use crate::host::{Host, hosts};
use crate::mesh::Mesh;
use crate::support::{DEADLINE, peerbound};
use crate::wire::link;

const THREADS: usize = 3;

/// Bytes of a stream, in each direction, and how many run at a time: so many that all queues have some.
const STREAM_BYTES: usize = 4_000_000;
const STREAMS: usize = 6;

/// Flows of datagrams, datagrams of each, and how many of a flow are sent at a time.
const FLOWS: usize = 8;
const DATAGRAMS: u32 = 1000;
const BURST: u32 = 10;

fn mesh_of_three(a: &Host, b: &Host, c: &Host) -> Mesh {
    let mesh = Mesh::new(&[a, b, c], &[[a, b], [c, b]]).with_interfaces(&[a, c]);
    for host in [a, b, c] {
        mesh.alter(host, "[node]\n", &format!("[node]\nworkers = {THREADS}\nsharing = \"always\"\n"));
    }
    mesh
}

#[test]
fn streams_side_by_side_arrive_as_they_were_sent() {
    let Some([a, b, c]) = hosts(["A", "B", "C"]) else { return };
    let _wires = [link(&a, &b), link(&b, &c)];
    let mesh = mesh_of_three(&a, &b, &c);
    let _nodes = [&a, &b, &c].map(|host| mesh.start(host));
    mesh.wait_for_way(&a, &c, true);

    std::thread::scope(|scope| {
        for _ in 0..STREAMS {
            scope.spawn(|| stream(&a, mesh.end(&c), STREAM_BYTES));
        }
    });

    for host in [&a, &b, &c] {
        let status = mesh.ask(host, "status");
        println!("{}: {}", host.name, status["workers"]);
        assert_eq!(status["workers"]["at_work"], THREADS);
        assert_eq!(status["counters"]["is_conserved"], true);
    }
    assert!(a.run("ip -d link show dev peerbound0").contains("multi_queue"));
    let socket = mesh.folder.path().join("B.sock").display().to_string();
    let text = peerbound(["status", "--socket", &socket]).output().unwrap();
    assert!(String::from_utf8_lossy(&text.stdout).contains("3 carry data"), "{text:?}");
}

#[test]
fn no_flow_of_datagrams_overtakes_itself() {
    let Some([a, b, c]) = hosts(["A", "B", "C"]) else { return };
    let _wires = [link(&a, &b), link(&b, &c)];
    let mesh = mesh_of_three(&a, &b, &c);
    let _nodes = [&a, &b, &c].map(|host| mesh.start(host));
    mesh.wait_for_way(&a, &c, true);
    let bound = |host: &Host| {
        let (host, address) = mesh.end(host);
        let socket = host.namespace.enter("bind", || UdpSocket::bind((address, 0))).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        socket
    };
    let pairs: Vec<_> = (0..FLOWS).map(|_| (bound(&a), bound(&c))).collect();
    for (from, to) in &pairs {
        from.connect(to.local_addr().unwrap()).unwrap();
        to.connect(from.local_addr().unwrap()).unwrap();
    }
    let (from, to) = &pairs[0];
    let end = Instant::now() + DEADLINE;
    loop {
        assert!(Instant::now() < end, "the way carries datagrams");
        let _ = from.send(&u32::MAX.to_be_bytes());
        if to.recv(&mut [0; 4]).is_ok() {
            break;
        }
    }

    let mut arrived = [const { Vec::new() }; FLOWS];
    for first in (0..DATAGRAMS).step_by(BURST as usize) {
        for number in first..first + BURST {
            pairs.iter().for_each(|(from, _)| drop(from.send(&number.to_be_bytes())));
        }
        for ((from, to), arrived) in pairs.iter().zip(&mut arrived) {
            take_burst(to, arrived, first + BURST - 1);
            // Whoever answers moves its flow to the queue of the thread that took the answer in.
            let _ = to.send(b"heard");
            let _ = from.set_nonblocking(true);
            while from.recv(&mut [0; 8]).is_ok() {}
        }
    }

    for (flow, arrived) in arrived.iter().enumerate() {
        assert!(arrived.is_sorted(), "flow {flow} is out of order");
        // What is lost is lost in some queue; order is what is asked for here.
        assert!(arrived.len() > 900, "flow {flow}: {} arrived", arrived.len());
    }
}

/// Takes the numbers of one flow until the last of a burst has come, or none comes any more.
fn take_burst(socket: &UdpSocket, arrived: &mut Vec<u32>, last: u32) {
    let mut buffer = [0; 4];
    while socket.recv(&mut buffer).is_ok() {
        let number = u32::from_be_bytes(buffer);
        if number != u32::MAX {
            arrived.push(number);
        }
        if number == last {
            return;
        }
    }
}
