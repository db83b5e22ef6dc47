//! `neighbours`: those we keep link sessions with, and how each link is.

use std::collections::BTreeMap;
use std::time::Instant;

use peerbound_dtls::Role;
use peerbound_node::{NeighbourView, QueueView, Rate};
use serde_json::Value;

use crate::control::answers::{NeighbourAnswer, NeighboursAnswer, QueueAnswer};
use crate::control::desk::Desk;
use crate::control::error::Refusal;
use crate::control::replies::Replies;
use crate::control::requests::{Parameters, answered, microseconds, milliseconds};

pub(crate) fn answer(desk: &Desk, parameters: Parameters, _: &mut Replies<'_>) -> Result<Value, Refusal> {
    parameters.none()?;
    answered(&neighbours(desk)?)
}

/// Looks at the neighbours.
pub(crate) fn neighbours(desk: &Desk) -> Result<NeighboursAnswer, Refusal> {
    let (views, queues, now) = desk.handle.with_node(|node, now| (node.neighbours(), node.queues(), now))?;
    let queues: BTreeMap<_, _> = queues.iter().map(|queue| (queue.neighbour, queue)).collect();
    let neighbour = |view: &NeighbourView| {
        let queue = queues.get(&view.id).map(|view| queue(view)).unwrap_or_default();
        neighbour(desk, view, queue, now)
    };
    Ok(NeighboursAnswer { neighbours: views.iter().map(neighbour).collect() })
}

fn queue(view: &QueueView) -> QueueAnswer {
    QueueAnswer {
        frames: view.frames,
        bytes: view.bytes,
        flows: view.flows,
        delay_us: microseconds(view.sojourn),
        oldest_us: microseconds(view.oldest),
        passed: view.passed,
        marked: view.marked,
        dropped: view.dropped.iter().map(|(why, count)| (why.name().to_owned(), *count)).collect(),
        rate_bits_per_second: view.rate.map(Rate::bits_per_second),
    }
}

fn neighbour(desk: &Desk, view: &NeighbourView, queue: QueueAnswer, now: Instant) -> NeighbourAnswer {
    let age = |since: Option<Instant>| since.map(|since| milliseconds(now.saturating_duration_since(since)));
    NeighbourAnswer {
        node: desk.name(&view.id),
        state: view.phase.name().to_owned(),
        address: view.address,
        dialled_at: view.dialled_at,
        dialled_by: view.role.map(|role| match role {
            Role::Client => "we".to_owned(),
            Role::Server => "they".to_owned(),
        }),
        suite: view.suite.map(str::to_owned),
        rtt_us: view.round_trip.map(microseconds),
        tx: view.is_heard(now).name().to_owned(),
        rx: view.hears(now).name().to_owned(),
        session_age_ms: age(view.session_since),
        up_ms: age(view.up_since),
        redial_in_ms: view.redial_at.map(|at| milliseconds(at.saturating_duration_since(now))),
        frame_bytes_max: view.frame_bytes_max,
        frames_sent: view.traffic.frames_sent,
        bytes_sent: view.traffic.bytes_sent,
        frames_received: view.traffic.frames_received,
        bytes_received: view.traffic.bytes_received,
        queue,
        last_error: view.last_error.clone(),
        last_error_age_ms: age(view.last_error_at),
    }
}
