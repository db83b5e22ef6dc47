//! The commands that ask a running node: what each shows, and what is said where nobody answers.

use serde_json::Value;

use crate::folder::Folder;
use crate::support::{Finished, Program};

/// A, B and C in a row, running: A and C dial B.
struct Chain {
    folder: Folder,
    nodes: Vec<Program>,
}

impl Chain {
    fn new() -> Self {
        let folder = Folder::with_pki();
        folder.run(&["pki", "issue", "C"]).success();
        folder.write("b.toml", node("B", &[("A", None), ("C", None)], ""));
        let mut b = run(&folder, "b.toml");
        let address = b.wait_for("ready", |said| said["event"] == "ready")["listens"].clone();
        let address = address.as_str().unwrap();
        let set = "[[route]]\nto = \"C\"\nvia = \"B\"\n\n[names]\nC = \"pki/C.pem\"\n";
        folder.write("a.toml", node("A", &[("B", Some(address))], set));
        let set = "[[route]]\nto = \"A\"\nvia = \"B\"\n\n[names]\nA = \"pki/A.pem\"\n";
        folder.write("c.toml", node("C", &[("B", Some(address))], set));
        let mut nodes = vec![run(&folder, "a.toml"), run(&folder, "c.toml"), b];
        nodes[0].wait_for_neighbour("neighbour_up", "B");
        nodes[1].wait_for_neighbour("neighbour_up", "B");
        for name in ["A", "C"] {
            nodes[2].wait_for_neighbour("neighbour_up", name);
        }
        Self { folder, nodes }
    }

    fn ask(&self, arguments: &[&str]) -> Finished {
        self.folder.run(arguments)
    }
}

fn run(folder: &Folder, file: &str) -> Program {
    Program::start(file, &mut folder.command(&["run", "-c", file, "--json"]))
}

fn node(name: &str, neighbours: &[(&str, Option<&str>)], rest: &str) -> String {
    let mut text = format!(
        "[node]\ncertificate = \"pki/{name}.pem\"\nkey = \"pki/{name}.key\"\nroots = [\"pki/ca.pem\"]\nlisten = \"127.0.0.1:0\"\n"
    );
    for (name, address) in neighbours {
        text += &format!("\n[[neighbour]]\nname = \"{name}\"\ncertificate = \"pki/{name}.pem\"\n");
        if let Some(address) = address {
            text += &format!("address = \"{address}\"\n");
        }
    }
    text + "\n" + rest
}

fn one(finished: Finished) -> Value {
    let mut values = finished.json();
    assert_eq!(values.len(), 1, "{values:#?}");
    values.remove(0)
}

#[test]
fn every_question_is_answered_in_text_and_in_json() {
    let chain = Chain::new();

    let status = chain.ask(&["status", "-c", "a.toml"]).success();
    assert!(status.starts_with("node       A  "), "{status}");
    assert!(status.contains("\nneighbours 1 of 1 up\n"), "{status}");
    let status = one(chain.ask(&["status", "-c", "a.toml", "--json"]));
    assert_eq!((&status["certificate"]["name"], &status["neighbours"]["up"]), (&"A".into(), &1.into()));

    let neighbours = chain.ask(&["neighbors", "-c", "b.toml"]).success();
    let lines: Vec<_> = neighbours.lines().collect();
    assert!(lines[0].starts_with("NAME  STATE  "), "{neighbours}");
    assert_eq!(lines.iter().filter(|line| line.contains("  up ") && line.contains("by them")).count(), 2);
    let neighbours = one(chain.ask(&["neighbours", "-c", "a.toml", "--json"]));
    assert_eq!(neighbours["neighbours"][0]["dialled_by"], "we");

    let sessions = chain.ask(&["sessions", "-c", "a.toml"]).success();
    assert!(sessions.lines().nth(1).unwrap().starts_with("B     client  "), "{sessions}");
    let sessions = one(chain.ask(&["sessions", "-c", "b.toml", "--json"]));
    assert!(sessions["link"].as_array().unwrap().iter().all(|session| session["role"] == "server"));

    let graph = chain.ask(&["graph", "-c", "a.toml"]).success();
    assert!(graph.starts_with("graph LR\n") && graph.contains("([\"A\"])"), "{graph}");
    assert!(graph.contains("[\"B\"]") && graph.contains("[\"C\"]") && graph.contains(" --- "), "{graph}");
    let graph = chain.ask(&["graph", "--dot", "-c", "a.toml"]).success();
    assert!(graph.starts_with("graph mesh {\n") && graph.ends_with("}\n"), "{graph}");

    let top = chain.ask(&["top", "--once", "-c", "a.toml"]).success();
    assert!(top.starts_with("A  up ") && top.contains("  neighbours 1 of 1  "), "{top}");
    assert!(top.contains("\nNEIGHBOUR  STATE  ") && top.contains("\nTO  VIA  BY      STATE"), "{top}");

    let routes = chain.ask(&["routes", "-c", "a.toml"]).success();
    assert!(routes.contains("\nC   B    static  up "), "{routes}");
    let why = chain.ask(&["routes", "--why", "C", "-c", "a.toml"]).success();
    assert!(why.starts_with("Frames to C go to B: a [[route]] in the configuration"), "{why}");
    assert!(why.lines().all(|line| line.chars().count() <= 80), "{why}");
}

#[test]
fn a_ping_says_of_each_what_came_of_it_and_ends_with_what_came_of_all() {
    let chain = Chain::new();

    let text =
        chain.ask(&["ping", "C", "-c", "a.toml", "--count", "2", "--interval", "5", "--wait", "60000"]);
    let text = text.success();
    let padded = chain.ask(&["ping", "C", "-c", "a.toml", "--count", "1", "--size", "1400"]);

    assert!(text.starts_with("C answers 1: ") && text.contains(" over 2 links, "), "{text}");
    assert!(text.contains("\n2 of 2 pings of 8 bytes to C came back\nround trip: "), "{text}");
    assert_eq!(padded.code, Some(1), "{padded:#?}");
    assert!(padded.stdout.starts_with("C does not answer 1: 1400 bytes do not fit"), "{padded:#?}");
}

#[test]
fn the_log_is_set_and_followed_while_the_node_runs() {
    let chain = Chain::new();
    let mut follower = Program::start(
        "log",
        &mut chain.folder.command(&["log", "debug", "--follow", "-c", "a.toml", "--json"]),
    );
    let set = follower.wait_for("the filter", |said| said["log"] == "filter");

    let again = one(chain.ask(&["log", "warn", "-c", "a.toml", "--json"]));
    let line = follower.wait_for("a line", |said| said["log"] == "line");
    let refused = chain.ask(&["log", "dbug", "-c", "a.toml"]).refusal(2);
    follower.terminate();

    assert_eq!((&set["filter"], &set["before"]), (&"debug".into(), &"warn".into()));
    assert_eq!((&again["filter"], &again["before"]), (&"warn".into(), &"debug".into()));
    assert!(line["line"].as_str().unwrap().contains("The log was set over the control socket"), "{line}");
    assert!(refused.contains("\"dbug\" is no level: write off, error, warn"), "{refused}");
    assert_eq!(follower.wait().code, Some(0));
}

#[test]
fn a_reload_says_key_by_key_what_it_did_and_a_bad_file_changes_nothing() {
    let folder = Folder::with_node();
    let mut node = run(&folder, "a.toml");
    node.wait_for("ready", |said| said["event"] == "ready");

    let unchanged = folder.run(&["reload", "-c", "a.toml"]).success();
    folder.write_altered("[node]\n", "[node]\nmtu = 1300\n");
    let changed = one(folder.run(&["reload", "-c", "a.toml", "--json"]));
    let socket = folder.path(".peerbound/a.sock");
    folder.write("a.toml", "no TOML at all");
    let refused = folder.run(&["reload", "--socket", socket.to_str().unwrap()]).refusal(2);

    assert_eq!(unchanged, "nothing has changed\n");
    assert_eq!(changed["needs_restart"][0]["key"], "node.mtu", "{changed:#}");
    assert!(refused.starts_with("nothing was reloaded: ") && refused.contains("a.toml"), "{refused}");
}

#[test]
fn a_bug_report_has_what_helps_and_no_key() {
    let chain = Chain::new();

    let written = one(chain.ask(&["bugreport", "-c", "a.toml", "--out", "report.json", "--json"]));
    let again = chain.ask(&["bugreport", "-c", "a.toml", "--out", "report.json"]).refusal(2);

    let text = std::fs::read_to_string(chain.folder.path("report.json")).unwrap();
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (&written["file"], written["bytes"].as_u64()),
        (&"report.json".into(), Some(text.len() as u64))
    );
    assert_eq!(report["config"]["node"]["key"], "(removed)");
    assert_eq!(report["config"]["node"]["certificate"], "pki/A.pem");
    assert_eq!(report["neighbours"]["neighbours"][0]["name"], "B");
    let key = std::fs::read_to_string(chain.folder.path("pki/A.key")).unwrap();
    assert!(!text.contains("PRIVATE KEY") && !key.lines().any(|line| text.contains(line)), "{text}");
    assert!(again.starts_with("report.json: cannot be written"), "{again}");
}

#[test]
fn a_way_that_is_down_is_told_of_with_exit_code_1() {
    let mut chain = Chain::new();
    chain.nodes[2].terminate();
    chain.nodes[0].wait_for_neighbour("neighbour_down", "B");

    let why = chain.ask(&["routes", "--why", "C", "-c", "a.toml"]);

    assert_eq!((why.code, why.stderr.as_str()), (Some(1), ""), "{why:#?}");
    assert!(why.stdout.contains("But B is down ("), "{}", why.stdout);
}

#[test]
fn a_node_that_nobody_knows_is_named_with_those_who_are_known() {
    let folder = Folder::with_node();
    let mut node = run(&folder, "a.toml");
    node.wait_for("ready", |said| said["event"] == "ready");

    for command in
        [&["trace", "Z"][..], &["explain", "route", "Z"], &["ping", "Z"], &["routes", "--why", "Z"]]
    {
        let sentence = folder.run(&[command, &["-c", "a.toml"]].concat()).refusal(2);
        assert!(sentence.starts_with("nobody is called \"Z\" (known names: B)"), "{command:?}: {sentence}");
    }
    let id = one(folder.run(&["status", "-c", "a.toml", "--json"]))["id"].as_str().unwrap().to_owned();
    for command in [&["trace", &id][..], &["routes", "--why", &id]] {
        let sentence = folder.run(&[command, &["-c", "a.toml"]].concat()).refusal(2);
        assert!(sentence.contains("this node itself"), "{command:?}: {sentence}");
    }
}

#[test]
fn a_certificate_that_ends_within_a_month_is_warned_of_everywhere_alike() {
    let folder = Folder::with_pki();
    folder.run(&["pki", "issue", "C", "--days", "20"]).success();
    folder.write("c.toml", node("C", &[], ""));
    let mut node = run(&folder, "c.toml");
    node.wait_for("ready", |said| said["event"] == "ready");

    let status = one(folder.run(&["status", "-c", "c.toml", "--json"]));
    let checked = folder.run(&["pki", "check", "c.toml", "--json"]).json();
    node.terminate();
    let log = node.wait().stderr;

    // Within the second of its issue there are 20 whole days left.
    let warning =
        |days| format!("our certificate expires in {days} days: renew it with `peerbound pki renew`");
    assert!([19, 20].into_iter().any(|days| status["warnings"][0] == warning(days)), "{status:#}");
    assert!(checked.iter().any(|finding| finding["gravity"] == "soon"), "{checked:#?}");
    assert!(log.contains("Our certificate expires soon"), "{log}");
}

#[test]
fn the_only_node_that_runs_is_found_and_of_several_one_must_be_named() {
    let folder = Folder::with_node();
    let runtime = folder.path("runtime");
    std::fs::create_dir(&runtime).unwrap();
    let start = |file: &str| {
        let mut command = folder.command(&["run", "-c", file, "--json"]);
        let mut program = Program::start(file, command.env("XDG_RUNTIME_DIR", &runtime));
        program.wait_for("ready", |said| said["event"] == "ready");
        program
    };
    let ask = || Finished::of(folder.command(&["status", "--json"]).env("XDG_RUNTIME_DIR", &runtime));
    let _a = start("a.toml");
    let found = one(ask());
    folder.write("b.toml", node("B", &[], ""));
    let _b = start("b.toml");

    assert_eq!(found["config"], "a.toml");
    let sentence = ask().refusal(2);
    assert!(sentence.contains("several nodes run here: say which is meant with --socket"), "{sentence}");
    assert!(sentence.contains("runtime/peerbound/a.sock, "), "{sentence}");
}

#[test]
fn where_nobody_answers_the_sentence_says_what_to_start() {
    let folder = Folder::with_node();
    folder.write("off.toml", format!("control = \"off\"\n{}", node("A", &[], "")));

    for (arguments, code, part) in [
        (&["status", "-c", "a.toml"][..], 1, "start it with `peerbound run -c FILE`"),
        (&["ping", "B", "--socket", "nowhere.sock"], 1, "no node answers at nowhere.sock"),
        (&["neighbors", "-c", "off.toml"], 2, "control is \"off\": remove that line"),
        (&["routes", "-c", "missing.toml"], 2, "missing.toml: cannot be read"),
        (&["sessions", "-c", "a.toml", "--socket", "x"], 2, "cannot be used with"),
    ] {
        let sentence = folder.run(arguments).refusal(code);
        assert!(sentence.contains(part), "{arguments:?}: {sentence}");
    }
}

#[test]
fn a_node_whose_file_turns_it_off_answers_nobody() {
    let folder = Folder::with_node();
    folder.write("off.toml", format!("control = \"off\"\n{}", node("A", &[], "")));
    let mut node = run(&folder, "off.toml");

    node.wait_for("ready", |said| said["event"] == "ready");

    assert!(!folder.path(".peerbound").exists());
}

#[test]
fn a_socket_that_is_taken_stops_a_node_that_was_to_have_it() {
    let folder = Folder::with_pki();
    let control = "[control]\nsocket = \"shared.sock\"\n";
    folder.write("a.toml", node("A", &[], control));
    folder.write("b.toml", node("B", &[], control));
    let mut a = run(&folder, "a.toml");
    a.wait_for("ready", |said| said["event"] == "ready");

    let sentence = folder.run(&["run", "-c", "b.toml"]).refusal(1);

    assert!(sentence.contains("shared.sock already: stop it, or give this one a `socket`"), "{sentence}");
}
