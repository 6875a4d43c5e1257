//! Nodes that this plan opens: pool, the types that still fit, and what has been promised to pods.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;

use fixedbitset::FixedBitSet;

use super::Greedy;
use super::topology::{HostVerdict, KeyNeed, Needs};
use super::variant::VariantId;
use crate::model::{Amounts, DomainId, Keys, PoolModel, Problem, RemainingLimits, ports_conflict};
use crate::observe::snapshot::HostPort;
use crate::settings::MinValuesPolicy;
use crate::solve::Place;
use crate::solve::sets::SetId;
use crate::units::MicroUsd;

/// A node of the plan while it grows.
#[derive(Debug)]
pub struct OpenNode {
    pub pool: usize,
    pub set: SetId,
    pub types: FixedBitSet,
    pub min_values_relaxed: bool,
    pub spend_limit: Option<MicroUsd>,
    min_values: Vec<(Arc<str>, u32)>,
    /// Requests of its pods.
    requests: Amounts,
    /// The most room that any of its types has, by dimension.
    most_room: Amounts,
    ports: Vec<HostPort>,
    /// The domain that is fixed, by key.
    pins: Vec<Option<DomainId>>,
    pods: usize,
}

/// What an open node becomes when it takes a pod.
struct Narrowed {
    set: SetId,
    types: FixedBitSet,
    pins: Vec<Option<DomainId>>,
    spend_limit: Option<MicroUsd>,
}

/// The `minValues` that a new node keeps.
struct Minimums {
    values: Vec<(Arc<str>, u32)>,
    relaxed: bool,
}

/// Why a node did not take a pod.
enum Refusal {
    NotNow,
    Never,
}

impl OpenNode {
    /// Whether some type could have room left, dimension by dimension.
    fn may_fit(&self, amounts: &[i64]) -> bool {
        let left = self.most_room.iter().zip(&self.requests).map(|(room, used)| room - used);
        amounts.iter().zip(left).all(|(want, left)| *want <= 0 || *want <= left)
    }
}

impl Greedy<'_, '_> {
    /// Tries the open nodes, fewest pods first, earliest opened first among equals.
    pub(super) fn place_on_open(&mut self, variant: VariantId, needs: &Needs) -> Option<Place> {
        let entry = self.variants.get_mut(variant);
        let amounts = &self.problem.groups[entry.group].amounts;
        for (index, node) in self.open.iter().enumerate().skip(entry.seen) {
            if entry.tolerates[node.pool] && node.may_fit(amounts) {
                entry.open.push(Reverse((node.pods, index)));
            }
        }
        entry.seen = self.open.len();
        let mut waiting = std::mem::take(&mut entry.open);
        let mut refused = Vec::new();
        let mut taken = None;
        while let Some(Reverse((pods, index))) = waiting.pop() {
            if self.open[index].pods != pods {
                waiting.push(Reverse((self.open[index].pods, index)));
                continue;
            }
            match self.try_open(variant, needs, index) {
                Ok(narrowed) => {
                    self.commit_open(variant, index, narrowed);
                    refused.push(Reverse((self.open[index].pods, index)));
                    taken = Some(Place::New(index));
                    break;
                }
                Err(Refusal::NotNow) => refused.push(Reverse((pods, index))),
                Err(Refusal::Never) => {}
            }
        }
        waiting.extend(refused);
        self.variants.get_mut(variant).open = waiting;
        taken
    }

    fn try_open(&mut self, variant: VariantId, needs: &Needs, index: usize) -> Result<Narrowed, Refusal> {
        let entry = self.variants.get(variant);
        let group = &self.problem.groups[entry.group];
        let node = &self.open[index];
        if !node.may_fit(&group.amounts) || ports_conflict(&group.spec().host_ports, &node.ports) {
            return Err(Refusal::Never);
        }
        // the common refusal first: the node is fixed to another domain
        let elsewhere = |need: &KeyNeed| node.pins[need.key].is_some_and(|fixed| !need.allowed.contains(fixed));
        if needs.keys.iter().any(elsewhere) {
            return Err(Refusal::NotNow);
        }
        match self.counts.host(needs, self.problem.nodes.len() + index) {
            HostVerdict::Yes => {}
            HostVerdict::NotNow => return Err(Refusal::NotNow),
            HostVerdict::Never => return Err(Refusal::Never),
        }
        let requests: Amounts = node.requests.iter().zip(&group.amounts).map(|(a, b)| a + b).collect();
        let alternatives = entry.alternatives.clone();
        let mut refusal = Refusal::Never;
        for alternative in alternatives {
            let node = &self.open[index];
            let Some(set) = self.sets.meet(node.set, alternative) else { continue };
            let mut types = node.types.clone();
            if set != node.set {
                types.intersect_with(&self.sets.types(self.problem, node.pool, set));
            }
            let pool = &self.problem.pools[node.pool];
            keep_fitting(pool, &mut types, &requests, &group.spec().host_ports);
            if types.is_clear() || !min_values_hold(pool, &types, &node.min_values) {
                continue;
            }
            let (pool, pins, min_values) = (node.pool, node.pins.clone(), node.min_values.clone());
            let start = Narrowed { set, types, pins, spend_limit: node.spend_limit };
            let Some(mut narrowed) = self.fix_domains(pool, &needs.keys, start, &min_values) else {
                refusal = Refusal::NotNow;
                continue;
            };
            if self.within_spend(pool, self.open[index].spend_limit, &mut narrowed) {
                return Ok(narrowed);
            }
        }
        Err(refusal)
    }

    /// Fixes the domain of every key that the pod needs, in order of preference; backtracks over all keys.
    fn fix_domains(
        &mut self,
        pool: usize,
        keys: &[KeyNeed],
        node: Narrowed,
        min_values: &[(Arc<str>, u32)],
    ) -> Option<Narrowed> {
        let Some((need, others)) = keys.split_first() else { return Some(node) };
        if let Some(fixed) = node.pins[need.key] {
            return if need.allowed.contains(fixed) { self.fix_domains(pool, others, node, min_values) } else { None };
        }
        for &domain in &need.domains {
            let pin = self.sets.pin(self.problem, need.key, domain);
            let Some(set) = self.sets.meet(node.set, pin) else { continue };
            let mut types = node.types.clone();
            types.intersect_with(&self.sets.types(self.problem, pool, set));
            if types.is_clear() || !min_values_hold(&self.problem.pools[pool], &types, min_values) {
                continue;
            }
            let mut pins = node.pins.clone();
            pins[need.key] = Some(domain);
            let pinned = Narrowed { set, types, pins, spend_limit: node.spend_limit };
            if let Some(fixed) = self.fix_domains(pool, others, pinned, min_values) {
                return Some(fixed);
            }
        }
        // the node has no such label: a rule that only counts pods does not see it
        if need.required { None } else { self.fix_domains(pool, others, node, min_values) }
    }

    /// Whether the pool's hourly cap allows the cheapest remaining offer with its price flexibility; reserves it.
    fn within_spend(&mut self, pool: usize, reserved: Option<MicroUsd>, node: &mut Narrowed) -> bool {
        let Some(left) = self.remaining[pool].usd_per_hour else { return true };
        let set = self.sets.get(node.set);
        let model = &self.problem.pools[pool];
        let prices = node.types.ones().flat_map(|kind| &model.types[kind].offerings);
        let Some(cheapest) = prices.filter(|offering| offering.satisfies(set)).map(|offering| offering.price).min()
        else {
            return false;
        };
        let limit = cheapest.permille(1_000 + self.problem.snapshot.settings.price_flexibility_permille);
        node.spend_limit = Some(limit);
        limit - reserved.unwrap_or_default() <= left
    }

    fn commit_open(&mut self, variant: VariantId, index: usize, narrowed: Narrowed) {
        let group = &self.problem.groups[self.variants.get(variant).group];
        let node = &mut self.open[index];
        if let Some(left) = &mut self.remaining[node.pool].usd_per_hour {
            *left = *left + node.spend_limit.unwrap_or_default() - narrowed.spend_limit.unwrap_or_default();
        }
        if narrowed.types.count_ones(..) != node.types.count_ones(..) {
            node.most_room = most_room(self.problem, node.pool, &narrowed.types);
        }
        node.set = narrowed.set;
        node.types = narrowed.types;
        node.pins = narrowed.pins;
        node.spend_limit = narrowed.spend_limit;
        for (requested, amount) in node.requests.iter_mut().zip(&group.amounts) {
            *requested += amount;
        }
        node.ports.extend(group.spec().host_ports.iter().cloned());
        node.pods += 1;
        let requirements = self.sets.get(node.set);
        for &id in &group.counted {
            let topology = &self.problem.topologies[id];
            let domain = if topology.key == Keys::HOST {
                Some(self.problem.nodes.len() + index)
            } else {
                node.pins[topology.key].or_else(|| {
                    let single = requirements.get(self.problem.keys.name(topology.key))?.single_value()?;
                    self.problem.keys.domain(topology.key, single)
                })
            };
            if let Some(domain) = domain
                && topology.filter.admits_new(&self.problem.pools[node.pool], requirements)
            {
                self.counts.raise(id, domain);
            }
        }
    }

    /// Opens a node of the heaviest pool that can hold the pod.
    pub(super) fn open_node(&mut self, variant: VariantId, needs: &Needs) -> Option<Place> {
        let entry = self.variants.get(variant);
        if entry.hopeless || self.counts.host(needs, self.problem.nodes.len() + self.open.len()) != HostVerdict::Yes {
            return None;
        }
        let group = &self.problem.groups[entry.group];
        let requests = group.amounts.clone();
        let ports = &group.spec().host_ports;
        let alternatives = entry.alternatives.clone();
        let tolerates = entry.tolerates.clone();
        let mut hopeless = true;
        for (index, pool) in self.problem.pools.iter().enumerate().filter(|(index, _)| tolerates[*index]) {
            let base = self.sets.intern(pool.requirements.clone());
            for &alternative in &alternatives {
                let Some(set) = self.sets.meet(base, alternative) else { continue };
                let mut types = (*self.sets.types(self.problem, index, set)).clone();
                keep_fitting(pool, &mut types, &requests, ports);
                if types.is_clear() {
                    continue;
                }
                hopeless = false;
                keep_within_limits(pool, &mut types, &self.remaining[index]);
                let Some(minimums) = self.min_values(pool, &types) else { continue };
                let start = Narrowed { set, types, pins: vec![None; self.problem.keys.len()], spend_limit: None };
                let Some(mut narrowed) = self.fix_domains(index, &needs.keys, start, &minimums.values) else {
                    continue;
                };
                if !self.within_spend(index, None, &mut narrowed) {
                    continue;
                }
                self.remaining[index].take(pool, &narrowed.types);
                let node = OpenNode {
                    pool: index,
                    set,
                    types: FixedBitSet::with_capacity(pool.types.len()),
                    min_values_relaxed: minimums.relaxed,
                    spend_limit: None,
                    min_values: minimums.values,
                    requests: self.problem.dims.zero(),
                    most_room: self.problem.dims.zero(),
                    ports: Vec::new(),
                    pins: Vec::new(),
                    pods: 0,
                };
                self.open.push(node);
                self.commit_open(variant, self.open.len() - 1, narrowed);
                return Some(Place::New(self.open.len() - 1));
            }
        }
        self.variants.get_mut(variant).hopeless = hopeless;
        None
    }

    /// The minimums that a new node keeps: the pool's; under `BestEffort` lowered to what the types have.
    /// `None` where no type is left, or the policy is strict and a minimum cannot be kept.
    fn min_values(&self, pool: &PoolModel, types: &FixedBitSet) -> Option<Minimums> {
        if types.is_clear() {
            return None;
        }
        if min_values_hold(pool, types, &pool.min_values) {
            return Some(Minimums { values: pool.min_values.clone(), relaxed: false });
        }
        if self.problem.snapshot.settings.min_values_policy == MinValuesPolicy::Strict {
            return None;
        }
        let lowered = pool.min_values.iter().map(|(key, minimum)| {
            let have = u32::try_from(distinct_values(pool, types, key, usize::MAX)).unwrap_or(u32::MAX);
            (key.clone(), have.min(*minimum))
        });
        Some(Minimums { values: lowered.collect(), relaxed: true })
    }
}

impl RemainingLimits {
    /// Takes a new node off the limits: of each resource the most that any of its types has (karpenter-core 2.5).
    fn take(&mut self, pool: &PoolModel, types: &FixedBitSet) {
        for (name, left) in &mut self.resources {
            let most = types.ones().map(|kind| pool.types[kind].instance_type.capacity.get(name)).max();
            *left -= most.unwrap_or(0);
        }
        if let Some(left) = &mut self.nodes {
            *left -= 1;
        }
    }
}

fn keep_fitting(pool: &PoolModel, types: &mut FixedBitSet, requests: &[i64], ports: &[HostPort]) {
    for index in 0..pool.types.len() {
        if types.contains(index) {
            let kind = &pool.types[index];
            let fits = requests.iter().zip(&kind.room).all(|(want, room)| *want <= 0 || want <= room);
            if !fits || ports_conflict(ports, &kind.daemon_ports) {
                types.set(index, false);
            }
        }
    }
}

fn keep_within_limits(pool: &PoolModel, types: &mut FixedBitSet, remaining: &RemainingLimits) {
    if remaining.nodes.is_some_and(|left| left < 1) {
        types.clear();
        return;
    }
    for index in 0..pool.types.len() {
        let capacity = &pool.types[index].instance_type.capacity;
        if remaining.resources.iter().any(|(name, &left)| capacity.get(name) > left.max(0)) {
            types.set(index, false);
        }
    }
}

fn most_room(problem: &Problem, pool: usize, types: &FixedBitSet) -> Amounts {
    let mut most = vec![i64::MIN; problem.dims.len()].into_boxed_slice();
    for kind in types.ones() {
        for (most, room) in most.iter_mut().zip(&problem.pools[pool].types[kind].room) {
            *most = (*most).max(*room);
        }
    }
    most
}

fn min_values_hold(pool: &PoolModel, types: &FixedBitSet, minimums: &[(Arc<str>, u32)]) -> bool {
    minimums.iter().all(|(key, minimum)| {
        let minimum = *minimum as usize;
        distinct_values(pool, types, key, minimum) >= minimum
    })
}

/// Distinct values of a label over the types; counting stops at `enough`.
fn distinct_values(pool: &PoolModel, types: &FixedBitSet, key: &str, enough: usize) -> usize {
    let mut values: BTreeSet<&str> = BTreeSet::new();
    for kind in types.ones() {
        if values.len() >= enough {
            break;
        }
        let kind = &pool.types[kind];
        let of_type = kind.instance_type.requirements.get(key).and_then(|r| r.finite_values());
        values.extend(of_type.into_iter().flatten().map(AsRef::as_ref));
        values.extend(kind.offerings.iter().filter_map(|offering| offering.label(key)));
    }
    values.len()
}
