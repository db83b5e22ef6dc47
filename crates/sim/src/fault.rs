//! Faults that are asked for: addressed, so that the same one happens whatever chance does.

use std::time::Duration;

use peerbound_dtls::{RECORD_HEADER_BYTES, Record};

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
    /// One bit in the body of its first record is flipped. Bit 0 is the highest of the first byte, -1 the
    /// lowest of the last; a body that has no such bit stays as it is.
    Corrupt {
        /// Which.
        bit: i64,
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

/// Flips one bit in the body of a datagram's first record, if it has one.
pub(crate) fn flip(datagram: &mut [u8], bit: i64) {
    let length = Record::split(datagram).map_or(0, |(record, _)| record.body().len());
    let body = datagram.iter_mut().skip(RECORD_HEADER_BYTES).take(length);
    let bits = i64::try_from(length).unwrap_or(0) * 8;
    let Ok(place) = usize::try_from(if bit < 0 { bits.saturating_add(bit) } else { bit }) else {
        return;
    };
    for byte in body.skip(place / 8).take(1) {
        *byte ^= 0x80 >> (place % 8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_counted_from_the_front_of_the_body_or_from_its_end() {
        let flipped = |bit| {
            // One record with a body of two bytes, and something behind it.
            let mut bytes = [22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0];
            let before = bytes;
            flip(&mut bytes, bit);
            assert_eq!(bytes[..13], before[..13]);
            [bytes[13], bytes[14], bytes[15]]
        };

        assert_eq!([flipped(0), flipped(7), flipped(8)], [[0x80, 0, 0], [1, 0, 0], [0, 0x80, 0]]);
        assert_eq!([flipped(-1), flipped(-16)], [[0, 1, 0], [0x80, 0, 0]]);
        assert_eq!([flipped(16), flipped(-17), flipped(i64::MIN), flipped(i64::MAX)], [[0; 3]; 4]);
    }

    #[test]
    fn what_is_no_record_stays_as_it_is() {
        let mut bytes = [22, 0xfe, 0xfd];

        flip(&mut bytes, 0);
        flip(&mut [], 0);

        assert_eq!(bytes, [22, 0xfe, 0xfd]);
    }
}
