//! `peerbound pcap`: writes what passes a running node into a file that Wireshark reads.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::anyhow;
use clap::Args;
use crossbeam_channel::{Receiver, bounded, select};
use peerbound_daemon::control::answers::{CopyAnswer, PcapAnswer, StatusAnswer};
use peerbound_daemon::control::{ClientError, ControlClient, Replied};
use peerbound_lab::{Capture, CaptureError, CapturedFrame, CapturedPacket, InterfaceIndex};
use serde::Serialize;

use crate::ask::{Nothing, Target, failure};
use crate::outcome::{CommandResult, Failure, Outcome};
use crate::output::Output;
use crate::pki::{Secrecy, write_new};
use crate::running;

/// Lines that may wait between reader and writer: 64 x 180 kB = 12 MB.
const LINES_WAITING_MAX: usize = 64;

#[derive(Args)]
#[command(
    after_help = "Examples:\n  peerbound pcap frames.pcapng --seconds 10\n  peerbound pcap wire.pcapng --datagrams --secrets --count 1000\n\nWithout --count, --bytes or --seconds it goes on until Ctrl-C."
)]
pub(crate) struct PcapArguments {
    #[command(flatten)]
    target: Target,
    /// The file, which must not be there yet. Only its owner can read it.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Capture datagrams as they are sent and received, instead of the frames inside.
    #[arg(long)]
    datagrams: bool,
    /// Put the secrets into the file by which Wireshark decrypts the datagrams. All link sessions are replaced
    /// at the beginning and at the end: the secrets open nothing else.
    #[arg(long, requires = "datagrams")]
    secrets: bool,
    /// Stop after so many.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Stop after so many seconds.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=604_800))]
    seconds: Option<u64>,
    /// Stop after so many bytes.
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(1..))]
    bytes: Option<u64>,
}

#[derive(Serialize)]
struct Asked {
    of: &'static str,
    secrets: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<u64>,
}

/// What was written.
#[derive(Serialize)]
struct Written {
    file: String,
    /// Frames, or datagrams.
    copies: u64,
    /// Those that were lost on their way here; null when the end came before it was told.
    lost: Option<u64>,
    /// Those for which the capture had no room.
    left_out: u64,
    /// Sessions whose secrets are in the file.
    sessions: u64,
    ended_by: String,
}

type Line = Result<Replied<PcapAnswer>, ClientError>;

pub(crate) fn pcap(arguments: &PcapArguments, output: &Output) -> CommandResult {
    if arguments.file.exists() {
        return Err(Failure::Request(anyhow!(
            "{}: is there already, and nothing is replaced: name another file",
            arguments.file.display()
        )));
    }
    let mut client = arguments.target.connect()?;
    let status: StatusAnswer = client.ask("status", &Nothing {}).map_err(failure)?;
    let signals = running::signals()?;
    let of = if arguments.datagrams { "datagrams" } else { "frames" };
    let PcapArguments { secrets, count, bytes, seconds, .. } = *arguments;
    client.send("pcap", &Asked { of, secrets, count, bytes, seconds }).map_err(failure)?;
    let mut recording = Recording::new(&status, arguments.datagrams);
    let ended_by = recording.take_from(&lines_of(client), &signals)?;
    recording.write(arguments, ended_by, output)
}

/// Reads on a thread of its own, so that a signal need not wait for the next line. It ends with the connection.
fn lines_of(mut client: ControlClient) -> Receiver<Line> {
    let (lines, lines_out) = bounded(LINES_WAITING_MAX);
    std::thread::spawn(move || {
        loop {
            let line = client.receive::<PcapAnswer>(None);
            let is_last = !matches!(&line, Ok(replied) if replied.more);
            if lines.send(line).is_err() || is_last {
                return;
            }
        }
    });
    lines_out
}

/// A capture as it grows.
struct Recording {
    capture: Capture,
    interface: InterfaceIndex,
    listens: SocketAddr,
    copies: u64,
    left_out: u64,
    sessions: u64,
    lost: Option<u64>,
}

impl Recording {
    fn new(status: &StatusAnswer, has_datagrams: bool) -> Self {
        let mut capture = Capture::new();
        let name = status.certificate.as_ref().map_or(status.id.as_str(), |certificate| &certificate.name);
        let what = if has_datagrams { "datagrams" } else { "frames" };
        capture.set_comment(&format!("peerbound pcap: {what} of {name}, node {}", status.id));
        let interface =
            if has_datagrams { capture.add_interface(name) } else { capture.add_frame_interface(name) };
        let listens = status.listens;
        Self { capture, interface, listens, copies: 0, left_out: 0, sessions: 0, lost: None }
    }

    fn take_from<T>(&mut self, lines: &Receiver<Line>, signals: &Receiver<T>) -> Result<String, Failure> {
        loop {
            let line = select! {
                recv(lines) -> line => line,
                recv(signals) -> _ => return Ok("signal".to_owned()),
            };
            match line {
                Ok(Ok(Replied { answer: PcapAnswer::Copies { copies, secrets }, .. })) => {
                    self.sessions += secrets.len() as u64;
                    self.capture.add_secrets(secrets).map_err(Failure::world)?;
                    for copy in copies {
                        self.add(copy)?;
                    }
                }
                Ok(Ok(Replied { answer: PcapAnswer::Done { lost, ended_by, .. }, .. })) => {
                    self.lost = Some(lost);
                    return Ok(ended_by);
                }
                // What was captured until the node stopped is worth keeping.
                Ok(Err(ClientError::Broken { .. })) | Err(_) => return Ok("the node's end".to_owned()),
                Ok(Err(error)) => return Err(failure(error)),
            }
        }
    }

    fn add(&mut self, copy: CopyAnswer) -> Result<(), Failure> {
        let bytes = bytes_of(&copy.bytes).ok_or_else(|| {
            Failure::World(anyhow!("the node sent something that is no hexadecimal number"))
        })?;
        let packet_id = self.copies + self.left_out;
        let (at, interface) = (Duration::from_nanos(copy.at_unix_ns), self.interface);
        let added = match copy.address {
            Some(other) => {
                let us = seen_from(self.listens, other);
                let (source, destination) = if copy.is_inward { (other, us) } else { (us, other) };
                let comment = copy.verdict;
                self.capture.add_packet(CapturedPacket {
                    at,
                    interface,
                    source,
                    destination,
                    payload: bytes,
                    comment,
                    packet_id,
                })
            }
            None => {
                let other = copy.neighbour.map(|neighbour| neighbour.name).unwrap_or_default();
                let comment = Some(format!("{} {other}", if copy.is_inward { "from" } else { "to" }));
                let is_inward = copy.is_inward;
                self.capture.add_frame(&CapturedFrame { at, interface, is_inward, bytes, comment, packet_id })
            }
        };
        match added {
            Ok(()) => self.copies += 1,
            Err(CaptureError::Full { .. } | CaptureError::NoDatagram(_) | CaptureError::NoSuchInterface) => {
                self.left_out += 1;
            }
        }
        Ok(())
    }

    fn write(self, arguments: &PcapArguments, ended_by: String, output: &Output) -> CommandResult {
        let mut bytes = Vec::new();
        self.capture.write_to(&mut bytes)?;
        write_new(&arguments.file, &bytes, Secrecy::Owner)?;
        let file = arguments.file.display().to_string();
        let Self { copies, lost, left_out, sessions, .. } = self;
        let written = Written { file, copies, lost, left_out, sessions, ended_by };
        output.result(&written, || text(&written, arguments))?;
        Ok(Outcome::Held)
    }
}

fn text(written: &Written, arguments: &PcapArguments) -> String {
    let what = if arguments.datagrams { "datagrams" } else { "frames" };
    let mut line = format!("{}: {} {what}", written.file, written.copies);
    if written.sessions > 0 {
        line += &format!(", and the secrets of {} sessions: keep it to yourself", written.sessions);
    }
    let lost = written.lost.unwrap_or(0) + written.left_out;
    if lost > 0 {
        line += &format!("; {lost} were lost");
    }
    line
}

/// Returns where we are as the other end sees us: an unspecified address is shown as one of its own version.
fn seen_from(listens: SocketAddr, other: SocketAddr) -> SocketAddr {
    let ip = match (listens.ip(), other.ip()) {
        (IpAddr::V4(ip), IpAddr::V4(_)) => IpAddr::V4(ip),
        (IpAddr::V6(ip), IpAddr::V6(_)) => IpAddr::V6(ip),
        (_, IpAddr::V4(_)) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        (_, IpAddr::V6(_)) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    SocketAddr::new(ip, listens.port())
}

fn bytes_of(digits: &str) -> Option<Vec<u8>> {
    let pairs = digits.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}
