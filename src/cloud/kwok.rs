//! kwok: nodes without machines. What EC2 and the kubelet would make of a launch is written down at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::api::labels;
use crate::catalog::{InstanceType, Offering};
use crate::observe::Snapshot;
use crate::observe::snapshot::Taint;
use crate::plan::{Launch, Offer};
use crate::resources::{Resources, display_amount};

/// The annotation by which kwok knows the nodes that it plays the kubelet of.
const PLAYED: (&str, &str) = ("kwok.x-k8s.io/node", "fake");

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
    Some(json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": launch.name,
            "labels": node_labels(launch, kind, offering),
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

/// Offering before type before launch, as the plan's checker takes them.
fn node_labels(launch: &Launch, kind: &InstanceType, offering: &Offering) -> BTreeMap<Arc<str>, Arc<str>> {
    let mut found: BTreeMap<Arc<str>, Arc<str>> = (*launch.labels).clone();
    for (key, offered) in &kind.requirements {
        let written = found.get(key).filter(|value| offered.allows(value)).cloned();
        let claimed = |value: &&Arc<str>| launch.requirements.get(key).is_none_or(|claim| claim.allows(value));
        let first = offered.finite_values().and_then(|values| values.iter().find(claimed));
        match offered.single_value().cloned().or(written).or_else(|| first.cloned()) {
            Some(value) => drop(found.insert(key.clone(), value)),
            None => drop(found.remove(key)),
        }
    }
    found.extend(offering.labels.iter().cloned());
    found.insert(labels::ZONE.into(), offering.zone.clone());
    found.insert(labels::CAPACITY_TYPE.into(), offering.capacity_type.label().into());
    found.insert(labels::HOSTNAME.into(), launch.name.clone());
    found.insert(labels::REGISTERED.into(), "true".into());
    found.insert(labels::INITIALIZED.into(), "true".into());
    found
}

fn quantities(resources: &Resources) -> BTreeMap<&str, String> {
    resources.iter().map(|(name, amount)| (name.as_ref(), display_amount(name, amount))).collect()
}

fn taint(taint: &Taint) -> Value {
    let mut written = json!({ "key": taint.key, "effect": format!("{:?}", taint.effect) });
    if !taint.value.is_empty() {
        written["value"] = json!(taint.value);
    }
    written
}
