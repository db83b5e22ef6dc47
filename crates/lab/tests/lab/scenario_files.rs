//! Scenario files are read and written: each comes back as it went, and nothing makes the reader panic.

use std::time::Duration;

use peerbound_lab::scenario::{
    Action, Expectation, FaultAction, HandshakeMessage, Path, Scenario, Sequence, Trigger,
};
use peerbound_lab::trace::HostIndex;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

const HEAD: &str = "schema = 1\nname = \"x\"\ntitle = \"X\"\n";

const THREE: &str = "[[node]]\nname = \"A\"\n[[node]]\nname = \"B\"\n[[node]]\nname = \"C\"\n\
    [[link]]\nbetween = [\"A\", \"B\"]\n[[link]]\nbetween = [\"C\", \"B\"]\n";

const ALIVE: &str = "[[expect]]\nsession = \"A-B\"\nis = \"alive\"\n";

fn parse(text: &str) -> Scenario {
    Scenario::parse(text, "x.toml", &[]).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn with(more: &str) -> Scenario {
    parse(&format!("{HEAD}{THREE}{more}{ALIVE}"))
}

#[test]
fn parameters_take_the_place_of_their_names() {
    let text = format!(
        "{HEAD}{THREE}[network]\nloss = \"${{loss}}\"\nlatency = \"${{half}} ms\"\n\
         [sweep]\nseeds = [3, 5]\n[sweep.parameters]\nloss = [0.0, 0.25]\nhalf = [492, 493]\n{ALIVE}"
    );

    let first = parse(&text);
    let other = [("loss".to_owned(), "0.25".to_owned()), ("half".to_owned(), "7".to_owned())];
    let other = Scenario::parse(&text, "x.toml", &other).unwrap();

    assert_eq!((first.network.loss.get(), first.network.latency), (0.0, Duration::from_millis(492)));
    assert_eq!((other.network.loss.get(), other.network.latency), (0.25, Duration::from_millis(7)));
    let points = first.sweep.points();
    assert_eq!(points.len(), 8);
    assert_eq!((points[1].seed, points[1].parameters["half"].as_str()), (5, "492"));
    assert_eq!(points[2].parameters["loss"], "0.25");
}

#[test]
fn what_is_said_under_a_condition_is_said_for_those_values_only() {
    let text = format!(
        "{HEAD}{THREE}{ALIVE}[[expect]]\nwhen = {{ suite = [\"a\", \"b\"] }}\nsession = \"C-B\"\nis = \"dead\"\n\
         [sweep.parameters]\nsuite = [\"a\", \"b\", \"c\"]\n"
    );
    let expected = |suite: &str| {
        let overrides = [("suite".to_owned(), suite.to_owned())];
        Scenario::parse(&text, "x.toml", &overrides).unwrap().expectations.len()
    };

    assert_eq!((expected("a"), expected("b"), expected("c")), (2, 2, 1));
}

#[test]
fn a_flight_is_its_messages_sent_for_the_first_time() {
    let scenario = with("[[fault]]\non = \"A>B\"\ndrop = { flight = 4 }\n");

    let messages: Vec<_> = scenario.faults.iter().filter_map(|fault| fault.which.pattern.handshake).collect();
    assert_eq!(
        messages,
        [
            HandshakeMessage::ServerHello,
            HandshakeMessage::Certificate,
            HandshakeMessage::ServerKeyExchange,
            HandshakeMessage::CertificateRequest,
            HandshakeMessage::ServerHelloDone
        ]
    );
    let back = Path { from: HostIndex(1), to: HostIndex(0) };
    assert!(scenario.faults.iter().all(|fault| fault.on.covers(back) && fault.action == FaultAction::Drop));
    assert!(scenario.faults.iter().all(|fault| fault.which.nth == Some(1)));
}

#[test]
fn a_link_has_what_the_network_has_unless_it_says_otherwise() {
    let scenario = parse(&format!(
        "{HEAD}[network]\nlatency = \"5 ms\"\nloss = 0.5\n[[node]]\nname = \"A\"\n[[node]]\nname = \"B\"\n\
         [[link]]\nbetween = [\"A\", \"B\"]\nloss = 0.25\nback = {{ latency = \"9 ms\" }}\n{ALIVE}"
    ));

    let link = &scenario.links[0];
    assert_eq!((link.forth.latency, link.forth.loss.get()), (Duration::from_millis(5), 0.25));
    assert_eq!((link.back.latency, link.back.loss.get()), (Duration::from_millis(9), 0.25));
}

#[test]
fn a_change_of_a_link_is_told_in_the_order_of_its_ends() {
    let scenario = with(
        "[[step]]\nlink = { between = [\"B\", \"A\"], forth = { up = false } }\n\
         [[step]]\nlink = { between = [\"A\", \"B\"], loss = 1 }\n",
    );

    let Action::Link { link: 0, forth: None, back: Some(back) } = &scenario.steps[0].action else {
        panic!("{:?}", scenario.steps[0]);
    };
    assert!(!back.is_up);
    let Action::Link { link: 0, forth: Some(forth), back: Some(back) } = &scenario.steps[1].action else {
        panic!("{:?}", scenario.steps[1]);
    };
    assert_eq!((forth.loss.get(), back.loss.get()), (1.0, 1.0));
}

#[test]
fn a_step_without_a_time_follows_the_one_above_it() {
    let scenario = with("[[step]]\nwait = \"1 s\"\n[[step]]\nwait = \"1 s\"\n");

    assert!(matches!(scenario.steps[0].trigger, Trigger::On(_)));
    assert_eq!(scenario.steps[1].trigger, Trigger::AfterPrevious);
}

#[test]
fn record_numbers_are_absolute_or_relative_to_the_newest() {
    let sequence = |text: &str| {
        let more = format!(
            "[[step]]\nforge = {{ type = \"alert\", sequence = {text}, body = \"0228\", as = \"alert\" }}\n"
        );
        match &with(&more).steps[0].action {
            Action::Forge { record, .. } => record.sequence,
            other => panic!("{other:?}"),
        }
    };

    assert_eq!(sequence("7"), Sequence::Number(7));
    assert_eq!(sequence("\"next\""), Sequence::Newest(1));
    assert_eq!(sequence("\"-69\""), Sequence::Newest(-69));
    assert_eq!(sequence("\"+63\""), Sequence::Newest(63));
}

#[test]
fn a_mesh_has_nodes_by_number() {
    let scenario = parse(&format!(
        "{HEAD}[mesh]\nnodes = 10\ndegree = 4\n[nodes]\nrouting = \"dynamic\"\n[network]\nloss = 0.01\n\
         [[step]]\nsend = {{ from = \"N0\", to = \"N9\", payload = \"far\", as = \"far\" }}\n\
         [[expect]]\nreachable = \"all\"\n"
    ));

    let layout = scenario.layout(1);
    assert_eq!((layout.hosts.len(), layout.links.len()), (10, 20));
    assert_eq!((layout.hosts[9].name.as_str(), scenario.attacker()), ("N9", HostIndex(10)));
    assert!(layout.links.iter().all(|link| link.forth.loss.get() == 0.01));
    assert_eq!(scenario.expectations, [Expectation::ReachableAll]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_scenario_comes_back_as_it_went(text in scenarios()) {
        let scenario = parse(&text);

        let written = scenario.to_toml();

        let again = Scenario::parse(&written, "again.toml", &[]);
        let again = again.map_err(|error| TestCaseError::fail(format!("{error}\n{written}")))?;
        prop_assert_eq!(&again, &scenario.fixed(), "{}", written);
        prop_assert_eq!(again.to_toml(), written);
    }

    #[test]
    fn whatever_is_read_nothing_panics(text in any::<String>()) {
        let _ = Scenario::parse(&text, "hostile", &[]);
        let _ = Scenario::parse(&format!("schema = 1\n{text}"), "hostile", &[]);
    }

    #[test]
    fn a_scenario_that_was_cut_and_mixed_does_not_panic(
        text in scenarios(),
        cuts in vec((any::<proptest::sample::Index>(), 0_usize..20, select(SCRAPS)), 1..6),
    ) {
        let mut bytes = text.into_bytes();
        for (at, length, scrap) in cuts {
            let at = at.index(bytes.len().max(1)).min(bytes.len());
            let end = (at + length).min(bytes.len());
            bytes.splice(at..end, scrap.bytes());
        }
        let text = String::from_utf8_lossy(&bytes);

        if let Ok(scenario) = Scenario::parse(&text, "hostile", &[]) {
            let _ = scenario.to_toml();
        }
    }
}

const SCRAPS: &[&str] = &[
    "",
    "\"",
    "${",
    "${x}",
    "\n",
    "[[step]]\n",
    "[",
    "]]",
    "{",
    "}",
    "= 1",
    "-1",
    "9999999999999999999",
    "nan",
    "1e400",
    "\u{0}",
    "\u{1f980}",
    "A>",
    "A-A",
    "attacker",
    "as = \"request\"",
    "'''",
];

/// Files in which everything that may stand in one stands now and then.
fn scenarios() -> impl Strategy<Value = String> {
    let nodes = (keys(&NODE_KEYS[2..]), keys(NODE_KEYS), keys(NODE_KEYS));
    let network = (keys(CONDITION_KEYS), keys(CONDITION_KEYS), keys(CONDITION_KEYS));
    let tables = (some(FAULTS), some(STEPS), some(EXPECTATIONS), 1_u32..1000);
    (nodes, network, tables).prop_map(|((all, a, b), (network, forth, back), (faults, steps, expectations, number))| {
        let inline: Vec<_> = back.trim().lines().collect();
        let text = format!(
            "{HEAD}meaning = \"It is \\\"so\\\" \\\\ n\"\nends = \"{number} s\"\n\
             [nodes]\n{all}[[node]]\nname = \"A\"\n{a}[[node]]\nname = \"B\"\n{b}address = \"10.9.0.{}:99\"\n\
             [[node]]\nname = \"C\"\n[[host]]\nname = \"F\"\nforwards = [\"A\", \"C\"]\n[[host]]\nname = \"V\"\n\
             [network]\n{network}[[link]]\nbetween = [\"A\", \"B\"]\n{forth}back = {{ {} }}\n\
             [[link]]\nbetween = [\"C\", \"B\"]\ndials = \"both\"\n\
             [[link]]\nbetween = [\"A\", \"C\"]\ndials = \"C\"\nadmits = \"C\"\nthrough = \"F\"\n\
             [[nat]]\nname = \"home\"\nin_front_of = [\"A\"]\nmapping = \"address-dependent\"\nhairpin = true\n\
             [[listener]]\non = \"A\"\nas = \"ear\"\n{faults}{STEPS_ALWAYS}{steps}{ALIVE}{expectations}",
            number % 200 + 1,
            inline.join(", "),
        );
        text.replace("NUMBER", &number.to_string())
    })
}

fn keys(all: &'static [&'static str]) -> impl Strategy<Value = String> {
    subsequence(all, 0..=all.len()).prop_map(|keys| keys.iter().map(|key| format!("{key}\n")).collect())
}

fn some(all: &'static [&'static str]) -> impl Strategy<Value = String> {
    vec(select(all), 0..8).prop_map(|tables| {
        let number = tables.iter().enumerate();
        number
            .map(|(index, table)| format!("{}\n", table.replace("LABEL", &format!("label {index}"))))
            .collect()
    })
}

/// The first two stand in no [nodes]: C has neither.
const NODE_KEYS: &[&str] = &[
    "socket = \"connected to C\"",
    "identity = \"of C\"",
    "suite = \"ECDHE-RSA-AES128-GCM-SHA256\"",
    "encrypt_then_mac = false",
    "renegotiation = \"default\"",
    "gate = \"off\"",
    "replay_mirror = \"off\"",
    "demux = \"every-session\"",
    "first_timeout = \"NUMBER s\"",
    "handshake_deadline = \"600 s\"",
    "attempts = \"one\"",
    "mtu = 1280",
    "rekey_records = NUMBER",
    "rekey_age = \"1 min 30 s\"",
    "e2e = \"on\"",
];

const CONDITION_KEYS: &[&str] = &[
    "latency = \"NUMBER us\"",
    "jitter = \"0.5 ms\"",
    "loss = 0.1",
    "bursts = { enter = 0.01, leave = 0.3, loss_bad = 0.8 }",
    "duplicate = 1",
    "reorder = 0.333",
    "rate = \"NUMBER kbit/s\"",
    "queue = NUMBER",
    "mtu = 1500",
    "icmp = false",
    "up = false",
];

const FAULTS: &[&str] = &[
    "[[fault]]\non = \"A>B\"\ndrop = { handshake = \"ServerHello\", nth = 1 }",
    "[[fault]]\non = \"A-B\"\nduplicate = {}",
    "[[fault]]\non = \"B>A\"\ndelay = { by = \"NUMBER ms\", record = \"alert\", epoch = 1 }",
    "[[fault]]\non = \"B>A\"\ncorrupt = { bit = 7, from = \"1 s\", until = \"2 s\" }",
    "[[fault]]\non = \"B>A\"\nreorder = { nth = NUMBER }",
    "[[fault]]\non = \"A>B\"\ndrop = { flight = 5 }",
];

const STEPS_ALWAYS: &str = "[[step]]\nsend = { from = \"A\", to = \"C\", payload = \"a \\\"b\\\" \\t\", as = \"request\" }\n\
    [[step]]\nseal = { by = \"C\", to = \"A\", payload_bytes = 9, reply = true, as = \"reply\" }\n\
    [[step]]\ncapture = { on = \"A-B\", match = { record = \"application-data\" }, hold = true, as = \"old\" }\n\
    [[step]]\ntalk = { pairs = 3, as = \"chatter\" }\n\
    [[step]]\ninject = { datagram = \"reply\", to = \"A\", source = \"C\" }\n";

const STEPS: &[&str] = &[
    "[[step]]\nat = \"NUMBER ms\"\nsend = { from = \"C\", to = \"A\", payload = \"\", reply = true, count = NUMBER }",
    "[[step]]\nsend = { from = \"C\", to = \"A\", payload = \"x\", until_past = \"reply\", records = 63, as = \"LABEL\" }",
    "[[step]]\non = \"up A-B\"\nping = { from = \"A\", to = \"C\", as = \"LABEL\" }",
    "[[step]]\non = \"delivered request\"\nwait = \"NUMBER s\"",
    "[[step]]\non = \"captured old\"\nrelease = \"old\"",
    "[[step]]\non = \"arrived reply\"\nseal = { by = \"C\", to = \"A\", payload = \"x\", keys = \"B>A\", sequence = \"+3\", as = \"LABEL\" }",
    "[[step]]\nforge = { type = \"application-data\", epoch = 1, random = NUMBER, sequence = 5, as = \"LABEL\" }",
    "[[step]]\nforge = { handshake = \"ServerHello\", version = \"1.0\", as = \"LABEL\" }",
    "[[step]]\non = \"down A-B\"\ncapture = { on = \"B>A\", match = { nth = 3, from = \"1 s\" }, as = \"LABEL\" }",
    "[[step]]\ninject = { datagram = \"old\", to = \"B\", source = \"192.0.2.1:9\", set_sequence = \"-69\", set_epoch = 2, flip_bit = -1, truncate = 3, as = \"LABEL\" }",
    "[[step]]\ninject = { datagram = \"reply\", to = \"A\", source = \"C connected\", times = NUMBER, as = \"LABEL\" }",
    "[[step]]\ninject = { datagram = \"reply\", to = \"V\", source = \"B\", by = \"attacker\", as = \"LABEL\" }",
    "[[step]]\ninject = { datagram = \"reply\", to = \"A\", source = \"attacker\", as = \"LABEL\" }",
    "[[step]]\non = \"dial-failed A\"\ncrash = \"A\"",
    "[[step]]\non = \"stranger-failed A\"\nrestart = \"A\"",
    "[[step]]\nshutdown = \"B\"",
    "[[step]]\nrebind = \"home\"",
    "[[step]]\nlink = { between = [\"B\", \"A\"], up = true, back = { loss = 0.5 } }",
    "[[step]]\nlink = { between = [\"A\", \"B\"], latency = \"NUMBER ms\", bursts = { enter = 0.5, leave = 0.5, loss_bad = 1 } }",
    "[[step]]\nrenegotiate = { by = \"A\", with = \"B\" }",
    "[[step]]\non = \"replaced A-B\"\nrekey = { by = \"A\", with = \"B\" }",
];

const EXPECTATIONS: &[&str] = &[
    "[[expect]]\ndatagram = \"reply\"\nat = \"A\"\nlock = \"demux\"\nreason = \"no-session\"\nsealed_by = \"C>B\"",
    "[[expect]]\ndatagram = \"old\"\nat = \"A\"\nlock = \"killed\"\nsealed_by = \"nobody\"",
    "[[expect]]\ndatagram = \"reply\"\nat = \"A\"\nread_by = \"ear\"",
    "[[expect]]\nsession = \"C-B\"\nis = \"new\"",
    "[[expect]]\nmessage = \"request\"\ndelivered_at = \"C\"\npath = [\"A\", \"B\", \"C\"]",
    "[[expect]]\nmessage = \"request\"\ndelivered_at = \"C\"\nat_least = 1",
    "[[expect]]\nmessage = \"reply\"\nundelivered = true",
    "[[expect]]\nmessage = \"request\"\nreadable_by = \"B\"",
    "[[expect]]\nmessage = \"request\"\nunreadable_by = \"B\"",
    "[[expect]]\ntalk = \"chatter\"\nat_least = 2\nat_most = 3",
    "[[expect]]\nwire = \"A>B\"\nmatch = { handshake = \"ClientHello\" }\ncount = NUMBER",
    "[[expect]]\nwire = \"A>B\"\nat_most = 7\nfrom = \"1 s\"\nuntil = \"2 s\"",
    "[[expect]]\nevent = \"dial-failed\"\nat = \"A\"\nfrom = \"482 s\"\nuntil = \"484 s\"",
    "[[expect]]\ntold = \"C\"\nerror = \"ECONNREFUSED\"",
    "[[expect]]\nratio = \"A>V / V>A\"\nat_most = 1.0",
    "[[expect]]\nbroken = \"forged-datagram-ends-session\"",
];
