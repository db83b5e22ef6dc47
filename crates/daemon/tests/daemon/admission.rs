//! Whom nodes admit, changed while they run: files are written, and what is revoked is gone.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use peerbound_daemon::control::answers::RoutesAnswer;
use peerbound_daemon::control::{ControlClient, ControlOptions, ControlServer};
use peerbound_daemon::{Daemon, DaemonConfig, ReloadReport, Reloader, Watcher, unix_seconds};
use peerbound_dtls::{Authority, Certification, Identity, Revoked, Validity, serial_number};
use peerbound_node::{EndToEnd, NeighbourView, node_id, prefix_uri};
use peerbound_wire::NodeId;
use serde_json::json;
use tempfile::TempDir;

use crate::support::wait_until;

/// A folder with an authority and the files of some nodes.
struct Site {
    folder: TempDir,
    authority: Authority,
    nodes: Vec<(String, Identity)>,
}

impl Site {
    fn new(names: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        let authority = Authority::generate("test root", validity()).unwrap();
        fs::write(folder.path().join("ca.pem"), authority.certificate_to_pem().unwrap()).unwrap();
        let mut site = Self { folder, authority, nodes: Vec::new() };
        site.revoke(&[], 1);
        for name in names {
            let uris = [prefix_uri(&"10.7.0.0/16".parse().unwrap())];
            let identity = site.authority.issue_as(&certification(name, &uris)).unwrap();
            site.write(name, &identity);
            site.nodes.push(((*name).to_owned(), identity));
        }
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, identity: &Identity) {
        fs::write(self.path(&format!("{name}.key")), identity.key_to_pem().unwrap()).unwrap();
        self.put(&format!("{name}.pem"), &identity.certificates_to_pem().unwrap());
    }

    /// Replaces a file as a whole.
    fn put(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path("half"), bytes).unwrap();
        fs::rename(self.path("half"), self.path(name)).unwrap();
    }

    fn identity(&self, name: &str) -> &Identity {
        &self.nodes.iter().find(|(other, _)| other == name).unwrap().1
    }

    fn revoke(&self, names: &[&str], number: u32) {
        let serial = |name: &&str| serial_number(self.identity(name).certificate()).unwrap();
        let serials: Vec<_> = names.iter().map(serial).collect();
        let revoked: Vec<_> =
            serials.iter().map(|serial| Revoked { serial, at: unix_seconds() - 1 }).collect();
        let list = self.authority.revocation_list(&revoked, number, validity()).unwrap();
        self.put("crl.pem", &list.to_pem().unwrap());
    }

    /// Writes the configuration of a node.
    fn configure(&self, name: &str, more: &str, neighbours: &[(&str, Option<SocketAddr>)]) -> PathBuf {
        let mut text = format!(
            "[node]\ncertificate = \"{name}.pem\"\nkey = \"{name}.key\"\nlisten = \"127.0.0.1:0\"\n{more}\n"
        );
        for (neighbour, address) in neighbours {
            let id = node_id(&self.identity(neighbour).key_hash());
            text += &format!("[[neighbour]]\nname = \"{neighbour}\"\nid = \"{id}\"\n");
            if let Some(address) = address {
                text += &format!("address = \"{address}\"\n");
            }
        }
        fs::write(self.path(&format!("{name}.toml")), text).unwrap();
        self.path(&format!("{name}.toml"))
    }
}

fn validity() -> Validity {
    Validity::days(unix_seconds(), 1)
}

fn certification<'a>(name: &'a str, uris: &'a [String]) -> Certification<'a> {
    Certification { name, uris, validity: validity() }
}

/// A node that was started with a file.
struct Running {
    daemon: Daemon,
    reloader: Arc<Reloader>,
    _watcher: Watcher,
}

impl Running {
    fn start(path: PathBuf) -> Self {
        let daemon = Daemon::start(DaemonConfig::load(&path, unix_seconds()).unwrap()).unwrap();
        let reloader = Arc::new(Reloader::new(path, &daemon).unwrap());
        let watcher = Watcher::start(Arc::clone(&reloader)).unwrap();
        Self { daemon, reloader, _watcher: watcher }
    }

    fn neighbour(&self, name: &str) -> Option<NeighbourView> {
        let neighbours = self.daemon.status().unwrap().neighbours;
        neighbours.into_iter().find(|neighbour| neighbour.name == name)
    }

    fn is_up(&self, name: &str) -> bool {
        self.neighbour(name).is_some_and(|neighbour| neighbour.is_usable)
    }

    fn error(&self, name: &str) -> String {
        self.neighbour(name).and_then(|neighbour| neighbour.last_error).unwrap_or_default()
    }
}

/// What is in force, as `reload` prints it.
fn told(report: &ReloadReport) -> Vec<String> {
    report.applied.iter().map(|reloaded| format!("{}: {}", reloaded.key, reloaded.what)).collect()
}

fn keys(report: &ReloadReport) -> (Vec<&str>, Vec<&str>) {
    (
        report.applied.iter().map(|reloaded| reloaded.key.as_str()).collect(),
        report.needs_restart.iter().map(|reloaded| reloaded.key.as_str()).collect(),
    )
}

const CERTIFIED: &str = "roots = [\"ca.pem\"]\ncrl = [\"crl.pem\"]";

#[test]
fn a_neighbour_that_is_revoked_is_gone_and_others_stay() {
    let site = Site::new(&["A", "B", "C"]);
    let a = Running::start(site.configure("A", CERTIFIED, &[("B", None), ("C", None)]));
    let at_a = Some(a.daemon.address());
    let b = Running::start(site.configure("B", "roots = [\"ca.pem\"]", &[("A", at_a)]));
    let c = Running::start(site.configure("C", "roots = [\"ca.pem\"]", &[("A", at_a)]));
    wait_until("both are up", || a.is_up("B") && a.is_up("C") && b.is_up("A") && c.is_up("A"));

    site.revoke(&["B"], 2);

    wait_until("B is gone", || !a.is_up("B"));
    assert!(a.error("B").contains("certificate revoked"), "{}", a.error("B"));
    wait_until("B hears of it", || !b.is_up("A"));
    assert!(a.is_up("C"));
    let before = a.daemon.status().unwrap().counters.peers_refused;
    wait_until("B comes again and is refused", || a.daemon.status().unwrap().counters.peers_refused > before);
    assert!(!a.is_up("B") && a.is_up("C"));
}

#[test]
fn who_is_not_on_the_list_of_members_is_parted_from_and_comes_back_with_it() {
    let site = Site::new(&["A", "B"]);
    site.put("members.txt", b"A\nB\n");
    let allowing = "roots = [\"ca.pem\"]\nallow = \"members.txt\"";
    let a = Running::start(site.configure("A", allowing, &[("B", None)]));
    let at_a = Some(a.daemon.address());
    let b = Running::start(site.configure("B", "roots = [\"ca.pem\"]", &[("A", at_a)]));
    wait_until("they are up", || a.is_up("B") && b.is_up("A"));

    site.put("members.txt", b"A # and nobody else\n");
    wait_until("B is gone", || !a.is_up("B"));
    assert!(a.error("B").contains("not on the list of members"), "{}", a.error("B"));

    site.put("members.txt", b"A\nB\n");
    wait_until("B is back", || a.is_up("B") && b.is_up("A"));
}

#[test]
fn nodes_that_pin_keys_need_no_authority() {
    let site = Site::new(&["A", "B", "C"]);
    let others = Authority::generate("nobody's root", validity()).unwrap();
    // Its certificate is of an authority that nobody trusts; its key is what is pinned.
    let b = others.issue("B", validity()).unwrap();
    site.write("B", &b);
    let pinned = "admission = \"pinned\"";
    let id = node_id(&b.key_hash());
    let a = site.configure("A", pinned, &[("C", None)]);
    let text = fs::read_to_string(&a).unwrap() + &format!("[[neighbour]]\nname = \"B\"\nid = \"{id}\"\n");
    fs::write(&a, text).unwrap();
    let a = Running::start(a);
    let b = Running::start(site.configure("B", pinned, &[("A", Some(a.daemon.address()))]));

    wait_until("they are up", || a.is_up("B") && b.is_up("A"));
}

#[test]
fn a_node_turns_to_pinned_keys_while_it_runs_and_back() {
    let site = Site::new(&["A", "B", "C"]);
    let others = Authority::generate("nobody's root", validity()).unwrap();
    let stranger = others.issue("B", validity()).unwrap();
    site.write("B", &stranger);
    let id = node_id(&stranger.key_hash());
    let configure = |trust: &str| {
        let path = site.configure("A", trust, &[("C", None)]);
        let more = format!("[[neighbour]]\nname = \"B\"\nid = \"{id}\"\n");
        fs::write(&path, fs::read_to_string(&path).unwrap() + &more).unwrap();
        path
    };
    let a = Running::start(configure(CERTIFIED));
    let at_a = Some(a.daemon.address());
    let b = Running::start(site.configure("B", "admission = \"pinned\"", &[("A", at_a)]));
    wait_until("B is refused", || a.daemon.status().unwrap().counters.peers_refused > 0);

    configure("admission = \"pinned\"");
    let pinned = a.reloader.reload().unwrap();
    wait_until("they are up", || a.is_up("B") && b.is_up("A"));
    configure(CERTIFIED);
    let certified = a.reloader.reload().unwrap();

    assert_eq!(keys(&pinned), (vec!["node.certificate"], vec![]));
    assert_eq!(keys(&certified), (vec!["node.certificate"], vec![]));
    assert!(!a.is_up("B") && a.error("B").contains("unable to get local issuer"), "{}", a.error("B"));
}

#[test]
fn a_reload_says_key_by_key_what_is_in_force() {
    let site = Site::new(&["A", "B", "C"]);
    let a = Running::start(site.configure("A", CERTIFIED, &[("B", None)]));
    let at_a = Some(a.daemon.address());
    let b = Running::start(site.configure("B", CERTIFIED, &[("A", at_a)]));
    let c = Running::start(site.configure("C", CERTIFIED, &[("A", at_a)]));
    wait_until("B is up", || a.is_up("B") && b.is_up("A"));
    let unchanged = a.reloader.reload().unwrap();
    assert_eq!(keys(&unchanged), (vec![], vec![]));

    site.configure("A", &format!("{CERTIFIED}\nmtu = 1300"), &[("C", None)]);
    let report = a.reloader.reload().unwrap();

    assert_eq!(keys(&report), (vec!["neighbour", "neighbour"], vec!["node.mtu"]));
    assert!(a.neighbour("B").is_none());
    wait_until("C is up and B is not", || a.is_up("C") && c.is_up("A") && !b.is_up("A"));
    let again = a.reloader.reload().unwrap();
    assert_eq!(keys(&again), (vec![], vec!["node.mtu"]), "it waits still");

    site.configure("A", &format!("{CERTIFIED}\nmtu = 1"), &[("C", None)]);
    let error = a.reloader.reload().unwrap_err().to_string();
    assert!(error.contains("node.mtu"), "{error}");
    assert!(a.is_up("C"), "nothing of it is in force");
}

#[test]
fn names_rates_and_end_to_end_change_while_a_node_runs() {
    let site = Site::new(&["A", "B", "C"]);
    let far = node_id(&site.identity("C").key_hash());
    let a = Running::start(site.configure("A", CERTIFIED, &[("B", None)]));
    let b = Running::start(site.configure("B", CERTIFIED, &[("A", Some(a.daemon.address()))]));
    wait_until("they are up", || a.is_up("B") && b.is_up("A"));
    let socket = site.path("a.sock");
    let options = ControlOptions {
        socket: socket.clone(),
        config: site.path("A.toml"),
        log: None,
        reloader: Some(Arc::clone(&a.reloader)),
    };
    let _server = ControlServer::start(&a.daemon, options).unwrap();
    let mut asked = ControlClient::connect(&socket).unwrap();
    let mut name_of_far = || {
        let routes: Result<RoutesAnswer, _> = asked.ask("routes", &json!({"why": "hill"}));
        routes.map(|answer| answer.routes[0].destination.name.clone()).map_err(|error| error.to_string())
    };
    assert!(name_of_far().unwrap_err().contains("nobody is called"), "{:?}", name_of_far());

    let path = site.configure("A", &format!("{CERTIFIED}\ne2e = \"off\""), &[("B", None)]);
    let more = format!("rate = \"20 Mbit/s\"\n[names]\nhill = \"{far}\"\n[e2e]\nhill = \"on\"\n");
    fs::write(&path, fs::read_to_string(&path).unwrap() + &more).unwrap();
    let report = a.reloader.reload().unwrap();

    assert_eq!(
        told(&report),
        [
            format!("names: {} is called hill", far.short()),
            "neighbour.rate: the link to B is given 20 Mbit/s at most".to_owned(),
            "node.e2e: payloads travel in the clear, but for those in [e2e]".to_owned(),
        ]
    );
    assert!(report.needs_restart.is_empty(), "{report:?}");
    assert_eq!(name_of_far().unwrap(), "hill");
    assert_eq!(a.daemon.name_of(&far), "hill");
    let (rate, inner) =
        a.daemon.handle().with_node(|node, _| (node.queues()[0].rate, node.config().inner.clone())).unwrap();
    assert_eq!(rate.map(|rate| rate.to_string()).as_deref(), Some("20 Mbit/s"));
    assert_eq!((inner.default, inner.with(&far)), (EndToEnd::Off, EndToEnd::On));

    site.configure("A", CERTIFIED, &[("B", None)]);
    let report = a.reloader.reload().unwrap();
    assert_eq!(
        told(&report),
        [
            "names: hill has no name any more",
            "neighbour.rate: the link to B is given as much as it takes",
            "node.e2e: payloads travel in sessions from end to end",
        ]
    );
    assert!(name_of_far().is_err() && a.is_up("B") && b.is_up("A"));
}

#[test]
fn a_name_that_means_another_node_is_followed_but_by_services_which_wait() {
    let site = Site::new(&["A", "B", "C"]);
    let [b, c] = ["B", "C"].map(|name| node_id(&site.identity(name).key_hash()));
    let configure = |far: NodeId| {
        let path = site.configure("A", CERTIFIED, &[]);
        let more =
            format!("[names]\nhill = \"{far}\"\n[services]\nforward = [\"tcp 127.0.0.1:0 -> hill:80\"]\n");
        fs::write(&path, fs::read_to_string(&path).unwrap() + &more).unwrap();
        path
    };
    let a = Running::start(configure(b));

    configure(c);
    let (first, second) = (a.reloader.reload().unwrap(), a.reloader.reload().unwrap());

    assert_eq!(keys(&first), (vec!["names", "names"], vec!["services"]));
    assert_eq!(keys(&second), (vec![], vec!["services"]), "it waits still");
    assert_eq!(a.daemon.name_of(&c), "hill");
    configure(b);
    assert_eq!(keys(&a.reloader.reload().unwrap()), (vec!["names", "names"], vec![]), "it is as it was");
}

#[test]
fn a_neighbour_is_dialled_by_a_name_that_was_given_while_the_node_runs_and_by_another_after_it() {
    let site = Site::new(&["A", "B"]);
    let b = Running::start(site.configure("B", CERTIFIED, &[("A", None)]));
    let a = Running::start(site.configure("A", CERTIFIED, &[("B", None)]));
    let dial = |place: &str| {
        let path = site.configure("A", CERTIFIED, &[("B", None)]);
        fs::write(&path, fs::read_to_string(&path).unwrap() + &format!("address = \"{place}\"\n")).unwrap();
        told(&a.reloader.reload().unwrap())
    };

    let nowhere = dial("nowhere.invalid:4433");
    assert_eq!(nowhere, ["neighbour.address: B is dialled at nowhere.invalid:4433, looked up from here on"]);
    wait_until("the trouble is told", || a.error("B").contains("nowhere.invalid does not resolve"));
    let place = format!("localhost:{}", b.daemon.address().port());
    assert_eq!(dial(&place), [format!("neighbour.address: B is dialled at {place}, looked up from here on")]);
    wait_until("they are up", || a.is_up("B") && b.is_up("A"));
    assert_eq!(a.neighbour("B").unwrap().address, Some(b.daemon.address()));

    // Another name of it, and nothing else: what was found stays.
    let path = site.path("A.toml");
    let text = fs::read_to_string(&path).unwrap().replace("name = \"B\"", "name = \"hill\"");
    fs::write(&path, text).unwrap();
    assert_eq!(told(&a.reloader.reload().unwrap()), ["neighbour.name: B is called hill"]);
    let id = b.daemon.id();
    let found = a.daemon.handle().with_node(move |node, _| node.neighbour_addresses(id)).unwrap();
    assert_eq!(found, [b.daemon.address()]);
    assert!(a.is_up("hill") && b.is_up("A"));

    site.configure("A", CERTIFIED, &[("B", None)]);
    let none = told(&a.reloader.reload().unwrap());
    assert_eq!(
        none,
        ["neighbour.name: hill is called B", "neighbour.address: B is not dialled any more, and may dial us"]
    );
    assert!(a.is_up("B"), "the link that stands goes on");
}

#[test]
fn our_certificate_is_renewed_while_we_run_and_another_key_is_another_node() {
    let site = Site::new(&["A", "B"]);
    let a = Running::start(site.configure("A", CERTIFIED, &[("B", None)]));
    let b = Running::start(site.configure("B", CERTIFIED, &[("A", Some(a.daemon.address()))]));
    wait_until("they are up", || a.is_up("B") && b.is_up("A"));
    let former = a.reloader.certificate_expires_at().unwrap();

    let longer = Validity::days(unix_seconds(), 9);
    let what = Certification { name: "A", uris: &[], validity: longer };
    let renewed = site.authority.renew(site.identity("A").certificate(), &what).unwrap();
    site.put("A.pem", &renewed.to_pem().unwrap());
    wait_until("it is in force", || a.reloader.certificate_expires_at().unwrap() > former);
    assert!(a.is_up("B"), "the session goes on");

    site.write("A", &site.authority.issue("A", validity()).unwrap());
    let report = a.reloader.reload().unwrap();
    assert!(report.applied.is_empty(), "{report:?}");
    assert!(report.needs_restart[0].what.contains("another key"), "{report:?}");
    assert!(a.is_up("B"));
}

#[test]
fn values_that_mean_nothing_are_named_with_their_key_and_the_way_out() {
    let site = Site::new(&["A", "B"]);
    let others = Authority::generate("nobody's root", validity()).unwrap();
    let foreign = others.revocation_list(&[], 1, validity()).unwrap();
    site.put("foreign.pem", &foreign.to_pem().unwrap());
    site.put("members.txt", format!("A\n{}\n", "x".repeat(65)).as_bytes());
    let seventeen: Vec<_> = (0..17).map(|number| format!("\"10.7.{number}.0/24\"")).collect();
    let seventeen = format!("routing = \"dynamic\"\nannounce = [{}]", seventeen.join(", "));
    let roots = "roots = [\"ca.pem\"]\n";

    for (more, expected) in [
        ("crl = [\"nowhere.pem\"]", "node.crl: "),
        ("crl = [\"A.key\"]", "node.crl: "),
        ("crl = [\"foreign.pem\"]", "is of none of our roots"),
        ("allow = \"members.txt\"", "line 2 is no member"),
        ("allow = \"nowhere.txt\"", "node.allow: "),
        ("admission = \"pined\"", "unknown variant `pined`, expected `certified` or `pinned`"),
        ("admission = \"pinned\"", "node.roots: means nothing where keys are pinned"),
        ("announce = [\"10.7.0.0/16\"]", "node.announce: prefixes are told of where ways are learned"),
        ("routing = \"dynamic\"\nannounce = [\"10.7.0.0\"]", "node.announce: \"10.7.0.0\" is no prefix"),
        ("routing = \"dynamic\"\nannounce = [\"10.7.1.0/16\"]", "write 10.7.0.0/16"),
        ("routing = \"dynamic\"\nannounce = [\"10.8.0.0/16\"]", "does not carry 10.8.0.0/16"),
        ("routing = \"dynamic\"\nannounce = [\"10.7.1.0/24\", \"10.7.1.0/24\"]", "stands there twice"),
        (&seventeen, "17 are more than the 16 prefixes"),
        ("link_cost = \"round-trip\"", "node.link_cost: round trips decide nothing where routes are static"),
        ("link_cost = \"fast\"", "unknown variant `fast`, expected `static` or `round-trip`"),
    ] {
        let path = site.configure("A", &format!("{roots}{more}"), &[("B", None)]);
        let sentence = DaemonConfig::load(&path, unix_seconds()).unwrap_err().to_string();
        assert!(sentence.contains(expected), "{more}: {sentence}");
        assert_eq!(sentence.lines().count(), 1, "{sentence}");
    }
    for (more, expected) in [
        ("crl = [\"crl.pem\"]", "node.crl: means nothing where keys are pinned"),
        ("allow = \"members.txt\"", "node.allow: means nothing where keys are pinned"),
        ("routing = \"dynamic\"", "node.routing: dynamic routing takes roots"),
    ] {
        let path = site.configure("A", &format!("admission = \"pinned\"\n{more}"), &[("B", None)]);
        let sentence = DaemonConfig::load(&path, unix_seconds()).unwrap_err().to_string();
        assert!(sentence.contains(expected), "{more}: {sentence}");
    }
}

#[test]
fn a_prefix_inside_of_what_the_certificate_carries_is_announced_and_found_by_others() {
    let site = Site::new(&["A", "B"]);
    let dynamic = format!("{CERTIFIED}\nrouting = \"dynamic\"");
    let a = Running::start(site.configure(
        "A",
        &format!("{dynamic}\nannounce = [\"10.7.4.0/24\"]\nlink_cost = \"round-trip\""),
        &[("B", None)],
    ));
    let b = Running::start(site.configure("B", &dynamic, &[("A", Some(a.daemon.address()))]));
    let found = |address: &'static str| {
        b.daemon.handle().with_node(move |node, _| node.resolve(address.parse().unwrap())).unwrap()
    };
    wait_until("B finds it", || found("10.7.4.1") == Some(a.daemon.id()));
    assert_eq!(found("10.7.5.1"), None);
    let may = |address: &'static str| {
        let id = a.daemon.id();
        b.daemon.handle().with_node(move |node, _| node.may_send_from(id, address.parse().unwrap())).unwrap()
    };
    assert!(may("10.7.4.200") && !may("10.7.5.200"));

    // Announced anew while they run: B hears of it although it needs no newer number.
    site.configure(
        "A",
        &format!("{dynamic}\nannounce = [\"10.7.5.0/24\"]\nlink_cost = \"round-trip\""),
        &[("B", None)],
    );
    let report = a.reloader.reload().unwrap();

    assert_eq!(keys(&report), (vec!["node.announce"], vec![]));
    wait_until("B finds the other", || {
        found("10.7.5.1") == Some(a.daemon.id()) && found("10.7.4.1").is_none()
    });
}
