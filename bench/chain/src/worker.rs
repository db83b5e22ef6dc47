//! The generators: subcommands of this program, started in the namespace from which they send or in which
//! they receive. What they find they print as lines of JSON.

mod probe;
mod tcp;
mod udp;

use std::io::Write;
use std::net::{IpAddr, SocketAddr};

use clap::Subcommand;

use crate::words::Said;

/// What a generator does.
#[derive(Debug, Subcommand)]
pub(crate) enum Worker {
    /// Takes so many connections, and counts what comes.
    TcpSink {
        #[arg(long)]
        listen: SocketAddr,
        #[arg(long)]
        streams: usize,
        #[arg(long)]
        warm_up: f64,
        #[arg(long)]
        seconds: f64,
    },
    /// Makes so many connections, and writes until it is stopped.
    TcpSource {
        #[arg(long)]
        to: SocketAddr,
        #[arg(long)]
        streams: usize,
    },
    /// Counts datagrams, and says how many whenever it reads a line.
    UdpSink {
        #[arg(long)]
        listen: SocketAddr,
    },
    /// Sends datagrams.
    UdpSource {
        #[arg(long)]
        to: SocketAddr,
        /// Bytes of payload of each.
        #[arg(long)]
        bytes: usize,
        /// How many a second; as many as can be, if it is left out.
        #[arg(long)]
        rate: Option<f64>,
        /// How many the kernel is given at once, to be cut apart by segmentation offload.
        #[arg(long)]
        segments: usize,
        #[arg(long)]
        seconds: f64,
    },
    /// Sends probes and measures when they come back.
    Probe {
        #[arg(long)]
        to: IpAddr,
        /// How many answers are enough.
        #[arg(long)]
        count: Option<u64>,
        #[arg(long)]
        seconds: f64,
        #[arg(long)]
        interval_us: u64,
    },
}

impl Worker {
    /// Does it, to its end.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::TcpSink { listen, streams, warm_up, seconds } => {
                tcp::sink(listen, streams, warm_up, seconds)
            }
            Self::TcpSource { to, streams } => tcp::source(to, streams),
            Self::UdpSink { listen } => udp::sink(listen),
            Self::UdpSource { to, bytes, rate, segments, seconds } => {
                udp::Source { to, bytes, segments }.run(rate, seconds)
            }
            Self::Probe { to, count, seconds, interval_us } => probe::probe(to, count, seconds, interval_us),
        }
    }
}

fn say(said: &Said) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer(&mut out, said)?;
    writeln!(out)?;
    out.flush()?;
    Ok(())
}
