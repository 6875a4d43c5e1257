//! What tells whether a NodePool's template has changed since a NodeClaim was made from it.
//!
//! Source: the reference's `nodepool/hash` (karpenter-core 1.5). The version is our own: claims that another provisioner made are
//! stamped anew, so that no node counts as drifted because of who acts now.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::cluster::{Claimed, Cluster};
use super::drift::DRIFTED;
use super::market::Market;
use super::turn::Turn;
use crate::api::labels;
use crate::observe::serves;
use crate::observe::snapshot::{NodePool, Taint};

const VERSION: &str = "packwright-v1";

/// Over everything that a claim takes from the template, but for its requirements: whether a node still satisfies those, its
/// labels say.
pub(super) fn hash(pool: &NodePool) -> String {
    let taints = |taints: &[Taint]| -> BTreeSet<String> {
        taints.iter().map(|taint| format!("{}={}:{:?}", taint.key, taint.value, taint.effect)).collect()
    };
    let template = json!({
        "labels": pool.labels,
        "annotations": pool.annotations,
        "taints": taints(&pool.taints),
        "startupTaints": taints(&pool.startup_taints),
        "nodeClassRef": pool.node_class,
        "terminationGracePeriodSeconds": pool.termination_grace_period_seconds,
        "expireAfterSeconds": pool.expire_after_seconds,
    });
    let digest = Sha256::digest(template.to_string());
    digest.iter().take(8).fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

/// The annotations of a claim that is made from a pool, and of the pool.
pub(super) fn annotations(pool: &NodePool) -> Value {
    json!({ labels::NODEPOOL_HASH: hash(pool), labels::NODEPOOL_HASH_VERSION: VERSION })
}

/// Stamps pools, and claims that have the hash of another version. A claim that has drifted keeps its hash.
pub(super) fn step(cluster: &Cluster<'_>, market: &Market, turn: &mut Turn<'_>) {
    let mut wanted: BTreeMap<&str, Value> = BTreeMap::new();
    let is_due = cluster.is_structural || cluster.claims.iter().any(|claimed| !is_stamped(claimed));
    for object in cluster.objects.node_pools.values().filter(|_| is_due).map(|pool| &*pool.object) {
        let meta = &object.metadata;
        let Some(pool) = meta.name.as_deref().and_then(|name| market.pool(name)) else { continue };
        if meta.deletion_timestamp.is_some() || !serves(&object.spec.template.spec.node_class_ref) {
            continue;
        }
        let stamp = wanted.entry(&pool.name).or_insert_with(|| annotations(pool));
        let known = |key: &str| meta.annotations.as_ref().and_then(|of| of.get(key)).map(String::as_str);
        let keys = [labels::NODEPOOL_HASH, labels::NODEPOOL_HASH_VERSION];
        if keys.into_iter().any(|key| known(key) != stamp[key].as_str()) {
            turn.patch("NodePool", meta, json!({"metadata": {"annotations": stamp}}));
        }
    }
    for claimed in cluster.claims.iter().filter(|claimed| !claimed.is_deleting()) {
        turn.about(claimed);
        let Some(of_pool) = claimed.pool().and_then(|pool| wanted.get(pool)) else { continue };
        if !is_stamped(claimed) {
            let version = json!({ labels::NODEPOOL_HASH_VERSION: VERSION });
            let stamp = if claimed.is(DRIFTED) { version } else { of_pool.clone() };
            turn.patch("NodeClaim", &claimed.claim.metadata, json!({"metadata": {"annotations": stamp}}));
        }
    }
    turn.about_all();
}

fn is_stamped(claimed: &Claimed<'_>) -> bool {
    annotation(claimed, labels::NODEPOOL_HASH_VERSION).is_some_and(|version| version == VERSION)
}

/// The hash of the template that a claim was made from; `None` where it is of another version, which says nothing.
pub(super) fn of_claim<'o>(claimed: &Claimed<'o>) -> Option<&'o str> {
    annotation(claimed, labels::NODEPOOL_HASH).filter(|_| is_stamped(claimed))
}

fn annotation<'o>(claimed: &Claimed<'o>, key: &str) -> Option<&'o str> {
    claimed.claim.metadata.annotations.as_ref()?.get(key).map(String::as_str)
}
