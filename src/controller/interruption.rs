//! Instances that the cloud is about to take away.
//!
//! Source: the reference's `interruption` controller (karpenter-aws): the claim is deleted, and its pods are planned anew.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::action::Verb;
use super::cluster::Cluster;
use super::event::Subject;
use super::said::Said;
use super::turn::Turn;

/// Instances of which the cloud has said so.
#[derive(Debug, Default)]
pub(super) struct Interruptions(BTreeSet<Arc<str>>);

impl Interruptions {
    pub fn note(&mut self, provider_id: Arc<str>) {
        self.0.insert(provider_id);
    }

    /// Whether nothing is left to do about an instance: the cloud need not say so again.
    pub fn is_handled(&self, provider_id: &str) -> bool {
        !self.0.contains(provider_id)
    }
}

/// Deletes their claims.
pub(super) fn step(cluster: &Cluster<'_>, interruptions: &mut Interruptions, turn: &mut Turn<'_>) {
    interruptions.0.retain(|id| {
        let of_id = |claimed: &&super::cluster::Claimed<'_>| {
            claimed.claim.status.as_ref().and_then(|status| status.provider_id.as_deref()) == Some(id)
        };
        let Some(claimed) = cluster.claims.iter().find(of_id).filter(|claimed| !claimed.is_deleting()) else {
            return false;
        };
        let delete = Verb::Delete { uid: Arc::from(claimed.uid()), grace: None };
        if turn.write(Subject::of_cluster("NodeClaim", claimed.name()), &claimed.claim.metadata, delete) {
            turn.say_once_taken(Said::Interrupted { claim: Arc::from(claimed.name()), provider_id: id.clone() });
        }
        true
    });
}
