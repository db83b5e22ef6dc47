//! Many datagrams by one system call, out and in, and what the kernel says when it will not.

use std::net::{SocketAddr, UdpSocket};

use peerbound_daemon::BatchSocket;
use peerbound_node::Transmit;

use crate::support::wait_until;

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

fn batch(destination: SocketAddr, segments: u8, segment_bytes: usize, last_bytes: usize) -> Transmit {
    let mut bytes: Vec<u8> = (1..segments).flat_map(|number| vec![number; segment_bytes]).collect();
    bytes.extend(vec![segments; last_bytes]);
    Transmit { destination, bytes, segment_bytes }
}

/// Receives until so many datagrams have come; returns them.
fn receive(socket: &mut BatchSocket, count: usize) -> Vec<Vec<u8>> {
    let mut datagrams = Vec::new();
    wait_until("every datagram arrives", || {
        // WouldBlock until they are there.
        let _ = socket.receive(|_, datagram| datagrams.push(datagram.to_vec()));
        datagrams.len() >= count
    });
    datagrams
}

#[test]
fn a_batch_keeps_its_datagrams_apart_and_in_order() {
    let mut sender = BatchSocket::bind(LOOPBACK).unwrap();
    let mut receiver = BatchSocket::bind(LOOPBACK).unwrap();
    let batch = batch(receiver.local_address().unwrap(), 40, 1200, 77);

    sender.send(&batch, 0).unwrap();

    let received = receive(&mut receiver, 40);
    let sent: Vec<_> = batch.datagrams().map(<[u8]>::to_vec).collect();
    assert_eq!(received, sent);
}

#[test]
#[cfg(target_os = "linux")]
fn forty_datagrams_are_sent_by_one_call_and_received_by_fewer_than_forty() {
    let mut sender = BatchSocket::bind(LOOPBACK).unwrap();
    let mut receiver = BatchSocket::bind(LOOPBACK).unwrap();

    sender.send(&batch(receiver.local_address().unwrap(), 40, 1200, 1200), 0).unwrap();
    receive(&mut receiver, 40);

    assert_eq!(sender.counters().send_calls, 1, "UDP GSO is in every Linux since 4.18");
    assert!(receiver.counters().receive_calls < 40, "{:?}", receiver.counters());
}

#[test]
fn plain_sockets_see_ordinary_datagrams() {
    let mut sender = BatchSocket::bind(LOOPBACK).unwrap();
    let receiver = UdpSocket::bind(LOOPBACK).unwrap();

    sender.send(&batch(receiver.local_addr().unwrap(), 3, 500, 20), 0).unwrap();

    let mut buffer = [0; 2048];
    let lengths = [(); 3].map(|()| receiver.recv(&mut buffer).unwrap());
    assert_eq!(lengths, [500, 500, 20]);
}

#[test]
fn a_datagram_that_the_kernel_refuses_is_counted_and_does_not_stop_the_next() {
    let mut sender = BatchSocket::bind(LOOPBACK).unwrap();
    let mut receiver = BatchSocket::bind(LOOPBACK).unwrap();
    let destination = receiver.local_address().unwrap();
    // No UDP datagram is longer than 65,507 bytes over IPv4.
    let oversized = batch(destination, 1, 65_600, 65_600);

    sender.send(&oversized, 0).unwrap();
    sender.send(&batch(destination, 1, 100, 100), 0).unwrap();

    assert_eq!(sender.counters().send_errors, 1);
    assert_eq!(receive(&mut receiver, 1), [vec![1; 100]]);
}
