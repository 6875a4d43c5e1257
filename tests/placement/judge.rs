//! kube-scheduler decides about the pods of a plan, one after another, on the nodes of the plan.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::try_join_all;
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{Node, PersistentVolumeClaim, Pod};
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams, PropagationPolicy};
use kube::discovery::ApiResource;
use kube::{Client, Error, ResourceExt as _};
use serde_json::{Value, json};

use super::scenario::{EVERYWHERE, Scenario};

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
        self.with_bound_claims().await?;
        self.add_nodes(&scenario.nodes).await?;
        self.create(&scenario.bound).await?;
        self.create(&scenario.daemon_sets).await?;
        self.settle_daemons().await
    }

    /// Adds nodes and waits until the cluster takes them as they were written, daemon pods included.
    pub async fn open(&self, nodes: &[Value]) -> Result<(), Error> {
        self.add_nodes(nodes).await?;
        self.settle_daemons().await
    }

    async fn add_nodes(&self, nodes: &[Value]) -> Result<(), Error> {
        self.create(nodes).await?;
        let api: Api<Node> = Api::all(self.client.clone());
        for written in nodes {
            let wanted = taints(&written["spec"]);
            until("taints of a node", async || {
                let node = api.get(written["metadata"]["name"].as_str().unwrap()).await?;
                let spec = serde_json::to_value(node.spec).map_err(Error::SerdeError)?;
                Ok((taints(&spec) == wanted).then_some(()))
            })
            .await?;
        }
        Ok(())
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
            if let Some(node) = pod.spec.and_then(|spec| spec.node_name) {
                return Ok(Some(Verdict::Bound(node)));
            }
            let conditions = pod.status.and_then(|status| status.conditions).unwrap_or_default();
            let refused = conditions.into_iter().find(|condition| {
                condition.type_ == "PodScheduled" && condition.reason.as_deref() == Some("Unschedulable")
            });
            Ok(refused.map(|condition| Verdict::Unschedulable(condition.message.unwrap_or_default())))
        })
        .await
    }

    /// Waits until the controller has made every daemon pod for the nodes that there are, and each is bound or refused.
    async fn settle_daemons(&self) -> Result<(), Error> {
        let all: Api<DaemonSet> = Api::all(self.client.clone());
        let nodes: Api<Node> = Api::all(self.client.clone());
        let count = nodes.list(&ListParams::default()).await?.items.len();
        until("a daemon pod on every node", async || Ok(self.has_daemon_pods(EVERYWHERE, count).await?.then_some(())))
            .await?;
        for set in all.list(&ListParams::default()).await? {
            let sets: Api<DaemonSet> = Api::namespaced(self.client.clone(), &set.namespace().unwrap());
            // a new generation is looked at by a controller that knows all nodes by now
            let limit = set.spec.revision_history_limit.unwrap_or(10);
            let next = json!({"spec": {"revisionHistoryLimit": limit % 10 + 1}});
            let name = set.name_any();
            let generation = sets.patch(&name, &PatchParams::default(), &Patch::Merge(next)).await?.metadata.generation;
            until("a daemonset", async || {
                let status = sets.get(&name).await?.status.unwrap_or_default();
                let wanted = usize::try_from(status.desired_number_scheduled).unwrap_or_default();
                let is_current = status.observed_generation == generation;
                Ok((is_current && self.has_daemon_pods(&name, wanted).await?).then_some(()))
            })
            .await?;
        }
        Ok(())
    }

    /// Whether the set has so many pods, each bound or refused.
    async fn has_daemon_pods(&self, set: &str, count: usize) -> Result<bool, Error> {
        let pods: Api<Pod> = Api::all(self.client.clone());
        let found = pods.list(&ListParams::default().labels(&format!("daemon={set}"))).await?;
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

    async fn with_bound_claims(&self) -> Result<(), Error> {
        let claims: Api<PersistentVolumeClaim> = Api::all(self.client.clone());
        until("claims to be bound", async || {
            let found = claims.list(&ListParams::default()).await?;
            let is_bound = |claim: &PersistentVolumeClaim| {
                claim.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Bound")
            };
            Ok(found.items.iter().all(is_bound).then_some(()))
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
        let kinds = [
            ("apps", "DaemonSet"),
            ("", "Node"),
            ("", "Pod"),
            ("", "PersistentVolumeClaim"),
            ("", "PersistentVolume"),
            ("storage.k8s.io", "CSINode"),
        ];
        for (group, kind) in kinds {
            let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &resource(group, "v1", kind));
            until("objects to go", async || {
                let found = api.list(&ListParams::default()).await?.items;
                if found.is_empty() {
                    return Ok(Some(()));
                }
                for object in found {
                    let of = resource(group, "v1", kind);
                    let api: Api<DynamicObject> = match object.namespace() {
                        Some(namespace) => Api::namespaced_with(self.client.clone(), &namespace, &of),
                        None => Api::all_with(self.client.clone(), &of),
                    };
                    match api.delete(&object.name_any(), &now).await {
                        Err(Error::Api(status)) if status.code == 404 => {}
                        deleted => drop(deleted?),
                    }
                }
                Ok(None)
            })
            .await?;
        }
        Ok(())
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
