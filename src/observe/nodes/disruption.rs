//! What a NodeClaim and its Node say of when the node may be taken away.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::api::labels;
use crate::api::node_claim::NodeClaim;
use crate::observe::input::FieldError;
use crate::observe::snapshot::{Drifted, NodeDisruption};

/// Of a claim with the Node that it has, if it has one; what cannot be read counts as not given.
pub(super) fn of_claim(claim: &NodeClaim, node: Option<&core::Node>, errors: &mut Vec<FieldError>) -> NodeDisruption {
    let conditions = claim.status.as_ref().map_or(&[][..], |status| &status.conditions);
    let is_true = |kind: &str| conditions.iter().find(|of| of.type_ == kind && of.status == "True");
    let mut given = |field: &str, read: Result<Option<u64>, String>| match read {
        Ok(seconds) => seconds,
        Err(message) => {
            errors.push(FieldError::new(format!("spec.{field}"), message));
            None
        }
    };
    let age = given("expireAfter", claim.spec.expire_after.seconds());
    let grace = claim.spec.termination_grace_period.as_ref().map(crate::api::duration::Duration::seconds);
    let created = claim.metadata.creation_timestamp.as_ref().map(|time| time.0);
    let changed = claim.status.as_ref().and_then(|status| status.last_pod_event_time.as_ref());
    let initialized = is_true("Initialized").map(|of| of.last_transition_time.0);
    let annotations = node.and_then(|node| node.metadata.annotations.as_ref());
    NodeDisruption {
        // an age that no time is old enough for is never
        expires_at: created.zip(age).and_then(|(at, age)| at.checked_add(Duration::from_secs(age)).ok()),
        termination_grace_period_seconds: given("terminationGracePeriod", grace.transpose()),
        do_not_disrupt: annotations.and_then(|of| of.get(labels::DO_NOT_DISRUPT)).is_some_and(|value| value == "true"),
        idle_since: changed.map(|time| time.0).max(initialized).or(created),
        drifted: is_true("Drifted").map(drifted),
        nominated_until: None,
        not_ready: node.is_some_and(|node| !is_ready(node)),
        zone_shifted: false, // whoever knows the market says so
        instance_terminating: is_true("InstanceTerminating").is_some(),
    }
}

fn drifted(condition: &Condition) -> Drifted {
    Drifted { reason: Arc::from(condition.reason.as_str()), since: condition.last_transition_time.0 }
}

/// A Node that does not say is taken to be ready: one that somebody wrote by hand.
fn is_ready(node: &core::Node) -> bool {
    let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let ready: Vec<_> = conditions.filter(|of| of.type_ == "Ready").collect();
    ready.iter().all(|of| of.status == "True")
}
