//! Decides which announced prefixes get a route in this host, and which would do harm there. Pure.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use peerbound_wire::Prefix;

/// The widest IPv4 prefix that gets a route unasked: the largest block for private use is as wide (RFC 1918).
/// What is wider takes the place of a default route, alone or with a few others.
const IPV4_BITS_MIN: u8 = 8;

/// The same of IPv6: a site has a /48, a provider a /32, and 6to4 as a whole a /16 (RFC 3056).
const IPV6_BITS_MIN: u8 = 16;

/// Which routes are set: the key `routes`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouteRule {
    /// None at all; somebody else sets them.
    None,
    /// The overlay's own, and what others announce as far as it does no harm.
    Harmless,
    /// The overlay's own, and of the harmless ones those within these prefixes. What is itself one of them
    /// is set whatever harm it does: it was asked for by name.
    Within(Vec<Prefix>),
}

/// Why a prefix gets no route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RouteRefusal {
    /// We announce it ourselves.
    Ours,
    /// The list in the configuration does not hold it.
    NotListed,
    /// It takes the place of a default route.
    TooWide,
    /// A neighbour is at this address in it: what carries the overlay would go into the overlay.
    HoldsNeighbour(IpAddr),
    /// There are as many routes as there may be.
    TooMany,
}

impl RouteRule {
    /// Says why a prefix that others announce gets no route; `None` when it gets one. Neighbours are given by
    /// their addresses in the network below.
    pub(crate) fn refusal(&self, prefix: &Prefix, neighbours: &BTreeSet<IpAddr>) -> Option<RouteRefusal> {
        match self {
            Self::None => return Some(RouteRefusal::NotListed),
            Self::Within(listed) if listed.contains(prefix) => return None,
            Self::Within(listed) if !listed.iter().any(|around| around.covers(prefix)) => {
                return Some(RouteRefusal::NotListed);
            }
            Self::Harmless | Self::Within(_) => {}
        }
        let (network, bits) = prefix.network();
        if bits < if network.is_ipv4() { IPV4_BITS_MIN } else { IPV6_BITS_MIN } {
            return Some(RouteRefusal::TooWide);
        }
        let held = neighbours.iter().find(|address| holds(prefix, **address));
        held.map(|address| RouteRefusal::HoldsNeighbour(*address))
    }
}

/// Returns whether a prefix holds an address.
pub(crate) fn holds(prefix: &Prefix, address: IpAddr) -> bool {
    prefix.contains(match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    })
}

impl RouteRefusal {
    /// Returns whether an operator should look: nobody decided that it be so.
    pub(crate) fn is_a_surprise(self) -> bool {
        match self {
            Self::Ours | Self::NotListed => false,
            Self::TooWide | Self::HoldsNeighbour(_) | Self::TooMany => true,
        }
    }
}

impl fmt::Display for RouteRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ours => f.write_str("we announce it ourselves"),
            Self::NotListed => f.write_str("it is not within `routes` in [tun]"),
            Self::TooWide => f.write_str(
                "it would take the place of a default route: name it in `routes` in [tun] if it is to",
            ),
            Self::HoldsNeighbour(address) => write!(
                f,
                "a neighbour is at {address} in it, so that the link to it would go through itself: name it in `routes` in [tun] once a narrower route leads to the neighbour"
            ),
            Self::TooMany => write!(f, "there are {} routes already", crate::tun::ROUTES_MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    fn refusal(rule: &RouteRule, text: &str, neighbours: &[&str]) -> Option<RouteRefusal> {
        let neighbours = neighbours.iter().map(|address| address.parse().unwrap()).collect();
        rule.refusal(&prefix(text), &neighbours)
    }

    #[test]
    fn what_does_no_harm_gets_a_route_unasked() {
        for text in ["10.0.0.0/8", "10.7.0.0/16", "192.0.2.7/32", "fd12::/48", "2001:db8::/32"] {
            assert_eq!(refusal(&RouteRule::Harmless, text, &["198.51.100.7", "2001:db9::1"]), None, "{text}");
        }
    }

    #[test]
    fn a_prefix_in_which_a_neighbour_is_gets_none() {
        let refused = refusal(&RouteRule::Harmless, "198.51.100.0/24", &["203.0.113.9", "198.51.100.7"]);
        assert_eq!(refused, Some(RouteRefusal::HoldsNeighbour("198.51.100.7".parse().unwrap())));
        let refused = refusal(&RouteRule::Harmless, "2001:db8::/32", &["2001:db8::1"]);
        assert_eq!(refused, Some(RouteRefusal::HoldsNeighbour("2001:db8::1".parse().unwrap())));
    }

    #[test]
    fn what_would_be_a_default_route_gets_none_in_whatever_pieces_it_comes() {
        for text in ["0.0.0.0/0", "0.0.0.0/1", "128.0.0.0/1", "64.0.0.0/7", "::/0", "2000::/3", "8000::/1"] {
            assert_eq!(refusal(&RouteRule::Harmless, text, &[]), Some(RouteRefusal::TooWide), "{text}");
        }
    }

    #[test]
    fn a_list_lets_in_what_is_within_it_and_whatever_stands_there_itself() {
        let rule = RouteRule::Within(vec![prefix("10.0.0.0/8"), prefix("0.0.0.0/0")]);
        let neighbour = "10.77.0.2";

        assert_eq!(refusal(&rule, "10.7.0.0/16", &[neighbour]), None);
        assert_eq!(refusal(&rule, "0.0.0.0/0", &[neighbour]), None, "it was asked for by name");
        assert_eq!(refusal(&rule, "10.0.0.0/8", &[neighbour]), None, "this one, too");
        assert_eq!(
            refusal(&rule, "10.77.0.0/24", &[neighbour]),
            Some(RouteRefusal::HoldsNeighbour(neighbour.parse().unwrap())),
            "nobody asked for this one"
        );
        assert_eq!(refusal(&rule, "fd12::/48", &[]), Some(RouteRefusal::NotListed));
        assert_eq!(refusal(&RouteRule::None, "10.7.0.0/16", &[]), Some(RouteRefusal::NotListed));
    }
}
