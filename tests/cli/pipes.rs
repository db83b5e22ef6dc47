//! Readers that go away: no panic, and no complaint about it.

use std::io::Read;
use std::process::{Command, Stdio};

use crate::folder::Folder;

#[test]
fn output_into_a_closed_pipe_is_no_failure() {
    let folder = Folder::with_node();

    for arguments in [
        &["demo"][..],
        &["demo", "--json"],
        &["check", "a.toml"],
        &["pki", "show", "pki/A.pem"],
        &["run", "-c", "a.toml"],
        &["listen", "-c", "a.toml"],
        &["--help"],
    ] {
        let mut command = folder.command(arguments);
        let mut child = command.stdout(closed_pipe()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stderr = String::new();
        child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();

        assert_eq!((child.wait().unwrap().code(), stderr.as_str()), (Some(0), ""), "{arguments:?}");
    }
}

#[test]
fn what_the_demo_is_to_keep_is_kept_even_when_nobody_reads_what_it_tells() {
    let folder = Folder::empty();

    let status = folder.command(&["demo", "--keep", "kept"]).stdout(closed_pipe()).status().unwrap();

    assert_eq!(status.code(), Some(0));
    assert!(folder.path("kept/report.json").exists());
}

#[test]
fn the_log_has_no_colour_in_a_pipe() {
    let folder = Folder::with_node();
    let mut command = folder.command(&["send", "-c", "a.toml", "--wait", "1", "--linger", "0", "B"]);
    command.env("PEERBOUND_LOG", "trace").stdin(Stdio::null());

    let output = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap();

    let log = String::from_utf8(output.stderr).unwrap();
    assert!(!log.is_empty() && !log.contains('\u{1b}'), "{log}");
}

#[test]
fn a_failure_keeps_its_exit_code_when_nobody_reads_why() {
    let folder = Folder::empty();

    for arguments in [&["check", "a.toml"][..], &["chekc"]] {
        let mut command: Command = folder.command(arguments);
        let status = command.stdout(Stdio::null()).stderr(closed_pipe()).status().unwrap();

        assert_eq!(status.code(), Some(2), "{arguments:?}");
    }
}

/// The writing end of a pipe whose reader is gone.
fn closed_pipe() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}
