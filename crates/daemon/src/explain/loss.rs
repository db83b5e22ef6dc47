//! A frame that went no further: what it was, where it came from, and what was missing.

use peerbound_node::{DroppedFrame, FrameDrop};
use peerbound_wire::{Header, Kind};

use crate::explain::{Scene, WayThere, counted};

/// Explains a dropped frame; `way` is the way to its destination from here, as it is at this moment.
pub(crate) fn explain_loss(scene: &Scene<'_>, dropped: &DroppedFrame, way: Option<&WayThere>) -> Vec<String> {
    let mut said = vec![what(scene, dropped), why(dropped)];
    said.extend(since(scene, dropped, way));
    said.extend(told(scene, dropped));
    said
}

fn what(scene: &Scene<'_>, dropped: &DroppedFrame) -> String {
    let times = match dropped.times {
        1 => String::new(),
        times => format!(" (the last of {times} alike, the first {})", scene.ago(dropped.first_at)),
    };
    let from = match dropped.from {
        Some(from) => format!("from our neighbour {}", scene.name(&from)),
        None => "made here".to_owned(),
    };
    let size = counted(dropped.payload_bytes as u64, "byte");
    let what = match dropped.header {
        Some(Header { kind, source, destination, flow, packet, .. }) => format!(
            "a {} frame of {} to {} with {size} of payload, flow {}, packet {}",
            kind_name(kind),
            scene.name(&source),
            scene.name(&destination),
            flow.0,
            packet.0
        ),
        None => format!("{size} that are no frame"),
    };
    format!("{}{times}: {what}, {from}.", scene.ago(dropped.at))
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Data => "data",
        Kind::InnerHandshake => "handshake",
        Kind::Routing => "routing",
        Kind::Error => "error",
        Kind::Trace => "trace",
        Kind::Ping => "ping",
    }
}

fn why(dropped: &DroppedFrame) -> String {
    let because = match dropped.reason {
        FrameDrop::BadFrame => "its bytes are no frame, or its payload is not what its kind says",
        FrameDrop::Duplicate => "it was seen before, or it is one of our own that came back",
        FrameDrop::NoRoute => {
            "there was no way to its destination that does not lead back to where it came from"
        }
        FrameDrop::HopLimit => "it had passed as many relays as it may, as in a loop",
        FrameDrop::TooBig => "the next link takes no frame of that size",
        FrameDrop::QueueFull => "more waited to be sent than may wait",
        FrameDrop::NotFromNeighbour => "a routing frame must be from the neighbour itself, and for us",
        FrameDrop::Unsupported => "its kind has no meaning at its destination in this version",
        FrameDrop::LinkFailed => "the next link's session failed while sealing",
        FrameDrop::Codel => "it stood too long in a queue that did not get shorter",
        FrameDrop::QueueBytes => "it was the oldest of the flow that took most of a queue that was full",
        FrameDrop::Unasked => "it answers a question that we did not ask, or says more than an answer may",
        FrameDrop::ClearRefused => {
            "its payload is in the clear, and from that origin only what comes by an inner session is taken"
        }
        FrameDrop::InnerRefused => "it is of an inner session, and none is held with that origin",
        FrameDrop::NoInnerSession => "its inner session is not there",
        FrameDrop::InnerRecord => "the inner session with its origin discarded its record",
        FrameDrop::InnerThrottled => "there was no budget for another inner handshake",
        FrameDrop::InnerQueueFull => "more waited for inner sessions to open than may wait",
        FrameDrop::InnerFailed => "it waited for an inner session that could not be opened",
        FrameDrop::InnerExpired => "it waited for an inner session for too long",
    };
    let hops = match (dropped.reason, dropped.header) {
        (FrameDrop::HopLimit, Some(header)) => format!(" (it came with {} hops left)", header.hop_limit.0),
        (_, _) => String::new(),
    };
    format!("Dropped as {}: {because}{hops}.", dropped.reason.name())
}

/// Says whether it would go further now.
fn since(scene: &Scene<'_>, dropped: &DroppedFrame, way: Option<&WayThere>) -> Option<String> {
    let header = dropped.header?;
    if dropped.reason != FrameDrop::NoRoute && dropped.reason != FrameDrop::LinkFailed {
        return None;
    }
    let name = scene.name(&header.destination);
    let Some(way) = way else {
        return Some(format!("There is still none: {name} is no neighbour, and no route leads to it."));
    };
    let via = scene.name(&way.via);
    let neighbour = scene.neighbour(&way.via)?;
    let standing = scene.standing(neighbour);
    Some(if neighbour.is_usable {
        format!("At this moment {name} is reached by {via} ({}), and {standing}.", scene.reason_for(way))
    } else {
        format!("Frames to {name} would leave by {via} ({}), and {standing}.", scene.reason_for(way))
    })
}

/// Says whether its origin was told.
fn told(scene: &Scene<'_>, dropped: &DroppedFrame) -> Option<String> {
    let header = dropped.header?;
    let from = dropped.from?;
    let is_reported = matches!(
        dropped.reason,
        FrameDrop::NoRoute | FrameDrop::HopLimit | FrameDrop::TooBig | FrameDrop::LinkFailed
    );
    (is_reported && !matches!(header.kind, Kind::Error | Kind::Routing)).then(|| {
        format!(
            "Its origin {} is told by an error frame through {}, unless there were more than 100 a second of them.",
            scene.name(&header.source),
            scene.name(&from)
        )
    })
}
