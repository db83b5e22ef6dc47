//! `neighbours`: those we keep link sessions with, and how each link is.

use std::time::Instant;

use peerbound_dtls::Role;
use peerbound_node::NeighbourView;
use serde_json::Value;

use crate::control::answers::{NeighbourAnswer, NeighboursAnswer};
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
    let (views, now) = desk.handle.with_node(|node, now| (node.neighbours(), now))?;
    Ok(NeighboursAnswer { neighbours: views.iter().map(|view| neighbour(desk, view, now)).collect() })
}

fn neighbour(desk: &Desk, view: &NeighbourView, now: Instant) -> NeighbourAnswer {
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
        last_error: view.last_error.clone(),
        last_error_age_ms: age(view.last_error_at),
    }
}
