//! `peerbound neighbors`: those a running node keeps link sessions with.

use clap::Args;
use peerbound_daemon::control::answers::{NeighbourAnswer, NeighboursAnswer};

use crate::ask::{Nothing, Target, failure};
use crate::columns::{paragraph, table};
use crate::outcome::{CommandResult, Outcome};
use crate::output::Output;
use crate::spans::{short_span, span};

#[derive(Args)]
#[command(after_help = "Examples:\n  peerbound neighbors\n  peerbound neighbors -c node.toml --json")]
pub(crate) struct NeighboursArguments {
    #[command(flatten)]
    target: Target,
}

pub(crate) fn neighbours(arguments: &NeighboursArguments, output: &Output) -> CommandResult {
    let answer: NeighboursAnswer =
        arguments.target.connect()?.ask("neighbours", &Nothing {}).map_err(failure)?;
    output.result(&answer, || text(&answer))?;
    Ok(Outcome::Held)
}

fn text(answer: &NeighboursAnswer) -> String {
    if answer.neighbours.is_empty() {
        return "this node has no neighbours".to_owned();
    }
    let headings = ["NAME", "STATE", "FOR", "RTT", "TX", "RX", "DIALLED", "ADDRESS", "FRAME", "CIPHER"];
    let mut lines = table(&headings, answer.neighbours.iter().map(row));
    for neighbour in &answer.neighbours {
        if let Some(error) = &neighbour.last_error {
            let age =
                neighbour.last_error_age_ms.map_or_else(String::new, |age| format!(" {} ago", span(age)));
            let first = format!("{}: last lost or not reached{age}: ", neighbour.node.name);
            lines.extend(paragraph(&first, 2, error));
        }
    }
    lines.join("\n")
}

fn row(neighbour: &NeighbourAnswer) -> Vec<String> {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let dialled_by = neighbour.dialled_by.as_deref().map(|who| match who {
        "we" => "by us".to_owned(),
        _ => "by them".to_owned(),
    });
    vec![
        neighbour.node.name.clone(),
        neighbour.state.clone(),
        or_dash(neighbour.up_ms.map(span)),
        or_dash(neighbour.rtt_us.map(short_span)),
        neighbour.tx.clone(),
        neighbour.rx.clone(),
        or_dash(dialled_by),
        or_dash(neighbour.address.or(neighbour.dialled_at).map(|address| address.to_string())),
        or_dash(neighbour.frame_bytes_max.map(|bytes| bytes.to_string())),
        or_dash(neighbour.suite.clone()),
    ]
}
