//! Problem -> [`Instance`]: the packing of new nodes in numbers, with the domains and existing nodes of a first solution.
//!
//! What a first solution decided about rules that span nodes stays: which pods go to existing nodes, in which domain of a
//! topology key each pod lands, how far its preferences are relaxed, and the weight of its pool. What is decided anew is
//! which pods share a node, and which types are bought; that is where the money is. Rules within one node are caps of an
//! item or dimensions of their own (hostname spread and anti-affinity, host ports); whatever is missing here is caught when
//! the patterns are carried out by the same rules that the greedy follows.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use fixedbitset::FixedBitSet;

use super::columns::instance::{Bin, Class, Instance, Item};
use super::greedy::{Variants, Worked};
use super::sets::{RequirementSets, SetId};
use super::{Place, Solution};
use crate::model::{DomainId, Group, KeyId, Keys, PoolModel, Problem, TopologyId, TopologyKind};
use crate::observe::snapshot::PodTemplate;
use crate::requirements::Requirements;

/// An instance with what its items and bins stand for.
#[derive(Debug)]
pub struct Reduction {
    pub instance: Instance,
    /// By item: the pods of each group that it stands for.
    pub members: Vec<Members>,
    /// By item: the domains that were chosen for it.
    pub domains: Vec<Domains>,
    /// By class and bin.
    pub shapes: Vec<Vec<Shape>>,
}

/// What a bin is.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    pub pool: usize,
    /// Index into the pool's types.
    pub kind: usize,
    /// Index into the type's offerings: the cheapest of those that hold the same items.
    pub offering: usize,
}

/// Chosen domains by topology key.
pub type Domains = Vec<(KeyId, DomainId)>;

/// More anti-affinities between groups than this are left to the carrying out.
const MOST_HOST_RULES: usize = 8;

/// Pods of an item by group.
pub type Members = Vec<(usize, u32)>;

/// Signature, size, and how many one node may hold.
type ItemKey = (usize, Vec<i64>, u32);

/// What decides where an item may go: requirements of its pods, pools that they tolerate, weight of the pool, domains.
type Signature = (Vec<SetId>, Vec<bool>, i32, Domains);

impl Reduction {
    /// Reads the new nodes of a first solution; `None` where there are none.
    #[must_use]
    pub fn of(problem: &Problem, first: &Solution, worked: &Worked) -> Option<Self> {
        let demand = demand(problem, first);
        if demand.is_empty() {
            return None;
        }
        let mut sets = RequirementSets::default();
        let mut variants = Variants::new(problem);
        let host_rules = host_rules(problem, &demand);
        let mut signatures: BTreeMap<Signature, usize> = BTreeMap::new();
        let mut items: BTreeMap<ItemKey, Members> = BTreeMap::new();
        for ((ByContent { group, .. }, weight, domains), pods) in demand {
            let variant = variants.at(problem, &mut sets, group, worked.steps[group])?;
            let variant = variants.get(variant);
            let signature = (variant.alternatives.clone(), variant.tolerates.clone(), weight, domains);
            let next = signatures.len();
            let signature = *signatures.entry(signature).or_insert(next);
            let model = &problem.groups[group];
            let key = (signature, size(model, &host_rules), most_on_a_node(problem, model));
            items.entry(key).or_default().push((group, pods));
        }
        let mut by_index: Vec<&Signature> = signatures.keys().collect();
        by_index.sort_by_key(|signature| signatures[*signature]);
        let mut reduction = Self {
            instance: Instance {
                dims: problem.dims.len() + host_rules.len(),
                items: Vec::new(),
                classes: Vec::new(),
                rows: Vec::new(),
            },
            members: Vec::new(),
            domains: Vec::new(),
            shapes: Vec::new(),
        };
        let mut of_signature: Vec<Vec<usize>> = vec![Vec::new(); by_index.len()];
        for ((signature, size, most), members) in items {
            of_signature[signature].push(reduction.instance.items.len());
            let demand = members.iter().map(|(_, pods)| pods).sum();
            reduction.instance.items.push(Item { size, demand, most });
            reduction.members.push(members);
            reduction.domains.push(by_index[signature].3.clone());
        }
        reduction.add_classes(problem, &mut sets, &by_index, &of_signature, &host_rules);
        Some(reduction)
    }

    fn add_classes(
        &mut self,
        problem: &Problem,
        sets: &mut RequirementSets,
        signatures: &[&Signature],
        of_signature: &[Vec<usize>],
        host_rules: &[HostRule],
    ) {
        // bins by the signatures that they may hold
        let mut classes: BTreeMap<Vec<usize>, Vec<(Bin, Shape)>> = BTreeMap::new();
        for (pool, model) in problem.pools.iter().enumerate() {
            let markets = Markets::of(model);
            let reached: Vec<Vec<FixedBitSet>> =
                signatures.iter().map(|signature| markets.reached(problem, sets, pool, signature)).collect();
            for (kind, of_type) in model.types.iter().enumerate() {
                for (offering, of) in of_type.offerings.iter().enumerate().filter(|(_, o)| o.reservation.is_none()) {
                    let market = markets.of_offering[kind][offering];
                    let holds: Vec<usize> = (0..signatures.len())
                        .filter(|&signature| reached[signature].get(market).is_some_and(|types| types.contains(kind)))
                        .collect();
                    if holds.is_empty() {
                        continue;
                    }
                    let rules = host_rules.iter().map(|rule| i64::from(rule.room));
                    let room = of_type.room.iter().copied().chain(rules).collect();
                    let bin = Bin { room, cost: of.price.0, uses: Vec::new() };
                    classes.entry(holds).or_default().push((bin, Shape { pool, kind, offering }));
                }
            }
        }
        for (holds, mut bins) in classes {
            let mut items: Vec<usize> = holds.iter().flat_map(|&signature| of_signature[signature].clone()).collect();
            items.sort_unstable();
            bins.sort_by(|(a, x), (b, y)| {
                (a.cost, &b.room, x.pool, x.kind, x.offering).cmp(&(b.cost, &a.room, y.pool, y.kind, y.offering))
            });
            // a bin that costs no less and holds no more than another is never needed
            let mut kept: Vec<(Bin, Shape)> = Vec::new();
            for (bin, shape) in bins {
                let beaten = kept.iter().any(|(other, _)| other.room.iter().zip(&bin.room).all(|(a, b)| a >= b));
                if !beaten {
                    kept.push((bin, shape));
                }
            }
            let (bins, shapes) = kept.into_iter().unzip();
            self.instance.classes.push(Class { items, bins });
            self.shapes.push(shapes);
        }
    }
}

/// Offerings of a pool by zone, capacity type and labels: what the requirements of pods look at.
struct Markets {
    /// For each an offering that stands for all of them: (type, offering).
    examples: Vec<(usize, usize)>,
    /// By type and offering.
    of_offering: Vec<Vec<usize>>,
}

impl Markets {
    fn of(pool: &PoolModel) -> Self {
        let mut ids = HashMap::new();
        let mut markets = Self { examples: Vec::new(), of_offering: Vec::new() };
        for (kind, of_type) in pool.types.iter().enumerate() {
            let of_kind = of_type.offerings.iter().enumerate().map(|(offering, of)| {
                let next = markets.examples.len();
                let id = *ids.entry((&of.zone, of.capacity_type, &of.labels)).or_insert(next);
                if id == next {
                    markets.examples.push((kind, offering));
                }
                id
            });
            let of_kind = of_kind.collect();
            markets.of_offering.push(of_kind);
        }
        markets
    }

    /// By market: the types that may hold the signature's pods there; empty where the pool is not for them.
    fn reached(
        &self,
        problem: &Problem,
        sets: &mut RequirementSets,
        pool: usize,
        (alternatives, tolerates, weight, domains): &Signature,
    ) -> Vec<FixedBitSet> {
        let model = &problem.pools[pool];
        if !tolerates[pool] || model.pool.weight != *weight {
            return Vec::new();
        }
        let base = sets.intern_pool(problem, pool);
        let mut reached = vec![FixedBitSet::with_capacity(model.types.len()); self.examples.len()];
        for &alternative in alternatives {
            let mut set = sets.meet(base, alternative);
            for &(key, domain) in domains {
                let pin = sets.pin(problem, key, domain);
                set = set.and_then(|set| sets.meet(set, pin));
            }
            let Some(set) = set else { continue };
            let types = sets.types(problem, pool, set);
            let requirements: &Requirements = sets.get(set);
            for (market, &(kind, offering)) in self.examples.iter().enumerate() {
                if model.types[kind].offerings[offering].satisfies(requirements) {
                    reached[market].union_with(&types);
                }
            }
        }
        reached
    }
}

/// A group in an order that the order of the input does not change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct ByContent<'p> {
    namespace: &'p Arc<str>,
    template: &'p Arc<PodTemplate>,
    group: usize,
}

type Demand<'p> = BTreeMap<(ByContent<'p>, i32, Domains), u32>;

/// Pods on new nodes by group, weight of their pool, and the domains of the keys that tie the group to others.
fn demand<'p>(problem: &'p Problem, first: &Solution) -> Demand<'p> {
    let mut group_of = HashMap::new();
    for (group, model) in problem.groups.iter().enumerate() {
        group_of.extend(model.pods.iter().map(|&pod| (pod, group)));
    }
    let ties: Vec<BTreeSet<KeyId>> = problem.groups.iter().map(|group| ties(problem, group)).collect();
    let mut demand = BTreeMap::new();
    for (pod, place) in &first.placements {
        let Place::New(node) = place else { continue };
        let (group, node) = (group_of[pod], &first.new_nodes[*node]);
        let domains = ties[group].iter().filter_map(|&key| {
            let value = node.requirements.get(problem.keys.name(key))?.single_value()?;
            Some((key, problem.keys.domain(key, value)?))
        });
        let weight = problem.pools[node.pool].pool.weight;
        let model = &problem.groups[group];
        let by_content = ByContent { namespace: model.namespace, template: model.template, group };
        *demand.entry((by_content, weight, domains.collect())).or_insert(0) += 1;
    }
    demand
}

/// The keys, hostname apart, of every rule that the group must obey or that counts it.
fn ties(problem: &Problem, group: &Group) -> BTreeSet<KeyId> {
    let carried = group.carried.iter().map(|placement| placement.topology);
    let all = carried.chain(group.counted.iter().copied()).chain(group.forbidden_by.iter().copied());
    all.map(|id| problem.topologies[id].key).filter(|&key| key != Keys::HOST).collect()
}

/// An anti-affinity or spread over hosts that several groups share: a dimension.
struct HostRule {
    topology: TopologyId,
    /// How many counted pods a node may hold.
    room: u32,
}

fn host_rules(problem: &Problem, demand: &Demand) -> Vec<HostRule> {
    let mut groups: BTreeMap<TopologyId, (u32, u32)> = BTreeMap::new();
    for ((of, ..), pods) in demand {
        for placement in problem.groups[of.group].carried.iter().filter(|placement| placement.self_selects) {
            if problem.topologies[placement.topology].key == Keys::HOST {
                let of = groups.entry(placement.topology).or_default();
                *of = (of.0 + 1, of.1 + pods);
            }
        }
    }
    let mut shared: Vec<(u32, HostRule)> = groups
        .into_iter()
        .filter(|(_, (groups, _))| *groups > 1)
        .filter_map(|(topology, (_, pods))| {
            Some((pods, HostRule { topology, room: host_cap(&problem.topologies[topology].kind)? }))
        })
        .collect();
    shared.sort_by_key(|(pods, rule)| (std::cmp::Reverse(*pods), rule.topology));
    shared.into_iter().map(|(_, rule)| rule).take(MOST_HOST_RULES).collect()
}

/// How many pods that carry such a rule over hosts and count for it may share a host.
fn host_cap(kind: &TopologyKind) -> Option<u32> {
    match kind {
        TopologyKind::Spread { max_skew, .. } => Some(*max_skew),
        TopologyKind::AntiAffinity => Some(1),
        TopologyKind::Affinity | TopologyKind::InverseAntiAffinity => None,
    }
}

fn size(group: &Group, host_rules: &[HostRule]) -> Vec<i64> {
    let counts = host_rules.iter().map(|rule| i64::from(group.counted.contains(&rule.topology)));
    group.amounts.iter().map(|amount| (*amount).max(0)).chain(counts).collect()
}

/// How many pods of the group one node may hold by its own rules.
fn most_on_a_node(problem: &Problem, group: &Group) -> u32 {
    let caps = group.carried.iter().filter(|placement| placement.self_selects).filter_map(|placement| {
        let topology = &problem.topologies[placement.topology];
        host_cap(&topology.kind).filter(|_| topology.key == Keys::HOST)
    });
    let ports = (!group.spec().host_ports.is_empty()).then_some(1);
    caps.chain(ports).min().unwrap_or(u32::MAX)
}
