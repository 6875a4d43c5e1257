//! A Snapshot on its way: what its pods and pools share is sent once, and is shared again where it arrives.
//!
//! The solver tells equal pods by what they share, and 20,000 replicas share a few templates.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::catalog::InstanceType;
use crate::observe::Snapshot;
use crate::observe::snapshot::{NodePool, OwnerRef, Pod, PodDisruption, PodKey, PodTemplate};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PackedSnapshot {
    templates: Vec<Arc<PodTemplate>>,
    pods: Vec<PackedPod>,
    catalogs: Vec<Arc<Vec<InstanceType>>>,
    /// By pool: index into `catalogs`.
    of_pools: Vec<usize>,
    /// Without pods, and its pools without instance types.
    rest: Snapshot,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct PackedPod {
    key: PodKey,
    uid: Arc<str>,
    created_at: Option<Timestamp>,
    /// Index into the templates.
    template: usize,
    owner: Option<OwnerRef>,
    node: Option<Arc<str>>,
    terminating: bool,
    displaced: bool,
    buffer: bool,
    refused: Option<Arc<str>>,
    #[serde(default)]
    disruption: PodDisruption,
}

/// Things that are shared, each once.
struct Shared<T> {
    all: Vec<Arc<T>>,
    places: HashMap<*const T, usize>,
}

impl<T> Shared<T> {
    fn new() -> Self {
        Self { all: Vec::new(), places: HashMap::new() }
    }

    fn place(&mut self, thing: &Arc<T>) -> usize {
        *self.places.entry(Arc::as_ptr(thing)).or_insert_with(|| {
            self.all.push(thing.clone());
            self.all.len() - 1
        })
    }
}

impl PackedSnapshot {
    #[must_use]
    pub fn of(snapshot: &Snapshot) -> Self {
        let Snapshot {
            taken_at,
            region,
            settings,
            pods,
            nodes,
            node_pools,
            daemon_sets,
            disruption_budgets,
            namespaces,
            assumptions,
        } = snapshot;
        let (mut templates, mut catalogs) = (Shared::new(), Shared::new());
        let pods = pods.iter().map(|pod| PackedPod::of(pod, templates.place(&pod.template))).collect();
        let of_pools = node_pools.iter().map(|pool| catalogs.place(&pool.instance_types)).collect();
        let bare = |pool: &NodePool| NodePool { instance_types: Arc::default(), ..pool.clone() };
        let rest = Snapshot {
            taken_at: *taken_at,
            region: region.clone(),
            settings: settings.clone(),
            pods: Vec::new(),
            nodes: nodes.clone(),
            node_pools: node_pools.iter().map(bare).collect(),
            daemon_sets: daemon_sets.clone(),
            disruption_budgets: disruption_budgets.clone(),
            namespaces: namespaces.clone(),
            assumptions: assumptions.clone(),
        };
        Self { templates: templates.all, pods, catalogs: catalogs.all, of_pools, rest }
    }

    /// The Snapshot; `None` where it names what it does not bring.
    #[must_use]
    pub fn unpacked(self) -> Option<Snapshot> {
        let Self { templates, pods, catalogs, of_pools, mut rest } = self;
        rest.pods = pods.into_iter().map(|pod| pod.unpacked(&templates)).collect::<Option<_>>()?;
        for (pool, catalog) in rest.node_pools.iter_mut().zip(of_pools) {
            pool.instance_types = catalogs.get(catalog)?.clone();
        }
        Some(rest)
    }
}

impl PackedPod {
    fn of(pod: &Pod, template: usize) -> Self {
        let Pod { key, uid, created_at, template: _, owner, node, terminating, displaced, buffer, refused, disruption } =
            pod.clone();
        Self { key, uid, created_at, template, owner, node, terminating, displaced, buffer, refused, disruption }
    }

    fn unpacked(self, templates: &[Arc<PodTemplate>]) -> Option<Pod> {
        let Self { key, uid, created_at, template, owner, node, terminating, displaced, buffer, refused, disruption } =
            self;
        let template = templates.get(template)?.clone();
        Some(Pod { key, uid, created_at, template, owner, node, terminating, displaced, buffer, refused, disruption })
    }
}

#[cfg(test)]
mod tests {
    use super::PackedSnapshot;
    use crate::host::tests::worlds::{MIXED, world};

    #[test]
    fn a_snapshot_arrives_as_it_was_sent() {
        for seed in 0..50 {
            let snapshot = world(seed, MIXED);
            let sent = serde_json::to_vec(&PackedSnapshot::of(&snapshot)).unwrap();
            let came: PackedSnapshot = serde_json::from_slice(&sent).unwrap();
            assert_eq!(came.unpacked().as_ref(), Some(&snapshot), "seed {seed}");
        }
    }
}
