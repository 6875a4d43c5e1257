//! Nodes that are to go take no pods any more, their claims say why, and budgets say how many.
//!
//! Source: the reference's `disruption/helpers.go` and `disruption/queue.go` (karpenter-core 4.7, 4.8).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use serde_json::json;

use super::cluster::{Claimed, Cluster};
use super::conditions::{Conditions, INITIALIZED, INSTANCE_TERMINATING};
use super::drain::with_disrupted;
use super::event::Subject;
use super::garbage::is_ready;
use super::turn::Turn;
use crate::api::labels;
use crate::api::node_pool::DisruptionReason;
use crate::disruption::Allowance;
use crate::disruption::budget::next_change;
use crate::observe::objects::Objects;

pub(super) const DISRUPTION_REASON: &str = "DisruptionReason";
/// What kube-scheduler had decided before it saw that a node is closed is known after so long.
pub(super) const SETTLED: Duration = Duration::from_secs(1);

/// Claims, by name, that a command of this process is about to take away.
pub(super) type InHand = BTreeSet<Arc<str>>;

/// Whether the node takes no pods any more.
pub(super) fn is_closed(node: &Node) -> bool {
    let mut taints = node.spec.iter().flat_map(|spec| spec.taints.iter().flatten());
    taints.any(|taint| taint.key == labels::TAINT_DISRUPTED)
}

/// Whether a node, by name, takes no pods any more, or is gone.
pub(super) fn takes_no_pods(objects: &Objects, node: &str) -> bool {
    let node = objects.nodes.get(&Subject::of_cluster("Node", node).key).map(|node| &node.object);
    node.is_none_or(|node| is_closed(node) || node.metadata.deletion_timestamp.is_some())
}

/// Why a claim is disrupted, and since when it says so.
pub(super) fn reason_since<'c>(claimed: &'c Claimed<'_>) -> Option<(&'c str, Timestamp)> {
    let conditions = claimed.claim.status.as_ref().map_or(&[][..], |status| &status.conditions);
    let found = conditions.iter().find(|of| of.type_ == DISRUPTION_REASON && of.status == "True");
    found.map(|found| (&*found.reason, found.last_transition_time.0))
}

/// Closes a node, or opens it again.
pub(super) fn set_taint(node: &Node, closed: bool, turn: &mut Turn<'_>) {
    let mut taints = node.spec.as_ref().and_then(|spec| spec.taints.clone()).unwrap_or_default();
    if closed {
        taints = with_disrupted(taints);
    } else {
        taints.retain(|taint| taint.key != labels::TAINT_DISRUPTED);
    }
    turn.patch("Node", &node.metadata, json!({"spec": {"taints": taints}}));
}

/// Writes the reason down; `None`: there is none any more.
pub(super) fn note_reason(claimed: &Claimed<'_>, reason: Option<&str>, turn: &mut Turn<'_>) {
    let known = claimed.claim.status.as_ref().map_or(&[][..], |status| &status.conditions);
    let mut conditions = Conditions::of(known, claimed.claim.metadata.generation, turn.now);
    match reason {
        Some(reason) => drop(conditions.set(DISRUPTION_REASON, "True", reason, "")),
        None => conditions.remove(DISRUPTION_REASON),
    }
    turn.patch_status("NodeClaim", &claimed.claim.metadata, &json!({"conditions": conditions.into_list()}));
}

/// What the budgets of a pool say for a reason; of a pool that is not there nothing goes.
pub(super) fn allowance(
    cluster: &Cluster<'_>,
    name: &str,
    reason: DisruptionReason,
    in_hand: &InHand,
    turn: &mut Turn<'_>,
) -> Allowance {
    let Some(pool) = cluster.pool(name) else { return Allowance::default() };
    let of_pool = || cluster.all_claims().filter(|claimed| claimed.pool() == Some(name));
    // of an instance that is on its way out nothing is left to disrupt
    let counts = |claimed: &&Claimed| claimed.is(INITIALIZED) && !claimed.is(INSTANCE_TERMINATING);
    let nodes = of_pool().filter(counts).count();
    let is_disrupted = |claimed: &&Claimed| {
        let is_going = |node: &&Arc<Node>| is_closed(node) || !is_ready(node);
        let is_marked = claimed.is_deleting() || reason_since(claimed).is_some() || in_hand.contains(claimed.name());
        is_marked || claimed.nodes.iter().any(is_going)
    };
    let mut disrupted = of_pool().filter(counts).filter(is_disrupted).count();
    // one that was told to close may be closed
    for claimed in of_pool().filter(counts).filter(|claimed| !is_disrupted(claimed)) {
        let open = claimed.nodes.iter().filter_map(|node| {
            let subject = Subject::of_cluster("Node", node.metadata.name.as_deref()?);
            turn.writes.open_until(&subject, node.metadata.resource_version.as_deref(), turn.now)
        });
        if let Some(until) = open.max() {
            disrupted += 1;
            turn.look_again(until);
        }
    }
    let budgets = &pool.spec.disruption.budgets;
    if let Some(change) = next_change(budgets, turn.now) {
        turn.look_again(change);
    }
    Allowance::of(budgets, reason, nodes, disrupted, turn.now)
}
