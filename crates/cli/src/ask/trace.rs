//! `peerbound trace`: lets every hop of the way to a node describe itself.

use clap::Args;
use peerbound_daemon::control::answers::{HopAnswer, NodeName, TraceAnswer};
use serde::Serialize;

use crate::ask::{Target, failure};
use crate::columns::cell;
use crate::outcome::{CommandResult, Outcome};
use crate::output::Output;
use crate::spans::{short_span, span};

#[derive(Args)]
#[command(
    after_help = "Examples:\n  peerbound trace C\n  peerbound trace C -c a.toml --json\n\nExit code 1 when the node does not answer."
)]
pub(crate) struct TraceArguments {
    #[command(flatten)]
    target: Target,
    /// The node at the end of the way, by name or id.
    #[arg(value_name = "NODE")]
    to: String,
    /// Milliseconds that its answer may take.
    #[arg(long, value_name = "MS", default_value_t = 2000, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    wait: u64,
}

#[derive(Serialize)]
struct Asked<'a> {
    to: &'a str,
    wait_ms: u64,
}

pub(crate) fn trace(arguments: &TraceArguments, output: &Output) -> CommandResult {
    let TraceArguments { target, to, wait } = arguments;
    let mut client = target.connect()?;
    client.send("trace", &Asked { to, wait_ms: *wait }).map_err(failure)?;
    let patience = std::time::Duration::from_millis(*wait) + std::time::Duration::from_secs(10);
    let answer: TraceAnswer = client.receive(Some(patience)).map_err(failure)?.answer;
    output.result(&answer, || text(&answer))?;
    Ok(if answer.is_answered { Outcome::Held } else { Outcome::DidNotHold })
}

fn text(answer: &TraceAnswer) -> String {
    let mut lines = vec!["out".to_owned()];
    lines.extend(hops(&answer.out));
    if !answer.back.is_empty() {
        lines.push("back".to_owned());
        lines.extend(hops(&answer.back));
    }
    lines.extend(answer.errors.iter().cloned());
    lines.push(match (answer.round_trip_us, answer.is_symmetric) {
        (None, _) => format!("{} did not answer", answer.to.name),
        (Some(took), Some(true)) => {
            format!("answered in {}; the way back is the way out: symmetric", short_span(took))
        }
        (Some(took), Some(false)) => {
            format!("answered in {}; the way back is another one: not symmetric", short_span(took))
        }
        (Some(took), None) => {
            format!("answered in {}; whether the way back is the same is unknown", short_span(took))
        }
    });
    lines.join("\n")
}

fn hops(hops: &[HopAnswer]) -> Vec<String> {
    hops.iter().enumerate().map(|(at, hop)| format!("  {at:>2}  {}", hop_text(hop))).collect()
}

fn hop_text(hop: &HopAnswer) -> String {
    let name = hop.node.as_ref().map_or("unknown", |node| &node.name);
    let mut words = Vec::new();
    if !hop.describes_itself {
        return format!("{}{}", cell(name, 14), "says nothing of itself").trim_end().to_owned();
    }
    let called = |node: &Option<NodeName>| node.as_ref().map(|node| node.name.clone());
    words.push(match (called(&hop.from), called(&hop.to)) {
        (Some(from), Some(to)) => format!("{from} → {to}"),
        (None, Some(to)) => format!("→ {to}"),
        (Some(from), None) => format!("{from} →"),
        (None, None) => "no link".to_owned(),
    });
    words.extend(hop.rtt_us.map(|rtt| format!("rtt {}", short_span(rtt))));
    words.extend(hop.queue_delay_us.map(|delay| format!("queue {}", short_span(delay))));
    words.extend(hop.frame_bytes_max.map(|bytes| format!("frames of {bytes}")));
    words.extend(hop.session_age_ms.map(|age| format!("session {}", span(age))));
    format!("{}{}", cell(name, 14), words.join(", "))
}
