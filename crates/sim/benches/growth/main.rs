//! How a world grows: meshes of degree 6 at 1 % loss, all sessions real, until every link carries frames
//! both ways, every node has a way to every other, and a thousand pairs have talked. Each size runs in a
//! process of its own, so that memory is that of its own.
//!
//! `cargo bench -p peerbound-sim --bench growth -- [NODES..] [links]`; with `links`, nobody looks for
//! ways, and only links are measured.

use std::process::Command;

use mesh::{Measured, Ways, measure};

mod mesh;

/// Set where this program was started by itself, to the number of nodes.
const NODES_VARIABLE: &str = "PEERBOUND_SIM_NODES";

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let ways = if words.iter().any(|word| word == "links") { Ways::None } else { Ways::Found };
    if let Ok(nodes) = std::env::var(NODES_VARIABLE) {
        println!("{}", measure(nodes.parse().expect("a number of nodes"), ways));
        return;
    }
    let asked: Vec<usize> = words.iter().filter_map(|word| word.parse().ok()).collect();
    let sizes = if asked.is_empty() { vec![100, 300, 1000] } else { asked };
    println!(
        "| nodes | certificates | links up | all ways | pairs talked | ten seconds more | datagrams | updates | memory |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for nodes in sizes {
        print_row(&measure_apart(nodes, ways));
    }
}

/// Measures in a process of its own.
fn measure_apart(nodes: usize, ways: Ways) -> Measured {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    if ways == Ways::None {
        command.arg("links");
    }
    let output =
        command.env(NODES_VARIABLE, nodes.to_string()).stderr(std::process::Stdio::inherit()).output();
    let output = output.expect("this program can be started");
    assert!(output.status.success(), "a mesh of {nodes} nodes failed");
    Measured::parse(&String::from_utf8_lossy(&output.stdout)).expect("a line of numbers")
}

fn print_row(measured: &Measured) {
    let Measured { nodes, made, up, up_at, ways, ways_at, talked, talked_at, idle, .. } = measured;
    let Measured { datagrams, updates, megabytes, .. } = measured;
    println!(
        "| {nodes} | {made:.1} s | {up:.1} s ({up_at:.1}) | {ways:.1} s ({ways_at:.1}) | {talked:.1} s ({talked_at:.1}) | {idle:.1} s | {datagrams} | {updates} | {megabytes} MB |"
    );
}
