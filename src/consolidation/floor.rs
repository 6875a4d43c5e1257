//! What comes for a set of nodes costs at least so much: found by counting, in a hundredth of the time of a packing. Of most sets in a
//! well filled cluster that is enough to leave them alone: some pod fits on none of the other nodes, and the cheapest node that it
//! fits on costs as much as what goes.
//!
//! A bound as that of a trial: of the same nodes near. Pods of a group, or of several groups taken as large as the smallest of them in
//! every resource, have room on a node at most as often as the smallest amounts go into what is free; what is over has to be bought.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use super::near::{Surroundings, lower_to};
use super::search::Search;
use super::trial::Wanted;
use crate::catalog::{CapacityType, InstanceType, Offering};
use crate::observe::Snapshot;
use crate::observe::snapshot::{NodePool, PodSpec};
use crate::resources::Resources;
use crate::units::MicroUsd;

/// What may come for nodes that go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MayBuy {
    Anything,
    NoSpot,
    Nothing,
}

/// Types that can be bought, the cheapest first: the price of an hour, and what a node has for pods and daemon pods.
pub(super) struct Sold {
    all: Vec<(MicroUsd, Resources)>,
    without_spot: Vec<(MicroUsd, Resources)>,
}

/// Pods that are alike.
struct Alike<'s> {
    spec: &'s PodSpec,
    count: usize,
    /// By node.
    takers: Rc<[bool]>,
}

impl Sold {
    /// In pools that new nodes come from, by what is sold of each.
    pub fn of(pools: &[(&NodePool, &[InstanceType])]) -> Self {
        let cheapest = |may_be_spot: bool| {
            let usable = pools.iter().filter(|(pool, _)| pool.replicas.is_none() && pool.unusable.is_none());
            let cheapest = usable.flat_map(|(_, types)| *types).filter_map(|kind| {
                let is_sold = |of: &&Offering| of.available && (may_be_spot || of.capacity_type != CapacityType::Spot);
                let prices = kind.offerings.iter().filter(is_sold).map(|of| of.price);
                Some((prices.min()?, kind.allocatable.clone()))
            });
            let mut sold: Vec<_> = cheapest.collect();
            sold.sort_by_key(|(price, _)| *price);
            sold
        };
        Self { all: cheapest(true), without_spot: cheapest(false) }
    }

    /// What nodes for so many pods of at least this size cost at least, as far as it is below `worth`.
    fn cost(&self, size: &Resources, pods: i64, (worth, may_buy): (MicroUsd, MayBuy)) -> MicroUsd {
        let sold = match may_buy {
            MayBuy::Anything => &self.all,
            MayBuy::NoSpot => &self.without_spot,
            MayBuy::Nothing => return worth,
        };
        let mut least = worth;
        for (price, room) in sold.iter().take_while(|(price, _)| *price < worth) {
            let on_one = times(size, room);
            if on_one > 0 {
                // not rounded up: nodes of several types may share the pods
                let share = i128::from(price.0) * i128::from(pods) / i128::from(on_one);
                let share = MicroUsd(i64::try_from(share).unwrap_or(i64::MAX));
                least = least.min(share.max(*price));
            }
        }
        least
    }
}

impl Surroundings {
    /// What nodes for the pods of those that go cost at least where they all find one, as far as that is below `worth`.
    pub fn floor(
        &self,
        snapshot: &Snapshot,
        removed: &BTreeSet<Arc<str>>,
        (worth, may_buy): (MicroUsd, MayBuy),
    ) -> MicroUsd {
        let gone = self.indices(removed);
        let near = self.near(snapshot, &gone);
        let mut groups: BTreeMap<usize, Alike> = BTreeMap::new();
        for &number in gone.iter().flat_map(|&node| self.pods_on(node)) {
            let (pod, template) = (&snapshot.pods[number], self.template(number));
            if pod.is_reschedulable() {
                let alike = || {
                    let takers = self.takers(snapshot, template);
                    Alike { spec: &pod.template.spec, count: 0, takers }
                };
                groups.entry(template).or_insert_with(alike).count += 1;
            }
        }
        let groups: Vec<Alike> = groups.into_values().collect();
        let mut floor = MicroUsd::ZERO;
        for set in sets(&groups) {
            let mut size = set[0].spec.requests.clone();
            set[1..].iter().for_each(|of| lower_to(&mut size, &of.spec.requests));
            let pods = set.iter().map(|of| i64::try_from(of.count).unwrap_or(i64::MAX)).sum::<i64>();
            let mut over = pods;
            for &index in &near {
                let Some(free) = self.free(index) else { continue };
                let room = times(&size, free);
                if room > 0 && set.iter().any(|of| of.takers[index]) {
                    over = over.saturating_sub(room);
                }
                if over <= 0 {
                    break;
                }
            }
            if over > 0 {
                floor = floor.max(self.sold.cost(&size, over, (worth, may_buy)));
            }
            if floor >= worth {
                break;
            }
        }
        floor
    }
}

impl Search<'_> {
    /// Whether so much has to come for a set of nodes that nothing is won.
    pub fn is_too_dear(&mut self, names: &[Arc<str>], removed: &BTreeSet<Arc<str>>, wanted: &Wanted) -> bool {
        let Some(worth) = wanted.worth else { return false };
        self.effort.count();
        let may_buy = if wanted.may_buy { MayBuy::Anything } else { MayBuy::NoSpot };
        let least = self.surroundings.floor(&self.current, removed, (worth, may_buy));
        let is_too_dear = least >= worth;
        if is_too_dear {
            self.least.insert(names.to_vec(), least);
        }
        is_too_dear
    }
}

/// Each group alone, and by each resource those with the most of it.
fn sets<'g, 's>(groups: &'g [Alike<'s>]) -> Vec<Vec<&'g Alike<'s>>> {
    let mut sets: Vec<Vec<&Alike>> = groups.iter().map(|group| vec![group]).collect();
    let names: BTreeSet<&Arc<str>> =
        groups.iter().flat_map(|group| group.spec.requests.iter()).map(|(name, _)| name).collect();
    for name in names {
        let mut order: Vec<&Alike> = groups.iter().collect();
        order.sort_by_key(|group| std::cmp::Reverse(group.spec.requests.get(name)));
        sets.extend((2..=order.len()).map(|count| order[..count].to_vec()));
    }
    sets
}

/// How often these amounts go into what is there; where they are none, as often as one likes.
fn times(size: &Resources, room: &Resources) -> i64 {
    let of = size.iter().filter(|(_, amount)| *amount > 0).map(|(name, amount)| room.get(name).max(0) / amount);
    of.min().unwrap_or(i64::MAX)
}
