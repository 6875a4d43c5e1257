//! Claims that come for others: once all of them are initialized those go; where one of them fails, or takes too long, those stay.
//!
//! What belongs together stands in an annotation of the new claims, so that another process goes on. A claim that says that it goes,
//! and for which nobody comes, stays: a process has died before it had made all the others, or they have failed.
//!
//! Source: the reference's `disruption/queue.go` (karpenter-core 4.8).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::closing::{InHand, is_closed, note_reason, reason_since, set_taint};
use super::cluster::{Claimed, Cluster};
use super::conditions::INITIALIZED;
use super::said::Said;
use super::turn::{Turn, later};
use crate::api::labels;
use crate::placement::ClaimPlan;

pub(super) const UNDERUTILIZED: &str = "Underutilized";

/// New nodes may take so long to be initialized.
const LONGEST: Duration = Duration::from_secs(10 * 60);

/// The annotation [`labels::REPLACES`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Replaces {
    /// Claims that go, by name.
    pub claims: Vec<Arc<str>>,
    /// All that come for them, by name.
    pub with: Vec<Arc<str>>,
}

impl Replaces {
    /// Of a claim; one that cannot be read is none.
    fn of(claimed: &Claimed<'_>) -> Option<Self> {
        let written = claimed.claim.metadata.annotations.as_ref()?.get(labels::REPLACES)?;
        serde_json::from_str(written).ok()
    }

    pub fn to_annotation(&self) -> String {
        json!(self).to_string()
    }
}

/// Takes what is under way one step further; whether something is. `in_hand`: claims that this process is about to close or to replace.
pub(super) fn step(cluster: &Cluster<'_>, in_hand: &InHand, turn: &mut Turn<'_>) -> bool {
    let there: Vec<&Claimed<'_>> = cluster.our_claims().filter(|claimed| !claimed.is_deleting()).collect();
    let mut coming: BTreeMap<Replaces, Vec<&Claimed<'_>>> = BTreeMap::new();
    for claimed in &there {
        if let Some(replaces) = Replaces::of(claimed) {
            coming.entry(replaces).or_default().push(claimed);
        }
    }
    let mut awaited: BTreeSet<&str> = BTreeSet::new();
    for (replaces, with) in &coming {
        let going = |of: &&&Claimed<'_>| replaces.claims.iter().any(|name| **name == *of.name());
        let going: Vec<&Claimed<'_>> = there.iter().filter(going).copied().collect();
        awaited.extend(going.iter().map(|claimed| claimed.name()));
        if !going.is_empty() && !going.iter().any(|claimed| in_hand.contains(claimed.name())) {
            take_further(replaces, (&going, with), turn);
        }
    }
    let mut is_under_way = !in_hand.is_empty() || !awaited.is_empty();
    for claimed in there.iter().filter(|claimed| reason_since(claimed).is_some_and(|(of, _)| of == UNDERUTILIZED)) {
        is_under_way = true;
        if !awaited.contains(claimed.name()) && !in_hand.contains(claimed.name()) {
            reopen(claimed, turn);
        }
    }
    is_under_way
}

/// Deletes the claims that go once all that come for them are initialized.
fn take_further(replaces: &Replaces, (going, with): (&[&Claimed<'_>], &[&Claimed<'_>]), turn: &mut Turn<'_>) {
    if let Some(why) = failure(replaces, (going, with), turn) {
        return give_up(&why, with, turn);
    }
    if with.iter().all(|claimed| claimed.is(INITIALIZED)) {
        for claimed in going {
            if turn.delete_claim_as_read(claimed) {
                let claim = Arc::from(claimed.name());
                turn.say_once_taken(Said::Disrupting { claim, reason: UNDERUTILIZED });
            }
        }
    }
}

/// Why those that go have to stay.
fn failure(
    replaces: &Replaces,
    (going, with): (&[&Claimed<'_>], &[&Claimed<'_>]),
    turn: &mut Turn<'_>,
) -> Option<String> {
    let is_there = |name: &Arc<str>| with.iter().any(|claimed| *claimed.name() == **name);
    if let Some(name) = replaces.with.iter().find(|name| !is_there(name)) {
        return Some(format!("nodeclaim {name}, which comes for it, is gone"));
    }
    if let Some(open) = going.iter().find(|claimed| !is_marked(claimed)) {
        return Some(format!("nodeclaim {} is open again", open.name()));
    }
    let created = with.iter().filter_map(|claimed| claimed.claim.metadata.creation_timestamp.as_ref());
    let first = created.map(|time| time.0).min()?;
    let is_ready = with.iter().all(|claimed| claimed.is(INITIALIZED));
    (!is_ready && turn.is_time(later(first, LONGEST)))
        .then(|| format!("what comes for it was not initialized within {} minutes", LONGEST.as_secs() / 60))
}

/// Whether a claim says that it goes, and its node takes no pods.
pub(super) fn is_marked(claimed: &Claimed<'_>) -> bool {
    let says = reason_since(claimed).is_some_and(|(reason, _)| reason == UNDERUTILIZED);
    says && claimed.nodes.iter().all(|node| is_closed(node))
}

/// What was to replace others is a node like any other, and kept for nobody who is still to be made.
fn give_up(why: &str, with: &[&Claimed<'_>], turn: &mut Turn<'_>) {
    let mut is_told = false;
    for claimed in with {
        let written = claimed.claim.metadata.annotations.as_ref().and_then(|of| of.get(labels::PLANNED_PODS));
        let plan = written.and_then(|text| ClaimPlan::from_annotation(text).ok()).unwrap_or_default();
        let plan = ClaimPlan { expected: Vec::new(), replaces: Vec::new(), ..plan };
        let annotations = json!({labels::REPLACES: Value::Null, labels::PLANNED_PODS: plan.to_annotation()});
        if turn.patch("NodeClaim", &claimed.claim.metadata, json!({"metadata": {"annotations": annotations}}))
            && !is_told
        {
            is_told = true;
            turn.say_once_taken(Said::NotReplaced { claim: Arc::from(claimed.name()), why: why.to_owned() });
        }
    }
}

/// The node takes pods again, and then nothing says any more that it goes.
fn reopen(claimed: &Claimed<'_>, turn: &mut Turn<'_>) {
    let mut is_open = true;
    for node in claimed.nodes.iter().filter(|node| is_closed(node)) {
        is_open = false;
        set_taint(node, false, turn);
    }
    if is_open {
        note_reason(claimed, None, turn);
    }
}
