//! Nodes that nobody needs go.
//!
//! A node is closed first, and looked at again after a moment: a pod that kube-scheduler had put there meanwhile keeps it.
//! Source: the reference's `disruption/emptiness.go` (karpenter-core 4.2 to 4.4).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod};
use serde_json::json;

use super::cluster::{Claimed, Cluster};
use super::conditions::{Conditions, INITIALIZED, INSTANCE_TERMINATING};
use super::drain::with_disrupted;
use super::event::Subject;
use super::garbage::is_ready;
use super::idle::{CONSOLIDATABLE, is_kept};
use super::looks::Looks;
use super::said::Said;
use super::turn::{Turn, later};
use crate::api::labels;
use crate::api::node_pool::DisruptionReason;
use crate::disruption::Allowance;
use crate::disruption::budget::next_change;
use crate::observe::{belongs_to_node, eviction_cost, has_ended, is_do_not_disrupt};

pub(super) const DISRUPTION_REASON: &str = "DisruptionReason";
const EMPTY: &str = "Empty";
/// What kube-scheduler had decided before it saw the taint is known after so long.
const SETTLED: Duration = Duration::from_secs(1);

/// Closes empty nodes, as many as budgets allow, and deletes the claims of those that stayed empty. `wanted`: nodes that pods
/// are to bind to.
pub(super) fn step(cluster: &Cluster<'_>, wanted: &BTreeSet<Arc<str>>, looks: &mut Looks, turn: &mut Turn<'_>) {
    let mut left: BTreeMap<&str, usize> = BTreeMap::new();
    for claimed in cluster.claims.iter().filter(|claimed| !claimed.is_deleting() && claimed.is(INITIALIZED)) {
        turn.about(claimed);
        let [node] = claimed.nodes[..] else { continue };
        let (Some(name), Some(pool)) = (node.metadata.name.as_deref(), claimed.pool()) else { continue };
        if cluster.pool(pool).is_some_and(|pool| pool.spec.replicas.is_some()) {
            continue; // a static pool keeps its nodes
        }
        let has_nothing = is_empty(cluster.pods_on(name).map(|(_, pod)| pod), turn) && !is_kept(claimed);
        let is_empty = has_nothing && !wanted.contains(name);
        if is_closed(node) || (has_nothing && claimed.is(CONSOLIDATABLE)) {
            turn.stay(); // budgets, and who wants it, change without it
        }
        match (is_closed(node), reason_since(claimed)) {
            (true, Reason::Empty(since)) if is_empty => remove(claimed, name, since, looks, turn),
            (true, Reason::None) if is_empty && claimed.is(CONSOLIDATABLE) => note(claimed, Some(EMPTY), turn),
            // it is needed after all; also where the process that closed it died before it said why
            (true, Reason::Empty(_) | Reason::None) => set_taint(node, false, turn),
            (false, Reason::Empty(_)) => note(claimed, None, turn),
            (false, Reason::None) if is_empty && claimed.is(CONSOLIDATABLE) => {
                let left = left.entry(pool).or_insert_with(|| budget(cluster, pool, turn));
                if *left > 0 {
                    *left -= 1;
                    set_taint(node, true, turn);
                }
            }
            _ => {}
        }
    }
    turn.about_all();
}

/// Deletes the claim of a node that has been closed for long enough.
fn remove(claimed: &Claimed<'_>, node: &str, closed: Timestamp, looks: &mut Looks, turn: &mut Turn<'_>) {
    // times in conditions are whole seconds
    if !turn.is_due(later(closed, Duration::from_secs(1) + SETTLED)) || !looks.are_fresh(node, turn) {
        return;
    }
    if turn.delete_claim_as_read(claimed) {
        turn.say_once_taken(Said::Disrupting { claim: Arc::from(claimed.name()), reason: EMPTY });
    }
}

/// What the budgets of a pool leave for empty nodes.
fn budget(cluster: &Cluster<'_>, name: &str, turn: &mut Turn<'_>) -> usize {
    let Some(pool) = cluster.pool(name) else { return 0 };
    let of_pool = || cluster.all_claims().filter(|claimed| claimed.pool() == Some(name));
    // of an instance that is on its way out nothing is left to disrupt
    let counts = |claimed: &&Claimed| claimed.is(INITIALIZED) && !claimed.is(INSTANCE_TERMINATING);
    let nodes = of_pool().filter(counts).count();
    let is_disrupted = |claimed: &&Claimed| {
        let is_going = |node: &&Arc<Node>| is_closed(node) || !is_ready(node);
        claimed.is_deleting() || claimed.nodes.iter().any(is_going)
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
    Allowance::of(budgets, DisruptionReason::Empty, nodes, disrupted, turn.now).left()
}

/// Whether nothing would be lost with a node: its pods belong to it, have ended, or cost nothing to evict.
fn is_empty<'p>(mut pods: impl Iterator<Item = &'p Arc<Pod>>, turn: &Turn<'_>) -> bool {
    pods.all(|pod| {
        let is_over = has_ended(pod) || pod.metadata.deletion_timestamp.is_some();
        let is_protected = !is_over && is_do_not_disrupt(pod, turn.now);
        !is_protected && (is_over || belongs_to_node(pod) || !eviction_cost(pod).is_positive())
    })
}

/// Whether the node takes no pods any more.
fn is_closed(node: &Node) -> bool {
    let mut taints = node.spec.iter().flat_map(|spec| spec.taints.iter().flatten());
    taints.any(|taint| taint.key == labels::TAINT_DISRUPTED)
}

/// Why a claim is disrupted.
enum Reason {
    /// Since when.
    Empty(Timestamp),
    /// Whoever did it undoes it.
    Other,
    None,
}

fn reason_since(claimed: &Claimed<'_>) -> Reason {
    let conditions = claimed.claim.status.as_ref().map_or(&[][..], |status| &status.conditions);
    let found = conditions.iter().find(|of| of.type_ == DISRUPTION_REASON && of.status == "True");
    match found {
        Some(found) if found.reason == EMPTY => Reason::Empty(found.last_transition_time.0),
        Some(_) => Reason::Other,
        None => Reason::None,
    }
}

/// The taint comes before the reason and goes before it: without it the reason would be wrong.
fn set_taint(node: &Node, closed: bool, turn: &mut Turn<'_>) {
    let mut taints = node.spec.as_ref().and_then(|spec| spec.taints.clone()).unwrap_or_default();
    if closed {
        taints = with_disrupted(taints);
    } else {
        taints.retain(|taint| taint.key != labels::TAINT_DISRUPTED);
    }
    turn.patch("Node", &node.metadata, json!({"spec": {"taints": taints}}));
}

fn note(claimed: &Claimed<'_>, reason: Option<&str>, turn: &mut Turn<'_>) {
    let known = claimed.claim.status.as_ref().map_or(&[][..], |status| &status.conditions);
    let mut conditions = Conditions::of(known, claimed.claim.metadata.generation, turn.now);
    match reason {
        Some(reason) => drop(conditions.set(DISRUPTION_REASON, "True", reason, "")),
        None => conditions.remove(DISRUPTION_REASON),
    }
    turn.patch_status("NodeClaim", &claimed.claim.metadata, &json!({"conditions": conditions.into_list()}));
}
