//! One step: from what is observed to what is to be done now, and when time alone will change that.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

use super::action::{Action, FreeReason};
use super::awaited::{Awaited, awaited};
use super::mode::{Limits, Mode};
use super::observed::{ClaimState, NodeState, Observed, PodState, Unchangeable};
use super::patch;
use super::reservation::{Reservation, end_of, end_of_reservation};

/// What to do.
#[derive(Debug, Clone, Default)]
pub struct Step {
    /// In the order in which they are to be sent.
    pub actions: Vec<Action>,
    /// Where the plan cannot be guaranteed, and why.
    pub losses: Vec<Loss>,
    /// When the next step is due, if nothing changes before.
    pub next: Option<Timestamp>,
}

/// A planned pod, or all of a claim, for which nothing guarantees that it binds where it is planned.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Loss {
    /// Its claim.
    pub claim: Arc<str>,
    /// `None`: every pod of the claim.
    pub pod: Option<String>,
    /// Why.
    pub reason: LossReason,
}

/// Why the plan cannot be guaranteed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum LossReason {
    /// The pod gets no toleration.
    Unchangeable(Unchangeable),
    /// A person cordoned the node before it was registered.
    Cordoned,
    /// It was not bound when the time of the reservation was over.
    Late,
    /// The annotation of the NodeClaim cannot be read.
    Unreadable(String),
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.pod {
            Some(pod) => write!(f, "pod {pod} may bind elsewhere than on claim {}: {}", self.claim, self.reason),
            None => write!(f, "the pods of claim {} may bind elsewhere: {}", self.claim, self.reason),
        }
    }
}

impl fmt::Display for LossReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unchangeable(why) => write!(f, "{why}"),
            Self::Cordoned => f.write_str("a person cordoned the node"),
            Self::Late => f.write_str("it was not bound in time"),
            Self::Unreadable(why) => write!(f, "the annotation {}: {why}", crate::api::labels::PLANNED_PODS),
        }
    }
}

/// Decides. Nodes are freed first: those of claims without a plan, and those whose time is over.
#[must_use]
pub fn step(observed: &Observed, mode: Mode, limits: &Limits, now: Timestamp) -> Step {
    let awaited = awaited(observed);
    let nodes: BTreeMap<&Arc<str>, &NodeState> =
        observed.nodes.iter().filter_map(|node| Some((node.claim.as_ref()?, node))).collect();
    let is_coming = |name: &Arc<str>| nodes.get(name).is_none_or(|node| !node.is_open());
    let coming = awaited.iter().filter(|(name, _)| is_coming(name)).map(|(_, awaited)| awaited);
    let waiting = coming.flat_map(|awaited| awaited.tolerating.iter().chain(&awaited.to_tolerate).copied()).collect();
    let (earliest, let_in) = (earliest(observed, &nodes), Vec::new());
    let mut maker = Maker { mode, limits, now, waiting, earliest, let_in, step: Step::default() };
    for node in &observed.nodes {
        let claim = node.claim.as_ref().and_then(|name| Some((name, observed.claims.get(name)?, awaited.get(name)?)));
        maker.node(node, claim);
    }
    let freed: BTreeSet<Arc<str>> = maker.step.actions.iter().filter_map(Action::freed_node).cloned().collect();
    for (name, claim) in observed.claims.iter().filter(|(name, _)| is_coming(name)) {
        let node = nodes.get(name).copied().filter(|node| !freed.contains(&node.name));
        maker.pods(name, claim, &awaited[name], node);
    }
    maker.take_turns();
    let mut step = maker.step;
    step.actions.sort_by(|a, b| (a.what.phase(), a.order, &a.what).cmp(&(b.what.phase(), b.order, &b.what)));
    step.losses.sort();
    step.losses.dedup();
    step
}

/// By controller, the lowest turn of its pods that are to bind on nodes which let nobody in yet.
fn earliest(observed: &Observed, nodes: &BTreeMap<&Arc<str>, &NodeState>) -> BTreeMap<Arc<str>, usize> {
    let lets_in = |node: &&NodeState| node.is_open() || node.is_reserved();
    let mut earliest: BTreeMap<Arc<str>, usize> = BTreeMap::new();
    for (_, claim) in observed.claims.iter().filter(|(name, _)| !nodes.get(name).is_some_and(lets_in)) {
        for planned in &claim.plan.pods {
            let pod = observed.pods.get(&planned.uid).filter(|pod| pod.node.is_none());
            if let Some(controller) = pod.and_then(|pod| pod.in_turn_with.as_ref()) {
                let turn = earliest.entry(controller.clone()).or_insert(planned.turn);
                *turn = planned.turn.min(*turn);
            }
        }
    }
    earliest
}

impl NodeState {
    /// Whether it lets in those that it is kept for.
    fn is_reserved(&self) -> bool {
        matches!(self.reservation, Reservation::Reserved { .. })
    }

    fn is_open(&self) -> bool {
        matches!(self.reservation, Reservation::Open | Reservation::Leftover)
    }
}

/// A claim with its name and its pods.
type Claim<'a> = (&'a Arc<str>, &'a ClaimState, &'a Awaited<'a>);

struct Maker<'a> {
    mode: Mode,
    limits: &'a Limits,
    now: Timestamp,
    /// Pods of all claims that are to bind on nodes which are not open yet.
    waiting: Vec<&'a PodState>,
    /// By controller, a turn: its pods of higher ones that mind where others are have still to wait.
    earliest: BTreeMap<Arc<str>, usize>,
    /// Pods that are let in: their turns, and the controllers within whose pods these matter.
    let_in: Vec<(usize, Option<Arc<str>>, Action)>,
    step: Step,
}

impl Maker<'_> {
    fn act(&mut self, action: Action) {
        self.step.actions.push(action);
    }

    fn lose(&mut self, claim: &Arc<str>, pod: Option<String>, reason: LossReason) {
        self.step.losses.push(Loss { claim: claim.clone(), pod, reason });
    }

    /// Whether the time has come; if not, it is looked at again then.
    fn is_due(&mut self, at: Timestamp) -> bool {
        if at > self.now {
            self.step.next = Some(self.step.next.map_or(at, |next| next.min(at)));
        }
        at <= self.now
    }

    /// Whether a node is kept from other pods: for its own, and where its room would draw a pod that is planned on a node which
    /// is still to open. A spread that counts on the pod there would not hold. Pods of its own that can use no reservation come
    /// before those.
    fn is_needed(&self, node: &NodeState, awaited: &Awaited<'_>) -> bool {
        awaited.is_any() || (awaited.lost.is_empty() && self.waiting.iter().any(|pod| pod.requests.fits(&node.room)))
    }

    fn node(&mut self, node: &NodeState, claim: Option<Claim<'_>>) {
        match (&node.reservation, claim) {
            (Reservation::Open, _) | (Reservation::Unregistered, None) => {}
            (Reservation::Leftover, _) => self.act(patch::free(node, FreeReason::Leftover)),
            (Reservation::Unregistered, Some(claim)) => self.unregistered(node, claim),
            (_, _) if self.mode != Mode::Reserve => self.act(patch::free(node, FreeReason::Mode)),
            (Reservation::Cordoned { since: None }, _) => self.act(patch::free(node, FreeReason::Unreadable)),
            (Reservation::Cordoned { since: Some(since) }, Some(claim)) if !claim.1.plan.is_empty() => {
                self.cordoned(node, claim.2, *since);
            }
            (Reservation::Reserved { value, since, drained }, Some(claim))
                if !claim.1.plan.is_empty() && *value == claim.2.value =>
            {
                self.reserved(node, claim, *since, *drained);
            }
            _ => self.act(patch::free(node, FreeReason::NoPlan)),
        }
    }

    /// Registration. A cordon that is there already is a person's: it stays, and the node is not ours to open.
    fn unregistered(&mut self, node: &NodeState, (name, claim, awaited): Claim<'_>) {
        let wanted = self.mode == Mode::Reserve && !claim.plan.is_empty() && self.is_needed(node, awaited);
        if wanted && node.unschedulable {
            self.lose(name, None, LossReason::Cordoned);
        }
        let cordon = (wanted && !node.unschedulable).then_some(self.now);
        self.act(patch::register(node, cordon));
    }

    fn cordoned(&mut self, node: &NodeState, awaited: &Awaited<'_>, since: Timestamp) {
        if !self.is_needed(node, awaited) {
            return self.act(patch::open(node, None));
        }
        let longest = end_of(Some(since), self.limits.cordon, self.now);
        let wait_until = if node.starting.is_some() || !node.lacking_resources.is_empty() {
            longest
        } else if !node.lacking_daemons.is_empty() {
            end_of(Some(since).max(node.ready_since), self.limits.daemons, self.now).min(longest)
        } else {
            self.now
        };
        if self.is_due(wait_until) {
            // where nobody made a step in time, the reservation began when it was due: it ends no later for that
            let reserved_at = longest.min(self.now);
            self.act(patch::open(node, Some((awaited.value.clone(), reserved_at))));
        }
    }

    fn reserved(
        &mut self,
        node: &NodeState,
        (name, claim, awaited): Claim<'_>,
        since: Option<Timestamp>,
        drained: Option<Timestamp>,
    ) {
        if !self.is_needed(node, awaited) {
            let is_alone = self.waiting.is_empty() || !awaited.lost.is_empty();
            if is_alone || self.is_due(end_of(since, self.limits.settled, self.now)) {
                self.act(patch::free(node, FreeReason::Settled));
            }
            return;
        }
        let is_draining = !claim.draining.is_empty();
        let has_ended = !claim.plan.replaces.is_empty() && !is_draining && drained.is_none();
        if has_ended && end_of(since, self.limits.drain, self.now) > self.now {
            return self.act(patch::note_drained(node, self.now));
        }
        if self.is_due(end_of_reservation(since, drained, is_draining, self.limits, self.now)) {
            for pod in &awaited.planned {
                self.lose(name, Some(pod.key.to_string()), LossReason::Late);
            }
            if awaited.to_come > 0 {
                self.lose(name, None, LossReason::Late);
            }
            self.act(patch::free(node, FreeReason::Late));
        }
    }

    /// What the pods of a claim need whose node is not open yet. They are let in once there is something to bind to: a change of a
    /// pod makes kube-scheduler try it, and what it tries in vain waits for seconds.
    fn pods(&mut self, name: &Arc<str>, claim: &ClaimState, awaited: &Awaited<'_>, node: Option<&NodeState>) {
        if let Some(why) = &claim.unreadable {
            self.lose(name, None, LossReason::Unreadable(why.clone()));
        }
        match self.mode {
            Mode::Reserve => {
                if let Some(Reservation::Reserved { since, .. }) = node.map(|node| &node.reservation) {
                    self.let_in(claim, awaited, *since);
                }
                for (pod, why) in &awaited.lost {
                    self.lose(name, Some(pod.key.to_string()), LossReason::Unchangeable(why.clone()));
                }
            }
            Mode::Nominate => {
                let Some(node) = node.filter(|node| node.reservation == Reservation::Unregistered) else { return };
                for pod in &awaited.planned {
                    if pod.unchangeable.is_none() && pod.nominated.as_ref() != Some(&node.name) {
                        self.act(patch::nominate(pod, node));
                    }
                }
            }
            Mode::Observe => {}
        }
    }

    /// In their turns. One whose spread or affinity counts on another that has nowhere to bind yet is not let in before: it would be
    /// tried in vain.
    fn let_in(&mut self, claim: &ClaimState, awaited: &Awaited<'_>, since: Option<Timestamp>) {
        let turns: BTreeMap<_, _> = claim.plan.pods.iter().map(|pod| (&pod.uid, pod.turn)).collect();
        for pod in &awaited.to_tolerate {
            let turn = turns.get(&pod.version.uid).copied().unwrap_or_default();
            let before = pod.in_turn_with.as_ref().and_then(|controller| self.earliest.get(controller));
            if before.is_none_or(|before| turn < *before) || self.is_due(end_of(since, self.limits.turns, self.now)) {
                self.let_in.push((turn, pod.in_turn_with.clone(), patch::tolerate(pod, &awaited.value)));
            }
        }
    }

    /// The controllers whose pods mind each other take turns, and all other pods with them: many patches are on their way at once, and
    /// those of one would overtake each other.
    fn take_turns(&mut self) {
        let mut let_in = std::mem::take(&mut self.let_in);
        let_in.sort_by(|(a, _, one), (b, _, other)| (a, &one.what).cmp(&(b, &other.what)));
        let mut rounds: BTreeMap<Option<Arc<str>>, usize> = BTreeMap::new();
        for (turn, controller, action) in let_in {
            let round = rounds.entry(controller).or_default();
            *round += 1;
            let order = (*round, turn);
            self.act(Action { order, ..action });
        }
    }
}
