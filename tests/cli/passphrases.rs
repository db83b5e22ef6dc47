//! An authority whose key is encrypted.

use crate::folder::Folder;
use crate::support::Finished;

const VARIABLE: &str = "PEERBOUND_CA_PASSPHRASE";

/// A folder with an authority encrypted by the first line of `passphrase`.
fn encrypted() -> Folder {
    let folder = Folder::empty();
    folder.write("passphrase", "correct horse\nsecond line\n");
    folder.run(&["pki", "init", "--passphrase-file", "passphrase"]).success();
    let key = std::fs::read_to_string(folder.path("pki/ca.key")).unwrap();
    assert!(key.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"), "{key}");
    folder
}

#[test]
fn the_first_line_of_a_file_opens_the_key() {
    let folder = encrypted();

    folder.run(&["pki", "issue", "A", "--passphrase-file", "passphrase"]).success();
}

#[test]
fn the_variable_opens_the_key_and_closes_it() {
    let folder = encrypted();
    let with_variable =
        |arguments: &[&str]| Finished::of(folder.command(arguments).env(VARIABLE, "correct horse"));

    with_variable(&["pki", "issue", "A"]).success();
    with_variable(&["pki", "init", "--dir", "other"]).success();

    folder.run(&["pki", "issue", "A", "--dir", "other", "--passphrase-file", "passphrase"]).success();
}

#[test]
fn the_file_goes_before_the_variable() {
    let folder = encrypted();
    let mut command = folder.command(&["pki", "issue", "A", "--passphrase-file", "passphrase"]);

    Finished::of(command.env(VARIABLE, "wrong")).success();
}

#[test]
fn a_missing_passphrase_is_answered_with_how_to_give_it() {
    let sentence = encrypted().run(&["pki", "issue", "A"]).refusal(2);

    assert_eq!(
        sentence,
        "pki/ca.key: it is encrypted: give its passphrase by --passphrase-file or PEERBOUND_CA_PASSPHRASE"
    );
}

#[test]
fn a_wrong_passphrase_is_called_wrong() {
    let folder = encrypted();

    let sentence = Finished::of(folder.command(&["pki", "issue", "A"]).env(VARIABLE, "wrong")).refusal(2);

    assert_eq!(sentence, "pki/ca.key: the passphrase does not open it: give the one it was made with");
}

#[test]
fn an_empty_an_endless_and_a_missing_passphrase_are_named_by_their_place() {
    let folder = encrypted();
    folder.write("empty", "\nsecond line");
    folder.write("long", "p".repeat(1025));

    for (file, problem) in [
        ("empty", "empty: its first line, the passphrase, is empty"),
        ("long", "long: its first line, the passphrase, is longer than 1024 bytes"),
        ("none", "none: the passphrase cannot be read from it"),
    ] {
        let sentence = folder.run(&["pki", "issue", "A", "--passphrase-file", file]).refusal(2);
        assert!(sentence.starts_with(problem), "{sentence}");
    }
    let sentence = Finished::of(folder.command(&["pki", "issue", "A"]).env(VARIABLE, "")).refusal(2);
    assert!(sentence.starts_with("PEERBOUND_CA_PASSPHRASE: its first line"), "{sentence}");
}

#[test]
fn an_encrypted_key_is_no_key_for_a_node_and_the_way_out_is_told() {
    let folder = Folder::with_node();
    let encrypted = std::fs::read(encrypted().path("pki/ca.key")).unwrap();
    folder.write("pki/A.key", encrypted);

    let sentence = folder.run(&["check", "a.toml"]).refusal(2);

    assert!(sentence.starts_with("a.toml: node.key: pki/A.key is encrypted"), "{sentence}");
    assert!(sentence.contains("openssl pkey"), "{sentence}");
}
