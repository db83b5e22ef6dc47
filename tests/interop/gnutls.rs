//! GnuTLS's `gnutls-serv` and `gnutls-cli`.
//!
//! `gnutls-serv` binds every address and serves one session at a time. Its standard output is
//! buffered by the block, so only what it says on standard error can be waited for.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::end::End;
use crate::pki::PeerFiles;
use crate::process::Process;
use crate::scenario::{self, Manners, Program, ProgramRole};
use crate::tool::Tool;

const SERV: Tool = Tool { name: "gnutls-serv", package: "gnutls-bin" };
const CLI: Tool = Tool { name: "gnutls-cli", package: "gnutls-bin" };

const GNUTLS_SERV: Program = Program {
    tool: SERV,
    command: gnutls_serv,
    restrict,
    role: ProgramRole::Server { ready: "listening on IPv4 0.0.0.0" },
    manners: Manners::Echo,
};

const GNUTLS_CLI: Program = Program {
    tool: CLI,
    command: gnutls_cli,
    restrict,
    role: ProgramRole::Client { farewell: "Peer has closed the GnuTLS connection" },
    manners: Manners::Terminal,
};

/// `bad_certificate` (RFC 5246, 7.2): what `gnutls-cli` says of an unknown authority.
const BAD_CERTIFICATE: u8 = 42;
/// `access_denied`: what `gnutls-serv` says of one.
const ACCESS_DENIED: u8 = 49;

#[test]
fn we_dial_gnutls_serv_and_talk_until_we_close() -> Result<()> {
    GNUTLS_SERV.if_installed(scenario::both_ends_talk_until_we_close)
}

#[test]
fn gnutls_cli_dials_us_and_talks_until_we_close() -> Result<()> {
    GNUTLS_CLI.if_installed(scenario::both_ends_talk_until_we_close)
}

#[test]
fn gnutls_cli_closes_and_we_hear_it() -> Result<()> {
    GNUTLS_CLI.if_installed(|program| scenario::the_program_closes(program, hang_up))
}

#[test]
fn gnutls_serv_speaks_every_suite_of_a_node() -> Result<()> {
    GNUTLS_SERV.if_installed(scenario::every_suite_carries_data)
}

#[test]
fn gnutls_cli_speaks_every_suite_of_a_node() -> Result<()> {
    GNUTLS_CLI.if_installed(scenario::every_suite_carries_data)
}

#[test]
fn gnutls_serv_with_a_certificate_of_an_unknown_authority_is_refused() -> Result<()> {
    GNUTLS_SERV.if_installed(scenario::we_refuse_a_stranger)
}

#[test]
fn gnutls_cli_with_a_certificate_of_an_unknown_authority_is_refused() -> Result<()> {
    GNUTLS_CLI.if_installed(scenario::we_refuse_a_stranger)
}

#[test]
fn gnutls_serv_refuses_us_with_a_certificate_of_an_unknown_authority() -> Result<()> {
    GNUTLS_SERV.if_installed(|program| scenario::a_stranger_of_us_is_refused(program, ACCESS_DENIED))
}

#[test]
fn gnutls_cli_refuses_us_with_a_certificate_of_an_unknown_authority() -> Result<()> {
    GNUTLS_CLI.if_installed(|program| scenario::a_stranger_of_us_is_refused(program, BAD_CERTIFICATE))
}

#[test]
fn gnutls_cli_asks_for_renegotiation_and_our_session_lives_on() -> Result<()> {
    // It takes our alert for nothing fatal and waits for a handshake that does not come.
    GNUTLS_CLI.if_installed(|program| {
        let meeting = scenario::renegotiation_is_refused(program, |process, _| process.say("^renegotiate^"))?;

        ensure!(meeting.process.wait_until_said("A TLS warning alert has been received")?);
        ensure!(meeting.end.session().is_established());
        Ok(())
    })
}

#[test]
fn gnutls_serv_asks_for_renegotiation_and_both_sessions_live_on() -> Result<()> {
    // A line of that text makes it ask. Our alert is no reason for it to stop.
    GNUTLS_SERV.if_installed(|program| {
        let mut meeting =
            scenario::renegotiation_is_refused(program, |_, end| end.send("**REHANDSHAKE**\n"))?;

        let echoes = |end: &End| end.has_received("the session lives on");
        meeting.end.run_until("the echo comes", echoes).with_context(|| meeting.process.transcript())
    })
}

fn gnutls_serv(tool: &Tool, files: &PeerFiles, port: u16) -> Command {
    let mut command = tool.command();
    command.args(["--udp", "--echo", "--require-client-cert", "--verify-client-cert"]);
    command.args(["--port", &port.to_string()]);
    add_common(&mut command, files);
    command
}

fn gnutls_cli(tool: &Tool, files: &PeerFiles, port: u16) -> Command {
    let mut command = tool.command();
    command.args(["--udp", "--inline-commands", "--verify-hostname=us", "--port", &port.to_string()]);
    add_common(&mut command, files);
    command.arg("127.0.0.1");
    command
}

fn add_common(command: &mut Command, files: &PeerFiles) {
    command.arg("--x509certfile").arg(&files.certificate);
    command.arg("--x509keyfile").arg(&files.key);
    command.arg("--x509cafile").arg(&files.roots);
}

fn restrict(command: &mut Command, suite: &'static str) {
    let cipher = match suite {
        "ECDHE-ECDSA-AES128-GCM-SHA256" => "AES-128-GCM",
        "ECDHE-ECDSA-AES256-GCM-SHA384" => "AES-256-GCM",
        _ => "CHACHA20-POLY1305",
    };
    command.arg(format!("--priority=NORMAL:-CIPHER-ALL:+{cipher}"));
}

/// The end of its standard input is the end of its session.
fn hang_up(process: &mut Process) -> Result<()> {
    process.end_input();
    Ok(())
}
