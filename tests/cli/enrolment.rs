//! `pki invite`, `pki serve` and `join`: a token opens the door once, to one key, and to nobody else.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::Value;

use crate::folder::Folder;
use crate::support::Program;

struct Door {
    program: Program,
    at: String,
}

impl Door {
    fn open(folder: &Folder) -> Self {
        let mut program = Program::start(
            "authority",
            &mut folder.command(&["pki", "serve", "--listen", "127.0.0.1:0", "--json"]),
        );
        let ready = program.wait_for("ready", |said| said["event"] == "ready");
        Self { program, at: ready["listens"].as_str().unwrap().to_owned() }
    }

    fn invite(&self, folder: &Folder, arguments: &[&str]) -> String {
        let fixed = ["pki", "invite", "--at", self.at.as_str(), "--json"];
        let all = [&fixed[..], arguments].concat();
        let said: Value = folder.run(&all).json().remove(0);
        said["token"].as_str().unwrap().to_owned()
    }
}

#[test]
fn who_has_the_token_joins_with_a_key_of_his_own() {
    let (authority, host) = (Folder::with_pki(), Folder::empty());
    let mut door = Door::open(&authority);
    let token = door.invite(&authority, &["C", "--prefix", "10.7.0.0/16", "--neighbour", "A@192.0.2.1:4433"]);

    let joined = host.run(&["join", &token, "--json"]).json().remove(0);

    door.program.wait_for("joined", |said| said["event"] == "joined" && said["name"] == "C");
    assert_eq!(joined["config"], "pki/C.toml");
    let checked = host.run(&["check", "pki/C.toml", "--json"]).json();
    assert_eq!(checked[0]["neighbours"], serde_json::json!(["A at 192.0.2.1:4433"]));
    let shown = authority.run(&["pki", "show", "pki/C.pem", "--json"]).json().remove(0);
    assert_eq!((&shown["id"], &shown["prefixes"][0]), (&joined["id"], &"10.7.0.0/16".into()));
    assert!(!authority.path("pki/C.key").exists(), "the key never leaves its host");
    let revoked = authority.run(&["pki", "revoke", "C", "--json"]).json().remove(0);
    assert_eq!(revoked["revoked"], 1);
}

#[test]
fn a_token_works_for_one_key_and_for_that_one_again() {
    let (authority, host, thief) = (Folder::with_pki(), Folder::empty(), Folder::empty());
    let mut door = Door::open(&authority);
    let token = door.invite(&authority, &["C"]);
    host.run(&["join", &token]).success();

    let sentence = thief.run(&["join", &token]).refusal(1);
    assert!(sentence.contains("was used by somebody else"), "{sentence}");
    door.program.wait_for("refused", |said| said["event"] == "refused");
    let sentence = host.run(&["join", &token]).refusal(2);
    assert!(sentence.contains("is there already and is not replaced"), "{sentence}");

    // The answer was lost: the key is there, and nothing else.
    for name in ["C.toml", "C.pem", "ca.pem", "crl.pem"] {
        fs::remove_file(host.path(&format!("pki/{name}"))).unwrap();
    }
    host.run(&["join", &token]).success();
}

#[test]
fn another_authority_is_told_nothing_and_another_secret_opens_nothing() {
    let (authority, other, host) = (Folder::with_pki(), Folder::with_pki(), Folder::empty());
    let (door, others) = (Door::open(&authority), Door::open(&other));
    let misled = authority.run(&["pki", "invite", "D", "--at", &others.at, "--json"]).json().remove(0);
    let misled = misled["token"].as_str().unwrap();

    let sentence = host.run(&["join", misled]).refusal(1);
    assert!(sentence.contains("is not the authority that made this token"), "{sentence}");

    // The secret of a token whose invitation is gone.
    let token = door.invite(&authority, &["E"]);
    fs::remove_file(authority.path("pki/invites.json")).unwrap();
    let sentence = host.run(&["join", &token]).refusal(1);
    assert!(sentence.contains("was never given out"), "{sentence}");
    assert!(!host.path("pki/E.pem").exists() && !authority.path("pki/E.pem").exists());
}

#[test]
fn secrets_are_not_kept_and_wrong_requests_are_refused() {
    let authority = Folder::with_pki();
    let at = ["--at", "127.0.0.1:9"];
    let invite = |arguments: &[&str]| authority.run(&[&["pki", "invite"][..], arguments, &at[..]].concat());
    let token = invite(&["C", "--json"]).json().remove(0)["token"].as_str().unwrap().to_owned();
    let kept = fs::read_to_string(authority.path("pki/invites.json")).unwrap();
    assert!(!kept.contains(&token[20..40]), "{kept}");

    let twice = invite(&["C"]).refusal(2);
    let there = invite(&["A"]).refusal(2);
    let stranger = invite(&["D", "--neighbour", "X@192.0.2.1:1"]).refusal(2);
    let nowhere = authority.run(&["join", &token, "--dir", "new"]).refusal(1);
    let garbage = authority.run(&["join", "pbjoin1-abc"]).refusal(2);

    assert!(twice.contains("is invited already"), "{twice}");
    assert!(there.contains("is there already"), "{there}");
    assert!(stranger.contains("pki/X.pem"), "{stranger}");
    assert!(nowhere.contains("start `peerbound pki serve`"), "{nowhere}");
    assert!(garbage.contains("this is no token"), "{garbage}");
}

#[test]
fn strangers_at_the_door_are_refused_and_do_not_keep_others_out() {
    let (authority, host) = (Folder::with_pki(), Folder::empty());
    let mut door = Door::open(&authority);
    let token = door.invite(&authority, &["C"]);
    // Some who say nothing hold places; others say something else, and are answered at once.
    let silent: Vec<_> = (0..8).map(|_| TcpStream::connect(&door.at).unwrap()).collect();
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xff; 5000], &[]] {
        let mut stream = TcpStream::connect(&door.at).unwrap();
        stream.write_all(garbage).unwrap();
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let _ = stream.read_to_end(&mut Vec::new());
        door.program.wait_for("refused", |said| said["event"] == "refused");
    }

    host.run(&["join", &token]).success();

    drop(silent);
}
