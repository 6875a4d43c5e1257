//! NodeClaims that somebody else made and that nobody but us looks after become ours, by the annotation of a plan without pods.
//!
//! These are claims of node classes that we serve: those that a person made, without NodePool and instance, are launched; those
//! whose instance is one of our cloud, whoever launched it, are looked after from there on. Those of a NodePool that whoever made them
//! has left without instance are given up once they are as old as one of ours may become, and end like ours: what was bought for them
//! all the same is an instance that no claim has. Source: the reference takes every claim of a node class that it serves (karpenter-core 5).

use jiff::Timestamp;
use serde_json::json;

use super::cluster::{Claimed, Cluster};
use super::give_up::{LAUNCH_TIMEOUT, give_up};
use super::said::GivenUp;
use super::turn::{Turn, later};
use crate::api::labels;
use crate::cloud::Provider;
use crate::placement::ClaimPlan;

/// Marks them.
pub(super) fn step(cluster: &Cluster<'_>, turn: &mut Turn<'_>) {
    let provider = turn.settings.provider;
    for claimed in &cluster.others {
        turn.about(claimed);
        match whose(claimed, provider) {
            Whose::Ours => {}
            Whose::Makers => {
                let created = claimed.claim.metadata.creation_timestamp.as_ref().map_or(Timestamp::MAX, |time| time.0);
                if turn.is_due(later(created, LAUNCH_TIMEOUT)) {
                    let reason = format!("whoever made it has not launched it within {} s", LAUNCH_TIMEOUT.as_secs());
                    give_up(claimed, GivenUp::LaunchTimeout, &reason, turn);
                }
                continue;
            }
            Whose::OtherCloud => continue,
        }
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

enum Whose {
    /// From now on.
    Ours,
    /// Who made it may be about to launch it.
    Makers,
    OtherCloud,
}

fn whose(claimed: &Claimed<'_>, provider: Provider) -> Whose {
    let annotations = claimed.claim.metadata.annotations.as_ref();
    match claimed.provider_id() {
        // it has a plan because it was ours, with other settings
        _ if annotations.is_some_and(|of| of.contains_key(labels::PLANNED_PODS)) => Whose::OtherCloud,
        "" if claimed.pool().is_none() || claimed.is_deleting() => Whose::Ours,
        "" => Whose::Makers,
        id if provider.has(id) => Whose::Ours,
        _ => Whose::OtherCloud,
    }
}
