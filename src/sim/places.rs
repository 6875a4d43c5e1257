//! Whether a pod that waits could have a place, asked of nobody who decides: does kube-scheduler's filter take it on a node that is
//! there, or on an empty one of some type that some pool may still launch?
//!
//! A pod may have a place although this finds none (one that comes with others, or on a node with a label of several values), but
//! none is found where there is none.

use std::sync::Arc;

use serde_json::Value;

use super::Simulation;
use super::api::text;
use super::hosting::raw;
use super::mirror::own_tolerations;
use crate::api::labels;
use crate::api::node_claim::NodeClaim;
use crate::api::reading::read;
use crate::catalog::{InstanceType, Offering};
use crate::cloud::{Instance, options};
use crate::observe::market;
use crate::observe::objects::{KINDS, Objects};
use crate::observe::snapshot::{Labels, NodePool, PodTemplate, Toleration};
use crate::plan::claims::unplanned_claim;
use crate::resources::Resources;
use crate::scheduler::{Candidate, Node, Occupant};

/// The node that is not there.
const NODE: &str = "a-node-that-might-be";

/// What a pool could launch, by type and offering, as a node.
struct Possible {
    pool: Arc<str>,
    labels: Labels,
    taints: Vec<crate::observe::snapshot::Taint>,
    allocatable: Resources,
    capacity: Resources,
}

/// A pod that waits; of several that are alike the first one.
struct Waiting {
    name: String,
    namespace: Arc<str>,
    template: Arc<PodTemplate>,
    tolerations: Vec<Toleration>,
}

impl Waiting {
    fn is_like(&self, other: &Self) -> bool {
        let of = |pod: &Self| (pod.namespace.clone(), pod.template.clone());
        of(self) == of(other) && self.tolerations == other.tolerations
    }
}

/// A pod of a DaemonSet, as it would be on a new node.
struct Daemon {
    namespace: Arc<str>,
    template: Arc<PodTemplate>,
    tolerations: Vec<Toleration>,
}

impl Simulation<'_> {
    /// The first pod that waits and has a place, and where.
    pub(super) fn place_of_waiting(&mut self) -> Option<String> {
        let mut waiting: Vec<Waiting> = Vec::new();
        for pod in self.mirror.unbound.values().filter(|pod| !pod.is_gated) {
            let of = Waiting {
                name: pod.subject.to_string(),
                namespace: pod.subject.key.namespace.clone(),
                template: pod.template.clone(),
                tolerations: pod.tolerations.clone(),
            };
            if !waiting.iter().any(|known| known.is_like(&of)) {
                waiting.push(of);
            }
        }
        if waiting.is_empty() {
            return None;
        }
        let (possible, daemons) = (self.possible_nodes(), self.daemons());
        for Waiting { name, namespace, template, tolerations } in &waiting {
            let candidate = Candidate { namespace, template, tolerations, nominated: None };
            let there = self.mirror.cluster.nodes().keys().find(|node| self.mirror.cluster.allows(&candidate, node));
            if let Some(node) = there {
                return Some(format!("{name} waits, and Node {node} has room for it"));
            }
            if let Some(node) = possible.iter().find(|node| self.would_take(&candidate, node, &daemons)) {
                let kind = node.labels.get(labels::INSTANCE_TYPE).map_or("", |kind| kind);
                return Some(format!("{name} waits, and a new {kind} of NodePool {} would take it", node.pool));
            }
        }
        None
    }

    fn would_take(&mut self, candidate: &Candidate<'_>, node: &Possible, daemons: &[Daemon]) -> bool {
        if !candidate.template.spec.requests.fits(&node.allocatable) {
            return false;
        }
        let cluster = &mut self.mirror.cluster;
        let mut found = node.labels.clone();
        found.insert(labels::HOSTNAME.into(), NODE.into());
        cluster.put_node(NODE.into(), Node::new(found, node.taints.clone(), node.allocatable.clone()));
        let mut bound = Vec::new();
        for (number, daemon) in daemons.iter().enumerate() {
            let (namespace, template) = (&daemon.namespace, &daemon.template);
            let pod = Candidate { namespace, template, tolerations: &daemon.tolerations, nominated: None };
            if cluster.allows(&pod, NODE) {
                let uid: Arc<str> = format!("{NODE}-{number}").into();
                let (namespace, template) = (namespace.clone(), template.clone());
                cluster.put_pod(&uid, &Occupant { namespace, template, node: NODE.into(), is_ending: false });
                bound.push(uid);
            }
        }
        let is_taken = cluster.allows(candidate, NODE);
        for uid in &bound {
            cluster.remove_pod(uid);
        }
        cluster.remove_node(NODE);
        is_taken
    }

    /// What pools can launch that are usable, not static, and within their limits.
    fn possible_nodes(&self) -> Vec<Possible> {
        let objects =
            Objects::collect(KINDS.iter().flat_map(|kind| self.api.all(kind.name)).map(|(_, object)| raw(object)));
        let pools = market(&objects, &self.catalog, &self.options.settings.decision).pools;
        let is_open = |pool: &&NodePool| {
            let has_least = pool.requirements.iter().any(|(_, requirement)| requirement.min_values.is_some());
            let is_usable = pool.replicas.is_none() && pool.unusable.is_none();
            is_usable && !has_least && pool.limits.usd_per_hour.is_none()
        };
        pools.iter().filter(is_open).flat_map(|pool| self.possible_of(pool)).collect()
    }

    fn possible_of(&self, pool: &NodePool) -> Vec<Possible> {
        let Ok(claim) = read::<NodeClaim>(&unplanned_claim(pool, &NODE.into())).map(|read| read.object) else {
            return Vec::new();
        };
        let room = self.room(pool);
        let as_node = |(kind, offering): (&InstanceType, &Offering)| {
            let what =
                Instance { provider_id: NODE.into(), image_id: None, kind: kind.clone(), offering: offering.clone() };
            Possible {
                pool: pool.name.clone(),
                labels: what.labels_of(&claim).into_iter().collect(),
                taints: pool.taints.clone(),
                allocatable: kind.allocatable.clone(),
                capacity: kind.capacity.clone(),
            }
        };
        let found = options(&pool.instance_types, &claim).into_iter().map(|(kind, offering)| {
            let kind = &pool.instance_types[kind];
            as_node((kind, &kind.offerings[offering]))
        });
        found.filter(|node| room.iter().all(|(name, left)| capacity_of(node, name) <= left)).collect()
    }

    /// What the limits of a pool leave, by resource.
    fn room(&self, pool: &NodePool) -> Resources {
        let of_pool = |claim: &Value| claim["metadata"]["labels"][labels::NODEPOOL] == *pool.name;
        let mut used = Resources::new();
        for (_, running) in self.cloud.running().filter(|(_, running)| of_pool(&running.user_data)) {
            used.add(&running.what.kind.capacity);
            used.add(&Resources::new().with(labels::LIMIT_NODES, 1));
        }
        let mut limits = pool.limits.resources.clone();
        if let Some(nodes) = pool.limits.nodes {
            limits.set(labels::LIMIT_NODES, nodes);
        }
        let left = limits.iter().map(|(name, limit)| (name.clone(), limit - used.get(name)));
        left.collect()
    }

    fn daemons(&mut self) -> Vec<Daemon> {
        let sets: Vec<Arc<Value>> = self.api.all("DaemonSet").map(|(_, set)| set.clone()).collect();
        let mut daemons = Vec::new();
        for set in sets {
            let pod = self.daemon_pod(&set);
            let Some(template) = self.mirror.template(&pod, &self.api) else { continue };
            let namespace = text(&pod, "/metadata/namespace").into();
            daemons.push(Daemon { namespace, template, tolerations: own_tolerations(&pod) });
        }
        daemons
    }
}

fn capacity_of(node: &Possible, name: &str) -> i64 {
    if name == labels::LIMIT_NODES { 1 } else { node.capacity.get(name) }
}
