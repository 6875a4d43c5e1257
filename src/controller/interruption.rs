//! Instances that the cloud is about to take away.
//!
//! Source: the reference's `interruption` controller (karpenter-aws): the claim is deleted, and its pods are planned anew.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::cluster::Cluster;
use super::retire::drain_no_longer;
use super::said::Said;
use super::turn::{Turn, later};
use crate::cloud::InterruptionKind;

/// The claim of an instance may say so late that it is its own: as long as EC2 gives to leave it.
const UNKNOWN: Duration = Duration::from_secs(120);

/// Instances of which the cloud has said so.
#[derive(Debug, Default)]
pub(super) struct Interruptions {
    noted: BTreeMap<Arc<str>, Noted>,
    /// Of which it has only said that they may go.
    recommended: BTreeSet<Arc<str>>,
}

#[derive(Debug)]
struct Noted {
    kind: InterruptionKind,
    at: Timestamp,
    /// It is over, and no claim has it: the usual end of a claim. One that says so late is still deleted.
    is_past: bool,
}

impl Interruptions {
    pub fn note(&mut self, provider_id: Arc<str>, kind: InterruptionKind, now: Timestamp) {
        if kind == InterruptionKind::RebalanceRecommendation {
            self.recommended.insert(provider_id);
        } else if kind.ends_claim() {
            let noted = self.noted.entry(provider_id).or_insert(Noted { kind, at: now, is_past: false });
            if kind.is_forceful() {
                noted.kind = kind;
            }
        }
    }

    /// Whether nothing is left to do about an instance: the cloud need not say so again.
    pub fn is_handled(&self, provider_id: &str) -> bool {
        self.noted.get(provider_id).is_none_or(|noted| noted.is_past)
    }
}

/// Deletes their claims.
pub(super) fn step(cluster: &Cluster<'_>, interruptions: &mut Interruptions, turn: &mut Turn<'_>) {
    for id in std::mem::take(&mut interruptions.recommended) {
        if let Some(claimed) = cluster.claim_of(&id) {
            turn.say(Said::RebalanceRecommended { claim: Arc::from(claimed.name()), node: claimed.node_name() });
        }
    }
    interruptions.noted.retain(|id, noted| {
        let Some(claimed) = cluster.claim_of(id) else {
            noted.is_past =
                matches!(noted.kind, InterruptionKind::InstanceStopped | InterruptionKind::InstanceTerminated);
            return later(noted.at, UNKNOWN) > turn.now;
        };
        noted.is_past = false;
        if noted.kind.is_forceful() && drain_no_longer(&claimed, turn) {
            return true;
        }
        if claimed.is_deleting() {
            return false;
        }
        if turn.delete_claim(&claimed) {
            let (claim, node) = (Arc::from(claimed.name()), claimed.node_name());
            turn.say_once_taken(Said::Interrupted { claim, node, provider_id: id.clone(), kind: noted.kind });
        }
        true
    });
}
