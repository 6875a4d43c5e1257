//! Nodes that exist or are on their way.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::disruption::{NodeDisruption, is_default};
use super::pod::AttachLimits;
use super::{Labels, Taint};
use crate::resources::Resources;
use crate::units::MicroUsd;

/// A Node, or a NodeClaim whose Node has not appeared yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// The Node's name; the NodeClaim's where there is no Node yet.
    pub name: Arc<str>,
    pub claim: Option<Arc<str>>,
    /// `None`: not managed by us (or a standalone NodeClaim).
    pub pool: Option<Arc<str>>,
    pub stage: NodeStage,
    pub created_at: Option<Timestamp>,
    /// For a claim without Node: the labels that the claim requires with a single value.
    pub labels: Arc<Labels>,
    /// The taints that count for scheduling: startup taints and the known ephemeral ones (not-ready, uninitialized,
    /// unregistered ...) are left out while a managed node is not initialized; a cordon is the unschedulable taint.
    pub taints: Vec<Taint>,
    pub capacity: Resources,
    /// Of the Node; of the claim where the Node reports zero or nothing yet.
    pub allocatable: Resources,
    pub attach_limits: AttachLimits,
    /// Marked for deletion: takes no pods, and its reschedulable pods are placed elsewhere.
    pub deleting: bool,
    /// What it costs an hour now: by its type, zone and capacity type labels; for an in-flight claim its dearest
    /// alternative; `None` where the catalogue does not know it.
    pub price: Option<MicroUsd>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub disruption: NodeDisruption,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum NodeStage {
    /// A NodeClaim without Node.
    InFlight,
    /// A Node that is not initialized.
    Registered,
    /// Ready for pods (unmanaged nodes are).
    Initialized,
}

impl Node {
    #[must_use]
    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels.get(key).map(AsRef::as_ref)
    }
}
