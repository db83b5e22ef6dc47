//! What a flow of numbered payloads looked like at its far end.

use std::time::{Duration, Instant};

/// Numbers that were sent, and those that arrived, each with its time.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    sent: u64,
    arrived: Vec<(u64, Instant)>,
}

impl Seen {
    /// Takes the next number.
    pub(crate) fn send(&mut self) -> u64 {
        self.sent += 1;
        self.sent - 1
    }

    /// Takes note of a number that has arrived.
    pub(crate) fn arrive(&mut self, number: u64, now: Instant) {
        self.arrived.push((number, now));
    }

    /// Returns how many arrived at all.
    pub(crate) fn count(&self) -> usize {
        self.arrived.len()
    }

    /// Returns how many arrived since, of those that were sent from `first` on.
    pub(crate) fn count_from(&self, first: u64) -> usize {
        self.arrived.iter().filter(|(number, _)| *number >= first).count()
    }

    /// Returns the number that is sent next.
    pub(crate) fn next(&self) -> u64 {
        self.sent
    }

    /// Returns how many of those in front of the newest that arrived did not.
    pub(crate) fn lost(&self) -> u64 {
        let mut numbers: Vec<_> = self.arrived.iter().map(|(number, _)| *number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers.last().map_or(0, |newest| newest + 1 - numbers.len() as u64)
    }

    /// Returns the longest time in which nothing arrived, between two that did.
    pub(crate) fn outage(&self) -> Duration {
        let pairs = self.arrived.iter().zip(self.arrived.iter().skip(1));
        pairs.map(|((_, one), (_, next))| next.duration_since(*one)).max().unwrap_or_default()
    }

    /// Returns when the first arrived of those sent from `first` on.
    pub(crate) fn first_from(&self, first: u64) -> Option<Instant> {
        self.arrived.iter().find(|(number, _)| *number >= first).map(|(_, when)| *when)
    }
}

#[test]
fn what_is_missing_in_front_of_the_newest_is_lost_and_silence_is_an_outage() {
    let start = Instant::now();
    let mut seen = Seen::default();
    for _ in 0..10 {
        seen.send();
    }

    for (number, after) in [(0, 0), (1, 10), (2, 20), (6, 1020), (5, 1021), (7, 1030)] {
        seen.arrive(number, start + Duration::from_millis(after));
    }

    assert_eq!((seen.count(), seen.lost(), seen.next()), (6, 2, 10));
    assert_eq!(seen.outage(), Duration::from_millis(1000));
    assert_eq!((seen.count_from(5), seen.first_from(3)), (3, Some(start + Duration::from_millis(1020))));
}
