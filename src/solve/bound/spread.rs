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
    /// `None` where the group has none, or one that counts other groups as well. `counting`: how many groups each topology
    /// counts.
    pub fn of(problem: &Problem, key: KeyId, counting: &[usize], group: &Group) -> Option<Self> {
        group.carried.iter().find_map(|placement| {
            let topology = &problem.topologies[placement.topology];
            let TopologyKind::Spread { max_skew, .. } = topology.kind else { return None };
            let is_hard = matches!(placement.source, Source::Spread(_)) && placement.source.is_required(group.spec());
            if topology.key != key || !is_hard || !placement.self_selects {
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
        let pods = i64::try_from(pods).unwrap_or(i64::MAX);
        let zones = || (0..values.len()).zip(&self.residents).map(|(zone, there)| (zone, i64::from(*there)));
        let mut by_value: Vec<usize> = (0..values.len()).collect();
        by_value.sort_by_key(|&zone| (values[zone], zone));
        let domains = self.is_domain.iter().filter(|is| **is).count();
        let there: i64 = zones().map(|(_, there)| there).sum();
        let top = (pods + there) / i64::try_from(domains.max(1)).unwrap_or(1);
        let mut least: Option<i128> = None;
        // by the count of the least domain
        for level in (0..=top).rev() {
            let lower =
                |zone: usize| if self.is_domain[zone] { (level - i64::from(self.residents[zone])).max(0) } else { 0 };
            let upper = |zone: usize| (level + i64::from(self.max_skew) - i64::from(self.residents[zone])).max(0);
            let (needed, most): (i64, i64) =
                zones().map(|(zone, _)| (lower(zone), upper(zone))).fold((0, 0), |(a, b), (c, d)| (a + c, b + d));
            if needed > pods {
                continue;
            }
            if most < pods {
                break; // lower levels hold less
            }
            let mut left = pods - needed;
            let mut worth: i128 = zones().map(|(zone, _)| i128::from(values[zone]) * i128::from(lower(zone))).sum();
            for &zone in &by_value {
                let more = left.min(upper(zone) - lower(zone));
                worth += i128::from(values[zone]) * i128::from(more);
                left -= more;
            }
            least = Some(least.map_or(worth, |least| least.min(worth)));
        }
        least.unwrap_or_else(|| i128::from(values.iter().copied().min().unwrap_or(0)) * i128::from(pods))
    }
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
            }
        }
    }
}
