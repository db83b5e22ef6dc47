//! What changes while nodes run: who is a neighbour, and who is believed.

use std::time::Instant;

use crate::host::hosts;
use crate::mesh::Mesh;
use crate::support::{Finished, peerbound};
use crate::wire::link;

#[test]
fn a_neighbour_that_is_added_to_a_running_node_comes_up() {
    let Some([a, b, c]) = hosts(["A", "B", "C"]) else { return };
    let _wires = [link(&a, &b), link(&b, &c)];
    let mesh = Mesh::new(&[&a, &b, &c], &[[&a, &b]]);
    let mut nodes = [&a, &b].map(|host| mesh.start(host));
    nodes[1].wait_for_neighbour("neighbour_up", "A");
    mesh.alter(&c, "[names]", "[[neighbour]]\nname = \"B\"\ncertificate = \"B.pem\"\n[names]");
    mesh.alter(&c, "\nB = \"B.pem\"", "");
    let _late = mesh.start(&c);

    mesh.alter(&b, "\nC = \"C.pem\"", "");
    mesh.add(
        &b,
        &format!("[[neighbour]]\nname = \"C\"\ncertificate = \"C.pem\"\naddress = \"{}\"\n", c.listen()),
    );
    let file = mesh.file(&b).display().to_string();
    let reloaded = Finished::of(&mut peerbound(["reload", "-c", &file, "--json"])).json().remove(0);

    assert!(
        reloaded["applied"].as_array().unwrap().iter().any(|key| key["key"] == "neighbour"),
        "{reloaded}"
    );
    nodes[1].wait_for_neighbour("neighbour_up", "C");
    mesh.wait_for_way(&a, &c, true);
}

#[test]
fn a_node_that_is_revoked_is_parted_from_and_does_not_come_back() {
    let Some([a, b, c]) = hosts(["A", "B", "C"]) else { return };
    let _wires = [link(&a, &b), link(&b, &c)];
    let mesh = Mesh::new(&[&a, &b, &c], &[[&a, &b], [&c, &b]]);
    for host in [&a, &b] {
        mesh.alter(host, "[node]", "[node]\ncrl = [\"crl.pem\"]");
    }
    let [_a_node, mut b_node, mut c_node] = [&a, &b, &c].map(|host| mesh.start(host));
    mesh.wait_for_way(&a, &c, true);

    mesh.revoke(&c);
    let revoked = Instant::now();
    b_node.wait_for_neighbour("neighbour_down", "C");
    println!("revoked: the neighbour has parted after {:?}", revoked.elapsed());
    mesh.wait_for_way(&a, &c, false);

    let sessions = mesh.ask(&b, "sessions");
    let with: Vec<_> = sessions["link"].as_array().unwrap().iter().map(|session| &session["name"]).collect();
    assert_eq!(with, ["A"], "{sessions:#}");
    c_node.wait_for_neighbour("neighbour_down", "B");
    b_node.wait_for("C dials again and is refused", |said| {
        said["event"] == "refused" && said["reason"].as_str().is_some_and(|reason| reason.contains("revoked"))
    });
}
