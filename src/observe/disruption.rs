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

/// Pods of DaemonSets and mirror pods live and die with their node.
pub(super) fn belongs_to_node(pod: &core::Pod) -> bool {
    let mirror = pod.metadata.annotations.as_ref().is_some_and(|a| a.contains_key("kubernetes.io/config.mirror"));
    let owner = controller(&pod.metadata);
    mirror
        || owner.is_some_and(|owner| owner.kind == "DaemonSet" || (owner.kind == "Node" && owner.api_version == "v1"))
}

/// `karpenter.sh/do-not-disrupt`: `true`, or a duration from the start of the pod; anything else is ignored (core 4.2).
fn is_do_not_disrupt(pod: &core::Pod, now: Timestamp) -> bool {
    let annotation = pod.metadata.annotations.as_ref().and_then(|a| a.get(labels::DO_NOT_DISRUPT));
    let Some(value) = annotation else { return false };
    if value == "true" {
        return true;
    }
    let Ok(seconds) = Duration(value.clone()).seconds() else { return false };
    let started = pod.status.as_ref().and_then(|status| status.start_time.as_ref());
    let age = started.map(|start| now.as_second().saturating_sub(start.0.as_second()));
    seconds > 0 && age.is_none_or(|age| age < i64::try_from(seconds).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests;
