//! A controller with a small API server and the kwok cloud; time passes when a test says so.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::api::labels;
use crate::catalog::{Catalog, kwok};
use crate::cloud::{self, Request};
use crate::consolidation::{Found, consolidate_now};
use crate::controller::{Action, Controller, ControllerSettings, Event, Outcome, Said, Step, Subject, Verb, Write};
use crate::host::{Limits, Search, decide};
use crate::observe::input::Origin;
use crate::observe::objects::{KINDS, ObjectKey};
use crate::observe::{COPIED_FROM_NODES, RawObject};
use crate::placement::ClaimPlan;
use crate::solve::Work;

/// The type of most tests, and where it is.
pub const SMALL: &str = "c-2x-amd64-linux";

pub struct Rig {
    pub controller: Controller,
    objects: BTreeMap<(&'static str, ObjectKey), Value>,
    pub now: Timestamp,
    /// Of writes: resource versions and uids.
    count: u64,
    next: Option<Timestamp>,
    pub said: Vec<Said>,
    /// What was asked of the cloud, and of whom.
    pub requests: Vec<String>,
    /// How often the pods of a node were listed.
    pub looks: usize,
    /// Writes of pods whose names begin so fail.
    pub failing: Option<&'static str>,
    /// kube-scheduler binds nothing.
    pub is_asleep: bool,
}

impl Rig {
    pub fn new(settings: ControllerSettings, objects: Vec<Value>) -> Self {
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let controller = Controller::new(settings, Catalog::Fixed(kwok::instance_types()));
        let (objects_by_key, said, requests) = (BTreeMap::new(), Vec::new(), Vec::new());
        let mut rig = Self {
            controller,
            objects: objects_by_key,
            now,
            count: 0,
            next: None,
            said,
            requests,
            looks: 0,
            failing: None,
            is_asleep: false,
        };
        for kind in KINDS {
            rig.controller.observe(Event::Listed { kind: kind.name, objects: Vec::new() }, now);
        }
        for object in objects {
            rig.put(object);
        }
        rig
    }

    /// As [`Rig::new`], by the settings of a user who has turned every gate on.
    pub fn of(objects: Vec<Value>) -> Self {
        let mut settings = ControllerSettings::default();
        settings.decision.feature_gates.static_capacity = true;
        settings.decision.feature_gates.capacity_buffer = true;
        settings.decision.feature_gates.node_overlay = true;
        settings.decision.feature_gates.node_repair = true;
        Self::new(settings, objects)
    }

    /// A new process, with the same cluster.
    pub fn restart(&mut self) {
        self.replace_by(Self::of(Vec::new()));
    }

    /// As [`Rig::restart`], with other settings.
    pub fn restart_by(&mut self, settings: ControllerSettings) {
        self.replace_by(Self::new(settings, Vec::new()));
    }

    fn replace_by(&mut self, mut next: Self) {
        next.now = self.now;
        for ((kind, _), object) in &self.objects {
            next.controller.observe(Event::Seen { kind, object: raw(object) }, self.now);
        }
        self.controller = next.controller;
    }

    /// Creates an object, or replaces it.
    pub fn put(&mut self, object: Value) {
        let (kind, object) = self.store(object);
        self.observe(Event::Seen { kind, object: raw(&object) });
    }

    /// Creates an object, and no watch says so.
    pub fn put_unseen(&mut self, object: Value) {
        self.store(object);
    }

    fn store(&mut self, mut object: Value) -> (&'static str, Value) {
        let key = key(&object);
        let kind = KINDS.iter().find(|kind| object["kind"] == kind.name).unwrap().name;
        self.count += 1;
        let meta = &mut object["metadata"];
        let known = self.objects.get(&(kind, key.clone()));
        let uid = known.map_or_else(|| json!(format!("uid-{}", self.count)), |known| known["metadata"]["uid"].clone());
        let created =
            known.map_or_else(|| json!(self.now.to_string()), |known| known["metadata"]["creationTimestamp"].clone());
        for (field, value) in [("uid", uid), ("creationTimestamp", created), ("generation", json!(1))] {
            if meta[field].is_null() {
                meta[field] = value;
            }
        }
        meta["resourceVersion"] = json!(self.count.to_string());
        self.objects.insert((kind, key), object.clone());
        (kind, object)
    }

    /// Changes an object as somebody else would.
    pub fn change(&mut self, kind: &'static str, name: &str, change: impl FnOnce(&mut Value)) {
        let mut object = self.get(kind, name).clone();
        change(&mut object);
        self.put(object);
    }

    pub fn delete(&mut self, kind: &'static str, name: &str) {
        let at = self.find(kind, name).unwrap();
        self.end(&at);
    }

    pub fn try_get(&self, kind: &'static str, name: &str) -> Option<&Value> {
        self.find(kind, name).map(|at| &self.objects[&at])
    }

    pub fn get(&self, kind: &'static str, name: &str) -> &Value {
        self.try_get(kind, name).unwrap_or_else(|| panic!("no {kind} {name}"))
    }

    pub fn names(&self, kind: &str) -> Vec<String> {
        self.objects.keys().filter(|(of, _)| *of == kind).map(|(_, key)| key.name.to_string()).collect()
    }

    /// Status and reason, as `True/Ready`.
    pub fn condition(&self, kind: &'static str, name: &str, condition: &str) -> Option<String> {
        let conditions = self.get(kind, name)["status"]["conditions"].as_array()?;
        let found = conditions.iter().find(|of| of["type"] == condition)?;
        Some(format!("{}/{}", found["status"].as_str()?, found["reason"].as_str()?))
    }

    pub fn annotation(&self, kind: &'static str, name: &str, key: &str) -> Option<&str> {
        self.get(kind, name)["metadata"]["annotations"][key].as_str()
    }

    /// Lets time pass, with a step whenever one is due, and until nothing is left to do.
    pub fn pass(&mut self, seconds: u64) {
        let end = self.now + Duration::from_secs(seconds);
        loop {
            self.settle();
            match self.next.filter(|next| *next <= end) {
                Some(next) => self.now = next.max(self.now + Duration::from_millis(1)),
                None => break,
            }
        }
        self.now = end;
        self.settle();
    }

    /// Steps until there is nothing to do at this time.
    pub fn settle(&mut self) {
        for _ in 0..1_000 {
            if self.step().is_empty() {
                return;
            }
        }
        panic!("it never ends: {:?}", self.controller.step(self.now).actions);
    }

    /// One step, carried out; what it was.
    pub fn step(&mut self) -> Vec<String> {
        let step = self.controller.step(self.now);
        self.next = step.next;
        let done = step.actions.iter().map(describe).collect();
        self.take(step);
        if !self.is_asleep {
            self.bind_planned();
        }
        done
    }

    /// What kube-scheduler does with pods that are planned on a node which is registered, and with those that it lets in.
    fn bind_planned(&mut self) {
        let mut planned = Vec::new();
        for claim in self.names("NodeClaim") {
            let node = self.get("NodeClaim", &claim)["status"]["nodeName"].as_str().map(str::to_owned);
            let plan = self.annotation("NodeClaim", &claim, labels::PLANNED_PODS).map(ClaimPlan::from_annotation);
            let (Some(node), Some(Ok(plan))) = (node, plan) else { continue };
            planned.extend(plan.pods.into_iter().map(|pod| (pod.name, node.clone())));
        }
        for node in self.names("Node") {
            let lets_in = |pod: &String| {
                let (taints, pod) = (&self.get("Node", &node)["spec"]["taints"], self.get("Pod", pod));
                let planned = taints.as_array().into_iter().flatten().find(|taint| taint["key"] == labels::PLANNED);
                let tolerations = pod["spec"]["tolerations"].as_array();
                planned.is_some_and(|taint| {
                    tolerations.is_some_and(|all| all.iter().any(|of| of["value"] == taint["value"]))
                })
            };
            planned.extend(self.names("Pod").into_iter().filter(lets_in).map(|pod| (Arc::from(pod), node.clone())));
        }
        for (pod, node) in planned {
            if self.try_get("Pod", &pod).is_some_and(|pod| pod["spec"]["nodeName"].is_null()) {
                let of_node = self.get("Node", &node)["metadata"]["labels"].clone();
                self.change("Pod", &pod, |pod| {
                    pod["spec"]["nodeName"] = json!(node);
                    pod["status"] = json!({"phase": "Running"});
                    for key in COPIED_FROM_NODES.into_iter().filter(|key| of_node[key].is_string()) {
                        pod["metadata"]["labels"][key] = of_node[key].clone();
                    }
                });
            }
        }
    }

    /// What a ReplicaSet does for a pod that was evicted.
    fn make_again(&mut self, evicted: &Value) {
        let name = format!("{}-again", evicted["metadata"]["name"].as_str().unwrap());
        let mut next = pod(&name, "0");
        next["metadata"]["ownerReferences"] = evicted["metadata"]["ownerReferences"].clone();
        next["spec"]["containers"] = evicted["spec"]["containers"].clone();
        self.put(next);
    }

    pub fn observe(&mut self, event: Event) {
        let step = self.controller.observe(event, self.now);
        self.take(step);
    }

    fn take(&mut self, step: Step) {
        self.said.extend(step.said);
        for action in step.actions {
            match action {
                Action::Write(Write { subject, verb }) => {
                    let outcome = self.write(&subject, verb);
                    self.observe(Event::Written { subject, outcome });
                }
                Action::Cloud(request) => {
                    let answer = match &request {
                        Request::Launch(launch) => cloud::kwok::launch(launch),
                        Request::List => cloud::Answer::Listed(Ok(Vec::new())),
                        Request::Terminate { provider_id, .. } => cloud::kwok::terminate(provider_id),
                    };
                    self.requests.push(describe(&Action::Cloud(request)));
                    self.observe(Event::Cloud(answer));
                }
                Action::Look { node } => {
                    self.looks += 1;
                    let here = |of: &Value| of["kind"] == "Pod" && of["spec"]["nodeName"] == *node;
                    let pods = Ok(self.objects.values().filter(|object| here(object)).map(raw).collect());
                    self.observe(Event::Looked { node, pods });
                }
                Action::Consolidate { question, snapshot, policy } => {
                    let limits = Limits::of_work(Work::LIMITED, Search::Integer);
                    let found = consolidate_now(&snapshot, &policy, limits, question);
                    self.observe(Event::Consolidated { question, found: Some(Found::of(found)) });
                }
                Action::Decide { question, snapshot, .. } => {
                    let decision = Box::new(decide(&snapshot, Limits::of_work(Work::IN_TIME, Search::Greedy)));
                    self.observe(Event::Decided { question, decision: Some(decision) });
                }
            }
        }
    }

    fn write(&mut self, subject: &Subject, verb: Verb) -> Outcome {
        let at = (subject.kind, subject.key.clone());
        if subject.kind == "Pod" && self.failing.is_some_and(|start| subject.key.name.starts_with(start)) {
            return Outcome::Failed("a webhook does not answer".to_owned());
        }
        match verb {
            Verb::Create(_) if self.objects.contains_key(&at) => return Outcome::Outdated,
            Verb::Create(object) => {
                self.put(object);
            }
            Verb::Patch(body) | Verb::PatchStatus(body) => {
                let Some(known) = self.objects.get(&at) else { return Outcome::Outdated };
                let mut object = known.clone();
                let version = |of: &Value| of["metadata"]["resourceVersion"].clone();
                if version(&body) != version(known) {
                    return Outcome::Outdated;
                }
                merge(&mut object, body);
                let is_over = object["metadata"]["finalizers"].as_array().is_none_or(Vec::is_empty);
                if is_over && !object["metadata"]["deletionTimestamp"].is_null() {
                    self.gone(&at);
                    return Outcome::Done(None);
                }
                self.put(object);
            }
            Verb::Delete { .. } | Verb::Evict { .. } => {
                let Some(known) = self.objects.get(&at).cloned() else { return Outcome::Outdated };
                let version = known["metadata"]["resourceVersion"].as_str();
                if matches!(&verb, Verb::Delete { version: Some(read), .. } if version != Some(&**read)) {
                    return Outcome::Outdated;
                }
                self.end(&at);
                if matches!(verb, Verb::Evict { .. }) && known["metadata"]["ownerReferences"][0]["controller"] == true {
                    self.make_again(&known);
                }
            }
        }
        Outcome::Done(self.objects.get(&at).map(raw))
    }

    fn end(&mut self, at: &(&'static str, ObjectKey)) {
        let mut object = self.objects[at].clone();
        if object["metadata"]["finalizers"].as_array().is_none_or(Vec::is_empty) {
            return self.gone(at);
        }
        if object["metadata"]["deletionTimestamp"].is_null() {
            object["metadata"]["deletionTimestamp"] = json!(self.now.to_string());
            self.put(object);
        }
    }

    fn gone(&mut self, at: &(&'static str, ObjectKey)) {
        let Some(object) = self.objects.remove(at) else { return };
        let uid = Arc::from(object["metadata"]["uid"].as_str().unwrap());
        self.observe(Event::Gone { kind: at.0, key: at.1.clone(), uid });
    }

    fn find(&self, kind: &'static str, name: &str) -> Option<(&'static str, ObjectKey)> {
        self.objects.keys().find(|(of, key)| *of == kind && &*key.name == name).cloned()
    }
}

fn key(object: &Value) -> ObjectKey {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
    ObjectKey { namespace: text("namespace").into(), name: text("name").into() }
}

fn raw(object: &Value) -> RawObject {
    RawObject { origin: Origin::default(), value: object.clone() }
}

/// RFC 7386.
fn merge(into: &mut Value, patch: Value) {
    let Value::Object(fields) = patch else { return *into = patch };
    if !into.is_object() {
        *into = json!({});
    }
    for (field, value) in fields {
        match value {
            Value::Null => drop(into.as_object_mut().unwrap().remove(&field)),
            value => merge(&mut into[field], value),
        }
    }
}

fn describe(action: &Action) -> String {
    match action {
        Action::Write(Write { subject, verb }) => {
            let verb = match verb {
                Verb::Create(_) => "create",
                Verb::Patch(_) => "patch",
                Verb::PatchStatus(_) => "status",
                Verb::Delete { .. } => "delete",
                Verb::Evict { .. } => "evict",
            };
            format!("{verb} {subject}")
        }
        Action::Cloud(Request::Launch(launch)) => {
            let first = launch.offerings().next().map(|(kind, offering)| cloud::OfferingName::of(kind, offering));
            format!("launch {} {}", launch.claim, first.map(|name| name.to_string()).unwrap_or_default())
        }
        Action::Cloud(Request::Terminate { provider_id, .. }) => format!("terminate {provider_id}"),
        Action::Cloud(Request::List) => "list".to_owned(),
        Action::Look { node } => format!("look at {node}"),
        Action::Decide { .. } => "decide".to_owned(),
        Action::Consolidate { .. } => "consolidate".to_owned(),
    }
}

/// Ready, of the kwok node class `default`, with whatever else its spec says.
pub fn pool(name: &str, more: Value) -> Value {
    let mut spec = json!({
        "template": {"spec": {
            "nodeClassRef": {"group": "karpenter.kwok.sh", "kind": "KWOKNodeClass", "name": "default"},
            "requirements": [{"key": labels::INSTANCE_TYPE, "operator": "In", "values": [SMALL]}],
        }},
        "disruption": {"consolidateAfter": "0s", "budgets": [{"nodes": "100%"}]},
    });
    merge(&mut spec, more);
    json!({"apiVersion": "karpenter.sh/v1", "kind": "NodePool", "metadata": {"name": name}, "spec": spec})
}

pub fn class(annotations: &Value) -> Value {
    json!({
        "apiVersion": "karpenter.kwok.sh/v1alpha1", "kind": "KWOKNodeClass",
        "metadata": {"name": "default", "annotations": annotations}, "spec": {},
        "status": {"conditions": [{
            "type": "Ready", "status": "True", "reason": "Ready", "message": "",
            "lastTransitionTime": "2024-01-01T01:01:01Z",
        }]},
    })
}

/// One that kube-scheduler has found no room for.
pub fn pod(name: &str, cpu: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"},
        "spec": {"containers": [{"name": "c", "image": "i", "resources": {"requests": {"cpu": cpu}}}]},
        "status": {"phase": "Pending", "conditions": [
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"},
        ]},
    })
}
