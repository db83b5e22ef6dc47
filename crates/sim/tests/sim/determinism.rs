//! The hazard that two runs of one seed differ: in one process, in two, in two threads at once.

use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use peerbound_dtls::{Authority, Context, ContextConfig, Identity, Profile, SslVersion, Teaching, Validity};
use peerbound_node::{NeighbourConfig, NodeConfig, node_id};
use peerbound_sim::{START_UNIX_SECONDS, hooks};

use crate::support::{A, B, C, Triangle, address, cast, config, fingerprint};

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

/// OpenSSL keeps blinding factors beside an RSA key, drawn when it is first used and every 32 uses. So
/// what a run draws depends on what its contexts were used for before, and the bytes must not.
#[test]
fn contexts_that_were_used_before_give_the_same_bytes_with_every_suite_and_kind_of_key() {
    let suites = [
        ("ECDHE-ECDSA-AES256-GCM-SHA384", SslVersion::DTLS1_2),
        ("ECDHE-ECDSA-CHACHA20-POLY1305", SslVersion::DTLS1_2),
        ("ECDHE-ECDSA-AES128-SHA256:@SECLEVEL=0", SslVersion::DTLS1_2),
        ("ECDHE-RSA-AES128-GCM-SHA256", SslVersion::DTLS1_2),
        ("ECDHE-RSA-AES256-SHA:@SECLEVEL=0", SslVersion::DTLS1),
    ];
    for (suite, version) in suites {
        let contexts = [A, B, C].map(|who| teaching_context(who, suite, version));
        let run = || {
            let mut triangle = Triangle::empty(31);
            for who in [A, B, C] {
                let context = contexts[who].clone();
                let config = with_context(who, &contexts);
                let config = NodeConfig { context, ..config };
                triangle.world.run_node(triangle.hosts[who], triangle.sockets[who], config);
            }
            triangle.run_until_up();
            for _ in 0..4 {
                triangle.world.with_node(triangle.hosts[A], |node, now| {
                    node.rekey(node_id(&contexts[B].key_hash()), now)
                });
                triangle.run_for(Duration::from_millis(50));
            }
            fingerprint(&triangle.seen)
        };

        let first = run();

        // Each run uses B's key ten times: among these are all 32 uses after which it draws again.
        assert!((0..5).all(|_| run() == first), "{suite}");
    }
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

fn teaching_context(who: usize, suite: &str, version: SslVersion) -> Context {
    let (authority, identities) = rsa_cast();
    let (root, identity) = if suite.contains("RSA-") && !suite.contains("ECDSA") {
        (authority.to_root(), identities[who].clone())
    } else {
        (cast().authority.to_root(), cast().identities[who].clone())
    };
    let teaching = Teaching { version, ..Teaching::with_suites(suite) };
    let profile = Profile::Teaching(teaching);
    Context::new(ContextConfig { profile, ..ContextConfig::new(identity, vec![root]) }).unwrap()
}

fn rsa_cast() -> &'static (Authority, Vec<Identity>) {
    static CAST: OnceLock<(Authority, Vec<Identity>)> = OnceLock::new();
    let make = || {
        let validity = Validity::days(START_UNIX_SECONDS, 365);
        let authority = Authority::generate("RSA root", validity).unwrap();
        let identities = ["A", "B", "C"].map(|name| authority.issue_rsa(name, validity).unwrap());
        (authority, identities.into())
    };
    CAST.get_or_init(|| hooks::with_stream(2, make).unwrap())
}

/// The usual neighbours, by the names that their keys in these contexts give them.
fn with_context(who: usize, contexts: &[Context; 3]) -> NodeConfig {
    let neighbours = match who {
        B => vec![A, C],
        _ => vec![B],
    };
    let neighbours = neighbours.into_iter().map(|of| NeighbourConfig {
        id: node_id(&contexts[of].key_hash()),
        name: ["A", "B", "C"][of].to_owned(),
        addresses: (who != B).then(|| address(of)).into_iter().collect(),
    });
    NodeConfig { neighbours: neighbours.collect(), routes: Vec::new(), ..config(who) }
}
