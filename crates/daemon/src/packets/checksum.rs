//! The checksum of the internet protocols (RFC 1071), mended where a field under it is changed.

/// Writes 16 bits at `at` and mends the checksum at `checksum_at` that covers them, without a look at the
/// rest (RFC 1624, 3). Does nothing where the bytes are too few.
pub(crate) fn replace_word(bytes: &mut [u8], at: usize, word: u16, checksum_at: usize) {
    let Some(old) = super::ip::word(bytes, at) else { return };
    let Some(checksum) = super::ip::word(bytes, checksum_at) else { return };
    let sum = u32::from(!checksum) + u32::from(!old) + u32::from(word);
    write_word(bytes, at, word);
    write_word(bytes, checksum_at, !fold(sum));
}

/// Returns the checksum over some pieces, each of an even length but the last.
pub(crate) fn checksum(pieces: &[&[u8]]) -> u16 {
    !fold(pieces.iter().map(|piece| u32::from(sum(piece))).sum())
}

/// Returns the sum of the words of some bytes, with the carries added in; an odd byte at the end is the upper half
/// of a word.
///
/// Every byte of the host's traffic passes here, so this adds the halves of many words of four bytes at a time, which a
/// compiler makes instructions for vectors of. The order of bytes matters only at the end (RFC 1071, 2 B).
pub(crate) fn sum(bytes: &[u8]) -> u16 {
    bytes.chunks(SUMMED_AT_ONCE).fold(0, |sum, block| fold(u32::from(sum) + u32::from(sum_block(block))))
}

/// Bytes of which the halves are added without an overflow: 16,384 words x 2^16 = 2^30, and two of these.
const SUMMED_AT_ONCE: usize = 65_536;

fn sum_block(block: &[u8]) -> u16 {
    let (words, rest) = block.as_chunks::<4>();
    let (mut lower, mut upper) = (0_u32, 0_u32);
    for word in words {
        let word = u32::from_ne_bytes(*word);
        lower = lower.wrapping_add(word & 0xffff);
        upper = upper.wrapping_add(word >> 16);
    }
    let mut last = [0; 4];
    last[..rest.len()].copy_from_slice(rest);
    let last = u32::from_ne_bytes(last);
    let halves = lower.wrapping_add(upper).wrapping_add(last & 0xffff).wrapping_add(last >> 16);
    u16::from_be(fold(halves))
}

pub(crate) fn write_word(bytes: &mut [u8], at: usize, word: u16) {
    if let Some(place) = bytes.get_mut(at..at + 2) {
        place.copy_from_slice(&word.to_be_bytes());
    }
}

/// Adds the carries in.
pub(crate) fn fold(sum: u32) -> u16 {
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    u16::try_from(sum).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_checksum_is_that_of_a_known_header() {
        // A header of IPv4 whose checksum is known to be 0xb861.
        let header =
            [0x45, 0, 0, 0x73, 0, 0, 0x40, 0, 0x40, 0x11, 0, 0, 0xc0, 0xa8, 0, 1, 0xc0, 0xa8, 0, 0xc7];

        assert_eq!(checksum(&[&header]), 0xb861);
        assert_eq!(checksum(&[&header[..8], &header[8..]]), 0xb861);
    }

    #[test]
    fn the_largest_sum_has_no_overflow() {
        assert_eq!(sum(&vec![0xff; 3 * SUMMED_AT_ONCE + 1]), 0xff00);
        assert_eq!(sum(&[]), 0);
    }

    proptest! {
        #[test]
        fn a_sum_is_that_of_the_words_one_by_one(bytes in proptest::collection::vec(any::<u8>(), 0..3000)) {
            let mut one_by_one = 0_u32;
            for pair in bytes.chunks(2) {
                one_by_one += u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
                one_by_one = (one_by_one & 0xffff) + (one_by_one >> 16);
            }

            prop_assert_eq!(u32::from(sum(&bytes)), one_by_one);
        }

        #[test]
        fn a_mended_checksum_is_the_one_over_what_is_there(
            mut bytes in proptest::collection::vec(any::<u8>(), 20..=20),
            at in 1..10_usize,
            word: u16,
        ) {
            bytes[0..2].fill(0);
            // No header of IP is all zero, and only there do the two ways of writing zero differ.
            bytes[19] |= 1;
            let sum = checksum(&[&bytes]);
            bytes[0..2].copy_from_slice(&sum.to_be_bytes());

            replace_word(&mut bytes, at * 2, word, 0);

            prop_assert!(checksum(&[&bytes]) == 0 || checksum(&[&bytes]) == 0xffff);
        }
    }
}
