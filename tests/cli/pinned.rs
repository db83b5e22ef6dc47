//! Nodes without an authority: their own keys sign, and each has the other's id in its file.

use std::fs;

use serde_json::Value;

use crate::folder::Folder;
use crate::support::Program;

/// Makes a certificate that its own key signs; returns the id.
fn issue(folder: &Folder, name: &str) -> String {
    let issued = folder.run(&["pki", "issue", name, "--self-signed", "--json"]).json().remove(0);
    issued["id"].as_str().unwrap().to_owned()
}

/// Starts a node that has these neighbours, and dials those with an address.
fn start(folder: &Folder, name: &str, neighbours: &[(&str, &str, Option<&str>)]) -> (Program, String) {
    let mut text = format!(
        "[node]\ncertificate = \"pki/{name}.pem\"\nkey = \"pki/{name}.key\"\nadmission = \"pinned\"\n\
         listen = \"127.0.0.1:0\"\n"
    );
    for (neighbour, id, address) in neighbours {
        text += &format!("[[neighbour]]\nname = \"{neighbour}\"\nid = \"{id}\"\n");
        text += &address.map(|address| format!("address = \"{address}\"\n")).unwrap_or_default();
    }
    let file = format!("{name}.toml");
    folder.write(&file, text);
    let mut node = Program::start(name, &mut folder.command(&["run", "--json", "-c", &file]));
    let ready = node.wait_for("ready", |said| said["event"] == "ready");
    (node, ready["listens"].as_str().unwrap().to_owned())
}

#[test]
fn two_nodes_that_pin_each_other_need_no_authority_and_a_third_is_refused() {
    let folder = Folder::empty();
    let [left_id, right_id, stranger_id] = ["left", "right", "stranger"].map(|name| issue(&folder, name));
    assert!(!folder.path("pki/ca.pem").exists() && stranger_id != left_id);

    let (mut right, address) = start(&folder, "right", &[("left", &left_id, None)]);
    let (mut left, _) = start(&folder, "left", &[("right", &right_id, Some(&address))]);
    left.wait_for_neighbour("neighbour_up", "right");
    right.wait_for_neighbour("neighbour_up", "left");

    let (_stranger, _) = start(&folder, "stranger", &[("right", &right_id, Some(&address))]);
    let refused = right.wait_for("the stranger is refused", |said| said["event"] == "refused");
    let reason = refused["reason"].as_str().unwrap();
    assert!(reason.contains("\"stranger\"") && reason.contains("not admitted"), "{reason}");
}

#[test]
fn a_self_signed_certificate_is_renewed_under_a_running_node_and_its_id_stays() {
    let folder = Folder::empty();
    let [left_id, right_id] = ["left", "right"].map(|name| issue(&folder, name));
    let (mut right, address) = start(&folder, "right", &[("left", &left_id, None)]);
    let (mut left, _) = start(&folder, "left", &[("right", &right_id, Some(&address))]);
    left.wait_for_neighbour("neighbour_up", "right");
    let key = fs::read(folder.path("pki/left.key")).unwrap();

    let renewed = folder.run(&["pki", "renew", "left", "--days", "9", "--json"]).json().remove(0);
    let of_prefix = folder.run(&["pki", "renew", "left", "--prefix", "10.7.0.0/16"]).refusal(2);

    assert_eq!((&renewed["id"], fs::read(folder.path("pki/left.key")).unwrap()), (&left_id.into(), key));
    assert!(of_prefix.contains("believed of an authority alone"), "{of_prefix}");
    // The file is taken in by itself; to ask for it tells when it is.
    let reloaded = folder.run(&["reload", "-c", "left.toml", "--json"]).json().remove(0);
    assert_eq!(reloaded["needs_restart"].as_array().map(Vec::len), Some(0), "{reloaded}");
    let neighbours = folder.run(&["neighbors", "-c", "left.toml", "--json"]).json().remove(0);
    assert_eq!(neighbours["neighbours"][0]["state"], "up", "{neighbours:#}");
    right.wait_for_neighbour("neighbour_up", "left");
}

#[test]
fn what_a_self_signed_certificate_is_for_is_printed_and_what_it_cannot_have_is_refused() {
    let folder = Folder::empty();

    let text = folder.run(&["pki", "issue", "left", "--self-signed"]).success();
    let again = folder.run(&["pki", "issue", "left", "--self-signed"]).refusal(2);
    let prefix =
        folder.run(&["pki", "issue", "right", "--self-signed", "--prefix", "10.7.0.0/16"]).refusal(2);
    let checked = folder.run(&["pki", "check", "--json"]).json();

    let shown = folder.run(&["pki", "show", "pki/left.pem", "--json"]).json().remove(0);
    let pin = format!("  [[neighbour]]\n  name = \"left\"\n  id = \"{}\"\n", shown["id"].as_str().unwrap());
    assert!(text.contains("admission = \"pinned\"") && text.ends_with(&pin), "{text}");
    assert_eq!(shown["issuer"], "left");
    assert!(again.contains("is there already and is not replaced"), "{again}");
    assert!(prefix.contains("--prefix"), "{prefix}");
    let is_good = |finding: &Value| finding["gravity"] == "good";
    assert!(!checked.is_empty() && checked.iter().all(is_good), "{checked:#?}");
}
