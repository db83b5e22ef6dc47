//! What is wrong with a scenario file is said in one sentence, with its line.

use peerbound_lab::scenario::Scenario;

/// A scenario in which nothing is wrong: 17 lines.
const GOOD: &str = r#"schema = 1
name = "good"
title = "Nothing is wrong here"
[[node]]
name = "A"
[[node]]
name = "B"
[[link]]
between = ["A", "B"]
latency = "1 ms"
[[step]]
send = { from = "A", to = "B", payload = "hello", as = "greeting" }
[[expect]]
message = "greeting"
delivered_at = "B"
[[expect]]
session = "A-B"
is = "alive"
"#;

fn complaint_about(text: &str) -> String {
    Scenario::parse(text, "x.toml", &[]).expect_err(text).to_string()
}

/// Puts one piece of text in the place of another, and returns what is said about it.
fn complaint(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from:?} is not in the good scenario");
    complaint_about(&GOOD.replacen(from, to, 1))
}

#[test]
fn a_link_has_two_ends_and_no_third() {
    let of_three = complaint(r#"between = ["A", "B"]"#, r#"between = ["A", "B", "A"]"#);
    let of_one = complaint(r#"between = ["A", "B"]"#, r#"between = ["A"]"#);

    assert!(of_three.contains("a link has two ends, and here are 3: write"), "{of_three}");
    assert!(of_one.contains("a link has two ends, and here are 1: write"), "{of_one}");
}

#[test]
fn a_good_scenario_is_taken() {
    let scenario = Scenario::parse(GOOD, "x.toml", &[]).unwrap();

    assert_eq!((scenario.hosts.len(), scenario.links.len()), (2, 1));
    assert_eq!((scenario.steps.len(), scenario.expectations.len()), (1, 2));
}

#[test]
fn the_schema_is_asked_for_first() {
    let later = "schema: this file is for a later program: it has schema 2, and this one reads 1";

    assert_eq!(
        complaint("schema = 1\n", ""),
        "x.toml:1: schema: it is missing: write `schema = 1` in its first line"
    );
    assert_eq!(complaint("schema = 1", "schema = 2\nfuture = true"), format!("x.toml:1: {later}"));
    assert_eq!(
        complaint("schema = 1", "schema = 0"),
        "x.toml:1: schema: write `schema = 1` in its first line"
    );
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_the_key_that_was_meant() {
    let said = complaint("latency", "lantency");
    let nested = complaint("payload =", "playload =");

    assert!(
        said.starts_with("x.toml:10: lantency: there is no such key here: did you mean \"latency\"?"),
        "{said}"
    );
    assert!(
        nested.starts_with("x.toml:12: playload: there is no such key here: did you mean \"payload\"?"),
        "{nested}"
    );
}

#[test]
fn a_value_of_the_wrong_kind_is_named_with_its_key() {
    assert_eq!(
        complaint("latency = \"1 ms\"", "latency = 1"),
        "x.toml:10: latency: invalid type: integer `1`, expected a string"
    );
}

#[test]
fn every_name_must_be_that_of_somebody() {
    let cases = [
        (
            "between = [\"A\", \"B\"]",
            "between = [\"A\", \"X\"]",
            "9: link 1: between: there is no host \"X\": ",
        ),
        ("between = [\"A\", \"B\"]", "between = [\"A\", \"A\"]", "9: link 1: between: \"A\" is at both ends"),
        ("to = \"B\"", "to = \"C\"", "12: step 1: send.to: there is no host \"C\""),
        ("to = \"B\"", "to = \"A\"", "12: step 1: send.to: \"A\" is at both ends"),
        (
            "delivered_at = \"B\"",
            "delivered_at = \"b\"",
            "15: expect 1: delivered_at: there is no host \"b\": ",
        ),
        ("name = \"B\"", "name = \"A\"", "7: node 2: name: another host is called \"A\", too"),
        ("name = \"B\"", "name = \"attacker\"", "7: node 2: name: \"attacker\" has a meaning of its own"),
        ("name = \"B\"", "name = \"B-1\"", "7: node 2: name: \"B-1\" is no name for a host"),
        ("session = \"A-B\"", "session = \"A\"", "17: expect 2: session: \"A\" names no two hosts"),
    ];
    for (from, to, expected) in cases {
        let said = complaint(from, to);
        assert!(said.starts_with(&format!("x.toml:{expected}")), "{said}");
    }
}

#[test]
fn every_label_is_made_before_it_is_used() {
    let cases = [
        (
            "message = \"greeting\"",
            "message = \"greting\"",
            "14: expect 1: message: no step above makes \"greting\": did you mean \"greeting\"?",
        ),
        (
            "[[expect]]",
            "[[step]]\ninject = { datagram = \"old\", to = \"A\", source = \"B\" }\n[[expect]]",
            "14: step 2: inject.datagram: no step above makes \"old\": give a datagram this name with `as`",
        ),
        (
            "[[expect]]",
            "[[step]]\nrelease = \"greeting\"\n[[expect]]",
            "14: step 2: release: \"greeting\" is a message, and a captured datagram that is held is needed",
        ),
        (
            "[[expect]]",
            "[[step]]\nping = { from = \"A\", to = \"B\", as = \"greeting\" }\n[[expect]]",
            "14: step 2: ping.as: an earlier step made \"greeting\" already",
        ),
        (
            "[[expect]]",
            "[[step]]\nseal = { by = \"A\", to = \"B\", payload = \"x\", as = \"kept\" }\n[[expect]]\ndatagram = \"kept\"\nat = \"B\"\nlock = \"none\"\n[[expect]]",
            "16: expect 1: datagram: \"kept\" is a sealed datagram that no step has put on the wire",
        ),
        (
            "[[step]]",
            "[[step]]\non = \"delivered greeting\"",
            "12: step 1: on: no step above makes \"greeting\"",
        ),
    ];
    for (from, to, expected) in cases {
        let said = complaint(from, to);
        assert!(said.starts_with(&format!("x.toml:{expected}")), "{said}");
    }
}

#[test]
fn a_step_does_one_thing_and_an_expectation_asks_for_one() {
    let two = complaint("send = {", "crash = \"B\"\nsend = {");
    let none = complaint(
        "send = { from = \"A\", to = \"B\", payload = \"hello\", as = \"greeting\" }",
        "at = \"1 s\"",
    );
    let both = complaint("is = \"alive\"", "is = \"alive\"\nmessage = \"greeting\"");
    let stray = complaint("is = \"alive\"", "is = \"alive\"\nlock = \"demux\"");

    assert_eq!(
        two,
        "x.toml:12: step 1: crash: there is a `send`, too: a step has one of them, so make it two"
    );
    assert!(
        none.starts_with("x.toml:11: step 1: nothing is asked for: a step has one of `send`, "),
        "{none}"
    );
    assert!(both.starts_with("x.toml:19: expect 2: message: there is a `session`, too"), "{both}");
    assert_eq!(stray, "x.toml:19: expect 2: lock: it has no meaning beside `session`: there go `is`");
}

#[test]
fn every_number_has_its_range() {
    let cases = [
        (
            "latency = \"1 ms\"",
            "loss = 1.5",
            "10: link 1: loss: 1.5 is no probability: give a number from 0 to 1",
        ),
        ("latency = \"1 ms\"", "mtu = 10", "10: link 1: mtu: 10 is out of range: give 68 to 65535"),
        (
            "latency = \"1 ms\"",
            "latency = \"soon\"",
            "10: link 1: latency: \"soon\" is no duration: write one like",
        ),
        (
            "latency = \"1 ms\"",
            "latency = \"25 h\"",
            "10: link 1: latency: \"25 h\" is longer than the 24 h that",
        ),
        ("latency = \"1 ms\"", "rate = \"fast\"", "10: link 1: rate: \"fast\" is no rate"),
        (
            "name = \"A\"",
            "name = \"A\"\nfirst_timeout = \"15 ms\"",
            "6: node 1: first_timeout: OpenSSL takes a timer of 15 ms",
        ),
        (
            "name = \"A\"",
            "name = \"A\"\nversion = \"1.0\"",
            "6: node 1: version: DTLS 1.0 has CBC suites with SHA-1 only",
        ),
        (
            "payload = \"hello\"",
            "payload = \"hello\", count = 0",
            "12: step 1: send.count: 0 is out of range",
        ),
        (
            "is = \"alive\"",
            "is = \"alife\"",
            "18: expect 2: is: \"alife\" has no meaning here: did you mean \"alive\"?",
        ),
        ("name = \"good\"", "name = \"Good\"", "2: name: \"Good\" is no name for a scenario"),
        ("title = \"Nothing is wrong here\"", "title = \"\"", "3: title: it is empty"),
        ("[[step]]", "[sweep]\nseeds = 0\n[[step]]", "12: seeds: there are 1 to 100000 seeds"),
    ];
    for (from, to, expected) in cases {
        let said = complaint(from, to);
        assert!(said.starts_with(&format!("x.toml:{expected}")), "{said}");
    }
}

#[test]
fn a_sweep_has_a_ceiling_and_parameters_that_are_used() {
    let values: Vec<_> = (0..1000).map(|value| value.to_string()).collect();
    let values = values.join(", ");
    let large = format!("[sweep]\nseeds = 1000\n[sweep.parameters]\nmany = [{values}]\n[[step]]");

    let large = complaint("[[step]]", &large);
    let unused = complaint("[[step]]", "[sweep.parameters]\nloss = [0.0, 0.1]\n[[step]]");
    let unknown = complaint("\"1 ms\"", "\"${latency}\"");
    let meant = complaint("latency = \"1 ms\"\n", "loss = \"${los}\"\n[sweep.parameters]\nloss = [0.1]\n");
    let when = complaint("is = \"alive\"", "is = \"alive\"\nwhen = { loss = 0.1 }");

    assert!(large.contains("there are more than 100000 runs in this sweep"), "{large}");
    assert!(unused.starts_with("x.toml:12: loss: nothing in the file asks for it"), "{unused}");
    assert_eq!(unknown, "x.toml:10: ${latency}: there are no parameters: make one in [sweep.parameters]");
    assert!(
        meant.starts_with("x.toml:10: ${los}: there is no such parameter: did you mean \"loss\"?"),
        "{meant}"
    );
    assert!(when.starts_with("x.toml:19: expect 2: when: there is no parameter \"loss\""), "{when}");
}

#[test]
fn a_parameter_that_nobody_has_is_refused() {
    let said =
        |overrides: &[(String, String)]| Scenario::parse(GOOD, "x.toml", overrides).unwrap_err().to_string();

    let unknown = said(&[("loss".to_owned(), "0.1".to_owned())]);

    assert_eq!(unknown, "x.toml: there is no parameter \"loss\": this scenario has none");
}

#[test]
fn a_reason_is_one_that_its_lock_counts() {
    let more = "[[step]]\nforge = { type = \"alert\", body = \"0228\", as = \"alert\" }\n[[step]]\n\
        inject = { datagram = \"alert\", to = \"A\", source = \"B\" }\n[[expect]]\ndatagram = \"alert\"\nat = \"A\"\n\
        lock = \"gate\"\nreason = \"REASON\"\n[[expect]]";

    let said = complaint("[[expect]]", &more.replace("REASON", "bad-mac"));

    assert!(said.starts_with("x.toml:21: expect 1: reason: the lock gate counts no \"bad-mac\""), "{said}");
    let good = GOOD.replacen("[[expect]]", &more.replace("REASON", "unprotected-alert"), 1);
    assert!(Scenario::parse(&good, "x.toml", &[]).is_ok());
}

#[test]
fn a_link_is_dialled_by_one_who_admits_the_other() {
    let stranger = complaint("latency = \"1 ms\"", "dials = \"A\"\nadmits = \"B\"");
    let nobody = complaint("latency = \"1 ms\"", "dials = \"C\"");

    assert!(stranger.starts_with("x.toml:11: link 1: admits: whoever dials admits the other"), "{stranger}");
    assert!(nobody.starts_with("x.toml:10: link 1: dials: \"C\" cannot dial here"), "{nobody}");
}

#[test]
fn a_node_that_boots_by_a_step_has_one_that_boots_it() {
    let never = complaint("name = \"A\"", "name = \"A\"\nboot = \"by-step\"");
    let twice = complaint("send = {", "boot = \"A\"\n[[step]]\nsend = {");

    assert!(
        never.starts_with("x.toml:6: node 1: boot: it is to boot by a step, and there is none"),
        "{never}"
    );
    assert!(twice.starts_with("x.toml:4: node 1: boot: it runs from the beginning"), "{twice}");
}

#[test]
fn a_file_that_is_too_large_is_not_read() {
    let long = format!("{GOOD}#{}", "x".repeat(256 * 1024));

    let said = complaint_about(&long);

    assert!(
        said.ends_with("bytes are more than the 262144 that a scenario may have: take steps out"),
        "{said}"
    );
}

#[test]
fn a_run_without_an_expectation_proves_nothing() {
    let (before, _) = GOOD.split_once("[[expect]]").unwrap();

    let said = complaint_about(before);

    assert_eq!(said, "x.toml:1: nothing is expected: add an [[expect]], or the run proves nothing");
}

#[test]
fn nobody_else_has_the_attackers_address() {
    let taken = "address: 192.0.2.66 is the attacker's: choose another";
    let nat = "[[nat]]\nname = \"home\"\nin_front_of = [\"A\"]\naddress = \"192.0.2.66\"\n[[link]]\nbetween";

    assert_eq!(
        complaint("name = \"A\"", "name = \"A\"\naddress = \"192.0.2.66:4433\""),
        format!("x.toml:6: node 1: {taken}")
    );
    assert_eq!(complaint("[[link]]\nbetween", nat), format!("x.toml:11: nat 1: {taken}"));
}
