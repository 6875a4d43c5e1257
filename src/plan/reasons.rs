//! Why a pod is left: the smallest set of its requirements that rules every pool out.
//!
//! Each type of each pool is excluded by some of the pod's requirements (a taint, a label key, a resource, a limit);
//! the reason is a smallest set of requirements that hits all of these exclusions.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::rc::Rc;

use fixedbitset::FixedBitSet;

use super::daemons::{taking, would_hold};
use super::types::Launch;
use crate::catalog::Offering;
use crate::model::{
    Group, PoolModel, Problem, Source, TypeModel, affinity_alternatives, ports_conflict, rules, volume_alternatives,
};
use crate::observe::snapshot::{TaintEffect, Toleration};
use crate::requirements::{Requirements, Undefined};
use crate::resources::display_amount;
use crate::solve::purchase::distinct;
use crate::units::MicroUsd;

/// Explains groups against the pools of a problem and what the plan's launches have taken of their limits.
pub(super) struct Reasons<'p, 's> {
    problem: &'p Problem<'s>,
    /// By pool and type: what the pool's limits say once the plan is carried out.
    limits: Vec<Vec<Vec<Cause>>>,
    /// What rules types out whatever the pod's size; many groups differ in nothing else.
    excluded: HashMap<Demands<'p>, Rc<Excluded>>,
}

/// Of a limit that would leave room if the plan launched nothing.
const USED_UP: &str = "has used up its limit of";

/// One requirement of the pod that rules types out, in words.
type Cause = String;

/// What a pod asks of a node, besides room: alternatives of its node requirements and of its volumes, and its tolerations.
type Demands<'p> = (Vec<Requirements>, Vec<Requirements>, &'p [Toleration]);

/// For each type of each pool the causes that exclude it, as a set over `causes`.
struct Excluded {
    causes: Vec<Cause>,
    types: Vec<Vec<FixedBitSet>>,
}

impl<'p, 's> Reasons<'p, 's> {
    pub fn new(problem: &'p Problem<'s>, launches: &[Launch]) -> Self {
        let limits = problem.pools.iter().map(|pool| limit_causes(pool, launches)).collect();
        Self { problem, limits, excluded: HashMap::new() }
    }

    /// One line for a group that was not placed. `taken`: what other pods keep from it, which counts where a node could hold it.
    pub fn why(&mut self, group: usize, taken: Option<String>) -> String {
        let group = &self.problem.groups[group];
        if self.problem.pools.is_empty() {
            return taken.unwrap_or_else(|| self.no_pools());
        }
        let excluded = self.excluded(group);
        let names = self.problem.dims.names();
        let mut causes = excluded.causes.clone();
        let first_dim = causes.len();
        causes.extend(
            names
                .iter()
                .zip(&group.amounts)
                .map(|(name, &amount)| format!("requests {name} {}", display_amount(name, amount))),
        );
        let ports = causes.len();
        causes.push("its host ports clash with those of a daemon pod".to_owned());
        let mut exclusions: HashSet<FixedBitSet> = HashSet::new();
        for (pool, of_types) in self.problem.pools.iter().zip(&excluded.types) {
            for (kind, of_type) in pool.types.iter().zip(of_types) {
                let mut set = of_type.clone();
                set.grow(causes.len());
                set.extend(too_large(group, kind).map(|dim| first_dim + dim));
                if !group.spec().host_ports.is_empty() && ports_conflict(&group.spec().host_ports, &kind.daemon_ports) {
                    set.insert(ports);
                }
                if set.is_clear() {
                    return taken.unwrap_or_else(|| self.crowded_out(group, &excluded));
                }
                exclusions.insert(set);
            }
        }
        let sets = exclusions.iter().map(|set| set.ones().map(|cause| causes[cause].clone()).collect()).collect();
        let causes: Vec<Cause> = smallest_hitting_set(&sets)
            .into_iter()
            .map(|cause| match causes[first_dim..ports].iter().position(|of_dim| *of_dim == cause) {
                Some(dim) => {
                    self.beside_daemons(group, &excluded, dim).map_or(cause.clone(), |why| format!("{cause} ({why})"))
                }
                None => cause,
            })
            .collect();
        // there is nothing wrong with the pod
        let is_crowded_out = causes.iter().all(|cause| cause.contains(USED_UP));
        let causes: Vec<Cause> = causes.into_iter().chain(self.sold_out()).collect();
        format!("{}{}", if is_crowded_out { "" } else { "no NodePool can hold it: " }, causes.join("; "))
    }

    /// The type that lacks the least of a resource, if it is daemon pods alone that leave too little.
    fn beside_daemons(&self, group: &Group, excluded: &Excluded, dim: usize) -> Option<String> {
        let types = self.problem.pools.iter().zip(&excluded.types).flat_map(|(pool, of_types)| {
            pool.types.iter().zip(of_types).filter(|(_, set)| set.is_clear()).map(move |(kind, _)| (pool, kind))
        });
        let short = |kind: &TypeModel| group.amounts[dim] - kind.room[dim];
        let held = types.filter(|(_, kind)| short(kind) > 0 && would_hold(&self.problem.dims, kind, &group.amounts));
        let (pool, kind) = held.min_by_key(|(_, kind)| short(kind))?;
        let taking = taking(pool, kind, &self.problem.dims.names()[dim])?;
        Some(format!("{} would hold it without its daemon pods: {taking}", kind.instance_type.name))
    }

    fn no_pools(&self) -> String {
        let unusable = self
            .problem
            .snapshot
            .node_pools
            .iter()
            .filter_map(|pool| pool.unusable.as_ref().map(|reason| format!("NodePool {}: {reason}", pool.name)));
        let unusable: Vec<String> = unusable.chain(self.sold_out()).collect();
        if unusable.is_empty() { "there is no NodePool that can launch nodes".to_owned() } else { unusable.join("; ") }
    }

    /// The pools of which the cloud has nothing at the moment.
    fn sold_out(&self) -> Option<String> {
        let has_something = |index: usize| self.problem.pools.iter().any(|pool| pool.index == index);
        let pools = self
            .problem
            .snapshot
            .node_pools
            .iter()
            .enumerate()
            .filter(|(index, pool)| pool.unusable.is_none() && pool.replicas.is_none() && !has_something(*index));
        let names: Vec<&str> = pools.map(|(_, pool)| &*pool.name).collect();
        (!names.is_empty()).then(|| format!("nothing that NodePool {} allows can be had now", names.join(", ")))
    }

    fn excluded(&mut self, group: &'p Group<'s>) -> Rc<Excluded> {
        let spec = group.spec();
        let demands =
            (affinity_alternatives(spec), volume_alternatives(spec, &Requirements::new()), spec.tolerations.as_slice());
        let (problem, limits) = (self.problem, &self.limits);
        let made =
            self.excluded.entry(demands).or_insert_with_key(|demands| Rc::new(exclude(problem, limits, demands)));
        made.clone()
    }

    /// Some type could hold the pod alone: a topology rule, minValues or time stands against it.
    fn crowded_out(&self, group: &Group, excluded: &Excluded) -> String {
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
            let short = self.short_minimums(group, excluded);
            let shown = if short.is_empty() { String::new() } else { format!(" ({})", short.join("; ")) };
            rules.push(format!("minValues{shown}"));
        }
        if rules.is_empty() {
            return "no NodePool has room left for it under its limits".to_owned();
        }
        format!("every node that could hold it is ruled out by {}", rules.join(" and "))
    }

    /// The minimums of pools that the offers which could hold a pod of the group do not reach.
    fn short_minimums(&self, group: &Group, excluded: &Excluded) -> Vec<String> {
        let spec = group.spec();
        let (wanted, volumes) = (affinity_alternatives(spec), volume_alternatives(spec, &Requirements::new()));
        let mut short = Vec::new();
        for (pool, of_types) in self.problem.pools.iter().zip(&excluded.types) {
            let types = pool.types.iter().zip(of_types);
            let holding = types.filter(|(kind, set)| set.is_clear() && too_large(group, kind).next().is_none());
            let offers: Vec<(&TypeModel, &Offering)> = holding
                .flat_map(|(kind, _)| kind.offerings.iter().map(move |offering| (kind, *offering)))
                .filter(|(_, o)| wanted.iter().any(|w| o.satisfies(w)) && volumes.iter().any(|v| o.satisfies(v)))
                .collect();
            for (key, least) in pool.min_values.iter().filter(|_| !offers.is_empty()) {
                let found = distinct(&offers, key);
                if found < *least as usize {
                    short.push(format!("NodePool {} wants {least} values of {key}, found {found}", pool.pool.name));
                }
            }
        }
        short
    }
}

fn exclude(problem: &Problem, limits: &[Vec<Vec<Cause>>], (alternatives, volumes, tolerations): &Demands) -> Excluded {
    let mut excluded = Excluded { causes: Vec::new(), types: Vec::new() };
    let mut ids: HashMap<Cause, usize> = HashMap::new();
    for (pool, limits) in problem.pools.iter().zip(limits) {
        let mut of_pool: Vec<Cause> = Vec::new();
        let hard = pool.pool.taints.iter().filter(|taint| taint.effect != TaintEffect::PreferNoSchedule);
        for taint in hard.filter(|taint| !rules::tolerates_all(tolerations, std::slice::from_ref(*taint))) {
            let value = if taint.value.is_empty() { String::new() } else { format!("={}", taint.value) };
            of_pool.push(format!("it does not tolerate {}{value}:{:?}", taint.key, taint.effect));
        }
        let of_types = pool.types.iter().zip(limits).map(|(kind, of_limits)| {
            let mut causes = of_pool.clone();
            causes.extend(label_causes(alternatives, pool, kind));
            if !kind.offerings.iter().any(|offering| volumes.iter().any(|reach| offering.satisfies(reach))) {
                causes.push("its volumes can be used only in zones that the pool does not offer".to_owned());
            }
            causes.extend(of_limits.iter().cloned());
            let mut set = FixedBitSet::new();
            for cause in causes {
                let next = excluded.causes.len();
                let id = *ids.entry(cause.clone()).or_insert(next);
                if id == next {
                    excluded.causes.push(cause);
                }
                set.grow_and_insert(id);
            }
            set
        });
        let of_types = of_types.collect();
        excluded.types.push(of_types);
    }
    excluded
}

/// The dimensions in which a pod of the group is larger than an empty node of the type.
fn too_large(group: &Group, kind: &TypeModel) -> impl Iterator<Item = usize> {
    let dims = group.amounts.iter().zip(&kind.room).enumerate();
    dims.filter(|(_, (want, room))| **want > 0 && want > room).map(|(dim, _)| dim)
}

/// For each type of the pool the limits that one more node of it would exceed.
fn limit_causes(pool: &PoolModel, launches: &[Launch]) -> Vec<Vec<Cause>> {
    let name = &pool.pool.name;
    let of_pool: Vec<&Launch> = launches.iter().filter(|launch| launch.pool == pool.index).collect();
    let by_name: HashMap<&str, &TypeModel> =
        pool.types.iter().map(|kind| (kind.instance_type.name.as_ref(), kind)).collect();
    let mut left: Vec<i64> = pool.remaining.resources.values().copied().collect();
    for launch in &of_pool {
        let kinds: Vec<&TypeModel> =
            launch.offers.iter().filter_map(|offer| by_name.get(offer.instance_type.as_ref()).copied()).collect();
        for (limit, left) in left.iter_mut().enumerate() {
            *left -= kinds.iter().map(|kind| kind.counts[limit]).max().unwrap_or(0);
        }
    }
    // by limit: the pool could launch some type before this plan, and this plan uses some of it
    let had_room: Vec<bool> = pool
        .remaining
        .resources
        .values()
        .zip(&left)
        .enumerate()
        .map(|(limit, (&before, &left))| left < before && pool.types.iter().any(|kind| kind.counts[limit] <= before))
        .collect();
    let mut always = Vec::new();
    let count = i64::try_from(of_pool.len()).unwrap_or(i64::MAX);
    if pool.remaining.nodes.is_some_and(|left| left - count < 1) {
        let (nodes, had_room) =
            (pool.pool.limits.nodes.unwrap_or(0), pool.remaining.nodes.is_some_and(|left| left > 0));
        always.push(if had_room {
            format!("NodePool {name} {USED_UP} {nodes} nodes")
        } else {
            format!("NodePool {name} is limited to {nodes} nodes")
        });
    }
    let spent: MicroUsd = of_pool.iter().map(|launch| launch.worst_price()).sum();
    let of_type = |kind: &TypeModel| {
        let mut causes = always.clone();
        for (limit, resource) in pool.remaining.resources.keys().enumerate() {
            if kind.counts[limit] > left[limit].max(0) {
                let amount = display_amount(resource, pool.pool.limits.resources.get(resource));
                causes.push(match left[limit] {
                    left if had_room[limit] && left > 0 => {
                        format!(
                            "NodePool {name} {USED_UP} {resource} {amount} except {}",
                            display_amount(resource, left)
                        )
                    }
                    _ if had_room[limit] => format!("NodePool {name} {USED_UP} {resource} {amount}"),
                    _ => format!("NodePool {name} is limited to {resource} {amount}"),
                });
            }
        }
        if let (Some(left), Some(cap)) = (pool.remaining.usd_per_hour, pool.pool.limits.usd_per_hour)
            && kind.offerings.iter().all(|offering| kind.counted_price(offering) > left - spent)
        {
            let verb = if spent > MicroUsd::ZERO { USED_UP } else { "is limited to" };
            causes.push(format!("NodePool {name} {verb} {cap} an hour"));
        }
        causes
    };
    pool.types.iter().map(of_type).collect()
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
