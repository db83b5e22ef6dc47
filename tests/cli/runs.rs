//! `sim run` and `sim replay`: what is told of a run, what is kept, and that it comes out again.

use serde_json::Value;

use crate::folder::Folder;
use crate::scenarios::DIRECT;
use crate::support::Finished;

#[test]
fn a_run_is_told_with_its_steps_its_locks_and_what_was_expected() {
    let folder = Folder::with_scenarios();

    let text = folder.run(&["sim", "run", "direct.toml"]).success();

    assert!(text.starts_with("C's direct reply finds no session at A\ndirect on sim, seed 1\n"), "{text}");
    assert!(text.contains("step 3  reply goes to A from C's address\n"), "{text}");
    assert!(text.contains("C -> A  \"reply\" data #"), "{text}");
    assert!(text.contains(", sealed C→B "), "{text}");
    assert!(text.contains(" demux: no-session\n"), "{text}");
    assert!(text.contains("  as expected   the session A-B is alive\n"), "{text}");
    assert!(text.ends_with("\nEverything is as expected.\n"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
}

#[test]
fn an_explained_run_tells_of_every_datagram() {
    let folder = Folder::with_scenarios();

    let text = folder.run(&["sim", "run", "direct.toml", "--explain"]).success();
    let summary = folder.run(&["sim", "run", "direct.toml", "--json"]).json();

    let datagrams = summary[0]["datagrams"].as_array().unwrap().len();
    let told = text.lines().filter(|line| line.contains(" -> ") || line.contains(" ~> ")).count();
    assert_eq!(told, datagrams, "{text}");
    assert!(text.contains("[RFC 6347, 4.2.1"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
}

#[test]
fn a_run_that_does_not_hold_is_exit_code_1_and_says_how_to_see_it_again() {
    let folder = Folder::with_scenarios();

    let run = folder.run(&["sim", "run", "wrong.toml", "--seed", "9"]);

    assert_eq!((run.code, run.stderr.as_str()), (Some(1), ""), "{run:#?}");
    assert!(run.stdout.contains("  NOT EXPECTED  reply is dropped at gate at A"), "{}", run.stdout);
    assert!(run.stdout.contains("      observed  dropped at demux (no-session) at A"), "{}", run.stdout);
    assert!(run.stdout.ends_with("  peerbound sim replay wrong.toml --seed 9\n"), "{}", run.stdout);
}

#[test]
fn a_summary_is_replayed_to_the_same_trace_by_a_folder_that_was_moved() {
    let folder = Folder::with_scenarios();
    folder.run(&["sim", "run", "chancy.toml", "--seed", "4", "--set", "loss=0.15", "--out", "kept"]);
    for file in ["direct.toml", "wrong.toml", "chancy.toml"] {
        std::fs::remove_file(folder.path(file)).unwrap();
    }
    std::fs::rename(folder.path("kept"), folder.path("moved")).unwrap();

    let replayed = folder.run(&["sim", "replay", "moved/summary.json", "--json"]);

    let kept: Value =
        serde_json::from_slice(&std::fs::read(folder.path("moved/summary.json")).unwrap()).unwrap();
    let again: Value = serde_json::from_str(&replayed.stdout).unwrap();
    assert_eq!(replayed.stderr, "");
    assert_eq!((&again["trace_hash"], &again["seed"]), (&kept["trace_hash"], &4.into()));
    assert_eq!(again["parameters"]["loss"], "0.15");
}

#[test]
fn another_trace_than_the_one_expected_is_exit_code_1() {
    let folder = Folder::with_scenarios();
    let hash = "0".repeat(64);

    let replayed = folder.run(&["sim", "replay", "direct.toml", "--expect-hash", &hash]);

    assert_eq!(replayed.code, Some(1), "{replayed:#?}");
    assert!(
        replayed.stderr.starts_with("peerbound: the trace is another one: its hash is "),
        "{}",
        replayed.stderr
    );
}

#[test]
fn another_seed_makes_another_trace_and_the_same_seed_the_same() {
    let folder = Folder::with_scenarios();
    let hash = |finished: Finished| finished.json()[0]["trace_hash"].as_str().unwrap().to_owned();

    let seeds = ["1", "1", "2"]
        .map(|seed| hash(folder.run(&["sim", "run", "direct.toml", "--json", "--seed", seed])));

    assert_eq!(seeds[0], seeds[1]);
    assert_ne!(seeds[0], seeds[2]);
}

#[test]
fn what_makes_no_sense_is_refused_in_one_sentence() {
    let folder = Folder::with_scenarios();
    folder.write("not.json", "{}");
    folder.write("later.json", "no JSON at all");
    folder.run(&["sim", "run", "direct.toml", "--out", "kept"]).success();
    let summary = std::fs::read_to_string(folder.path("kept/summary.json")).unwrap();
    folder.write("kept/schema.json", summary.replacen("\"schema\": 1", "\"schema\": 9", 1));
    folder.write("lost.json", summary.replacen("\"direct\"", "\"nowhere\"", 1));
    folder.write("no-seed.toml", DIRECT.replacen("schema = 1", "", 1));

    for (arguments, parts) in [
        (&["sim", "run"][..], &["<SCENARIO>", "`peerbound sim run --help`"][..]),
        (&["sim", "run", "direct.toml", "--set", "loss"], &["a parameter is set as loss=0.2"]),
        (&["sim", "run", "direct.toml", "--set", "loss=0.1"], &["direct.toml: ", "no parameter \"loss\""]),
        (&["sim", "run", "chancy.toml", "--set", "lss=0.1"], &["no parameter \"lss\"", "loss"]),
        (&["sim", "run", "chancy.toml", "--set", "loss=much"], &["chancy.toml:", "loss"]),
        (&["sim", "run", "no-seed.toml"], &["no-seed.toml:", "schema"]),
        (&["sim", "replay", "missing.json"], &["missing.json: cannot be read"]),
        (&["sim", "replay", "not.json"], &["not.json: is no summary of a run", "sim run --out DIR"]),
        (&["sim", "replay", "later.json"], &["later.json: is no summary of a run"]),
        (&["sim", "replay", "kept/schema.json"], &["its schema is 9, and this program reads 1"]),
        (&["sim", "replay", "lost.json"], &["its scenario \"nowhere\" is not in the library"]),
        (&["sim", "replay", "direct.toml", "--expect-hash", "abc"], &["a hash has 64 hexadecimal digits"]),
    ] {
        let sentence = folder.run(arguments).refusal(2);
        assert!(parts.iter().all(|part| sentence.contains(part)), "{arguments:?}: {sentence}");
    }
}
