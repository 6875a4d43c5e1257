//! A NodeClaim that is being deleted: its node goes, then its instance, then the claim.
//!
//! Source: the reference's `nodeclaim/lifecycle/termination.go` (karpenter-core 5).

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use super::action::Verb;
use super::claim_status::note;
use super::cluster::{Claimed, Cluster};
use super::conditions::INSTANCE_TERMINATING;
use super::event::Subject;
use super::garbage::Garbage;
use super::instances::Instances;
use super::launch::Launches;
use super::said::{Bought, Said};
use super::turn::{Turn, later};
use crate::api::labels;
use crate::cloud::Provider;

/// Takes the claims that are being deleted one step further.
pub(super) fn step(
    cluster: &Cluster<'_>,
    launches: &Launches,
    garbage: &mut Garbage,
    instances: &mut Instances,
    turn: &mut Turn<'_>,
) {
    let going = cluster.claims.iter().filter(|claimed| claimed.is_deleting() && claimed.has_finalizer());
    for claimed in going {
        turn.about(claimed);
        of_claim(cluster, claimed, launches, garbage, instances, turn);
    }
    turn.about_all();
}

fn of_claim(
    cluster: &Cluster<'_>,
    claimed: &Claimed<'_>,
    launches: &Launches,
    garbage: &mut Garbage,
    instances: &mut Instances,
    turn: &mut Turn<'_>,
) {
    if note_deadline(claimed, turn) {
        return;
    }
    // a node of it may be about to be made
    let mut is_waiting = turn.writes.is_sent(&Subject::of_cluster("Node", claimed.name()));
    for node in &claimed.nodes {
        // one that is not registered has nothing to drain
        is_waiting |= node.metadata.finalizers.iter().flatten().any(|name| name == labels::FINALIZER_TERMINATION);
        if node.metadata.deletion_timestamp.is_none() {
            let subject = Subject::of_cluster("Node", node.metadata.name.as_deref().unwrap_or_default());
            let uid = Arc::from(node.metadata.uid.as_deref().unwrap_or_default());
            turn.write(subject, &node.metadata, Verb::Delete { uid, version: None, grace: None });
            is_waiting = true;
        }
    }
    if is_waiting {
        return;
    }
    let status = claimed.claim.status.as_ref();
    let known = status.and_then(|status| status.provider_id.as_deref());
    let instance = match known {
        Some(id) => Some(Arc::from(id)),
        None if launches.is_asked(claimed.uid(), turn.now) => {
            turn.look_again(later(turn.now, Duration::from_secs(1)));
            return; // there may be one in a moment
        }
        None if launches.is_refused(claimed.uid()) || turn.settings.provider == Provider::Kwok => None,
        // the answer to its launch may have been lost, also that to another process
        None => match launches.instance_of(claimed.uid()).or_else(|| garbage.instance_of(cluster, claimed)) {
            None if !garbage.has_listed_since(deleted(claimed, turn.now), turn) => return turn.stay(),
            found => found,
        },
    };
    let is_ended = instance.as_deref().is_none_or(|id| instances.end(claimed.name(), id, turn));
    if !is_ended && instance.as_deref().is_some_and(|id| instances.is_ending(id)) {
        note(claimed, json!({}), &[(INSTANCE_TERMINATING, "True", INSTANCE_TERMINATING, "")], turn);
    }
    if is_ended {
        let kept: Vec<&String> = claimed.finalizers().filter(|name| *name != labels::FINALIZER_TERMINATION).collect();
        let body = json!({"metadata": {"finalizers": kept}});
        if turn.patch("NodeClaim", &claimed.claim.metadata, body) {
            let lasted = turn.now.duration_since(deleted(claimed, turn.now));
            let lasted = Duration::try_from(lasted).unwrap_or_default();
            let bought = Bought::of(&claimed.claim.metadata);
            turn.say_once_taken(Said::ClaimGone { claim: Arc::from(claimed.name()), bought, lasted });
        }
    }
}

fn deleted(claimed: &Claimed<'_>, now: Timestamp) -> Timestamp {
    claimed.claim.metadata.deletion_timestamp.as_ref().map_or(now, |time| time.0)
}

/// Notes until when the node may drain, where that is limited. Whether it was to be noted.
fn note_deadline(claimed: &Claimed<'_>, turn: &mut Turn<'_>) -> bool {
    let Some(grace) = &claimed.claim.spec.termination_grace_period else { return false };
    let Some(deleted) = claimed.claim.metadata.deletion_timestamp.as_ref().map(|time| time.0) else { return false };
    if claimed.deadline().is_some() {
        return false;
    }
    let Ok(seconds) = grace.seconds() else { return false };
    let deadline = later(deleted, Duration::from_secs(seconds));
    let deadline = whole_seconds(deadline);
    let annotations = json!({ labels::TERMINATION_TIMESTAMP: deadline.to_string() });
    if turn.patch("NodeClaim", &claimed.claim.metadata, json!({"metadata": {"annotations": annotations}})) {
        turn.say_once_taken(Said::GracePeriodExpiring { claim: Arc::from(claimed.name()), deadline });
    }
    true
}

/// The time that a node may drain ends now; whether that was to be noted.
pub(super) fn drain_no_longer(claimed: &Claimed<'_>, turn: &mut Turn<'_>) -> bool {
    if claimed.deadline().is_some_and(|deadline| deadline <= turn.now) {
        return false;
    }
    let annotations = json!({ labels::TERMINATION_TIMESTAMP: whole_seconds(turn.now).to_string() });
    turn.patch("NodeClaim", &claimed.claim.metadata, json!({"metadata": {"annotations": annotations}}));
    true
}

/// As Kubernetes writes times.
fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}
