//! Whether a link carries frames both ways: one timer and two states. An established session says
//! that it did once; hellos that echo hellos say that it does.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use peerbound_wire::Hello;

use crate::config::Healing;

/// The time between two hellos.
pub const HELLO_INTERVAL: Duration = Duration::from_millis(500);

/// The same where links heal: whoever lost its session is told so by the next hello, and is to be back within
/// half a second. A hello is 103 bytes, so that is 412 bytes a second.
const HELLO_INTERVAL_HEALING: Duration = Duration::from_millis(250);

/// Three missed hellos: a link is dead. The third is missed when it is late by half an interval, and not
/// at the moment at which it is due, or two lost hellos and the jitter of the next would end a link: at
/// 1 % loss that is once in twenty minutes for every link there is.
pub const DEAD_AFTER: Duration = Duration::from_millis(1750);
const _: () = assert!(DEAD_AFTER.as_millis() * 2 == HELLO_INTERVAL.as_millis() * 7);

/// Hellos whose time of sending is remembered: those of [`DEAD_AFTER`], and one to spare.
const SENT_MAX: usize = 8;
const _: () = assert!(HELLO_INTERVAL_HEALING.as_millis() * (SENT_MAX as u128) > DEAD_AFTER.as_millis());

/// The hellos of one link session.
#[derive(Debug)]
pub(crate) struct Liveness {
    interval: Duration,
    next_hello: Instant,
    /// Our newest hellos with the time they were sent, oldest first.
    sent: VecDeque<(u32, Instant)>,
    sequence: u32,
    /// The sequence of their newest hello.
    heard: u32,
    heard_at: Instant,
    /// When the newest of our hellos that they have echoed was sent.
    echoed_sent_at: Option<Instant>,
    started: Instant,
    /// Their boot, by the hellos heard; another one counts from 1 again.
    boot_epoch: Option<u32>,
}

/// What is known of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LinkState {
    /// Nothing we sent has been echoed yet.
    Probing,
    /// Both directions carry frames.
    Alive,
    /// One direction, or both, carry nothing.
    Dead(Silence),
}

/// Which direction of a dead link is silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Silence {
    /// We hear nothing.
    Nothing,
    /// We hear them, and they do not hear us.
    NoEcho,
}

impl Silence {
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::Nothing => "three hellos in a row were missed",
            Self::NoEcho => "it is heard but does not hear us: the link works one way only",
        }
    }
}

impl Liveness {
    /// Starts behind the hello with this number, the last that the neighbour was sent.
    pub(crate) fn new(sequence: u32, healing: Healing, now: Instant) -> Self {
        let interval = match healing {
            Healing::Off => HELLO_INTERVAL,
            Healing::On => HELLO_INTERVAL_HEALING,
        };
        Self {
            interval,
            next_hello: now,
            sent: VecDeque::new(),
            sequence,
            heard: 0,
            heard_at: now,
            echoed_sent_at: None,
            started: now,
            boot_epoch: None,
        }
    }

    /// Returns whether a hello of this boot says that they have restarted since their last one.
    pub(crate) fn is_other_boot(&self, boot_epoch: u32) -> bool {
        self.boot_epoch.is_some_and(|known| known != boot_epoch)
    }

    /// Takes in a hello of theirs. One that was overtaken by a newer tells nothing new.
    pub(crate) fn on_hello(&mut self, hello: Hello, boot_epoch: u32, now: Instant) {
        if self.boot_epoch.replace(boot_epoch) != Some(boot_epoch) {
            self.heard = 0;
        }
        if hello.sequence <= self.heard {
            return;
        }
        if self.heard == 0 {
            // They may not know yet that they are heard: tell them at once.
            self.next_hello = now;
        }
        self.heard = hello.sequence;
        self.heard_at = now;
        if let Some((_, at)) = self.sent.iter().find(|(sequence, _)| *sequence == hello.heard) {
            self.echoed_sent_at = self.echoed_sent_at.max(Some(*at));
        }
    }

    /// Notes that another session of the same neighbour took over: its handshake has just proved that
    /// both directions work, and a neighbour that lost its memory wants to hear from us at once.
    pub(crate) fn on_session_replaced(&mut self, now: Instant) {
        self.next_hello = now;
        self.heard_at = now;
        self.started = now;
        self.echoed_sent_at = self.echoed_sent_at.map(|_| now);
    }

    /// Returns the hello to send if one is due.
    pub(crate) fn poll_hello(&mut self, now: Instant) -> Option<Hello> {
        if now < self.next_hello {
            return None;
        }
        self.sequence = self.sequence.saturating_add(1);
        self.next_hello = now + self.interval;
        if self.sent.len() == SENT_MAX {
            self.sent.pop_front();
        }
        self.sent.push_back((self.sequence, now));
        Some(Hello { sequence: self.sequence, heard: self.heard })
    }

    pub(crate) fn state(&self, now: Instant) -> LinkState {
        if now >= self.heard_at + DEAD_AFTER {
            return LinkState::Dead(Silence::Nothing);
        }
        if now >= self.echo_deadline() {
            return LinkState::Dead(Silence::NoEcho);
        }
        match self.echoed_sent_at {
            Some(_) => LinkState::Alive,
            None => LinkState::Probing,
        }
    }

    /// Returns when they were last heard, and when the newest of our hellos was sent that they echoed.
    /// The handshake counts as the first of both.
    pub(crate) fn proofs(&self) -> (Instant, Instant) {
        (self.heard_at, self.echoed_sent_at.unwrap_or(self.started))
    }

    pub(crate) fn poll_timeout(&self) -> Instant {
        self.next_hello.min(self.heard_at + DEAD_AFTER).min(self.echo_deadline())
    }

    /// An echo comes with their next hello, so it may be an interval old besides its way.
    fn echo_deadline(&self) -> Instant {
        self.echoed_sent_at.unwrap_or(self.started) + DEAD_AFTER + HELLO_INTERVAL
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "an Instant can be had in no other way")]
    fn start() -> Instant {
        Instant::now()
    }

    #[test]
    fn a_link_is_alive_when_an_echo_has_come_and_dead_after_three_missed_hellos() {
        let start = start();
        let mut liveness = Liveness::new(0, Healing::Off, start);
        let first = liveness.poll_hello(start).expect("the first hello is due at once");
        assert_eq!(liveness.state(start), LinkState::Probing);

        liveness.on_hello(Hello { sequence: 1, heard: first.sequence }, 1, start);

        assert_eq!(liveness.state(start), LinkState::Alive);
        assert_eq!(liveness.state(start + DEAD_AFTER), LinkState::Dead(Silence::Nothing));
    }

    #[test]
    fn two_lost_hellos_and_a_late_third_do_not_end_a_link() {
        let start = start();
        let mut liveness = Liveness::new(0, Healing::Off, start);
        let first = liveness.poll_hello(start).expect("the first hello is due at once");
        liveness.on_hello(Hello { sequence: 1, heard: first.sequence }, 1, start);

        let third = start + HELLO_INTERVAL * 3 + HELLO_INTERVAL / 10;

        assert_eq!(liveness.state(third), LinkState::Alive);
    }

    #[test]
    fn a_link_that_works_one_way_only_dies_although_hellos_come() {
        let start = start();
        let mut liveness = Liveness::new(0, Healing::Off, start);
        let mut died = None;

        for step in 0..10_u32 {
            let now = start + HELLO_INTERVAL * step;
            liveness.poll_hello(now);
            liveness.on_hello(Hello { sequence: step + 1, heard: 0 }, 1, now);
            if let LinkState::Dead(silence) = liveness.state(now) {
                died.get_or_insert((step, silence));
            }
        }

        assert_eq!(died, Some((5, Silence::NoEcho)));
    }

    #[test]
    fn a_restarted_neighbour_counts_from_one_and_is_heard() {
        let start = start();
        let mut liveness = Liveness::new(0, Healing::Off, start);
        liveness.poll_hello(start);
        liveness.on_hello(Hello { sequence: 90, heard: 1 }, 1, start);

        let later = start + DEAD_AFTER / 2;
        liveness.on_hello(Hello { sequence: 1, heard: 1 }, 2, later);

        assert_eq!(liveness.state(start + DEAD_AFTER), LinkState::Alive);
    }

    #[test]
    fn a_hello_that_was_overtaken_proves_nothing() {
        let start = start();
        let mut liveness = Liveness::new(0, Healing::Off, start);
        liveness.poll_hello(start);
        liveness.on_hello(Hello { sequence: 5, heard: 0 }, 1, start);

        liveness.on_hello(Hello { sequence: 4, heard: 1 }, 1, start + HELLO_INTERVAL);

        assert_eq!(liveness.state(start + HELLO_INTERVAL), LinkState::Probing);
    }
}
