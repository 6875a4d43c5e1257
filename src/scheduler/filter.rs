//! The rules of a pod and a node.

use super::{Candidate, Cluster, Node};
use crate::observe::snapshot::{
    HostPort, Labels, NodeAffinityTerm, PodSpec, Taint, TaintEffect, Toleration, TolerationOperator,
};
use crate::resources::PODS;

/// Whether the node alone would take the pod.
pub(super) fn fits(cluster: &Cluster, pod: &Candidate<'_>, node: &Node) -> bool {
    let spec = &pod.template.spec;
    tolerated(&node.taints, pod.tolerations)
        && has_room(node, spec)
        && selects(spec, &node.labels)
        && spec.volumes.iter().all(|volume| volume.topology.is_empty() || any(&volume.topology, &node.labels))
        && has_ports(cluster, spec, node)
}

pub(super) fn tolerated(taints: &[Taint], tolerations: &[Toleration]) -> bool {
    let mut hard = taints.iter().filter(|taint| taint.effect != TaintEffect::PreferNoSchedule);
    hard.all(|taint| tolerations.iter().any(|toleration| tolerates(toleration, taint)))
}

fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let of_effect = toleration.effect.is_none_or(|effect| effect == taint.effect);
    let of_key =
        toleration.key == taint.key || (toleration.key.is_empty() && toleration.operator == TolerationOperator::Exists);
    let numbers = || Some((taint.value.parse::<i64>().ok()?, toleration.value.parse::<i64>().ok()?));
    of_effect
        && of_key
        && match toleration.operator {
            TolerationOperator::Exists => true,
            TolerationOperator::Equal => toleration.value == taint.value,
            TolerationOperator::Lt => numbers().is_some_and(|(taint, own)| taint < own),
            TolerationOperator::Gt => numbers().is_some_and(|(taint, own)| taint > own),
        }
}

fn has_room(node: &Node, spec: &PodSpec) -> bool {
    let fits = |name: &str, amount: i64| amount <= 0 || node.used.get(name) + amount <= node.allocatable.get(name);
    fits(PODS, spec.requests.get(PODS).max(1)) && spec.requests.iter().all(|(name, amount)| fits(name, amount))
}

/// Whether node selector and required node affinity of a pod let it bind to a node with these labels.
#[must_use]
pub fn selects(spec: &PodSpec, labels: &Labels) -> bool {
    let has = |(key, value): (&_, &_)| labels.get(key) == Some(value);
    spec.node_selector.iter().all(has) && (spec.node_affinity.is_empty() || any(&spec.node_affinity, labels))
}

/// Whether one of the terms holds; one without expressions never does.
fn any(terms: &[NodeAffinityTerm], labels: &Labels) -> bool {
    terms.iter().any(|NodeAffinityTerm(expressions)| {
        !expressions.is_empty()
            && expressions.iter().all(|(key, requirement)| match labels.get(key) {
                Some(value) => requirement.allows(value),
                None => requirement.allows_absence(),
            })
    })
}

fn has_ports(cluster: &Cluster, spec: &PodSpec, node: &Node) -> bool {
    if spec.host_ports.is_empty() {
        return true;
    }
    let taken = node.pods.keys().flat_map(|group| &cluster.groups[*group].template.spec.host_ports);
    !taken.into_iter().any(|taken| spec.host_ports.iter().any(|port| clash(port, taken)))
}

fn clash(a: &HostPort, b: &HostPort) -> bool {
    let every = |port: &HostPort| matches!(&*port.ip, "" | "0.0.0.0" | "::");
    a.port == b.port && a.protocol == b.protocol && (a.ip == b.ip || every(a) || every(b))
}
