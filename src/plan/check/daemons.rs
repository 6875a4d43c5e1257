//! Which daemonsets run on a node, what they leave for other pods, and which of their pods are still to come.
//!
//! A daemon pod runs where its node selector and required affinity hold and its tolerations cover the `NoSchedule` and
//! `NoExecute` taints; `PreferNoSchedule` and startup taints do not keep it away (karpenter-core 2.5).

use std::sync::Arc;

use super::cluster::{Cluster, Slot};
use super::openable;
use super::selection::{Holds, Selection};
use super::shape::Shape;
use super::taints::first_untolerated;
use crate::observe::Snapshot;
use crate::observe::snapshot::{DaemonSet, NodeStage, Pod, PodSpec, Taint, WhenUnsatisfiable};
use crate::resources::{PODS, Resources};

/// The daemonsets that run on a node of this shape.
pub(super) fn on_shape<'a>(
    daemon_sets: &'a [DaemonSet],
    shape: &Shape<'a>,
    taints: &[Taint],
) -> impl Iterator<Item = &'a DaemonSet> {
    daemon_sets.iter().filter(move |daemon| runs_on(&daemon.template.spec, shape, taints) > Holds::No)
}

fn runs_on(daemon: &PodSpec, shape: &Shape<'_>, taints: &[Taint]) -> Holds {
    if first_untolerated(taints, &daemon.tolerations).is_some() {
        return Holds::No;
    }
    Selection::of(daemon).holds(|key| shape.label_for_daemons(key))
}

/// Whether a pod of the daemonset that is not there yet is on the node before the pods of the plan are: on launches and nodes
/// that are not ready yet. A ready node that has none has no place for it.
pub(super) fn comes_to(daemon: &DaemonSet, slot: &Slot<'_>, cluster: &Cluster<'_>) -> Holds {
    let comes = |shape: &Shape<'_>| {
        let is_open = match shape {
            Shape::Node(node) => {
                node.stage != NodeStage::Initialized && is_missing(daemon, &slot.residents, &cluster.snapshot.pods)
            }
            Shape::Offer(_) => true,
        };
        if is_open && !slot.deleting { runs_on(&daemon.template.spec, shape, slot.taints) } else { Holds::No }
    };
    let on_shapes = slot.shapes.iter().map(|&shape| comes(&cluster.shapes[shape]));
    let (least, most) = on_shapes.fold((Holds::Surely, Holds::No), |(least, most), of| (least.min(of), most.max(of)));
    let surely = if obeys_pods(&daemon.template.spec) { Holds::Perhaps } else { Holds::Surely };
    if least == Holds::Surely { surely.min(most) } else { most.min(Holds::Perhaps) }
}

/// Whether a pod of the daemonset surely comes with every node that a pool could open.
pub(super) fn comes_with_every_node(daemon: &DaemonSet, snapshot: &Snapshot) -> bool {
    let spec = &daemon.template.spec;
    let mut offers = openable::offers(snapshot);
    !obeys_pods(spec) && offers.all(|(pool, offer)| runs_on(spec, &Shape::Offer(offer), &pool.taints) == Holds::Surely)
}

/// Other pods decide about where the pod may be.
fn obeys_pods(spec: &PodSpec) -> bool {
    let is_spread = spec.topology_spread.iter().any(|c| c.when_unsatisfiable == WhenUnsatisfiable::DoNotSchedule);
    is_spread || !spec.pod_affinity.is_empty() || !spec.pod_anti_affinity.is_empty()
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
