//! Which domains a pod may use now, and what placing it changes.

use std::collections::BTreeMap;

use fixedbitset::FixedBitSet;

use super::variant::{VariantId, Variants};
use crate::model::{BroughtCount, DomainId, KeyId, Keys, Placement, Problem, Source, TopologyId, TopologyKind};

/// Counts of every topology as pods are placed; hosts grow as nodes are opened.
pub struct Counts {
    /// By topology and domain.
    all: Vec<Vec<u32>>,
    /// What daemon pods of nodes opened so far count for, hosts apart.
    pub brought: DaemonCounts,
    /// What is in `all` already of nodes that are still to be opened.
    advance: DaemonCounts,
    /// What is in `all` of daemon pods that may not come.
    doubtful: DaemonCounts,
}

/// How often daemon pods count for a topology in a domain.
pub type DaemonCounts = BTreeMap<(TopologyId, DomainId), u32>;

/// What the topologies ask of the node that takes a pod.
pub struct Needs {
    pub keys: Vec<KeyNeed>,
    /// Host rules: (topology, what it asks).
    hosts: Vec<(TopologyId, HostNeed)>,
}

/// What one key (not the hostname) asks.
pub struct KeyNeed {
    pub key: KeyId,
    /// Domains in order of preference.
    pub domains: Vec<DomainId>,
    pub allowed: FixedBitSet,
    /// The pod must land in one of the domains; otherwise it only must be known which one it lands in.
    pub required: bool,
    /// A node without the label holds no such pod: anti-affinity does not mind, as nothing is there.
    pub labelled: bool,
}

#[derive(Clone, Copy)]
enum HostNeed {
    /// At most this many counted pods already there.
    AtMost(u32),
    /// The same for now: more once other hosts have more.
    AtMostNow(u32),
    /// At least one counted pod there.
    Populated,
}

/// Whether a host can take the pod.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum HostVerdict {
    Yes,
    NotNow,
    Never,
}

impl Needs {
    /// Tries the domains of each key in the order of other needs, as far as those look at the key.
    pub fn prefer_as(&mut self, others: &Needs) {
        for need in &mut self.keys {
            if let Some(other) = others.keys.iter().find(|other| other.key == need.key) {
                need.domains = other.domains.iter().copied().filter(|&of| need.allowed.contains(of)).collect();
            }
        }
    }
}

impl Counts {
    /// `advance`: what the daemon pods of nodes that will be opened count for. They are there before the pods that are
    /// placed first.
    pub fn new(problem: &Problem, advance: DaemonCounts) -> Self {
        let mut all: Vec<Vec<u32>> = problem.topologies.iter().map(|topology| topology.counts.clone()).collect();
        for (&(topology, domain), pods) in &advance {
            all[topology][domain] += pods;
        }
        let mut doubtful = DaemonCounts::new();
        for (id, topology) in problem.topologies.iter().enumerate() {
            doubtful.extend(topology.doubtful.iter().map(|(domain, pods)| ((id, *domain), *pods)));
        }
        Self { all, brought: DaemonCounts::new(), advance, doubtful }
    }

    fn at(&self, topology: TopologyId, domain: DomainId) -> u32 {
        self.all[topology].get(domain).copied().unwrap_or(0)
    }

    pub fn raise(&mut self, topology: TopologyId, domain: DomainId) {
        let counts = &mut self.all[topology];
        if counts.len() <= domain {
            counts.resize(domain + 1, 0);
        }
        counts[domain] += 1;
    }

    /// A daemon pod of a node that is opened counts; one that may not come is no company to rely on.
    pub fn bring(&mut self, problem: &Problem, BroughtCount { topology, surely }: BroughtCount, domain: DomainId) {
        let of = &problem.topologies[topology];
        if !surely && of.kind == TopologyKind::Affinity {
            return;
        }
        if of.key == Keys::HOST {
            self.raise(topology, domain);
            return;
        }
        *self.brought.entry((topology, domain)).or_default() += 1;
        *self.doubtful.entry((topology, domain)).or_default() += u32::from(!surely);
        match self.advance.get_mut(&(topology, domain)).filter(|left| **left > 0) {
            Some(left) => *left -= 1,
            None => self.raise(topology, domain),
        }
    }

    /// Pods that surely count already.
    fn surely_at(&self, topology: TopologyId, domain: DomainId) -> u32 {
        let of = |brought: &DaemonCounts| brought.get(&(topology, domain)).copied().unwrap_or(0);
        self.at(topology, domain).saturating_sub(of(&self.advance) + of(&self.doubtful))
    }

    /// Works out what the variant's topologies ask at this moment.
    pub fn needs(&self, problem: &Problem, variants: &Variants, variant: VariantId) -> Needs {
        self.needs_on_new(problem, variants, variant, &[])
    }

    /// As [`Self::needs`], of a new node with such daemon pods.
    pub fn needs_on_new(
        &self,
        problem: &Problem,
        variants: &Variants,
        variant: VariantId,
        brought: &[BroughtCount],
    ) -> Needs {
        let variant = variants.get(variant);
        let group = &problem.groups[variant.group];
        let mut needs = Needs { keys: Vec::new(), hosts: Vec::new() };
        // kube-scheduler's exception for the first pod of a series looks at all required affinity terms together
        let is_first_of = |placement: &Placement| placement.self_selects && self.is_empty(problem, placement.topology);
        let required = variant.active.iter().filter(|placement| matches!(placement.source, Source::Affinity(_)));
        let mut required = required.peekable();
        let is_first = required.peek().is_some() && required.all(is_first_of);
        for placement in &variant.active {
            let first = match placement.source {
                Source::Affinity(_) => is_first,
                _ => is_first_of(placement),
            };
            self.require(problem, *placement, first, brought, &mut needs);
        }
        for &inverse in &group.forbidden_by {
            let placement = Placement { topology: inverse, self_selects: false, source: Source::AntiAffinity(0) };
            self.require(problem, placement, false, brought, &mut needs);
        }
        for &counted in &group.counted {
            let topology = &problem.topologies[counted];
            if topology.hard && topology.key != Keys::HOST {
                self.know(problem, counted, &mut needs);
            }
        }
        for BroughtCount { topology, .. } in brought {
            let key = problem.topologies[*topology].key;
            if key != Keys::HOST && !needs.keys.iter().any(|need| need.key == key) {
                // the pod itself does not mind: the cheapest domain
                self.know(problem, *topology, &mut needs);
                let need = needs.keys.last_mut().expect("just pushed");
                need.domains.sort_by_key(|&domain| (problem.keys.mean_price(key, domain), domain));
            }
        }
        for need in &mut needs.keys {
            need.domains.retain(|&domain| need.allowed.contains(domain));
        }
        needs
    }

    /// `first`: for affinity, the pod may be the first of its kind.
    fn require(
        &self,
        problem: &Problem,
        placement: Placement,
        first: bool,
        brought: &[BroughtCount],
        needs: &mut Needs,
    ) {
        let id = placement.topology;
        let topology = &problem.topologies[id];
        let own = u32::from(placement.self_selects);
        if topology.key == Keys::HOST {
            let need = match topology.kind {
                // no host has less than a new node, which can always be opened (karpenter-core 2.7)
                TopologyKind::Spread { max_skew, min_domains } => {
                    let most = max_skew.max(1) - own;
                    match min_domains {
                        None if topology.with_every_node > 0 => {
                            HostNeed::AtMostNow(most + self.least_on_a_host(problem, id))
                        }
                        _ => HostNeed::AtMost(most),
                    }
                }
                TopologyKind::AntiAffinity | TopologyKind::InverseAntiAffinity => HostNeed::AtMost(0),
                TopologyKind::Affinity if first => return,
                TopologyKind::Affinity => HostNeed::Populated,
            };
            needs.hosts.push((id, need));
            return;
        }
        let all = problem.keys.domains(topology.key).len();
        let mut allowed = FixedBitSet::with_capacity(all);
        // what the domain has once the node is there
        let more = brought_to(id, &topology.kind, brought);
        let there = |domain: DomainId| {
            let counted = self.advance.get(&(id, domain)).copied().unwrap_or(0);
            self.at(id, domain) + more.saturating_sub(counted)
        };
        match topology.kind {
            TopologyKind::Spread { max_skew, min_domains } => {
                let known = topology.eligible.count_ones(..);
                let short = min_domains.is_some_and(|minimum| known < minimum as usize);
                // a domain that is still to be opened comes with daemon pods, but is none yet where so many must be there
                let comes_with = |domain| {
                    let is_there = topology.inhabited.contains(domain) || min_domains.is_some();
                    if is_there { 0 } else { topology.with_every_node }
                };
                let least_of = |domain| self.surely_at(id, domain).max(comes_with(domain));
                let least = topology.eligible.ones().map(least_of).min().unwrap_or(0);
                let least = if short { 0 } else { least };
                allowed.extend(topology.eligible.ones().filter(|&domain| there(domain) + own <= least + max_skew));
            }
            TopologyKind::Affinity if first => allowed.insert_range(..),
            TopologyKind::Affinity => allowed.extend((0..all).filter(|&domain| self.surely_at(id, domain) + more > 0)),
            TopologyKind::AntiAffinity | TopologyKind::InverseAntiAffinity => {
                allowed.extend((0..all).filter(|&domain| there(domain) == 0));
            }
        }
        let labelled = matches!(topology.kind, TopologyKind::Spread { .. } | TopologyKind::Affinity);
        let need = self.need(problem, id, needs);
        need.required = true;
        need.labelled |= labelled;
        need.allowed.intersect_with(&allowed);
    }

    /// The pod is counted by a required rule: the domain that it lands in must be known.
    fn know(&self, problem: &Problem, id: TopologyId, needs: &mut Needs) {
        self.need(problem, id, needs);
    }

    /// The entry of the topology's key; a new one prefers the least populated domains, the cheapest among equals, first by
    /// name among those.
    fn need<'n>(&self, problem: &Problem, id: TopologyId, needs: &'n mut Needs) -> &'n mut KeyNeed {
        let key = problem.topologies[id].key;
        if let Some(found) = needs.keys.iter().position(|need| need.key == key) {
            return &mut needs.keys[found];
        }
        let all = problem.keys.domains(key).len();
        let mut domains: Vec<DomainId> = (0..all).collect();
        domains.sort_by_key(|&domain| (self.at(id, domain), problem.keys.mean_price(key, domain), domain));
        let mut allowed = FixedBitSet::with_capacity(all);
        allowed.insert_range(..);
        needs.keys.push(KeyNeed { key, domains, allowed, required: false, labelled: false });
        needs.keys.last_mut().expect("just pushed")
    }

    /// Pods that count on every host that there is or could be.
    fn least_on_a_host(&self, problem: &Problem, id: TopologyId) -> u32 {
        let topology = &problem.topologies[id];
        topology.inhabited.ones().map(|node| self.surely_at(id, node)).fold(topology.with_every_node, u32::min)
    }

    /// Whether no pod counts for the topology, whatever nodes are opened.
    fn is_empty(&self, problem: &Problem, topology: TopologyId) -> bool {
        !problem.topologies[topology].counts_daemons
            && problem.topologies[topology].elsewhere == 0
            && self.all[topology].iter().all(|&count| count == 0)
    }

    /// Whether a host (existing nodes first, then open ones) can take the pod now.
    pub fn host(&self, needs: &Needs, host: usize) -> HostVerdict {
        Self::verdict(needs, |topology| self.at(topology, host))
    }

    /// Whether a new node with such daemon pods can.
    pub fn new_host(problem: &Problem, needs: &Needs, brought: &[BroughtCount]) -> HostVerdict {
        Self::verdict(needs, |id| brought_to(id, &problem.topologies[id].kind, brought))
    }

    fn verdict(needs: &Needs, at: impl Fn(TopologyId) -> u32) -> HostVerdict {
        let mut verdict = HostVerdict::Yes;
        for &(topology, need) in &needs.hosts {
            match need {
                HostNeed::AtMost(most) if at(topology) > most => return HostVerdict::Never,
                HostNeed::AtMostNow(most) if at(topology) > most => verdict = HostVerdict::NotNow,
                HostNeed::Populated if at(topology) == 0 => verdict = HostVerdict::NotNow,
                HostNeed::AtMost(_) | HostNeed::AtMostNow(_) | HostNeed::Populated => {}
            }
        }
        verdict
    }
}

/// How many daemon pods of a new node count for the topology, as far as they can be relied on.
fn brought_to(topology: TopologyId, kind: &TopologyKind, brought: &[BroughtCount]) -> u32 {
    let counts = |of: &&BroughtCount| of.topology == topology && (of.surely || *kind != TopologyKind::Affinity);
    u32::try_from(brought.iter().filter(counts).count()).unwrap_or(u32::MAX)
}
