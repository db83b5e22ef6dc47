//! Our mirror of OpenSSL's replay window: 64 records wide, moved only by records that verified.

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

#[cfg(test)]
mod tests {
    use super::*;

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
