//! The part of a world that is the attacker's: what passes his places, and what he puts on the wire.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::flight::{Flight, FlightId};
use crate::ids::{DatagramId, HostId, TapId, index, next};
use crate::observation::{Loss, Way};
use crate::tap::{ArmedTap, Captured, Listening, Tap, TapAction};
use crate::world::sending::{Outgoing, Stage};
use crate::world::{Due, World};

/// Where the attacker stands when he puts something on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stand {
    /// At a host, from which what he sends takes the path that everything else from there takes, through
    /// its NAT if it is behind one.
    At(HostId),
    /// On the path from one host to others, behind its NAT.
    OnPathFrom(HostId),
}

/// A datagram that the attacker makes. Its source address may be anyone's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Injection {
    /// Where he stands.
    pub from: Stand,
    /// The source address he writes into it.
    pub source: SocketAddr,
    /// Where it goes.
    pub destination: SocketAddr,
    /// Its payload.
    pub bytes: Vec<u8>,
    /// What the caller calls it.
    pub label: Option<Arc<str>>,
    /// The datagram that it is a copy, or a changed copy, of.
    pub copy_of: Option<DatagramId>,
}

impl World {
    /// Gives the attacker a place to see what passes.
    pub fn add_tap(&mut self, tap: Tap) -> TapId {
        let id = TapId(next(&self.taps));
        self.taps.push(ArmedTap::new(tap));
        id
    }

    /// Takes a place from the attacker. What he holds there is released, and what he saw is kept.
    pub fn remove_tap(&mut self, tap: TapId) {
        self.taps[index(tap.0)].listens = Listening::No;
        self.release(tap);
    }

    /// Returns what the attacker saw at a place, oldest first.
    #[must_use]
    pub fn captured(&self, tap: TapId) -> &[Captured] {
        &self.taps[index(tap.0)].captured
    }

    /// Returns how many datagrams the attacker holds at a place.
    #[must_use]
    pub fn held(&self, tap: TapId) -> usize {
        self.taps[index(tap.0)].held.len()
    }

    /// Lets everything go on that the attacker holds at a place, in order; returns how many that are.
    pub fn release(&mut self, tap: TapId) -> usize {
        let held = std::mem::take(&mut self.taps[index(tap.0)].held);
        let count = held.len();
        held.into_iter().for_each(|flight| self.meet_faults(flight));
        count
    }

    /// Throws everything away that the attacker holds at a place; returns how many that are.
    pub fn drop_held(&mut self, tap: TapId) -> usize {
        let held = std::mem::take(&mut self.taps[index(tap.0)].held);
        let count = held.len();
        held.into_iter().for_each(|flight| self.lose(flight, Loss::Attacker));
        count
    }

    /// Puts a datagram of the attacker's on the wire. It meets the faults and the conditions of its path,
    /// and no tap.
    pub fn inject(&mut self, injection: Injection) -> DatagramId {
        let Injection { from, source, destination, bytes, label, copy_of } = injection;
        let (from, translation) = match from {
            Stand::At(host) => (host, self.host(host).nat),
            Stand::OnPathFrom(host) => (host, None),
        };
        let outgoing = Outgoing { from, way: Way::Injected, source, destination, label, copy_of };
        self.emit_from(outgoing, &bytes, translation, Stage::Faults)
    }

    /// Lets a datagram pass the attacker's places, as far as he lets it.
    pub(super) fn meet_taps(&mut self, flight: FlightId) {
        for number in 0..self.taps.len() {
            let Flight { id, from, to, source, destination, ref bytes, .. } = *self.flights.get(flight);
            let tap = &mut self.taps[number];
            if tap.listens == Listening::No || !tap.matcher.takes(from, to, bytes, self.now) {
                continue;
            }
            let bytes: Arc<[u8]> = bytes[..].into();
            let seen =
                Captured { datagram: id, at: self.now, from, to, source, destination, bytes: bytes.clone() };
            tap.remember(seen);
            match &mut tap.action {
                TapAction::Capture => {}
                TapAction::Hold => {
                    tap.held.push(flight);
                    return;
                }
                TapAction::Drop => {
                    self.lose(flight, Loss::Attacker);
                    return;
                }
                TapAction::Delay(by) => {
                    let goes_on = self.now + *by;
                    self.queue.put(goes_on, Due::Proceed { flight, stage: Stage::Faults });
                    return;
                }
                TapAction::Rewrite(rewrite) => {
                    if let Some(other) = rewrite(&bytes) {
                        self.change(flight, &other, Loss::Attacker);
                    }
                }
            }
        }
        self.meet_faults(flight);
    }
}
