//! Nodes that planned pods fill exactly, beside a daemonset without tolerations: kube-scheduler's own choice leaves some pod
//! without room.

use std::collections::BTreeMap;

use futures::future::{join_all, try_join_all};
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{Namespace, Node, Pod, ServiceAccount};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Client, Error, Resource, ResourceExt as _};
use packwright::api::kwok_node_class::KWOKNodeClass;
use packwright::api::labels;
use packwright::api::node_claim::NodeClaim;
use packwright::placement::{ClaimPlan, PlannedPod};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::poll::until;
use crate::placement::dice::Dice;

/// What a daemon pod takes of a node.
const DAEMON_MILLI: u64 = 100;
/// The sizes of planned pods are multiples of it.
const STEP_MILLI: u64 = 50;

/// One node with what is planned on it.
#[derive(Debug, Clone)]
pub struct PlannedNode {
    /// Of node and claim.
    pub name: String,
    pub milli: u64,
    /// Names and sizes.
    pub pods: Vec<(String, u64)>,
}

pub struct World {
    pub client: Client,
    /// Of the namespace, and a label of every node: pods of one world stay on its nodes.
    pub name: String,
    pub nodes: Vec<PlannedNode>,
    /// What each claim's plan has besides its pods.
    pub plans: BTreeMap<String, ClaimPlan>,
    /// The priority class of daemon pods.
    pub daemon_priority: Option<String>,
    /// What the manifests of some planned pods have besides.
    pub more: BTreeMap<String, Value>,
}

impl World {
    pub fn exactly_filled(client: &Client, name: &str, seed: u64, nodes: usize) -> Self {
        let dice = &mut Dice::new(seed);
        let node = |index: usize| {
            let milli = *dice.pick(&[2000, 4000, 4000, 8000]);
            let mut left = milli - DAEMON_MILLI;
            let mut pods = Vec::new();
            while left > 0 {
                let most = u64::min(left, 2000) / STEP_MILLI;
                let size = (4 + dice.below(40) as u64).min(most) * STEP_MILLI;
                // what is left must be a pod of a fair size, too
                let size = if left - size < 4 * STEP_MILLI { left } else { size };
                pods.push((format!("pod-{index}-{}", pods.len()), size));
                left -= size;
            }
            PlannedNode { name: format!("{name}-{index}"), milli, pods }
        };
        let nodes = (0..nodes).map(node).collect();
        Self {
            client: client.clone(),
            name: name.to_owned(),
            nodes,
            plans: BTreeMap::new(),
            daemon_priority: None,
            more: BTreeMap::new(),
        }
    }

    pub fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &self.name)
    }

    pub fn nodes(&self) -> Api<Node> {
        Api::all(self.client.clone())
    }

    pub fn claims(&self) -> Api<NodeClaim> {
        Api::all(self.client.clone())
    }

    fn classes(&self) -> Api<KWOKNodeClass> {
        Api::all(self.client.clone())
    }

    pub fn planned(&self) -> usize {
        self.nodes.iter().map(|node| node.pods.len()).sum()
    }

    /// Namespace, node class, daemonset and pods; no nodes yet: those of the class come when a test makes them.
    pub async fn create(&self) -> Result<(), Error> {
        let namespace = json!({"metadata": {"name": self.name}});
        Api::<Namespace>::all(self.client.clone()).create(&PostParams::default(), &object(namespace)).await?;
        let class = json!({"metadata": {"name": self.name}, "spec": {"nodeRegistrationDelay": "1h"}});
        create(&self.classes(), class).await?;
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client.clone(), &self.name);
        until("a service account", async || accounts.get_opt("default").await).await;
        self.create_daemon_set("daemon", json!({"cpu": format!("{DAEMON_MILLI}m")})).await?;
        let pods = self.nodes.iter().flat_map(|node| &node.pods);
        let more = |name: &String| self.more.get(name).cloned().unwrap_or(json!({}));
        try_join_all(pods.map(|(name, milli)| self.create_pod(name, *milli, more(name)))).await?;
        Ok(())
    }

    /// Without tolerations.
    pub async fn create_daemon_set(&self, name: &str, requests: Value) -> Result<(), Error> {
        let own = json!({"daemon": name});
        let set = json!({
            "metadata": {"name": name},
            "spec": {"selector": {"matchLabels": own}, "template": {"metadata": {"labels": own}, "spec": {
                "priorityClassName": self.daemon_priority,
                "nodeSelector": {"world": self.name}, "terminationGracePeriodSeconds": 0,
                "containers": [{"name": "main", "image": "daemon", "resources": {"requests": requests}}],
            }}},
        });
        let sets: Api<DaemonSet> = Api::namespaced(self.client.clone(), &self.name);
        sets.create(&PostParams::default(), &object(set)).await.map(drop)
    }

    /// A pod with this much cpu; `more` is merged into its manifest.
    pub async fn create_pod(&self, name: &str, milli: u64, more: Value) -> Result<Pod, Error> {
        let mut pod = json!({"metadata": {"name": name}, "spec": self.pod_spec(milli)});
        merge(&mut pod, more);
        self.pods().create(&PostParams::default(), &object(pod)).await
    }

    pub fn pod_spec(&self, milli: u64) -> Value {
        json!({
            "nodeSelector": {"world": self.name}, "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "main", "image": "app", "resources": {"requests": {"cpu": format!("{milli}m")}}}],
        })
    }

    /// The claims, each with its plan; the pods are those that exist.
    pub async fn create_claims(&self) -> Result<(), Error> {
        let pods = self.pods().list(&ListParams::default()).await?;
        let uids: BTreeMap<String, String> =
            pods.iter().map(|pod| (pod.name_any(), pod.uid().unwrap_or_default())).collect();
        join_all(self.nodes.iter().map(|node| self.create_claim(node, &uids))).await.into_iter().collect()
    }

    pub async fn create_claim(&self, node: &PlannedNode, uids: &BTreeMap<String, String>) -> Result<(), Error> {
        let planned = |(name, _): &(String, u64)| {
            let uid = uids.get(name)?.as_str().into();
            Some(PlannedPod { namespace: self.name.as_str().into(), name: name.as_str().into(), uid, turn: 0 })
        };
        let mut plan = self.plans.get(&node.name).cloned().unwrap_or_default();
        plan.pods.extend(node.pods.iter().filter_map(planned));
        self.create_planned_claim(&node.name, &plan).await
    }

    /// A claim as a person makes it, but for this plan: the controller launches it.
    async fn create_planned_claim(&self, name: &str, plan: &ClaimPlan) -> Result<(), Error> {
        let class = json!({"group": "karpenter.kwok.sh", "kind": "KWOKNodeClass", "name": self.name});
        let claim = json!({
            "metadata": {
                "name": name, "labels": {"world": self.name},
                "annotations": {labels::PLANNED_PODS: plan.to_annotation()},
            },
            "spec": {"nodeClassRef": class, "requirements": []},
        });
        create(&self.claims(), claim).await.map(drop)
    }

    /// The node as it is born.
    pub async fn bring_up(&self, node: &PlannedNode) -> Result<Node, Error> {
        self.bring_up_with(node, json!({})).await
    }

    pub async fn bring_up_with(&self, node: &PlannedNode, more: Value) -> Result<Node, Error> {
        until("a launch", async || {
            let claim = self.claims().get(&node.name).await?;
            Ok(claim.status.and_then(|status| status.provider_id))
        })
        .await;
        let amounts = json!({"cpu": format!("{}m", node.milli), "memory": "64Gi", "pods": "110"});
        let mut born = json!({
            "metadata": {
                "name": node.name, "annotations": {"kwok.x-k8s.io/node": "fake"},
                "labels": {"world": self.name, labels::HOSTNAME: node.name},
            },
            "spec": {
                "providerID": provider_id(&node.name),
                "taints": [{"key": labels::TAINT_UNREGISTERED, "effect": "NoExecute"}],
            },
            "status": {"capacity": amounts, "allocatable": amounts},
        });
        merge(&mut born, more);
        self.nodes().create(&PostParams::default(), &object(born)).await
    }

    /// Where each pod of the world is bound, by name.
    pub async fn bindings(&self) -> Result<BTreeMap<String, Option<String>>, Error> {
        let pods = self.pods().list(&ListParams::default()).await?;
        Ok(pods.into_iter().map(|pod| (pod.name_any(), pod.spec.and_then(|spec| spec.node_name))).collect())
    }

    /// How many planned pods are bound, and how many of them where they are planned.
    pub async fn landed(&self) -> Result<(usize, usize), Error> {
        let bindings = self.bindings().await?;
        let (mut bound, mut as_planned) = (0, 0);
        for node in &self.nodes {
            for on in node.pods.iter().filter_map(|(pod, _)| bindings.get(pod)?.as_ref()) {
                bound += 1;
                as_planned += usize::from(*on == node.name);
            }
        }
        Ok((bound, as_planned))
    }

    /// A pod that is never scheduled and fits on no other node: while it is there, the node that it is planned on is kept for it.
    pub async fn plan_gated_pod(&mut self, node: usize) -> Result<String, Error> {
        let name = format!("gated-{node}");
        let planned = self.create_gated_pod(&name).await?;
        self.plans.entry(self.nodes[node].name.clone()).or_default().pods.push(planned);
        Ok(name)
    }

    async fn create_gated_pod(&self, name: &str) -> Result<PlannedPod, Error> {
        let amounts = json!({"example.com/nowhere": "1"});
        let container = json!({"name": "main", "image": "app", "resources": {"requests": amounts, "limits": amounts}});
        let gates = json!([{"name": "example.com/never"}]);
        let gate = json!({"spec": {"schedulingGates": gates, "containers": [container]}});
        let pod = self.create_pod(name, 0, gate).await?;
        let uid = pod.uid().unwrap_or_default().as_str().into();
        Ok(PlannedPod { namespace: self.name.as_str().into(), name: name.into(), uid, turn: 0 })
    }

    pub async fn node(&self, node: usize) -> Result<Node, Error> {
        self.nodes().get(&self.nodes[node].name).await
    }

    /// Waits until a node is kept for its pods by the taint.
    pub async fn await_reserved(&self, node: usize) {
        until("a reserved node", async || {
            let spec = self.node(node).await?.spec.unwrap_or_default();
            let is_tainted = spec.taints.iter().flatten().any(|taint| taint.key == labels::PLANNED);
            Ok((is_tainted && spec.unschedulable != Some(true)).then_some(()))
        })
        .await;
    }

    /// The planned pods that are bound elsewhere, in words.
    pub async fn misplaced(&self) -> Result<Vec<String>, Error> {
        let bindings = self.bindings().await?;
        let mut misplaced = Vec::new();
        for node in &self.nodes {
            for (pod, milli) in &node.pods {
                if let Some(Some(on)) = bindings.get(pod).filter(|on| on.as_ref() != Some(&node.name)) {
                    misplaced.push(format!("{pod} of {milli}m is planned on {} and bound to {on}", node.name));
                }
            }
        }
        Ok(misplaced)
    }

    /// The nodes of this world that pods are kept from, with what keeps them.
    pub async fn held(&self) -> Result<Vec<String>, Error> {
        let nodes = self.nodes().list(&ListParams::default().labels(&format!("world={}", self.name))).await?;
        let mut held = Vec::new();
        for node in nodes {
            let (name, spec) = (node.name_any(), node.spec.unwrap_or_default());
            let ours = [labels::PLANNED, labels::TAINT_UNREGISTERED];
            for taint in spec.taints.iter().flatten().filter(|taint| ours.contains(&taint.key.as_str())) {
                held.push(format!("{name}: {}", taint.key));
            }
            if spec.unschedulable == Some(true) {
                held.push(format!("{name}: cordoned"));
            }
        }
        Ok(held)
    }

    /// Daemon pods on each of the nodes, where there is one.
    pub async fn daemons(&self, set: &str) -> Result<usize, Error> {
        let pods = self.pods().list(&ListParams::default().labels(&format!("daemon={set}"))).await?;
        Ok(pods.iter().filter(|pod| pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some())).count())
    }

    /// Removes nodes, claims and, in its own time, the namespace, whatever waits for a controller that drains them.
    pub async fn remove(&self) -> Result<(), Error> {
        let of_world = ListParams::default().labels(&format!("world={}", self.name));
        for claim in self.claims().list(&of_world).await? {
            removed(&self.claims(), &claim).await?;
        }
        for node in self.nodes().list(&of_world).await? {
            removed(&self.nodes(), &node).await?;
        }
        self.classes().delete(&self.name, &DeleteParams::default()).await?;
        Api::<Namespace>::all(self.client.clone()).delete(&self.name, &DeleteParams::default()).await?;
        Ok(())
    }
}

/// Deletes an object with its finalizers. Others may be about to.
async fn removed<K>(api: &Api<K>, object: &K) -> Result<(), Error>
where
    K: Resource + Clone + DeserializeOwned + std::fmt::Debug,
{
    let name = object.name_any();
    let gone_too = |result: Result<(), Error>| match result {
        Err(Error::Api(status)) if status.code == 404 => Ok(()),
        result => result,
    };
    gone_too(api.delete(&name, &DeleteParams::default()).await.map(drop))?;
    let freed = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    gone_too(api.patch(&name, &PatchParams::default(), &freed).await.map(drop))
}

fn provider_id(node: &str) -> String {
    format!("kwok://{node}")
}

pub fn object<K: DeserializeOwned>(object: Value) -> K {
    serde_json::from_value(object).unwrap()
}

pub async fn create<K>(api: &Api<K>, manifest: Value) -> Result<K, Error>
where
    K: Clone + DeserializeOwned + serde::Serialize + std::fmt::Debug,
{
    api.create(&PostParams::default(), &object(manifest)).await
}

/// Objects field by field, everything else as a whole.
fn merge(into: &mut Value, more: Value) {
    match (into, more) {
        (Value::Object(into), Value::Object(more)) => {
            for (key, value) in more {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, more) => *into = more,
    }
}
