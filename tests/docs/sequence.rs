//! Draws a run as a picture: a lane for each host, time downwards, an arrow for each datagram. Where an
//! arrow ends is what the run observed.

use peerbound_lab::trace::{Fate, Happening, HostIndex, Journey, Trace};
use peerbound_node::Verdict;

use crate::svg::{Anchor, Canvas, FAINT, INK, Place};

const LANE_WIDTH: u32 = 360;
const ROW_HEIGHT: u32 = 46;
const HEAD_HEIGHT: u32 = 64;
const MARGIN: u32 = 100;
/// What hosts noticed has to fit.
const WIDTH_MIN: u32 = 680;

const TAKEN: &str = "#1a7f37";
const STOPPED: &str = "#b42318";
const LOST: &str = "#6b7785";

/// What stands on one line of the picture.
enum Row<'a, 'b> {
    Arrow(&'a Journey<'b>),
    /// Something that a host noticed.
    Note(String),
}

/// Draws those datagrams of a run that `is_shown` picks out, in the order in which they ended, the hosts
/// they touch, and what hosts noticed of these kinds.
pub(crate) fn sequence(trace: &Trace, is_shown: impl Fn(&Journey<'_>) -> bool, kinds: &[&str]) -> String {
    let journeys = trace.journeys();
    let shown: Vec<_> = journeys.iter().filter(|journey| is_shown(journey)).collect();
    assert!(!shown.is_empty(), "{}: no datagram is to be shown", trace.scenario);
    let ended_at = |journey: &Journey<'_>| journey.end.as_ref().map_or(journey.sent_at, |end| end.at);
    let mut rows: Vec<_> = shown.iter().map(|journey| (ended_at(journey), Row::Arrow(journey))).collect();
    rows.extend(trace.entries.iter().filter_map(|entry| match &entry.what {
        Happening::Event { host, kind, text } if kinds.contains(kind) => {
            Some((entry.at, Row::Note(format!("{}: {text}", trace.name_of(*host)))))
        }
        _ => None,
    }));
    rows.sort_by_key(|(at, _)| *at);
    let lanes = lanes_of(trace, &shown);
    let count = |length: usize| u32::try_from(length).expect("a picture has few lanes and rows");
    let span = LANE_WIDTH * (count(lanes.len()) - 1);
    let width = (span + 2 * MARGIN).max(WIDTH_MIN);
    let margin = (width - span) / 2;
    let height = HEAD_HEIGHT + ROW_HEIGHT * count(rows.len()) + 30;
    let words: Vec<_> = rows.iter().map(|(_, row)| in_words(trace, row)).collect();
    let mut canvas = Canvas::new(width, height, &trace.title, &words.join(" "));
    let x_of = |host: HostIndex| {
        let lane = lanes.iter().position(|lane| *lane == host).unwrap_or(0);
        margin + LANE_WIDTH * count(lane)
    };
    for lane in &lanes {
        let x = x_of(*lane);
        canvas.rectangle(Place { x: x - 60, y: 14, width: 120, height: 28 }, "#eef1f4");
        canvas.words((x, 33), Anchor::Middle, 15, INK, trace.name_of(*lane));
        canvas.line((x, 42), (x, height - 12), FAINT, None);
    }
    for (number, (_, row)) in (0..).zip(&rows) {
        let y = HEAD_HEIGHT + ROW_HEIGHT * number + 24;
        match row {
            Row::Arrow(journey) => {
                let (from, to) = (x_of(journey.by), x_of(end_lane(trace, journey)));
                arrow(&mut canvas, journey, from, to, y);
            }
            Row::Note(text) => {
                canvas.rectangle(Place { x: 20, y: y - 18, width: width - 40, height: 28 }, "#fff6d9");
                canvas.words((width / 2, y), Anchor::Middle, 12, INK, text);
            }
        }
    }
    canvas.finish()
}

/// The hosts that the datagrams touch, by their names; the attacker, whose name is longer, at the end.
fn lanes_of(trace: &Trace, shown: &[&Journey<'_>]) -> Vec<HostIndex> {
    let hosts = (0..).map(HostIndex).take(trace.hosts.len());
    let touches = |host: &HostIndex| shown.iter().any(|j| j.by == *host || end_lane(trace, j) == *host);
    let mut lanes: Vec<_> = hosts.filter(touches).collect();
    lanes.sort_by_key(|host| (trace.name_of(*host).len(), trace.name_of(*host).to_owned()));
    lanes
}

/// Where an arrow points: where the datagram ended, or whither it was sent.
fn end_lane(trace: &Trace, journey: &Journey<'_>) -> HostIndex {
    let at_address = || {
        let mut hosts = (0..).map(HostIndex).zip(&trace.hosts);
        hosts.find(|(_, host)| host.address == journey.destination).map(|(index, _)| index)
    };
    let ended_at = journey.end.as_ref().and_then(|end| end.host);
    ended_at.or_else(at_address).unwrap_or(journey.by)
}

fn arrow(canvas: &mut Canvas, journey: &Journey<'_>, from: u32, to: u32, y: u32) {
    let fate = journey.end.as_ref().map(|end| &end.fate);
    let (ink, dashes, is_taken) = match fate {
        Some(Fate::Judged { verdict: Verdict::Accepted | Verdict::Challenged, .. } | Fate::Read(_)) => {
            (TAKEN, None, true)
        }
        Some(Fate::Judged { .. } | Fate::Refused { .. }) => (STOPPED, None, false),
        Some(Fate::Lost(_)) | None => (LOST, Some("6 4"), false),
    };
    let is_rightward = to >= from;
    // A datagram that was stopped does not reach the lane.
    let tip = match (is_taken, is_rightward) {
        (true, _) => to,
        (false, true) => to.saturating_sub(14),
        (false, false) => to + 14,
    };
    canvas.line((from, y), (tip, y), ink, dashes);
    if is_taken {
        let back = if is_rightward { tip.saturating_sub(10) } else { tip + 10 };
        canvas.polygon(&[(tip, y), (back, y - 5), (back, y + 5)], ink);
    } else {
        canvas.line((tip - 5, y - 5), (tip + 5, y + 5), ink, None);
        canvas.line((tip - 5, y + 5), (tip + 5, y - 5), ink, None);
    }
    let middle = u32::midpoint(from, to);
    canvas.words((middle, y - 7), Anchor::Middle, 12, INK, &name_of(journey));
    canvas.words((middle, y + 15), Anchor::Middle, 12, ink, &end_of(journey));
}

/// What a datagram is called, and what anyone can see in it.
fn name_of(journey: &Journey<'_>) -> String {
    match journey.title() {
        Some(label) => format!("{label}: {}", journey.contents),
        None => journey.contents.clone(),
    }
}

/// How it ended.
fn end_of(journey: &Journey<'_>) -> String {
    let Some(end) = &journey.end else { return "on its way".to_owned() };
    match &end.fate {
        Fate::Judged { reason: Some(reason), .. } if *reason != end.fate.word() => {
            format!("{}: {reason}", end.fate.word())
        }
        Fate::Judged { .. } => end.fate.word().to_owned(),
        Fate::Refused { .. } => "kernel".to_owned(),
        Fate::Lost(why) => format!("lost: {why}"),
        Fate::Read(by) => format!("read by {by}"),
    }
}

fn in_words(trace: &Trace, row: &Row<'_, '_>) -> String {
    let journey = match row {
        Row::Note(text) => return format!("{text}."),
        Row::Arrow(journey) => journey,
    };
    let (by, to) = (trace.name_of(journey.by), trace.name_of(end_lane(trace, journey)));
    format!("{by} to {to}: {}: {}.", name_of(journey), end_of(journey))
}
