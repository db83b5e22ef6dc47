//! The part of a node that measures round trips to its neighbours, where links cost by them or somebody may
//! ask: a ping of its own now and then, which no relay sees.

use std::time::{Duration, Instant};

use peerbound_wire::{Header, Kind, NodeId, Ping};
use rand_chacha::rand_core::Rng;

use crate::node::Node;

/// The time between two measurements of one link: a change is felt within a quarter of a minute.
const MEASURE_INTERVAL: Duration = Duration::from_secs(2);

/// The measuring of one link.
#[derive(Debug, Clone, Copy)]
pub(super) struct Probe {
    next_at: Instant,
    /// What was asked last, and when.
    asked: Option<(u64, Instant)>,
    smoothed: Option<Duration>,
}

impl Probe {
    fn measure(&mut self, time: Duration) {
        // RFC 6298, 2.3: seven parts of what was known, one of what is measured.
        self.smoothed = Some(self.smoothed.map_or(time, |known| (known * 7 + time) / 8));
    }
}

impl Node {
    pub(super) fn measure_from(&mut self, id: NodeId, now: Instant) {
        if self.config.measure_round_trips || self.router.as_ref().is_some_and(|router| router.measures()) {
            self.probes.insert(id, Probe { next_at: now, asked: None, smoothed: None });
        }
    }

    pub(super) fn run_probes(&mut self, now: Instant) {
        if self.probes.is_empty() {
            return;
        }
        let due = self.probes.iter().filter(|(_, probe)| probe.next_at <= now);
        for id in due.map(|(id, _)| *id).collect::<Vec<_>>() {
            let token = self.chance.next_u64();
            if let Some(probe) = self.probes.get_mut(&id) {
                (probe.next_at, probe.asked) = (now + MEASURE_INTERVAL, Some((token, now)));
            }
            let header = self.originate(Header::new(Kind::Ping, self.us, id));
            let mut payload = Vec::new();
            Ping { token }.encode_into(&mut payload);
            // One that does not leave is one that is not answered.
            let _ = self.send_control(header, &payload, id);
        }
    }

    pub(super) fn probes_at(&self) -> Option<Instant> {
        self.probes.values().map(|probe| probe.next_at).min()
    }

    /// Returns whether an answer was to a measurement, and not to a question of our owner's.
    pub(super) fn is_measurement(&mut self, from: NodeId, token: u64, now: Instant) -> bool {
        let Some(probe) = self.probes.get_mut(&from) else { return false };
        let Some((_, asked_at)) = probe.asked.filter(|(asked, _)| *asked == token) else { return false };
        probe.asked = None;
        let time = now.saturating_duration_since(asked_at);
        probe.measure(time);
        if let Some(router) = &mut self.router {
            router.on_round_trip(from, time, now);
        }
        true
    }

    /// Returns the smoothed round trip to a neighbour, where it was measured since its link came up.
    #[must_use]
    pub fn round_trip(&self, neighbour: NodeId) -> Option<Duration> {
        self.probes.get(&neighbour)?.smoothed
    }
}
