//! Which part of a sweep this machine carries out: every n-th run, so that all shards get their
//! share of the slow ones. Said on the command line, or by the array-job variables of a scheduler.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// One of several equal parts of a sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shard {
    /// Its place, from 1.
    pub index: u64,
    /// How many there are.
    pub of: u64,
}

/// How many shards a sweep may have. More machines than that no cluster has.
const SHARDS_MAX: u64 = 1_000_000;

/// The variable that says how many shards there are where the scheduler does not.
pub const SHARDS_VARIABLE: &str = "PEERBOUND_SHARDS";

/// Why a shard is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShardError {
    /// It is not written as two numbers.
    #[error("{0:?} is no shard: write it as 2/5, the second of five")]
    Malformed(String),
    /// There is no such part.
    #[error("there is no shard {index} of {of}: the first is 1/{of} and the last {of}/{of}")]
    OutOfRange {
        /// What was asked for.
        index: u64,
        /// How many there are.
        of: u64,
    },
    /// There are none, or too many.
    #[error("{0} shards are not possible: choose 1 to {SHARDS_MAX}")]
    Count(u64),
    /// A scheduler's variable is not a number.
    #[error("{name}={value:?} is no number: unset it, or say the shard with --shard")]
    Variable {
        /// The variable.
        name: &'static str,
        /// What it says.
        value: String,
    },
    /// A scheduler says which shard this is, and not of how many.
    #[error("{name} says which shard this is, and not of how many: add --shards N or {SHARDS_VARIABLE}=N")]
    OfHowMany {
        /// The variable.
        name: &'static str,
    },
    /// An array job with holes in its numbers.
    #[error(
        "SLURM_ARRAY_TASK_ID={id} is not one of {count} numbers from {from} in steps of {step}: \
         give the array job numbers without holes, or say the shard with --shard"
    )]
    Holes {
        /// This task.
        id: u64,
        /// The first.
        from: u64,
        /// From one to the next.
        step: u64,
        /// How many there are.
        count: u64,
    },
}

impl Shard {
    /// All of it.
    pub const WHOLE: Self = Self { index: 1, of: 1 };

    /// Makes the shard with this place, from 1.
    ///
    /// # Errors
    /// [`ShardError::Count`] and [`ShardError::OutOfRange`].
    pub fn new(index: u64, of: u64) -> Result<Self, ShardError> {
        if of == 0 || of > SHARDS_MAX {
            return Err(ShardError::Count(of));
        }
        if index == 0 || index > of {
            return Err(ShardError::OutOfRange { index, of });
        }
        Ok(Self { index, of })
    }

    /// Reads what a scheduler says: `None` when none says anything. `shards` is what the caller knows
    /// about their number; a Kubernetes job does not tell its pods how many they are.
    ///
    /// # Errors
    /// When what it says makes no shard.
    pub fn of_array_job(
        variable: impl Fn(&'static str) -> Option<String>,
        shards: Option<u64>,
    ) -> Result<Option<Self>, ShardError> {
        let number = |name: &'static str| match variable(name) {
            None => Ok(None),
            Some(value) => match value.trim().parse::<u64>() {
                Ok(number) => Ok(Some(number)),
                Err(_) => Err(ShardError::Variable { name, value }),
            },
        };
        let shards = match shards {
            Some(shards) => Some(shards),
            None => number(SHARDS_VARIABLE)?,
        };
        if let Some(id) = number("SLURM_ARRAY_TASK_ID")? {
            let Some(count) = number("SLURM_ARRAY_TASK_COUNT")?.or(shards) else {
                return Err(ShardError::OfHowMany { name: "SLURM_ARRAY_TASK_ID" });
            };
            let from = number("SLURM_ARRAY_TASK_MIN")?.unwrap_or(0);
            let step = number("SLURM_ARRAY_TASK_STEP")?.unwrap_or(1).max(1);
            let place = id.checked_sub(from).filter(|place| place % step == 0).map(|place| place / step);
            return match place {
                Some(place) if place < count => Self::new(place + 1, count).map(Some),
                _ => Err(ShardError::Holes { id, from, step, count }),
            };
        }
        if let Some(place) = number("JOB_COMPLETION_INDEX")? {
            let Some(count) = shards else {
                return Err(ShardError::OfHowMany { name: "JOB_COMPLETION_INDEX" });
            };
            return Self::new(place.saturating_add(1), count).map(Some);
        }
        Ok(None)
    }

    /// Whether a run belongs to this shard, by its number in the whole sweep.
    #[must_use]
    pub fn has(self, run: u64) -> bool {
        run % self.of == self.index - 1
    }
}

impl FromStr for Shard {
    type Err = ShardError;

    fn from_str(text: &str) -> Result<Self, ShardError> {
        let malformed = || ShardError::Malformed(text.to_owned());
        let (index, of) = text.split_once('/').ok_or_else(malformed)?;
        let number = |text: &str| text.trim().parse().map_err(|_| malformed());
        Self::new(number(index)?, number(of)?)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.index, self.of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_job(variables: &[(&str, &str)], shards: Option<u64>) -> Result<Option<Shard>, ShardError> {
        let find = |name: &'static str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        Shard::of_array_job(find, shards)
    }

    #[test]
    fn every_run_is_in_exactly_one_shard() {
        for of in 1..=7 {
            let shards: Vec<_> = (1..=of).map(|index| Shard::new(index, of).unwrap()).collect();
            for run in 0..50 {
                assert_eq!(shards.iter().filter(|shard| shard.has(run)).count(), 1);
            }
        }
    }

    #[test]
    fn a_shard_is_read_as_it_is_written() {
        let shard: Shard = "2/5".parse().unwrap();

        assert_eq!((shard, shard.to_string().as_str()), (Shard { index: 2, of: 5 }, "2/5"));
    }

    #[test]
    fn what_is_no_shard_is_refused_with_what_to_write() {
        for (text, part) in [
            ("5/3", "no shard 5 of 3"),
            ("0/3", "no shard 0 of 3"),
            ("1/0", "0 shards"),
            ("3", "write it as 2/5"),
            ("-1/3", "write it as 2/5"),
            ("a/b", "write it as 2/5"),
            ("1/99999999999", "not possible"),
        ] {
            let error = text.parse::<Shard>().unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn slurm_numbers_its_tasks_from_anywhere_and_in_any_steps() {
        let variables = [
            ("SLURM_ARRAY_TASK_ID", "14"),
            ("SLURM_ARRAY_TASK_MIN", "10"),
            ("SLURM_ARRAY_TASK_STEP", "2"),
            ("SLURM_ARRAY_TASK_COUNT", "4"),
        ];

        assert_eq!(in_job(&variables, None), Ok(Some(Shard { index: 3, of: 4 })));
        assert!(matches!(
            in_job(&[&variables[..1], &variables[3..]].concat(), None),
            Err(ShardError::Holes { .. })
        ));
    }

    #[test]
    fn a_kubernetes_job_needs_to_be_told_how_many_pods_there_are() {
        let index = ("JOB_COMPLETION_INDEX", "0");

        assert_eq!(in_job(&[index], Some(3)), Ok(Some(Shard { index: 1, of: 3 })));
        assert_eq!(in_job(&[index, (SHARDS_VARIABLE, "2")], None), Ok(Some(Shard { index: 1, of: 2 })));
        assert_eq!(in_job(&[index], None), Err(ShardError::OfHowMany { name: "JOB_COMPLETION_INDEX" }));
    }

    #[test]
    fn without_a_scheduler_there_is_no_shard() {
        assert_eq!(in_job(&[], Some(3)), Ok(None));
    }

    #[test]
    fn a_variable_that_is_no_number_is_named() {
        let error = in_job(&[("JOB_COMPLETION_INDEX", "two")], Some(3)).unwrap_err();

        assert!(error.to_string().starts_with("JOB_COMPLETION_INDEX=\"two\" is no number"));
    }
}
