//! Certificates from their issue to their end: prefixes, renewal, revocation, and commands that are killed.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::folder::Folder;
use crate::support::Program;

fn shown(folder: &Folder, file: &str) -> Value {
    folder.run(&["pki", "show", file, "--json"]).json().remove(0)
}

#[test]
fn a_certificate_carries_its_prefixes_and_renewal_keeps_them_and_the_id() {
    let folder = Folder::with_pki();
    folder.run(&["pki", "issue", "C", "--prefix", "10.7.0.0/16", "--prefix", "fd12::/48"]).success();
    let (before, key) = (shown(&folder, "pki/C.pem"), fs::read(folder.path("pki/C.key")).unwrap());
    assert_eq!(before["prefixes"], serde_json::json!(["10.7.0.0/16", "fd12::/48"]));

    folder.run(&["pki", "renew", "C", "--days", "9"]).success();
    let renewed = shown(&folder, "pki/C.pem");
    folder.run(&["pki", "renew", "C", "--prefix", "10.7.4.0/24"]).success();

    assert_eq!((&renewed["id"], &renewed["prefixes"]), (&before["id"], &before["prefixes"]));
    assert_ne!(renewed["not_after"], before["not_after"]);
    assert_eq!(fs::read(folder.path("pki/C.key")).unwrap(), key);
    assert_eq!(shown(&folder, "pki/C.pem")["prefixes"], serde_json::json!(["10.7.4.0/24"]));
}

#[test]
fn what_is_no_prefix_and_too_many_of_them_are_refused() {
    let folder = Folder::with_pki();
    let mut many = vec!["pki".to_owned(), "issue".to_owned(), "C".to_owned()];
    (0..17).for_each(|number| many.extend(["--prefix".to_owned(), format!("10.{number}.0.0/16")]));
    let many: Vec<_> = many.iter().map(String::as_str).collect();

    let of_form = folder.run(&["pki", "issue", "C", "--prefix", "10.7.0.0"]).refusal(2);
    let of_bits = folder.run(&["pki", "issue", "C", "--prefix", "10.7.1.0/16"]).refusal(2);
    let of_number = folder.run(&many).refusal(2);

    assert!(of_form.contains("write one like"), "{of_form}");
    assert!(of_bits.contains("write 10.7.0.0/16"), "{of_bits}");
    assert!(of_number.starts_with("17 prefixes are more than the 16"), "{of_number}");
    assert!(!folder.path("pki/C.pem").exists());
}

#[test]
fn what_is_revoked_is_on_the_list_and_is_not_renewed() {
    let folder = Folder::with_pki();
    let former = fs::read(folder.path("pki/A.pem")).unwrap();
    folder.run(&["pki", "renew", "A"]).success();

    let revoked = folder.run(&["pki", "revoke", "A", "--json"]).json().remove(0);
    assert_eq!((&revoked["number"], &revoked["revoked"]), (&2.into(), &2.into()), "both of them");
    let again = folder.run(&["pki", "revoke", "A", "--json"]).json().remove(0);
    assert_eq!((&again["number"], &again["revoked"]), (&3.into(), &2.into()));

    let sentence = folder.run(&["pki", "renew", "A"]).refusal(2);
    assert!(sentence.contains("is revoked"), "{sentence}");
    folder.write("pki/A.pem", former);
    let sentence = folder.run(&["pki", "renew", "A"]).refusal(2);
    assert!(sentence.contains("is revoked"), "not the former one either: {sentence}");
    let sentence = folder.run(&["pki", "revoke", "nobody"]).refusal(2);
    assert!(sentence.starts_with("nothing was issued to \"nobody\""), "{sentence}");
}

#[test]
fn openssl_takes_our_list_of_what_is_revoked() {
    let folder = Folder::with_pki();
    let verify = |name: &str| {
        let mut command = Command::new("openssl");
        command.current_dir(folder.path("pki"));
        command.args(["verify", "-crl_check", "-CAfile", "ca.pem", "-CRLfile", "crl.pem", name]);
        command.output().expect("openssl is there")
    };
    assert!(verify("A.pem").status.success());

    folder.run(&["pki", "revoke", "A"]).success();

    let refused = verify("A.pem");
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("certificate revoked"), "{refused:?}");
    assert!(verify("B.pem").status.success());
}

#[test]
fn a_check_names_what_is_wrong_and_fails_only_then() {
    let folder = Folder::with_pki();
    folder.run(&["pki", "check"]).success();
    folder.run(&["pki", "issue", "C", "--days", "5"]).success();
    let soon = folder.run(&["pki", "check", "--json"]).json();
    assert!(soon.iter().any(|finding| finding["gravity"] == "soon" && finding["file"] == "pki/C.pem"));

    fs::remove_file(folder.path("pki/crl.pem")).unwrap();
    fs::copy(folder.path("pki/A.key"), folder.path("pki/B.key")).unwrap();
    let wrong = folder.command(&["pki", "check", "--json"]).output().unwrap();

    assert_eq!(wrong.status.code(), Some(1));
    let wrong = String::from_utf8_lossy(&wrong.stdout);
    assert!(wrong.contains("pki/crl.pem") && wrong.contains("does not belong to"), "{wrong}");
    let sentence = folder.run(&["pki", "check", "nowhere"]).refusal(2);
    assert!(sentence.contains("nowhere"), "{sentence}");
}

#[test]
fn a_command_killed_at_any_moment_loses_nothing() {
    let folder = Folder::with_pki();
    for round in 0_u32..24 {
        let name = format!("n{round}");
        folder.run(&["pki", "issue", &name]).success();
        let mut command = folder.command(&["pki", "revoke", &name]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let end = Instant::now() + Duration::from_micros(u64::from(round) * 1500);
        while Instant::now() < end && child.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();

        // Whatever was done of it, the files are whole, and the command can be given again.
        let ledger = fs::read(folder.path("pki/ledger.json")).unwrap();
        serde_json::from_slice::<Value>(&ledger).unwrap();
        let list = fs::read_to_string(folder.path("pki/crl.pem")).unwrap();
        assert!(list.ends_with("-----END X509 CRL-----\n"), "{list}");
        let again = folder.run(&["pki", "revoke", &name, "--json"]).json().remove(0);
        assert_eq!(again["revoked"], Value::from(round + 1), "none of those before is lost");
    }
    folder.run(&["pki", "check"]).success();
}

#[test]
fn a_node_that_sends_for_long_parts_from_whoever_is_revoked_meanwhile() {
    let folder = Folder::with_pki();
    let node = |name: &str, more: &str| {
        format!(
            "[node]\ncertificate = \"pki/{name}.pem\"\nkey = \"pki/{name}.key\"\nroots = [\"pki/ca.pem\"]\n\
             listen = \"127.0.0.1:0\"\n{more}\n"
        )
    };
    folder.write("b.toml", node("B", "[[neighbour]]\nname = \"A\"\ncertificate = \"pki/A.pem\""));
    let mut b = Program::start("B", &mut folder.command(&["run", "--json", "-c", "b.toml"]));
    let ready = b.wait_for("ready", |said| said["event"] == "ready");
    let to_b = format!(
        "crl = [\"pki/crl.pem\"]\n[[neighbour]]\nname = \"B\"\ncertificate = \"pki/B.pem\"\naddress = {}",
        ready["listens"]
    );
    folder.write("a.toml", node("A", &to_b));
    let mut a = Program::start("A", &mut folder.command(&["send", "--json", "-c", "a.toml", "B"]));
    a.wait_for_neighbour("neighbour_up", "B");

    folder.run(&["pki", "revoke", "B"]).success();

    let down = a.wait_for_neighbour("neighbour_down", "B");
    assert!(down["reason"].as_str().unwrap().contains("certificate revoked"), "{down}");
}
