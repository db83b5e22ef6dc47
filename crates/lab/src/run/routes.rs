//! The static routes of a scenario: shortest paths over its sessions, the same for every backend.

use std::collections::{BTreeMap, VecDeque};

use crate::scenario::{Dials, LinkPlan};
use crate::trace::HostIndex;

/// Returns whether a link carries a session that both ends admit.
pub(crate) fn has_session(link: &LinkPlan) -> bool {
    link.dials != Dials::Nobody && link.admits == [true, true]
}

/// Finds, for one host, the neighbour towards every host that can be reached over these pairs: the
/// first on a shortest path; of several, the one with the smallest index.
pub(crate) fn next_hops(
    pairs: impl IntoIterator<Item = [HostIndex; 2]>,
    from: HostIndex,
) -> BTreeMap<HostIndex, HostIndex> {
    let mut neighbours = BTreeMap::<_, Vec<_>>::new();
    for [one, other] in pairs {
        neighbours.entry(one).or_default().push(other);
        neighbours.entry(other).or_default().push(one);
    }
    neighbours.values_mut().for_each(|of_one| of_one.sort_unstable());
    let mut next = BTreeMap::new();
    let mut queue = VecDeque::from([(from, None)]);
    while let Some((at, first)) = queue.pop_front() {
        for neighbour in neighbours.get(&at).into_iter().flatten() {
            if *neighbour == from || next.contains_key(neighbour) {
                continue;
            }
            let first = first.unwrap_or(*neighbour);
            next.insert(*neighbour, first);
            queue.push_back((*neighbour, Some(first)));
        }
    }
    next
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(pairs: &[(u32, u32)]) -> Vec<[HostIndex; 2]> {
        pairs.iter().map(|(one, other)| [HostIndex(*one), HostIndex(*other)]).collect()
    }

    #[test]
    fn along_a_chain_everything_goes_to_the_next() {
        let next = next_hops(hosts(&[(0, 1), (1, 2), (2, 3)]), HostIndex(0));

        assert_eq!(next.values().map(|via| via.0).collect::<Vec<_>>(), [1, 1, 1]);
    }

    #[test]
    fn on_a_ring_the_shorter_way_is_taken_and_of_two_the_smaller_index() {
        let next = next_hops(hosts(&[(0, 1), (1, 2), (2, 3), (3, 0)]), HostIndex(0));

        assert_eq!(
            next,
            BTreeMap::from([
                (HostIndex(1), HostIndex(1)),
                (HostIndex(2), HostIndex(1)),
                (HostIndex(3), HostIndex(3))
            ])
        );
    }

    #[test]
    fn who_cannot_be_reached_has_no_route() {
        assert!(next_hops(hosts(&[(1, 2)]), HostIndex(0)).is_empty());
    }
}
