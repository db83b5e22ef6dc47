//! Three nodes; the ends have interfaces, the one in the middle only relays.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use crate::chain::Chain;
use crate::program::Program;
use crate::subject::{Open, Setting};

const PORT: u16 = 7001;

/// What a wire with an MTU of 1500 takes, less 28 bytes of IPv4 and UDP.
const LINK_MTU: u64 = 1472;

/// Frames of full size: a datagram, less 37 bytes of record.
const FRAME_BYTES: u64 = LINK_MTU - 37;

/// How long nodes may take until their links carry frames of full size: the search for a link's MTU takes 6 s
/// where its first probe is lost.
const PATIENCE: Duration = Duration::from_secs(30);

/// A node: its name, where it listens, and whom it has as a neighbour, dialled or not.
struct Cast {
    name: &'static str,
    address: Ipv4Addr,
    neighbours: &'static [(&'static str, Option<Ipv4Addr>)],
    is_end: bool,
}

const CAST: [Cast; 3] = [
    Cast { name: "A", address: Chain::A, neighbours: &[("B", Some(Chain::B_TO_A))], is_end: true },
    Cast {
        name: "B",
        address: Ipv4Addr::UNSPECIFIED,
        neighbours: &[("A", None), ("C", None)],
        is_end: false,
    },
    Cast { name: "C", address: Chain::C, neighbours: &[("B", Some(Chain::B_TO_C))], is_end: true },
];

pub(super) fn open(chain: &Chain, setting: &Setting<'_>, end_to_end: &str) -> anyhow::Result<Open> {
    let folder = setting.folder;
    run(setting, &["pki", "--json", "init", "--dir", "pki"])?;
    let mut programs = Vec::new();
    for (cast, host) in CAST.iter().zip([&chain.a, &chain.b, &chain.c]) {
        run(setting, &["pki", "--json", "issue", "--dir", "pki", cast.name])?;
        std::fs::write(folder.join(file_of(cast)), config(cast, end_to_end, setting.measured.node))?;
        programs.push((cast, host));
    }
    let started: anyhow::Result<Vec<_>> = programs
        .into_iter()
        .map(|(cast, host)| {
            let file = folder.join(file_of(cast)).display().to_string();
            let program = setting.measured.program.display().to_string();
            Program::start(host, (cast.name, folder), &[&program, "run", "-c", &file])
        })
        .collect();
    let [mut a, mut b, mut c] =
        <[Program; 3]>::try_from(started?).map_err(|_| anyhow::anyhow!("there are three nodes"))?;
    let deadline = Instant::now() + PATIENCE;
    for (cast, program) in CAST.iter().zip([&mut a, &mut b, &mut c]) {
        wait_for_full_size(cast, program, setting, deadline)?;
    }
    let far = overlay_address(setting, "C")?;
    Ok(Open { far, relay: vec![b], ends: vec![a, c] })
}

fn file_of(cast: &Cast) -> String {
    format!("{}.toml", cast.name)
}

fn config(cast: &Cast, end_to_end: &str, lines: &[String]) -> String {
    let (name, address, lines) = (cast.name, cast.address, lines.join("\n"));
    let mut text = format!(
        "[node]\ncertificate = \"pki/{name}.pem\"\nkey = \"pki/{name}.key\"\nroots = [\"pki/ca.pem\"]\n\
         listen = \"{address}:{PORT}\"\nmtu = {LINK_MTU}\ne2e = \"{end_to_end}\"\n{lines}\n\
         [control]\nsocket = \"{name}.sock\"\n"
    );
    let mut put =
        |line: std::fmt::Arguments<'_>| text.write_fmt(line).expect("a string takes what is written");
    for (neighbour, address) in cast.neighbours {
        put(format_args!("[[neighbour]]\nname = \"{neighbour}\"\ncertificate = \"pki/{neighbour}.pem\"\n"));
        if let Some(address) = address {
            put(format_args!("address = \"{}:{PORT}\"\n", IpAddr::V4(*address)));
        }
    }
    if cast.is_end {
        let other = if cast.name == "A" { "C" } else { "A" };
        put(format_args!(
            "[[route]]\nto = \"{other}\"\nvia = \"B\"\n[names]\n{other} = \"pki/{other}.pem\"\n[tun]\n"
        ));
    }
    text
}

/// Waits until the links of a node carry frames of full size: earlier, the kernels of the ends would remember
/// for minutes that the way takes only small packets.
fn wait_for_full_size(
    cast: &Cast,
    program: &mut Program,
    setting: &Setting<'_>,
    deadline: Instant,
) -> anyhow::Result<()> {
    loop {
        program.check()?;
        let asked = run(setting, &["neighbours", "--json", "-c", &file_of(cast)]);
        let is_full = asked.as_ref().is_ok_and(|answer| are_full(answer, cast.neighbours.len()));
        if is_full {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("{} has no links for {FRAME_BYTES} bytes after {PATIENCE:?}: {asked:?}", cast.name);
        }
        thread::sleep(Duration::from_millis(50));
    }
}

fn are_full(answer: &Value, count: usize) -> bool {
    let neighbours = answer["neighbours"].as_array().map(Vec::as_slice).unwrap_or_default();
    let is_full = |neighbour: &Value| {
        neighbour["state"] == "up"
            && neighbour["frame_bytes_max"].as_u64().is_some_and(|max| max >= FRAME_BYTES)
    };
    neighbours.len() == count && neighbours.iter().all(is_full)
}

fn overlay_address(setting: &Setting<'_>, name: &str) -> anyhow::Result<Ipv6Addr> {
    let shown = run(setting, &["pki", "show", "--json", &format!("pki/{name}.pem")])?;
    let overlay = shown["overlay"].as_str().context("`pki show` says no address")?;
    Ok(overlay.parse()?)
}

/// Runs the program in the folder and returns the JSON that it prints, if it prints any.
fn run(setting: &Setting<'_>, words: &[&str]) -> anyhow::Result<Value> {
    run_in(setting.folder, setting.measured.program, words)
}

fn run_in(folder: &Path, program: &Path, words: &[&str]) -> anyhow::Result<Value> {
    let output = Command::new(program).args(words).current_dir(folder).output();
    let output = output.with_context(|| format!("{} cannot be run", program.display()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "`peerbound {}` failed: {}", words.join(" "), said.trim());
    Ok(serde_json::from_slice(&output.stdout).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn links_are_waited_for_until_all_are_there_and_of_full_size() {
        let neighbour = |state: &str, bytes: u64| json!({"state": state, "frame_bytes_max": bytes});
        let answer = |neighbours: &[Value]| json!({ "neighbours": neighbours });

        assert!(are_full(&answer(&[neighbour("up", 1435), neighbour("up", 1435)]), 2));
        assert!(!are_full(&answer(&[neighbour("up", 1435), neighbour("up", 1163)]), 2));
        assert!(!are_full(&answer(&[neighbour("up", 1435), neighbour("opening", 1435)]), 2));
        assert!(!are_full(&answer(&[neighbour("up", 1435)]), 2));
    }

    #[test]
    fn only_the_ends_have_interfaces() {
        let texts = CAST.map(|cast| config(&cast, "on", &[]));

        assert_eq!(texts.each_ref().map(|text| text.contains("[tun]")), [true, false, true]);
        assert!(texts[0].contains("address = \"10.77.1.2:7001\""), "{}", texts[0]);
    }
}
