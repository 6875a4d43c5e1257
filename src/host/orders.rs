//! Orders in which pods may be bound, as the checker teaches them: one that it refuses at its turn must not follow the
//! same pods again.

use std::collections::HashSet;

/// More pods than this are bound in the order given.
pub(super) const MOST_PODS: usize = 16;

/// A set of pods as bits of their positions.
type Set = u32;

/// What is known of the orders of some pods, by their positions.
pub(super) struct Orders {
    pods: usize,
    /// The pod was refused after exactly these.
    too_early: HashSet<(Set, usize)>,
}

impl Orders {
    pub fn of(pods: usize) -> Self {
        debug_assert!(pods <= MOST_PODS);
        Self { pods, too_early: HashSet::new() }
    }

    /// The first order of those that are not ruled out; `None` where all are.
    pub fn next(&self) -> Option<Vec<usize>> {
        let mut order = Vec::with_capacity(self.pods);
        self.extend(0, &mut order, &mut HashSet::new()).then_some(order)
    }

    /// The pod at this place of the order was bound too early.
    pub fn refuse(&mut self, order: &[usize], place: usize) {
        let before = order[..place].iter().fold(0, |set: Set, pod| set | 1 << pod);
        self.too_early.insert((before, order[place]));
    }

    /// Whether the rest can follow the pods of a set; `dead`: sets after which it cannot.
    fn extend(&self, set: Set, order: &mut Vec<usize>, dead: &mut HashSet<Set>) -> bool {
        if order.len() == self.pods {
            return true;
        }
        if dead.contains(&set) {
            return false;
        }
        for pod in 0..self.pods {
            if set >> pod & 1 == 1 || self.too_early.contains(&(set, pod)) {
                continue;
            }
            order.push(pod);
            if self.extend(set | 1 << pod, order, dead) {
                return true;
            }
            order.pop();
        }
        dead.insert(set);
        false
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Orders;

    proptest! {
        /// Each pod may follow some others only: an order is found where there is one.
        #[test]
        fn an_order_is_found_where_there_is_one(needs in prop::collection::vec(0..32_u32, 5)) {
            let first_refused = |order: &[usize]| {
                (0..order.len()).find(|&place| {
                    let before = order[..place].iter().fold(0, |set, other| set | 1_u32 << other);
                    needs[order[place]] & !(1 << order[place]) & !before != 0
                })
            };
            let mut orders = Orders::of(5);
            let mut tried = 0;
            let found = loop {
                let Some(order) = orders.next() else { break None };
                tried += 1;
                prop_assert!(tried <= 5 * 16, "the same pod after the same others");
                match first_refused(&order) {
                    Some(place) => orders.refuse(&order, place),
                    None => break Some(order),
                }
            };
            // pods whose needs are met, again and again
            let mut bound = 0_u32;
            for _ in 0..5 {
                bound |= (0..5).filter(|&pod| needs[pod] & !(1 << pod) & !bound == 0).fold(0, |set, pod| set | 1 << pod);
            }
            prop_assert_eq!(found.is_some(), bound == 31);
        }
    }
}
