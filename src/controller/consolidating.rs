//! Nodes that are used go where their pods fit elsewhere, or for less: when that is asked, and how a command begins.
//!
//! Asked when no pod waits that has not been planned, nothing is on its way, and something has changed since nothing was found. Of
//! the answer the first command is begun that is still valid. Its claims say why they go, their nodes are closed, and what comes for
//! them is made; the rest is [`super::replacing`]'s. Where nothing comes for them they are deleted at once.
//!
//! Source: the reference's `disruption/controller.go` (karpenter-core 4.1, 4.8). One command at a time is ours.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Action;
use super::closing::{InHand, budget, is_closed, note_reason, reason_since, set_taint};
use super::cluster::{Claimed, Cluster};
use super::create::{create_claim, free_name};
use super::replacing::{Replaces, UNDERUTILIZED, is_marked};
use super::said::{Said, Saving};
use super::turn::{Turn, later};
use super::valves::Room;
use crate::api::labels;
use crate::consolidation::{Command, Policy, is_valid};
use crate::disruption::{Method, candidates};
use crate::observe::Snapshot;
use crate::observe::objects::Objects;
use crate::placement::signature::signature;
use crate::placement::{ClaimPlan, ExpectedPods};
use crate::plan::claims::node_claim;

/// It is asked at most so often, as the reference does.
const EVERY: Duration = Duration::from_secs(10);
/// And again after so long, also where nothing has changed but the time.
const AGAIN: Duration = Duration::from_secs(5 * 60);
/// To close nodes and to make claims takes as long as the API server takes.
const BEGINNING: Duration = Duration::from_secs(60);

/// What is asked, and the command that is being begun; another process begins anew.
#[derive(Debug, Default)]
pub(super) struct Consolidating {
    asked: Option<Asked>,
    answer: Option<Answer>,
    /// When it was asked last.
    at: Option<Timestamp>,
    /// Nothing was found here.
    nothing: Option<(Timestamp, Arc<Snapshot>)>,
    /// Something has happened since a Snapshot was taken.
    is_stirred: bool,
    begun: Option<Begun>,
}

#[derive(Debug)]
struct Asked {
    question: u64,
    snapshot: Arc<Snapshot>,
}

#[derive(Debug)]
struct Answer {
    snapshot: Arc<Snapshot>,
    commands: Vec<Command>,
}

/// A command until its claims are made, or deleted.
#[derive(Debug)]
struct Begun {
    at: Timestamp,
    snapshot: Arc<Snapshot>,
    /// Claims that go.
    going: InHand,
    /// Claims that nobody has seen yet.
    to_make: Vec<Made>,
    /// Those that are there.
    made: Vec<Arc<str>>,
}

/// A claim to make.
#[derive(Debug)]
struct Made {
    name: Arc<str>,
    /// Index into the pools of the Snapshot.
    pool: usize,
    claim: Value,
    plan: ClaimPlan,
    instance_type: Arc<str>,
    pods: usize,
}

impl Consolidating {
    /// Notes that something has happened in the cluster.
    pub fn stir(&mut self, has_changed: bool) {
        self.is_stirred |= has_changed;
    }

    pub fn answered(&mut self, question: u64, commands: Vec<Command>) {
        if let Some(Asked { snapshot, .. }) = self.asked.take_if(|asked| asked.question == question) {
            self.answer = Some(Answer { snapshot, commands });
        }
    }

    /// What was answered is of a cluster that has other things to do.
    pub fn forget_answer(&mut self) {
        self.is_stirred |= self.answer.take().is_some();
    }

    /// Claims that go for a command that is being begun.
    pub fn in_hand(&self) -> InHand {
        self.begun.as_ref().map(|begun| begun.going.clone()).unwrap_or_default()
    }

    /// Asks, or begins what was answered, while nothing else is to be done. `question`: the number of the next one.
    pub fn step(
        &mut self,
        cluster: &Cluster<'_>,
        mut snapshot: impl FnMut() -> Arc<Snapshot>,
        room: impl FnOnce() -> Room,
        (policy, question): (Policy, &mut u64),
        turn: &mut Turn<'_>,
    ) {
        if let Some(answer) = self.answer.take() {
            let now = snapshot();
            match chosen(cluster, &now, &answer, room, turn) {
                Some(command) if turn.settings.shadow => {
                    turn.say(Said::WouldConsolidate(saving(&command)));
                    self.nothing = Some((turn.now, answer.snapshot));
                }
                Some(command) => {
                    self.begun = begin(cluster, now, &command, turn);
                    return self.go_on(cluster, turn);
                }
                None => self.nothing = Some((turn.now, answer.snapshot)),
            }
        }
        let is_over = self.nothing.as_ref().is_none_or(|(at, _)| turn.is_time(later(*at, AGAIN)));
        if self.asked.is_some() || !(self.is_stirred || is_over) {
            return;
        }
        if self.at.is_some_and(|at| !turn.is_time(later(at, EVERY))) {
            return;
        }
        self.at = Some(turn.now);
        self.is_stirred = false;
        let now = snapshot();
        // pods of nodes that drain are about to need room
        if now.pods.iter().any(|pod| pod.displaced) {
            self.is_stirred = true;
            return turn.step_again(later(turn.now, EVERY));
        }
        if !is_over && self.nothing.as_ref().is_some_and(|(_, before)| is_same(before, &now)) {
            return;
        }
        *question += 1;
        self.asked = Some(Asked { question: *question, snapshot: now.clone() });
        turn.step.actions.push(Action::Consolidate { question: *question, snapshot: now, policy });
    }

    /// Takes the command that is being begun one step further.
    pub fn go_on(&mut self, cluster: &Cluster<'_>, turn: &mut Turn<'_>) {
        let Some(begun) = &mut self.begun else { return };
        let going: Vec<&Claimed<'_>> =
            cluster.our_claims().filter(|claimed| begun.going.contains(claimed.name())).collect();
        let left: Vec<&Claimed<'_>> = going.iter().filter(|claimed| !claimed.is_deleting()).copied().collect();
        let replaces = !begun.to_make.is_empty() || !begun.made.is_empty();
        let is_over = if replaces { left.len() < begun.going.len() } else { left.is_empty() };
        let is_gone = begun.made.iter().any(|name| !cluster.has_claim(name));
        if is_over || is_gone || turn.is_time(later(begun.at, BEGINNING)) {
            self.begun = None;
            return;
        }
        if !mark(&left, turn) {
            return;
        }
        if !replaces {
            for claimed in left {
                if turn.delete_claim_as_read(claimed) {
                    let claim = Arc::from(claimed.name());
                    turn.say_once_taken(Said::Disrupting { claim, reason: UNDERUTILIZED });
                }
            }
            return;
        }
        let (made, to_make) =
            std::mem::take(&mut begun.to_make).into_iter().partition(|of| cluster.has_claim(&of.name));
        begun.to_make = to_make;
        begun.made.extend(Vec::from_iter::<Vec<Made>>(made).into_iter().map(|of| of.name));
        for of in &begun.to_make {
            make(&begun.snapshot, of, turn);
        }
        if begun.to_make.is_empty() {
            for claim in &begun.made {
                turn.say(Said::AwaitingReplacement { claim: claim.clone() });
            }
            self.begun = None;
        }
    }
}

/// Whether nothing but the time is different.
fn is_same(before: &Snapshot, now: &Snapshot) -> bool {
    Snapshot { taken_at: before.taken_at, ..now.clone() } == *before
}

/// The first command that may be begun in the cluster as it is.
fn chosen(
    cluster: &Cluster<'_>,
    now: &Snapshot,
    answer: &Answer,
    room: impl FnOnce() -> Room,
    turn: &mut Turn<'_>,
) -> Option<Command> {
    let names = |of: &Snapshot| of.node_pools.iter().map(|pool| pool.name.clone()).collect::<Vec<_>>();
    if names(now) != names(&answer.snapshot) {
        return None; // launches name their pool by its number
    }
    let standing = candidates(now, Method::Underutilized, turn.now).into_iter();
    let candidates: BTreeSet<&str> =
        standing.filter(|of| of.verdict.is_ok()).map(|of| &*now.nodes[of.node].name).collect();
    let mut commands = answer.commands.iter().filter(|command| command.method == Method::Underutilized);
    let command = commands.find(|command| {
        command.removed.iter().all(|of| candidates.contains(&*of.node))
            && is_within_budgets(cluster, now, command, turn)
            && is_valid(now, command)
    })?;
    let mut room = room();
    for launch in &command.launches {
        let pool = &now.node_pools[launch.pool].name;
        if let Err(valve) = room.take(pool, launch.worst_price()) {
            turn.say(Said::HeldBack { valve, pool: pool.clone(), claims: command.launches.len() });
            return None;
        }
    }
    Some(command.clone())
}

fn is_within_budgets(cluster: &Cluster<'_>, now: &Snapshot, command: &Command, turn: &mut Turn<'_>) -> bool {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for removed in &command.removed {
        let node = now.nodes.iter().find(|node| node.name == removed.node);
        *counts.entry(node.and_then(|node| node.pool.as_deref()).unwrap_or_default()).or_default() += 1;
    }
    let reason = Method::Underutilized.reason();
    counts.into_iter().all(|(pool, count)| count <= budget(cluster, pool, reason, &InHand::new(), turn))
}

fn begin(cluster: &Cluster<'_>, now: Arc<Snapshot>, command: &Command, turn: &mut Turn<'_>) -> Option<Begun> {
    let claim_of = |name: &Arc<str>| now.nodes.iter().find(|node| node.name == *name)?.claim.clone();
    let going: InHand = command.removed.iter().map(|of| claim_of(&of.node)).collect::<Option<_>>()?;
    let mut with: Vec<Arc<str>> = Vec::new();
    for launch in &command.launches {
        let mut seed = format!("{} {} {going:?}", launch.name, now.taken_at);
        let name = loop {
            let name = free_name(&now.node_pools[launch.pool].name, &seed, cluster.objects);
            if !with.contains(&name) {
                break name;
            }
            seed.push_str(" again");
        };
        with.push(name);
    }
    let replaces = Replaces { claims: going.iter().cloned().collect(), with: with.clone() };
    let to_make = command.launches.iter().zip(with).map(|(launch, name)| {
        let (plan, pods) = planned(command, &launch.name, &now, cluster.objects);
        let mut launch = launch.clone();
        launch.name = name.clone();
        let mut claim = node_claim(&now.node_pools[launch.pool], &launch);
        claim["metadata"]["annotations"][labels::REPLACES] = json!(replaces.to_annotation());
        let instance_type = launch.offers.first().map_or_else(|| Arc::from(""), |offer| offer.instance_type.clone());
        Made { name, pool: launch.pool, claim, plan, instance_type, pods }
    });
    let to_make = to_make.collect();
    turn.say(Said::Consolidating(saving(command)));
    Some(Begun { at: turn.now, snapshot: now, going, to_make, made: Vec::new() })
}

/// Its pods come back as new ones of their owners: the node is kept for those. And how many it is for.
fn planned(command: &Command, launch: &Arc<str>, now: &Snapshot, objects: &Objects) -> (ClaimPlan, usize) {
    let mut expected: BTreeMap<(Arc<str>, Arc<str>, String), usize> = BTreeMap::new();
    let mut plan = ClaimPlan::default();
    let here: Vec<_> = command.moves.iter().filter(|of| of.to == *launch).collect();
    for moved in &here {
        let owner = now.pods.iter().find(|pod| pod.key == moved.pod).and_then(|pod| pod.owner.as_ref());
        let object = objects.pods.get(&moved.pod).map(|pod| &pod.object);
        let (Some(owner), Some(object)) = (owner, object) else { continue };
        *expected.entry((moved.pod.namespace.clone(), owner.uid.clone(), signature(object))).or_default() += 1;
        if !plan.replaces.contains(&moved.from) {
            plan.replaces.push(moved.from.clone());
        }
    }
    let expected = expected.into_iter().map(|((namespace, owner, signature), count)| {
        let signature = signature.into();
        ExpectedPods { namespace, owner, signature, count }
    });
    plan.expected = expected.collect();
    (plan, here.len())
}

/// Has every claim say why it goes, and its node take no pods; whether that is so. The reason comes first: a node that is closed
/// without one is opened again.
fn mark(going: &[&Claimed<'_>], turn: &mut Turn<'_>) -> bool {
    for claimed in going {
        match reason_since(claimed) {
            None => note_reason(claimed, Some(UNDERUTILIZED), turn),
            Some((UNDERUTILIZED, _)) => {
                claimed.nodes.iter().filter(|node| !is_closed(node)).for_each(|node| set_taint(node, true, turn));
            }
            Some(_) => {}
        }
    }
    going.iter().all(|claimed| is_marked(claimed))
}

fn make(snapshot: &Snapshot, of: &Made, turn: &mut Turn<'_>) {
    let pool = &snapshot.node_pools[of.pool];
    if create_claim(pool, of.claim.clone(), &of.plan, turn) {
        let (claim, pool, pods) = (of.name.clone(), pool.name.clone(), of.pods);
        turn.say_once_taken(Said::Replacing { claim, pool, pods, instance_type: of.instance_type.clone() });
    }
}

fn saving(command: &Command) -> Saving {
    Saving {
        nodes: command.removed.iter().map(|of| of.node.clone()).collect(),
        launches: command.launches.len(),
        pods: command.moves.len(),
        saved: command.saved,
    }
}
