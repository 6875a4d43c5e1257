//! Nodes that have not been ready for too long.

use serde_json::{Value, json};

use super::rig::{Rig, class, pod, pool};
use crate::api::labels;
use crate::controller::{ControllerSettings, Said};

/// As many nodes as said, each with a pod that nothing is to disrupt.
fn running(nodes: usize, disruption: &Value) -> Rig {
    let mut objects = vec![class(&json!({})), pool("default", json!({"disruption": disruption}))];
    for index in 0..nodes {
        let mut pod = pod(&format!("web-{index}"), "1500m");
        pod["metadata"]["annotations"] = json!({labels::DO_NOT_DISRUPT: "true"});
        objects.push(pod);
    }
    let mut rig = Rig::of(objects);
    rig.pass(5);
    assert_eq!(rig.names("Node").len(), nodes);
    rig
}

fn set_ready(rig: &mut Rig, node: &str, status: &str) {
    let now = rig.now.to_string();
    rig.change("Node", node, |node| {
        let conditions = node["status"]["conditions"].as_array_mut().unwrap();
        let ready = conditions.iter_mut().find(|of| of["type"] == "Ready").unwrap();
        ready["status"] = json!(status);
        ready["lastTransitionTime"] = json!(now);
    });
}

fn unhealthy(rig: &Rig) -> usize {
    rig.said.iter().filter(|said| matches!(said, Said::Unhealthy { .. })).count()
}

#[test]
fn a_node_that_is_not_ready_for_ten_minutes_goes_without_a_drain() {
    for status in ["False", "Unknown"] {
        let mut rig = running(1, &json!({}));
        let node = rig.names("Node").remove(0);
        set_ready(&mut rig, &node, status);
        rig.pass(599);
        assert_eq!((unhealthy(&rig), rig.names("Pod").len()), (0, 1), "{status}");
        rig.pass(20);
        assert_eq!((unhealthy(&rig), rig.names("Pod").len(), rig.names("Node").len()), (1, 0, 0), "{status}");
    }
}

#[test]
fn one_that_is_ready_again_stays() {
    let mut rig = running(1, &json!({}));
    let node = rig.names("Node").remove(0);
    set_ready(&mut rig, &node, "False");
    rig.pass(590);
    set_ready(&mut rig, &node, "True");
    rig.pass(1_200);
    assert_eq!((unhealthy(&rig), rig.names("Node").len()), (0, 1));
    assert_eq!(rig.annotation("NodeClaim", &node, labels::TERMINATION_TIMESTAMP), None);
}

#[test]
fn where_many_are_not_ready_none_is_repaired() {
    let mut rig = running(2, &json!({}));
    let nodes = rig.names("Node");
    for node in &nodes {
        set_ready(&mut rig, node, "False");
    }
    rig.pass(1_200);
    assert_eq!((unhealthy(&rig), rig.names("Node").len()), (0, 2));
    let why = "more than 20% of the nodes of nodepool default are unhealthy: 2 of 2";
    assert!(rig.said.iter().any(|said| matches!(said, Said::RepairBlocked { why: told, .. } if told == why)));
    set_ready(&mut rig, &nodes[0], "True");
    rig.pass(301);
    assert_eq!((unhealthy(&rig), rig.names("Node")), (1, vec![nodes[0].clone()]));
}

#[test]
fn budgets_that_name_it_hold_it_and_others_do_not() {
    let zero = |reasons: Value| json!({"budgets": [{"nodes": "0", "reasons": reasons}]});
    for (reasons, expected) in [(json!(["Unhealthy"]), 0), (json!(["Drifted"]), 1), (json!([]), 1)] {
        let mut rig = running(1, &zero(reasons.clone()));
        let node = rig.names("Node").remove(0);
        set_ready(&mut rig, &node, "False");
        rig.pass(700);
        assert_eq!(unhealthy(&rig), expected, "{reasons}");
    }
}

#[test]
fn without_its_gate_nothing_is_repaired() {
    let objects = vec![class(&json!({})), pool("default", json!({})), pod("web", "1")];
    let mut rig = Rig::new(ControllerSettings::default(), objects);
    rig.pass(5);
    let node = rig.names("Node").remove(0);
    set_ready(&mut rig, &node, "False");
    rig.pass(1_200);
    assert_eq!((unhealthy(&rig), rig.names("Node").len()), (0, 1));
}
