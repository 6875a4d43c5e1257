//! The age of nodes.

use serde_json::{Value, json};

use super::rig::{Rig, class, pod, pool};
use crate::controller::Said;

/// A pool that lets no node be disrupted, with a node that has a pod.
fn aging(expire_after: &str) -> Rig {
    let more = json!({
        "template": {"spec": {"expireAfter": expire_after}}, "disruption": {"budgets": [{"nodes": "0"}]},
    });
    let mut rig = Rig::of(vec![class(&json!({})), pool("default", more), pod("web", "1")]);
    rig.pass(3);
    rig
}

fn expired(rig: &Rig) -> usize {
    rig.said.iter().filter(|said| matches!(said, Said::Expired { .. })).count()
}

#[test]
fn a_node_goes_at_its_age_without_a_budget_and_its_pods_are_planned_anew() {
    let mut rig = aging("1h");
    let first = rig.names("Node").remove(0);
    rig.change("Pod", "web", |pod| pod["metadata"]["finalizers"] = json!(["test/stays"]));
    rig.pass(3_590);
    assert!(rig.get("NodeClaim", &first)["metadata"]["deletionTimestamp"].is_null(), "ten seconds too young");
    rig.pass(10);
    assert!(!rig.get("NodeClaim", &first)["metadata"]["deletionTimestamp"].is_null());
    assert_eq!(expired(&rig), 1);
    rig.change("Pod", "web", |pod| pod["metadata"]["finalizers"] = Value::Null);
    rig.delete("Pod", "web");
    rig.put(pod("again", "1"));
    rig.pass(20);
    let nodes = rig.names("Node");
    assert_eq!(nodes.len(), 1);
    assert_ne!(nodes[0], first);
}

#[test]
fn never_is_never() {
    let mut rig = aging("Never");
    rig.pass(2 * 3_600);
    assert_eq!((expired(&rig), rig.names("Node").len()), (0, 1));
}
