//! Which seeds a sweep tries.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The most seeds of one sweep; each run of them is a line in a file and a hundred bytes in memory.
pub const SEEDS_MAX: u64 = 10_000_000; // x 100 bytes = 1 GB at worst, for one point

/// The seeds of a sweep, in the order in which they are tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Seeds {
    /// One after the other.
    Range {
        /// The first.
        from: u64,
        /// How many.
        count: u64,
    },
    /// These.
    List(Vec<u64>),
}

/// Why a text names no seeds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} names no seeds ({problem}): write 100 for the first hundred, 5..105, or 1,2,5")]
pub struct SeedsError {
    text: String,
    problem: String,
}

impl Seeds {
    /// The first `count` seeds: 1, 2, 3, ...
    #[must_use]
    pub fn first(count: u64) -> Self {
        Self::Range { from: 1, count }
    }

    /// Takes these seeds: as a range, where one follows the other.
    #[must_use]
    pub fn of(seeds: &[u64]) -> Self {
        let is_range = seeds.windows(2).all(|pair| pair[0].checked_add(1) == Some(pair[1]));
        match seeds.first() {
            Some(from) if is_range => Self::Range { from: *from, count: seeds.len() as u64 },
            Some(_) | None => Self::List(seeds.to_vec()),
        }
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        match self {
            Self::Range { count, .. } => *count,
            Self::List(seeds) => seeds.len() as u64,
        }
    }

    /// Returns a seed by its place, from 0.
    #[must_use]
    pub fn at(&self, place: u64) -> Option<u64> {
        match self {
            Self::Range { from, count } => {
                if place < *count {
                    from.checked_add(place)
                } else {
                    None
                }
            }
            Self::List(seeds) => usize::try_from(place).ok().and_then(|place| seeds.get(place)).copied(),
        }
    }
}

impl FromStr for Seeds {
    type Err = SeedsError;

    fn from_str(text: &str) -> Result<Self, SeedsError> {
        let wrong = |problem: &str| SeedsError { text: text.to_owned(), problem: problem.to_owned() };
        let number = |part: &str| {
            part.trim().parse::<u64>().map_err(|_| wrong(&format!("{part:?} is no whole number below 2^64")))
        };
        let seeds = if let Some((from, to)) = text.split_once("..") {
            let (from, to) = (number(from)?, number(to)?);
            let count = to.checked_sub(from).ok_or_else(|| wrong("the end lies before the beginning"))?;
            Self::Range { from, count }
        } else if text.contains(',') {
            let mut seeds = text.split(',').map(number).collect::<Result<Vec<_>, _>>()?;
            seeds.sort_unstable();
            seeds.dedup();
            Self::List(seeds)
        } else {
            Self::first(number(text)?)
        };
        match seeds.count() {
            0 => Err(wrong("that is none at all")),
            1..=SEEDS_MAX => Ok(seeds),
            _ => Err(wrong(&format!("more than {SEEDS_MAX} are too many for one sweep"))),
        }
    }
}

impl fmt::Display for Seeds {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Range { count: 1, from } => write!(formatter, "seed {from}"),
            Self::Range { from, count } => {
                write!(formatter, "seeds {from} to {}", from.saturating_add(count - 1))
            }
            Self::List(seeds) if seeds.len() == 1 => write!(formatter, "seed {}", seeds[0]),
            Self::List(seeds) => write!(formatter, "{} seeds", seeds.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_a_number_a_range_or_a_list() {
        for (text, seeds) in [
            ("3", vec![1, 2, 3]),
            ("5..7", vec![5, 6]),
            ("9,1,9,4", vec![1, 4, 9]),
            ("18446744073709551614..18446744073709551615", vec![u64::MAX - 1]),
        ] {
            let read: Seeds = text.parse().unwrap();
            assert_eq!((0..read.count()).map(|place| read.at(place).unwrap()).collect::<Vec<_>>(), seeds);
            assert_eq!(read.at(read.count()), None);
        }
    }

    #[test]
    fn seeds_that_follow_each_other_are_a_range() {
        assert_eq!(Seeds::of(&[4, 5, 6]), Seeds::Range { from: 4, count: 3 });
        assert_eq!(Seeds::of(&[4, 6, 5]), Seeds::List(vec![4, 6, 5]));
        assert_eq!(Seeds::of(&[]).count(), 0);
    }

    #[test]
    fn what_names_no_seeds_is_refused_with_what_to_write() {
        for text in
            ["", "0", "7..7", "7..5", "a", "1,b", "-1", "1e3", "0..99999999999", "18446744073709551616"]
        {
            let error = text.parse::<Seeds>().unwrap_err().to_string();
            assert!(error.contains("write 100 for the first hundred"), "{error}");
        }
    }
}
