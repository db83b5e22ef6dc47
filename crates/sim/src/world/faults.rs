//! The part of a world in which the faults happen that were asked for.

use crate::fault::{ArmedFault, Fault, FaultAction, flip};
use crate::flight::{Flight, FlightId};
use crate::ids::{FaultId, index, next};
use crate::observation::Loss;
use crate::world::sending::Stage;
use crate::world::{Due, World};

impl World {
    /// Arms a fault. Faults happen in the order in which they were armed, and each counts every datagram
    /// that is sent, whatever became of it by another.
    pub fn add_fault(&mut self, fault: Fault) -> FaultId {
        let id = FaultId(next(&self.faults));
        self.faults.push(ArmedFault::new(fault));
        id
    }

    /// Returns how many times a fault has happened.
    #[must_use]
    pub fn fault_count(&self, fault: FaultId) -> u64 {
        self.faults[index(fault.0)].matcher.found
    }

    /// Lets a datagram pass the faults, and then enter its path.
    pub(super) fn meet_faults(&mut self, flight: FlightId) {
        if self.faults.is_empty() {
            self.enter_path(flight);
            return;
        }
        let Flight { from, to, ref bytes, .. } = *self.flights.get(flight);
        let now = self.now;
        let actions: Vec<_> = (0..)
            .map(FaultId)
            .zip(&mut self.faults)
            .filter_map(|(id, fault)| fault.matcher.takes(from, to, bytes, now).then_some((id, fault.action)))
            .collect();
        for (id, action) in actions {
            match action {
                FaultAction::Drop => {
                    self.lose(flight, Loss::Fault(id));
                    return;
                }
                FaultAction::Duplicate => {
                    let copy = self.copy(flight);
                    self.queue.put(now, Due::Proceed { flight: copy, stage: Stage::Path });
                }
                FaultAction::Delay(by) => {
                    self.queue.put(now + by, Due::Proceed { flight, stage: Stage::Path });
                    return;
                }
                FaultAction::Corrupt { bit } => {
                    let mut bytes = self.flights.get(flight).bytes.clone();
                    flip(&mut bytes, bit);
                    self.change(flight, &bytes, Loss::Fault(id));
                }
                FaultAction::Reorder => {
                    self.hold_back(flight);
                    return;
                }
            }
        }
        self.enter_path(flight);
    }
}
