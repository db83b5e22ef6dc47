//! What generators and the conductor say to each other: one line of JSON for each thing that happened.

use serde::{Deserialize, Serialize};

/// A line that a generator prints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "said", rename_all = "kebab-case")]
pub(crate) enum Said {
    /// Its socket is bound.
    Ready,
    /// What follows counts: whoever measures beside it looks at its own clocks.
    Begin,
    /// So much arrived since `Begin`, in so much time.
    End {
        /// Bytes of payload.
        bytes: u64,
        /// Between the two words, by the clock of the generator.
        seconds: f64,
    },
    /// So many datagrams were sent.
    Sent {
        /// What the kernel took.
        datagrams: u64,
        /// From the first to the last.
        seconds: f64,
    },
    /// So many datagrams arrived since this was said last.
    Received {
        /// Those of the right size.
        datagrams: u64,
    },
    /// Round trips of probes.
    RoundTrips(RoundTrips),
}

/// Round trips of probes that were sent at fixed intervals, whatever became of those before.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct RoundTrips {
    /// Probes that were sent.
    pub(crate) sent: u64,
    /// Probes that came back.
    pub(crate) answered: u64,
    /// The round trip that half of them took at most, if any came back.
    pub(crate) p50_us: Option<f64>,
    /// The round trip that 99 of 100 took at most.
    pub(crate) p99_us: Option<f64>,
}
