//! What is measured of each subject: the names of the figures, and their units.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Figure {
    /// One TCP stream, bits of payload a second.
    TcpOne,
    /// Four TCP streams together.
    TcpFour,
    /// Datagrams of 1200 bytes at the highest rate with little loss, bits of payload a second.
    Udp,
    /// Datagrams of 64 bytes likewise, datagrams a second.
    SmallDatagrams,
    /// What arrives of as many as can be sent.
    SmallFlooded,
    /// Processor time at B for each gigabyte of payload, with one TCP stream.
    ProcessorTcpOne,
    /// The same with four.
    ProcessorTcpFour,
    /// The same with datagrams of 1200 bytes.
    ProcessorUdp,
    /// Round trip of probes, nothing else on the way, in microseconds.
    PingIdleP50,
    PingIdleP99,
    /// Round trip beside four TCP streams.
    PingLoadedP50,
    PingLoadedP99,
    /// Memory at B before anything was sent, in bytes.
    MemoryAtRest,
    /// Memory at B at the end.
    MemoryAtLoad,
}

/// What one round found.
pub(crate) type Figures = BTreeMap<Figure, f64>;

impl Figure {
    /// All of them, in the order of the table.
    pub(crate) const ALL: [Self; 14] = [
        Self::TcpOne,
        Self::TcpFour,
        Self::Udp,
        Self::SmallDatagrams,
        Self::SmallFlooded,
        Self::ProcessorTcpOne,
        Self::ProcessorTcpFour,
        Self::ProcessorUdp,
        Self::PingIdleP50,
        Self::PingIdleP99,
        Self::PingLoadedP50,
        Self::PingLoadedP99,
        Self::MemoryAtRest,
        Self::MemoryAtLoad,
    ];

    /// Returns what it is called in a table, with its unit.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::TcpOne => "TCP, 1 stream, Mbit/s",
            Self::TcpFour => "TCP, 4 streams, Mbit/s",
            Self::Udp => "UDP, 1200 bytes, Mbit/s",
            Self::SmallDatagrams => "UDP, 64 bytes, 1000/s",
            Self::SmallFlooded => "UDP, 64 bytes, flooded, 1000/s",
            Self::ProcessorTcpOne => "B with 1 stream, CPU s/GB",
            Self::ProcessorTcpFour => "B with 4 streams, CPU s/GB",
            Self::ProcessorUdp => "B with UDP, CPU s/GB",
            Self::PingIdleP50 => "ping idle p50, µs",
            Self::PingIdleP99 => "ping idle p99, µs",
            Self::PingLoadedP50 => "ping loaded p50, ms",
            Self::PingLoadedP99 => "ping loaded p99, ms",
            Self::MemoryAtRest => "B's memory at rest, MB",
            Self::MemoryAtLoad => "B's memory after load, MB",
        }
    }

    /// Writes a value in the unit of the title.
    pub(crate) fn text(self, value: f64) -> String {
        match self {
            Self::TcpOne | Self::TcpFour | Self::Udp => format!("{:.0}", value / 1e6),
            Self::SmallDatagrams | Self::SmallFlooded => format!("{:.1}", value / 1e3),
            Self::ProcessorTcpOne | Self::ProcessorTcpFour | Self::ProcessorUdp => format!("{value:.2}"),
            Self::PingIdleP50 | Self::PingIdleP99 => format!("{value:.0}"),
            Self::PingLoadedP50 | Self::PingLoadedP99 => format!("{:.2}", value / 1e3),
            Self::MemoryAtRest | Self::MemoryAtLoad => format!("{:.1}", value / 1e6),
        }
    }
}
