//! The end of nodes: volumes, and what claims say of it.

use serde_json::{Value, json};

use super::rig::{Rig, class, pod, pool};
use crate::api::labels;
use crate::controller::Said;

/// One node with a pod of a volume, deleted ten seconds ago; `grace`: `terminationGracePeriod`.
fn going(grace: Option<&str>, more: Vec<Value>) -> (Rig, String) {
    let mut template = json!({"template": {"spec": {}}});
    if let Some(grace) = grace {
        template["template"]["spec"]["terminationGracePeriod"] = json!(grace);
    }
    let mut rig = Rig::of(vec![class(&json!({})), pool("default", template), pod("db", "1")]);
    rig.pass(3);
    let node = rig.names("Node").remove(0);
    rig.change("Pod", "db", |pod| {
        pod["spec"]["nodeName"] = json!(node);
        pod["spec"]["volumes"] = json!([{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]);
        pod["status"] = json!({"phase": "Running"});
    });
    rig.put(json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data", "namespace": "default"},
        "spec": {"volumeName": "pv-data"},
    }));
    rig.put(attachment("a-data", &node, "pv-data"));
    for object in more {
        rig.put(object);
    }
    rig.delete("NodeClaim", &node);
    rig.pass(10);
    (rig, node)
}

fn attachment(name: &str, node: &str, volume: &str) -> Value {
    json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "VolumeAttachment", "metadata": {"name": name},
        "spec": {"attacher": "ebs.csi.aws.com", "nodeName": node, "source": {"persistentVolumeName": volume}},
    })
}

fn conditions(rig: &Rig, claim: &str) -> [String; 2] {
    ["Drained", "VolumesDetached"].map(|of| rig.condition("NodeClaim", claim, of).unwrap_or_default())
}

fn terminations(rig: &Rig) -> usize {
    rig.requests.iter().filter(|request| request.starts_with("terminate")).count()
}

#[test]
fn an_instance_ends_once_its_volumes_are_detached() {
    let (mut rig, node) = going(None, vec![]);
    assert_eq!(rig.names("Pod"), Vec::<String>::new());
    assert_eq!(conditions(&rig, &node), ["True/Drained", "Unknown/AwaitingVolumeDetachment"]);
    assert_eq!(terminations(&rig), 0);
    rig.pass(3_600);
    assert_eq!(terminations(&rig), 0, "however long it takes");
    rig.put(attachment("elsewhere", "another-node", "pv-data"));
    rig.delete("VolumeAttachment", "a-data");
    rig.pass(1);
    assert_eq!(terminations(&rig), 1);
    assert_eq!((rig.names("Node").len(), rig.names("NodeClaim").len()), (0, 0));
}

#[test]
fn volumes_are_not_waited_for_beyond_the_grace_period() {
    let (mut rig, node) = going(Some("60s"), vec![]);
    assert_eq!(conditions(&rig, &node), ["True/Drained", "Unknown/AwaitingVolumeDetachment"]);
    rig.pass(45);
    assert_eq!(terminations(&rig), 0);
    rig.pass(10);
    assert_eq!(terminations(&rig), 1);
    assert_eq!(rig.names("Node").len(), 0);
}

#[test]
fn volumes_of_pods_that_stay_are_not_waited_for() {
    let mut staying = pod("agent", "100m");
    staying["spec"]["tolerations"] = json!([{"operator": "Exists"}]);
    staying["spec"]["volumes"] = json!([{"name": "cache", "ephemeral": {"volumeClaimTemplate": {"spec": {}}}}]);
    staying["status"] = json!({"phase": "Running"});
    let claim = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"name": "agent-cache", "namespace": "default"}, "spec": {"volumeName": "pv-cache"},
    });
    let (mut rig, node) = going(None, vec![staying, claim]);
    rig.change("Pod", "agent", |pod| pod["spec"]["nodeName"] = json!(node));
    rig.put(attachment("a-cache", &node, "pv-cache"));
    rig.delete("VolumeAttachment", "a-data");
    rig.pass(1);
    assert_eq!(terminations(&rig), 1);
}

#[test]
fn a_person_s_deletion_is_told_with_its_deadline() {
    let (rig, node) = going(Some("60s"), vec![]);
    assert_eq!(rig.annotation("NodeClaim", &node, labels::TERMINATION_TIMESTAMP), Some("2026-01-01T00:01:03Z"));
    assert!(rig.said.iter().any(|said| said.to_string() == "all pods will be deleted by 2026-01-01T00:01:03Z"));
}

#[test]
fn a_protected_pod_is_deleted_when_its_time_is_over_and_that_is_told() {
    let (mut rig, node) = going(Some("120s"), vec![]);
    rig.delete("VolumeAttachment", "a-data");
    rig.pass(5);
    assert_eq!(rig.names("Node"), Vec::<String>::new());
    let mut kept = pod("kept", "1");
    kept["metadata"]["annotations"] = json!({labels::DO_NOT_DISRUPT: "true"});
    rig.put(kept);
    rig.pass(5);
    let next = rig.names("Node").remove(0);
    assert_ne!(next, node);
    rig.delete("NodeClaim", &next);
    // thirty seconds for the pod itself
    rig.pass(88);
    assert_eq!(rig.names("Pod"), ["kept"]);
    rig.pass(3);
    assert_eq!(rig.names("Pod"), Vec::<String>::new());
    assert_eq!(rig.said.iter().filter(|said| matches!(said, Said::Deleting { .. })).count(), 1);
}
