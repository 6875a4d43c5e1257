//! Frees every node, whatever was planned.

use k8s_openapi::api::core::v1::Node;

use super::action::{Action, FreeReason};
use super::observed::{NodeState, Version};
use super::patch;
use super::reservation::Reservation;
use crate::observe::node_allocatable;

/// What frees a node: `None` where nothing of ours is on it. A cordon without our annotation is a person's, and stays.
#[must_use]
pub fn release(node: &Node) -> Option<Action> {
    let reservation = Reservation::of(node);
    let is_ours = reservation.is_held() || reservation == Reservation::Leftover;
    is_ours.then(|| patch::free(&NodeState::of(node), FreeReason::Asked))
}

impl NodeState {
    /// What the node alone says.
    pub(super) fn of(node: &Node) -> Self {
        let spec = node.spec.as_ref();
        let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
        let mut ready = conditions.filter(|condition| condition.type_ == "Ready" && condition.status == "True");
        let ready = ready.next();
        Self {
            name: node.metadata.name.as_deref().unwrap_or_default().into(),
            version: Version {
                uid: node.metadata.uid.as_deref().unwrap_or_default().into(),
                resource: node.metadata.resource_version.as_deref().unwrap_or_default().into(),
            },
            claim: None,
            inheritance: None,
            reservation: Reservation::of(node),
            taints: spec.and_then(|spec| spec.taints.clone()).unwrap_or_default(),
            unschedulable: spec.is_some_and(|spec| spec.unschedulable == Some(true)),
            starting: ready.is_none().then(|| "it is not ready".to_owned()),
            ready_since: ready.and_then(|ready| ready.last_transition_time.as_ref()).map(|time| time.0),
            room: node_allocatable(node).unwrap_or_default(),
            lacking_daemons: Vec::new(),
            lacking_resources: Vec::new(),
        }
    }
}
