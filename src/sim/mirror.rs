//! Pods and nodes as kube-scheduler and the kubelets see them, kept up to date change by change.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use serde::Deserialize;
use serde_json::Value;

use super::api::{Api, Change, is_deleting, text};
use super::bound::remove;
use crate::api::labels;
use crate::catalog::Catalog;
use crate::controller::Subject;
use crate::observe::objects::Objects;
use crate::observe::snapshot::{Labels, PodTemplate, Taint, TaintEffect, Toleration};
use crate::observe::{GatesByInput, LoadOptions, Origin, RawObject, amounts, build, taints, tolerations};
use crate::scheduler::{Candidate, Cluster, Node, Occupant};
use crate::settings::Settings;

/// What templates are read with.
const SURROUNDINGS: [&str; 7] = [
    "Namespace",
    "PriorityClass",
    "LimitRange",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "StorageClass",
    "RuntimeClass",
];

#[derive(Debug, Default)]
pub(super) struct Mirror {
    pub cluster: Cluster,
    /// Pods without a node, by when they came and uid.
    pub unbound: BTreeMap<(Timestamp, Arc<str>), Unbound>,
    /// How many of them kube-scheduler looks at.
    pub waiting: usize,
    /// How many nodes there are.
    pub nodes: usize,
    /// By the uid of the owner, or of the pod where it has none.
    templates: HashMap<String, Option<Arc<PodTemplate>>>,
    /// Where each pod is, by uid.
    keys: HashMap<Arc<str>, (Timestamp, Arc<str>)>,
    /// Grows with everything that may let a pod fit.
    pub changes: u64,
}

/// A pod that waits for a node.
#[derive(Debug)]
pub(super) struct Unbound {
    pub subject: Subject,
    pub template: Arc<PodTemplate>,
    pub tolerations: Vec<Toleration>,
    pub nominated: Option<String>,
    /// kube-scheduler has said that there is no room.
    pub is_marked: bool,
    pub is_gated: bool,
    /// The changes that it was looked at with.
    pub tried_at: Option<u64>,
}

impl Mirror {
    pub fn note(&mut self, change: &Change, api: &Api) {
        match change.subject.kind {
            "Node" => self.note_node(change),
            "Pod" => self.note_pod(change, api),
            "Namespace" => {
                if let Some(object) = &change.after {
                    let mut found = labels_of(object);
                    found.insert("kubernetes.io/metadata.name".into(), change.subject.key.name.clone());
                    self.cluster.put_namespace(change.subject.key.name.clone(), found);
                }
            }
            _ => {}
        }
    }

    fn note_node(&mut self, change: &Change) {
        let name = change.subject.key.name.clone();
        self.nodes = self.nodes + usize::from(change.after.is_some()) - usize::from(change.before.is_some());
        let Some(object) = &change.after else {
            self.changes += 1;
            return self.cluster.remove_node(&name);
        };
        if change.before.as_ref().is_some_and(|before| placing(before) == placing(object)) {
            return;
        }
        self.changes += 1;
        let mut found = labels_of(object);
        found.entry(labels::HOSTNAME.into()).or_insert_with(|| name.clone());
        let mut taints = taints(&part::<Vec<v1::Taint>>(&object["spec"]["taints"]));
        if object["spec"]["unschedulable"] == true {
            let key = labels::TAINT_UNSCHEDULABLE.into();
            taints.push(Taint { key, value: "".into(), effect: TaintEffect::NoSchedule });
        }
        let allocatable = amounts(&part::<BTreeMap<String, Quantity>>(&object["status"]["allocatable"]));
        self.cluster.put_node(name, Node::new(found, taints, allocatable));
    }

    fn note_pod(&mut self, change: &Change, api: &Api) {
        let Some(object) = change.after.as_ref().or(change.before.as_ref()) else { return };
        if let (Some(before), Some(after)) = (&change.before, &change.after)
            && place(before).is_some_and(|before| place(after) == Some(before))
        {
            return;
        }
        let uid: Arc<str> = text(object, "/metadata/uid").into();
        if let Some(key) = self.keys.remove(&uid) {
            self.leave(&key);
        }
        let has_ended = ["Succeeded", "Failed"].contains(&text(object, "/status/phase"));
        if change.after.is_none() || has_ended {
            self.changes += 1;
            self.cluster.remove_pod(&uid);
            return;
        }
        let Some(template) = self.template(object, api) else { return };
        let node = text(object, "/spec/nodeName");
        let is_ending = !object["metadata"]["deletionTimestamp"].is_null();
        if !node.is_empty() {
            self.changes += 1;
            let namespace = change.subject.key.namespace.clone();
            self.cluster.put_pod(&uid, &Occupant { namespace, template, node: node.into(), is_ending });
            return;
        }
        let created = text(object, "/metadata/creationTimestamp").parse().unwrap_or_default();
        let nominated = text(object, "/status/nominatedNodeName");
        let conditions = object["status"]["conditions"].as_array();
        let unbound = Unbound {
            subject: change.subject.clone(),
            template,
            tolerations: own_tolerations(object),
            nominated: (!nominated.is_empty()).then(|| nominated.to_owned()),
            is_marked: conditions.is_some_and(|all| all.iter().any(|of| of["reason"] == "Unschedulable")),
            is_gated: object["spec"]["schedulingGates"].as_array().is_some_and(|gates| !gates.is_empty()),
            tried_at: None,
        };
        self.waiting += usize::from(!unbound.is_gated);
        self.keys.insert(uid.clone(), (created, uid.clone()));
        self.unbound.insert((created, uid), unbound);
    }

    fn leave(&mut self, key: &(Timestamp, Arc<str>)) {
        if let Some(unbound) = self.unbound.remove(key) {
            self.waiting -= usize::from(!unbound.is_gated);
        }
    }

    /// What a pod is made of, tolerations aside; `None` where it cannot be read.
    pub fn template(&mut self, pod: &Value, api: &Api) -> Option<Arc<PodTemplate>> {
        let owner = text(pod, "/metadata/ownerReferences/0/uid");
        let key = if owner.is_empty() { text(pod, "/metadata/uid") } else { owner }.to_owned();
        self.templates.entry(key).or_insert_with(|| template(pod, api)).clone()
    }
}

impl Unbound {
    pub fn candidate(&self) -> Candidate<'_> {
        Candidate {
            namespace: &self.subject.key.namespace,
            template: &self.template,
            tolerations: &self.tolerations,
            nominated: self.nominated.as_deref(),
        }
    }
}

/// The tolerations that a pod has now.
pub(super) fn own_tolerations(pod: &Value) -> Vec<Toleration> {
    tolerations(&part::<Vec<v1::Toleration>>(&pod["spec"]["tolerations"]))
}

/// What of a Node decides which pods it takes.
pub(super) fn placing(node: &Value) -> [&Value; 3] {
    [&node["metadata"]["labels"], &node["spec"], &node["status"]["allocatable"]]
}

/// A part of an object; what is not there, or cannot be read, is empty.
fn part<'v, T: Deserialize<'v> + Default>(value: &'v Value) -> T {
    T::deserialize(value).unwrap_or_default()
}

/// Where a bound pod is, and whether it is about to leave; `None` where more than that counts.
fn place(pod: &Value) -> Option<(&str, bool, bool)> {
    let node = Some(text(pod, "/spec/nodeName")).filter(|node| !node.is_empty())?;
    let has_ended = ["Succeeded", "Failed"].contains(&text(pod, "/status/phase"));
    Some((node, has_ended, is_deleting(pod)))
}

pub(super) fn labels_of(object: &Value) -> Labels {
    let written = object["metadata"]["labels"].as_object().into_iter().flatten();
    written.filter_map(|(key, value)| Some((key.as_str().into(), value.as_str()?.into()))).collect()
}

/// A pod read as every decision reads it: as one that is bound, so that it counts whatever it is.
fn template(pod: &Value, api: &Api) -> Option<Arc<PodTemplate>> {
    let mut pod = pod.clone();
    pod["spec"]["nodeName"] = Value::from("a-node");
    remove(&mut pod, "status");
    let around = SURROUNDINGS.iter().flat_map(|kind| api.all(kind)).map(|(_, object)| Value::clone(object));
    let raw = around.chain([pod]).map(|value| RawObject { origin: Origin::default(), value });
    let options = LoadOptions {
        settings: Settings::default(),
        region: "".into(),
        taken_at: Timestamp::UNIX_EPOCH,
        catalog: Catalog::Fixed(Vec::new()),
        assumptions: Vec::new(),
        gates: GatesByInput::AsConfigured,
    };
    let outcome = build(Objects::collect(raw.collect::<Vec<_>>()), options);
    outcome.snapshot.pods.first().map(|pod| pod.template.clone())
}
