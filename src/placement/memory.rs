//! What was read of objects, kept while they do not change: of a cluster with thousands of pods a step reads those that did.

use std::sync::Arc;

use super::observed::{NodeState, PodState};
use super::planned::ClaimPlan;
use super::read::plan;
use crate::api::node_claim::NodeClaim;
use crate::observe::Memo;
use k8s_openapi::api::core::v1::{Node, Pod};

/// Kept from one reading to the next; an empty one is always right.
#[derive(Debug, Default)]
pub struct Memory {
    pub(super) plans: Memo<NodeClaim, Option<Plan>>,
    pub(super) pods: Memo<Pod, PodState>,
    pub(super) nodes: Memo<Node, NodeState>,
}

/// The plan of a claim, and why it cannot be read.
pub(super) type Plan = (Arc<ClaimPlan>, Option<String>);

impl Memory {
    /// The plan of a claim, if it has one that can be read.
    pub fn plan(&mut self, claim: &Arc<NodeClaim>) -> Option<Arc<ClaimPlan>> {
        self.plans.of(claim, plan).as_ref().as_ref().map(|(plan, _)| plan.clone())
    }

    pub(super) fn end_round(&mut self) {
        self.plans.end_round();
        self.pods.end_round();
        self.nodes.end_round();
    }
}
