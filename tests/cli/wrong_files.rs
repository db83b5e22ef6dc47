//! Configuration files that are no good. What each value may be is tried in the daemon's own tests;
//! here is how the program answers.

use peerbound_daemon::unix_seconds;
use peerbound_dtls::{Authority, Validity};

use crate::folder::Folder;

const COMMANDS: [&[&str]; 4] = [
    &["check", "a.toml"],
    &["run", "-c", "a.toml"],
    &["listen", "-c", "a.toml"],
    &["send", "-c", "a.toml", "B"],
];

#[test]
fn every_command_that_reads_a_configuration_names_a_missing_file() {
    let folder = Folder::empty();

    for command in COMMANDS {
        let sentence = folder.run(command).refusal(2);
        assert!(sentence.starts_with("a.toml: cannot be read: "), "{sentence}");
    }
}

#[test]
fn every_command_that_reads_a_configuration_names_line_and_key_of_a_mistake() {
    let folder = Folder::with_pki();
    folder.write_altered("listen", "listn");

    for command in COMMANDS {
        let sentence = folder.run(command).refusal(2);
        assert!(sentence.starts_with("a.toml:5: unknown field `listn`"), "{sentence}");
    }
}

#[test]
fn a_folder_and_an_endless_file_are_no_configurations() {
    let folder = Folder::empty();

    let of_folder = folder.run(&["check", "."]).refusal(2);

    assert!(of_folder.starts_with(".: cannot be read: "), "{of_folder}");
    #[cfg(target_os = "linux")]
    assert_eq!(
        folder.run(&["check", "/dev/zero"]).refusal(2),
        "/dev/zero: cannot be read: it is larger than 4194304 bytes"
    );
}

#[test]
fn an_expired_certificate_is_named_with_its_owner_and_end() {
    let folder = Folder::with_node();
    let now = unix_seconds();
    let authority = Authority::generate("root", Validity::days(now, 1)).unwrap();
    let over = Validity { not_before: now - 7200, not_after: now - 3600 };
    let identity = authority.issue("A", over).unwrap();
    folder.write("pki/ca.pem", authority.certificate_to_pem().unwrap());
    folder.write("pki/A.pem", identity.certificates_to_pem().unwrap());
    folder.write("pki/A.key", identity.key_to_pem().unwrap());

    let sentence = folder.run(&["check", "a.toml"]).refusal(2);

    assert!(sentence.starts_with("pki/A.pem: the certificate of \"A\" expired on "), "{sentence}");
    assert!(sentence.ends_with(": issue another one"), "{sentence}");
}

#[test]
fn files_of_no_utf_8_and_of_no_sense_get_one_sentence_and_no_panic() {
    let folder = Folder::with_pki();
    let nested = "a = ".to_owned() + &"[".repeat(200_000);
    let dotted = "a".to_owned() + &".a".repeat(200_000) + " = 1";
    let long_key = "k".repeat(100_000) + " = 1";

    for text in [
        &b"\xff\xfe\x00"[..],
        b"",
        b"\0\0\0\0",
        b"\x1b[2J = \"\x1b[31m\"",
        b"[node]\n[node]",
        b"node = 1",
        b"[[node]]",
        b"\"\\u001b[31m\" = 1",
        b"\"a\\nb\\r\\nc\" = 1",
        b"'''",
        nested.as_bytes(),
        dotted.as_bytes(),
        long_key.as_bytes(),
    ] {
        folder.write("a.toml", text);
        let sentence = folder.run(&["check", "a.toml"]).refusal(2);
        assert!(sentence.starts_with("a.toml"), "{sentence}");
        assert!(!sentence.chars().any(char::is_control), "{sentence:?}");
    }
}
