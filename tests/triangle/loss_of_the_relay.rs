//! B dies and comes back, while A and C go on.

use crate::topology::Topology;

#[test]
fn a_killed_relay_is_named_to_the_sender_and_traffic_resumes_when_it_is_back() {
    let topology = Topology::new();
    let mut chain = topology.start();
    chain.exchange("before");

    drop(chain.b); // SIGKILL: it says no farewell
    chain.a.wait_for_neighbour("neighbour_down", "B");
    chain.a.type_line("lost");
    let failed = chain.a.wait_for("the failure", |said| said["event"] == "failed");

    let reason = failed["reason"].as_str().unwrap();
    assert!(reason.starts_with("no way to C: neighbour \"B\" is down ("), "{reason}");

    chain.b = topology.start_run("B");
    chain.wait_until_up();
    chain.exchange("after");
    let a = chain.a.wait();

    assert_eq!(a.code, Some(1), "one line was lost: {a:#?}");
}

#[test]
fn a_relay_without_its_next_neighbour_reports_that_it_has_no_way() {
    let topology = Topology::new();
    let mut chain = topology.start();
    chain.exchange("before");

    drop(chain.c);
    chain.b.wait_for_neighbour("neighbour_down", "C");
    chain.a.type_line("lost");
    let failed = chain.a.wait_for("the failure", |said| said["event"] == "failed");

    assert_eq!(failed["reason"], "B reports: it has no way to C");
    assert_eq!(chain.a.wait().code, Some(1));
}
