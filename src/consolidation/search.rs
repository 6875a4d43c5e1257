//! Sets of nodes are tried until nothing is found.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::choice::choices;
use super::cut::commands;
use super::effort::{Effort, TimeLeft};
use super::fuse::fused;
use super::ideas::{draws, ideas, neighbours, singles};
use super::least::{Outlook, cost as cost_after, least};
use super::near::Surroundings;
use super::policies::Policies;
use super::release::Facts;
use super::room::{Room, pool_of};
use super::trial::{NoTrial, Trial, Wanted};
use super::valid::are_valid;
use super::without::{after, settled, under_way};
use super::{Command, Policy};
use crate::api::labels;
use crate::disruption::{Candidate, Method, candidates};
use crate::host::{self, Limits};
use crate::observe::Snapshot;
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
    /// Nodes that were in one of them.
    pub examined: BTreeSet<Arc<str>>,
    /// It ended before there was nothing more to try.
    pub stopped: bool,
    /// Candidates that were not looked at, as the budget of their pool is used up: (pool, method, how many).
    pub held_back: Vec<(Arc<str>, Method, usize)>,
    /// More may be found once the pods that were evicted before, and those of the commands, do not count any more.
    pub is_limited: bool,
}

/// What the controller is told of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// One after another.
    pub commands: Vec<Command>,
    /// Nodes that were in a set that was tried.
    pub examined: BTreeSet<Arc<str>>,
    /// There was nothing more to try: it came to its end, and no budget or limit held it back.
    pub is_whole: bool,
    /// What it comes to, and at least; `None`: nobody has asked.
    pub outlook: Option<Outlook>,
}

impl Found {
    #[must_use]
    pub fn of(found: Consolidation) -> Self {
        let is_whole = !found.stopped && found.held_back.is_empty() && !found.is_limited;
        Self { commands: found.commands, examined: found.examined, is_whole, outlook: None }
    }
}

/// How budgets and limits are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Budgets {
    /// All commands are carried out now: budgets, and limits of pools, hold for them together.
    Together,
    /// Each command is carried out before the next one: they hold for each.
    Each,
}

/// How a search goes.
#[derive(Debug, Clone, Copy)]
pub struct Manner<'p> {
    pub policy: &'p Policy,
    pub budgets: Budgets,
    /// Of each trial; its time is that of the whole search.
    pub limits: Limits,
    /// Sets of nodes that are tried at most.
    pub trials: usize,
    /// Searches that may end early begin elsewhere each time.
    pub turn: u64,
    pub algorithm: Algorithm,
}

/// What looks for commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    Own,
    /// As the reference does, one command.
    Reference,
}

/// Where work ends a search, not time, so many sets of nodes are tried.
const TRIALS: usize = 20;

impl<'p> Manner<'p> {
    /// As far as it goes.
    #[must_use]
    pub fn all(policy: &'p Policy, budgets: Budgets, limits: Limits) -> Self {
        let of_trial = Limits { work: Work { pace: limits.work.pace, ..Work::OF_A_TRIAL }, ..limits };
        Self { policy, budgets, limits: of_trial, trials: usize::MAX, turn: 0, algorithm: Algorithm::Own }
    }
}

/// Looks for commands that are worth it under a policy, in a cluster in which no pod waits ([`super::settled`]), until `time` has none
/// left.
#[must_use]
pub fn consolidate(snapshot: &Snapshot, manner: Manner<'_>, now: Timestamp, time: TimeLeft<'_>) -> Consolidation {
    let mut start = snapshot.clone();
    start.pods.retain(|pod| !pod.is_pending());
    // small steps have two thirds of the time: whoever moves few pods gets what they find alone
    let half = manner.trials.div_ceil(2);
    let (first, second) = (Effort::new(time, time() / 3, half), Effort::new(time, Duration::ZERO, half));
    let mut search = Search {
        start: &start,
        surroundings: Surroundings::of(&start),
        current: start.clone(),
        policies: Policies::of(&start, manner.policy),
        hurdle: MicroUsd::ZERO,
        is_quick: false,
        manner,
        now,
        effort: &first,
        room: Room::new(&start, (manner.budgets, manner.policy.evictions_left), now),
        commands: Vec::new(),
        examined: BTreeSet::new(),
        least: HashMap::new(),
        standing: None,
    };
    search.remove_empty();
    search.replace_drifted();
    match manner.algorithm {
        _ if search.policies.are_off() => {}
        // what has to go goes first
        Algorithm::Reference if !search.commands.is_empty() => {}
        Algorithm::Reference => search.next_as_reference(),
        Algorithm::Own => {
            search.remove_most();
            search.rounds();
            search.effort = &second;
            search.until_nothing_is_found();
        }
    }
    let stopped = search.effort.is_over();
    let (held_back, is_limited) = (search.held_back(), search.room.is_partly_used());
    let Search { current, mut commands, examined, policies, .. } = search;
    let after = match manner.budgets {
        Budgets::Together => {
            let room = Room::new(&start, (manner.budgets, manner.policy.evictions_left), now);
            commands = fused(&start, commands, &policies, &room);
            after(&start, &commands)
        }
        Budgets::Each => current,
    };
    let trials = first.tried() + second.tried();
    Consolidation { commands, after, trials, examined, stopped, held_back, is_limited }
}

/// As [`consolidate_now`], with what it comes to; the bound takes of the time.
#[must_use]
pub fn consolidate_with_outlook(snapshot: &Snapshot, policy: &Policy, limits: Limits, turn: u64) -> Found {
    let started = Instant::now();
    let least = least(&settled(snapshot, &BTreeSet::new()), policy, snapshot.taken_at);
    let limits = Limits { time: limits.time.saturating_sub(started.elapsed()), ..limits };
    let found = consolidate_now(snapshot, policy, limits, turn);
    let outlook = Outlook { cost: cost_after(&found.after, &found.commands, policy), least };
    Found { outlook: Some(outlook), ..Found::of(found) }
}

/// What may be done now in a cluster in which pods may wait: they get the room that there is. `limits`: of the whole search; `turn`:
/// which one it is.
#[must_use]
pub fn consolidate_now(snapshot: &Snapshot, policy: &Policy, limits: Limits, turn: u64) -> Consolidation {
    let started = Instant::now();
    let time = || match limits.work.pace {
        Pace::Time => limits.time.saturating_sub(started.elapsed()),
        Pace::Work => limits.time,
    };
    let trials = if limits.work.pace == Pace::Work { TRIALS } else { usize::MAX };
    let manner = Manner { trials, turn, ..Manner::all(policy, Budgets::Together, limits) };
    consolidate(&settled(snapshot, &BTreeSet::new()), manner, snapshot.taken_at, &time)
}

/// Which sets of nodes a pass tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sets {
    Singles,
    /// A few neighbours, the smallest sets first.
    Neighbours,
    All,
}

/// For each integer program over the whole cluster, where time counts.
const OF_A_CHOICE: Duration = Duration::from_millis(200);

/// Commands of one set are checked one by one up to so many, else together: a checker looks at the whole cluster.
const ONE_BY_ONE: usize = 8;

pub(super) fn cost(snapshot: &Snapshot) -> MicroUsd {
    snapshot.nodes.iter().filter_map(|node| node.price).sum()
}

pub(super) struct Search<'s> {
    pub start: &'s Snapshot,
    pub current: Snapshot,
    pub surroundings: Surroundings,
    pub policies: Policies,
    /// What each pod that moves has to win besides, once, in this round.
    pub hurdle: MicroUsd,
    /// A packing as Karpenter's is enough: whether few nodes go for another one hardly takes a program, and there are many to ask for.
    is_quick: bool,
    pub manner: Manner<'s>,
    pub now: Timestamp,
    pub effort: &'s Effort<'s>,
    pub room: Room<'s>,
    commands: Vec<Command>,
    pub examined: BTreeSet<Arc<str>>,
    /// What comes for a set costs at least so much of an hour; in rounds before the last this holds after a command, too: room becomes less.
    pub least: HashMap<Vec<Arc<str>>, MicroUsd>, // looked up only
    /// What [`Self::underutilized`] has found in the cluster as it is.
    standing: Option<Arc<Vec<Candidate>>>,
}

impl Search<'_> {
    /// Many nodes at once find what is left when the rounds are over, and so do sets by lot.
    fn until_nothing_is_found(&mut self) {
        let mut dice = SplitMix64(self.manner.turn + 1);
        self.hurdle = MicroUsd::ZERO;
        while !self.effort.is_over() && (self.pass(Sets::All) || self.draw_lots(&mut dice)) {}
    }

    pub fn candidates(&self, method: Method) -> Vec<Candidate> {
        candidates(&self.current, method, self.now).into_iter().filter_map(|standing| standing.verdict.ok()).collect()
    }

    /// A node of this plan does not go again with it, and the policy of its pool may leave it alone.
    fn may_go(&self, candidate: &Candidate, there: &HashSet<&str>) -> bool {
        let node = &self.current.nodes[candidate.node];
        if self.manner.budgets == Budgets::Together && !there.contains(&*node.name) {
            return false;
        }
        self.policies.leave_alone(node, self.now).is_none()
    }

    /// Tries every set once; whether something was found.
    pub fn pass(&mut self, sets: Sets) -> bool {
        let before = self.commands.len();
        self.is_quick = match sets {
            Sets::Singles => self.hurdle > MicroUsd::ZERO,
            Sets::Neighbours => true,
            Sets::All => false,
        };
        let mut tried: HashSet<Vec<Arc<str>>> = HashSet::new();
        if sets == Sets::All {
            self.try_choices();
        }
        'again: loop {
            let all = self.underutilized();
            let turn = self.manner.turn;
            let ideas = match sets {
                Sets::Singles => singles(&all, turn),
                Sets::Neighbours => neighbours(&self.current, &all, turn),
                Sets::All => ideas(&self.current, &all, turn),
            };
            for idea in ideas {
                if self.effort.is_over() {
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
    pub fn underutilized(&mut self) -> Arc<Vec<Candidate>> {
        if let Some(known) = &self.standing {
            return known.clone();
        }
        let found = Arc::new(self.find_underutilized());
        self.standing = Some(found.clone());
        found
    }

    fn find_underutilized(&self) -> Vec<Candidate> {
        let there: HashSet<&str> = self.start.nodes.iter().map(|node| &*node.name).collect();
        let mut all = self.candidates(Method::Underutilized);
        all.retain(|candidate| self.may_go(candidate, &there) && self.room.has_for_pods(candidate.pods.len(), 1));
        all
    }

    /// What is best for the whole cluster at first sight, as far as it is allowed, until it leads nowhere.
    fn try_choices(&mut self) {
        'again: loop {
            let all = self.underutilized();
            let pools: BTreeSet<Arc<str>> = all.iter().map(|candidate| pool_of(&self.current, candidate)).collect();
            let left = |pool: Arc<str>| (pool.clone(), self.room.left(&self.current, &pool, Method::Underutilized));
            let allowed = pools.into_iter().map(left).collect();
            let time = match self.manner.limits.work.pace {
                Pace::Time => Some(OF_A_CHOICE.min(self.effort.time() / 10)),
                Pace::Work => None,
            };
            for choice in choices(&self.current, &all, &self.policy(all.iter()), &allowed, (time, self.effort)) {
                if self.effort.is_over() {
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
            if self.effort.is_over() {
                return false;
            }
            if self.attempt_of(&all, &draw) {
                return true;
            }
        }
        false
    }

    /// Whether new nodes may come for these: spot nodes for spot nodes only where the gate is open.
    pub fn may_buy(&self, nodes: &[&Candidate]) -> bool {
        let is_spot =
            |of: &&Candidate| self.current.nodes[of.node].label(labels::CAPACITY_TYPE) == Some(labels::CAPACITY_SPOT);
        self.current.settings.feature_gates.spot_to_spot_consolidation || !nodes.iter().all(is_spot)
    }

    /// Tries these of the candidates, if budgets allow them.
    fn attempt_of(&mut self, all: &[Candidate], chosen: &[usize]) -> bool {
        let nodes: Vec<&Candidate> = chosen.iter().map(|index| &all[*index]).collect();
        let names: Vec<Arc<str>> = nodes.iter().map(|of| self.current.nodes[of.node].name.clone()).collect();
        self.room.has_for(&self.current, &nodes, Method::Underutilized) && self.attempt(&nodes, &names, all.len())
    }

    /// What a command for these has to be worth in this round.
    pub fn policy<'c>(&self, nodes: impl IntoIterator<Item = &'c Candidate>) -> Policy {
        Policy { hurdle: self.hurdle, ..self.policies.of_all(&self.current, nodes) }
    }

    /// Tries a set of nodes, of `all` candidates, and keeps what is worth it.
    fn attempt(&mut self, nodes: &[&Candidate], names: &[Arc<str>], all: usize) -> bool {
        let price = nodes.iter().map(|of| of.price.unwrap_or_default()).sum();
        self.examined.extend(names.iter().cloned());
        let (evictions, moves) =
            (nodes.iter().map(|of| of.eviction_price).sum(), nodes.iter().map(|of| of.pods.len()).sum());
        let policy = self.policy(nodes.iter().copied());
        let worth = policy.worth(price, evictions, moves);
        if worth < MicroUsd::ZERO {
            return false; // also where nothing has to come for them
        }
        if self.least.get(names).is_some_and(|least| *least >= worth) {
            return false;
        }
        let wanted = Wanted { price, worth: Some(worth), may_buy: self.may_buy(nodes) };
        let removed: BTreeSet<Arc<str>> = names.iter().cloned().collect();
        if self.is_too_dear(names, &removed, &wanted) {
            return false;
        }
        let search = if self.is_quick { host::Search::Greedy } else { self.manner.limits.search };
        let limits = Limits { search, ..self.effort.of_trial(self.manner.limits, all) };
        let cluster = (&self.current, &self.surroundings);
        let trial = match Trial::of(cluster, &removed, &wanted, (limits, self.effort)) {
            Ok(trial) => trial,
            Err(why) => {
                let least = match why {
                    NoTrial::NoPlace(_) | NoTrial::TooDear { least: None, .. } => MicroUsd(i64::MAX),
                    NoTrial::TooDear { least: Some(least), .. } => least,
                    NoTrial::Late => return false,
                };
                self.least.insert(names.to_vec(), least);
                return false;
            }
        };
        let is_kept = self.keep_of(&trial, nodes, names);
        let cost = trial.plan.cost();
        if !is_kept && cost > MicroUsd::ZERO && !self.is_quick {
            self.least.insert(names.to_vec(), cost); // nothing cheaper was found
        }
        is_kept
    }

    /// Keeps what is worth it of a trial of these nodes.
    pub fn keep_of(&mut self, trial: &Trial, nodes: &[&Candidate], names: &[Arc<str>]) -> bool {
        let by_name: BTreeMap<Arc<str>, Candidate> =
            names.iter().cloned().zip(nodes.iter().copied().cloned()).collect();
        let facts = Facts {
            snapshot: &self.current,
            candidates: &by_name,
            policies: &self.policies,
            hurdle: self.hurdle,
            now: self.now,
        };
        let commands = commands(&self.current, trial, names, Method::Underutilized);
        let mut released: Vec<Command> =
            commands.into_iter().filter_map(|command| facts.released(command).ok()).collect();
        // what is won for the least goes first
        released.sort_by_key(|command| {
            let moves = i64::try_from(command.moves.len()).unwrap_or(i64::MAX).max(1);
            (Reverse(command.saved.0 / moves), command.removed[0].node.clone())
        });
        if released.len() > ONE_BY_ONE && self.keep_all(&released) {
            return true;
        }
        let mut is_found = false;
        for command in released {
            is_found |= self.keep(command);
        }
        is_found
    }

    /// Keeps commands as one, if they are valid together.
    fn keep_all(&mut self, commands: &[Command]) -> bool {
        let mut room = self.room.clone();
        let is_within = commands.iter().all(|command| {
            let is_within = room.lets_move(&self.current, command);
            room.note(&self.current, command);
            is_within
        });
        let is_kept = is_within && are_valid(&self.current, &commands.iter().collect::<Vec<_>>());
        if is_kept {
            self.note(commands.to_vec());
        }
        is_kept
    }

    /// Keeps a command that is valid after those before it.
    pub fn keep(&mut self, command: Command) -> bool {
        let is_kept = self.room.lets_move(&self.current, &command) && are_valid(&self.current, &[&command]);
        if is_kept {
            self.note(vec![command]);
        }
        is_kept
    }

    pub fn note(&mut self, commands: Vec<Command>) {
        for command in &commands {
            self.room.note(&self.current, command);
        }
        self.current = match self.manner.budgets {
            Budgets::Together => under_way(&self.current, &commands),
            Budgets::Each => after(&self.current, &commands),
        };
        self.surroundings = Surroundings::of(&self.current);
        self.standing = None;
        if self.hurdle == MicroUsd::ZERO {
            self.least.clear();
        }
        self.commands.extend(commands);
    }

    /// Candidates that are left where the budget of their pool is used up.
    fn held_back(&self) -> Vec<(Arc<str>, Method, usize)> {
        let there: HashSet<&str> = self.start.nodes.iter().map(|node| &*node.name).collect();
        let mut counts: BTreeMap<(Arc<str>, &'static str), (Method, usize)> = BTreeMap::new();
        for method in [Method::Empty, Method::Drifted, Method::Underutilized] {
            for candidate in self.candidates(method) {
                let pool = pool_of(&self.current, &candidate);
                let may_go = match method {
                    Method::Underutilized => self.may_go(&candidate, &there),
                    Method::Empty | Method::Drifted => true,
                };
                if may_go && self.room.left(&self.current, &pool, method) == 0 {
                    counts.entry((pool, method.label())).or_insert((method, 0)).1 += 1;
                }
            }
        }
        counts.into_iter().map(|((pool, _), (method, count))| (pool, method, count)).collect()
    }
}
