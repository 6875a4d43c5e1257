//! The tolerations that we add to pods. None can be taken away again, so they are few and narrow.

use k8s_openapi::api::core::v1::Toleration;

use crate::api::labels;

/// A pod gets at most so many: one for each claim that it was planned on, and most pods bind at the first.
pub(super) const MOST: usize = 5;

/// Whether we added it, or somebody who wanted it to look so.
pub(super) fn is_ours(toleration: &Toleration) -> bool {
    toleration.key.as_deref() == Some(labels::PLANNED)
}

/// The one for a claim, by the value of its taint.
pub(super) fn toleration(value: &str) -> Toleration {
    Toleration {
        key: Some(labels::PLANNED.to_owned()),
        operator: Some("Equal".to_owned()),
        value: Some(value.to_owned()),
        effect: Some("NoSchedule".to_owned()),
        ..Toleration::default()
    }
}

/// Whether a pod tolerates the taint of the claim by a toleration of ours; one that tolerates everything does not count, as
/// its pod never needed us.
pub(super) fn has(tolerations: &[Toleration], value: &str) -> bool {
    tolerations.iter().any(|found| is_ours(found) && found.value.as_deref() == Some(value))
}

/// How many of ours there are.
pub(super) fn count(tolerations: &[Toleration]) -> usize {
    tolerations.iter().filter(|found| is_ours(found)).count()
}
