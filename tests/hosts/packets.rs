//! Programs of the hosts use the overlay by its addresses, through the interface of their nodes.

use crate::flow::{Flow, stream};
use crate::host::{Host, hosts};
use crate::mesh::Mesh;
use crate::wire::link;

/// Bytes of a stream, in each direction.
const STREAM_BYTES: usize = 1_000_000;

#[test]
fn udp_and_tcp_pass_through_a_relay_by_overlay_addresses() {
    let Some([a, b, c]) = hosts(["A", "B", "C"]) else { return };
    let _wires = [link(&a, &b), link(&b, &c)];
    let mesh = Mesh::new(&[&a, &b, &c], &[[&a, &b], [&c, &b]]).with_interfaces(&[&a, &c]);
    let _nodes = [&a, &b, &c].map(|host| mesh.start(host));
    let mut flow = Flow::new(mesh.end(&a), mesh.end(&c), 1200);
    flow.until("the first datagram arrives", |seen| seen.count() > 0);

    let first = flow.seen.next();
    flow.until("a hundred arrive", |seen| seen.count_from(first) >= 100);
    let took = stream(&a, mesh.end(&c), STREAM_BYTES);

    let mbit = STREAM_BYTES as f64 * 16.0 / took.as_secs_f64() / 1e6;
    println!(
        "TCP through a relay, there and back: {took:?}, {mbit:.0} Mbit/s; UDP lost {}",
        flow.seen.lost()
    );
    let ping = a.namespace.run("ping", ["-c1", "-W20", &mesh.overlay(&c).to_string()]).unwrap();
    assert!(ping.contains(" 0% packet loss"), "{ping}");
}

#[test]
fn packets_go_round_the_other_way_when_a_wire_is_cut_under_them() {
    let Some([a, b, c, d, e]) = hosts(["A", "B", "C", "D", "E"]) else { return };
    let wires = [link(&a, &b), link(&b, &c), link(&c, &d), link(&d, &e), link(&e, &a)];
    let pairs: [[&Host; 2]; 5] = [[&a, &b], [&b, &c], [&c, &d], [&d, &e], [&e, &a]];
    let mesh = Mesh::new(&[&a, &b, &c, &d, &e], &pairs).with_interfaces(&[&a, &c]);
    let _near = [&a, &b, &c].map(|host| mesh.start(host));
    let mut flow = Flow::new(mesh.end(&a), mesh.end(&c), 200);
    flow.until("the first datagram arrives", |seen| seen.count() > 0);
    // These come later, so that the first way is by B alone.
    let [mut far, _between] = [&d, &e].map(|host| mesh.start(host));
    far.wait_for_neighbour("neighbour_up", "C");
    far.wait_for_neighbour("neighbour_up", "E");
    let first = flow.seen.next();
    flow.until("it runs smoothly", |seen| seen.count_from(first) >= 100);

    wires[1].cut();
    let first = flow.seen.next();
    flow.until("it goes round the other way", |seen| seen.count_from(first) >= 100);

    println!("cut under UDP: outage {:?}, lost {}", flow.seen.outage(), flow.seen.lost());
    stream(&a, mesh.end(&c), STREAM_BYTES / 10);
}
