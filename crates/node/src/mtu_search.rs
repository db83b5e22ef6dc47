//! Finds out how large a datagram a path carries (RFC 8899, datagram packetisation layer path MTU
//! discovery): one timer and one probe at a time. Nothing else is taken for news: the kernel is not asked,
//! and an ICMP message is not believed.

use std::time::{Duration, Instant};

/// What every path is taken to carry, in bytes of UDP payload (RFC 8899, 5.1.2: BASE_PLPMTU).
pub(crate) const MTU_BASE: u16 = 1200;

/// What carries the packets that IPv6 takes for granted (RFC 8200, 5): 1280 bytes, the byte in front of them and
/// the record of an inner session, the frame's header, and the link's record. It is asked for before all else, and
/// never by halving: a search that ends a few bytes below it would keep IPv6 off a path that carries it.
const MTU_FOR_IPV6: u16 = 1280 + 1 + 37 + 54 + 37;

/// How long a probe waits for its answer (RFC 8899, 5.1.1: at least a second).
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);

/// Probes of one size that are lost before the path is taken not to carry it (RFC 8899, 5.1.2).
const PROBES_MAX: u8 = 3;

/// How often it is asked whether the size in use still arrives: a path that shrinks without a word swallows
/// large datagrams for this long, and as long as three probes take. TCP whose segments vanish sends them again
/// after 0.2, 0.6, 1.4, 3, 6.2 and 12.6 s: with 3 s it is the fifth that is told what fits, and not the sixth.
const CONFIRM_INTERVAL: Duration = Duration::from_secs(3);

/// How long a size that was lost is not tried again (RFC 8899, 5.1.1: PMTU_RAISE_TIMER).
const RAISE_INTERVAL: Duration = Duration::from_secs(600);

/// The search ends when less than this could be gained.
const GRANULARITY: u16 = 16;

/// The search on one path.
#[derive(Debug, Clone)]
pub(crate) struct MtuSearch {
    base: u16,
    max: u16,
    /// The largest size that has arrived.
    proven: u16,
    /// The largest size that may yet arrive.
    hoped: u16,
    probe: Option<Probe>,
    next_at: Instant,
    raise_at: Instant,
    token: u32,
}

/// A size that was sent and not answered yet.
#[derive(Debug, Clone, Copy)]
struct Probe {
    size: u16,
    sent: u8,
    first_token: u32,
    lost_at: Instant,
}

impl MtuSearch {
    /// Starts at the base, or below it where not even that is wanted; the first probe is due at once.
    pub(crate) fn new(max: u16, now: Instant) -> Self {
        let base = MTU_BASE.min(max);
        let (next_at, raise_at) = (now, now + RAISE_INTERVAL);
        Self { base, max, proven: base, hoped: max, probe: None, next_at, raise_at, token: 0 }
    }

    /// Returns the largest datagram that may be sent.
    pub(crate) fn mtu(&self) -> u16 {
        self.proven
    }

    /// Returns the token and the size of the probe to send, if one is due.
    pub(crate) fn poll_probe(&mut self, now: Instant) -> Option<(u32, u16)> {
        if let Some(probe) = self.probe {
            if now < probe.lost_at {
                return None;
            }
            if probe.sent < PROBES_MAX {
                return Some(self.send(Probe { sent: probe.sent + 1, ..probe }, now));
            }
            self.probe = None;
            self.on_lost(probe.size, now);
        }
        if now < self.next_at || self.base == self.max {
            return None;
        }
        if self.is_complete() && now >= self.raise_at && self.proven < self.max {
            self.hoped = self.max;
        }
        let size = self.next_size();
        if size == self.base {
            // The base is what hellos and everything else get through with: there is nothing to confirm.
            self.next_at = self.raise_at;
            return None;
        }
        let first_token = self.token.wrapping_add(1);
        Some(self.send(Probe { size, sent: 1, first_token, lost_at: now }, now))
    }

    /// Takes in the answer to a probe; says whether another size may be sent from here on.
    pub(crate) fn on_answer(&mut self, token: u32, now: Instant) -> bool {
        let is_of = |probe: &mut Probe| {
            token.wrapping_sub(probe.first_token) <= self.token.wrapping_sub(probe.first_token)
        };
        let Some(probe) = self.probe.take_if(is_of) else {
            return false;
        };
        let before = self.proven;
        self.proven = before.max(probe.size);
        self.plan(now);
        self.proven != before
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        (self.base < self.max).then(|| self.probe.map_or(self.next_at, |probe| probe.lost_at))
    }

    fn send(&mut self, probe: Probe, now: Instant) -> (u32, u16) {
        self.token = self.token.wrapping_add(1);
        self.probe = Some(Probe { lost_at: now + PROBE_TIMEOUT, ..probe });
        (self.token, probe.size)
    }

    fn on_lost(&mut self, size: u16, now: Instant) {
        self.hoped = self.hoped.min(size - 1);
        if size <= self.proven {
            // A black hole (RFC 8899, 4.3): what arrived does not any more.
            self.proven = self.base;
        }
        self.raise_at = now + RAISE_INTERVAL;
        self.plan(now);
    }

    /// Says when the next probe is due: at once while the search goes on.
    fn plan(&mut self, now: Instant) {
        self.next_at = if self.is_complete() { now + CONFIRM_INTERVAL } else { now };
    }

    fn is_complete(&self) -> bool {
        self.hoped < self.proven.saturating_add(GRANULARITY)
            && !(self.hoped == self.max && self.proven < self.max)
    }

    /// What IPv6 needs is tried first; then the largest size, for most paths carry it; then the middle of
    /// what is open.
    fn next_size(&self) -> u16 {
        if self.is_complete() {
            self.proven
        } else if (self.proven + 1..=self.hoped).contains(&MTU_FOR_IPV6) {
            MTU_FOR_IPV6
        } else if self.hoped == self.max {
            self.max
        } else {
            self.proven + (self.hoped - self.proven).div_ceil(2)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "an Instant can be had in no other way")]
    fn start() -> Instant {
        Instant::now()
    }

    /// Lets a search run over a path that carries `carries` bytes; returns the probes sent.
    fn run(search: &mut MtuSearch, carries: u16, now: &mut Instant, time: Duration) -> Vec<u16> {
        let end = *now + time;
        let mut sizes = Vec::new();
        while let Some(at) = search.poll_timeout().map(|at| at.max(*now)).filter(|at| *at <= end) {
            *now = at;
            if let Some((token, size)) = search.poll_probe(*now) {
                sizes.push(size);
                if size <= carries {
                    search.on_answer(token, *now);
                }
            } else {
                // Or its owner would spin.
                assert!(search.poll_timeout() > Some(*now), "{search:?}");
            }
        }
        *now = end;
        sizes
    }

    #[test]
    fn a_path_that_carries_everything_is_found_with_one_probe() {
        let mut now = start();
        let mut search = MtuSearch::new(1400, now);
        assert_eq!(search.mtu(), MTU_BASE);

        let sizes = run(&mut search, u16::MAX, &mut now, Duration::from_secs(1));

        assert_eq!((sizes, search.mtu()), (vec![1400], 1400));
    }

    #[test]
    fn a_narrower_path_is_found_to_within_the_granularity() {
        for carries in 1200..=1400 {
            let mut now = start();
            let mut search = MtuSearch::new(1400, now);

            let sizes = run(&mut search, carries, &mut now, Duration::from_secs(60));

            let found = search.mtu();
            assert!(found <= carries && carries < found + GRANULARITY, "{carries}: {found}");
            assert!(sizes.len() < 40, "{carries}: {sizes:?}");
        }
    }

    #[test]
    fn what_ipv6_needs_is_known_a_round_trip_after_the_start_and_after_a_black_hole() {
        let mut now = start();
        let mut search = MtuSearch::new(1440, now);

        let sizes = run(&mut search, 1420, &mut now, PROBE_TIMEOUT / 2);
        assert_eq!((sizes, search.mtu()), (vec![MTU_FOR_IPV6, 1440], MTU_FOR_IPV6));
        run(&mut search, 1420, &mut now, Duration::from_secs(60));
        assert!((1405..=1420).contains(&search.mtu()), "{}", search.mtu());
        run(&mut search, 1410, &mut now, CONFIRM_INTERVAL + 3 * PROBE_TIMEOUT);

        assert_eq!(search.mtu(), MTU_FOR_IPV6);
    }

    #[test]
    fn a_path_that_carries_exactly_what_ipv6_needs_is_found_to_carry_it() {
        for max in MTU_FOR_IPV6..=1500 {
            let mut now = start();
            let mut search = MtuSearch::new(max, now);

            run(&mut search, MTU_FOR_IPV6, &mut now, Duration::from_secs(60));

            assert_eq!(search.mtu(), MTU_FOR_IPV6, "of {max}");
        }
    }

    #[test]
    fn a_path_that_shrinks_is_noticed_and_its_size_found_again() {
        let mut now = start();
        let mut search = MtuSearch::new(1400, now);
        run(&mut search, 1400, &mut now, Duration::from_secs(20));

        run(&mut search, 1250, &mut now, CONFIRM_INTERVAL + 3 * PROBE_TIMEOUT);
        assert_eq!(search.mtu(), MTU_BASE, "it falls back at once");
        run(&mut search, 1250, &mut now, Duration::from_secs(30));

        assert!((1235..=1250).contains(&search.mtu()), "{}", search.mtu());
    }

    #[test]
    fn a_path_that_widens_is_found_out_after_ten_minutes() {
        let mut now = start();
        let mut search = MtuSearch::new(1400, now);
        run(&mut search, 1200, &mut now, Duration::from_secs(60));
        assert_eq!(search.mtu(), 1200);

        run(&mut search, 1400, &mut now, RAISE_INTERVAL);

        assert_eq!(search.mtu(), 1400);
    }

    #[test]
    fn two_lost_probes_of_the_size_in_use_change_nothing() {
        let mut now = start();
        let mut search = MtuSearch::new(1400, now);
        run(&mut search, 1400, &mut now, Duration::from_secs(1));

        run(&mut search, 0, &mut now, CONFIRM_INTERVAL + PROBE_TIMEOUT / 2);
        assert_eq!(search.mtu(), 1400);
        run(&mut search, 1400, &mut now, Duration::from_secs(60));

        assert_eq!(search.mtu(), 1400);
    }

    #[test]
    fn an_answer_to_an_earlier_copy_counts_and_one_to_nothing_does_not() {
        let now = start();
        let mut search = MtuSearch::new(1400, now);
        let (first, _) = search.poll_probe(now).expect("the first probe is due at once");
        let later = now + PROBE_TIMEOUT;
        search.poll_probe(later).expect("and its copy a second later");

        assert!(!search.on_answer(first.wrapping_sub(1), later));
        assert!(!search.on_answer(first + 2, later));
        assert!(search.on_answer(first, later));
        assert!(!search.on_answer(first, later), "once");
    }

    #[test]
    fn nothing_is_looked_for_where_no_more_than_the_base_is_wanted() {
        let now = start();
        let mut search = MtuSearch::new(600, now);

        assert_eq!((search.mtu(), search.poll_probe(now), search.poll_timeout()), (600, None, None));
    }
}
