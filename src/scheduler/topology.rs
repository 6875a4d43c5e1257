//! The rules that look at other pods: hard topology spread, required affinity and anti-affinity.
//!
//! Source: kube-scheduler's `podtopologyspread/filtering.go` and `interpodaffinity/filtering.go`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::filter::{selects, tolerated};
use super::node::Group;
use super::{Candidate, Cluster, Node};
use crate::observe::snapshot::{NodeInclusionPolicy, PodAffinityTerm, TopologySpreadConstraint, WhenUnsatisfiable};

/// What the pods that are there mean for one that looks for a node.
pub(super) struct Topology<'c> {
    spreads: Vec<Spread<'c>>,
    /// The domains of each affinity term that hold a pod which all terms match.
    together: Vec<(Arc<str>, BTreeSet<Arc<str>>)>,
    /// Domains that anti-affinity forbids, the pod's own or that of others.
    apart: Vec<(Arc<str>, BTreeSet<Arc<str>>)>,
}

struct Spread<'c> {
    key: &'c Arc<str>,
    /// Matching pods by domain.
    counts: BTreeMap<&'c Arc<str>, i64>,
    /// No domain may have more.
    most: i64,
}

impl<'c> Topology<'c> {
    pub fn of(cluster: &'c Cluster, pod: &Candidate<'c>) -> Self {
        let spec = &pod.template.spec;
        let hard: Vec<&TopologySpreadConstraint> = spec
            .topology_spread
            .iter()
            .filter(|of| of.when_unsatisfiable == WhenUnsatisfiable::DoNotSchedule)
            .collect();
        let spreads = hard.iter().map(|constraint| Spread::of(cluster, pod, constraint, &hard)).collect();
        let together = together(cluster, pod);
        let mut apart = Vec::new();
        for term in &spec.pod_anti_affinity {
            let matching = cluster.groups.iter().filter(|group| matches(cluster, term, group));
            apart.push((term.topology_key.clone(), domains(cluster, matching, &term.topology_key)));
        }
        let own = Group::new(pod.namespace.clone(), pod.template.clone());
        for group in &cluster.groups {
            for term in group.template.spec.pod_anti_affinity.iter().filter(|term| matches(cluster, term, &own)) {
                apart.push((term.topology_key.clone(), domains(cluster, [group].into_iter(), &term.topology_key)));
            }
        }
        Self { spreads, together, apart }
    }

    pub fn allows(&self, node: &Node) -> bool {
        self.spreads.iter().all(|spread| {
            let domain = node.labels.get(spread.key);
            domain.is_some_and(|domain| spread.counts.get(&domain).copied().unwrap_or(0) <= spread.most)
        }) && self.together.iter().all(|(key, domains)| match node.labels.get(key) {
            Some(domain) => domains.contains(domain) || domains.is_empty(),
            None => false,
        }) && self
            .apart
            .iter()
            .all(|(key, domains)| node.labels.get(key).is_none_or(|domain| !domains.contains(domain)))
    }
}

impl<'c> Spread<'c> {
    fn of(
        cluster: &'c Cluster,
        pod: &Candidate<'c>,
        constraint: &'c TopologySpreadConstraint,
        hard: &[&TopologySpreadConstraint],
    ) -> Self {
        let spec = &pod.template.spec;
        let is_eligible = |node: &Node| {
            node.exists
                && hard.iter().all(|of| node.labels.contains_key(&of.topology_key))
                && (constraint.node_affinity_policy == NodeInclusionPolicy::Ignore || selects(spec, &node.labels))
                && (constraint.node_taints_policy == NodeInclusionPolicy::Ignore
                    || tolerated(&node.taints, pod.tolerations))
        };
        let key = &constraint.topology_key;
        let domain = |node: &'c Node| is_eligible(node).then(|| &node.labels[key]);
        let mut counts: BTreeMap<&Arc<str>, i64> = BTreeMap::new();
        for domain in cluster.nodes.values().filter_map(domain) {
            counts.entry(domain).or_default();
        }
        let matching = cluster
            .groups
            .iter()
            .filter(|group| group.namespace == *pod.namespace && constraint.selector.matches(&group.template.labels));
        for (name, (staying, _)) in matching.flat_map(|group| &group.on) {
            if let Some(domain) = cluster.nodes.get(name).and_then(domain) {
                *counts.entry(domain).or_default() += staying;
            }
        }
        let too_few = counts.len() < constraint.min_domains.unwrap_or(1) as usize;
        let minimum = if too_few { 0 } else { counts.values().copied().min().unwrap_or(0) };
        let itself = i64::from(constraint.selector.matches(&pod.template.labels));
        Self { key, counts, most: minimum + i64::from(constraint.max_skew) - itself }
    }
}

/// Empty domains: the pod may be the first of its kind.
fn together(cluster: &Cluster, pod: &Candidate<'_>) -> Vec<(Arc<str>, BTreeSet<Arc<str>>)> {
    let terms = &pod.template.spec.pod_affinity;
    if terms.is_empty() {
        return Vec::new();
    }
    let all = |group: &Group| terms.iter().all(|term| matches(cluster, term, group));
    let found: Vec<(Arc<str>, BTreeSet<Arc<str>>)> = terms
        .iter()
        .map(|term| {
            let matching = cluster.groups.iter().filter(|group| all(group));
            (term.topology_key.clone(), domains(cluster, matching, &term.topology_key))
        })
        .collect();
    let nobody = found.iter().all(|(_, domains)| domains.is_empty());
    if nobody && all(&Group::new(pod.namespace.clone(), pod.template.clone())) {
        return found;
    }
    // a domain that is no node's: nothing satisfies a term that nobody matches
    let nowhere = |domains: BTreeSet<Arc<str>>| if domains.is_empty() { [Arc::from("\0")].into() } else { domains };
    found.into_iter().map(|(key, domains)| (key, nowhere(domains))).collect()
}

/// The domains of a key in which pods of these groups are, those that are about to leave included.
fn domains<'g>(cluster: &Cluster, groups: impl Iterator<Item = &'g Group>, key: &Arc<str>) -> BTreeSet<Arc<str>> {
    let nodes = groups.flat_map(|group| group.on.keys()).filter_map(|name| cluster.nodes.get(name));
    nodes.filter_map(|node| node.labels.get(key).cloned()).collect()
}

fn matches(cluster: &Cluster, term: &PodAffinityTerm, group: &Group) -> bool {
    let selected = || {
        let labels = cluster.namespaces.get(&group.namespace);
        term.namespace_selector.as_ref().zip(labels).is_some_and(|(selector, labels)| selector.matches(labels))
    };
    term.selector.matches(&group.template.labels) && (term.namespaces.contains(&group.namespace) || selected())
}
