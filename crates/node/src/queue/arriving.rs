//! The queue that is not ours: what waits in the kernel until this node has time for it. Where a processor is the
//! narrowest place of a way, it is there that a queue stands, up to the whole buffer of a socket. Knows times alone.

use std::time::{Duration, Instant};

use crate::queue::FlowKey;
use crate::queue::codel::{Advice, Codel, TARGET};

/// Bytes behind a frame that waited so long: more than CoDel takes for none.
const BACKLOG: usize = usize::MAX;

/// Frames among which a flow that has none has hardly a part in the queue. A ping of 100 packets a second is one in a thousand.
const RECENT: usize = 32;

/// Judges frames by how long they waited.
#[derive(Debug)]
pub(crate) struct Arriving {
    codel: Codel,
    /// The flows of the last frames that waited too long.
    recent: [Option<FlowKey>; RECENT],
    next: usize,
}

impl Arriving {
    pub(crate) fn new() -> Self {
        Self { codel: Codel::default(), recent: [None; RECENT], next: 0 }
    }

    /// Judges a frame that waited so long. Who has hardly a part in the queue is not told of it.
    pub(crate) fn advise(&mut self, key: FlowKey, waited: Duration, now: Instant) -> Advice {
        if waited >= TARGET && self.is_sparse(key) {
            return Advice::Pass;
        }
        self.codel.advise(waited, BACKLOG, now)
    }

    /// Whether none of the last frames that waited too long was of this flow; this one is the last of them from here on.
    fn is_sparse(&mut self, key: FlowKey) -> bool {
        let is_sparse = !self.recent.contains(&Some(key));
        self.recent[self.next] = Some(key);
        self.next = (self.next + 1) % RECENT;
        is_sparse
    }
}

#[cfg(test)]
mod tests {
    use peerbound_wire::{FlowId, Header, Kind, NodeId};

    use super::*;
    use crate::queue::instant_for_tests;

    fn flow(number: u32) -> FlowKey {
        let (a, b) = (NodeId::new([1; 16]), NodeId::new([2; 16]));
        FlowKey::of(&Header { flow: FlowId(number), ..Header::new(Kind::Data, a, b) })
    }

    #[test]
    fn a_queue_that_stands_is_told_to_those_who_fill_it_and_to_nobody_else() {
        let mut arriving = Arriving::new();
        let start = instant_for_tests();
        let mut told = [0, 0];

        // A hundred thousand frames a second, of which a sparse flow has one in a thousand.
        for number in 0..50_000_u32 {
            let now = start + Duration::from_micros(10) * number;
            let is_sparse = number % 1000 == 999;
            let advice = arriving.advise(flow(u32::from(is_sparse)), TARGET * 2, now);
            told[usize::from(is_sparse)] += u32::from(advice == Advice::Signal);
        }

        assert!(told[0] > 5, "{told:?}");
        assert_eq!(told[1], 0);
    }

    #[test]
    fn where_the_queue_is_worked_off_now_and_then_nobody_is_told() {
        let mut arriving = Arriving::new();
        let start = instant_for_tests();

        for number in 0..20_000_u32 {
            let now = start + Duration::from_micros(10) * number;
            let waited = if number % 8000 < 7900 { TARGET * 4 } else { TARGET / 2 };
            assert_eq!(arriving.advise(flow(1), waited, now), Advice::Pass);
        }
    }
}
