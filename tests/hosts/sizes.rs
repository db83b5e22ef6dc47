//! Wires that carry less than they did, and do not say so.

use std::time::Instant;

use crate::flow::{Connection, Flow, stream};
use crate::host::{Host, hosts};
use crate::mesh::Mesh;
use crate::wire::link;

/// What the wires carry, and what is left of that.
const WIDE: u16 = 4000;
const NARROW: u16 = 1700;

/// Bytes of the datagrams: with all that is put around them more than the narrow wire takes.
const DATAGRAM_BYTES: usize = 1650;

/// What a link takes at least that has found out how wide its wire is.
const FRAME_BYTES: u64 = 1900;

/// Bytes that are echoed over one connection of TCP.
const STREAM_BYTES: usize = 100_000;

#[test]
fn large_packets_pass_again_after_the_path_has_shrunk_without_a_word() {
    let Some([a, b, c]) = hosts(["A", "B", "C"]) else { return };

    pass_again_after_a_wire_has_shrunk([&a, &b, &c], [&a, &b]);
}

#[test]
fn large_packets_pass_again_after_a_path_behind_a_relay_has_shrunk_without_a_word() {
    let Some([a, b, c]) = hosts(["A", "B", "C"]) else { return };

    pass_again_after_a_wire_has_shrunk([&a, &b, &c], [&b, &c]);
}

/// Sends from A to C by way of B, while the wire between `near` and `far` comes to carry less.
#[track_caller]
fn pass_again_after_a_wire_has_shrunk([a, b, c]: [&Host; 3], [near, far]: [&Host; 2]) {
    let wires = [link(a, b), link(b, c)];
    wires.iter().for_each(|wire| wire.widen(WIDE));
    let mesh = Mesh::new(&[a, b, c], &[[a, b], [c, b]]).with_interfaces(&[a, c]);
    for host in [a, b, c] {
        mesh.alter(host, "[node]", "[node]\nmtu = 2000");
    }
    let _nodes = [a, b, c].map(|host| mesh.start(host));
    mesh.wait_for_way(a, c, true);
    // Before that the kernel learns of a narrow path, and believes it for minutes.
    for (host, neighbour) in [(a, b), (b, a), (b, c), (c, b)] {
        mesh.wait_until(host, "neighbours", |answer| frame_bytes(answer, neighbour) > Some(FRAME_BYTES));
    }
    let mut flow = Flow::new(mesh.end(a), mesh.end(c), DATAGRAM_BYTES);
    flow.until("it runs smoothly", |seen| seen.count() >= 50);
    let connection = Connection::new(a, mesh.end(c));

    let wire = wires.iter().find(|wire| wire.is_between(near, far)).unwrap();
    wire.swallow_above(NARROW);
    let first = flow.seen.next();
    let echo = std::thread::spawn(move || connection.echo(STREAM_BYTES));
    flow.until("the link finds out", |_| frame_bytes(&mesh.ask(near, "neighbours"), far) < Some(FRAME_BYTES));
    let found_out = Instant::now();
    flow.until("they pass again", |seen| seen.count_from(first) >= 100);

    let later = flow.seen.first_from(first).unwrap().saturating_duration_since(found_out);
    println!("the path shrank: outage {:?}, lost {}", flow.seen.outage(), flow.seen.lost());
    println!("the first arrived {later:?} after the link had found out");
    println!("a connection from before took {:?} for {STREAM_BYTES} bytes", echo.join().unwrap());
    println!("one from after took {:?}", stream(a, mesh.end(c), STREAM_BYTES));
}

fn frame_bytes(neighbours: &serde_json::Value, name: &Host) -> Option<u64> {
    let neighbours = neighbours["neighbours"].as_array().unwrap();
    let neighbour = neighbours.iter().find(|neighbour| neighbour["name"] == name.name);
    neighbour.unwrap()["frame_bytes_max"].as_u64()
}
