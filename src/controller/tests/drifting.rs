//! Nodes that are not what their pool asks for any more.

use serde_json::{Value, json};

use super::rig::{Rig, SMALL, class, pod, pool};
use crate::api::labels;
use crate::controller::Said;

/// A pool of which more is said, with a node; the name of its claim.
fn launched(more: Value) -> (Rig, String) {
    let mut rig = Rig::of(vec![class(&json!({})), pool("default", more), pod("web", "1")]);
    rig.pass(3);
    let claim = rig.names("NodeClaim").remove(0);
    (rig, claim)
}

/// Changes the pool, and what becomes of the claim.
fn drift(rig: &mut Rig, claim: &str, change: impl FnOnce(&mut Value)) -> Option<String> {
    rig.change("NodePool", "default", |pool| {
        change(&mut pool["spec"]);
        let generation = pool["metadata"]["generation"].as_i64().unwrap();
        pool["metadata"]["generation"] = json!(generation + 1);
    });
    rig.pass(1);
    rig.condition("NodeClaim", claim, "Drifted")
}

fn requires(key: &str, values: &[&str]) -> Value {
    json!({"key": key, "operator": "In", "values": values})
}

#[test]
fn a_changed_template_is_drift_until_it_is_changed_back() {
    let (mut rig, claim) = launched(json!({}));
    assert_eq!(rig.condition("NodeClaim", &claim, "Drifted"), None);
    let changed = drift(&mut rig, &claim, |spec| spec["template"]["metadata"] = json!({"labels": {"team": "a"}}));
    assert_eq!(changed.as_deref(), Some("True/NodePoolDrifted"));
    let back = drift(&mut rig, &claim, |spec| spec["template"]["metadata"] = json!({}));
    assert_eq!(back, None);
    let limits = drift(&mut rig, &claim, |spec| spec["limits"] = json!({"cpu": "100"}));
    assert_eq!(limits, None, "limits are no part of the template");
    let drifted = rig.said.iter().filter(|said| matches!(said, Said::Drifted { .. }));
    let told: Vec<String> = drifted.map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            format!("marked nodeclaim {claim} as drifted: NodePoolDrifted"),
            format!("nodeclaim {claim} is not drifted any more"),
        ]
    );
}

#[test]
fn requirements_drift_where_the_labels_of_the_claim_do_not_satisfy_them() {
    let (mut rig, claim) = launched(json!({}));
    let set = |of: Value| move |spec: &mut Value| spec["template"]["spec"]["requirements"] = of;
    let type_and = |of: Value| json!([requires(labels::INSTANCE_TYPE, &[SMALL]), of]);
    let wider = json!([requires(labels::INSTANCE_TYPE, &[SMALL, "c-4x-amd64-linux"])]);
    assert_eq!(drift(&mut rig, &claim, set(wider)), None);
    let other = json!([requires(labels::INSTANCE_TYPE, &["c-4x-amd64-linux"])]);
    assert_eq!(drift(&mut rig, &claim, set(other)).as_deref(), Some("True/RequirementsDrifted"));
    let unknown = type_and(requires("team", &["a"]));
    assert_eq!(
        drift(&mut rig, &claim, set(unknown)).as_deref(),
        Some("True/RequirementsDrifted"),
        "it has no such label"
    );
    let absent = type_and(json!({"key": "team", "operator": "NotIn", "values": ["a"]}));
    assert_eq!(drift(&mut rig, &claim, set(absent)), None);
}

#[test]
fn a_node_is_made_as_its_pool_asks() {
    let requirements = json!([requires(labels::INSTANCE_TYPE, &[SMALL]), requires("team", &["a", "b"])]);
    let (mut rig, claim) = launched(json!({"template": {"spec": {"requirements": requirements}}}));
    rig.pass(60);
    assert_eq!(rig.condition("NodeClaim", &claim, "Drifted"), None, "{}", rig.get("NodeClaim", &claim));
}

#[test]
fn a_type_that_is_not_sold_any_more_is_drift_after_an_hour() {
    let any = json!([requires(labels::ARCH, &["amd64"])]);
    let (mut rig, claim) = launched(json!({"template": {"spec": {"requirements": any}}}));
    rig.change("NodeClaim", &claim, |claim| claim["metadata"]["labels"][labels::INSTANCE_TYPE] = json!("no-such-type"));
    rig.pass(3_590);
    assert_eq!(rig.condition("NodeClaim", &claim, "Drifted"), None);
    rig.pass(10);
    assert_eq!(rig.condition("NodeClaim", &claim, "Drifted").as_deref(), Some("True/InstanceTypeNotFound"));
}

#[test]
fn who_made_a_claim_is_no_drift() {
    let (mut rig, claim) = launched(json!({}));
    rig.change("NodeClaim", &claim, |claim| {
        let annotations = &mut claim["metadata"]["annotations"];
        annotations[labels::NODEPOOL_HASH] = json!("12345");
        annotations[labels::NODEPOOL_HASH_VERSION] = json!("v3");
    });
    rig.pass(5);
    assert_eq!(rig.condition("NodeClaim", &claim, "Drifted"), None);
    let hash = |rig: &Rig, kind: &'static str, name: &str| {
        rig.annotation(kind, name, labels::NODEPOOL_HASH).map(str::to_owned)
    };
    assert_eq!(hash(&rig, "NodeClaim", &claim), hash(&rig, "NodePool", "default"), "it is stamped anew");
}

/// A node of an EC2NodeClass, and the name of its claim.
fn launched_of_ec2() -> (Rig, String) {
    let image =
        |id: &str| json!({"id": id, "requirements": [{"key": labels::ARCH, "operator": "In", "values": ["amd64"]}]});
    let class = json!({
        "apiVersion": "karpenter.k8s.aws/v1", "kind": "EC2NodeClass", "metadata": {"name": "default"},
        "spec": {"role": "node", "amiSelectorTerms": [{"alias": "al2023@latest"}],
            "subnetSelectorTerms": [{"id": "subnet-1"}], "securityGroupSelectorTerms": [{"id": "sg-1"}]},
        "status": {"amis": [image("ami-1")], "conditions": [{"type": "Ready", "status": "True", "reason": "Ready", "message": "",
            "observedGeneration": 1, "lastTransitionTime": "2024-01-01T01:01:01Z"}]},
    });
    let of_class = json!({"template": {"spec": {
        "nodeClassRef": {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "default"}}}});
    let mut rig = Rig::of(vec![class, pool("default", of_class), pod("web", "1")]);
    rig.pass(3);
    let claim = rig.names("NodeClaim").remove(0);
    (rig, claim)
}

#[test]
fn a_changed_class_is_drift_until_it_is_changed_back() {
    let (mut rig, claim) = launched_of_ec2();
    let hash = |rig: &Rig, kind: &'static str, name: &str| {
        rig.annotation(kind, name, labels::EC2_NODE_CLASS_HASH).map(str::to_owned)
    };
    assert!(hash(&rig, "NodeClaim", &claim).is_some());
    assert_eq!(hash(&rig, "NodeClaim", &claim), hash(&rig, "EC2NodeClass", "default"));
    let mut change = |field: &str, value: Value| {
        rig.change("EC2NodeClass", "default", |class| class["spec"][field] = value);
        rig.pass(1);
        rig.condition("NodeClaim", &claim, "Drifted")
    };
    assert_eq!(change("userData", json!("echo")).as_deref(), Some("True/NodeClassDrift"));
    assert_eq!(change("userData", json!(null)), None);
    assert_eq!(change("subnetSelectorTerms", json!([{"id": "subnet-2"}])), None, "what it selects counts, not how");
}

#[test]
fn another_image_of_the_class_is_drift_of_nodes_that_have_one() {
    let (mut rig, claim) = launched_of_ec2();
    rig.change("NodeClaim", &claim, |claim| claim["status"]["imageID"] = json!("ami-1"));
    rig.pass(1);
    assert_eq!(rig.condition("NodeClaim", &claim, "Drifted"), None);
    rig.change("EC2NodeClass", "default", |class| class["status"]["amis"][0]["id"] = json!("ami-2"));
    rig.pass(1);
    assert_eq!(rig.condition("NodeClaim", &claim, "Drifted").as_deref(), Some("True/AMIDrift"));
}

#[test]
fn who_made_a_claim_is_no_drift_of_its_class() {
    let (mut rig, claim) = launched_of_ec2();
    rig.change("NodeClaim", &claim, |claim| {
        let annotations = &mut claim["metadata"]["annotations"];
        annotations[labels::EC2_NODE_CLASS_HASH] = json!("12345");
        annotations[labels::EC2_NODE_CLASS_HASH_VERSION] = json!("v6");
    });
    rig.pass(5);
    assert_eq!(rig.condition("NodeClaim", &claim, "Drifted"), None);
    let hash = |kind: &'static str, name: &str| rig.annotation(kind, name, labels::EC2_NODE_CLASS_HASH);
    assert_eq!(hash("NodeClaim", &claim), hash("EC2NodeClass", "default"), "it is stamped anew");
}
