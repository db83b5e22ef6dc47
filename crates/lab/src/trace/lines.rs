//! A trace as JSON lines: a header, then one object for each entry. No secrets: whoever has this form
//! can see what happened and read nothing that was sealed.

use std::io::{self, Write};
use std::net::SocketAddr;

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::hexadecimal::hex;
use crate::trace::words::{contents_of, word_of};
use crate::trace::{Entry, Happening, HostIndex, Nanos, SealedBy, Trace, Way};

/// The version of the lines' shape.
pub const TRACE_SCHEMA: u32 = 1;

/// Entries that are written as lines.
// x 3.2 kB for a full datagram = 640 MB at worst; 80 MB as a rule.
pub const LINES_MAX: usize = 200_000;

impl Trace {
    /// Writes the lines. After [`LINES_MAX`] entries a last line, `{"what":"cut","left_out":..}`, says how
    /// many more there are.
    ///
    /// # Errors
    /// When `out` refuses.
    pub fn write_lines(&self, out: &mut impl Write) -> io::Result<()> {
        let kept = self.entries.len().min(LINES_MAX);
        self.write_first_lines(kept, out)?;
        match self.entries.len() - kept {
            0 => Ok(()),
            left_out => write_line(out, &Cut { what: "cut", left_out }),
        }
    }

    /// Returns the SHA-256 of all lines, in hexadecimal: two runs with the same hash are the same. Where
    /// the file is cut the hash is not.
    #[must_use]
    pub fn hash(&self) -> String {
        let mut hasher = Sha256::new();
        // A hasher never refuses.
        let _ = self.write_first_lines(self.entries.len(), &mut HashWriter(&mut hasher));
        hex(&hasher.finalize())
    }

    fn write_first_lines(&self, kept: usize, out: &mut impl Write) -> io::Result<()> {
        write_line(out, &self.head())?;
        self.entries.iter().take(kept).try_for_each(|entry| write_line(out, &self.line(entry)))
    }

    fn head(&self) -> Head<'_> {
        Head {
            schema: TRACE_SCHEMA,
            kind: "trace",
            scenario: &self.scenario,
            title: &self.title,
            backend: self.backend,
            seed: self.seed,
            hosts: self
                .hosts
                .iter()
                .map(|host| HostLine {
                    name: &host.name,
                    address: host.address,
                    id: host.id.map(|id| id.to_string()),
                })
                .collect(),
            sessions: self
                .sessions
                .iter()
                .map(|session| SessionLine {
                    client: self.name_of(session.client),
                    server: self.name_of(session.server),
                    since_ns: session.since.0,
                    suite: &session.suite,
                })
                .collect(),
        }
    }

    fn line<'a>(&'a self, entry: &'a Entry) -> Line<'a> {
        let name = |host: &HostIndex| self.name_of(*host);
        let seal = |sealed: &Option<SealedBy>| sealed.map(|sealed| self.describe_seal(sealed));
        let what = match &entry.what {
            Happening::Sent { datagram, by, way, source, destination, bytes, label, copy_of, sealed_by } => {
                What::Sent {
                    datagram: datagram.0,
                    by: name(by),
                    way: *way,
                    source: *source,
                    destination: *destination,
                    label: label.as_deref(),
                    copy_of: copy_of.map(|copy| copy.0),
                    contents: contents_of(bytes),
                    sealed_by: seal(sealed_by),
                    length: bytes.len(),
                    bytes: hex(bytes),
                }
            }
            Happening::Lost { datagram, why } => What::Lost { datagram: datagram.0, why },
            Happening::Refused { datagram, host, icmp } => {
                What::Refused { datagram: datagram.0, host: name(host), lock: "kernel", icmp: *icmp }
            }
            Happening::Arrived { datagram, host, verdict, reason, clause, sealed_by } => What::Arrived {
                datagram: datagram.0,
                host: name(host),
                verdict: word_of(*verdict),
                reason: reason.as_deref(),
                clause,
                sealed_by: seal(sealed_by),
            },
            Happening::Read { datagram, host, by } => {
                What::Read { datagram: datagram.0, host: name(host), by }
            }
            Happening::Told { host, error } => What::Told { host: name(host), error },
            Happening::Frame { host, header, payload_bytes, from, action, label } => What::Frame {
                host: name(host),
                kind: header.kind.into(),
                flow: header.flow.0,
                boot: header.boot_epoch,
                packet: header.packet.0,
                source: header.source.to_string(),
                destination: header.destination.to_string(),
                hop_limit: header.hop_limit.0,
                payload_bytes: *payload_bytes,
                from: from.as_ref().map(name),
                action,
                label: label.as_deref(),
            },
            Happening::Event { host, kind, text } => What::Event { host: name(host), kind, text },
            Happening::Step { number, text } => What::Step { number: *number, text },
            Happening::Violation { kind, text } => What::Violation { kind, text },
        };
        Line { at_ns: entry.at, what }
    }
}

fn write_line(out: &mut impl Write, line: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    out.write_all(b"\n")
}

struct HashWriter<'a>(&'a mut Sha256);

impl Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Serialize)]
struct Cut {
    what: &'static str,
    left_out: usize,
}

#[derive(Serialize)]
struct Head<'a> {
    schema: u32,
    kind: &'static str,
    scenario: &'a str,
    title: &'a str,
    backend: &'a str,
    seed: u64,
    hosts: Vec<HostLine<'a>>,
    sessions: Vec<SessionLine<'a>>,
}

#[derive(Serialize)]
struct HostLine<'a> {
    name: &'a str,
    address: SocketAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
}

#[derive(Serialize)]
struct SessionLine<'a> {
    client: &'a str,
    server: &'a str,
    since_ns: u64,
    suite: &'a str,
}

#[derive(Serialize)]
struct Line<'a> {
    at_ns: Nanos,
    #[serde(flatten)]
    what: What<'a>,
}

#[derive(Serialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
enum What<'a> {
    Sent {
        datagram: u64,
        by: &'a str,
        way: Way,
        source: SocketAddr,
        destination: SocketAddr,
        #[serde(skip_serializing_if = "Option::is_none")]
        label: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        copy_of: Option<u64>,
        contents: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        sealed_by: Option<String>,
        length: usize,
        bytes: String,
    },
    Lost {
        datagram: u64,
        why: &'a str,
    },
    Refused {
        datagram: u64,
        host: &'a str,
        lock: &'static str,
        icmp: bool,
    },
    Arrived {
        datagram: u64,
        host: &'a str,
        verdict: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<&'a str>,
        clause: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        sealed_by: Option<String>,
    },
    Read {
        datagram: u64,
        host: &'a str,
        by: &'a str,
    },
    Told {
        host: &'a str,
        error: &'a str,
    },
    Frame {
        host: &'a str,
        kind: u8,
        flow: u32,
        boot: u32,
        packet: u64,
        source: String,
        destination: String,
        hop_limit: u8,
        payload_bytes: usize,
        #[serde(skip_serializing_if = "Option::is_none")]
        from: Option<&'a str>,
        action: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        label: Option<&'a str>,
    },
    Event {
        host: &'a str,
        kind: &'a str,
        text: &'a str,
    },
    Step {
        number: usize,
        text: &'a str,
    },
    Violation {
        kind: &'a str,
        text: &'a str,
    },
}
