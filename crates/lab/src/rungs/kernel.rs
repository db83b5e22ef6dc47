//! Rung 0: A's socket is connected to B, and the kernel itself turns C away.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use peerbound_node::{DEAD_AFTER, Lock};

use crate::cast::{Cast, Who};
use crate::report::Rung;
use crate::rig::{Plan, Rig, RigError, SocketMode, socket_error};
use crate::rungs::{End, REPLY, Script, Seen, describe, is_sealed_by_c};
use crate::tape::{Tape, Taped, since_1970};

/// The ICMP error comes back within the same host, in microseconds. The nodes stand still while C
/// waits for it, so it must be well below the time after which they give each other up.
const ICMP_PATIENCE: Duration = Duration::from_millis(500);
const _: () = assert!(ICMP_PATIENCE.as_millis() * 2 < DEAD_AFTER.as_millis());

pub(crate) fn connected_socket(cast: &Cast, tape: &mut Tape) -> Result<Rung, RigError> {
    with_socket(cast, tape, SocketMode::ConnectedToB)
}

/// The experiment on a socket of either mode, so that a test can take the lock away.
pub(crate) fn with_socket(cast: &Cast, tape: &mut Tape, a_socket: SocketMode) -> Result<Rung, RigError> {
    let script = Script {
        label: "0",
        setup: "A's socket is connected to B; C sends from a socket connected to A, for only such a one hears of errors",
        meaning: "The datagram never reaches A's DTLS: a connected UDP socket takes datagrams from its peer only.",
        clause: "connect(2), udp(7); RFC 1122, 4.1.3.1 (port unreachable)",
        end: End::Lock(Lock::Kernel),
        a_b_alive: true,
    };
    let mut rig = Rig::up(cast, Plan { a_socket, ..Plan::CHAIN })?;
    let reply = rig.seal(Who::C, Who::A, true, REPLY)?;
    let a = rig.station(Who::A).address;
    let arrivals_before = rig.station(Who::A).arrivals.len();
    let mut sent = describe(&rig, "its reply, sealed for B, straight to A", Who::C, &reply)?;

    let (source, refusal) = send_and_listen(rig.station(Who::C).address, a, &reply)?;
    sent.source = source.to_string();
    rig.tape.record(Taped {
        at: since_1970(),
        station: Who::C.index(),
        source,
        destination: a,
        payload: reply.clone(),
        verdict: None,
        comment: Some("rung 0: straight to A, whose socket is connected to B".to_owned()),
    });
    // What B sends afterwards arrives, and what C sent before would have stood in front of it.
    let a_b_alive = rig.a_b_is_alive();
    let reached =
        rig.station(Who::A).arrivals[arrivals_before..].iter().any(|arrival| arrival.datagram == reply);

    let refused = refusal.as_ref().is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
    let evidence = vec![
        match &refusal {
            Some(error) => format!("C's socket: {error}"),
            None => "C's socket: no error came back".to_owned(),
        },
        format!("A's node: {} datagrams with these bytes", u8::from(reached)),
    ];
    let (end, observed) = match (reached, refused) {
        (false, true) => (End::Lock(Lock::Kernel), "dropped by the kernel; C got ECONNREFUSED"),
        (true, _) => (End::Unknown, "it reached A's node"),
        (false, false) => (End::Unknown, "it vanished, and C was told nothing"),
    };
    let observed = observed.to_owned();
    let rest_holds = is_sealed_by_c(&sent);
    tape.append(rig.finish());
    Ok(script.report(Seen { sent, observed, end, evidence, follow_up: None, a_b_alive, rest_holds }))
}

/// Sends from a socket of C's own that is connected to A, for only such a socket is told of ICMP
/// errors; returns its address and the error.
fn send_and_listen(
    c: SocketAddr,
    a: SocketAddr,
    datagram: &[u8],
) -> Result<(SocketAddr, Option<io::Error>), RigError> {
    let attempt = || -> io::Result<(UdpSocket, SocketAddr)> {
        let socket = UdpSocket::bind(SocketAddr::new(c.ip(), 0))?;
        socket.connect(a)?;
        socket.set_read_timeout(Some(ICMP_PATIENCE))?;
        socket.send(datagram)?;
        let address = socket.local_addr()?;
        Ok((socket, address))
    };
    let (socket, address) = attempt().map_err(|source| socket_error("C's socket to A", source))?;
    let refusal = socket.recv(&mut [0; 1]).err().filter(|error| {
        // A timeout says that nothing came back: no evidence.
        !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
    });
    Ok((address, refusal))
}
