//! What goes whatever it saves: empty nodes, and drifted ones.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::cut::commands;
use super::room::pool_of;
use super::search::Search;
use super::trial::{Trial, Wanted};
use super::{Command, Removed};
use crate::disruption::{Candidate, Method};
use crate::plan::Launch;
use crate::random::SplitMix64;
use crate::units::MicroUsd;

/// Of more drifted nodes than this not every search begins with the oldest.
const MANY_DRIFTED: usize = 5;

impl Search<'_> {
    /// All empty nodes that budgets allow, at once.
    pub fn remove_empty(&mut self) {
        let mut empty = self.candidates(Method::Empty);
        self.keep_within_budgets(&mut empty, Method::Empty);
        if empty.is_empty() {
            return;
        }
        let name = |of: &Candidate| Removed { node: self.current.nodes[of.node].name.clone(), price: of.price };
        let removed: Vec<Removed> = empty.iter().map(name).collect();
        let saved = empty.iter().map(|of| of.price.unwrap_or_default()).sum();
        let once = self.manner.policy.evictions(empty.iter().map(|of| of.eviction_price).sum());
        let (launches, moves) = (Vec::new(), Vec::new());
        self.note(vec![Command { method: Method::Empty, removed, launches, moves, saved, once }]);
    }

    /// Leaves the first of these that the budgets of their pools allow together.
    pub fn keep_within_budgets(&self, all: &mut Vec<Candidate>, method: Method) {
        let mut left: BTreeMap<Arc<str>, usize> = BTreeMap::new();
        all.retain(|candidate| {
            let pool = pool_of(&self.current, candidate);
            let of_pool = || self.room.left(&self.current, &pool, method);
            let left = left.entry(pool.clone()).or_insert_with(of_pool);
            let is_within = *left > 0;
            *left = left.saturating_sub(1);
            is_within
        });
    }

    /// Drifted nodes go one by one, whatever that costs: those first that nobody would miss, then the oldest drift.
    pub fn replace_drifted(&mut self) {
        let mut drifted = self.candidates(Method::Drifted);
        drifted.sort_by_key(|of| {
            let node = &self.current.nodes[of.node];
            (!of.pods.is_empty(), node.disruption.drifted.as_ref().map(|of| of.since), node.name.clone())
        });
        let mut names: Vec<Arc<str>> = drifted.iter().map(|of| self.current.nodes[of.node].name.clone()).collect();
        // some may never find another node: half of the search is for others, and some searches begin elsewhere
        let most = if self.policies.are_off() { usize::MAX } else { self.effort.left().div_ceil(2) };
        if !self.manner.turn.is_multiple_of(4) && names.len() > MANY_DRIFTED {
            let lot = usize::try_from(SplitMix64(self.manner.turn).next() >> 32).unwrap_or_default();
            let first = lot % names.len();
            names.rotate_left(first);
        }
        let before = self.effort.tried();
        let half = if self.policies.are_off() { Duration::ZERO } else { self.effort.time() / 2 };
        let mut standing = drifted;
        let all = names.len();
        for name in names {
            if self.effort.is_over() || self.effort.tried() - before >= most || self.effort.time() < half {
                return;
            }
            let Some(candidate) = standing.iter().find(|of| self.current.nodes[of.node].name == name) else { continue };
            if self.room.has_for(&self.current, &[candidate], Method::Drifted) && self.replace(candidate, &name, all) {
                // pods may have moved to others
                standing = self.candidates(Method::Drifted);
            }
        }
    }

    fn replace(&mut self, candidate: &Candidate, name: &Arc<str>, all: usize) -> bool {
        self.examined.insert(name.clone());
        let removed = BTreeSet::from([name.clone()]);
        let wanted = Wanted { price: candidate.price.unwrap_or_default(), worth: None, may_buy: true };
        let evictions = candidate.eviction_price;
        let limits = self.effort.of_trial(self.manner.limits, all);
        let cluster = (&self.current, &self.surroundings);
        let Ok(trial) = Trial::of(cluster, &removed, &wanted, (limits, self.effort)) else { return false };
        let mut is_found = false;
        for mut command in commands(&self.current, &trial, std::slice::from_ref(name), Method::Drifted) {
            let bought: MicroUsd = command.launches.iter().map(Launch::worst_price).sum();
            command.saved = command.price() - bought;
            command.once = self.manner.policy.evictions(evictions) + self.manner.policy.boots(bought);
            is_found |= self.keep(command);
        }
        is_found
    }
}
