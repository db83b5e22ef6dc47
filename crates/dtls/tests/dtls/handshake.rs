//! What a handshake agrees on, and with whom.

use std::sync::{Arc, Mutex};

use openssl::ssl::{SslContext, SslMethod};
use peerbound_dtls::{
    Admission, Authority, CloseReason, Context, ContextConfig, Doorman, Plaintexts, Profile, Refusal,
    Screening, SendError, Session, SessionEvent, SessionOptions, SslVersion, Teaching, Validity,
};

use crate::raw_peer::RawClient;
use crate::support::{
    CLIENT, Ended, World, address, assert_alive, drain, exchange, identity, receive, seal, validity,
};
use crate::vclock::{START_UNIX, VirtualClock};

const DAY: i64 = 24 * 3600;

/// Alert numbers (RFC 5246, 7.2.2).
const HANDSHAKE_FAILURE: u8 = 40;
const BAD_CERTIFICATE: u8 = 42;
const CERTIFICATE_EXPIRED: u8 = 45;
const UNKNOWN_CA: u8 = 48;
const PROTOCOL_VERSION: u8 = 70;

#[test]
fn a_handshake_over_a_perfect_wire_ends_with_data_both_ways() {
    let clock = VirtualClock::start();
    let world = World::new();

    let (mut client, mut server) = world.establish(&clock);

    assert_eq!(client.peer().map(|peer| peer.name.as_str()), Some("server"));
    assert_eq!(server.peer().map(|peer| peer.key), Some(world.client.key_hash()));
    assert_alive(&mut client, &mut server, &clock);
}

#[test]
fn two_nodes_agree_on_an_aead_suite_and_on_the_same_secrets() {
    let clock = VirtualClock::start();

    let (client, server) = World::new().establish(&clock);

    let suite = client.peer().expect("established").suite;
    assert_eq!(suite.name, "ECDHE-ECDSA-AES128-GCM-SHA256");
    assert!(suite.is_aead());
    assert_eq!(server.peer().expect("established").suite, suite);
    assert_eq!(client.secrets(), server.secrets());
    assert_eq!(client.secrets().expect("established").version, 0xfefd);
}

#[test]
fn a_node_takes_each_of_its_suites_when_the_client_offers_no_other() {
    let clock = VirtualClock::start();
    for name in
        ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305"]
    {
        let world = with_client(Teaching::with_suites(name));

        let (client, _) = world.establish(&clock);

        assert_eq!(client.peer().expect("established").suite.name, name);
    }
}

#[test]
fn a_client_that_knows_only_cbc_gets_no_session() {
    let clock = VirtualClock::start();
    let world = with_client(Teaching::with_suites("ECDHE-ECDSA-AES256-SHA:ECDHE-ECDSA-AES128-SHA256"));

    let (client, server) = world.clash(&clock);

    assert!(!client.was_up && !server.was_up);
    assert_eq!(server.reason, Some(CloseReason::Failed("no shared cipher".into())));
    assert_eq!(client.alert, Some(HANDSHAKE_FAILURE));
}

#[test]
fn a_server_that_knows_only_cbc_gets_no_session() {
    let clock = VirtualClock::start();
    let world = with_server(Teaching::with_suites("ECDHE-ECDSA-AES256-SHA"));

    let (client, server) = world.clash(&clock);

    assert!(!client.was_up && !server.was_up);
}

#[test]
fn a_suite_without_forward_secrecy_gets_no_session() {
    let clock = VirtualClock::start();
    let world = with_client(Teaching::with_suites("AES128-GCM-SHA256:AES256-GCM-SHA384"));

    let (client, server) = world.clash(&clock);

    assert!(!client.was_up && !server.was_up);
}

#[test]
fn dtls_1_0_gets_no_session() {
    let clock = VirtualClock::start();
    let teaching = Teaching {
        version: SslVersion::DTLS1,
        ..Teaching::with_suites("ECDHE-ECDSA-AES256-SHA:@SECLEVEL=0")
    };

    let (client, server) = with_client(teaching).clash(&clock);

    assert!(!client.was_up && !server.was_up);
    assert_eq!(client.alert, Some(PROTOCOL_VERSION));
}

#[test]
fn a_client_without_extended_master_secret_is_refused() {
    let clock = VirtualClock::start();
    let teaching = Teaching { extended_master_secret: false, ..node_suites() };

    let (_, server) = with_client(teaching).clash(&clock);

    assert!(!server.was_up);
    assert_eq!(server.refusal(), Some(&Refusal::NoExtendedMasterSecret));
}

#[test]
fn a_server_without_extended_master_secret_is_refused() {
    let clock = VirtualClock::start();
    let teaching = Teaching { extended_master_secret: false, ..node_suites() };

    let (client, server) = with_server(teaching).clash(&clock);

    assert!(!client.was_up);
    assert_eq!(client.refusal(), Some(&Refusal::NoExtendedMasterSecret));
    assert_eq!(server.reason, Some(CloseReason::Peer), "it is told by a close_notify");
}

#[test]
fn an_untrusted_client_is_refused_and_hears_why() {
    let clock = VirtualClock::start();
    let world = World::new();
    let elsewhere = World { server: world.server.clone(), ..World::new() };
    let trusting = trusting(&elsewhere.authority, &world);

    let (client, server) = World { client: trusting, ..elsewhere }.clash(&clock);

    assert!(!server.was_up);
    assert_refused(&server, "client", "unable to get local issuer certificate");
    assert_eq!(client.alert, Some(UNKNOWN_CA));
}

#[test]
fn the_name_of_a_refused_stranger_cannot_steer_a_terminal_or_forge_a_line() {
    // Anyone can write anything into a certificate of his own, and the refusal quotes it to an operator.
    let clock = VirtualClock::start();
    let world = World::new();
    let elsewhere = Authority::generate("elsewhere", validity()).unwrap();
    let odd = identity(&elsewhere, "\x1b[2J\nall is well\u{9b}");
    let client = Context::new(ContextConfig::new(odd, vec![world.authority.to_root()])).unwrap();
    let (mut client, mut server) = World { client, ..world }.open(&clock);

    exchange(&mut client, &mut server, &clock);

    let ended = Ended::of(&mut server);
    let Some(Refusal::Certificate { name, .. }) = ended.refusal() else {
        panic!("the client is refused: {ended:?}");
    };
    assert_eq!(name, "\u{fffd}[2J\u{fffd}all is well\u{fffd}");
}

#[test]
fn an_untrusted_server_is_refused_and_hears_why() {
    let clock = VirtualClock::start();
    let world = World { server: World::new().server, ..World::new() };

    let (client, server) = world.clash(&clock);

    assert!(!client.was_up && !server.was_up);
    // Its root is not sent along: whoever does not have it does not trust it.
    assert_refused(&client, "server", "unable to get local issuer certificate");
    assert_eq!(server.alert, Some(UNKNOWN_CA));
}

#[test]
fn an_expired_certificate_is_refused_at_either_end() {
    let clock = VirtualClock::start();
    let expired = Validity { not_before: START_UNIX - 9 * DAY, not_after: START_UNIX - DAY };

    let (client, server) = world_with_client_valid(expired).clash(&clock);
    assert!(!server.was_up);
    assert_refused(&server, "client", "certificate has expired");
    assert_eq!(client.alert, Some(CERTIFICATE_EXPIRED));

    let (client, server) = world_with_server_valid(expired).clash(&clock);
    assert!(!client.was_up);
    assert_refused(&client, "server", "certificate has expired");
    assert_eq!(server.alert, Some(CERTIFICATE_EXPIRED));
}

#[test]
fn a_certificate_that_is_not_valid_yet_is_refused_at_either_end() {
    let clock = VirtualClock::start();
    let early = Validity { not_before: START_UNIX + DAY, not_after: START_UNIX + 9 * DAY };

    let (client, server) = world_with_client_valid(early).clash(&clock);
    assert_refused(&server, "client", "certificate is not yet valid");
    assert_eq!(client.alert, Some(BAD_CERTIFICATE));

    let (client, server) = world_with_server_valid(early).clash(&clock);
    assert_refused(&client, "server", "certificate is not yet valid");
    assert_eq!(server.alert, Some(BAD_CERTIFICATE));
}

#[test]
fn a_client_without_a_certificate_is_refused() {
    let clock = VirtualClock::start();
    let world = World::new();
    let mut stranger = RawClient::connect(SslContext::builder(SslMethod::dtls()).unwrap());
    let mut server = accept_raw(&world, &mut stranger, &clock);

    for datagram in drain(&mut server) {
        stranger.handle_datagram(&datagram);
    }
    for datagram in stranger.drain() {
        server.handle_datagram(&datagram, &mut Plaintexts::new(), clock.now());
    }

    let ended = Ended::of(&mut server);
    assert!(!ended.was_up);
    assert_eq!(ended.reason, Some(CloseReason::Failed("peer did not return a certificate".into())));
}

#[test]
fn a_trusted_client_that_is_not_admitted_is_refused_and_hears_it() {
    let clock = VirtualClock::start();
    let world = World::new();
    let own = Admission::only(world.server.key_hash());

    let (mut client, mut server) = world.open_admitting(Admission::AnyTrusted, own, &clock);
    exchange(&mut client, &mut server, &clock);

    let (client, server) = (Ended::of(&mut client), Ended::of(&mut server));
    assert!(!server.was_up);
    let refusal = Refusal::NotAdmitted { name: "client".into(), key: world.client.key_hash() };
    assert_eq!(server.refusal(), Some(&refusal));
    assert_eq!(refusal.to_string(), "\"client\" has a trusted certificate but is not admitted here");
    assert_eq!(client.alert, Some(BAD_CERTIFICATE));
}

#[test]
fn a_trusted_server_that_is_not_the_one_we_dialled_is_refused_and_hears_it() {
    let clock = VirtualClock::start();
    let world = World::new();
    let another = Admission::only(world.context("another").key_hash());

    let (mut client, mut server) = world.open_admitting(another, Admission::AnyTrusted, &clock);
    exchange(&mut client, &mut server, &clock);

    let (client, server) = (Ended::of(&mut client), Ended::of(&mut server));
    assert!(!client.was_up && !server.was_up);
    let refusal = Refusal::NotAdmitted { name: "server".into(), key: world.server.key_hash() };
    assert_eq!(client.refusal(), Some(&refusal));
    assert_eq!(server.alert, Some(BAD_CERTIFICATE));
}

#[test]
fn exported_keying_material_is_equal_at_both_ends_and_differs_by_label_and_context() {
    let clock = VirtualClock::start();
    let (client, server) = World::new().establish(&clock);
    let export = |session: &Session, label: &str, context: &[u8]| {
        let mut out = [0; 32];
        session.export_keying_material(label, context, &mut out).unwrap();
        out
    };

    let at_client = export(&client, "EXPERIMENTAL one", b"");

    assert_eq!(at_client, export(&server, "EXPERIMENTAL one", b""));
    assert_ne!(at_client, export(&client, "EXPERIMENTAL two", b""));
    assert_ne!(at_client, export(&client, "EXPERIMENTAL one", b"context"));
}

#[test]
fn nothing_is_exported_or_sent_before_the_handshake_is_done() {
    let clock = VirtualClock::start();
    let mut client = World::new().connect(&clock);

    assert_eq!(
        client.export_keying_material("EXPERIMENTAL", b"", &mut [0; 8]),
        Err(SendError::NotEstablished)
    );
    assert_eq!(client.send(b"early"), Err(SendError::NotEstablished));
    assert_eq!(client.payload_bytes_max(), None);
    assert!(client.secrets().is_none() && client.resumable().is_none());
}

#[test]
fn the_key_log_says_what_the_secrets_say() {
    let clock = VirtualClock::start();
    let world = World::new();
    let lines = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&lines);
    let keylog = Arc::new(move |line: &str| sink.lock().unwrap().push(line.to_owned()));
    let client = Context::new(ContextConfig { keylog: Some(keylog), ..world.config("client") }).unwrap();

    let (client, _) = World { client, ..world }.establish(&clock);

    let line = client.secrets().expect("established").keylog_line();
    assert_eq!(*lines.lock().unwrap(), [line]);
}

#[test]
fn close_notify_of_either_end_ends_both() {
    let clock = VirtualClock::start();
    let world = World::new();
    for closes_first in ["client", "server"] {
        let (client, server) = world.establish(&clock);
        let (mut closing, mut other) =
            if closes_first == "client" { (client, server) } else { (server, client) };
        while closing.poll_event().or_else(|| other.poll_event()).is_some() {}

        closing.close();
        exchange(&mut closing, &mut other, &clock);

        assert_eq!(closing.poll_event(), Some(SessionEvent::Closed(CloseReason::Local)));
        assert_eq!(other.poll_event(), Some(SessionEvent::Closed(CloseReason::Peer)));
        assert_eq!(other.send(b"too late"), Err(SendError::NotEstablished));
        assert_eq!((closing.poll_timeout(), other.poll_timeout()), (None, None));
    }
}

#[test]
fn data_that_overtook_the_farewell_is_still_read() {
    let clock = VirtualClock::start();
    let (mut client, mut server) = World::new().establish(&clock);
    let last_words = seal(&mut client, b"last words");
    client.close();
    let farewell = drain(&mut client).remove(0);

    let both = [last_words, farewell].concat();

    assert_eq!(receive(&mut server, &both, &clock), [b"last words"]);
    assert!(server.is_closed());
}

fn node_suites() -> Teaching {
    Teaching::with_suites("ECDHE-ECDSA-AES128-GCM-SHA256")
}

fn with_client(teaching: Teaching) -> World {
    let world = World::new();
    let config = ContextConfig { profile: Profile::Teaching(teaching), ..world.config("client") };
    World { client: Context::new(config).unwrap(), ..world }
}

fn with_server(teaching: Teaching) -> World {
    let world = World::new();
    let config = ContextConfig { profile: Profile::Teaching(teaching), ..world.config("server") };
    World { server: Context::new(config).unwrap(), ..world }
}

/// A client that `theirs` certified and that trusts the server of `ours`.
fn trusting(theirs: &Authority, ours: &World) -> Context {
    let roots = vec![ours.authority.to_root()];
    Context::new(ContextConfig::new(identity(theirs, "client"), roots)).unwrap()
}

fn valid_context(world: &World, name: &str, validity: Validity) -> Context {
    let identity = world.authority.issue(name, validity).unwrap();
    Context::new(ContextConfig::new(identity, vec![world.authority.to_root()])).unwrap()
}

fn world_with_client_valid(validity: Validity) -> World {
    let world = World::new();
    World { client: valid_context(&world, "client", validity), ..world }
}

fn world_with_server_valid(validity: Validity) -> World {
    let world = World::new();
    World { server: valid_context(&world, "server", validity), ..world }
}

/// `reason` is how OpenSSL's words begin; later versions explain themselves at more length.
#[track_caller]
fn assert_refused(ended: &Ended, name: &str, reason: &str) {
    let Some(Refusal::Certificate { name: refused, reason: said }) = ended.refusal() else {
        panic!("no certificate was refused: {:?}", ended.refusal());
    };
    assert_eq!(refused, name);
    assert!(said.starts_with(reason), "{said}");
}

fn accept_raw(world: &World, stranger: &mut RawClient, clock: &VirtualClock) -> Session {
    let doorman = Doorman::new([9; 32], clock.now());
    let screen = |hello: &[u8]| doorman.screen(hello, address(CLIENT), clock.now()).unwrap();
    let Screening::Challenge(challenge) = screen(&stranger.drain()[0]) else {
        panic!("a hello without a cookie is challenged");
    };
    stranger.handle_datagram(&challenge);
    let Screening::Verified(hello) = screen(&stranger.drain()[0]) else {
        panic!("the cookie comes back");
    };
    Session::accept(&world.server, &SessionOptions::default(), &hello, clock.now()).unwrap()
}
