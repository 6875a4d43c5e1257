//! Existing and in-flight nodes as targets.

use super::{Amounts, Dims, rules};
use crate::observe::Snapshot;
use crate::observe::snapshot::{DaemonSet, HostPort, Node, NodeStage, OwnerRef, Pod};
use crate::requirements::{Requirements, Undefined};
use crate::resources::Resources;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// A node that can take pods.
#[derive(Debug)]
pub struct NodeModel<'a> {
    /// Index into `Snapshot::nodes`.
    pub index: usize,
    pub node: &'a Node,
    pub labels: Requirements,
    /// Allocatable less what bound pods use and daemon pods will use, by dimension; may be negative.
    pub room: Amounts,
    pub ports: Vec<HostPort>,
    /// Volumes attached by driver.
    pub volumes: BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
    /// The daemon pods that are still to come.
    pub(super) awaits: Vec<Awaited>,
}

/// A daemon pod that a node lacks and has room for.
#[derive(Debug)]
pub(super) struct Awaited {
    /// Index into `Snapshot::daemon_sets`.
    pub daemon: usize,
    /// It is there before the pods of a plan are: the node is not ready yet, and no pod keeps it away.
    pub surely: bool,
}

pub(super) fn build<'a>(snapshot: &'a Snapshot, dims: &Dims) -> Vec<NodeModel<'a>> {
    let mut bound: HashMap<&str, Vec<&Pod>> = HashMap::new();
    for pod in &snapshot.pods {
        if let Some(node) = &pod.node {
            bound.entry(node.as_ref()).or_default().push(pod);
        }
    }
    let mut order: Vec<usize> = (0..snapshot.nodes.len()).filter(|&i| !snapshot.nodes[i].deleting).collect();
    order.sort_by_key(|&i| {
        let node = &snapshot.nodes[i];
        (node.stage != NodeStage::Initialized, &node.name)
    });
    order
        .into_iter()
        .map(|index| {
            let node = &snapshot.nodes[index];
            node_model(snapshot, index, bound.get(node.name.as_ref()).map_or(&[], Vec::as_slice), dims)
        })
        .collect()
}

fn node_model<'a>(snapshot: &'a Snapshot, index: usize, bound: &[&Pod], dims: &Dims) -> NodeModel<'a> {
    let node = &snapshot.nodes[index];
    let labels = Requirements::sharing_labels(&node.labels);
    let mut free = node.allocatable.clone();
    let mut ports = Vec::new();
    let mut volumes: BTreeMap<Arc<str>, BTreeSet<Arc<str>>> = BTreeMap::new();
    let mut daemons_here = Resources::new();
    for pod in bound {
        let spec = &pod.template.spec;
        free.subtract(&spec.requests);
        ports.extend(spec.host_ports.iter().cloned());
        for volume in &spec.volumes {
            if let Some(driver) = &volume.driver {
                volumes.entry(driver.clone()).or_default().insert(volume.claim.clone());
            }
        }
        if pod.owner.as_ref().is_some_and(|owner| &*owner.kind == "DaemonSet") {
            daemons_here.add(&spec.requests);
        }
    }
    // daemon pods that will still come: what matching DaemonSets ask, less what their pods here already use
    let mut coming = Resources::new();
    let ready = if node.stage == NodeStage::Initialized { labels.clone() } else { rules::once_initialized(&labels) };
    let mut awaits = Vec::new();
    let unused = free.clone();
    for (index, daemon) in snapshot.daemon_sets.iter().enumerate() {
        if rules::must_run(&daemon.template.spec, &node.taints, &ready, Undefined::Refuse) {
            coming.add(&daemon.template.spec.requests);
            if !bound.iter().any(|pod| is_of(pod, daemon)) {
                ports.extend(daemon.template.spec.host_ports.iter().cloned());
                let spec = &daemon.template.spec;
                if spec.requests.iter().all(|(name, amount)| amount <= unused.get(name).max(0)) {
                    let surely = node.stage != NodeStage::Initialized && !rules::obeys_pods(spec);
                    awaits.push(Awaited { daemon: index, surely });
                }
            }
        }
    }
    coming.subtract(&daemons_here);
    coming.raise_to(&coming.iter().map(|(name, _)| (name.clone(), 0)).collect());
    free.subtract(&coming);
    NodeModel { index, node, labels, room: dims.amounts(&free), ports, volumes, awaits }
}

/// Whether the pod is one of the DaemonSet's.
fn is_of(pod: &Pod, daemon: &DaemonSet) -> bool {
    let owned = |owner: &OwnerRef| &*owner.kind == "DaemonSet" && owner.name == daemon.key.name;
    pod.key.namespace == daemon.key.namespace && pod.owner.as_ref().is_some_and(owned)
}
