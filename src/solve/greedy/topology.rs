//! Which domains a pod may use now, and what placing it changes.

use fixedbitset::FixedBitSet;

use super::variant::{VariantId, Variants};
use crate::model::{DomainId, KeyId, Keys, Placement, Problem, Source, TopologyId, TopologyKind};

/// Counts of every topology as pods are placed; hosts grow as nodes are opened.
pub struct Counts(Vec<Vec<u32>>);

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

impl Counts {
    pub fn new(problem: &Problem) -> Self {
        Self(problem.topologies.iter().map(|topology| topology.counts.clone()).collect())
    }

    fn at(&self, topology: TopologyId, domain: DomainId) -> u32 {
        self.0[topology].get(domain).copied().unwrap_or(0)
    }

    pub fn raise(&mut self, topology: TopologyId, domain: DomainId) {
        let counts = &mut self.0[topology];
        if counts.len() <= domain {
            counts.resize(domain + 1, 0);
        }
        counts[domain] += 1;
    }

    /// Works out what the variant's topologies ask at this moment.
    pub fn needs(&self, problem: &Problem, variants: &Variants, variant: VariantId) -> Needs {
        let variant = variants.get(variant);
        let group = &problem.groups[variant.group];
        let mut needs = Needs { keys: Vec::new(), hosts: Vec::new() };
        // kube-scheduler's exception for the first pod of a series looks at all required affinity terms together
        let required = variant.active.iter().filter(|placement| matches!(placement.source, Source::Affinity(_)));
        let mut required = required.peekable();
        let is_first = required.peek().is_some()
            && required.all(|placement| placement.self_selects && self.is_empty(problem, placement.topology));
        for placement in &variant.active {
            let first = match placement.source {
                Source::Affinity(_) => is_first,
                _ => placement.self_selects && self.is_empty(problem, placement.topology),
            };
            self.require(problem, *placement, first, &mut needs);
        }
        for &inverse in &group.forbidden_by {
            let placement = Placement { topology: inverse, self_selects: false, source: Source::AntiAffinity(0) };
            self.require(problem, placement, false, &mut needs);
        }
        for &counted in &group.counted {
            let topology = &problem.topologies[counted];
            if topology.hard && topology.key != Keys::HOST {
                self.know(problem, counted, &mut needs);
            }
        }
        for need in &mut needs.keys {
            need.domains.retain(|&domain| need.allowed.contains(domain));
        }
        needs
    }

    /// `first`: for affinity, the pod may be the first of its kind.
    fn require(&self, problem: &Problem, placement: Placement, first: bool, needs: &mut Needs) {
        let id = placement.topology;
        let topology = &problem.topologies[id];
        let own = u32::from(placement.self_selects);
        if topology.key == Keys::HOST {
            let need = match topology.kind {
                // the least count over hosts is zero: a new node can always be opened (karpenter-core 2.7)
                TopologyKind::Spread { max_skew, .. } => HostNeed::AtMost(max_skew.max(1) - own),
                TopologyKind::AntiAffinity | TopologyKind::InverseAntiAffinity => HostNeed::AtMost(0),
                TopologyKind::Affinity if first => return,
                TopologyKind::Affinity => HostNeed::Populated,
            };
            needs.hosts.push((id, need));
            return;
        }
        let all = problem.keys.domains(topology.key).len();
        let mut allowed = FixedBitSet::with_capacity(all);
        match topology.kind {
            TopologyKind::Spread { max_skew, min_domains } => {
                let known = topology.eligible.count_ones(..);
                let short = min_domains.is_some_and(|minimum| known < minimum as usize);
                let least = topology.eligible.ones().map(|domain| self.at(id, domain)).min().unwrap_or(0);
                let least = if short { 0 } else { least };
                allowed
                    .extend(topology.eligible.ones().filter(|&domain| self.at(id, domain) + own <= least + max_skew));
            }
            TopologyKind::Affinity if first => allowed.insert_range(..),
            TopologyKind::Affinity => allowed.extend((0..all).filter(|&domain| self.at(id, domain) > 0)),
            TopologyKind::AntiAffinity | TopologyKind::InverseAntiAffinity => {
                allowed.extend((0..all).filter(|&domain| self.at(id, domain) == 0));
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

    fn is_empty(&self, problem: &Problem, topology: TopologyId) -> bool {
        problem.topologies[topology].elsewhere == 0 && self.0[topology].iter().all(|&count| count == 0)
    }

    /// Whether a host (existing nodes first, then open ones) can take the pod now.
    pub fn host(&self, needs: &Needs, host: usize) -> HostVerdict {
        let mut verdict = HostVerdict::Yes;
        for &(topology, need) in &needs.hosts {
            match need {
                HostNeed::AtMost(most) if self.at(topology, host) > most => return HostVerdict::Never,
                HostNeed::Populated if self.at(topology, host) == 0 => verdict = HostVerdict::NotNow,
                HostNeed::AtMost(_) | HostNeed::Populated => {}
            }
        }
        verdict
    }
}
