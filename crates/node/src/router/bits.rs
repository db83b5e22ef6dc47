//! A set of row numbers: one bit for each row.

/// Row numbers.
#[derive(Debug, Default, Clone)]
pub(crate) struct Bits {
    words: Vec<u64>,
}

impl Bits {
    pub(crate) fn insert(&mut self, row: u32) {
        let (word, bit) = position(row);
        if word >= self.words.len() {
            // Not doubled: there are several of these for every neighbour.
            self.words.reserve_exact(word + 1 + word / 8 - self.words.len());
            self.words.resize(word + 1, 0);
        }
        self.words[word] |= bit;
    }

    pub(crate) fn remove(&mut self, row: u32) {
        let (word, bit) = position(row);
        if let Some(word) = self.words.get_mut(word) {
            *word &= !bit;
        }
    }

    pub(crate) fn contains(&self, row: u32) -> bool {
        let (word, bit) = position(row);
        self.words.get(word).is_some_and(|word| word & bit != 0)
    }

    pub(crate) fn clear(&mut self) {
        self.words.clear();
    }

    /// Returns the first row from `from` on that is here and not in `except`.
    pub(crate) fn next_except(&self, from: u32, except: &Self) -> Option<u32> {
        let (first, bit) = position(from);
        let mut mask = !(bit - 1);
        for (at, word) in self.words.iter().enumerate().skip(first) {
            let found = word & !except.words.get(at).copied().unwrap_or(0) & mask;
            mask = u64::MAX;
            if found != 0 {
                let row = at * 64 + found.trailing_zeros() as usize;
                return u32::try_from(row).ok();
            }
        }
        None
    }
}

fn position(row: u32) -> (usize, u64) {
    ((row / 64) as usize, 1 << (row % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_walked_in_order_and_exceptions_left_out() {
        let (mut bits, mut except) = (Bits::default(), Bits::default());
        [3, 63, 64, 65, 200, 1000].into_iter().for_each(|row| bits.insert(row));
        [64, 900].into_iter().for_each(|row| except.insert(row));
        bits.remove(65);
        bits.remove(5000);

        let mut walked = Vec::new();
        let mut from = 0;
        while let Some(row) = bits.next_except(from, &except) {
            walked.push(row);
            from = row + 1;
        }

        assert_eq!(walked, [3, 63, 200, 1000]);
        assert!(bits.contains(64) && !bits.contains(65) && !bits.contains(5000));
    }
}
