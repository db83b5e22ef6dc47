//! What `pki` writes, and what it refuses to.

use std::fs;

use crate::folder::Folder;

#[test]
fn an_authority_is_not_replaced() {
    let folder = Folder::with_pki();
    let before = fs::read(folder.path("pki/ca.key")).unwrap();

    let sentence = folder.run(&["pki", "init"]).refusal(2);

    assert!(sentence.starts_with("pki/ca.pem is there already and is not replaced: "), "{sentence}");
    assert_eq!(fs::read(folder.path("pki/ca.key")).unwrap(), before);
}

#[test]
fn a_node_s_key_is_not_replaced_even_when_its_certificate_is_gone() {
    let folder = Folder::with_pki();
    fs::remove_file(folder.path("pki/A.pem")).unwrap();

    let sentence = folder.run(&["pki", "issue", "A"]).refusal(2);

    assert!(sentence.starts_with("pki/A.key is there already"), "{sentence}");
    assert!(!folder.path("pki/A.pem").exists());
}

#[test]
fn a_missing_authority_is_answered_with_how_to_make_one() {
    let sentence = Folder::empty().run(&["pki", "issue", "A"]).refusal(2);

    assert!(sentence.starts_with("pki/ca.pem: the authority is missing"), "{sentence}");
    assert!(sentence.contains("`peerbound pki init`"), "{sentence}");
}

#[test]
fn an_authority_that_is_garbage_is_named() {
    let folder = Folder::with_pki();

    folder.write("pki/ca.key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
    let of_key = folder.run(&["pki", "issue", "C"]).refusal(2);
    folder.write("pki/ca.pem", "no certificate");
    let of_certificate = folder.run(&["pki", "issue", "C"]).refusal(2);

    assert_eq!(of_key, "pki/ca.key: it holds no readable PEM private key");
    assert_eq!(of_certificate, "pki/ca.pem: it holds no readable PEM certificate");
}

#[test]
fn the_key_of_another_authority_is_noticed() {
    let folder = Folder::with_pki();
    folder.run(&["pki", "init", "--dir", "other"]).success();
    fs::copy(folder.path("other/ca.key"), folder.path("pki/ca.key")).unwrap();

    let sentence = folder.run(&["pki", "issue", "C"]).refusal(2);

    assert!(sentence.starts_with("pki/ca.key: the private key does not belong to"), "{sentence}");
}

#[test]
fn names_that_are_no_file_names_are_refused_before_anything_is_written() {
    let folder = Folder::with_pki();
    let long = "n".repeat(64);
    let before = fs::read_dir(folder.path("pki")).unwrap().count();

    for name in ["", ".hidden", "..", "a/b", "../A", "a b", "a\nb", "ä", "ca", "CA", &long] {
        folder.run(&["pki", "issue", "--", name]).refusal(2);
    }
    for name in ["", " ", "a\nb", &"n".repeat(65)] {
        folder.run(&["pki", "init", "--dir", "other", "--name", name]).refusal(2);
    }

    assert_eq!(fs::read_dir(folder.path("pki")).unwrap().count(), before);
    assert!(!folder.path("other").exists());
}

#[test]
fn names_of_the_greatest_length_are_taken() {
    let folder = Folder::empty();

    folder.run(&["pki", "init", "--name", &"ü".repeat(64)]).success();
    folder.run(&["pki", "issue", &"n".repeat(63)]).success();
}

#[test]
#[cfg(unix)]
fn keys_can_be_read_by_their_owner_only_and_certificates_by_all() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::with_pki();
    let mode = |file: &str| fs::metadata(folder.path(file)).unwrap().permissions().mode() & 0o777;

    assert_eq!([mode("pki/ca.key"), mode("pki/A.key")], [0o600; 2]);
    assert_eq!([mode("pki/ca.pem") & 0o400, mode("pki/A.pem") & 0o400], [0o400; 2]);
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let folder = Folder::empty();
    folder.write("file", "");

    let sentence = folder.run(&["pki", "init", "--dir", "file/pki"]).refusal(2);

    assert!(sentence.starts_with("file/pki: the folder cannot be made: choose another"), "{sentence}");
}

#[test]
fn what_holds_no_certificate_cannot_be_shown() {
    let folder = Folder::with_pki();

    for (file, problem) in
        [("pki/A.key", "it holds no readable PEM certificate"), ("pki/Z.pem", "cannot be read")]
    {
        let sentence = folder.run(&["pki", "show", file]).refusal(2);
        assert!(sentence.starts_with(&format!("{file}: {problem}")), "{sentence}");
    }
}
