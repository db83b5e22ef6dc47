//! What members may ask of us before they have proved who they are. A frame's source is what somebody wrote
//! there; the neighbour that it came by is proved. So each neighbour has a budget for the hellos it brings.

use std::time::{Duration, Instant};

use peerbound_wire::NodeId;

use crate::bucket::TokenBucket;
use crate::fifo_map::FifoMap;
use crate::index::Secret;

/// Handshakes that others began and that are in progress: 64 x about 100 kB = 6.4 MB.
pub(crate) const INNER_HALF_OPEN_MAX: usize = 64;

/// Hellos with a good cookie that one neighbour may bring at once: a part of the mesh that restarts together.
const HELLOS_BURST: u32 = 100;

/// One more of them every so often: 50 a second cost some 5 % of a core.
const HELLOS_INTERVAL: Duration = Duration::from_millis(20);

/// Neighbours whose rate is kept: as many as there may be, x about 100 bytes = 100 kB.
const BUCKETS_MAX: usize = 1024;

/// Rates by neighbour.
#[derive(Debug)]
pub(crate) struct Budget {
    buckets: FifoMap<NodeId, TokenBucket>,
}

impl Budget {
    pub(crate) fn new() -> Self {
        // Neighbours are set, not strangers.
        Self { buckets: FifoMap::with_max(BUCKETS_MAX, Secret::NONE) }
    }

    /// Takes one hello out of the budget of the neighbour that brought it.
    pub(crate) fn take(&mut self, ingress: NodeId, now: Instant) -> bool {
        let make = || TokenBucket::new(HELLOS_BURST, HELLOS_INTERVAL, now);
        self.buckets.get_or_insert_with(ingress, make).take(now)
    }
}
