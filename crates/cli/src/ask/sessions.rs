//! `peerbound sessions`: the keys that a running node has in use.

use std::collections::BTreeMap;

use clap::Args;
use peerbound_daemon::control::answers::{InnerSessionAnswer, SessionAnswer, SessionsAnswer};

use crate::ask::status::reasons;
use crate::ask::{Nothing, Target, failure};
use crate::columns::{paragraph, table};
use crate::outcome::{CommandResult, Outcome};
use crate::output::Output;
use crate::spans::span;

#[derive(Args)]
#[command(after_help = "Examples:\n  peerbound sessions\n  peerbound sessions -c node.toml --json")]
pub(crate) struct SessionsArguments {
    #[command(flatten)]
    target: Target,
}

pub(crate) fn sessions(arguments: &SessionsArguments, output: &Output) -> CommandResult {
    let answer: SessionsAnswer = arguments.target.connect()?.ask("sessions", &Nothing {}).map_err(failure)?;
    output.result(&answer, || text(&answer))?;
    Ok(Outcome::Held)
}

fn text(answer: &SessionsAnswer) -> String {
    if answer.link.is_empty() && answer.inner.is_empty() {
        return "no session is established".to_owned();
    }
    let mut lines =
        table(&["WITH", "WE ARE", "AGE", "SENT", "RECEIVED", "REKEY", "CIPHER"], answer.link.iter().map(row));
    for session in &answer.link {
        lines.extend(discarded(session));
    }
    if !answer.inner.is_empty() {
        lines.push(String::new());
        let headings = ["END TO END", "STATE", "FOR", "WE ARE", "SENT", "RECEIVED", "PATH", "CIPHER"];
        lines.extend(table(&headings, answer.inner.iter().map(inner_row)));
    }
    for session in &answer.inner {
        if let Some(error) = &session.last_error {
            lines.extend(paragraph(&format!("{}: last trouble: ", session.node.name), 2, error));
        }
    }
    lines.join("\n")
}

fn row(session: &SessionAnswer) -> Vec<String> {
    vec![
        session.node.name.clone(),
        session.role.clone(),
        span(session.age_ms),
        session.records_sent.to_string(),
        session.records_received.to_string(),
        match (session.is_being_replaced, session.role.as_str()) {
            (true, _) => "now".to_owned(),
            (false, "client") => format!("in {}", span(session.rekey_in_ms)),
            (false, _) => "by them".to_owned(),
        },
        session.suite.clone(),
    ]
}

fn inner_row(session: &InnerSessionAnswer) -> Vec<String> {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    vec![
        session.node.name.clone(),
        session.state.clone(),
        span(session.since_ms),
        or_dash(session.role.clone()),
        session.records_sent.to_string(),
        session.records_received.to_string(),
        or_dash(session.path_mtu.map(|bytes| bytes.to_string())),
        or_dash(session.suite.clone()),
    ]
}

/// Says at which lock records were held up.
fn discarded(session: &SessionAnswer) -> Vec<String> {
    let at = |(lock, counts): (&String, &BTreeMap<String, u64>)| {
        format!("{} discarded at {lock}: {}", session.node.name, reasons(counts))
    };
    session.discards.iter().map(at).collect()
}
