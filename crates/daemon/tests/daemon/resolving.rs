//! Names of nodes, asked for over real sockets and read from a file.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::AAAA;
use hickory_proto::rr::{Name, RData, RecordType};
use peerbound_daemon::{Daemon, ResolverConfig};

use crate::support::{DEADLINE, Members, wait_until};

const ANY_PORT: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// A node that knows the node 1 as "Printer" and answers on a free port.
fn resolver(members: &Members) -> (Daemon, SocketAddr) {
    let mut config = members.config(0, ANY_PORT);
    config.names = [(members.ids[1], "Printer".to_owned())].into();
    config.resolver = Some(ResolverConfig { listen: Some(ANY_PORT), serves_all: true, hosts_file: None });
    let daemon = Daemon::start(config).unwrap();
    let address = daemon.resolver_address().unwrap();
    (daemon, address)
}

fn question(name: &str) -> Vec<u8> {
    let mut message = Message::new(7, MessageType::Query, OpCode::Query);
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), RecordType::AAAA));
    message.to_vec().unwrap()
}

fn ask(to: SocketAddr, name: &str) -> Message {
    let socket = UdpSocket::bind(ANY_PORT).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket.send_to(&question(name), to).unwrap();
    let mut answer = [0; 2000];
    let (len, _) = socket.recv_from(&mut answer).unwrap();
    Message::from_vec(&answer[..len]).unwrap()
}

#[test]
fn a_name_is_answered_over_datagrams_whatever_came_before() {
    let members = Members::new(&["A", "B"]);
    let (_daemon, address) = resolver(&members);
    let hostile = UdpSocket::bind(ANY_PORT).unwrap();
    for bytes in [&b""[..], b"x", &[0xff; 12], &[0; 1500]] {
        hostile.send_to(bytes, address).unwrap();
    }

    let found = ask(address, "printer.peerbound.");
    let unknown = ask(address, "plotter.peerbound.");

    assert_eq!(found.answers[0].data, RData::AAAA(AAAA(members.ids[1].address())));
    assert_eq!(unknown.metadata.response_code, ResponseCode::NXDomain);
}

#[test]
fn names_are_answered_over_a_stream_as_well_also_in_pieces() {
    let members = Members::new(&["A", "B"]);
    let (_daemon, address) = resolver(&members);
    // As many as have a place say nothing; they do not keep others out for ever.
    let silent: Vec<_> = (0..8).map(|_| TcpStream::connect(address).unwrap()).collect();

    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let question = question("printer.peerbound.");
    let framed = [&u16::try_from(question.len()).unwrap().to_be_bytes(), &question[..]].concat();
    let (first, second) = framed.split_at(5);
    stream.write_all(first).unwrap();
    stream.write_all(second).unwrap();
    let mut length = [0; 2];
    stream.read_exact(&mut length).unwrap();
    let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut answer).unwrap();

    let answer = Message::from_vec(&answer).unwrap();
    assert_eq!(answer.answers[0].data, RData::AAAA(AAAA(members.ids[1].address())));
    drop(silent);
}

#[test]
fn a_file_of_names_is_kept() {
    let members = Members::new(&["A", "B"]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hosts");
    let mut config = members.config(0, ANY_PORT);
    config.names = [(members.ids[1], "Printer".to_owned())].into();
    config.resolver =
        Some(ResolverConfig { listen: None, serves_all: false, hosts_file: Some(path.clone()) });

    let _daemon = Daemon::start(config).unwrap();

    let line = format!("{} printer.peerbound\n", members.ids[1].address());
    wait_until("the file has the name", || {
        std::fs::read_to_string(&path).is_ok_and(|text| text.contains(&line))
    });
}
