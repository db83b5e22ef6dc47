//! Finds the row of an origin by its id: open addressing over row numbers, 8 bytes for each row or less.
//! Never iterated, so the order in it decides nothing.

use peerbound_wire::NodeId;

const EMPTY: u32 = u32::MAX;

/// Row numbers by id. The ids stay where the rows are; every call is told how to read them.
#[derive(Debug)]
pub(crate) struct Index {
    slots: Vec<u32>,
    used: usize,
    /// Stirred into every hash: ids are hashes of keys, and who looks for keys can choose their bits.
    secret: u64,
}

impl Index {
    pub(crate) fn new(secret: u64) -> Self {
        Self { slots: vec![EMPTY; 16], used: 0, secret }
    }

    pub(crate) fn find(&self, id: &NodeId, id_of: impl Fn(u32) -> NodeId) -> Option<u32> {
        self.find_from(self.home(id), |row| id_of(row) == *id)
    }

    /// Finds the row of an origin by its overlay address, which is the id but for the first byte.
    pub(crate) fn find_at(&self, address: &NodeId, id_of: impl Fn(u32) -> NodeId) -> Option<u32> {
        self.find_from(self.home(address), |row| id_of(row).as_bytes()[1..] == address.as_bytes()[1..])
    }

    fn find_from(&self, home: usize, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let mut at = home;
        loop {
            match self.slots[at] {
                EMPTY => return None,
                row if is_it(row) => return Some(row),
                _ => at = self.behind(at),
            }
        }
    }

    /// Adds a row whose id is not there yet.
    pub(crate) fn insert(&mut self, row: u32, id_of: impl Fn(u32) -> NodeId) {
        if (self.used + 1) * 4 > self.slots.len() * 3 {
            let rows = std::mem::take(&mut self.slots);
            self.slots = vec![EMPTY; rows.len() * 2];
            rows.into_iter().filter(|row| *row != EMPTY).for_each(|row| self.place(row, &id_of(row)));
        }
        self.place(row, &id_of(row));
        self.used += 1;
    }

    pub(crate) fn remove(&mut self, id: &NodeId, id_of: impl Fn(u32) -> NodeId) {
        let mut at = self.home(id);
        while self.slots[at] != EMPTY && id_of(self.slots[at]) != *id {
            at = self.behind(at);
        }
        if self.slots[at] == EMPTY {
            return;
        }
        self.used -= 1;
        self.slots[at] = EMPTY;
        // What stands behind the gap may have been pushed there from before it: place it anew.
        at = self.behind(at);
        while self.slots[at] != EMPTY {
            let row = std::mem::replace(&mut self.slots[at], EMPTY);
            self.place(row, &id_of(row));
            at = self.behind(at);
        }
    }

    fn place(&mut self, row: u32, id: &NodeId) {
        let mut at = self.home(id);
        while self.slots[at] != EMPTY {
            at = self.behind(at);
        }
        self.slots[at] = row;
    }

    fn home(&self, id: &NodeId) -> usize {
        // Without the first byte: an overlay address has the others alone.
        let mut bytes = *id.as_bytes();
        bytes[0] = 0;
        let (halves, _) = bytes.as_chunks::<8>();
        let folded = halves.iter().fold(self.secret, |folded, half| {
            let mixed =
                u128::from(folded ^ u64::from_be_bytes(*half)) * u128::from(0x9e37_79b9_7f4a_7c15_u64);
            u64::try_from((mixed >> 32) & u128::from(u64::MAX)).unwrap_or(0)
        });
        let hash = usize::try_from(folded & u64::from(u32::MAX)).unwrap_or(0);
        hash & (self.slots.len() - 1)
    }

    fn behind(&self, at: usize) -> usize {
        (at + 1) & (self.slots.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn id(row: u32) -> NodeId {
        NodeId::new((u128::from(row) << 88).to_be_bytes())
    }

    #[test]
    fn rows_are_found_until_they_are_removed_as_in_a_set() {
        let mut index = Index::new(77);
        let mut naive = BTreeSet::new();
        let mut state = 1_u64;
        for _ in 0..20_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let row = u32::try_from((state >> 33) % 500).unwrap();
            if naive.insert(row) {
                index.insert(row, id);
            } else {
                naive.remove(&row);
                index.remove(&id(row), id);
            }
            let asked = u32::try_from((state >> 20) % 500).unwrap();

            assert_eq!(index.find(&id(asked), id), naive.contains(&asked).then_some(asked));
            let mut address = *id(asked).as_bytes();
            address[0] = 0xfd;
            let by_address = index.find_at(&NodeId::new(address), id);
            assert_eq!(by_address, naive.contains(&asked).then_some(asked));
        }
        assert_eq!(index.slots.len(), 512, "it grows with what is in it, not with what has been");
    }
}
