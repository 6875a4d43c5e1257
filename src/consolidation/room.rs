//! Which nodes may still go with a plan: as many as budgets of pools allow, as PodDisruptionBudgets have room for.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::policy::EvictionLimit;
use super::{Budgets, Command};
use crate::disruption::{Candidate, Evictions, Method, allowance};
use crate::observe::Snapshot;

/// What a plan has used up so far.
#[derive(Debug, Clone)]
pub(super) struct Room<'s> {
    /// Before the first command: budgets are parts of what is there then.
    start: &'s Snapshot,
    budgets: Budgets,
    now: Timestamp,
    /// How many nodes of each pool go.
    removed: BTreeMap<Arc<str>, usize>,
    /// What budgets allowed at the start, by pool and method: counted once, and asked for with every set of nodes.
    allowed: RefCell<BTreeMap<(Arc<str>, &'static str), usize>>,
    evicted: Evictions,
    limit: Option<EvictionLimit>,
}

impl<'s> Room<'s> {
    pub fn new(start: &'s Snapshot, (budgets, limit): (Budgets, Option<EvictionLimit>), now: Timestamp) -> Self {
        Self {
            start,
            budgets,
            now,
            removed: BTreeMap::new(),
            allowed: RefCell::default(),
            evicted: Evictions::default(),
            limit,
        }
    }

    /// How many nodes of a pool may still go.
    pub fn left(&self, current: &Snapshot, pool: &Arc<str>, method: Method) -> usize {
        let Some(of) = current.node_pools.iter().find(|of| of.name == *pool) else { return 0 };
        let left = |of_whom| allowance(of_whom, of, method.reason(), self.now).left();
        match self.budgets {
            Budgets::Together => {
                let gone = self.removed.get(pool).copied().unwrap_or(0);
                let mut allowed = self.allowed.borrow_mut();
                allowed.entry((pool.clone(), method.label())).or_insert_with(|| left(self.start)).saturating_sub(gone)
            }
            Budgets::Each => left(current),
        }
    }

    /// Whether the budgets of their pools allow all of these together.
    pub fn has_for(&self, current: &Snapshot, nodes: &[&Candidate], method: Method) -> bool {
        let mut counts: BTreeMap<Arc<str>, usize> = BTreeMap::new();
        for node in nodes {
            *counts.entry(pool_of(current, node)).or_default() += 1;
        }
        counts.iter().all(|(pool, count)| *count <= self.left(current, pool, method))
    }

    /// Whether the pods of these nodes may be evicted besides.
    pub fn has_for_pods(&self, pods: usize, nodes: usize) -> bool {
        self.limit.is_none_or(|limit| limit.allows(pods, nodes))
    }

    /// Whether fewer pods may be evicted than if nothing had been evicted before.
    pub fn is_partly_used(&self) -> bool {
        self.limit.is_some_and(|limit| limit.evicted > 0)
    }

    /// Whether PodDisruptionBudgets have room for the evictions of a command, and the limit of all of them.
    pub fn lets_move(&self, current: &Snapshot, command: &Command) -> bool {
        if !self.has_for_pods(command.moves.len(), command.removed.len()) {
            return false;
        }
        let none = Evictions::default();
        let others = if self.budgets == Budgets::Together { &self.evicted } else { &none };
        evictions(current, command).fit(current, others, command.removed.len() == 1)
    }

    pub fn note(&mut self, current: &Snapshot, command: &Command) {
        for removed in &command.removed {
            let node = current.nodes.iter().find(|node| node.name == removed.node);
            if let Some(pool) = node.and_then(|node| node.pool.clone()) {
                *self.removed.entry(pool).or_default() += 1;
            }
        }
        if let Some(limit) = self.limit.as_mut() {
            limit.evicted += command.moves.len();
        }
        self.evicted.add(&evictions(current, command));
    }
}

pub(super) fn pool_of(snapshot: &Snapshot, candidate: &Candidate) -> Arc<str> {
    snapshot.nodes[candidate.node].pool.clone().unwrap_or_else(|| Arc::from(""))
}

/// The evictions of a command that budgets count.
pub(super) fn evictions(snapshot: &Snapshot, command: &Command) -> Evictions {
    let goes = |node: &Arc<str>| command.removed.iter().any(|removed| removed.node == *node);
    let pods = snapshot.pods.iter().enumerate().filter(|(_, pod)| {
        !pod.disruption.budgets.is_empty() && pod.is_reschedulable() && pod.node.as_ref().is_some_and(goes)
    });
    Evictions::of(snapshot, pods.map(|(index, _)| index))
}
