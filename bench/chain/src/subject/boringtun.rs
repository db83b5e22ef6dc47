//! WireGuard in user space: a tunnel from A to B, another one from C to B, and the kernel of B forwards between
//! them, as is usual where a host in the middle connects two others.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use peerbound_lab::Namespace;

use crate::chain::Chain;
use crate::program::Program;
use crate::subject::{Open, Setting, find};

/// The first port of B; each of its tunnels has one.
const PORT: u16 = 7001;

/// What WireGuard chooses for a wire of 1500.
const MTU: u16 = 1420;

const A: Ipv6Addr = Ipv6Addr::new(0xfd79, 0, 0, 0, 0, 0, 0, 1);
const C: Ipv6Addr = Ipv6Addr::new(0xfd79, 0, 0, 0, 0, 0, 0, 3);
const EVERYBODY: &str = "fd79::/16";

/// How long a program may take until it can be told what to do.
const PATIENCE: Duration = Duration::from_secs(10);

/// The control socket lies in a folder that all hosts of this machine would share.
const OWN_FOLDER: &str =
    "mkdir -p /var/run/wireguard && mount -t tmpfs tmpfs /var/run/wireguard && exec \"$@\"";

/// One end of a tunnel.
struct End<'a> {
    host: &'a Namespace,
    interface: &'a str,
    listen: u16,
    /// What the other end may send.
    allowed: String,
    /// Where the other end is.
    peer: (Ipv4Addr, u16),
}

pub(super) fn open(chain: &Chain, setting: &Setting<'_>) -> anyhow::Result<Open> {
    let mut open = Open { far: C, relay: Vec::new(), ends: Vec::new() };
    let ends = [
        (&chain.a, "wg-a", A, (Chain::A, Chain::B_TO_A), PORT),
        (&chain.c, "wg-c", C, (Chain::C, Chain::B_TO_C), PORT + 1),
    ];
    for (host, interface, address, (outer, relay), port) in ends {
        let far = End { host, interface, listen: PORT, allowed: EVERYBODY.to_owned(), peer: (relay, port) };
        let near = End {
            host: &chain.b,
            interface,
            listen: port,
            allowed: format!("{address}/128"),
            peer: (outer, PORT),
        };
        let [far_key, near_key] = [(), ()].map(|()| key(setting.folder));
        let (far_key, near_key) = (far_key?, near_key?);
        open.ends.push(start(&far, &format!("{interface}-far"), (&far_key.0, &near_key.1), setting)?);
        open.relay.push(start(&near, &format!("{interface}-near"), (&near_key.0, &far_key.1), setting)?);
        let up = format!("link set {interface} up mtu {MTU}\n");
        let lines = format!(
            "address add {address}/128 dev {interface} nodad\n{up}route add {EVERYBODY} dev {interface}\n"
        );
        host.run_with_input("ip", ["-6", "-batch", "-"], &lines)?;
        let lines = format!("{up}route add {address}/128 dev {interface}\n");
        chain.b.run_with_input("ip", ["-6", "-batch", "-"], &lines)?;
    }
    chain.b.set("ipv6/conf/all/forwarding", "1")?;
    Ok(open)
}

/// Makes a private key and its public one.
fn key(folder: &Path) -> anyhow::Result<(String, String)> {
    let private = wg(folder, &["genkey"], "")?;
    let public = wg(folder, &["pubkey"], &private)?;
    Ok((private, public))
}

fn wg(folder: &Path, words: &[&str], input: &str) -> anyhow::Result<String> {
    let file = folder.join("wg-input");
    std::fs::write(&file, input)?;
    let output = Command::new("wg").args(words).stdin(std::fs::File::open(&file)?).output();
    let output = output.context("wg cannot be run")?;
    ensure!(output.status.success(), "wg {} failed", words.join(" "));
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// Starts one end and tells it who the other one is.
fn start(
    end: &End<'_>,
    name: &str,
    (private, public): (&str, &str),
    setting: &Setting<'_>,
) -> anyhow::Result<Program> {
    let boringtun = find("boringtun-cli").context("boringtun-cli is not installed")?.display().to_string();
    let words = ["unshare", "--mount", "sh", "-c", OWN_FOLDER, "sh", &boringtun];
    let words = [&words[..], &["--foreground", "--disable-drop-privileges", end.interface]].concat();
    let mut program = Program::start(end.host, (name, setting.folder), &words)?;
    let file = setting.folder.join(format!("{name}.key"));
    std::fs::write(&file, private)?;
    let (listen, endpoint) = (end.listen.to_string(), format!("{}:{}", end.peer.0, end.peer.1));
    let (id, file) = (program.id().to_string(), file.display().to_string());
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut command = Command::new("nsenter");
        command.args(["--target", &id, "--mount", "--net", "--", "wg", "set", end.interface]);
        command.args(["listen-port", &listen, "private-key", &file, "peer", public]);
        command.args(["allowed-ips", &end.allowed, "endpoint", &endpoint]);
        let output = command.stdin(Stdio::null()).output().context("nsenter cannot be run")?;
        if output.status.success() {
            return Ok(program);
        }
        program.check()?;
        if Instant::now() > deadline {
            bail!("{name} cannot be set up: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        thread::sleep(Duration::from_millis(30));
    }
}
