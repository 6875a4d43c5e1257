//! One pool, one node with its claim, and whatever a test adds: manifests as a cluster has them.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::api::labels;
use crate::catalog::{Catalog, kwok};
use crate::observe::input::Origin;
use crate::observe::{Memory, Moment, Objects, RawObject, Snapshot, build_observed, market};
use crate::settings::Settings;

/// A working day, an hour after everything was made.
pub const NOW: &str = "2026-01-05T12:00:00Z";
pub const MADE: &str = "2026-01-05T11:00:00Z";

pub fn now() -> Timestamp {
    NOW.parse().unwrap()
}

/// The Snapshot of a pool, its class and these objects; what is wrong with them.
pub fn load(objects: &[Value]) -> (Arc<Snapshot>, Vec<String>) {
    let class = json!({
        "apiVersion": "karpenter.kwok.sh/v1alpha1", "kind": "KWOKNodeClass", "metadata": {"name": "default"}, "spec": {},
    });
    let raw = objects.iter().chain([&class]).map(|object| {
        let mut value = object.clone();
        if value["metadata"]["uid"].is_null() {
            value["metadata"]["uid"] = json!(format!("{}-{}", value["kind"], value["metadata"]["name"]));
        }
        RawObject { origin: Origin::default(), value }
    });
    let objects = Objects::collect(raw);
    let settings = Settings::default();
    let offered = market(&objects, &Catalog::Fixed(kwok::instance_types()), &settings);
    let moment = Moment { settings, region: "us-east-1".into(), taken_at: now(), offered };
    let outcome = build_observed(objects, moment, &mut Memory::default());
    (outcome.snapshot, outcome.errors.iter().map(ToString::to_string).collect())
}

pub fn merged(mut object: Value, more: &Value) -> Value {
    merge(&mut object, more);
    object
}

fn merge(into: &mut Value, more: &Value) {
    match (into, more) {
        (Value::Object(into), Value::Object(more)) => {
            for (field, value) in more {
                merge(into.entry(field).or_insert(Value::Null), value);
            }
        }
        (into, more) => *into = more.clone(),
    }
}

/// Named `default`; may consolidate at once.
pub fn pool(disruption: &Value) -> Value {
    let spec = json!({
        "template": {"spec": {
            "nodeClassRef": {"group": "karpenter.kwok.sh", "kind": "KWOKNodeClass", "name": "default"}, "requirements": [],
        }},
        "disruption": merged(json!({"consolidateAfter": "0s"}), disruption),
    });
    json!({"apiVersion": "karpenter.sh/v1", "kind": "NodePool", "metadata": {"name": "default"}, "spec": spec})
}

pub fn condition(kind: &str, status: &str, reason: &str) -> Value {
    json!({"type": kind, "status": status, "reason": reason, "message": "", "lastTransitionTime": MADE})
}

/// The NodeClaim and the Node of this name.
pub fn node(name: &str) -> [Value; 2] {
    let of_node = json!({
        labels::NODEPOOL: "default", labels::INSTANCE_TYPE: "c-2x-amd64-linux", labels::ZONE: "test-zone-a",
        labels::CAPACITY_TYPE: "on-demand", labels::REGISTERED: "true", labels::INITIALIZED: "true",
    });
    let metadata = json!({"name": name, "creationTimestamp": MADE, "labels": of_node});
    let id = format!("kwok://{name}");
    let claim = json!({
        "apiVersion": "karpenter.sh/v1", "kind": "NodeClaim", "metadata": metadata,
        "spec": {
            "nodeClassRef": {"group": "karpenter.kwok.sh", "kind": "KWOKNodeClass", "name": "default"}, "requirements": [],
        },
        "status": {"providerID": id, "nodeName": name, "conditions": [condition("Initialized", "True", "Initialized")]},
    });
    let of_node = json!({
        "apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": {"providerID": id},
        "status": {
            "capacity": {"cpu": "2", "memory": "4Gi", "pods": "32"},
            "allocatable": {"cpu": "1900m", "memory": "3900Mi", "pods": "32"},
            "conditions": [condition("Ready", "True", "KubeletReady")],
        },
    });
    [claim, of_node]
}

/// Runs on the node, of the app `web`.
pub fn pod(name: &str, node: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "labels": {"app": "web"}},
        "spec": {"nodeName": node, "containers": [{"name": "c", "image": "i", "resources": {"requests": {"cpu": "100m"}}}]},
        "status": {"phase": "Running", "startTime": MADE, "conditions": [condition("Ready", "True", "Ready")]},
    })
}

/// Of the app `web`.
pub fn budget(name: &str, spec: &Value, allowed: Option<u32>) -> Value {
    let mut object = json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": name, "namespace": "default"},
        "spec": merged(json!({"selector": {"matchLabels": {"app": "web"}}}), spec),
    });
    if let Some(allowed) = allowed {
        object["status"] = json!({
            "disruptionsAllowed": allowed, "currentHealthy": 0, "desiredHealthy": 0, "expectedPods": 0,
        });
    }
    object
}
