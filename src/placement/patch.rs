//! The patches. Kubernetes replaces lists as a whole in a merge patch, so each names all that was read, and the version
//! that it was read at.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Taint;
use serde_json::{Map, Value, json};

use super::action::{Action, FreeReason, ObjectPatch, Subject, What};
use super::inheritance::Inheritance;
use super::observed::{NodeState, PodState};
use super::reservation::{ANNOTATIONS, Reservation, is_cordon, is_reservation, is_unregistered};
use super::tolerations::toleration;
use crate::api::labels;

/// Taint, cordon and annotations of ours go; whatever else is there stays, a person's cordon too.
pub(super) fn free(node: &NodeState, why: FreeReason) -> Action {
    let is_cordoned = matches!(node.reservation, Reservation::Cordoned { .. });
    let goes = |taint: &Taint| is_reservation(taint) || (is_cordoned && is_cordon(taint));
    let taints: Vec<&Taint> = node.taints.iter().filter(|taint| !goes(taint)).collect();
    let mut spec = Map::new();
    if taints.len() < node.taints.len() {
        spec.insert("taints".to_owned(), json!(taints));
    }
    if is_cordoned {
        spec.insert("unschedulable".to_owned(), Value::Null);
    }
    let annotations: Map<String, Value> = ANNOTATIONS.iter().map(|key| ((*key).to_owned(), Value::Null)).collect();
    let what = What::Free { node: node.name.clone(), why };
    of_node(node, what, json!({"annotations": annotations}), spec.into())
}

/// The node leaves the state that it was born in; `cordon` is the time to note. The taint of a cordon, which Kubernetes adds by itself,
/// comes with it: in between, kube-scheduler would take the node for one without taints, and try every waiting pod there in vain.
pub(super) fn register(node: &NodeState, cordon: Option<Timestamp>) -> Action {
    let taints = || -> Vec<&Taint> { node.taints.iter().filter(|taint| !is_unregistered(taint)).collect() };
    let alone = || (json!({"labels": {labels::REGISTERED: "true"}}), json!({"taints": taints()}));
    let (mut metadata, mut spec) = node.inheritance.as_ref().map_or_else(alone, Inheritance::patch);
    if let Some(now) = cordon {
        if !metadata["annotations"].is_object() {
            metadata["annotations"] = json!({});
        }
        metadata["annotations"][labels::CORDONED_AT] = json!(now.to_string());
        spec["unschedulable"] = json!(true);
        if !node.taints.iter().any(is_cordon)
            && let Some(taints) = spec["taints"].as_array_mut()
        {
            taints.push(json!(taint(labels::TAINT_UNSCHEDULABLE, None)));
        }
    }
    of_node(node, What::Register { node: node.name.clone(), cordon: cordon.is_some() }, metadata, spec)
}

/// Our cordon goes, and where there is a value our taint comes, at once: no other pod fits in between. The time is that of the
/// reservation. A node that has all that pods count on is initialized from then on. The taint of the cordon goes with it: Kubernetes
/// takes it away only some time later, until when pods would be tried in vain.
pub(super) fn open(node: &NodeState, reserve: Option<(String, Timestamp)>) -> Action {
    let mut annotations = json!({labels::CORDONED_AT: null});
    let is_initialized = node.starting.is_none() && node.lacking_resources.is_empty();
    let own = if is_initialized { json!({labels::INITIALIZED: "true"}) } else { json!({}) };
    let mut taints: Vec<Taint> = node.taints.iter().filter(|taint| !is_cordon(taint)).cloned().collect();
    if let Some((value, at)) = &reserve {
        annotations[labels::RESERVED_AT] = json!(at.to_string());
        taints.push(taint(labels::PLANNED, Some(value.clone())));
    }
    let spec = json!({"unschedulable": null, "taints": taints});
    let what = What::Open { node: node.name.clone(), taint: reserve.map(|(value, _)| value) };
    of_node(node, what, json!({"annotations": annotations, "labels": own}), spec)
}

fn taint(key: &str, value: Option<String>) -> Taint {
    Taint { key: key.to_owned(), value, effect: "NoSchedule".to_owned(), time_added: None }
}

/// The limit of the reservation counts from now.
pub(super) fn note_drained(node: &NodeState, now: Timestamp) -> Action {
    let metadata = json!({"annotations": {labels::DRAINED_AT: now.to_string()}});
    of_node(node, What::NoteDrained { node: node.name.clone() }, metadata, json!({}))
}

fn of_node(node: &NodeState, what: What, mut metadata: Value, spec: Value) -> Action {
    metadata["uid"] = json!(node.version.uid);
    metadata["resourceVersion"] = json!(node.version.resource);
    let mut body = json!({"metadata": metadata});
    if spec.as_object().is_some_and(|spec| !spec.is_empty()) {
        body["spec"] = spec;
    }
    let patch = ObjectPatch { subject: Subject::Node(node.name.clone()), version: node.version.clone(), body };
    Action { what, order: (0, 0), patch }
}

/// One more toleration.
pub(super) fn tolerate(pod: &PodState, value: &str) -> Action {
    let tolerations: Vec<_> = pod.tolerations.iter().cloned().chain([toleration(value)]).collect();
    let what = What::Tolerate { pod: pod.key.to_string(), value: value.to_owned() };
    let subject = Subject::Pod(pod.key.namespace.clone(), pod.key.name.clone());
    of_pod(pod, what, subject, "spec", &json!({"tolerations": tolerations}))
}

/// kube-scheduler looks there first, once.
pub(super) fn nominate(pod: &PodState, node: &NodeState) -> Action {
    let what = What::Nominate { pod: pod.key.to_string(), node: node.name.clone() };
    let subject = Subject::PodStatus(pod.key.namespace.clone(), pod.key.name.clone());
    of_pod(pod, what, subject, "status", &json!({"nominatedNodeName": node.name}))
}

fn of_pod(pod: &PodState, what: What, subject: Subject, part: &str, value: &Value) -> Action {
    let metadata = json!({"uid": pod.version.uid, "resourceVersion": pod.version.resource});
    let body = json!({"metadata": metadata, part: value});
    Action { what, order: (0, 0), patch: ObjectPatch { subject, version: pod.version.clone(), body } }
}
