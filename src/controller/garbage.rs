//! What was left behind: instances without claim, and claims whose instance is gone.
//!
//! Source: the reference's `nodeclaim/garbagecollection` (karpenter-core 5), and that of instances (karpenter-aws).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;

use super::action::{Action, Verb};
use super::cluster::Cluster;
use super::conditions::{LAUNCHED, READY, REGISTERED, since};
use super::event::Subject;
use super::instances::Instances;
use super::said::Said;
use super::turn::{Turn, later};
use crate::cloud::{Answer, Listed, Provider, Request};
use crate::observe::objects::Objects;

/// The cloud is asked so often what runs.
const EVERY: Duration = Duration::from_secs(2 * 60);
/// An answer that takes longer does not come.
const LOST: Duration = Duration::from_secs(60);
/// An instance may be so young that its claim is not known yet.
const YOUNG: Duration = Duration::from_secs(30);

/// What the cloud said last.
#[derive(Debug, Default)]
pub(super) struct Garbage {
    asked: Option<Timestamp>,
    listed: Option<(Timestamp, Vec<Listed>)>,
    next: Option<Timestamp>,
}

impl Garbage {
    pub fn take(&mut self, answer: &Answer, now: Timestamp, said: &mut Vec<Said>) {
        let Answer::Listed(result) = answer else { return };
        let Some(asked) = self.asked.take() else { return };
        self.next = Some(later(now, EVERY));
        match result {
            Ok(listed) => self.listed = Some((asked, listed.clone())),
            Err(reason) => said.push(Said::ListFailed { reason: reason.clone() }),
        }
    }

    /// Whether the cloud has said that an instance that was launched before is not there.
    pub fn is_missing(&self, id: &str, launched: Timestamp) -> bool {
        self.listed.as_ref().is_some_and(|(asked, listed)| {
            later(launched, YOUNG) < *asked && !listed.iter().any(|listed| &*listed.provider_id == id)
        })
    }
}

/// Asks what runs, and takes away what should not, or what says that it does.
pub(super) fn step(cluster: &Cluster<'_>, garbage: &mut Garbage, instances: &mut Instances, turn: &mut Turn<'_>) {
    if turn.settings.provider == Provider::Kwok {
        return; // its instances are their nodes
    }
    let is_lost = garbage.asked.is_some_and(|asked| turn.is_due(later(asked, LOST)));
    if (garbage.asked.is_none() || is_lost) && garbage.next.is_none_or(|next| turn.is_due(next)) {
        garbage.asked = Some(turn.now);
        turn.act(Action::Cloud(Request::List));
    }
    let Some((asked, listed)) = &garbage.listed else { return };
    end_instances(cluster.objects, listed, *asked, instances, turn);
    for claimed in cluster.claims.iter().filter(|claimed| !claimed.is_deleting() && claimed.is(REGISTERED)) {
        let Some(status) = &claimed.claim.status else { continue };
        let (Some(id), Some(launched)) = (status.provider_id.as_deref(), since(&status.conditions, LAUNCHED)) else {
            continue;
        };
        if garbage.is_missing(id, launched) && !claimed.nodes.iter().any(|node| is_ready(node)) {
            let subject = Subject::of_cluster("NodeClaim", claimed.name());
            let delete = Verb::Delete { uid: Arc::from(claimed.uid()), grace: None };
            if turn.write(subject, &claimed.claim.metadata, delete) {
                turn.say_once_taken(Said::InstanceGone {
                    claim: Arc::from(claimed.name()),
                    provider_id: Arc::from(id),
                });
            }
        }
    }
}

fn end_instances(
    objects: &Objects,
    listed: &[Listed],
    asked: Timestamp,
    instances: &mut Instances,
    turn: &mut Turn<'_>,
) {
    let uids: BTreeSet<&str> =
        objects.node_claims.values().filter_map(|claim| claim.object.metadata.uid.as_deref()).collect();
    for leaked in
        listed.iter().filter(|listed| !uids.contains(&*listed.claim) && later(listed.launched_at, YOUNG) < asked)
    {
        instances.end("", &leaked.provider_id, turn);
    }
}

/// Whether the kubelet says that the node is ready.
pub(super) fn is_ready(node: &Node) -> bool {
    let mut conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.any(|condition| condition.type_ == READY && condition.status == "True")
}

impl Garbage {
    /// The instances that were listed.
    pub fn instances(&self) -> impl Iterator<Item = &str> {
        self.listed.iter().flat_map(|(_, listed)| listed.iter().map(|listed| &*listed.provider_id))
    }
}
