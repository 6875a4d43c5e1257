//! Nodes and NodeClaims, joined: what exists and what is on its way.
//!
//! Follows karpenter's StateNode (`pkg/controllers/state`, core 2.5): until a managed node is registered its claim says
//! what it will be, and until it is initialized its startup taints do not count.

mod disruption;

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1 as core;

use super::input::{FieldError, FieldResult as _, InputError};
use super::memory::Memory;
use super::objects::{ObjectKey, Objects, Sourced};
use super::pod::{read_effect, read_labels};
use super::pools::read_requirements;
use super::requests::read_resources;
use super::snapshot::{Labels, Node, NodeDisruption, NodeStage, Taint, TaintEffect};
use crate::api::labels;
use crate::api::node_claim::NodeClaim;
use crate::api::requirement::NodeSelectorRequirementWithMinValues;
use crate::requirements::Requirements;
use crate::resources::Resources;

/// Every node, sorted by name; without prices.
pub(super) fn read_nodes(objects: &Objects, errors: &mut Vec<InputError>, memory: &mut Memory) -> Vec<Node> {
    let mut claim_of: BTreeMap<&ObjectKey, (&ObjectKey, &NodeClaim)> = BTreeMap::new();
    let by_provider_id: BTreeMap<&str, &ObjectKey> = objects
        .nodes
        .iter()
        .filter_map(|(key, node)| Some((node.object.spec.as_ref()?.provider_id.as_deref()?, key)))
        .filter(|(id, _)| !id.is_empty())
        .collect();
    let mut nodes = Vec::new();
    let mut disruptions: BTreeMap<&Arc<str>, NodeDisruption> = BTreeMap::new();
    for (key, Sourced { origin, object: claim }) in &objects.node_claims {
        let status = claim.status.as_ref();
        let by_id = status.and_then(|s| by_provider_id.get(s.provider_id.as_deref()?).copied());
        let by_name = || {
            let name = Arc::from(status?.node_name.as_deref()?);
            objects.nodes.get_key_value(&ObjectKey { namespace: Arc::from(""), name }).map(|(key, _)| key)
        };
        let of_claim = by_id.or_else(by_name);
        match of_claim {
            Some(node) => {
                claim_of.insert(node, (key, claim));
            }
            None => match in_flight(key, claim) {
                Ok(node) => nodes.push(node),
                Err(error) => errors.push(Objects::field_error("NodeClaim", key, origin, error)),
            },
        }
        let mut unread = Vec::new();
        let node = of_claim.and_then(|key| objects.nodes.get(key)).map(|node| &*node.object);
        disruptions.insert(&key.name, disruption::of_claim(claim, node, &mut unread));
        errors.extend(unread.into_iter().map(|error| Objects::field_error("NodeClaim", key, origin, error)));
    }
    for (key, Sourced { origin, object: node }) in &objects.nodes {
        let read = memory.node(node, |node| read_alone(key, node));
        match read_node((key, node), &read, claim_of.get(key).copied(), objects) {
            Ok(node) => nodes.push(node),
            Err(error) => errors.push(Objects::field_error("Node", key, origin, error)),
        }
    }
    for node in &mut nodes {
        let disruption = node.claim.as_ref().and_then(|claim| disruptions.remove(claim));
        node.disruption = disruption.unwrap_or_default();
    }
    nodes.sort_by(|a, b| a.name.cmp(&b.name));
    nodes
}

/// A claim without Node. Its labels are those it carries and those that it requires with a single value.
fn in_flight(key: &ObjectKey, claim: &NodeClaim) -> Result<Node, FieldError> {
    let status = claim.status.as_ref();
    let resources = |list| read_resources(list).within("status");
    let labels = Arc::new(claim_labels(claim)?);
    Ok(Node {
        name: key.name.clone(),
        claim: Some(key.name.clone()),
        pool: labels.get(labels::NODEPOOL).cloned(),
        stage: NodeStage::InFlight,
        created_at: claim.metadata.creation_timestamp.as_ref().map(|time| time.0),
        taints: read_taints(&claim.spec.taints).within("spec")?,
        labels,
        capacity: resources(status.map(|status| &status.capacity))?,
        allocatable: resources(status.map(|status| &status.allocatable))?,
        attach_limits: BTreeMap::new(),
        deleting: claim.metadata.deletion_timestamp.is_some(),
        price: None,
        disruption: NodeDisruption::default(),
    })
}

/// What the spec of a claim, or the template of a pool, asks of nodes.
///
/// # Errors
/// A value that its operator does not take, with its field.
pub fn requirements_of(written: &[NodeSelectorRequirementWithMinValues]) -> Result<Requirements, String> {
    read_requirements(written).map_err(|error| format!("spec.{}: {}", error.path, error.message))
}

fn claim_labels(claim: &NodeClaim) -> Result<Labels, FieldError> {
    let mut labels = read_labels(claim.metadata.labels.as_ref());
    let requirements = read_requirements(&claim.spec.requirements).within("spec")?;
    for (key, value) in requirements.single_values() {
        labels.entry(key.clone()).or_insert_with(|| value.clone());
    }
    Ok(labels)
}

/// What a Node says without its claim.
#[derive(Debug)]
pub(super) struct ReadNode {
    labels: Arc<Labels>,
    taints: Vec<Taint>,
    capacity: Resources,
    allocatable: Resources,
}

fn read_alone(key: &ObjectKey, node: &core::Node) -> Result<ReadNode, FieldError> {
    let spec = node.spec.as_ref();
    let status = node.status.as_ref();
    let mut labels = read_labels(node.metadata.labels.as_ref());
    labels.entry(Arc::from(labels::HOSTNAME)).or_insert_with(|| key.name.clone()); // as the kubelet does
    let capacity = read_resources(status.and_then(|s| s.capacity.as_ref())).within("status.capacity")?;
    let allocatable = read_resources(status.and_then(|s| s.allocatable.as_ref())).within("status.allocatable")?;
    let taints = read_taints(spec.and_then(|spec| spec.taints.as_deref()).unwrap_or_default()).within("spec")?;
    Ok(ReadNode { labels: Arc::new(labels), taints, capacity, allocatable })
}

fn read_node(
    (key, node): (&ObjectKey, &core::Node),
    read: &Result<ReadNode, FieldError>,
    claim: Option<(&ObjectKey, &NodeClaim)>,
    objects: &Objects,
) -> Result<Node, FieldError> {
    let spec = node.spec.as_ref();
    let ReadNode { labels, taints: own_taints, capacity, allocatable } = read.as_ref().map_err(Clone::clone)?;
    let (mut labels, mut capacity, mut allocatable) = (labels.clone(), capacity.clone(), allocatable.clone());
    let has = |labels: &Labels, key: &str| labels.get(key).is_some_and(|value| &**value == "true");
    let initialized = claim.is_none() || has(&labels, labels::INITIALIZED);
    let registered = initialized || has(&labels, labels::REGISTERED);
    let disrupted = own_taints.iter().any(|taint| &*taint.key == labels::TAINT_DISRUPTED);
    let mut deleting = node.metadata.deletion_timestamp.is_some() || disrupted;
    let mut taints = own_taints.clone();
    // a node is reserved for pods that a plan put there: for plans it is as open as it will be
    let reserved_cordon = node.metadata.annotations.as_ref().is_some_and(|a| a.contains_key(labels::CORDONED_AT));
    taints.retain(|taint| match &*taint.key {
        labels::PLANNED => false,
        labels::TAINT_UNSCHEDULABLE => !reserved_cordon,
        _ => true,
    });
    if let Some((_, claim)) = claim {
        deleting |= claim.metadata.deletion_timestamp.is_some();
        if !registered {
            Arc::make_mut(&mut labels).extend(claim_labels(claim)?);
            taints = read_taints(&claim.spec.taints).within("nodeClaim.spec")?;
        }
        if !initialized {
            let startup = read_taints(&claim.spec.startup_taints).within("nodeClaim.spec")?;
            taints.retain(|taint| {
                !is_ephemeral(taint) && !startup.iter().any(|s| s.key == taint.key && s.effect == taint.effect)
            });
            let claimed = claim.status.as_ref();
            fill_zeros(&mut capacity, &read_resources(claimed.map(|s| &s.capacity)).within("nodeClaim.status")?);
            fill_zeros(&mut allocatable, &read_resources(claimed.map(|s| &s.allocatable)).within("nodeClaim.status")?);
        }
    }
    let cordon =
        Taint { key: Arc::from(labels::TAINT_UNSCHEDULABLE), value: Arc::from(""), effect: TaintEffect::NoSchedule };
    let cordoned = spec.is_some_and(|spec| spec.unschedulable == Some(true)) && !reserved_cordon;
    if cordoned && !taints.iter().any(|taint| taint.key == cordon.key && taint.effect == cordon.effect) {
        taints.push(cordon);
    }
    if allocatable.is_empty() {
        allocatable = capacity.clone(); // what the kubelet reports where nothing is reserved
    }
    Ok(Node {
        name: key.name.clone(),
        claim: claim.map(|(key, _)| key.name.clone()),
        pool: labels.get(labels::NODEPOOL).cloned(),
        stage: if initialized { NodeStage::Initialized } else { NodeStage::Registered },
        created_at: node.metadata.creation_timestamp.as_ref().map(|time| time.0),
        labels,
        taints,
        capacity,
        allocatable,
        attach_limits: attach_limits(key, objects),
        deleting,
        price: None,
        disruption: NodeDisruption::default(),
    })
}

/// Takes an amount from the claim where the Node reports zero or nothing yet.
fn fill_zeros(reported: &mut Resources, claimed: &Resources) {
    for (name, amount) in claimed.iter() {
        if reported.get(name) == 0 {
            reported.set(name.clone(), amount);
        }
    }
}

fn attach_limits(node: &ObjectKey, objects: &Objects) -> BTreeMap<Arc<str>, u32> {
    let csi_node = objects.csi_nodes.get(node);
    let drivers = csi_node.into_iter().flat_map(|csi_node| &csi_node.object.spec.drivers);
    drivers
        .filter_map(|driver| {
            let count = driver.allocatable.as_ref()?.count?;
            Some((Arc::from(driver.name.as_str()), u32::try_from(count).ok()?))
        })
        .collect()
}

/// Whether every new node carries taints with this key for a while.
#[must_use]
pub fn is_ephemeral_key(key: &str) -> bool {
    let keys = [
        labels::TAINT_NOT_READY,
        labels::TAINT_UNREACHABLE,
        labels::TAINT_UNREGISTERED,
        labels::TAINT_NETWORK_UNAVAILABLE,
        labels::TAINT_CLOUD_UNINITIALIZED,
    ];
    keys.contains(&key) || key.starts_with(labels::TAINT_READINESS_PREFIX)
}

/// The taints of a node, without those of a reservation. `None` where one has an effect that Kubernetes does not know.
#[must_use]
pub fn node_taints(node: &core::Node) -> Option<Vec<Taint>> {
    let written = node.spec.as_ref().and_then(|spec| spec.taints.as_deref()).unwrap_or_default();
    let mut taints = read_taints(written).ok()?;
    taints.retain(|taint| &*taint.key != labels::PLANNED);
    Some(taints)
}

/// Taints as they are written, without those whose effect Kubernetes does not know.
#[must_use]
pub fn taints(written: &[core::Taint]) -> Vec<Taint> {
    written.iter().filter_map(|taint| read_taints(std::slice::from_ref(taint)).ok()).flatten().collect()
}

/// Taints that every new node carries for a while (karpenter-core 2.4).
fn is_ephemeral(taint: &Taint) -> bool {
    use TaintEffect::{NoExecute, NoSchedule};
    match (&*taint.key, taint.effect) {
        (labels::TAINT_NOT_READY, NoSchedule | NoExecute)
        | (labels::TAINT_UNREACHABLE, NoSchedule)
        | (labels::TAINT_UNREGISTERED, NoExecute) => true,
        (labels::TAINT_CLOUD_UNINITIALIZED, NoSchedule) => &*taint.value == "true",
        (key, _) => key.starts_with(labels::TAINT_READINESS_PREFIX),
    }
}

/// Reads the field `taints`.
pub(super) fn read_taints(taints: &[core::Taint]) -> Result<Vec<Taint>, FieldError> {
    let read = |taint: &core::Taint| {
        let value = Arc::from(taint.value.as_deref().unwrap_or_default());
        Ok(Taint { key: Arc::from(taint.key.as_str()), value, effect: read_effect(&taint.effect)? })
    };
    taints.iter().enumerate().map(|(i, taint)| read(taint).within_item("taints", i)).collect()
}

#[cfg(test)]
mod tests;
