//! What a node shows over HTTP.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;

use peerbound_daemon::{Daemon, MetricsServer};

use crate::support::{DEADLINE, Members, wait_until};

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

#[test]
fn neighbours_drops_and_locks_are_counted_as_prometheus_reads_them() {
    let members = Members::new(&["A", "B", "C"]);
    let [_a, b, _c] = members.chain();
    let server = start(&b);
    // Three direct datagrams from nobody: the lock that holds them up is the demultiplexer.
    let stranger = UdpSocket::bind(ANY).unwrap();
    let record = [23, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 1, 0, 1, 7];
    for _ in 0..3 {
        stranger.send_to(&record, b.address()).unwrap();
    }

    wait_until("the datagrams are counted", || {
        get(&server, "/metrics").contains("peerbound_datagrams_locked_out_total{lock=\"demux\"} 3\n")
    });

    let text = get(&server, "/metrics");
    assert!(text.starts_with("HTTP/1.1 200 OK\r\nContent-Type: application/openmetrics-text;"), "{text}");
    assert!(text.ends_with("# EOF\n"), "{text}");
    for line in [
        "peerbound_datagrams_dropped_total{reason=\"no-session\"} 3",
        "peerbound_neighbour_up{neighbour=\"node0\"} 1",
        "peerbound_neighbour_heard{neighbour=\"node2\"} 1",
        "peerbound_frames_lost_count_of 0",
        "# TYPE peerbound_frames_dropped counter",
        // From the start, so that the first event has a rate.
        "peerbound_frames_dropped_total{reason=\"codel\"} 0",
        "peerbound_datagrams_dropped_total{reason=\"half-open-full\"} 0",
        "peerbound_packets_dropped_total{reason=\"too-big\"} 0",
        "peerbound_datagrams_locked_out_total{lock=\"identity\"} 0",
        "peerbound_queue_frames{neighbour=\"node0\"} 0",
        "peerbound_queue_frames_passed_total{neighbour=\"node2\"} 0",
    ] {
        assert!(text.lines().any(|of_page| of_page == line), "{line} in {text}");
    }
}

#[test]
fn every_line_of_the_alerting_rules_and_the_dashboard_names_a_metric_that_exists() {
    let members = Members::new(&["A", "B", "C"]);
    let [_a, b, _c] = members.chain();
    let text = get(&start(&b), "/metrics");
    let described: Vec<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .map(|line| line.split_once(' ').unwrap())
        .map(|(name, kind)| if kind == "counter" { format!("{name}_total") } else { name.to_owned() })
        .collect();

    for file in ["rules.yml", "grafana-dashboard.json"] {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../examples/monitoring").join(file);
        let text = std::fs::read_to_string(path).unwrap();
        let is_part = |character: char| character.is_ascii_alphanumeric() || character == '_';
        let named: Vec<_> = text
            .split(|character| !is_part(character))
            .filter(|word| word.starts_with("peerbound_"))
            .collect();
        assert!(named.len() >= 7, "{file}: {named:?}");
        for name in named {
            assert!(described.iter().any(|known| known == name), "{file}: {name} is not among {described:?}");
        }
    }
}

#[test]
fn a_node_is_healthy_when_a_neighbour_is_up() {
    let members = Members::new(&["A", "B"]);
    let b = members.start(1, &[(0, None)], &[]);
    let server = start(&b);

    let alone = get(&server, "/healthz");
    let a = members.start(0, &[(1, Some(b.address()))], &[]);
    wait_until("A is up", || get(&server, "/healthz").starts_with("HTTP/1.1 200 "));

    assert!(
        alone.starts_with("HTTP/1.1 503 ") && alone.contains("\"reason\":\"no neighbour is up\""),
        "{alone}"
    );
    drop(a);
}

#[test]
fn the_page_and_what_it_shows_are_served_and_nothing_else() {
    let members = Members::new(&["A", "B", "C"]);
    let [_a, b, _c] = members.chain();
    let server = start(&b);

    assert!(get(&server, "/").contains("<title>peerbound</title>"));
    let status = get(&server, "/status.json");
    let body: serde_json::Value = serde_json::from_str(status.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!(body["neighbours"].as_array().unwrap().len(), 2);
    assert_eq!(body["status"]["id"], b.id().to_string());
    assert!(get(&server, "/etc/passwd").starts_with("HTTP/1.1 404 "));
}

#[test]
fn clients_that_hang_do_not_keep_others_from_being_answered_or_the_node_from_stopping() {
    let members = Members::new(&["A", "B"]);
    let b = members.start(1, &[(0, None)], &[]);
    let server = start(&b);

    let hanging: Vec<_> = (0..8).map(|_| TcpStream::connect(server.address()).unwrap()).collect();

    assert!(get(&server, "/metrics").starts_with("HTTP/1.1 200 "));
    drop(server);
    b.shutdown(DEADLINE).unwrap();
    drop(hanging);
}

#[test]
fn an_address_in_use_is_named() {
    let members = Members::new(&["A", "B"]);
    let b = members.start(1, &[(0, None)], &[]);
    let taken = TcpListener::bind(ANY).unwrap();
    let address = taken.local_addr().unwrap();

    let refusal = MetricsServer::start(&b, address, PathBuf::new()).unwrap_err().to_string();

    assert!(refusal.starts_with(&format!("the metrics cannot be shown at {address}: ")), "{refusal}");
    assert!(refusal.ends_with("; choose another address in `metrics.listen`"), "{refusal}");
}

fn start(daemon: &Daemon) -> MetricsServer {
    MetricsServer::start(daemon, ANY, PathBuf::from("b.toml")).unwrap()
}

fn get(server: &MetricsServer, path: &str) -> String {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: node\r\n\r\n").as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}
