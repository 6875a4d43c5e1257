//! A claim's node becomes known, registered and ready for pods.
//!
//! Source: the reference's `nodeclaim/lifecycle/registration.go` and `initialization.go` (karpenter-core 1.2, 5).

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Taint};
use serde_json::json;

use super::claim_status::{Noted, note};
use super::cluster::{Claimed, Cluster};
use super::conditions::{INITIALIZED, LAUNCHED, REGISTERED, since};
use super::consistency::{CONSISTENT_STATE_FOUND, lacks};
use super::give_up::{REGISTRATION_TIMEOUT, give_up};
use super::said::{GivenUp, Said};
use super::turn::{Turn, later};
use crate::api::labels;
use crate::observe::{amounts, is_ephemeral_key};

/// Reason and message of a claim whose node has not come.
pub(super) const NODE_NOT_FOUND: (&str, &str) = ("NodeNotFound", "the node is not there yet");

/// Notes how far the nodes are; what is known at once is written at once.
pub(super) fn step(cluster: &Cluster<'_>, turn: &mut Turn<'_>) {
    let launched = |claimed: &&Claimed| claimed.is(LAUNCHED) && !claimed.is_deleting();
    for claimed in cluster.claims.iter().filter(launched) {
        if !claimed.is(INITIALIZED) {
            turn.about(claimed);
            of_claim(claimed, turn);
        }
    }
    turn.about_all();
}

fn of_claim(claimed: &Claimed<'_>, turn: &mut Turn<'_>) {
    let node = match &claimed.nodes[..] {
        // what has registered once is not given up for it: its instance may be gone, which others find
        [] if claimed.is(REGISTERED) => {
            let (reason, message) = NODE_NOT_FOUND;
            note(claimed, json!({}), &[(INITIALIZED, "Unknown", reason, message)], turn);
            return;
        }
        [] => return absent(claimed, turn),
        [node] => *node,
        _ => {
            let why = "several nodes have its instance";
            note(claimed, json!({}), &[(REGISTERED, "False", "MultipleNodesFound", why)], turn);
            return;
        }
    };
    let name: Arc<str> = Arc::from(node.metadata.name.as_deref().unwrap_or_default());
    let claim: Arc<str> = Arc::from(claimed.name());
    if !claimed.is(REGISTERED) {
        if !has(node, labels::REGISTERED) || taint_keys(node).any(|key| key == labels::TAINT_UNREGISTERED) {
            return absent(claimed, turn);
        }
        let missing = unready(claimed, node);
        let missing = missing.as_ref().map(|(reason, message)| (INITIALIZED, "Unknown", *reason, &**message));
        let conditions: Vec<Noted<'_>> = [(REGISTERED, "True", REGISTERED, "")].into_iter().chain(missing).collect();
        if note(claimed, json!({ "nodeName": name }), &conditions, turn).is_sent() {
            turn.say_once_taken(Said::Registered { claim, node: name });
        }
        return;
    }
    if let Some((reason, message)) = unready(claimed, node) {
        note(claimed, json!({}), &[(INITIALIZED, "Unknown", reason, &message)], turn);
        return;
    }
    if !has(node, labels::INITIALIZED) {
        turn.patch("Node", &node.metadata, json!({"metadata": {"labels": {labels::INITIALIZED: "true"}}}));
        return;
    }
    let consistent = lacks(claimed).is_none().then_some((CONSISTENT_STATE_FOUND, "True", CONSISTENT_STATE_FOUND, ""));
    let conditions: Vec<Noted<'_>> = [(INITIALIZED, "True", INITIALIZED, "")].into_iter().chain(consistent).collect();
    if note(claimed, json!({}), &conditions, turn).is_sent() {
        turn.say_once_taken(Said::Initialized { claim, node: name });
    }
}

/// No node, or one that is not registered: for a while.
fn absent(claimed: &Claimed<'_>, turn: &mut Turn<'_>) {
    let status = claimed.claim.status.as_ref();
    let launched = status.and_then(|status| since(&status.conditions, REGISTERED));
    if launched.is_some_and(|launched| turn.is_due(later(launched, REGISTRATION_TIMEOUT))) {
        let reason = format!("its node did not register within {} s", REGISTRATION_TIMEOUT.as_secs());
        give_up(claimed, GivenUp::RegistrationTimeout, &reason, turn);
    } else if claimed.nodes.is_empty() {
        let (reason, message) = NODE_NOT_FOUND;
        note(claimed, json!({}), &[(REGISTERED, "Unknown", reason, message)], turn);
    }
}

/// What a node still lacks before pods can count on it.
fn unready(claimed: &Claimed<'_>, node: &Node) -> Option<(&'static str, String)> {
    let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    if !conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True") {
        return Some(("NodeNotReady", "the kubelet does not say that it is ready".to_owned()));
    }
    let startup = &claimed.claim.spec.startup_taints;
    let is_startup = |of: &&Taint| startup.iter().any(|taint| taint.key == of.key && taint.effect == of.effect);
    if let Some(Taint { key, .. }) = taints(node).find(is_startup) {
        return Some(("StartupTaintsExist", format!("it still has the startup taint {key}")));
    }
    if let Some(key) = taint_keys(node).find(|key| is_ephemeral_key(key)) {
        return Some(("KnownEphemeralTaintsExist", format!("it still has the taint {key}")));
    }
    let has = node.status.as_ref().and_then(|status| status.allocatable.as_ref()).map(amounts).unwrap_or_default();
    let wants = amounts(&claimed.claim.spec.resources.requests);
    let missing = wants.iter().find(|(name, amount)| *amount > 0 && has.get(name) == 0);
    missing.map(|(name, _)| ("ResourceNotRegistered", format!("its allocatable has no {name} yet")))
}

fn taints(node: &Node) -> impl Iterator<Item = &Taint> {
    node.spec.iter().flat_map(|spec| spec.taints.iter().flatten())
}

fn taint_keys(node: &Node) -> impl Iterator<Item = &str> {
    taints(node).map(|taint| taint.key.as_str())
}

fn has(node: &Node, label: &str) -> bool {
    node.metadata.labels.as_ref().is_some_and(|labels| labels.get(label).is_some_and(|value| value == "true"))
}
