//! Which pods of a node marked for deletion will need another node (karpenter-core 2.1).

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::input::{FieldResult as _, InputError};
use super::objects::{Objects, Sourced};
use super::owners::controller;
use super::selectors::label_selector;
use super::snapshot::{LabelSelector, Labels, PodKey};
use crate::api::duration::Duration;
use crate::api::labels;

/// A PodDisruptionBudget, as far as it keeps pods where they are.
pub(super) struct Budget {
    namespace: Arc<str>,
    selector: LabelSelector,
    /// No pod may ever be evicted: `maxUnavailable` 0 or 0 %, `minAvailable` 100 %.
    blocks_fully: bool,
}

pub(super) fn read_budgets(objects: &Objects, errors: &mut Vec<InputError>) -> Vec<Budget> {
    let mut budgets = Vec::new();
    for (key, Sourced { origin, object }) in &objects.disruption_budgets {
        let Some(spec) = &object.spec else { continue };
        match label_selector(spec.selector.as_ref()).within("spec.selector") {
            Ok(selector) => budgets.push(Budget {
                namespace: key.namespace.clone(),
                selector,
                blocks_fully: spec.max_unavailable.as_ref().is_some_and(is_zero)
                    || spec.min_available.as_ref().is_some_and(|min| *min == IntOrString::String("100%".to_owned())),
            }),
            Err(error) => errors.push(Objects::field_error("PodDisruptionBudget", key, origin, error)),
        }
    }
    budgets
}

fn is_zero(amount: &IntOrString) -> bool {
    match amount {
        IntOrString::Int(count) => *count == 0,
        IntOrString::String(text) => text == "0%" || text == "0",
    }
}

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
    let mut matching = budgets.iter().filter(|b| b.namespace == key.namespace && b.selector.matches(pod_labels));
    let held = match (matching.next(), matching.next()) {
        (None, _) => false,
        (Some(only), None) => only.blocks_fully,
        (Some(_), Some(_)) => true, // the eviction API refuses a pod with two budgets
    };
    !held && !is_do_not_disrupt(pod, now)
}

/// What evicting a pod costs, between -10 and 10: 1, more or less by its deletion cost and its priority (karpenter-core 4.3).
#[must_use]
pub fn eviction_cost(pod: &core::Pod) -> f64 {
    let annotation = pod.metadata.annotations.as_ref().and_then(|a| a.get(labels::POD_DELETION_COST));
    let deletion = annotation.and_then(|text| text.parse::<i32>().ok()).unwrap_or(0);
    let priority = pod.spec.as_ref().and_then(|spec| spec.priority).unwrap_or(0);
    (1.0 + f64::from(deletion) / f64::from(1 << 27) + f64::from(priority) / f64::from(1 << 25)).clamp(-10.0, 10.0)
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
    let mirror = pod.metadata.annotations.as_ref().is_some_and(|a| a.contains_key("kubernetes.io/config.mirror"));
    mirror || controller(&pod.metadata).is_some_and(|owner| owner.kind == "Node" && owner.api_version == "v1")
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

/// Whether and for how long a pod is not to be disrupted.
#[must_use]
pub fn protection(pod: &core::Pod, now: Timestamp) -> Protection {
    let annotation = pod.metadata.annotations.as_ref().and_then(|a| a.get(labels::DO_NOT_DISRUPT));
    let Some(value) = annotation else { return Protection::None };
    if value == "true" {
        return Protection::Open;
    }
    let seconds = Duration(value.clone()).seconds().ok().filter(|seconds| *seconds > 0);
    let Some(seconds) = seconds else { return Protection::Invalid(value.clone()) };
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
