//! `sim shrink`: a planted failure among things that do not matter.

use std::fs;

use crate::folder::Folder;

/// Four nodes, ten faults, twelve steps and seven expectations, of which two nodes, two steps and one
/// expectation matter, with the gate off.
fn planted() -> String {
    let mut text = "# Planted: the gate is off, and the expectation says that it is there.
schema = 1
name = \"planted\"
title = \"The gate stops an alert in the clear\"
group = \"mine\"
clause = \"RFC 6347, 4.1.2.7\"
meaning = \"It cannot: it is off.\"

[sweep.parameters]
latency = [\"8 ms\", \"9 ms\"]

[nodes]
gate = \"off\"
mtu = 1300

[network]
latency = \"3 ms\"
"
    .to_owned();
    for name in ["A", "B", "C", "D"] {
        text += &format!("\n[[node]]\nname = \"{name}\"\n");
    }
    for (one, other) in [("A", "B"), ("B", "C"), ("C", "D")] {
        text += &format!(
            "\n[[link]]\nbetween = [\"{one}\", \"{other}\"]\ndials = \"{one}\"\nlatency = \"${{latency}}\"\n"
        );
    }
    for number in 1..=10 {
        text += &format!(
            "\n[[fault]]\non = \"C>D\"\nduplicate = {{ record = \"application-data\", nth = {number} }}\n"
        );
        text += &format!(
            "\n[[step]]\nsend = {{ from = \"A\", to = \"D\", payload = \"{number}\", as = \"m{number}\" }}\n"
        );
    }
    text += "\n# The culprit.\n[[step]]\nforge = { type = \"alert\", epoch = 0, body = \"0228\", as = \"alert\" }\n
[[step]]\ninject = { datagram = \"alert\", to = \"A\", source = \"B\", by = \"attacker\", times = 5 }\n";
    for number in 1..=5 {
        text += &format!("\n[[expect]]\nmessage = \"m{number}\"\ndelivered_at = \"D\"\n");
    }
    text + "\n[[expect]]\ndatagram = \"alert\"\nat = \"A\"\nlock = \"gate\"\n\n[[expect]]\nsession = \"A-B\"\nis = \"alive\"\n"
}

#[test]
fn a_planted_failure_is_all_that_is_left_and_fails_as_before() {
    let folder = Folder::empty();
    folder.write("planted.toml", planted());
    let arguments =
        ["sim", "shrink", "planted.toml", "--seed", "3", "--set", "latency=9 ms", "-o", "small.toml"];

    let shrunk = folder.run(&[&arguments[..], &["--json"]].concat()).json();

    let small = fs::read_to_string(folder.path("small.toml")).unwrap();
    let to = &shrunk[0]["to"];
    assert_eq!(shrunk[0]["is_minimal"], true);
    assert_eq!([&to["nodes"], &to["faults"], &to["steps"], &to["expectations"]], [2, 0, 2, 1], "{small}");
    assert!(small.contains("gate = \"off\"") && small.contains("# The culprit."), "{small}");
    let again = folder.run(&["sim", "run", "small.toml"]);
    assert_eq!(again.code, Some(1));
    assert!(again.stdout.contains("planted on sim, seed 3"), "{}", again.stdout);
    assert!(again.stdout.contains("  NOT EXPECTED  alert is dropped at gate at A"), "{}", again.stdout);
    folder
        .run(&["sim", "shrink", "planted.toml", "--seed", "3", "--set", "latency=9 ms", "-o", "twice.toml"])
        .success();
    assert_eq!(small, fs::read_to_string(folder.path("twice.toml")).unwrap());
}

#[test]
fn without_a_file_the_scenario_itself_is_printed() {
    let folder = Folder::empty();
    folder.write("planted.toml", planted());

    let text = folder.run(&["sim", "shrink", "planted.toml", "--runs", "5"]).success();

    folder.write("small.toml", &text);
    assert!(text.starts_with("# Shrunk from planted.toml "), "{text}");
    assert_eq!(folder.run(&["sim", "run", "small.toml"]).code, Some(1));
}

#[test]
fn what_holds_is_not_shrunk_and_no_file_is_left() {
    let folder = Folder::with_scenarios();

    let sentence =
        folder.run(&["sim", "shrink", "direct.toml", "--seed", "4", "-o", "small.toml"]).refusal(2);

    assert!(sentence.starts_with("direct.toml: it does not fail with seed 4"), "{sentence}");
    assert!(!folder.path("small.toml").exists());
}
