//! `peerbound status`: a running node in one look.

use std::collections::BTreeMap;

use clap::Args;
use peerbound_daemon::control::answers::{InterfaceAnswer, StatusAnswer};

use crate::ask::{Nothing, Target, failure};
use crate::columns::paragraph;
use crate::outcome::{CommandResult, Outcome};
use crate::output::Output;
use crate::spans::span;

/// Prefixes that one line names; `--json` names them all.
const PREFIXES_SHOWN: usize = 8;

#[derive(Args)]
#[command(after_help = "Examples:\n  peerbound status\n  peerbound status -c node.toml --json")]
pub(crate) struct StatusArguments {
    #[command(flatten)]
    target: Target,
}

pub(crate) fn status(arguments: &StatusArguments, output: &Output) -> CommandResult {
    let status: StatusAnswer = arguments.target.connect()?.ask("status", &Nothing {}).map_err(failure)?;
    output.result(&status, || text(&status))?;
    Ok(Outcome::Held)
}

fn text(status: &StatusAnswer) -> String {
    let StatusAnswer { counters, routing, neighbours, workers, .. } = status;
    let mut lines = Vec::new();
    let mut row = |label: &str, text: String| lines.push(format!("{label:<11}{text}"));
    let name = status.certificate.as_ref().map_or("(no name)", |certificate| &certificate.name);
    row("node", format!("{name}  {}", status.id));
    row("overlay", status.overlay.to_string());
    row("listens", format!("{}, datagrams of at most {} bytes", status.listens, status.mtu));
    row("running", format!("for {}, process {}, {}", span(status.uptime_ms), status.pid, status.config));
    row("program", format!("peerbound {}, {}", status.version, status.openssl));
    row("neighbours", format!("{} of {} up", neighbours.up, neighbours.configured));
    row(
        "routing",
        match routing.mode.as_str() {
            "dynamic" => format!(
                "dynamic, {} nodes reachable, {} routes set; replies go {}",
                routing.reachable,
                routing.static_routes,
                way_back(&routing.return_path)
            ),
            mode => format!(
                "{mode}, {} routes set; replies go {}",
                routing.static_routes,
                way_back(&routing.return_path)
            ),
        },
    );
    row(
        "frames",
        format!(
            "{} received, {} made here, {} sent, {} for us",
            counters.frames_received,
            counters.frames_originated,
            counters.frames_sent,
            counters.frames_delivered
        ),
    );
    row("dropped", reasons(&counters.frames_dropped));
    row("datagrams", format!("{} received", counters.datagrams_received));
    row("  dropped", reasons(&counters.datagrams_dropped));
    row("  records", reasons(&counters.records_discarded));
    if counters.packets_sent + counters.packets_delivered > 0 || !counters.packets_dropped.is_empty() {
        row("packets", format!("{} sent, {} taken", counters.packets_sent, counters.packets_delivered));
        row("  dropped", reasons(&counters.packets_dropped));
    }
    if workers.at_work > 1 {
        let (at_work, addresses) = (workers.at_work, workers.addresses);
        row(
            "threads",
            format!("{at_work} carry data, {addresses} neighbours by another than the one that decides"),
        );
    }
    if let Some(interface) = &status.interface {
        row("interface", interface_text(interface));
    }
    for warning in &status.warnings {
        lines.extend(paragraph("look at    ", 11, warning));
    }
    lines.join("\n")
}

/// Says where the interface leads besides the overlay's own addresses. What it does not lead to is warned of,
/// unless somebody wanted it so.
fn interface_text(interface: &InterfaceAnswer) -> String {
    let led: Vec<_> = interface
        .routes
        .iter()
        .filter(|route| matches!(route.state.as_str(), "set" | "held"))
        .map(|route| route.prefix.as_str())
        .collect();
    match &led[..] {
        [] => format!("{}, which leads to no announced prefix", interface.name),
        led if led.len() <= PREFIXES_SHOWN => {
            format!("{}, which leads to {}", interface.name, led.join(", "))
        }
        led => {
            let (shown, others) = led.split_at(PREFIXES_SHOWN);
            format!("{}, which leads to {} and {} others", interface.name, shown.join(", "), others.len())
        }
    }
}

fn way_back(return_path: &str) -> &str {
    match return_path {
        "as-came" => "back as their request came",
        "any" => "by the routes",
        other => other,
    }
}

/// Lists counts by reason.
pub(crate) fn reasons(counts: &BTreeMap<String, u64>) -> String {
    let counted: Vec<_> = counts
        .iter()
        .filter(|(_, count)| **count > 0)
        .map(|(reason, count)| format!("{count} {reason}"))
        .collect();
    if counted.is_empty() { "none".to_owned() } else { counted.join(", ") }
}
