//! A node that is being deleted: no new pods, its pods leave in the order of how much they matter, then the instance goes.
//!
//! Source: the reference's `node/termination` (karpenter-core 4.10).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod, Taint};
use serde_json::json;

use super::action::Verb;
use super::cluster::{Claimed, Cluster};
use super::conditions::{Conditions, LAUNCHED, since};
use super::event::Subject;
use super::garbage::{Garbage, is_ready};
use super::instances::Instances;
use super::said::Said;
use super::turn::{Turn, later};
use crate::api::labels;
use crate::observe::objects::ObjectKey;
use crate::observe::{is_daemon_pod, is_do_not_disrupt, is_mirror_pod};

/// A node drains at least so long, so that load balancers notice.
const SHORTEST: Duration = Duration::from_secs(5);
/// A pod that does not end so long after it should have is not waited for.
const STUCK: Duration = Duration::from_secs(60);
const DRAINED: &str = "Drained";
const CRITICAL: [&str; 2] = ["system-cluster-critical", "system-node-critical"];

/// Takes the nodes that are being deleted one step further.
pub(super) fn step(cluster: &Cluster<'_>, garbage: &Garbage, instances: &mut Instances, turn: &mut Turn<'_>) {
    let going = |claimed: &&Claimed<'_>| claimed.nodes.iter().any(|node| is_going(node));
    if !cluster.claims.iter().any(|claimed| going(&claimed)) {
        return;
    }
    let mut on_node: BTreeMap<&str, Vec<&Arc<Pod>>> = BTreeMap::new();
    for pod in cluster.pods() {
        if let Some(node) = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()) {
            on_node.entry(node).or_default().push(pod);
        }
    }
    for claimed in cluster.claims.iter().filter(going) {
        for node in claimed.nodes.iter().filter(|node| is_going(node)) {
            let name = node.metadata.name.as_deref().unwrap_or_default();
            let pods = on_node.get(name).map_or(&[][..], Vec::as_slice);
            of_node(claimed, node, pods, garbage, instances, turn);
        }
    }
}

fn is_going(node: &Node) -> bool {
    let mut finalizers = node.metadata.finalizers.iter().flatten();
    node.metadata.deletion_timestamp.is_some() && finalizers.any(|name| name == labels::FINALIZER_TERMINATION)
}

fn of_node(
    claimed: &Claimed<'_>,
    node: &Node,
    pods: &[&Arc<Pod>],
    garbage: &Garbage,
    instances: &mut Instances,
    turn: &mut Turn<'_>,
) {
    if !claimed.is_deleting() {
        let delete = Verb::Delete { uid: Arc::from(claimed.uid()), grace: None };
        turn.write(Subject::of_cluster("NodeClaim", claimed.name()), &claimed.claim.metadata, delete);
        return;
    }
    let id = node.spec.as_ref().and_then(|spec| spec.provider_id.as_deref());
    let launched = claimed.claim.status.as_ref().and_then(|status| since(&status.conditions, LAUNCHED));
    if !is_ready(node) && id.zip(launched).is_some_and(|(id, launched)| garbage.is_missing(id, launched)) {
        return free(node, turn); // nobody is there to end its pods
    }
    if close(node, turn) {
        return;
    }
    let now = turn.now;
    let waiting: Vec<&Arc<Pod>> = pods.iter().copied().filter(|pod| is_waited_for(pod, now)).collect();
    let deadline = claimed.deadline();
    if !waiting.is_empty() {
        if !claimed.is(DRAINED) {
            note(claimed, "Unknown", "Draining", turn);
        }
        return leave(&waiting, deadline, turn);
    }
    let started = node.metadata.deletion_timestamp.as_ref().map_or(now, |time| time.0);
    if !turn.is_due(started + SHORTEST) {
        return;
    }
    if !claimed.is(DRAINED) {
        return note(claimed, "True", DRAINED, turn);
    }
    if id.is_none_or(|id| instances.end(claimed.name(), id, turn)) {
        free(node, turn);
    }
}

/// Nothing keeps the node any more.
fn free(node: &Node, turn: &mut Turn<'_>) {
    let finalizers = node.metadata.finalizers.iter().flatten();
    let kept: Vec<&String> = finalizers.filter(|name| *name != labels::FINALIZER_TERMINATION).collect();
    let name = Arc::from(node.metadata.name.as_deref().unwrap_or_default());
    if turn.patch("Node", &node.metadata, json!({"metadata": {"finalizers": kept}})) {
        turn.say(Said::NodeGone { node: name });
    }
}

/// No pods and no load balancer any more. Whether that was to be said.
fn close(node: &Node, turn: &mut Turn<'_>) -> bool {
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.clone()).unwrap_or_default();
    let has_taint = taints.iter().any(|taint| taint.key == labels::TAINT_DISRUPTED);
    let excluded = node.metadata.labels.as_ref().and_then(|of| of.get(labels::EXCLUDE_BALANCERS));
    if has_taint && excluded.is_some() {
        return false;
    }
    let mut body = json!({"metadata": {"labels": {labels::EXCLUDE_BALANCERS: "karpenter"}}});
    if !has_taint {
        body["spec"] = json!({"taints": with_disrupted(taints)});
    }
    turn.patch("Node", &node.metadata, body);
    true
}

/// With the taint of a node that takes no pods any more.
pub(super) fn with_disrupted(mut taints: Vec<Taint>) -> Vec<Taint> {
    let effect = "NoSchedule".to_owned();
    taints.push(Taint { key: labels::TAINT_DISRUPTED.to_owned(), effect, ..Taint::default() });
    taints
}

/// Whether a node waits for a pod: it has not ended, the node's taint concerns it, and it may still end by itself.
fn is_waited_for(pod: &Pod, now: Timestamp) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    let is_stuck = pod.metadata.deletion_timestamp.as_ref().is_some_and(|deleted| now > deleted.0 + STUCK);
    !matches!(phase, Some("Succeeded" | "Failed")) && !is_stuck && !is_mirror_pod(pod) && !tolerates_disruption(pod)
}

fn tolerates_disruption(pod: &Pod) -> bool {
    let mut tolerations = pod.spec.iter().flat_map(|spec| spec.tolerations.iter().flatten());
    tolerations.any(|toleration| {
        let key = toleration.key.as_deref().unwrap_or_default();
        let exists = toleration.operator.as_deref() == Some("Exists");
        let of_value = exists || toleration.value.as_deref().unwrap_or_default().is_empty();
        let of_effect = toleration.effect.as_deref().is_none_or(|effect| effect.is_empty() || effect == "NoSchedule");
        of_effect && of_value && (key == labels::TAINT_DISRUPTED || (key.is_empty() && exists))
    })
}

/// Makes the pods leave that matter least; past their time all of them, whatever protects them.
fn leave(pods: &[&Arc<Pod>], deadline: Option<Timestamp>, turn: &mut Turn<'_>) {
    let now = turn.now;
    for pod in pods {
        let Some(deadline) = deadline else { break };
        let own = pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds).unwrap_or(30);
        let own = Duration::from_secs(u64::try_from(own).unwrap_or(0));
        let latest = deadline.checked_sub(own).unwrap_or(Timestamp::MIN);
        let ends = pod.metadata.deletion_timestamp.as_ref().map(|time| time.0);
        // one that ends as soon as it can is left alone
        let by = deadline.max(later(now, Duration::from_secs(1)));
        if turn.is_due(latest) && ends.is_none_or(|ends| ends > by) {
            let left = Duration::try_from(deadline.duration_since(now)).unwrap_or_default();
            remove(pod, Some(left.max(Duration::from_secs(1))), turn);
        }
    }
    let group = |pod: &Pod| {
        let class = pod.spec.as_ref().and_then(|spec| spec.priority_class_name.as_deref()).unwrap_or_default();
        (CRITICAL.contains(&class), is_daemon_pod(pod))
    };
    let first = pods.iter().map(|pod| group(pod)).min();
    for pod in pods.iter().filter(|pod| Some(group(pod)) == first) {
        if pod.metadata.deletion_timestamp.is_none() && !is_do_not_disrupt(pod, now) {
            evict(pod, turn);
        }
    }
    // one that is protected, or stuck, for a time
    turn.look_again(now + Duration::from_secs(1));
}

fn subject(pod: &Pod) -> Subject {
    let text = |text: &Option<String>| Arc::from(text.as_deref().unwrap_or_default());
    let key = ObjectKey { namespace: text(&pod.metadata.namespace), name: text(&pod.metadata.name) };
    Subject { kind: "Pod", key }
}

fn evict(pod: &Pod, turn: &mut Turn<'_>) {
    let uid = Arc::from(pod.metadata.uid.as_deref().unwrap_or_default());
    let subject = subject(pod);
    if turn.write(subject.clone(), &pod.metadata, Verb::Evict { uid }) {
        turn.say(Said::Evicting { pod: subject });
    }
}

fn remove(pod: &Pod, grace: Option<Duration>, turn: &mut Turn<'_>) {
    let uid = Arc::from(pod.metadata.uid.as_deref().unwrap_or_default());
    turn.write(subject(pod), &pod.metadata, Verb::Delete { uid, grace });
}

fn note(claimed: &Claimed<'_>, status: &str, reason: &str, turn: &mut Turn<'_>) {
    let known = claimed.claim.status.as_ref().map_or(&[][..], |status| &status.conditions);
    if known.iter().any(|of| of.type_ == DRAINED && of.status == status && of.reason == reason) {
        return;
    }
    let mut conditions = Conditions::of(known, claimed.claim.metadata.generation, turn.now);
    conditions.set(DRAINED, status, reason, "");
    turn.patch_status("NodeClaim", &claimed.claim.metadata, &json!({"conditions": conditions.into_list()}));
}
