//! Finds the highest rate at which a way loses little: it narrows down from what a sender without a rate gets
//! through. Pure.

/// The share of datagrams that may be lost.
pub(crate) const LOSS_MAX: f64 = 0.01;

/// Trials of one search, the first one without a rate included: with the last three the bracket is within a tenth.
const TRIALS_MAX: usize = 13;

/// A bracket as narrow as this is as good as the machine is quiet.
const NARROW: f64 = 1.04;

/// What came of a trial.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Trial {
    /// Datagrams a second that were sent, which may be fewer than was asked for.
    pub(crate) offered: f64,
    /// Datagrams a second that arrived.
    pub(crate) delivered: f64,
}

impl Trial {
    /// Returns the share that was lost.
    pub(crate) fn loss(&self) -> f64 {
        1.0 - (self.delivered / self.offered).min(1.0)
    }
}

/// A search that is under way.
#[derive(Debug)]
pub(crate) struct RateSearch {
    good: f64,
    bad: f64,
    next: f64,
    trials: usize,
    /// Whether the rate is tried once more: one stall of the machine is no limit of the way.
    is_second: bool,
}

impl RateSearch {
    /// Begins with what came of sending without a rate.
    pub(crate) fn new(unpaced: Trial) -> Self {
        if unpaced.loss() < LOSS_MAX {
            return Self {
                good: unpaced.offered,
                bad: unpaced.offered,
                next: unpaced.offered,
                trials: 1,
                is_second: false,
            };
        }
        // A relay that drowns delivers less than it could, and one that drops early as much as it can.
        Self { good: 0.0, bad: unpaced.offered, next: unpaced.delivered, trials: 1, is_second: false }
    }

    /// Returns the rate to try, until it is known well enough.
    pub(crate) fn next(&self) -> Option<f64> {
        let is_over = self.trials >= TRIALS_MAX || self.bad <= self.good * NARROW;
        (!is_over && self.next > 1.0).then_some(self.next)
    }

    /// Takes in what came of that.
    pub(crate) fn on_trial(&mut self, trial: Trial) {
        self.trials += 1;
        if trial.loss() >= LOSS_MAX && !self.is_second {
            self.is_second = true;
            return;
        }
        self.is_second = false;
        if trial.loss() < LOSS_MAX {
            self.good = self.good.max(trial.offered);
            // A sender that cannot send more has found its own limit.
            if trial.offered < self.next * 0.97 {
                self.bad = self.good;
            }
        } else {
            self.bad = self.bad.min(self.next);
        }
        self.next = if self.good == 0.0 { self.bad * 0.5 } else { (self.good * self.bad).sqrt() };
    }

    /// Returns the highest rate that went well; 0 if none did.
    pub(crate) fn best(&self) -> f64 {
        self.good
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Searches over a way that carries `capacity` and delivers `drowned` of it when more is offered, with a
    /// sender that reaches `sender`.
    fn found(capacity: f64, drowned: f64, sender: f64) -> f64 {
        let carry = |rate: f64| {
            let offered = rate.min(sender);
            Trial { offered, delivered: if offered > capacity { capacity * drowned } else { offered } }
        };
        let mut search = RateSearch::new(carry(f64::INFINITY));
        while let Some(rate) = search.next() {
            search.on_trial(carry(rate));
        }
        search.best()
    }

    #[test]
    fn a_way_that_carries_all_that_can_be_sent_needs_no_search() {
        assert_eq!(found(1e6, 1.0, 2e5), 2e5);
    }

    #[test]
    fn the_limit_is_found_within_a_tenth_whether_or_not_overload_hurts() {
        for drowned in [1.0, 0.7, 0.2, 0.02] {
            let best = found(80_000.0, drowned, 600_000.0);
            assert!((0.9..=1.0).contains(&(best / 80_000.0)), "{drowned}: {best}");
        }
    }

    #[test]
    fn a_way_that_carries_nothing_ends_the_search() {
        assert_eq!(found(0.0, 0.0, 600_000.0), 0.0);
    }
}
