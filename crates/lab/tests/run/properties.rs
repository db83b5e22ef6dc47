//! The hazard that something holds only in the worlds we thought of: random topologies, faults and
//! orders of things, with every standing invariant after every step.

use proptest::prelude::*;

use peerbound_lab::scenario::{NodePlan, Switch};
use peerbound_lab::trace::HostIndex;

use crate::plans::{Plan, plan_of, plans};
use crate::support::{node_mut, run_with};

/// Seeds of plans that once failed, each with what it caught.
const CORPUS: &str = include_str!("../seeds.txt");

/// Plans among which a missing lock must be noticed: the first of them do it.
const MUTANT_SEEDS: u64 = 20;

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

/// The controls: the same plans, with a lock taken away from every node, must not all pass. (One that
/// is missing at the demultiplexer breaks no invariant: the next lock holds. See `mutants`.)
#[test]
fn plans_notice_a_missing_mirror_of_the_replay_window() {
    assert!(is_noticed(|node| node.replay_mirror = Switch::Off));
}

#[test]
fn plans_notice_a_missing_gate() {
    assert!(is_noticed(|node| node.gate = Switch::Off));
}

fn is_noticed(mutate: impl Fn(&mut NodePlan)) -> bool {
    (0..MUTANT_SEEDS).any(|seed| {
        let plan = plan_of(seed);
        let mut scenario = plan.scenario();
        for host in (0..).map(HostIndex).take(scenario.hosts.len()) {
            mutate(node_mut(&mut scenario, host));
        }
        !run_with(&scenario, seed).holds
    })
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
