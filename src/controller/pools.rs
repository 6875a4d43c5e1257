//! What a NodePool says of itself: whether it can be used, and what its nodes come to.
//!
//! Source: the reference's `nodepool/{readiness,validation,counter}` (karpenter-core 1.1, 5).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::cluster::Cluster;
use super::conditions::{Conditions, READY, VALIDATION_SUCCEEDED};
use super::health::{Health, NODE_REGISTRATION_HEALTHY, Verdict, class_generation};
use super::turn::Turn;
use crate::api::labels;
use crate::api::node_pool::NodePool;
use crate::api::validate::Validate as _;
use crate::observe::objects::ObjectKey;
use crate::observe::{amounts, serves};
use crate::resources::{Resources, quantities};

const NODE_CLASS_READY: &str = "NodeClassReady";

/// Writes the status of every pool whose node class we serve.
pub(super) fn step(cluster: &Cluster<'_>, usages: &mut Usages, health: &Health, turn: &mut Turn<'_>) {
    let usage = usages.of(cluster);
    for pool in cluster.objects.node_pools.values().map(|pool| &*pool.object) {
        if pool.metadata.deletion_timestamp.is_none() && serves(&pool.spec.template.spec.node_class_ref) {
            let name = pool.metadata.name.as_deref().unwrap_or_default();
            let none = Usage::default();
            let usage = usage.get(name).unwrap_or(&none);
            of_pool(cluster, pool, usage, &health.of(pool), turn);
        }
    }
}

/// What the nodes of a pool come to.
#[derive(Debug, Default)]
struct Usage {
    nodes: i64,
    resources: Resources,
}

/// What the claims of each pool come to.
#[derive(Debug, Default)]
pub(super) struct Usages {
    /// Each claim, by its name, with its pool: read when something has happened to it.
    claims: BTreeMap<Arc<str>, (Arc<str>, Resources)>,
    /// What that sums up to by pool.
    pools: BTreeMap<Arc<str>, Usage>,
}

impl Usages {
    /// Of nodes that are there what they say, of others what their claims say.
    fn of(&mut self, cluster: &Cluster<'_>) -> &BTreeMap<Arc<str>, Usage> {
        let before = self.claims.len();
        cluster.forget_gone(&mut self.claims);
        let mut has_changed = self.claims.len() < before;
        for claimed in cluster.looked_at() {
            let Some(pool) = claimed.pool() else { continue };
            let of_node = claimed.nodes.first().and_then(|node| node.status.as_ref()?.capacity.as_ref());
            let of_claim = claimed.claim.status.as_ref().map(|status| &status.capacity);
            let resources = of_node.filter(|list| !list.is_empty()).or(of_claim).map(amounts).unwrap_or_default();
            let now = (Arc::from(pool), resources);
            if self.claims.get(&claimed.key.name) != Some(&now) {
                has_changed = true;
                self.claims.insert(claimed.key.name.clone(), now);
            }
        }
        if has_changed {
            self.pools.clear();
            for (pool, resources) in self.claims.values() {
                let usage = self.pools.entry(pool.clone()).or_default();
                usage.nodes += 1;
                usage.resources.add(resources);
            }
        }
        &self.pools
    }
}

fn of_pool(cluster: &Cluster<'_>, pool: &NodePool, usage: &Usage, health: &Verdict, turn: &mut Turn<'_>) {
    let status = pool.status.clone().unwrap_or_default();
    let mut conditions = Conditions::of(&status.conditions, pool.metadata.generation, turn.now);
    match pool.validate().first() {
        None => conditions.set_true(VALIDATION_SUCCEEDED),
        Some(error) => conditions.set(VALIDATION_SUCCEEDED, "False", "NodePoolValidationFailed", &error.to_string()),
    };
    match class_trouble(cluster, pool) {
        None => conditions.set_true(NODE_CLASS_READY),
        Some((reason, message)) => conditions.set(NODE_CLASS_READY, "False", &reason, &message),
    };
    match health {
        Verdict::Unknown => {
            conditions.set(NODE_REGISTRATION_HEALTHY, "Unknown", "AwaitingReconciliation", "no node was launched yet")
        }
        Verdict::Healthy => conditions.set_true(NODE_REGISTRATION_HEALTHY),
        Verdict::Unhealthy { reason, message } => conditions.set(NODE_REGISTRATION_HEALTHY, "False", reason, message),
    };
    conditions.sum_up(&[VALIDATION_SUCCEEDED, NODE_CLASS_READY]);
    let mut resources: BTreeMap<&str, String> =
        ["cpu", "memory", "pods", "ephemeral-storage"].map(|name| (name, "0".to_owned())).into();
    resources.extend(quantities(&usage.resources));
    resources.insert(labels::LIMIT_NODES, usage.nodes.to_string());
    let conditions = conditions.into_list();
    let known: BTreeMap<&str, String> =
        status.resources.iter().map(|(name, amount)| (name.as_str(), amount.0.clone())).collect();
    let mut listed = status.conditions.clone();
    listed.sort_by(|a, b| a.type_.cmp(&b.type_));
    let class = class_generation(cluster, pool).or(status.node_class_observed_generation);
    let is_same_class = class == status.node_class_observed_generation;
    if known != resources || status.nodes != usage.nodes || listed != conditions || !is_same_class {
        // what nothing uses any more is taken out
        let gone = known.keys().filter(|name| !resources.contains_key(*name)).map(|name| (*name, Value::Null));
        let mut written: BTreeMap<&str, Value> = gone.collect();
        written.extend(resources.into_iter().map(|(name, amount)| (name, json!(amount))));
        let mut body = json!({"resources": written, "nodes": usage.nodes, "conditions": conditions});
        if let Some(class) = class {
            body["nodeClassObservedGeneration"] = json!(class);
        }
        turn.patch_status("NodePool", &pool.metadata, &body);
    }
}

/// Why the node class of a pool cannot be used: reason and message of the condition.
fn class_trouble(cluster: &Cluster<'_>, pool: &NodePool) -> Option<(String, String)> {
    let class = &pool.spec.template.spec.node_class_ref;
    let key = ObjectKey { namespace: "".into(), name: class.name.as_str().into() };
    let kind = class.kind.as_str();
    let objects = cluster.objects;
    let Some(meta) = objects.metadata(kind, &key) else {
        return Some(("NodeClassNotFound".to_owned(), format!("{kind} {} is not there", class.name)));
    };
    if meta.deletion_timestamp.is_some() {
        return Some(("NodeClassTerminating".to_owned(), format!("{kind} {} is being deleted", class.name)));
    }
    let of_kwok = objects.kwok_node_classes.get(&key).and_then(|class| class.object.status.as_ref());
    let of_ec2 = objects.ec2_node_classes.get(&key).and_then(|class| class.object.status.as_ref());
    let conditions = match kind {
        "KWOKNodeClass" => of_kwok.map(|status| &status.conditions),
        _ => of_ec2.map(|status| &status.conditions),
    };
    let ready = conditions.and_then(|conditions| conditions.iter().find(|condition| condition.type_ == READY));
    match ready {
        Some(ready) if ready.status == "True" => None,
        Some(ready) if ready.status == "False" => Some((ready.reason.clone(), ready.message.clone())),
        _ => Some(("NodeClassReadinessUnknown".to_owned(), format!("{kind} {} does not say yet", class.name))),
    }
}
