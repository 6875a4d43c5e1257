//! What pods say of being moved, and which pods of a node marked for deletion will need another one (karpenter-core 2.1, 4.2, 4.3).

use jiff::Timestamp;
use k8s_openapi::api::core::v1 as core;

use super::budgets::Budget;
use super::input::FieldError;
use super::owners::controller;
use super::snapshot::{DoNotDisrupt, EvictionCost, Labels, PodDisruption, PodKey};
use crate::api::duration::Duration;
use crate::api::labels;
use crate::units::MicroUsd;

/// Whether a pod on a node marked for deletion is placed elsewhere: it is active, or a StatefulSet's pod on its way
/// out; it belongs to no node; and neither its owner nor a budget keeps it from being evicted.
pub(super) fn is_reschedulable(
    key: &PodKey,
    pod: &core::Pod,
    pod_labels: &Labels,
    budgets: &[Budget],
    now: Timestamp,
) -> bool {
    let owner = controller(&pod.metadata).map(|owner| owner.kind.as_str());
    if belongs_to_node(pod) || (pod.metadata.deletion_timestamp.is_some() && owner != Some("StatefulSet")) {
        return false;
    }
    let mut matching = budgets.iter().filter(|budget| budget.selects(&key.namespace, pod_labels));
    let held = match (matching.next(), matching.next()) {
        (None, _) => false,
        (Some(only), None) => only.blocks_fully,
        (Some(_), Some(_)) => true, // the eviction API refuses a pod with two budgets
    };
    !held && !is_do_not_disrupt(pod, now)
}

/// What evicting a pod costs.
#[must_use]
pub fn eviction_cost(pod: &core::Pod) -> EvictionCost {
    let priority = pod.spec.as_ref().and_then(|spec| spec.priority).unwrap_or(0);
    EvictionCost::of(priority, deletion_cost(pod))
}

/// `controller.kubernetes.io/pod-deletion-cost`; what is no number counts as 0, as for the ReplicaSet controller.
fn deletion_cost(pod: &core::Pod) -> i32 {
    annotation(pod, labels::POD_DELETION_COST).and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn annotation<'p>(pod: &'p core::Pod, key: &str) -> Option<&'p str> {
    pod.metadata.annotations.as_ref()?.get(key).map(String::as_str)
}

/// What a pod says of being moved, without its budgets.
///
/// # Errors
/// The price of its eviction is no amount; the rest is as it would be without it.
pub(super) fn read_disruption(pod: &core::Pod, now: Timestamp) -> (PodDisruption, Option<FieldError>) {
    let (eviction_price, error) = match annotation(pod, labels::EVICTION_COST_USD).map(MicroUsd::parse_usd) {
        None => (None, None),
        Some(Ok(price)) => (Some(price), None),
        Some(Err(message)) => {
            let path = format!("metadata.annotations.{}", labels::EVICTION_COST_USD);
            (None, Some(FieldError::new(path, message)))
        }
    };
    let status = pod.status.as_ref();
    let disruption = PodDisruption {
        started_at: status.and_then(|status| status.start_time.as_ref()).map(|time| time.0),
        do_not_disrupt: match protection(pod, now) {
            Protection::Open => Some(DoNotDisrupt::Open),
            Protection::Until(until) => Some(DoNotDisrupt::Until(until)),
            Protection::None | Protection::Elapsed(_) | Protection::Invalid(_) => None,
        },
        deletion_cost: deletion_cost(pod),
        eviction_price,
        not_ready: status.is_some_and(|status| {
            let mut ready = status.conditions.iter().flatten().filter(|of| of.type_ == "Ready");
            ready.any(|of| of.status != "True")
        }),
        budgets: Vec::new(),
    };
    (disruption, error)
}

/// Pods of DaemonSets and mirror pods live and die with their node.
#[must_use]
pub fn belongs_to_node(pod: &core::Pod) -> bool {
    is_daemon_pod(pod) || is_mirror_pod(pod)
}

/// Whether a DaemonSet made it.
#[must_use]
pub fn is_daemon_pod(pod: &core::Pod) -> bool {
    controller(&pod.metadata).is_some_and(|owner| owner.kind == "DaemonSet")
}

/// Whether its node runs it by itself: the API server only shows it.
#[must_use]
pub fn is_mirror_pod(pod: &core::Pod) -> bool {
    annotation(pod, labels::MIRROR_POD).is_some()
        || controller(&pod.metadata).is_some_and(|owner| owner.kind == "Node" && owner.api_version == "v1")
}

/// What `karpenter.sh/do-not-disrupt` says of a pod (karpenter-core 4.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Protection {
    None,
    /// `true`, or a duration of a pod that has not started.
    Open,
    /// A duration from the start of the pod.
    Until(Timestamp),
    /// It was protected until then.
    Elapsed(Timestamp),
    /// Neither `true` nor a duration: it is ignored.
    Invalid(String),
}

fn protected_seconds(value: &str) -> Option<u64> {
    Duration(value.to_owned()).seconds().ok().filter(|seconds| *seconds > 0)
}

/// Whether a value of `karpenter.sh/do-not-disrupt` protects a pod, from its start on.
#[must_use]
pub fn is_protection(value: &str) -> bool {
    value == "true" || protected_seconds(value).is_some()
}

/// Whether and for how long a pod is not to be disrupted.
#[must_use]
pub fn protection(pod: &core::Pod, now: Timestamp) -> Protection {
    let Some(value) = annotation(pod, labels::DO_NOT_DISRUPT) else { return Protection::None };
    if value == "true" {
        return Protection::Open;
    }
    let Some(seconds) = protected_seconds(value) else { return Protection::Invalid(value.to_owned()) };
    let started = pod.status.as_ref().and_then(|status| status.start_time.as_ref());
    let Some(started) = started.map(|start| start.0) else { return Protection::Open };
    let until = started.checked_add(std::time::Duration::from_secs(seconds)).unwrap_or(Timestamp::MAX);
    if until.as_second() > now.as_second() { Protection::Until(until) } else { Protection::Elapsed(until) }
}

/// Whether a pod is not to be disrupted now.
#[must_use]
pub fn is_do_not_disrupt(pod: &core::Pod, now: Timestamp) -> bool {
    matches!(protection(pod, now), Protection::Open | Protection::Until(_))
}

#[cfg(test)]
mod tests;
