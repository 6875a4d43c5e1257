//! NodePools with `spec.replicas` keep that many nodes, whatever the pods need.
//!
//! Source: the reference's `static/provisioning` and `static/deprovisioning` (karpenter-core 4.9).

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use super::cluster::{Claimed, Cluster};
use super::conditions::{LAUNCHED, READY, is_true};
use super::create::{create_claim, free_name};
use super::creating::Creating;
use super::idle::is_kept;
use super::market::Market;
use super::replacing::replaced;
use super::said::Said;
use super::spend::prices_of;
use super::turn::{Turn, later};
use super::valves::Room;
use crate::api::node_claim::NodeClaim;
use crate::observe::snapshot::NodePool;
use crate::observe::{belongs_to_node, eviction_cost, has_ended, is_do_not_disrupt};
use crate::placement::ClaimPlan;
use crate::plan::claims::unplanned_claim;
use crate::units::MicroUsd;

/// After a launch that came to nothing the pool gets no other one for so long.
const AGAIN: Duration = Duration::from_secs(30);
const OVERPROVISIONED: &str = "Overprovisioned";

/// What a valve has held back is asked for again after so long.
const HELD_BACK: Duration = Duration::from_secs(10);

/// Pools whose last launch came to nothing or was held back, until when they wait; a process that does not know tries once more.
#[derive(Debug, Default)]
pub(super) struct Statics(BTreeMap<Arc<str>, Timestamp>);

/// Creates what is missing, as far as `limits.nodes` and the safety valves allow, and deletes what is too much.
pub(super) fn step(
    cluster: &Cluster<'_>,
    market: &Market,
    (statics, creating, room): (&mut Statics, &mut Creating, impl FnOnce() -> Room),
    turn: &mut Turn<'_>,
) {
    if !turn.settings.decision.feature_gates.static_capacity || market.is_awaited() {
        return;
    }
    statics.0.retain(|_, until| *until > turn.now);
    if market.pools().iter().all(|pool| pool.replicas.is_none()) {
        return;
    }
    let (replaced, mut room) = (replaced(cluster), room());
    for pool in market.pools() {
        let Some(replicas) = pool.replicas.and_then(|count| usize::try_from(count).ok()) else { continue };
        let claims: Vec<&Claimed<'_>> =
            cluster.all_claims().filter(|claimed| claimed.pool() == Some(&*pool.name)).collect();
        let stays = |claimed: &&Claimed<'_>| !claimed.is_deleting() && !replaced.contains(claimed.name());
        let staying: Vec<&Claimed<'_>> = claims.iter().copied().filter(stays).collect();
        if claims.iter().any(|claimed| claimed.is_deleting() && !claimed.is(LAUNCHED)) {
            statics.0.insert(pool.name.clone(), later(turn.now, AGAIN));
        }
        match staying.len().cmp(&replicas) {
            Ordering::Less => {
                let limit = pool.limits.nodes.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(0));
                let missing = (replicas - staying.len()).min(limit.saturating_sub(claims.len()));
                create(cluster, pool, missing, (&mut *statics, &mut *creating, &mut room), turn);
            }
            Ordering::Greater => remove(cluster, &staying, replicas, turn),
            Ordering::Equal => {}
        }
    }
}

fn create(
    cluster: &Cluster<'_>,
    pool: &NodePool,
    missing: usize,
    (statics, creating, room): (&mut Statics, &mut Creating, &mut Room),
    turn: &mut Turn<'_>,
) {
    let object = cluster.pool(&pool.name);
    let is_ready = object.is_some_and(|object| {
        let conditions = object.status.as_ref().map_or(&[][..], |status| &status.conditions);
        object.metadata.deletion_timestamp.is_none() && is_true(conditions, READY)
    });
    // until what is being created is there, nobody knows how many there are
    if !is_ready || pool.unusable.is_some() || turn.writes.is_creating() || creating.is_of(&pool.name) {
        return;
    }
    if let Some(until) = statics.0.get(&pool.name) {
        return turn.look_again(*until);
    }
    let dearest = dearest(pool);
    for number in 0..missing {
        let seed = format!("{} {} {number}", pool.uid, turn.now);
        let name = free_name(&pool.name, &seed, cluster.objects);
        if let Err(valve) = room.take(&pool.name, dearest) {
            let again = later(turn.now, HELD_BACK);
            statics.0.insert(pool.name.clone(), again);
            turn.look_again(again);
            return turn.say(Said::HeldBack { valve, pool: pool.name.clone(), claims: missing - number });
        }
        if create_claim(pool, unplanned_claim(pool, &name), &ClaimPlan::default(), cluster.objects, turn) {
            let instance_type = Arc::from("any");
            creating.note(name.clone(), pool.name.clone(), Vec::new());
            turn.say_once_taken(Said::Creating { claim: name, pool: pool.name.clone(), pods: 0, instance_type });
        }
    }
}

/// The most that a node of it may cost.
fn dearest(pool: &NodePool) -> MicroUsd {
    let claim: Result<NodeClaim, _> = serde_json::from_value(unplanned_claim(pool, &pool.name));
    claim.map_or(MicroUsd::ZERO, |claim| prices_of(&claim, &pool.instance_types).1)
}

/// First those that are not launched, then those whose pods are the cheapest to move; those that somebody protects come last.
fn remove(cluster: &Cluster<'_>, staying: &[&Claimed<'_>], replicas: usize, turn: &mut Turn<'_>) {
    let mut order: Vec<(bool, bool, i64, &str, &Claimed<'_>)> = Vec::new();
    for claimed in staying {
        let names = claimed.nodes.iter().filter_map(|node| node.metadata.name.as_deref());
        let here: Vec<&Pod> = names.flat_map(|name| cluster.pods_on(name)).map(|(_, pod)| &**pod).collect();
        let active = here.into_iter().filter(|pod| is_active(pod));
        let is_protected = is_kept(claimed) || active.clone().any(|pod| is_do_not_disrupt(pod, turn.now));
        let cost = active.filter(|pod| !belongs_to_node(pod)).map(|pod| eviction_cost(pod).parts().max(0)).sum();
        order.push((is_protected, claimed.is(LAUNCHED), cost, claimed.name(), claimed));
    }
    order.sort_by_key(|&(is_protected, is_launched, cost, name, _)| (is_protected, is_launched, cost, name));
    for (.., claimed) in order.into_iter().take(staying.len() - replicas) {
        if turn.delete_claim_as_read(claimed) {
            turn.say_once_taken(Said::Disrupting { claim: Arc::from(claimed.name()), reason: OVERPROVISIONED });
        }
    }
}

fn is_active(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_none() && !has_ended(pod)
}
