//! What the reference's consolidation would do to a cluster, command after command until it finds nothing more: what ours is
//! compared with.
//!
//! Source: karpenter-core 4.4 to 4.6. Each pass is empty nodes, then a prefix of the nodes in the order of their savings ("multi-node"),
//! then single nodes; a simulation is our greedy in the reference's order. Commands are taken to be carried out before the next pass:
//! budgets are whole again, and `consolidateAfter` is over. Not imitated: validation after 15 s, time limits, and the scores of the
//! policy `Balanced`, which counts as `WhenEmptyOrUnderutilized`.

mod replacement;
mod simulation;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use crate::disruption::{Candidate, Method, allowance, by_savings, candidates};
use crate::observe::Snapshot;
use crate::observe::snapshot::PodKey;
use crate::units::MicroUsd;
pub use replacement::Replacement;
use simulation::{emptied, simulate};

/// A multi-node command removes at most so many nodes.
pub const MOST: usize = 101;

/// How a command was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Emptiness,
    MultiNode,
    SingleNode,
}

/// Nodes that go at once, and what comes for them.
#[derive(Debug, Clone, PartialEq)]
pub struct Command {
    pub kind: Kind,
    /// Their names.
    pub removed: Vec<Arc<str>>,
    pub replacement: Option<Replacement>,
    /// The pods that move, with the nodes that the simulation put them on.
    pub moved: Vec<(PodKey, Arc<str>)>,
    /// Of an hour.
    pub saved: MicroUsd,
}

/// All commands, and what is there after them.
#[derive(Debug, Clone)]
pub struct Sequence {
    pub commands: Vec<Command>,
    pub after: Snapshot,
    /// There was not the time to find nothing more.
    pub stopped: bool,
}

/// A command with the Snapshot after it.
struct Found {
    command: Command,
    after: Snapshot,
}

/// Repeats the reference's passes over the nodes that may be disrupted at this time.
#[must_use]
pub fn sequence(snapshot: &Snapshot, now: Timestamp, stop: &dyn Fn() -> bool) -> Sequence {
    let mut sequence = Sequence { commands: Vec::new(), after: snapshot.clone(), stopped: false };
    loop {
        let pass = Pass { current: &sequence.after, now, number: sequence.commands.len(), stop };
        let found = pass.emptiness().or_else(|| pass.multi_node()).or_else(|| pass.single_node());
        let Some(Found { command, after }) = found else { break };
        sequence.commands.push(command);
        sequence.after = after;
    }
    sequence.stopped = stop();
    sequence
}

struct Pass<'s> {
    current: &'s Snapshot,
    now: Timestamp,
    /// Commands before it, for the names of new nodes.
    number: usize,
    stop: &'s dyn Fn() -> bool,
}

impl Pass<'_> {
    fn candidates(&self, method: Method) -> Vec<Candidate> {
        candidates(self.current, method, self.now).into_iter().filter_map(|standing| standing.verdict.ok()).collect()
    }

    fn budgets(&self, method: Method) -> BTreeMap<&str, usize> {
        let pools = self.current.node_pools.iter();
        pools.map(|pool| (&*pool.name, allowance(self.current, pool, method.reason(), self.now).left())).collect()
    }

    /// The first of these that budgets allow together.
    fn within_budgets(&self, all: Vec<Candidate>, method: Method) -> Vec<Candidate> {
        let mut left = self.budgets(method);
        let within = |candidate: &Candidate| {
            let left = left.entry(self.pool(candidate)).or_default();
            let is_within = *left > 0;
            *left = left.saturating_sub(1);
            is_within
        };
        all.into_iter().filter(within).collect()
    }

    fn pool(&self, candidate: &Candidate) -> &str {
        self.current.nodes[candidate.node].pool.as_deref().unwrap_or_default()
    }

    /// All empty nodes that budgets allow.
    fn emptiness(&self) -> Option<Found> {
        let empty = self.within_budgets(self.candidates(Method::Empty), Method::Empty);
        (!empty.is_empty()).then(|| emptied(self.current, &empty))
    }

    /// The longest prefix that a binary search finds, at least two nodes.
    fn multi_node(&self) -> Option<Found> {
        let mut ranked = self.candidates(Method::Underutilized);
        ranked.sort_by(by_savings);
        let mut ranked = self.within_budgets(ranked, Method::Underutilized);
        ranked.truncate(MOST);
        let (mut shortest, mut longest) = (2, ranked.len());
        let mut best = None;
        while shortest <= longest && !(self.stop)() {
            let length = usize::midpoint(shortest, longest);
            match simulate(self.current, &ranked[..length], Kind::MultiNode, self.number) {
                Some(found) => {
                    best = Some(found);
                    shortest = length + 1;
                }
                None => longest = length - 1,
            }
        }
        best
    }

    /// The first node that can go alone.
    fn single_node(&self) -> Option<Found> {
        self.in_turns().iter().find_map(|candidate| {
            let alone = std::slice::from_ref(candidate);
            if (self.stop)() { None } else { simulate(self.current, alone, Kind::SingleNode, self.number) }
        })
    }

    /// Of each pool that budgets leave something the node with the largest saving, then of each the next, pools by name.
    fn in_turns(&self) -> Vec<Candidate> {
        let mut ranked = self.candidates(Method::Underutilized);
        ranked.sort_by(by_savings);
        let left = self.budgets(Method::Underutilized);
        let mut turns: Vec<(usize, &str, Candidate)> = Vec::new();
        let mut taken: BTreeMap<&str, usize> = BTreeMap::new();
        for candidate in ranked {
            let pool = self.pool(&candidate);
            if left.get(pool).is_some_and(|left| *left > 0) {
                let turn = taken.entry(pool).or_default();
                turns.push((*turn, pool, candidate));
                *turn += 1;
            }
        }
        turns.sort_by_key(|(turn, pool, _)| (*turn, *pool));
        turns.into_iter().map(|(.., candidate)| candidate).collect()
    }
}
