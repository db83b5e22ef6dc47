//! Three hosts in a row: the ends have no wire between them, and the one in the middle forwards no packet but
//! what its node relays.

use crate::host::hosts;
use crate::mesh::Mesh;
use crate::talk::Talk;
use crate::wire::link;

#[test]
fn lines_cross_a_relay_between_hosts_that_cannot_reach_each_other() {
    let Some([a, b, c]) = hosts(["A", "B", "C"]) else { return };
    let _wires = [link(&a, &b), link(&b, &c)];
    let mesh = Mesh::new(&[&a, &b, &c], &[[&a, &b], [&c, &b]]);
    let _relay = mesh.start(&b);

    let mut talk = Talk::start(&mesh, &a, &c);
    talk.until("a hundred lines arrive", |seen| seen.count() >= 100);

    assert!(a.namespace.run("ping", ["-c1", "-W1", "10.77.0.3"]).is_err(), "there is no other way");
    assert_eq!(talk.seen.lost(), 0, "{:?}", talk.seen);
}
