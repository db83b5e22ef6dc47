//! `peerbound ping`: lets a running node ask another one to answer.

use std::time::Duration;

use clap::Args;
use peerbound_daemon::control::Replied;
use peerbound_daemon::control::answers::{PingAnswer, PingSummary};
use serde::Serialize;

use crate::ask::{Target, failure};
use crate::outcome::{CommandResult, Outcome};
use crate::output::Output;
use crate::spans::short_span;

#[derive(Args)]
#[command(
    after_help = "Examples:\n  peerbound ping C\n  peerbound ping C --count 100 --interval 10 --size 1200\n\nExit code 1 when an answer is missing."
)]
pub(crate) struct PingArguments {
    #[command(flatten)]
    target: Target,
    /// The node that is to answer, by name or id.
    #[arg(value_name = "NODE")]
    to: String,
    /// How many times.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    count: u32,
    /// Bytes of payload of each ping.
    #[arg(long, value_name = "BYTES", default_value_t = 8, value_parser = clap::value_parser!(u16).range(8..))]
    size: u16,
    /// Milliseconds between two.
    #[arg(long, value_name = "MS", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(5..=60_000))]
    interval: u64,
    /// Milliseconds that an answer may take.
    #[arg(long, value_name = "MS", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    wait: u64,
}

#[derive(Serialize)]
struct Asked<'a> {
    to: &'a str,
    count: u32,
    size: u16,
    interval_ms: u64,
    wait_ms: u64,
}

pub(crate) fn ping(arguments: &PingArguments, output: &Output) -> CommandResult {
    let PingArguments { target, to, count, size, interval, wait } = arguments;
    let asked = Asked { to, count: *count, size: *size, interval_ms: *interval, wait_ms: *wait };
    let mut client = target.connect()?;
    client.send("ping", &asked).map_err(failure)?;
    // Something is heard of each ping before the next but one is due.
    let patience = Duration::from_millis(interval + wait) + Duration::from_secs(10);
    loop {
        let Replied { answer, more } = client.receive::<PingAnswer>(Some(patience)).map_err(failure)?;
        output.result(&answer, || text(&answer, to))?;
        if let (PingAnswer::Done(summary), false) = (&answer, more) {
            return Ok(if summary.back == summary.count { Outcome::Held } else { Outcome::DidNotHold });
        }
    }
}

fn text(answer: &PingAnswer, to: &str) -> String {
    match answer {
        PingAnswer::Back { sequence, rtt_us, links, path_mtu } => {
            let links = if *links == 1 { "1 link".to_owned() } else { format!("{links} links") };
            format!(
                "{to} answers {sequence}: {} over {links}, frames of {path_mtu} bytes",
                short_span(*rtt_us)
            )
        }
        PingAnswer::Lost { sequence, reason } => format!("{to} does not answer {sequence}: {reason}"),
        PingAnswer::Done(summary) => ending(summary),
    }
}

fn ending(summary: &PingSummary) -> String {
    let PingSummary { to, count, back, size_bytes, .. } = summary;
    let first = format!("{} of {count} pings of {size_bytes} bytes to {} came back", back, to.name);
    let times = [summary.rtt_min_us, summary.rtt_median_us, summary.rtt_p99_us, summary.rtt_max_us];
    match times {
        [Some(min), Some(median), Some(p99), Some(max)] => {
            let [min, median, p99, max] = [min, median, p99, max].map(short_span);
            format!("{first}\nround trip: {min} least, {median} median, {p99} p99, {max} most")
        }
        _ => first,
    }
}
