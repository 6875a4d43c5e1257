//! Why a pod is left: the smallest set of its requirements that rules every pool out.
//!
//! Each type of each pool is excluded by some of the pod's requirements (a taint, a label key, a resource, a limit);
//! the reason is a smallest set of requirements that hits all of these exclusions.

use std::collections::BTreeSet;

use super::types::Launch;
use crate::model::{
    Group, PoolModel, Problem, Source, TypeModel, affinity_alternatives, ports_conflict, rules, volume_alternatives,
};
use crate::observe::snapshot::{PodSpec, TaintEffect};
use crate::requirements::{Requirements, Undefined};
use crate::resources::display_amount;

/// Explains groups against the pools of a problem and what the plan's launches have taken of their limits.
pub(super) struct Reasons<'p, 's> {
    problem: &'p Problem<'s>,
    launches: &'p [Launch],
}

/// One requirement of the pod that rules types out, with how to say it.
type Cause = String;

impl<'p, 's> Reasons<'p, 's> {
    pub fn new(problem: &'p Problem<'s>, launches: &'p [Launch]) -> Self {
        Self { problem, launches }
    }

    /// One line for a group that was not placed.
    pub fn why(&mut self, group: usize) -> String {
        let group = &self.problem.groups[group];
        if self.problem.pools.is_empty() {
            return self.no_pools();
        }
        let mut exclusions: BTreeSet<BTreeSet<Cause>> = BTreeSet::new();
        for pool in &self.problem.pools {
            self.exclude(group, pool, &mut exclusions);
        }
        if exclusions.remove(&BTreeSet::new()) {
            return self.crowded_out(group);
        }
        let causes = smallest_hitting_set(&exclusions);
        format!("no NodePool can hold it: {}", causes.join("; "))
    }

    fn no_pools(&self) -> String {
        let unusable = self
            .problem
            .snapshot
            .node_pools
            .iter()
            .filter_map(|pool| pool.unusable.as_ref().map(|reason| format!("NodePool {}: {reason}", pool.name)));
        let unusable: Vec<String> = unusable.collect();
        if unusable.is_empty() { "there is no NodePool that can launch nodes".to_owned() } else { unusable.join("; ") }
    }

    /// Adds, for every type of the pool, the causes that exclude it; an empty set where nothing does.
    fn exclude(&self, group: &Group, pool: &PoolModel, exclusions: &mut BTreeSet<BTreeSet<Cause>>) {
        let spec = group.spec();
        let mut of_pool: BTreeSet<Cause> = BTreeSet::new();
        let untolerated = pool.pool.taints.iter().filter(|taint| taint.effect != TaintEffect::PreferNoSchedule);
        for taint in untolerated.filter(|taint| !rules::tolerates_all(&spec.tolerations, std::slice::from_ref(*taint)))
        {
            let value = if taint.value.is_empty() { String::new() } else { format!("={}", taint.value) };
            of_pool.insert(format!("it does not tolerate {}{value}:{:?}", taint.key, taint.effect));
        }
        let alternatives = affinity_alternatives(spec);
        for kind in &pool.types {
            let mut causes = of_pool.clone();
            causes.extend(label_causes(&alternatives, pool, kind));
            self.resource_causes(group, kind, &mut causes);
            if ports_conflict(&spec.host_ports, &kind.daemon_ports) {
                causes.insert("its host ports clash with those of a daemon pod".to_owned());
            }
            if !volumes_reach(spec, kind) {
                causes.insert("its volumes can be used only in zones that the pool does not offer".to_owned());
            }
            self.limit_causes(pool, kind, &mut causes);
            exclusions.insert(causes);
        }
    }

    fn resource_causes(&self, group: &Group, kind: &TypeModel, causes: &mut BTreeSet<Cause>) {
        let names = self.problem.dims.names();
        for (dim, (&want, &room)) in group.amounts.iter().zip(&kind.room).enumerate() {
            if want > 0 && want > room {
                causes.insert(format!("requests {} {}", names[dim], display_amount(&names[dim], want)));
            }
        }
    }

    fn limit_causes(&self, pool: &PoolModel, kind: &TypeModel, causes: &mut BTreeSet<Cause>) {
        let launches: Vec<&Launch> = self.launches.iter().filter(|launch| launch.pool == pool.index).collect();
        let name = &pool.pool.name;
        for (resource, left) in &pool.remaining.resources {
            let of_launch = |launch: &&Launch| {
                let types = launch.offers.iter().map(|offer| offer.instance_type.as_ref()).collect::<BTreeSet<&str>>();
                let models = pool.types.iter().filter(|t| types.contains(t.instance_type.name.as_ref()));
                models.map(|t| t.instance_type.capacity.get(resource)).max().unwrap_or(0)
            };
            let used: i64 = launches.iter().map(of_launch).sum();
            if kind.instance_type.capacity.get(resource) > (left - used).max(0) {
                let limit = pool.pool.limits.resources.get(resource);
                causes.insert(format!("NodePool {name} is limited to {resource} {}", display_amount(resource, limit)));
            }
        }
        let count = i64::try_from(launches.len()).unwrap_or(i64::MAX);
        if pool.remaining.nodes.is_some_and(|left| left - count < 1) {
            causes.insert(format!("NodePool {name} is limited to {} nodes", pool.pool.limits.nodes.unwrap_or(0)));
        }
        if let (Some(left), Some(cap)) = (pool.remaining.usd_per_hour, pool.pool.limits.usd_per_hour) {
            let spent = launches.iter().map(|launch| launch.worst_price()).sum();
            if kind.offerings.iter().all(|offering| offering.price > left - spent) {
                causes.insert(format!("NodePool {name} is limited to {cap} an hour"));
            }
        }
    }

    /// Some type could hold the pod alone: a topology rule, minValues or time stands against it.
    fn crowded_out(&self, group: &Group) -> String {
        let spec = group.spec();
        let rules: BTreeSet<String> = group
            .carried
            .iter()
            .filter(|placement| placement.source.is_required(spec))
            .map(|placement| {
                let key = self.problem.keys.name(self.problem.topologies[placement.topology].key);
                match placement.source {
                    Source::Spread(_) => format!("topology spread over {key}"),
                    Source::Affinity(_) | Source::PreferredAffinity(_) => format!("pod affinity over {key}"),
                    Source::AntiAffinity(_) | Source::PreferredAntiAffinity(_) => {
                        format!("pod anti-affinity over {key}")
                    }
                }
            })
            .collect();
        let mut rules: Vec<String> = rules.into_iter().collect();
        if !group.forbidden_by.is_empty() {
            rules.push("the anti-affinity of other pods".to_owned());
        }
        if self.problem.pools.iter().any(|pool| !pool.min_values.is_empty()) {
            rules.push("minValues".to_owned());
        }
        if rules.is_empty() {
            return "no NodePool has room left for it under its limits".to_owned();
        }
        format!("every node that could hold it is ruled out by {}", rules.join(" and "))
    }
}

/// The label keys that exclude a type: by key where the pod has one alternative, else the node affinity as a whole.
fn label_causes(alternatives: &[Requirements], pool: &PoolModel, kind: &TypeModel) -> Vec<Cause> {
    let mut node = pool.requirements.clone();
    node.add_all(&kind.instance_type.requirements);
    let excluded = |wanted: &Requirements| -> Vec<Cause> {
        let one = |key: &str, wanted: &Requirements| -> bool {
            let single: Requirements = wanted.get(key).map(|r| (key, r.clone())).into_iter().collect();
            node.compatible(&single, Undefined::AllowWellKnown).is_ok()
                && kind.offerings.iter().any(|offering| offering.satisfies(&single))
        };
        let keys = wanted.keys().filter(|key| !one(key, wanted));
        let mut causes: Vec<Cause> =
            keys.map(|key| format!("requires {key} {}", wanted.get(key).expect("a key of the set"))).collect();
        if causes.is_empty() && !kind.offerings.iter().any(|offering| offering.satisfies(wanted)) {
            causes.push(format!("requires together {wanted}"));
        }
        causes
    };
    match alternatives {
        [only] => excluded(only),
        several if several.iter().all(|wanted| !excluded(wanted).is_empty()) => {
            vec!["its required node affinity".to_owned()]
        }
        _ => Vec::new(),
    }
}

fn volumes_reach(spec: &PodSpec, kind: &TypeModel) -> bool {
    let together = volume_alternatives(spec, &Requirements::new());
    kind.offerings.iter().any(|offering| together.iter().any(|alternative| offering.satisfies(alternative)))
}

/// Causes beyond this number are found greedily.
const MOST_EXACT_CAUSES: usize = 3;

/// A smallest set of causes that has one in common with every exclusion: exact up to three causes, greedy beyond;
/// among equals the first in alphabetical order.
fn smallest_hitting_set(exclusions: &BTreeSet<BTreeSet<Cause>>) -> Vec<Cause> {
    // what hits a set hits every larger one: only the smallest sets decide
    let mut by_size: Vec<&BTreeSet<Cause>> = exclusions.iter().collect();
    by_size.sort_by_key(|set| set.len());
    let mut smallest: Vec<&BTreeSet<Cause>> = Vec::new();
    for set in by_size {
        if !smallest.iter().any(|kept| kept.is_subset(set)) {
            smallest.push(set);
        }
    }
    let mut best = None;
    branch(&smallest, &mut Vec::new(), &mut best);
    best.map_or_else(|| greedy_hitting_set(exclusions), |best| best.into_iter().cloned().collect())
}

/// One of the causes of the first set that is not hit yet must be chosen.
fn branch<'c>(sets: &[&'c BTreeSet<Cause>], chosen: &mut Vec<&'c Cause>, best: &mut Option<Vec<&'c Cause>>) {
    let open = sets.iter().find(|set| !chosen.iter().any(|cause| set.contains(*cause)));
    let Some(open) = open else {
        let mut found = chosen.clone();
        found.sort_unstable();
        if best.as_ref().is_none_or(|best| (found.len(), &found) < (best.len(), best)) {
            *best = Some(found);
        }
        return;
    };
    if chosen.len() < best.as_ref().map_or(MOST_EXACT_CAUSES, Vec::len) {
        for cause in *open {
            chosen.push(cause);
            branch(sets, chosen, best);
            chosen.pop();
        }
    }
}

fn greedy_hitting_set(exclusions: &BTreeSet<BTreeSet<Cause>>) -> Vec<Cause> {
    let mut open: Vec<&BTreeSet<Cause>> = exclusions.iter().collect();
    let mut chosen = Vec::new();
    while !open.is_empty() {
        let causes: BTreeSet<&Cause> = open.iter().copied().flatten().collect();
        // the last of equal maxima would win: walk backwards so that the first in order does
        let most = causes.into_iter().rev().max_by_key(|cause| open.iter().filter(|set| set.contains(*cause)).count());
        let Some(most) = most.cloned() else { break };
        open.retain(|set| !set.contains(&most));
        chosen.push(most);
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sets(exclusions: &[&[&str]]) -> BTreeSet<BTreeSet<Cause>> {
        exclusions.iter().map(|set| set.iter().map(|cause| (*cause).to_owned()).collect()).collect()
    }

    #[test]
    fn one_cause_that_excludes_everything_is_enough() {
        assert_eq!(smallest_hitting_set(&sets(&[&["gpu", "zone"], &["cpu", "gpu"], &["gpu"]])), ["gpu"]);
    }

    #[test]
    fn two_pools_with_different_causes_need_two() {
        assert_eq!(
            smallest_hitting_set(&sets(&[&["taint", "x"], &["zone", "y"], &["taint"], &["zone"]])),
            ["taint", "zone"]
        );
    }

    #[test]
    fn more_than_three_causes_are_found_greedily() {
        assert_eq!(smallest_hitting_set(&sets(&[&["a"], &["b"], &["c"], &["d"], &["d", "e"]])), ["d", "a", "b", "c"]);
    }
}
