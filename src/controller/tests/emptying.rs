//! Nodes that nobody needs.

use serde_json::{Value, json};

use super::rig::{Rig, class, pod, pool};
use crate::api::labels;

/// One node whose pod has just gone.
fn emptied(disruption: &Value) -> (Rig, String) {
    let mut rig = Rig::of(vec![class(&json!({})), pool("default", json!({"disruption": disruption})), pod("web", "1")]);
    rig.pass(60);
    let node = rig.names("Node").remove(0);
    rig.delete("Pod", "web");
    (rig, node)
}

fn is_closed(rig: &Rig, node: &str) -> bool {
    let taints = rig.get("Node", node)["spec"]["taints"].as_array().cloned().unwrap_or_default();
    taints.iter().any(|taint| taint["key"] == labels::TAINT_DISRUPTED)
}

#[test]
fn an_empty_node_goes_when_its_time_has_come_and_not_before() {
    let (mut rig, node) = emptied(&json!({"consolidateAfter": "30s"}));
    rig.pass(29);
    assert!(!is_closed(&rig, &node), "it may get pods again");
    rig.pass(20);
    assert_eq!((rig.names("NodeClaim").len(), rig.names("Node").len()), (0, 0));
    assert!(rig.looks >= 1, "the API server was asked before");
}

#[test]
fn never_is_never_and_a_person_may_keep_a_node() {
    let (mut rig, node) = emptied(&json!({"consolidateAfter": "Never"}));
    rig.pass(3_600);
    assert!(!is_closed(&rig, &node));
    let (mut rig, node) = emptied(&json!({"consolidateAfter": "30s"}));
    rig.change("Node", &node, |node| node["metadata"]["annotations"][labels::DO_NOT_DISRUPT] = json!("true"));
    rig.pass(3_600);
    assert!(!is_closed(&rig, &node));
}

#[test]
fn a_pod_that_no_watch_has_shown_keeps_its_node() {
    let (mut rig, node) = emptied(&json!({"consolidateAfter": "30s"}));
    let mut unseen = pod("late", "1");
    unseen["spec"]["nodeName"] = json!(node);
    unseen["status"] = json!({"phase": "Running"});
    rig.put_unseen(unseen);
    rig.pass(60);
    assert_eq!(rig.names("NodeClaim"), std::slice::from_ref(&node), "the last look has shown it");
    assert!(!is_closed(&rig, &node), "it is open again");
}

#[test]
fn a_budget_that_ends_with_time_lets_nodes_go_then() {
    let budget = json!({"nodes": "0", "schedule": "0 0 * * *", "duration": "10m"});
    let (mut rig, node) = emptied(&json!({"consolidateAfter": "30s", "budgets": [budget]}));
    rig.pass(535);
    assert!(!is_closed(&rig, &node), "at 00:09:55");
    rig.pass(6);
    assert!(is_closed(&rig, &node), "at 00:10:01");
}

#[test]
fn a_claim_that_somebody_has_changed_is_not_deleted_as_it_was() {
    let (mut rig, node) = emptied(&json!({"consolidateAfter": "30s"}));
    for _ in 0..60 {
        if rig.condition("NodeClaim", &node, "DisruptionReason").is_none() {
            rig.pass(1);
        }
    }
    let mut claim = rig.get("NodeClaim", &node).clone();
    claim["metadata"]["annotations"]["example.com/kept"] = json!("true");
    rig.put_unseen(claim);
    rig.pass(5);
    assert_eq!(rig.names("NodeClaim"), std::slice::from_ref(&node), "it may be why it stays");
    rig.change("NodeClaim", &node, |_| {});
    rig.pass(60);
    assert_eq!(rig.names("NodeClaim").len(), 0, "it was not");
}
