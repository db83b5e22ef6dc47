//! The demonstration as a whole: every claim of the ladder, observed.

use peerbound_lab::run_demo;

#[test]
fn every_rung_ends_at_its_lock_and_the_relayed_way_works() {
    let demo = run_demo().unwrap();
    let report = demo.report;

    let locks: Vec<_> = report
        .ladder
        .iter()
        .chain([&report.control])
        .map(|rung| (rung.label.as_str(), rung.lock.as_str(), rung.a_b_alive, rung.holds))
        .collect();
    assert_eq!(
        locks,
        [
            ("0", "kernel", true, true),
            ("1", "demux", true, true),
            ("2a", "record-auth", true, true),
            ("2b", "replay", true, true),
            ("3", "record-auth", true, true),
            ("4", "record-auth", true, true),
            ("5", "none", true, true),
            ("6a", "identity", true, true),
            ("6b", "none", true, true),
            ("control", "killed", false, true),
        ],
        "{report:#?}"
    );
    assert!(report.relay.holds && report.holds, "{report:#?}");
}

#[test]
fn every_session_of_the_demonstration_leaves_its_key_log_line() {
    let demo = run_demo().unwrap();

    // Ten experiments on a chain have two sessions each; in one of them C has its own with A, and in
    // the control A and B end up with a second one.
    assert!(demo.tape.keylog.len() > 11 * 2, "{}", demo.tape.keylog.len());
    assert!(
        demo.tape
            .keylog
            .iter()
            .all(|line| line.starts_with("CLIENT_RANDOM ") && line.len() == 14 + 64 + 1 + 96)
    );
}
