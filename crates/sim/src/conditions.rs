//! What a path between two hosts is like, one direction at a time.

use std::time::Duration;

use crate::time::VirtualTime;

/// The largest IP packet there is: a path with this MTU takes everything.
pub const MTU_UNLIMITED: u32 = 65_535;

/// The conditions of one direction of a path. Probabilities are from 0 to 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Conditions {
    /// How long every datagram takes.
    pub latency: Duration,
    /// How much longer some take, drawn evenly from nothing to this. Jitter is a queue somewhere: it
    /// does not change the order.
    pub jitter: Duration,
    /// How likely a datagram is lost, each for itself.
    pub loss: f64,
    /// Losses that come in bursts, beside the others.
    pub bursts: Option<Bursts>,
    /// How likely a datagram comes twice.
    pub duplicate: f64,
    /// How likely a datagram is overtaken by the next one on this path.
    pub reorder: f64,
    /// Bits per second, IP and UDP headers included; no limit where it is `None`.
    pub rate: Option<u64>,
    /// Bytes that may wait before a path with a rate.
    pub queue_bytes: u64,
    /// The largest IP packet that fits, in bytes: the UDP payload and 28 bytes, or 48 with IPv6.
    pub mtu: u32,
    /// Whether a router says so when a packet is too big.
    pub too_big: TooBig,
    /// When the path carries nothing at all.
    pub outage: Outage,
}

impl Default for Conditions {
    /// A perfect path of 1 ms.
    fn default() -> Self {
        Self {
            latency: Duration::from_millis(1),
            jitter: Duration::ZERO,
            loss: 0.0,
            bursts: None,
            duplicate: 0.0,
            reorder: 0.0,
            rate: None,
            queue_bytes: 65_536,
            mtu: MTU_UNLIMITED,
            too_big: TooBig::Told,
            outage: Outage::Never,
        }
    }
}

/// The model of Gilbert and Elliott: two states, each with a loss of its own, and a chance to change
/// between them with every datagram.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bursts {
    /// How likely a good path turns bad.
    pub enter: f64,
    /// How likely a bad one turns good.
    pub leave: f64,
    /// How likely a datagram is lost while the path is good.
    pub loss_good: f64,
    /// How likely a datagram is lost while it is bad.
    pub loss_bad: f64,
}

/// What becomes of a packet that does not fit the path. All of them have the don't-fragment bit set, as
/// those of a deployed node have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TooBig {
    /// The router says so (RFC 1191): a connected sender hears EMSGSIZE.
    #[default]
    Told,
    /// The packet is gone without a word (RFC 8899, 1: a path MTU black hole).
    Silent,
}

/// When a path carries nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Outage {
    /// It always carries.
    #[default]
    Never,
    /// It carries nothing until its conditions are set anew.
    Always,
    /// It carries for a while, then nothing for a while, over and over from the world's beginning.
    Flapping {
        /// How long it carries.
        up: Duration,
        /// How long it does not.
        down: Duration,
    },
}

impl Outage {
    /// Returns whether nothing is carried at this moment.
    pub(crate) fn is_on(self, now: VirtualTime) -> bool {
        match self {
            Self::Never => false,
            Self::Always => true,
            Self::Flapping { up, down } => {
                let period = (up + down).as_nanos().max(1);
                u128::from(now.0) % period >= up.as_nanos()
            }
        }
    }
}

/// Which directions of a path are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Directions {
    /// From the first host to the second.
    Forth,
    /// From the second to the first.
    Back,
    /// Both.
    Both,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flapping_path_carries_first_and_then_not() {
        let second = Duration::from_secs(1);
        let outage = Outage::Flapping { up: 2 * second, down: second };

        let on: Vec<_> = (0..7).map(|at| outage.is_on(VirtualTime::after(at * second))).collect();

        assert_eq!(on, [false, false, true, false, false, true, false]);
    }
}
