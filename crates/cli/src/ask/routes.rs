//! `peerbound routes`: where a running node sends frames, and why there.

use clap::Args;
use peerbound_daemon::control::answers::{RouteAnswer, RoutesAnswer};
use serde::Serialize;

use crate::ask::{Target, failure};
use crate::columns::{paragraph, table};
use crate::outcome::{CommandResult, Outcome};
use crate::output::Output;

#[derive(Args)]
#[command(
    after_help = "Examples:\n  peerbound routes\n  peerbound routes --why C\n  peerbound routes -c node.toml --json"
)]
pub(crate) struct RoutesArguments {
    #[command(flatten)]
    target: Target,
    /// Tell all that is known of the ways to this node, by name or id, and why one was chosen.
    #[arg(long, value_name = "NODE")]
    why: Option<String>,
}

#[derive(Serialize)]
struct Asked<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'a str>,
}

pub(crate) fn routes(arguments: &RoutesArguments, output: &Output) -> CommandResult {
    let asked = Asked { why: arguments.why.as_deref() };
    let answer: RoutesAnswer = arguments.target.connect()?.ask("routes", &asked).map_err(failure)?;
    output.result(&answer, || if asked.why.is_some() { explained(&answer) } else { listed(&answer) })?;
    // Whoever asks why wants to know whether there is a way.
    let holds = asked.why.is_none() || answer.routes.iter().all(|route| route.is_usable);
    Ok(if holds { Outcome::Held } else { Outcome::DidNotHold })
}

fn listed(answer: &RoutesAnswer) -> String {
    if answer.routes.is_empty() {
        return "no other node is known".to_owned();
    }
    table(&["TO", "VIA", "BY", "STATE", "METRIC", "LINKS", "PATH"], answer.routes.iter().map(row)).join("\n")
}

fn row(route: &RouteAnswer) -> Vec<String> {
    let or_dash =
        |text: Option<String>| text.filter(|text| !text.is_empty()).unwrap_or_else(|| "-".to_owned());
    let learned = route.learned.as_ref().filter(|_| route.chosen_by == "learned");
    vec![
        route.destination.name.clone(),
        route.via.name.clone(),
        route.chosen_by.clone(),
        if route.is_usable { "up".to_owned() } else { "down".to_owned() },
        or_dash(learned.and_then(|learned| learned.metric).map(|metric| metric.to_string())),
        or_dash(learned.and_then(|learned| learned.links).map(|links| links.to_string())),
        or_dash(learned.map(|learned| learned.path.join(" "))),
    ]
}

fn explained(answer: &RoutesAnswer) -> String {
    let lines = answer.routes.iter().flat_map(|route| &route.why);
    lines.flat_map(|sentence| paragraph("", 2, sentence)).collect::<Vec<_>>().join("\n")
}
