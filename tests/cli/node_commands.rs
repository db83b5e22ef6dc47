//! Nodes that start, and do not find what they need.

use std::net::UdpSocket;
use std::process::Stdio;

use crate::folder::Folder;
use crate::support::{Finished, Program};

#[test]
fn a_port_in_use_is_named_with_the_way_out() {
    let folder = Folder::with_pki();
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    folder.write_altered("127.0.0.1:0", &address);

    let sentence = folder.run(&["run", "-c", "a.toml"]).refusal(1);

    assert!(sentence.starts_with(&format!("{address} cannot be bound: ")), "{sentence}");
    assert!(sentence.ends_with("or choose another in `listen`"), "{sentence}");
}

#[test]
fn an_address_of_another_host_is_named_with_the_way_out() {
    let folder = Folder::with_pki();
    // TEST-NET-1 (RFC 5737): no host has it.
    folder.write_altered("127.0.0.1:0", "192.0.2.1:7001");

    let sentence = folder.run(&["run", "-c", "a.toml"]).refusal(1);

    assert!(sentence.starts_with("192.0.2.1:7001 cannot be bound: "), "{sentence}");
    assert!(sentence.ends_with("choose an address of this host in `listen`"), "{sentence}");
}

#[test]
fn a_neighbour_that_does_not_come_up_is_named_with_what_to_look_at() {
    let folder = Folder::with_node();

    let sentence = send(&folder, &["--wait", "1", "B"], "anyone?\n").refusal(1);

    assert!(sentence.starts_with("no way to B: neighbour \"B\" is down ("), "{sentence}");
    assert!(
        sentence.ends_with("see that it runs at 127.0.0.1:9 and has this node among its neighbours"),
        "{sentence}"
    );
}

#[test]
fn a_node_that_nothing_leads_to_is_answered_with_what_to_add() {
    let folder = Folder::with_node();

    let sentence =
        send(&folder, &["--wait", "0", "00112233445566778899aabbccddeeff"], "anyone?\n").refusal(1);

    assert!(sentence.starts_with("no way to 00112233: "), "{sentence}");
    assert!(sentence.ends_with("add a [[route]] to it"), "{sentence}");
}

#[test]
fn without_a_line_to_send_nothing_fails() {
    let folder = Folder::with_node();

    assert_eq!(send(&folder, &["B"], "").success(), "");
}

#[test]
#[cfg(unix)]
fn a_line_that_waits_for_its_way_does_not_keep_the_sender_from_stopping() {
    let folder = Folder::with_node();
    let mut sender =
        Program::start("A", &mut folder.command(&["send", "-c", "a.toml", "--json", "--wait", "86400", "B"]));
    sender.type_line("anyone?");
    // The dial is given up after a while; by then the line has been waiting.
    sender.wait_for_neighbour("neighbour_not_reached", "B");

    sender.terminate();

    assert_eq!(sender.wait().code, Some(0));
}

fn send(folder: &Folder, arguments: &[&str], input: &str) -> Finished {
    folder.write("input", input);
    let arguments = [&["send", "-c", "a.toml"], arguments].concat();
    let input = std::fs::File::open(folder.path("input")).unwrap();
    Finished::of(folder.command(&arguments).stdin(Stdio::from(input)))
}
