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
    let sum = pieces.iter().flat_map(|piece| piece.chunks(2)).fold(0_u32, |sum, pair| {
        let word = u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]);
        sum + u32::from(word)
    });
    !fold(sum)
}

fn write_word(bytes: &mut [u8], at: usize, word: u16) {
    if let Some(place) = bytes.get_mut(at..at + 2) {
        place.copy_from_slice(&word.to_be_bytes());
    }
}

/// Adds the carries in; no sum here is of more than 32,768 words.
fn fold(sum: u32) -> u16 {
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

    proptest! {
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
