//! Which pods wait for a node, and which of them have one coming.
//!
//! Source: the reference's `utils/pod/scheduling.go` (karpenter-core 2.1).

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodCondition};

use super::cluster::Cluster;
use super::conditions::{INITIALIZED, since};
use super::turn::later;
use super::world::World;
use crate::observe::objects::Objects;
use crate::observe::{belongs_to_node, has_ended, snapshot};
use crate::placement::{Observed, Reservation, Successors, successors};

/// Nodes that are kept for pods which are still on nodes that go.
pub(super) fn awaited_nodes(observed: &Observed) -> impl Iterator<Item = Arc<str>> {
    observed.nodes.iter().filter_map(|node| {
        let claim = observed.claims.get(node.claim.as_ref()?)?;
        (!claim.plan.expected.is_empty() && !claim.draining.is_empty()).then(|| node.name.clone())
    })
}

/// kube-scheduler has so long to bind planned pods to a node that is ready and open; then they are planned anew.
const BINDING: Duration = Duration::from_secs(10);

/// Whether a pod is still to be bound, and may be to a node that we make.
fn is_open(pod: &Pod) -> bool {
    let bound = pod.spec.as_ref().is_none_or(|spec| spec.node_name.as_deref().is_some_and(|node| !node.is_empty()));
    !bound && pod.metadata.deletion_timestamp.is_none() && !has_ended(pod) && !belongs_to_node(pod)
}

/// What kube-scheduler has said of a pod.
fn scheduled(pod: &Pod) -> Option<&PodCondition> {
    let mut conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.find(|condition| condition.type_ == "PodScheduled")
}

/// Whether kube-scheduler has found no room for a pod that we may make room for.
pub(super) fn is_provisionable(pod: &Pod) -> bool {
    let nominated = pod.status.as_ref().and_then(|status| status.nominated_node_name.as_deref());
    let refused = scheduled(pod).is_some_and(|said| said.reason.as_deref() == Some("Unschedulable"));
    refused && nominated.is_none_or(str::is_empty) && is_open(pod)
}

impl World {
    /// Pods that kube-scheduler has found no room for, and that nodes are made for.
    pub fn waiting_pods(&self) -> impl Iterator<Item = &Pod> {
        let unbound = self.index().unbound().filter_map(|key| self.objects().pods.get(key));
        unbound.map(|pod| &*pod.object).filter(|pod| is_provisionable(pod))
    }
}

/// Whether kube-scheduler has not looked at a pod yet that it will look at.
pub(super) fn is_untried(pod: &Pod) -> bool {
    let gates = pod.spec.as_ref().and_then(|spec| spec.scheduling_gates.as_ref());
    scheduled(pod).is_none() && gates.is_none_or(Vec::is_empty) && is_open(pod)
}

/// When kube-scheduler has tried a pod that waits, in its order; those last that it has not. It says that in whole seconds, and what it
/// writes down later has a higher version.
pub(super) fn last_try(objects: &Objects, pod: &snapshot::Pod) -> (bool, Option<Timestamp>, u64) {
    let object = objects.pods.get(&pod.key).map(|pod| &pod.object);
    let at = object.and_then(|object| scheduled(object)?.last_transition_time.as_ref()).map(|time| time.0);
    let version = object.and_then(|object| object.metadata.resource_version.as_ref()?.parse().ok());
    (at.is_none(), at, version.unwrap_or(u64::MAX))
}

/// The uids of the pods that have no node coming.
pub(super) fn waiting_pods<'o>(cluster: &Cluster<'o>, coming: &Coming) -> Vec<&'o str> {
    let pods = cluster.unbound_pods().map(|(_, pod)| pod).filter(|pod| is_provisionable(pod));
    let uids = pods.filter_map(|pod| pod.metadata.uid.as_deref());
    uids.filter(|uid| !coming.pods.contains_key(*uid) && !coming.unseen.contains(*uid)).collect()
}

/// Where planned pods that are not bound are to bind, by uid: the name of a node, or of a claim that has none yet.
#[derive(Debug, Default)]
pub(super) struct Coming {
    pub pods: HashMap<Arc<str>, Arc<str>>,
    /// Those nodes and claims.
    pub nodes: BTreeSet<Arc<str>>,
    /// Pods that may have a claim which nobody has seen yet, by uid.
    pub unseen: BTreeSet<Arc<str>>,
    /// When the first of them is not waited for any more, if time alone decides that.
    pub until: Option<Timestamp>,
    /// Pods of nodes that go, by uid, and where room is kept for those that come for them.
    pub leaving: HashMap<Arc<str>, Arc<str>>,
    /// Nodes and claims with places for pods that nobody has seen yet: the room looks free, and is not.
    pub closed: BTreeSet<Arc<str>>,
    /// Pods of nodes that go, by uid, for which nothing is planned before these nodes are deleted.
    pub staying: HashSet<Arc<str>>,
}

/// Pods whose node is on its way, or had no time yet to take them.
pub(super) fn coming(cluster: &Cluster<'_>, observed: &Observed, now: Timestamp) -> Coming {
    let nodes: BTreeMap<&str, _> =
        observed.nodes.iter().filter_map(|node| Some((&**node.claim.as_ref()?, node))).collect();
    let mut successors = successors(observed);
    let mut found = Coming::default();
    for claimed in cluster.claims.iter().filter(|claimed| !claimed.is_deleting()) {
        let Some(state) = observed.claims.get(claimed.name()) else { continue };
        let node = nodes.get(claimed.name());
        let is_open = node.is_some_and(|node| matches!(node.reservation, Reservation::Open | Reservation::Leftover));
        let Successors { newcomers, leaving, to_come } = successors.remove(claimed.name()).unwrap_or_default();
        let unbound = || {
            let uids = state.plan.pods.iter().map(|planned| &planned.uid).chain(&newcomers);
            uids.filter_map(|uid| observed.pods.get(uid)).filter(|pod| pod.node.is_none())
        };
        if is_open && claimed.is(INITIALIZED) {
            let status = claimed.claim.status.as_ref();
            let until =
                status.and_then(|status| since(&status.conditions, INITIALIZED)).map(|since| later(since, BINDING));
            match until.filter(|until| *until > now) {
                Some(until) if unbound().next().is_some() => {
                    found.until = Some(found.until.map_or(until, |first: Timestamp| first.min(until)));
                }
                _ => continue,
            }
        }
        let name: Arc<str> = node.map_or_else(|| Arc::from(claimed.name()), |node| node.name.clone());
        let known = found.pods.len();
        found.pods.extend(unbound().map(|pod| (pod.version.uid.clone(), name.clone())));
        if found.pods.len() > known || !leaving.is_empty() {
            found.nodes.insert(name.clone());
        }
        if to_come > 0 {
            found.closed.insert(name.clone());
        }
        found.leaving.extend(leaving.into_iter().map(|uid| (uid, name.clone())));
    }
    found
}
