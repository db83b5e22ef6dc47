//! The hazard that two runs of one seed differ: in one process, in two, in two threads at once, and after
//! other runs that left certificates and contexts behind.

use std::process::Command;
use std::thread;

use peerbound_lab::scenario::{Probability, Scenario};

use crate::support::{run_with, three_nodes};

/// Says in the environment of a second process which seed it is to run.
const SEED_VARIABLE: &str = "PEERBOUND_TEST_RUN_SEED";

/// Chance has a say everywhere: losses, copies, overtaking, jitter.
fn eventful() -> Scenario {
    let mut scenario = three_nodes();
    for link in &mut scenario.links {
        for way in [&mut link.forth, &mut link.back] {
            way.loss = Probability::new(0.1).expect("a probability");
            way.duplicate = Probability::new(0.1).expect("a probability");
            way.reorder = Probability::new(0.1).expect("a probability");
            way.jitter = std::time::Duration::from_millis(20);
        }
    }
    // A request may get lost: what is compared is the run, not its success.
    scenario.expectations.clear();
    scenario
}

fn hash(seed: u64) -> String {
    run_with(&eventful(), seed).trace.hash()
}

#[test]
fn the_same_seed_gives_the_same_trace_and_another_seed_another() {
    let first = hash(7);

    assert_eq!(first, hash(7));
    assert_ne!(first, hash(8));
}

#[test]
fn what_ran_before_leaves_no_mark() {
    let alone = thread::spawn(|| hash(7)).join().expect("the run does not panic");
    let after_others = thread::spawn(|| {
        run_with(&three_nodes(), 3);
        hash(11);
        hash(7)
    });

    assert_eq!(after_others.join().expect("the runs do not panic"), alone);
}

#[test]
fn two_threads_do_not_disturb_each_other() {
    let runs = [(); 2].map(|()| thread::spawn(|| [hash(5), hash(6)]));

    let [one, other] = runs.map(|run| run.join().expect("the runs do not panic"));

    assert_eq!(one, other);
}

#[test]
fn the_same_seed_gives_the_same_trace_in_another_process() {
    let output = Command::new(std::env::current_exe().expect("this program has a path"))
        .args(["--exact", "determinism::a_second_process_tells_its_hash", "--nocapture"])
        .env(SEED_VARIABLE, "7")
        .output()
        .expect("the second process runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let (_, rest) = text.split_once("trace: ").expect("the second process tells its hash");

    assert_eq!(rest.split_whitespace().next(), Some(hash(7).as_str()));
}

/// Is started by another test, in a process of its own; alone it checks that a hash is one.
#[test]
fn a_second_process_tells_its_hash() {
    let seed = std::env::var(SEED_VARIABLE).map_or(1, |seed| seed.parse().expect("a seed"));

    let hash = hash(seed);

    println!("trace: {hash} ");
    assert_eq!(hash.len(), 64);
}
