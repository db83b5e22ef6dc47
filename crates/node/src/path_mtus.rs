//! Remembers how large a frame may be that is to reach a node further away. Nobody is asked: an error says
//! what would have fitted, and a frame that arrives says what fits the way it came, which is the way back.

use std::time::{Duration, Instant};

use peerbound_wire::NodeId;

use crate::fifo_map::FifoMap;

/// Destinations of which something is remembered: 4096 x about 120 bytes = 480 kB.
const PATHS_MAX: usize = 4096;

/// How long that is believed: ways change, and what was narrow may be wide again.
const BELIEVED_FOR: Duration = Duration::from_secs(600);

/// How long an error counts for more than a larger frame that arrives: the two directions of a link may
/// differ, and then each change of mind costs a frame.
const REPORT_HOLDS: Duration = Duration::from_secs(30);

/// The smallest frame a link takes: the least `mtu`, 256, less 37 of record. A report of less is made up.
const FRAME_BYTES_MIN: u16 = 256 - 37;

/// What is known, by destination.
#[derive(Debug)]
pub(crate) struct PathMtus {
    known: FifoMap<NodeId, Known>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Known {
    /// The smallest frame that was said to fit, and when.
    reported: Option<(u16, Instant)>,
    /// What the last frame that arrived says.
    seen: Option<(u16, Instant)>,
}

impl PathMtus {
    pub(crate) fn new() -> Self {
        Self { known: FifoMap::with_max(PATHS_MAX) }
    }

    /// Takes in that a frame was too big, and that so many bytes would have fitted.
    pub(crate) fn on_report(&mut self, destination: NodeId, frame_bytes: u16, now: Instant) {
        if frame_bytes < FRAME_BYTES_MIN {
            return;
        }
        let known = self.known.get_or_insert_with(destination, Known::default);
        let earlier = known.reported.filter(|report| is_believed(report, now)).map(|(bytes, _)| bytes);
        known.reported = Some((earlier.map_or(frame_bytes, |bytes| bytes.min(frame_bytes)), now));
    }

    /// Takes in the path MTU field of a frame that `source` sent to us.
    pub(crate) fn on_arrival(&mut self, source: NodeId, frame_bytes: u16, now: Instant) {
        if frame_bytes < FRAME_BYTES_MIN {
            return;
        }
        let known = self.known.get_or_insert_with(source, Known::default);
        known.seen = Some((frame_bytes, now));
        known.reported.take_if(|(bytes, at)| *bytes < frame_bytes && now >= *at + REPORT_HOLDS);
    }

    /// Returns the largest frame that gets to a destination, as far as is known.
    pub(crate) fn frame_bytes_max(&self, destination: &NodeId, now: Instant) -> Option<u16> {
        let known = self.known.get(destination)?;
        let of =
            |what: Option<(u16, Instant)>| what.filter(|what| is_believed(what, now)).map(|(bytes, _)| bytes);
        of(known.reported).into_iter().chain(of(known.seen)).min()
    }
}

fn is_believed((_, at): &(u16, Instant), now: Instant) -> bool {
    now < *at + BELIEVED_FOR
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
    fn the_smallest_report_counts_until_it_is_ten_minutes_old() {
        let now = start();
        let mut paths = PathMtus::new();
        assert_eq!(paths.frame_bytes_max(&C, now), None);

        paths.on_report(C, 1200, now);
        paths.on_report(C, 1300, now);

        assert_eq!(paths.frame_bytes_max(&C, now), Some(1200));
        assert_eq!(paths.frame_bytes_max(&C, now + BELIEVED_FOR), None);
    }

    #[test]
    fn a_frame_that_arrives_says_what_fits_and_the_next_one_may_say_more() {
        let now = start();
        let mut paths = PathMtus::new();

        paths.on_arrival(C, 1163, now);
        assert_eq!(paths.frame_bytes_max(&C, now), Some(1163));
        paths.on_arrival(C, 1363, now);

        assert_eq!(paths.frame_bytes_max(&C, now), Some(1363));
    }

    #[test]
    fn a_larger_frame_that_arrives_lifts_a_report_that_is_half_a_minute_old() {
        let now = start();
        let mut paths = PathMtus::new();
        paths.on_report(C, 1163, now);

        paths.on_arrival(C, 1363, now);
        assert_eq!(paths.frame_bytes_max(&C, now), Some(1163));
        paths.on_arrival(C, 1363, now + REPORT_HOLDS);

        assert_eq!(paths.frame_bytes_max(&C, now + REPORT_HOLDS), Some(1363));
    }

    #[test]
    fn a_report_of_less_than_any_link_takes_is_not_believed() {
        let now = start();
        let mut paths = PathMtus::new();

        paths.on_report(C, 60, now);
        paths.on_arrival(C, 0, now);

        assert_eq!(paths.frame_bytes_max(&C, now), None);
    }
}
