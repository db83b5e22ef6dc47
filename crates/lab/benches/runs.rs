//! What a run costs on the simulator: three nodes with certificates, two real handshakes, a request and
//! its reply through the relay, every datagram judged, every connected pair made to talk. The goal is
//! 300 seeds a second on two cores.
//!
//! `cargo bench -p peerbound-lab --bench runs` prints the rate of two workers last.

use std::hint::black_box;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use criterion::Criterion;
use peerbound_lab::run::{RunOptions, run};
use peerbound_lab::run_all;
use peerbound_lab::scenario::Scenario;

#[expect(dead_code, reason = "the tests use more of it")]
#[path = "../tests/run/support.rs"]
mod support;

/// Seeds of the comparison at the end.
const SEEDS: u64 = 1000;

fn main() {
    let scenario = support::three_nodes();
    let mut criterion = Criterion::default().configure_from_args();
    let mut seed = 0;
    criterion.bench_function("a run of three nodes", |bencher| {
        bencher.iter(|| {
            seed += 1;
            black_box(play(&scenario, seed))
        });
    });
    criterion.final_summary();
    for workers in [1, 2] {
        let rate = rate(&scenario, workers);
        println!("{workers} workers: {rate:.0} seeds a second");
    }
}

fn play(scenario: &Scenario, seed: u64) -> Duration {
    let report = run(scenario, &RunOptions::with_seed(seed)).expect("the scenario can be run");
    assert!(report.holds, "{:?}", report.complaints(scenario));
    report.elapsed
}

fn rate(scenario: &Scenario, workers: usize) -> f64 {
    let seeds: Vec<_> = (0..SEEDS).collect();
    let began = Instant::now();
    run_all(&seeds, workers, |seed| play(scenario, *seed), |_, _| ControlFlow::Continue(()));
    f64::from(u32::try_from(SEEDS).expect("few seeds")) / began.elapsed().as_secs_f64()
}
