//! How large a frame may be to pass the way to a node, as far as that was heard.

use std::time::{Duration, Instant};

/// The least that a link takes: 256 bytes of datagram less 37 of record. Nobody can talk us below it.
pub(crate) const PATH_MTU_MIN: u16 = 256 - 37;

/// How long a report counts: after that, larger frames are tried again (RFC 8201, 4: ten minutes).
const REPORT_LASTS: Duration = Duration::from_secs(600);

/// What is known of the way to one node.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct PathMtu {
    /// What a relay reported to fit, and until when that counts.
    reported: Option<(u16, Instant)>,
    /// What the newest frame from there says of the way it took. Ways there and back are mostly one.
    seen: Option<u16>,
}

impl PathMtu {
    /// Notes a report that a frame was too big, and how much would have fitted.
    pub(crate) fn on_too_big(&mut self, frame_bytes_max: u16, now: Instant) {
        let fits = frame_bytes_max.max(PATH_MTU_MIN);
        let standing = self.reported.filter(|(_, until)| *until > now).map_or(u16::MAX, |(bytes, _)| bytes);
        if fits <= standing {
            self.reported = Some((fits, now + REPORT_LASTS));
        }
    }

    /// Notes what a frame from there says.
    pub(crate) fn on_frame(&mut self, path_mtu: u16) {
        self.seen = Some(path_mtu.max(PATH_MTU_MIN));
    }

    /// Returns the largest frame that is known to have a chance.
    pub(crate) fn frame_bytes_max(&self, now: Instant) -> u16 {
        let reported = self.reported.filter(|(_, until)| *until > now).map(|(bytes, _)| bytes);
        reported.into_iter().chain(self.seen).min().unwrap_or(u16::MAX)
    }

    /// Returns the same whether reports still count or not; `None` while nothing is known.
    pub(crate) fn known(&self) -> Option<u16> {
        self.reported.map(|(bytes, _)| bytes).into_iter().chain(self.seen).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_that_was_heard_counts_and_a_report_is_forgotten_in_time() {
        #[expect(clippy::disallowed_methods, reason = "an Instant can be had in no other way")]
        let start = Instant::now();
        let mut path = PathMtu::default();
        assert_eq!(path.frame_bytes_max(start), u16::MAX);

        path.on_frame(1363);
        path.on_too_big(863, start);
        path.on_too_big(1000, start);
        assert_eq!(path.frame_bytes_max(start), 863);
        assert_eq!(path.frame_bytes_max(start + REPORT_LASTS), 1363);

        path.on_too_big(1, start);
        assert_eq!(path.frame_bytes_max(start), PATH_MTU_MIN, "nobody talks us below what every link takes");
    }
}
