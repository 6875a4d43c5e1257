//! Registration, its health, and the hash by which claims know their template.

use serde_json::{Value, json};

use super::rig::{Rig, class, pod, pool};
use crate::api::labels;
use crate::controller::{GivenUp, Said};

const HEALTHY: &str = "NodeRegistrationHealthy";

fn health(rig: &Rig) -> String {
    rig.condition("NodePool", "default", HEALTHY).unwrap_or_default()
}

/// Nodes take longer than anybody waits for them.
fn never_registering() -> Value {
    let mut class = class(&json!({}));
    class["spec"] = json!({"nodeRegistrationDelay": "20m"});
    class
}

#[test]
fn a_node_that_registers_makes_its_pool_healthy() {
    let mut rig = Rig::of(vec![class(&json!({})), pool("default", json!({})), pod("web", "1")]);
    rig.settle();
    assert_eq!(health(&rig), "Unknown/AwaitingReconciliation");
    rig.pass(3);
    assert_eq!(health(&rig), "True/NodeRegistrationHealthy");
    assert_eq!(rig.get("NodePool", "default")["status"]["nodeClassObservedGeneration"], 1);
    rig.change("NodePool", "default", |pool| pool["metadata"]["generation"] = json!(2));
    rig.settle();
    assert_eq!(health(&rig), "Unknown/AwaitingReconciliation", "what was before says nothing of the new template");
    rig.restart();
    rig.settle();
    assert_eq!(health(&rig), "Unknown/AwaitingReconciliation", "nor does it for a new process");
}

#[test]
fn two_failures_among_four_make_a_pool_unhealthy_and_a_restart_forgets_none() {
    let mut rig = Rig::of(vec![never_registering(), pool("default", json!({})), pod("web", "1")]);
    rig.pass(16 * 60);
    let gave_up = |said: &&Said| matches!(said, Said::GaveUp { why: GivenUp::RegistrationTimeout, .. });
    assert_eq!(rig.said.iter().filter(gave_up).count(), 1);
    assert_eq!(health(&rig), "Unknown/AwaitingReconciliation", "one of four");
    rig.pass(16 * 60);
    assert_eq!(health(&rig), "False/RegistrationFailed");
    rig.restart();
    rig.settle();
    assert_eq!(health(&rig), "False/RegistrationFailed");
    rig.change("KWOKNodeClass", "default", |class| class["metadata"]["generation"] = json!(2));
    rig.settle();
    assert_eq!(health(&rig), "Unknown/AwaitingReconciliation", "another node class");
    rig.change("KWOKNodeClass", "default", |class| class["spec"] = json!({}));
    rig.pass(60);
    assert_eq!(health(&rig), "True/NodeRegistrationHealthy");
}

#[test]
fn launches_that_keep_failing_count_as_well() {
    let annotations = json!({ labels::KWOK_LAUNCH_ERROR: "UnauthorizedOperation" });
    let mut rig = Rig::of(vec![class(&annotations), pool("default", json!({})), pod("web", "1")]);
    rig.pass(11 * 60);
    assert_eq!(health(&rig), "False/LaunchFailed");
    // two that go well are not enough, the third pushes the first failure out
    rig.change("KWOKNodeClass", "default", |class| class["metadata"]["annotations"] = json!({}));
    rig.pass(70);
    assert_eq!(health(&rig), "False/LaunchFailed");
    for (pods, expected) in [(2, "False/LaunchFailed"), (3, "True/NodeRegistrationHealthy")] {
        rig.put(pod(&format!("more-{pods}"), "1500m"));
        rig.pass(70);
        assert_eq!(health(&rig), expected, "{pods}");
    }
}

#[test]
fn insufficient_capacity_says_nothing_of_a_pool() {
    let annotations = json!({ labels::KWOK_UNAVAILABLE: "*/*/*" });
    let mut rig = Rig::of(vec![class(&annotations), pool("default", json!({})), pod("web", "1")]);
    rig.pass(20 * 60);
    assert_eq!(health(&rig), "Unknown/AwaitingReconciliation");
}

#[test]
fn a_node_without_the_taint_of_its_birth_registers_and_that_is_said() {
    let mut rig = Rig::of(vec![never_registering(), pool("default", json!({})), pod("web", "1")]);
    rig.pass(3);
    let claim = rig.names("NodeClaim").remove(0);
    let id = rig.get("NodeClaim", &claim)["status"]["providerID"].clone();
    rig.put(json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": "bare"}, "spec": {"providerID": id},
        "status": {"conditions": [{"type": "Ready", "status": "True"}], "allocatable": {"cpu": "2", "pods": "10"}},
    }));
    rig.settle();
    assert_eq!(rig.condition("NodeClaim", &claim, "Registered").as_deref(), Some("True/Registered"));
    assert!(rig.said.iter().any(|said| matches!(said, Said::UnregisteredTaintMissing { claim: of } if **of == *claim)));
}

#[test]
fn pods_that_cannot_be_written_for_now_keep_no_other_from_being_let_in() {
    let mut objects = vec![class(&json!({})), pool("default", json!({}))];
    // those that mind where others are, are let in some at a time
    let minding = |name: &str, cpu: &str| {
        let mut pod = pod(name, cpu);
        pod["metadata"]["labels"] = json!({"app": "web"});
        pod["metadata"]["ownerReferences"] =
            json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "web", "controller": true}]);
        pod["spec"]["topologySpreadConstraints"] = json!([{
            "maxSkew": 100, "topologyKey": labels::HOSTNAME, "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": {"matchLabels": {"app": "web"}},
        }]);
        pod
    };
    objects.extend((0..70).map(|index| minding(&format!("stuck-{index:02}"), "50m")));
    objects.push(minding("web", "10m")); // the smallest has the last turn
    let mut rig = Rig::of(objects);
    (rig.failing, rig.is_asleep) = (Some("stuck"), true);
    rig.pass(20);
    let is_let_in = |name: &str| rig.get("Pod", name)["spec"]["tolerations"].is_array();
    assert!(is_let_in("web") && !is_let_in("stuck-00"));
}

#[test]
fn pools_and_their_claims_are_stamped_and_a_takeover_drifts_nothing() {
    let theirs = |name: &str, drifted: bool| {
        let conditions = if drifted {
            json!([{"type": "Drifted", "status": "True", "reason": "NodePoolDrifted", "message": "",
                "lastTransitionTime": "2026-01-01T00:00:00Z"}])
        } else {
            json!([])
        };
        json!({
            "apiVersion": "karpenter.sh/v1", "kind": "NodeClaim",
            "metadata": {
                "name": name, "labels": {labels::NODEPOOL: "default"},
                "annotations": {labels::NODEPOOL_HASH: "123", labels::NODEPOOL_HASH_VERSION: "v3"},
            },
            "spec": {
                "nodeClassRef": {"group": "karpenter.kwok.sh", "kind": "KWOKNodeClass", "name": "default"},
                "requirements": [],
            },
            "status": {"providerID": format!("kwok://{name}"), "conditions": conditions},
        })
    };
    let mut stamped = pool("default", json!({}));
    stamped["metadata"]["annotations"] = json!({labels::NODEPOOL_HASH: "123", labels::NODEPOOL_HASH_VERSION: "v3"});
    let mut rig = Rig::of(vec![class(&json!({})), stamped, theirs("same", false), theirs("drifted", true)]);
    rig.settle();
    let hash = |rig: &Rig, kind, name: &str| rig.annotation(kind, name, labels::NODEPOOL_HASH).unwrap().to_owned();
    let now = hash(&rig, "NodePool", "default");
    assert_ne!(now, "123");
    assert_eq!(hash(&rig, "NodeClaim", "same"), now);
    assert_eq!(hash(&rig, "NodeClaim", "drifted"), "123");
    for (kind, name) in [("NodePool", "default"), ("NodeClaim", "same"), ("NodeClaim", "drifted")] {
        assert_eq!(rig.annotation(kind, name, labels::NODEPOOL_HASH_VERSION), Some("packwright-v1"), "{kind} {name}");
    }
    // from now on a claim keeps the hash of the template that it was made from
    rig.change("NodePool", "default", |pool| {
        pool["metadata"]["generation"] = json!(2);
        pool["spec"]["template"]["metadata"] = json!({"labels": {"team": "red"}});
    });
    rig.settle();
    assert_ne!(hash(&rig, "NodePool", "default"), now);
    assert_eq!(hash(&rig, "NodeClaim", "same"), now);
    rig.put(pod("web", "1"));
    rig.pass(3);
    let of_new = rig.names("NodeClaim").into_iter().find(|name| name.starts_with("default-")).unwrap();
    assert_eq!(hash(&rig, "NodeClaim", &of_new), hash(&rig, "NodePool", "default"));
}

/// Dedicated nodes that a daemon prepares: the key of both taints is the same.
fn dedicated() -> Value {
    let taint = |effect: &str| json!([{"key": "dedicated", "value": "two", "effect": effect}]);
    let (taints, startup) = (taint("NoExecute"), taint("NoSchedule"));
    let mut pool = pool("default", json!({}));
    pool["spec"]["template"]["spec"]["taints"] = taints;
    pool["spec"]["template"]["spec"]["startupTaints"] = startup;
    pool
}

#[test]
fn a_startup_taint_is_one_of_that_effect() {
    let mut web = pod("web", "1");
    web["spec"]["tolerations"] = json!([{"key": "dedicated", "operator": "Exists"}]);
    let mut rig = Rig::of(vec![class(&json!({})), dedicated(), web]);
    rig.pass(10);
    let node = rig.names("Node").remove(0);
    assert_eq!(rig.condition("NodeClaim", &node, "Initialized").as_deref(), Some("Unknown/StartupTaintsExist"));
    rig.change("Node", &node, |node| {
        node["spec"]["taints"].as_array_mut().unwrap().retain(|taint| taint["effect"] != "NoSchedule");
    });
    rig.pass(10);
    assert_eq!(rig.condition("NodeClaim", &node, "Initialized").as_deref(), Some("True/Initialized"));
    assert_eq!(rig.get("Pod", "web")["spec"]["nodeName"], *node);
}
