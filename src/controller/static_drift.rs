//! Drifted nodes of pools with `spec.replicas`: for each of them another one of its pool comes first, of whatever type the pool allows.
//!
//! Source: the reference's `disruption/staticdrift.go` (karpenter-core 4.6).

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use jiff::Timestamp;

use super::beginning::{Begun, begin_static};
use super::closing::{InHand, allowance};
use super::cluster::{Claimed, Cluster};
use super::consolidating::stuck;
use super::drift::DRIFTED;
use super::question::{View, Views};
use super::replacing::{is_marked, replaced};
use super::said::Said;
use super::turn::Turn;
use super::valves::Room;
use crate::api::node_pool::DisruptionReason;
use crate::disruption::{Hold, Method, candidates};
use crate::observe::Snapshot;
use crate::observe::snapshot::NodePool;
use crate::units::MicroUsd;

/// What begins, and of which pools something was to begin.
#[derive(Debug, Default)]
pub(super) struct Replaced {
    pub begun: Vec<Begun>,
    pub pools: BTreeSet<Arc<str>>,
}

/// What begins now: as many as budgets, the number of nodes that the pool may have, and the limits of the settings allow. `paused`:
/// pools that wait.
pub(super) fn begin(
    cluster: &Cluster<'_>,
    (in_hand, paused): (&InHand, &BTreeMap<Arc<str>, Timestamp>),
    views: &mut Views<'_>,
    room: &mut dyn FnMut() -> Room,
    turn: &mut Turn<'_>,
) -> Replaced {
    let mut found = Replaced::default();
    if !is_any_static(cluster) {
        return found; // every step asks
    }
    let may_go = |claimed: &&Claimed<'_>| {
        let is_free = !claimed.is_deleting() && !in_hand.contains(claimed.name());
        let waits = claimed.pool().is_some_and(|pool| paused.contains_key(pool));
        claimed.is(DRIFTED) && is_free && !waits && is_static(claimed, cluster)
    };
    let drifted: Vec<&Claimed<'_>> = cluster.our_claims().filter(may_go).collect();
    if drifted.is_empty() || !turn.settings.decision.feature_gates.static_capacity {
        return found;
    }
    let (now, replaced, mut room) = (views.of(View::Now), replaced(cluster), room());
    let (free, stuck) = (free(&now, turn.now), stuck(&now, turn.now));
    for (index, pool) in now.node_pools.iter().enumerate() {
        let Some(replicas) = pool.replicas.and_then(|count| usize::try_from(count).ok()) else { continue };
        let of_pool = || cluster.all_claims().filter(|claimed| claimed.pool() == Some(&*pool.name));
        let staying = of_pool().filter(|claimed| !claimed.is_deleting() && !replaced.contains(claimed.name()));
        let limit = pool.limits.nodes.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(0));
        // for those that have begun others come
        let coming = of_pool().filter(|claimed| in_hand.contains(claimed.name())).count();
        let left = limit.saturating_sub(of_pool().count() + coming);
        if staying.count() > replicas || pool.unusable.is_some() || left == 0 || stuck.contains(&pool.name) {
            continue;
        }
        let left = allowance(cluster, &pool.name, DisruptionReason::Drifted, in_hand, turn).left().min(left);
        let here =
            drifted.iter().filter(|claimed| claimed.pool() == Some(&*pool.name) && free.contains(claimed.name()));
        for claimed in here.take(left) {
            found.pools.insert(pool.name.clone());
            if let Err(valve) = room.take(&pool.name, dearest(pool)) {
                turn.say(Said::HeldBack { valve, pool: pool.name.clone(), claims: 1 });
                break;
            }
            found.begun.extend(begin_static(&now, claimed.name(), index, turn));
        }
    }
    found
}

/// The pods of nodes that are closed and wait for the one that comes for them, by uid: these nodes are there whatever pods need, so
/// nobody plans for their pods before they are deleted.
pub(super) fn staying(cluster: &Cluster<'_>) -> HashSet<Arc<str>> {
    if !is_any_static(cluster) {
        return HashSet::new();
    }
    let waits = |claimed: &&Claimed<'_>| is_static(claimed, cluster) && !claimed.is_deleting() && is_marked(claimed);
    let nodes = cluster.our_claims().filter(waits).flat_map(|claimed| &claimed.nodes);
    let names = nodes.filter_map(|node| node.metadata.name.as_deref());
    names
        .flat_map(|name| cluster.pods_on(name))
        .filter_map(|(_, pod)| pod.metadata.uid.as_deref().map(Arc::from))
        .collect()
}

/// Whether some pool has `spec.replicas`.
fn is_any_static(cluster: &Cluster<'_>) -> bool {
    cluster.objects.node_pools.values().any(|pool| pool.object.spec.replicas.is_some())
}

/// Whether a claim is of a pool with `spec.replicas`.
fn is_static(claimed: &Claimed<'_>, cluster: &Cluster<'_>) -> bool {
    let pool = claimed.pool().and_then(|pool| cluster.pool(pool));
    pool.is_some_and(|pool| pool.spec.replicas.is_some())
}

/// What a node of a pool may cost, for an hour: it may be of any type.
pub(super) fn dearest(pool: &NodePool) -> MicroUsd {
    let offerings = pool.instance_types.iter().flat_map(|kind| &kind.offerings);
    let usable = offerings.filter(|of| of.available && of.satisfies(&pool.requirements));
    usable.map(|of| of.price).max().unwrap_or_default()
}

/// The claims of drifted nodes of static pools that nothing holds.
pub(super) fn free(now: &Snapshot, at: Timestamp) -> BTreeSet<Arc<str>> {
    let is_static = |hold: &Hold| matches!(hold, Hold::StaticPool { .. });
    let standing = candidates(now, Method::Drifted, at).into_iter();
    let free = standing.filter(|of| of.verdict.as_ref().is_err_and(|holds| holds.iter().all(is_static)));
    free.filter_map(|of| now.nodes[of.node].claim.clone()).collect()
}
