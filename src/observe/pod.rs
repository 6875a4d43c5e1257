//! A Kubernetes pod spec -> [`PodTemplate`]: everything that decides where the pod may run.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1 as core;

use super::cluster::Cluster;
use super::input::{FieldError, FieldResult as _};
use super::requests::effective_requests;
use super::selectors::{PodIdentity, node_term, pod_affinity_term, spread_constraint};
use super::snapshot::{
    HostPort, Labels, NodeAffinityTerm, PodSpec, PodTemplate, TaintEffect, Toleration, TolerationOperator,
};
use crate::api::labels;
use crate::requirements::Requirement;

/// What a pod is made of: a manifest of its own, or the template of its owner.
#[derive(Debug, Clone, Copy)]
pub(super) struct PodSource<'a> {
    pub namespace: &'a Arc<str>,
    /// The pod's name, to find the claims of its ephemeral volumes.
    pub name: &'a str,
    pub labels: Option<&'a BTreeMap<String, String>>,
    pub annotations: Option<&'a BTreeMap<String, String>>,
    pub spec: &'a core::PodSpec,
    pub status: Option<&'a core::PodStatus>,
    /// It went through the API server, which has filled in priorities and LimitRange defaults.
    pub admitted: bool,
}

/// The template, and in one sentence why such a pod is not for us to place, if it is not.
pub(super) type TemplateAndRefusal = (PodTemplate, Option<Arc<str>>);

/// Labels that the API server copies from the node to a pod which is bound (its admission plugin `PodTopologyLabels`, on by default
/// since Kubernetes 1.35): the pod that takes its place elsewhere comes without them.
pub const COPIED_FROM_NODES: [&str; 2] = [labels::ZONE, labels::REGION];

/// Reads a pod; paths in errors start at the pod's spec. Tolerations that following an earlier plan has added and labels that binding
/// has added do not count: with them pods of one owner would differ.
pub(super) fn read_template(source: PodSource<'_>, cluster: &mut Cluster) -> Result<TemplateAndRefusal, FieldError> {
    let PodSource { namespace, .. } = source;
    let (spec, refused) = if source.admitted {
        (Cow::Borrowed(source.spec), None)
    } else {
        match cluster.runtime_classes.admit(source.spec) {
            Ok(spec) => (spec, None),
            Err(reason) => (Cow::Borrowed(source.spec), Some(Arc::from(reason))),
        }
    };
    let spec = spec.as_ref();
    let mut pod_labels = read_labels(source.labels);
    pod_labels.retain(|key, _| !COPIED_FROM_NODES.contains(&&**key));
    let identity = PodIdentity { namespace, labels: &pod_labels };
    let mut refusal = refused_claims(spec).or_else(|| refused_selector(spec)).or(refused);
    let defaults = cluster.limit_ranges.get(namespace).filter(|_| !source.admitted);
    let requests = effective_requests(spec, source.status, defaults)?;
    let (priority, priority_class) = cluster.priorities.of(spec);
    let node_selector = read_labels(spec.node_selector.as_ref());
    let affinity = spec.affinity.as_ref();
    let (node_affinity, preferred_node_affinity) =
        read_node_affinity(affinity.and_then(|a| a.node_affinity.as_ref())).within("affinity.nodeAffinity")?;
    let pod_affinity = affinity.and_then(|a| a.pod_affinity.as_ref());
    let anti_affinity = affinity.and_then(|a| a.pod_anti_affinity.as_ref());

    let required = |terms: Option<&Vec<core::PodAffinityTerm>>, field: &str| {
        let terms = terms.into_iter().flatten().enumerate();
        let read = terms.map(|(i, term)| {
            pod_affinity_term(term, identity).within_item("requiredDuringSchedulingIgnoredDuringExecution", i)
        });
        read.collect::<Result<Vec<_>, _>>().within(field)
    };
    let preferred = |terms: Option<&Vec<core::WeightedPodAffinityTerm>>, field: &str| {
        let terms = terms.into_iter().flatten().enumerate();
        let read = terms.map(|(i, term)| {
            let read = pod_affinity_term(&term.pod_affinity_term, identity).within("podAffinityTerm");
            let read = read.and_then(|read| Ok((weight(term.weight)?, read)));
            read.within_item("preferredDuringSchedulingIgnoredDuringExecution", i)
        });
        read.collect::<Result<Vec<_>, _>>().within(field)
    };
    let spread = spec.topology_spread_constraints.iter().flatten().enumerate();
    let (volumes, volume_refusal) = cluster.storage.of_pod(namespace, source.name, spec, &[])?;
    refusal = refusal.or(volume_refusal);

    let spec = PodSpec {
        requests,
        priority,
        priority_class,
        tolerations: read_tolerations(spec.tolerations.as_deref().unwrap_or_default())?
            .into_iter()
            .filter(|toleration| &*toleration.key != labels::PLANNED)
            .collect(),
        node_selector,
        node_affinity,
        preferred_node_affinity,
        pod_affinity: required(
            pod_affinity.and_then(|a| a.required_during_scheduling_ignored_during_execution.as_ref()),
            "affinity.podAffinity",
        )?,
        pod_anti_affinity: required(
            anti_affinity.and_then(|a| a.required_during_scheduling_ignored_during_execution.as_ref()),
            "affinity.podAntiAffinity",
        )?,
        preferred_pod_affinity: preferred(
            pod_affinity.and_then(|a| a.preferred_during_scheduling_ignored_during_execution.as_ref()),
            "affinity.podAffinity",
        )?,
        preferred_pod_anti_affinity: preferred(
            anti_affinity.and_then(|a| a.preferred_during_scheduling_ignored_during_execution.as_ref()),
            "affinity.podAntiAffinity",
        )?,
        topology_spread: spread
            .map(|(i, constraint)| spread_constraint(constraint, identity).within_item("topologySpreadConstraints", i))
            .collect::<Result<_, _>>()?,
        host_ports: read_host_ports(spec)?,
        volumes,
    };
    Ok((PodTemplate { labels: pod_labels, annotations: read_labels(source.annotations), spec }, refusal))
}

/// Labels or annotations.
#[must_use]
pub fn read_labels(map: Option<&BTreeMap<String, String>>) -> Labels {
    let pairs = map.into_iter().flatten();
    pairs.map(|(key, value)| (Arc::from(key.as_str()), Arc::from(value.as_str()))).collect()
}

/// Whether the pod waits behind scheduling gates: nobody may place it yet.
pub(super) fn is_gated(spec: &core::PodSpec) -> bool {
    spec.scheduling_gates.as_ref().is_some_and(|gates| !gates.is_empty())
}

/// Whether every node of a NodePool is ruled out by `karpenter.sh/nodepool DoesNotExist`: such pods are not ours, and
/// karpenter skips them without a word (core 2.1).
pub(super) fn avoids_node_pools(template: &PodTemplate) -> bool {
    let terms = &template.spec.node_affinity;
    let forbids = |term: &NodeAffinityTerm| term.0.get(labels::NODEPOOL) == Some(&Requirement::does_not_exist());
    !terms.is_empty() && terms.iter().all(forbids)
}

fn refused_claims(spec: &core::PodSpec) -> Option<Arc<str>> {
    let claims = spec.resource_claims.as_ref().is_some_and(|claims| !claims.is_empty());
    claims.then(|| Arc::from("it has resource claims, and Dynamic Resource Allocation is not supported"))
}

/// What nodes of a NodePool can never be selected by (karpenter-core 2.1).
fn refused_selector(spec: &core::PodSpec) -> Option<Arc<str>> {
    let restricted = |key: &str| labels::is_restricted(labels::normalize(key));
    if let Some(key) = spec.node_selector.iter().flatten().map(|(key, _)| key).find(|key| restricted(key)) {
        return Some(format!("its nodeSelector uses the restricted label {key}").into());
    }
    let affinity = spec.affinity.as_ref()?.node_affinity.as_ref()?;
    let terms = &affinity.required_during_scheduling_ignored_during_execution.as_ref()?.node_selector_terms;
    if terms.iter().any(|term| term.match_fields.as_ref().is_some_and(|fields| !fields.is_empty())) {
        return Some(Arc::from("its node affinity uses matchFields, which is not supported"));
    }
    let mut expressions = terms.iter().flat_map(|term| term.match_expressions.iter().flatten());
    if let Some(expression) = expressions.find(|expression| restricted(&expression.key)) {
        return Some(format!("its node affinity uses the restricted label {}", expression.key).into());
    }
    let empty = |term: &core::NodeSelectorTerm| term.match_expressions.as_ref().is_none_or(Vec::is_empty);
    (!terms.is_empty() && terms.iter().all(empty))
        .then(|| Arc::from("its node affinity has only empty terms, which match no node"))
}

pub(super) type NodeAffinity = (Vec<NodeAffinityTerm>, Vec<(i32, NodeAffinityTerm)>);

/// Required and preferred terms. An empty required term matches no node, so among others it is left out; an empty
/// preferred term has no effect.
pub(super) fn read_node_affinity(affinity: Option<&core::NodeAffinity>) -> Result<NodeAffinity, FieldError> {
    let (mut required, mut preferred) = (Vec::new(), Vec::new());
    let Some(affinity) = affinity else { return Ok((required, preferred)) };
    if let Some(selector) = &affinity.required_during_scheduling_ignored_during_execution {
        let field = "requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms";
        if selector.node_selector_terms.is_empty() {
            return Err(FieldError::new(field, "expected at least one term, found none"));
        }
        for (i, term) in selector.node_selector_terms.iter().enumerate() {
            required.push(node_term(term).within_item(field, i)?);
        }
        required.retain(|term| !term.0.is_empty());
    }
    let terms = affinity.preferred_during_scheduling_ignored_during_execution.iter().flatten();
    for (i, term) in terms.enumerate() {
        let field = "preferredDuringSchedulingIgnoredDuringExecution";
        let read = node_term(&term.preference).within("preference").within_item(field, i)?;
        let weight = weight(term.weight).within_item(field, i)?;
        let unusable = term.preference.match_fields.as_ref().is_some_and(|fields| !fields.is_empty());
        if !read.0.is_empty() && !unusable {
            preferred.push((weight, read));
        }
    }
    Ok((required, preferred))
}

fn weight(weight: i32) -> Result<i32, FieldError> {
    if (1..=100).contains(&weight) {
        return Ok(weight);
    }
    Err(FieldError::new("weight", format!("expected a number from 1 to 100, found {weight}")))
}

/// Tolerations as they are written, without those that Kubernetes does not know.
#[must_use]
pub fn tolerations(written: &[core::Toleration]) -> Vec<Toleration> {
    written.iter().filter_map(|toleration| read_tolerations(std::slice::from_ref(toleration)).ok()).flatten().collect()
}

pub(super) fn read_tolerations(tolerations: &[core::Toleration]) -> Result<Vec<Toleration>, FieldError> {
    let read = |toleration: &core::Toleration| {
        let operator = match toleration.operator.as_deref() {
            None | Some("" | "Equal") => TolerationOperator::Equal,
            Some("Exists") => TolerationOperator::Exists,
            Some("Lt") => TolerationOperator::Lt,
            Some("Gt") => TolerationOperator::Gt,
            Some(found) => {
                let message = format!("expected one of Equal, Exists, Lt, Gt, found '{found}'");
                return Err(FieldError::new("operator", message));
            }
        };
        let key = toleration.key.as_deref().unwrap_or_default();
        if key.is_empty() && operator != TolerationOperator::Exists {
            return Err(FieldError::new("operator", "expected Exists, because the key is empty"));
        }
        let effect = match toleration.effect.as_deref() {
            None | Some("") => None,
            Some(effect) => Some(read_effect(effect)?),
        };
        let value = toleration.value.as_deref().unwrap_or_default();
        if operator == TolerationOperator::Exists && !value.is_empty() {
            let message = format!("expected none, because the operator is Exists, found '{value}'");
            return Err(FieldError::new("value", message));
        }
        Ok(Toleration { key: Arc::from(key), operator, value: Arc::from(value), effect })
    };
    tolerations.iter().enumerate().map(|(i, toleration)| read(toleration).within_item("tolerations", i)).collect()
}

pub(super) fn read_effect(effect: &str) -> Result<TaintEffect, FieldError> {
    match effect {
        "NoSchedule" => Ok(TaintEffect::NoSchedule),
        "PreferNoSchedule" => Ok(TaintEffect::PreferNoSchedule),
        "NoExecute" => Ok(TaintEffect::NoExecute),
        found => {
            let message = format!("expected NoSchedule, PreferNoSchedule or NoExecute, found '{found}'");
            Err(FieldError::new("effect", message))
        }
    }
}

/// Ports on the host of containers and sidecars. With `hostNetwork` every container port is one (API server
/// defaulting); plain init containers do not hold theirs while the pod runs (kube-scheduler, NodePorts).
fn read_host_ports(spec: &core::PodSpec) -> Result<Vec<HostPort>, FieldError> {
    let host_network = spec.host_network == Some(true);
    let sidecars = spec.init_containers.iter().flatten().enumerate();
    let sidecars = sidecars.filter(|(_, container)| container.restart_policy.as_deref() == Some("Always"));
    let containers = spec.containers.iter().enumerate().map(|(i, container)| ("containers", i, container));
    let containers = containers.chain(sidecars.map(|(i, container)| ("initContainers", i, container)));
    let mut host_ports = Vec::new();
    for (list, i, container) in containers {
        for (j, port) in container.ports.iter().flatten().enumerate() {
            let number = match port.host_port {
                None | Some(0) if host_network => port.container_port,
                None | Some(0) => continue,
                Some(number) => number,
            };
            let number = u16::try_from(number).map_err(|_| {
                let message = format!("expected a port number, found {number}");
                FieldError::new(format!("{list}[{i}].ports[{j}].hostPort"), message)
            })?;
            let or =
                |text: Option<&str>, default: &str| Arc::from(text.filter(|text| !text.is_empty()).unwrap_or(default));
            host_ports.push(HostPort {
                ip: or(port.host_ip.as_deref(), "0.0.0.0"),
                port: number,
                protocol: or(port.protocol.as_deref(), "TCP"),
            });
        }
    }
    host_ports.sort();
    host_ports.dedup();
    Ok(host_ports)
}

#[cfg(test)]
mod tests;
