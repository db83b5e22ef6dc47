//! The three nodes of `examples/three-node`, as a reader starts them.

use std::fs;
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::ports::free_port;
use crate::support::{Finished, peerbound};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/three-node");
const FILES: [&str; 4] = ["a.toml", "b.toml", "c.toml", "run.sh"];

#[test]
fn the_files_of_the_example_are_good_once_its_certificates_are_made() {
    let folder = copy([7001, 7002, 7003]);
    let in_folder = |arguments: &[&str]| {
        Finished::of(peerbound(arguments.iter().copied()).current_dir(folder.path())).success()
    };

    let before = Finished::of(peerbound(["check", "a.toml"]).current_dir(folder.path())).refusal(2);
    assert!(before.ends_with("make the file with `peerbound pki`"), "{before}");
    in_folder(&["pki", "init"]);
    for name in ["A", "B", "C"] {
        in_folder(&["pki", "issue", name]);
    }

    for (file, listens, neighbours) in [("a.toml", 7001, 1), ("b.toml", 7002, 2), ("c.toml", 7003, 1)] {
        let checked = in_folder(&["check", file, "--json"]);
        let checked: serde_json::Value = serde_json::from_str(&checked).unwrap();
        assert_eq!(checked["listens"], format!("127.0.0.1:{listens}"));
        assert_eq!(checked["neighbours"].as_array().unwrap().len(), neighbours);
    }
}

#[test]
#[cfg(unix)]
fn the_script_of_the_example_brings_the_echo_and_leaves_nothing_running() {
    let ports = [free_port(), free_port(), free_port()];
    let folder = copy(ports);
    let mut script = Command::new("sh");
    script.arg(folder.path().join("run.sh")).env("PEERBOUND", env!("CARGO_BIN_EXE_peerbound"));

    for run in ["without certificates", "with those of the first run"] {
        let output = Finished::of(script.stdin(Stdio::null())).success();

        assert_eq!(output, "A sends: Are you there, C?\nC: Are you there, C?\n", "{run}");
        for port in ports {
            UdpSocket::bind(("127.0.0.1", port)).expect("the port is free again");
        }
    }
}

#[test]
#[cfg(unix)]
fn the_script_of_the_example_fails_when_a_node_cannot_start() {
    let ports = [free_port(), free_port(), free_port()];
    let folder = copy(ports);
    let _taken = UdpSocket::bind(("127.0.0.1", ports[1])).unwrap();
    let mut script = Command::new("sh");
    script.arg(folder.path().join("run.sh")).env("PEERBOUND", env!("CARGO_BIN_EXE_peerbound"));

    let failed = Finished::of(script.stdin(Stdio::null()));

    assert_eq!(failed.code, Some(1), "{failed:#?}");
    assert!(failed.stderr.contains("run.sh: a node stopped by itself; B said:"), "{failed:#?}");
    assert!(failed.stderr.contains("cannot be bound"), "{failed:#?}");
}

/// Copies the example, with other ports, so that tests and readers do not meet.
fn copy(ports: [u16; 3]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in FILES {
        let text = fs::read_to_string(Path::new(FOLDER).join(file)).unwrap();
        let text = ["7001", "7002", "7003"]
            .iter()
            .zip(ports)
            .fold(text, |text, (port, other)| text.replace(port, &other.to_string()));
        fs::write(folder.path().join(file), text).unwrap();
    }
    folder
}
