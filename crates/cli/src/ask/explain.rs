//! `peerbound explain`: says in sentences what a running node knows of what went no further, or of a way.

use clap::{Args, Subcommand};
use peerbound_daemon::control::answers::{DropsAnswer, RouteExplained, StraysAnswer};
use serde::Serialize;

use crate::ask::{Target, failure};
use crate::columns::paragraph;
use crate::outcome::{CommandResult, Outcome};
use crate::output::Output;

#[derive(Args)]
#[command(
    after_help = "Examples:\n  peerbound explain stray\n  peerbound explain drop --count 1\n  peerbound explain route C -c a.toml"
)]
pub(crate) struct ExplainArguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// The datagrams that were refused last: who sent them, at which lock they ended, and why.
    Stray(Last),
    /// The frames that were dropped last: whose they were, and what was missing.
    Drop(Last),
    /// The way to a node: by whom, why, what would happen now, and how replies come back.
    Route(Route),
}

#[derive(Args)]
struct Last {
    #[command(flatten)]
    target: Target,
    /// How many, the newest first.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=256))]
    count: u16,
}

#[derive(Args)]
struct Route {
    #[command(flatten)]
    target: Target,
    /// The node at the end of the way, by name or id.
    #[arg(value_name = "NODE")]
    to: String,
}

#[derive(Serialize)]
struct AskedLast {
    count: u16,
}

#[derive(Serialize)]
struct AskedRoute<'a> {
    to: &'a str,
}

pub(crate) fn explain(arguments: &ExplainArguments, output: &Output) -> CommandResult {
    match &arguments.what {
        What::Stray(last) => stray(last, output),
        What::Drop(last) => loss(last, output),
        What::Route(asked) => route(asked, output),
    }
}

fn stray(last: &Last, output: &Output) -> CommandResult {
    let asked = AskedLast { count: last.count };
    let answer: StraysAnswer = last.target.connect()?.ask("explain-stray", &asked).map_err(failure)?;
    output.result(&answer, || {
        let said = answer.strays.iter().map(|stray| stray.sentences.as_slice());
        text(said, answer.remembered, "no datagram was refused")
    })?;
    Ok(Outcome::Held)
}

fn loss(last: &Last, output: &Output) -> CommandResult {
    let asked = AskedLast { count: last.count };
    let answer: DropsAnswer = last.target.connect()?.ask("explain-drop", &asked).map_err(failure)?;
    output.result(&answer, || {
        let said = answer.drops.iter().map(|dropped| dropped.sentences.as_slice());
        text(said, answer.remembered, "no frame was dropped")
    })?;
    Ok(Outcome::Held)
}

/// The first sentence of each stands out; the others belong to it.
fn text<'a>(all: impl Iterator<Item = &'a [String]>, remembered: usize, none: &str) -> String {
    let mut lines = Vec::new();
    let mut told = 0;
    for sentences in all {
        told += 1;
        let [first, others @ ..] = sentences else { continue };
        lines.extend(paragraph("- ", 2, first));
        lines.extend(others.iter().flat_map(|sentence| paragraph("  ", 2, sentence)));
    }
    match told {
        0 => lines.push(format!("{none} since this node started")),
        _ if told < remembered => lines.push(format!("{told} of {remembered}: --count tells of more")),
        _ => {}
    }
    lines.join("\n")
}

fn route(asked: &Route, output: &Output) -> CommandResult {
    let parameters = AskedRoute { to: &asked.to };
    let answer: RouteExplained =
        asked.target.connect()?.ask("explain-route", &parameters).map_err(failure)?;
    output.result(&answer, || {
        let lines = answer.sentences.iter().flat_map(|sentence| paragraph("", 2, sentence));
        lines.collect::<Vec<_>>().join("\n")
    })?;
    Ok(if answer.is_usable { Outcome::Held } else { Outcome::DidNotHold })
}
