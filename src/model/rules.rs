//! Small rules of Kubernetes that several parts of the model need.

use crate::api::labels;
use crate::observe::snapshot::{PodSpec, Taint, TaintEffect, Toleration, TolerationOperator, WhenUnsatisfiable};
use crate::requirements::{Requirement, Requirements, Undefined};

/// Whether every taint is tolerated. All effects count, `PreferNoSchedule` too: it is relaxed as a preference
/// (karpenter-core 2.4).
#[must_use]
pub fn tolerates_all(tolerations: &[Toleration], taints: &[Taint]) -> bool {
    taints.iter().all(|taint| tolerations.iter().any(|toleration| tolerates(toleration, taint)))
}

fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    if toleration.effect.is_some_and(|effect| effect != taint.effect) {
        return false;
    }
    if toleration.key.is_empty() {
        return toleration.operator == TolerationOperator::Exists;
    }
    let integers = || Some((integer(&taint.value)?, integer(&toleration.value)?));
    toleration.key == taint.key
        && match toleration.operator {
            TolerationOperator::Exists => true,
            TolerationOperator::Equal => toleration.value == taint.value,
            TolerationOperator::Lt => integers().is_some_and(|(taint, limit)| taint < limit),
            TolerationOperator::Gt => integers().is_some_and(|(taint, limit)| taint > limit),
        }
}

/// The first taint that keeps a pod with these tolerations out; `PreferNoSchedule` never does.
#[must_use]
pub fn keep_out<'t>(tolerations: &[Toleration], taints: &'t [Taint]) -> Option<&'t Taint> {
    let hard = |taint: &&Taint| taint.effect != TaintEffect::PreferNoSchedule;
    taints.iter().filter(hard).find(|taint| !tolerations.iter().any(|toleration| tolerates(toleration, taint)))
}

/// What comparison operators accept: an integer without plus sign, leading zeros or minus zero.
fn integer(text: &str) -> Option<i64> {
    text.parse::<i64>().ok().filter(|number| number.to_string() == text)
}

/// Whether a pod can go where these taints are; `soft` leaves `PreferNoSchedule` out.
#[must_use]
pub fn admits(spec: &PodSpec, taints: &[Taint], soft: SoftTaints) -> bool {
    match soft {
        SoftTaints::Count => tolerates_all(&spec.tolerations, taints),
        SoftTaints::Ignore => keep_out(&spec.tolerations, taints).is_none(),
    }
}

/// What `PreferNoSchedule` taints mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SoftTaints {
    /// The same as `NoSchedule`: the preference has not been relaxed yet.
    Count,
    Ignore,
}

/// The requirements of a node that is still to come, with the labels that it gets once it is ready: daemon pods may select
/// them (karpenter-core 2.5).
#[must_use]
pub fn once_initialized(node: &Requirements) -> Requirements {
    let mut ready = node.clone();
    for key in [labels::REGISTERED, labels::INITIALIZED] {
        ready.replace(key, Requirement::one_of(["true"]));
    }
    ready
}

/// Whether a daemon pod runs on a node with these taints and requirements: blanket toleration of `PreferNoSchedule`,
/// every required affinity term tried in turn (karpenter-core 2.5, daemon overhead).
#[must_use]
pub fn must_run(spec: &PodSpec, taints: &[Taint], node: &Requirements, undefined: Undefined) -> bool {
    admits(spec, taints, SoftTaints::Ignore)
        && node.compatible(&Requirements::from_labels(&spec.node_selector), undefined).is_ok()
        && (spec.node_affinity.is_empty()
            || spec.node_affinity.iter().any(|term| node.compatible(&term.0, undefined).is_ok()))
}

/// Whether other pods may keep a daemon pod from a node that is new: daemon pods are the first there, so that anti-affinity
/// over hosts does not.
#[must_use]
pub fn obeys_pods(spec: &PodSpec) -> bool {
    let is_spread = spec.topology_spread.iter().any(|c| c.when_unsatisfiable == WhenUnsatisfiable::DoNotSchedule);
    let is_apart = spec.pod_anti_affinity.iter().any(|term| *term.topology_key != *labels::HOSTNAME);
    is_spread || is_apart || !spec.pod_affinity.is_empty()
}
