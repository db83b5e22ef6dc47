//! The judge by himself: what he is shown is made up, and what he says of it must be right.

use std::net::SocketAddr;
use std::sync::Arc;

use peerbound_dtls::{ContentType, Direction, Role, SessionSecrets, Suite};
use peerbound_lab::judge::{Judge, Judgement, Life, Observation, Observed};
use peerbound_lab::scenario::Invariant;
use peerbound_lab::trace::{DatagramId, Happening, HostIndex, HostLabel, Nanos, Way};
use peerbound_node::{Counters, Event, FrameAction, FrameDrop, FrameSeen, Lock, Verdict};
use peerbound_wire::{Header, Kind, NodeId, PacketId};

use crate::support::{A, B, C};

fn id(host: HostIndex) -> NodeId {
    NodeId::new([u8::try_from(host.0).expect("few hosts") + 1; 16])
}

fn address(host: HostIndex) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, u8::try_from(host.0).expect("few hosts") + 1], 4433))
}

/// Three hosts, of which A and B, and B and C, have a session each, and a judge who watches them.
struct Court {
    judge: Judge,
    now: u64,
    datagrams: u64,
}

impl Court {
    /// Opens with the sessions' keys known to the judge from both ends.
    fn with_sessions() -> Self {
        let mut court = Self::open();
        for (client, server) in [(A, B), (B, C)] {
            court.learn(client, server, Role::Client);
            court.learn(server, client, Role::Server);
        }
        court
    }

    fn open() -> Self {
        let label = |(host, name): (HostIndex, &str)| HostLabel {
            name: name.to_owned(),
            address: address(host),
            id: Some(id(host)),
        };
        let hosts = [(A, "A"), (B, "B"), (C, "C")].map(label).to_vec();
        let mut court = Self { judge: Judge::new(hosts), now: 0, datagrams: 0 };
        for host in [A, B, C] {
            court.see(Observed::Life { host, change: Life::Booted });
        }
        court
    }

    fn see(&mut self, what: Observed) {
        self.now += 1;
        self.judge.observe(Observation { at: Nanos(self.now), what }).expect("keys can be derived");
    }

    fn learn(&mut self, host: HostIndex, peer: HostIndex, role: Role) {
        let secrets = secrets(host, peer);
        self.see(Observed::Keys { host, peer: id(peer), role, secrets });
    }

    fn send(&mut self, from: HostIndex, to: HostIndex, way: Way, bytes: &[u8]) -> DatagramId {
        self.datagrams += 1;
        let datagram = DatagramId(self.datagrams);
        self.see(Observed::Sent {
            datagram,
            by: from,
            way,
            source: address(from),
            destination: address(to),
            bytes: Arc::from(bytes),
            label: None,
            copy_of: None,
        });
        datagram
    }

    fn arrive(&mut self, host: HostIndex, datagram: DatagramId, verdict: Verdict, reason: Option<&str>) {
        let reason = reason.map(str::to_owned);
        self.see(Observed::Arrived { datagram, host, verdict, reason });
    }

    fn frame(&mut self, host: HostIndex, from: Option<HostIndex>, action: FrameAction) {
        let header = Header { packet: PacketId(7), ..Header::new(Kind::Data, id(A), id(C)) };
        let seen = FrameSeen { header, payload_bytes: 5, from: from.map(id), action };
        self.see(Observed::Event { host, event: Event::Frame(seen) });
    }

    fn broken(self) -> Vec<Invariant> {
        self.judge.finish().violations.into_iter().map(|violation| violation.invariant).collect()
    }
}

/// The secrets of the session between two hosts, the same from either end.
fn secrets(one: HostIndex, other: HostIndex) -> SessionSecrets {
    let mark = u8::try_from(one.0 + other.0).expect("few hosts");
    SessionSecrets {
        version: 0xfefd,
        suite: Suite::by_name("ECDHE-ECDSA-AES128-GCM-SHA256").expect("a known suite"),
        client_random: [mark; 32],
        server_random: [mark + 100; 32],
        master_secret: [mark; 48],
    }
}

/// A record of the session between two hosts; the smaller index is its client.
fn record(from: HostIndex, to: HostIndex, content_type: ContentType, sequence: u64) -> Vec<u8> {
    let keys = secrets(from, to).record_keys().expect("keys can be derived");
    let direction = if from < to { Direction::ClientToServer } else { Direction::ServerToClient };
    keys.of(direction).seal(content_type, sequence, [9; 8], b"hello").expect("a short record")
}

fn data(from: HostIndex, to: HostIndex, sequence: u64) -> Vec<u8> {
    record(from, to, ContentType::ApplicationData, sequence)
}

/// Says who sealed each datagram that arrived, in words such as "A>B".
fn seals(judgement: &Judgement) -> Vec<String> {
    let name = |host: HostIndex| ["A", "B", "C"][host.0 as usize];
    let seal = |entry: &peerbound_lab::trace::Entry| match &entry.what {
        Happening::Arrived { sealed_by, .. } => Some(
            sealed_by.map_or("nobody".to_owned(), |seal| format!("{}>{}", name(seal.from), name(seal.to))),
        ),
        _ => None,
    };
    judgement.entries.iter().filter_map(seal).collect()
}

#[test]
fn what_is_as_it_should_be_breaks_nothing() {
    let mut court = Court::with_sessions();
    let sent = court.send(A, B, Way::Socket, &data(A, B, 1));
    court.arrive(B, sent, Verdict::Accepted, None);

    assert_eq!(court.broken(), []);
}

#[test]
fn a_record_from_before_its_keys_were_known_is_named_in_the_end() {
    let mut court = Court::open();
    let finished = court.send(A, B, Way::Socket, &record(A, B, ContentType::Handshake, 0));
    court.arrive(B, finished, Verdict::Accepted, None);
    court.learn(B, A, Role::Server);

    let judgement = court.judge.finish();

    assert_eq!(seals(&judgement), ["A>B"]);
    assert_eq!(judgement.violations, []);
}

#[test]
fn data_that_is_accepted_without_a_session_waits_for_its_keys_and_is_a_violation_without_them() {
    let accept = |court: &mut Court| {
        let early = court.send(B, A, Way::Socket, &data(B, A, 1));
        court.arrive(A, early, Verdict::Accepted, None);
    };
    let mut explained = Court::open();
    accept(&mut explained);
    explained.learn(A, B, Role::Client);
    let mut unexplained = Court::open();
    accept(&mut unexplained);

    assert_eq!(explained.broken(), []);
    assert_eq!(unexplained.broken(), [Invariant::AcceptedWithoutOracle]);
}

#[test]
fn a_record_of_another_session_that_is_accepted_is_a_violation() {
    let mut court = Court::with_sessions();
    let stray = court.send(C, A, Way::Socket, &data(C, B, 1));
    court.arrive(A, stray, Verdict::Accepted, None);

    assert_eq!(court.broken(), [Invariant::AcceptedWithoutOracle]);
}

#[test]
fn a_record_that_comes_back_to_its_sealer_and_is_accepted_is_a_violation() {
    let mut court = Court::with_sessions();
    let reflected = court.send(B, A, Way::Injected, &data(A, B, 1));
    court.arrive(A, reflected, Verdict::Accepted, None);

    assert_eq!(court.broken(), [Invariant::AcceptedWithoutOracle]);
}

#[test]
fn a_forged_record_that_is_accepted_is_a_violation() {
    let mut court = Court::with_sessions();
    let mut bytes = data(B, A, 1);
    bytes[20] ^= 1;
    let forged = court.send(B, A, Way::Injected, &bytes);
    court.arrive(A, forged, Verdict::Accepted, None);

    assert_eq!(court.broken(), [Invariant::AcceptedWithoutOracle]);
}

#[test]
fn the_same_record_accepted_twice_is_a_violation() {
    let mut court = Court::with_sessions();
    for way in [Way::Socket, Way::Injected] {
        let sent = court.send(A, B, way, &data(A, B, 1));
        court.arrive(B, sent, Verdict::Accepted, None);
    }

    assert_eq!(court.broken(), [Invariant::AcceptedTwice]);
}

#[test]
fn a_forged_datagram_that_ends_a_session_is_a_violation_and_a_genuine_farewell_is_none() {
    const FORGED: [u8; 15] = [21, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 9, 0, 2, 2, 40];
    let down = |court: &mut Court| {
        let event = Event::NeighbourDown { id: id(B), reason: "gone".to_owned() };
        court.see(Observed::Event { host: A, event });
    };
    let mut forged = Court::with_sessions();
    let sent = forged.send(B, A, Way::Injected, &FORGED);
    forged.arrive(A, sent, Verdict::Killed, None);
    down(&mut forged);
    let mut genuine = Court::with_sessions();
    let sent = genuine.send(B, A, Way::Injected, &record(B, A, ContentType::Alert, 5));
    genuine.arrive(A, sent, Verdict::Killed, None);
    down(&mut genuine);
    let mut own = Court::with_sessions();
    own.judge.note_handmade(&FORGED);
    let sent = own.send(B, A, Way::Socket, &FORGED);
    own.arrive(A, sent, Verdict::Killed, None);
    down(&mut own);

    assert_eq!(own.broken(), [Invariant::ForgedDatagramEndsSession], "whichever socket it goes through");
    assert_eq!(forged.broken(), [Invariant::ForgedDatagramEndsSession]);
    assert_eq!(genuine.broken(), []);
}

#[test]
fn the_newest_record_is_the_one_with_the_highest_number_and_none_that_was_made_by_hand() {
    let mut court = Court::with_sessions();
    for sequence in [5, 3] {
        court.send(A, B, Way::Socket, &data(A, B, sequence));
    }
    let mut edited = data(A, B, 9);
    edited[20] ^= 1;
    court.judge.note_handmade(&edited);
    court.send(A, B, Way::Socket, &edited);

    assert_eq!(court.judge.newest_sent(A, address(B)), Some(5));
}

#[test]
fn a_frame_without_an_end_is_a_violation() {
    let mut court = Court::with_sessions();
    let counters = Counters { frames_received: 2, frames_sent: 1, ..Counters::default() };
    court.see(Observed::Counters { host: B, counters });

    assert_eq!(court.broken(), [Invariant::Conservation]);
}

#[test]
fn a_frame_that_passes_a_relay_twice_or_dies_of_its_hop_limit_is_a_violation() {
    let mut circle = Court::with_sessions();
    circle.frame(B, Some(A), FrameAction::Sent(id(C)));
    circle.frame(B, Some(C), FrameAction::Sent(id(A)));
    let mut death = Court::with_sessions();
    death.frame(B, Some(A), FrameAction::Dropped(FrameDrop::HopLimit));
    let mut once = Court::with_sessions();
    once.frame(A, None, FrameAction::Sent(id(B)));
    once.frame(B, Some(A), FrameAction::Sent(id(C)));
    let mut back = Court::with_sessions();
    back.frame(A, None, FrameAction::Sent(id(B)));
    back.frame(A, Some(B), FrameAction::Dropped(FrameDrop::Duplicate));

    assert_eq!(circle.broken(), [Invariant::RoutingLoop]);
    assert_eq!(back.broken(), [Invariant::RoutingLoop]);
    assert_eq!(death.broken(), [Invariant::RoutingLoop]);
    assert_eq!(once.broken(), []);
}

#[test]
fn a_drop_has_one_reason_which_is_its_lock_s_and_true() {
    let broken = |lock, reason, bytes: &[u8]| {
        let mut court = Court::with_sessions();
        let sent = court.send(B, A, Way::Socket, bytes);
        court.arrive(A, sent, Verdict::Dropped(lock), reason);
        court.broken()
    };
    let genuine = data(B, A, 1);
    let strange = data(B, C, 1);

    assert_eq!(broken(Lock::Replay, Some("replay"), &genuine), []);
    assert_eq!(broken(Lock::RecordAuth, Some("bad-mac"), &strange), []);
    assert_eq!(broken(Lock::Replay, None, &genuine), [Invariant::DropReason]);
    assert_eq!(broken(Lock::Demux, Some("bad-mac"), &strange), [Invariant::DropReason]);
    assert_eq!(broken(Lock::RecordAuth, Some("bad-mac"), &genuine), [Invariant::DropReason]);
}

#[test]
fn a_datagram_ends_once() {
    let mut court = Court::with_sessions();
    let sent = court.send(A, B, Way::Socket, &data(A, B, 1));
    court.see(Observed::Lost { datagram: sent, why: "chance".to_owned() });
    court.arrive(B, sent, Verdict::Accepted, None);

    assert_eq!(court.broken(), [Invariant::DropReason]);
}

#[test]
fn a_violation_stands_in_the_trace_where_it_happened() {
    let mut court = Court::with_sessions();
    let stray = court.send(C, A, Way::Socket, &data(C, B, 1));
    court.arrive(A, stray, Verdict::Accepted, None);
    let late = court.send(A, B, Way::Socket, &data(A, B, 1));
    court.arrive(B, late, Verdict::Accepted, None);

    let judgement = court.judge.finish();
    let words: Vec<_> = judgement
        .entries
        .iter()
        .rev()
        .take(3)
        .map(|entry| match &entry.what {
            Happening::Arrived { .. } => "arrived",
            Happening::Sent { .. } => "sent",
            Happening::Violation { .. } => "violation",
            _ => "other",
        })
        .collect();

    assert_eq!(words, ["arrived", "sent", "violation"]);
}
