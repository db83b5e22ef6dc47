//! Puts the shards of a sweep together again.

use std::collections::{BTreeMap, BTreeSet};

use crate::sweep::{Shard, SweepFile};

/// The most shards that are named one by one when they are missing.
const NAMED_MAX: usize = 8;

/// Why files do not make one sweep.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// There are none.
    #[error("there is nothing to merge: name the files of all shards")]
    Nothing,
    /// Two files are of different sweeps.
    #[error("{file} and {other} are not of one sweep: {difference}")]
    Foreign {
        /// The one.
        file: String,
        /// The other.
        other: String,
        /// In what they differ.
        difference: String,
    },
    /// Two files are of the same shard.
    #[error("{file} and {other} are both shard {shard}: leave one of them out")]
    Overlap {
        /// The one.
        file: String,
        /// The other.
        other: String,
        /// Which.
        shard: Shard,
    },
    /// Shards are not there.
    #[error("{missing} missing: add {them}, or merge what is there with --partial")]
    Missing {
        /// Which, in words.
        missing: String,
        /// "its file" or "their files".
        them: &'static str,
    },
    /// A shard has not been carried out to its end.
    #[error(
        "{file} has {done} of the {of} runs of shard {shard}: go on with it by --resume, or merge what is there with --partial"
    )]
    Incomplete {
        /// The file.
        file: String,
        /// Which shard.
        shard: Shard,
        /// Runs it has.
        done: usize,
        /// Runs it should have.
        of: usize,
    },
}

/// Whether a merge insists on all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Insist {
    /// On every run of every shard.
    OnAll,
    /// On nothing: what is there is put together.
    OnNothing,
}

/// Puts files together, each with the name that it is called by in an error. What comes out is the
/// file that one machine would have written.
///
/// # Errors
/// [`MergeError`]: they are not of one sweep, are there twice, or do not make the whole of it.
pub fn merge(files: Vec<(String, SweepFile)>, insist: Insist) -> Result<SweepFile, MergeError> {
    let Some((first, plan)) = files.first().map(|(name, file)| (name.clone(), file.plan.clone())) else {
        return Err(MergeError::Nothing);
    };
    let mut names: BTreeMap<u64, String> = BTreeMap::new();
    let mut merged = SweepFile::begin(plan.with_shard(Shard::WHOLE));
    for (name, file) in files {
        if let Some(difference) = plan.difference(&file.plan) {
            return Err(MergeError::Foreign { file: first, other: name, difference });
        }
        let shard = file.plan.shard;
        if let Some(other) = names.insert(shard.index, name.clone()) {
            return Err(MergeError::Overlap { file: other, other: name, shard });
        }
        if insist == Insist::OnAll && !file.is_complete() {
            let (done, of) = (file.runs.len(), file.plan.runs().count());
            return Err(MergeError::Incomplete { file: name, shard, done, of });
        }
        merged.runs.extend(file.runs);
    }
    let missing: BTreeSet<_> = (1..=plan.shard.of).filter(|index| !names.contains_key(index)).collect();
    if insist == Insist::OnAll && !missing.is_empty() {
        return Err(missing_shards(&missing, plan.shard.of));
    }
    Ok(merged)
}

fn missing_shards(missing: &BTreeSet<u64>, of: u64) -> MergeError {
    let named: Vec<_> = missing.iter().take(NAMED_MAX).map(|index| format!("{index}/{of}")).collect();
    let more = match missing.len().saturating_sub(NAMED_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let (shards, verb, them) =
        if missing.len() == 1 { ("shard", "is", "its file") } else { ("shards", "are", "their files") };
    MergeError::Missing { missing: format!("{shards} {}{more} {verb}", named.join(", ")), them }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sweep::results::tests::{carried_out, plan, written};
    use crate::sweep::{Seeds, Summary};

    fn shards(of: u64, seeds: u64) -> Vec<(String, SweepFile)> {
        let whole = plan(&["0.0", "0.1", "0.2"], Seeds::first(seeds));
        (1..=of)
            .map(|index| (format!("{index}.jsonl"), carried_out(whole.with_shard(Shard { index, of }))))
            .collect()
    }

    proptest! {
        #[test]
        fn shards_in_any_order_make_the_sweep_of_one_machine(
            of in 1_u64..12,
            seeds in 1_u64..20,
            turn in 0_usize..12,
        ) {
            let one_machine = carried_out(plan(&["0.0", "0.1", "0.2"], Seeds::first(seeds)));
            let mut files = shards(of, seeds);
            let turn = turn % files.len();
            files.rotate_left(turn);

            let merged = merge(files, Insist::OnAll).unwrap();

            prop_assert_eq!(Summary::of(&merged), Summary::of(&one_machine));
            prop_assert_eq!(written(&merged), written(&one_machine));
        }
    }

    #[test]
    fn files_of_different_sweeps_are_refused_with_their_difference() {
        let mut files = shards(3, 5);
        files[1].1.plan.scenario_hash = "11".to_owned();

        let error = merge(files, Insist::OnNothing).unwrap_err().to_string();

        assert_eq!(
            error,
            "1.jsonl and 2.jsonl are not of one sweep: the scenario hash is 00 here and 11 there"
        );
    }

    #[test]
    fn a_shard_that_is_there_twice_is_named_with_both_files() {
        let mut files = shards(3, 5);
        files.push(("again.jsonl".to_owned(), files[2].1.clone()));

        let error = merge(files, Insist::OnAll).unwrap_err().to_string();

        assert_eq!(error, "3.jsonl and again.jsonl are both shard 3/3: leave one of them out");
    }

    #[test]
    fn missing_shards_are_named() {
        let mut files = shards(20, 5);
        files.retain(|(_, file)| file.plan.shard.index == 4);

        let error = merge(files.clone(), Insist::OnAll).unwrap_err().to_string();

        assert!(
            error
                .starts_with("shards 1/20, 2/20, 3/20, 5/20, 6/20, 7/20, 8/20, 9/20 and 11 more are missing"),
            "{error}"
        );
        assert!(merge(files, Insist::OnNothing).is_ok());
    }

    #[test]
    fn a_shard_that_was_interrupted_is_named_with_how_far_it_came() {
        let mut files = shards(2, 5);
        files[0].1.runs.pop_last();

        let error = merge(files, Insist::OnAll).unwrap_err().to_string();

        assert!(error.starts_with("1.jsonl has 7 of the 8 runs of shard 1/2"), "{error}");
    }

    #[test]
    fn nothing_makes_no_sweep() {
        assert_eq!(merge(vec![], Insist::OnNothing), Err(MergeError::Nothing));
    }
}
