use serde_json::{Value, json};

use super::*;
use crate::observe::input::Origin;
use crate::observe::read::RawObject;

fn nodes(manifests: &[Value]) -> Vec<Node> {
    let raw = manifests.iter().map(|value| RawObject { origin: Origin::default(), value: value.clone() });
    let objects = Objects::collect(raw);
    let mut errors = Vec::new();
    let nodes = read_nodes(&objects, &mut errors, &mut Memory::default());
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

#[test]
fn a_claim_and_its_node_say_when_the_node_may_go() {
    let condition = |kind: &str, reason: &str, since: &str| json!({"type": kind, "status": "True", "reason": reason, "message": "", "lastTransitionTime": since});
    let mut claim = claim(&launched());
    claim["metadata"]["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
    claim["spec"]["expireAfter"] = json!("720h");
    claim["spec"]["terminationGracePeriod"] = json!("1h");
    let read = |claim: &Value, node: &Value| nodes(&[node.clone(), claim.clone()])[0].disruption.clone();
    let at = |time: &str| Some(time.parse::<jiff::Timestamp>().unwrap());
    let bare = read(&claim, &node(&json!({})));
    let expected = NodeDisruption {
        expires_at: at("2026-01-31T00:00:00Z"),
        termination_grace_period_seconds: Some(3_600),
        idle_since: at("2026-01-01T00:00:00Z"),
        ..NodeDisruption::default()
    };
    assert_eq!(bare, expected, "nothing is said of its pods, and it is taken to be ready");
    claim["spec"]["expireAfter"] = json!("Never");
    claim["status"]["conditions"] = json!([
        condition("Initialized", "Initialized", "2026-01-01T00:05:00Z"),
        condition("Drifted", "NodePoolDrifted", "2026-01-02T00:00:00Z"),
        condition("InstanceTerminating", "InstanceTerminating", "2026-01-02T00:00:00Z"),
    ]);
    let mut unready = node(&json!({}));
    unready["metadata"]["annotations"] = json!({labels::DO_NOT_DISRUPT: "true"});
    unready["status"]["conditions"] = json!([{"type": "Ready", "status": "Unknown"}]);
    let said = read(&claim, &unready);
    assert_eq!((said.expires_at, said.idle_since), (None, at("2026-01-01T00:05:00Z")));
    let drifted = said.drifted.map(|of| (of.reason.to_string(), Some(of.since)));
    assert_eq!(drifted, Some(("NodePoolDrifted".to_owned(), at("2026-01-02T00:00:00Z"))));
    assert!(said.do_not_disrupt && said.not_ready && said.instance_terminating);
    claim["status"]["lastPodEventTime"] = json!("2026-01-03T00:00:00Z");
    assert_eq!(read(&claim, &unready).idle_since, at("2026-01-03T00:00:00Z"));
}

#[test]
fn an_age_that_cannot_be_read_is_an_error_and_the_node_stays() {
    let mut claim = claim(&launched());
    claim["metadata"]["uid"] = json!("of a cluster");
    claim["spec"]["expireAfter"] = json!("a month");
    let raw = [node(&json!({})), claim].map(|value| RawObject { origin: Origin::default(), value });
    let mut errors = Vec::new();
    let read = read_nodes(&Objects::collect(raw), &mut errors, &mut Memory::default());
    assert_eq!((read.len(), read[0].disruption.expires_at), (1, None));
    let expected = "expected one such as 30s, 5m or 720h, or Never";
    assert_eq!(errors.len(), 1);
    let error = errors[0].to_string();
    assert!(error.contains("NodeClaim general-x: spec.expireAfter: ") && error.ends_with(expected), "{error}");
}
