//! What keeps a node where it is.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

use crate::api::labels;
use crate::observe::snapshot::PodKey;

/// One reason why a node is no candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hold {
    /// It has no Node yet, or the node is not initialized.
    NotInitialized,
    /// It is on its way out already.
    Deleting,
    /// Pods are on their way to it.
    Nominated { until: Timestamp },
    /// ARC has shifted away from its zone: nothing there is made worse.
    ZoneShifted,
    /// A person keeps the node.
    DoNotDisrupt,
    /// A person made its claim.
    NoPool,
    /// Its pool is not there, or cannot be read.
    PoolGone { pool: Arc<str> },
    /// No instance type of its pool is known now.
    NoTypes { pool: Arc<str> },
    /// A pool that keeps a number of nodes.
    StaticPool { pool: Arc<str> },
    /// `None`: for as long as the pod runs.
    PodDoNotDisrupt { pod: PodKey, until: Option<Timestamp> },
    /// A PodDisruptionBudget allows no eviction of the pod.
    Budget { pod: PodKey, budget: PodKey },
    /// The eviction API takes no pod with several.
    SeveralBudgets { pod: PodKey, budgets: Vec<PodKey> },
    /// `consolidateAfter`.
    NotIdle { until: Timestamp },
    /// `consolidateAfter: Never`.
    NeverIdle { pool: Arc<str> },
    /// `consolidationPolicy: WhenEmpty`, and it is not.
    OnlyWhenEmpty { pool: Arc<str> },
    /// The type of the node, as its label says, is none of its pool's.
    TypeUnknown { instance_type: Arc<str> },
    /// A label without which its price is not known.
    LabelMissing { key: &'static str },
    /// Pods would have to move.
    NotEmpty,
    /// Nobody would miss it: it goes as an empty node.
    Empty,
    /// It is what its pool asks for.
    NotDrifted,
}

impl Hold {
    /// When it ends by itself, where time ends it.
    #[must_use]
    pub fn until(&self) -> Option<Timestamp> {
        match self {
            Self::Nominated { until } | Self::NotIdle { until } => Some(*until),
            Self::PodDoNotDisrupt { until, .. } => *until,
            _ => None,
        }
    }

    /// What it is, in a few words, whatever node it keeps.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NotInitialized => "not initialized",
            Self::Deleting => "being deleted",
            Self::Nominated { .. } => "pods on their way to it",
            Self::ZoneShifted => "a zonal shift away from its zone",
            Self::DoNotDisrupt => "its annotation karpenter.sh/do-not-disrupt",
            Self::NoPool => "no label karpenter.sh/nodepool",
            Self::PoolGone { .. } => "a NodePool that is not there, or cannot be read",
            Self::NoTypes { .. } => "a NodePool without instance types",
            Self::StaticPool { .. } => "a NodePool that keeps a number of nodes",
            Self::PodDoNotDisrupt { .. } => "a pod with the annotation karpenter.sh/do-not-disrupt",
            Self::Budget { .. } => "a PodDisruptionBudget",
            Self::SeveralBudgets { .. } => "a pod with several PodDisruptionBudgets",
            Self::NotIdle { .. } => "consolidateAfter, which is not over",
            Self::NeverIdle { .. } => "consolidateAfter Never",
            Self::OnlyWhenEmpty { .. } => "consolidationPolicy WhenEmpty",
            Self::TypeUnknown { .. } => "an instance type that its NodePool does not have",
            Self::LabelMissing { .. } => "a label without which its price is not known",
            Self::NotEmpty => "pods",
            Self::Empty => "no pods",
            Self::NotDrifted => "not drifted",
        }
    }

    /// Whether it says that the node is none of this method's, rather than that something keeps it.
    #[must_use]
    pub fn is_of_method(&self) -> bool {
        matches!(self, Self::NotEmpty | Self::Empty | Self::NotDrifted)
    }

    /// Whether it is something about one of its pods: drifted nodes with a `terminationGracePeriod` go nevertheless.
    #[must_use]
    pub fn is_of_pod(&self) -> bool {
        matches!(self, Self::PodDoNotDisrupt { .. } | Self::Budget { .. } | Self::SeveralBudgets { .. })
    }
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = labels::DO_NOT_DISRUPT;
        match self {
            Self::NotInitialized => f.write_str("it is not initialized"),
            Self::Deleting => f.write_str("it is being deleted"),
            Self::Nominated { until } => write!(f, "pods were nominated for it, until {until}"),
            Self::ZoneShifted => f.write_str("a zonal shift away from its zone is active"),
            Self::DoNotDisrupt => write!(f, "its annotation {key} is true"),
            Self::NoPool => write!(f, "it has no label {}", labels::NODEPOOL),
            Self::PoolGone { pool } => write!(f, "NodePool {pool} is not there, or cannot be read"),
            Self::NoTypes { pool } => write!(f, "NodePool {pool} has no instance types now"),
            Self::StaticPool { pool } => write!(f, "NodePool {pool} keeps a number of nodes"),
            Self::PodDoNotDisrupt { pod, until: None } => write!(f, "pod {pod} has the annotation {key}"),
            Self::PodDoNotDisrupt { pod, until: Some(until) } => {
                write!(f, "pod {pod} has the annotation {key}, until {until}")
            }
            Self::Budget { pod, budget } => {
                write!(f, "PodDisruptionBudget {budget} prevents the eviction of pod {pod}")
            }
            Self::SeveralBudgets { pod, budgets } => {
                let names: Vec<String> = budgets.iter().map(ToString::to_string).collect();
                write!(
                    f,
                    "pod {pod} has several PodDisruptionBudgets, with which it cannot be evicted: {}",
                    names.join(", ")
                )
            }
            Self::NotIdle { until } => write!(f, "consolidateAfter is over at {until}"),
            Self::NeverIdle { pool } => write!(f, "NodePool {pool} has consolidateAfter Never"),
            Self::OnlyWhenEmpty { pool } => write!(f, "NodePool {pool} consolidates empty nodes only"),
            Self::TypeUnknown { instance_type } => write!(f, "instance type {instance_type} is none of its NodePool's"),
            Self::LabelMissing { key } => write!(f, "it has no label {key}"),
            Self::NotEmpty => f.write_str("it has pods"),
            Self::Empty => f.write_str("it is empty"),
            Self::NotDrifted => f.write_str("it is not drifted"),
        }
    }
}
