//! Remembers what was heard of the links behind the first one: how large a frame may be that is to reach a
//! node further away. Our own links are not here: they know their size, and are asked anew for each frame.

use std::time::{Duration, Instant};

use peerbound_wire::NodeId;

use crate::fifo_map::FifoMap;
use crate::index::Secret;

/// Destinations of which something is remembered: 4096 x about 120 bytes = 480 kB.
const PATHS_MAX: usize = 4096;

/// How long an error holds larger frames back. A relay's link that has just fallen back knows what it carries a
/// round trip later, and tells nobody; so a frame is what asks again. IP waits ten minutes with that (RFC 8201,
/// 4), and may: an error of ours becomes a message of ICMP, and whoever sends packets remembers that by itself.
const REPORT_HOLDS: Duration = Duration::from_secs(2);

/// The smallest frame a link takes: the least `mtu`, 256, less 37 of record. A report of less is made up.
const FRAME_BYTES_MIN: u16 = 256 - 37;

/// What is known, by destination.
#[derive(Debug)]
pub(crate) struct PathMtus {
    heard: FifoMap<NodeId, Heard>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Heard {
    /// The largest frame that was said to fit, and when.
    reported: Option<(u16, Instant)>,
    /// What the last frame that arrived says of its way.
    seen: Option<u16>,
}

impl PathMtus {
    pub(crate) fn new(secret: Secret) -> Self {
        Self { heard: FifoMap::with_max(PATHS_MAX, secret) }
    }

    /// Takes in that a frame was too big, and that so many bytes would have fitted.
    pub(crate) fn on_report(&mut self, destination: NodeId, frame_bytes: u16, now: Instant) {
        if frame_bytes < FRAME_BYTES_MIN {
            return;
        }
        let heard = self.heard.get_or_insert_with(destination, Heard::default);
        // Two relays may speak of frames that left together: the narrower of their links counts.
        let earlier = heard.reported.filter(|report| holds(report, now)).map(|(bytes, _)| bytes);
        heard.reported = Some((earlier.map_or(frame_bytes, |bytes| bytes.min(frame_bytes)), now));
    }

    /// Takes in the path MTU field of a frame that `source` sent to us.
    pub(crate) fn on_arrival(&mut self, source: NodeId, frame_bytes: u16, now: Instant) {
        if frame_bytes < FRAME_BYTES_MIN {
            return;
        }
        let heard = self.heard.get_or_insert_with(source, Heard::default);
        heard.seen = Some(frame_bytes);
        heard.reported.take_if(|report| !holds(report, now));
    }

    /// Returns the largest frame that is to be sent to a destination, where an error holds larger ones back.
    pub(crate) fn frame_bytes_max(&self, destination: &NodeId, now: Instant) -> Option<u16> {
        let reported = self.heard.get(destination)?.reported;
        reported.filter(|report| holds(report, now)).map(|(bytes, _)| bytes)
    }

    /// Returns the largest frame that had a chance when something was last heard of the way. A frame that
    /// arrives tells of the way back alone, and an error may be old: that is good enough for handshakes, whose
    /// datagrams may be smaller than they need be.
    pub(crate) fn frame_bytes_heard(&self, destination: &NodeId) -> Option<u16> {
        let heard = self.heard.get(destination)?;
        heard.reported.map(|(bytes, _)| bytes).into_iter().chain(heard.seen).min()
    }
}

fn holds((_, at): &(u16, Instant), now: Instant) -> bool {
    now < *at + REPORT_HOLDS
}

#[cfg(test)]
mod tests {
    use super::*;

    const C: NodeId = NodeId::new([0xc; 16]);

    #[expect(clippy::disallowed_methods, reason = "an Instant can be had in no other way")]
    fn start() -> Instant {
        Instant::now()
    }

    #[test]
    fn the_smallest_report_counts_for_two_seconds_and_then_a_frame_asks_again() {
        let now = start();
        let mut paths = PathMtus::new(Secret::NONE);
        paths.on_report(C, 1200, now);
        paths.on_report(C, 1300, now);

        assert_eq!(paths.frame_bytes_max(&C, now), Some(1200));
        let later = now + REPORT_HOLDS;
        assert_eq!(paths.frame_bytes_max(&C, later), None);
        paths.on_report(C, 1300, later);

        assert_eq!(paths.frame_bytes_max(&C, later), Some(1300));
    }

    #[test]
    fn a_frame_that_arrives_holds_nothing_back_for_it_came_the_other_way() {
        let now = start();
        let mut paths = PathMtus::new(Secret::NONE);

        paths.on_arrival(C, 1163, now);

        assert_eq!((paths.frame_bytes_max(&C, now), paths.frame_bytes_heard(&C)), (None, Some(1163)));
    }

    #[test]
    fn what_was_heard_is_the_least_until_a_frame_arrives_after_the_report() {
        let now = start();
        let mut paths = PathMtus::new(Secret::NONE);
        paths.on_report(C, 1163, now);

        paths.on_arrival(C, 1363, now);
        assert_eq!(paths.frame_bytes_heard(&C), Some(1163));
        paths.on_arrival(C, 1363, now + REPORT_HOLDS);

        assert_eq!(paths.frame_bytes_heard(&C), Some(1363));
    }

    #[test]
    fn a_report_of_less_than_any_link_takes_is_not_believed() {
        let now = start();
        let mut paths = PathMtus::new(Secret::NONE);

        paths.on_report(C, 60, now);
        paths.on_arrival(C, 0, now);

        assert_eq!((paths.frame_bytes_max(&C, now), paths.frame_bytes_heard(&C)), (None, None));
    }
}
