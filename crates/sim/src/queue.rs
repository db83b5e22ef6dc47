//! What is due, in order of time; at one moment, in the order in which it was put there.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use crate::time::VirtualTime;

/// A queue of things that are due.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    heap: BinaryHeap<Reverse<Entry<T>>>,
    /// How many things were ever put here: breaks ties, so that two runs agree.
    put: u64,
}

#[derive(Debug)]
struct Entry<T> {
    at: VirtualTime,
    number: u64,
    what: T,
}

impl<T> Queue<T> {
    pub(crate) fn new() -> Self {
        Self { heap: BinaryHeap::new(), put: 0 }
    }

    pub(crate) fn put(&mut self, at: VirtualTime, what: T) {
        self.heap.push(Reverse(Entry { at, number: self.put, what }));
        self.put += 1;
    }

    /// Returns when the next thing is due.
    pub(crate) fn next_at(&self) -> Option<VirtualTime> {
        self.heap.peek().map(|Reverse(entry)| entry.at)
    }

    pub(crate) fn pop(&mut self) -> Option<(VirtualTime, T)> {
        self.heap.pop().map(|Reverse(entry)| (entry.at, entry.what))
    }
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<T> Eq for Entry<T> {}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_first_comes_first_and_ties_keep_their_order() {
        let mut queue = Queue::new();
        for (at, what) in [(5, 'c'), (3, 'a'), (5, 'd'), (3, 'b'), (9, 'e'), (5, 'x')] {
            queue.put(VirtualTime(at), what);
        }

        let order: String = std::iter::from_fn(|| queue.pop()).map(|(_, what)| what).collect();

        assert_eq!(order, "abcdxe");
    }
}
