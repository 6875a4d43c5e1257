//! From claims to instances, and what happens where there are none.

use std::time::Duration;

use serde_json::{Value, json};

use super::rig::{Rig, SMALL, class, pod, pool};
use crate::api::labels;
use crate::controller::{GivenUp, Said};
use crate::placement::ClaimPlan;

fn with_faults(annotations: &Value) -> Rig {
    Rig::of(vec![class(annotations), pool("default", json!({})), pod("web", "1")])
}

fn zone_of(rig: &Rig, claim: &str) -> String {
    rig.get("NodeClaim", claim)["metadata"]["labels"][labels::ZONE].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_pod_gets_a_node() {
    let mut rig = with_faults(&json!({}));
    rig.pass(3);
    let [claim] = &rig.names("NodeClaim")[..] else { panic!("{:?}", rig.names("NodeClaim")) };
    assert_eq!(rig.condition("NodeClaim", claim, "Ready").as_deref(), Some("True/Ready"));
    assert_eq!(rig.names("Node"), std::slice::from_ref(claim));
}

/// Of replicas that come at once kube-scheduler has tried only some when a batch is closed; and controllers make the pods, we do not.
#[test]
fn pods_that_nobody_has_tried_are_planned_with_those_that_are_like_them() {
    let mut rig = with_faults(&json!({}));
    let untried = |name: &str, cpu: &str| {
        let mut pod = pod(name, cpu);
        pod["status"] = json!({"phase": "Pending"});
        pod
    };
    rig.put(untried("alike", "1"));
    rig.put(untried("another", "2"));
    rig.put(json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "set", "namespace": "default"},
        "spec": {"replicas": 9, "selector": {"matchLabels": {"app": "set"}}, "template": {
            "metadata": {"labels": {"app": "set"}}, "spec": {"containers": [{"name": "c", "image": "i"}]},
        }},
    }));
    rig.pass(3);
    let plan_of = |claim: &String| {
        let annotation = rig.get("NodeClaim", claim)["metadata"]["annotations"][labels::PLANNED_PODS].clone();
        ClaimPlan::from_annotation(annotation.as_str().unwrap()).unwrap().pods
    };
    let mut planned: Vec<String> =
        rig.names("NodeClaim").iter().flat_map(plan_of).map(|pod| pod.name.to_string()).collect();
    planned.sort();
    assert_eq!(planned, ["alike", "web"]);
}

#[test]
fn what_cannot_be_had_is_avoided_for_three_minutes_and_its_pods_are_planned_at_once() {
    let of_spot = format!("{SMALL}/*/spot");
    let mut rig = with_faults(&json!({ labels::KWOK_UNAVAILABLE: of_spot }));
    rig.pass(4);
    assert!(rig.requests.iter().any(|request| request.ends_with("/spot")), "{:?}", rig.requests);
    let gave_up = |said: &&Said| matches!(said, Said::GaveUp { why: GivenUp::InsufficientCapacity, reason, .. } if reason.contains(SMALL));
    assert_eq!(rig.said.iter().filter(gave_up).count(), 1, "{:?}", rig.said);
    let [claim] = &rig.names("NodeClaim")[..] else { panic!("{:?}", rig.names("NodeClaim")) };
    let launched = rig.get("NodeClaim", claim)["metadata"]["labels"][labels::CAPACITY_TYPE].clone();
    assert_eq!(launched, "on-demand", "within four seconds");
    // two minutes later spot is still not asked for; after the third it is
    for (seconds, expected) in [(120, "on-demand"), (61, "spot")] {
        rig.requests.clear();
        rig.pass(seconds);
        rig.put(pod(&format!("after-{seconds}"), "1500m"));
        rig.pass(2);
        assert!(rig.requests[0].ends_with(expected), "{seconds}: {:?}", rig.requests);
    }
}

#[test]
fn zones_that_cannot_be_had_are_left_to_others() {
    let mut rig =
        with_faults(&json!({ labels::KWOK_UNAVAILABLE: "*/test-zone-a/*, */test-zone-b/*, */test-zone-c/*" }));
    rig.pass(4);
    let [claim] = &rig.names("NodeClaim")[..] else { panic!("{:?}", rig.names("NodeClaim")) };
    assert_eq!(zone_of(&rig, claim), "test-zone-d");
}

#[test]
fn where_nothing_can_be_had_pods_wait_and_are_planned_again() {
    let mut rig = with_faults(&json!({ labels::KWOK_UNAVAILABLE: "*/*/*" }));
    rig.pass(30);
    assert_eq!(rig.names("NodeClaim"), Vec::<String>::new());
    assert!(rig.said.iter().any(|said| matches!(said, Said::FailedScheduling { .. })));
    assert_eq!(rig.requests.len(), 2, "spot, then on-demand: {:?}", rig.requests);
}

#[test]
fn a_launch_that_fails_is_tried_again_with_growing_pauses_and_given_up_after_five_minutes() {
    let mut rig = with_faults(&json!({ labels::KWOK_LAUNCH_ERROR: "UnauthorizedOperation" }));
    rig.pass(60);
    let claim = rig.names("NodeClaim").remove(0);
    assert_eq!(rig.condition("NodeClaim", &claim, "Launched").as_deref(), Some("Unknown/LaunchFailed"));
    let asked = rig.requests.len();
    assert!((5..=8).contains(&asked), "1, 2, 4, 8, 16, 32 s: {asked}");
    rig.pass(250);
    let gave_up = rig.said.iter().find_map(|said| match said {
        Said::GaveUp { claim: of, why, reason } if **of == *claim => Some((*why, reason.clone())),
        _ => None,
    });
    let (why, reason) = gave_up.unwrap();
    assert_eq!(why, GivenUp::LaunchTimeout);
    assert!(reason.contains("UnauthorizedOperation"), "{reason}");
    assert!(!rig.names("NodeClaim").contains(&claim), "its pods are planned anew");
}

#[test]
fn an_annotation_that_nobody_understands_fails_launches_and_is_named() {
    let mut rig = with_faults(&json!({ labels::KWOK_UNAVAILABLE: "c5.large" }));
    rig.pass(3);
    let claim = rig.names("NodeClaim").remove(0);
    let conditions = rig.get("NodeClaim", &claim)["status"]["conditions"].to_string();
    assert!(conditions.contains("KWOKNodeClass default: annotation packwright.dev/kwok-unavailable"), "{conditions}");
    assert_eq!(rig.requests.len(), 0);
}

#[test]
fn a_node_comes_as_late_as_its_class_says() {
    let mut slow = class(&json!({}));
    slow["spec"] = json!({"nodeRegistrationDelay": "40s"});
    let mut rig = Rig::of(vec![slow, pool("default", json!({})), pod("web", "1")]);
    rig.pass(35);
    assert_eq!((rig.names("NodeClaim").len(), rig.names("Node").len()), (1, 0));
    rig.pass(10);
    assert_eq!(rig.names("Node").len(), 1);
}

fn alone(more: &Value) -> Value {
    let mut claim = json!({
        "apiVersion": "karpenter.sh/v1", "kind": "NodeClaim", "metadata": {"name": "mine"},
        "spec": {
            "nodeClassRef": {"group": "karpenter.kwok.sh", "kind": "KWOKNodeClass", "name": "default"},
            "requirements": [
                {"key": labels::INSTANCE_TYPE, "operator": "In", "values": [SMALL, "m-4x-amd64-linux"]},
                {"key": labels::CAPACITY_TYPE, "operator": "In", "values": ["on-demand"]},
                {"key": "team", "operator": "In", "values": ["red"]},
            ],
            "resources": {"requests": {"cpu": "3"}},
        },
    });
    for (field, value) in more.as_object().unwrap() {
        claim[field] = value.clone();
    }
    claim
}

#[test]
fn a_claim_that_a_person_made_is_launched_and_ends_like_others() {
    let mut rig = Rig::of(vec![class(&json!({})), alone(&json!({}))]);
    rig.pass(3);
    assert_eq!(rig.condition("NodeClaim", "mine", "Ready").as_deref(), Some("True/Ready"));
    let node = rig.get("Node", "mine");
    let label = |key: &str| node["metadata"]["labels"][key].as_str().unwrap_or_default().to_owned();
    assert_eq!(label(labels::INSTANCE_TYPE), "m-4x-amd64-linux", "what its requests need");
    assert_eq!((label(labels::CAPACITY_TYPE), label("team")), ("on-demand".to_owned(), "red".to_owned()));
    assert_eq!(label("karpenter.kwok.sh/kwoknodeclass"), "default");
    rig.pass(3_600);
    assert_eq!(rig.names("Node"), ["mine"], "nobody takes it for empty");
    rig.delete("NodeClaim", "mine");
    rig.pass(10);
    assert_eq!((rig.names("Node").len(), rig.names("NodeClaim").len()), (0, 0));
}

#[test]
fn claims_without_plan_are_ours_where_nobody_else_can_look_after_them() {
    let of_pool = json!({"name": "mine", "labels": {labels::NODEPOOL: "default"}});
    let with_id = |id: &str| json!({"providerID": id});
    for (name, more, expected) in [
        ("a person's", json!({}), true),
        ("another provisioner's that is not launched", json!({"metadata": of_pool}), false),
        ("of our cloud", json!({"metadata": of_pool, "status": with_id("kwok://mine")}), true),
        ("of another cloud", json!({"metadata": of_pool, "status": with_id("aws:///us-east-1a/i-1")}), false),
        ("a person's, of another cloud", json!({"status": with_id("aws:///us-east-1a/i-1")}), false),
    ] {
        let mut rig = Rig::of(vec![class(&json!({})), pool("default", json!({})), alone(&more)]);
        rig.settle();
        let has_plan = rig.annotation("NodeClaim", "mine", labels::PLANNED_PODS) == Some("{}");
        let finalizers = rig.get("NodeClaim", "mine")["metadata"]["finalizers"].to_string();
        assert_eq!((has_plan, finalizers.contains("karpenter.sh/termination")), (expected, expected), "{name}");
    }
}

#[test]
fn a_claim_that_whoever_made_it_leaves_without_instance_is_given_up_as_ours_are() {
    let of_pool = json!({
        "name": "mine", "labels": {labels::NODEPOOL: "default"}, "finalizers": ["karpenter.sh/termination"],
    });
    let world = || vec![class(&json!({})), pool("default", json!({})), alone(&json!({"metadata": of_pool}))];
    let mut rig = Rig::of(world());
    rig.pass(290);
    assert_eq!(rig.names("NodeClaim"), ["mine"], "it may be about to be launched");
    assert_eq!(rig.annotation("NodeClaim", "mine", labels::PLANNED_PODS), None);
    rig.pass(20);
    assert_eq!(rig.names("NodeClaim"), Vec::<String>::new());
    let gave_up =
        |said: &Said| matches!(said, Said::GaveUp { why: GivenUp::LaunchTimeout, claim, .. } if **claim == *"mine");
    assert_eq!(rig.said.iter().filter(|said| gave_up(said)).count(), 1, "{:?}", rig.said);
    assert_eq!(rig.requests, Vec::<String>::new(), "nothing is bought for it");

    let mut rig = Rig::of(world());
    rig.pass(10);
    rig.delete("NodeClaim", "mine");
    rig.pass(10);
    assert_eq!(rig.names("NodeClaim"), Vec::<String>::new(), "nobody else would let it go");
}

#[test]
fn a_claim_that_goes_already_is_ended_whoever_made_it() {
    let gone = json!({
        "name": "mine", "finalizers": ["karpenter.sh/termination"], "deletionTimestamp": "2025-12-31T23:59:00Z",
    });
    let mut rig =
        Rig::of(vec![class(&json!({})), alone(&json!({"metadata": gone, "status": {"providerID": "kwok://mine"}}))]);
    rig.pass(10);
    assert_eq!(rig.names("NodeClaim"), Vec::<String>::new());
}

#[test]
fn a_node_that_comes_with_the_instance_of_a_claim_is_its_node() {
    let mut rig = Rig::of(vec![
        class(&json!({})),
        alone(&json!({"status": {
            "providerID": "kwok://elsewhere",
            "conditions": [{
                "type": "Launched", "status": "True", "reason": "Launched", "message": "",
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            }],
        }})),
    ]);
    rig.now += Duration::from_secs(5);
    rig.put(json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": "other-name"},
        "spec": {"providerID": "kwok://elsewhere", "taints": [{"key": labels::TAINT_UNREGISTERED, "effect": "NoExecute"}]},
        "status": {"conditions": [{"type": "Ready", "status": "True"}], "allocatable": {"cpu": "4"}},
    }));
    rig.pass(2);
    assert_eq!(rig.get("NodeClaim", "mine")["status"]["nodeName"], "other-name");
    assert_eq!(rig.get("Node", "other-name")["metadata"]["ownerReferences"][0]["name"], "mine");
}

#[test]
fn pods_that_waited_for_a_pool_are_planned_once_it_is_there() {
    let mut rig = Rig::of(vec![class(&json!({})), pod("web", "1")]);
    rig.pass(4);
    assert_eq!(rig.names("NodeClaim"), Vec::<String>::new(), "there is nothing to launch from");
    rig.put(pool("default", json!({})));
    rig.pass(3);
    assert_eq!(rig.names("NodeClaim").len(), 1, "it is not ten seconds after the first try");
}
