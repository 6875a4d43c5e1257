use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::observe::Objects;
use crate::observe::budgets::read_budgets;
use crate::observe::input::Origin;
use crate::observe::pod::read_labels;
use crate::observe::read::RawObject;

const NOW: &str = "2026-01-01T01:00:00Z";

fn budget(spec: &Value) -> Value {
    let name = spec.to_string();
    json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": name, "uid": "u"}, "spec": spec})
}

/// Whether a running pod labelled `app=web`, with more metadata, is placed elsewhere under these budgets.
fn moves(metadata: &Value, budgets: &[Value]) -> bool {
    let mut pod = json!({"metadata": {"name": "p", "labels": {"app": "web"}}, "spec": {"containers": []},
        "status": {"phase": "Running", "startTime": "2026-01-01T00:30:00Z"}});
    pod["metadata"].as_object_mut().unwrap().extend(metadata.as_object().unwrap().clone());
    let pod: core::Pod = serde_json::from_value(pod).unwrap();
    let raw = budgets.iter().map(|value| RawObject { origin: Origin::default(), value: value.clone() });
    let objects = Objects::collect(raw);
    let mut errors = Vec::new();
    let budgets = read_budgets(&objects, &mut errors);
    assert_eq!((objects.errors, errors), (vec![], vec![]));
    let key = PodKey { namespace: Arc::from("default"), name: Arc::from("p") };
    is_reschedulable(&key, &pod, &read_labels(pod.metadata.labels.as_ref()), &budgets, NOW.parse().unwrap())
}

fn owned_by(kind: &str, api_version: &str) -> Value {
    json!({"ownerReferences": [{"apiVersion": api_version, "kind": kind, "name": "o", "uid": "u", "controller": true}]})
}

#[test]
fn pods_that_belong_to_the_node_stay() {
    assert!(moves(&json!({}), &[]));
    assert!(moves(&owned_by("ReplicaSet", "apps/v1"), &[]));
    assert!(!moves(&owned_by("DaemonSet", "apps/v1"), &[]));
    assert!(!moves(&owned_by("Node", "v1"), &[]));
    assert!(!moves(&json!({"annotations": {"kubernetes.io/config.mirror": "x"}}), &[]));
}

#[test]
fn of_terminating_pods_only_those_of_a_stateful_set_come_back() {
    let mut metadata = owned_by("StatefulSet", "apps/v1");
    metadata["deletionTimestamp"] = json!(NOW);
    assert!(moves(&metadata, &[]));
    assert!(!moves(&json!({"deletionTimestamp": NOW}), &[]));
}

#[test]
fn do_not_disrupt_holds_forever_or_from_the_start_for_a_while() {
    // the pod is 30 minutes old
    for (value, expected) in [("true", false), ("31m", false), ("30m", true), ("false", true), ("soon", true)] {
        assert_eq!(moves(&json!({"annotations": {"karpenter.sh/do-not-disrupt": value}}), &[]), expected, "{value}");
    }
}

#[test]
fn a_budget_holds_a_pod_only_where_it_never_lets_go() {
    let of = |field: &str, amount: Value| {
        let mut spec = json!({"selector": {"matchLabels": {"app": "web"}}});
        spec[field] = amount;
        budget(&spec)
    };
    for (field, amount, expected) in [
        ("maxUnavailable", json!(0), false),
        ("maxUnavailable", json!("0%"), false),
        ("maxUnavailable", json!(1), true),
        ("minAvailable", json!("100%"), false),
        ("minAvailable", json!(1000), true),
    ] {
        assert_eq!(moves(&json!({}), &[of(field, amount.clone())]), expected, "{field} {amount}");
    }
    // two budgets: the eviction API refuses
    assert!(!moves(&json!({}), &[of("maxUnavailable", json!(1)), of("minAvailable", json!(1))]));
    // an empty selector is every pod of the namespace, none is no pod
    assert!(!moves(&json!({}), &[budget(&json!({"maxUnavailable": 0, "selector": {}}))]));
    assert!(moves(&json!({}), &[budget(&json!({"maxUnavailable": 0}))]));
}
