//! Nodes that are used go where their pods fit elsewhere, or for less, and where they are drifted: when that is asked, and which
//! commands begin.
//!
//! Asked when no pods are being planned, something has changed since nothing was found, and less and less often while nothing is
//! found. Of the answer all commands begin that are valid beside one another; how a command begins is [`super::beginning`]'s, and
//! the rest [`super::replacing`]'s.
//!
//! Source: the reference's `disruption/controller.go` (karpenter-core 4.1, 4.8). Several commands at once are ours.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::Action;
use super::beginning::{Begun, Stage, begin};
use super::closing::{InHand, allowance, takes_no_pods};
use super::cluster::Cluster;
use super::drift::DRIFTED;
use super::event::Subject;
use super::looks::Looks;
use super::question::{Leaving, View, Views};
use super::said::Said;
use super::saving::Saving;
use super::static_drift;
use super::turn::{Turn, later};
use super::valves::{Room, Valve};
use crate::consolidation::{Command, EvictionLimit, Found, Move, Policy, are_valid, settled, under_way};
use crate::disruption::{Evictions, Method, candidates};
use crate::observe::Snapshot;
use crate::observe::snapshot::{Node, NodeStage, PodKey};
use crate::plan::Launch;

/// It is asked at most so often: a search may take seconds of a core, and a saving of dollars an hour can wait. (The reference polls
/// every 10 s.)
const EVERY: Duration = Duration::from_secs(30);
/// Where a node has drifted since it was asked last: that is no matter of cents, and a question about it is seldom in vain.
const EVERY_OF_DRIFT: Duration = Duration::from_secs(10);
/// While nothing is found the pause doubles up to this; so late it is also asked where nothing has changed but the time.
const LONGEST: Duration = Duration::from_secs(5 * 60);
/// Pods that are about to be planned are waited for, but no longer than this.
const PATIENCE: Duration = Duration::from_secs(60);
/// While a node is not initialized after so long nothing is replaced by another one of its pool.
const STUCK: Duration = Duration::from_secs(5 * 60);
/// Of a command that is carried out pods may take so long to leave; then no room is kept for them any more.
const UNDER_WAY: Duration = Duration::from_secs(15 * 60);
/// An answer of a cluster as it was so long ago is none.
const OLD: Duration = Duration::from_secs(60);
/// Evictions of so long are limited together.
const HOUR: Duration = Duration::from_secs(60 * 60);

/// What is asked, and the commands that are being begun; another process begins anew.
#[derive(Debug, Default)]
pub(super) struct Consolidating {
    asked: Option<Asked>,
    answer: Option<Answer>,
    /// When it was asked last.
    at: Option<Timestamp>,
    /// Until it is asked again.
    pause: Duration,
    /// Nothing was found here.
    nothing: Option<(Timestamp, Arc<Snapshot>)>,
    /// Something has happened since a Snapshot was taken.
    is_stirred: bool,
    /// Claims that are drifted, by name, and whether it was asked since they are.
    drifted: BTreeMap<Arc<str>, bool>,
    begun: Vec<Begun>,
    /// Of commands that are carried out, since when, the pods that go to nodes that were there.
    under_way: Vec<(Timestamp, Vec<Move>)>,
    /// Pods of commands that were carried out within the last hour, and when.
    evicted: VecDeque<(Timestamp, usize)>,
    /// It was said that there are as many as may be.
    is_held_back: bool,
    /// Static pools of which a drifted node was to be replaced, until when no other one is.
    paused: BTreeMap<Arc<str>, Timestamp>,
    /// Nodes, by name, and when they were in a set that was tried, or became known.
    examined: BTreeMap<Arc<str>, Timestamp>,
}

#[derive(Debug)]
struct Asked {
    question: u64,
    at: Timestamp,
    snapshot: Arc<Snapshot>,
}

#[derive(Debug)]
struct Answer {
    at: Timestamp,
    snapshot: Arc<Snapshot>,
    commands: Vec<Command>,
    is_whole: bool,
}

impl Consolidating {
    /// Notes that something has happened in the cluster.
    pub fn stir(&mut self, has_changed: bool) {
        self.is_stirred |= has_changed;
    }

    /// `None`: the search has broken down.
    pub fn answered(&mut self, question: u64, found: Option<Found>, said: &mut Vec<Said>) -> Option<Timestamp> {
        let Asked { at, snapshot, .. } = self.asked.take_if(|asked| asked.question == question)?;
        let Found { commands, examined, is_whole, outlook } = found.unwrap_or_default();
        said.extend(outlook.map(Said::Outlook));
        let mut known = BTreeMap::new();
        for standing in candidates(&snapshot, Method::Underutilized, at).into_iter().filter(|of| of.verdict.is_ok()) {
            let name = &snapshot.nodes[standing.node].name;
            let is_examined = examined.contains(name);
            let last = if is_examined { at } else { self.examined.get(name).copied().unwrap_or(at) };
            known.insert(name.clone(), last);
        }
        self.examined = known;
        let oldest =
            self.examined.values().min().map_or(Duration::ZERO, |oldest| {
                Duration::try_from(at.duration_since(*oldest)).unwrap_or(Duration::ZERO)
            });
        said.push(Said::Examined { nodes: examined.len(), oldest });
        self.answer = Some(Answer { at, snapshot, commands, is_whole });
        Some(at)
    }

    /// Claims that go for commands that are being begun.
    pub fn in_hand(&self) -> InHand {
        self.begun.iter().flat_map(Begun::going).cloned().collect()
    }

    /// Pods of commands that are being begun: the room that they need is kept free.
    pub fn leaving(&self, cluster: &Cluster<'_>) -> Leaving {
        let moves = self.begun.iter().flat_map(|begun| &begun.command().moves);
        let found = moves.filter_map(|of| Some((uid_where_it_was(of, cluster)?, of)));
        found.map(|(uid, of)| (uid, Some(of.to.clone()).filter(|to| is_there(to, cluster)))).collect()
    }

    /// Pods of commands that are carried out which have not left yet, and the nodes that they go to, where these were there before. (What
    /// claims that come for others are kept for, stands in their plan.)
    pub fn under_way(&mut self, cluster: &Cluster<'_>, now: Timestamp) -> HashMap<Arc<str>, Arc<str>> {
        // a node that is open again keeps its pods
        let leaves = |of: &Move| takes_no_pods(cluster.objects, &of.from) && uid_where_it_was(of, cluster).is_some();
        self.under_way.iter_mut().for_each(|(_, moves)| moves.retain(leaves));
        self.under_way.retain(|(since, moves)| later(*since, UNDER_WAY) > now && !moves.is_empty());
        let moves = self.under_way.iter().flat_map(|(_, moves)| moves);
        moves.filter_map(|of| Some((uid_where_it_was(of, cluster)?, of.to.clone()))).collect()
    }

    /// Begins what was answered, and asks again in time; whether something was begun. `is_calm`: no pods are about to be planned;
    /// `question`: the number of the next one.
    pub fn step(
        &mut self,
        cluster: &Cluster<'_>,
        views: &mut Views<'_>,
        room: impl FnOnce() -> Room,
        (policy, is_calm, question): (Policy, bool, &mut u64),
        turn: &mut Turn<'_>,
    ) -> bool {
        let before = self.begun.len();
        if let Some(answer) = self.answer.take() {
            let is_begun = turn.now <= later(answer.at, OLD) && self.begin(cluster, views, &answer, room, turn);
            self.pause = match is_begun {
                _ if turn.settings.shadow => LONGEST, // it would say the same again
                true => EVERY,
                false => (self.pause * 2).clamp(EVERY, LONGEST),
            };
            if answer.is_whole && (answer.commands.is_empty() || turn.settings.shadow) {
                self.nothing = Some((turn.now, answer.snapshot));
            } else {
                self.is_stirred = true; // there may be more
            }
        }
        self.note_drift(cluster);
        self.ask(views, (policy, is_calm, question), turn);
        self.begun.len() > before
    }

    fn note_drift(&mut self, cluster: &Cluster<'_>) {
        cluster.forget_gone(&mut self.drifted);
        for claimed in cluster.looked_at() {
            if claimed.is(DRIFTED) && !claimed.is_deleting() {
                self.drifted.entry(claimed.key.name.clone()).or_insert(false);
            } else {
                self.drifted.remove(&claimed.key.name);
            }
        }
    }

    /// Begins to replace drifted nodes of static pools; whether there are some.
    pub fn replace_static(
        &mut self,
        cluster: &Cluster<'_>,
        views: &mut Views<'_>,
        mut room: impl FnMut() -> Room,
        turn: &mut Turn<'_>,
    ) -> bool {
        self.paused.retain(|_, until| *until > turn.now);
        let found = static_drift::begin(cluster, (&self.in_hand(), &self.paused), views, &mut room, turn);
        // also where a launch fails at once: a node is not closed and opened all the time
        let pause = if turn.settings.shadow { LONGEST } else { EVERY };
        self.paused.extend(found.pools.into_iter().map(|pool| (pool, later(turn.now, pause))));
        let is_any = !found.begun.is_empty();
        self.begun.extend(found.begun);
        is_any
    }

    fn ask(
        &mut self,
        views: &mut Views<'_>,
        (policy, is_calm, question): (Policy, bool, &mut u64),
        turn: &mut Turn<'_>,
    ) {
        let is_over = self.nothing.as_ref().is_none_or(|(at, _)| turn.is_time(later(*at, LONGEST)));
        if self.asked.is_some() || !self.begun.is_empty() || !(self.is_stirred || is_over) {
            return;
        }
        let at = *self.at.get_or_insert(turn.now);
        let has_drifted = self.drifted.values().any(|is_asked| !is_asked);
        let pause = if has_drifted { EVERY_OF_DRIFT } else { self.pause.max(EVERY) };
        if !turn.is_time(later(at, if is_calm { pause } else { pause.max(PATIENCE) })) {
            return;
        }
        let Some(policy) = self.limited(policy, views, turn) else { return };
        self.at = Some(turn.now);
        self.is_stirred = false;
        self.drifted.values_mut().for_each(|is_asked| *is_asked = true);
        let now = views.of(View::AsCommanded);
        if !is_over && self.nothing.as_ref().is_some_and(|(_, before)| is_same(before, &now)) {
            return;
        }
        *question += 1;
        self.asked = Some(Asked { question: *question, at: turn.now, snapshot: now.clone() });
        turn.step.actions.push(Action::Consolidate { question: *question, snapshot: now, policy });
    }

    /// The policy with what the limit of evictions leaves; `None`: it leaves nothing.
    fn limited(&mut self, policy: Policy, views: &mut Views<'_>, turn: &mut Turn<'_>) -> Option<Policy> {
        self.evicted.retain(|(at, _)| later(*at, HOUR) > turn.now);
        let Some(most) = turn.settings.valves.evictions_per_hour else { return Some(policy) };
        let limit = EvictionLimit { most, evicted: self.evicted.iter().map(|(_, pods)| pods).sum() };
        if limit.evicted < most {
            self.is_held_back = false;
            return Some(Policy { evictions_left: Some(limit), ..policy });
        }
        if let Some((first, _)) = self.evicted.front() {
            turn.step_again(later(*first, HOUR));
        }
        if !std::mem::replace(&mut self.is_held_back, true) {
            let now = views.of(View::AsCommanded);
            let pools = now.node_pools.iter().filter(|pool| pool.unusable.is_none());
            pools.for_each(|pool| {
                turn.say(Said::HeldBack { valve: Valve::EvictionsPerHour, pool: pool.name.clone(), claims: 0 });
            });
        }
        None
    }

    /// Begins all commands of an answer that may be; whether there is one.
    fn begin(
        &mut self,
        cluster: &Cluster<'_>,
        views: &mut Views<'_>,
        answer: &Answer,
        room: impl FnOnce() -> Room,
        turn: &mut Turn<'_>,
    ) -> bool {
        let snapshot = views.of(View::AsCommanded);
        let names = |of: &Snapshot| of.node_pools.iter().map(|pool| pool.name.clone()).collect::<Vec<_>>();
        if answer.commands.is_empty() || names(&snapshot) != names(&answer.snapshot) {
            return false; // launches name their pool by its number
        }
        let there: BTreeSet<&Arc<str>> = snapshot.nodes.iter().map(|node| &node.name).collect();
        let moving = snapshot.pods.iter().enumerate().filter(|(_, pod)| pod.displaced || views.leaves(&pod.uid));
        let mut evicted = Evictions::of(&snapshot, moving.map(|(index, _)| index));
        let place: BTreeMap<&PodKey, Option<&Arc<str>>> =
            snapshot.pods.iter().map(|pod| (&pod.key, pod.node.as_ref())).collect();
        let stuck = stuck(&snapshot, turn.now);
        let mut targets: BTreeSet<Arc<str>> = BTreeSet::new();
        let mut now = settled(&snapshot, &BTreeSet::new());
        let mut room = room();
        let mut is_begun = false;
        // empty nodes go as such
        for command in answer.commands.iter().filter(|command| command.method != Method::Empty) {
            let is_there = |to: &Arc<str>| there.contains(to) || command.launches.iter().any(|of| of.name == *to);
            let evictions = evictions(&now, command);
            let moves_now = |of: &Move| is_there(&of.to) && place.get(&of.pod) == Some(&Some(&of.from));
            let may = command.moves.iter().all(moves_now)
                && !command.removed.iter().any(|of| targets.contains(&of.node))
                && !command.launches.iter().any(|of| stuck.contains(&now.node_pools[of.pool].name))
                && are_ours(cluster, &now, command)
                && are_candidates(&now, command, turn.now)
                && self.is_within_budgets(cluster, &now, command, turn)
                && evictions.fit(&now, &evicted, command.removed.len() == 1)
                && are_valid(&now, &[command]);
            if !may {
                continue;
            }
            if turn.settings.shadow {
                turn.say(Said::WouldConsolidate(Saving::of(command)));
                return true;
            }
            let mut left = room.clone();
            let take = |launch: &Launch| {
                let pool = &now.node_pools[launch.pool].name;
                left.take(pool, launch.worst_price()).map_err(|valve| (valve, pool.clone()))
            };
            if let Err((valve, pool)) = command.launches.iter().try_for_each(take) {
                turn.say(Said::HeldBack { valve, pool, claims: command.launches.len() });
                continue;
            }
            room = left;
            let Some(begun) = begin(&now, command, turn) else { continue };
            self.begun.push(begun);
            targets.extend(command.moves.iter().map(|of| of.to.clone()));
            evicted.add(&evictions);
            now = under_way(&now, std::slice::from_ref(command));
            is_begun = true;
        }
        is_begun
    }

    fn is_within_budgets(&self, cluster: &Cluster<'_>, now: &Snapshot, command: &Command, turn: &mut Turn<'_>) -> bool {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for removed in &command.removed {
            let node = now.nodes.iter().find(|node| node.name == removed.node);
            *counts.entry(node.and_then(|node| node.pool.as_deref()).unwrap_or_default()).or_default() += 1;
        }
        let (reason, in_hand) = (command.method.reason(), self.in_hand());
        counts.into_iter().all(|(pool, count)| count <= allowance(cluster, pool, reason, &in_hand, turn).left())
    }

    /// Takes the commands that are being begun one step further. `is_open`: nothing is being decided that may want the same room.
    pub fn go_on(
        &mut self,
        cluster: &Cluster<'_>,
        (looks, views): (&mut Looks, &mut Views<'_>),
        mut room: impl FnMut() -> Room,
        is_open: bool,
        turn: &mut Turn<'_>,
    ) {
        let commands: Vec<Command> = self.begun.iter().map(|begun| begun.command().clone()).collect();
        let mut left = None;
        for (number, mut begun) in std::mem::take(&mut self.begun).into_iter().enumerate() {
            let others = [&commands[..number], &commands[number + 1..]].concat();
            match begun.go_on(cluster, (looks, &others), (views, is_open), (&mut left, &mut room), turn) {
                Stage::Beginning => self.begun.push(begun),
                Stage::Dropped => {}
                Stage::UnderWay => {
                    self.evicted.push_back((turn.now, begun.command().moves.len()));
                    let moves = begun.command().moves.iter().filter(|of| is_there(&of.to, cluster));
                    self.under_way.push((turn.now, moves.cloned().collect()));
                }
            }
        }
    }
}

/// The uid of a pod that has not moved yet. One that is on its way out has, as its owner makes another one at once; a StatefulSet
/// does so only once it is gone.
fn uid_where_it_was(of: &Move, cluster: &Cluster<'_>) -> Option<Arc<str>> {
    let pod = &cluster.objects.pods.get(&of.pod)?.object;
    let is_here = pod.spec.as_ref()?.node_name.as_deref() == Some(&*of.from);
    let mut owners = pod.metadata.owner_references.iter().flatten();
    let has_left = pod.metadata.deletion_timestamp.is_some() && !owners.any(|owner| owner.kind == "StatefulSet");
    pod.metadata.uid.as_deref().filter(|_| is_here && !has_left).map(Arc::from)
}

fn is_there(node: &str, cluster: &Cluster<'_>) -> bool {
    cluster.objects.nodes.contains_key(&Subject::of_cluster("Node", node).key)
}

/// Pools of which a node should long be initialized, and is not: another one would not be either.
pub(super) fn stuck(snapshot: &Snapshot, now: Timestamp) -> BTreeSet<Arc<str>> {
    let is_stuck = |node: &&Node| {
        let is_old = node.created_at.is_some_and(|created| later(created, STUCK) < now);
        node.claim.is_some() && !node.deleting && node.stage != NodeStage::Initialized && is_old
    };
    snapshot.nodes.iter().filter(is_stuck).filter_map(|node| node.pool.clone()).collect()
}

/// Whether nothing but the time is different.
fn is_same(before: &Snapshot, now: &Snapshot) -> bool {
    Snapshot { taken_at: before.taken_at, ..now.clone() } == *before
}

/// Whether all that go have claims of a node class that this process serves.
fn are_ours(cluster: &Cluster<'_>, now: &Snapshot, command: &Command) -> bool {
    let claims = || now.nodes.iter().filter(|node| command.removed.iter().any(|of| of.node == node.name));
    claims().count() == command.removed.len()
        && claims().all(|node| node.claim.as_ref().is_some_and(|claim| cluster.our_claim(claim).is_some()))
}

/// Whether nothing holds those that go.
pub(super) fn are_candidates(snapshot: &Snapshot, command: &Command, now: Timestamp) -> bool {
    let standing = candidates(snapshot, command.method, now).into_iter().filter(|of| of.verdict.is_ok());
    let free: BTreeSet<&str> = standing.map(|of| &*snapshot.nodes[of.node].name).collect();
    command.removed.iter().all(|of| free.contains(&*of.node))
}

fn evictions(snapshot: &Snapshot, command: &Command) -> Evictions {
    let goes = |node: &Arc<str>| command.removed.iter().any(|of| of.node == *node);
    let pods = snapshot.pods.iter().enumerate();
    let pods = pods.filter(|(_, pod)| pod.is_reschedulable() && pod.node.as_ref().is_some_and(goes));
    Evictions::of(snapshot, pods.map(|(index, _)| index))
}
