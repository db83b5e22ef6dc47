//! `sim sweep` and `sim merge`: many runs, in parts, on any number of processors, interrupted or not.

use std::fs;

use crate::folder::Folder;
use crate::support::Finished;

#[test]
fn a_sweep_counts_each_point_and_names_what_failed() {
    let folder = Folder::with_scenarios();

    let swept = folder.run(&["sim", "sweep", "chancy.toml"]);

    assert_eq!((swept.code, swept.stderr.as_str()), (Some(1), ""), "{swept:#?}");
    let text = &swept.stdout;
    assert!(
        text.contains("\n  loss=0.0                          12        12  100.0 % (75.8 to 100.0)\n"),
        "{text}"
    );
    assert!(text.contains(" x not: request is delivered at B\n"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    let replay = text.lines().find_map(|line| line.strip_prefix("  peerbound ")).unwrap();
    assert!(
        replay.starts_with("sim replay chancy.toml --seed ") && replay.ends_with(" --set loss=0.3"),
        "{replay}"
    );
    assert_eq!(folder.run(&replay.split(' ').collect::<Vec<_>>()).code, Some(1));
}

#[test]
fn shards_put_together_are_the_sweep_of_one_machine_to_the_byte() {
    let folder = Folder::with_scenarios();
    let whole = folder.run(&["sim", "sweep", "chancy.toml", "--out", "whole.jsonl", "--json", "--jobs", "3"]);

    for shard in ["1/3", "2/3", "3/3"] {
        let file = format!("part-{}.jsonl", &shard[..1]);
        // A shard whose runs are done has done what was asked of it.
        let part =
            folder.run(&["sim", "sweep", "chancy.toml", "--shard", shard, "--out", &file, "--jobs", "1"]);
        assert_eq!((part.code, part.stderr.as_str()), (Some(0), ""));
    }
    let parts = ["part-3.jsonl", "part-1.jsonl", "part-2.jsonl"];
    let merged = folder.run(&[&["sim", "merge", "--json", "--out", "merged.jsonl"], &parts[..]].concat());

    assert_eq!((merged.code, &merged.stdout), (whole.code, &whole.stdout));
    assert!(fs::read(folder.path("whole.jsonl")).unwrap() == fs::read(folder.path("merged.jsonl")).unwrap());
}

#[test]
fn array_jobs_of_slurm_and_of_kubernetes_say_the_shard_by_themselves() {
    let folder = Folder::with_scenarios();
    let sweep = |file: &str, variables: &[(&str, &str)]| {
        let mut command = folder.command(&["sim", "sweep", "chancy.toml", "--out", file]);
        Finished::of(command.envs(variables.iter().copied()));
    };

    let slurm =
        [("SLURM_ARRAY_TASK_ID", "11"), ("SLURM_ARRAY_TASK_MIN", "10"), ("SLURM_ARRAY_TASK_COUNT", "2")];
    sweep("slurm.jsonl", &slurm);
    sweep("kubernetes.jsonl", &[("JOB_COMPLETION_INDEX", "0"), ("PEERBOUND_SHARDS", "2")]);

    let merged = folder.run(&["sim", "merge", "slurm.jsonl", "kubernetes.jsonl", "--json"]);
    let whole = folder.run(&["sim", "sweep", "chancy.toml", "--json"]);
    assert_eq!(merged.stdout, whole.stdout);
}

#[test]
fn a_sweep_that_was_cut_off_goes_on_where_it_was() {
    let folder = Folder::with_scenarios();
    folder.run(&["sim", "sweep", "chancy.toml", "--out", "results.jsonl"]);
    let whole = fs::read(folder.path("results.jsonl")).unwrap();
    // As a machine leaves it that is switched off while it writes.
    fs::write(folder.path("results.jsonl"), &whole[..whole.len() / 2]).unwrap();

    let cut = folder.run(&["sim", "merge", "results.jsonl"]).refusal(2);
    folder.run(&["sim", "sweep", "chancy.toml", "--out", "results.jsonl", "--resume"]);

    assert!(cut.contains("of the 24 runs of shard 1/1: go on with it by --resume"), "{cut}");
    assert!(fs::read(folder.path("results.jsonl")).unwrap() == whole);
}

#[test]
#[cfg(unix)]
fn an_interrupted_sweep_keeps_what_is_done_and_says_how_to_go_on() {
    use std::process::{Command, Stdio};

    let folder = Folder::with_scenarios();
    let mut command =
        folder.command(&["sim", "sweep", "chancy.toml", "--seeds", "1000000", "--out", "results.jsonl"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let lines = || {
        fs::read(folder.path("results.jsonl"))
            .map_or(0, |bytes| bytes.iter().filter(|byte| **byte == b'\n').count())
    };
    while lines() < 10 {
        std::thread::yield_now();
    }

    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let ended = child.wait_with_output().unwrap();

    assert_eq!(ended.status.code(), Some(1));
    let sentence = String::from_utf8(ended.stderr).unwrap();
    assert!(
        sentence.starts_with("peerbound: interrupted after ") && sentence.ends_with("with --resume\n"),
        "{sentence}"
    );
    let summary = folder.run(&["sim", "merge", "--partial", "results.jsonl", "--json"]);
    let summary: serde_json::Value = serde_json::from_str(&summary.stdout).unwrap();
    assert_eq!(summary["runs"], lines() - 1);
}

#[test]
fn what_makes_no_sense_is_refused_in_one_sentence() {
    let folder = Folder::with_scenarios();
    folder.run(&["sim", "sweep", "chancy.toml", "--shard", "1/3", "--out", "one.jsonl"]);
    folder.run(&["sim", "sweep", "direct.toml", "--shard", "2/3", "--out", "foreign.jsonl"]);
    fs::copy(folder.path("one.jsonl"), folder.path("again.jsonl")).unwrap();
    folder.write("rubbish.jsonl", b"\xff\xfe\n");

    for (arguments, parts) in [
        (&["sim", "sweep", "chancy.toml", "--shard", "5/3"][..], &["there is no shard 5 of 3"][..]),
        (&["sim", "sweep", "chancy.toml", "--shard", "3"], &["write it as 2/5"]),
        (&["sim", "sweep", "chancy.toml", "--shard", "1/3"], &["say with --out FILE where its results go"]),
        (&["sim", "sweep", "chancy.toml", "--shards", "3"], &["nothing says which this is"]),
        (&["sim", "sweep", "chancy.toml", "--seeds", "0"], &["'0'", "names no seeds"]),
        (&["sim", "sweep", "chancy.toml", "--seeds", "9..3"], &["the end lies before the beginning"]),
        (&["sim", "sweep", "chancy.toml", "--set", "loss=0.1,much"], &["chancy.toml:", "loss"]),
        (&["sim", "sweep", "chancy.toml", "--resume"], &["--out <FILE>"]),
        (
            &["sim", "sweep", "chancy.toml", "--out", "one.jsonl"],
            &["one.jsonl: is there already", "--resume"],
        ),
        (
            &["sim", "sweep", "chancy.toml", "--out", "one.jsonl", "--resume"],
            &["is of another sweep", "shards"],
        ),
        (&["sim", "sweep", "direct.toml", "--out", "rubbish.jsonl", "--resume"], &["is no file of a sweep"]),
        (&["sim", "merge"], &["<FILE>"]),
        (&["sim", "merge", "missing.jsonl"], &["missing.jsonl: cannot be read"]),
        (&["sim", "merge", "direct.toml"], &["direct.toml: is no file of a sweep"]),
        (&["sim", "merge", "rubbish.jsonl"], &["rubbish.jsonl: is no file of a sweep"]),
        (&["sim", "merge", "one.jsonl"], &["shards 2/3, 3/3 are missing"]),
        (&["sim", "merge", "one.jsonl", "again.jsonl"], &["one.jsonl and again.jsonl are both shard 1/3"]),
        (
            &["sim", "merge", "one.jsonl", "foreign.jsonl"],
            &["are not of one sweep: the scenario is chancy.toml here"],
        ),
    ] {
        let sentence = folder.run(arguments).refusal(2);
        assert!(parts.iter().all(|part| sentence.contains(part)), "{arguments:?}: {sentence}");
    }
}

#[test]
fn a_scheduler_that_makes_no_sense_is_named() {
    let folder = Folder::with_scenarios();
    for (variable, value, part) in [
        ("JOB_COMPLETION_INDEX", "0", "add --shards N or PEERBOUND_SHARDS=N"),
        ("JOB_COMPLETION_INDEX", "first", "JOB_COMPLETION_INDEX=\"first\" is no number"),
        ("SLURM_ARRAY_TASK_ID", "3", "of how many"),
    ] {
        let mut command = folder.command(&["sim", "sweep", "chancy.toml"]);
        let sentence = Finished::of(command.env(variable, value)).refusal(2);
        assert!(sentence.contains(part), "{sentence}");
    }
}
