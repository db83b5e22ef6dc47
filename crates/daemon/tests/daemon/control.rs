//! The control socket: what it answers to lines of all kinds, to many at once, and to those that do not
//! read; who finds the socket, and what is left of it.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Instant;

use crossbeam_channel::{Sender, bounded};
use peerbound_daemon::control::answers::{
    NeighboursAnswer, PcapAnswer, PingAnswer, RoutesAnswer, SessionsAnswer, StatusAnswer,
};
use peerbound_daemon::control::{
    CONNECTIONS_MAX, ClientError, ControlClient, ControlOptions, ControlServer, ControlStartError, ErrorCode,
    LINE_BYTES_MAX, Response,
};
use peerbound_daemon::{Copied, Daemon, TapOf, TapOptions, Tapped};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{DEADLINE, Members, wait_until};

/// A node that can be asked.
struct Asked {
    folder: TempDir,
    server: Option<ControlServer>,
    daemon: Daemon,
}

impl Asked {
    fn new() -> Self {
        Self::over(Members::new(&["A"]).start(0, &[], &[]))
    }

    fn over(daemon: Daemon) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut asked = Self { folder, server: None, daemon };
        asked.server = Some(asked.start().unwrap());
        asked
    }

    fn start(&self) -> Result<ControlServer, ControlStartError> {
        let options = ControlOptions {
            socket: self.socket(),
            config: PathBuf::from("a.toml"),
            log: None,
            reloader: None,
        };
        ControlServer::start(&self.daemon, options)
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("a.sock")
    }

    fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(self.socket()).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream
    }

    fn client(&self) -> ControlClient {
        ControlClient::connect(&self.socket()).unwrap()
    }

    /// Sends bytes, ends them, and returns every line that comes back until the connection ends.
    fn exchange(&self, bytes: &[u8]) -> Vec<Response> {
        let mut stream = self.connect();
        // Whoever has heard enough does not read on.
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(Shutdown::Write);
        let mut answer = Vec::new();
        // A connection that is closed while more is there ends in a reset.
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8(answer).unwrap();
        answer.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn status_line(id: u64) -> Vec<u8> {
    let mut line = json!({"peerbound": 1, "id": id, "ask": "status"}).to_string().into_bytes();
    line.push(b'\n');
    line
}

#[test]
fn a_node_is_asked_for_its_status() {
    let asked = Asked::new();

    let status: StatusAnswer = asked.client().ask("status", &json!({})).unwrap();

    assert_eq!(status.id, asked.daemon.id().to_string());
    assert_eq!(status.listens, asked.daemon.address());
    assert_eq!(status.certificate.unwrap().name, "A");
    assert!(status.counters.is_conserved);
}

#[test]
fn several_requests_on_one_connection_are_answered_in_order() {
    let asked = Asked::new();

    let answers = asked.exchange(&(1..=5).flat_map(status_line).collect::<Vec<_>>());

    assert_eq!(answers.iter().map(|answer| &answer.id).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    assert!(answers.iter().all(|answer| answer.answer.is_some()));
}

#[test]
fn hostile_lines_are_answered_with_one_error_and_the_next_client_is_served() {
    let asked = Asked::new();
    let too_long = vec![b'x'; LINE_BYTES_MAX + 1];
    let nested = [&vec![b'['; LINE_BYTES_MAX - 1][..], b"\n"].concat();
    let long_id = json!({"peerbound": 1, "id": "x".repeat(65), "ask": "status"}).to_string() + "\n";
    let hostile: [(&[u8], ErrorCode); 11] = [
        (&too_long, ErrorCode::LineTooLong),
        (&nested, ErrorCode::BadLine),
        (b"{\"peerbound\":1,\"ask\":\"status\"}", ErrorCode::HalfLine),
        (b"{\"peerbound\":1,", ErrorCode::HalfLine),
        (b"\0\x01\xfe\xff\n", ErrorCode::BadLine),
        (b"\n", ErrorCode::BadLine),
        (b"GET / HTTP/1.1\r\n\r\n", ErrorCode::BadLine),
        (b"[{\"peerbound\":1,\"ask\":\"status\"}]\n", ErrorCode::BadLine),
        (b"{\"peerbound\":\"1\",\"ask\":\"status\"}\n", ErrorCode::BadLine),
        (b"{\"peerbound\":2,\"ask\":\"status\"}\n", ErrorCode::Version),
        (long_id.as_bytes(), ErrorCode::BadLine),
    ];

    for (line, code) in hostile {
        let answers = asked.exchange(line);

        let codes: Vec<_> =
            answers.iter().map(|answer| answer.error.as_ref().map(|error| error.code)).collect();
        assert_eq!(codes, [Some(code)], "{}", String::from_utf8_lossy(&line[..line.len().min(60)]));
    }
    asked.client().ask::<StatusAnswer>("status", &json!({})).unwrap();
}

#[test]
fn a_wrong_request_is_refused_by_name_and_the_connection_goes_on() {
    let asked = Asked::new();
    let mut client = asked.client();

    for (ask, parameters, code, part) in [
        ("stauts", json!({}), ErrorCode::UnknownRequest, "there are status, "),
        ("status", json!({"of": "B"}), ErrorCode::BadParameter, "no parameter \"of\""),
        ("routes", json!({"wy": "B"}), ErrorCode::BadParameter, "unknown field `wy`"),
        ("routes", json!({"why": 7}), ErrorCode::BadParameter, "expected a string"),
        ("routes", json!({"why": "nobody"}), ErrorCode::UnknownNode, "nobody is called \"nobody\""),
        ("ping", json!({}), ErrorCode::BadParameter, "missing field `to`"),
        ("ping", json!({"to": "B", "count": 0}), ErrorCode::BadParameter, "count is 0: give 1 to "),
        ("ping", json!({"to": "B", "size": 7}), ErrorCode::BadParameter, "size is 7: give 8 to "),
        ("ping", json!({"to": "B", "interval_ms": 1}), ErrorCode::BadParameter, "interval_ms is 1"),
        ("ping", json!({"to": "B", "wait_ms": u64::MAX}), ErrorCode::BadParameter, "wait_ms is "),
        ("trace", json!({}), ErrorCode::BadParameter, "missing field `to`"),
        (
            "trace",
            json!({"to": ["B"]}),
            ErrorCode::BadParameter,
            "to: invalid type: sequence, expected a string",
        ),
        ("trace", json!({"to": "B", "wait": 1}), ErrorCode::BadParameter, "unknown field `wait`"),
        ("trace", json!({"to": "B", "wait_ms": 0}), ErrorCode::BadParameter, "wait_ms is 0: give 1 to 60000"),
        ("trace", json!({"to": "B", "wait_ms": 60_001}), ErrorCode::BadParameter, "wait_ms is 60001"),
        (
            "trace",
            json!({"to": "B", "wait_ms": "1 s"}),
            ErrorCode::BadParameter,
            "wait_ms: invalid type: string",
        ),
        ("trace", json!({"to": "nobody"}), ErrorCode::UnknownNode, "nobody is called \"nobody\""),
        ("explain-stray", json!({"count": 0}), ErrorCode::BadParameter, "count is 0: give 1 to 256"),
        ("explain-stray", json!({"count": 257}), ErrorCode::BadParameter, "count is 257: give 1 to 256"),
        ("explain-stray", json!({"of": "B"}), ErrorCode::BadParameter, "unknown field `of`"),
        ("explain-drop", json!({"count": 0}), ErrorCode::BadParameter, "count is 0: give 1 to 256"),
        ("explain-drop", json!({"count": -1}), ErrorCode::BadParameter, "count: invalid value: integer `-1`"),
        ("explain-route", json!({}), ErrorCode::BadParameter, "missing field `to`"),
        ("explain-route", json!({"to": 7}), ErrorCode::BadParameter, "to: invalid type: integer `7`"),
        ("explain-route", json!({"to": "nobody"}), ErrorCode::UnknownNode, "nobody is called \"nobody\""),
        ("pcap", json!({"of": "packets"}), ErrorCode::BadParameter, "of: unknown variant `packets`"),
        ("pcap", json!({"count": 0}), ErrorCode::BadParameter, "count is 0: give 1 or more"),
        ("pcap", json!({"bytes": 0}), ErrorCode::BadParameter, "bytes is 0: give 1 or more"),
        ("pcap", json!({"seconds": 604_801}), ErrorCode::BadParameter, "seconds is 604801: give 1 to 604800"),
        ("pcap", json!({"secrets": "yes"}), ErrorCode::BadParameter, "secrets: invalid type: string"),
        ("pcap", json!({"file": "x.pcapng"}), ErrorCode::BadParameter, "unknown field `file`"),
    ] {
        let refused = client.ask::<Value>(ask, &parameters);

        let Err(ClientError::Refused(refusal)) = refused else { panic!("{ask} {parameters}: {refused:?}") };
        assert_eq!(refusal.code, code, "{ask} {parameters}: {refusal}");
        assert!(refusal.message.contains(part), "{ask} {parameters}: {refusal}");
        assert_eq!(refusal.message.lines().count(), 1, "{refusal}");
    }
    client.ask::<StatusAnswer>("status", &json!({})).unwrap();
}

#[test]
fn one_client_too_many_is_told_so_and_a_place_that_is_free_again_is_given_away() {
    let asked = Asked::new();
    let clients: Vec<_> = (0..CONNECTIONS_MAX)
        .map(|_| {
            let mut client = asked.client();
            client.ask::<StatusAnswer>("status", &json!({})).unwrap();
            client
        })
        .collect();

    let answers = asked.exchange(b"");
    drop(clients);

    assert_eq!(answers.len(), 1);
    assert_eq!(answers[0].error.as_ref().unwrap().code, ErrorCode::Busy);
    wait_until("a place is free", || asked.client().ask::<StatusAnswer>("status", &json!({})).is_ok());
}

#[test]
fn a_client_that_does_not_read_holds_up_no_other_and_no_traffic() {
    let members = Members::new(&["A", "B", "C"]);
    let [a, b, c] = members.chain();
    let asked = Asked::over(a);
    let slow = asked.connect();
    // More than the buffers of a socket hold: the server's thread waits for this client.
    slow.set_nonblocking(true).unwrap();
    let line = status_line(1);
    while (&slow).write_all(&line).is_ok() {}

    let started = Instant::now();
    let mut client = asked.client();
    client.send("ping", &json!({"to": members.ids[2].to_string(), "count": 3, "interval_ms": 5})).unwrap();
    let mut back = 0;
    loop {
        let replied = client.receive::<PingAnswer>(Some(DEADLINE)).unwrap();
        match replied.answer {
            PingAnswer::Back { links, .. } => {
                assert_eq!(links, 2);
                back += 1;
            }
            PingAnswer::Lost { .. } => {}
            PingAnswer::Done(summary) => {
                assert_eq!((summary.count, summary.back), (3, back));
                break;
            }
        }
    }

    assert!(back > 0 && started.elapsed() < DEADLINE);
    drop((slow, b, c));
}

#[test]
fn a_padded_ping_goes_as_far_as_its_size_lets_it() {
    let members = Members::new(&["A", "B", "C"]);
    let [a, _b, _c] = members.chain();
    let asked = Asked::over(a);
    let to = members.ids[2].to_string();
    let ping = |size: u16| {
        let mut client = asked.client();
        let parameters = json!({"to": to, "count": 1, "size": size, "wait_ms": 60_000});
        client.send("ping", &parameters).unwrap();
        client.receive::<PingAnswer>(Some(DEADLINE)).unwrap().answer
    };

    assert!(matches!(ping(1200), PingAnswer::Back { sequence: 1, .. }));
    let PingAnswer::Lost { reason, .. } = ping(1400) else { panic!("1400 bytes do not fit a frame") };
    assert!(reason.contains("do not fit"), "{reason}");
}

#[test]
fn a_stream_ends_when_its_client_goes() {
    let members = Members::new(&["A", "B"]);
    // Nobody is there: each ping waits for its end.
    let asked = Asked::over(members.start(0, &[(1, None)], &[]));
    let clients: Vec<_> = (0..CONNECTIONS_MAX)
        .map(|_| {
            let mut client = asked.client();
            let parameters =
                json!({"to": members.ids[1].to_string(), "count": 86_400, "interval_ms": 60_000});
            client.send("ping", &parameters).unwrap();
            client.receive::<PingAnswer>(Some(DEADLINE)).unwrap();
            client
        })
        .collect();

    drop(clients);

    wait_until("the places are free", || asked.client().ask::<StatusAnswer>("status", &json!({})).is_ok());
}

#[test]
fn a_capture_that_begins_during_a_handshake_has_a_whole_one_all_the_same() {
    let members = Members::new(&["A", "B", "C"]);
    let [a, b, _c] = members.chain();
    let asked = Asked::over(a);
    let of_b = b.handle().tap(TapOptions { of: TapOf::Datagrams, secrets: false }).unwrap().unwrap();
    // B is stopped when it has answered the hello: that is never sent again. If it comes too late, once more.
    let release = loop {
        wait_until("no handshake is under way", || asked.daemon.rekey(b.id()).unwrap());
        wait_until("B answers the hello", || {
            of_b.copies().recv().is_ok_and(|tapped| is_server_hello(&tapped))
        });
        let release = hold(&b);
        let sessions = asked.client().ask::<SessionsAnswer>("sessions", &json!({})).unwrap();
        if sessions.link[0].is_being_replaced {
            break release;
        }
    };

    let mut client = asked.client();
    client.send("pcap", &json!({"of": "datagrams", "secrets": true})).unwrap();
    let mut copied = Vec::new();
    let mut randoms = Vec::new();
    let mut receive = || match client.receive::<PcapAnswer>(Some(DEADLINE)).unwrap().answer {
        PcapAnswer::Copies { copies, secrets } => {
            copied.extend(copies.into_iter().map(|copy| copy.bytes));
            randoms.extend(secrets.iter().map(|line| line.split(' ').nth(1).unwrap().to_owned()));
            randoms.iter().any(|random| copied.iter().any(|datagram| datagram.contains(random)))
        }
        PcapAnswer::Done { ended_by, .. } => panic!("nobody asked for its end: {ended_by}"),
    };
    assert!(!receive(), "no session came up yet");
    drop(release);

    wait_until("there are a hello and the secrets that belong to it", receive);
}

/// A flight that begins with a ServerHello (RFC 6347, 4.3.2).
fn is_server_hello(tapped: &Tapped) -> bool {
    matches!(&tapped.what, Copied::Sent { bytes, .. } if bytes[0] == 22 && bytes[13] == 2)
}

/// Lets a node do nothing until what this returns is dropped.
fn hold(daemon: &Daemon) -> Sender<()> {
    let (is_held, wait_until_held) = bounded(1);
    let (release, wait_until_released) = bounded(0);
    let handle = daemon.handle();
    std::thread::spawn(move || {
        handle.with_node(move |_, _| {
            is_held.send(()).unwrap();
            let _ = wait_until_released.recv_timeout(DEADLINE);
        })
    });
    wait_until_held.recv_timeout(DEADLINE).unwrap();
    release
}

#[test]
fn ways_are_explained_in_sentences() {
    let members = Members::new(&["A", "B", "C"]);
    let [a, _b, _c] = members.chain();
    let asked = Asked::over(a);
    let mut client = asked.client();

    let all: RoutesAnswer = client.ask("routes", &json!({})).unwrap();
    let why: RoutesAnswer = client.ask("routes", &json!({"why": members.ids[2].to_string()})).unwrap();
    let neighbours: NeighboursAnswer = client.ask("neighbours", &json!({})).unwrap();

    assert_eq!(all.routes.len(), 2);
    assert!(all.routes.iter().all(|route| route.is_usable && route.why.is_empty()));
    let [route] = &why.routes[..] else { panic!("one destination was asked for: {why:#?}") };
    assert_eq!((route.chosen_by.as_str(), &route.via.id), ("static", &members.ids[1].to_string()));
    assert!(route.why[0].contains("a [[route]] in the configuration says so"), "{:#?}", route.why);
    assert!(route.why.iter().any(|sentence| sentence.contains("replies to it")), "{:#?}", route.why);
    assert_eq!(neighbours.neighbours[0].state, "up");
    assert_eq!(neighbours.neighbours[0].dialled_by.as_deref(), Some("we"));
}

#[test]
fn the_socket_is_for_its_owner_alone_and_goes_with_its_server() {
    let mut asked = Asked::new();
    let mode = fs::metadata(asked.socket()).unwrap().permissions().mode();
    let mut waiting = BufReader::new(asked.connect());
    let mut said = String::new();
    waiting.get_mut().write_all(&status_line(1)).unwrap();
    waiting.read_line(&mut said).unwrap();

    asked.server = None;

    assert_eq!(mode & 0o777, 0o600);
    assert!(!asked.socket().exists());
    said.clear();
    // Who waits is let go.
    let _ = waiting.read_line(&mut said);
    assert!(!said.contains("answer"), "{said}");
}

#[test]
fn a_socket_that_a_killed_node_left_behind_is_replaced() {
    let mut asked = Asked::new();
    asked.server = None;
    drop(UnixListener::bind(asked.socket()).unwrap());
    assert!(asked.socket().exists());

    asked.server = Some(asked.start().unwrap());

    asked.client().ask::<StatusAnswer>("status", &json!({})).unwrap();
}

#[test]
fn a_socket_that_somebody_answers_at_is_left_alone() {
    let asked = Asked::new();

    let refused = asked.start();

    assert!(matches!(&refused, Err(ControlStartError::Live(_))), "{refused:?}");
    let sentence = refused.unwrap_err().to_string();
    assert!(sentence.contains("stop it, or give this one a `socket` of its own"), "{sentence}");
    asked.client().ask::<StatusAnswer>("status", &json!({})).unwrap();
}

#[test]
fn a_file_that_is_no_socket_is_left_alone() {
    let mut asked = Asked::new();
    asked.server = None;
    fs::write(asked.socket(), "somebody's").unwrap();

    let refused = asked.start();

    assert!(matches!(&refused, Err(ControlStartError::NotASocket(_))), "{refused:?}");
    assert_eq!(fs::read(asked.socket()).unwrap(), b"somebody's");
}

#[test]
fn where_nobody_answers_the_client_is_told_what_to_start() {
    let refused = ControlClient::connect(Path::new("/nowhere/at/all.sock")).unwrap_err();

    assert!(refused.to_string().contains("start it with `peerbound run -c FILE`"), "{refused}");
}
