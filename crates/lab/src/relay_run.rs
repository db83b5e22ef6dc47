//! The way that works: a request A→B→C and its reply C→B→A, with what every hop saw.

use std::time::Instant;

use peerbound_daemon::now;
use peerbound_dtls::Record;
use peerbound_node::{Event, FrameAction};
use peerbound_wire::Kind;

use crate::cast::Who;
use crate::report::{Hop, RelayReport, Trip};
use crate::rig::{Rig, RigError};

const REQUEST: &str = "C, are you there?";
const REPLY: &str = "Yes, A: by way of B.";

/// Sends the request and the reply and reports what was seen.
pub(crate) fn run(rig: &mut Rig<'_>) -> Result<RelayReport, RigError> {
    let started = now();
    let (request, _) = trip(rig, &[Who::A, Who::B, Who::C], IsReply::No, REQUEST)?;
    let (reply, finished) = trip(rig, &[Who::C, Who::B, Who::A], IsReply::Yes, REPLY)?;
    let holds = is_as_claimed(&request, &["A", "B", "C"]) && is_as_claimed(&reply, &["C", "B", "A"]);
    let round_trip = finished.saturating_duration_since(started);
    let round_trip_us = u64::try_from(round_trip.as_micros()).unwrap_or(u64::MAX);
    Ok(RelayReport { request, reply, round_trip_us, holds })
}

enum IsReply {
    Yes,
    No,
}

/// Sends a payload along a path and returns what was seen, and when it arrived.
fn trip(
    rig: &mut Rig<'_>,
    path: &[Who; 3],
    is_reply: IsReply,
    payload: &str,
) -> Result<(Trip, Instant), RigError> {
    let [origin, _, end] = *path;
    let events_before = Who::ALL.map(|who| rig.station(who).events.len());
    let arrivals_before = Who::ALL.map(|who| rig.station(who).arrivals.len());
    rig.send(origin, end, matches!(is_reply, IsReply::Yes), payload.as_bytes())?;
    let delivered_at = |rig: &Rig<'_>| {
        rig.station(end).events[events_before[end.index()]..].iter().find_map(|(at, event)| match event {
            Event::Delivered { payload: arrived, .. } if arrived == payload.as_bytes() => Some(*at),
            _ => None,
        })
    };
    rig.run_until("the payload is delivered", |rig| delivered_at(rig).is_some())?;
    let arrived = delivered_at(rig).ok_or(RigError::Missing("the delivery"))?;
    let hops = path
        .windows(2)
        .map(|pair| {
            let (from, to) = (pair[0], pair[1]);
            hop(rig, from, to, events_before[to.index()], arrivals_before[to.index()])
        })
        .collect::<Result<Vec<_>, _>>()?;
    Ok((Trip { payload: payload.to_owned(), hops, delivered: true }, arrived))
}

/// Finds the data frame that `to` saw coming from `from`, and the datagram it came in.
fn hop(rig: &Rig<'_>, from: Who, to: Who, events_from: usize, arrivals_from: usize) -> Result<Hop, RigError> {
    let station = rig.station(to);
    let sender = rig.cast.id(from);
    let seen = station.events[events_from..].iter().find_map(|(_, event)| match event {
        Event::Frame(seen) if seen.from == Some(sender) && seen.header.kind == Kind::Data => Some(seen),
        _ => None,
    });
    let seen = seen.ok_or(RigError::Missing("the frame at a hop"))?;
    // A hello may arrive beside the frame; the frame's datagram is the one of its length.
    let overhead_of = |bytes: usize| bytes.checked_sub(peerbound_wire::HEADER_BYTES + seen.payload_bytes);
    let arrival = station.arrivals[arrivals_from..]
        .iter()
        .filter(|arrival| arrival.from == rig.station(from).address)
        .find(|arrival| matches!(overhead_of(arrival.datagram.len()), Some(29..=37)));
    let arrival = arrival.ok_or(RigError::Missing("the datagram at a hop"))?;
    let record = Record::split(&arrival.datagram).ok().map(|(record, _)| record.header.sequence);
    let action = match seen.action {
        FrameAction::Delivered => "delivered".to_owned(),
        FrameAction::Sent(next) => format!("relayed to {}", rig.cast.who(&next).map_or("?", Who::name)),
        FrameAction::Dropped(reason) => format!("dropped: {}", reason.name()),
    };
    Ok(Hop {
        from: from.name().to_owned(),
        to: to.name().to_owned(),
        sealed_by: rig.sealed_by(&arrival.datagram)?,
        record,
        bytes: arrival.datagram.len(),
        verdict: arrival.verdict.to_string(),
        action,
        hop_limit: seen.header.hop_limit.0,
    })
}

/// Holds a trip against the claim: each hop under the session of its two ends, relayed, delivered.
fn is_as_claimed(trip: &Trip, path: &[&str; 3]) -> bool {
    let hop_is = |hop: &Hop, from: &str, to: &str, action: &str| {
        let session = if from < to { format!("{from}–{to}") } else { format!("{to}–{from}") };
        let sealed = format!("session {session}, direction {from}→{to}");
        hop.sealed_by.as_deref() == Some(sealed.as_str()) && hop.verdict == "accepted" && hop.action == action
    };
    let [origin, relay, end] = *path;
    let [first, second] = trip.hops.as_slice() else {
        return false;
    };
    trip.delivered
        && hop_is(first, origin, relay, &format!("relayed to {end}"))
        && hop_is(second, relay, end, "delivered")
}
