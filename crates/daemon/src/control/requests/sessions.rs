//! `sessions`: what keys are in use, how old they are, and what they refused.

use std::collections::BTreeMap;
use std::time::Instant;

use peerbound_dtls::{DiscardCounts, Role};
use peerbound_node::{InnerView, LinkSessionView, Lock};
use serde_json::Value;

use crate::control::answers::{InnerSessionAnswer, SessionAnswer, SessionsAnswer};
use crate::control::desk::Desk;
use crate::control::error::Refusal;
use crate::control::replies::Replies;
use crate::control::requests::{Parameters, answered, milliseconds};

pub(crate) fn answer(desk: &Desk, parameters: Parameters, _: &mut Replies<'_>) -> Result<Value, Refusal> {
    parameters.none()?;
    answered(&sessions(desk)?)
}

/// Looks at the sessions.
pub(crate) fn sessions(desk: &Desk) -> Result<SessionsAnswer, Refusal> {
    let (link, inner, now) =
        desk.handle.with_node(|node, now| (node.link_sessions(now), node.inner_sessions(), now))?;
    Ok(SessionsAnswer {
        link: link.iter().map(|session| link_session(desk, session)).collect(),
        inner: inner.iter().map(|session| inner_session(desk, session, now)).collect(),
    })
}

fn inner_session(desk: &Desk, session: &InnerView, now: Instant) -> InnerSessionAnswer {
    InnerSessionAnswer {
        node: desk.name(&session.peer),
        state: session.state.name().to_owned(),
        since_ms: milliseconds(now.saturating_duration_since(session.since)),
        role: session.role.map(|role| role_name(role).to_owned()),
        suite: session.suite.map(str::to_owned),
        records_sent: session.records.0,
        records_received: session.records.1,
        bytes_sent: session.bytes.0,
        bytes_received: session.bytes.1,
        path_mtu: session.path_mtu,
        waiting: session.waiting.0,
        last_error: session.last_error.clone(),
    }
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Client => "client",
        Role::Server => "server",
    }
}

fn link_session(desk: &Desk, session: &LinkSessionView) -> SessionAnswer {
    let records = session.records_sent.saturating_add(session.records_received);
    SessionAnswer {
        node: desk.name(&session.peer),
        address: Some(session.address),
        role: role_name(session.role).to_owned(),
        suite: session.suite.name.to_owned(),
        age_ms: milliseconds(session.age),
        records_sent: session.records_sent,
        records_received: session.records_received,
        rekey_in_ms: milliseconds(session.rekey_age.saturating_sub(session.age)),
        rekey_in_records: session.rekey_records.saturating_sub(records),
        is_being_replaced: session.is_being_replaced,
        payload_bytes_max: session.frame_bytes_max,
        discards: by_lock(&session.discards),
    }
}

/// Sorts what was discarded by the lock that held it up.
pub(crate) fn by_lock(discards: &DiscardCounts) -> BTreeMap<String, BTreeMap<String, u64>> {
    let mut locks = BTreeMap::<String, BTreeMap<String, u64>>::new();
    for (discard, count) in discards.iter().filter(|(_, count)| *count > 0) {
        let lock = Lock::from(discard);
        locks.entry(lock.name().to_owned()).or_default().insert(discard.name().to_owned(), count);
    }
    locks
}
