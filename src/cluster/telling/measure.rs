//! Metrics, under the reference's names where it has them (karpenter-core 6.1), ours under `packwright_`.

use std::collections::BTreeMap;
use std::time::Duration;

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

use crate::api::labels;
use crate::controller::{Said, Subject, World};
use crate::observe::amounts;
use crate::resources::CPU;

/// What is served at `/metrics`.
pub type Metrics = PrometheusHandle;

/// The reference's buckets of durations, seconds.
const DURATIONS: [f64; 21] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 150.0, 300.0,
    450.0, 600.0,
];

/// Counts from now on.
///
/// # Errors
/// Something in this process counts already.
pub fn start_metrics() -> Result<Metrics, BuildError> {
    let seconds = Matcher::Suffix("_seconds".to_owned());
    let handle = PrometheusBuilder::new().set_buckets_for_metric(seconds, &DURATIONS)?.install_recorder()?;
    describe_counter!("karpenter_nodeclaims_created_total", "NodeClaims that were created, by reason and pool.");
    describe_counter!(
        "karpenter_nodeclaims_terminated_total",
        "NodeClaims that are gone, by pool, capacity type and zone."
    );
    describe_counter!("karpenter_nodeclaims_disrupted_total", "NodeClaims that were disrupted, by reason and pool.");
    describe_counter!("karpenter_nodes_created_total", "Nodes that registered, by pool and zone.");
    describe_counter!("karpenter_nodes_terminated_total", "Nodes that are gone, by pool and zone.");
    describe_gauge!("karpenter_scheduler_unschedulable_pods_count", "Pods that the last decision could not place.");
    describe_gauge!("karpenter_cluster_state_node_count", "Nodes that are known.");
    describe_gauge!("karpenter_cluster_state_synced", "Whether everything was read once.");
    describe_gauge!("karpenter_nodepools_limit", "Limits of a pool, cores and bytes.");
    describe_gauge!("karpenter_nodepools_usage", "What the nodes of a pool come to, cores and bytes.");
    describe_gauge!("packwright_leads", "Whether this process acts.");
    describe_gauge!("packwright_decision_usd_per_hour", "Price of what the last decision launches.");
    describe_gauge!("packwright_decision_bound_usd_per_hour", "What no plan for the same pods is cheaper than.");
    describe_counter!("packwright_decisions_total", "Decisions, by the stage of the answer and why the search ended.");
    describe_histogram!("packwright_step_duration_seconds", "What a step of the controller takes.");
    describe_counter!("packwright_placement_lost_total", "Pods and claims for which the plan could not be guaranteed.");
    gauge!("karpenter_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    Ok(handle)
}

pub(super) fn count(said: &Said, world: &World) {
    let of_claim = |claim: &str, label: &str| {
        let key = Subject::of_cluster("NodeClaim", claim).key;
        let claim = world.objects().node_claims.get(&key);
        claim.and_then(|claim| claim.object.metadata.labels.as_ref()?.get(label).cloned()).unwrap_or_default()
    };
    match said {
        Said::Creating { pool, .. } => {
            let relaxed = "false";
            counter!("karpenter_nodeclaims_created_total", "nodepool" => pool.to_string(), "reason" => "provisioned",
                "min_values_relaxed" => relaxed)
            .increment(1);
        }
        Said::ClaimGone { claim } => counter!("karpenter_nodeclaims_terminated_total",
            "nodepool" => of_claim(claim, labels::NODEPOOL), "capacity_type" => of_claim(claim, labels::CAPACITY_TYPE),
            "zone" => of_claim(claim, labels::ZONE))
        .increment(1),
        Said::Disrupting { claim, reason } => counter!("karpenter_nodeclaims_disrupted_total",
            "nodepool" => of_claim(claim, labels::NODEPOOL), "capacity_type" => of_claim(claim, labels::CAPACITY_TYPE),
            "reason" => reason.to_lowercase())
        .increment(1),
        Said::GaveUp { claim, why, .. } => counter!("karpenter_nodeclaims_disrupted_total",
            "nodepool" => of_claim(claim, labels::NODEPOOL), "capacity_type" => of_claim(claim, labels::CAPACITY_TYPE),
            "reason" => why.label())
        .increment(1),
        Said::Registered { claim, .. } => counter!("karpenter_nodes_created_total",
            "nodepool" => of_claim(claim, labels::NODEPOOL), "zone" => of_claim(claim, labels::ZONE))
        .increment(1),
        Said::NodeGone { node } => {
            let key = Subject::of_cluster("Node", node).key;
            let of = |label: &str| {
                let node = world.objects().nodes.get(&key);
                node.and_then(|node| node.object.metadata.labels.as_ref()?.get(label).cloned()).unwrap_or_default()
            };
            counter!("karpenter_nodes_terminated_total", "nodepool" => of(labels::NODEPOOL), "zone" => of(labels::ZONE))
                .increment(1);
        }
        Said::Computed { unplaced, certificate, .. } => {
            #[allow(clippy::cast_precision_loss)] // of a count
            gauge!("karpenter_scheduler_unschedulable_pods_count", "controller" => "provisioner").set(*unplaced as f64);
            gauge!("packwright_decision_usd_per_hour").set(certificate.objective.as_usd());
            gauge!("packwright_decision_bound_usd_per_hour").set(certificate.bound.as_usd());
            let (stage, stop) = (format!("{:?}", certificate.stage), format!("{:?}", certificate.stop));
            counter!("packwright_decisions_total", "stage" => stage, "stop" => stop).increment(1);
        }
        Said::NotGuaranteed(_) => counter!("packwright_placement_lost_total").increment(1),
        _ => {}
    }
}

pub(super) fn gauge(world: &World, took: Duration) {
    histogram!("packwright_step_duration_seconds").record(took.as_secs_f64());
    #[allow(clippy::cast_precision_loss)] // of a count
    gauge!("karpenter_cluster_state_node_count").set(world.objects().nodes.len() as f64);
    gauge!("karpenter_cluster_state_synced").set(u8::from(world.is_complete()));
    for (key, pool) in &world.objects().node_pools {
        let spec = &pool.object.spec;
        let used = pool.object.status.as_ref().map(|status| amounts(&status.resources)).unwrap_or_default();
        let limits: BTreeMap<_, _> = spec.limits.iter().map(|(name, of)| (name.clone(), of.clone())).collect();
        for (metric, list) in [("karpenter_nodepools_limit", amounts(&limits)), ("karpenter_nodepools_usage", used)] {
            for (resource, amount) in list.iter() {
                gauge!(metric, "nodepool" => key.name.to_string(), "resource_type" => resource.to_string())
                    .set(in_units(resource, amount));
            }
        }
    }
}

/// Cores, bytes and counts, as the reference measures them.
#[allow(clippy::cast_precision_loss)] // shown, not reckoned with
fn in_units(resource: &str, amount: i64) -> f64 {
    if resource == CPU { amount as f64 / 1_000.0 } else { amount as f64 }
}
