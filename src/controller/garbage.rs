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
use serde_json::json;

use crate::api::labels;
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
    /// Since when an answer is awaited: the oldest question that it may be to.
    asked: Option<Timestamp>,
    /// When it was asked last.
    sent: Option<Timestamp>,
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
///
/// `all_read`: whether every NodeClaim that there is can be read; an instance of one that cannot is nobody's garbage.
pub(super) fn step(
    cluster: &Cluster<'_>,
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
    let is_awaited = garbage.asked.is_some() && garbage.sent.is_some_and(|sent| !turn.is_time(later(sent, LOST)));
    if !is_awaited && garbage.next.is_none_or(|next| turn.is_time(next)) {
        garbage.asked.get_or_insert(turn.now);
        garbage.sent = Some(turn.now);
        turn.act(Action::Cloud(Request::List));
    }
    let Some((asked, listed)) = &garbage.listed else { return };
    if all_read {
        end_instances(cluster.objects, listed, *asked, instances, turn);
    }
    for claimed in cluster.claims.iter().filter(|claimed| !claimed.is_deleting() && claimed.is(REGISTERED)) {
        turn.about(claimed);
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
    turn.about_all();
}

/// Nodes that wait for us, of which the claim was forced away and the instance is gone.
fn free_nodes(cluster: &Cluster<'_>, garbage: &Garbage, all_read: bool, turn: &mut Turn<'_>) {
    let of_claims: BTreeSet<&str> = cluster
        .objects
        .node_claims
        .values()
        .filter_map(|claim| claim.object.status.as_ref()?.provider_id.as_deref())
        .collect();
    for node in cluster.objects.nodes.values().map(|node| &node.object).filter(|_| all_read) {
        let finalizers = node.metadata.finalizers.iter().flatten();
        let waits = node.metadata.deletion_timestamp.is_some()
            && finalizers.clone().any(|name| name == labels::FINALIZER_TERMINATION);
        let id = node.spec.as_ref().and_then(|spec| spec.provider_id.as_deref()).unwrap_or_default();
        let created = node.metadata.creation_timestamp.as_ref().map_or(Timestamp::MAX, |time| time.0);
        let is_ours = turn.settings.provider.has(id) && !of_claims.contains(id);
        let is_gone = turn.settings.provider == Provider::Kwok || garbage.is_missing(id, created);
        if waits && is_ours && is_gone {
            let kept: Vec<&String> = finalizers.filter(|name| *name != labels::FINALIZER_TERMINATION).collect();
            turn.patch("Node", &node.metadata, json!({"metadata": {"finalizers": kept}}));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::Step;
    use crate::controller::index::Index;
    use crate::controller::settings::ControllerSettings;
    use crate::controller::writes::Writes;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + second).unwrap()
    }

    /// What is asked of the cloud at a time in a cluster without claims.
    fn asked(garbage: &mut Garbage, second: i64, all_read: bool) -> Vec<String> {
        let settings = ControllerSettings { provider: Provider::Ec2, ..ControllerSettings::default() };
        let (mut writes, mut step, mut instances) = (Writes::default(), Step::default(), Instances::default());
        let mut turn = Turn { now: at(second), settings: &settings, writes: &mut writes, step: &mut step };
        let objects = Objects::default();
        let index = Index::of(&objects);
        let cluster = Cluster::of(&objects, &index, Provider::Ec2, None);
        super::step(&cluster, garbage, all_read, &mut instances, &mut turn);
        let name = |action: &Action| match action {
            Action::Cloud(Request::List) => "list".to_owned(),
            Action::Cloud(Request::Terminate { provider_id, .. }) => format!("terminate {provider_id}"),
            other => format!("{other:?}"),
        };
        step.actions.iter().map(name).collect()
    }

    fn listed(launched: i64) -> Answer {
        Answer::Listed(Ok(vec![Listed {
            provider_id: "aws:///a/i-1".into(),
            claim: "uid-1".into(),
            launched_at: at(launched),
        }]))
    }

    #[test]
    fn what_no_claim_has_ends_but_not_while_a_claim_cannot_be_read() {
        let mut garbage = Garbage::default();
        assert_eq!(asked(&mut garbage, 0, true), ["list"]);
        assert_eq!(asked(&mut garbage, 1, true), Vec::<String>::new(), "one question at a time");
        garbage.take(&listed(-100), at(2), &mut Vec::new());
        assert_eq!(asked(&mut garbage, 3, false), Vec::<String>::new(), "it may be that claim's");
        assert_eq!(asked(&mut garbage, 3, true), ["terminate aws:///a/i-1"]);
        let mut young = Garbage::default();
        asked(&mut young, 0, true);
        young.take(&listed(-10), at(2), &mut Vec::new());
        assert_eq!(asked(&mut young, 3, true), Vec::<String>::new(), "its claim may not be known yet");
    }

    #[test]
    fn an_answer_that_is_late_says_nothing_of_what_came_after_its_question() {
        let mut garbage = Garbage::default();
        asked(&mut garbage, 0, true);
        assert_eq!(asked(&mut garbage, 60, true), ["list"], "the first one counts as lost");
        garbage.take(&Answer::Listed(Ok(Vec::new())), at(61), &mut Vec::new());
        assert!(!garbage.is_missing("aws:///a/i-2", at(10)), "it was launched after the question");
        assert!(garbage.is_missing("aws:///a/i-3", at(-100)));
    }
}
