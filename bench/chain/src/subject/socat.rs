//! socat at all three: TUN interfaces at the ends, and a process in the middle that copies datagrams from one
//! association to the other.

use std::net::Ipv6Addr;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use peerbound_lab::Namespace;

use crate::chain::Chain;
use crate::program::Program;
use crate::subject::{Open, Setting};

const PORT: u16 = 7001;
const INTERFACE: &str = "tun0";

/// The largest packet: with 28 bytes of IPv4 and UDP and 37 of record it fits a wire of 1500.
const MTU: u16 = 1400;

/// As many bytes as a copy between two descriptors takes at once: more than any packet here.
const BUFFER: &str = "8192";

/// The suite that nodes agree on too.
const CIPHER: &str = "cipher=ECDHE-ECDSA-AES128-GCM-SHA256";

const A: Ipv6Addr = Ipv6Addr::new(0xfd78, 0, 0, 0, 0, 0, 0, 1);
const C: Ipv6Addr = Ipv6Addr::new(0xfd78, 0, 0, 0, 0, 0, 0, 3);

/// How long an interface may take to be there.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) fn open_udp(chain: &Chain, setting: &Setting<'_>) -> anyhow::Result<Open> {
    let datagrams = |peer, us| format!("UDP4-DATAGRAM:{peer}:{PORT},bind={us}:{PORT}");
    let relay = start(
        &chain.b,
        ("relay", setting),
        &datagrams(Chain::A, Chain::B_TO_A),
        &datagrams(Chain::C, Chain::B_TO_C),
    )?;
    let a = start(&chain.a, ("A", setting), &tun(), &datagrams(Chain::B_TO_A, Chain::A))?;
    let c = start(&chain.c, ("C", setting), &tun(), &datagrams(Chain::B_TO_C, Chain::C))?;
    finish(chain, vec![relay], vec![a, c])
}

pub(super) fn open_dtls(chain: &Chain, setting: &Setting<'_>) -> anyhow::Result<Open> {
    certify(setting.folder)?;
    let file = |name: &str| setting.folder.join(name).display().to_string();
    let own = format!("cert={},key={},verify=0,{CIPHER}", file("socat.pem"), file("socat.key"));
    let server = |us| format!("OPENSSL-DTLS-SERVER:{PORT},bind={us},{own}");
    let client = |peer| format!("OPENSSL-DTLS-CLIENT:{peer}:{PORT},verify=0,{CIPHER}");
    // socat opens its second address when the first one is open: B dials C when A has dialled B.
    let c = start(&chain.c, ("C", setting), &server(Chain::C), &tun())?;
    let relay = start(&chain.b, ("relay", setting), &server(Chain::B_TO_A), &client(Chain::C))?;
    // A ClientHello that nobody hears is sent again after a second; these two need not wait so long.
    thread::sleep(Duration::from_millis(300));
    let a = start(&chain.a, ("A", setting), &client(Chain::B_TO_A), &tun())?;
    finish(chain, vec![relay], vec![a, c])
}

fn tun() -> String {
    format!("TUN,tun-name={INTERFACE},iff-no-pi")
}

fn start(
    namespace: &Namespace,
    (name, setting): (&str, &Setting<'_>),
    first: &str,
    second: &str,
) -> anyhow::Result<Program> {
    Program::start(namespace, (name, setting.folder), &["socat", "-b", BUFFER, first, second])
}

/// Gives the interfaces addresses as soon as they are there.
fn finish(chain: &Chain, relay: Vec<Program>, mut ends: Vec<Program>) -> anyhow::Result<Open> {
    let deadline = Instant::now() + PATIENCE;
    for (host, address) in [(&chain.a, A), (&chain.c, C)] {
        while host.run("ip", ["link", "show", INTERFACE]).is_err() {
            ends.iter_mut().try_for_each(Program::check)?;
            if Instant::now() > deadline {
                bail!("socat made no interface within {PATIENCE:?}");
            }
            thread::sleep(Duration::from_millis(20));
        }
        let lines =
            format!("address add {address}/64 dev {INTERFACE} nodad\nlink set {INTERFACE} up mtu {MTU}\n");
        host.run_with_input("ip", ["-batch", "-"], &lines)?;
    }
    Ok(Open { far: C, relay, ends })
}

fn certify(folder: &Path) -> anyhow::Result<()> {
    let words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=bench \
                 -keyout socat.key -out socat.pem";
    let output = Command::new("openssl").args(words.split_whitespace()).current_dir(folder).output();
    let output = output.context("openssl cannot be run (apt install openssl)")?;
    ensure!(
        output.status.success(),
        "openssl made no certificate: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
