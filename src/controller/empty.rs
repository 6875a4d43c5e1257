//! Nodes that nobody needs go.
//!
//! A node is closed first, and looked at again after a moment: a pod that kube-scheduler had put there meanwhile keeps it.
//! Source: the reference's `disruption/emptiness.go` (karpenter-core 4.2 to 4.4).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, Pod};
use serde_json::json;

use super::action::Verb;
use super::budget::allowed;
use super::cluster::{Claimed, Cluster};
use super::conditions::{Conditions, INITIALIZED, READY, since};
use super::drain::with_disrupted;
use super::event::Subject;
use super::idle::{CONSOLIDATABLE, is_kept};
use super::said::Said;
use super::turn::Turn;
use crate::api::labels;
use crate::api::node_pool::DisruptionReason;
use crate::observe::{belongs_to_node, eviction_cost, is_do_not_disrupt};

pub(super) const DISRUPTION_REASON: &str = "DisruptionReason";
const EMPTY: &str = "Empty";
/// What kube-scheduler had decided before it saw the taint is known after so long.
const SETTLED: Duration = Duration::from_secs(1);

/// Closes empty nodes, as many as budgets allow, and deletes the claims of those that stayed empty. `wanted`: nodes that pods
/// are to bind to.
pub(super) fn step(cluster: &Cluster<'_>, wanted: &BTreeSet<Arc<str>>, turn: &mut Turn<'_>) {
    let mut pods: BTreeMap<&str, Vec<&Arc<Pod>>> = BTreeMap::new();
    for pod in cluster.pods() {
        if let Some(node) = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()) {
            pods.entry(node).or_default().push(pod);
        }
    }
    let mut left: BTreeMap<&str, usize> = BTreeMap::new();
    for claimed in cluster.claims.iter().filter(|claimed| !claimed.is_deleting() && claimed.is(INITIALIZED)) {
        let [node] = claimed.nodes[..] else { continue };
        let (Some(name), Some(pool)) = (node.metadata.name.as_deref(), claimed.pool()) else { continue };
        let here = pods.get(name).map_or(&[][..], Vec::as_slice);
        let is_empty = is_empty(here, turn) && !wanted.contains(name) && !is_kept(claimed);
        if let Some(closed) = closed_since(claimed) {
            if !is_empty {
                reopen(claimed, node, turn);
            } else if turn.is_due(closed + SETTLED) {
                let delete = Verb::Delete { uid: Arc::from(claimed.uid()), grace: None };
                if turn.write(Subject::of_cluster("NodeClaim", claimed.name()), &claimed.claim.metadata, delete) {
                    turn.say(Said::Disrupting { claim: Arc::from(claimed.name()), reason: EMPTY });
                }
            }
        } else if is_empty && claimed.is(CONSOLIDATABLE) {
            let left = left.entry(pool).or_insert_with(|| budget(cluster, pool, turn));
            if *left > 0 {
                *left -= 1;
                close(claimed, node, turn);
            }
        }
    }
}

/// What the budgets of a pool leave for empty nodes.
fn budget(cluster: &Cluster<'_>, name: &str, turn: &mut Turn<'_>) -> usize {
    let Some(pool) = cluster.pool(name) else { return 0 };
    let of_pool = || cluster.claims.iter().filter(|claimed| claimed.pool() == Some(name));
    let nodes = of_pool().filter(|claimed| claimed.is(INITIALIZED) && !claimed.is("InstanceTerminating")).count();
    let is_disrupted = |claimed: &&Claimed| {
        claimed.is_deleting() || closed_since(claimed).is_some() || !claimed.nodes.iter().all(|node| is_ready(node))
    };
    let disrupted = of_pool().filter(|claimed| claimed.is(INITIALIZED)).filter(is_disrupted).count();
    let allowed = allowed(pool, DisruptionReason::Empty, nodes, turn.now).saturating_sub(disrupted);
    if pool.spec.disruption.budgets.iter().any(|budget| budget.schedule.is_some()) {
        turn.look_again(turn.now + Duration::from_secs(10)); // budgets come and go with time
    }
    allowed
}

fn is_ready(node: &Node) -> bool {
    let mut conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.any(|condition| condition.type_ == READY && condition.status == "True")
}

/// Whether nothing would be lost with a node: its pods belong to it, have ended, or cost nothing to evict.
fn is_empty(pods: &[&Arc<Pod>], turn: &Turn<'_>) -> bool {
    pods.iter().all(|pod| {
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        let is_over = matches!(phase, Some("Succeeded" | "Failed")) || pod.metadata.deletion_timestamp.is_some();
        let is_protected = !is_over && is_do_not_disrupt(pod, turn.now);
        !is_protected && (is_over || belongs_to_node(pod) || eviction_cost(pod) <= 0.0)
    })
}

/// Since when the node is closed because it was empty.
fn closed_since(claimed: &Claimed<'_>) -> Option<jiff::Timestamp> {
    let conditions = &claimed.claim.status.as_ref()?.conditions;
    let closed = conditions.iter().any(|of| of.type_ == DISRUPTION_REASON && of.reason == EMPTY && of.status == "True");
    closed.then(|| since(conditions, DISRUPTION_REASON)).flatten()
}

/// The taint, then the reason: without the taint the reason would be wrong.
fn close(claimed: &Claimed<'_>, node: &Node, turn: &mut Turn<'_>) {
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.clone()).unwrap_or_default();
    if !taints.iter().any(|taint| taint.key == labels::TAINT_DISRUPTED) {
        turn.patch("Node", &node.metadata, json!({"spec": {"taints": with_disrupted(taints)}}));
        return;
    }
    let known = claimed.claim.status.as_ref().map_or(&[][..], |status| &status.conditions);
    let mut conditions = Conditions::of(known, claimed.claim.metadata.generation, turn.now);
    conditions.set(DISRUPTION_REASON, "True", EMPTY, "");
    turn.patch_status("NodeClaim", &claimed.claim.metadata, &json!({"conditions": conditions.into_list()}));
}

fn reopen(claimed: &Claimed<'_>, node: &Node, turn: &mut Turn<'_>) {
    let mut taints = node.spec.as_ref().and_then(|spec| spec.taints.clone()).unwrap_or_default();
    if taints.iter().any(|taint| taint.key == labels::TAINT_DISRUPTED) {
        taints.retain(|taint| taint.key != labels::TAINT_DISRUPTED);
        turn.patch("Node", &node.metadata, json!({"spec": {"taints": taints}}));
        return;
    }
    let known = claimed.claim.status.as_ref().map_or(&[][..], |status| &status.conditions);
    let mut conditions = Conditions::of(known, claimed.claim.metadata.generation, turn.now);
    conditions.remove(DISRUPTION_REASON);
    turn.patch_status("NodeClaim", &claimed.claim.metadata, &json!({"conditions": conditions.into_list()}));
}
