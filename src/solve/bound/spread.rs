//! Pods that are spread over zones: worth something else in each, and in what numbers they must be there.

use std::collections::BTreeSet;

use crate::api::labels;
use crate::model::{Group, KeyId, Problem, Source, TopologyKind};

/// A spread over zones whose pods nothing else counts or is counted with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spread {
    pub max_skew: u32,
    /// By zone: pods that count and are there already.
    pub residents: Vec<u32>,
    /// By zone: whether it is one of the spread's domains in every plan.
    pub is_domain: Vec<bool>,
}

/// Spreads by group, and the key of zones; the key is `None` where no group is spread.
pub fn spreads(problem: &Problem) -> (Option<KeyId>, Vec<Option<Spread>>) {
    let none = || problem.groups.iter().map(|_| None).collect();
    let Some(key) = problem.keys.id(labels::ZONE) else { return (None, none()) };
    let mut counting = vec![0_usize; problem.topologies.len()];
    for topology in problem.groups.iter().flat_map(|group| group.counted.iter().collect::<BTreeSet<_>>()) {
        counting[*topology] += 1;
    }
    let spreads: Vec<_> = problem.groups.iter().map(|group| Spread::of(problem, key, &counting, group)).collect();
    if spreads.iter().all(Option::is_none) { (None, spreads) } else { (Some(key), spreads) }
}

impl Spread {
    /// `None` where the group has none, or one that counts other groups or daemon pods as well. `counting`: how many groups each topology
    /// counts.
    pub fn of(problem: &Problem, key: KeyId, counting: &[usize], group: &Group) -> Option<Self> {
        group.carried.iter().find_map(|placement| {
            let topology = &problem.topologies[placement.topology];
            let TopologyKind::Spread { max_skew, .. } = topology.kind else { return None };
            let is_hard = matches!(placement.source, Source::Spread(_)) && placement.source.is_required(group.spec());
            if topology.key != key || !is_hard || !placement.self_selects || topology.selects_daemons {
                return None;
            }
            // a zone that no pool can open is there only as long as its nodes are
            let offered = |zone: usize| problem.keys.mean_price(key, zone) > 0;
            let is_domain = |zone: usize| topology.eligible.contains(zone) && offered(zone);
            let is_domain: Vec<bool> = (0..topology.counts.len()).map(is_domain).collect();
            let is_alone = counting[placement.topology] == 1 && is_domain.contains(&true);
            is_alone.then(|| Self { max_skew, residents: topology.counts.clone(), is_domain })
        })
    }

    /// What so many pods are worth at least, `values` being what one is by zone: the least over all ways to put them in
    /// zones so that each zone that gets some has at most `max_skew` more than the least domain.
    pub fn least_worth(&self, values: &[i64], pods: usize) -> i128 {
        let least = self.least(values, pods).map(|(worth, _)| worth);
        let pods = i128::try_from(pods).unwrap_or(i128::MAX);
        least.unwrap_or_else(|| i128::from(values.iter().copied().min().unwrap_or(0)) * pods)
    }

    /// The way to put so many pods in zones in which they are worth least: how many by zone. `None` where there is no way.
    pub fn cheapest_counts(&self, values: &[i64], pods: usize) -> Option<Vec<i64>> {
        let (_, level) = self.least(values, pods)?;
        self.counts(level, values, &by_value(values), pods)
    }

    /// Worth, and the count of the least domain.
    fn least(&self, values: &[i64], pods: usize) -> Option<(i128, i64)> {
        let domains = self.is_domain.iter().filter(|is| **is).count();
        let there: i64 = self.residents.iter().map(|there| i64::from(*there)).sum();
        let top = (i64::try_from(pods).unwrap_or(i64::MAX) + there) / i64::try_from(domains.max(1)).unwrap_or(1);
        let order = by_value(values);
        let mut least: Option<(i128, i64)> = None;
        for level in (0..=top).rev() {
            let Some(counts) = self.counts(level, values, &order, pods) else {
                if self.range(level).map(|(_, upper)| upper).sum::<i64>() < i64::try_from(pods).unwrap_or(i64::MAX) {
                    break; // lower levels hold less
                }
                continue;
            };
            let worth = counts.iter().zip(values).map(|(pods, value)| i128::from(*pods) * i128::from(*value)).sum();
            if least.is_none_or(|(least, _)| worth < least) {
                least = Some((worth, level));
            }
        }
        least
    }

    /// By zone: how many it needs and may get where the least domain has `level`.
    fn range(&self, level: i64) -> impl Iterator<Item = (i64, i64)> + '_ {
        self.is_domain.iter().zip(&self.residents).map(move |(is_domain, there)| {
            let there = i64::from(*there);
            let lower = if *is_domain { (level - there).max(0) } else { 0 };
            (lower, (level + i64::from(self.max_skew) - there).max(0))
        })
    }

    /// What each zone needs at this level, and the rest where it is worth least. `order`: zones by value.
    fn counts(&self, level: i64, values: &[i64], order: &[usize], pods: usize) -> Option<Vec<i64>> {
        debug_assert_eq!(values.len(), self.is_domain.len());
        let ranges: Vec<(i64, i64)> = self.range(level).collect();
        let mut counts: Vec<i64> = ranges.iter().map(|(lower, _)| *lower).collect();
        let mut left = i64::try_from(pods).unwrap_or(i64::MAX) - counts.iter().sum::<i64>();
        if left < 0 {
            return None;
        }
        for &zone in order {
            let more = left.min(ranges[zone].1 - ranges[zone].0);
            counts[zone] += more;
            left -= more;
        }
        (left == 0).then_some(counts)
    }
}

fn by_value(values: &[i64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by_key(|&zone| (values[zone], zone));
    order
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Spread;

    /// All ways to put the pods into three zones.
    fn tried(spread: &Spread, values: &[i64], pods: u32) -> Option<i128> {
        let mut least = None;
        for a in 0..=pods {
            for b in 0..=pods - a {
                let placed = [a, b, pods - a - b];
                let counts: Vec<u32> = placed.iter().zip(&spread.residents).map(|(new, there)| new + there).collect();
                let domains = counts.iter().zip(&spread.is_domain).filter(|(_, is)| **is);
                let lowest = domains.map(|(count, _)| *count).min().unwrap_or(0);
                if (0..3).all(|zone| placed[zone] == 0 || counts[zone] <= lowest + spread.max_skew) {
                    let worth = placed.iter().zip(values).map(|(n, value)| i128::from(*n) * i128::from(*value));
                    let worth: i128 = worth.sum();
                    least = Some(least.map_or(worth, |least: i128| least.min(worth)));
                }
            }
        }
        least
    }

    proptest! {
        #[test]
        fn the_least_worth_is_that_of_the_best_way(
            max_skew in 1..4_u32,
            residents in prop::collection::vec(0..4_u32, 3),
            other in any::<bool>(),
            values in prop::collection::vec(0..100_i64, 3),
            pods in 0..12_u32,
        ) {
            let spread = Spread { max_skew, residents, is_domain: vec![true, other, true] };
            if let Some(least) = tried(&spread, &values, pods) {
                prop_assert_eq!(spread.least_worth(&values, pods as usize), least);
                let counts = spread.cheapest_counts(&values, pods as usize).expect("a way");
                let worth: i128 = counts.iter().zip(&values).map(|(n, value)| i128::from(*n) * i128::from(*value)).sum();
                prop_assert_eq!((worth, counts.iter().sum::<i64>()), (least, i64::from(pods)));
            }
        }
    }
}
