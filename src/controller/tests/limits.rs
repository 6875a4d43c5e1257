//! The limits of a pool hold for all that is there and all that is on its way.

use std::time::Duration;

use serde_json::{Value, json};

use super::rig::{Rig, SMALL, class, pod, pool};
use crate::api::labels;
use crate::controller::Said;

const LARGE: &str = "c-8x-amd64-linux";

/// A pod that has its node for itself, as far as others like it go.
fn alone(name: &str) -> Value {
    let mut pod = pod(name, "1");
    pod["spec"]["containers"][0]["ports"] = json!([{"containerPort": 80, "hostPort": 80}]);
    pod["metadata"]["ownerReferences"] =
        json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "rs", "controller": true}]);
    pod
}

/// The most NodeClaims that there are at a time.
fn most_claims(rig: &mut Rig, seconds: usize) -> usize {
    let mut most = 0;
    for _ in 0..seconds * 10 {
        while !rig.step().is_empty() {
            most = most.max(rig.names("NodeClaim").len());
        }
        rig.now += Duration::from_millis(100);
    }
    most
}

#[test]
fn old_and_new_nodes_of_several_commands_count_together() {
    let types = json!([
        {"key": labels::INSTANCE_TYPE, "operator": "In", "values": [SMALL, LARGE]},
        {"key": labels::CAPACITY_TYPE, "operator": "In", "values": ["on-demand"]},
    ]);
    let both = pool("default", json!({"template": {"spec": {"requirements": types}}}));
    let pods = [alone("a"), alone("b"), pod("first", "6"), pod("second", "6")];
    let mut rig = Rig::of([vec![class(&json!({})), both], pods.to_vec()].concat());
    rig.pass(120);
    assert_eq!(rig.names("Node").len(), 2);
    for fill in ["first", "second"] {
        rig.delete("Pod", fill);
    }
    let begun = |rig: &Rig| rig.said.iter().filter(|said| matches!(said, Said::Consolidating(_))).count();
    while begun(&rig) == 0 {
        if rig.step().is_empty() {
            rig.now += Duration::from_millis(100);
        }
    }
    assert_eq!(begun(&rig), 2, "at once: {:?}", rig.said);
    // before the second look
    rig.change("NodePool", "default", |pool| {
        pool["metadata"]["generation"] = json!(2);
        pool["spec"]["limits"] = json!({"nodes": "3"});
    });
    assert_eq!(most_claims(&mut rig, 600), 3, "{:?}", rig.said);
    let is_small = |node: &String| rig.get("Node", node)["metadata"]["labels"][labels::INSTANCE_TYPE] == SMALL;
    let nodes = rig.names("Node");
    assert!(nodes.len() == 2 && nodes.iter().all(is_small), "one after the other: {:?}", rig.said);
}

#[test]
fn a_claim_that_is_not_launched_yet_counts_as_the_largest_node_that_it_may_become() {
    let no_launch = json!({"packwright.dev/kwok-launch-error": "not today"});
    let limited = |cpu: u32| {
        let pool = pool("default", json!({"limits": {"cpu": cpu.to_string()}}));
        let mut rig = Rig::of(vec![class(&no_launch), pool, pod("a", "1500m")]);
        rig.pass(30);
        rig.put(pod("b", "1500m"));
        rig.pass(30);
        rig.names("NodeClaim").len()
    };
    assert_eq!([limited(3), limited(4)], [1, 2]);
}
