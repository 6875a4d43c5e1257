//! A node that is being deleted: no new pods, its pods leave in the order of how much they matter, then the instance goes.
//!
//! Source: the reference's `node/termination` (karpenter-core 4.10).

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod, Taint};
use serde_json::json;

use super::action::Verb;
use super::claim_status::note;
use super::cluster::{Claimed, Cluster};
use super::conditions::{DRAINED, INSTANCE_TERMINATING, LAUNCHED, VOLUMES_DETACHED, since};
use super::event::Subject;
use super::garbage::{Garbage, is_ready};
use super::instances::Instances;
use super::looks::Looks;
use super::said::{Bought, Said};
use super::turn::{Turn, later};
use super::volumes::attached;
use crate::api::labels;
use crate::observe::objects::ObjectKey;
use crate::observe::{has_ended, is_daemon_pod, is_do_not_disrupt, is_mirror_pod};

/// A node drains at least so long, so that load balancers notice.
const SHORTEST: Duration = Duration::from_secs(5);
/// A pod that does not end so long after it should have is not waited for.
const STUCK: Duration = Duration::from_secs(60);
const CRITICAL: [&str; 2] = ["system-cluster-critical", "system-node-critical"];

/// Takes the nodes that are being deleted one step further.
pub(super) fn step(
    cluster: &Cluster<'_>,
    garbage: &Garbage,
    (looks, instances): (&mut Looks, &mut Instances),
    turn: &mut Turn<'_>,
) {
    for claimed in &cluster.claims {
        turn.about(claimed);
        for node in claimed.nodes.iter().filter(|node| is_going(node)) {
            let name = node.metadata.name.as_deref().unwrap_or_default();
            let pods: Vec<&Arc<Pod>> = cluster.pods_on(name).map(|(_, pod)| pod).collect();
            if is_lost(claimed, node, garbage) {
                free(node, turn); // nobody is there to end its pods
            } else if is_drained(claimed, node, &pods, turn) && looks.are_fresh(name, turn) {
                end(cluster, claimed, (node, &pods), instances, turn);
            }
        }
    }
    turn.about_all();
}

/// Whether a node is being deleted, and waits for us.
pub(super) fn is_going(node: &Node) -> bool {
    let mut finalizers = node.metadata.finalizers.iter().flatten();
    node.metadata.deletion_timestamp.is_some() && finalizers.any(|name| name == labels::FINALIZER_TERMINATION)
}

/// Whether its instance is gone without it.
fn is_lost(claimed: &Claimed<'_>, node: &Node, garbage: &Garbage) -> bool {
    let id = node.spec.as_ref().and_then(|spec| spec.provider_id.as_deref());
    let launched = claimed.claim.status.as_ref().and_then(|status| since(&status.conditions, LAUNCHED));
    let is_missing = id.zip(launched).is_some_and(|(id, launched)| garbage.is_missing(id, launched));
    claimed.is_deleting() && !is_ready(node) && is_missing
}

/// Makes its pods leave; whether none is waited for any more.
fn is_drained(claimed: &Claimed<'_>, node: &Node, pods: &[&Arc<Pod>], turn: &mut Turn<'_>) -> bool {
    if !claimed.is_deleting() {
        turn.delete_claim(claimed);
        return false;
    }
    if close(node, turn) {
        return false;
    }
    let now = turn.now;
    let waiting: Vec<&Arc<Pod>> = pods.iter().copied().filter(|pod| is_waited_for(pod, now)).collect();
    if !waiting.is_empty() {
        if !claimed.is(DRAINED) {
            note(claimed, json!({}), &[(DRAINED, "Unknown", "Draining", "")], turn);
        }
        leave(&waiting, claimed.deadline(), turn);
        return false;
    }
    let started = node.metadata.deletion_timestamp.as_ref().map_or(now, |time| time.0);
    turn.is_due(later(started, SHORTEST))
}

/// Its volumes are detached, then its instance ends, then the node goes.
fn end(
    cluster: &Cluster<'_>,
    claimed: &Claimed<'_>,
    (node, pods): (&Node, &[&Arc<Pod>]),
    instances: &mut Instances,
    turn: &mut Turn<'_>,
) {
    let name: Arc<str> = Arc::from(node.metadata.name.as_deref().unwrap_or_default());
    let kept: Vec<&Pod> = pods.iter().map(|pod| &***pod).filter(|pod| !is_drainable(pod, turn.now)).collect();
    let attached = attached(cluster.objects, &name, &kept);
    let is_over = claimed.deadline().is_some_and(|deadline| turn.is_due(deadline));
    let volumes = match attached.len() {
        0 => (VOLUMES_DETACHED, "True", VOLUMES_DETACHED, String::new()),
        count if is_over => {
            let message = format!("{count} volume(s) were still attached");
            (VOLUMES_DETACHED, "False", "TerminationGracePeriodElapsed", message)
        }
        count => {
            let message = format!("waiting for {count} volume(s) to be detached");
            (VOLUMES_DETACHED, "Unknown", "AwaitingVolumeDetachment", message)
        }
    };
    let is_waiting = !attached.is_empty() && !is_over;
    let (kind, status, reason, message) = &volumes;
    let conditions = [(DRAINED, "True", DRAINED, ""), (*kind, *status, *reason, &**message)];
    let is_news = note(claimed, json!({}), &conditions, turn).is_news();
    if is_news && is_waiting {
        turn.say(Said::AwaitingVolumes { node: name.clone() });
    }
    if is_news || is_waiting {
        return;
    }
    let id = node.spec.as_ref().and_then(|spec| spec.provider_id.as_deref());
    let is_ended = id.is_none_or(|id| instances.end(claimed.name(), id, turn));
    if id.is_some_and(|id| instances.is_ending(id)) {
        note(claimed, json!({}), &[(INSTANCE_TERMINATING, "True", INSTANCE_TERMINATING, "")], turn);
    }
    if is_ended {
        free(node, turn);
    }
}

/// Nothing keeps the node any more.
fn free(node: &Node, turn: &mut Turn<'_>) {
    let finalizers = node.metadata.finalizers.iter().flatten();
    let kept: Vec<&String> = finalizers.filter(|name| *name != labels::FINALIZER_TERMINATION).collect();
    let name = Arc::from(node.metadata.name.as_deref().unwrap_or_default());
    if turn.patch("Node", &node.metadata, json!({"metadata": {"finalizers": kept}})) {
        let deleted = node.metadata.deletion_timestamp.as_ref().map_or(turn.now, |time| time.0);
        let lasted = Duration::try_from(turn.now.duration_since(deleted)).unwrap_or_default();
        turn.say_once_taken(Said::NodeGone { node: name, bought: Bought::of(&node.metadata), lasted });
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
    !has_ended(pod) && is_drainable(pod, now)
}

/// Whether the end of its node makes it leave.
fn is_drainable(pod: &Pod, now: Timestamp) -> bool {
    let is_stuck = pod.metadata.deletion_timestamp.as_ref().is_some_and(|deleted| now > later(deleted.0, STUCK));
    !is_stuck && !is_mirror_pod(pod) && !tolerates_disruption(pod)
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
            let grace = left.max(Duration::from_secs(1));
            if remove(pod, Some(grace), turn) {
                turn.say_once_taken(Said::Deleting { pod: subject(pod), grace, deadline });
            }
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
        turn.say_once_taken(Said::Evicting { pod: subject });
    }
}

fn remove(pod: &Pod, grace: Option<Duration>, turn: &mut Turn<'_>) -> bool {
    let uid = Arc::from(pod.metadata.uid.as_deref().unwrap_or_default());
    turn.write(subject(pod), &pod.metadata, Verb::Delete { uid, version: None, grace })
}
