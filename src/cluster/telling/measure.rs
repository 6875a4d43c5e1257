//! Metrics of what happens, under the reference's names where it has them (karpenter-core 6.1), ours under `packwright_`.
//! `docs/metrics.md` lists them, and those of the reference that are not served.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

use crate::api::labels;
use crate::controller::valves::Valve;
use crate::controller::{Bought, Said, Subject, World};
use crate::placement::Landed;
use crate::plan::{Certificate, Stage};

/// What is served at `/metrics`.
#[derive(Clone)]
pub struct Metrics {
    handle: PrometheusHandle,
    /// Series of what is there.
    objects: Arc<Mutex<String>>,
    /// Beside another provisioner only our own names are served.
    scope: Scope,
}

/// Which series are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    All,
    /// Those that no other provisioner has.
    OwnNames,
}

/// What our own names begin with.
const OWN: &str = "packwright_";

/// The reference's buckets of durations, seconds.
const DURATIONS: [f64; 21] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 150.0, 300.0,
    450.0, 600.0,
];
/// Of the ends of nodes, seconds.
const ENDS: [f64; 12] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1_024.0, 2_048.0];
/// Of summaries.
const QUANTILES: [f64; 5] = [0.0, 0.5, 0.9, 0.99, 1.0];

const SCHEDULING: &str = "karpenter_scheduler_scheduling_duration_seconds";
const CLAIM_ENDS: &str = "karpenter_nodeclaims_termination_duration_seconds";
const NODE_ENDS: &str = "karpenter_nodes_termination_duration_seconds";
const STARTS: &str = "karpenter_pods_startup_duration_seconds";
const DECISIONS: &str = "packwright_decision_duration_seconds";
const STEPS: &str = "packwright_step_duration_seconds";
const CALLS: &str = "aws_sdk_go_request_duration_seconds";
const ATTEMPTS: &str = "aws_sdk_go_request_attempt_duration_seconds";
const MESSAGES: &str = "karpenter_interruption_message_queue_duration_seconds";
const BATCHES: &str = "karpenter_cloudprovider_batcher_batch_time_seconds";

/// Gauges of the last decision, and of the last looks at used nodes.
const DECIDED: [&str; 6] = [
    "packwright_decision_usd_per_hour",
    "packwright_decision_bound_usd_per_hour",
    "packwright_decision_gap_ratio",
    "packwright_consolidation_oldest_unexamined_seconds",
    "packwright_consolidation_usd_per_hour",
    "packwright_consolidation_least_usd_per_hour",
];

/// Where a decision falls back to.
const GREEDY: &str = "greedy";
const EARLIER: &str = "earlier_answer";

impl Metrics {
    pub(super) fn of(handle: PrometheusHandle, scope: Scope) -> Self {
        Self { handle, objects: Arc::default(), scope }
    }

    /// In Prometheus' text format.
    #[must_use]
    pub fn render(&self) -> String {
        let objects = self.objects.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let all = self.handle.render() + &objects;
        match self.scope {
            Scope::All => all,
            Scope::OwnNames => own(&all),
        }
    }

    pub(super) fn set_objects(&self, text: String) {
        *self.objects.lock().unwrap_or_else(PoisonError::into_inner) = text;
        self.handle.run_upkeep(); // of summaries that nobody asks for
    }
}

/// The lines about our own names.
fn own(text: &str) -> String {
    let is_own = |line: &&str| {
        let line = line.strip_prefix("# HELP ").or_else(|| line.strip_prefix("# TYPE ")).unwrap_or(line);
        line.starts_with(OWN)
    };
    text.lines().filter(is_own).flat_map(|line| [line, "\n"]).collect()
}

/// Counts from now on.
///
/// # Errors
/// Something in this process counts already.
pub fn start_metrics(scope: Scope) -> Result<Metrics, BuildError> {
    let mut builder = PrometheusBuilder::new().set_quantiles(&QUANTILES)?;
    for name in [SCHEDULING, DECISIONS, STEPS, CALLS, ATTEMPTS, MESSAGES, BATCHES] {
        builder = builder.set_buckets_for_metric(Matcher::Full(name.to_owned()), &DURATIONS)?;
    }
    let builder = builder.set_buckets_for_metric(Matcher::Full(CLAIM_ENDS.to_owned()), &ENDS)?;
    let handle = builder.install_recorder()?;
    describe();
    begin();
    Ok(Metrics::of(handle, scope))
}

/// Series whose labels are known are there from the start: what a counter is born with is no increase to Prometheus.
fn begin() {
    gauge!("karpenter_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    for to in [GREEDY, EARLIER] {
        counter!("packwright_decision_fallbacks_total", "to" => to).increment(0);
    }
    count_landed(0, 0);
    counter!("packwright_placement_lost_total").increment(0);
}

/// As [`begin`], of each pool.
pub(super) fn begin_pool(pool: &str) {
    for valve in Valve::ALL {
        held_back(valve, pool, 0);
    }
}

/// What was decided last is nothing any more: another process may act, and says what it decides.
pub(super) fn rest() {
    depth(0);
    unschedulable(0);
    for name in DECIDED {
        gauge!(name).set(0.0);
    }
}

fn describe() {
    describe_counter!("karpenter_nodeclaims_created_total", "NodeClaims that were created, by reason and pool.");
    describe_counter!(
        "karpenter_nodeclaims_terminated_total",
        "NodeClaims that are gone, by pool, capacity type and zone."
    );
    describe_counter!("karpenter_nodeclaims_disrupted_total", "NodeClaims that were disrupted, by reason and pool.");
    describe_counter!("karpenter_nodeclaims_unhealthy_disrupted_total", "NodeClaims that were repaired, by condition.");
    describe_counter!("karpenter_nodes_created_total", "Nodes that registered, by pool and zone.");
    describe_counter!("karpenter_nodes_terminated_total", "Nodes that are gone, by pool and zone.");
    describe_counter!("karpenter_voluntary_disruption_decisions_total", "Disruptions, by what was decided and why.");
    describe_counter!(
        "karpenter_voluntary_disruption_queue_failures_total",
        "Disruptions that came to nothing, as what was to replace nodes has failed."
    );
    describe_gauge!("karpenter_scheduler_queue_depth", "Pods that are being planned.");
    describe_gauge!("karpenter_scheduler_unschedulable_pods_count", "Pods that the last decision could not place.");
    describe_histogram!(SCHEDULING, "What a decision takes.");
    describe_histogram!(CLAIM_ENDS, "From the deletion of a NodeClaim to its end.");
    describe_histogram!(NODE_ENDS, "From the deletion of a node to its end.");
    describe_histogram!(STARTS, "From the creation of a pod until it is ready, of pods that were seen before.");
    describe_gauge!("packwright_leads", "Whether this process acts.");
    describe_gauge!("packwright_decision_usd_per_hour", "Price of what the last decision launches.");
    describe_gauge!("packwright_decision_bound_usd_per_hour", "What no plan for the same pods is cheaper than.");
    describe_gauge!("packwright_decision_gap_ratio", "How much of the price of the last decision is above its bound.");
    describe_counter!("packwright_decisions_total", "Decisions, by the stage of the answer and why the search ended.");
    describe_counter!(
        "packwright_decision_fallbacks_total",
        "Decisions whose search broke down: an earlier answer stands."
    );
    describe_histogram!(DECISIONS, "What a decision takes.");
    describe_histogram!(STEPS, "What a step of the controller takes.");
    describe_counter!(
        "packwright_limit_reached_total",
        "Decisions that a limit of the settings has bound, by limit and pool."
    );
    describe_gauge!(
        "packwright_consolidation_oldest_unexamined_seconds",
        "So long ago one of the nodes that might go was in a set that was tried."
    );
    describe_gauge!(
        "packwright_consolidation_usd_per_hour",
        "What nodes come to after the consolidation that was found last."
    );
    describe_gauge!("packwright_consolidation_least_usd_per_hour", "What they come to at least, whatever is done.");
    describe_counter!("packwright_placement_landed_total", "Planned pods that were bound, by where.");
    describe_counter!("packwright_placement_lost_total", "Pods and claims for which the plan could not be guaranteed.");
}

pub(super) fn count(said: &Said, world: &World) {
    match said {
        Said::FoundPods { pods } => depth(*pods),
        Said::Creating { pool, claim, .. } => created(pool, claim, "provisioned", world),
        Said::ClaimGone { bought, lasted, .. } => {
            let Bought { pool, capacity_type, zone } = bought.clone();
            counter!("karpenter_nodeclaims_terminated_total", "nodepool" => pool.clone(),
                "capacity_type" => capacity_type, "zone" => zone)
            .increment(1);
            histogram!(CLAIM_ENDS, "nodepool" => pool).record(lasted.as_secs_f64());
        }
        Said::Disrupting { claim, reason } => {
            let reason = reason.to_lowercase();
            // of a command for several nodes there is one decision
            if !matches!(&*reason, "underutilized" | "drifted") {
                decided("delete", &reason, &reason);
            }
            disrupted(claim, &reason, world);
        }
        Said::Consolidating(saving) => decided(saving.decision(), saving.method.label(), saving.consolidation_type()),
        Said::Outlook(outlook) => {
            gauge!("packwright_consolidation_usd_per_hour").set(outlook.cost.as_usd());
            gauge!("packwright_consolidation_least_usd_per_hour").set(outlook.least.as_usd());
        }
        Said::Examined { oldest, .. } => {
            gauge!("packwright_consolidation_oldest_unexamined_seconds").set(oldest.as_secs_f64());
        }
        Said::Replacing { pool, claim, method, .. } => created(pool, claim, method.label(), world),
        Said::NotReplaced { method, .. } => counter!("karpenter_voluntary_disruption_queue_failures_total",
            "decision" => "replace", "reason" => method.label(), "consolidation_type" => "")
        .increment(1),
        Said::InstanceGone { claim, .. } => disrupted(claim, "garbage_collected", world),
        Said::GaveUp { claim, why, .. } => disrupted(claim, why.label(), world),
        Said::Expired { claim } => disrupted(claim, "expired", world),
        Said::Interrupted { claim, kind, .. } => disrupted(claim, kind.label(), world),
        Said::Unhealthy { claim, condition, .. } => {
            disrupted(claim, "unhealthy", world);
            let Bought { pool, capacity_type, .. } = of_claim(claim, world);
            counter!("karpenter_nodeclaims_unhealthy_disrupted_total", "condition" => *condition, "nodepool" => pool,
                "capacity_type" => capacity_type)
            .increment(1);
        }
        Said::Registered { claim, .. } => {
            let Bought { pool, zone, .. } = of_claim(claim, world);
            counter!("karpenter_nodes_created_total", "nodepool" => pool, "zone" => zone).increment(1);
        }
        Said::NodeGone { bought, lasted, .. } => {
            let Bought { pool, zone, .. } = bought.clone();
            counter!("karpenter_nodes_terminated_total", "nodepool" => pool.clone(), "zone" => zone).increment(1);
            histogram!(NODE_ENDS, "nodepool" => pool).record(lasted.as_secs_f64());
        }
        Said::Computed { unplaced, certificate, took, .. } => {
            depth(0);
            unschedulable(*unplaced);
            histogram!(SCHEDULING, "controller" => "provisioner").record(took.as_secs_f64());
            histogram!(DECISIONS).record(took.as_secs_f64());
            of_certificate(certificate);
        }
        Said::HeldBack { valve, pool, .. } => held_back(*valve, pool, 1),
        Said::NotGuaranteed(_) => counter!("packwright_placement_lost_total").increment(1),
        _ => {}
    }
}

fn decided(decision: &'static str, reason: &str, consolidation_type: &str) {
    counter!("karpenter_voluntary_disruption_decisions_total", "decision" => decision, "reason" => reason.to_owned(),
        "consolidation_type" => consolidation_type.to_owned())
    .increment(1);
}

fn created(pool: &str, claim: &str, reason: &'static str, world: &World) {
    let claim = world.objects().node_claims.get(&Subject::of_cluster("NodeClaim", claim).key);
    let annotations = claim.and_then(|claim| claim.object.metadata.annotations.as_ref());
    let is_relaxed = annotations.is_some_and(|of| of.contains_key(labels::MIN_VALUES_RELAXED));
    counter!("karpenter_nodeclaims_created_total", "nodepool" => pool.to_owned(), "reason" => reason,
        "min_values_relaxed" => is_relaxed.to_string())
    .increment(1);
}

fn disrupted(claim: &str, reason: &str, world: &World) {
    let Bought { pool, capacity_type, .. } = of_claim(claim, world);
    counter!("karpenter_nodeclaims_disrupted_total", "nodepool" => pool, "capacity_type" => capacity_type,
        "reason" => reason.to_owned())
    .increment(1);
}

fn held_back(valve: Valve, pool: &str, decisions: u64) {
    counter!("packwright_limit_reached_total", "limit" => valve.name(), "nodepool" => pool.to_owned())
        .increment(decisions);
}

/// Counts the pods that have been bound since `before` was said of the same claim.
pub(super) fn landed(before: Option<&Landed>, now: &Landed) {
    let more = |of: fn(&Landed) -> usize| of(now).saturating_sub(before.map_or(0, of)) as u64;
    count_landed(more(|of| of.as_planned), more(|of| of.elsewhere));
}

fn count_landed(as_planned: u64, elsewhere: u64) {
    for (outcome, pods) in [("as_planned", as_planned), ("elsewhere", elsewhere)] {
        counter!("packwright_placement_landed_total", "outcome" => outcome).increment(pods);
    }
}

#[allow(clippy::cast_precision_loss)] // of a count
fn unschedulable(pods: usize) {
    gauge!("karpenter_scheduler_unschedulable_pods_count", "controller" => "provisioner").set(pods as f64);
}

#[allow(clippy::cast_precision_loss)] // of a count
fn depth(pods: usize) {
    gauge!("karpenter_scheduler_queue_depth", "controller" => "provisioner").set(pods as f64);
}

fn of_claim(claim: &str, world: &World) -> Bought {
    let claim = world.objects().node_claims.get(&Subject::of_cluster("NodeClaim", claim).key);
    claim.map(|claim| Bought::of(&claim.object.metadata)).unwrap_or_default()
}

fn of_certificate(certificate: &Certificate) {
    let (cost, bound) = (certificate.objective.as_usd(), certificate.bound.as_usd());
    gauge!("packwright_decision_usd_per_hour").set(cost);
    gauge!("packwright_decision_bound_usd_per_hour").set(bound);
    gauge!("packwright_decision_gap_ratio").set(if cost > 0.0 { (cost - bound) / cost } else { 0.0 });
    let (stage, stop) = (format!("{:?}", certificate.stage), format!("{:?}", certificate.stop));
    counter!("packwright_decisions_total", "stage" => stage, "stop" => stop).increment(1);
    if certificate.failure.is_some() {
        let to = if certificate.stage == Stage::Greedy { GREEDY } else { EARLIER };
        counter!("packwright_decision_fallbacks_total", "to" => to).increment(1);
    }
}

pub(super) fn stepped(took: Duration) {
    histogram!(STEPS).record(took.as_secs_f64());
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use metrics::with_local_recorder;
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::{begin, begin_pool, landed, own};
    use crate::placement::Landed;

    #[test]
    fn counters_are_there_before_they_count() {
        let recorder = PrometheusBuilder::new().build_recorder();
        with_local_recorder(&recorder, || {
            begin();
            begin_pool("x");
        });
        let text = recorder.handle().render();
        for series in [
            r#"packwright_decision_fallbacks_total{to="greedy"}"#,
            r#"packwright_decision_fallbacks_total{to="earlier_answer"}"#,
            r#"packwright_limit_reached_total{limit="nodes",nodepool="x"}"#,
            r#"packwright_limit_reached_total{limit="evictions_per_hour",nodepool="x"}"#,
            r#"packwright_placement_landed_total{outcome="elsewhere"}"#,
            "packwright_placement_lost_total",
        ] {
            assert!(text.lines().any(|line| line == format!("{series} 0")), "{series}: {text}");
        }
    }

    #[test]
    fn a_pod_is_counted_once_where_it_is_bound() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let of = |as_planned, elsewhere| Landed { claim: Arc::from("c"), as_planned, elsewhere, unbound: 0, gone: 0 };
        with_local_recorder(&recorder, || {
            landed(None, &of(2, 0));
            landed(Some(&of(2, 0)), &of(3, 1));
            landed(Some(&of(3, 1)), &of(1, 1)); // two are gone
        });
        let text = recorder.handle().render();
        for line in [r#"{outcome="as_planned"} 3"#, r#"{outcome="elsewhere"} 1"#] {
            assert!(text.contains(line), "{line}: {text}");
        }
    }

    #[test]
    fn beside_another_provisioner_only_our_own_names_are_served() {
        let text = "# HELP karpenter_a A.\n# TYPE karpenter_a gauge\nkarpenter_a 1\n# HELP packwright_b B.\n\
                    # TYPE packwright_b gauge\npackwright_b{of=\"karpenter_a\"} 2\n";
        let ours = "# HELP packwright_b B.\n# TYPE packwright_b gauge\npackwright_b{of=\"karpenter_a\"} 2\n";
        assert_eq!(own(text), ours);
    }
}
