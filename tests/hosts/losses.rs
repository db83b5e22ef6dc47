//! Wires that lose without a word.

use crate::host::hosts;
use crate::mesh::Mesh;
use crate::talk::Talk;
use crate::wire::link;

#[test]
fn a_wire_that_works_one_way_only_is_given_up_at_both_ends_and_traffic_goes_round() {
    let Some([a, b, c]) = hosts(["A", "B", "C"]) else { return };
    let [_, direct, _] = [link(&a, &b), link(&a, &c), link(&b, &c)];
    let mesh = Mesh::new(&[&a, &b, &c], &[[&a, &b], [&a, &c], [&c, &b]]);
    let _relay = mesh.start(&b);
    let mut talk = Talk::start(&mesh, &a, &c);
    talk.listener.wait_for_neighbour("neighbour_up", "A");
    talk.until("it runs smoothly", |seen| seen.count() >= 50);

    // A still hears C, and C hears nothing of A.
    direct.lose(&c);
    let first = talk.seen.next();
    talk.until("it goes by way of B", |seen| seen.count_from(first) >= 100);

    println!("one way of A-C lost: outage {:?}, lost {}", talk.seen.outage(), talk.seen.lost());
    talk.sender.wait_for_neighbour("neighbour_down", "C");
    talk.listener.wait_for_neighbour("neighbour_down", "A");
    direct.lose_nothing(&c);
    talk.listener.wait_for_neighbour("neighbour_up", "A");
}
