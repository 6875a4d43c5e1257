//! Nodes that this plan opens: pool, the types that still fit, and what has been promised to pods.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fixedbitset::FixedBitSet;

use super::Greedy;
use super::topology::{HostVerdict, KeyNeed, Needs};
use super::variant::VariantId;
use crate::model::{Amounts, DomainId, Keys, PoolModel, Problem, RemainingLimits, TopologyId, ports_conflict};
use crate::observe::snapshot::HostPort;
use crate::solve::Place;
use crate::solve::purchase::{Book, Wish, purchase};
use crate::solve::sets::SetId;
use crate::units::MicroUsd;

/// A node of the plan while it grows.
#[derive(Debug)]
pub struct OpenNode {
    pub pool: usize,
    pub set: SetId,
    pub types: FixedBitSet,
    /// Capacity reservations that are kept for it.
    pub reservations: BTreeSet<Arc<str>>,
    pub spend_limit: Option<MicroUsd>,
    /// Requests of its pods.
    requests: Amounts,
    /// The most room that any of its types has, by dimension.
    most_room: Amounts,
    ports: Vec<HostPort>,
    /// The domain that is fixed, by key.
    pins: Vec<Option<DomainId>>,
    pods: usize,
    /// Topologies that some of its pods count for once its labels are known.
    uncounted: Vec<TopologyId>,
}

/// What an open node becomes when it takes a pod.
struct Narrowed {
    set: SetId,
    types: FixedBitSet,
    pins: Vec<Option<DomainId>>,
    spend_limit: Option<MicroUsd>,
    reservations: BTreeSet<Arc<str>>,
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
            if types.is_clear() {
                continue;
            }
            let (pool, pins) = (node.pool, node.pins.clone());
            let start =
                Narrowed { set, types, pins, spend_limit: node.spend_limit, reservations: node.reservations.clone() };
            match self.fix_domains(pool, &needs.keys, start) {
                Some(narrowed) => return Ok(narrowed),
                None => refusal = Refusal::NotNow,
            }
        }
        Err(refusal)
    }

    /// Fixes the domain of every key that the pod needs, in order of preference; backtracks over all keys.
    fn fix_domains(&mut self, pool: usize, keys: &[KeyNeed], node: Narrowed) -> Option<Narrowed> {
        let Some((need, others)) = keys.split_first() else { return self.bought(pool, node) };
        if let Some(fixed) = node.pins[need.key] {
            return if need.allowed.contains(fixed) { self.fix_domains(pool, others, node) } else { None };
        }
        let mut reachable = false;
        for &domain in &need.domains {
            let pin = self.sets.pin(self.problem, need.key, domain);
            let Some(set) = self.sets.meet(node.set, pin) else { continue };
            let mut types = node.types.clone();
            types.intersect_with(&self.sets.types(self.problem, pool, set));
            if types.is_clear() {
                continue;
            }
            reachable = true;
            let mut pins = node.pins.clone();
            pins[need.key] = Some(domain);
            let (spend_limit, reservations) = (node.spend_limit, node.reservations.clone());
            let pinned = Narrowed { set, types, pins, spend_limit, reservations };
            if let Some(fixed) = self.fix_domains(pool, others, pinned) {
                return Some(fixed);
            }
        }
        // the node has no such label: a rule that only counts pods does not see it
        if need.required || reachable { None } else { self.fix_domains(pool, others, node) }
    }

    /// The node with the reservations that it keeps and what it counts towards the pool's spend cap; `None` where what is
    /// left of the market, the cap or `minValues` refuses it.
    ///
    /// A node keeps the reservations that its launch would name, and gives back what it cannot use any more.
    fn bought(&self, pool: usize, mut node: Narrowed) -> Option<Narrowed> {
        let model = &self.problem.pools[pool];
        let cap = self.remaining[pool].usd_per_hour;
        if cap.is_none() && model.min_values.is_empty() && !model.has_reservations {
            return Some(node);
        }
        let requirements = self.sets.get(node.set);
        if model.has_reservations {
            let must_have = model.labels_to_be_had(requirements);
            let kinds = node.types.ones().map(|kind| &model.types[kind]);
            let of_kind = kinds.flat_map(|kind| kind.offerings.iter().map(move |offering| (kind, offering)));
            let usable = of_kind.filter_map(|(kind, offering)| {
                let reservation = offering.reservation.as_ref()?;
                let taken = self.reserved.get(&reservation.id).copied().unwrap_or(0);
                let is_free = taken < reservation.free || node.reservations.contains(&reservation.id);
                (is_free && kind.sells(offering, requirements, &must_have)).then(|| reservation.id.clone())
            });
            node.reservations = usable.collect();
        }
        let wish = Wish {
            types: &node.types,
            reservations: &node.reservations,
            spend_limit: cap.map(|left| left + node.spend_limit.unwrap_or_default()),
        };
        let bought =
            purchase(model, &self.problem.snapshot.settings, &Book::of(model, requirements), wish, &BTreeMap::new())?;
        let named = bought.offers.iter().filter_map(|(_, offering)| Some(offering.reservation.as_ref()?.id.clone()));
        let (named, spend) = (named.collect(), bought.spend());
        node.reservations = named;
        node.spend_limit = cap.map(|_| spend);
        Some(node)
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
        for id in &node.reservations {
            *self.reserved.get_mut(id).expect("a kept reservation is counted") -= 1;
        }
        for id in &narrowed.reservations {
            *self.reserved.entry(id.clone()).or_default() += 1;
        }
        node.reservations = narrowed.reservations;
        for (requested, amount) in node.requests.iter_mut().zip(&group.amounts) {
            *requested += amount;
        }
        node.ports.extend(group.spec().host_ports.iter().cloned());
        node.pods += 1;
        let requirements = self.sets.get(node.set);
        // what earlier pods of the node could not be counted for, its domain being open, may count now
        let waiting = std::mem::take(&mut node.uncounted);
        for id in group.counted.iter().copied().chain(waiting) {
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
            } else {
                node.uncounted.push(id);
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
                if types.is_clear() {
                    continue;
                }
                let pins = vec![None; self.problem.keys.len()];
                let start = Narrowed { set, types, pins, spend_limit: None, reservations: BTreeSet::new() };
                let Some(narrowed) = self.fix_domains(index, &needs.keys, start) else { continue };
                self.remaining[index].take(pool, &narrowed.types);
                let node = OpenNode {
                    pool: index,
                    set,
                    types: FixedBitSet::with_capacity(pool.types.len()),
                    spend_limit: None,
                    reservations: BTreeSet::new(),
                    requests: self.problem.dims.zero(),
                    most_room: self.problem.dims.zero(),
                    ports: Vec::new(),
                    pins: Vec::new(),
                    pods: 0,
                    uncounted: Vec::new(),
                };
                self.open.push(node);
                self.commit_open(variant, self.open.len() - 1, narrowed);
                return Some(Place::New(self.open.len() - 1));
            }
        }
        self.variants.get_mut(variant).hopeless = hopeless;
        None
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
