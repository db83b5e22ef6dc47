//! Marks of congestion (RFC 3168), carried from packet to frame and back as RFC 6040 has it for tunnels.

use peerbound_node::Ecn;
use peerbound_wire::Flags;

use crate::packets::checksum;
use crate::packets::ip::{IpVersion, word};

/// The two bits, and their value for "congestion experienced"; zero stands for "knows nothing of marks".
const MASK: u8 = 0b11;
const CONGESTION_EXPERIENCED: u8 = 0b11;

/// Where IPv4 has its checksum.
const V4_CHECKSUM_AT: usize = 10;

/// Says whether the sender of a packet heeds marks.
pub(crate) fn ecn_of(packet: &[u8], version: IpVersion) -> Ecn {
    match field(packet, version) {
        0 => Ecn::NotCapable,
        _ => Ecn::Capable,
    }
}

/// The packet knows nothing of marks, and its frame was marked nonetheless: RFC 6040, 4.2 has it dropped, as
/// its sender learns of congestion in no other way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MarkedInVain;

/// Marks a packet whose frame was marked on its way.
pub(crate) fn carry_mark(packet: &mut [u8], version: IpVersion, flags: Flags) -> Result<(), MarkedInVain> {
    let is_in_vain = flags.contains(Flags::CONGESTION) && !mark(packet, version);
    if is_in_vain { Err(MarkedInVain) } else { Ok(()) }
}

/// Marks a packet; returns false where its sender heeds no marks.
pub(crate) fn mark(packet: &mut [u8], version: IpVersion) -> bool {
    if field(packet, version) == 0 {
        return false;
    }
    match version {
        IpVersion::V4 => {
            if let Some(first) = word(packet, 0) {
                let marked = first | u16::from(CONGESTION_EXPERIENCED);
                checksum::replace_word(packet, 0, marked, V4_CHECKSUM_AT);
            }
        }
        IpVersion::V6 => {
            if let Some(byte) = packet.get_mut(1) {
                *byte |= CONGESTION_EXPERIENCED << 4;
            }
        }
    }
    true
}

fn field(packet: &[u8], version: IpVersion) -> u8 {
    let byte = packet.get(1).copied().unwrap_or(0);
    match version {
        IpVersion::V4 => byte & MASK,
        IpVersion::V6 => (byte >> 4) & MASK,
    }
}

#[cfg(test)]
mod tests {
    use etherparse::{IpEcn, Ipv4Header, Ipv6Header};

    use super::*;

    fn v4(ecn: u8) -> Vec<u8> {
        let mut header =
            Ipv4Header::new(0, 64, etherparse::IpNumber::UDP, [10, 0, 0, 1], [10, 0, 0, 2]).unwrap();
        header.ecn = IpEcn::try_new(ecn).unwrap();
        header.header_checksum = header.calc_header_checksum();
        header.to_bytes().to_vec()
    }

    fn v6(ecn: u8) -> Vec<u8> {
        let header = Ipv6Header { traffic_class: 0b1010_1000 | ecn, ..Ipv6Header::default() };
        header.to_bytes().to_vec()
    }

    #[test]
    fn both_kinds_of_capable_and_the_mark_itself_say_that_the_sender_heeds_marks() {
        for ecn in 0..4 {
            let expected = if ecn == 0 { Ecn::NotCapable } else { Ecn::Capable };
            assert_eq!(ecn_of(&v4(ecn), IpVersion::V4), expected);
            assert_eq!(ecn_of(&v6(ecn), IpVersion::V6), expected);
        }
    }

    #[test]
    fn a_marked_frame_marks_its_packet_and_nothing_else_and_the_checksum_holds() {
        for ecn in 1..4 {
            let mut marked = v4(ecn);
            carry_mark(&mut marked, IpVersion::V4, Flags::CONGESTION).unwrap();
            assert_eq!(marked, v4(3));
            let mut marked = v6(ecn);
            carry_mark(&mut marked, IpVersion::V6, Flags::CONGESTION).unwrap();
            assert_eq!(marked, v6(3));
        }
    }

    #[test]
    fn an_unmarked_frame_leaves_its_packet_alone() {
        for ecn in 0..4 {
            let mut packet = v4(ecn);
            carry_mark(&mut packet, IpVersion::V4, Flags::ECN_CAPABLE).unwrap();
            assert_eq!(packet, v4(ecn));
        }
    }

    #[test]
    fn a_mark_on_a_packet_that_knows_of_none_is_refused() {
        assert_eq!(carry_mark(&mut v4(0), IpVersion::V4, Flags::CONGESTION), Err(MarkedInVain));
        assert_eq!(carry_mark(&mut v6(0), IpVersion::V6, Flags::CONGESTION), Err(MarkedInVain));
    }
}
