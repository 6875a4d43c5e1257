//! Claims that come for others: once all of them are initialized those go; where one of them fails, or takes too long, those stay.
//!
//! What belongs together stands in an annotation of the new claims, so that another process goes on. A claim that says that it goes,
//! and for which nobody comes, stays: a process has died before it had made all the others, or they have failed.
//!
//! Source: the reference's `disruption/queue.go` (karpenter-core 4.8).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::beginning::disrupt;
use super::closing::{InHand, allowance, is_closed, note_reason, reason_since, set_taint};
use super::cluster::{Claimed, Cluster};
use super::conditions::INITIALIZED;
use super::said::Said;
use super::turn::{Turn, later};
use crate::api::labels;
use crate::disruption::{Hold, Method, Standing, candidates};
use crate::observe::Snapshot;
use crate::placement::ClaimPlan;

/// Of a claim that says that it goes because of a command.
fn method_of(claimed: &Claimed<'_>) -> Option<Method> {
    let (reason, _) = reason_since(claimed)?;
    [Method::Underutilized, Method::Drifted].into_iter().find(|method| method.label_of_reason() == reason)
}

/// New nodes may take so long to be initialized, and old ones to be free.
const LONGEST: Duration = Duration::from_secs(10 * 60);
/// Where something holds what is to go, it is looked at again after so long.
const AGAIN: Duration = Duration::from_secs(2);

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

/// Claims for which others come, by name.
pub(super) fn replaced(cluster: &Cluster<'_>) -> BTreeSet<Arc<str>> {
    let coming = cluster.claims_of_commands().filter(|claimed| !claimed.is_deleting());
    coming.filter_map(|claimed| Replaces::of(&claimed)).flat_map(|replaces| replaces.claims).collect()
}

/// When what is to go was looked at last, before it goes.
#[derive(Debug, Default)]
pub(super) struct LastLook(Option<Timestamp>);

/// Takes what is under way one step further. `in_hand`: claims that this process is about to close or to replace.
pub(super) fn step(
    cluster: &Cluster<'_>,
    in_hand: &InHand,
    (last, mut snapshot): (&mut LastLook, impl FnMut() -> Arc<Snapshot>),
    turn: &mut Turn<'_>,
) {
    let there: Vec<Claimed<'_>> = cluster.claims_of_commands().filter(|claimed| !claimed.is_deleting()).collect();
    let mut coming: BTreeMap<Replaces, Vec<&Claimed<'_>>> = BTreeMap::new();
    for claimed in &there {
        if let Some(replaces) = Replaces::of(claimed) {
            coming.entry(replaces).or_default().push(claimed);
        }
    }
    let mut awaited: BTreeSet<&str> = BTreeSet::new();
    for (replaces, with) in &coming {
        let going = replaces.claims.iter().filter_map(|name| cluster.our_claim(name));
        let going: Vec<Claimed<'_>> = going.filter(|claimed| !claimed.is_deleting()).collect();
        let going: Vec<&Claimed<'_>> = going.iter().collect();
        awaited.extend(going.iter().map(|claimed| claimed.name()));
        if !going.is_empty() && !going.iter().any(|claimed| in_hand.contains(claimed.name())) {
            take_further(cluster, replaces, (&going, with), (last, &mut snapshot), turn);
        }
    }
    for claimed in there.iter().filter(|claimed| method_of(claimed).is_some()) {
        if !awaited.contains(claimed.name()) && !in_hand.contains(claimed.name()) {
            reopen(claimed, turn);
        }
    }
}

/// Deletes the claims that go once all that come for them are initialized and nothing holds them.
fn take_further(
    cluster: &Cluster<'_>,
    replaces: &Replaces,
    (going, with): (&[&Claimed<'_>], &[&Claimed<'_>]),
    (last, snapshot): (&mut LastLook, &mut dyn FnMut() -> Arc<Snapshot>),
    turn: &mut Turn<'_>,
) {
    if let Some(why) = failure(replaces, (going, with), turn) {
        return give_up(&why, (going, with), turn);
    }
    if !with.iter().all(|claimed| claimed.is(INITIALIZED)) {
        return;
    }
    if last.0.is_some_and(|at| at < turn.now && !turn.is_time(later(at, AGAIN))) {
        return;
    }
    last.0 = Some(turn.now);
    if are_free(cluster, going, &snapshot(), turn) {
        for claimed in going {
            if let Some(method) = method_of(claimed) {
                disrupt(claimed, method.label_of_reason(), turn);
            }
        }
    } else {
        turn.step_again(later(turn.now, AGAIN));
    }
}

/// Whether nothing has come to hold those that go while they waited: pods that are protected now, budgets that begin.
fn are_free(cluster: &Cluster<'_>, going: &[&Claimed<'_>], now: &Snapshot, turn: &mut Turn<'_>) -> bool {
    let names: BTreeSet<Arc<str>> = going.iter().map(|claimed| Arc::from(claimed.name())).collect();
    let mut open = now.clone();
    for node in open.nodes.iter_mut().filter(|node| node.claim.as_ref().is_some_and(|of| names.contains(of))) {
        node.deleting = false;
    }
    going.iter().all(|claimed| {
        let Some(method) = method_of(claimed) else { return false };
        let budget = allowance(cluster, claimed.pool().unwrap_or_default(), method.reason(), &InHand::new(), turn);
        let mut standing = candidates(&open, method, turn.now).into_iter();
        let is_it = |of: &Standing| open.nodes[of.node].claim.as_deref() == Some(claimed.name());
        // that pods have come to their end meanwhile keeps nothing
        let keeps = |hold: &Hold| [Hold::DoNotDisrupt, Hold::ZoneShifted].contains(hold) || hold.is_of_pod();
        let is_free = |of: Standing| !of.verdict.is_err_and(|holds| holds.iter().any(keeps));
        budget.disrupted <= budget.most && standing.find(is_it).is_some_and(is_free)
    })
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
    let is_late = turn.is_time(later(first, LONGEST));
    let minutes = LONGEST.as_secs() / 60;
    is_late.then(|| {
        if is_ready {
            format!("something has kept its node for {minutes} minutes")
        } else {
            format!("what comes for it was not initialized within {minutes} minutes")
        }
    })
}

/// Whether a claim says that it goes, and its node takes no pods.
pub(super) fn is_marked(claimed: &Claimed<'_>) -> bool {
    method_of(claimed).is_some() && claimed.nodes.iter().all(|node| is_closed(node))
}

/// What was to replace others is a node like any other, and kept for nobody who is still to be made.
fn give_up(why: &str, (going, with): (&[&Claimed<'_>], &[&Claimed<'_>]), turn: &mut Turn<'_>) {
    let method = going.iter().find_map(|claimed| method_of(claimed)).unwrap_or(Method::Underutilized);
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
            turn.say_once_taken(Said::NotReplaced { claim: Arc::from(claimed.name()), method, why: why.to_owned() });
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
