//! Meets hellos from addresses without a session: first the cookie, then a rate per prefix, then a
//! ceiling on handshakes in progress, shared out by site. Only then is anything remembered.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use peerbound_dtls::{Doorman, ErrorStack, Screening, VerifiedHello};

use crate::bucket::TokenBucket;
use crate::counters::DatagramDrop;
use crate::fifo_map::FifoMap;
use crate::index::Secret;

/// Handshakes from strangers that may be in progress: 64 x about 100 kB = 6.4 MB.
pub(crate) const HALF_OPEN_MAX: usize = 64;

/// Verified hellos of one prefix at once: a site whose nodes all restart together.
const HELLOS_BURST: u32 = 100;

/// One more of them every so often: 50 a second cost some 5 % of a core.
const HELLOS_INTERVAL: Duration = Duration::from_millis(20);

/// Prefixes whose rate is kept: 4096 x about 100 bytes = 400 kB.
const PREFIXES_MAX: usize = 4096;

/// The doorman and the rates behind him.
pub(crate) struct Strangers {
    doorman: Doorman,
    buckets: FifoMap<IpAddr, TokenBucket>,
}

/// What is to be done with a hello.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reception {
    Challenge(Vec<u8>),
    Welcome(VerifiedHello),
    Drop(DatagramDrop),
}

impl Strangers {
    pub(crate) fn new(seed: [u8; 32], secret: Secret, now: Instant) -> Self {
        Self { doorman: Doorman::new(seed, now), buckets: FifoMap::with_max(PREFIXES_MAX, secret) }
    }

    pub(crate) fn receive(
        &mut self,
        from: SocketAddr,
        datagram: &[u8],
        now: Instant,
    ) -> Result<Reception, ErrorStack> {
        Ok(match self.doorman.screen(datagram, from, now)? {
            Screening::Challenge(challenge) => Reception::Challenge(challenge),
            Screening::Refused => Reception::Drop(DatagramDrop::HelloRefused),
            Screening::Verified(hello) => {
                let bucket = self.buckets.get_or_insert_with(site(from.ip()), || {
                    TokenBucket::new(HELLOS_BURST, HELLOS_INTERVAL, now)
                });
                if bucket.take(now) {
                    Reception::Welcome(hello)
                } else {
                    Reception::Drop(DatagramDrop::HelloThrottled)
                }
            }
        })
    }
}

/// Returns the prefix of what one site usually holds: a /24, or a /56 of IPv6.
pub(crate) fn site(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) => Ipv4Addr::from_bits(address.to_bits() & !0xff).into(),
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(mapped) => site(mapped.into()),
            None => Ipv6Addr::from_bits(address.to_bits() >> 72 << 72).into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_site_share_a_prefix() {
        let of = |text: &str| site(text.parse().expect("a literal address")).to_string();

        assert_eq!(of("192.0.2.77"), "192.0.2.0");
        assert_eq!(of("::ffff:192.0.2.77"), "192.0.2.0");
        assert_eq!(of("2001:db8:1:2ff:3::4"), "2001:db8:1:200::");
    }
}
