//! CapacityBuffers.

use serde_json::{Value, json};

use super::rig::{Rig, class, pod, pool};

fn template(cpu: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "PodTemplate",
        "metadata": {"name": "chunk", "namespace": "default", "generation": 4},
        "template": {"spec": {"containers": [{"name": "c", "image": "i", "resources": {"requests": {"cpu": cpu}}}]}},
    })
}

fn buffer(spec: &Value) -> Value {
    json!({
        "apiVersion": "autoscaling.x-k8s.io/v1beta1", "kind": "CapacityBuffer",
        "metadata": {"name": "room", "namespace": "default"}, "spec": spec,
    })
}

fn with(more: Vec<Value>) -> Rig {
    Rig::of([class(&json!({})), pool("default", json!({}))].into_iter().chain(more).collect())
}

fn conditions(rig: &Rig) -> [String; 2] {
    ["ReadyForProvisioning", "Provisioning"].map(|of| rig.condition("CapacityBuffer", "room", of).unwrap_or_default())
}

const KEPT: [&str; 2] = ["True/Resolved", "True/FitsExistingCapacity"];

fn two() -> Vec<Value> {
    vec![template("1500m"), buffer(&json!({"podTemplateRef": {"name": "chunk"}, "replicas": 2}))]
}

#[test]
fn room_is_launched_kept_and_launched_again_when_pods_take_it() {
    let mut rig = with(two());
    rig.pass(3);
    assert_eq!(rig.names("NodeClaim").len(), 2, "one chunk fits a node");
    assert_eq!(conditions(&rig)[1], "False/RequiresNewCapacity");
    rig.pass(60);
    assert_eq!(conditions(&rig), KEPT);
    let status = &rig.get("CapacityBuffer", "room")["status"];
    assert_eq!((&status["replicas"], &status["podTemplateGeneration"]), (&json!(2), &json!(4)));
    assert_eq!(status["podTemplateRef"]["name"], "chunk");
    rig.pass(600);
    assert_eq!(rig.names("Node").len(), 2, "nobody takes them for empty");
    // kube-scheduler binds a pod there at once
    let node = rig.names("Node").remove(0);
    let mut bound = pod("web", "1");
    bound["spec"]["nodeName"] = json!(node);
    bound["status"] = json!({"phase": "Running"});
    rig.put(bound);
    rig.pass(30);
    assert_eq!(rig.names("Node").len(), 3);
    assert_eq!(conditions(&rig), KEPT);
    // and when it ends there is one too many
    rig.delete("Pod", "web");
    rig.pass(60);
    assert_eq!(rig.names("Node").len(), 2);
}

#[test]
fn a_new_process_takes_no_node_away_before_it_knows_what_it_is_for() {
    let mut rig = with(two());
    rig.pass(60);
    let nodes = rig.names("Node");
    rig.restart();
    rig.pass(60);
    assert_eq!(rig.names("Node"), nodes);
    assert_eq!(conditions(&rig), KEPT);
}

#[test]
fn without_its_buffer_the_room_goes() {
    let mut rig = with(two());
    rig.pass(60);
    rig.delete("CapacityBuffer", "room");
    rig.pass(30);
    assert_eq!(rig.names("Node").len(), 0);
}

#[test]
fn nothing_is_decided_while_nothing_changes() {
    let mut rig = with(two());
    rig.pass(60);
    let decided = |rig: &Rig| rig.said.iter().filter(|said| said.to_string().starts_with("computed")).count();
    let before = decided(&rig);
    rig.pass(600);
    assert_eq!(decided(&rig), before);
}

#[test]
fn what_a_buffer_lacks_stands_in_its_conditions() {
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "default", "uid": "web"},
        "spec": {
            "replicas": 10, "selector": {},
            "template": {"spec": {"containers": [{"name": "c", "image": "i", "resources": {"requests": {"cpu": "100m"}}}]}},
        },
    });
    let of_web = |kind: &str| json!({"apiGroup": "apps", "kind": kind, "name": "web"});
    for (spec, objects, expected) in [
        (
            json!({"podTemplateRef": {"name": "chunk"}, "replicas": 1}),
            vec![],
            ["False/PodTemplateNotFound", "False/NotReadyForProvisioning"],
        ),
        (
            json!({"scalableRef": of_web("Deployment"), "percentage": 20}),
            vec![],
            ["False/ScalableRefNotFound", "False/NotReadyForProvisioning"],
        ),
        (
            json!({"scalableRef": of_web("DaemonSet"), "percentage": 20}),
            vec![],
            ["False/ResolutionFailed", "False/NotReadyForProvisioning"],
        ),
        (
            json!({"podTemplateRef": {"name": "chunk"}, "replicas": 0}),
            vec![template("1")],
            ["True/Resolved", "False/BufferEmpty"],
        ),
        (json!({"scalableRef": of_web("Deployment"), "percentage": 20}), vec![deployment], KEPT),
        (
            json!({"podTemplateRef": {"name": "chunk"}, "replicas": 1}),
            vec![template("300")],
            ["True/Resolved", "False/RequiresNewCapacity"],
        ),
    ] {
        let mut rig = with(objects);
        rig.put(buffer(&spec));
        rig.pass(60);
        assert_eq!(conditions(&rig), expected, "{spec}");
    }
}
