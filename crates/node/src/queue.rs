//! The frames that wait for room in the kernel, or for the rate of a link, before they are sealed: for
//! each neighbour a [`FairQueue`]. Pure: time is an argument, sealing is its owner's.
//!
//! Nothing waits here as long as the owner takes everything at once.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use peerbound_wire::{Header, NodeId};

use crate::counters::FrameDrop;
use crate::queue::drr::QUANTUM_BYTES;
use crate::queue::rate::Pacer;

mod arriving;
mod codel;
mod drr;
mod rate;
mod view;
mod waiting;

pub(crate) use arriving::Arriving;
pub(crate) use codel::Advice;
pub(crate) use waiting::{FlowKey, Waiting};

pub use drr::{FairQueue, Queued, Taken};
pub use rate::Rate;
pub use view::QueueView;

/// Memory of the frames that wait for one neighbour: 1300 full frames, which take 0.8 s at 20 Mbit/s and
/// 17 ms at 1 Gbit/s. What one flow has of it, the others do not wait for.
pub const QUEUE_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Memory of all frames that wait: sixteen neighbours that stand at the same time.
pub const QUEUES_BYTES_MAX: usize = 32 * 1024 * 1024;
const _: () = assert!(QUEUE_BYTES_MAX <= QUEUES_BYTES_MAX);

/// Buffers kept for the next frames: 256 x 1.4 kB = 360 kB.
const SPARE_MAX: usize = 256;

/// The bytes of a buffer that is kept; larger ones are for links that few have.
const SPARE_BYTES_MAX: usize = 4096;

/// All queues of a node.
#[derive(Debug)]
pub(crate) struct Queues {
    by_neighbour: BTreeMap<NodeId, Queue>,
    /// Those for whom frames wait, in the order in which it is their turn.
    turns: VecDeque<NodeId>,
    /// What the first of them may still send in its turn.
    turn_bytes_left: usize,
    paced: usize,
    frames: usize,
    charge: usize,
    spare: Vec<Vec<u8>>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: FairQueue<Waiting>,
    pacer: Option<Pacer>,
    sojourn: Duration,
    passed: u64,
    marked: u64,
    dropped: BTreeMap<FrameDrop, u64>,
}

/// There is no room, and the newcomer is of the flow that takes most of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

impl Queues {
    pub(crate) fn new(rates: &BTreeMap<NodeId, Rate>) -> Self {
        let paced = |(id, rate): (&NodeId, &Rate)| {
            (*id, Queue { pacer: Some(Pacer::new(*rate)), ..Queue::default() })
        };
        Self {
            by_neighbour: rates.iter().map(paced).collect(),
            turns: VecDeque::new(),
            turn_bytes_left: 0,
            paced: rates.len(),
            frames: 0,
            charge: 0,
            spare: Vec::new(),
        }
    }

    /// Takes other rates in place of those that were set. What waits leaves by them.
    pub(crate) fn set_rates(&mut self, rates: &BTreeMap<NodeId, Rate>) {
        for (neighbour, queue) in &mut self.by_neighbour {
            let former = queue.pacer.as_ref().map(Pacer::rate);
            let rate = rates.get(neighbour).copied();
            if rate != former {
                queue.pacer = rate.map(Pacer::new);
            }
        }
        for (neighbour, rate) in rates {
            let unused = || Queue { pacer: Some(Pacer::new(*rate)), ..Queue::default() };
            self.by_neighbour.entry(*neighbour).or_insert_with(unused);
        }
        self.paced = rates.len();
    }

    /// Returns how many frames wait.
    pub(crate) fn frames(&self) -> usize {
        self.frames
    }

    /// Returns whether a frame for this neighbour need not wait: none does, and its rate allows it.
    pub(crate) fn is_open(&self, neighbour: &NodeId, now: Instant) -> bool {
        if self.frames == 0 && self.paced == 0 {
            return true;
        }
        self.by_neighbour.get(neighbour).is_none_or(|queue| {
            queue.waiting.is_empty() && queue.pacer.as_ref().is_none_or(|pacer| pacer.is_ready(now))
        })
    }

    /// Notes that a datagram of so many bytes left for a neighbour.
    pub(crate) fn charge(&mut self, neighbour: &NodeId, bytes: usize, now: Instant) {
        if self.paced > 0
            && let Some(pacer) = self.by_neighbour.get_mut(neighbour).and_then(|queue| queue.pacer.as_mut())
        {
            pacer.charge(bytes, now);
        }
    }

    /// Lets a frame wait; its bytes are copied. Afterwards [`Self::shed`] says what has to give way.
    ///
    /// # Errors
    /// [`Full`] where a frame of our own would have to push out one of the same flow: its sender is here
    /// and can be told.
    pub(crate) fn push(
        &mut self,
        neighbour: NodeId,
        frame: &[u8],
        (header, from): (Header, Option<NodeId>),
        now: Instant,
    ) -> Result<(), Full> {
        if from.is_none() && self.is_full_of(neighbour, FlowKey::of(&header), frame.len()) {
            return Err(Full);
        }
        let mut bytes = self.spare.pop().unwrap_or_default();
        bytes.extend_from_slice(frame);
        let frame = Waiting { bytes, header, from, since: now };
        let queue = self.by_neighbour.entry(neighbour).or_default();
        if queue.waiting.is_empty() {
            self.turns.push_back(neighbour);
        }
        self.frames += 1;
        self.charge += frame.charge();
        queue.waiting.push(frame);
        Ok(())
    }

    /// Takes out, until all ceilings hold, the frame that has to give way and whose queue it was in, after
    /// one was added for `neighbour`.
    pub(crate) fn shed(&mut self, neighbour: NodeId) -> Option<(NodeId, Waiting)> {
        let victim = if self.charge > QUEUES_BYTES_MAX {
            let charges = self.by_neighbour.iter().map(|(id, queue)| (queue.waiting.charge(), *id));
            charges.max()?.1
        } else {
            neighbour
        };
        let queue = self.by_neighbour.get_mut(&victim)?;
        if self.charge <= QUEUES_BYTES_MAX && queue.waiting.charge() <= QUEUE_BYTES_MAX {
            return None;
        }
        let frame = queue.waiting.drop_from_fattest()?;
        self.note_gone(victim, &frame);
        Some((victim, frame))
    }

    /// Takes the next frame that may leave and whom it is for. One neighbour after the other has its
    /// turn, of so many bytes that a batch gets full, or of what there is room for.
    pub(crate) fn take(&mut self, turn_bytes: usize, now: Instant) -> Option<(NodeId, Taken<Waiting>)> {
        for _ in 0..self.turns.len() {
            let neighbour = *self.turns.front()?;
            let queue = self.by_neighbour.get_mut(&neighbour)?;
            let is_ready = queue.pacer.as_ref().is_none_or(|pacer| pacer.is_ready(now));
            if is_ready && let Some(taken) = queue.waiting.take(now) {
                let (Taken::Passed(frame) | Taken::Marked(frame) | Taken::Dropped(frame)) = &taken;
                if !matches!(taken, Taken::Dropped(_)) {
                    queue.sojourn = now.saturating_duration_since(frame.since);
                    queue.passed += 1;
                    queue.marked += u64::from(matches!(taken, Taken::Marked(_)));
                }
                if self.turn_bytes_left == 0 {
                    self.turn_bytes_left = turn_bytes.max(QUANTUM_BYTES);
                }
                self.turn_bytes_left = self.turn_bytes_left.saturating_sub(frame.bytes.len());
                self.frames -= 1;
                self.charge -= frame.charge();
                if queue.waiting.is_empty() {
                    self.turns.pop_front();
                    self.turn_bytes_left = 0;
                } else if self.turn_bytes_left == 0 {
                    self.turns.rotate_left(1);
                }
                return Some((neighbour, taken));
            }
            self.turns.rotate_left(1);
            self.turn_bytes_left = 0;
        }
        None
    }

    /// Counts a frame that was dropped from a queue, and takes its buffer back.
    pub(crate) fn note_dropped(&mut self, neighbour: &NodeId, frame: Waiting, reason: FrameDrop) {
        if let Some(queue) = self.by_neighbour.get_mut(neighbour) {
            *queue.dropped.entry(reason).or_default() += 1;
        }
        self.recycle(frame);
    }

    /// Takes a frame's buffer back, so that the next one need not allocate.
    pub(crate) fn recycle(&mut self, frame: Waiting) {
        let mut bytes = frame.bytes;
        if self.spare.len() < SPARE_MAX && bytes.capacity() <= SPARE_BYTES_MAX {
            bytes.clear();
            self.spare.push(bytes);
        }
    }

    /// Returns when a rate lets the next frame leave, which may be past; where there is room for it, that
    /// is when to ask again.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        if self.frames == 0 || self.paced == 0 {
            return None;
        }
        let waiting = self.turns.iter().filter_map(|neighbour| self.by_neighbour.get(neighbour));
        waiting.filter_map(|queue| queue.pacer.as_ref()?.ready_at()).min()
    }

    /// Returns how long the next frame for a neighbour will wait, going by the last that left.
    pub(crate) fn delay(&self, neighbour: &NodeId) -> Duration {
        let queue = self.by_neighbour.get(neighbour).filter(|queue| !queue.waiting.is_empty());
        queue.map_or(Duration::ZERO, |queue| queue.sojourn)
    }

    /// Describes the queue of a neighbour.
    pub(crate) fn view(&self, neighbour: NodeId, now: Instant) -> QueueView {
        let unused = Queue::default();
        let queue = self.by_neighbour.get(&neighbour).unwrap_or(&unused);
        QueueView {
            neighbour,
            frames: queue.waiting.frames(),
            bytes: queue.waiting.bytes(),
            flows: queue.waiting.flows(),
            sojourn: queue.sojourn,
            oldest: queue.waiting.oldest().map_or(Duration::ZERO, |at| now.saturating_duration_since(at)),
            passed: queue.passed,
            marked: queue.marked,
            dropped: queue.dropped.clone(),
            rate: queue.pacer.as_ref().map(Pacer::rate),
        }
    }

    fn is_full_of(&self, neighbour: NodeId, key: FlowKey, bytes: usize) -> bool {
        let Some(queue) = self.by_neighbour.get(&neighbour) else { return false };
        let charge = Waiting::charge_of(bytes);
        let is_over =
            self.charge + charge > QUEUES_BYTES_MAX || queue.waiting.charge() + charge > QUEUE_BYTES_MAX;
        is_over && queue.waiting.is_fattest(key)
    }

    fn note_gone(&mut self, neighbour: NodeId, frame: &Waiting) {
        self.frames -= 1;
        self.charge -= frame.charge();
        let is_empty = self.by_neighbour.get(&neighbour).is_none_or(|queue| queue.waiting.is_empty());
        if is_empty {
            self.turns.retain(|other| *other != neighbour);
            self.turn_bytes_left = 0;
        }
    }
}

#[cfg(test)]
pub(crate) fn instant_for_tests() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "an Instant can be had in no other way")]
    Instant::now()
}

#[cfg(test)]
mod tests;
