//! What decides whether and when nodes may be taken away and pods moved (karpenter-core 4.2, 4.3).

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::PodKey;
use crate::units::MicroUsd;

/// Of a node with a NodeClaim.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[allow(clippy::struct_excessive_bools)] // each is a fact of its own
pub struct NodeDisruption {
    /// `expireAfter` of the claim after its creation; `None`: never.
    #[serde(skip_serializing_if = "is_default")]
    pub expires_at: Option<Timestamp>,
    /// Of the claim.
    #[serde(skip_serializing_if = "is_default")]
    pub termination_grace_period_seconds: Option<u64>,
    /// `karpenter.sh/do-not-disrupt` of the Node is `true`; the reference reads no durations there.
    #[serde(skip_serializing_if = "is_default")]
    pub do_not_disrupt: bool,
    /// From when `consolidateAfter` counts: the last change of its pods or its initialization, else its creation. The condition
    /// `Consolidatable` says the same later.
    #[serde(skip_serializing_if = "is_default")]
    pub idle_since: Option<Timestamp>,
    /// The condition `Drifted` is true.
    #[serde(skip_serializing_if = "is_default")]
    pub drifted: Option<Drifted>,
    /// Pods were told to bind there, and until then they may be on their way.
    #[serde(skip_serializing_if = "is_default")]
    pub nominated_until: Option<Timestamp>,
    /// The Node says that it is not ready.
    #[serde(skip_serializing_if = "is_default")]
    pub not_ready: bool,
    /// ARC has shifted away from its zone.
    #[serde(skip_serializing_if = "is_default")]
    pub zone_shifted: bool,
    /// The cloud was told to end its instance.
    #[serde(skip_serializing_if = "is_default")]
    pub instance_terminating: bool,
}

/// Why a node is not what its pool or node class asks for any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drifted {
    pub reason: Arc<str>,
    pub since: Timestamp,
}

/// Of a pod that is bound to a node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PodDisruption {
    #[serde(skip_serializing_if = "is_default")]
    pub started_at: Option<Timestamp>,
    /// `karpenter.sh/do-not-disrupt`, where it was still in force when the Snapshot was taken.
    #[serde(skip_serializing_if = "is_default")]
    pub do_not_disrupt: Option<DoNotDisrupt>,
    /// `controller.kubernetes.io/pod-deletion-cost`.
    #[serde(skip_serializing_if = "is_default")]
    pub deletion_cost: i32,
    /// `packwright.dev/eviction-cost-usd`: what moving it costs, in place of the price that follows from its priority.
    #[serde(skip_serializing_if = "is_default")]
    pub eviction_price: Option<MicroUsd>,
    #[serde(skip_serializing_if = "is_default")]
    pub not_ready: bool,
    /// Indices into `Snapshot::disruption_budgets` of those that select it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub budgets: Vec<usize>,
}

/// For how long a pod is not to be disrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DoNotDisrupt {
    /// `true`, or a duration of a pod that has not started.
    Open,
    /// The end of a duration from the start of the pod.
    Until(Timestamp),
}

impl DoNotDisrupt {
    #[must_use]
    pub fn is_active(self, now: Timestamp) -> bool {
        match self {
            Self::Open => true,
            // durations are whole seconds
            Self::Until(until) => until.as_second() > now.as_second(),
        }
    }
}

/// A PodDisruptionBudget.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodDisruptionBudget {
    pub key: PodKey,
    /// Of its status; without one what its spec leaves of the pods that it selects.
    pub disruptions_allowed: u32,
    /// `unhealthyPodEvictionPolicy: AlwaysAllow`: pods that are not ready may always be evicted.
    #[serde(default, skip_serializing_if = "is_default")]
    pub always_allows_unhealthy: bool,
}

/// What evicting a pod costs the reference's way, in parts of [`EvictionCost::ONE`]: 1, more or less by its deletion cost
/// and its priority, between -10 and 10 (karpenter-core 4.3). Exact: both shares are whole multiples of 2^-27.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct EvictionCost(i64);

impl EvictionCost {
    pub const ONE: Self = Self(1 << 27);

    /// `1 + deletionCost / 2^27 + priority / 2^25`.
    #[must_use]
    pub fn of(priority: i32, deletion_cost: i32) -> Self {
        let exact = Self::ONE.0 + i64::from(deletion_cost) + 4 * i64::from(priority);
        Self(exact.clamp(-10 * Self::ONE.0, 10 * Self::ONE.0))
    }

    #[must_use]
    pub fn is_positive(self) -> bool {
        self.0 > 0
    }

    /// In parts of [`EvictionCost::ONE`].
    #[must_use]
    pub fn parts(self) -> i64 {
        self.0
    }
}

pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cost_of_an_eviction_is_one_and_a_share_of_deletion_cost_and_priority() {
        let one = EvictionCost::ONE.parts();
        for (priority, deletion_cost, expected) in [
            (0, 0, one),
            (0, 1 << 27, 2 * one),
            (0, -(1 << 27), 0),
            (1 << 25, 0, 2 * one),
            (1_000_000, 100, one + 4_000_100),
            (2_000_001_000, i32::MAX, 10 * one),
            (i32::MIN, i32::MIN, -10 * one),
        ] {
            assert_eq!(EvictionCost::of(priority, deletion_cost).parts(), expected, "{priority} {deletion_cost}");
        }
        assert!(!EvictionCost::of(0, -(1 << 27)).is_positive(), "it costs nothing");
    }
}
