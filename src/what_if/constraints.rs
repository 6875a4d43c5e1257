//! What may cost something: rules that people wrote, each with the change that takes it away.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::api::labels;
use crate::disruption::{Hold, Method, budget, candidates};
use crate::explain::edit::{Edit, PodEdit, PoolEdit, object_of};
use crate::observe::Snapshot;
use crate::observe::snapshot::{Node, Pod, WhenUnsatisfiable};
use crate::units::MicroUsd;

/// A rule that somebody wrote.
#[derive(Debug, Clone)]
pub struct Constraint {
    pub kind: Kind,
    /// What takes it away.
    pub edit: Edit,
    /// The pods that it is about, by index: of a workload all of them, those that wait and those that run.
    pub pods: Vec<usize>,
    /// The nodes of NodePools that it is about, by index.
    pub nodes: BTreeSet<usize>,
    /// Pods that wait may be placed for less without it.
    pub is_of_launches: bool,
    /// Nodes may go, or be replaced, without it.
    pub is_of_nodes: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Limit,
    DisruptionBudget,
    ConsolidateAfter,
    ConsolidationPolicy,
    PodDisruptionBudget,
    DoNotDisrupt,
    Spread,
    AntiAffinity,
}

impl Kind {
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Limit => "limit",
            Self::DisruptionBudget => "disruption-budget",
            Self::ConsolidateAfter => "consolidate-after",
            Self::ConsolidationPolicy => "consolidation-policy",
            Self::PodDisruptionBudget => "pod-disruption-budget",
            Self::DoNotDisrupt => "do-not-disrupt",
            Self::Spread => "topology-spread",
            Self::AntiAffinity => "pod-anti-affinity",
        }
    }
}

/// Where pods are, among the nodes that may be taken away.
struct Cluster<'s> {
    snapshot: &'s Snapshot,
    /// Nodes of NodePools that are not on their way out, by name.
    managed: BTreeMap<&'s Arc<str>, usize>,
    has_pending: bool,
}

/// Every constraint of a cluster that bears on pods that wait or on nodes of NodePools; those first that are about the dearest nodes.
#[must_use]
pub fn constraints(snapshot: &Snapshot) -> Vec<Constraint> {
    let is_managed = |node: &Node| node.claim.is_some() && node.pool.is_some() && !node.deleting;
    let nodes = snapshot.nodes.iter().enumerate().filter(|(_, node)| is_managed(node));
    let managed = nodes.map(|(index, node)| (&node.name, index)).collect();
    let cluster = Cluster { snapshot, managed, has_pending: snapshot.pending().next().is_some() };
    let mut all = cluster.of_pools();
    all.extend(cluster.held_pools());
    all.extend(cluster.of_budgets());
    all.extend(cluster.do_not_disrupt());
    all.extend(cluster.of_workloads());
    all.retain(|of| of.is_of_launches || of.is_of_nodes);
    let price = |of: &Constraint| of.nodes.iter().filter_map(|&node| snapshot.nodes[node].price).sum::<MicroUsd>();
    all.sort_by_key(|of| (Reverse(price(of)), of.kind));
    all
}

/// Those that are what holds a node, in the words of its [`Hold`]s.
#[must_use]
pub fn of_holds(snapshot: &Snapshot, node: usize, holds: &[Hold]) -> Vec<Constraint> {
    let pool = snapshot.nodes[node].pool.as_ref();
    let is_pool = |index: usize| pool == Some(&snapshot.node_pools[index].name);
    let is_it = |of: &Constraint, hold: &Hold| match (hold, &of.edit) {
        (Hold::DoNotDisrupt, Edit::AllowDisruption(index)) => *index == node,
        (Hold::PodDoNotDisrupt { pod, .. }, Edit::Pods(PodEdit::AllowDisruption)) => {
            of.pods.iter().any(|&index| snapshot.pods[index].key == *pod)
        }
        (Hold::Budget { budget, .. }, Edit::DropBudget(index)) => snapshot.disruption_budgets[*index].key == *budget,
        (Hold::NotIdle { .. } | Hold::NeverIdle { .. }, Edit::Pool(index, PoolEdit::ConsolidateAtOnce))
        | (Hold::OnlyWhenEmpty { .. }, Edit::Pool(index, PoolEdit::ConsolidateUsed)) => is_pool(*index),
        _ => false,
    };
    let mut all = constraints(snapshot);
    all.retain(|of| holds.iter().any(|hold| is_it(of, hold)));
    all
}

impl Cluster<'_> {
    fn node_of(&self, pod: &Pod) -> Option<usize> {
        self.managed.get(pod.node.as_ref()?).copied()
    }

    /// About these pods.
    fn about(&self, kind: Kind, edit: Edit, pods: Vec<usize>) -> Constraint {
        let nodes: BTreeSet<usize> = pods.iter().filter_map(|&pod| self.node_of(&self.snapshot.pods[pod])).collect();
        let is_of_launches = pods.iter().any(|&pod| self.snapshot.pods[pod].is_pending());
        Constraint { kind, edit, pods, is_of_nodes: !nodes.is_empty(), nodes, is_of_launches }
    }

    fn nodes_of_pool(&self, pool: usize) -> BTreeSet<usize> {
        let name = &self.snapshot.node_pools[pool].name;
        self.managed.values().copied().filter(|&node| self.snapshot.nodes[node].pool.as_ref() == Some(name)).collect()
    }

    /// Limits, and budgets that hold now.
    fn of_pools(&self) -> Vec<Constraint> {
        let mut all = Vec::new();
        let usable = |index: &usize| {
            let pool = &self.snapshot.node_pools[*index];
            pool.unusable.is_none() && pool.replicas.is_none()
        };
        for index in (0..self.snapshot.node_pools.len()).filter(usable) {
            let pool = &self.snapshot.node_pools[index];
            let limits = &pool.limits;
            let names = limits.resources.iter().map(|(name, _)| name.clone());
            let nodes = limits.nodes.map(|_| Arc::from(labels::LIMIT_NODES));
            let spend = limits.usd_per_hour.map(|_| Arc::from(labels::LIMIT_USD_PER_HOUR));
            all.extend(names.chain(nodes).chain(spend).map(|name| Constraint {
                kind: Kind::Limit,
                edit: Edit::Pool(index, PoolEdit::DropLimit(name)),
                pods: Vec::new(),
                nodes: self.nodes_of_pool(index),
                is_of_launches: self.has_pending,
                is_of_nodes: !self.managed.is_empty(),
            }));
            let budgets = pool.disruption.budgets.iter().enumerate();
            let active = budgets.filter(|(_, of)| budget::is_active(of, self.snapshot.taken_at));
            all.extend(active.map(|(position, _)| {
                self.of_pool(Kind::DisruptionBudget, index, PoolEdit::DropDisruptionBudget(position))
            }));
        }
        all
    }

    fn of_pool(&self, kind: Kind, pool: usize, edit: PoolEdit) -> Constraint {
        let nodes = self.nodes_of_pool(pool);
        let is_of_nodes = !nodes.is_empty();
        Constraint { kind, edit: Edit::Pool(pool, edit), pods: Vec::new(), nodes, is_of_launches: false, is_of_nodes }
    }

    /// `consolidateAfter` and `consolidationPolicy` that hold a node now.
    fn held_pools(&self) -> Vec<Constraint> {
        let mut held: BTreeSet<(usize, Kind)> = BTreeSet::new();
        for standing in candidates(self.snapshot, Method::Underutilized, self.snapshot.taken_at) {
            let Some(name) = &self.snapshot.nodes[standing.node].pool else { continue };
            let pool = self.snapshot.node_pools.iter().position(|pool| pool.name == *name);
            for hold in standing.verdict.err().into_iter().flatten() {
                let kind = match hold {
                    Hold::NotIdle { .. } | Hold::NeverIdle { .. } => Kind::ConsolidateAfter,
                    Hold::OnlyWhenEmpty { .. } => Kind::ConsolidationPolicy,
                    _ => continue,
                };
                held.extend(pool.map(|pool| (pool, kind)));
            }
        }
        let constraint = |(pool, kind): (usize, Kind)| {
            let at_once = kind == Kind::ConsolidateAfter;
            self.of_pool(kind, pool, if at_once { PoolEdit::ConsolidateAtOnce } else { PoolEdit::ConsolidateUsed })
        };
        held.into_iter().map(constraint).collect()
    }

    /// PodDisruptionBudgets of pods that would have to move.
    fn of_budgets(&self) -> Vec<Constraint> {
        let mut pods: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (index, pod) in self.snapshot.pods.iter().enumerate().filter(|(_, pod)| pod.is_reschedulable()) {
            for &budget in &pod.disruption.budgets {
                pods.entry(budget).or_default().push(index);
            }
        }
        let of_budget = |(budget, pods)| Constraint {
            is_of_launches: false,
            ..self.about(Kind::PodDisruptionBudget, Edit::DropBudget(budget), pods)
        };
        pods.into_iter().map(of_budget).collect()
    }

    /// Of workloads, and of nodes.
    fn do_not_disrupt(&self) -> Vec<Constraint> {
        let now = self.snapshot.taken_at;
        let mut workloads: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (index, pod) in self.snapshot.pods.iter().enumerate().filter(|(_, pod)| !pod.terminating) {
            if pod.disruption.do_not_disrupt.is_some_and(|of| of.is_active(now)) && self.node_of(pod).is_some() {
                workloads.entry(object_of(self.snapshot, index)).or_default().push(index);
            }
        }
        let of_pods = workloads.into_values().map(|pods| Constraint {
            is_of_launches: false,
            ..self.about(Kind::DoNotDisrupt, Edit::Pods(PodEdit::AllowDisruption), pods)
        });
        let nodes = self.managed.values().filter(|&&node| self.snapshot.nodes[node].disruption.do_not_disrupt);
        let of_nodes = nodes.map(|&node| Constraint {
            kind: Kind::DoNotDisrupt,
            edit: Edit::AllowDisruption(node),
            pods: Vec::new(),
            nodes: [node].into(),
            is_of_launches: false,
            is_of_nodes: true,
        });
        of_pods.chain(of_nodes).collect()
    }

    /// Hard spreads and required anti-affinity of pods that wait, or run on nodes that may go: by workload, and by what it says where its
    /// pods have several templates.
    fn of_workloads(&self) -> Vec<Constraint> {
        let mut found: BTreeMap<(String, usize, bool, String), Vec<usize>> = BTreeMap::new();
        for (index, pod) in self.snapshot.pods.iter().enumerate() {
            let spec = &pod.template.spec;
            if pod.terminating || pod.buffer || pod.is_daemon() || pod.is_mirror() {
                continue;
            }
            if spec.topology_spread.is_empty() && spec.pod_anti_affinity.is_empty() {
                continue;
            }
            let object = object_of(self.snapshot, index);
            let hard = spec
                .topology_spread
                .iter()
                .enumerate()
                .filter(|(_, of)| of.when_unsatisfiable == WhenUnsatisfiable::DoNotSchedule);
            let spreads = hard.map(|(position, of)| (position, true, format!("{} {}", of.topology_key, of.max_skew)));
            let terms = spec.pod_anti_affinity.iter().enumerate();
            let terms = terms.map(|(position, of)| (position, false, of.topology_key.to_string()));
            for (position, is_spread, says) in spreads.chain(terms) {
                found.entry((object.clone(), position, is_spread, says)).or_default().push(index);
            }
        }
        let constraint = |((_, position, is_spread, _), pods): ((String, usize, bool, String), Vec<usize>)| {
            let (kind, edit) = if is_spread {
                (Kind::Spread, PodEdit::DropSpread(position))
            } else {
                (Kind::AntiAffinity, PodEdit::DropPodAntiAffinity(position))
            };
            self.about(kind, Edit::Pods(edit), pods)
        };
        found.into_iter().map(constraint).collect()
    }
}
