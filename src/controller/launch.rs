//! From a NodeClaim to an instance that runs, and what the claim says of it.
//!
//! Source: the reference's `nodeclaim/lifecycle/launch.go` (karpenter-core 5).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::action::{Action, Verb};
use super::cluster::{Claimed, Cluster};
use super::conditions::{Conditions, INITIALIZED, LAUNCHED, OF_CLAIM, REGISTERED};
use super::event::Subject;
use super::said::Said;
use super::turn::{Turn, later};
use crate::cloud::{self, Answer, Instance, LaunchError, Request};
use crate::observe::snapshot::NodePool;
use crate::resources::quantities;

/// A claim without instance is given up at this age.
const LAUNCH_TIMEOUT: Duration = Duration::from_secs(5 * 60);
/// What takes longer to be written down holds up nobody else.
const MOMENT: Duration = Duration::from_secs(5);
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
    /// The cloud has not answered; since when.
    Asked(Timestamp),
    /// The claim does not say so yet; since when.
    Launched(Box<Instance>, Timestamp),
    /// There is none, and the claim goes.
    Refused(LaunchError),
    Failed {
        reason: String,
        times: u32,
        until: Timestamp,
    },
}

impl Launches {
    /// Whether the cloud was asked for the instance of a claim and has not answered.
    pub fn is_asked(&self, uid: &str) -> bool {
        matches!(self.0.get(uid), Some(State::Asked(_)))
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

    /// Whether a cloud was just asked, or has just answered: what is decided about is about to change.
    pub fn is_busy(&self, now: Timestamp) -> bool {
        let is_fresh = |state: &State| matches!(state, State::Asked(since) | State::Launched(_, since) if later(*since, MOMENT) > now);
        self.0.values().any(is_fresh)
    }

    pub fn take(&mut self, answer: Answer, now: Timestamp, said: &mut Vec<Said>) {
        let Answer::Launched { claim, result } = answer else { return };
        let times = match self.0.get(&claim) {
            Some(State::Failed { times, .. }) => *times,
            _ => 0,
        };
        let state = match result {
            Ok(instance) => State::Launched(instance, now),
            Err(LaunchError::Other(reason)) => {
                said.push(Said::LaunchFailed { claim: claim.clone(), reason: reason.clone() });
                let pause = FIRST_PAUSE.saturating_mul(1 << times.min(16)).min(LONGEST_PAUSE);
                State::Failed { reason, times: times + 1, until: now + pause }
            }
            Err(error) => State::Refused(error),
        };
        self.0.insert(claim, state);
    }
}

/// Asks for instances, and writes down what became of it. `market`: what each pool can launch.
pub(super) fn step(cluster: &Cluster<'_>, market: &[NodePool], launches: &mut Launches, turn: &mut Turn<'_>) {
    let there: Vec<&Claimed> = cluster.claims.iter().filter(|claimed| !claimed.is(LAUNCHED)).collect();
    launches.0.retain(|uid, _| there.iter().any(|claimed| claimed.uid() == &**uid));
    for claimed in there.into_iter().filter(|claimed| !claimed.is_deleting()) {
        of_claim(claimed, market, launches, turn);
    }
}

fn of_claim(claimed: &Claimed<'_>, market: &[NodePool], launches: &mut Launches, turn: &mut Turn<'_>) {
    let uid = Arc::from(claimed.uid());
    let created = claimed.claim.metadata.creation_timestamp.as_ref().map(|time| time.0);
    match launches.0.get(&uid) {
        Some(State::Asked(since)) => return turn.look_again(later(*since, MOMENT)),
        Some(State::Launched(instance, since)) => {
            turn.look_again(later(*since, MOMENT));
            if is_late(created, turn) {
                return give_up(claimed, "its labels or status could not be written", turn);
            }
            return note(claimed, instance, turn);
        }
        Some(State::Refused(error)) => return give_up(claimed, &error.to_string(), turn),
        Some(State::Failed { reason, until, .. }) => {
            if is_late(created, turn) {
                return give_up(claimed, &format!("not launched within {} s", LAUNCH_TIMEOUT.as_secs()), turn);
            }
            note_failure(claimed, reason, turn);
            if !turn.is_due(*until) {
                return;
            }
        }
        None => {}
    }
    let Some(pool) = market.iter().find(|pool| claimed.pool() == Some(&*pool.name)) else {
        if is_late(created, turn) {
            return give_up(claimed, "its NodePool cannot be read", turn);
        }
        return note_failure(claimed, "its NodePool cannot be read", turn);
    };
    let Some(launch) = launch_of(claimed, pool) else {
        return give_up(claimed, "no instance type that the claim allows can be bought", turn);
    };
    turn.act(Action::Cloud(Request::Launch(launch)));
    launches.0.insert(uid, State::Asked(turn.now));
}

fn is_late(created: Option<Timestamp>, turn: &mut Turn<'_>) -> bool {
    created.is_some_and(|created| turn.is_due(later(created, LAUNCH_TIMEOUT)))
}

/// What may be bought for a claim: first what it names, then whatever it allows, the cheapest first.
fn launch_of(claimed: &Claimed<'_>, pool: &NodePool) -> Option<cloud::Launch> {
    let options = cloud::options(&pool.instance_types, claimed.claim);
    let (claim, uid) = (Arc::from(claimed.name()), Arc::from(claimed.uid()));
    (!options.is_empty()).then(|| cloud::Launch { claim, uid, types: pool.instance_types.clone(), options })
}

/// The claim goes, and its pods are planned anew.
fn give_up(claimed: &Claimed<'_>, reason: &str, turn: &mut Turn<'_>) {
    let subject = Subject::of_cluster("NodeClaim", claimed.name());
    let delete = Verb::Delete { uid: Arc::from(claimed.uid()), grace: None };
    if turn.write(subject, &claimed.claim.metadata, delete) {
        turn.say(Said::LaunchFailed { claim: Arc::from(claimed.name()), reason: reason.to_owned() });
    }
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
    for (part, reason) in [(REGISTERED, "AwaitingReconciliation"), (INITIALIZED, "AwaitingReconciliation")] {
        conditions.set(part, "Unknown", reason, "the node is not known yet");
    }
    conditions.sum_up(&OF_CLAIM);
    let body = json!({
        "providerID": instance.provider_id,
        "imageID": instance.image_id,
        "capacity": quantities(&instance.kind.capacity),
        "allocatable": quantities(&instance.kind.allocatable),
        "conditions": conditions.into_list(),
    });
    if turn.patch_status("NodeClaim", &claim.metadata, &body) {
        turn.say(Said::Launched {
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
    conditions.set(LAUNCHED, "Unknown", "LaunchFailed", &message).sum_up(&OF_CLAIM);
    let body = json!({"conditions": conditions.into_list()});
    turn.patch_status("NodeClaim", &claimed.claim.metadata, &body);
}
