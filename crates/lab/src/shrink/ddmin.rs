//! Delta debugging: makes a list shorter while a test on it still comes out the same. Zeller and
//! Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002.

/// The caller has no more tries to give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spent;

/// Returns a part of `items`, in their order, for which `still_fails` says yes, and from which no
/// single item can be taken without it saying no. `items` as a whole is known to fail. When the tries
/// are spent, the shortest list so far comes back.
pub(crate) fn ddmin<T: Clone>(
    items: &[T],
    mut still_fails: impl FnMut(&[T]) -> Result<bool, Spent>,
) -> Vec<T> {
    let mut kept = items.to_vec();
    // It is often none of them at all.
    match still_fails(&[]) {
        Ok(true) => return Vec::new(),
        Ok(false) => {}
        Err(Spent) => return kept,
    }
    let mut parts = 2;
    while kept.len() > 1 {
        match reduce(&kept, parts, &mut still_fails) {
            Err(Spent) => return kept,
            Ok(Some(Reduced { left, next })) => (kept, parts) = (left, next),
            Ok(None) if parts >= kept.len() => return kept,
            Ok(None) => parts = (parts * 2).min(kept.len()),
        }
    }
    kept
}

/// A shorter list, and into how many parts to cut it.
struct Reduced<T> {
    left: Vec<T>,
    next: usize,
}

fn reduce<T: Clone>(
    items: &[T],
    parts: usize,
    still_fails: &mut impl FnMut(&[T]) -> Result<bool, Spent>,
) -> Result<Option<Reduced<T>>, Spent> {
    let cuts: Vec<_> = (0..=parts).map(|part| part * items.len() / parts).collect();
    for cut in cuts.windows(2) {
        let part = &items[cut[0]..cut[1]];
        if part.len() < items.len() && still_fails(part)? {
            return Ok(Some(Reduced { left: part.to_vec(), next: 2 }));
        }
    }
    // With two parts each is what the other leaves.
    for cut in cuts.windows(2).filter(|_| parts > 2) {
        let rest = [&items[..cut[0]], &items[cut[1]..]].concat();
        if still_fails(&rest)? {
            return Ok(Some(Reduced { left: rest, next: (parts - 1).max(2) }));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn has_all(list: &[u32], wanted: &[u32]) -> bool {
        wanted.iter().all(|item| list.contains(item))
    }

    #[test]
    fn one_culprit_among_many_is_found_in_few_tries() {
        let items: Vec<u32> = (0..64).collect();
        let mut tries = 0;

        let left = ddmin(&items, |list| {
            tries += 1;
            Ok(list.contains(&41))
        });

        assert_eq!(left, [41]);
        assert!(tries <= 1 + 2 * 6, "{tries} tries"); // halving 64 takes 6 rounds
    }

    #[test]
    fn what_fails_without_any_item_needs_none() {
        assert_eq!(ddmin(&[1, 2, 3], |_| Ok(true)), [0; 0]);
    }

    #[test]
    fn the_best_so_far_comes_back_when_the_tries_are_spent() {
        let items: Vec<u32> = (0..64).collect();
        let mut tries = 4;

        let left = ddmin(&items, |list| {
            tries -= 1;
            if tries == 0 { Err(Spent) } else { Ok(list.contains(&0)) }
        });

        assert!(left.contains(&0) && left.len() < items.len(), "{left:?}");
    }

    proptest! {
        #[test]
        fn exactly_the_culprits_are_left_in_their_order(
            count in 1_u32..40,
            culprits in prop::collection::btree_set(0_u32..40, 0..5),
        ) {
            let items: Vec<u32> = (0..count).collect();
            let culprits: Vec<u32> = culprits.into_iter().filter(|culprit| *culprit < count).collect();

            let left = ddmin(&items, |list| Ok(has_all(list, &culprits)));

            prop_assert_eq!(left, culprits);
        }

        #[test]
        fn nothing_can_be_taken_from_what_is_left(bits in prop::collection::vec(any::<bool>(), 1..24)) {
            // It fails while at least three marked ones are there: many minima, all of size three.
            let items: Vec<(usize, bool)> = bits.into_iter().enumerate().collect();
            let fails = |list: &[(usize, bool)]| list.iter().filter(|(_, marked)| *marked).count() >= 3;
            prop_assume!(fails(&items));

            let left = ddmin(&items, |list| Ok(fails(list)));

            prop_assert_eq!(left.len(), 3);
        }
    }
}
