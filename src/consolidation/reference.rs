//! The next command of the reference's consolidation, for simulations that decide as it does.
//!
//! Source: the reference's `disruption/{multi,single}nodeconsolidation.go` (karpenter-core 4.4 to 4.6): a prefix of the nodes in the
//! order of what they cost to disrupt, found by a binary search, for at most one new node; where there is none the first single node
//! that can go. Empty and drifted nodes come before that. A simulation is our greedy in the reference's order, on the part of the
//! cluster that the pods can move to. Whether its answer waits before it is looked at again is the host's.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::cut::{commands, offer_only};
use super::room::pool_of;
use super::search::{Algorithm, Budgets, Consolidation, Manner, Search, consolidate};
use super::trial::{Trial, Wanted};
use super::without::settled;
use super::{Command, Policy};
use crate::api::labels;
use crate::catalog::CapacityType;
use crate::disruption::{Candidate, Method, by_savings};
use crate::host::sequence::MOST;
use crate::host::{self, Limits};
use crate::observe::Snapshot;
use crate::plan::{Launch, Offer};
use crate::units::MicroUsd;

/// One spot node is replaced by another only where so many types are cheaper, of which so many are named.
const SPOT_TO_SPOT: usize = 15;

/// The next command that the reference would find: everything that is empty or has drifted, or else one set of nodes that costs less
/// without it. What a saving has to be worth it does not ask; `policy` says what is off. `turn` as in [`super::consolidate_now`].
#[must_use]
pub fn consolidate_as_reference(snapshot: &Snapshot, policy: &Policy, limits: Limits, turn: u64) -> Consolidation {
    let saves = policy.saves;
    let policy = Policy { saves, evictions_left: policy.evictions_left, ..Policy::anything() };
    let manner = Manner {
        trials: TRIALS_AS_REFERENCE,
        turn,
        algorithm: Algorithm::Reference,
        ..Manner::all(&policy, Budgets::Together, limits)
    };
    consolidate(&settled(snapshot, &BTreeSet::new()), manner, snapshot.taken_at, &|| limits.time)
}

/// Twice as many sets as it looks at at a time: a binary search, and single nodes, more of which follow the next time. (The reference
/// looks at all of them that it can in three minutes.)
const TRIALS_AS_REFERENCE: usize = 100;

impl Search<'_> {
    /// One command at a time: several nodes, or else one.
    pub fn next_as_reference(&mut self) {
        if let Some(command) = self.prefix().or_else(|| self.single()) {
            self.keep(command);
        }
    }

    fn prefix(&mut self) -> Option<Command> {
        let mut ranked = Vec::clone(&self.underutilized());
        ranked.sort_by(by_savings);
        self.keep_within_budgets(&mut ranked, Method::Underutilized);
        ranked.truncate(MOST);
        let (mut shortest, mut longest) = (2, ranked.len());
        let mut best = None;
        while shortest <= longest {
            let length = usize::midpoint(shortest, longest);
            match self.as_reference(&ranked[..length]) {
                Some(command) => {
                    best = Some(command);
                    shortest = length + 1;
                }
                None => longest = length - 1,
            }
        }
        best
    }

    /// Of each pool the next, pools by name. Where there are more than are tried at once the next ones follow the next time.
    fn single(&mut self) -> Option<Command> {
        let mut ranked = Vec::clone(&self.underutilized());
        ranked.sort_by(by_savings);
        let mut turns: Vec<(usize, Arc<str>, Candidate)> = Vec::new();
        let mut taken: BTreeMap<Arc<str>, usize> = BTreeMap::new();
        for candidate in ranked {
            let pool = pool_of(&self.current, &candidate);
            if self.room.left(&self.current, &pool, Method::Underutilized) > 0 {
                let turn = taken.entry(pool.clone()).or_default();
                turns.push((*turn, pool, candidate));
                *turn += 1;
            }
        }
        turns.sort_by(|(a, of_a, _), (b, of_b, _)| (a, of_a).cmp(&(b, of_b)));
        let (left, all) = (self.effort.left(), turns.len());
        if all > left {
            let turn = usize::try_from(self.manner.turn).unwrap_or(0);
            turns.rotate_left(turn.wrapping_mul(left) % all);
        }
        for (.., candidate) in turns {
            if self.effort.is_over() {
                return None;
            }
            let found = self.as_reference(std::slice::from_ref(&candidate));
            if found.is_some() {
                return found;
            }
        }
        None
    }

    /// The command that removes these; `None` where their pods find no place on nodes that are ready and at most one new one, or that
    /// one is not cheaper than those that go.
    fn as_reference(&mut self, nodes: &[Candidate]) -> Option<Command> {
        let names: Vec<Arc<str>> = nodes.iter().map(|of| self.current.nodes[of.node].name.clone()).collect();
        self.examined.extend(names.iter().cloned());
        let removed: BTreeSet<Arc<str>> = names.iter().cloned().collect();
        let price = nodes.iter().map(|of| of.price.unwrap_or_default()).sum();
        let wanted = Wanted { price, worth: None, may_buy: true };
        let limits = Limits { search: host::Search::Greedy, ..self.manner.limits };
        let cluster = (&self.current, &self.surroundings);
        let trial = Trial::of(cluster, &removed, &wanted, (limits, self.effort)).ok()?;
        if trial.plan.launches.len() > 1 {
            return None;
        }
        let mut command =
            commands(&self.current, &trial, &names, Method::Underutilized).into_iter().reduce(|mut all, other| {
                all.removed.extend(other.removed);
                all.launches.extend(other.launches);
                all.moves.extend(other.moves);
                all
            })?;
        if let Some(launch) = command.launches.first_mut() {
            self.leave_cheaper(launch, nodes, price)?;
        }
        let bought: MicroUsd = command.launches.iter().map(Launch::worst_price).sum();
        command.saved = price - bought;
        command.once = self.manner.policy.evictions(nodes.iter().map(|of| of.eviction_price).sum());
        Some(command)
    }

    /// Leaves what may come for these nodes; `None` where nothing is.
    fn leave_cheaper(&self, launch: &mut Launch, nodes: &[Candidate], price: MicroUsd) -> Option<()> {
        if !self.may_buy(&nodes.iter().collect::<Vec<_>>()) {
            return None; // spot for spot
        }
        let kind_of = |of: &Candidate| self.current.nodes[of.node].label(labels::INSTANCE_TYPE);
        let is_offered = |of: &&Candidate| launch.offers.iter().any(|offer| kind_of(of) == Some(&*offer.instance_type));
        let mut most = price;
        if nodes.len() > 1 {
            // where a type that goes would come again, one of its nodes might as well stay
            let again = nodes.iter().filter(is_offered).map(|of| of.price.unwrap_or_default());
            most = again.fold(most, MicroUsd::min);
        }
        let is_spot =
            |of: &Candidate| self.current.nodes[of.node].label(labels::CAPACITY_TYPE) == Some(labels::CAPACITY_SPOT);
        let mut offers: Vec<Offer> = launch.offers.iter().filter(|offer| offer.price < most).cloned().collect();
        if nodes.len() == 1 && launch.capacity_type == CapacityType::Spot && is_spot(&nodes[0]) {
            let mut kinds: Vec<(MicroUsd, Arc<str>)> =
                offers.iter().map(|offer| (offer.price, offer.instance_type.clone())).collect();
            kinds.sort_unstable();
            let mut seen = BTreeSet::new();
            kinds.retain(|(_, kind)| seen.insert(kind.clone()));
            if kinds.len() < SPOT_TO_SPOT {
                return None;
            }
            kinds.truncate(SPOT_TO_SPOT);
            offers.retain(|offer| kinds.iter().any(|(_, kind)| *kind == offer.instance_type));
        }
        if offers.is_empty() {
            return None;
        }
        offer_only(launch, offers);
        Some(())
    }
}
