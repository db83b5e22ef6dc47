//! The hazard that something holds only in the worlds we thought of: random topologies, faults and
//! orders of things, with every standing invariant after every step.

use proptest::prelude::*;

use crate::plans::{Plan, plan_of, plans};
use crate::support::run_with;

/// Seeds of plans that once failed, each with what it caught.
const CORPUS: &str = include_str!("../seeds.txt");

/// Asks for that many seeds of plans, from 0, beside the corpus: for a hunt.
const HUNT_VARIABLE: &str = "PEERBOUND_TEST_PLANS";

/// Returns what is wrong with a plan's run; nothing, as it should be.
fn trouble(plan: &Plan) -> Vec<String> {
    let scenario = plan.scenario();
    run_with(&scenario, plan.seed).complaints(&scenario)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_befalls_a_mesh_every_invariant_holds(plan in plans()) {
        let trouble = trouble(&plan);

        prop_assert!(trouble.is_empty(), "{:#?}", trouble);
    }
}

#[test]
fn seeds_that_once_failed_hold() {
    for (seed, story) in corpus() {
        let trouble = trouble(&plan_of(seed));

        assert!(trouble.is_empty(), "seed {seed} ({story}): {trouble:#?}");
    }
}

#[test]
fn a_seed_makes_the_same_plan_each_time_and_another_another() {
    let text = |seed| format!("{:?}", plan_of(seed));

    assert_eq!(text(1), text(1));
    assert_ne!(text(1), text(2));
}

#[test]
fn no_seed_of_a_hunt_fails() {
    let seeds = std::env::var(HUNT_VARIABLE).map_or(8, |seeds| seeds.parse().expect("a number of seeds"));

    let failing: Vec<_> = (0..seeds)
        .map(|seed| (seed, trouble(&plan_of(seed))))
        .filter(|(_, trouble)| !trouble.is_empty())
        .collect();

    assert!(
        failing.is_empty(),
        "{failing:#?}\nagain: {HUNT_VARIABLE}={seeds} cargo test -p peerbound-lab --test run hunt"
    );
}

fn corpus() -> impl Iterator<Item = (u64, &'static str)> {
    let lines = CORPUS.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| {
        let (seed, story) = line.split_once(' ').expect("a seed, and what it caught");
        (seed.parse().expect("a seed is a number"), story.trim())
    })
}
