//! `peerbound demo`: the ladder, as its readers and programs see it.

use std::path::Path;

use serde_json::Value;

use crate::support::{Finished, peerbound};

/// Every rung and the lock that stops the direct reply there.
const LADDER: [(&str, &str); 9] = [
    ("0", "kernel"),
    ("1", "demux"),
    ("2a", "record-auth"),
    ("2b", "replay"),
    ("3", "record-auth"),
    ("4", "record-auth"),
    ("5", "none"),
    ("6a", "identity"),
    ("6b", "none"),
];

#[test]
fn the_demo_tells_every_rung_to_a_reader() {
    let told = Finished::of(&mut peerbound(["demo"])).success();

    for (label, lock) in LADDER {
        assert!(told.contains(&format!("rung {label}  lock: {lock}")), "rung {label}:\n{told}");
    }
    assert!(told.contains("The negative control"), "{told}");
    assert!(told.contains("Every observation is what was claimed."), "{told}");
}

#[test]
fn the_demo_fits_an_ordinary_terminal() {
    let told = Finished::of(&mut peerbound(["demo"])).success();

    for line in told.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
}

#[test]
fn every_rung_stops_the_direct_reply_at_the_claimed_lock() {
    let report = Finished::of(&mut peerbound(["demo", "--json"])).json().swap_remove(0);

    let ladder = report["ladder"].as_array().unwrap();
    let stopped: Vec<_> =
        ladder.iter().map(|rung| (rung["label"].as_str().unwrap(), rung["lock"].as_str().unwrap())).collect();
    assert_eq!(stopped, LADDER);
    assert!(ladder.iter().chain([&report["control"]]).all(|rung| rung["holds"] == true), "{report:#}");
    assert_eq!(report["holds"], true);
    assert_eq!(report["relay"]["holds"], true);
}

#[test]
fn a_stolen_key_makes_the_owner_s_next_record_a_replay() {
    let report = Finished::of(&mut peerbound(["demo", "--json"])).json().swap_remove(0);

    let rung = report["ladder"].as_array().unwrap().iter().find(|rung| rung["label"] == "5").unwrap();
    assert_eq!(rung["lock"], "none", "it is accepted: {rung:#}");
    let follow_up = rung["follow_up"]["observed"].as_str().unwrap();
    assert!(follow_up.contains("replay"), "{follow_up}");
}

#[test]
fn one_wrong_record_kills_the_session_of_the_old_note_and_no_other() {
    let report = Finished::of(&mut peerbound(["demo", "--json"])).json().swap_remove(0);

    assert_eq!(report["control"]["lock"], "killed", "{:#}", report["control"]);
    assert_eq!(report["control"]["a_b_alive"], false);
    let alive = |rung: &Value| rung["a_b_alive"] == true;
    assert!(report["ladder"].as_array().unwrap().iter().all(alive), "{report:#}");
}

#[test]
fn what_the_demo_keeps_can_be_read_and_is_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("kept");
    let dir = kept.display().to_string();

    let report = Finished::of(&mut peerbound(["demo", "--json", "--keep", &dir])).json().swap_remove(0);

    for node in report["nodes"].as_array().unwrap() {
        let file = kept.join(node["name"].as_str().unwrap()).with_extension("pem").display().to_string();
        let shown = Finished::of(&mut peerbound(["pki", "show", &file, "--json"])).json().swap_remove(0);
        assert_eq!((&shown["id"], &shown["overlay"]), (&node["id"], &node["overlay"]));
    }
    for secret in ["A.key", "B.key", "C.key", "keylog.txt"] {
        assert_is_private(&kept.join(secret));
    }
    let written: Value = serde_json::from_slice(&std::fs::read(kept.join("report.json")).unwrap()).unwrap();
    assert_eq!(written, report);
    let again = Finished::of(&mut peerbound(["demo", "--keep", &dir])).refusal(2);
    assert!(again.starts_with(&dir), "{again}");
}

#[cfg(unix)]
fn assert_is_private(file: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "{}", file.display());
}

#[cfg(not(unix))]
fn assert_is_private(_: &Path) {}
