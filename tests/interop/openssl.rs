//! OpenSSL's `s_server` and `s_client`.
//!
//! `-nbio`, because the blocking ones sleep through everything after a datagram they discard;
//! `-mtu`, because on loopback they would take its 64 KiB for a datagram's.

use std::process::Command;

use anyhow::{Result, bail, ensure};
use peerbound_dtls::{CloseReason, Discard, Malformation};

use crate::end::End;
use crate::pki::PeerFiles;
use crate::process::Process;
use crate::scenario::{self, Manners, Program, ProgramRole};
use crate::tool::Tool;

const OPENSSL: Tool = Tool { name: "openssl", package: "openssl" };

const S_SERVER: Program = Program {
    tool: OPENSSL,
    command: s_server,
    restrict,
    role: ProgramRole::Server { ready: "ACCEPT" },
    manners: Manners::Terminal,
};

const S_CLIENT: Program = Program {
    tool: OPENSSL,
    command: s_client,
    restrict,
    role: ProgramRole::Client { farewell: "closed" },
    manners: Manners::Terminal,
};

/// The number of `unknown_ca` (RFC 5246, 7.2).
const UNKNOWN_CA: u8 = 48;

#[test]
fn we_dial_s_server_and_talk_until_we_close() -> Result<()> {
    S_SERVER.if_installed(scenario::both_ends_talk_until_we_close)
}

#[test]
fn s_client_dials_us_and_talks_until_we_close() -> Result<()> {
    S_CLIENT.if_installed(scenario::both_ends_talk_until_we_close)
}

#[test]
fn s_server_leaves_without_a_word_and_our_session_waits() -> Result<()> {
    // Over DTLS 1.2 it closes its socket before it could say close_notify. Nothing in DTLS tells a
    // silent peer from one that is gone: liveness is for whoever owns the session.
    S_SERVER.if_installed(|program| {
        let mut meeting = scenario::established(program)?;

        quit(&mut meeting.process)?;
        meeting.process.wait_until_ended()?;
        meeting.end.send("is anybody there?\n")?;
        meeting.end.step()?;

        ensure!(meeting.end.session().is_established());
        Ok(())
    })
}

#[test]
fn s_server_speaks_in_the_clear_and_our_session_counts_it() -> Result<()> {
    S_SERVER.if_installed(|program| {
        let mut meeting = scenario::established(program)?;

        meeting.process.say("P")?; // it writes a line past its own session
        meeting.end.run_until("it is counted", |end| end.session().discards().total() > 0)?;

        let counted: Vec<_> = meeting.end.session().discards().iter().collect();
        ensure!(counted == [(Discard::Malformed(Malformation::UnknownType), 1)], "{counted:?}");
        meeting.end.send("nothing happened\n")?;
        ensure!(meeting.process.wait_until_said("nothing happened")?);
        Ok(())
    })
}

#[test]
fn s_client_closes_and_we_hear_it() -> Result<()> {
    S_CLIENT.if_installed(|program| scenario::the_program_closes(program, quit))
}

#[test]
fn s_server_speaks_every_suite_of_a_node() -> Result<()> {
    S_SERVER.if_installed(scenario::every_suite_carries_data)
}

#[test]
fn s_client_speaks_every_suite_of_a_node() -> Result<()> {
    S_CLIENT.if_installed(scenario::every_suite_carries_data)
}

#[test]
fn s_server_with_a_certificate_of_an_unknown_authority_is_refused() -> Result<()> {
    S_SERVER.if_installed(scenario::we_refuse_a_stranger)
}

#[test]
fn s_client_with_a_certificate_of_an_unknown_authority_is_refused() -> Result<()> {
    S_CLIENT.if_installed(scenario::we_refuse_a_stranger)
}

#[test]
fn s_server_refuses_us_with_a_certificate_of_an_unknown_authority() -> Result<()> {
    S_SERVER.if_installed(|program| scenario::a_stranger_of_us_is_refused(program, UNKNOWN_CA))
}

#[test]
fn s_client_refuses_us_with_a_certificate_of_an_unknown_authority() -> Result<()> {
    S_CLIENT.if_installed(|program| scenario::a_stranger_of_us_is_refused(program, UNKNOWN_CA))
}

#[test]
fn s_client_asks_for_renegotiation_and_only_itself_ends_the_session() -> Result<()> {
    S_CLIENT.if_installed(|program| {
        let mut meeting = scenario::renegotiation_is_refused(program, |process, _| process.say("R"))?;

        ensure!(meeting.process.wait_until_said("no renegotiation")?, "{}", meeting.process.transcript());
        the_asker_ends_the_session(&mut meeting.end)
    })
}

#[test]
fn s_server_asks_for_renegotiation_and_only_itself_ends_the_session() -> Result<()> {
    S_SERVER.if_installed(|program| {
        let mut meeting = scenario::renegotiation_is_refused(program, |process, _| process.say("r"))?;

        the_asker_ends_the_session(&mut meeting.end)
    })
}

/// OpenSSL makes a fatal error of its own out of our warning, and says so with an alert that verifies.
fn the_asker_ends_the_session(end: &mut End) -> Result<()> {
    end.run_until("the asker gives up", |end| end.closed().is_some())?;
    match end.closed() {
        Some(CloseReason::Failed(reason)) if reason.contains("alert handshake failure") => Ok(()),
        other => bail!("not the asker's alert, but {other:?}"),
    }
}

fn s_server(tool: &Tool, files: &PeerFiles, port: u16) -> Command {
    let mut command = tool.command();
    command.arg("s_server").args(["-accept", &format!("127.0.0.1:{port}")]).args(["-Verify", "1"]);
    add_common(&mut command, files);
    command
}

fn s_client(tool: &Tool, files: &PeerFiles, port: u16) -> Command {
    let mut command = tool.command();
    command.arg("s_client").args(["-connect", &format!("127.0.0.1:{port}")]);
    add_common(&mut command, files);
    command
}

fn add_common(command: &mut Command, files: &PeerFiles) {
    command.args(["-dtls1_2", "-mtu", "1400", "-nbio", "-verify_return_error"]);
    command.arg("-cert").arg(&files.certificate).arg("-key").arg(&files.key);
    command.arg("-CAfile").arg(&files.roots);
}

fn restrict(command: &mut Command, suite: &'static str) {
    command.args(["-cipher", suite]);
}

/// `Q` at the start of a line is a command to both.
fn quit(process: &mut Process) -> Result<()> {
    process.say("Q")
}
