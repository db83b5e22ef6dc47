//! One direction between two hosts: decides what becomes of a datagram that enters it, and when. It is
//! the same in a world of virtual time and between real sockets.

use std::time::Duration;

use crate::chance::{Dice, Purpose};
use crate::conditions::{Bursts, Conditions, TooBig};
use crate::observation::Loss;
use crate::time::{VirtualTime, nanos};

/// One direction of a path, with what it remembers. It knows datagrams by their size; `D` is what its
/// owner knows them by.
#[derive(Debug)]
pub struct Path<D> {
    conditions: Conditions,
    dice: Dice,
    /// When what waits before its rate will have left.
    busy_until: VirtualTime,
    /// When the last datagram arrives that was not held back.
    last_arrival: VirtualTime,
    weather: Weather,
    /// Datagrams that the next one overtakes.
    /// Those that the next one overtakes. Their owner lets them go when one has passed, or when they
    /// have waited for [`HELD_AT_MOST`].
    pub held: Vec<D>,
}

/// The state of the model of bursts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weather {
    Good,
    Bad,
}

/// What becomes of a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transit {
    /// It is gone.
    Lost(Loss),
    /// It arrives then, and a copy of it then, if there is one.
    Arrives {
        /// When it does.
        at: VirtualTime,
        /// When a second one like it does.
        copy_at: Option<VirtualTime>,
    },
    /// It lets the next one pass: its owner lays it by in [`Path::held`].
    Held,
}

/// How long a datagram waits to be overtaken: then it goes on, for nobody came.
pub const HELD_AT_MOST: Duration = Duration::from_millis(100);

impl<D> Path<D> {
    /// Makes a path with dice of its own: they follow from the seed and the two numbers of its place.
    #[must_use]
    pub fn new(conditions: Conditions, seed: u64, place: (u64, u64)) -> Self {
        Self {
            conditions,
            dice: Dice::new(seed, place.0, place.1),
            busy_until: VirtualTime::ZERO,
            last_arrival: VirtualTime::ZERO,
            weather: Weather::Good,
            held: Vec::new(),
        }
    }

    /// Returns what it is like.
    #[must_use]
    pub fn conditions(&self) -> &Conditions {
        &self.conditions
    }

    /// Takes other conditions from here on; what is on its way arrives as it would have.
    pub fn set_conditions(&mut self, conditions: Conditions) {
        self.conditions = conditions;
    }

    /// Decides about a packet of this size, headers included.
    pub fn enter(&mut self, packet_bytes: u64, now: VirtualTime) -> Transit {
        if self.conditions.outage.is_on(now) {
            return Transit::Lost(Loss::Partition);
        }
        if packet_bytes > u64::from(self.conditions.mtu) {
            let icmp = self.conditions.too_big == TooBig::Told;
            return Transit::Lost(Loss::TooBig { icmp });
        }
        let Some(left_at) = self.pass_queue(packet_bytes, now) else {
            return Transit::Lost(Loss::QueueFull);
        };
        if let Some(bursts) = self.conditions.bursts
            && self.is_lost_in_burst(bursts)
        {
            return Transit::Lost(Loss::BurstLoss);
        }
        if self.dice.happens(Purpose::Loss, self.conditions.loss) {
            return Transit::Lost(Loss::Chance);
        }
        if self.dice.happens(Purpose::Reorder, self.conditions.reorder) {
            return Transit::Held;
        }
        let at = self.arrival(left_at);
        let is_doubled = self.dice.happens(Purpose::Duplicate, self.conditions.duplicate);
        let copy_at = is_doubled.then(|| self.arrival(left_at));
        Transit::Arrives { at, copy_at }
    }

    /// Returns when a datagram arrives that leaves at this moment: behind all that left before it.
    pub fn arrival(&mut self, left_at: VirtualTime) -> VirtualTime {
        let jitter = self.dice.up_to(Purpose::Jitter, nanos(self.conditions.jitter));
        let at = left_at + self.conditions.latency;
        self.last_arrival = self.last_arrival.max(VirtualTime(at.0.saturating_add(jitter)));
        self.last_arrival
    }

    /// Returns when a packet has left the queue before the path's rate, if there is room for it.
    fn pass_queue(&mut self, packet_bytes: u64, now: VirtualTime) -> Option<VirtualTime> {
        let Some(rate) = self.conditions.rate else {
            return Some(now);
        };
        let waiting_nanos = self.busy_until.0.saturating_sub(now.0);
        let waiting_bytes = u128::from(waiting_nanos) * u128::from(rate) / 8_000_000_000;
        if waiting_bytes + u128::from(packet_bytes) > u128::from(self.conditions.queue_bytes) {
            return None;
        }
        let takes = u128::from(packet_bytes) * 8_000_000_000 / u128::from(rate.max(1));
        let takes = u64::try_from(takes).unwrap_or(u64::MAX);
        self.busy_until = VirtualTime(self.busy_until.max(now).0.saturating_add(takes));
        Some(self.busy_until)
    }

    fn is_lost_in_burst(&mut self, bursts: Bursts) -> bool {
        let (change, loss) = match self.weather {
            Weather::Good => (bursts.enter, bursts.loss_good),
            Weather::Bad => (bursts.leave, bursts.loss_bad),
        };
        let is_lost = self.dice.happens(Purpose::BurstLoss, loss);
        if self.dice.happens(Purpose::BurstState, change) {
            self.weather = match self.weather {
                Weather::Good => Weather::Bad,
                Weather::Bad => Weather::Good,
            };
        }
        is_lost
    }
}
