//! Profiles: the kinds of new nodes that the rules of the pods tell apart.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fixedbitset::FixedBitSet;

use crate::model::{
    Amounts, PoolModel, Problem, SoftTaints, TypeModel, admits, affinity_alternatives, fits, ports_conflict,
    volume_alternatives,
};
use crate::observe::snapshot::{HostPort, PodSpec};
use crate::requirements::{Requirement, Requirements};
use crate::solve::sets::{RequirementSets, SetId};

/// More profiles of one pool than this are not told apart by labels that only node affinity looks at.
const MOST_PROFILES: usize = 64;

/// New nodes of a pool with the same value of every label that some rule looks at.
pub struct Profile {
    pub pool: usize,
    /// What a node of the profile must meet.
    pub base: SetId,
    /// By type of the pool: the cheapest price at which it is sold so, micro-dollars an hour.
    prices: Vec<Option<i64>>,
    /// By group: the types that may hold its pods.
    types: Vec<FixedBitSet>,
    /// By type: room and host ports after daemon pods, where the profile rules some of those out.
    rooms: Option<Vec<(Amounts, Vec<HostPort>)>>,
}

impl Profile {
    /// What the cheapest type that holds these groups' pods costs.
    pub fn cost(&self, problem: &Problem, groups: &[usize], used: &Amounts) -> Option<i64> {
        let holds = |kind: usize| {
            groups.iter().all(|&group| self.types[group].contains(kind)) && self.has_room(problem, kind, used, &[])
        };
        (0..self.prices.len()).filter_map(|kind| self.prices[kind].filter(|_| holds(kind))).min()
    }

    /// Whether a node of the type has room for these amounts and these host ports.
    pub fn has_room(&self, problem: &Problem, kind: usize, used: &[i64], ports: &[HostPort]) -> bool {
        let of_type = &problem.pools[self.pool].types[kind];
        let (room, daemon_ports) = match &self.rooms {
            Some(rooms) => (&rooms[kind].0, &rooms[kind].1),
            None => (&of_type.room, &of_type.daemon_ports),
        };
        fits(used, room) && !ports_conflict(ports, daemon_ports)
    }
}

/// The profiles of all pools.
pub struct Profiles {
    pub all: Vec<Profile>,
    /// By group: what its pods ask of a node, each in turn.
    pub alternatives: Vec<Vec<SetId>>,
    /// Nodes that some rule tells apart are told apart here. Not where there would be too many, nor where `minValues` tie a node
    /// to several types, of which there are many choices.
    pub is_complete: bool,
}

pub fn of(problem: &Problem, sets: &mut RequirementSets, stop: &dyn Fn() -> bool) -> Profiles {
    let mut found = Vec::new();
    let by_group: Vec<Vec<SetId>> = problem
        .groups
        .iter()
        .map(|group| wanted(group.spec()).into_iter().map(|set| sets.intern(set)).collect())
        .collect();
    let asked = asked(problem);
    let mut is_complete = true;
    for (pool, model) in problem.pools.iter().enumerate() {
        let mut pins: Vec<Requirements> = vec![Requirements::new()];
        for key in 1..problem.keys.len() {
            // a label may also get a value that is no domain so far: a pod, a daemon pod or a pool names it
            let name = problem.keys.name(key);
            let is_new = |value: &&Arc<str>| problem.keys.domain(key, value).is_none() && can_have(model, name, value);
            let by_pools = problem.snapshot.node_pools.iter().filter_map(|pool| pool.requirements.get(name));
            let by_pods = asked.get(name).into_iter().flat_map(|of| of.by_pods.union(&of.by_daemons));
            let named = by_pools.flat_map(Requirement::named_values).chain(by_pods);
            let more: BTreeSet<&Arc<str>> = named.filter(is_new).collect();
            let values: Vec<&Arc<str>> = problem.keys.domains(key).iter().chain(more).collect();
            if pins.len() * (values.len() + 1) <= MOST_PROFILES {
                // a node may lack the label
                let choices: Vec<Requirement> =
                    values.iter().map(|value| Requirement::one_of([(*value).clone()])).collect();
                pins = with_choices(name, &choices, pins);
            } else {
                is_complete = false;
            }
        }
        let tied: BTreeSet<&str> = (1..problem.keys.len()).map(|key| problem.keys.name(key).as_ref()).collect();
        for (key, Asked { by_pods, by_daemons }) in asked.iter().filter(|(key, _)| !tied.contains(key.as_ref())) {
            let named: BTreeSet<&Arc<str>> =
                by_pods.union(by_daemons).filter(|value| can_have(model, key, value)).collect();
            let mut choices: Vec<Requirement> =
                named.iter().map(|value| Requirement::one_of([(*value).clone()])).collect();
            if !named.is_empty() {
                choices.push(Requirement::none_of(named.into_iter().cloned()));
            }
            if pins.len() * (choices.len() + 1) <= MOST_PROFILES {
                pins = with_choices(key, &choices, pins);
            } else {
                is_complete = false;
            }
        }
        is_complete &= model.min_values.is_empty();
        for within in pins.into_iter().take_while(|_| !stop()) {
            let daemons_differ = within.keys().any(|key| asked.get(key).is_some_and(|of| !of.by_daemons.is_empty()));
            found.extend(profile(problem, sets, &by_group, pool, within, daemons_differ));
        }
    }
    Profiles { all: found, alternatives: by_group, is_complete: is_complete && !stop() }
}

/// What a pod asks of its node's labels: alternatives of its node affinity and of its volumes.
pub fn wanted(spec: &PodSpec) -> Vec<Requirements> {
    affinity_alternatives(spec).iter().flat_map(|node| volume_alternatives(spec, node)).collect()
}

fn with_choices(key: &str, choices: &[Requirement], pins: Vec<Requirements>) -> Vec<Requirements> {
    let pinned = choices.iter().flat_map(|choice| {
        pins.iter().cloned().map(|mut pins| {
            pins.add(key, choice.clone());
            pins
        })
    });
    let pinned: Vec<Requirements> = pinned.collect();
    pins.into_iter().chain(pinned).collect()
}

/// Values of a label that decide where something may run, or may not.
#[derive(Default)]
struct Asked {
    by_pods: BTreeSet<Arc<str>>,
    /// By daemon pods: a node without them is free of their overhead.
    by_daemons: BTreeSet<Arc<str>>,
}

/// The labels that node affinity, preferred or not, and volumes look at, and what daemon pods select.
fn asked(problem: &Problem) -> BTreeMap<Arc<str>, Asked> {
    let mut asked: BTreeMap<Arc<str>, Asked> = BTreeMap::new();
    let values = |requirement: &Requirement| requirement.named_values().clone();
    for spec in problem.groups.iter().map(crate::model::Group::spec) {
        let preferred = spec.preferred_node_affinity.iter().map(|(_, term)| term);
        let volumes = spec.volumes.iter().flat_map(|volume| &volume.topology);
        for (key, requirement) in spec.node_affinity.iter().chain(preferred).chain(volumes).flat_map(|term| &term.0) {
            asked.entry(key.clone()).or_default().by_pods.extend(values(requirement));
        }
    }
    for spec in problem.snapshot.daemon_sets.iter().map(|daemon| &daemon.template.spec) {
        for (key, value) in &spec.node_selector {
            asked.entry(key.clone()).or_default().by_daemons.insert(value.clone());
        }
        for (key, requirement) in spec.node_affinity.iter().flat_map(|term| &term.0) {
            asked.entry(key.clone()).or_default().by_daemons.extend(values(requirement));
        }
    }
    asked
}

fn can_have(pool: &PoolModel, key: &str, value: &str) -> bool {
    let sold = || {
        pool.types.iter().any(|kind| {
            let of_type = kind.instance_type.requirements.get(key);
            of_type.is_some_and(|of_type| of_type.allows(value))
                || kind.offerings.iter().any(|offering| offering.label(key) == Some(value))
        })
    };
    match pool.requirements.get(key) {
        Some(of_pool) => of_pool.single_value().is_none() && of_pool.allows(value),
        None => sold(),
    }
}

/// The profile, if the pool sells it to some group.
fn profile(
    problem: &Problem,
    sets: &mut RequirementSets,
    by_group: &[Vec<SetId>],
    pool: usize,
    within: Requirements,
    daemons_differ: bool,
) -> Option<Profile> {
    let model = &problem.pools[pool];
    let of_pool = sets.intern_pool(problem, pool);
    let pins = sets.intern(within);
    let base = sets.meet(of_pool, pins)?;
    let must_have = model.labels_to_be_had(sets.get(base));
    let of_base = sets.types(problem, pool, base);
    let price = |kind: usize| {
        let of_type = &model.types[kind];
        let sold = of_type.offerings.iter().filter(|offering| of_type.sells(offering, sets.get(base), &must_have));
        sold.map(|offering| offering.price.0).min().filter(|_| of_base.contains(kind))
    };
    let prices: Vec<Option<i64>> = (0..model.types.len()).map(price).collect();
    let mut types = Vec::with_capacity(by_group.len());
    for (group, alternatives) in problem.groups.iter().zip(by_group) {
        let mut of_group = FixedBitSet::with_capacity(model.types.len());
        if admits(group.spec(), &model.pool.taints, SoftTaints::Ignore) {
            for &alternative in alternatives {
                if let Some(set) = sets.meet(base, alternative) {
                    of_group.union_with(&sets.types(problem, pool, set));
                }
            }
        }
        types.push(of_group);
    }
    if types.iter().all(FixedBitSet::is_clear) {
        return None;
    }
    let room = |kind: &TypeModel| {
        let (overhead, ports) = model.overhead_under(kind, sets.get(base));
        let mut left = kind.instance_type.allocatable.clone();
        left.subtract(&overhead);
        (problem.dims.amounts(&left), ports)
    };
    let rooms = daemons_differ.then(|| model.types.iter().map(room).collect());
    Some(Profile { pool, base, prices, types, rooms })
}
