//! Two associations, each behind its doorman, and a road between them on which a test may do
//! anything to a datagram. Time is virtual and moves from one event to the next.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use peerbound_dtls::{
    Association, AssociationConfig, AssociationEvent, Context, Doorman, Outcome, Plaintexts, Precedence,
    Screening, SessionOptions, is_client_hello,
};

use crate::chance::Chance;
use crate::support::{CLIENT, SERVER, World, address};
use crate::vclock::VirtualClock;

/// One way across the road, when nothing happens to a datagram.
pub(crate) const LATENCY: Duration = Duration::from_millis(10);

/// Which end of the road.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Left,
    Right,
}

impl Side {
    pub(crate) fn other(self) -> Self {
        match self {
            Self::Left => Self::Right,
            Self::Right => Self::Left,
        }
    }
}

/// What becomes of a datagram on its way to a side: what arrives instead of it, and when.
pub(crate) type Road = Box<dyn FnMut(Side, Vec<u8>) -> Vec<(Duration, Vec<u8>)>>;

pub(crate) fn perfect_road() -> Road {
    Box::new(|_, datagram| vec![(LATENCY, datagram)])
}

/// What happens to datagrams, in percent each.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Weather {
    pub(crate) lost: u64,
    pub(crate) duplicated: u64,
    pub(crate) reordered: u64,
    pub(crate) corrupted: u64,
}

impl Weather {
    pub(crate) fn road(self, seed: u64) -> Road {
        let mut chance = Chance::new(seed);
        Box::new(move |_, mut datagram| {
            if chance.percent(self.lost) {
                return Vec::new();
            }
            if chance.percent(self.corrupted) {
                let at = chance.index(datagram.len());
                datagram[at] ^= 1 << chance.below(8);
            }
            let mut copies = vec![datagram];
            if chance.percent(self.duplicated) {
                copies.push(copies[0].clone());
            }
            let mut delay = || {
                LATENCY
                    + Duration::from_millis(if chance.percent(self.reordered) {
                        chance.below(100)
                    } else {
                        0
                    })
            };
            copies.into_iter().map(|copy| (delay(), copy)).collect()
        })
    }
}

/// One end: who it is, what it holds, and what it has seen.
pub(crate) struct End {
    pub(crate) config: AssociationConfig,
    pub(crate) association: Option<Association>,
    pub(crate) events: Vec<AssociationEvent>,
    pub(crate) received: Vec<Vec<u8>>,
    pub(crate) last_outcome: Option<Outcome>,
    doorman: Doorman,
}

impl End {
    fn new(config: AssociationConfig, doorman: Doorman) -> Self {
        Self {
            config,
            association: None,
            events: Vec::new(),
            received: Vec::new(),
            last_outcome: None,
            doorman,
        }
    }

    pub(crate) fn is_live(&self) -> bool {
        self.association.as_ref().is_some_and(Association::is_live)
    }

    pub(crate) fn link(&mut self) -> &mut Association {
        self.association.as_mut().expect("this end holds an association")
    }

    pub(crate) fn is_down(&self) -> bool {
        self.events.iter().any(|event| matches!(event, AssociationEvent::Down(_)))
    }

    /// Returns the master secret of the live session.
    pub(crate) fn secret(&self) -> Option<[u8; 48]> {
        Some(self.association.as_ref()?.session()?.secrets()?.master_secret)
    }

    /// Forgets everything, as a process that was killed does.
    pub(crate) fn restart(&mut self) {
        self.association = None;
        self.events.clear();
        self.received.clear();
    }

    fn on_datagram(&mut self, datagram: &[u8], from: SocketAddr, now: Instant) -> Option<Vec<u8>> {
        if is_client_hello(datagram) {
            return match self.doorman.screen(datagram, from, now).unwrap() {
                Screening::Challenge(challenge) => Some(challenge),
                Screening::Refused => None,
                Screening::Verified(hello) => {
                    match &mut self.association {
                        Some(association) if !association.is_over() => {
                            association.handle_hello(&hello, now).unwrap();
                        }
                        _ => {
                            let config = self.config.clone();
                            self.association = Some(Association::accept(config, &hello, now).unwrap());
                        }
                    }
                    None
                }
            };
        }
        let association = self.association.as_mut()?;
        let mut plaintexts = Plaintexts::new();
        self.last_outcome = Some(association.handle_datagram(datagram, &mut plaintexts, now));
        self.received.extend(plaintexts.iter().map(<[u8]>::to_vec));
        None
    }
}

/// Both ends, the road and the clock.
pub(crate) struct Network {
    pub(crate) clock: VirtualClock,
    pub(crate) left: End,
    pub(crate) right: End,
    pub(crate) road: Road,
    /// Datagrams on their way, by when they arrive and in which order they left.
    in_flight: BTreeMap<(Instant, u64), (Side, Vec<u8>)>,
    departed: u64,
    /// Every datagram that was sent, with the side it was meant for.
    pub(crate) sent: Vec<(Side, Vec<u8>)>,
}

impl Network {
    /// The client of `world` on the left, whose hello wins; its server on the right.
    pub(crate) fn new(world: &World, road: Road) -> Self {
        Self::between(&world.client, &world.server, &world.options, road)
    }

    pub(crate) fn between(left: &Context, right: &Context, options: &SessionOptions, road: Road) -> Self {
        let clock = VirtualClock::start();
        let end = |context: &Context, precedence, seed| {
            let config = AssociationConfig::new(context.clone(), options.clone(), precedence);
            End::new(config, Doorman::new([seed; 32], clock.now()))
        };
        Self {
            left: end(left, Precedence::Ours, 1),
            right: end(right, Precedence::Theirs, 2),
            clock,
            road,
            in_flight: BTreeMap::new(),
            departed: 0,
            sent: Vec::new(),
        }
    }

    pub(crate) fn deadline(mut self, deadline: Duration) -> Self {
        self.left.config.handshake_deadline = deadline;
        self.right.config.handshake_deadline = deadline;
        self
    }

    /// Makes a live pair over a perfect road.
    pub(crate) fn live(world: &World) -> Self {
        let mut network = Self::new(world, perfect_road());
        network.go_live();
        network
    }

    pub(crate) fn go_live(&mut self) {
        self.dial(Side::Left);
        let live = self.run_until(Duration::from_secs(5), Self::both_live);
        assert!(live, "a perfect road completes a handshake");
    }

    pub(crate) fn end(&mut self, side: Side) -> &mut End {
        match side {
            Side::Left => &mut self.left,
            Side::Right => &mut self.right,
        }
    }

    pub(crate) fn dial(&mut self, side: Side) {
        let now = self.clock.now();
        let end = self.end(side);
        end.association = Some(Association::dial(end.config.clone(), now).unwrap());
    }

    pub(crate) fn both_live(&self) -> bool {
        self.left.is_live() && self.right.is_live()
    }

    pub(crate) fn one_session(&self) -> bool {
        self.both_live() && self.left.secret() == self.right.secret()
    }

    /// Sends one payload from `side`; says whether the session took it.
    pub(crate) fn send(&mut self, side: Side, payload: &[u8]) {
        self.end(side).link().send(payload).unwrap();
        self.depart();
    }

    /// Lays a datagram of the test's own before `to`, at once.
    pub(crate) fn inject(&mut self, to: Side, datagram: &[u8]) -> Option<Outcome> {
        self.end(to).last_outcome = None;
        self.arrive(to, datagram);
        self.depart();
        self.end(to).last_outcome
    }

    /// Runs for a span of virtual time.
    pub(crate) fn run(&mut self, span: Duration) {
        self.run_until(span, |_| false);
    }

    /// Runs until `done`, or for `span` of virtual time at most; returns whether it was done.
    pub(crate) fn run_until(&mut self, span: Duration, done: impl Fn(&Self) -> bool) -> bool {
        let until = self.clock.now() + span;
        let mut standing_still = 0;
        loop {
            self.depart();
            if done(self) {
                return true;
            }
            let arrival = self.in_flight.keys().next().map(|(when, _)| *when);
            let timers = [&self.left, &self.right]
                .into_iter()
                .filter_map(|end| end.association.as_ref()?.poll_timeout());
            let Some(next) = timers.chain(arrival).min().filter(|next| *next <= until) else {
                self.clock.advance_to(until);
                return false;
            };
            standing_still = if next > self.clock.now() { 0 } else { standing_still + 1 };
            assert!(standing_still < 1000, "a timer is due, was handled, and is due again");
            self.clock.advance_to(next);
            self.step();
        }
    }

    fn step(&mut self) {
        let now = self.clock.now();
        while let Some(entry) = self.in_flight.first_entry().filter(|entry| entry.key().0 <= now) {
            let (to, datagram) = entry.remove();
            self.arrive(to, &datagram);
        }
        for end in [&mut self.left, &mut self.right] {
            if let Some(association) = &mut end.association
                && association.poll_timeout().is_some_and(|at| at <= now)
            {
                association.handle_timeout(now);
            }
        }
    }

    fn arrive(&mut self, to: Side, datagram: &[u8]) {
        let now = self.clock.now();
        let from = address(match to {
            Side::Left => SERVER,
            Side::Right => CLIENT,
        });
        let reply = self.end(to).on_datagram(datagram, from, now);
        if let Some(reply) = reply {
            self.set_out(to.other(), reply);
        }
    }

    /// Sends everything both ends have to send, and collects what they have to tell.
    pub(crate) fn depart(&mut self) {
        for side in [Side::Left, Side::Right] {
            let end = self.end(side);
            let Some(association) = &mut end.association else {
                continue;
            };
            let mut datagrams = Vec::new();
            while let Some(datagram) = association.poll_transmit() {
                datagrams.push(datagram.to_vec());
            }
            while let Some(event) = association.poll_event() {
                end.events.push(event);
            }
            datagrams.into_iter().for_each(|datagram| self.set_out(side.other(), datagram));
        }
    }

    pub(crate) fn lose_everything_in_flight(&mut self) {
        self.in_flight.clear();
    }

    fn set_out(&mut self, to: Side, datagram: Vec<u8>) {
        self.sent.push((to, datagram.clone()));
        for (delay, datagram) in (self.road)(to, datagram) {
            self.departed += 1;
            self.in_flight.insert((self.clock.now() + delay, self.departed), (to, datagram));
        }
    }
}
