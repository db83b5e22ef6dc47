//! Whole topologies: every node a program, and none left behind.

use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{DEADLINE, Finished, Program, peerbound};

/// A user of his own, whose running topologies are nobody else's.
struct User {
    runtime: TempDir,
}

impl User {
    fn new() -> Self {
        Self { runtime: tempfile::tempdir().unwrap() }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = peerbound(arguments.iter().copied());
        command.env("XDG_RUNTIME_DIR", self.runtime.path());
        command
    }

    fn run(&self, arguments: &[&str]) -> Finished {
        Finished::of(&mut self.command(arguments))
    }

    /// Starts a topology and waits until everyone is there; returns what is said of it then.
    fn start(&self, arguments: &[&str]) -> (Program, Value) {
        let arguments = [&["up", "--json", "--wait", "60"], arguments].concat();
        let mut up = Program::start("up", &mut self.command(&arguments));
        let converged = up.wait_for("everyone is there", |said| said["event"] == "converged");
        (up, converged)
    }

    /// Lists what lies in the folder of the running topologies.
    fn left_over(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.runtime.path().join("peerbound")).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

#[test]
fn three_nodes_start_find_each_other_and_stop_without_a_trace() {
    let user = User::new();
    let (mut up, converged) = user.start(&["three-node"]);

    let nodes = converged["nodes"].as_array().unwrap();
    let names: Vec<_> = nodes.iter().map(|node| node["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["A", "B", "C"]);
    assert_eq!(nodes[1]["neighbours"], serde_json::json!(["A", "C"]));
    up.terminate();
    let ended = up.wait();

    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:#?}");
    let stopped = ended.said.iter().filter(|said| said["event"] == "stopped");
    assert_eq!(stopped.count(), 3, "{ended:#?}");
    assert_eq!(ended.said.last().unwrap()["event"], "all_stopped");
    assert_eq!(user.left_over(), Vec::<String>::new());
}

#[test]
fn every_line_in_text_stands_behind_the_name_of_its_node() {
    let user = User::new();
    let mut up = Program::start("up", &mut user.command(&["up", "three-node", "--wait", "60"]));
    let begins = |said: &Value, with: &str| said.as_str().is_some_and(|line| line.starts_with(with));

    up.wait_for("B's line", |said| begins(said, "B | node "));
    up.wait_for("the table", |said| begins(said, "Everyone is there"));
    up.terminate();
    let ended = up.wait();

    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(ended.said.iter().any(|said| begins(said, "C | stopped")), "{ended:#?}");
}

#[test]
fn a_command_runs_with_the_files_of_a_node_and_its_exit_code_is_passed_on() {
    let user = User::new();
    let (mut up, converged) = user.start(&["three-node"]);

    let command = ["exec", "B", "--", "sh", "-c", "echo $PEERBOUND_NODE $PEERBOUND_CONFIG; exit 7"];
    let finished = user.run(&command);

    assert_eq!((finished.code, finished.stderr.as_str()), (Some(7), ""), "{finished:#?}");
    let config = converged["nodes"][1]["config"].as_str().unwrap();
    assert_eq!(finished.stdout, format!("B {config}\n"));
    user.run(&["check", config]).success();
    let status = user.run(&["exec", "B", "--", env!("CARGO_BIN_EXE_peerbound"), "status", "--json"]).json();
    assert!(status[0].to_string().contains(converged["nodes"][1]["id"].as_str().unwrap()), "{status:#?}");
    let sentence = user.run(&["exec", "b", "--", "true"]).refusal(2);
    assert_eq!(sentence, "no node \"b\" is running: there are A, B, C");
    let sentence = user.run(&["exec", "A", "--in", "ring", "--", "true"]).refusal(2);
    assert!(
        sentence.starts_with("no topology \"ring\" is running: there are three-node (process "),
        "{sentence}"
    );
    let sentence = user.run(&["exec", "A", "--", "no-such-command"]).refusal(2);
    assert!(sentence.starts_with("no-such-command cannot be run: "), "{sentence}");
    up.terminate();
    assert_eq!(up.wait().code, Some(0));
    let sentence = user.run(&["exec", "A", "--", "true"]).refusal(2);
    assert_eq!(sentence, "no topology is running: start one with `peerbound up`");
}

#[test]
fn a_node_that_ends_is_named_and_takes_the_others_along() {
    let user = User::new();
    let (up, converged) = user.start(&["three-node"]);
    let pid = |node: usize| converged["nodes"][node]["pid"].to_string();

    let status = Command::new("kill").args(["-KILL", &pid(1)]).status().unwrap();
    assert!(status.success());
    let ended = up.wait();

    assert_eq!(ended.code, Some(1), "{ended:#?}");
    let sentence = "peerbound: node B ended (signal: 9 (SIGKILL)), and the others were stopped\n";
    assert_eq!(ended.stderr, sentence);
    assert_eq!(user.left_over(), Vec::<String>::new());
}

#[test]
fn nodes_stop_by_themselves_when_the_program_that_started_them_is_killed() {
    let user = User::new();
    let (up, converged) = user.start(&["three-node"]);
    let pids: Vec<_> = (0..3).map(|node| converged["nodes"][node]["pid"].to_string()).collect();

    drop(up); // SIGKILL: it tidies nothing up

    let end = std::time::Instant::now() + DEADLINE;
    let is_running = |pid: &String| {
        // Whoever has ended may not have been waited for by the system yet.
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        !status.is_empty() && !status.contains("State:\tZ")
    };
    while pids.iter().any(is_running) {
        assert!(std::time::Instant::now() < end, "they run on");
        std::thread::yield_now();
    }
    assert_eq!(user.left_over().len(), 2, "its folder, and what was written down of it");
    let sentence = user.run(&["exec", "A", "--", "true"]).refusal(2);
    assert_eq!(sentence, "no topology is running: start one with `peerbound up`");
    assert_eq!(user.left_over(), Vec::<String>::new(), "whoever looks next tidies up");
}

#[test]
fn what_nodes_as_programs_cannot_be_is_refused_by_its_key() {
    let user = User::new();
    let head = "schema = 1\nname = \"x\"\ntitle = \"X\"\n[[node]]\nname = \"A\"\n[[node]]\nname = \"B\"\n";
    let tail = "[[expect]]\nsession = \"A-B\"\nis = \"alive\"\n";
    let link = "[[link]]\nbetween = [\"A\", \"B\"]\n";
    let cases = [
        (format!("[nodes]\ngate = \"off\"\n{link}"), "`gate` of A: "),
        (format!("[nodes]\nidentity = \"foreign\"\n{link}"), "`identity` of A: "),
        (format!("[network]\nloss = 0.1\n{link}"), "`loss` of the link A-B: "),
        (format!("{link}rate = \"10 Mbit/s\"\n"), "`rate` of the link A-B: "),
        (format!("{link}admits = \"A\"\n"), "`admits` of the link A-B: "),
        (format!("{link}[[host]]\nname = \"H\"\n"), "`host` \"H\": "),
        (format!("{link}[[fault]]\non = \"A>B\"\ndrop = {{}}\n"), "`fault`: "),
        (format!("{link}[[nat]]\nname = \"home\"\nin_front_of = [\"A\"]\n"), "`nat` \"home\": "),
        (format!("{link}[[listener]]\non = \"A\"\nas = \"ear\"\n"), "`listener` \"ear\": "),
    ];
    for (body, beginning) in cases {
        let file = user.runtime.path().join("x.toml");
        std::fs::write(&file, format!("{head}{body}{tail}")).unwrap();

        let sentence = user.run(&["up", &file.display().to_string()]).refusal(2);

        let expected = format!("{}: {beginning}", file.display());
        assert!(sentence.starts_with(&expected), "{sentence}\n{body}");
    }
}

#[test]
fn a_name_that_nobody_knows_is_answered_with_those_there_are() {
    let user = User::new();

    let sentence = user.run(&["up", "three-nodes"]).refusal(2);
    assert_eq!(
        sentence,
        "there is no topology \"three-nodes\": did you mean \"three-node\"?; a file is named with its .toml"
    );
    let sentence = user.run(&["up", "mesh-1000"]).refusal(2);
    assert!(sentence.starts_with("mesh-1000.toml: 1000 nodes are more than the 64 "), "{sentence}");
}

#[test]
fn files_are_kept_where_they_are_wanted_and_nothing_is_replaced() {
    let user = User::new();
    let kept = user.runtime.path().join("kept");
    let path = kept.display().to_string();
    let (mut up, _) = user.start(&["three-node", "--keep", &path]);

    up.terminate();
    assert_eq!(up.wait().code, Some(0));

    for file in ["A.toml", "B.toml", "C.toml", "pki/ca.pem", "pki/B.pem", "pki/B.key"] {
        assert!(kept.join(file).exists(), "{file}");
    }
    let sentence = user.run(&["up", "three-node", "--keep", &path]).refusal(2);
    assert!(sentence.starts_with(&format!("{path}: is not empty, ")), "{sentence}");
}
