//! Faults that are asked for: addressed, so that the same one happens whatever chance does.

use std::time::Duration;

use crate::matching::{DatagramMatch, Matcher, PathMatch};

/// Something that goes wrong with the datagrams that are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// Where.
    pub on: PathMatch,
    /// With which datagrams.
    pub matching: DatagramMatch,
    /// What.
    pub action: FaultAction,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultAction {
    /// It is lost.
    Drop,
    /// It comes twice.
    Duplicate,
    /// It is so late, and is overtaken by what is sent meanwhile.
    Delay(Duration),
    /// One bit is flipped: bit 0 is the highest of the first byte; past the end it is counted from the
    /// beginning again.
    Corrupt {
        /// Which.
        bit: usize,
    },
    /// The next datagram on the path overtakes it.
    Reorder,
}

/// A fault, as it waits to happen.
#[derive(Debug)]
pub(crate) struct ArmedFault {
    pub(crate) matcher: Matcher,
    pub(crate) action: FaultAction,
}

impl ArmedFault {
    pub(crate) fn new(fault: Fault) -> Self {
        Self { matcher: Matcher::new(fault.on, fault.matching), action: fault.action }
    }
}

/// Flips one bit of some bytes, if there are any.
pub(crate) fn flip(bytes: &mut [u8], bit: usize) {
    let bits = bytes.len() * 8;
    if bits > 0 {
        let bit = bit % bits;
        bytes[bit / 8] ^= 0x80 >> (bit % 8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_counted_from_the_highest_of_the_first_byte_and_round_again() {
        let flipped = |bit| {
            let mut bytes = [0, 0];
            flip(&mut bytes, bit);
            bytes
        };

        assert_eq!(
            [flipped(0), flipped(7), flipped(8), flipped(16)],
            [[0x80, 0], [1, 0], [0, 0x80], [0x80, 0]]
        );
        flip(&mut [], 3);
    }
}
