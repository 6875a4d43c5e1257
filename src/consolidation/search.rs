//! Sets of nodes are tried until nothing is found.

use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::choice::choices;
use super::cut::commands;
use super::ideas::{Order, draws, ideas};
use super::release::Facts;
use super::trial::Trial;
use super::without::{Without, after};
use super::{Command, Policy, Removed};
use crate::api::labels;
use crate::disruption::{Candidate, Method, allowance, candidates};
use crate::host::Limits;
use crate::observe::Snapshot;
use crate::plan::check::check;
use crate::plan::{Assignment, Launch, Plan, Target};
use crate::random::SplitMix64;
use crate::solve::{Pace, Work};
use crate::units::MicroUsd;

/// What to do, one command after another.
#[derive(Debug, Clone)]
pub struct Consolidation {
    pub commands: Vec<Command>,
    /// The cluster after them.
    pub after: Snapshot,
    /// Sets of nodes that were tried.
    pub trials: usize,
    /// There was not the time to find nothing more.
    pub stopped: bool,
    /// Candidates that were not looked at, as the budget of their pool is used up: (pool, method, how many).
    pub held_back: Vec<(Arc<str>, Method, usize)>,
}

/// How the budgets of pools are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Budgets {
    /// All commands are carried out now: the budgets hold for them together.
    Together,
    /// Each command is carried out before the next one: the budgets hold for each.
    Each,
}

/// Looks for commands that are worth it under a policy, in the cluster without pods that wait. `limits`: of each trial; `time`: how much
/// is left for all, of which the first half of the search leaves as much as it had.
#[must_use]
pub fn consolidate(
    snapshot: &Snapshot,
    (policy, budgets): (&Policy, Budgets),
    limits: Limits,
    now: Timestamp,
    time: TimeLeft<'_>,
) -> Consolidation {
    let all = time();
    let mut start = snapshot.clone();
    start.pods.retain(|pod| !pod.is_pending());
    let mut best: Option<(Worth, Consolidation)> = None;
    let mut trials = 0;
    for (order, kept) in Order::ALL.into_iter().zip([all / 2, Duration::ZERO]) {
        let time_left = || time().saturating_sub(kept);
        let stop = || time_left().is_zero();
        let mut search = Search {
            start: &start,
            current: start.clone(),
            policy: *policy,
            budgets,
            limits,
            now,
            order,
            time_left: &time_left,
            stop: &stop,
            removed: BTreeMap::new(),
            commands: Vec::new(),
            trials: 0,
        };
        search.run();
        trials += search.trials;
        let worth = search.worth();
        if best.as_ref().is_none_or(|(known, _)| is_better(worth, *known, search.clearly())) {
            let held_back = search.held_back();
            let Search { current, commands, .. } = search;
            best = Some((worth, Consolidation { commands, after: current, trials: 0, stopped: false, held_back }));
        }
    }
    let stopped = time().is_zero();
    let nothing =
        || Consolidation { commands: Vec::new(), after: start.clone(), trials: 0, stopped, held_back: Vec::new() };
    best.map_or_else(nothing, |(_, found)| Consolidation { trials, stopped, ..found })
}

/// What may be done now, one after another, so that budgets hold for all of it; `limits`: of the whole search.
#[must_use]
pub fn commands_within(snapshot: &Snapshot, policy: &Policy, limits: Limits) -> Vec<Command> {
    let started = Instant::now();
    let readings = Cell::new(0);
    let time = || match limits.work.pace {
        Pace::Time => limits.time.saturating_sub(started.elapsed()),
        Pace::Work => {
            readings.set(readings.get() + 1);
            limits.time.saturating_sub(limits.time / READINGS * readings.get())
        }
    };
    let of_trial = Limits { work: Work { pace: limits.work.pace, ..Work::OF_A_TRIAL }, ..limits };
    consolidate(snapshot, (policy, Budgets::Together), of_trial, snapshot.taken_at, &time).commands
}

/// Where work ends a search, not time, it asks so often how much time is left: a few times for each set that it tries.
const READINGS: u32 = 200;

/// How much time is left.
pub(super) type TimeLeft<'t> = &'t dyn Fn() -> Duration;

/// For each integer program over the whole cluster, where time counts.
const OF_A_CHOICE: Duration = Duration::from_millis(200);

/// Commands of one set are checked one by one up to so many, else together: a checker looks at the whole cluster.
const ONE_BY_ONE: usize = 8;

/// What all commands come to within the horizon, then how few pods they move.
type Worth = (MicroUsd, Reverse<usize>);

/// Whether one is worth clearly more, or as much with fewer moves.
fn is_better(one: Worth, other: Worth, clearly: MicroUsd) -> bool {
    if one.0 > other.0 + clearly || other.0 > one.0 + clearly { one.0 > other.0 } else { one.1 > other.1 }
}

fn cost(snapshot: &Snapshot) -> MicroUsd {
    snapshot.nodes.iter().filter_map(|node| node.price).sum()
}

struct Search<'s> {
    /// Before the first command: budgets are parts of what is there then.
    start: &'s Snapshot,
    current: Snapshot,
    policy: Policy,
    budgets: Budgets,
    limits: Limits,
    now: Timestamp,
    order: Order,
    time_left: TimeLeft<'s>,
    stop: &'s dyn Fn() -> bool,
    /// How many nodes of each pool go.
    removed: BTreeMap<Arc<str>, usize>,
    commands: Vec<Command>,
    trials: usize,
}

impl Search<'_> {
    fn run(&mut self) {
        self.remove_empty();
        self.replace_drifted();
        let mut dice = SplitMix64(1);
        let pods = i64::try_from(self.current.pods.len()).unwrap_or(i64::MAX).max(1);
        let of_a_pod = self.policy.net(cost(self.start), MicroUsd::ZERO, Duration::MAX).0 / pods;
        for permille in self.order.hurdles() {
            self.policy.hurdle = MicroUsd(of_a_pod.saturating_mul(*permille) / 1_000);
            while !(self.stop)() && (self.pass() || (*permille == 0 && self.draw_lots(&mut dice))) {}
        }
    }

    /// What is to be said to be worth more: a thousandth of what the cluster costs.
    fn clearly(&self) -> MicroUsd {
        MicroUsd(self.policy.net(cost(self.start), MicroUsd::ZERO, Duration::MAX).0 / 1_000)
    }

    fn worth(&self) -> Worth {
        let once = self.commands.iter().map(|command| command.once).sum();
        let saved = cost(self.start) - cost(&self.current);
        let moves = self.commands.iter().map(|command| command.moves.len()).sum();
        (self.policy.net(saved, once, Duration::MAX), Reverse(moves))
    }

    fn candidates(&self, method: Method) -> Vec<Candidate> {
        candidates(&self.current, method, self.now).into_iter().filter_map(|standing| standing.verdict.ok()).collect()
    }

    /// How many nodes of a pool may still go.
    fn left(&self, pool: &Arc<str>, method: Method) -> usize {
        let Some(of) = self.current.node_pools.iter().find(|of| of.name == *pool) else { return 0 };
        let (of_whom, gone) = match self.budgets {
            Budgets::Together => (self.start, self.removed.get(pool).copied().unwrap_or(0)),
            Budgets::Each => (&self.current, 0),
        };
        allowance(of_whom, of, method.reason(), self.now).left().saturating_sub(gone)
    }

    /// A node of this plan does not go again with it, and the policy may leave new ones alone.
    fn may_go(&self, candidate: &Candidate) -> bool {
        let name = &self.current.nodes[candidate.node].name;
        if self.budgets == Budgets::Together && !self.start.nodes.iter().any(|node| node.name == *name) {
            return false;
        }
        let created = self.current.nodes[candidate.node].created_at;
        let age = created.and_then(|created| Duration::try_from(self.now.duration_since(created)).ok());
        self.policy.least_age.is_zero() || age.is_some_and(|age| age >= self.policy.least_age)
    }

    fn pool(&self, candidate: &Candidate) -> Arc<str> {
        self.current.nodes[candidate.node].pool.clone().unwrap_or_else(|| Arc::from(""))
    }

    /// Whether budgets allow all of these together.
    fn is_allowed(&self, nodes: &[&Candidate], method: Method) -> bool {
        let mut counts: BTreeMap<Arc<str>, usize> = BTreeMap::new();
        for node in nodes {
            *counts.entry(self.pool(node)).or_default() += 1;
        }
        counts.iter().all(|(pool, count)| *count <= self.left(pool, method))
    }

    /// All empty nodes that budgets allow, at once.
    fn remove_empty(&mut self) {
        let mut empty = self.candidates(Method::Empty);
        let mut left: BTreeMap<Arc<str>, usize> = BTreeMap::new();
        empty.retain(|candidate| {
            let pool = self.pool(candidate);
            let left = left.entry(pool.clone()).or_insert_with(|| self.left(&pool, Method::Empty));
            let is_within = *left > 0;
            *left = left.saturating_sub(1);
            is_within
        });
        if empty.is_empty() {
            return;
        }
        let name = |of: &Candidate| Removed { node: self.current.nodes[of.node].name.clone(), price: of.price };
        let removed: Vec<Removed> = empty.iter().map(name).collect();
        let saved = empty.iter().map(|of| of.price.unwrap_or_default()).sum();
        let once = self.policy.evictions(empty.iter().map(|of| of.eviction_price).sum());
        let (launches, moves) = (Vec::new(), Vec::new());
        self.keep(Command { method: Method::Empty, removed, launches, moves, saved, once });
        // pods there that cost nothing to evict wait for a place like any other
        self.current.pods.retain(|pod| pod.node.is_some());
    }

    /// Drifted nodes go one by one, whatever that costs: those first that nobody would miss, then the oldest drift.
    fn replace_drifted(&mut self) {
        let mut drifted = self.candidates(Method::Drifted);
        // those of a static pool are its own to replace
        let is_static = |of: &Candidate| {
            let pool = self.pool(of);
            self.current.node_pools.iter().any(|of| of.name == pool && of.replicas.is_some())
        };
        drifted.retain(|of| !is_static(of));
        let since = |of: &Candidate| {
            let node = &self.current.nodes[of.node];
            (!of.pods.is_empty(), node.disruption.drifted.as_ref().map(|of| of.since), node.name.clone())
        };
        drifted.sort_by_key(since);
        let names: Vec<Arc<str>> = drifted.iter().map(|of| self.current.nodes[of.node].name.clone()).collect();
        for name in names {
            if (self.stop)() {
                return;
            }
            // an earlier one may have moved its pods there
            let standing = self.candidates(Method::Drifted);
            let Some(candidate) = standing.iter().find(|of| self.current.nodes[of.node].name == name) else { continue };
            if self.is_allowed(&[candidate], Method::Drifted) {
                self.replace(candidate, &name);
            }
        }
    }

    fn replace(&mut self, candidate: &Candidate, name: &Arc<str>) {
        self.trials += 1;
        let removed = BTreeSet::from([name.clone()]);
        let any_price = (MicroUsd(i64::MAX), true);
        let Some(trial) = Trial::of(&self.current, &removed, any_price, (self.limits, self.time_left)) else { return };
        for mut command in commands(&self.current, &trial, std::slice::from_ref(name), Method::Drifted) {
            let bought: MicroUsd = command.launches.iter().map(Launch::worst_price).sum();
            command.saved = command.price() - bought;
            command.once = self.policy.evictions(candidate.eviction_price) + self.policy.boots(bought);
            self.keep(command);
        }
    }

    /// Tries every idea once; whether something was found.
    fn pass(&mut self) -> bool {
        let before = self.commands.len();
        let mut tried: HashSet<Vec<Arc<str>>> = HashSet::new();
        self.try_choices();
        'again: loop {
            let all = self.underutilized();
            for idea in ideas(&self.current, &all, self.order) {
                if (self.stop)() {
                    break 'again;
                }
                let names: Vec<Arc<str>> =
                    idea.iter().map(|index| self.current.nodes[all[*index].node].name.clone()).collect();
                if tried.insert(names) && self.attempt_of(&all, &idea) {
                    continue 'again;
                }
            }
            break;
        }
        self.commands.len() > before
    }

    /// Candidates that may be moved for less.
    fn underutilized(&self) -> Vec<Candidate> {
        let mut all = self.candidates(Method::Underutilized);
        all.retain(|candidate| self.may_go(candidate));
        all
    }

    /// What is best for the whole cluster at first sight, as far as it is allowed, until it leads nowhere.
    fn try_choices(&mut self) {
        'again: loop {
            let all = self.underutilized();
            let pools: BTreeSet<Arc<str>> = all.iter().map(|candidate| self.pool(candidate)).collect();
            let left = |pool: Arc<str>| (pool.clone(), self.left(&pool, Method::Underutilized));
            let allowed = pools.into_iter().map(left).collect();
            let time = match self.limits.work.pace {
                Pace::Time => Some(OF_A_CHOICE.min((self.time_left)() / 10)),
                Pace::Work => None,
            };
            for choice in choices(&self.current, &all, &self.policy, &allowed, (time, self.stop)) {
                if (self.stop)() {
                    return;
                }
                if self.attempt_of(&all, &choice) {
                    continue 'again;
                }
            }
            return;
        }
    }

    /// Sets by lot; whether something was found.
    fn draw_lots(&mut self, dice: &mut SplitMix64) -> bool {
        let all = self.underutilized();
        for draw in draws(all.len(), dice) {
            if (self.stop)() {
                return false;
            }
            if self.attempt_of(&all, &draw) {
                return true;
            }
        }
        false
    }

    /// Whether new nodes may come for these: spot nodes for spot nodes only where the gate is open.
    fn may_buy(&self, nodes: &[&Candidate]) -> bool {
        let is_spot =
            |of: &&Candidate| self.current.nodes[of.node].label(labels::CAPACITY_TYPE) == Some(labels::CAPACITY_SPOT);
        self.current.settings.feature_gates.spot_to_spot_consolidation || !nodes.iter().all(is_spot)
    }

    /// Tries these of the candidates, if budgets allow them.
    fn attempt_of(&mut self, all: &[Candidate], chosen: &[usize]) -> bool {
        let nodes: Vec<&Candidate> = chosen.iter().map(|index| &all[*index]).collect();
        let names: Vec<Arc<str>> = nodes.iter().map(|of| self.current.nodes[of.node].name.clone()).collect();
        self.is_allowed(&nodes, Method::Underutilized) && self.attempt(&nodes, &names)
    }

    /// Tries a set of nodes, and keeps what is worth it.
    fn attempt(&mut self, nodes: &[&Candidate], names: &[Arc<str>]) -> bool {
        self.trials += 1;
        let price = nodes.iter().map(|of| of.price.unwrap_or_default()).sum();
        let removed: BTreeSet<Arc<str>> = names.iter().cloned().collect();
        let Some(trial) =
            Trial::of(&self.current, &removed, (price, self.may_buy(nodes)), (self.limits, self.time_left))
        else {
            return false;
        };
        let by_name: BTreeMap<Arc<str>, Candidate> =
            names.iter().cloned().zip(nodes.iter().copied().cloned()).collect();
        let facts = Facts { snapshot: &self.current, candidates: &by_name, policy: &self.policy, now: self.now };
        let commands = commands(&self.current, &trial, names, Method::Underutilized);
        let mut released: Vec<Command> = commands.into_iter().filter_map(|command| facts.released(command)).collect();
        // what is won for the least goes first
        released.sort_by_key(|command| {
            let moves = i64::try_from(command.moves.len()).unwrap_or(i64::MAX).max(1);
            (Reverse(command.saved.0 / moves), command.removed[0].node.clone())
        });
        let all: Vec<&Command> = released.iter().collect();
        if released.len() > ONE_BY_ONE && self.is_valid(&all) {
            self.note(released);
            return true;
        }
        let mut is_found = false;
        for command in released {
            is_found |= self.keep(command);
        }
        is_found
    }

    /// Keeps a command that is valid after those before it.
    fn keep(&mut self, command: Command) -> bool {
        if command.method != Method::Empty && !self.is_valid(&[&command]) {
            return false;
        }
        self.note(vec![command]);
        true
    }

    fn note(&mut self, commands: Vec<Command>) {
        for removed in commands.iter().flat_map(|command| &command.removed) {
            let node = self.current.nodes.iter().find(|node| node.name == removed.node);
            if let Some(pool) = node.and_then(|node| node.pool.clone()) {
                *self.removed.entry(pool).or_default() += 1;
            }
        }
        self.current = after(&self.current, &commands);
        self.commands.extend(commands);
    }

    /// Asks the checker about commands that are carried out together.
    fn is_valid(&self, commands: &[&Command]) -> bool {
        let removed: BTreeSet<Arc<str>> =
            commands.iter().flat_map(|command| &command.removed).map(|of| of.node.clone()).collect();
        let launches: Vec<Launch> = commands.iter().flat_map(|command| command.launches.clone()).collect();
        let without = Without::of(&self.current, &removed);
        let pods: BTreeMap<_, usize> =
            without.moving.keys().map(|&pod| (&without.snapshot.pods[pod].key, pod)).collect();
        let on_launch = launches.iter().enumerate().map(|(index, launch)| (&launch.name, Target::Launch(index)));
        let on_node = without.snapshot.nodes.iter().enumerate().map(|(index, of)| (&of.name, Target::Existing(index)));
        let targets: BTreeMap<&Arc<str>, Target> = on_node.chain(on_launch).collect();
        let places = commands
            .iter()
            .flat_map(|command| &command.moves)
            .map(|of| Some(Assignment { pod: *pods.get(&of.pod)?, target: *targets.get(&of.to)? }));
        let Some(assignments) = places.collect::<Option<Vec<_>>>() else { return false };
        assignments.len() == without.moving.len()
            && check(&without.snapshot, Plan::draft(launches.clone(), assignments, Vec::new())).is_ok()
    }

    /// Candidates that are left where the budget of their pool is used up.
    fn held_back(&self) -> Vec<(Arc<str>, Method, usize)> {
        let mut counts: BTreeMap<(Arc<str>, &'static str), (Method, usize)> = BTreeMap::new();
        for method in [Method::Empty, Method::Underutilized] {
            for candidate in self.candidates(method) {
                let pool = self.pool(&candidate);
                if self.may_go(&candidate) && self.left(&pool, method) == 0 {
                    counts.entry((pool, method.label())).or_insert((method, 0)).1 += 1;
                }
            }
        }
        counts.into_iter().map(|((pool, _), (method, count))| (pool, method, count)).collect()
    }
}
