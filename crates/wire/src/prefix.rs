//! Addresses that begin alike: how they are written, carried and compared.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::codec::DecodeError;
use crate::routing::list::Item;

/// Bytes of one on the wire: 16 address, 1 length.
pub(crate) const PREFIX_BYTES: usize = 16 + 1;

/// Bits that stand before an IPv4 address where it is written as IPv6 (RFC 4291, 2.5.5.2).
const MAPPED_BITS: u8 = 96;

/// All addresses that begin alike. Those of IPv4 are written as v4-mapped IPv6; a prefix of the one kind
/// never holds an address of the other, so `::/0` is no way to all of IPv4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Prefix {
    /// The first of them.
    pub address: Ipv6Addr,
    /// The number of bits that they have in common, up to 128.
    pub bits: u8,
}

/// Why a text is no prefix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParsePrefixError {
    /// It is not an address, a slash and a length.
    #[error("{0:?} is no prefix: write one like \"10.7.0.0/16\" or \"fd12::/48\"")]
    Form(String),
    /// Bits are set behind its length.
    #[error("{given} has bits behind its length: write {meant}")]
    BitsBehind {
        /// As it was written.
        given: String,
        /// The prefix that holds this address.
        meant: Prefix,
    },
}

impl Prefix {
    /// Returns the prefix of so many bits that holds an address; `None` when it has not so many.
    #[must_use]
    pub fn around(address: IpAddr, bits: u8) -> Option<Self> {
        let (address, bits) = match address {
            IpAddr::V4(address) => (address.to_ipv6_mapped(), bits.checked_add(MAPPED_BITS)?),
            IpAddr::V6(address) => (address, bits),
        };
        (bits <= 128).then(|| Self { address: (address.to_bits() & mask(bits)).into(), bits })
    }

    /// Returns whether it is one of IPv4.
    #[must_use]
    pub fn is_ipv4(&self) -> bool {
        self.bits >= MAPPED_BITS && self.address.to_ipv4_mapped().is_some()
    }

    /// Returns its first address and its length as a routing table has them: one of IPv4 as IPv4.
    #[must_use]
    pub fn network(&self) -> (IpAddr, u8) {
        match self.address.to_ipv4_mapped().filter(|_| self.is_ipv4()) {
            Some(address) => (IpAddr::V4(address), self.bits - MAPPED_BITS),
            None => (IpAddr::V6(self.address), self.bits),
        }
    }

    /// Returns whether it holds an address; one of IPv4 is given as v4-mapped.
    #[must_use]
    pub fn contains(&self, address: Ipv6Addr) -> bool {
        self.is_ipv4() == address.to_ipv4_mapped().is_some()
            && address.to_bits() & mask(self.bits) == self.address.to_bits()
    }

    /// Returns whether it holds every address of another one.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self.bits <= other.bits && self.is_ipv4() == other.is_ipv4() && {
            other.address.to_bits() & mask(self.bits) == self.address.to_bits()
        }
    }
}

fn mask(bits: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(bits.min(128))).unwrap_or(0)
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (address, bits) = self.network();
        write!(f, "{address}/{bits}")
    }
}

impl FromStr for Prefix {
    type Err = ParsePrefixError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let form = || ParsePrefixError::Form(text.chars().take(64).collect());
        let (address, bits) = text.split_once('/').ok_or_else(form)?;
        let is_number = (1..=3).contains(&bits.len()) && bits.bytes().all(|digit| digit.is_ascii_digit());
        let bits: u8 = bits.parse().ok().filter(|_| is_number).ok_or_else(form)?;
        let address: IpAddr = address.parse().map_err(|_| form())?;
        // One prefix has one form in text, too.
        if matches!(address, IpAddr::V6(address) if address.to_ipv4_mapped().is_some()) {
            return Err(form());
        }
        let prefix = Self::around(address, bits).ok_or_else(form)?;
        if prefix.address != as_ipv6(address) {
            return Err(ParsePrefixError::BitsBehind { given: text.to_owned(), meant: prefix });
        }
        Ok(prefix)
    }
}

fn as_ipv6(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => Ipv4Addr::to_ipv6_mapped(&address),
        IpAddr::V6(address) => address,
    }
}

impl<'a> Item<'a> for Prefix {
    fn split(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), DecodeError> {
        let Some((prefix, rest)) = bytes.split_first_chunk::<PREFIX_BYTES>() else {
            return Err(DecodeError::Truncated { len: bytes.len(), needed: PREFIX_BYTES });
        };
        let [address @ .., bits] = *prefix;
        let address = u128::from_be_bytes(address);
        // One prefix has one form: no bits behind its length.
        if bits > 128 || address & !mask(bits) != 0 {
            return Err(DecodeError::Value);
        }
        Ok((Self { address: address.into(), bits }, rest))
    }

    fn write_into(&self, out: &mut Vec<u8>) {
        out.extend(self.address.octets());
        out.push(self.bits);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    fn address(text: &str) -> Ipv6Addr {
        as_ipv6(text.parse().unwrap())
    }

    #[test]
    fn what_is_written_is_read_as_the_same() {
        for text in ["10.7.0.0/16", "0.0.0.0/0", "192.0.2.1/32", "fd12::/48", "::/0", "2001:db8::1/128"] {
            assert_eq!(prefix(text).to_string(), text);
        }
        assert_eq!(prefix("10.7.0.0/16").bits, 112);
    }

    #[test]
    fn what_is_no_prefix_is_refused_with_what_to_write() {
        for text in ["", "10.7.0.0", "10.7.0.0/33", "fd12::/129", "10.7/16", "a/b", "::ffff:10.7.0.0/112"] {
            let error = text.parse::<Prefix>().unwrap_err();
            assert!(error.to_string().contains("write one like"), "{text}: {error}");
        }
        let error = "10.7.1.2/16".parse::<Prefix>().unwrap_err().to_string();
        assert_eq!(error, "10.7.1.2/16 has bits behind its length: write 10.7.0.0/16");
    }

    #[test]
    fn a_prefix_holds_what_begins_as_it_does_and_nothing_of_the_other_kind() {
        assert!(prefix("10.7.0.0/16").contains(address("10.7.255.1")));
        assert!(!prefix("10.7.0.0/16").contains(address("10.8.0.1")));
        assert!(prefix("fd12::/48").contains(address("fd12::9")));
        assert!(prefix("::/0").contains(address("2001:db8::1")));
        assert!(!prefix("::/0").contains(address("10.7.0.1")));
        assert!(prefix("0.0.0.0/0").contains(address("10.7.0.1")));
        assert!(!prefix("0.0.0.0/0").contains(address("fd12::1")));
    }

    #[test]
    fn a_prefix_covers_itself_and_what_is_longer() {
        let covers = |one: &str, other: &str| prefix(one).covers(&prefix(other));

        assert!(covers("10.0.0.0/8", "10.7.0.0/16") && covers("10.7.0.0/16", "10.7.0.0/16"));
        assert!(!covers("10.7.0.0/16", "10.0.0.0/8") && !covers("10.7.0.0/16", "10.8.0.0/24"));
        assert!(!covers("::/0", "10.7.0.0/16") && !covers("::/0", "0.0.0.0/0"));
        assert!(covers("::/0", "fd12::/48") && covers("0.0.0.0/0", "10.7.0.0/16"));
    }
}
