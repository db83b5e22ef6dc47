//! Configuration files: what is taken, and in which words the rest is refused.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use peerbound_daemon::{
    ConfigError, ConfigFile, ControlConfig, DaemonConfig, Favour, RouteRule, unix_seconds,
};
use peerbound_dtls::{Authority, Identity, RecordLayer, Validity};
use peerbound_node::{EndToEnd, Healing, PathMtu, ReturnPath, Routing, node_id};
use tempfile::TempDir;

const GOOD: &str = r#"[node]
certificate = "A.pem"
key = "A.key"
roots = ["ca.pem"]
listen = "127.0.0.1:7001"
mtu = 1200

[[neighbour]]
name = "B"
certificate = "B.pem"
address = "127.0.0.1:7002"

[[neighbour]]
name = "C"
id = "$C"

[[route]]
to = "D"
via = "B"

[names]
D = "D.pem"
"#;

#[test]
fn a_good_file_is_taken_as_it_is_meant() {
    let site = Site::new();

    let config = site.load(GOOD).unwrap();

    assert_eq!((config.listen.to_string(), config.node.mtu), ("127.0.0.1:7001".to_owned(), 1200));
    let neighbours: Vec<_> = config.node.neighbours.iter().map(|neighbour| neighbour.id).collect();
    assert_eq!(neighbours, [site.id("B"), site.id("C")]);
    assert_eq!(config.node.neighbours[0].addresses, ["127.0.0.1:7002".parse().unwrap()]);
    assert!(config.node.neighbours[1].addresses.is_empty());
    let [route] = config.node.routes[..] else { panic!("one route: {:?}", config.node.routes) };
    assert_eq!((route.destination, route.via), (site.id("D"), site.id("B")));
    for name in ["B", "C", "D"] {
        assert_eq!(config.find(name), Some(site.id(name)));
        assert_eq!(config.find(&site.id(name).to_string()), Some(site.id(name)));
    }
    assert_eq!(config.find("E"), None);
}

#[test]
fn a_neighbour_may_have_several_addresses_and_names() {
    let site = Site::new();
    let text = GOOD.replace("\"127.0.0.1:7002\"", "[\"relay.example.org:7002\", \"127.0.0.1:7003\"]");

    let config = site.load(&text).unwrap();

    assert_eq!(config.node.neighbours[0].addresses, ["127.0.0.1:7003".parse().unwrap()]);
    let places = config.places_of(&site.id("B"));
    assert_eq!(places.as_deref(), Some("relay.example.org:7002, 127.0.0.1:7003"));
    assert_eq!(config.places_of(&site.id("C")), None);
    assert_eq!((config.node.healing, config.node.path_mtu), (Healing::On, PathMtu::Probed));
}

#[test]
fn routes_are_learned_where_the_file_says_so() {
    let site = Site::new();
    let text = GOOD.replace("mtu = 1200", "routing = \"dynamic\"\nreturn_path = \"any\"");
    let text = text.replace("id = \"$C\"", "id = \"$C\"\ncost = 250");

    let config = site.load(&text).unwrap();

    let Routing::Dynamic(routing) = &config.node.routing else { panic!("{:?}", config.node.routing) };
    assert_eq!(routing.costs.iter().collect::<Vec<_>>(), [(&site.id("C"), &250)]);
    assert_eq!(config.node.return_path, ReturnPath::Any);
    let plain = site.load(GOOD).unwrap();
    assert!(matches!(plain.node.routing, Routing::Static));
    assert_eq!(plain.node.return_path, ReturnPath::AsCame);
}

#[test]
fn records_are_sealed_directly_where_the_file_does_not_leave_them_to_openssl() {
    let site = Site::new();

    let plain = site.load(GOOD).unwrap();
    let by_openssl = site.load(&GOOD.replace("mtu = 1200", "record_layer = \"openssl\"")).unwrap();

    assert_eq!(plain.node.record_layer, RecordLayer::Direct);
    assert_eq!(by_openssl.node.record_layer, RecordLayer::Openssl);
}

#[test]
fn throughput_is_favoured_where_the_file_does_not_say_otherwise() {
    let site = Site::new();

    let plain = site.load(GOOD).unwrap();
    let prompt = site.load(&GOOD.replace("mtu = 1200", "favour = \"latency\"")).unwrap();
    let wrong = site.load(&GOOD.replace("mtu = 1200", "favour = \"both\"")).unwrap_err().to_string();

    assert_eq!((plain.favour, prompt.favour), (Favour::Throughput, Favour::Latency));
    assert!(wrong.contains("`throughput` or `latency`"), "{wrong}");
}

#[test]
fn payloads_are_protected_from_end_to_end_where_the_file_does_not_say_otherwise() {
    let site = Site::new();

    let plain = site.load(GOOD).unwrap().node.inner;
    assert_eq!((plain.default, plain.exceptions.len()), (EndToEnd::On, 0));
    let text = GOOD.replace("mtu = 1200", "mtu = 1200\ne2e = \"off\"");
    let off = site.load(&format!("{text}\n[e2e]\nD = \"on\"\nB = \"off\"\n")).unwrap().node.inner;

    assert_eq!(off.default, EndToEnd::Off);
    let with = |name: &str| off.with(&site.id(name));
    assert_eq!((with("B"), with("C"), with("D")), (EndToEnd::Off, EndToEnd::Off, EndToEnd::On));
}

#[test]
fn a_link_has_the_rate_that_the_file_gives_it() {
    let site = Site::new();

    let config = site.load(&GOOD.replace("id = \"$C\"", "id = \"$C\"\nrate = \"2.5 Mbit/s\"")).unwrap();

    let rates: Vec<_> = config.node.rates.iter().map(|(id, rate)| (*id, rate.bits_per_second())).collect();
    assert_eq!(rates, [(site.id("C"), 2_500_000)]);
    assert!(site.load(GOOD).unwrap().node.rates.is_empty());
}

#[test]
fn what_may_be_left_out_is_left_out() {
    let site = Site::new();

    let config = site.load(&GOOD[..GOOD.find("mtu").unwrap()]).unwrap();

    assert_eq!(config.node.mtu, 1440);
    assert!(config.node.neighbours.is_empty() && config.node.routes.is_empty() && config.names.is_empty());
}

#[test]
fn services_of_this_host_are_taken_as_they_are_meant() {
    let site = Site::new();
    let text = format!("{}\n[tun]\n\n[resolver]\nhosts_file = \"hosts\"\n", GOOD.replace("1200", "1500"));

    let config = site.load(&text).unwrap();

    let tun = config.tun.unwrap();
    assert_eq!((tun.name.as_str(), tun.mtu, tun.routes), ("peerbound0", 1500 - 129, RouteRule::Harmless));
    assert!(tun.offload);
    let one_by_one = site.load(&text.replace("[tun]", "[tun]\noffload = false")).unwrap();
    assert!(!one_by_one.tun.unwrap().offload);
    let resolver = config.resolver.unwrap();
    assert_eq!(resolver.listen, Some(SocketAddr::from((site.id("A").address(), 53))));
    assert!(!resolver.serves_all);
    assert!(resolver.hosts_file.is_some_and(|path| path.ends_with("hosts") && path.is_absolute()));
    let plain = site.load(GOOD).unwrap();
    assert!(plain.tun.is_none() && plain.resolver.is_none());
}

#[test]
fn routes_of_the_host_are_all_that_do_no_harm_or_those_within_a_list_or_none() {
    let site = Site::new();
    let roomy = GOOD.replace("1200", "1500");
    let rule = |line: &str| site.load(&format!("{roomy}\n[tun]\n{line}\n")).unwrap().tun.unwrap().routes;

    assert_eq!(rule("routes = true"), RouteRule::Harmless);
    assert_eq!(rule("routes = false"), RouteRule::None);
    let listed = ["10.0.0.0/8", "::/0"].map(|text| text.parse().unwrap());
    assert_eq!(rule("routes = [\"10.0.0.0/8\", \"::/0\"]"), RouteRule::Within(listed.to_vec()));
    assert_eq!(rule("routes = []"), RouteRule::Within(Vec::new()));
}

#[test]
fn services_that_cannot_be_are_named_with_their_key_and_the_way_out() {
    let site = Site::new();
    fs::write(site.file().with_file_name("foreign"), "127.0.0.1 localhost\n").unwrap();
    let roomy = GOOD.replace("1200", "1500");

    for (before, table, expected) in [
        (
            GOOD,
            "[tun]",
            "node.mtu: 1200 bytes leave 1071 for a packet, and IPv6 takes 1280 or more: give 1409 or more, here",
        ),
        (
            &roomy,
            "[tun]\nmtu = 1279",
            "tun.mtu: 1279 bytes are out of range: with 1500 as mtu of [node] give 1280 to 1371",
        ),
        (&roomy, "[tun]\nmtu = 1372", "tun.mtu: 1372 bytes are out of range"),
        (&roomy, "[tun]\nmtu = -1", "tun.mtu: -1 bytes are out of range"),
        (&roomy, "[tun]\nname = \"\"", "tun.name: \"\" is no name for an interface: give 1 to 15 letters"),
        (&roomy, "[tun]\nname = \"sixteen-letters-\"", "tun.name: \"sixteen-letters-\" is no name"),
        (&roomy, "[tun]\nname = \"a/b\"", "tun.name: \"a/b\" is no name"),
        (&roomy, "[tun]\nname = \"tun%d\"", "tun.name: \"tun%d\" is no name"),
        (&roomy, "[tun]\nname = \"lo\"", "tun.name: \"lo\" is no name"),
        (
            &roomy,
            "[tun]\nroutes = [\"10.7.1.0/16\"]",
            "tun.routes: 10.7.1.0/16 has bits behind its length: write",
        ),
        (
            GOOD,
            "[resolver]",
            "resolver: without [tun] there is no address of the node to answer at: give `listen`",
        ),
        (GOOD, "[resolver]\nhosts_file = \"foreign\"", "resolver.hosts_file: "),
        (GOOD, "[resolver]\nhosts_file = \".\"", "resolver.hosts_file: "),
    ] {
        let refused = site.refuse(&format!("{before}\n{table}\n"));
        let expected = format!("{}: {expected}", site.file().display());
        assert!(refused.starts_with(&expected), "{refused}\ninstead of\n{expected}");
    }
    for (table, problem) in [
        ("[tun]\nnmae = 1", "unknown field `nmae`, expected one of `name`, `mtu`, `routes`"),
        ("[tun]\nroutes = 1", "expected true, false, or a list of prefixes as [\"10.0.0.0/8\"]"),
        ("[resolver]\nlisten = \"localhost:53\"", "listen: \"localhost:53\" is no IP address with a port"),
        ("[resolver]\nport = 53", "unknown field `port`, expected `listen` or `hosts_file`"),
    ] {
        let refused = site.refuse(&format!("{roomy}\n{table}\n"));
        assert!(refused.contains(problem), "{refused}");
    }
}

#[test]
fn the_control_socket_is_where_the_file_says_or_nowhere() {
    let site = Site::new();
    let long = "x".repeat(120);

    let by_default = site.load(GOOD).unwrap().control;
    let off = site.load(&format!("control = \"off\"\n{GOOD}")).unwrap().control;
    let at = site.load(&format!("{GOOD}\n[control]\nsocket = \"a.sock\"\n")).unwrap().control;

    assert_eq!((by_default, off), (ControlConfig::ByDefault, ControlConfig::Off));
    assert_eq!(at, ControlConfig::At(site.file().with_file_name("a.sock")));
    for (value, part) in [
        ("\"..\"", "names no file: give the path of a socket".to_owned()),
        (&format!("\"{long}\""), "the path of a socket has at most 107 bytes".to_owned()),
    ] {
        let refused = site.refuse(&format!("{GOOD}\n[control]\nsocket = {value}\n"));
        assert!(refused.contains(": control.socket: ") && refused.contains(&part), "{refused}");
    }
    for (text, part) in [
        (format!("control = \"on\"\n{GOOD}"), "control is \"off\" or a table, and not \"on\""),
        (format!("control = 7\n{GOOD}"), "invalid type: integer `7`, expected \"off\" or a table [control]"),
        (format!("{GOOD}\n[control]\nsokcet = \"a\"\n"), "unknown field `sokcet`, expected `socket`"),
        (format!("{GOOD}\n[control]\nsocket = 1\n"), "invalid type: integer `1`"),
    ] {
        let refused = site.refuse(&text);
        assert!(refused.contains(part), "{refused}");
    }
}

#[test]
fn what_is_no_toml_of_the_right_shape_is_named_with_its_line() {
    let site = Site::new();

    for (good, wrong, line, problem) in [
        ("[node]", "[nod]", 1, "unknown field `nod`, expected one of `node`"),
        ("mtu", "mtv", 6, "unknown field `mtv`, expected one of"),
        ("address", "adress", 11, "unknown field `adress`, expected one of"),
        ("via", "vie", 19, "unknown field `vie`, expected `to` or `via`"),
        ("name = \"B\"", "naem = \"B\"", 9, "unknown field `naem`"),
        ("key = \"A.key\"", "", 1, "missing field `key`"),
        ("listen = \"127.0.0.1:7001\"", "", 1, "missing field `listen`"),
        ("name = \"B\"", "", 8, "missing field `name`"),
        ("via = \"B\"", "", 17, "missing field `via`"),
        ("1200", "\"1200\"", 6, "mtu: invalid type: string \"1200\", expected a whole number"),
        ("1200", "1200.5", 6, "mtu: invalid type: floating point `1200.5`, expected a whole number"),
        (
            "[\"ca.pem\"]",
            "\"ca.pem\"",
            4,
            "roots: invalid type: string \"ca.pem\", expected a list in brackets, [..]",
        ),
        ("\"127.0.0.1:7001\"", "7001", 5, "listen: invalid type: integer `7001`, expected a string"),
        (
            "\"127.0.0.1:7001\"",
            "\"localhost:7001\"",
            5,
            "listen: \"localhost:7001\" is no IP address with a port",
        ),
        ("\"127.0.0.1:7002\"", "7002", 11, "address: expected text like \"192.0.2.1:7001\""),
        ("[[route]]", "[route]", 17, "this table may stand several times: write its head in double brackets"),
        ("[[route]]", "[[route]", 17, ""),
        ("mtu = 1200", "mtu = 1200\nmtu = 1200", 7, "duplicate key"),
        ("mtu = 1200", "e2e = \"maybe\"", 6, "e2e: unknown variant `maybe`, expected `on` or `off`"),
        ("D = \"D.pem\"", "D = \"D.pem\"\n[e2e]\nD = 1", 24, "D: "),
        ("\"A.key\"", "\"A.key", 3, ""),
    ] {
        let refused = site.refuse_altered(good, wrong);
        let expected = format!("{}:{line}: {problem}", site.file().display());
        assert!(refused.starts_with(&expected), "{refused}\ninstead of\n{expected}");
    }
}

#[test]
fn types_are_told_in_words_of_toml() {
    let file = Path::new("a.toml");

    for (text, told) in [
        ("node = 1", "a.toml:1: node: invalid type: integer `1`, expected a table"),
        ("\nnames = 1", "a.toml:2: names: invalid type: integer `1`, expected a table"),
        (
            "neighbour = 1",
            "a.toml:1: neighbour: invalid type: integer `1`, expected a list in brackets, [..]",
        ),
        ("route = [1]", "a.toml:1: invalid type: integer `1`, expected a table"),
    ] {
        assert_eq!(ConfigFile::parse(text, file).unwrap_err().to_string(), told);
    }
}

#[test]
fn values_that_mean_nothing_are_named_with_their_key_and_the_way_out() {
    let site = Site::new();
    let (a, b) = (site.id("A").to_string(), site.id("B").to_string());
    let a_and_b = format!("id = \"{b}\"\ncertificate = \"B.pem\"");
    // Keys are looked at in the order of their bytes.
    let second = if *b < *"B" { "B" } else { &b };
    let second_b = format!("[[neighbour]]\nname = \"B2\"\nid = \"{b}\"\n\n[[route]]");
    let second_name = format!("D = \"D.pem\"\nbee = \"{b}\"");

    for (good, wrong, expected) in [
        ("1200", "255", "node.mtu: 255 bytes are out of range: give 256 to 65507, or leave it out"),
        ("1200", "65508", "node.mtu: 65508 bytes are out of range"),
        (
            "mtu = 1200",
            "mtu = 1200\nrouting = \"dynamic\"",
            "node.routing: 1200 bytes are too few for what nodes prove: dynamic routing takes an mtu of 1280 or more",
        ),
        (
            "[[route]]",
            "cost = 0\n\n[[route]]",
            "neighbour \"C\".cost: 0 is no cost of a link: give 1 to 2000, or leave it out",
        ),
        (
            "[[route]]",
            "cost = 7\n\n[[route]]",
            "neighbour \"C\".cost: costs mean nothing where routes are static",
        ),
        (
            "1200",
            "346",
            "node.mtu: 346 bytes are too few for sessions from end to end, which take 347: raise it, or write",
        ),
        ("[names]", "[e2e]\nE = \"off\"\n[names]", "e2e.E: nobody has this name: use a neighbour's name"),
        ("[names]", &format!("[e2e]\n{a} = \"off\"\n[names]"), &format!("e2e.{a}: this is our own id")),
        (
            "[names]",
            &format!("[e2e]\nB = \"off\"\n{b} = \"on\"\n[names]"),
            &format!("e2e.{second}: the same node stands there twice: remove one"),
        ),
        (
            "[[route]]",
            "rate = \"20\"\n\n[[route]]",
            "neighbour \"C\".rate: \"20\" is no rate: write one like \"20 Mbit/s\"",
        ),
        (
            "[[route]]",
            "rate = \"1 kbit/s\"\n\n[[route]]",
            "neighbour \"C\".rate: \"1 kbit/s\" is out of range: give 64 kbit/s to 100 Gbit/s",
        ),
        ("1200", "-1", "node.mtu: -1 bytes are out of range"),
        ("1200", "9223372036854775807", "node.mtu: 9223372036854775807 bytes are out of range"),
        ("[\"ca.pem\"]", "[]", "node.roots: name at least one file with a root certificate"),
        (
            "[\"ca.pem\"]",
            "[\"other-ca.pem\"]",
            "node.roots: none of these roots issued our certificate \"A\"",
        ),
        (
            "certificate = \"B.pem\"",
            "id = \"zz\"",
            "neighbour \"B\".id: \"zz\" is not a node id: it takes 32 hexadecimal digits",
        ),
        (
            "certificate = \"B.pem\"",
            &a_and_b,
            "neighbour \"B\": give it an `id` or a `certificate`, one of the two",
        ),
        (
            "certificate = \"B.pem\"",
            "",
            "neighbour \"B\": give it an `id` or a `certificate`, one of the two",
        ),
        ("certificate = \"B.pem\"", "certificate = \"A.pem\"", "neighbour \"B\": this is our own id"),
        ("id = \"$C\"", &format!("id = \"{a}\""), "neighbour \"C\": this is our own id"),
        ("name = \"C\"", "name = \"B\"", "neighbour \"B\": another neighbour has this name, too: rename one"),
        ("[[route]]", &second_b, "neighbour \"B2\": neighbour \"B\" has the same id"),
        ("name = \"B\"", "name = \"\"", "neighbour \"\": a name has 1 to 64 printable characters"),
        (
            "name = \"B\"",
            "name = \"B\\u001b[2J\"",
            "neighbour \"B\\u{1b}[2J\": a name has 1 to 64 printable characters",
        ),
        (
            "name = \"B\"",
            "name = \"\"\"B\nC\"\"\"",
            "neighbour \"B\\nC\": a name has 1 to 64 printable characters",
        ),
        (
            "127.0.0.1:7002",
            "127.0.0.1",
            "neighbour \"B\".address: \"127.0.0.1\" is no address or name with a port: write one like",
        ),
        (
            "127.0.0.1:7002",
            "127.0.0.1:70020",
            "neighbour \"B\".address: \"127.0.0.1:70020\" is no address or name with a port",
        ),
        (
            "127.0.0.1:7002",
            "relay example:7002",
            "neighbour \"B\".address: \"relay example:7002\" is no address or name with a port",
        ),
        (
            "127.0.0.1:7002",
            "relay.example.org:0",
            "neighbour \"B\".address: relay.example.org:0 cannot be dialled: give the port",
        ),
        (
            "\"127.0.0.1:7002\"",
            "[]",
            "neighbour \"B\".address: 0 addresses are out of range: give 1 to 8, or leave it out",
        ),
        (
            "\"127.0.0.1:7002\"",
            "[\"a:1\", \"b:1\", \"c:1\", \"d:1\", \"e:1\", \"f:1\", \"g:1\", \"h:1\", \"i:1\"]",
            "neighbour \"B\".address: 9 addresses are out of range",
        ),
        (
            "\"127.0.0.1:7002\"",
            "[\"relay:7002\", \"relay:7002\"]",
            "neighbour \"B\".address: relay:7002 stands there twice: remove one",
        ),
        (
            "127.0.0.1:7002",
            "127.0.0.1:0",
            "neighbour \"B\".address: 127.0.0.1:0 cannot be dialled: give the address and port",
        ),
        ("127.0.0.1:7002", "0.0.0.0:7002", "neighbour \"B\".address: 0.0.0.0:7002 cannot be dialled"),
        (
            "127.0.0.1:7002",
            "127.0.0.1:7001",
            "neighbour \"B\".address: 127.0.0.1:7001 is where this node listens itself",
        ),
        (
            "127.0.0.1:7002",
            "[::1]:7002",
            "neighbour \"B\".address: [::1]:7002 cannot be dialled from where this node listens: let both be",
        ),
        (
            "id = \"$C\"",
            "id = \"$C\"\naddress = \"127.0.0.1:7002\"",
            "neighbour \"C\".address: neighbour \"B\" has the same address",
        ),
        ("to = \"D\"", "to = \"E\"", "route to \"E\": nobody has this name: use a neighbour's name"),
        ("to = \"D\"", &format!("to = \"{a}\""), &format!("route to \"{a}\": this is our own id")),
        (
            "via = \"B\"",
            "via = \"D\"",
            "route to \"D\": via \"D\" is no neighbour: name one of [[neighbour]]",
        ),
        ("via = \"B\"", "via = \"E\"", "route to \"D\": via \"E\" is no neighbour"),
        (
            "[names]",
            "[[route]]\nto = \"D\"\nvia = \"C\"\n[names]",
            "route to \"D\": there are two routes to it: remove one",
        ),
        (
            "D = \"D.pem\"",
            "D = \"nowhere\"",
            "names.D: \"nowhere\" is neither a node id (32 hexadecimal digits) nor the file of a",
        ),
        ("D = \"D.pem\"", "D = \"\"", "names.D: \"\" is neither a node id"),
        ("D = \"D.pem\"", "B = \"D.pem\"", "names.B: a neighbour has this name, too: rename one"),
        (
            "D = \"D.pem\"",
            &second_name,
            &format!("names.bee: node {b} is called \"B\" already: remove one of the names"),
        ),
        (
            "D = \"D.pem\"",
            "\"a\\nb\" = \"D.pem\"",
            "names.\"a\\nb\": a name has 1 to 64 printable characters",
        ),
    ] {
        let refused = site.refuse_altered(good, wrong);
        let expected = format!("{}: {expected}", site.file().display());
        assert!(refused.starts_with(&expected), "{refused}\ninstead of\n{expected}");
    }
}

#[test]
fn a_file_that_is_not_there_is_named_with_the_key_that_names_it() {
    let site = Site::new();

    for (good, wrong, key) in [
        ("\"A.pem\"", "\"none.pem\"", "node.certificate"),
        ("\"A.key\"", "\"none.pem\"", "node.key"),
        ("\"ca.pem\"", "\"ca.pem\", \"none.pem\"", "node.roots"),
        ("\"B.pem\"", "\"none.pem\"", "neighbour \"B\".certificate"),
    ] {
        let refused = site.refuse_altered(good, wrong);
        let named = site.path("none.pem");
        let expected = format!("{}: {key}: {} cannot be read: ", site.file().display(), named.display());
        assert!(refused.starts_with(&expected), "{refused}\ninstead of\n{expected}");
        assert!(refused.ends_with("; correct the path, or make the file with `peerbound pki`"), "{refused}");
    }
}

#[test]
#[cfg(unix)]
fn a_file_that_may_not_be_read_is_named_with_who_must_be_let() {
    use std::os::unix::fs::PermissionsExt;
    let site = Site::new();
    fs::set_permissions(site.path("A.key"), fs::Permissions::from_mode(0o000)).unwrap();
    if fs::read(site.path("A.key")).is_ok() {
        return; // root reads everything
    }

    let refused = site.refuse(GOOD);

    assert!(refused.contains(": node.key: "), "{refused}");
    assert!(refused.ends_with("; let the user that runs the node read it"), "{refused}");
}

#[test]
fn certificates_and_keys_that_are_no_good_are_named_by_their_file() {
    let site = Site::new();
    site.write("garbage", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    site.write("empty", "");

    for (good, wrong, file, problem) in [
        ("\"A.pem\"", "\"garbage\"", "garbage", "it holds no readable PEM certificate"),
        ("\"A.pem\"", "\"empty\"", "empty", "it holds no readable PEM certificate"),
        ("\"A.pem\"", "\"A.key\"", "A.key", "it holds no readable PEM certificate"),
        ("\"ca.pem\"", "\"A.key\"", "A.key", "it holds no readable PEM certificate"),
        ("\"B.pem\"", "\"garbage\"", "garbage", "it holds no readable PEM certificate"),
        ("\"D.pem\"", "\"garbage\"", "garbage", "it holds no readable PEM certificate"),
        ("\"A.key\"", "\"A.pem\"", "A.pem", "it holds no readable PEM private key"),
        ("\"A.key\"", "\"empty\"", "empty", "it holds no readable PEM private key"),
        ("\"A.key\"", "\"B.key\"", "B.key", "the private key does not belong to the certificate of \"A\""),
    ] {
        let refused = site.refuse_altered(good, wrong);
        let expected = format!("{}: {problem}", site.path(file).display());
        assert!(refused.starts_with(&expected), "{refused}\ninstead of\n{expected}");
    }
}

#[test]
fn a_certificate_is_judged_by_the_given_time() {
    let site = Site::new();
    site.write_file(GOOD);
    let now = unix_seconds();
    let day = 24 * 3600;
    let refuse = |time| DaemonConfig::load(&site.file(), time).unwrap_err().to_string();

    let (late, early) = (refuse(now + 2 * day), refuse(now - 2 * day));

    let certificate = site.path("A.pem").display().to_string();
    assert!(late.starts_with(&format!("{certificate}: the certificate of \"A\" expired on ")), "{late}");
    assert!(
        early.starts_with(&format!("{certificate}: the certificate of \"A\" is not valid before ")),
        "{early}"
    );
}

#[test]
fn an_expired_root_is_named_although_our_own_certificate_is_good() {
    let site = Site::new();
    let now = unix_seconds();
    let over = Validity { not_before: now - 7200, not_after: now - 3600 };
    let authority = Authority::generate("old root", over).unwrap();
    let identity = authority.issue("A", Validity::days(now, 1)).unwrap();
    site.write("ca.pem", authority.certificate_to_pem().unwrap());
    site.write("A.pem", identity.certificates_to_pem().unwrap());
    site.write("A.key", identity.key_to_pem().unwrap());

    let refused = site.refuse(GOOD);

    let root = site.path("ca.pem").display().to_string();
    assert!(
        refused.starts_with(&format!("{root}: the certificate of \"old root\" expired on ")),
        "{refused}"
    );
}

#[test]
fn an_encrypted_key_is_called_encrypted() {
    let site = Site::new();
    let authority = Authority::generate("any", Validity::days(unix_seconds(), 1)).unwrap();
    site.write("A.key", authority.key_to_pem(Some(b"secret")).unwrap());

    let refused = site.refuse(GOOD);

    let expected =
        format!("{}: node.key: {} is encrypted", site.file().display(), site.path("A.key").display());
    assert!(refused.starts_with(&expected), "{refused}");
}

#[test]
fn more_neighbours_than_a_node_may_have_are_refused_before_they_cost_anything() {
    let site = Site::new();
    let neighbours: String =
        (0..1025).map(|n| format!("[[neighbour]]\nname = \"n{n}\"\nid = \"{n:032x}\"\n")).collect();

    let refused = site.refuse(&(GOOD.to_owned() + &neighbours.replace("[[neigh", "\n[[neigh")));

    assert!(refused.contains(": neighbour: 1027 are more than the 1024 a node may have"), "{refused}");
}

#[test]
fn any_wrong_byte_leads_to_one_line_or_to_a_configuration_and_never_to_a_panic() {
    let site = Site::new();
    let good = site.fill_in(GOOD);

    for place in 0..good.len() {
        for other in ["", "\"", "\n", "[", "\u{1b}"] {
            let text = [&good[..place], other, &good[place + 1..]].concat();
            site.write_file(&text);
            if let Err(error) = DaemonConfig::load(&site.file(), unix_seconds()) {
                assert_is_one_line(&error, &text);
            }
        }
    }
}

#[test]
fn any_soup_of_toml_leads_to_one_line_or_to_a_configuration_and_never_to_a_panic() {
    const WORDS: [&str; 24] = [
        "[",
        "]",
        "[[",
        "]]",
        "node",
        "neighbour",
        "route",
        "names",
        "=",
        "\"",
        "'",
        "\"\"\"",
        "\n",
        "\r",
        " ",
        ".",
        ",",
        "{",
        "}",
        "1e999",
        "-0",
        "#",
        "\\u0000",
        "\u{202e}",
    ];
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut below = |limit: usize| {
        // Xorshift: the same soups in every run.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % limit as u64).unwrap()
    };

    for _ in 0..20_000 {
        let text: String = (0..below(24)).map(|_| WORDS[below(WORDS.len())]).collect();
        if let Err(error) = ConfigFile::parse(&text, Path::new("soup.toml")) {
            assert_is_one_line(&error, &text);
        }
    }
}

fn assert_is_one_line(error: &ConfigError, text: &str) {
    let sentence = error.to_string();
    assert!(!sentence.is_empty() && !sentence.chars().any(char::is_control), "{sentence:?} for {text:?}");
}

/// A folder with the certificates of A, B, C and D, and a configuration of A.
struct Site {
    folder: TempDir,
    identities: Vec<Identity>,
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let validity = Validity::days(unix_seconds(), 1);
        let authority = Authority::generate("root", validity).unwrap();
        let other = Authority::generate("other root", validity).unwrap();
        let identities = ["A", "B", "C", "D"].map(|name| authority.issue(name, validity).unwrap()).to_vec();
        let site = Self { folder, identities };
        site.write("ca.pem", authority.certificate_to_pem().unwrap());
        site.write("other-ca.pem", other.certificate_to_pem().unwrap());
        for identity in &site.identities {
            site.write(&format!("{}.pem", identity.name()), identity.certificates_to_pem().unwrap());
            site.write(&format!("{}.key", identity.name()), identity.key_to_pem().unwrap());
        }
        site
    }

    fn id(&self, name: &str) -> peerbound_wire::NodeId {
        let identity = self.identities.iter().find(|identity| identity.name() == name).unwrap();
        node_id(&identity.key_hash())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn file(&self) -> PathBuf {
        self.path("a.toml")
    }

    fn write(&self, name: &str, contents: impl AsRef<[u8]>) {
        fs::write(self.path(name), contents).unwrap();
    }

    fn write_file(&self, text: &str) {
        self.write("a.toml", self.fill_in(text));
    }

    /// Puts C's id where the text has `$C`.
    fn fill_in(&self, text: &str) -> String {
        text.replace("$C", &self.id("C").to_string())
    }

    fn load(&self, text: &str) -> Result<DaemonConfig, ConfigError> {
        self.write_file(text);
        DaemonConfig::load(&self.file(), unix_seconds())
    }

    #[track_caller]
    fn refuse(&self, text: &str) -> String {
        let error = self.load(text).unwrap_err();
        assert_is_one_line(&error, text);
        error.to_string()
    }

    /// Refuses the good file with one text of it replaced.
    #[track_caller]
    fn refuse_altered(&self, good: &str, wrong: &str) -> String {
        assert!(GOOD.contains(good), "{good}");
        self.refuse(&GOOD.replacen(good, wrong, 1))
    }
}
