//! The part of a cluster that the pods of some nodes can move to. A trial looks at that alone: of a large cluster it takes as long as of
//! a small one.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::observe::Snapshot;
use crate::observe::snapshot::{NodeStage, Pod, PodSpec};
use crate::resources::Resources;

/// Pods may move to so many nodes, and so many more for each of them: those with the most room.
const NEAR: usize = 40;
const NEAR_A_POD: usize = 2;

/// What is known of each node, by index into `Snapshot::nodes`.
pub(super) struct Surroundings {
    /// What is free; `None`: it takes no pods.
    free: Vec<Option<Resources>>,
    /// Its pods, by index into `Snapshot::pods`.
    pods: Vec<Vec<usize>>,
    /// By name.
    index: HashMap<Arc<str>, usize>, // looked up only
    /// Rules of pods or limits of pools look at the whole cluster.
    is_tied: bool,
}

impl Surroundings {
    pub fn of(snapshot: &Snapshot) -> Self {
        let index: HashMap<Arc<str>, usize> =
            snapshot.nodes.iter().enumerate().map(|(index, node)| (node.name.clone(), index)).collect();
        let takes = |stage: NodeStage, deleting: bool| stage == NodeStage::Initialized && !deleting;
        let mut free: Vec<Option<Resources>> = snapshot
            .nodes
            .iter()
            .map(|node| takes(node.stage, node.deleting).then(|| node.allocatable.clone()))
            .collect();
        let mut pods = vec![Vec::new(); snapshot.nodes.len()];
        for (number, pod) in snapshot.pods.iter().enumerate() {
            let Some(&node) = pod.node.as_ref().and_then(|node| index.get(node)) else { continue };
            pods[node].push(number);
            if let Some(free) = &mut free[node] {
                free.subtract(&pod.template.spec.requests);
            }
        }
        let is_limited = snapshot.node_pools.iter().any(|pool| {
            let limits = &pool.limits;
            !limits.resources.is_empty() || limits.nodes.is_some() || limits.usd_per_hour.is_some()
        });
        let is_tied = is_limited || snapshot.pods.iter().any(|pod| looks_around(&pod.template.spec));
        Self { free, pods, index, is_tied }
    }

    /// The cluster as the pods of these nodes see it. Where nothing looks at the whole cluster, nodes that are far are left out with
    /// their pods, else they take no pods.
    pub fn part(&self, snapshot: &Snapshot, removed: &BTreeSet<Arc<str>>) -> Snapshot {
        let gone: BTreeSet<usize> = removed.iter().filter_map(|name| self.index.get(name)).copied().collect();
        let mut kept = self.near(snapshot, &gone);
        if self.is_tied {
            let mut part = snapshot.clone();
            for (index, node) in part.nodes.iter_mut().enumerate() {
                node.deleting |= !kept.contains(&index) && !gone.contains(&index);
            }
            return part;
        }
        kept.extend(gone);
        let mut pods: Vec<usize> = kept.iter().flat_map(|&node| &self.pods[node]).copied().collect();
        pods.sort_unstable();
        Snapshot {
            taken_at: snapshot.taken_at,
            region: snapshot.region.clone(),
            settings: snapshot.settings.clone(),
            pods: pods.into_iter().map(|pod| snapshot.pods[pod].clone()).collect(),
            nodes: kept.into_iter().map(|node| snapshot.nodes[node].clone()).collect(),
            node_pools: snapshot.node_pools.clone(),
            daemon_sets: snapshot.daemon_sets.clone(),
            disruption_budgets: snapshot.disruption_budgets.clone(),
            namespaces: snapshot.namespaces.clone(),
            assumptions: Vec::new(),
        }
    }

    /// The nodes with the most room of those that have some for the smallest of the pods of the nodes that go.
    fn near(&self, snapshot: &Snapshot, gone: &BTreeSet<usize>) -> BTreeSet<usize> {
        let moving = || gone.iter().flat_map(|&node| &self.pods[node]).map(|&pod| &snapshot.pods[pod]);
        let mut least: Option<Resources> = None;
        let mut count = 0;
        for pod in moving().filter(|pod| pod.is_reschedulable()) {
            count += 1;
            lower_to(least.get_or_insert_with(|| requests(pod).clone()), requests(pod));
        }
        let Some(least) = least else { return BTreeSet::new() };
        let has_room = |index: &usize| {
            let free = self.free[*index].as_ref().filter(|_| !gone.contains(index));
            free.is_some_and(|free| least.fits(free))
        };
        let mut near: Vec<usize> = (0..self.free.len()).filter(has_room).collect();
        let most = NEAR + NEAR_A_POD * count;
        if near.len() > most {
            // by the resource of which the smallest pod finds the fewest times its own
            near.sort_by_key(|&index| (std::cmp::Reverse(self.times(index, &least)), index));
            near.truncate(most);
        }
        near.into_iter().collect()
    }

    fn times(&self, index: usize, least: &Resources) -> i64 {
        let Some(free) = &self.free[index] else { return 0 };
        let times = |(name, amount): (&Arc<str>, i64)| free.get(name) / amount.max(1);
        least.iter().map(times).min().unwrap_or(0)
    }
}

fn requests(pod: &Pod) -> &Resources {
    &pod.template.spec.requests
}

/// The smaller amount of each resource; what one of them does not have is none.
fn lower_to(least: &mut Resources, other: &Resources) {
    let lower: Vec<(Arc<str>, i64)> =
        least.iter().map(|(name, amount)| (name.clone(), amount.min(other.get(name)))).collect();
    *least = lower.into_iter().filter(|(_, amount)| *amount > 0).collect();
}

fn looks_around(spec: &PodSpec) -> bool {
    !spec.topology_spread.is_empty()
        || !spec.pod_affinity.is_empty()
        || !spec.pod_anti_affinity.is_empty()
        || !spec.preferred_pod_affinity.is_empty()
        || !spec.preferred_pod_anti_affinity.is_empty()
}
