//! Which daemonsets run on a node, and what they leave for other pods.
//!
//! A daemon pod runs where its node selector and required affinity hold and its tolerations cover the `NoSchedule` and
//! `NoExecute` taints; `PreferNoSchedule` and startup taints do not keep it away (karpenter-core 2.5).

use std::sync::Arc;

use super::cluster::{Cluster, Slot};
use super::selection::{Holds, Selection};
use super::shape::Shape;
use super::taints::first_untolerated;
use crate::observe::snapshot::{DaemonSet, Pod, Taint};
use crate::resources::{PODS, Resources};

/// The daemonsets that run on a node of this shape.
pub(super) fn on_shape<'a>(
    daemon_sets: &'a [DaemonSet],
    shape: &Shape<'a>,
    taints: &[Taint],
) -> impl Iterator<Item = &'a DaemonSet> {
    daemon_sets.iter().filter(move |daemon| {
        let spec = &daemon.template.spec;
        first_untolerated(taints, &spec.tolerations).is_none()
            && Selection::of(spec).holds(|key| shape.label_for_daemons(key)) > Holds::No
    })
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
