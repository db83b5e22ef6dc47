//! The demonstration as a whole: every claim of the ladder, observed.

use anyhow::{Context as _, Result, ensure};
use peerbound_lab::run_demo;
use tempfile::tempdir;

use crate::tshark::read_with_tshark;

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

#[test]
fn in_the_capture_every_hop_of_the_relay_decrypts_and_no_direct_reply_does() -> Result<()> {
    let demo = run_demo()?;
    let directory = tempdir()?;
    let file = directory.path().join("demo.pcapng");
    let mut bytes = Vec::new();
    demo.tape.to_capture()?.write_to(&mut bytes)?;
    std::fs::write(&file, bytes)?;

    let Some(rows) = read_with_tshark(&file)? else {
        return Ok(());
    };

    let hops = |payload: &[u8]| rows.iter().filter(|row| row.plaintext.ends_with(payload)).count();
    // Each of two hops is seen by its sender and by its receiver.
    ensure!(hops(b"C, are you there?") == 4, "the request is read {} times", hops(b"C, are you there?"));
    ensure!(hops(b"Yes, A: by way of B.") == 4, "the reply is read {} times", hops(b"Yes, A: by way of B."));
    // Rung 0 ends in the kernel, and only its sender sees it.
    for rung in ["rung 0", "rung 1", "rung 2b", "rung 4"] {
        let row = rows.iter().find(|row| row.comment.starts_with(&format!("{rung}:")));
        let row = row.with_context(|| format!("{rung} is not in the capture"))?;
        ensure!(row.plaintext.is_empty(), "{rung} was decrypted: {row:?}");
    }
    let verdict =
        rows.iter().find(|row| row.comment == "at A: dropped at demux").context("no verdict of demux")?;
    let sent = rows.iter().find(|row| row.comment.starts_with("rung 1:")).context("no rung 1")?;
    ensure!(verdict.packet_id == sent.packet_id, "the two ends of a datagram have two ids");
    Ok(())
}
