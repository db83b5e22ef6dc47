//! Datagrams that reach A's port from where A has no session: the direct reply and its relatives.

use std::net::UdpSocket;
use std::time::Instant;

use peerbound_dtls::{Authority, Context, ContextConfig, Session, SessionOptions, Validity};

use crate::support::DEADLINE;
use crate::topology::Topology;

/// Rounds of traffic and junk.
const ROUNDS: usize = 20;

#[test]
fn datagrams_from_no_neighbour_reach_nobody_and_traffic_goes_on() {
    let topology = Topology::new();
    let mut chain = topology.start();
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    stranger.connect(("127.0.0.1", topology.a_port)).unwrap();
    let hostile = [
        b"Yes, A: directly.".to_vec(),
        direct_reply(),
        vec![22],
        vec![0xff; 1200],
        direct_reply()[..14].to_vec(),
    ];

    for round in 0..ROUNDS {
        for datagram in &hostile {
            stranger.send(datagram).unwrap();
        }
        chain.exchange(&format!("line {round}"));
    }
    let a = chain.a.wait();

    assert_eq!((a.code, a.stderr.as_str()), (Some(0), ""), "{a:#?}");
    let (echoes, others): (Vec<_>, Vec<_>) = a.said.iter().partition(|said| said["event"] == "delivered");
    assert_eq!(echoes.len(), ROUNDS);
    assert!(echoes.iter().all(|echo| echo["from"] == "C"), "{echoes:#?}");
    assert!(others.iter().all(|other| other["event"] == "neighbour_up"), "{others:#?}");
    assert_only_advice(&stranger, &hostile[1]);
}

/// A record of a session that is not there may be from somebody who has not heard that we restarted: he is
/// advised of it, in the clear, by less than he sent. Nothing else is answered.
fn assert_only_advice(stranger: &UdpSocket, asked_by: &[u8]) {
    const ALERT: u8 = 21;
    const ADVICE_BYTES: usize = 15;
    stranger.set_nonblocking(true).unwrap();
    let mut answer = [0; 2048];
    let mut answers = 0;
    while let Ok(length) = stranger.recv(&mut answer) {
        assert_eq!((answer[0], length), (ALERT, ADVICE_BYTES), "A answers no stray datagram but by advice");
        // It quotes the number of the record, at epoch 0.
        assert_eq!(answer[3..11], [&[0, 0], &asked_by[5..11]].concat(), "of the record that was sent");
        answers += 1;
    }
    assert!(answers <= ROUNDS, "{answers} for {ROUNDS} records");
}

#[test]
fn a_hello_from_a_stranger_gets_a_cookie_that_is_no_larger_and_no_line_of_output() {
    let topology = Topology::new();
    let mut chain = topology.start();
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    stranger.connect(("127.0.0.1", topology.a_port)).unwrap();
    stranger.set_read_timeout(Some(DEADLINE)).unwrap();
    let hello = client_hello();

    stranger.send(&hello).unwrap();
    let mut answer = [0; 2048];
    let answered = stranger.recv(&mut answer).expect("A asks for the cookie");
    chain.exchange("meanwhile");
    let a = chain.a.wait();

    const HANDSHAKE: u8 = 22;
    const HELLO_VERIFY_REQUEST: u8 = 3;
    assert_eq!((answer[0], answer[13]), (HANDSHAKE, HELLO_VERIFY_REQUEST));
    assert!(answered <= hello.len(), "{answered} bytes for {}", hello.len());
    assert_eq!(a.code, Some(0), "{a:#?}");
    assert!(a.said.iter().all(|said| said["event"] != "refused"), "{a:#?}");
}

/// A record as C seals it for B: application data of epoch 1 that A has no key for.
fn direct_reply() -> Vec<u8> {
    const BODY: [u8; 80] = [0x5a; 80];
    let mut record = vec![23, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 7, 0, 80];
    record.extend(BODY);
    record
}

fn client_hello() -> Vec<u8> {
    let validity = Validity::days(peerbound_daemon::unix_seconds(), 1);
    let authority = Authority::generate("another root", validity).unwrap();
    let identity = authority.issue("stranger", validity).unwrap();
    let context = Context::new(ContextConfig::new(identity, vec![authority.to_root()])).unwrap();
    let mut session = Session::connect(&context, &SessionOptions::default(), Instant::now()).unwrap();
    session.poll_transmit().expect("a client speaks first").to_vec()
}
