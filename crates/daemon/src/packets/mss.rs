//! Lets TCP choose segments that fit: the maximum segment size that a SYN announces is lowered to what fits
//! into a frame, in both directions, so that not even the first large segment is lost.

use etherparse::IpNumber;

use crate::packets::checksum;
use crate::packets::ip::{IpVersion, Packet, V4_HEADER_BYTES, V6_HEADER_BYTES, word};

/// Where a TCP header has its fields (RFC 9293, 3.1).
const DATA_OFFSET_AT: usize = 12;
const FLAGS_AT: usize = 13;
const CHECKSUM_AT: usize = 16;
const HEADER_BYTES: usize = 20;

const SYN: u8 = 0x02;

/// Kinds of options (RFC 9293, 3.2).
const END_OF_OPTIONS: u8 = 0;
const NO_OPERATION: u8 = 1;
const MAXIMUM_SEGMENT_SIZE: u8 = 2;

/// Lowers what a SYN announces to segments of packets of at most `packet_bytes_max`.
pub(crate) fn clamp(bytes: &mut [u8], packet: &Packet, packet_bytes_max: usize) {
    let ip_header_bytes = match packet.version {
        IpVersion::V4 => V4_HEADER_BYTES,
        IpVersion::V6 => V6_HEADER_BYTES,
    };
    let max = u16::try_from(packet_bytes_max.saturating_sub(ip_header_bytes + HEADER_BYTES));
    let Ok(max) = max else { return };
    let Some(at) = packet.transport_at.filter(|_| packet.protocol == IpNumber::TCP) else { return };
    let Some(tcp) = bytes.get_mut(at..) else { return };
    if tcp.get(FLAGS_AT).is_none_or(|flags| flags & SYN == 0) {
        return;
    }
    if let Some(at) = segment_size_at(tcp)
        && word(tcp, at).is_some_and(|announced| announced > max)
    {
        replace(tcp, at, max);
    }
}

/// Finds the value of the option in a TCP header.
fn segment_size_at(tcp: &[u8]) -> Option<usize> {
    let header_bytes = usize::from(tcp.get(DATA_OFFSET_AT)? >> 4) * 4;
    let header = tcp.get(..header_bytes)?;
    let mut at = HEADER_BYTES;
    loop {
        match *header.get(at)? {
            END_OF_OPTIONS => return None,
            NO_OPERATION => at += 1,
            kind => {
                let len = usize::from(*header.get(at + 1)?);
                if kind == MAXIMUM_SEGMENT_SIZE {
                    return (len == 4 && at + 4 <= header_bytes).then_some(at + 2);
                }
                // An option counts its kind and its length.
                at += len.max(2);
            }
        }
    }
}

/// Writes a size. It may stand at an odd place, and the checksum is over words at even ones.
fn replace(tcp: &mut [u8], at: usize, size: u16) {
    if at.is_multiple_of(2) {
        return checksum::replace_word(tcp, at, size, CHECKSUM_AT);
    }
    let [high, low] = size.to_be_bytes();
    for (at, byte) in [(at, high), (at + 1, low)] {
        let Some(word) = word(tcp, at & !1) else { return };
        let [first, second] = word.to_be_bytes();
        let changed = if at.is_multiple_of(2) { [byte, second] } else { [first, byte] };
        checksum::replace_word(tcp, at & !1, u16::from_be_bytes(changed), CHECKSUM_AT);
    }
}

#[cfg(test)]
mod tests {
    use etherparse::{PacketBuilder, TcpSlice};

    use super::*;

    fn syn(options: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let builder = PacketBuilder::ipv6([0xfd; 16], [0xfe; 16], 64).tcp(1, 2, 3, 4).syn();
        builder.options_raw(options).unwrap().write(&mut bytes, &[]).unwrap();
        bytes
    }

    fn clamped(mut bytes: Vec<u8>, max: usize) -> Vec<u8> {
        let packet = Packet::parse(&bytes).unwrap();
        clamp(&mut bytes, &packet, max);
        bytes
    }

    fn checksum_holds(bytes: &[u8]) -> bool {
        let tcp = TcpSlice::from_slice(&bytes[40..]).unwrap();
        tcp.calc_checksum_ipv6([0xfd; 16], [0xfe; 16]).unwrap() == tcp.checksum()
    }

    #[test]
    fn a_syn_announces_no_more_than_fits_and_its_checksum_holds() {
        let after = clamped(syn(&[2, 4, 0x05, 0xa0]), 1280);

        assert_eq!(after[60..64], [2, 4, 0x04, 0xc4], "1280 less 40 less 20 is 1220");
        assert!(checksum_holds(&after));
    }

    #[test]
    fn the_option_is_found_behind_others_and_at_an_odd_place() {
        let after = clamped(syn(&[1, 2, 4, 0x05, 0xa0, 4, 2, 0]), 1280);

        assert_eq!(after[60..68], [1, 2, 4, 0x04, 0xc4, 4, 2, 0]);
        assert!(checksum_holds(&after));
    }

    #[test]
    fn what_fits_already_stays_as_it_is() {
        let small = syn(&[2, 4, 0x04, 0xc4]);

        assert_eq!(clamped(small.clone(), 1280), small);
    }

    #[test]
    fn segments_that_are_no_syn_are_left_alone() {
        let mut bytes = Vec::new();
        let builder = PacketBuilder::ipv6([0xfd; 16], [0xfe; 16], 64).tcp(1, 2, 3, 4).ack(1);
        builder.options_raw(&[2, 4, 0xff, 0xff]).unwrap().write(&mut bytes, b"data").unwrap();

        assert_eq!(clamped(bytes.clone(), 1280), bytes);
    }

    #[test]
    fn a_size_of_wrong_length_or_cut_off_is_left_alone() {
        for options in [[2, 3, 0xff, 0xff], [2, 0, 0xff, 0xff], [9, 200, 2, 4], [1, 1, 1, 2]] {
            let bytes = syn(&options);
            assert_eq!(clamped(bytes.clone(), 1280), bytes, "{options:?}");
        }
    }
}
