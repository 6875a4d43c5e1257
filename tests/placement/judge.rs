//! kube-scheduler decides about the pods of a plan, one after another, on the nodes of the plan.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::{try_join, try_join_all};
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{Node, PersistentVolumeClaim, Pod, Volume};
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams, PropagationPolicy};
use kube::discovery::ApiResource;
use kube::{Client, Error, ResourceExt as _};
use serde_json::{Value, json};

use super::scenario::{EVERYWHERE, Scenario, ZONE};

/// Between two looks at what is waited for, and how many there are.
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);
const LOOKS: usize = 3_000;

/// What kube-scheduler made of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Bound(String),
    Unschedulable(String),
}

pub struct Judge {
    pub client: Client,
}

/// What a server knows without asking its store: a list that must be up to date waits a tenth of a second.
fn lately() -> ListParams {
    ListParams::default().match_any()
}

/// Looks until something is there.
async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Result<Option<T>, Error>) -> Result<T, Error> {
    for _ in 0..LOOKS {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
    panic!("waited in vain for {what}");
}

impl Judge {
    /// The cluster before anything is planned.
    pub async fn set_up(&self, scenario: &Scenario) -> Result<(), Error> {
        self.clear().await?;
        self.create(&scenario.namespaces).await?;
        self.create(&scenario.surroundings).await?;
        self.with_service_accounts(&scenario.namespaces).await?;
        let of_volume =
            |object: &&Value| object["kind"] == "PersistentVolumeClaim" && object["spec"]["volumeName"] != json!(null);
        let bound = scenario.surroundings.iter().filter(of_volume).count();
        try_join(self.with_bound_claims(bound), self.add_nodes(&scenario.nodes)).await?;
        self.create(&scenario.bound).await?;
        self.create(&scenario.daemon_sets).await?;
        self.settle_daemons(scenario, scenario.nodes.len()).await
    }

    /// Adds nodes and waits until the cluster takes them as they were written, daemon pods included.
    pub async fn open(&self, scenario: &Scenario, nodes: &[Value]) -> Result<(), Error> {
        self.add_nodes(nodes).await?;
        self.settle_daemons(scenario, scenario.nodes.len() + nodes.len()).await
    }

    async fn add_nodes(&self, nodes: &[Value]) -> Result<(), Error> {
        self.create(nodes).await?;
        let api: Api<Node> = Api::all(self.client.clone());
        let settle = async |written: &Value| {
            let wanted = taints(&written["spec"]);
            until("taints of a node", async || {
                let node = api.get(written["metadata"]["name"].as_str().unwrap()).await?;
                let spec = serde_json::to_value(node.spec).map_err(Error::SerdeError)?;
                Ok((taints(&spec) == wanted).then_some(()))
            })
            .await
        };
        try_join_all(nodes.iter().map(settle)).await.map(drop)
    }

    /// Creates the pods, gated: nothing is decided before it is their turn.
    pub async fn gate(&self, pods: &[Value]) -> Result<(), Error> {
        let gated = |pod: &Value| {
            let mut pod = pod.clone();
            pod["spec"]["schedulingGates"] = json!([{"name": "example.com/turn"}]);
            pod
        };
        self.create(&pods.iter().map(gated).collect::<Vec<_>>()).await
    }

    /// Lets kube-scheduler decide about one pod, which may be nominated for a node.
    pub async fn release(&self, namespace: &str, name: &str, nominated: Option<&str>) -> Result<Verdict, Error> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let by = PatchParams::default();
        if let Some(node) = nominated {
            let status = json!({"status": {"nominatedNodeName": node}});
            pods.patch_status(name, &by, &Patch::Merge(status)).await?;
        }
        let free = json!({"spec": {"schedulingGates": null}});
        pods.patch(name, &by, &Patch::Merge(free)).await?;
        until("a decision about a pod", async || {
            let pod = pods.get(name).await?;
            let spec = pod.spec.unwrap_or_default();
            if let Some(node) = spec.node_name {
                return Ok(Some(Verdict::Bound(node)));
            }
            let with_claims = |volume: &Volume| volume.persistent_volume_claim.is_some();
            if spec.volumes.iter().flatten().any(with_claims) {
                self.make_volumes(namespace).await?;
            }
            let conditions = pod.status.and_then(|status| status.conditions).unwrap_or_default();
            let refused = conditions.into_iter().find(|condition| {
                condition.type_ == "PodScheduled" && condition.reason.as_deref() == Some("Unschedulable")
            });
            Ok(refused.map(|condition| Verdict::Unschedulable(condition.message.unwrap_or_default())))
        })
        .await
    }

    /// Plays the provisioner: a volume in the zone of the node for each claim for which kube-scheduler has chosen one.
    async fn make_volumes(&self, namespace: &str) -> Result<(), Error> {
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(self.client.clone(), namespace);
        let nodes: Api<Node> = Api::all(self.client.clone());
        for claim in claims.list(&lately()).await? {
            let spec = claim.spec.clone().unwrap_or_default();
            let node = claim.annotations().get("volume.kubernetes.io/selected-node");
            let Some(node) = node.filter(|_| spec.volume_name.is_none()) else { continue };
            let zone = nodes.get(node).await?.labels().get(ZONE).cloned();
            self.create(&[volume_for(&claim, zone.as_deref())]).await?;
        }
        Ok(())
    }

    /// Waits until the controller has made every daemon pod for so many nodes, and each is bound or refused.
    async fn settle_daemons(&self, scenario: &Scenario, nodes: usize) -> Result<(), Error> {
        until("a daemon pod on every node", async || Ok(self.has_daemon_pods(EVERYWHERE, nodes).await?.then_some(())))
            .await?;
        try_join_all(scenario.daemon_sets.iter().map(|set| self.settle_daemon(set))).await.map(drop)
    }

    async fn settle_daemon(&self, written: &Value) -> Result<(), Error> {
        let named = |field: &str| written["metadata"][field].as_str().unwrap().to_owned();
        let sets: Api<DaemonSet> = Api::namespaced(self.client.clone(), &named("namespace"));
        let name = named("name");
        let set = sets.get(&name).await?;
        // a new generation is looked at by a controller that knows all nodes by now
        let limit = set.spec.revision_history_limit.unwrap_or(10);
        let next = json!({"spec": {"revisionHistoryLimit": limit % 10 + 1}});
        let generation = sets.patch(&name, &PatchParams::default(), &Patch::Merge(next)).await?.metadata.generation;
        until("a daemonset", async || {
            let status = sets.get(&name).await?.status.unwrap_or_default();
            let wanted = usize::try_from(status.desired_number_scheduled).unwrap_or_default();
            let is_current = status.observed_generation == generation;
            Ok((is_current && self.has_daemon_pods(&name, wanted).await?).then_some(()))
        })
        .await
    }

    /// Whether the set has so many pods, each bound or refused.
    async fn has_daemon_pods(&self, set: &str, count: usize) -> Result<bool, Error> {
        let pods: Api<Pod> = Api::all(self.client.clone());
        let found = pods.list(&lately().labels(&format!("daemon={set}"))).await?;
        let is_decided = |pod: &Pod| {
            let bound = pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some());
            let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
            bound || conditions.into_iter().any(|condition| condition.reason.as_deref() == Some("Unschedulable"))
        };
        Ok(found.items.len() == count && found.items.iter().all(is_decided))
    }

    async fn with_service_accounts(&self, namespaces: &[Value]) -> Result<(), Error> {
        for namespace in namespaces {
            let name = namespace["metadata"]["name"].as_str().unwrap();
            let accounts: Api<k8s_openapi::api::core::v1::ServiceAccount> = Api::namespaced(self.client.clone(), name);
            until("a service account", async || accounts.get_opt("default").await).await?;
        }
        Ok(())
    }

    async fn with_bound_claims(&self, count: usize) -> Result<(), Error> {
        let claims: Api<PersistentVolumeClaim> = Api::all(self.client.clone());
        until("claims to be bound", async || {
            let found = claims.list(&lately()).await?;
            let is_bound = |claim: &&PersistentVolumeClaim| {
                claim.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Bound")
            };
            Ok((found.iter().filter(is_bound).count() == count).then_some(()))
        })
        .await
    }

    /// Removes what scenarios make; their namespaces stay.
    pub async fn clear(&self) -> Result<(), Error> {
        let now = DeleteParams {
            grace_period_seconds: Some(0),
            propagation_policy: Some(PropagationPolicy::Background),
            ..DeleteParams::default()
        };
        // of what a daemonset has no pods come again
        self.remove(&resource("apps", "v1", "DaemonSet"), &now).await?;
        let others = [
            ("", "Node"),
            ("", "Pod"),
            ("", "PersistentVolumeClaim"),
            ("", "PersistentVolume"),
            ("storage.k8s.io", "CSINode"),
            ("storage.k8s.io", "StorageClass"),
        ];
        let others = others.map(|(group, kind)| resource(group, "v1", kind));
        try_join_all(others.iter().map(|kind| self.remove(kind, &now))).await.map(drop)
    }

    /// Removes all objects of a kind.
    async fn remove(&self, kind: &ApiResource, how: &DeleteParams) -> Result<(), Error> {
        let all: Api<DynamicObject> = Api::all_with(self.client.clone(), kind);
        let remove = async |object: &DynamicObject| {
            let api: Api<DynamicObject> = match object.namespace() {
                Some(namespace) => Api::namespaced_with(self.client.clone(), &namespace, kind),
                None => Api::all_with(self.client.clone(), kind),
            };
            match api.delete(&object.name_any(), how).await {
                Err(Error::Api(status)) if status.code == 404 => Ok(()),
                deleted => deleted.map(drop),
            }
        };
        until("objects to go", async || {
            let mut found = all.list(&lately()).await?.items;
            if found.is_empty() {
                found = all.list(&ListParams::default()).await?.items;
            }
            try_join_all(found.iter().map(remove)).await?;
            Ok(found.is_empty().then_some(()))
        })
        .await
    }

    /// Creates objects; one that is there already is left as it is.
    async fn create(&self, objects: &[Value]) -> Result<(), Error> {
        try_join_all(objects.iter().map(|object| self.create_one(object))).await.map(drop)
    }

    async fn create_one(&self, object: &Value) -> Result<(), Error> {
        let (group, version) = match object["apiVersion"].as_str().unwrap().split_once('/') {
            Some((group, version)) => (group, version),
            None => ("", "v1"),
        };
        let of = resource(group, version, object["kind"].as_str().unwrap());
        let typed: DynamicObject = serde_json::from_value(object.clone()).map_err(Error::SerdeError)?;
        let api: Api<DynamicObject> = match typed.namespace() {
            Some(namespace) => Api::namespaced_with(self.client.clone(), &namespace, &of),
            None => Api::all_with(self.client.clone(), &of),
        };
        match api.create(&PostParams::default(), &typed).await {
            Err(Error::Api(status)) if status.code == 409 => Ok(()),
            created => created.map(drop),
        }
    }
}

fn volume_for(claim: &PersistentVolumeClaim, zone: Option<&str>) -> Value {
    let spec = claim.spec.as_ref().unwrap();
    let name = format!("volume-{}", claim.name_any());
    let zones = zone.map(|zone| json!({"key": ZONE, "operator": "In", "values": [zone]}));
    let affinity = zones.map(|zone| json!({"required": {"nodeSelectorTerms": [{"matchExpressions": [zone]}]}}));
    json!({
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": "1Gi"}, "accessModes": spec.access_modes, "storageClassName": spec.storage_class_name,
            "persistentVolumeReclaimPolicy": "Retain", "nodeAffinity": affinity,
            "claimRef": {
                "apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": claim.namespace(), "name": claim.name_any(),
                "uid": claim.uid(),
            },
            "csi": {"driver": "ebs.csi.aws.com", "volumeHandle": name},
        },
    })
}

fn resource(group: &str, version: &str, kind: &str) -> ApiResource {
    ApiResource::from_gvk(&kube::core::GroupVersionKind::gvk(group, version, kind))
}

/// Key, value and effect; a cordon is one.
fn taints(spec: &Value) -> BTreeSet<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let written = spec["taints"].as_array().into_iter().flatten();
    let mut found: BTreeSet<String> = written
        .map(|taint| format!("{}={}:{}", text(&taint["key"]), text(&taint["value"]), text(&taint["effect"])))
        .collect();
    if spec["unschedulable"] == true {
        found.insert("node.kubernetes.io/unschedulable=:NoSchedule".to_owned());
    }
    found
}
