//! `pcap`: tells of every frame or datagram that passes, until as many have passed as were asked for, or until
//! its client goes.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use peerbound_node::{FrameWay, Node};
use peerbound_wire::NodeId;
use serde::Deserialize;
use serde_json::Value;

use crate::clock;
use crate::control::answers::{CopyAnswer, PcapAnswer};
use crate::control::desk::Desk;
use crate::control::error::{ErrorCode, Refusal};
use crate::control::replies::Replies;
use crate::control::requests::{LOOK, Parameters, answered, in_range};
use crate::taps::{Copied, TAPS_MAX, Tap, TapOf, TapOptions, Tapped};

/// Copies told of in one line: 64 x 1400 bytes x 2 digits = 180 kB.
const COPIES_PER_LINE: usize = 64;

/// A capture's longest time: a week.
const SECONDS_MAX: u64 = 7 * 24 * 3600;

/// The parameters of `pcap`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    /// What is copied.
    #[serde(default)]
    of: Of,
    /// Whether the secrets of sessions are told. All link sessions are replaced at the beginning, so that their
    /// handshakes are among what is copied, and at the end, so that the secrets are good for no more.
    #[serde(default)]
    secrets: bool,
    /// The number of copies after which it ends.
    count: Option<u64>,
    /// The number of bytes after which it ends.
    bytes: Option<u64>,
    /// The time after which it ends.
    seconds: Option<u64>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Of {
    #[default]
    Frames,
    Datagrams,
}

/// How much was told of.
#[derive(Default)]
struct Told {
    copies: u64,
    bytes: u64,
}

pub(crate) fn answer(
    desk: &Desk,
    parameters: Parameters,
    replies: &mut Replies<'_>,
) -> Result<Value, Refusal> {
    let asked: Asked = parameters.read()?;
    if let Some(seconds) = asked.seconds {
        in_range("seconds", seconds, 1..=SECONDS_MAX)?;
    }
    for (name, value) in [("count", asked.count), ("bytes", asked.bytes)] {
        if value == Some(0) {
            return Err(Refusal::new(ErrorCode::BadParameter, format!("{name} is 0: give 1 or more")));
        }
    }
    let of = match asked.of {
        Of::Frames => TapOf::Frames,
        Of::Datagrams => TapOf::Datagrams,
    };
    let tap = desk.handle.tap(TapOptions { of, secrets: asked.secrets })?.ok_or_else(|| {
        Refusal::new(ErrorCode::Busy, format!("{TAPS_MAX} captures run already: end one of them"))
    })?;
    let to_replace = if asked.secrets { neighbours(desk)? } else { Vec::new() };
    let done = capture(desk, &asked, &tap, replies, to_replace)?;
    drop(tap);
    if asked.secrets {
        replace_sessions(desk, neighbours(desk)?)?;
    }
    answered(&done)
}

fn neighbours(desk: &Desk) -> Result<Vec<NodeId>, Refusal> {
    let neighbours =
        |node: &mut Node, _| node.neighbours().into_iter().map(|neighbour| neighbour.id).collect();
    Ok(desk.handle.with_node(neighbours)?)
}

/// Starts to replace the sessions with these neighbours. Returns those where a session is on its way already,
/// whose handshake may have begun before we listened: theirs are to be replaced once more.
fn replace_sessions(desk: &Desk, neighbours: Vec<NodeId>) -> Result<Vec<NodeId>, Refusal> {
    let replace = |node: &mut Node, now| {
        let waits = |id: &NodeId| !node.rekey(*id, now) && node.session_role(*id).is_some();
        neighbours.into_iter().filter(waits).collect()
    };
    Ok(desk.handle.with_node(replace)?)
}

fn capture(
    desk: &Desk,
    asked: &Asked,
    tap: &Tap,
    replies: &mut Replies<'_>,
    mut to_replace: Vec<NodeId>,
) -> Result<PcapAnswer, Refusal> {
    let started = clock::now();
    let started_unix_ns = clock::unix_nanoseconds();
    let end = asked.seconds.map(|seconds| started + Duration::from_secs(seconds));
    let mut told = Told::default();
    let ended_by = loop {
        if let Some(ended_by) = ended_by(asked, &told, end) {
            break ended_by;
        }
        if replies.is_over() {
            break "client";
        }
        if !to_replace.is_empty() {
            to_replace = replace_sessions(desk, to_replace)?;
        }
        let until = end.into_iter().chain([clock::now() + LOOK]).min();
        let Ok(first) = tap.copies().recv_deadline(until.unwrap_or(started)) else { continue };
        let (mut copies, mut secrets) = (Vec::new(), Vec::new());
        for Tapped { at, what } in std::iter::once(first).chain(tap.copies().try_iter()) {
            let at = at.saturating_duration_since(started);
            let at_unix_ns = started_unix_ns.saturating_add(u64::try_from(at.as_nanos()).unwrap_or(u64::MAX));
            match copy_answer(desk, at_unix_ns, what) {
                Ok((copy, bytes)) => {
                    told.copies += 1;
                    told.bytes += bytes;
                    copies.push(copy);
                }
                Err(keylog) => secrets.push(keylog),
            }
            if copies.len() >= COPIES_PER_LINE || ended_by(asked, &told, None).is_some() {
                break;
            }
        }
        replies.part(&PcapAnswer::Copies { copies, secrets });
    };
    Ok(PcapAnswer::Done { copies: told.copies, lost: tap.dropped(), ended_by: ended_by.to_owned() })
}

fn ended_by(asked: &Asked, told: &Told, end: Option<Instant>) -> Option<&'static str> {
    if asked.count.is_some_and(|count| told.copies >= count) {
        Some("count")
    } else if asked.bytes.is_some_and(|bytes| told.bytes >= bytes) {
        Some("bytes")
    } else {
        end.filter(|end| clock::now() >= *end).map(|_| "seconds")
    }
}

/// Returns a copy with its length, or the line of a key log.
fn copy_answer(desk: &Desk, at_unix_ns: u64, what: Copied) -> Result<(CopyAnswer, u64), String> {
    let copy = |is_inward, bytes: &[u8]| CopyAnswer {
        at_unix_ns,
        is_inward,
        neighbour: None,
        address: None,
        verdict: None,
        bytes: hexadecimal(bytes),
    };
    let (answer, len) = match what {
        Copied::Secrets { keylog, .. } => return Err(keylog),
        Copied::Frame(frame) => {
            let answer = copy(frame.way == FrameWay::In, &frame.bytes);
            (CopyAnswer { neighbour: Some(desk.name(&frame.neighbour)), ..answer }, frame.bytes.len())
        }
        Copied::Arrived { from, bytes, verdict, reason } => {
            let reason = reason.map(|reason| format!(" ({})", reason.name())).unwrap_or_default();
            let verdict = Some(format!("{verdict}{reason}"));
            (CopyAnswer { address: Some(from), verdict, ..copy(true, &bytes) }, bytes.len())
        }
        Copied::Sent { to, bytes } => (CopyAnswer { address: Some(to), ..copy(false, &bytes) }, bytes.len()),
    };
    Ok((answer, len as u64))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut digits, byte| {
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}
