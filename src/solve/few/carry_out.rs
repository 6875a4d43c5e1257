//! A way to deal pods over nodes, carried out as it is: what every new node buys, and nothing else decided anew.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;
use std::sync::Arc;

use fixedbitset::FixedBitSet;

use super::profiles::Profiles;
use super::{Opened, Spot};
use crate::model::{PoolModel, Problem, RemainingLimits};
use crate::observe::snapshot::HostPort;
use crate::solve::greedy::{keep_within_limits, most_counted};
use crate::solve::purchase::{Book, Purchase, Wish, is_exotic, purchase};
use crate::solve::sets::{RequirementSets, SetId};
use crate::solve::{NewNode, Place, Solution};

/// More ways in which node affinity and volumes of a node's pods can be met together are not tried.
const MOST_ALTERNATIVES: usize = 16;

pub struct Carrier<'p, 's> {
    problem: &'p Problem<'s>,
    sets: RequirementSets,
    books: HashMap<(usize, SetId), Rc<Book<'p>>>,
}

/// What the nodes of a way have left of limits and reservations.
struct Market {
    remaining: Vec<RemainingLimits>,
    reserved: BTreeMap<Arc<str>, u32>,
}

impl<'p, 's> Carrier<'p, 's> {
    pub fn new(problem: &'p Problem<'s>, sets: RequirementSets) -> Self {
        Self { problem, sets, books: HashMap::new() }
    }

    /// The way as a solution, with what it costs, micro-dollars an hour; `None` where something of it cannot be bought.
    /// `queue`: the group of each pod.
    pub fn carry_out(
        &mut self,
        profiles: &Profiles,
        queue: &[usize],
        spots: &[Spot],
        open: &[Opened],
    ) -> Option<(Solution, i64)> {
        let problem = self.problem;
        let remaining = problem.pools.iter().map(|pool| pool.remaining.clone()).collect();
        let mut market = Market { remaining, reserved: BTreeMap::new() };
        let mut solution = Solution::default();
        let mut cost = 0;
        for of in open {
            let (node, price) = self.buy(profiles, of, &mut market)?;
            solution.new_nodes.push(node);
            cost += price;
        }
        let mut dealt = vec![0; problem.groups.len()];
        for (&group, spot) in queue.iter().zip(spots) {
            let pod = problem.groups[group].pods[dealt[group]];
            dealt[group] += 1;
            match *spot {
                Spot::Existing(node) => solution.placements.push((pod, Place::Existing(node))),
                Spot::Open(node) => solution.placements.push((pod, Place::New(node))),
                Spot::Left => solution.unplaced.push(pod),
            }
        }
        solution.unplaced.sort_unstable();
        Some((solution, cost))
    }

    fn buy(&mut self, profiles: &Profiles, of: &Opened, market: &mut Market) -> Option<(NewNode, i64)> {
        let problem = self.problem;
        let profile = &profiles.all[of.profile];
        let model = &problem.pools[profile.pool];
        let distinct: BTreeSet<usize> = of.groups.iter().copied().collect();
        let distinct: Vec<usize> = distinct.into_iter().collect();
        let ports = of.groups.iter().flat_map(|&group| &problem.groups[group].spec().host_ports);
        let ports: Vec<HostPort> = ports.cloned().collect();
        let remaining = &market.remaining[profile.pool];
        let mut reservations = BTreeSet::new();
        for reservation in model.types.iter().flat_map(|kind| &kind.offerings).filter_map(|o| o.reservation.as_ref()) {
            if market.reserved.get(&reservation.id).copied().unwrap_or(0) < reservation.free {
                reservations.insert(reservation.id.clone());
            }
        }
        let mut cheapest: Option<(i64, SetId, FixedBitSet, Purchase)> = None;
        for set in self.narrowed(profiles, profile.pool, profile.base, &distinct) {
            let mut types: FixedBitSet = (*self.sets.types(problem, profile.pool, set)).clone();
            for kind in 0..model.types.len() {
                let fits = types.contains(kind) && profile.has_room(problem, kind, &of.used, &ports);
                types.set(kind, fits);
            }
            keep_within_limits(model, &mut types, remaining);
            let wish = Wish { types: &types, reservations: &reservations, spend_limit: remaining.usd_per_hour };
            let sets = &self.sets;
            let book = self.books.entry((profile.pool, set)).or_insert_with(|| Rc::new(Book::of(model, sets.get(set))));
            let Some(bought) = purchase(model, &problem.snapshot.settings, book, wish, &BTreeMap::new()) else {
                continue;
            };
            let price = bought.offers.first().map_or(0, |(_, offering)| offering.price.0);
            if cheapest.as_ref().is_none_or(|(least, ..)| price < *least) {
                cheapest = Some((price, set, types, bought));
            }
        }
        let (price, set, types, bought) = cheapest?;
        let requirements = self.sets.get(set).clone();
        let is_exotic_bought = bought.offers.first().is_some_and(|(kind, _)| is_exotic(kind));
        let remaining = market.remaining[profile.pool].clone();
        if is_exotic_bought
            && model.min_values.is_empty()
            && self.sells_plain(profiles, of, &distinct, &ports, &remaining)
        {
            return None;
        }
        let remaining = &mut market.remaining[profile.pool];
        let spend_limit = remaining.usd_per_hour.map(|_| bought.spend());
        count(remaining, model, &bought);
        let named = bought.offers.iter().filter_map(|(_, offering)| Some(offering.reservation.as_ref()?.id.clone()));
        let reservations: BTreeSet<Arc<str>> = named.collect();
        for id in &reservations {
            *market.reserved.entry(id.clone()).or_default() += 1;
        }
        Some((NewNode { pool: profile.pool, requirements, types, reservations, spend_limit }, price))
    }

    /// Whether something other than accelerators and bare metal holds these pods, where labels that no pod requires are left
    /// open: those are bought only by who needs them, be it for a preference.
    fn sells_plain(
        &mut self,
        profiles: &Profiles,
        of: &Opened,
        groups: &[usize],
        ports: &[HostPort],
        remaining: &RemainingLimits,
    ) -> bool {
        let profile = &profiles.all[of.profile];
        let model = &self.problem.pools[profile.pool];
        self.narrowed(profiles, profile.pool, profile.tied, groups).into_iter().any(|set| {
            let mut types: FixedBitSet = (*self.sets.types(self.problem, profile.pool, set)).clone();
            keep_within_limits(model, &mut types, remaining);
            types
                .ones()
                .any(|kind| !is_exotic(&model.types[kind]) && profile.has_room(self.problem, kind, &of.used, ports))
        })
    }

    /// The set narrowed by what pods of these groups ask of a node, in each way in which some type offers it together.
    fn narrowed(&mut self, profiles: &Profiles, pool: usize, set: SetId, groups: &[usize]) -> Vec<SetId> {
        let Some((&group, others)) = groups.split_first() else { return vec![set] };
        let mut found = Vec::new();
        for &alternative in &profiles.alternatives[group] {
            if let Some(met) = self.sets.meet(set, alternative)
                && !self.sets.types(self.problem, pool, met).is_clear()
            {
                found.extend(self.narrowed(profiles, pool, met, others));
            }
            found.sort_unstable();
            found.dedup();
            if found.len() >= MOST_ALTERNATIVES {
                break;
            }
        }
        found
    }
}

/// Takes what a launch counts towards its pool's limits: the most over what it names.
fn count(remaining: &mut RemainingLimits, pool: &PoolModel, bought: &Purchase) {
    let counted = most_counted(pool, bought.offers.iter().map(|(kind, _)| *kind));
    remaining.resources.values_mut().zip(&counted).for_each(|(left, counted)| *left -= counted);
    if let Some(left) = &mut remaining.nodes {
        *left -= 1;
    }
    if let Some(left) = &mut remaining.usd_per_hour {
        left.0 -= bought.spend().0;
    }
}
