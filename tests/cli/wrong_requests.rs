//! Arguments that make no sense: exit code 2 and one sentence.

use crate::folder::Folder;
use crate::support::Finished;

#[test]
fn an_unknown_command_is_answered_with_the_nearest_one() {
    let sentence = Folder::empty().run(&["chekc", "a.toml"]).refusal(2);

    assert!(sentence.contains("'chekc'") && sentence.contains("'check'"), "{sentence}");
}

#[test]
fn an_unknown_option_is_named() {
    let sentence = Folder::empty().run(&["demo", "--jsno"]).refusal(2);

    assert!(sentence.contains("'--jsno'") && sentence.contains("'--json'"), "{sentence}");
}

#[test]
fn a_missing_argument_is_named_with_the_command_that_explains_it() {
    let folder = Folder::empty();

    for (arguments, missing, help) in [
        (&["run"][..], "--config <FILE>", "`peerbound run --help`"),
        (&["listen", "--echo"], "--config <FILE>", "`peerbound listen --help`"),
        (&["send", "-c", "a.toml"], "<NODE>", "`peerbound send --help`"),
        (&["check"], "<FILE>", "`peerbound check --help`"),
        (&["pki", "issue"], "<NAME>", "`peerbound pki issue --help`"),
    ] {
        let sentence = folder.run(arguments).refusal(2);
        assert!(sentence.contains(missing) && sentence.contains(help), "{sentence}");
    }
}

#[test]
fn numbers_out_of_range_are_named_with_the_range() {
    let folder = Folder::with_node();

    for (arguments, wrong) in [
        (&["pki", "issue", "C", "--days", "0"][..], "--days"),
        (&["pki", "init", "--dir", "other", "--days", "36501"], "--days"),
        (&["send", "-c", "a.toml", "--wait", "-1", "B"], "-1"),
        (&["send", "-c", "a.toml", "--wait", "18446744073709551615", "B"], "--wait"),
        (&["send", "-c", "a.toml", "--linger", "99999999999999999999999", "B"], "--linger"),
        (&["listen", "-c", "a.toml", "--count", "many"], "--count"),
    ] {
        let sentence = folder.run(arguments).refusal(2);
        assert!(sentence.contains(wrong), "{sentence}");
    }
}

#[test]
fn what_a_running_node_cannot_be_asked_for_is_refused_before_one_is_looked_for() {
    let folder = Folder::empty();
    folder.write("there.pcapng", "somebody's");

    for (arguments, wrong) in [
        (&["trace", "B", "--wait", "0"][..], "'0' for '--wait"),
        (&["trace", "B", "--wait", "60001"], "'60001' for '--wait"),
        (&["trace"], "<NODE>"),
        (&["explain", "why"], "'why'"),
        (&["explain", "stray", "--count", "0"], "'0' for '--count"),
        (&["explain", "drop", "--count", "257"], "'257' for '--count"),
        (&["explain", "route"], "<NODE>"),
        (&["pcap"], "<FILE>"),
        (&["pcap", "x.pcapng", "--count", "0"], "'0' for '--count"),
        (&["pcap", "x.pcapng", "--seconds", "604801"], "'604801' for '--seconds"),
        (&["pcap", "x.pcapng", "--bytes", "many"], "'many' for '--bytes"),
        (&["pcap", "x.pcapng", "--secrets"], "--datagrams"),
        (&["pcap", "there.pcapng"], "there.pcapng"),
    ] {
        let sentence = folder.run(arguments).refusal(2);
        assert!(sentence.contains(wrong), "{arguments:?}: {sentence}");
    }
    assert!(!folder.path("x.pcapng").exists());
}

#[test]
fn an_unknown_receiver_is_answered_with_the_known_names() {
    let sentence = Folder::with_node().run(&["send", "-c", "a.toml", "Z"]).refusal(2);

    assert!(sentence.contains("nobody is called \"Z\"") && sentence.contains("known names: B"), "{sentence}");
}

#[test]
fn a_log_filter_that_makes_no_sense_is_refused_with_what_to_write() {
    let folder = Folder::with_node();
    let mut command = folder.command(&["check", "a.toml"]);

    let sentence = Finished::of(command.env("PEERBOUND_LOG", "peerbound=loud")).refusal(2);

    assert!(sentence.starts_with("PEERBOUND_LOG=\"peerbound=loud\" is no filter"), "{sentence}");
    assert!(sentence.contains("warn, info or debug"), "{sentence}");
}

#[test]
fn help_and_version_are_no_failures() {
    let folder = Folder::empty();

    for arguments in [&["--help"][..], &["--version"], &["help", "pki"], &["pki", "issue", "--help"]] {
        assert!(!folder.run(arguments).success().is_empty());
    }
}
