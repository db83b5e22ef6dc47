//! Our mirror of OpenSSL's replay window: 64 records wide, moved only by records that verified. And a
//! wider one, for records that fair queues on the way let many others overtake.

use crate::discard::Discard;

/// Records the window looks back on, the width that RFC 6347, 4.1.2.6 prefers and OpenSSL uses.
pub const REPLAY_WINDOW_RECORDS: u64 = 64;

/// Knows which record numbers of one epoch were received (RFC 6347, 4.1.2.6).
///
/// # Examples
/// ```
/// use peerbound_dtls::{Discard, ReplayWindow};
///
/// let mut window = ReplayWindow::default();
/// window.mark(100);
/// assert_eq!(window.check(100), Err(Discard::Replay));
/// assert_eq!(window.check(37), Ok(()));
/// assert_eq!(window.check(36), Err(Discard::TooOld));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReplayWindow {
    newest: u64,
    /// Bit `n` stands for the record `newest - n`.
    seen: u64,
}

impl ReplayWindow {
    /// Says whether a record with this number may be fresh.
    ///
    /// # Errors
    /// [`Discard::Replay`] or [`Discard::TooOld`].
    pub fn check(&self, sequence: u64) -> Result<(), Discard> {
        let Some(behind) = self.newest.checked_sub(sequence) else {
            return Ok(());
        };
        if behind >= REPLAY_WINDOW_RECORDS {
            return Err(Discard::TooOld);
        }
        if self.seen & (1 << behind) != 0 {
            return Err(Discard::Replay);
        }
        Ok(())
    }

    /// Notes a record that verified. Never call it before: a forged number must not move the window.
    pub fn mark(&mut self, sequence: u64) {
        if let Some(behind) = self.newest.checked_sub(sequence) {
            if behind < REPLAY_WINDOW_RECORDS {
                self.seen |= 1 << behind;
            }
            return;
        }
        let ahead = sequence - self.newest;
        self.seen = if ahead < REPLAY_WINDOW_RECORDS { self.seen << ahead } else { 0 } | 1;
        self.newest = sequence;
    }
}

/// The same over a width of the caller's choice.
#[derive(Debug, Clone)]
pub(crate) struct WideWindow {
    newest: u64,
    /// One bit for each record, at its number modulo the width.
    seen: Box<[u64]>,
}

impl WideWindow {
    /// Makes a window that looks back on so many records, rounded up to a multiple of 64.
    pub(crate) fn new(records: u64) -> Self {
        let words = usize::try_from(records.div_ceil(64).max(1)).unwrap_or(1);
        Self { newest: 0, seen: vec![0; words].into_boxed_slice() }
    }

    /// Says whether a record with this number may be fresh.
    pub(crate) fn check(&self, sequence: u64) -> Result<(), Discard> {
        let Some(behind) = self.newest.checked_sub(sequence) else {
            return Ok(());
        };
        if behind >= self.width() {
            return Err(Discard::TooOld);
        }
        let (word, bit) = self.position(sequence);
        if self.seen[word] & bit == 0 { Ok(()) } else { Err(Discard::Replay) }
    }

    /// Notes a record that verified. Never call it before: a forged number must not move the window.
    pub(crate) fn mark(&mut self, sequence: u64) {
        if let Some(ahead) = sequence.checked_sub(self.newest) {
            self.forget(ahead);
            self.newest = sequence;
        } else if self.newest - sequence >= self.width() {
            return;
        }
        let (word, bit) = self.position(sequence);
        self.seen[word] |= bit;
    }

    /// Clears the bits that the numbers from `newest + 1` to `newest + ahead` will use.
    fn forget(&mut self, ahead: u64) {
        if ahead >= self.width() {
            self.seen.fill(0);
            return;
        }
        for step in 1..=ahead {
            let (word, bit) = self.position(self.newest.wrapping_add(step));
            self.seen[word] &= !bit;
        }
    }

    fn width(&self) -> u64 {
        self.seen.len() as u64 * 64
    }

    fn position(&self, sequence: u64) -> (usize, u64) {
        let index = sequence % self.width();
        // Below the number of words, so it fits any usize.
        (usize::try_from(index / 64).unwrap_or(0), 1 << (index % 64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wide_window_agrees_with_a_set_over_a_long_shuffled_run() {
        let mut window = WideWindow::new(200);
        let width = 256;
        let mut naive = std::collections::BTreeSet::new();
        let (mut state, mut newest) = (7_u64, 0);
        for step in 0..20_000_u64 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let sequence = step / 2 + (state >> 33) % 400;

            let expected = match newest.max(sequence) - sequence {
                behind if behind >= width => Err(Discard::TooOld),
                _ if naive.contains(&sequence) => Err(Discard::Replay),
                _ => Ok(()),
            };
            assert_eq!(window.check(sequence), expected, "record {sequence}, newest {newest}");
            if expected.is_ok() {
                window.mark(sequence);
                naive.insert(sequence);
                newest = newest.max(sequence);
            }
        }
    }

    #[test]
    fn a_fresh_window_accepts_number_zero_once() {
        let mut window = ReplayWindow::default();

        assert_eq!(window.check(0), Ok(()));
        window.mark(0);

        assert_eq!(window.check(0), Err(Discard::Replay));
    }

    #[test]
    fn sixty_three_behind_is_accepted_and_sixty_four_is_too_old() {
        let mut window = ReplayWindow::default();
        window.mark(1000);

        assert_eq!(window.check(1000 - 63), Ok(()));
        assert_eq!(window.check(1000 - 64), Err(Discard::TooOld));
    }

    #[test]
    fn a_jump_past_the_window_forgets_what_lies_behind_it() {
        let mut window = ReplayWindow::default();
        window.mark(5);
        window.mark(5 + 64);

        assert_eq!(window.check(6), Ok(()));
        assert_eq!(window.check(5), Err(Discard::TooOld));
    }

    #[test]
    fn the_largest_number_does_not_overflow() {
        let mut window = ReplayWindow::default();
        window.mark((1 << 48) - 1);

        assert_eq!(window.check((1 << 48) - 1), Err(Discard::Replay));
        assert_eq!(window.check(0), Err(Discard::TooOld));
    }
}
