//! As many nodes as can go at once with nothing coming for them, in the order of what they win for each pod: no pod moves to a node that
//! goes next, and what is free is filled by a packing of all that move.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

use super::floor::MayBuy;
use super::ideas::wasted;
use super::search::Search;
use super::trial::{Trial, Wanted};
use crate::disruption::{Candidate, Method, by_savings};
use crate::observe::Snapshot;
use crate::resources::Resources;
use crate::units::MicroUsd;

/// So many nodes after the longest run are tried one by one: those of which nobody uses the most, as their pods find room first.
const BEYOND: usize = 24;

/// Of the time of the small steps, and of the sets that they may try, this takes one of so many parts.
const PARTS: u32 = 2;

impl Search<'_> {
    /// Takes away the longest run of candidates that a binary search finds, and those after it that can go with them.
    pub fn remove_most(&mut self) {
        let all = self.underutilized();
        let mut all: Vec<Candidate> = all.iter().filter(|of| self.is_worth_alone(of)).cloned().collect();
        all.sort_by(by_savings);
        self.keep_within_budgets(&mut all, Method::Underutilized);
        // nothing can be bought here
        let mut closed = self.current.clone();
        closed.node_pools.iter_mut().for_each(|pool| pool.instance_types = Arc::default());
        let kept = (self.effort.time() / PARTS, self.effort.left() / PARTS as usize);
        let (mut shortest, mut longest) = (1, self.longest(&all));
        let (mut found, mut run) = (None, Vec::new());
        while shortest <= longest && !self.is_late(kept) {
            let length = usize::midpoint(shortest, longest);
            let nodes: Vec<&Candidate> = all[..length].iter().collect();
            if let Some(trial) = self.removal(&closed, &nodes) {
                (found, run) = (Some(trial), nodes);
                shortest = length + 1;
            } else {
                longest = length - 1;
            }
        }
        let mut beyond: Vec<&Candidate> = all.iter().skip(run.len() + 1).collect();
        beyond.sort_by_key(|of| Reverse(wasted(&self.current, of)));
        for next in beyond.into_iter().take(BEYOND) {
            if run.is_empty() || self.is_late(kept) {
                break;
            }
            run.push(next);
            match self.removal(&closed, &run) {
                Some(trial) => found = Some(trial),
                None => _ = run.pop(),
            }
        }
        if let Some(trial) = found {
            let names: Vec<Arc<str>> = run.iter().map(|of| self.current.nodes[of.node].name.clone()).collect();
            self.keep_of(&trial, &run, &names);
        }
    }

    fn is_late(&self, (time, trials): (Duration, usize)) -> bool {
        self.effort.is_over() || self.effort.time() <= time || self.effort.left() <= trials
    }

    fn is_worth_alone(&self, of: &Candidate) -> bool {
        let price = of.price.unwrap_or_default();
        price > MicroUsd::ZERO && self.policy([of]).worth(price, of.eviction_price, of.pods.len()) > MicroUsd::ZERO
    }

    /// No more of the first of these than this have room on the others, by what there is of each resource in all.
    fn longest(&self, all: &[Candidate]) -> usize {
        let free = |node| self.surroundings.free(node).map(at_least_none).unwrap_or_default();
        let mut room = Resources::new();
        (0..self.current.nodes.len()).for_each(|node| room.add(&free(node)));
        let mut used = Resources::new();
        let fits = |of: &&Candidate| {
            room.subtract(&free(of.node));
            of.pods.iter().for_each(|&pod| used.add(&self.current.pods[pod].template.spec.requests));
            used.fits(&room)
        };
        all.iter().take_while(fits).count()
    }

    fn removal(&self, closed: &Snapshot, nodes: &[&Candidate]) -> Option<Trial> {
        let removed = nodes.iter().map(|of| closed.nodes[of.node].name.clone()).collect();
        let price: MicroUsd = nodes.iter().map(|of| of.price.unwrap_or_default()).sum();
        self.effort.count();
        if self.surroundings.floor(closed, &removed, (price, MayBuy::Nothing)) >= price {
            return None;
        }
        let wanted = Wanted { price, worth: Some(price), may_buy: false };
        Trial::of((closed, &self.surroundings), &removed, &wanted, (self.manner.limits, self.effort)).ok()
    }
}

fn at_least_none(free: &Resources) -> Resources {
    free.iter().map(|(name, amount)| (name.clone(), amount.max(0))).collect()
}
