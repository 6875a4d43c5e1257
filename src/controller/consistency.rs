//! Whether nodes have what was bought.
//!
//! Source: the reference's `nodeclaim/consistency/nodeshape.go` (karpenter-core 5).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use super::claim_status::note;
use super::cluster::{Claimed, Cluster};
use super::conditions::INITIALIZED;
use super::said::Said;
use super::turn::{Turn, later};
use crate::observe::amounts;
use crate::resources::display_amount;

/// A node is looked at so often.
const AGAIN: Duration = Duration::from_secs(10 * 60);
/// Of what was expected a node has at least so much, percent.
const LEAST: i128 = 90;
pub(super) const CONSISTENT_STATE_FOUND: &str = "ConsistentStateFound";

/// Claims, by name, with their uid and when they were looked at last; another process begins anew.
#[derive(Debug, Default)]
pub(super) struct Consistency(BTreeMap<Arc<str>, (Arc<str>, Timestamp)>);

/// Looks at the nodes whose time has come.
pub(super) fn step(cluster: &Cluster<'_>, consistency: &mut Consistency, turn: &mut Turn<'_>) {
    cluster.forget_gone(&mut consistency.0);
    for claimed in cluster.claims.iter().filter(|claimed| claimed.is(INITIALIZED) && !claimed.is_deleting()) {
        turn.about(claimed);
        let known = consistency.0.get(&claimed.key.name).filter(|(uid, _)| **uid == *claimed.uid());
        let last = known.map(|(_, last)| *last);
        if last.is_some_and(|last| !turn.is_due(later(last, AGAIN))) {
            continue;
        }
        let lacks = lacks(claimed);
        let condition = match &lacks {
            None => (CONSISTENT_STATE_FOUND, "True", CONSISTENT_STATE_FOUND, ""),
            Some(why) => (CONSISTENT_STATE_FOUND, "False", "ConsistencyCheckFailed", why.as_str()),
        };
        // what could not be written is looked at again
        if note(claimed, json!({}), &[condition], turn).is_news() {
            continue;
        }
        if let Some(reason) = lacks {
            turn.say(Said::Inconsistent { claim: Arc::from(claimed.name()), reason });
        }
        turn.look_again(later(turn.now, AGAIN));
        consistency.0.insert(claimed.key.name.clone(), (Arc::from(claimed.uid()), turn.now));
    }
    turn.about_all();
}

/// The first resource that was asked for and of which the node has too little.
pub(super) fn lacks(claimed: &Claimed<'_>) -> Option<String> {
    let node = claimed.nodes.first()?;
    let expected = amounts(&claimed.claim.status.as_ref()?.capacity);
    let found = node.status.as_ref().and_then(|status| status.capacity.as_ref()).map(amounts).unwrap_or_default();
    let requested = amounts(&claimed.claim.spec.resources.requests);
    let asked = requested.iter().filter(|(_, amount)| *amount > 0).map(|(name, _)| (name, expected.get(name)));
    let mut short = asked.filter(|(name, expected)| i128::from(found.get(name)) * 100 < i128::from(*expected) * LEAST);
    short.next().map(|(name, expected)| {
        let amount = |amount: i64| display_amount(name, amount);
        format!("expected {} of {name}, but found {}", amount(expected), amount(found.get(name)))
    })
}
