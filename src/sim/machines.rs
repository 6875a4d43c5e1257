//! Kubelets and what surrounds them: instances become nodes, pods start and end.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::api::{Change, is_deleting, text};
use super::chance::Purpose;
use super::contact::is_ready;
use super::queue::after;
use super::{Happening, Simulation};
use crate::api::labels;
use crate::api::node_claim::NodeClaim;
use crate::api::reading::read;
use crate::controller::Subject;
use crate::resources::{MEMORY, quantities};

/// The owner of a pod notices that it is gone.
const COLLECTED: Duration = Duration::from_secs(2);

/// A pod that is done is kept for so long.
const DONE: Duration = Duration::from_secs(60);

impl Simulation<'_> {
    /// What kubelets do about a change.
    pub(super) fn note_machines(&mut self, change: &Change) {
        let Change { subject, before, after: object } = change;
        let (now, machines) = (self.now, &self.scenario.spec.machines);
        match (subject.kind, object) {
            ("Node", Some(_)) if before.is_none() => {
                self.queue.put(after(now, machines.ready), Happening::Ready(subject.clone()));
            }
            // whoever takes startup taints off does so whenever there is one
            ("Node", Some(node))
                if is_ready(node)
                    && node["spec"]["taints"]
                        != before.as_ref().map_or(Value::Null, |node| node["spec"]["taints"].clone()) =>
            {
                self.queue.put(after(now, machines.startup), Happening::Started(subject.clone()));
            }
            ("Node", None) => self.queue.put(after(now, COLLECTED), Happening::Orphaned(subject.key.name.clone())),
            ("Pod", Some(pod)) => {
                let was_bound = before.as_ref().is_some_and(|pod| !text(pod, "/spec/nodeName").is_empty());
                let is_bound = !text(pod, "/spec/nodeName").is_empty();
                let was_ending = before.as_ref().is_some_and(|pod| is_deleting(pod));
                let uid: Arc<str> = text(pod, "/metadata/uid").into();
                if is_bound && !was_bound {
                    self.queue.put(after(now, machines.pod_start), Happening::Starts(subject.clone(), uid.clone()));
                }
                if is_deleting(pod) && !was_ending {
                    let grace =
                        Duration::from_secs(pod["metadata"]["deletionGracePeriodSeconds"].as_u64().unwrap_or(0));
                    let is_slow = self.chance.draw(Purpose::Stops).happens(self.faults().slow_stops);
                    let span = if is_slow { grace } else { machines.pod_stop.min(grace) };
                    self.queue.put(after(now, span), Happening::Stops(subject.clone(), uid));
                }
            }
            _ => {}
        }
    }

    /// A kubelet registers its node.
    pub(super) fn register(&mut self, id: &Arc<str>) {
        let Some(running) = self.cloud.get(id).filter(|running| running.runs()) else { return };
        let Ok(claim) = read::<NodeClaim>(&running.user_data).map(|read| read.object) else { return };
        let what = &running.what;
        let mut found = what.labels_of(&claim);
        found.insert(labels::HOSTNAME.into(), running.node.clone());
        let mut taints = json!([
            {"key": labels::TAINT_UNREGISTERED, "effect": "NoExecute"},
            {"key": labels::TAINT_NOT_READY, "effect": "NoSchedule"},
        ]);
        if let Some(taints) = taints.as_array_mut() {
            taints.extend(claim.spec.taints.iter().chain(&claim.spec.startup_taints).map(|taint| json!(taint)));
        }
        let mut allocatable = what.kind.allocatable.clone();
        let memory = allocatable.get(MEMORY);
        allocatable.set(MEMORY, memory - memory / 1_000 * running.missing);
        let node = json!({
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": running.node, "labels": found},
            "spec": {"providerID": id, "taints": taints},
            "status": {
                "capacity": quantities(&what.kind.capacity),
                "allocatable": quantities(&allocatable),
                "conditions": [self.ready("False")],
            },
        });
        let now = self.now;
        drop(self.api.create("Node", node, now));
    }

    pub(super) fn ready(&self, status: &str) -> Value {
        let reason = if status == "True" { "KubeletReady" } else { "KubeletNotReady" };
        json!({"type": "Ready", "status": status, "reason": reason, "lastTransitionTime": super::api::whole_seconds(self.now)})
    }

    /// A kubelet says that it is ready.
    pub(super) fn become_ready(&mut self, node: &Subject) {
        let Some(object) = self.api.get(node).cloned() else { return };
        if !self.is_alive(&object) {
            return;
        }
        let status = json!({"status": {"conditions": [self.ready("True")]}});
        drop(self.api.patch(node, &status, true));
        self.take_taints_off(node, |key| [labels::TAINT_NOT_READY, labels::TAINT_UNREACHABLE].contains(&key));
    }

    /// Whoever owns the startup taints takes them off.
    pub(super) fn end_startup(&mut self, node: &Subject) {
        let Some(object) = self.api.get(node) else { return };
        let id = text(object, "/spec/providerID");
        let Some(running) = self.cloud.get(id) else { return };
        let listed = running.user_data["spec"]["startupTaints"].as_array().into_iter().flatten();
        let keys: Vec<String> = listed.map(|taint| text(taint, "/key").to_owned()).collect();
        self.take_taints_off(node, |key| keys.iter().any(|startup| startup == key));
    }

    fn take_taints_off(&mut self, node: &Subject, is_meant: impl Fn(&str) -> bool) {
        let Some(object) = self.api.get(node) else { return };
        let taints = object["spec"]["taints"].as_array().cloned().unwrap_or_default();
        let kept: Vec<&Value> = taints.iter().filter(|taint| !is_meant(text(taint, "/key"))).collect();
        if kept.len() < taints.len() {
            let body = json!({"spec": {"taints": kept}});
            drop(self.api.patch(node, &body, false));
        }
    }

    /// The containers of a pod run.
    pub(super) fn start_pod(&mut self, subject: &Subject, uid: &str) {
        let Some(pod) = self.pod(subject, uid).filter(|pod| !is_deleting(pod) && self.has_kubelet(pod)) else { return };
        let condition = |kind: &str| json!({"type": kind, "status": "True"});
        let conditions: Vec<Value> = ["PodScheduled", "Ready"].map(condition).into();
        let started = super::api::whole_seconds(self.now);
        let body = json!({"status": {"phase": "Running", "startTime": started, "conditions": conditions}});
        if let Some(runs) =
            pod["metadata"]["annotations"][super::workloads::RUNS].as_str().and_then(|text| text.parse().ok())
        {
            let at = after(self.now, Duration::from_secs(runs));
            self.queue.put(at, Happening::Succeeds(subject.clone(), uid.into()));
        }
        drop(self.api.patch(subject, &body, true));
    }

    /// The containers of a pod have ended.
    pub(super) fn stop_pod(&mut self, subject: &Subject, uid: &str) {
        if self.pod(subject, uid).is_some_and(|pod| self.has_kubelet(&pod)) {
            self.api.remove(subject);
        }
    }

    /// A pod of a Job is done.
    pub(super) fn succeed(&mut self, subject: &Subject, uid: &str) {
        let Some(pod) = self.pod(subject, uid) else { return };
        if self.has_kubelet(&pod) {
            drop(self.api.patch(subject, &json!({"status": {"phase": "Succeeded"}}), true));
            self.report.jobs_done += 1;
            self.queue.put(after(self.now, DONE), Happening::Collected(subject.clone(), uid.into()));
        } else if self.is_out_of_reach(&pod) {
            // it is said when the kubelet is heard of again
            self.queue.put(after(self.now, DONE), Happening::Succeeds(subject.clone(), uid.into()));
        }
    }

    /// The pod of a Job that is done is taken away.
    pub(super) fn collect(&mut self, subject: &Subject, uid: &str) {
        if self.pod(subject, uid).is_some() {
            self.api.remove(subject);
        }
    }

    fn pod(&self, subject: &Subject, uid: &str) -> Option<Arc<Value>> {
        self.api.get(subject).filter(|pod| pod["metadata"]["uid"] == uid).cloned()
    }

    /// The pods of a node that is gone go, too.
    pub(super) fn collect_pods(&mut self, node: &str) {
        if self.api.get(&Subject::of_cluster("Node", node)).is_some() {
            return;
        }
        let lost: Vec<Subject> = self.api.pods_on(node).map(|(pod, _)| pod.clone()).collect();
        for pod in &lost {
            self.api.remove(pod);
        }
    }
}
