//! From a NodeClaim to an instance that runs, and what the claim says of it.
//!
//! Source: the reference's `nodeclaim/lifecycle/launch.go` (karpenter-core 5).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::action::Action;
use super::cluster::{Claimed, Cluster};
use super::conditions::{Conditions, INITIALIZED, LAUNCHED, OF_CLAIM, REGISTERED};
use super::give_up::{LAUNCH_TIMEOUT, give_up};
use super::initialize::NODE_NOT_FOUND;
use super::market::Market;
use super::said::{GivenUp, Said};
use super::turn::{Turn, later};
use super::unavailable::Unavailable;
use crate::cloud::ec2::NodeTemplate;
use crate::cloud::ec2::errors::reason_of;
use crate::cloud::ec2::fleet::earlier::Holder;
use crate::cloud::{self, Answer, Earlier, Instance, LaunchError, Provider, Request, kwok};
use crate::observe::objects::{ObjectKey, Objects};
use crate::resources::quantities;

/// What takes longer to be written down holds up nobody else.
const MOMENT: Duration = Duration::from_secs(5);
/// An answer that takes longer does not come: it is asked again, and an instance that there is is the answer.
const LOST: Duration = Duration::from_secs(3 * 60);
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Characters of a condition's message.
const LONGEST_MESSAGE: usize = 300;

/// Launches that are under way, by the uid of the claim. A process that does not know of them asks again, and the cloud answers
/// with the instance that there is.
#[derive(Debug, Default)]
pub(super) struct Launches(BTreeMap<Arc<str>, State>);

#[derive(Debug)]
enum State {
    /// The cloud has not answered.
    Asked {
        since: Timestamp,
        /// Before that.
        failures: u32,
    },
    /// The claim does not say so yet; since when.
    Launched(Box<Instance>, Timestamp),
    /// There is none, and the claim goes.
    Refused(LaunchError),
    Failed {
        reason: String,
        failures: u32,
        until: Timestamp,
    },
}

impl Launches {
    /// Whether the cloud was asked for the instance of a claim and may still answer.
    pub fn is_asked(&self, uid: &str, now: Timestamp) -> bool {
        matches!(self.0.get(uid), Some(State::Asked { since, .. }) if later(*since, LOST) > now)
    }

    /// Whether the cloud has said that a claim has no instance, and gets none.
    pub fn is_refused(&self, uid: &str) -> bool {
        matches!(self.0.get(uid), Some(State::Refused(_)))
    }

    /// An instance of which the claim does not say yet.
    pub fn instance_of(&self, uid: &str) -> Option<Arc<str>> {
        match self.0.get(uid) {
            Some(State::Launched(instance, _)) => Some(instance.provider_id.clone()),
            _ => None,
        }
    }

    /// The instances of which claims do not say yet.
    pub fn instances(&self) -> impl Iterator<Item = &str> {
        self.0.values().filter_map(|state| match state {
            State::Launched(instance, _) => Some(&*instance.provider_id),
            _ => None,
        })
    }

    /// Whether a cloud was just asked, or has just answered, or has not said yet what there is: what is decided about is about to change.
    pub fn is_busy(&self, market: &Market, now: Timestamp) -> bool {
        let is_fresh = |state: &State| matches!(state, State::Asked { since, .. } | State::Launched(_, since) if later(*since, MOMENT) > now);
        market.is_awaited() || self.0.values().any(is_fresh)
    }

    /// Takes an answer in. What cannot be had now is noted.
    pub fn take(&mut self, answer: Answer, unavailable: &mut Unavailable, now: Timestamp) {
        let (claim, result) = match answer {
            Answer::Launched { claim, result } => (claim, result),
            Answer::Unavailable(offerings) => return unavailable.note(&offerings, now),
            Answer::Listed(_) | Answer::Terminated { .. } => return,
        };
        // that of an attempt before the one that brought the instance
        if result.is_err() && matches!(self.0.get(&claim), Some(State::Launched(..))) {
            if let Err(LaunchError::InsufficientCapacity(offerings)) = &result {
                unavailable.note(offerings, now);
            }
            return;
        }
        let state = match result {
            Ok(instance) => State::Launched(instance, now),
            Err(LaunchError::Other(reason)) => return self.fail(claim, reason, now),
            Err(error) => {
                if let LaunchError::InsufficientCapacity(offerings) = &error {
                    unavailable.note(offerings, now);
                }
                State::Refused(error)
            }
        };
        self.0.insert(claim, state);
    }

    fn ask(&mut self, claim: Arc<str>, now: Timestamp) {
        let failures = self.failures(&claim);
        self.0.insert(claim, State::Asked { since: now, failures });
    }

    /// It is tried again after a pause that grows.
    fn fail(&mut self, claim: Arc<str>, reason: String, now: Timestamp) {
        let failures = self.failures(&claim);
        let pause = FIRST_PAUSE.saturating_mul(1 << failures.min(16)).min(LONGEST_PAUSE);
        self.0.insert(claim, State::Failed { reason, failures: failures + 1, until: now + pause });
    }

    /// In a row.
    fn failures(&self, claim: &str) -> u32 {
        match self.0.get(claim) {
            Some(State::Asked { failures, .. } | State::Failed { failures, .. }) => *failures,
            _ => 0,
        }
    }
}

/// Asks for instances, and writes down what became of it.
pub(super) fn step(cluster: &Cluster<'_>, market: &Market, launches: &mut Launches, turn: &mut Turn<'_>) {
    if market.is_awaited() {
        return; // nothing was asked for yet
    }
    let there: Vec<&Claimed> = cluster.claims.iter().filter(|claimed| !claimed.is(LAUNCHED)).collect();
    launches.0.retain(|uid, _| there.iter().any(|claimed| claimed.uid() == &**uid));
    for claimed in there.into_iter().filter(|claimed| !claimed.is_deleting()) {
        turn.about(claimed);
        match of_claim(claimed, launches, turn) {
            Next::Ask => ask(cluster, claimed, market, launches, turn),
            Next::Wait => {}
        }
    }
    turn.about_all();
}

enum Next {
    Ask,
    Wait,
}

fn of_claim(claimed: &Claimed<'_>, launches: &Launches, turn: &mut Turn<'_>) -> Next {
    let is_late = |turn: &mut Turn<'_>| {
        let created = claimed.claim.metadata.creation_timestamp.as_ref().map(|time| time.0);
        created.is_some_and(|created| turn.is_due(later(created, LAUNCH_TIMEOUT)))
    };
    match launches.0.get(claimed.uid()) {
        None => return Next::Ask,
        Some(State::Asked { since, .. }) if turn.is_due(later(*since, LOST)) => {
            if !is_late(turn) {
                return Next::Ask;
            }
            give_up(claimed, GivenUp::LaunchTimeout, "the cloud does not answer", turn);
        }
        Some(State::Asked { since, .. }) => turn.look_again(later(*since, MOMENT)),
        Some(State::Launched(instance, since)) => {
            turn.look_again(later(*since, MOMENT));
            if is_late(turn) {
                give_up(claimed, GivenUp::LaunchTimeout, "its labels or status could not be written", turn);
            } else {
                note(claimed, instance, turn);
            }
        }
        Some(State::Refused(error)) => give_up(claimed, why(error), &error.to_string(), turn),
        Some(State::Failed { reason, until, .. }) => {
            if is_late(turn) {
                let reason = format!("not launched within {} s: {reason}", LAUNCH_TIMEOUT.as_secs());
                give_up(claimed, GivenUp::LaunchTimeout, &reason, turn);
                return Next::Wait;
            }
            note_failure(claimed, reason, turn);
            if turn.is_due(*until) {
                return Next::Ask;
            }
        }
    }
    Next::Wait
}

fn why(error: &LaunchError) -> GivenUp {
    match error {
        LaunchError::InsufficientCapacity(_) => GivenUp::InsufficientCapacity,
        LaunchError::NodeClassNotReady(_) => GivenUp::NodeClassNotReady,
        LaunchError::Other(_) => GivenUp::LaunchTimeout,
    }
}

/// What may be bought for a claim: first what it names, then whatever it allows, the cheapest first. What cannot be asked for now
/// is tried again, like what a cloud fails at.
fn ask(cluster: &Cluster<'_>, claimed: &Claimed<'_>, market: &Market, launches: &mut Launches, turn: &mut Turn<'_>) {
    let (claim, uid): (Arc<str>, Arc<str>) = (Arc::from(claimed.name()), Arc::from(claimed.uid()));
    let faults = || faults(cluster.objects, claimed, turn.settings.provider);
    let asked = market.types_for(claimed.claim).and_then(|types| Ok((types, faults()?)));
    let (types, faults) = match asked {
        Ok(asked) => asked,
        Err(reason) => return fail(claimed, launches, reason, turn),
    };
    let options = cloud::options(&types, claimed.claim);
    if options.is_empty() {
        let of_pool = claimed.pool().and_then(|pool| market.pool(pool)).and_then(|pool| pool.unusable.as_ref());
        if let Some(reason) = of_pool {
            return give_up(claimed, GivenUp::NodeClassNotReady, reason, turn);
        }
        let reason = "no instance type that the claim allows can be bought now";
        return give_up(claimed, GivenUp::InsufficientCapacity, reason, turn);
    }
    let node = node(cluster.objects, claimed, turn.settings.provider);
    let launch =
        cloud::Launch { claim, uid: uid.clone(), types, options, faults, node, earlier: earlier(cluster, claimed) };
    turn.act(Action::Cloud(Request::Launch(launch)));
    launches.ask(uid, turn.now);
}

fn fail(claimed: &Claimed<'_>, launches: &mut Launches, reason: String, turn: &mut Turn<'_>) {
    note_failure(claimed, &reason, turn);
    launches.fail(Arc::from(claimed.uid()), reason, turn.now);
    if let Some(State::Failed { until, .. }) = launches.0.get(claimed.uid()) {
        turn.look_again(*until);
    }
}

/// What the node class of a claim says that launches are to fail at, where the cloud is one that is played.
fn faults(objects: &Objects, claimed: &Claimed<'_>, provider: Provider) -> Result<kwok::Faults, String> {
    if provider != Provider::Kwok {
        return Ok(kwok::Faults::default());
    }
    let class = &claimed.claim.spec.node_class_ref;
    let key = ObjectKey { namespace: Arc::from(""), name: Arc::from(class.name.as_str()) };
    let annotations = objects.metadata(&class.kind, &key).and_then(|meta| meta.annotations.as_ref());
    kwok::Faults::of(annotations).map_err(|reason| format!("{} {}: {reason}", class.kind, class.name))
}

/// What the node of a claim is made with, where the cloud is EC2.
fn node(
    objects: &Objects,
    claimed: &Claimed<'_>,
    provider: Provider,
) -> Option<Result<Arc<NodeTemplate>, LaunchError>> {
    if provider != Provider::Ec2 {
        return None;
    }
    let name = claimed.claim.spec.node_class_ref.name.as_str();
    let key = ObjectKey { namespace: Arc::from(""), name: Arc::from(name) };
    Some(match objects.ec2_node_classes.get(&key) {
        Some(class) => NodeTemplate::of(claimed.claim, &class.object).map(Arc::new),
        None => Err(LaunchError::NodeClassNotReady(format!("EC2NodeClass {name}: it is not there, or cannot be read"))),
    })
}

/// The launch that a claim says it was a part of, and who else was.
fn earlier(cluster: &Cluster<'_>, claimed: &Claimed<'_>) -> Option<Earlier> {
    let token = claimed.launch()?;
    let holder = |of: &Claimed<'_>| Holder {
        uid: Arc::from(of.uid()),
        provider_id: of.claim.status.as_ref().and_then(|status| status.provider_id.as_deref()).map(Arc::from),
    };
    let mut holders: Vec<Holder> = cluster.all_claims().filter(|of| of.launch() == Some(token)).map(holder).collect();
    holders.sort();
    Some(Earlier { token: Arc::from(token), holders: Arc::new(holders) })
}

/// Labels, then the status: who sees that it is launched sees the labels, too.
fn note(claimed: &Claimed<'_>, instance: &Instance, turn: &mut Turn<'_>) {
    let claim = claimed.claim;
    let known = claim.metadata.labels.as_ref();
    let missing: Map<String, Value> = instance
        .labels_of(claim)
        .iter()
        .filter(|(key, value)| known.and_then(|known| known.get(&***key)).map(String::as_str) != Some(&***value))
        .map(|(key, value)| (key.to_string(), json!(value)))
        .collect();
    if !missing.is_empty() {
        turn.patch("NodeClaim", &claim.metadata, json!({"metadata": {"labels": missing}}));
        return;
    }
    let status = claim.status.as_ref();
    let known = status.map_or(&[][..], |status| &status.conditions);
    let mut conditions = Conditions::of(known, claim.metadata.generation, turn.now);
    conditions.set_true(LAUNCHED);
    conditions.set(REGISTERED, "Unknown", NODE_NOT_FOUND.0, NODE_NOT_FOUND.1);
    conditions.set(INITIALIZED, "Unknown", "AwaitingReconciliation", "the node is not known yet");
    conditions.sum_up(&OF_CLAIM);
    let body = json!({
        "providerID": instance.provider_id,
        "imageID": instance.image_id,
        "capacity": quantities(&instance.kind.capacity),
        "allocatable": quantities(&instance.kind.allocatable),
        "conditions": conditions.into_list(),
    });
    if turn.patch_status("NodeClaim", &claim.metadata, &body) {
        turn.say_once_taken(Said::Launched {
            claim: Arc::from(claimed.name()),
            provider_id: instance.provider_id.clone(),
            instance_type: instance.kind.name.clone(),
            zone: instance.offering.zone.clone(),
        });
    }
}

fn note_failure(claimed: &Claimed<'_>, reason: &str, turn: &mut Turn<'_>) {
    let status = claimed.claim.status.as_ref();
    let known = status.map_or(&[][..], |status| &status.conditions);
    let message: String = reason.chars().take(LONGEST_MESSAGE).collect();
    if known.iter().any(|known| known.type_ == LAUNCHED && known.message == message) {
        return;
    }
    let mut conditions = Conditions::of(known, claimed.claim.metadata.generation, turn.now);
    conditions.set(LAUNCHED, "Unknown", reason_of(reason), &message).sum_up(&OF_CLAIM);
    let body = json!({"conditions": conditions.into_list()});
    if turn.patch_status("NodeClaim", &claimed.claim.metadata, &body) {
        turn.say(Said::LaunchFailed { claim: Arc::from(claimed.name()), reason: reason.to_owned() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::kwok::instance_types;

    #[test]
    fn the_refusal_of_an_earlier_attempt_does_not_hide_an_instance() {
        let kind = instance_types().remove(0);
        let offering = kind.offerings[0].clone();
        let instance = Instance { provider_id: "kwok://one".into(), image_id: None, kind, offering };
        let (mut launches, mut unavailable) = (Launches::default(), Unavailable::default());
        let mut take = |result| {
            let answer = Answer::Launched { claim: "uid".into(), result };
            launches.take(answer, &mut unavailable, Timestamp::UNIX_EPOCH);
            launches.instance_of("uid")
        };
        assert_eq!(take(Err(LaunchError::Other("lost".to_owned()))), None);
        assert_eq!(take(Ok(Box::new(instance))).as_deref(), Some("kwok://one"));
        for late in [LaunchError::InsufficientCapacity(Vec::new()), LaunchError::Other("lost".to_owned())] {
            assert_eq!(take(Err(late)).as_deref(), Some("kwok://one"));
        }
    }
}
