//! Reads captures with tshark, somebody else's eyes.

use std::env;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

/// What tshark makes of one packet.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) comment: String,
    pub(crate) packet_id: u64,
    pub(crate) interface: String,
    pub(crate) checksums_good: bool,
    /// What it decrypted and took for application data.
    pub(crate) plaintext: Vec<u8>,
}

/// Lets tshark read the file and nothing beside it; `None` when it is not installed.
pub(crate) fn read_with_tshark(file: &Path) -> Result<Option<Vec<Row>>> {
    let mut tshark = Command::new("tshark");
    tshark.arg("-r").arg(file).args(["-o", "udp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE"]);
    tshark.args(["-T", "fields"]);
    let fields =
        ["frame.comment", "frame.packet_id", "frame.interface_name", "udp.checksum.status", "data.data"];
    for field in fields {
        tshark.args(["-e", field]);
    }
    let output = match tshark.output() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let advice = "tshark is not installed (apt-get install tshark)";
            if env::var_os("PEERBOUND_REQUIRE_PEERS").is_some_and(|value| value == "1") {
                bail!("{advice}");
            }
            println!("skipped: {advice}");
            return Ok(None);
        }
        output => output.context("tshark cannot be run")?,
    };
    ensure!(output.status.success(), "tshark: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout)?.lines().map(Row::parse).collect::<Result<_>>().map(Some)
}

impl Row {
    fn parse(line: &str) -> Result<Self> {
        let columns: Vec<_> = line.split('\t').collect();
        let [comment, packet_id, interface, checksum_status, plaintext] = columns[..] else {
            bail!("tshark said something else: {line}");
        };
        let digits: Vec<_> = plaintext.as_bytes().chunks(2).collect();
        let bytes = digits
            .into_iter()
            .map(|pair| Ok(u8::from_str_radix(std::str::from_utf8(pair)?, 16)?))
            .collect::<Result<Vec<_>>>()?;
        Ok(Self {
            comment: comment.to_owned(),
            packet_id: packet_id.parse().unwrap_or(u64::MAX),
            interface: interface.to_owned(),
            checksums_good: checksum_status == "1",
            plaintext: bytes,
        })
    }
}
