//! Nodes that have not been ready for too long are replaced: gate NodeRepair.
//!
//! Source: the reference's `node/health` (karpenter-core 4.9), with the conditions that its kwok provider repairs. Where many
//! nodes of a pool are not ready the fault is elsewhere, and replacing them would make it worse.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use serde_json::json;

use super::cluster::{Claimed, Cluster};
use super::conditions::READY;
use super::event::Subject;
use super::said::Said;
use super::turn::{Turn, later};
use crate::api::labels;
use crate::api::node_pool::DisruptionReason;
use crate::disruption::Allowance;

/// A node may be not ready for so long.
const TOLERATED: Duration = Duration::from_secs(10 * 60);
/// So many nodes of a pool may be, percent, rounded up.
const FEW: usize = 20;
/// Where too many are, and where a budget holds it, the node is looked at again after so long.
const BLOCKED: Duration = Duration::from_secs(5 * 60);
const HELD: Duration = Duration::from_secs(10);

/// Deletes the claims of nodes that were not ready for too long. Their pods do not drain: nobody is there to end them.
pub(super) fn step(cluster: &Cluster<'_>, turn: &mut Turn<'_>) {
    if !turn.settings.decision.feature_gates.node_repair {
        return;
    }
    let mut left: BTreeMap<&str, usize> = BTreeMap::new();
    for claimed in cluster.claims.iter().filter(|claimed| !claimed.is_deleting()) {
        turn.about(claimed);
        let [node] = claimed.nodes[..] else { continue };
        let Some(since) = unready_since(node) else { continue };
        if !turn.is_due(later(since, TOLERATED)) {
            continue;
        }
        if let Some(why) = many_are_unready(cluster, claimed) {
            turn.say(Said::RepairBlocked { node: name_of(node), why });
            turn.look_again(later(turn.now, BLOCKED));
            continue;
        }
        if let Some(pool) = claimed.pool() {
            let left = left.entry(pool).or_insert_with(|| budget(cluster, pool, turn));
            if *left == 0 {
                turn.look_again(later(turn.now, HELD));
                continue;
            }
            *left -= 1;
        }
        remove(claimed, node, turn);
    }
    turn.about_all();
}

/// Its time to drain ends now; then it goes.
fn remove(claimed: &Claimed<'_>, node: &Node, turn: &mut Turn<'_>) {
    if claimed.deadline().is_none_or(|deadline| deadline > turn.now) {
        let now = Timestamp::from_second(turn.now.as_second()).unwrap_or(turn.now);
        let annotations = json!({ labels::TERMINATION_TIMESTAMP: now.to_string() });
        turn.patch("NodeClaim", &claimed.claim.metadata, json!({"metadata": {"annotations": annotations}}));
        return;
    }
    let claim = Arc::from(claimed.name());
    if turn.delete_claim(claimed) {
        turn.say_once_taken(Said::Unhealthy { claim, node: name_of(node), condition: READY });
    }
}

fn name_of(node: &Node) -> Arc<str> {
    Arc::from(node.metadata.name.as_deref().unwrap_or_default())
}

/// Since when its condition `Ready` is false or unknown; a node that has none is not repaired.
fn unready_since(node: &Node) -> Option<Timestamp> {
    let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let mut unready = conditions.filter(|of| of.type_ == READY && ["False", "Unknown"].contains(&&*of.status));
    unready.find_map(|of| of.last_transition_time.as_ref()).map(|time| time.0)
}

/// Why nothing of a pool is repaired; a claim without pool is one of the whole cluster.
fn many_are_unready(cluster: &Cluster<'_>, claimed: &Claimed<'_>) -> Option<String> {
    let (nodes, whose): (Vec<&Node>, String) = if let Some(pool) = claimed.pool() {
        let of_pool = cluster.all_claims().filter(|claimed| claimed.pool() == Some(pool));
        let nodes = of_pool.flat_map(|claimed| &claimed.nodes).map(|node| &***node);
        (nodes.collect(), format!("nodepool {pool}"))
    } else {
        (cluster.objects.nodes.values().map(|node| &*node.object).collect(), "the cluster".to_owned())
    };
    let unready = nodes.iter().filter(|node| unready_since(node).is_some()).count();
    let nodes = nodes.len();
    let few = (nodes * FEW).div_ceil(100);
    (unready > few).then(|| format!("more than {FEW}% of the nodes of {whose} are unhealthy: {unready} of {nodes}"))
}

/// What the budgets of a pool that are about repair leave. Nodes that are not ready and stay take nothing from them.
fn budget(cluster: &Cluster<'_>, name: &str, turn: &Turn<'_>) -> usize {
    let Some(pool) = cluster.pool(name) else { return 0 };
    let of_pool: Vec<&Claimed<'_>> = cluster.all_claims().filter(|claimed| claimed.pool() == Some(name)).collect();
    let is_going = |claimed: &&&Claimed<'_>| {
        claimed.is_deleting() || turn.writes.is_sent(&Subject::of_cluster("NodeClaim", claimed.name()))
    };
    let going = of_pool.iter().filter(is_going).count();
    let budgets = &pool.spec.disruption.budgets;
    Allowance::of(budgets, DisruptionReason::Unhealthy, of_pool.len(), going, turn.now).left()
}
