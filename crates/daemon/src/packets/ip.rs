//! What has to be known of an IP packet to carry it.

use std::net::Ipv6Addr;

/// Where a packet comes from and where it goes (RFC 8200, 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Addresses {
    pub(crate) source: Ipv6Addr,
    pub(crate) destination: Ipv6Addr,
}

impl Addresses {
    /// Reads the addresses of an IPv6 packet; `None` for anything else.
    pub(crate) fn of(packet: &[u8]) -> Option<Self> {
        let header = packet.first_chunk::<40>()?;
        if header[0] >> 4 != 6 {
            return None;
        }
        let address = |at: usize| {
            let octets: [u8; 16] = header.get(at..at + 16)?.try_into().ok()?;
            Some(Ipv6Addr::from(octets))
        };
        Some(Self { source: address(8)?, destination: address(24)? })
    }
}
