//! Nodes that this plan opens: pool, the types that still fit, and what has been promised to pods.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;

use fixedbitset::FixedBitSet;

use super::Greedy;
use super::market::{Market, keep_within_limits, most_counted};
use super::passes::Pass;
use super::topology::{Counts, HostVerdict, KeyNeed, Needs};
use super::variant::VariantId;
use crate::model::{
    Amounts, Brought, BroughtCount, DomainId, Keys, PoolModel, Problem, TopologyId, fits, ports_conflict,
};
use crate::observe::snapshot::HostPort;
use crate::solve::Place;
use crate::solve::purchase::Wish;
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
    /// What it counts towards each resource limit of its pool, in their order.
    pub counted: Amounts,
    /// Requests of its pods.
    pub requests: Amounts,
    /// The most room that any of its types has, by dimension.
    pub most_room: Amounts,
    ports: Vec<HostPort>,
    /// The domain that is fixed, by key.
    pins: Vec<Option<DomainId>>,
    pub pods: usize,
    /// Topologies that some of its pods count for once its labels are known.
    uncounted: Vec<TopologyId>,
    /// The same of its daemon pods.
    brought: Vec<BroughtCount>,
}

/// What an open node becomes when it takes a pod.
pub struct Narrowed {
    pub set: SetId,
    pub types: FixedBitSet,
    pub pins: Vec<Option<DomainId>>,
    pub spend_limit: Option<MicroUsd>,
    pub reservations: BTreeSet<Arc<str>>,
    pub counted: Amounts,
    /// What its daemon pods count for; only of a node that is not open yet.
    brought: Vec<BroughtCount>,
}

/// What became of the wish for a new node.
pub enum Opened {
    Yes(Place),
    /// Only limits keep the pod out of its heaviest pool: it waits for what they give back.
    Waits,
    No,
}

/// Why a node did not take a pod.
enum Refusal {
    NotNow,
    Never,
}

impl OpenNode {
    fn empty(problem: &Problem, pool: usize, set: SetId) -> Self {
        Self {
            pool,
            set,
            types: FixedBitSet::with_capacity(problem.pools[pool].types.len()),
            reservations: BTreeSet::new(),
            spend_limit: None,
            counted: vec![0; problem.pools[pool].remaining.resources.len()].into(),
            requests: problem.dims.zero(),
            most_room: problem.dims.zero(),
            ports: Vec::new(),
            pins: Vec::new(),
            pods: 0,
            uncounted: Vec::new(),
            brought: Vec::new(),
        }
    }

    pub fn wish(&self) -> Wish<'_> {
        Wish { types: &self.types, reservations: &self.reservations, spend_limit: self.spend_limit }
    }

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
        let new = self.open.iter().enumerate().skip(entry.seen);
        let may_take = new.filter(|(_, node)| entry.tolerates[node.pool] && node.may_fit(amounts));
        // all at once: most variants meet thousands of nodes, and place few pods
        entry.open.extend(may_take.map(|(index, node)| Reverse((node.pods, index))));
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
            let (spend_limit, counted) = (node.spend_limit, node.counted.clone());
            let start = Narrowed {
                set,
                types,
                pins,
                spend_limit,
                reservations: node.reservations.clone(),
                counted,
                brought: Vec::new(),
            };
            if !self.within_limits(pool, &start) {
                continue;
            }
            match self.fix_domains(pool, &needs.keys, start, Market::Left) {
                Some(narrowed) => return Ok(narrowed),
                None => refusal = Refusal::NotNow,
            }
        }
        Err(refusal)
    }

    /// Fixes the domain of every key that the pod needs, in order of preference; backtracks over all keys.
    fn fix_domains(&mut self, pool: usize, keys: &[KeyNeed], node: Narrowed, market: Market) -> Option<Narrowed> {
        let Some((need, others)) = keys.split_first() else { return self.bought(pool, node, market) };
        if let Some(fixed) = node.pins[need.key] {
            return if need.allowed.contains(fixed) { self.fix_domains(pool, others, node, market) } else { None };
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
            let pinned = Narrowed {
                set,
                types,
                pins,
                reservations: node.reservations.clone(),
                counted: node.counted.clone(),
                brought: node.brought.clone(),
                ..node
            };
            if let Some(fixed) = self.fix_domains(pool, others, pinned, market) {
                return Some(fixed);
            }
        }
        // the node has no such label: a rule that only counts pods does not see it
        if need.required || reachable { None } else { self.fix_domains(pool, others, node, market) }
    }

    fn commit_open(&mut self, variant: VariantId, index: usize, narrowed: Narrowed) {
        let group = &self.problem.groups[self.variants.get(variant).group];
        let node = &mut self.open[index];
        if let Some(left) = &mut self.remaining[node.pool].usd_per_hour {
            *left = *left + node.spend_limit.unwrap_or_default() - narrowed.spend_limit.unwrap_or_default();
        }
        for ((left, old), new) in
            self.remaining[node.pool].resources.values_mut().zip(&node.counted).zip(&narrowed.counted)
        {
            *left += old - new;
        }
        node.counted = narrowed.counted;
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
        let (problem, host) = (self.problem, self.problem.nodes.len() + index);
        let requirements = self.sets.get(node.set);
        let pins = &node.pins;
        let domain = |id: TopologyId| {
            let topology = &problem.topologies[id];
            if topology.key == Keys::HOST {
                // a pod that must obey it makes the node one that counts by joining it
                return Some(host);
            }
            let domain = pins[topology.key].or_else(|| {
                let single = requirements.get(problem.keys.name(topology.key))?.single_value()?;
                problem.keys.domain(topology.key, single)
            });
            domain.filter(|_| topology.filter.admits_new(&problem.pools[node.pool], requirements))
        };
        // what earlier pods of the node could not be counted for, its domain being open, may count now
        let mut uncounted = Vec::new();
        for id in group.counted.iter().copied().chain(std::mem::take(&mut node.uncounted)) {
            match domain(id) {
                Some(domain) => self.counts.raise(id, domain),
                None => uncounted.push(id),
            }
        }
        let mut brought = Vec::new();
        for count in std::mem::take(&mut node.brought) {
            match domain(count.topology) {
                Some(domain) => self.counts.bring(problem, count, domain),
                None => brought.push(count),
            }
        }
        (node.uncounted, node.brought) = (uncounted, brought);
    }

    /// Opens a node of the heaviest pool that can hold the pod.
    pub(super) fn open_node(&mut self, variant: VariantId, needs: &Needs) -> Opened {
        let entry = self.variants.get(variant);
        let brings = self.problem.pools.iter().any(|pool| !pool.brings.is_empty());
        if entry.hopeless || (!brings && Counts::new_host(self.problem, needs, &[]) != HostVerdict::Yes) {
            return Opened::No;
        }
        let tolerates = entry.tolerates.clone();
        let mut hopeless = true;
        for pool in (0..self.problem.pools.len()).filter(|&pool| tolerates[pool]) {
            if self.is_too_small(variant, pool) {
                continue;
            }
            hopeless = false;
            if let opened @ Opened::Yes(_) = self.open_in(variant, needs, pool) {
                return opened;
            }
            let limited = self.problem.pools[pool].is_limited() && self.pass == Pass::Pessimistic;
            if limited && self.new_node(variant, needs, pool, Market::Whole).is_some() {
                return Opened::Waits;
            }
        }
        self.variants.get_mut(variant).hopeless = hopeless;
        Opened::No
    }

    /// Opens a node of this pool, if it can hold the pod.
    pub(super) fn open_in(&mut self, variant: VariantId, needs: &Needs, pool: usize) -> Opened {
        if !self.variants.get(variant).tolerates[pool] {
            return Opened::No;
        }
        let Some(narrowed) = self.new_node(variant, needs, pool, Market::Left) else { return Opened::No };
        if let Some(left) = &mut self.remaining[pool].nodes {
            *left -= 1;
        }
        let mut node = OpenNode::empty(self.problem, pool, narrowed.set);
        node.brought.clone_from(&narrowed.brought);
        self.open.push(node);
        self.commit_open(variant, self.open.len() - 1, narrowed);
        Opened::Yes(Place::New(self.open.len() - 1))
    }

    /// Puts the pod on an open node, if it can take it.
    pub(super) fn join(&mut self, variant: VariantId, needs: &Needs, index: usize) -> Option<Place> {
        if !self.variants.get(variant).tolerates[self.open[index].pool] {
            return None;
        }
        let narrowed = self.try_open(variant, needs, index).ok()?;
        self.commit_open(variant, index, narrowed);
        Some(Place::New(index))
    }

    /// Whether no type of the pool holds the pod, whatever its limits.
    fn is_too_small(&mut self, variant: VariantId, pool: usize) -> bool {
        let alternatives = self.variants.get(variant).alternatives.clone();
        alternatives.iter().all(|&alternative| self.fitting(variant, pool, alternative).is_none())
    }

    /// The types of the pool that hold the pod on an empty node, with the node's requirements.
    fn fitting(&mut self, variant: VariantId, pool: usize, alternative: SetId) -> Option<(SetId, FixedBitSet)> {
        let key = (self.variants.get(variant).group, pool, alternative);
        if let Some(known) = self.fitting.get(&key) {
            return known.clone();
        }
        let group = &self.problem.groups[key.0];
        let base = self.sets.intern_pool(self.problem, pool);
        let found = self.sets.meet(base, alternative).and_then(|set| {
            let mut types = (*self.sets.types(self.problem, pool, set)).clone();
            keep_fitting(&self.problem.pools[pool], &mut types, &group.amounts, &group.spec().host_ports);
            (!types.is_clear()).then_some((set, types))
        });
        self.fitting.insert(key, found.clone());
        found
    }

    /// An empty node of the pool, narrowed by the pod; the first of its alternatives that can be bought.
    fn new_node(&mut self, variant: VariantId, needs: &Needs, pool: usize, market: Market) -> Option<Narrowed> {
        let problem = self.problem;
        let brings = &problem.pools[pool].brings;
        if brings.is_empty() {
            let holds = Counts::new_host(self.problem, needs, &[]) == HostVerdict::Yes;
            return if holds { self.empty_node(variant, &needs.keys, pool, market, None) } else { None };
        }
        let mut cheapest: Option<(Option<MicroUsd>, Narrowed)> = None;
        for brought in brings {
            let mut asked = self.counts.needs_on_new(problem, &self.variants, variant, &brought.counts);
            asked.prefer_as(needs);
            if Counts::new_host(problem, &asked, &brought.counts) != HostVerdict::Yes {
                continue;
            }
            let Some(node) = self.empty_node(variant, &asked.keys, pool, market, Some(brought)) else { continue };
            let offerings = node.types.ones().flat_map(|kind| &problem.pools[pool].types[kind].offerings);
            let price = offerings.map(|offering| offering.price).min();
            if cheapest.as_ref().is_none_or(|(least, _)| price < *least) {
                cheapest = Some((price, node));
            }
        }
        cheapest.map(|(_, node)| node)
    }

    fn empty_node(
        &mut self,
        variant: VariantId,
        keys: &[KeyNeed],
        pool: usize,
        market: Market,
        brought: Option<&Brought>,
    ) -> Option<Narrowed> {
        let alternatives = self.variants.get(variant).alternatives.clone();
        alternatives.into_iter().find_map(|alternative| {
            let (set, mut types) = self.fitting(variant, pool, alternative)?;
            if let Some(brought) = brought {
                types.intersect_with(&brought.types);
            }
            let model = &self.problem.pools[pool];
            let limits = if market == Market::Left { &self.remaining[pool] } else { &model.remaining };
            keep_within_limits(model, &mut types, limits);
            if types.is_clear() {
                return None;
            }
            let pins = vec![None; self.problem.keys.len()];
            let counted = vec![0; model.remaining.resources.len()].into();
            let brought = brought.map_or_else(Vec::new, |brought| brought.counts.clone());
            let start =
                Narrowed { set, types, pins, spend_limit: None, reservations: BTreeSet::new(), counted, brought };
            let mut narrowed = self.fix_domains(pool, keys, start, market)?;
            if self.pass == Pass::Pessimistic {
                // of each resource the most that any of its types has (karpenter-core 2.5)
                narrowed.counted = most_counted(model, narrowed.types.ones().map(|kind| &model.types[kind]));
            }
            Some(narrowed)
        })
    }
}

/// Keeps the types that hold the requests and ports beside every daemon pod that may run there.
pub(super) fn keep_fitting(pool: &PoolModel, types: &mut FixedBitSet, requests: &[i64], ports: &[HostPort]) {
    for index in 0..pool.types.len() {
        if types.contains(index) {
            let kind = &pool.types[index];
            if !fits(requests, &kind.room) || ports_conflict(ports, &kind.daemon_ports) {
                types.set(index, false);
            }
        }
    }
}

pub(super) fn most_room(problem: &Problem, pool: usize, types: &FixedBitSet) -> Amounts {
    let mut most = vec![i64::MIN; problem.dims.len()].into_boxed_slice();
    for kind in types.ones() {
        for (most, room) in most.iter_mut().zip(&problem.pools[pool].types[kind].room) {
            *most = (*most).max(*room);
        }
    }
    most
}
