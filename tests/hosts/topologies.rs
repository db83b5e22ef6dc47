//! `peerbound up --netns`: a host for each node.

use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::host::hosts;
use crate::support::{Finished, Program, peerbound};

/// A user of his own, whose running topologies are nobody else's.
fn user(folder: &TempDir, arguments: &[&str]) -> Command {
    let mut command = peerbound(arguments.iter().copied());
    command.env("XDG_RUNTIME_DIR", folder.path());
    command
}

fn up(folder: &TempDir, topology: &str) -> Option<(Program, Value)> {
    // Says why where there can be no hosts.
    hosts(["one"])?;
    let mut up =
        Program::start("up", &mut user(folder, &["up", topology, "--netns", "--json", "--wait", "60"]));
    let converged = up.wait_for("everyone is there", |said| said["event"] == "converged");
    Some((up, converged))
}

#[test]
fn a_random_graph_of_24_hosts_finds_itself() {
    let folder = tempfile::tempdir().unwrap();
    let Some((mut up, converged)) = up(&folder, "mesh-of-24") else { return };

    println!("24 hosts: everyone is there after {} s", converged["seconds"]);
    assert_eq!(converged["nodes"].as_array().unwrap().len(), 24);
    up.terminate();
    let ended = up.wait();

    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:#?}");
}

#[test]
fn a_command_runs_on_the_host_of_a_node_and_can_cut_its_wires() {
    let folder = tempfile::tempdir().unwrap();
    let Some((mut up, converged)) = up(&folder, "three-node") else { return };
    let exec = |node: &str, command: &[&str]| {
        Finished::of(&mut user(&folder, &[&["exec", node, "--"], command].concat()))
    };

    let addresses = exec("B", &["ip", "-brief", "address"]).success();
    assert!(addresses.contains("to-A") && addresses.contains("to-C"), "{addresses}");
    let (a, b) = (&converged["nodes"][0]["listens"], &converged["nodes"][1]["listens"]);
    assert_eq!((a, b), (&Value::from("10.0.0.1:4433"), &Value::from("10.0.0.2:4433")));
    exec("A", &["ping", "-c1", "-W5", "10.0.0.2"]).success();
    exec("A", &["sh", "-c", "ping -c1 -W20 $PEERBOUND_ADDRESS_C"]).success();
    exec("A", &["ip", "link", "set", "to-B", "down"]).success();
    up.wait_for("A loses B", |said| said["event"] == "neighbour_down" && said["node"] == "A");
    exec("A", &["ip", "link", "set", "to-B", "up"]).success();
    up.wait_for("A has B again", |said| said["event"] == "neighbour_up" && said["node"] == "A");
    up.terminate();

    assert_eq!(up.wait().code, Some(0));
}
