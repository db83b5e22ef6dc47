//! A relay that is killed, and started again.

use std::time::Instant;

use crate::host::hosts;
use crate::mesh::Mesh;
use crate::talk::Talk;
use crate::wire::link;

#[test]
fn a_relay_that_was_killed_carries_traffic_again_once_it_is_started() {
    let Some([a, b, c]) = hosts(["A", "B", "C"]) else { return };
    let _wires = [link(&a, &b), link(&b, &c)];
    let mesh = Mesh::new(&[&a, &b, &c], &[[&a, &b], [&c, &b]]);
    let relay = mesh.start(&b);
    let mut talk = Talk::start(&mesh, &a, &c);
    talk.until("it runs smoothly", |seen| seen.count() >= 50);

    drop(relay); // SIGKILL: it says no farewell
    let started = Instant::now();
    let _relay = mesh.start(&b);
    let first = talk.seen.next();
    talk.until("it carries again", |seen| seen.count_from(first) >= 50);

    let again = talk.seen.first_from(first).expect("some arrived").duration_since(started);
    println!("relay killed and started at once: carries again {again:?} after its start");
}

#[test]
fn a_relay_that_was_long_gone_carries_traffic_again_once_it_is_started() {
    let Some([a, b, c]) = hosts(["A", "B", "C"]) else { return };
    let _wires = [link(&a, &b), link(&b, &c)];
    let mesh = Mesh::new(&[&a, &b, &c], &[[&a, &b], [&c, &b]]);
    let relay = mesh.start(&b);
    let mut talk = Talk::start(&mesh, &a, &c);

    drop(relay);
    talk.sender.wait_for_neighbour("neighbour_down", "B");
    talk.listener.wait_for_neighbour("neighbour_down", "B");
    let started = Instant::now();
    let _relay = mesh.start(&b);
    let first = talk.seen.next();
    talk.until("it carries again", |seen| seen.count_from(first) >= 50);

    let again = talk.seen.first_from(first).expect("some arrived").duration_since(started);
    println!("relay gone until its neighbours knew: carries again {again:?} after its start");
}
