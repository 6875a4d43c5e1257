//! Orders in which pods may be bound, as the checker teaches them: one that it refuses at its turn must not follow the
//! same pods again. Pods that are equal and go to the same node are one kind, and take turns with the others.

use std::collections::HashSet;

/// How many of each kind are bound.
type Bound = Vec<usize>;

/// What is known of the orders of some pods, by their positions.
pub(super) struct Orders {
    /// The pods of each kind.
    kinds: Vec<Vec<usize>>,
    /// One of the kind was refused after exactly these.
    too_early: HashSet<(Bound, usize)>,
}

impl Orders {
    /// `kinds`: which kind each pod is of, any numbers.
    pub fn of(kinds: &[usize]) -> Self {
        let mut names: Vec<usize> = kinds.to_vec();
        names.sort_unstable();
        names.dedup();
        let of_kind = |name: &usize| (0..kinds.len()).filter(|&pod| kinds[pod] == *name).collect();
        Self { kinds: names.iter().map(of_kind).collect(), too_early: HashSet::new() }
    }

    /// The first order of those that are not ruled out; `None` where all are.
    pub fn next(&self) -> Option<Vec<usize>> {
        let mut order = Vec::new();
        let mut bound = vec![0; self.kinds.len()];
        self.extend(&mut bound, &mut order, &mut HashSet::new()).then_some(order)
    }

    /// The pod at this place of the order was bound too early.
    pub fn refuse(&mut self, order: &[usize], place: usize) {
        let kind = |pod: usize| self.kinds.iter().position(|pods| pods.contains(&pod));
        let mut bound = vec![0; self.kinds.len()];
        order[..place].iter().filter_map(|&pod| kind(pod)).for_each(|kind| bound[kind] += 1);
        if let Some(refused) = kind(order[place]) {
            self.too_early.insert((bound, refused));
        }
    }

    /// Whether the rest can follow those that are bound; `dead`: after which it cannot.
    fn extend(&self, bound: &mut Bound, order: &mut Vec<usize>, dead: &mut HashSet<Bound>) -> bool {
        if dead.contains(bound) {
            return false;
        }
        // those of which fewest are bound come first: pods that are spread may follow each other so
        let mut turns: Vec<usize> =
            (0..self.kinds.len()).filter(|&kind| bound[kind] < self.kinds[kind].len()).collect();
        if turns.is_empty() {
            return true;
        }
        turns.sort_by_key(|&kind| bound[kind]);
        for kind in turns {
            if self.too_early.contains(&(bound.clone(), kind)) {
                continue;
            }
            order.push(self.kinds[kind][bound[kind]]);
            bound[kind] += 1;
            let is_found = self.extend(bound, order, dead);
            bound[kind] -= 1;
            if is_found {
                return true;
            }
            order.pop();
        }
        dead.insert(bound.clone());
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
            let mut orders = Orders::of(&[7, 3, 4, 1, 0]);
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

        /// Of each kind no more than one more than of any other: the first order that is tried is one.
        #[test]
        fn kinds_take_turns(counts in prop::collection::vec(1..4_usize, 1..4)) {
            let kinds: Vec<usize> = counts.iter().enumerate().flat_map(|(kind, &n)| vec![kind; n]).collect();
            let order = Orders::of(&kinds).next().expect("an order");
            let mut sorted = order.clone();
            sorted.sort_unstable();
            prop_assert_eq!(sorted, (0..kinds.len()).collect::<Vec<_>>());
            let least = *counts.iter().min().expect("a kind");
            for place in 0..least * counts.len() {
                let of = |kind: usize| order[..=place].iter().filter(|pod| kinds[**pod] == kind).count();
                let bound: Vec<usize> = (0..counts.len()).map(of).collect();
                prop_assert!(bound.iter().max().unwrap() - bound.iter().min().unwrap() <= 1, "{:?}", order);
            }
        }
    }
}
