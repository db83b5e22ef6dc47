//! The renewal of an authority: for a time every node trusts two roots, and then the former goes.

use std::fs;

use crate::folder::Folder;
use crate::support::Program;

const BOTH: &str = "\"old/ca.pem\", \"new/ca.pem\"";

fn configure(folder: &Folder, name: &str, (dir, roots): (&str, &str), neighbour: &str) {
    let text = format!(
        "[node]\ncertificate = \"{dir}/{name}.pem\"\nkey = \"{dir}/{name}.key\"\nroots = [{roots}]\n\
         listen = \"127.0.0.1:0\"\n[[neighbour]]\n{neighbour}\n"
    );
    folder.write(&format!("{name}.toml"), text);
}

fn start(folder: &Folder, name: &str) -> (Program, String) {
    let file = format!("{name}.toml");
    let mut node = Program::start(name, &mut folder.command(&["run", "--json", "-c", &file]));
    let ready = node.wait_for("ready", |said| said["event"] == "ready");
    (node, ready["listens"].as_str().unwrap().to_owned())
}

#[test]
fn two_roots_overlap_and_whoever_has_a_certificate_of_the_former_goes_with_it_and_comes_back_renewed() {
    let folder = Folder::empty();
    for arguments in [
        &["pki", "init", "--dir", "old", "--name", "mesh 2026"][..],
        &["pki", "init", "--dir", "new", "--name", "mesh 2027"],
        &["pki", "issue", "A", "--dir", "old"],
        &["pki", "issue", "B", "--dir", "new"],
    ] {
        folder.run(arguments).success();
    }
    configure(&folder, "B", ("new", BOTH), "name = \"A\"\ncertificate = \"old/A.pem\"");
    let (mut b, address) = start(&folder, "B");
    let to_b = format!("name = \"B\"\ncertificate = \"new/B.pem\"\naddress = \"{address}\"");
    configure(&folder, "A", ("old", BOTH), &to_b);
    let (mut a, _) = start(&folder, "A");
    a.wait_for_neighbour("neighbour_up", "B");
    b.wait_for_neighbour("neighbour_up", "A");

    configure(&folder, "B", ("new", "\"new/ca.pem\""), "name = \"A\"\ncertificate = \"old/A.pem\"");
    let reloaded = folder.run(&["reload", "-c", "B.toml", "--json"]).json().remove(0);
    let neighbours = folder.run(&["neighbors", "-c", "B.toml", "--json"]).json().remove(0);

    assert_eq!(reloaded["applied"][0]["key"], "node.certificate", "{reloaded}");
    assert!(neighbours["neighbours"][0]["up_ms"].is_null(), "it is gone at once: {neighbours:#}");
    let down = b.wait_for_neighbour("neighbour_down", "A");
    let reason = down["reason"].as_str().unwrap();
    assert!(reason.starts_with("the certificate of \"A\" is refused: "), "{reason}");
    a.wait_for_neighbour("neighbour_down", "B");

    // The same key, certified by the other authority: the id stays, so B's file does.
    for file in ["A.pem", "A.key"] {
        fs::copy(folder.path(&format!("old/{file}")), folder.path(&format!("new/{file}"))).unwrap();
    }
    let renewed = folder.run(&["pki", "renew", "A", "--dir", "new", "--json"]).json().remove(0);
    configure(&folder, "A", ("new", BOTH), &to_b);
    let reloaded = folder.run(&["reload", "-c", "A.toml", "--json"]).json().remove(0);

    assert_eq!(reloaded["needs_restart"], serde_json::json!([]), "{reloaded}");
    assert_eq!(renewed["issuer"], "mesh 2027");
    b.wait_for_neighbour("neighbour_up", "A");
    a.wait_for_neighbour("neighbour_up", "B");
}
