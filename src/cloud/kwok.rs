//! kwok: nodes without machines. What EC2 and the kubelet would make of a launch is written down at once.

mod faults;

use std::sync::Arc;

pub use faults::Faults;

use k8s_openapi::api::core::v1;
use serde_json::{Value, json};

use super::options::node_labels;
use super::{Answer, Instance, Launch as Request, LaunchError, OfferingName};
use crate::api::labels;
use crate::api::node_claim::NodeClaim;
use crate::catalog::Offering;
use crate::observe::Snapshot;
use crate::observe::snapshot::Taint;
use crate::plan::{Launch, Offer};
use crate::resources::quantities;

/// The annotation by which kwok knows the nodes that it plays the kubelet of.
const PLAYED: (&str, &str) = ("kwok.x-k8s.io/node", "fake");

/// How nodes of this cloud are called: they have the name of their claim.
const SCHEME: &str = "kwok://";

/// Whether an instance is one of this cloud.
#[must_use]
pub fn is_of_kwok(provider_id: &str) -> bool {
    provider_id.starts_with(SCHEME)
}

/// Whether a node is a machine that somebody pays for, by its providerID: all but nodes of kwok, and those of kind, which are containers.
#[must_use]
pub fn is_machine(provider_id: &str) -> bool {
    provider_id.contains("://") && !is_of_kwok(provider_id) && !provider_id.starts_with("kind://")
}

/// Nothing is left of an instance but its node, which goes by itself; others are not ours to end.
#[must_use]
pub fn terminate(provider_id: &Arc<str>) -> Answer {
    let result = if is_of_kwok(provider_id) { Ok(true) } else { Err("it is no instance of kwok".to_owned()) };
    Answer::Terminated { provider_id: provider_id.clone(), result }
}

/// Buys the first option that is not to fail. Nothing is remembered: the NodeClaim says what it is, and [`birth`] makes the node of
/// it.
#[must_use]
pub fn launch(request: &Request) -> Answer {
    let bought = request.faults.check().and_then(|()| {
        let mut refused = Vec::new();
        for (kind, offering) in request.offerings() {
            let name = OfferingName::of(kind, offering);
            if !request.faults.concern(&name) {
                return Ok((kind, offering));
            }
            refused.push(name);
        }
        Err(LaunchError::InsufficientCapacity(refused))
    });
    let result = bought.map(|(kind, offering)| {
        let provider_id = format!("{SCHEME}{}", request.claim).into();
        Box::new(Instance { provider_id, image_id: None, kind: kind.clone(), offering: offering.clone() })
    });
    Answer::Launched { claim: request.uid.clone(), result }
}

/// The Node that a launched claim becomes, not registered yet; `None` for claims of other clouds.
#[must_use]
pub fn birth(claim: &NodeClaim) -> Option<Value> {
    let name = claim.metadata.name.as_deref()?;
    let status = claim.status.as_ref()?;
    let id = status.provider_id.as_deref().filter(|id| id.starts_with(SCHEME))?;
    let mut labels = claim.metadata.labels.clone().unwrap_or_default();
    labels.insert(labels::HOSTNAME.to_owned(), name.to_owned());
    let unregistered = v1::Taint {
        key: labels::TAINT_UNREGISTERED.to_owned(),
        effect: "NoExecute".to_owned(),
        ..v1::Taint::default()
    };
    let taints: Vec<&v1::Taint> =
        claim.spec.taints.iter().chain(&claim.spec.startup_taints).chain([&unregistered]).collect();
    Some(json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name, "labels": labels, "annotations": { PLAYED.0: PLAYED.1, labels::BORN_OF: claim.metadata.uid },
        },
        "spec": { "providerID": id, "taints": taints },
        "status": {
            "capacity": status.capacity,
            "allocatable": status.allocatable,
            "conditions": [{ "type": "Ready", "status": "True", "reason": "KubeletReady" }],
        },
    }))
}

/// The Node that a launch becomes through one of its offers, initialized: labels, taints and allocatable are the ones that the
/// plan counts on. `None` where the Snapshot does not know the offer.
#[must_use]
pub fn node(snapshot: &Snapshot, launch: &Launch, offer: &Offer) -> Option<Value> {
    let pool = snapshot.node_pools.get(launch.pool)?;
    let kind = pool.instance_types.iter().find(|kind| kind.name == offer.instance_type)?;
    let is_bought = |of: &&Offering| {
        of.zone == offer.zone
            && of.capacity_type == launch.capacity_type
            && of.reservation.as_ref().map(|reservation| &reservation.id) == offer.reservation.as_ref()
    };
    let offering = kind.offerings.iter().find(is_bought)?;
    let mut found = node_labels(&launch.labels, &launch.requirements, kind, offering);
    found.insert(labels::HOSTNAME.into(), launch.name.clone());
    found.insert(labels::REGISTERED.into(), "true".into());
    found.insert(labels::INITIALIZED.into(), "true".into());
    Some(json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": launch.name,
            "labels": found,
            "annotations": { PLAYED.0: PLAYED.1 },
        },
        "spec": { "taints": launch.taints.iter().map(taint).collect::<Vec<_>>() },
        "status": {
            "capacity": quantities(&kind.capacity),
            "allocatable": quantities(&kind.allocatable),
            "conditions": [{ "type": "Ready", "status": "True", "reason": "KubeletReady" }],
        },
    }))
}

fn taint(taint: &Taint) -> Value {
    let mut written = json!({ "key": taint.key, "effect": format!("{:?}", taint.effect) });
    if !taint.value.is_empty() {
        written["value"] = json!(taint.value);
    }
    written
}
