//! Five hosts in a ring: there is another way round.

use crate::host::hosts;
use crate::mesh::Mesh;
use crate::talk::Talk;
use crate::wire::link;

#[test]
fn a_wire_that_is_cut_under_traffic_costs_a_moment_and_no_more() {
    let Some([a, b, c, d, e]) = hosts(["A", "B", "C", "D", "E"]) else { return };
    let wires = [link(&a, &b), link(&b, &c), link(&c, &d), link(&d, &e), link(&e, &a)];
    let pairs = [[&a, &b], [&b, &c], [&c, &d], [&d, &e], [&e, &a]];
    let mesh = Mesh::new(&[&a, &b, &c, &d, &e], &pairs);
    let mut near = mesh.start(&b);
    let mut talk = Talk::start(&mesh, &a, &c);
    // These come later, so that the first way is by B alone.
    let [mut far, _between] = [&d, &e].map(|host| mesh.start(host));
    far.wait_for_neighbour("neighbour_up", "C");
    far.wait_for_neighbour("neighbour_up", "E");
    talk.until("it runs smoothly", |seen| seen.count() >= 50);

    wires[1].cut();
    let first = talk.seen.next();
    talk.until("it goes round the other way", |seen| seen.count_from(first) >= 100);

    println!("cut B-C of a ring of five: outage {:?}, lost {}", talk.seen.outage(), talk.seen.lost());
    near.wait_for_neighbour("neighbour_up", "C");
    near.wait_for_neighbour("neighbour_down", "C");
    wires[1].mend();
    near.wait_for_neighbour("neighbour_up", "C");
}
