//! What was read of objects, kept while they do not change: of a cluster with thousands of pods a step reads those that did.

use std::collections::HashMap;
use std::sync::Arc;

use super::observed::{NodeState, PodState};
use super::planned::ClaimPlan;
use super::read::plan;
use crate::api::node_claim::NodeClaim;
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

/// By the place where an object is, which is kept as long as it is known.
#[derive(Debug)]
pub(super) struct Memo<O, T> {
    known: HashMap<usize, Known<O, T>>,
    round: u64,
}

#[derive(Debug)]
struct Known<O, T> {
    /// So that no other one comes to be at its place.
    _object: Arc<O>,
    value: Arc<T>,
    round: u64,
}

impl<O, T> Default for Memo<O, T> {
    fn default() -> Self {
        Self { known: HashMap::new(), round: 0 }
    }
}

impl<O, T> Memo<O, T> {
    /// What was read of this object, or is read now.
    pub fn of(&mut self, object: &Arc<O>, read: impl FnOnce(&O) -> T) -> Arc<T> {
        let round = self.round;
        let known = self.known.entry(Arc::as_ptr(object).addr()).or_insert_with(|| Known {
            _object: object.clone(),
            value: Arc::new(read(object)),
            round,
        });
        known.round = round;
        known.value.clone()
    }

    /// Forgets what nobody has asked for since the last time.
    pub fn end_round(&mut self) {
        let round = self.round;
        self.known.retain(|_, known| known.round == round);
        self.round += 1;
    }
}

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
