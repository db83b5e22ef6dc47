//! The way that works, and how its nodes end.

use std::net::UdpSocket;

use crate::topology::Topology;

#[test]
fn lines_typed_at_a_come_back_from_c_in_order_through_b() {
    let topology = Topology::new();
    let mut chain = topology.start();
    let lines = ["one", "two", "three: with \"quotes\"", "", "fünf"];

    for line in lines {
        chain.exchange(line);
    }
    let a = chain.a.wait();

    assert_eq!((a.code, a.stderr.as_str()), (Some(0), ""), "{a:#?}");
    let echoes: Vec<_> =
        a.said.iter().filter(|said| said["event"] == "delivered").map(|said| said["text"].clone()).collect();
    assert_eq!(echoes, lines);
}

#[test]
fn a_line_typed_before_c_is_there_waits_for_c() {
    // A's own neighbour was up long before the relay knew the way to C, and the first line was lost
    // to a "no way to C" from the relay.
    let topology = Topology::new();
    let mut b = topology.start_run("B");
    let mut a = topology.start_a();
    a.type_line("anybody there?");
    b.wait_for_neighbour("neighbour_up", "A");
    a.wait_for_neighbour("neighbour_up", "B");

    let _c = topology.start_c();

    a.wait_for("the echo", |said| said["event"] == "delivered" && said["text"] == "anybody there?");
    let a = a.wait();
    assert_eq!((a.code, a.stderr.as_str()), (Some(0), ""), "{a:#?}");
}

#[test]
#[cfg(unix)]
fn a_relay_hands_nothing_out_of_what_it_relays() {
    let topology = Topology::new();
    let mut chain = topology.start();

    chain.exchange("for C alone");
    chain.b.terminate();
    let b = chain.b.wait();

    assert!(b.said.iter().all(|said| said["event"] != "delivered"), "{b:#?}");
}

#[test]
#[cfg(unix)]
fn sigterm_stops_every_kind_of_node_with_exit_code_0_and_frees_its_port() {
    let topology = Topology::new();
    let mut chain = topology.start();
    chain.exchange("hello");

    for program in [&mut chain.a, &mut chain.b, &mut chain.c] {
        program.terminate();
    }
    let [a, b, c] = [chain.a, chain.b, chain.c].map(crate::support::Program::wait);

    assert_eq!([a.code, b.code, c.code], [Some(0); 3], "{a:#?} {b:#?} {c:#?}");
    assert_eq!(b.said.last().unwrap()["event"], "stopped");
    for port in topology.ports() {
        UdpSocket::bind(("127.0.0.1", port)).expect("the port is free again");
    }
}
