//! Nodes that have not been ready for too long are replaced: gate NodeRepair.
//!
//! Source: the reference's `node/health` (karpenter-core 4.9), with the conditions that its providers repair (karpenter-aws 3.5).
//! Where many nodes of a pool are unhealthy the fault is elsewhere, and replacing them would make it worse.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;

use super::cluster::{Claimed, Cluster};
use super::conditions::READY;
use super::event::Subject;
use super::market::Market;
use super::retire::drain_no_longer;
use super::said::Said;
use super::turn::{Turn, later};
use super::zonal_shift::is_shifted;
use crate::api::node_pool::DisruptionReason;
use crate::cloud::Provider;
use crate::disruption::Allowance;

/// A condition of a node that is repaired: the statuses that are, and how long a node may have one of them.
type Repaired = (&'static str, &'static [&'static str], Duration);

const fn minutes(count: u64) -> Duration {
    Duration::from_secs(count * 60)
}

const OF_KWOK: [Repaired; 1] = [(READY, &["False", "Unknown"], minutes(10))];
/// The others are those of the node monitoring agent of EKS.
const OF_EC2: [Repaired; 6] = [
    (READY, &["False", "Unknown"], minutes(30)),
    ("AcceleratedHardwareReady", &["False"], minutes(10)),
    ("StorageReady", &["False"], minutes(30)),
    ("NetworkingReady", &["False"], minutes(30)),
    ("KernelReady", &["False"], minutes(30)),
    ("ContainerRuntimeReady", &["False"], minutes(30)),
];

fn repaired(provider: Provider) -> &'static [Repaired] {
    match provider {
        Provider::Kwok => &OF_KWOK,
        Provider::Ec2 => &OF_EC2,
    }
}

/// So many nodes of a pool may be, percent, rounded up.
const FEW: usize = 20;
/// Where too many are, and where a budget holds it, the node is looked at again after so long.
const BLOCKED: Duration = Duration::from_secs(5 * 60);
const HELD: Duration = Duration::from_secs(10);

/// Deletes the claims of nodes that were unhealthy for too long. Their pods do not drain: nobody is there to end them. Those in a zone
/// that ARC has shifted away from stay: the fault is that of the zone.
pub(super) fn step(cluster: &Cluster<'_>, market: &Market, turn: &mut Turn<'_>) {
    if !turn.settings.decision.feature_gates.node_repair {
        return;
    }
    let mut left: BTreeMap<&str, usize> = BTreeMap::new();
    for claimed in cluster.claims.iter().filter(|claimed| !claimed.is_deleting() && !is_shifted(claimed, market)) {
        turn.about(claimed);
        let [node] = claimed.nodes[..] else { continue };
        let Some((condition, at)) = unhealthy(node, turn.settings.provider) else { continue };
        if !turn.is_due(at) {
            continue;
        }
        if let Some(why) = many_are_unhealthy(cluster, claimed, turn.settings.provider) {
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
        remove(claimed, node, condition, turn);
    }
    turn.about_all();
}

/// Its time to drain ends now; then it goes.
fn remove(claimed: &Claimed<'_>, node: &Node, condition: &'static str, turn: &mut Turn<'_>) {
    if drain_no_longer(claimed, turn) {
        return;
    }
    let claim = Arc::from(claimed.name());
    if turn.delete_claim(claimed) {
        turn.say_once_taken(Said::Unhealthy { claim, node: name_of(node), condition });
    }
}

fn name_of(node: &Node) -> Arc<str> {
    Arc::from(node.metadata.name.as_deref().unwrap_or_default())
}

/// The condition of a node that is repaired first, and when; a node that has none of them is not.
fn unhealthy(node: &Node, provider: Provider) -> Option<(&'static str, Timestamp)> {
    let conditions = || node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let due = |&(kind, statuses, tolerated): &Repaired| {
        let found = conditions().find(|of| of.type_ == kind && statuses.contains(&&*of.status))?;
        Some((kind, later(found.last_transition_time.as_ref()?.0, tolerated)))
    };
    repaired(provider).iter().filter_map(due).min_by_key(|(_, at)| *at)
}

/// Why nothing of a pool is repaired; a claim without pool is one of the whole cluster.
fn many_are_unhealthy(cluster: &Cluster<'_>, claimed: &Claimed<'_>, provider: Provider) -> Option<String> {
    let (nodes, whose): (Vec<&Node>, String) = if let Some(pool) = claimed.pool() {
        let of_pool = cluster.all_claims().filter(|claimed| claimed.pool() == Some(pool));
        let nodes = of_pool.flat_map(|claimed| &claimed.nodes).map(|node| &***node);
        (nodes.collect(), format!("nodepool {pool}"))
    } else {
        (cluster.objects.nodes.values().map(|node| &*node.object).collect(), "the cluster".to_owned())
    };
    let unready = nodes.iter().filter(|node| unhealthy(node, provider).is_some()).count();
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_cloud_repairs_its_conditions_after_its_time() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let node = |conditions: &[(&str, &str)]| -> Node {
            let condition = |(kind, status): &(&str, &str)| json!({"type": kind, "status": status, "lastTransitionTime": now.to_string()});
            let conditions: Vec<_> = conditions.iter().map(condition).collect();
            serde_json::from_value(json!({"metadata": {"name": "n"}, "status": {"conditions": conditions}})).unwrap()
        };
        let due = |conditions: &[(&str, &str)], provider| {
            unhealthy(&node(conditions), provider).map(|(kind, at)| (kind, at.duration_since(now).as_secs() / 60))
        };
        let unready = [("Ready", "Unknown"), ("KernelReady", "True")];
        assert_eq!(due(&unready, Provider::Kwok), Some(("Ready", 10)));
        assert_eq!(due(&unready, Provider::Ec2), Some(("Ready", 30)));
        let broken = [("Ready", "False"), ("AcceleratedHardwareReady", "False")];
        assert_eq!(due(&broken, Provider::Ec2), Some(("AcceleratedHardwareReady", 10)), "the first that is due");
        assert_eq!(due(&[("StorageReady", "Unknown"), ("Ready", "True")], Provider::Ec2), None);
        assert_eq!(due(&[("StorageReady", "False"), ("Ready", "True")], Provider::Kwok), None);
    }
}
