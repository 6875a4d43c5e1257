//! A cluster of JSON objects: it takes merge patches as the API server does, and its time passes when it is told to.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::api::labels;
use crate::placement::{
    ClaimPlan, Limits, Memory, Mode, ObjectPatch, Objects, Observed, Refusals, Step, Subject, What, read, step,
};

#[derive(Clone)]
pub struct Sim {
    pub mode: Mode,
    pub limits: Limits,
    pub now: Timestamp,
    pub nodes: BTreeMap<String, Value>,
    pub pods: BTreeMap<String, Value>,
    pub claims: BTreeMap<String, Value>,
    pub daemon_sets: BTreeMap<String, Value>,
    pub namespace: Value,
    pub refusals: Refusals,
    /// Patches of pods are refused.
    pub refuses_pods: bool,
    version: u64,
}

impl Sim {
    pub fn new(mode: Mode) -> Self {
        Self {
            mode,
            limits: Limits::default(),
            now: "2026-01-01T00:00:00Z".parse().unwrap(),
            nodes: BTreeMap::new(),
            pods: BTreeMap::new(),
            claims: BTreeMap::new(),
            daemon_sets: BTreeMap::new(),
            namespace: json!({"metadata": {"name": "shop"}}),
            refusals: Refusals::new(),
            refuses_pods: false,
            version: 0,
        }
    }

    /// Node `n` is kept for pod `p` of claim `c`: cordoned where a daemonset is waited for, tainted otherwise.
    pub fn reserved(daemon_sets: &[&str]) -> Self {
        let mut sim = Self::new(Mode::Reserve);
        for name in daemon_sets {
            sim.daemon_set(name);
        }
        sim.pod("p", None);
        sim.claim("c", &["p"]);
        sim.node("n", "c");
        sim.step();
        sim.ready("n");
        sim.step();
        sim.step();
        assert!(sim.is_held("n"));
        sim
    }

    fn next_version(&mut self) -> Value {
        self.version += 1;
        json!(self.version.to_string())
    }

    pub fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }

    // ---- what happens in the cluster

    pub fn pod(&mut self, name: &str, owner: Option<&str>) {
        let mut pod = json!({
            "metadata": {"namespace": "shop", "name": name, "uid": format!("uid-{name}"), "creationTimestamp": self.now.to_string()},
            "spec": {"containers": [{"name": "c", "image": "i"}]},
        });
        if let Some(owner) = owner {
            pod["metadata"]["ownerReferences"] =
                json!([{"apiVersion": "v1", "kind": "Any", "name": owner, "uid": owner, "controller": true}]);
        }
        pod["metadata"]["resourceVersion"] = self.next_version();
        self.pods.insert(name.to_owned(), pod);
    }

    pub fn bind(&mut self, pod: &str, node: &str) {
        let version = self.next_version();
        let pod = self.pods.get_mut(pod).unwrap();
        pod["spec"]["nodeName"] = json!(node);
        pod["metadata"]["resourceVersion"] = version;
    }

    pub fn daemon_set(&mut self, name: &str) {
        let set = json!({
            "metadata": {"namespace": "shop", "name": name, "uid": name},
            "spec": {"selector": {}, "template": {"spec": {"containers": []}}},
        });
        self.daemon_sets.insert(name.to_owned(), set);
    }

    pub fn change_daemon_set(&mut self, name: &str, pod_spec: Value) {
        self.daemon_sets.get_mut(name).unwrap()["spec"]["template"]["spec"] = pod_spec;
        self.daemon_sets.get_mut(name).unwrap()["spec"]["template"]["spec"]["containers"] = json!([]);
    }

    pub fn daemon_pod(&mut self, set: &str, node: &str) {
        let name = format!("{set}-{node}");
        self.pod(&name, Some(set));
        self.bind(&name, node);
    }

    pub fn claim(&mut self, name: &str, pods: &[&str]) {
        let pods: Vec<_> =
            pods.iter().map(|pod| json!({"namespace": "shop", "name": pod, "uid": format!("uid-{pod}")})).collect();
        let claim = json!({
            "metadata": {"name": name, "annotations": {labels::PLANNED_PODS: json!({"pods": pods}).to_string()}},
            "spec": {"nodeClassRef": {"group": "g", "kind": "K", "name": "n"}, "requirements": []},
            "status": {"providerID": format!("id-{name}")},
        });
        self.claims.insert(name.to_owned(), claim);
    }

    pub fn plan(&mut self, claim: &str, change: impl FnOnce(&mut Value)) {
        let annotation = &mut self.claims.get_mut(claim).unwrap()["metadata"]["annotations"][labels::PLANNED_PODS];
        let mut plan = serde_json::from_str(annotation.as_str().unwrap()).unwrap();
        change(&mut plan);
        *annotation = json!(plan.to_string());
        assert!(ClaimPlan::from_annotation(annotation.as_str().unwrap()).is_ok());
    }

    /// As it is born.
    pub fn node(&mut self, name: &str, claim: &str) {
        let mut node = json!({
            "metadata": {"name": name, "uid": format!("uid-{name}"), "labels": {"zone": "a"}},
            "spec": {
                "providerID": format!("id-{claim}"),
                "taints": [{"key": labels::TAINT_UNREGISTERED, "effect": "NoExecute"}],
            },
            "status": {"allocatable": {"cpu": "4", "pods": "20"}},
        });
        node["metadata"]["resourceVersion"] = self.next_version();
        self.nodes.insert(name.to_owned(), node);
    }

    pub fn ready(&mut self, name: &str) {
        let now = self.now.to_string();
        self.change_node(name, |node| {
            node["status"]["conditions"] = json!([{"type": "Ready", "status": "True", "lastTransitionTime": now}]);
        });
    }

    pub fn change_node(&mut self, name: &str, change: impl FnOnce(&mut Value)) {
        let version = self.next_version();
        let node = self.nodes.get_mut(name).unwrap();
        change(node);
        node["metadata"]["resourceVersion"] = version;
    }

    // ---- what a process does

    pub fn observed(&self) -> Observed {
        let objects = Objects {
            nodes: typed(self.nodes.values()),
            pods: typed(self.pods.values()),
            daemon_sets: typed(self.daemon_sets.values()),
            claims: typed(self.claims.values()),
            namespaces: typed([&self.namespace].into_iter()),
        };
        read(&objects, &self.refusals, &mut Memory::default(), Timestamp::MIN)
    }

    pub fn decide(&self) -> Step {
        step(&self.observed(), self.mode, &self.limits, self.now)
    }

    /// What was done, in words.
    pub fn step(&mut self) -> Vec<String> {
        let step = self.decide();
        self.apply(&step)
    }

    pub fn losses(&self) -> Vec<String> {
        self.decide().losses.iter().map(ToString::to_string).collect()
    }

    pub fn apply(&mut self, step: &Step) -> Vec<String> {
        let taken = step.actions.iter().filter(|action| self.patch(&action.patch));
        taken.map(|action: &_| -> &What { &action.what }).map(ToString::to_string).collect::<Vec<_>>()
    }

    fn patch(&mut self, patch: &ObjectPatch) -> bool {
        let version = self.next_version();
        let object = match &patch.subject {
            Subject::Node(name) => self.nodes.get_mut(&**name),
            Subject::Pod(_, _) | Subject::PodStatus(_, _) if self.refuses_pods => {
                self.refusals.insert(patch.version.uid.clone(), "no".to_owned());
                return false;
            }
            Subject::Pod(_, name) | Subject::PodStatus(_, name) => self.pods.get_mut(&**name),
        };
        let Some(object) = object else { return false };
        let meta = &patch.body["metadata"];
        if meta["resourceVersion"] != object["metadata"]["resourceVersion"] || meta["uid"] != object["metadata"]["uid"]
        {
            return false;
        }
        merge(object, &patch.body);
        object["metadata"]["resourceVersion"] = version;
        true
    }

    // ---- what is seen

    pub fn is_cordoned(&self, node: &str) -> bool {
        self.nodes[node]["spec"]["unschedulable"] == true
    }

    pub fn taints(&self, node: &str) -> Vec<String> {
        let taints = self.nodes[node]["spec"]["taints"].as_array().into_iter().flatten();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        taints.map(|t| format!("{}={}:{}", text(&t["key"]), text(&t["value"]), text(&t["effect"]))).collect()
    }

    pub fn annotations(&self, node: &str) -> Vec<String> {
        let annotations = self.nodes[node]["metadata"]["annotations"].as_object();
        annotations.into_iter().flatten().map(|(key, _)| key.clone()).collect()
    }

    /// Whether we keep pods from the node.
    pub fn is_held(&self, node: &str) -> bool {
        let of = self.observed();
        of.nodes.iter().any(|found| &*found.name == node && found.reservation.is_held())
    }

    pub fn tolerations(&self, pod: &str) -> usize {
        self.pods[pod]["spec"]["tolerations"].as_array().map_or(0, Vec::len)
    }
}

fn typed<'v, K: DeserializeOwned>(objects: impl Iterator<Item = &'v Value>) -> Vec<Arc<K>> {
    objects.map(|object| Arc::new(serde_json::from_value(object.clone()).unwrap())).collect()
}

/// RFC 7386.
fn merge(into: &mut Value, patch: &Value) {
    let Some(fields) = patch.as_object() else {
        *into = patch.clone();
        return;
    };
    if !into.is_object() {
        *into = json!({});
    }
    for (key, value) in fields {
        if value.is_null() {
            into.as_object_mut().unwrap().remove(key);
        } else {
            merge(&mut into[key], value);
        }
    }
}
