//! Kubelets that cannot be reached: for a while, or because their instance is gone.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::api::{is_deleting, text};
use super::queue::after;
use super::{Happening, Simulation};
use crate::api::labels;
use crate::controller::Subject;

/// A kubelet that says nothing for so long is not ready.
const SILENT: Duration = Duration::from_secs(40);
/// Then the cloud is asked whether there still is an instance.
const ASKED: Duration = Duration::from_secs(20);

impl Simulation<'_> {
    /// Whether the kubelet of a node does what it is told: its instance runs, and it can be reached.
    pub(super) fn is_alive(&self, node: &Value) -> bool {
        let id = text(node, "/spec/providerID");
        !self.out_of_reach.contains(id) && self.cloud.get(id).is_some_and(super::cloud::Running::runs)
    }

    /// The node of a pod, if there is one whose kubelet lives.
    pub(super) fn has_kubelet(&self, pod: &Value) -> bool {
        let node = self.api.get(&Subject::of_cluster("Node", text(pod, "/spec/nodeName")));
        node.is_some_and(|node| self.is_alive(node))
    }

    /// Whether the kubelet of a pod lives, and cannot be reached.
    pub(super) fn is_out_of_reach(&self, pod: &Value) -> bool {
        let node = self.api.get(&Subject::of_cluster("Node", text(pod, "/spec/nodeName")));
        node.is_some_and(|node| self.out_of_reach.contains(text(node, "/spec/providerID")))
    }

    /// The instance of a node runs, and its kubelet is not heard of for a while. What runs there goes on.
    pub(super) fn lose_contact(&mut self, id: &Arc<str>, span: Duration) {
        if self.out_of_reach.insert(id.clone()) {
            self.fall_silent(id);
            self.queue.put(after(self.now, SILENT + span), Happening::InReach(id.clone()));
        }
    }

    /// An instance is gone, or cannot be reached.
    pub(super) fn fall_silent(&mut self, id: &Arc<str>) {
        self.queue.put(after(self.now, SILENT), Happening::Silent(id.clone()));
    }

    /// Nobody has heard of a kubelet for a while: its node is not ready, and then the cloud is asked for its instance.
    pub(super) fn note_silence(&mut self, id: &str) {
        let Some(node) = self.node_of(id) else { return };
        if self.api.get(&node).is_some_and(|object| self.is_alive(object)) {
            return;
        }
        let status = json!({"status": {"conditions": [self.ready("Unknown")]}});
        drop(self.api.patch(&node, &status, true));
        if let Some(object) = self.api.get(&node) {
            let mut taints = object["spec"]["taints"].as_array().cloned().unwrap_or_default();
            if !taints.iter().any(|taint| taint["key"] == labels::TAINT_UNREACHABLE) {
                taints.push(json!({"key": labels::TAINT_UNREACHABLE, "effect": "NoSchedule"}));
                drop(self.api.patch(&node, &json!({"spec": {"taints": taints}}), false));
            }
        }
        self.queue.put(after(self.now, ASKED), Happening::Missed(id.into()));
    }

    /// The cloud controller takes the node of an instance away that is gone.
    pub(super) fn miss(&mut self, id: &str) {
        let is_gone = self.cloud.get(id).is_none_or(|running| !running.runs());
        if let Some(node) = self.node_of(id).filter(|_| is_gone) {
            let now = self.now;
            drop(self.api.delete(&node, None, None, now));
        }
    }

    /// A kubelet is heard of again, and does what it was told meanwhile.
    pub(super) fn regain_contact(&mut self, id: &str) {
        self.out_of_reach.remove(id);
        let Some(node) = self.node_of(id) else { return };
        self.become_ready(&node);
        let pods: Vec<(Subject, Arc<Value>)> =
            self.api.pods_on(&node.key.name).map(|(subject, pod)| (subject.clone(), pod.clone())).collect();
        for (subject, pod) in pods {
            let uid: Arc<str> = text(&pod, "/metadata/uid").into();
            if is_deleting(&pod) {
                self.queue.put(self.now, Happening::Stops(subject, uid));
            } else if text(&pod, "/status/phase") == "Pending" {
                self.queue.put(self.now, Happening::Starts(subject, uid));
            }
        }
    }

    /// The Node of an instance.
    pub(super) fn node_of(&self, id: &str) -> Option<Subject> {
        self.api.of_instance("Node", id).map(|(subject, _)| subject.clone())
    }
}

/// Whether a kubelet says that its node is ready.
pub(super) fn is_ready(node: &Value) -> bool {
    let conditions = node["status"]["conditions"].as_array();
    conditions.is_some_and(|all| all.iter().any(|of| of["type"] == "Ready" && of["status"] == "True"))
}
