//! Which pods are packed anew, and what a first solution decided for them that stays.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::Domains;
use crate::model::{DomainId, Group, KeyId, Keys, Problem, domain_of_node};
use crate::observe::snapshot::PodTemplate;
use crate::solve::{Place, Solution};

/// A group in an order that the order of the input does not change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByContent<'p> {
    namespace: &'p Arc<str>,
    template: &'p Arc<PodTemplate>,
    pub group: usize,
}

/// Pods of a group for which the first solution decided the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Decided<'p> {
    pub by_content: ByContent<'p>,
    /// Weight of the pool of their nodes; `None` for those on existing nodes.
    pub weight: Option<i32>,
    /// Domains of the keys that tie the group to others, hostname apart.
    pub domains: Domains,
}

pub type Demand<'p> = BTreeMap<Decided<'p>, u32>;

/// What the first solution puts where it stays: by group, (existing node, how many).
pub type Staying = HashMap<usize, Vec<(usize, u32)>>;

/// Pods that are packed anew, and those on existing nodes that stay there because rules over hosts count them, or because they
/// mind daemon pods; those of the latter that are on new nodes are placed after all others. `also`: pods
/// that the first solution leaves, and domains for them; those of a lower priority than `least` are left out.
pub fn demand<'p>(
    problem: &'p Problem,
    first: &Solution,
    least: i32,
    also: &[(usize, Domains)],
) -> (Demand<'p>, Staying) {
    let mut group_of = vec![0; problem.snapshot.pods.len()];
    for (group, model) in problem.groups.iter().enumerate() {
        model.pods.iter().for_each(|&pod| group_of[pod] = group);
    }
    let ties: Vec<BTreeSet<KeyId>> = problem.groups.iter().map(|group| ties(problem, group)).collect();
    let mut demand = Demand::new();
    let mut staying = Staying::new();
    for equal in first.placements.chunk_by(|(a, on), (b, next)| on == next && group_of[*a] == group_of[*b]) {
        let ((pod, place), count) = (equal[0], u32::try_from(equal.len()).expect("a Snapshot holds fewer pods"));
        let group = group_of[pod];
        let model = &problem.groups[group];
        if model.spec().priority < least || (model.minds_daemons && matches!(place, Place::New(_))) {
            continue;
        }
        let keys = ties[group].iter().filter(|key| **key != Keys::HOST);
        let (weight, domains): (_, Domains) = match place {
            Place::New(node) => {
                let weight = problem.pools[first.new_nodes[node].pool].pool.weight;
                (Some(weight), keys.filter_map(|&key| Some((key, domain_of(problem, first, place, key)?))).collect())
            }
            Place::Existing(index) if model.minds_daemons || ties[group].contains(&Keys::HOST) => {
                let of_group = staying.entry(group).or_default();
                match of_group.iter_mut().find(|(of, _)| *of == index) {
                    Some((_, known)) => *known += count,
                    None => of_group.push((index, count)),
                }
                continue;
            }
            Place::Existing(_) => {
                (None, keys.filter_map(|&key| Some((key, domain_of(problem, first, place, key)?))).collect())
            }
        };
        *demand.entry(Decided { by_content: by_content(problem, group), weight, domains }).or_insert(0) += count;
    }
    for (pod, domains) in also {
        let by_content = by_content(problem, group_of[*pod]);
        *demand.entry(Decided { by_content, weight: None, domains: domains.clone() }).or_insert(0) += 1;
    }
    (demand, staying)
}

/// The domain of a key in which a solution puts what it places there; `None` where none is decided.
pub fn domain_of(problem: &Problem, solution: &Solution, place: Place, key: KeyId) -> Option<DomainId> {
    match place {
        Place::Existing(node) => domain_of_node(&problem.keys, key, node, &problem.nodes[node]),
        Place::New(node) => {
            let of_key = solution.new_nodes[node].requirements.get(problem.keys.name(key))?;
            problem.keys.domain(key, of_key.single_value()?)
        }
    }
}

fn by_content<'p>(problem: &'p Problem, group: usize) -> ByContent<'p> {
    let model = &problem.groups[group];
    ByContent { namespace: model.namespace, template: model.template, group }
}

/// The keys of every rule that the group must obey or that counts it.
pub fn ties(problem: &Problem, group: &Group) -> BTreeSet<KeyId> {
    let carried = group.carried.iter().map(|placement| placement.topology);
    let all = carried.chain(group.counted.iter().copied()).chain(group.forbidden_by.iter().copied());
    all.map(|id| problem.topologies[id].key).collect()
}
