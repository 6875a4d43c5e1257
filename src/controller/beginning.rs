//! How a command begins: its claims say why they go, and their nodes are closed. After a moment all is looked at once more. Then what
//! comes for them is made, or, where nothing does, they are deleted.
//!
//! A command that does not hold any more is dropped: [`super::replacing`] opens nodes again for which nobody comes.
//!
//! Source: the reference's `disruption/queue.go` and `disruption/validation.go` (karpenter-core 4.6, 4.8).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::closing::{InHand, SETTLED, allowance, is_closed, note_reason, reason_since, set_taint};
use super::cluster::{Claimed, Cluster};
use super::consolidating::are_candidates;
use super::create::{create_claim, free_name};
use super::looks::Looks;
use super::question::{View, Views};
use super::replacing::{Replaces, is_marked};
use super::said::Said;
use super::saving::Saving;
use super::static_drift::{dearest, free};
use super::turn::{Turn, later};
use super::valves::Room;
use crate::api::labels;
use crate::consolidation::{Command, Removed, are_valid, settled, under_way};
use crate::disruption::Method;
use crate::observe::Snapshot;
use crate::observe::objects::Objects;
use crate::placement::signature::signature;
use crate::placement::{ClaimPlan, ExpectedPods};
use crate::plan::claims::{node_claim, unplanned_claim};
use crate::units::MicroUsd;

/// What was looked at so long ago is not made any more.
const FRESH: Duration = Duration::from_secs(5);
/// To close nodes and to make claims takes as long as the API server takes.
const BEGINNING: Duration = Duration::from_secs(60);

/// A command until its claims are made, or deleted.
#[derive(Debug)]
pub(super) struct Begun {
    at: Timestamp,
    command: Command,
    /// Claims that go.
    going: InHand,
    /// Pools of the Snapshot that the command is of.
    pools: Vec<Arc<str>>,
    /// The second look was good; what comes is to be made of this.
    looked: Option<(Timestamp, Arc<Snapshot>)>,
    /// What comes is a node of this pool, by index, of any type that it allows: it has `replicas`.
    of_static: Option<usize>,
    /// The limits of the settings have room for what is made.
    is_let_in: bool,
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
    /// What it may cost, for an hour.
    worst: MicroUsd,
    claim: Value,
    plan: ClaimPlan,
    instance_type: Arc<str>,
    pods: usize,
}

/// How far a command is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Beginning,
    /// Its claims are there, or those that go are being deleted: [`super::replacing`] and [`super::drain`] do the rest.
    UnderWay,
    Dropped,
}

/// `None`: a node has no claim.
pub(super) fn begin(now: &Snapshot, command: &Command, turn: &mut Turn<'_>) -> Option<Begun> {
    let claim_of = |name: &Arc<str>| now.nodes.iter().find(|node| node.name == *name)?.claim.clone();
    let going: InHand = command.removed.iter().map(|of| claim_of(&of.node)).collect::<Option<_>>()?;
    turn.say(Said::Consolidating(Saving::of(command)));
    let (to_make, made) = (Vec::new(), Vec::new());
    let pools = names(now);
    let (command, looked, of_static, is_let_in) = (command.clone(), None, None, false);
    Some(Begun { at: turn.now, command, going, pools, looked, of_static, is_let_in, to_make, made })
}

/// Another node of a static pool, by index, for the one of a claim; `None`: it has none.
pub(super) fn begin_static(now: &Snapshot, claim: &str, pool: usize, turn: &mut Turn<'_>) -> Option<Begun> {
    let node = now.nodes.iter().find(|node| node.claim.as_deref() == Some(claim))?;
    let removed = vec![Removed { node: node.name.clone(), price: node.price }];
    let (launches, moves, saved, once) = (Vec::new(), Vec::new(), MicroUsd::ZERO, MicroUsd::ZERO);
    let command = Command { method: Method::Drifted, removed, launches, moves, saved, once };
    let saving = Saving { launches: 1, ..Saving::of(&command) };
    if turn.settings.shadow {
        turn.say(Said::WouldConsolidate(saving));
        return None;
    }
    turn.say(Said::Consolidating(saving));
    let (at, going, pools, of_static) = (turn.now, InHand::from([Arc::from(claim)]), names(now), Some(pool));
    let (looked, is_let_in, to_make, made) = (None, false, Vec::new(), Vec::new());
    Some(Begun { at, command, going, pools, looked, of_static, is_let_in, to_make, made })
}

fn names(of: &Snapshot) -> Vec<Arc<str>> {
    of.node_pools.iter().map(|pool| pool.name.clone()).collect()
}

impl Begun {
    /// Claims that go.
    pub fn going(&self) -> &InHand {
        &self.going
    }

    pub fn command(&self) -> &Command {
        &self.command
    }

    /// Takes it one step further, beside the others that have begun.
    pub fn go_on(
        &mut self,
        cluster: &Cluster<'_>,
        (looks, others): (&mut Looks, &[Command]),
        (views, is_open): (&mut Views<'_>, bool),
        room: (&mut Option<Room>, &mut dyn FnMut() -> Room),
        turn: &mut Turn<'_>,
    ) -> Stage {
        let going: Vec<Claimed<'_>> = self.going.iter().filter_map(|name| cluster.our_claim(name)).collect();
        let left: Vec<&Claimed<'_>> = going.iter().filter(|claimed| !claimed.is_deleting()).collect();
        let replaces = self.of_static.is_some() || !self.command.launches.is_empty();
        if !replaces && left.is_empty() {
            return Stage::UnderWay;
        }
        let is_gone = self.made.iter().any(|name| !cluster.has_claim(name));
        if (replaces && left.len() < self.going.len()) || is_gone || turn.is_time(later(self.at, BEGINNING)) {
            return Stage::Dropped;
        }
        if self.looked.is_none() {
            if !mark(&left, self.command.method.label_of_reason(), turn) || !has_settled(&left, looks, turn) {
                return Stage::Beginning;
            }
            if !is_open {
                return Stage::Beginning; // what is decided may want the same room
            }
            let reason = self.command.method.reason();
            let is_within = left.iter().all(|claimed| {
                // those that go say so, and count
                let budget = allowance(cluster, claimed.pool().unwrap_or_default(), reason, &InHand::new(), turn);
                budget.disrupted <= budget.most
            });
            let now = views.of(View::AsExpected);
            if !is_within || !self.holds(&now, others, turn.now) {
                return Stage::Dropped;
            }
            self.plan(cluster, &now);
            self.looked = Some((turn.now, now));
        }
        if !replaces {
            if self.looked.take_if(|(at, _)| turn.is_time(later(*at, FRESH))).is_some() {
                turn.step_again(turn.now);
                return Stage::Beginning; // it is looked at once more
            }
            for claimed in left {
                disrupt(claimed, self.command.method.label_of_reason(), turn);
            }
            return Stage::Beginning;
        }
        self.make(cluster, room, turn)
    }

    /// Whether it may still be carried out once the others are, with the nodes of all of them closed.
    fn holds(&self, now: &Snapshot, others: &[Command], at: Timestamp) -> bool {
        if names(now) != self.pools {
            return false; // launches name their pool by its number
        }
        let removed = others.iter().chain([&self.command]).flat_map(|command| &command.removed);
        let going: BTreeSet<Arc<str>> = removed.map(|of| of.node.clone()).collect();
        let mut open = settled(now, &going);
        open.nodes.iter_mut().filter(|node| going.contains(&node.name)).for_each(|node| node.deleting = false);
        if self.of_static.is_some() {
            return self.going.is_subset(&free(&open, at));
        }
        let open = under_way(&open, others);
        are_candidates(&open, &self.command, at) && are_valid(&open, &[&self.command])
    }

    fn plan(&mut self, cluster: &Cluster<'_>, now: &Snapshot) {
        let Self { command, going, .. } = self;
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
            let (plan, pods) = planned(command, &launch.name, now, cluster.objects);
            let mut launch = launch.clone();
            launch.name = name.clone();
            let worst = launch.worst_price();
            let mut claim = node_claim(&now.node_pools[launch.pool], &launch);
            claim["metadata"]["annotations"][labels::REPLACES] = json!(replaces.to_annotation());
            let first = launch.offers.first();
            let instance_type = first.map_or_else(|| Arc::from(""), |offer| offer.instance_type.clone());
            Made { name, pool: launch.pool, worst, claim, plan, instance_type, pods }
        });
        let mut to_make: Vec<Made> = to_make.collect();
        to_make.extend(self.of_static.map(|pool| {
            let seed = format!("{} {going:?}", now.taken_at);
            let name = free_name(&now.node_pools[pool].name, &seed, cluster.objects);
            let mut claim = unplanned_claim(&now.node_pools[pool], &name);
            let replaces = Replaces { claims: going.iter().cloned().collect(), with: vec![name.clone()] };
            claim["metadata"]["annotations"][labels::REPLACES] = json!(replaces.to_annotation());
            let worst = dearest(&now.node_pools[pool]);
            let (plan, instance_type) = (ClaimPlan::default(), Arc::from("any"));
            Made { name, pool, worst, claim, plan, instance_type, pods: 0 }
        }));
        self.to_make = to_make;
    }

    fn make(
        &mut self,
        cluster: &Cluster<'_>,
        (left, room): (&mut Option<Room>, &mut dyn FnMut() -> Room),
        turn: &mut Turn<'_>,
    ) -> Stage {
        let Some((at, now)) = &self.looked else { return Stage::Beginning };
        let (made, to_make): (Vec<Made>, Vec<Made>) =
            std::mem::take(&mut self.to_make).into_iter().partition(|of| cluster.has_claim(&of.name));
        self.to_make = to_make;
        self.made.extend(made.into_iter().map(|of| of.name));
        if turn.is_time(later(*at, FRESH)) && !self.to_make.is_empty() {
            return Stage::Dropped;
        }
        if !std::mem::replace(&mut self.is_let_in, true) {
            // all of them, or none
            let left = left.get_or_insert_with(room);
            let mut rest = left.clone();
            for of in &self.to_make {
                let pool = &now.node_pools[of.pool].name;
                if let Err(valve) = rest.take(pool, of.worst) {
                    turn.say(Said::HeldBack { valve, pool: pool.clone(), claims: self.to_make.len() });
                    return Stage::Dropped;
                }
            }
            *left = rest;
        }
        let method = self.command.method;
        for of in &self.to_make {
            let pool = &now.node_pools[of.pool];
            if create_claim(pool, of.claim.clone(), &of.plan, cluster.objects, turn) {
                let (claim, pool, pods) = (of.name.clone(), pool.name.clone(), of.pods);
                turn.say_once_taken(Said::Replacing {
                    claim,
                    pool,
                    pods,
                    instance_type: of.instance_type.clone(),
                    method,
                });
            }
        }
        if !self.to_make.is_empty() {
            return Stage::Beginning;
        }
        for claim in &self.made {
            turn.say(Said::AwaitingReplacement { claim: claim.clone() });
        }
        Stage::UnderWay
    }
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
fn mark(going: &[&Claimed<'_>], why: &'static str, turn: &mut Turn<'_>) -> bool {
    for claimed in going {
        match reason_since(claimed) {
            None => note_reason(claimed, Some(why), turn),
            Some((reason, _)) if reason == why => {
                claimed.nodes.iter().filter(|node| !is_closed(node)).for_each(|node| set_taint(node, true, turn));
            }
            Some(_) => {}
        }
    }
    going.iter().all(|claimed| is_marked(claimed))
}

/// Whether what kube-scheduler had decided before it saw that the nodes are closed is known.
fn has_settled(going: &[&Claimed<'_>], looks: &mut Looks, turn: &mut Turn<'_>) -> bool {
    let since = going.iter().filter_map(|claimed| reason_since(claimed)).map(|(_, since)| since).max();
    // times in conditions are whole seconds
    if !since.is_some_and(|since| turn.is_time(later(since, Duration::from_secs(1) + SETTLED))) {
        return false;
    }
    let names = going.iter().flat_map(|claimed| &claimed.nodes).filter_map(|node| node.metadata.name.as_deref());
    // all are asked for at once
    names.filter(|name| !looks.are_fresh(name, turn)).count() == 0
}

/// Deletes a claim that goes.
pub(super) fn disrupt(claimed: &Claimed<'_>, reason: &'static str, turn: &mut Turn<'_>) {
    if turn.delete_claim_as_read(claimed) {
        turn.say_once_taken(Said::Disrupting { claim: Arc::from(claimed.name()), reason });
    }
}
