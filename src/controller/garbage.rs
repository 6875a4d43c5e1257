//! What was left behind: instances without claim, and claims whose instance is gone.
//!
//! Source: the reference's `nodeclaim/garbagecollection` (karpenter-core 5), and that of instances (karpenter-aws).

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;

use super::action::Action;
use super::cluster::{Claimed, Cluster};
use super::conditions::{LAUNCHED, READY, REGISTERED, since};
use super::drain::is_going;
use super::instances::Instances;
use super::market::Market;
use super::said::Said;
use super::turn::{Turn, later};
use super::zonal_shift::is_shifted;
use serde_json::json;

use crate::api::labels;
use crate::cloud::{Answer, Listed, Machine, Provider, Request};

/// The cloud is asked so often what runs.
const EVERY: Duration = Duration::from_secs(2 * 60);
/// An answer that takes longer does not come.
const LOST: Duration = Duration::from_secs(60);
/// What is asked out of turn is asked so often at most.
const PAUSE: Duration = Duration::from_secs(5);
/// An instance may be so young that its claim is not known yet.
const YOUNG: Duration = Duration::from_secs(30);

/// What the cloud said last.
#[derive(Debug, Default)]
pub(super) struct Garbage {
    /// Since when an answer is awaited: the oldest question that it may be to.
    asked: Option<Timestamp>,
    /// When it was asked last.
    sent: Option<Timestamp>,
    /// By provider id.
    listed: Option<(Timestamp, Vec<Listed>)>,
    next: Option<Timestamp>,
}

impl Garbage {
    pub fn take(&mut self, answer: &Answer, now: Timestamp, said: &mut Vec<Said>) {
        let Answer::Listed(result) = answer else { return };
        let Some(asked) = self.asked.take() else { return };
        self.next = Some(later(now, EVERY));
        match result {
            Ok(listed) => {
                let mut listed = listed.clone();
                listed.sort_by(|a, b| a.provider_id.cmp(&b.provider_id));
                self.listed = Some((asked, listed));
            }
            Err(reason) => said.push(Said::ListFailed { reason: reason.clone() }),
        }
    }

    /// The instance of a claim that does not say which one it has, as the cloud has listed it. Of a launch for several claims those
    /// that no claim says it has go to the others in the order of ids and uids, as the launch itself deals them out.
    pub fn instance_of(&self, cluster: &Cluster<'_>, claimed: &Claimed<'_>) -> Option<Arc<str>> {
        let (_, listed) = self.listed.as_ref()?;
        let uid = claimed.uid();
        if let Some(own) = listed.iter().find(|listed| listed.claim.as_deref() == Some(uid)) {
            return Some(own.provider_id.clone());
        }
        let token = claimed.launch()?;
        let waits = |of: &&Claimed<'_>| of.launch() == Some(token) && of.provider_id().is_empty();
        let mut waiting: Vec<&str> = cluster.all_claims().filter(waits).map(Claimed::uid).collect();
        waiting.sort_unstable();
        let place = waiting.iter().position(|waiting| *waiting == uid)?;
        let is_free = |of: &&Listed| of.launch.as_deref() == Some(token) && !cluster.is_claimed(&of.provider_id);
        let mut free: Vec<&Listed> = listed.iter().filter(is_free).collect();
        free.sort_by_key(|of| of.provider_id.rsplit('/').next());
        free.get(place).map(|of| of.provider_id.clone())
    }

    /// What an instance is made with, as the cloud has listed it.
    pub fn machine(&self, id: &str) -> Option<&Machine> {
        self.listed(id)?.machine.as_ref()
    }

    fn listed(&self, id: &str) -> Option<&Listed> {
        let (_, listed) = self.listed.as_ref()?;
        listed.binary_search_by(|of| (*of.provider_id).cmp(id)).ok().map(|place| &listed[place])
    }

    /// Whether the cloud was asked what runs so long after a time that what was launched before it would be listed; if not, that is
    /// asked.
    pub fn has_listed_since(&mut self, time: Timestamp, turn: &mut Turn<'_>) -> bool {
        let from = later(time, YOUNG);
        if self.listed.as_ref().is_some_and(|(asked, _)| *asked >= from) {
            return true;
        }
        let is_pausing = self.sent.is_some_and(|sent| !turn.is_due(later(sent, PAUSE)));
        if turn.is_due(from) && !is_pausing && !self.is_awaited(turn) {
            self.ask(turn);
        }
        false
    }

    fn is_awaited(&self, turn: &mut Turn<'_>) -> bool {
        self.asked.is_some() && self.sent.is_some_and(|sent| !turn.is_time(later(sent, LOST)))
    }

    fn ask(&mut self, turn: &mut Turn<'_>) {
        self.asked.get_or_insert(turn.now);
        self.sent = Some(turn.now);
        turn.act(Action::Cloud(Request::List));
    }

    /// Whether the cloud has said that an instance that was launched before is not there.
    pub fn is_missing(&self, id: &str, launched: Timestamp) -> bool {
        self.listed.as_ref().is_some_and(|(asked, _)| later(launched, YOUNG) < *asked && self.listed(id).is_none())
    }
}

/// Asks what runs, and takes away what should not, or what says that it does.
///
/// `all_read`: whether every NodeClaim that there is can be read; an instance of one that cannot is nobody's garbage.
pub(super) fn step(
    cluster: &Cluster<'_>,
    market: &Market,
    garbage: &mut Garbage,
    all_read: bool,
    instances: &mut Instances,
    turn: &mut Turn<'_>,
) {
    if cluster.is_structural {
        free_nodes(cluster, garbage, all_read, turn);
    }
    if turn.settings.provider == Provider::Kwok {
        return; // its instances are their nodes
    }
    if !garbage.is_awaited(turn) && garbage.next.is_none_or(|next| turn.is_time(next)) {
        garbage.ask(turn);
    }
    let Some((asked, listed)) = &garbage.listed else { return };
    if all_read {
        end_instances(cluster, listed, *asked, instances, turn);
    }
    for claimed in cluster.claims.iter().filter(|claimed| !claimed.is_deleting() && claimed.is(REGISTERED)) {
        turn.about(claimed);
        let Some(status) = &claimed.claim.status else { continue };
        let (Some(id), Some(launched)) = (status.provider_id.as_deref(), since(&status.conditions, LAUNCHED)) else {
            continue;
        };
        // of a zone that is impaired EC2 may not list everything
        let is_gone = garbage.is_missing(id, launched)
            && !claimed.nodes.iter().any(|node| is_ready(node))
            && !is_shifted(claimed, market);
        if is_gone && turn.delete_claim(claimed) {
            turn.say_once_taken(Said::InstanceGone { claim: Arc::from(claimed.name()), provider_id: Arc::from(id) });
        }
    }
    turn.about_all();
}

/// Nodes that wait for us, of which the claim was forced away and the instance is gone.
fn free_nodes(cluster: &Cluster<'_>, garbage: &Garbage, all_read: bool, turn: &mut Turn<'_>) {
    let nodes = cluster.objects.nodes.values().map(|node| &node.object);
    for node in nodes.filter(|node| all_read && is_going(node)) {
        let finalizers = node.metadata.finalizers.iter().flatten();
        let id = node.spec.as_ref().and_then(|spec| spec.provider_id.as_deref()).unwrap_or_default();
        let created = node.metadata.creation_timestamp.as_ref().map_or(Timestamp::MAX, |time| time.0);
        let is_ours = turn.settings.provider.has(id) && !cluster.is_claimed(id);
        let is_gone = turn.settings.provider == Provider::Kwok || garbage.is_missing(id, created);
        if is_ours && is_gone {
            let kept: Vec<&String> = finalizers.filter(|name| *name != labels::FINALIZER_TERMINATION).collect();
            turn.patch("Node", &node.metadata, json!({"metadata": {"finalizers": kept}}));
        }
    }
}

fn end_instances(
    cluster: &Cluster<'_>,
    listed: &[Listed],
    asked: Timestamp,
    instances: &mut Instances,
    turn: &mut Turn<'_>,
) {
    let is_leaked = |listed: &&Listed| later(listed.launched_at, YOUNG) < asked && !is_wanted(cluster, listed);
    for leaked in listed.iter().filter(is_leaked) {
        instances.end("", &leaked.provider_id, turn);
    }
}

/// Whether some claim has an instance, or may have it: one that waits for an instance of that launch, or of which it is not known yet
/// for which launch it waits.
pub(super) fn is_wanted(cluster: &Cluster<'_>, listed: &Listed) -> bool {
    if let Some(uid) = &listed.claim {
        return cluster.has_uid(uid);
    }
    let is_named = listed.claim_name.as_ref().is_some_and(|name| cluster.has_claim(name));
    let may_be_of = |claimed: &Claimed<'_>| {
        let created = claimed.claim.metadata.creation_timestamp.as_ref().map(|time| time.0);
        let is_older = created.is_some_and(|created| created <= listed.launched_at);
        let is_of_pool = listed.pool.as_deref().is_none_or(|pool| claimed.pool().unwrap_or_default() == pool);
        let is_of_launch =
            claimed.launch().map_or(is_older && is_of_pool, |token| listed.launch.as_deref() == Some(token));
        claimed.provider_id().is_empty() && is_of_launch
    };
    is_named || cluster.is_claimed(&listed.provider_id) || cluster.our_claims().any(may_be_of)
}

/// Whether the kubelet says that the node is ready.
pub(super) fn is_ready(node: &Node) -> bool {
    let mut conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.any(|condition| condition.type_ == READY && condition.status == "True")
}

impl Garbage {
    /// The instances that were listed.
    pub fn all_listed(&self) -> impl Iterator<Item = &Listed> {
        self.listed.iter().flat_map(|(_, listed)| listed)
    }

    /// How the cloud calls them.
    pub fn instances(&self) -> impl Iterator<Item = &str> {
        self.all_listed().map(|listed| &*listed.provider_id)
    }
}

#[cfg(test)]
mod tests;
