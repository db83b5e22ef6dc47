//! How far a rate that was counted may be from the one behind it.

use serde::Serialize;

/// A share of runs, with its 95 % confidence interval after Wilson. Unlike the textbook's it stays
/// within 0 and 1, and it says something also when all runs or none of them count.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Rate {
    /// How many count.
    pub hits: u64,
    /// Of how many.
    pub runs: u64,
    /// The share itself; 0 of no runs.
    pub rate: f64,
    /// The lower end of the interval.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

/// The quantile of the normal distribution that leaves 2.5 % at each end.
const Z: f64 = 1.959_963_984_540_054;

impl Rate {
    /// Makes the rate of so many hits among so many runs.
    #[must_use]
    pub fn of(hits: u64, runs: u64) -> Self {
        if runs == 0 {
            return Self { hits, runs, rate: 0.0, low: 0.0, high: 1.0 };
        }
        #[expect(clippy::cast_precision_loss, reason = "nobody carries out 2^52 runs")]
        let (hits_exact, n) = (hits as f64, runs as f64);
        let rate = hits_exact / n;
        let scale = 1.0 + Z * Z / n;
        let middle = (rate + Z * Z / (2.0 * n)) / scale;
        let half = Z * (rate * (1.0 - rate) / n + Z * Z / (4.0 * n * n)).sqrt() / scale;
        // At the ends the formula is exact but for rounding.
        let low = if hits == 0 { 0.0 } else { (middle - half).max(0.0) };
        let high = if hits == runs { 1.0 } else { (middle + half).min(1.0) };
        Self { hits, runs, rate, low, high }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_that_of_the_literature() {
        // Newcombe, "Two-sided confidence intervals for the single proportion", 1998, table I:
        // method 3 gives 81/263 as 0.2553 to 0.3662 and 0/20 as 0 to 0.1611.
        for (hits, runs, low, high) in
            [(81, 263, 0.2553, 0.3662), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)]
        {
            let rate = Rate::of(hits, runs);
            assert!((rate.low - low).abs() < 5e-5 && (rate.high - high).abs() < 5e-5, "{rate:?}");
        }
    }

    #[test]
    fn all_and_none_are_mirror_images() {
        let (none, all) = (Rate::of(0, 50), Rate::of(50, 50));

        assert!((none.high - (1.0 - all.low)).abs() < 1e-12);
        assert!(none.low == 0.0 && all.high == 1.0);
    }

    #[test]
    fn no_runs_say_nothing() {
        assert_eq!((Rate::of(0, 0).low, Rate::of(0, 0).high), (0.0, 1.0));
    }
}
