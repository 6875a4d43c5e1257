//! The pods of the input: which of them count, which wait for a place, and which are left out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::PodSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::budgets::Budget;
use super::cluster::Cluster;
use super::disruption::{belongs_to_node, is_reschedulable, read_disruption};
use super::has_ended;
use super::input::{FieldError, FieldResult as _, InputError};
use super::memory::Memory;
use super::objects::{Objects, Sourced};
use super::owners::controller;
use super::pod::{PodSource, avoids_node_pools, is_gated, read_template};
use super::snapshot::{OwnerRef, Pod, PodDisruption, PodKey};
use crate::api::labels;

/// What reading pods needs besides the pods.
pub(super) struct Surroundings<'a> {
    pub budgets: &'a [Budget],
    pub deleting_nodes: &'a BTreeSet<Arc<str>>,
    pub nodes: &'a BTreeSet<Arc<str>>,
    pub now: Timestamp,
}

/// Pods that do not count, of the input or made up for an owner of the input.
pub type LeftOut = BTreeMap<PodKey, Unplanned>;

/// A pod that does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unplanned {
    /// Why not, in one sentence without its subject.
    pub why: String,
    pub owner: Option<OwnerRef>,
    /// Of the ReplicaSet that made it: its `pod-template-hash`.
    pub revision: Option<Arc<str>>,
}

impl Unplanned {
    fn of(meta: &ObjectMeta, why: String) -> Self {
        let revision = meta.labels.as_ref().and_then(|labels| labels.get(labels::POD_TEMPLATE_HASH));
        Self { why, owner: owner(meta), revision: revision.map(|hash| Arc::from(hash.as_str())) }
    }

    /// One of which nothing but its name is known.
    pub(super) fn unread(why: String) -> Self {
        Self { why, owner: None, revision: None }
    }
}

pub(super) fn owner(meta: &ObjectMeta) -> Option<OwnerRef> {
    let [kind, name, uid] = {
        let owner = controller(meta)?;
        [&owner.kind, &owner.name, &owner.uid].map(|text| Arc::from(text.as_str()))
    };
    Some(OwnerRef { kind, name, uid })
}

/// Why a pod behind scheduling gates does not count.
pub(super) fn gated(spec: &PodSpec) -> String {
    let gates: Vec<&str> = spec.scheduling_gates.iter().flatten().map(|gate| gate.name.as_str()).collect();
    format!("it waits behind scheduling gates: {}", gates.join(", "))
}

/// Why a pod that avoids every NodePool does not count.
pub(super) fn not_ours() -> String {
    format!("its node affinity keeps it off nodes of every NodePool ({} DoesNotExist)", labels::NODEPOOL)
}

/// Every pod that is not terminal, in the order of their keys, and the pods that are left out: those that nobody places now with a
/// note.
pub(super) fn read_pods(
    objects: &Objects,
    cluster: &mut Cluster,
    surroundings: &Surroundings<'_>,
    (errors, notes): (&mut Vec<InputError>, &mut Vec<String>),
    memory: &mut Memory,
) -> (Vec<Pod>, LeftOut) {
    memory.begin(objects, &cluster.spreading);
    let mut pods = Vec::with_capacity(objects.pods.len());
    let mut left_out = LeftOut::new();
    let mut counts: BTreeMap<OfPods, usize> = BTreeMap::new();
    for (key, Sourced { origin, object }) in &objects.pods {
        let mut leave_out = |why: String| drop(left_out.insert(key.clone(), Unplanned::of(&object.metadata, why)));
        if has_ended(object) {
            leave_out("it has ended".to_owned());
            continue;
        }
        let Some(spec) = &object.spec else {
            let error = FieldError::new("spec", "expected a pod spec, found nothing");
            errors.push(Objects::field_error("Pod", key, origin, error));
            continue;
        };
        let meta = &object.metadata;
        let status = object.status.as_ref();
        let is_bound = spec.node_name.as_deref().is_some_and(|name| !name.is_empty());
        let terminating = meta.deletion_timestamp.is_some();
        if !is_bound && terminating {
            leave_out("it is being deleted".to_owned());
            continue;
        }
        if !is_bound && belongs_to_node(object) {
            leave_out("a DaemonSet or its node made it, so it is overhead of that node".to_owned());
            continue;
        }
        if !is_bound && is_gated(spec) {
            leave_out(gated(spec));
            *counts.entry(GATED).or_default() += 1;
            continue;
        }
        let source = PodSource {
            namespace: &key.namespace,
            name: &key.name,
            labels: meta.labels.as_ref(),
            annotations: meta.annotations.as_ref(),
            spec,
            status,
            admitted: meta.uid.is_some() || status.is_some(),
        };
        let is_admitted = source.admitted;
        let mut read = || {
            let (mut template, refusal) = read_template(source, cluster).within("spec")?;
            if !cluster.spreading.is_off() {
                let selector = cluster.spreading.selector_of(&key.namespace, meta);
                cluster.spreading.apply(&key.namespace, &mut template, selector.as_ref())?;
            }
            Ok((template, refusal))
        };
        let of = if is_admitted { memory.admitted((key, object), read) } else { memory.anew((key, object), read()) };
        cluster.priorities.note(spec);
        let node = of.node.clone();
        let (template, refusal) = match &of.read {
            Ok((template, refusal)) => (template.clone(), refusal.clone()),
            Err(error) => {
                leave_out(format!("{}: {}", error.path, error.message));
                errors.push(Objects::field_error("Pod", key, origin, error.clone()));
                continue;
            }
        };
        let on_deleting_node = node.as_ref().is_some_and(|node| surroundings.deleting_nodes.contains(node));
        let displaced =
            on_deleting_node && is_reschedulable(key, object, &template.labels, surroundings.budgets, surroundings.now);
        if node.is_none() && avoids_node_pools(&template) {
            *counts.entry(NOT_OURS).or_default() += 1;
            leave_out(not_ours());
            continue;
        }
        if node.is_none() {
            cluster.note_scheduler(spec);
        }
        if node.is_none() && status.and_then(|status| status.nominated_node_name.as_ref()).is_some() {
            *counts.entry(NOMINATED).or_default() += 1;
        }
        if node.as_ref().is_some_and(|node| !surroundings.nodes.contains(node)) {
            *counts.entry(BOUND_ELSEWHERE).or_default() += 1;
        }
        let (disruption, error) = read_disruption(object, surroundings.now);
        errors.extend(error.map(|error| Objects::field_error("Pod", key, origin, error)));
        pods.push(Pod {
            key: key.clone(),
            uid: of.uid.clone(),
            created_at: meta.creation_timestamp.as_ref().map(|time| time.0),
            template,
            owner: of.owner.clone(),
            refused: refusal.filter(|_| node.is_none() || displaced),
            node,
            terminating,
            displaced,
            buffer: false,
            disruption: if is_bound { disruption } else { PodDisruption::default() },
        });
    }
    memory.end();
    notes.extend(counts.into_iter().map(|(what, count)| what.of(count)));
    (pods, left_out)
}

/// What is said of one pod, and of several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct OfPods {
    one: &'static str,
    several: &'static str,
}

impl OfPods {
    pub fn of(self, count: usize) -> String {
        if count == 1 { format!("1 pod {}", self.one) } else { format!("{count} pods {}", self.several) }
    }
}

pub(super) const GATED: OfPods = OfPods {
    one: "waits behind scheduling gates and is left out",
    several: "wait behind scheduling gates and are left out",
};
pub(super) const NOT_OURS: OfPods = OfPods {
    one: "may not run on nodes of a NodePool and is left out",
    several: "may not run on nodes of a NodePool and are left out",
};
const NOMINATED: OfPods = OfPods {
    one: "is nominated for a node by kube-scheduler and planned as pending",
    several: "are nominated for a node by kube-scheduler and planned as pending",
};
const BOUND_ELSEWHERE: OfPods = OfPods {
    one: "is bound to a node that is not in the input",
    several: "are bound to nodes that are not in the input",
};
