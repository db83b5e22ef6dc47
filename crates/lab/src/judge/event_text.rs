//! Says in one word and in one sentence what a node told its owner.

use peerbound_node::Event;
use peerbound_wire::NodeId;

use crate::judge::Judge;
use crate::scenario::{EventKind, Word};

/// Bytes of a payload that a trace shows as text.
const PAYLOAD_SHOWN_MAX: usize = 40;

/// Returns the kind, as expectations write it, and the sentence.
pub(super) fn of(judge: &Judge, event: &Event) -> (&'static str, String) {
    let name = |id: &NodeId| match judge.host_of_id(id) {
        Some(host) => judge.name(host).to_owned(),
        None => id.to_string(),
    };
    let text = match event {
        Event::NeighbourUp { id, address, peer, .. } => {
            format!("{} is up at {address}, {}", name(id), peer.suite.name)
        }
        Event::NeighbourReplaced { id } => format!("another session with {} has taken over", name(id)),
        Event::NeighbourMoved { id, from, to } => format!("{} has moved from {from} to {to}", name(id)),
        Event::NeighbourDown { id, reason } => format!("{} is down: {reason}", name(id)),
        Event::DialFailed { id, address, reason } => {
            format!("{} was not reached at {address}: {reason}", name(id))
        }
        Event::StrangerFailed { address, reason } => format!("a stranger at {address} failed: {reason}"),
        Event::Delivered { header, payload } => {
            format!("{} from {}", shown(payload), name(&header.source))
        }
        Event::Error { reporter, message } => format!("{} reports {:?}", name(reporter), message.code),
        Event::Pong { from, token, .. } => format!("{} answers ping {token}", name(from)),
        Event::TraceReport(_) | Event::WhoIs { .. } => String::new(),
        Event::Inner(_) | Event::Frame(_) | Event::RouteChanged(_) | Event::Session(_) => String::new(),
    };
    (kind_of(event).map_or("frame", Word::word), text)
}

/// Returns the kind of an event; a frame and a session have none.
#[must_use]
pub fn kind_of(event: &Event) -> Option<EventKind> {
    Some(match event {
        Event::NeighbourUp { .. } => EventKind::NeighbourUp,
        Event::NeighbourReplaced { .. } => EventKind::NeighbourReplaced,
        Event::NeighbourMoved { .. } => EventKind::NeighbourMoved,
        Event::NeighbourDown { .. } => EventKind::NeighbourDown,
        Event::DialFailed { .. } => EventKind::DialFailed,
        Event::StrangerFailed { .. } => EventKind::StrangerFailed,
        Event::Delivered { .. } => EventKind::Delivered,
        Event::Error { .. } => EventKind::Error,
        Event::Pong { .. } => EventKind::Pong,
        Event::TraceReport(_) | Event::WhoIs { .. } => return None,
        Event::Inner(_) | Event::Frame(_) | Event::RouteChanged(_) | Event::Session(_) => return None,
    })
}

fn shown(payload: &[u8]) -> String {
    match std::str::from_utf8(payload) {
        Ok(text) if text.len() <= PAYLOAD_SHOWN_MAX && !text.contains(char::is_control) => {
            format!("\"{text}\"")
        }
        Ok(_) | Err(_) => format!("{} bytes", payload.len()),
    }
}
