//! Patterns carried out: every pod goes to a node that was chosen for it, under the same rules as any other pod.

use std::collections::HashMap;

use super::open::Opened;
use super::topology::Needs;
use super::variant::VariantId;
use super::{Greedy, Place};
use crate::model::{DomainId, KeyId};

/// Where the pods of each group should go.
#[derive(Debug, Default)]
pub struct Guide {
    pub targets: Vec<Target>,
    /// By group: targets (indices into `targets`) with how many of its pods each should take; none is zero, the last is
    /// tried first.
    pub of_group: HashMap<usize, Vec<(usize, u32)>>,
    /// By group: how many pods should go to each existing node.
    pub existing: HashMap<usize, Vec<(usize, u32)>>,
    /// By group: the last relaxation step that may be tried.
    pub steps: Vec<usize>,
}

/// A node to open.
#[derive(Debug)]
pub struct Target {
    pub pool: usize,
    /// Its domain of each topology key that some of its pods look at.
    pub domains: Vec<(KeyId, DomainId)>,
    /// Index into the open nodes, once it is open.
    pub opened: Option<usize>,
}

impl Greedy<'_, '_> {
    /// Places one pod of a group on a node that was chosen for it.
    pub(super) fn place_guided(&mut self, group: usize) -> Option<Place> {
        let spec = self.problem.groups[group].spec();
        if !self.claims.admit(spec) {
            return None;
        }
        let last = self.guide.steps[group];
        for step in 0..=last {
            let variant = self.variants.at(self.problem, &mut self.sets, group, step)?;
            let needs = self.counts.needs(self.problem, &self.variants, variant);
            let place = self.guided_to_existing(group, variant, &needs).or_else(|| self.guided(group, variant, needs));
            if place.is_some() {
                self.claims.take(spec);
                return place;
            }
        }
        None
    }

    fn guided_to_existing(&mut self, group: usize, variant: VariantId, needs: &Needs) -> Option<Place> {
        let mut chosen = std::mem::take(self.guide.existing.get_mut(&group)?);
        let position = chosen.iter().rposition(|&(node, _)| self.takes_existing(variant, needs, node));
        let node = position.map(|position| use_up(&mut chosen, position, 1));
        self.guide.existing.insert(group, chosen);
        self.commit_existing(variant, node?);
        node.map(Place::Existing)
    }

    fn guided(&mut self, group: usize, variant: VariantId, mut needs: Needs) -> Option<Place> {
        let mut chosen = std::mem::take(self.guide.of_group.get_mut(&group)?);
        let mut place = None;
        for position in (0..chosen.len()).rev() {
            place = self.guided_to(chosen[position].0, variant, &mut needs);
            if place.is_some() {
                use_up(&mut chosen, position, 1);
                break;
            }
        }
        self.guide.of_group.insert(group, chosen);
        place
    }

    fn guided_to(&mut self, target: usize, variant: VariantId, needs: &mut Needs) -> Option<Place> {
        let of = &self.guide.targets[target];
        let domain = |key: KeyId| of.domains.iter().find(|(of, _)| *of == key).map(|(_, domain)| *domain);
        if needs.keys.iter().any(|need| domain(need.key).is_some_and(|domain| !need.allowed.contains(domain))) {
            return None;
        }
        if let Some(open) = of.opened {
            return self.join(variant, needs, open);
        }
        for need in &mut needs.keys {
            if let Some(domain) = domain(need.key) {
                need.domains = vec![domain];
            }
        }
        // pools come heaviest first: what a better packing leaves of a limit is for those whose pool it is
        let (chosen, pools) = (of.pool, &self.problem.pools);
        let heavier: Vec<usize> =
            (0..chosen).filter(|&pool| pools[pool].pool.weight > pools[chosen].pool.weight).collect();
        let opened = heavier.into_iter().chain([chosen]).find_map(|pool| match self.open_in(variant, needs, pool) {
            Opened::Yes(Place::New(open)) => Some(open),
            _ => None,
        });
        let open = opened?;
        self.guide.targets[target].opened = Some(open);
        Some(Place::New(open))
    }
}

/// Takes so many off a count; returns what it was of.
pub(super) fn use_up(chosen: &mut Vec<(usize, u32)>, position: usize, pods: u32) -> usize {
    let (of, left) = &mut chosen[position];
    let of = *of;
    *left -= pods;
    if *left == 0 {
        chosen.remove(position);
    }
    of
}
