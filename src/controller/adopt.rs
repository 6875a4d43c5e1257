//! NodeClaims that somebody else made and that nobody but us looks after become ours, by the annotation of a plan without pods.
//!
//! These are claims of node classes that we serve: those that a person made, without NodePool and instance, are launched; those
//! whose instance is one of our cloud, whoever launched it, are looked after from there on. Source: the reference takes every
//! claim of a node class that it serves (karpenter-core 5).

use serde_json::json;

use super::cluster::{Claimed, Cluster};
use super::turn::Turn;
use crate::api::labels;
use crate::cloud::Provider;
use crate::placement::ClaimPlan;

/// Marks them.
pub(super) fn step(cluster: &Cluster<'_>, turn: &mut Turn<'_>) {
    let provider = turn.settings.provider;
    for claimed in cluster.others.iter().filter(|claimed| is_to_adopt(claimed, provider)) {
        turn.about(claimed);
        let mut metadata = json!({"annotations": {labels::PLANNED_PODS: ClaimPlan::default().to_annotation()}});
        // a finalizer cannot be added to what is being deleted
        if !claimed.is_deleting() && !claimed.has_finalizer() {
            let finalizers = claimed.finalizers().map(String::as_str).chain([labels::FINALIZER_TERMINATION]);
            metadata["finalizers"] = json!(finalizers.collect::<Vec<_>>());
        }
        turn.patch("NodeClaim", &claimed.claim.metadata, json!({ "metadata": metadata }));
    }
    turn.about_all();
}

fn is_to_adopt(claimed: &Claimed<'_>, provider: Provider) -> bool {
    let annotations = claimed.claim.metadata.annotations.as_ref();
    if annotations.is_some_and(|of| of.contains_key(labels::PLANNED_PODS)) {
        return false; // its instance is of another cloud
    }
    let status = claimed.claim.status.as_ref();
    match status.and_then(|status| status.provider_id.as_deref()).unwrap_or_default() {
        "" => claimed.pool().is_none(),
        id => provider.has(id),
    }
}
