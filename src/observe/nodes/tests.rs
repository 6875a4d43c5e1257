use serde_json::{Value, json};

use super::*;
use crate::observe::input::Origin;
use crate::observe::read::RawObject;

fn nodes(manifests: &[Value]) -> Vec<Node> {
    let raw = manifests.iter().map(|value| RawObject { origin: Origin::default(), value: value.clone() });
    let objects = Objects::collect(raw);
    let mut errors = Vec::new();
    let nodes = read_nodes(&objects, &mut errors);
    assert_eq!((objects.errors, errors), (vec![], vec![]));
    nodes
}

/// A Node with the labels, whose startup taint, ephemeral taint and own taint are still there.
fn node(labels: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1", "labels": labels}, "spec": {
        "providerID": "aws:///us-east-1a/i-1",
        "taints": [{"key": "own", "effect": "NoSchedule"}, {"key": "starting", "effect": "NoExecute"},
            {"key": "node.kubernetes.io/not-ready", "effect": "NoExecute"}]},
        "status": {"capacity": {"cpu": "2"}, "allocatable": {"cpu": "1900m", "nvidia.com/gpu": "0"}}})
}

fn claim(status: &Value) -> Value {
    json!({"apiVersion": "karpenter.sh/v1", "kind": "NodeClaim",
        "metadata": {"name": "general-x", "labels": {"karpenter.sh/nodepool": "general"}},
        "spec": {"nodeClassRef": {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "default"},
            "requirements": [{"key": "topology.kubernetes.io/zone", "operator": "In", "values": ["us-east-1a"]},
                {"key": "kubernetes.io/arch", "operator": "In", "values": ["amd64", "arm64"]}],
            "taints": [{"key": "own", "effect": "NoSchedule"}],
            "startupTaints": [{"key": "starting", "effect": "NoExecute"}]},
        "status": status})
}

fn launched() -> Value {
    json!({"providerID": "aws:///us-east-1a/i-1", "nodeName": "n1",
        "allocatable": {"cpu": "1800m", "nvidia.com/gpu": "1", "memory": "1Gi"}})
}

fn taints(node: &Node) -> Vec<&str> {
    node.taints.iter().map(|taint| &*taint.key).collect()
}

#[test]
fn a_claim_without_node_is_in_flight_with_what_it_requires() {
    let read = nodes(&[claim(&json!({"allocatable": {"cpu": "4"}}))]);
    let only = &read[0];
    assert_eq!((&*only.name, only.stage, only.pool.as_deref()), ("general-x", NodeStage::InFlight, Some("general")));
    assert_eq!(only.label(labels::ZONE), Some("us-east-1a"));
    assert_eq!(only.label(labels::ARCH), None, "two values are open");
    assert_eq!((only.allocatable.to_string().as_str(), taints(only)), ("cpu 4", vec!["own"]));
}

#[test]
fn a_node_and_its_claim_are_one() {
    let read = nodes(&[node(&json!({"karpenter.sh/registered": "true"})), claim(&launched())]);
    assert_eq!(read.len(), 1);
    assert_eq!((&*read[0].name, read[0].claim.as_deref()), ("n1", Some("general-x")));
    // by name where the Node has no provider id
    let mut unnamed = node(&json!({}));
    unnamed["spec"].as_object_mut().unwrap().remove("providerID");
    assert_eq!(nodes(&[unnamed, claim(&launched())]).len(), 1);
}

#[test]
fn until_initialized_startup_taints_do_not_count_and_the_claim_fills_gaps() {
    let registered = json!({"karpenter.sh/registered": "true"});
    let read = nodes(&[node(&registered), claim(&launched())]);
    assert_eq!((read[0].stage, taints(&read[0])), (NodeStage::Registered, vec!["own"]));
    assert_eq!(read[0].allocatable.to_string(), "cpu 1900m, memory 1Gi, nvidia.com/gpu 1");

    let initialized = json!({"karpenter.sh/registered": "true", "karpenter.sh/initialized": "true"});
    let read = nodes(&[node(&initialized), claim(&launched())]);
    let all = vec!["own", "starting", "node.kubernetes.io/not-ready"];
    assert_eq!((read[0].stage, taints(&read[0])), (NodeStage::Initialized, all.clone()));
    assert_eq!(read[0].allocatable.get("nvidia.com/gpu"), 0);
    // a node that nobody manages is taken as it is
    let read = nodes(&[node(&json!({}))]);
    assert_eq!((read[0].stage, taints(&read[0]), read[0].pool.as_deref()), (NodeStage::Initialized, all, None));
}

#[test]
fn before_registration_the_claim_says_which_labels_and_taints_will_be() {
    let read = nodes(&[node(&json!({})), claim(&launched())]);
    assert_eq!((read[0].stage, read[0].pool.as_deref()), (NodeStage::Registered, Some("general")));
    assert_eq!((read[0].label(labels::ZONE), taints(&read[0])), (Some("us-east-1a"), vec!["own"]));
}

#[test]
fn what_is_being_removed_is_deleting() {
    let deleting = |manifests: &[Value]| nodes(manifests)[0].deleting;
    assert!(!deleting(&[node(&json!({})), claim(&launched())]));
    let mut gone = node(&json!({}));
    gone["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    assert!(deleting(&[gone]));
    let mut disrupted = node(&json!({}));
    disrupted["spec"]["taints"] = json!([{"key": "karpenter.sh/disrupted", "effect": "NoSchedule"}]);
    assert!(deleting(&[disrupted]));
    let mut claim = claim(&launched());
    claim["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    assert!(deleting(&[node(&json!({})), claim]));
}

#[test]
fn a_cordon_is_a_taint_and_drivers_limit_attachments() {
    let mut cordoned = node(&json!({}));
    cordoned["spec"] = json!({"unschedulable": true});
    let csi_node = json!({"apiVersion": "storage.k8s.io/v1", "kind": "CSINode", "metadata": {"name": "n1"}, "spec":
        {"drivers": [{"name": "ebs.csi.aws.com", "nodeID": "i-1", "allocatable": {"count": 25}},
            {"name": "efs.csi.aws.com", "nodeID": "i-1"}]}});
    let read = nodes(&[cordoned, csi_node]);
    assert_eq!(taints(&read[0]), ["node.kubernetes.io/unschedulable"]);
    assert_eq!(read[0].attach_limits, BTreeMap::from([(Arc::from("ebs.csi.aws.com"), 25)]));
}

#[test]
fn a_node_that_is_reserved_for_planned_pods_is_as_open_as_it_will_be() {
    let mut reserved = node(&json!({}));
    reserved["spec"] = json!({"taints": [{"key": labels::PLANNED, "value": "general-x", "effect": "NoSchedule"}]});
    assert_eq!(taints(&nodes(&[reserved])[0]), [""; 0]);
    let mut cordoned = node(&json!({}));
    cordoned["spec"] = json!({
        "unschedulable": true, "taints": [{"key": labels::TAINT_UNSCHEDULABLE, "effect": "NoSchedule"}],
    });
    assert_eq!(taints(&nodes(&[cordoned.clone()])[0]), [labels::TAINT_UNSCHEDULABLE], "by a person");
    cordoned["metadata"]["annotations"] = json!({labels::CORDONED_AT: "2026-01-01T00:00:00Z"});
    assert_eq!(taints(&nodes(&[cordoned])[0]), [""; 0]);
}
