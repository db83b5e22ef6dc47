//! What the round trip of a link adds to its cost: coarse steps, and slow to change, since every change
//! moves traffic, and traffic changes round trips.

use std::time::Duration;

/// The width of a step: less than what makes a call worse, more than what a queue adds now and then.
const STEP: Duration = Duration::from_millis(10);

/// What each step costs; ten of them, 100 ms, are worth two links.
const STEP_COST: u16 = 20;

/// The most steps that count: 500 ms. More says that something is wrong, not how far it is.
const STEPS_MAX: u16 = 50;

/// One eighth of each sample counts, as in RFC 6298, 2.3.
const SMOOTHING: u32 = 8;

/// The round trip of one link.
#[derive(Debug, Default)]
pub(crate) struct RoundTrip {
    smoothed: Option<Duration>,
    steps: u16,
}

impl RoundTrip {
    /// Returns what it adds to the cost of its link.
    pub(crate) fn cost(&self) -> u16 {
        self.steps.saturating_mul(STEP_COST)
    }

    /// Takes in a sample; returns the number of steps if it has changed.
    pub(crate) fn measure(&mut self, sample: Duration) -> Option<u16> {
        let smoothed = match self.smoothed {
            None => sample,
            Some(before) => before - before / SMOOTHING + sample / SMOOTHING,
        };
        self.smoothed = Some(smoothed);
        // Half a step beyond its bounds, or the steps would go up and down with the weather.
        let lowest = STEP * u32::from(self.steps);
        let is_within = smoothed + STEP / 2 >= lowest && smoothed < lowest + STEP * 3 / 2;
        let steps = steps_of(smoothed);
        if is_within || steps == self.steps {
            return None;
        }
        self.steps = steps;
        Some(steps)
    }
}

fn steps_of(time: Duration) -> u16 {
    u16::try_from(time.as_millis() / STEP.as_millis()).unwrap_or(STEPS_MAX).min(STEPS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_step_is_taken_half_a_step_late_in_either_direction() {
        let mut round_trip = RoundTrip::default();
        let settled = |round_trip: &mut RoundTrip, at| (0..100).filter_map(|_| round_trip.measure(at)).last();

        assert_eq!(round_trip.measure(millis(42)), Some(4));
        assert_eq!(settled(&mut round_trip, millis(53)), None, "within half a step of 50 ms");
        assert_eq!(settled(&mut round_trip, millis(56)), Some(5));
        assert_eq!(settled(&mut round_trip, millis(46)), None);
        assert_eq!(settled(&mut round_trip, millis(44)), Some(4));
    }

    #[test]
    fn one_slow_answer_changes_nothing_and_a_broken_clock_not_much() {
        let mut round_trip = RoundTrip::default();
        round_trip.measure(millis(5));

        assert_eq!(round_trip.measure(millis(80)), None);
        assert_eq!(round_trip.measure(Duration::from_secs(86_400)), Some(STEPS_MAX));
    }
}
