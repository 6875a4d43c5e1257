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
fn a_budget_of_office_hours_holds_from_its_minute_to_its_minute() {
    let office = json!({"nodes": "0", "schedule": "0 9 * * mon-fri", "duration": "8h"});
    let disruption = json!({"disruption": {"consolidateAfter": "30s", "budgets": [office]}});
    let pods = ["early", "late"].map(|name| pod(name, "1500m"));
    let mut rig = Rig::of([vec![class(&json!({})), pool("default", disruption)], pods.to_vec()].concat());
    let until = |rig: &mut Rig, time: &str| {
        let at: jiff::Timestamp = format!("2026-01-01T{time}Z").parse().unwrap(); // a Thursday
        rig.pass(u64::try_from(at.duration_since(rig.now).as_secs()).unwrap());
    };
    until(&mut rig, "08:59:20");
    let [early, late] =
        ["early", "late"].map(|name| rig.get("Pod", name)["spec"]["nodeName"].as_str().unwrap().to_owned());
    rig.delete("Pod", "early");
    until(&mut rig, "08:59:35");
    rig.delete("Pod", "late");
    until(&mut rig, "08:59:59");
    assert!(rig.try_get("Node", &early).is_none_or(|_| is_closed(&rig, &early)), "its time came ten seconds before");
    until(&mut rig, "16:59:59");
    assert_eq!(
        (rig.names("Node"), is_closed(&rig, &late)),
        (vec![late.clone()], false),
        "its time came five seconds after"
    );
    until(&mut rig, "17:00:01");
    assert!(is_closed(&rig, &late));
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
