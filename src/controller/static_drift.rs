//! Drifted nodes of pools with `spec.replicas`: for each of them another one of its pool comes first, of whatever type the pool allows.
//!
//! Source: the reference's `disruption/staticdrift.go` (karpenter-core 4.6).

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;

use super::beginning::{Begun, begin_static};
use super::closing::{InHand, allowance};
use super::cluster::{Claimed, Cluster};
use super::drift::DRIFTED;
use super::question::{View, Views};
use super::replacing::replaced;
use super::turn::Turn;
use crate::api::node_pool::DisruptionReason;
use crate::disruption::{Hold, Method, candidates};
use crate::observe::Snapshot;

/// What begins now: as many as budgets and the number of nodes that the pool may have allow.
pub(super) fn begin(cluster: &Cluster<'_>, in_hand: &InHand, views: &mut Views<'_>, turn: &mut Turn<'_>) -> Vec<Begun> {
    let is_static = |claimed: &&Claimed<'_>| {
        let pool = claimed.pool().and_then(|pool| cluster.pool(pool));
        pool.is_some_and(|pool| pool.spec.replicas.is_some())
    };
    let may_go = |claimed: &&Claimed<'_>| {
        claimed.is(DRIFTED) && !claimed.is_deleting() && !in_hand.contains(claimed.name()) && is_static(claimed)
    };
    let drifted: Vec<&Claimed<'_>> = cluster.our_claims().filter(may_go).collect();
    if drifted.is_empty() || !turn.settings.decision.feature_gates.static_capacity {
        return Vec::new();
    }
    let (now, replaced) = (views.of(View::Now), replaced(cluster));
    let free = free(&now, turn.now);
    let mut begun = Vec::new();
    for (index, pool) in now.node_pools.iter().enumerate() {
        let Some(replicas) = pool.replicas.and_then(|count| usize::try_from(count).ok()) else { continue };
        let of_pool = || cluster.all_claims().filter(|claimed| claimed.pool() == Some(&*pool.name));
        let staying = of_pool().filter(|claimed| !claimed.is_deleting() && !replaced.contains(claimed.name()));
        let limit = pool.limits.nodes.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(0));
        let room = limit.saturating_sub(of_pool().count());
        if staying.count() > replicas || pool.unusable.is_some() || room == 0 {
            continue;
        }
        let left = allowance(cluster, &pool.name, DisruptionReason::Drifted, in_hand, turn).left().min(room);
        let here =
            drifted.iter().filter(|claimed| claimed.pool() == Some(&*pool.name) && free.contains(claimed.name()));
        for claimed in here.take(left) {
            begun.extend(begin_static(&now, claimed.name(), index, turn));
        }
    }
    begun
}

/// The claims of drifted nodes of static pools that nothing holds.
pub(super) fn free(now: &Snapshot, at: Timestamp) -> BTreeSet<Arc<str>> {
    let is_static = |hold: &Hold| matches!(hold, Hold::StaticPool { .. });
    let standing = candidates(now, Method::Drifted, at).into_iter();
    let free = standing.filter(|of| of.verdict.as_ref().is_err_and(|holds| holds.iter().all(is_static)));
    free.filter_map(|of| now.nodes[of.node].claim.clone()).collect()
}
