//! NodeClaims that are as old as they may become go: their pods are planned anew, and no budget holds them.
//!
//! Source: the reference's `nodeclaim/expiration` (karpenter-core 4.9).

use std::sync::Arc;
use std::time::Duration;

use super::cluster::Cluster;
use super::said::Said;
use super::turn::{Turn, later};

/// Deletes them.
pub(super) fn step(cluster: &Cluster<'_>, turn: &mut Turn<'_>) {
    for claimed in cluster.claims.iter().filter(|claimed| !claimed.is_deleting()) {
        let Ok(Some(age)) = claimed.claim.spec.expire_after.seconds() else { continue }; // never
        let Some(created) = claimed.claim.metadata.creation_timestamp.as_ref() else { continue };
        turn.about(claimed);
        if turn.is_due(later(created.0, Duration::from_secs(age))) && turn.delete_claim(claimed) {
            turn.say_once_taken(Said::Expired { claim: Arc::from(claimed.name()) });
        }
    }
    turn.about_all();
}
