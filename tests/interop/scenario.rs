//! What happens between our end and the programs of others: the same stories for every program.

use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use peerbound_dtls::{CloseReason, Refusal};

use crate::end::{End, Listener};
use crate::pki::{PeerFiles, Pki, Signer};
use crate::process::Process;
use crate::tool::Tool;

/// A freshly chosen port can be taken by somebody else before the program binds it.
const PORT_TRIES: usize = 5;

/// The suites that a P-256 certificate allows a node, as OpenSSL names them.
const SUITES: [&str; 3] =
    ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305"];

/// A program of others, in one of its roles.
pub(crate) struct Program {
    pub(crate) tool: Tool,
    pub(crate) command: fn(&Tool, &PeerFiles, u16) -> Command,
    /// Lets the program speak one suite only.
    pub(crate) restrict: fn(&mut Command, &'static str),
    pub(crate) role: ProgramRole,
    pub(crate) manners: Manners,
}

/// Who begins.
pub(crate) enum ProgramRole {
    /// It waits for us, and says this when it does.
    Server { ready: &'static str },
    /// It dials us, and says this when it hears our close_notify.
    Client { farewell: &'static str },
}

/// What a program does with data.
#[derive(Clone, Copy)]
pub(crate) enum Manners {
    /// Prints what it receives and sends what it reads.
    Terminal,
    /// Sends back what it receives.
    Echo,
}

/// A program that runs, and our end of a session with it.
pub(crate) struct Meeting {
    pub(crate) process: Process,
    pub(crate) end: End,
    files: PeerFiles,
}

/// Both ends prove themselves, data goes both ways, and the program hears that we close.
pub(crate) fn both_ends_talk_until_we_close(program: &Program) -> Result<()> {
    let pki = Pki::new()?;

    let mut meeting = meet(program, &pki, Signer::Trusted, Signer::Trusted, |_| ())?;
    meeting.establish()?;
    meeting.talk(program.manners)?;
    meeting.end.close()?;

    ensure!(meeting.end.closed() == Some(&CloseReason::Local));
    let Meeting { process, end, .. } = meeting;
    match program.role {
        ProgramRole::Client { farewell } => {
            ensure!(process.wait_until_said(farewell)?, "{}", process.transcript());
            process.wait_until_ended()
        }
        // Either server serves one at a time: a second session shows that the first is over for it.
        ProgramRole::Server { .. } => {
            let mut again = End::dial(&pki.context("us", Signer::Trusted)?, end.peer_port())?;
            again.run_until("the next session is established", |end| end.session().is_established())
        }
    }
}

/// The program closes, and we hear it.
pub(crate) fn the_program_closes(
    program: &Program,
    say_goodbye: fn(&mut Process) -> Result<()>,
) -> Result<()> {
    let mut meeting = established(program)?;

    say_goodbye(&mut meeting.process)?;
    meeting.end.run_until("the session is over", |end| end.closed().is_some())?;

    ensure!(meeting.end.closed() == Some(&CloseReason::Peer), "{:?}", meeting.end.closed());
    Ok(())
}

/// Every suite of a node protects data both ways.
pub(crate) fn every_suite_carries_data(program: &Program) -> Result<()> {
    let pki = Pki::new()?;
    for suite in SUITES {
        let restrict = |command: &mut Command| (program.restrict)(command, suite);
        let mut meeting = meet(program, &pki, Signer::Trusted, Signer::Trusted, restrict)?;
        meeting.establish()?;

        ensure!(meeting.end.peer()?.suite.name == suite, "{:?} is not {suite}", meeting.end.peer()?);
        meeting.talk(program.manners)?;
    }
    Ok(())
}

/// We refuse a program whose certificate an unknown authority signed, and say why.
pub(crate) fn we_refuse_a_stranger(program: &Program) -> Result<()> {
    let pki = Pki::new()?;

    let mut meeting = meet(program, &pki, Signer::Trusted, Signer::Stranger, |_| ())?;
    meeting.end.run_until("the stranger is refused", |end| end.closed().is_some())?;

    let refusal = Refusal::Certificate {
        name: "them".to_owned(),
        reason: "unable to get local issuer certificate".to_owned(),
    };
    ensure!(meeting.end.closed() == Some(&CloseReason::Refused(refusal)), "{:?}", meeting.end.closed());
    Ok(())
}

/// The program refuses us when an unknown authority signed our certificate. Its alert comes in the
/// clear, so it explains and does not end our attempt: anyone could have sent it.
pub(crate) fn a_stranger_of_us_is_refused(program: &Program, alert: u8) -> Result<()> {
    let pki = Pki::new()?;

    let mut meeting = meet(program, &pki, Signer::Stranger, Signer::Trusted, |_| ())?;
    meeting.end.run_until("an alert is heard", |end| end.session().alert_heard().is_some())?;

    ensure!(meeting.end.session().alert_heard() == Some(alert), "{:?}", meeting.end.session().alert_heard());
    ensure!(!meeting.end.session().is_established() && meeting.end.closed().is_none());
    Ok(())
}

/// The program asks for a renegotiation. We answer with one alert and keep the session we have;
/// what the program makes of that is its own.
pub(crate) fn renegotiation_is_refused(
    program: &Program,
    ask: fn(&mut Process, &mut End) -> Result<()>,
) -> Result<Meeting> {
    let mut meeting = established(program)?;
    let Meeting { process, end, .. } = &mut meeting;
    let secrets = end.session().secrets().cloned();

    ask(process, end)?;
    let sent = end.datagrams_sent();
    end.run_until("the request is answered", |end| end.datagrams_sent() > sent)?;

    ensure!(end.datagrams_sent() == sent + 1, "one alert answers, no handshake");
    ensure!(end.session().secrets() == secrets.as_ref(), "the keys are those of before");
    end.send("the session lives on\n").context("our session did not survive the request")?;
    Ok(meeting)
}

/// Meets a program that is who it should be, and talks.
pub(crate) fn established(program: &Program) -> Result<Meeting> {
    let mut meeting = meet(program, &Pki::new()?, Signer::Trusted, Signer::Trusted, |_| ())?;
    meeting.establish()?;
    meeting.talk(program.manners)?;
    Ok(meeting)
}

impl Program {
    /// Lets a story happen if the program is installed.
    pub(crate) fn if_installed(&self, story: impl FnOnce(&Self) -> Result<()>) -> Result<()> {
        if self.tool.is_installed()? { story(self) } else { Ok(()) }
    }

    fn start(&self, files: &PeerFiles, ready: &str, adapt: impl Fn(&mut Command)) -> Result<(Process, u16)> {
        let mut failure = String::new();
        for _ in 0..PORT_TRIES {
            let port = Listener::new()?.port()?;
            let mut command = (self.command)(&self.tool, files, port);
            adapt(&mut command);
            let process = Process::spawn(&mut command)?;
            if process.wait_until_said(ready)? {
                return Ok((process, port));
            }
            failure = process.transcript();
        }
        bail!("it did not listen in {PORT_TRIES} tries; {failure}")
    }
}

/// Starts a program and lets it meet our end; the handshake has begun.
fn meet(
    program: &Program,
    pki: &Pki,
    our_signer: Signer,
    their_signer: Signer,
    adapt: impl Fn(&mut Command),
) -> Result<Meeting> {
    let context = pki.context("us", our_signer)?;
    let files = pki.files("them", their_signer)?;
    match program.role {
        ProgramRole::Server { ready } => {
            let (process, port) = program.start(&files, ready, adapt)?;
            let end = End::dial(&context, port)?;
            Ok(Meeting { process, end, files })
        }
        ProgramRole::Client { .. } => {
            let listener = Listener::new()?;
            let mut command = (program.command)(&program.tool, &files, listener.port()?);
            adapt(&mut command);
            let process = Process::spawn(&mut command)?;
            let end = listener.accept(&context).with_context(|| process.transcript())?;
            Ok(Meeting { process, end, files })
        }
    }
}

impl Meeting {
    fn establish(&mut self) -> Result<()> {
        let Self { process, end, files } = self;
        end.run_until("the session is established", |end| end.session().is_established())
            .with_context(|| process.transcript())?;
        let peer = end.peer()?;
        ensure!(peer.name == "them" && peer.key == files.key_hash, "{peer:?} is somebody else");
        ensure!(peer.suite.is_aead() && !peer.resumed, "{peer:?} is on other terms");
        Ok(())
    }

    /// Sends a line each way, and one as long as a datagram allows.
    fn talk(&mut self, manners: Manners) -> Result<()> {
        let Self { process, end, .. } = self;
        let longest_bytes = end.session().payload_bytes_max().context("no session")?;
        let longest = format!("{:x<width$}\n", "longest ", width = longest_bytes - 1);
        let lines = ["there and\n".to_owned(), longest];
        for line in &lines {
            end.send(line)?;
            match manners {
                Manners::Terminal => ensure!(process.wait_until_said(line)?, "{}", process.transcript()),
                Manners::Echo => end.run_until("the echo comes", |end| end.has_received(line))?,
            }
        }
        match manners {
            Manners::Terminal => {
                process.say("and back again")?;
                end.run_until("a line comes", |end| end.has_received("and back again"))?;
            }
            Manners::Echo => {}
        }
        ensure!(end.session().discards().total() == 0, "{:?}", end.session().discards());
        Ok(())
    }
}
