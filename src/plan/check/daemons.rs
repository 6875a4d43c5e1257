//! Which daemonsets run on a node, what they leave for other pods, and which of their pods are still to come.
//!
//! A daemon pod runs where its node selector and required affinity hold and its tolerations cover the `NoSchedule` and
//! `NoExecute` taints; `PreferNoSchedule` and startup taints do not keep it away (karpenter-core 2.5).

use std::collections::BTreeSet;
use std::sync::Arc;

use super::cluster::{Cluster, Slot};
use super::openable::{self, Asked};
use super::selection::{Holds, Selection};
use super::shape::{Known, Shape};
use super::taints::first_untolerated;
use crate::api::labels;
use crate::observe::Snapshot;
use crate::observe::snapshot::{DaemonSet, NodeStage, Pod, PodSpec, Taint, WhenUnsatisfiable};
use crate::requirements::Requirement;
use crate::resources::{PODS, Resources};

/// The daemonsets that run on a node of this shape.
pub(super) fn on_shape<'a>(
    daemon_sets: &'a [DaemonSet],
    shape: &Shape<'a>,
    taints: &[Taint],
) -> impl Iterator<Item = &'a DaemonSet> {
    daemon_sets
        .iter()
        .filter(move |daemon| runs_on(&daemon.template.spec, taints, |key| shape.label_for_daemons(key)) > Holds::No)
}

fn runs_on<'n>(daemon: &PodSpec, taints: &[Taint], label: impl Fn(&str) -> Known<'n>) -> Holds {
    if first_untolerated(taints, &daemon.tolerations).is_some() {
        return Holds::No;
    }
    Selection::of(daemon).holds(label)
}

/// Whether a pod of the daemonset that is not there yet is on the node before the pods of the plan are. On a ready node it
/// may come at any time, if it has room.
pub(super) fn comes_to(daemon: &DaemonSet, slot: &Slot<'_>, cluster: &Cluster<'_>) -> Holds {
    let (spec, pods) = (&daemon.template.spec, &cluster.snapshot.pods);
    let most = match slot.shapes.iter().map(|&shape| &cluster.shapes[shape]).next() {
        None => return Holds::No,
        Some(_) if slot.deleting => return Holds::No,
        Some(Shape::Offer(_)) => Holds::Surely,
        Some(Shape::Node(_)) if !is_missing(daemon, &slot.residents, pods) => return Holds::No,
        Some(Shape::Node(node)) => {
            let mut unused = node.allocatable.clone();
            slot.residents.iter().for_each(|&pod| unused.subtract(&pods[pod].template.spec.requests));
            if spec.requests.iter().any(|(name, amount)| amount > unused.get(name).max(0)) {
                return Holds::No;
            }
            if node.stage == NodeStage::Initialized { Holds::Perhaps } else { Holds::Surely }
        }
    };
    let most = if obeys_pods(spec) { Holds::Perhaps } else { most };
    let on_shapes = slot.shapes.iter().map(|&shape| {
        let shape = &cluster.shapes[shape];
        runs_on(spec, slot.taints, |key| shape.label_for_daemons(key))
    });
    let on_shapes: BTreeSet<Holds> = on_shapes.collect();
    match (on_shapes.first(), on_shapes.last()) {
        (Some(Holds::Surely), _) => most,
        (_, Some(Holds::No)) | (None, _) => Holds::No,
        _ => Holds::Perhaps,
    }
}

/// Whether a pod of the daemonset surely comes with every node that a pool could open and that the constraint looks at.
pub(super) fn comes_with_every_node<'a>(daemon: &DaemonSet, snapshot: &'a Snapshot, asked: &Asked<'a>) -> bool {
    let spec = &daemon.template.spec;
    if obeys_pods(spec) {
        return false;
    }
    let mut offers = openable::offers(snapshot, asked).peekable();
    offers.peek().is_some()
        && offers.all(|(pool, offer)| {
            let shape = Shape::Offer(offer);
            let label = |key: &str| match shape.label_for_daemons(key) {
                // a launch writes what its pool leaves no choice about
                Known::Absent if !labels::is_well_known(labels::normalize(key)) => {
                    let of_pool = pool.requirements.get(key).and_then(Requirement::single_value);
                    of_pool.map_or(Known::Absent, |value| Known::Value(value))
                }
                known => known,
            };
            runs_on(spec, &pool.taints, label) == Holds::Surely
        })
}

/// Whether other pods may keep the daemon pod from a new node: it is among the first there, so that anti-affinity over hosts
/// does not.
fn obeys_pods(spec: &PodSpec) -> bool {
    let is_spread = spec.topology_spread.iter().any(|c| c.when_unsatisfiable == WhenUnsatisfiable::DoNotSchedule);
    let is_apart = spec.pod_anti_affinity.iter().any(|term| *term.topology_key != *labels::HOSTNAME);
    is_spread || is_apart || !spec.pod_affinity.is_empty()
}

/// What the daemonsets of a node request together.
pub(super) fn overhead<'a>(daemons: impl Iterator<Item = &'a DaemonSet>) -> Resources {
    let mut total = Resources::new();
    for daemon in daemons {
        add_pod(&mut total, &daemon.template.spec.requests);
    }
    total
}

fn add_pod(total: &mut Resources, requests: &Resources) {
    total.add(requests);
    if requests.get(PODS) < 1 {
        total.add(&Resources::new().with(PODS, 1 - requests.get(PODS)));
    }
}

pub(super) fn is_daemon_pod(pod: &Pod) -> bool {
    pod.owner.as_ref().is_some_and(|owner| owner.kind.as_ref() == "DaemonSet")
}

/// Whether the daemonset still lacks its pod on this node.
pub(super) fn is_missing(daemon: &DaemonSet, residents: &[usize], pods: &[Pod]) -> bool {
    let owns = |pod: &Pod| {
        let of_kind = |kind: &Arc<str>| kind.as_ref() == "DaemonSet";
        pod.key.namespace == daemon.key.namespace
            && pod.owner.as_ref().is_some_and(|o| of_kind(&o.kind) && o.name == daemon.key.name)
    };
    !residents.iter().any(|&pod| owns(&pods[pod]))
}

/// What a node of this shape has for pods that are not there yet, residents not yet subtracted: allocatable less the
/// daemonsets' requests; on an existing node less what their pods there do not already use, floored at zero.
pub(super) fn available(cluster: &Cluster<'_>, slot: &Slot<'_>, shape: &Shape<'_>) -> Resources {
    let wanted = overhead(on_shape(&cluster.snapshot.daemon_sets, shape, slot.taints));
    let (allocatable, to_come) = match shape {
        Shape::Offer(offer) => (&offer.instance_type.allocatable, wanted),
        Shape::Node(node) => {
            let mut there = Resources::new();
            for pod in slot.residents.iter().map(|&pod| &cluster.snapshot.pods[pod]).filter(|pod| is_daemon_pod(pod)) {
                add_pod(&mut there, &pod.template.spec.requests);
            }
            let left = |(name, amount): (&Arc<str>, i64)| (name.clone(), amount.saturating_sub(there.get(name)).max(0));
            (&node.allocatable, wanted.iter().map(left).collect())
        }
    };
    let mut available = allocatable.clone();
    available.subtract(&to_come);
    available
}
