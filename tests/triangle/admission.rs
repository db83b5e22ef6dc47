//! A node with a trusted certificate that A does not know.

use crate::topology::Topology;

#[test]
fn a_trusted_node_that_is_no_neighbour_is_refused_and_both_sides_say_so() {
    let topology = Topology::new();
    let mut chain = topology.start();
    let mut d = topology.start_run("D");

    let refused = chain.a.wait_for("the refusal", |said| said["event"] == "refused");
    chain.exchange("meanwhile");
    let not_reached = d.wait_for_neighbour("neighbour_not_reached", "A");

    let reason = refused["reason"].as_str().unwrap();
    assert!(reason.contains("\"D\" has a trusted certificate but is not admitted here"), "{reason}");
    assert_eq!(not_reached["address"], format!("127.0.0.1:{}", topology.a_port));
    let a = chain.a.wait();
    assert_eq!(a.code, Some(0), "{a:#?}");
}
