//! Whether each managed node may be taken away (karpenter-core 4.2, 4.4).

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;

use super::{Hold, Method, RescheduleCost, eviction_price};
use crate::api::labels;
use crate::api::node_pool::ConsolidationPolicy;
use crate::observe::Snapshot;
use crate::observe::snapshot::{DoNotDisrupt, Node, NodePool, NodeStage, Pod, TaintEffect, TolerationOperator};
use crate::units::MicroUsd;

/// What is to be said of a managed node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Index into `Snapshot::nodes`.
    pub node: usize,
    /// A candidate, or everything that keeps it.
    pub verdict: Result<Candidate, Vec<Hold>>,
}

/// A node that may be taken away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Index into `Snapshot::nodes`.
    pub node: usize,
    /// Of an hour; `None` where the catalogue does not know it: such a node can only be removed, not replaced for less.
    pub price: Option<MicroUsd>,
    /// The pods that need another node, by index into `Snapshot::pods`.
    pub pods: Vec<usize>,
    /// What moving them costs, once.
    pub eviction_price: MicroUsd,
    /// What moving them costs, as the reference ranks nodes.
    pub reschedule_cost: RescheduleCost,
}

/// Every node with a NodeClaim, in the order of the Snapshot.
#[must_use]
pub fn candidates(snapshot: &Snapshot, method: Method, now: Timestamp) -> Vec<Standing> {
    let mut bound: HashMap<&str, Vec<usize>> = HashMap::new(); // looked up only
    for (index, pod) in snapshot.pods.iter().enumerate() {
        if let Some(node) = &pod.node {
            bound.entry(node).or_default().push(index);
        }
    }
    let managed = snapshot.nodes.iter().enumerate().filter(|(_, node)| node.claim.is_some());
    let standing = managed.map(|(index, node)| {
        let here = bound.get(&*node.name).map_or(&[][..], Vec::as_slice);
        Standing { node: index, verdict: of_node(snapshot, index, here, method, now) }
    });
    standing.collect()
}

/// What a node would be as a candidate if nothing kept it, by index into `Snapshot::nodes`.
#[must_use]
pub fn if_free(snapshot: &Snapshot, node: usize) -> Candidate {
    let name = &snapshot.nodes[node].name;
    let here = |pod: &Pod| pod.node.as_ref() == Some(name) && pod.is_reschedulable();
    let pods: Vec<usize> = (0..snapshot.pods.len()).filter(|&pod| here(&snapshot.pods[pod])).collect();
    candidate(snapshot, node, pods)
}

fn candidate(snapshot: &Snapshot, node: usize, pods: Vec<usize>) -> Candidate {
    let eviction_price = pods.iter().map(|&pod| eviction_price(&snapshot.pods[pod])).sum();
    let reschedule_cost = RescheduleCost::of(pods.iter().map(|&pod| &snapshot.pods[pod]));
    Candidate { node, price: snapshot.nodes[node].price, pods, eviction_price, reschedule_cost }
}

fn of_node(
    snapshot: &Snapshot,
    index: usize,
    here: &[usize],
    method: Method,
    now: Timestamp,
) -> Result<Candidate, Vec<Hold>> {
    let node = &snapshot.nodes[index];
    let pods: Vec<usize> = here.iter().copied().filter(|&pod| snapshot.pods[pod].is_reschedulable()).collect();
    let reschedule_cost = RescheduleCost::of(pods.iter().map(|&pod| &snapshot.pods[pod]));
    let mut holds = of_state(node, now);
    match pool_of(snapshot, node) {
        Ok(pool) => holds.extend(of_method(node, pool, reschedule_cost, method, now)),
        Err(hold) => holds.push(hold),
    }
    // what drifts goes in the end, where the time to drain is limited ("eventual" disruption)
    let is_eventual = method == Method::Drifted && node.disruption.termination_grace_period_seconds.is_some();
    if !is_eventual {
        holds.extend(here.iter().filter_map(|&pod| of_pod(snapshot, &snapshot.pods[pod], now)));
    }
    if !holds.is_empty() {
        return Err(holds);
    }
    Ok(candidate(snapshot, index, pods))
}

/// What holds for every method.
fn of_state(node: &Node, now: Timestamp) -> Vec<Hold> {
    let mut holds = Vec::new();
    if node.stage != NodeStage::Initialized {
        holds.push(Hold::NotInitialized);
    }
    if node.deleting {
        holds.push(Hold::Deleting);
    }
    holds.extend(node.disruption.nominated_until.filter(|until| *until > now).map(|until| Hold::Nominated { until }));
    if node.disruption.zone_shifted {
        holds.push(Hold::ZoneShifted);
    }
    if node.disruption.do_not_disrupt {
        holds.push(Hold::DoNotDisrupt);
    }
    holds
}

fn pool_of<'s>(snapshot: &'s Snapshot, node: &Node) -> Result<&'s NodePool, Hold> {
    let name = node.pool.as_ref().ok_or(Hold::NoPool)?;
    let pool = snapshot.node_pools.iter().find(|pool| pool.name == *name);
    let pool = pool.ok_or_else(|| Hold::PoolGone { pool: name.clone() })?;
    if pool.instance_types.is_empty() {
        return Err(Hold::NoTypes { pool: name.clone() });
    }
    Ok(pool)
}

fn of_method(node: &Node, pool: &NodePool, cost: RescheduleCost, method: Method, now: Timestamp) -> Vec<Hold> {
    let mut holds = Vec::new();
    let name = || pool.name.clone();
    if pool.replicas.is_some() {
        holds.push(Hold::StaticPool { pool: name() });
    }
    if method == Method::Drifted {
        if node.disruption.drifted.is_none() {
            holds.push(Hold::NotDrifted);
        }
        return holds;
    }
    match pool.disruption.consolidate_after_seconds {
        None => holds.push(Hold::NeverIdle { pool: name() }),
        Some(seconds) => {
            let over = |since: Timestamp| since.checked_add(Duration::from_secs(seconds)).unwrap_or(Timestamp::MAX);
            let until = node.disruption.idle_since.map(over).filter(|until| *until > now);
            holds.extend(until.map(|until| Hold::NotIdle { until }));
        }
    }
    match method {
        Method::Empty if !cost.is_empty() => holds.push(Hold::NotEmpty),
        Method::Underutilized => {
            if cost.is_empty() {
                holds.push(Hold::Empty);
            } else if *pool.disruption.consolidation_policy == *ConsolidationPolicy::WhenEmpty.as_str() {
                holds.push(Hold::OnlyWhenEmpty { pool: name() });
            }
            holds.extend(of_labels(node, pool));
        }
        Method::Empty | Method::Drifted => {}
    }
    holds
}

/// Without these nobody knows what the node costs.
fn of_labels(node: &Node, pool: &NodePool) -> Vec<Hold> {
    let needed = [labels::INSTANCE_TYPE, labels::ZONE, labels::CAPACITY_TYPE];
    let missing = needed.into_iter().filter(|key| node.label(key).is_none());
    let mut holds: Vec<Hold> = missing.map(|key| Hold::LabelMissing { key }).collect();
    let is_unknown = |name: &&str| pool.instance_types.iter().all(|kind| *kind.name != **name);
    let unknown = node.label(labels::INSTANCE_TYPE).filter(is_unknown);
    holds.extend(unknown.map(|name| Hold::TypeUnknown { instance_type: name.into() }));
    holds
}

/// What keeps one of its pods there; pods on their way out keep nothing.
fn of_pod(snapshot: &Snapshot, pod: &Pod, now: Timestamp) -> Option<Hold> {
    if pod.terminating {
        return None;
    }
    let key = || pod.key.clone();
    let protection = pod.disruption.do_not_disrupt.filter(|protection| protection.is_active(now));
    if let Some(protection) = protection {
        let until = match protection {
            DoNotDisrupt::Open => None,
            DoNotDisrupt::Until(until) => Some(until),
        };
        return Some(Hold::PodDoNotDisrupt { pod: key(), until });
    }
    if pod.is_mirror() || tolerates_disruption(pod) {
        return None; // nobody evicts it
    }
    let budgets = || pod.disruption.budgets.iter().filter_map(|&index| snapshot.disruption_budgets.get(index));
    if budgets().count() > 1 {
        return Some(Hold::SeveralBudgets {
            pod: key(),
            budgets: budgets().map(|budget| budget.key.clone()).collect(),
        });
    }
    let blocking = budgets().find(|budget| {
        let lets_unready_go = budget.always_allows_unhealthy && pod.disruption.not_ready;
        budget.disruptions_allowed == 0 && !lets_unready_go
    });
    blocking.map(|budget| Hold::Budget { pod: key(), budget: budget.key.clone() })
}

/// Whether it stays where a node takes no pods any more: a toleration of the taint `karpenter.sh/disrupted:NoSchedule`.
fn tolerates_disruption(pod: &Pod) -> bool {
    pod.template.spec.tolerations.iter().any(|toleration| {
        let of_effect = toleration.effect.is_none_or(|effect| effect == TaintEffect::NoSchedule);
        let of_key = match toleration.operator {
            TolerationOperator::Exists => toleration.key.is_empty() || &*toleration.key == labels::TAINT_DISRUPTED,
            TolerationOperator::Equal => &*toleration.key == labels::TAINT_DISRUPTED && toleration.value.is_empty(),
            TolerationOperator::Lt | TolerationOperator::Gt => false,
        };
        of_effect && of_key
    })
}
