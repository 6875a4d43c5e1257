//! What limits, spend caps, reservations and `minValues` leave of the market for a node.

use std::collections::BTreeMap;
use std::rc::Rc;

use fixedbitset::FixedBitSet;

use super::Greedy;
use super::open::Narrowed;
use super::passes::Pass;
use crate::model::{Amounts, PoolModel, RemainingLimits, TypeModel};
use crate::solve::purchase::{Book, Wish, purchase};
use crate::solve::sets::SetId;

/// What a new node is held against.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Market {
    /// What limits, spend cap and reservations leave.
    Left,
    /// As if nothing were taken yet.
    Whole,
}

impl<'p> Greedy<'p, '_> {
    /// The node with the reservations that it keeps and what it counts towards the pool's limits and spend cap; `None`
    /// where what is left of the market, the limits, the cap or `minValues` refuses it.
    ///
    /// A node keeps the reservations that its launch would name, and gives back what it cannot use any more.
    pub(super) fn bought(&mut self, pool: usize, mut node: Narrowed, market: Market) -> Option<Narrowed> {
        let model = &self.problem.pools[pool];
        let cap = match market {
            Market::Left => self.remaining[pool].usd_per_hour,
            Market::Whole => model.remaining.usd_per_hour,
        };
        let counts_names = self.pass == Pass::AsNamed && !model.remaining.resources.is_empty();
        if cap.is_none() && !counts_names && model.min_values.is_empty() && !model.has_reservations {
            return Some(node);
        }
        if counts_names {
            let left = self.remaining[pool].resources.values();
            let most: Amounts = node.counted.iter().zip(left).map(|(counted, left)| counted + left).collect();
            keep_counting_at_most(model, &mut node.types, &most);
        }
        if model.has_reservations {
            let requirements = self.sets.get(node.set);
            let must_have = model.labels_to_be_had(requirements);
            let kinds = node.types.ones().map(|kind| &model.types[kind]);
            let of_kind = kinds.flat_map(|kind| kind.offerings.iter().map(move |offering| (kind, offering)));
            let usable = of_kind.filter_map(|(kind, offering)| {
                let reservation = offering.reservation.as_ref()?;
                let taken = self.reserved.get(&reservation.id).copied().unwrap_or(0);
                let is_free =
                    market == Market::Whole || taken < reservation.free || node.reservations.contains(&reservation.id);
                (is_free && kind.sells(offering, requirements, &must_have)).then(|| reservation.id.clone())
            });
            node.reservations = usable.collect();
        }
        if cap.is_none() && !model.has_reservations {
            let counted = self.counted_if_bought(pool, &node)?;
            if counts_names {
                node.counted = counted;
            }
            return Some(node);
        }
        let wish = Wish {
            types: &node.types,
            reservations: &node.reservations,
            spend_limit: cap.map(|left| left + node.spend_limit.unwrap_or_default()),
        };
        let book = self.book(pool, node.set);
        let bought = purchase(model, &self.problem.snapshot.settings, &book, wish, &BTreeMap::new())?;
        let named = bought.offers.iter().filter_map(|(_, offering)| Some(offering.reservation.as_ref()?.id.clone()));
        let (named, spend) = (named.collect(), bought.spend());
        if counts_names {
            node.counted = most_counted(model, bought.offers.iter().map(|(kind, _)| *kind));
        }
        node.reservations = named;
        node.spend_limit = cap.map(|_| spend);
        Some(node)
    }

    /// What a node counts with the types that its launch would name; `None` where nothing can be bought. Where neither a spend
    /// cap nor reservations are in question, nodes with the same types and requirements have the same answer.
    fn counted_if_bought(&mut self, pool: usize, node: &Narrowed) -> Option<Amounts> {
        let key = (pool, node.set, node.types.clone());
        if let Some(known) = self.bought.get(&key) {
            return known.clone();
        }
        let book = self.book(pool, node.set);
        let wish = Wish { types: &node.types, reservations: &node.reservations, spend_limit: None };
        let counted = self.most_named(pool, &book, wish);
        self.bought.insert(key, counted.clone());
        counted
    }

    /// What a node counts towards its pool's resource limits with the types that its launch would name; `None` where the
    /// pool has none, or nothing can be bought.
    pub(super) fn counted_as_named(&self, pool: usize, set: SetId, wish: Wish) -> Option<Amounts> {
        let model = &self.problem.pools[pool];
        if model.remaining.resources.is_empty() {
            return None;
        }
        self.most_named(pool, &Book::of(model, self.sets.get(set)), wish)
    }

    /// Of each limited resource the most that a type has which the launch would name; `None` where nothing can be bought.
    fn most_named(&self, pool: usize, book: &Book, wish: Wish) -> Option<Amounts> {
        let model = &self.problem.pools[pool];
        let bought = purchase(model, &self.problem.snapshot.settings, book, wish, &BTreeMap::new())?;
        Some(most_counted(model, bought.offers.iter().map(|(kind, _)| *kind)))
    }

    fn book(&mut self, pool: usize, set: SetId) -> Rc<Book<'p>> {
        let of = || Rc::new(Book::of(&self.problem.pools[pool], self.sets.get(set)));
        self.books.entry((pool, set)).or_insert_with(of).clone()
    }

    /// Whether some type of the node stays within the limits, in the pass that looks at them again.
    pub(super) fn within_limits(&self, pool: usize, node: &Narrowed) -> bool {
        if self.pass == Pass::Pessimistic {
            return true;
        }
        let fits = |kind: usize| {
            let of_type = &self.problem.pools[pool].types[kind].counts;
            let left = self.remaining[pool].resources.values();
            of_type
                .iter()
                .zip(&node.counted)
                .zip(left)
                .all(|((amount, counted), left)| *amount <= (counted + left).max(0))
        };
        node.types.ones().any(fits)
    }
}

pub fn keep_within_limits(pool: &PoolModel, types: &mut FixedBitSet, remaining: &RemainingLimits) {
    if remaining.nodes.is_some_and(|left| left < 1) {
        types.clear();
        return;
    }
    let left: Amounts = remaining.resources.values().copied().collect();
    keep_counting_at_most(pool, types, &left);
}

fn keep_counting_at_most(pool: &PoolModel, types: &mut FixedBitSet, most: &[i64]) {
    for index in 0..pool.types.len() {
        if pool.types[index].counts.iter().zip(most).any(|(counted, most)| *counted > (*most).max(0)) {
            types.set(index, false);
        }
    }
}

/// Of each limited resource the most that any of the types has.
pub fn most_counted<'t>(pool: &PoolModel, types: impl Iterator<Item = &'t TypeModel<'t>>) -> Amounts {
    let mut most = vec![0; pool.remaining.resources.len()].into_boxed_slice();
    for kind in types {
        for (most, amount) in most.iter_mut().zip(&kind.counts) {
            *most = (*most).max(*amount);
        }
    }
    most
}
