//! What a NodeOverlay says of itself: whether it is applied.
//!
//! Source: the reference's `nodeoverlay` (karpenter-core 1.3).

use serde_json::json;

use super::cluster::Cluster;
use super::conditions::{Conditions, VALIDATION_SUCCEEDED};
use super::market::Market;
use super::turn::Turn;
use crate::observe::OverlayState;

/// Writes the status of every overlay that is looked at.
pub(super) fn step(cluster: &Cluster<'_>, market: &Market, turn: &mut Turn<'_>) {
    for (key, overlay) in &cluster.objects.node_overlays {
        let (Some(state), overlay) = (market.overlay(key), &overlay.object) else { continue };
        if overlay.metadata.deletion_timestamp.is_some() {
            continue;
        }
        let known = overlay.status.as_ref().map_or(&[][..], |status| &status.conditions);
        let mut conditions = Conditions::of(known, overlay.metadata.generation, turn.now);
        match state {
            OverlayState::Applied => conditions.set_true(VALIDATION_SUCCEEDED),
            OverlayState::Invalid(why) => conditions.set(VALIDATION_SUCCEEDED, "False", "RuntimeValidation", why),
            OverlayState::Conflict(why) => conditions.set(VALIDATION_SUCCEEDED, "False", "Conflict", why),
        };
        conditions.sum_up(&[VALIDATION_SUCCEEDED]);
        let conditions = conditions.into_list();
        let mut listed = known.to_vec();
        listed.sort_by(|a, b| a.type_.cmp(&b.type_));
        if listed != conditions {
            turn.patch_status("NodeOverlay", &overlay.metadata, &json!({ "conditions": conditions }));
        }
    }
}
