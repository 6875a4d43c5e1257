//! The launches of a plan as NodeClaim objects.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use serde_json::{Value, json};

use super::types::{Launch, Offer, Plan};
use crate::api::labels;
use crate::observe::Snapshot;
use crate::observe::snapshot::{Labels, NodePool, Taint};
use crate::requirements::{Requirement, Requirements};
use crate::resources::display_amount;

/// One NodeClaim for each launch, as the reference writes them.
#[must_use]
pub fn node_claims<State>(snapshot: &Snapshot, plan: &Plan<State>) -> Vec<Value> {
    plan.launches.iter().map(|launch| node_claim(&snapshot.node_pools[launch.pool], launch)).collect()
}

/// The NodeClaim of one launch; `pool` is that of the launch.
#[must_use]
pub fn node_claim(pool: &NodePool, launch: &Launch) -> Value {
    let requests: BTreeMap<String, Quantity> = launch
        .requests
        .iter()
        .map(|(name, amount)| (name.to_string(), Quantity(display_amount(name, amount))))
        .collect();
    let made = Made { name: &launch.name, labels: &launch.labels, requirements: &requirements(launch) };
    let mut claim = claim_of(pool, &made, (&launch.taints, &launch.startup_taints));
    claim["spec"]["resources"] = json!({ "requests": requests });
    let annotations = &mut claim["metadata"]["annotations"];
    annotations[labels::OFFERS] = json!(offers(launch));
    if launch.relaxed_min_values(pool).next().is_some() {
        annotations[labels::MIN_VALUES_RELAXED] = json!("true");
    }
    claim
}

/// A NodeClaim of a pool that no pods were planned for, as a static pool has them: whatever the pool allows.
#[must_use]
pub fn unplanned_claim(pool: &NodePool, name: &Arc<str>) -> Value {
    let made = Made { name, labels: &pool.labels, requirements: &pool.requirements };
    claim_of(pool, &made, (&pool.taints, &pool.startup_taints))
}

struct Made<'m> {
    name: &'m Arc<str>,
    labels: &'m Labels,
    requirements: &'m Requirements,
}

fn claim_of(pool: &NodePool, made: &Made<'_>, (taints, startup_taints): (&[Taint], &[Taint])) -> Value {
    let class_label = format!("{}/{}", pool.node_class.group, pool.node_class.kind.to_lowercase());
    let mut claim_labels: BTreeMap<String, String> =
        made.labels.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
    claim_labels.insert(class_label, pool.node_class.name.to_string());
    claim_labels.insert(labels::NODEPOOL.to_owned(), pool.name.to_string());
    let annotations: BTreeMap<String, String> =
        pool.annotations.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
    let metadata = json!({ "name": made.name, "labels": claim_labels, "annotations": annotations });
    let mut spec = json!({
        "nodeClassRef": {
            "group": pool.node_class.group, "kind": pool.node_class.kind, "name": pool.node_class.name,
        },
        "requirements": made.requirements.to_entries(),
        "expireAfter": pool.expire_after_seconds.map_or_else(|| "Never".to_owned(), |seconds| format!("{seconds}s")),
    });
    if let Some(seconds) = pool.termination_grace_period_seconds {
        spec["terminationGracePeriod"] = json!(format!("{seconds}s"));
    }
    for (field, taints) in [("taints", taints), ("startupTaints", startup_taints)] {
        if !taints.is_empty() {
            spec[field] = json!(taints.iter().map(taint).collect::<Vec<_>>());
        }
    }
    json!({ "apiVersion": "karpenter.sh/v1", "kind": "NodeClaim", "metadata": metadata, "spec": spec })
}

/// The plan's offers in order of preference, as `type/zone` or `type/zone/reservation`. The claim's requirements are the
/// product of their types and zones, which may hold dearer pairs that the plan does not name.
fn offers(launch: &Launch) -> String {
    let text = |offer: &Offer| match &offer.reservation {
        Some(reservation) => format!("{}/{}/{reservation}", offer.instance_type, offer.zone),
        None => format!("{}/{}", offer.instance_type, offer.zone),
    };
    launch.offers.iter().map(text).collect::<Vec<_>>().join(",")
}

/// The launch's requirements with exactly the types, zones and reservations of its offers.
fn requirements(launch: &Launch) -> Requirements {
    let mut requirements = Requirements::clone(&launch.requirements);
    let of = |values: BTreeSet<Arc<str>>| Requirement::one_of(values);
    requirements
        .add(labels::INSTANCE_TYPE, of(launch.offers.iter().map(|offer| offer.instance_type.clone()).collect()));
    requirements.add(labels::ZONE, of(launch.offers.iter().map(|offer| offer.zone.clone()).collect()));
    let reservations: BTreeSet<Arc<str>> = launch.offers.iter().filter_map(|offer| offer.reservation.clone()).collect();
    if !reservations.is_empty() {
        requirements.add(labels::CAPACITY_RESERVATION_ID, of(reservations));
    }
    requirements
}

fn taint(taint: &Taint) -> v1::Taint {
    v1::Taint {
        key: taint.key.to_string(),
        value: Some(taint.value.to_string()).filter(|value| !value.is_empty()),
        effect: format!("{:?}", taint.effect),
        time_added: None,
    }
}
