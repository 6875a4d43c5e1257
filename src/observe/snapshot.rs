//! The Snapshot: one consistent picture of cluster and cloud, in our own types.
//!
//! It is read equally from a live cluster and from files, serialises to JSON, and is the only input of a decision.
//! All vectors are sorted by name (pods by namespace and name), so that equal pictures are equal bytes.

mod disruption;
mod node;
mod pod;
mod pool;

pub use disruption::{DoNotDisrupt, Drifted, EvictionCost, NodeDisruption, PodDisruption, PodDisruptionBudget};
pub use node::{Node, NodeStage};
pub use pod::{
    DaemonSet, HostPort, LabelSelector, NodeAffinityTerm, NodeInclusionPolicy, OwnerRef, Pod, PodAffinityTerm, PodKey,
    PodSpec, PodTemplate, SelectorRequirement, Toleration, TolerationOperator, TopologySpreadConstraint, Volume,
    WhenUnsatisfiable,
};
pub use pool::{ConsolidationRule, Disruption, Limits, NodeClassRef, NodePool, OnSale, Sold, Taint, TaintEffect};

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::settings::Settings;

pub type Labels = BTreeMap<Arc<str>, Arc<str>>;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// When the picture was taken; the only clock that a decision knows.
    pub taken_at: Timestamp,
    pub region: Arc<str>,
    pub settings: Settings,
    /// Every pod that is not terminal: pending ones to be placed, and bound ones that use their node.
    pub pods: Vec<Pod>,
    pub nodes: Vec<Node>,
    pub node_pools: Vec<NodePool>,
    pub daemon_sets: Vec<DaemonSet>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disruption_budgets: Vec<PodDisruptionBudget>,
    /// Labels of each namespace, for namespace selectors. A namespace that is not here has no labels but its name.
    pub namespaces: BTreeMap<Arc<str>, Labels>,
    /// What had to be assumed because the input does not say it; printed with every plan.
    pub assumptions: Vec<String>,
}

impl Snapshot {
    /// The pods that a plan must place, in the order of `pods`.
    pub fn pending(&self) -> impl Iterator<Item = (usize, &Pod)> {
        self.pods.iter().enumerate().filter(|(_, pod)| pod.is_pending())
    }
}
