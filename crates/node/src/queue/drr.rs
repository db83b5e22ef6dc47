//! What waits for one way out: a queue for each flow, served in turn by deficit round robin, flows that have just begun
//! first (RFC 8290, 4). Each flow has a CoDel of its own.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use crate::queue::codel::{Advice, Codel};

/// Bytes that a flow may send in one turn (RFC 8290, 5.2.4): one frame of a common link, so that a flow
/// of large frames and one of small ones get the same.
pub(crate) const QUANTUM_BYTES: usize = 1500;

/// Flows that are told apart in one queue: 1024 x about 300 bytes = 300 kB. Those beyond share one.
pub(crate) const FLOWS_WAITING_MAX: usize = 1024;

/// Places for frames that a flow without any keeps: flows come and go all the time.
const PLACES_KEPT: usize = 32;

/// What can wait in a [`FairQueue`].
pub trait Queued {
    /// What tells one flow from another.
    type Key: Copy + Ord;

    /// The flow of those for which there is no room among the flows.
    const SHARED: Self::Key;

    /// Returns its flow.
    fn key(&self) -> Self::Key;

    /// Returns how many bytes it takes on the way out.
    fn bytes(&self) -> usize;

    /// Returns how many bytes of memory it takes, which is what ceilings are about.
    fn charge(&self) -> usize;

    /// Returns since when it waits.
    fn since(&self) -> Instant;

    /// Notes on it that it met congestion (RFC 3168); returns false where nobody would heed that.
    fn mark(&mut self) -> bool;
}

/// What came of asking for the next one.
#[derive(Debug)]
pub enum Taken<T> {
    /// It is to be sent.
    Passed(T),
    /// It is to be sent, and carries a mark now that it met congestion.
    Marked(T),
    /// It stood too long.
    Dropped(T),
}

/// A queue that is fair to flows: none waits for what another has put into it, and who has little in it hardly waits at
/// all (RFC 8290). Pure: time is an argument. It has no ceiling of its own; its owner counts.
#[derive(Debug)]
pub struct FairQueue<T: Queued> {
    flows: Vec<Flow<T>>,
    /// Places in `flows` that nobody has.
    free: Vec<usize>,
    by_key: BTreeMap<T::Key, usize>,
    /// The place of the flow that one was last pushed for: the next one is often of the same.
    last: Option<usize>,
    /// Flows in their first turn, and those behind it.
    fresh: VecDeque<usize>,
    served: VecDeque<usize>,
    frames: usize,
    bytes: usize,
    charge: usize,
}

#[derive(Debug)]
struct Flow<T: Queued> {
    key: T::Key,
    frames: VecDeque<T>,
    bytes: usize,
    charge: usize,
    /// Bytes it may still send in this turn; below nothing, what it has had too much.
    deficit: i64,
    codel: Codel,
}

impl<T: Queued> Default for FairQueue<T> {
    fn default() -> Self {
        Self {
            flows: Vec::new(),
            free: Vec::new(),
            by_key: BTreeMap::new(),
            last: None,
            fresh: VecDeque::new(),
            served: VecDeque::new(),
            frames: 0,
            bytes: 0,
            charge: 0,
        }
    }
}

impl<T: Queued> FairQueue<T> {
    /// Returns whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.frames == 0
    }

    /// Returns how many wait.
    #[must_use]
    pub fn frames(&self) -> usize {
        self.frames
    }

    /// Returns the bytes of all that wait.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn charge(&self) -> usize {
        self.charge
    }

    /// Returns how many flows have frames here.
    pub(crate) fn flows(&self) -> usize {
        self.by_key.values().filter_map(|slot| self.flows.get(*slot)).filter(|flow| flow.bytes > 0).count()
    }

    /// Returns since when the frame waits that has waited longest.
    pub(crate) fn oldest(&self) -> Option<Instant> {
        self.flows.iter().filter_map(|flow| flow.frames.front()).map(Queued::since).min()
    }

    /// Lets one wait behind the others of its flow.
    pub fn push(&mut self, frame: T) {
        let key = frame.key();
        let is_last = |slot: &usize| self.flows.get(*slot).is_some_and(|flow| flow.key == key);
        let slot = self.last.filter(is_last).unwrap_or_else(|| self.slot_of(key));
        self.last = Some(slot);
        let Some(flow) = self.flows.get_mut(slot) else { return };
        let (bytes, charge) = (frame.bytes(), frame.charge());
        flow.bytes += bytes;
        flow.charge += charge;
        flow.frames.push_back(frame);
        self.frames += 1;
        self.bytes += bytes;
        self.charge += charge;
    }

    /// Takes the next one, or the next that stood too long.
    pub fn take(&mut self, now: Instant) -> Option<Taken<T>> {
        loop {
            let is_fresh = !self.fresh.is_empty();
            let slot = *self.fresh.front().or(self.served.front())?;
            let flow = self.flows.get_mut(slot)?;
            if flow.deficit <= 0 {
                flow.deficit += signed(QUANTUM_BYTES);
                self.end_turn(is_fresh);
                self.served.push_back(slot);
                continue;
            }
            let Some(mut frame) = self.take_oldest(slot) else {
                self.end_turn(is_fresh);
                // A flow in its first turn is served with the others once more: or it could always come
                // back as one that has just begun, and nobody else would have a turn (RFC 8290, 4.2).
                if is_fresh {
                    self.served.push_back(slot);
                } else {
                    self.forget(slot);
                }
                continue;
            };
            let flow = self.flows.get_mut(slot)?;
            let bytes = frame.bytes();
            let sojourn = now.saturating_duration_since(frame.since());
            let taken = match flow.codel.advise(sojourn, flow.bytes, now) {
                Advice::Signal if !frame.mark() => return Some(Taken::Dropped(frame)),
                Advice::Signal => Taken::Marked(frame),
                Advice::Pass => Taken::Passed(frame),
            };
            flow.deficit -= signed(bytes);
            return Some(taken);
        }
    }

    /// Drops the oldest frame of the flow that takes most memory: its sender hears of it soonest.
    pub(crate) fn drop_from_fattest(&mut self) -> Option<T> {
        let (slot, _) = self.fattest()?;
        self.take_oldest(slot)
    }

    /// Takes the oldest frame of a flow off the books.
    fn take_oldest(&mut self, slot: usize) -> Option<T> {
        let flow = self.flows.get_mut(slot)?;
        let frame = flow.frames.pop_front()?;
        let (bytes, charge) = (frame.bytes(), frame.charge());
        flow.bytes -= bytes;
        flow.charge -= charge;
        self.frames -= 1;
        self.bytes -= bytes;
        self.charge -= charge;
        Some(frame)
    }

    /// Returns whether no flow takes more memory than this one.
    pub(crate) fn is_fattest(&self, key: T::Key) -> bool {
        self.fattest().is_none_or(|(slot, _)| self.flows.get(slot).is_some_and(|flow| flow.key == key))
    }

    fn fattest(&self) -> Option<(usize, usize)> {
        let charges = self.flows.iter().map(|flow| flow.charge).enumerate();
        charges.filter(|(_, charge)| *charge > 0).max_by_key(|(_, charge)| *charge)
    }

    /// Returns the place of a flow, which is given one if it has none.
    fn slot_of(&mut self, key: T::Key) -> usize {
        if let Some(slot) = self.by_key.get(&key) {
            return *slot;
        }
        if self.by_key.len() >= FLOWS_WAITING_MAX && key != T::SHARED {
            return self.slot_of(T::SHARED);
        }
        let slot = self.free.pop().unwrap_or_else(|| {
            self.flows.push(Flow::new(key));
            self.flows.len() - 1
        });
        if let Some(flow) = self.flows.get_mut(slot) {
            flow.key = key;
            flow.codel = Codel::default();
            flow.deficit = signed(QUANTUM_BYTES);
        }
        self.by_key.insert(key, slot);
        self.fresh.push_back(slot);
        slot
    }

    fn end_turn(&mut self, is_fresh: bool) {
        if is_fresh {
            self.fresh.pop_front()
        } else {
            self.served.pop_front()
        };
    }

    fn forget(&mut self, slot: usize) {
        if let Some(flow) = self.flows.get_mut(slot) {
            flow.frames.shrink_to(PLACES_KEPT);
            self.by_key.remove(&flow.key);
            self.free.push(slot);
            self.last = None;
        }
    }
}

impl<T: Queued> Flow<T> {
    fn new(key: T::Key) -> Self {
        Self { key, frames: VecDeque::new(), bytes: 0, charge: 0, deficit: 0, codel: Codel::default() }
    }
}

fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
