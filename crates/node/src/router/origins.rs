//! What is known of every origin: one row of 64 bytes each, and four bytes for each neighbour's word
//! on it. At a thousand nodes there are a million rows, so a row holds nothing that can be asked for.

use std::sync::Arc;

use peerbound_wire::{Metric, NodeId, PATH_IDS_MAX, Path, RouteSeq, ShortId};

use crate::index::{Index, Secret};
use crate::router::feasibility::Distance;
use crate::router::prefixes::PrefixIndex;
use crate::router::proof::Proof;

/// Origins that one node knows of: 16384 x (64 + 16 + 4 + 4 bytes for each neighbour) = 1.6 MB with six
/// neighbours, and 70 MB with 1024; their proofs take 1 kB each besides, 16 MB.
pub(crate) const ROUTE_ORIGINS_MAX: usize = 16_384;

/// Origins among them that nobody has proved yet: a neighbour can invent them at no cost.
pub(crate) const UNPROVED_MAX: usize = 12_288;
/// Those among them that one neighbour was the first to tell of, so that one alone keeps nobody out.
pub(crate) const UNPROVED_BY_ONE_MAX: usize = 4096;
const _: () = assert!(UNPROVED_BY_ONE_MAX < UNPROVED_MAX && UNPROVED_MAX < ROUTE_ORIGINS_MAX);

/// In place of a neighbour's slot: there is no next hop.
pub(crate) const NO_SLOT: u16 = u16::MAX;
/// In place of a neighbour's slot: the origin is this node itself.
pub(crate) const OWN_SLOT: u16 = u16::MAX - 1;

/// What one neighbour says of one origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) seqno: RouteSeq,
    pub(crate) metric: Metric,
}

impl Candidate {
    pub(crate) const NONE: Self = Self { seqno: RouteSeq(0), metric: Metric::INFINITE };

    /// Returns how far the neighbour is, as far as that counts: a claimed sequence number counts only as
    /// far as it is proved. The neighbour's own distance is no worse than that, so the feasibility
    /// condition loses nothing by it, and a way in use stays in use while its next proof is fetched.
    pub(crate) fn proved_up_to(self, proved: RouteSeq) -> Distance {
        Distance { seqno: self.seqno.older(proved), metric: self.metric }
    }
}

/// One origin.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) id: NodeId,
    /// The newest proof of it; ways to an origin without one are not used.
    pub(crate) proof: Option<Arc<Proof>>,
    /// The relays behind the next hop.
    relays: [[u8; 4]; PATH_IDS_MAX],
    pub(crate) said: Distance,
    /// What was chosen: the neighbour's slot, how far it is by him, and with which sequence number.
    pub(crate) next: u16,
    pub(crate) metric: Metric,
    pub(crate) seqno: RouteSeq,
    /// The sequence number of `proof`.
    pub(crate) proved: RouteSeq,
    /// Links from here to the origin; `u8::MAX` when not known.
    links: u8,
    pub(crate) is_wanted: bool,
    pub(crate) leaving: Leaving,
    pub(crate) is_free: bool,
}

/// Whether it is to be seen in a while if a row can be given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leaving {
    No,
    Due,
    /// It is, and the last way has been lost anew since: then for another while.
    LostAgain,
}

#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<Row>() <= 64);

const UNKNOWN: u8 = u8::MAX;

impl Row {
    fn new(id: NodeId) -> Self {
        Self {
            id,
            proof: None,
            relays: [[0; 4]; PATH_IDS_MAX],
            said: Distance::NONE,
            next: NO_SLOT,
            metric: Metric::INFINITE,
            seqno: RouteSeq(0),
            proved: RouteSeq(0),
            links: UNKNOWN,
            is_wanted: false,
            leaving: Leaving::No,
            is_free: false,
        }
    }

    /// Returns the path from here, the next hop excluded if it is the origin.
    pub(crate) fn path(&self) -> Path<'_> {
        match self.next {
            OWN_SLOT => Path::OWN,
            NO_SLOT => Path::UNKNOWN,
            _ => Path::new((self.links != UNKNOWN).then_some(self.links), &self.relays),
        }
    }

    /// Takes over the path of the next hop, and the next hop in front of it.
    pub(crate) fn set_path(&mut self, next: ShortId, path: Path<'_>) {
        let Some(links) = path.links() else {
            return self.forget_path();
        };
        self.links = links.saturating_add(1).min(UNKNOWN - 1);
        // Where the next hop is the origin itself, there is no relay.
        let nearest = (links > 0).then_some(next);
        let relays = nearest.into_iter().chain(path.relays());
        self.relays.iter_mut().zip(relays).for_each(|(place, relay)| *place = relay.0);
    }

    pub(crate) fn forget_path(&mut self) {
        self.links = UNKNOWN;
    }

    pub(crate) fn is_reachable(&self) -> bool {
        self.next != NO_SLOT
    }
}

/// All origins, and what each neighbour says of each.
#[derive(Debug)]
pub(crate) struct Origins {
    pub(crate) rows: Vec<Row>,
    /// For each row as many as there are slots for neighbours.
    candidates: Vec<Candidate>,
    slots: usize,
    free: Vec<u32>,
    index: Index,
    /// What is noted of each row until its origin is proved. In a mesh that comes up this is every row, so
    /// it lies beside the rows and not in maps.
    unproved: Vec<Unproved>,
    unproved_count: usize,
    unproved_by: Vec<usize>,
    /// What proved origins announce.
    pub(crate) prefixes: PrefixIndex,
}

/// What is noted of an origin until it is proved, by slots of neighbours.
#[derive(Debug, Clone, Copy)]
struct Unproved {
    /// Who was the first to tell of it; [`NO_SLOT`] when it is proved.
    teller: u16,
    /// Whose path is kept; [`NO_SLOT`] when none is.
    path_from: u16,
}

impl Unproved {
    const NO_LONGER: Self = Self { teller: NO_SLOT, path_from: NO_SLOT };
}

impl Origins {
    pub(crate) fn new(slots: usize, secret: Secret) -> Self {
        Self {
            rows: Vec::new(),
            candidates: Vec::new(),
            slots,
            free: Vec::new(),
            index: Index::new(secret),
            unproved: Vec::new(),
            unproved_count: 0,
            unproved_by: vec![0; slots],
            prefixes: PrefixIndex::default(),
        }
    }

    pub(crate) fn find(&self, id: &NodeId) -> Option<u32> {
        self.index.find(&tail(id), |row| self.row(row).id == *id)
    }

    /// Finds an origin by its overlay address, written as an id.
    pub(crate) fn find_at(&self, address: &NodeId) -> Option<u32> {
        let tail_of_address = tail(address);
        self.index.find(&tail_of_address, |row| tail(&self.row(row).id) == tail_of_address)
    }

    pub(crate) fn row(&self, row: u32) -> &Row {
        &self.rows[row as usize]
    }

    pub(crate) fn row_mut(&mut self, row: u32) -> &mut Row {
        &mut self.rows[row as usize]
    }

    /// Returns the numbers of the rows in use.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = u32> + use<'_> {
        (0_u32..).zip(&self.rows).filter(|(_, row)| !row.is_free).map(|(number, _)| number)
    }

    /// Returns what each neighbour says, by slot.
    pub(crate) fn candidates(&self, row: u32) -> &[Candidate] {
        let at = row as usize * self.slots;
        &self.candidates[at..at + self.slots]
    }

    pub(crate) fn candidate(&self, row: u32, slot: u16) -> Candidate {
        self.candidates[row as usize * self.slots + usize::from(slot)]
    }

    pub(crate) fn set_candidate(&mut self, row: u32, slot: u16, candidate: Candidate) {
        self.candidates[row as usize * self.slots + usize::from(slot)] = candidate;
    }

    pub(crate) fn has_candidate(&self, row: u32) -> bool {
        self.candidates(row).iter().any(|candidate| !candidate.metric.is_infinite())
    }

    /// Makes a slot for one more neighbour, which says nothing of anything yet.
    pub(crate) fn add_slot(&mut self) {
        let slots = self.slots;
        let mut candidates = Vec::with_capacity(self.rows.len() * (slots + 1));
        for row in 0..self.rows.len() {
            candidates.extend_from_slice(&self.candidates[row * slots..(row + 1) * slots]);
            candidates.push(Candidate::NONE);
        }
        self.candidates = candidates;
        self.slots += 1;
        self.unproved_by.push(0);
    }

    /// Forgets the proof of an origin, and all that neighbours say of it.
    pub(crate) fn disown(&mut self, number: u32) {
        let row = self.row_mut(number);
        let proof = row.proof.take();
        row.proved = RouteSeq(0);
        (row.next, row.metric) = (NO_SLOT, Metric::INFINITE);
        row.forget_path();
        self.forget_prefixes(number, proof.as_deref());
        let at = number as usize * self.slots;
        self.candidates[at..at + self.slots].fill(Candidate::NONE);
    }

    /// Makes a row for an origin that has none, of which this neighbour told; `None` when there are as many
    /// as there may be.
    pub(crate) fn add(&mut self, id: NodeId, teller: u16) -> Option<u32> {
        let by_teller = self.unproved_by.get(usize::from(teller)).copied().unwrap_or(0);
        if by_teller >= UNPROVED_BY_ONE_MAX
            || self.unproved_count >= UNPROVED_MAX
            || self.rows.len() - self.free.len() >= ROUTE_ORIGINS_MAX
        {
            return None;
        }
        let number = match self.free.pop() {
            Some(number) => {
                *self.row_mut(number) = Row::new(id);
                number
            }
            None => {
                let number = u32::try_from(self.rows.len()).ok()?;
                self.grow();
                self.rows.push(Row::new(id));
                self.candidates.extend(std::iter::repeat_n(Candidate::NONE, self.slots));
                self.unproved.push(Unproved::NO_LONGER);
                number
            }
        };
        self.unproved[number as usize] = Unproved { teller, path_from: NO_SLOT };
        self.unproved_count += 1;
        if let Some(count) = self.unproved_by.get_mut(usize::from(teller)) {
            *count += 1;
        }
        self.index.insert(&tail(&id), number);
        Some(number)
    }

    /// Notes the newest proof of an origin.
    pub(crate) fn prove(&mut self, number: u32, proof: Arc<Proof>) {
        let row = &mut self.rows[number as usize];
        row.proved = proof.seqno;
        let former = row.proof.replace(Arc::clone(&proof));
        if former.is_none() {
            self.no_longer_unproved(number);
        }
        self.forget_prefixes(number, former.as_deref());
        proof.prefixes().for_each(|prefix| self.prefixes.insert(prefix, number));
    }

    fn forget_prefixes(&mut self, number: u32, proof: Option<&Proof>) {
        let prefixes = proof.into_iter().flat_map(Proof::prefixes);
        prefixes.for_each(|prefix| self.prefixes.remove(prefix, number));
    }

    fn no_longer_unproved(&mut self, number: u32) {
        let teller = std::mem::replace(&mut self.unproved[number as usize].teller, NO_SLOT);
        if teller == NO_SLOT {
            return;
        }
        self.unproved_count -= 1;
        if let Some(count) = self.unproved_by.get_mut(usize::from(teller)) {
            *count -= 1;
        }
    }

    /// Returns whose path is kept for an origin that is not proved yet.
    pub(crate) fn path_from(&self, number: u32) -> Option<u16> {
        Some(self.unproved[number as usize].path_from).filter(|slot| *slot != NO_SLOT)
    }

    /// Notes whose path that is.
    pub(crate) fn keep_path_from(&mut self, number: u32, slot: u16) {
        self.unproved[number as usize].path_from = slot;
    }

    /// Forgets whose path that is, and returns it.
    pub(crate) fn take_path_from(&mut self, number: u32) -> Option<u16> {
        let slot = self.path_from(number);
        self.unproved[number as usize].path_from = NO_SLOT;
        slot
    }

    pub(crate) fn remove(&mut self, number: u32) {
        self.index.remove(&tail(&self.rows[number as usize].id), number);
        let row = self.row_mut(number);
        row.is_free = true;
        let proof = row.proof.take();
        self.forget_prefixes(number, proof.as_deref());
        self.no_longer_unproved(number);
        self.unproved[number as usize] = Unproved::NO_LONGER;
        let at = number as usize * self.slots;
        self.candidates[at..at + self.slots].fill(Candidate::NONE);
        self.free.push(number);
    }

    /// Makes room by an eighth, not by doubling: with a thousand nodes in one process the slack counts.
    fn grow(&mut self) {
        if self.rows.len() == self.rows.capacity() {
            let more = (self.rows.len() / 8).max(16);
            self.rows.reserve_exact(more);
            self.candidates.reserve_exact(more * self.slots);
            self.unproved.reserve_exact(more);
        }
    }
}

/// Returns what an id and the overlay address made of it have in common: all but the first byte.
fn tail(id: &NodeId) -> u128 {
    u128::from(*id) & (u128::MAX >> 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_found_by_its_id_and_by_its_address() {
        let mut origins = Origins::new(0, Secret::NONE);
        let ids = [1, 2, 3].map(|byte| NodeId::new([byte; 16]));
        let numbers = ids.map(|id| origins.add(id, NO_SLOT));
        origins.remove(1);
        let address = |id: &NodeId| NodeId::new(id.address().octets());

        assert_eq!(numbers, [Some(0), Some(1), Some(2)]);
        assert_eq!(ids.map(|id| origins.find(&id)), [Some(0), None, Some(2)]);
        assert_eq!(ids.map(|id| origins.find_at(&address(&id))), [Some(0), None, Some(2)]);
        assert_eq!(origins.find(&address(&ids[0])), None, "an address is no id");
    }
}
