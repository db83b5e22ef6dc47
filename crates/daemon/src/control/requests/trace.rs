//! `trace`: every hop of the way to a node describes itself, out and back.

use std::time::{Duration, Instant};

use peerbound_node::{Event, TracePlace, TraceSeen};
use peerbound_wire::{ErrorCode as FrameError, Kind, NodeId, TraceReport};
use serde::Deserialize;
use serde_json::Value;

use crate::clock;
use crate::control::answers::{HopAnswer, TraceAnswer};
use crate::control::desk::Desk;
use crate::control::error::Refusal;
use crate::control::replies::Replies;
use crate::control::requests::{
    LOOK, Parameters, answered, flow_and_token, in_range, microseconds, milliseconds,
};
use crate::daemon::CommandError;
use crate::name_book::called;
use crate::way::{Stop, Way};

/// Descriptions that may wait to be taken: two ways of 32 links, twice.
const HEARD_WAITING_MAX: usize = 128;

/// The longest wait for an answer.
const WAIT_MS_MAX: u64 = 60_000;

/// How long relays may take longer than the answer that they passed on.
const LATE: Duration = Duration::from_millis(250);

/// The parameters of `trace`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    /// The node at the end of the way, by name or id.
    to: String,
    /// How long its answer may take, in milliseconds.
    #[serde(default = "two_seconds")]
    wait_ms: u64,
}

fn two_seconds() -> u64 {
    2000
}

/// What a trace has shown.
#[derive(Debug)]
pub(crate) struct Traced {
    pub(crate) way: Way,
    /// From the leaving of the request to the coming of the answer.
    pub(crate) round_trip: Option<Duration>,
    /// What nodes on the way reported.
    pub(crate) errors: Vec<String>,
}

enum Heard {
    Hop(TraceSeen, Instant),
    Error(String),
}

pub(crate) fn answer(
    desk: &Desk,
    parameters: Parameters,
    replies: &mut Replies<'_>,
) -> Result<Value, Refusal> {
    let asked: Asked = parameters.read()?;
    in_range("wait_ms", asked.wait_ms, 1..=WAIT_MS_MAX)?;
    let to = desk.find_other(&asked.to)?;
    let traced = trace(desk, to, Duration::from_millis(asked.wait_ms), replies)?;
    answered(&TraceAnswer {
        to: desk.name(&to),
        is_answered: traced.round_trip.is_some(),
        round_trip_us: traced.round_trip.map(microseconds),
        out: traced.way.out.iter().map(|stop| hop_answer(desk, stop)).collect(),
        back: traced.way.back.iter().map(|stop| hop_answer(desk, stop)).collect(),
        is_symmetric: traced.way.is_symmetric,
        errors: traced.errors,
    })
}

/// Traces the way to a node, and waits until all is said or the time is over.
pub(crate) fn trace(
    desk: &Desk,
    to: NodeId,
    wait: Duration,
    replies: &Replies<'_>,
) -> Result<Traced, Refusal> {
    let (flow, token) = flow_and_token()?;
    let names = desk.names();
    let watch = desk.handle.watch(HEARD_WAITING_MAX, move |event, at| match event {
        Event::TraceReport(seen) if seen.report.token == token => Some(Heard::Hop(*seen, at)),
        Event::Error { reporter, message }
            if message.offending.flow == flow && message.offending.kind == Kind::Trace =>
        {
            let name = called(&names, reporter);
            let problem = match message.code {
                FrameError::NoRoute => "has no way to it".to_owned(),
                FrameError::HopLimit => "saw the trace pass too many relays".to_owned(),
                FrameError::NoSession | FrameError::ClearRefused | FrameError::InnerRefused => {
                    "says that it wants an inner session, which a trace has none of".to_owned()
                }
                FrameError::TooBig => {
                    format!("cannot send the trace on: its next link takes frames of {} bytes", message.mtu)
                }
            };
            Some(Heard::Error(format!("{name} {problem}")))
        }
        _ => None,
    })?;
    let sent = desk.handle.with_node(move |node, now| node.trace(to, flow, token, now).map(|_| now))?;
    let sent_at = sent.map_err(CommandError::Send)?;
    let mut hops = Vec::new();
    let (mut errors, mut round_trip) = (Vec::new(), None);
    let mut until = clock::now() + wait;
    loop {
        let now = clock::now();
        let is_complete = round_trip.is_some() && is_told_in_full(&Way::of(&hops));
        if now >= until || is_complete || replies.is_over() {
            return Ok(Traced { way: Way::of(&hops), round_trip, errors });
        }
        match watch.told().recv_deadline(until.min(now + LOOK)) {
            Ok(Heard::Hop(hop, at)) => {
                if hop.place == TracePlace::End {
                    round_trip = Some(at.saturating_duration_since(sent_at));
                    until = until.min(clock::now() + LATE);
                }
                hops.push(hop);
            }
            Ok(Heard::Error(error)) => {
                errors.push(error);
                until = until.min(clock::now() + LATE);
            }
            Err(_) => {}
        }
    }
}

/// Whether nobody is left who might describe himself. On the way back the destination does not.
fn is_told_in_full(way: &Way) -> bool {
    way.out.iter().chain(way.back.iter().skip(1)).all(|stop| stop.report.is_some())
}

pub(crate) fn hop_answer(desk: &Desk, stop: &Stop) -> HopAnswer {
    let said = |pick: &dyn Fn(&TraceReport) -> Option<u64>| stop.report.as_ref().and_then(pick);
    HopAnswer {
        node: stop.node.map(|id| desk.name(&id)),
        describes_itself: stop.report.is_some(),
        from: stop.report.and_then(|report| report.ingress).map(|id| desk.name(&id)),
        to: stop.report.and_then(|report| report.egress).map(|id| desk.name(&id)),
        hop_limit: stop.report.map(|report| report.hop_limit.0),
        path_mtu: stop.report.map(|report| report.path_mtu).filter(|mtu| *mtu != u16::MAX),
        frame_bytes_max: stop.report.map(|report| report.frame_bytes_max).filter(|bytes| *bytes > 0),
        rtt_us: said(&|report| report.round_trip.map(microseconds)),
        queue_delay_us: said(&|report| report.queue_delay.map(microseconds)),
        session_age_ms: said(&|report| report.session_age.map(milliseconds)),
    }
}
