//! `--json`: each line of standard output is one JSON value, whatever the command.

use crate::folder::Folder;
use crate::support::Program;

#[test]
fn commands_that_end_by_themselves_print_json() {
    let folder = Folder::with_node();

    let of_issue = folder.run(&["pki", "issue", "C", "--json"]).json();
    let of_init = folder.run(&["--json", "pki", "init", "--dir", "other"]).json();
    let of_show = folder.run(&["pki", "show", "pki/C.pem", "--json"]).json();
    let of_check = folder.run(&["check", "a.toml", "--json"]).json();

    assert_eq!(of_issue, of_show);
    assert_eq!((&of_show[0]["name"], &of_show[0]["issuer"]), (&"C".into(), &"peerbound CA".into()));
    assert_eq!(of_init[0]["name"], "peerbound CA");
    assert_eq!(of_check[0]["neighbours"], serde_json::json!(["B at 127.0.0.1:9"]));
}

#[test]
fn one_line_is_printed_for_each_certificate_in_a_file() {
    let folder = Folder::with_pki();
    let chain = ["pki/A.pem", "pki/ca.pem"].map(|file| std::fs::read(folder.path(file)).unwrap()).concat();
    folder.write("chain.pem", chain);

    let shown = folder.run(&["pki", "show", "chain.pem", "--json"]).json();

    assert_eq!(shown.iter().map(|shown| shown["name"].clone()).collect::<Vec<_>>(), ["A", "peerbound CA"]);
}

#[test]
#[cfg(unix)]
fn nodes_print_json_from_their_start_to_their_end() {
    let folder = Folder::with_node();

    for command in [&["run", "-c", "a.toml", "--json"][..], &["listen", "-c", "a.toml", "--json"]] {
        let mut program = Program::start("A", &mut folder.command(command));
        program.wait_for("ready", |said| said["event"] == "ready");
        program.terminate();

        let ended = program.wait();
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:#?}");
        assert!(ended.said.iter().all(|said| said["event"].is_string()), "{ended:#?}");
    }
}

#[test]
fn a_line_that_was_not_sent_is_a_json_line_of_its_own() {
    let folder = Folder::with_node();
    let mut sender =
        Program::start("A", &mut folder.command(&["send", "-c", "a.toml", "--json", "--wait", "0", "B"]));

    sender.type_line("anyone?");
    let ended = sender.wait();

    assert_eq!((ended.code, ended.stderr.as_str()), (Some(1), ""), "{ended:#?}");
    assert_eq!(ended.said[0]["event"], "failed");
}
