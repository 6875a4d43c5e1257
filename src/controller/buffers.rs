//! CapacityBuffers: room that is kept free, as virtual pods which every decision places and nobody binds.
//!
//! Only a decision says whether they fit what is there. One is asked for whenever the answer may have changed: where pods, nodes
//! or buffers are others than it was made for. Source: the reference's `capacitybuffer` (karpenter-core 1.4, 2.5).

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::cluster::Cluster;
use super::conditions::Conditions;
use super::event::Subject;
use super::turn::{Turn, later};
use crate::api::capacity_buffer::{ACTIVE_CAPACITY, CapacityBuffer};
use crate::api::labels;
use crate::observe::objects::ObjectKey;
use crate::observe::snapshot::{Node, NodeStage, Snapshot};
use crate::observe::{BufferProblem, BufferState, buffer_states, has_ended};
use crate::plan::{Checked, Plan, Target};

/// Decisions that nothing but buffers asks for are so far apart.
const APART: Duration = Duration::from_secs(10);
/// What buffers come to is read anew so often, as the reference does.
const READ_AGAIN: Duration = Duration::from_secs(30);
const READY_FOR_PROVISIONING: &str = "ReadyForProvisioning";
const PROVISIONING: &str = "Provisioning";

/// What is known of the buffers. Another process asks first, and takes no node away before it has the answer.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    states: BTreeMap<ObjectKey, Result<BufferState, BufferProblem>>,
    /// Objects that those were read from, and when.
    read: Option<(Vec<Source>, Timestamp)>,
    /// What there is to decide about now.
    now: u64,
    /// What is being decided about.
    asked: u64,
    answer: Option<Answer>,
}

/// An object, and which of its states.
type Source = (&'static str, ObjectKey, Option<String>, Option<i64>);

/// What a decision made of the virtual pods.
#[derive(Debug)]
struct Answer {
    about: u64,
    at: Timestamp,
    /// Buffers that need nodes which are not ready yet.
    lacking: BTreeSet<ObjectKey>,
    /// Some virtual pod has no node, and none coming.
    is_open: bool,
    /// Nodes and claims that virtual pods are planned on.
    holding: BTreeSet<Arc<str>>,
    /// Where each of them is, by uid.
    places: BTreeMap<Arc<str>, Arc<str>>,
}

impl Buffers {
    /// Brings it up to date, and writes the status of every buffer.
    pub fn step(&mut self, cluster: &Cluster<'_>, turn: &mut Turn<'_>) {
        if !turn.settings.decision.feature_gates.capacity_buffer || cluster.objects.buffers.is_empty() {
            *self = Self::default();
            return;
        }
        let sources = sources(cluster);
        let known = self.read.as_ref().filter(|(known, at)| *known == sources && !turn.is_time(later(*at, READ_AGAIN)));
        if known.is_none() {
            self.states = buffer_states(cluster.objects, &turn.settings.decision);
            self.read = Some((sources, turn.now));
            turn.step_again(later(turn.now, READ_AGAIN));
        }
        self.now = self.digest(cluster);
        for (key, buffer) in &cluster.objects.buffers {
            if let Some(state) = self.states.get(key) {
                write(key, &buffer.object, state, self.fits(key), turn);
            }
        }
    }

    /// What a batch waits for as for a pod, where a decision is needed: always the same for the same question.
    pub fn waiting(&self, turn: &mut Turn<'_>) -> Option<Arc<str>> {
        if !self.has_pods() {
            return None;
        }
        if let Some(answer) = &self.answer
            && (answer.about == self.now || !turn.is_time(later(answer.at, APART)))
            && !(answer.about == self.now && answer.is_open)
        {
            return None;
        }
        Some(Arc::from(format!("buffers/{:x}", self.now)))
    }

    /// Notes that a decision is asked for.
    pub fn ask(&mut self) {
        self.asked = self.now;
    }

    /// Takes in what a decision made of the virtual pods; `created`: the claims of the plan's launches, where they are made.
    pub fn decided(
        &mut self,
        snapshot: &Snapshot,
        plan: &Plan<Checked>,
        created: &BTreeMap<usize, Arc<str>>,
        now: Timestamp,
    ) {
        let (lacking, holding, places) = (BTreeSet::new(), BTreeSet::new(), BTreeMap::new());
        let mut answer = Answer { about: self.asked, at: now, lacking, is_open: false, holding, places };
        let buffer_of = |pod: usize| {
            let pod = &snapshot.pods[pod];
            let name = pod.template.annotations.get(labels::BUFFER_NAME).filter(|_| pod.buffer)?;
            Some(ObjectKey { namespace: pod.key.namespace.clone(), name: name.clone() })
        };
        for assignment in &plan.assignments {
            let Some(buffer) = buffer_of(assignment.pod) else { continue };
            match assignment.target {
                Target::Existing(node) => {
                    let node = &snapshot.nodes[node];
                    answer.holding.insert(node.name.clone());
                    answer.places.insert(snapshot.pods[assignment.pod].uid.clone(), node.name.clone());
                    if node.stage != NodeStage::Initialized {
                        answer.lacking.insert(buffer);
                    }
                }
                Target::Launch(launch) => {
                    answer.holding.extend(created.get(&launch).cloned());
                    let claim = created.get(&launch).cloned();
                    answer.places.extend(claim.map(|claim| (snapshot.pods[assignment.pod].uid.clone(), claim)));
                    answer.is_open |= !created.contains_key(&launch);
                    answer.lacking.insert(buffer);
                }
            }
        }
        let unplaced = plan.unplaced.iter().filter_map(|unplaced| buffer_of(unplaced.pod));
        let before = answer.lacking.len();
        answer.lacking.extend(unplaced.clone());
        answer.is_open |= unplaced.count() > 0 || answer.lacking.len() > before;
        self.answer = Some(answer);
    }

    /// Nodes that virtual pods need; all of them while nobody knows.
    pub fn held(&self, cluster: &Cluster<'_>) -> BTreeSet<Arc<str>> {
        if !self.has_pods() {
            return BTreeSet::new();
        }
        let Some(answer) = &self.answer else {
            return cluster.objects.nodes.keys().map(|key| key.name.clone()).collect();
        };
        let mut held = answer.holding.clone();
        for claimed in cluster.our_claims().filter(|claimed| answer.holding.contains(claimed.name())) {
            held.extend(claimed.nodes.iter().filter_map(|node| node.metadata.name.as_deref()).map(Arc::from));
        }
        held
    }

    /// Has virtual pods take the room that is kept for them.
    pub fn place(&self, snapshot: &mut Snapshot) {
        let Some(answer) = &self.answer else { return };
        for pod in snapshot.pods.iter_mut().filter(|pod| pod.buffer && pod.node.is_none()) {
            let Some(place) = answer.places.get(&pod.uid) else { continue };
            let here = |node: &&Node| node.name == *place || node.claim.as_ref() == Some(place);
            pod.node = snapshot.nodes.iter().find(here).map(|node| node.name.clone());
        }
    }

    fn has_pods(&self) -> bool {
        self.states.values().flatten().any(|state| state.replicas > 0)
    }

    /// `None` while nobody knows.
    fn fits(&self, buffer: &ObjectKey) -> Option<bool> {
        self.answer.as_ref().map(|answer| !answer.lacking.contains(buffer))
    }

    /// Of everything that decides whether virtual pods fit: themselves, the nodes, and where pods are.
    fn digest(&self, cluster: &Cluster<'_>) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.read.as_ref().map(|(sources, _)| sources).hash(&mut hasher);
        for (key, state) in &self.states {
            (key, state.as_ref().map_or(0, |state| state.replicas)).hash(&mut hasher);
        }
        for (key, node) in &cluster.objects.nodes {
            let meta = &node.object.metadata;
            let is_initialized = meta.labels.as_ref().is_some_and(|of| of.contains_key(labels::INITIALIZED));
            let mut taints = node.object.spec.iter().flat_map(|spec| spec.taints.iter().flatten());
            let is_closed = taints.any(|taint| taint.key == labels::TAINT_DISRUPTED);
            (key, is_initialized, is_closed, meta.deletion_timestamp.is_some()).hash(&mut hasher);
        }
        for claimed in cluster.all_claims() {
            (claimed.uid(), claimed.is_deleting()).hash(&mut hasher);
        }
        for pod in cluster.pods() {
            let is_over = has_ended(pod) || pod.metadata.deletion_timestamp.is_some();
            if let Some(node) = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()) {
                (pod.metadata.uid.as_deref(), node, is_over).hash(&mut hasher);
            }
        }
        hasher.finish()
    }
}

/// The buffers and what they may refer to.
fn sources(cluster: &Cluster<'_>) -> Vec<Source> {
    let kinds = ["CapacityBuffer", "PodTemplate", "Deployment", "StatefulSet", "ReplicaSet"];
    let namespaces: BTreeSet<&Arc<str>> = cluster.objects.buffers.keys().map(|key| &key.namespace).collect();
    let mut found = Vec::new();
    for kind in kinds {
        for key in cluster.objects.keys(kind).into_iter().filter(|key| namespaces.contains(&key.namespace)) {
            let meta = cluster.objects.metadata(kind, &key);
            found.push((kind, key, meta.and_then(|meta| meta.uid.clone()), meta.and_then(|meta| meta.generation)));
        }
    }
    found
}

fn write(
    key: &ObjectKey,
    buffer: &CapacityBuffer,
    state: &Result<BufferState, BufferProblem>,
    fits: Option<bool>,
    turn: &mut Turn<'_>,
) {
    if buffer.metadata.deletion_timestamp.is_some() || matches!(state, Err(BufferProblem::OtherStrategy(_))) {
        return;
    }
    let status = buffer.status.clone().unwrap_or_default();
    let mut conditions = Conditions::of(&status.conditions, buffer.metadata.generation, turn.now);
    let (pod_template, replicas) = match state {
        Ok(state) => (state.pod_template.clone(), Some(state.replicas)),
        Err(_) => (None, None),
    };
    match state {
        Ok(_) => conditions.set(READY_FOR_PROVISIONING, "True", "Resolved", ""),
        Err(problem) => conditions.set(READY_FOR_PROVISIONING, "False", reason(problem), &problem.to_string()),
    };
    let provisioning = match (replicas, fits) {
        (None, _) => Some(("False", "NotReadyForProvisioning", "it has no pods now")),
        (Some(0), _) => Some(("False", "BufferEmpty", "it asks for no pods")),
        (Some(_), Some(true)) => Some(("True", "FitsExistingCapacity", "")),
        (Some(_), Some(false)) => Some(("False", "RequiresNewCapacity", "nodes that are ready have no room for it")),
        (Some(_), None) => None,
    };
    if let Some((status, reason, message)) = provisioning {
        conditions.set(PROVISIONING, status, reason, message);
    }
    let mut wanted = status.clone();
    wanted.pod_template_ref = pod_template.as_ref().map(|(name, _)| named(name));
    wanted.pod_template_generation = pod_template.and_then(|(_, generation)| generation);
    wanted.replicas = replicas.map(|count| i32::try_from(count).unwrap_or(i32::MAX));
    wanted.provisioning_strategy = Some(ACTIVE_CAPACITY.to_owned());
    wanted.conditions = conditions.into_list();
    let mut listed = status;
    listed.conditions.sort_by(|a, b| a.type_.cmp(&b.type_));
    if listed == wanted {
        return;
    }
    // what is not said any more is taken out
    let mut body: Value = json!({"podTemplateRef": null, "podTemplateGeneration": null, "replicas": null});
    if let Ok(Value::Object(fields)) = serde_json::to_value(&wanted) {
        fields.into_iter().for_each(|(field, value)| body[field] = value);
    }
    let subject = Subject { kind: "CapacityBuffer", key: key.clone() };
    turn.patch_status_of(subject, &buffer.metadata, &body);
}

fn named(name: &str) -> crate::api::capacity_buffer::LocalObjectRef {
    crate::api::capacity_buffer::LocalObjectRef { name: name.to_owned() }
}

fn reason(problem: &BufferProblem) -> &'static str {
    match problem {
        BufferProblem::PodTemplateNotFound(_) => "PodTemplateNotFound",
        BufferProblem::ScalableRefNotFound(_) => "ScalableRefNotFound",
        BufferProblem::ResolutionFailed(_) | BufferProblem::OtherStrategy(_) => "ResolutionFailed",
    }
}
