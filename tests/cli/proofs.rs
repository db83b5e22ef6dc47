//! `prove`: what it says, in which forms, and with which exit code.

use quick_xml::Reader;
use quick_xml::events::Event;

use crate::folder::Folder;
use crate::scenarios::DIRECT;

#[test]
fn an_experiment_of_the_library_holds_and_says_so() {
    let text = Folder::empty().run(&["prove", "rung-1-strict-demux"]).success();

    assert!(text.starts_with("On sim, seed 1, OpenSSL "), "{text}");
    assert!(
        text.contains("  rung-1-strict-demux                 demux              demux              yes\n"),
        "{text}"
    );
    assert!(text.ends_with("\n1 experiment, all as expected.\n"), "{text}");
}

#[test]
fn the_same_experiments_with_the_same_seed_say_the_same_bytes() {
    let folder = Folder::with_scenarios();
    let arguments = ["prove", "direct.toml", "chancy.toml", "rung-*", "--seed", "5", "--json"];

    let (one, two) = (folder.run(&arguments), folder.run(&[&arguments[..], &["--jobs", "1"]].concat()));

    assert_eq!(one.stdout, two.stdout);
    assert!(one.stdout.contains("\"trace_hash\":\""));
}

#[test]
fn a_mismatch_is_exit_code_1_with_a_sentence_and_the_command_that_shows_it_again() {
    let folder = Folder::with_scenarios();

    let proved = folder.run(&["prove", "direct.toml", "wrong.toml"]);

    assert_eq!((proved.code, proved.stderr.as_str()), (Some(1), ""), "{proved:#?}");
    let text = proved.stdout;
    assert!(
        text.contains("  expected reply is dropped at gate at A, sealed on C>B; observed dropped at\n"),
        "{text}"
    );
    assert!(
        text.contains("  wrong                               gate               dropped at demux…  NO\n"),
        "{text}"
    );
    let replay = text.lines().find_map(|line| line.strip_prefix("  peerbound ")).unwrap();
    assert_eq!(replay, "sim replay wrong.toml --seed 1");
    assert_eq!(folder.run(&replay.split(' ').collect::<Vec<_>>()).code, Some(1));
}

#[test]
fn groups_patterns_and_files_are_named_alike_and_counted_once() {
    let folder = Folder::with_scenarios();

    let listed =
        folder.run(&["prove", "--list", "--json", "ladder", "rung-1*", "direct.toml", "direct.toml"]).json();

    let names: Vec<_> =
        listed[0].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names.iter().filter(|name| **name == "rung-1-strict-demux").count(), 1, "{names:?}");
    assert!(names.len() > 5 && names.last() == Some(&"direct"), "{names:?}");
}

#[test]
fn the_list_says_what_each_experiment_claims_in_80_columns() {
    let text = Folder::empty().run(&["prove", "--list"]).success();

    assert!(text.contains("\n  rung-1-strict-demux "), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
}

#[test]
fn reports_are_written_in_every_form_also_when_something_does_not_hold() {
    let folder = Folder::with_scenarios();

    let arguments =
        ["prove", "direct.toml", "wrong.toml", "--junit", "j.xml", "--html", "p.html", "--out", "kept"];
    assert_eq!(folder.run(&arguments).code, Some(1));

    let junit = std::fs::read_to_string(folder.path("j.xml")).unwrap();
    let mut reader = Reader::from_str(&junit);
    let mut cases = 0;
    loop {
        match reader.read_event().unwrap() {
            Event::Eof => break,
            Event::Start(start) | Event::Empty(start) => {
                cases += usize::from(start.name().as_ref() == b"testcase");
            }
            _ => {}
        }
    }
    assert_eq!(cases, 2);
    assert!(
        junit.contains("<testsuite name=\"mine\" tests=\"2\" skipped=\"0\" errors=\"0\" failures=\"1\">"),
        "{junit}"
    );
    let page = std::fs::read_to_string(folder.path("p.html")).unwrap();
    assert!(page.contains("✓ as expected") && page.contains("✗ NOT as expected"), "{page}");
    for file in ["run.pcapng", "run.mmd", "run.jsonl", "run.html", "summary.json", "scenario.toml"] {
        assert!(folder.path(&format!("kept/direct/{file}")).exists(), "{file}");
        assert!(folder.path(&format!("kept/wrong/{file}")).exists(), "{file}");
    }
}

#[test]
fn a_suite_is_put_into_scenarios_that_leave_it_open_and_others_are_passed_over() {
    let folder = Folder::with_scenarios();
    let own = DIRECT.replacen("name = \"A\"", "name = \"A\"\nsuite = \"ECDHE-ECDSA-CHACHA20-POLY1305\"", 1);
    folder.write("own.toml", own.replace("\"direct\"", "\"own\""));

    let suite = ["--suite", "ECDHE-ECDSA-AES256-GCM-SHA384"];
    let proved = folder.run(&[&["prove", "direct.toml", "own.toml", "--json"], &suite[..]].concat()).json();

    let proofs = proved[0]["proofs"].as_array().unwrap();
    assert_eq!(proofs[0]["outcome"]["result"], "held");
    assert!(proofs[0]["replay"].as_str().unwrap().ends_with(" --suite ECDHE-ECDSA-AES256-GCM-SHA384"));
    assert_eq!(proofs[1]["outcome"]["result"], "refused", "{proofs:#?}");
}

#[test]
fn a_proof_of_which_all_was_refused_proves_nothing() {
    let folder = Folder::empty();

    let proved = folder.run(&["prove", "nat-rebinding", "--on", "loopback", "--json"]);

    assert_eq!(proved.code, Some(2), "{proved:#?}");
    assert!(proved.stderr.contains("nothing was run, so nothing is proved"), "{}", proved.stderr);
    assert!(proved.stdout.contains("\"holds\":false"), "{}", proved.stdout);
}

#[test]
fn what_makes_no_sense_is_refused_in_one_sentence() {
    let folder = Folder::with_scenarios();
    folder.write("bad.toml", DIRECT.replacen("latency", "latncy", 1));

    for (arguments, parts) in [
        (
            &["prove", "rung-1-strict-demx"][..],
            &["there is no scenario \"rung-1-strict-demx\"", "did you mean \"rung-1-strict-demux\"?"][..],
        ),
        (&["prove", "xyzzy"], &["there is no scenario \"xyzzy\"", "prove --list"]),
        (&["prove", "[a"], &["\"[a\" is no pattern"]),
        (&["prove", "missing.toml"], &["missing.toml: cannot be read"]),
        (&["prove", "bad.toml"], &["bad.toml:18: ", "latncy"]),
        (&["prove", "."], &["there is no scenario \".\""]),
        (&["prove", "./"], &["./: cannot be read"]),
        (&["prove", "--on", "simm"], &["'simm'", "sim"]),
        (&["prove", "--suite", "AES"], &["'AES'", "no such suite"]),
        (&["prove", "--seed", "-1"], &["-1"]),
        (&["prove", "--jobs", "0"], &["--jobs"]),
        (
            &["prove", "direct.toml", "--junit", "no/such/folder.xml"],
            &["no/such/folder.xml: cannot be written"],
        ),
    ] {
        let sentence = folder.run(arguments).refusal(2);
        assert!(parts.iter().all(|part| sentence.contains(part)), "{arguments:?}: {sentence}");
    }
}
