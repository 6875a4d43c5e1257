//! The controllers of workloads: Deployments, DaemonSets and Jobs have the pods that they ask for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::api::{Change, is_deleting, subject_of, text};
use super::chance::{Draw, Purpose, cosine};
use super::mirror::{own_tolerations, placing};
use super::queue::after;
use super::scenario::{Daily, Workload};
use super::{Happening, Simulation};
use crate::api::labels;
use crate::controller::Subject;
use crate::scheduler::Candidate;

/// How long a pod of a Job runs, in seconds.
pub(super) const RUNS: &str = "simulation.packwright.dev/runs";
/// Controllers look at what changed within this time together.
const SOON: Duration = Duration::from_millis(500);

/// What is known of the pods of owners.
#[derive(Debug, Default)]
pub(super) struct Workloads {
    /// Pods that count towards the replicas, by the uid of the owner.
    pods: BTreeMap<Arc<str>, BTreeSet<Subject>>,
    /// Owners that are to be looked at.
    due: BTreeSet<Subject>,
    /// Nodes on which DaemonSets are to be looked at.
    nodes_due: BTreeSet<Arc<str>>,
    made: u64,
}

impl Simulation<'_> {
    /// Begins what the scenario says.
    pub(super) fn begin_workloads(&mut self) {
        for (index, workload) in self.scenario.spec.workloads.iter().enumerate() {
            for step in &workload.steps {
                self.queue.put(after(self.now, step.at), Happening::Scale(index, step.replicas));
            }
            if workload.daily.is_some() {
                self.queue.put(self.now, Happening::Daily(index));
            }
            if workload.every.is_some() {
                self.plan_arrival(index);
            }
            self.begin_trace(index);
        }
    }

    /// What controllers of workloads do about a change.
    pub(super) fn note_workloads(&mut self, change: &Change) {
        let subject = &change.subject;
        match subject.kind {
            "Pod" => {
                let Some(pod) = change.after.as_ref().or(change.before.as_ref()) else { return };
                let owner = &pod["metadata"]["ownerReferences"][0];
                let uid: Arc<str> = text(owner, "/uid").into();
                let has_ended = ["Succeeded", "Failed"].contains(&text(pod, "/status/phase"));
                let counts = change.after.is_some() && !is_deleting(pod) && !has_ended;
                let known = self.workloads.pods.entry(uid).or_default();
                let changed = if counts { known.insert(subject.clone()) } else { known.remove(subject) };
                if change.after.is_none() && text(owner, "/kind") == "Job" && text(pod, "/status/phase") != "Succeeded"
                {
                    self.queue.put(after(self.now, SOON), Happening::Again(pod.clone()));
                }
                if changed && !counts {
                    let is_daemon = text(owner, "/kind") == "DaemonSet";
                    let kind = if is_daemon { "DaemonSet" } else { "ReplicaSet" };
                    let named =
                        json!({"metadata": {"namespace": &*subject.key.namespace, "name": text(owner, "/name")}});
                    if is_daemon {
                        self.workloads.nodes_due.insert(text(pod, "/spec/nodeName").into());
                    }
                    self.look_at(subject_of(kind, &named));
                }
            }
            "DaemonSet" if change.after.is_some() => {
                self.workloads.nodes_due.extend(self.mirror.cluster.nodes().keys().cloned());
                self.look_at(subject.clone());
            }
            "Deployment" | "ReplicaSet" if change.after.is_some() => self.look_at(subject.clone()),
            "Node" => self.note_node(change),
            _ => {}
        }
    }

    /// Daemon pods come to nodes that are new, or changed.
    fn note_node(&mut self, change: &Change) {
        let Some(node) = &change.after else { return };
        if change.before.as_ref().is_some_and(|before| placing(before) == placing(node)) {
            return;
        }
        self.workloads.nodes_due.insert(change.subject.key.name.clone());
        let sets: Vec<Subject> = self.api.all("DaemonSet").map(|(_, set)| subject_of("DaemonSet", set)).collect();
        for set in sets {
            self.look_at(set);
        }
    }

    fn look_at(&mut self, owner: Subject) {
        if self.workloads.due.is_empty() {
            self.queue.put(after(self.now, SOON), Happening::Control);
        }
        self.workloads.due.insert(owner);
    }

    /// Gives owners the pods that they lack, and takes away those that they have too many.
    pub(super) fn control_workloads(&mut self) {
        let nodes = std::mem::take(&mut self.workloads.nodes_due);
        for owner in std::mem::take(&mut self.workloads.due) {
            let Some(object) = self.api.get(&owner).cloned() else { continue };
            match owner.kind {
                "Deployment" => self.of_deployment(&owner, &object),
                "ReplicaSet" => self.of_replica_set(&owner, &object),
                _ => self.of_daemon_set(&owner, &object, &nodes),
            }
        }
    }

    fn of_deployment(&mut self, owner: &Subject, deployment: &Value) {
        let name = format!("{}-rs", owner.key.name);
        let set = subject_of("ReplicaSet", &json!({"metadata": {"namespace": &*owner.key.namespace, "name": name}}));
        let replicas = &deployment["spec"]["replicas"];
        let replicas = if replicas.is_null() { json!(1) } else { replicas.clone() };
        if self.api.get(&set).is_some() {
            drop(self.api.patch(&set, &json!({"spec": {"replicas": replicas}}), false));
            return;
        }
        let mut template = deployment["spec"]["template"].clone();
        template["metadata"]["labels"][labels::POD_TEMPLATE_HASH] = json!("rs");
        let object = json!({
            "apiVersion": "apps/v1", "kind": "ReplicaSet",
            "metadata": {
                "namespace": &*owner.key.namespace, "name": name, "labels": template["metadata"]["labels"],
                "ownerReferences": [owned_by("Deployment", "apps/v1", deployment)],
            },
            "spec": {"replicas": replicas, "selector": deployment["spec"]["selector"], "template": template},
            "status": {"replicas": 0},
        });
        let now = self.now;
        drop(self.api.create("ReplicaSet", object, now));
    }

    fn of_replica_set(&mut self, owner: &Subject, set: &Value) {
        let wanted = usize::try_from(set["spec"]["replicas"].as_u64().unwrap_or(1)).unwrap_or(usize::MAX);
        let uid: Arc<str> = text(set, "/metadata/uid").into();
        let known = self.workloads.pods.get(&uid).map_or(0, BTreeSet::len);
        let now = self.now;
        if known > wanted {
            let pods = self.workloads.pods.get(&uid).into_iter().flatten();
            // unbound ones first, as the ReplicaSet controller does
            let mut pods: Vec<(bool, Subject)> = pods.map(|pod| (self.is_bound(pod), pod.clone())).collect();
            pods.sort();
            for (_, pod) in pods.iter().take(pods.len() - wanted) {
                drop(self.api.delete(pod, None, None, now));
            }
            return;
        }
        for _ in known..wanted {
            let pod = self.pod_of(&set["spec"]["template"], owner, &owned_by("ReplicaSet", "apps/v1", set));
            drop(self.api.create("Pod", pod, now));
        }
    }

    fn is_bound(&self, pod: &Subject) -> bool {
        self.api.get(pod).is_some_and(|pod| !text(pod, "/spec/nodeName").is_empty())
    }

    fn pod_of(&mut self, template: &Value, owner: &Subject, reference: &Value) -> Value {
        self.workloads.made += 1;
        let mut pod = template.clone();
        pod["apiVersion"] = json!("v1");
        pod["kind"] = json!("Pod");
        pod["metadata"]["namespace"] = json!(&*owner.key.namespace);
        pod["metadata"]["name"] = json!(format!("{}-{:06}", owner.key.name, self.workloads.made));
        pod["metadata"]["ownerReferences"] = json!([reference]);
        pod["status"] = json!({"phase": "Pending"});
        pod
    }

    /// Pods of DaemonSets go to their node without kube-scheduler, which would put them nowhere else.
    fn of_daemon_set(&mut self, owner: &Subject, set: &Value, nodes: &BTreeSet<Arc<str>>) {
        let uid = text(set, "/metadata/uid");
        let has_one = |pod: &Value| {
            let has_ended = ["Succeeded", "Failed"].contains(&text(pod, "/status/phase"));
            text(pod, "/metadata/ownerReferences/0/uid") == uid && !is_deleting(pod) && !has_ended
        };
        let now = self.now;
        for node in nodes {
            if self.api.pods_on(node).any(|(_, pod)| has_one(pod)) {
                continue;
            }
            let mut pod = self.daemon_pod(set);
            let Some(template) = self.mirror.template(&pod, &self.api) else { return };
            let tolerations = own_tolerations(&pod);
            let candidate = Candidate {
                namespace: &owner.key.namespace,
                template: &template,
                tolerations: &tolerations,
                nominated: None,
            };
            if self.mirror.cluster.allows(&candidate, node) {
                pod["spec"]["nodeName"] = json!(&**node);
                drop(self.api.create("Pod", pod, now));
            }
        }
    }

    /// A pod of a DaemonSet that has no node yet.
    pub(super) fn daemon_pod(&mut self, set: &Value) -> Value {
        let owner = subject_of("DaemonSet", set);
        let mut pod = self.pod_of(&set["spec"]["template"], &owner, &owned_by("DaemonSet", "apps/v1", set));
        tolerate(&mut pod);
        pod
    }

    /// Scales a Deployment.
    pub(super) fn scale(&mut self, index: usize, replicas: u64) {
        if let Ok(subject) = self.scenario.spec.workloads[index].subject() {
            drop(self.api.patch(&subject, &json!({"spec": {"replicas": replicas}}), false));
        }
    }

    /// Scales a Deployment with the time of the day.
    pub(super) fn scale_daily(&mut self, index: usize) {
        let Some(daily) = &self.scenario.spec.workloads[index].daily else { return };
        let replicas = replicas_at(daily, self.now.as_second());
        self.scale(index, replicas);
        self.queue.put(after(self.now, daily.every), Happening::Daily(index));
    }

    /// When the next pod of a Job comes.
    fn plan_arrival(&mut self, index: usize) {
        let Some(every) = self.scenario.spec.workloads[index].every else { return };
        let mut draw = self.chance.draw(Purpose::Workload(index));
        let at = after(self.now, draw.span(every));
        self.queue.put(at, Happening::Comes(index, draw));
    }

    /// A pod of a Job comes.
    pub(super) fn come(&mut self, index: usize, mut draw: Draw) {
        self.plan_arrival(index);
        let workload: &Workload = &self.scenario.spec.workloads[index];
        let (Ok(job), Some(runs)) = (workload.subject(), workload.runs) else { return };
        let runs = draw.span(runs).as_secs().max(1);
        self.make_job_pod(&job, runs);
    }

    /// A pod of a Job that runs for so many seconds, once it does.
    pub(super) fn make_job_pod(&mut self, owner: &Subject, runs: u64) {
        self.report.arrivals += 1;
        self.report.arrived_seconds += runs;
        self.make_job_pod_again(owner, json!(runs.to_string()));
    }

    fn make_job_pod_again(&mut self, owner: &Subject, runs: Value) {
        let Some(job) = self.api.get(owner).cloned() else { return };
        let mut pod = self.pod_of(&job["spec"]["template"], owner, &owned_by("Job", "batch/v1", &job));
        pod["spec"]["restartPolicy"] = json!("Never");
        pod["metadata"]["annotations"][RUNS] = runs;
        let now = self.now;
        drop(self.api.create("Pod", pod, now));
    }

    /// A pod of a Job that was not done comes again.
    pub(super) fn come_again(&mut self, pod: &Value) {
        let metadata = &pod["metadata"];
        let named = json!({"metadata": {
            "namespace": metadata["namespace"], "name": metadata["ownerReferences"][0]["name"],
        }});
        self.make_job_pod_again(&subject_of("Job", &named), metadata["annotations"][RUNS].clone());
    }
}

/// The controller reference of a pod.
fn owned_by(kind: &str, version: &str, owner: &Value) -> Value {
    let metadata = &owner["metadata"];
    json!({"apiVersion": version, "kind": kind, "name": metadata["name"], "uid": metadata["uid"], "controller": true})
}

/// What the DaemonSet controller adds to its pods.
fn tolerate(pod: &mut Value) {
    let mut all = pod["spec"]["tolerations"].as_array().cloned().unwrap_or_default();
    let keys = ["not-ready", "unreachable", "disk-pressure", "memory-pressure", "pid-pressure", "unschedulable"];
    all.extend(keys.map(|key| json!({"key": format!("node.kubernetes.io/{key}"), "operator": "Exists"})));
    pod["spec"]["tolerations"] = Value::from(all);
}

#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)] // small numbers of pods
fn replicas_at(daily: &Daily, second: i64) -> u64 {
    let turn = (second.rem_euclid(86_400) as f64 - daily.peak.as_secs_f64()) / 86_400.0;
    let (low, high) = (daily.low as f64, daily.high as f64);
    (f64::midpoint(low, high) + (high - low) / 2.0 * cosine(turn)).round().max(0.0) as u64
}
