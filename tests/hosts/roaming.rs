//! A host that gets another address while it talks.

use crate::host::hosts;
use crate::mesh::Mesh;
use crate::talk::Talk;
use crate::wire::link;

#[test]
fn traffic_goes_on_when_the_address_of_its_sender_changes() {
    let Some([a, b, c]) = hosts(["A", "B", "C"]) else { return };
    let _wires = [link(&a, &b), link(&b, &c)];
    let mesh = Mesh::new(&[&a, &b, &c], &[[&a, &b], [&c, &b]]);
    mesh.alter(&a, &format!("listen = \"{}\"", a.listen()), "listen = \"0.0.0.0:4433\"");
    let _relay = mesh.start(&b);
    let mut talk = Talk::start(&mesh, &a, &c);
    talk.until("it runs smoothly", |seen| seen.count() >= 50);

    b.run("ip route add 10.77.0.101 dev to-A");
    a.run(&format!("ip addr del {} peer {} dev to-B", a.address, b.address));
    a.run(&format!("ip addr add 10.77.0.101 peer {} dev to-B", b.address));
    let first = talk.seen.next();
    talk.until("it goes on from the other address", |seen| seen.count_from(first) >= 100);

    println!("another address at the sender: outage {:?}, lost {}", talk.seen.outage(), talk.seen.lost());
}
