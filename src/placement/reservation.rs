//! How far a node is on its way from registration to being open for every pod. It only goes forward.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Taint};

use super::mode::Limits;
use crate::api::labels;

/// What we make of a node, read from its taints and annotations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reservation {
    /// It has the taint that it was born with: nothing runs there yet.
    Unregistered,
    /// We cordoned it, so that only daemon pods come. `None`: nobody can read since when.
    Cordoned {
        /// Of the cordon.
        since: Option<Timestamp>,
    },
    /// It has our taint: only pods that tolerate it come.
    Reserved {
        /// The value of the taint.
        value: String,
        /// Of the taint.
        since: Option<Timestamp>,
        /// Of the end of the drain that its pods come from.
        drained: Option<Timestamp>,
    },
    /// Neither, but annotations of ours are left: somebody else took taint or cordon away.
    Leftover,
    /// Open for every pod, and none of our concern any more.
    Open,
}

/// The annotations by which we know what we did to a node.
pub(super) const ANNOTATIONS: [&str; 3] = [labels::CORDONED_AT, labels::RESERVED_AT, labels::DRAINED_AT];

/// Whether it is the taint of a reservation.
pub(super) fn is_reservation(taint: &Taint) -> bool {
    taint.key == labels::PLANNED
}

/// Whether it is the taint that a node is born with.
pub(super) fn is_unregistered(taint: &Taint) -> bool {
    taint.key == labels::TAINT_UNREGISTERED
}

/// Whether it is the taint that Kubernetes gives to a cordoned node.
pub(super) fn is_cordon(taint: &Taint) -> bool {
    taint.key == labels::TAINT_UNSCHEDULABLE && taint.effect == "NoSchedule"
}

impl Reservation {
    /// What a node says.
    #[must_use]
    pub fn of(node: &Node) -> Self {
        let annotations = node.metadata.annotations.as_ref();
        let at = |key: &str| annotations.and_then(|annotations| annotations.get(key));
        let time = |key: &str| at(key).and_then(|text| text.parse().ok());
        let taints = node.spec.iter().flat_map(|spec| spec.taints.iter().flatten());
        let unschedulable = node.spec.as_ref().is_some_and(|spec| spec.unschedulable == Some(true));
        if let Some(taint) = taints.clone().find(|taint| is_reservation(taint)) {
            let value = taint.value.clone().unwrap_or_default();
            return Self::Reserved { value, since: time(labels::RESERVED_AT), drained: time(labels::DRAINED_AT) };
        }
        if at(labels::CORDONED_AT).is_some() && unschedulable {
            return Self::Cordoned { since: time(labels::CORDONED_AT) };
        }
        match taints.clone().any(is_unregistered) {
            true => Self::Unregistered,
            false if ANNOTATIONS.iter().any(|key| at(key).is_some()) => Self::Leftover,
            false => Self::Open,
        }
    }

    /// Whether pods are kept away from the node by us.
    #[must_use]
    pub fn is_held(&self) -> bool {
        matches!(self, Self::Cordoned { .. } | Self::Reserved { .. })
    }
}

/// When `limit` after `since` is over. A time that cannot be read is over at once, and so is one that lies further ahead
/// than the limit: a clock was set back, and waiting for it would have no end.
pub(super) fn end_of(since: Option<Timestamp>, limit: Duration, now: Timestamp) -> Timestamp {
    match since {
        Some(since) if since <= now + limit => since + limit,
        _ => now,
    }
}

/// How long a reserved node waits: until, and whether that is because the nodes that it replaces are there.
pub(super) fn end_of_reservation(
    since: Option<Timestamp>,
    drained: Option<Timestamp>,
    is_draining: bool,
    limits: &Limits,
    now: Timestamp,
) -> Timestamp {
    let longest = end_of(since, limits.drain + limits.reserved, now);
    match drained {
        Some(_) => end_of(drained, limits.reserved, now).min(longest),
        None if is_draining => end_of(since, limits.drain, now),
        None => end_of(since, limits.reserved, now),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of(node: Value) -> Reservation {
        Reservation::of(&serde_json::from_value(node).unwrap())
    }

    #[test]
    fn a_cordon_is_ours_only_with_its_annotation() {
        let at = "2026-01-01T00:00:00Z";
        let cordoned = json!({"unschedulable": true});
        let annotations = json!({"annotations": {labels::CORDONED_AT: at}});
        assert_eq!(of(json!({"metadata": {}, "spec": cordoned})), Reservation::Open);
        let ours = Reservation::Cordoned { since: Some(at.parse().unwrap()) };
        assert_eq!(of(json!({"metadata": annotations, "spec": cordoned})), ours);
        assert_eq!(of(json!({"metadata": annotations, "spec": {}})), Reservation::Leftover);
    }

    #[test]
    fn a_time_that_nobody_can_read_or_that_is_far_ahead_is_over() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let minute = Duration::from_secs(60);
        assert_eq!(end_of(None, minute, now), now);
        assert_eq!(end_of(Some(now + Duration::from_secs(61)), minute, now), now);
        assert_eq!(end_of(Some(now + Duration::from_secs(1)), minute, now), now + Duration::from_secs(61));
        assert_eq!(end_of(Some(now), minute, now), now + minute);
    }
}
