//! The hazard that two runs of one seed differ: in one process, in two, in two threads at once.

use std::process::Command;
use std::time::Duration;

use crate::support::{A, C, Triangle, cast, fingerprint};

/// Set where this program was started by itself, to the seed to run.
const SEED_VARIABLE: &str = "PEERBOUND_SIM_SEED";

/// Runs a whole story and returns the hash of every byte in it.
fn run(seed: u64) -> u64 {
    let mut triangle = Triangle::up(seed);
    for number in 0..20 {
        triangle.send(A, C, format!("request {number}").as_bytes(), false);
        triangle.run_for(Duration::from_millis(30));
        triangle.send(C, A, format!("reply {number}").as_bytes(), true);
        triangle.run_for(Duration::from_millis(30));
    }
    triangle.world.restart(triangle.hosts[1]);
    triangle.run_for(Duration::from_secs(5));
    assert_eq!(triangle.delivered(A).len(), 20);
    fingerprint(&triangle.seen)
}

#[test]
fn the_same_seed_gives_the_same_bytes_in_one_process_and_another_seed_others() {
    let first = run(7);

    assert_eq!(run(7), first);
    assert_ne!(run(8), first);
}

#[test]
fn the_same_seed_gives_the_same_bytes_in_another_process() {
    let here = run(9);

    let there = in_another_process(9);

    assert_eq!(there, format!("{here:016x} {}", certificates()));
}

#[test]
fn two_worlds_in_two_threads_at_once_do_not_disturb_each_other() {
    let alone: Vec<_> = (20..24).map(run).collect();

    let together: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (20..24).map(|seed| scope.spawn(move || run(seed))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });

    assert_eq!(together, alone);
}

#[test]
fn two_worlds_in_one_thread_in_turn_do_not_disturb_each_other() {
    let alone = [1, 2].map(|seed| fingerprint(&Triangle::up(seed).seen));

    let mut worlds = [1, 2].map(Triangle::booted);
    for _ in 0..100 {
        for triangle in &mut worlds {
            triangle.run_for(Duration::from_micros(100));
        }
    }
    let up_at = [1, 2].map(|seed| Triangle::up(seed).world.now());
    let until = |triangle: &Triangle, end| {
        let seen = triangle.seen.iter().filter(|observation| observation.at <= end);
        fingerprint(&seen.cloned().collect::<Vec<_>>())
    };
    for triangle in &mut worlds {
        triangle.run_for(Duration::from_millis(90));
    }

    assert_eq!([until(&worlds[0], up_at[0]), until(&worlds[1], up_at[1])], alone);
}

/// Is started by another test, in a process of its own; alone it has nothing to compare with.
#[test]
fn tell_the_fingerprint_of_a_seed_to_whoever_asks_by_the_environment() {
    if let Ok(seed) = std::env::var(SEED_VARIABLE) {
        println!("fingerprint: {:016x} {}", run(seed.parse().unwrap()), certificates());
    }
}

fn in_another_process(seed: u64) -> String {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "determinism::tell_the_fingerprint_of_a_seed_to_whoever_asks_by_the_environment"])
        .arg("--nocapture")
        .env(SEED_VARIABLE, seed.to_string())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (_, rest) = text.split_once("fingerprint: ").expect("the other process tells its fingerprint");
    rest.lines().next().unwrap().to_owned()
}

/// Returns the hashes of all keys in the cast, which are made under a stream of their own.
fn certificates() -> String {
    cast().identities.iter().map(|identity| format!("{:?}", identity.key_hash())).collect()
}
