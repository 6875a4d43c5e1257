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
/// Purchases tried for the nodes of one way, where limits or reservations tie them to each other.
const MOST_PURCHASES: usize = 200;

pub struct Carrier<'p, 's> {
    problem: &'p Problem<'s>,
    sets: RequirementSets,
    books: HashMap<(usize, SetId), Rc<Book<'p>>>,
    /// By profile and groups of pods: what a node may buy of every type alone, from all that there is.
    each: HashMap<(usize, Vec<usize>), Rc<Vec<Choice<'p>>>>,
    /// Some way had more purchases than may be tried.
    pub is_cut: bool,
}

/// What the nodes of a way have left of limits and reservations.
#[derive(Clone)]
struct Market {
    remaining: Vec<RemainingLimits>,
    reserved: BTreeMap<Arc<str>, u32>,
}

/// What a node may buy.
#[derive(Clone)]
struct Choice<'p> {
    pool: usize,
    /// Micro-dollars an hour.
    price: i64,
    set: SetId,
    types: FixedBitSet,
    bought: Purchase<'p>,
}

/// Nodes bought together, the first of a way before the last.
struct Basket<'w, 'p> {
    profiles: &'w Profiles,
    open: &'w [Opened],
    bought: Vec<Choice<'p>>,
    cost: i64,
    /// The cheapest that was found, with its cost.
    best: Option<(i64, Vec<Choice<'p>>)>,
    purchases: usize,
}

impl<'p, 's> Carrier<'p, 's> {
    pub fn new(problem: &'p Problem<'s>, sets: RequirementSets) -> Self {
        Self { problem, sets, books: HashMap::new(), each: HashMap::new(), is_cut: false }
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
        let mut basket = Basket { profiles, open, bought: Vec::new(), cost: 0, best: None, purchases: MOST_PURCHASES };
        self.fill(&mut basket, &Market::of(problem));
        self.is_cut |= basket.purchases == 0;
        let (cost, bought) = basket.best?;
        let new_nodes = bought.into_iter().map(|choice| self.node(choice)).collect();
        let mut solution = Solution { new_nodes, ..Solution::default() };
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

    /// Buys the nodes that are not bought yet. What is cheapest for one may leave nothing for the next: its other choices
    /// follow until no cheaper basket is possible.
    fn fill(&mut self, basket: &mut Basket<'_, 'p>, market: &Market) {
        let (done, open) = (basket.bought.len(), basket.open);
        let to_come: i64 = open[done..].iter().map(|of| of.cost).sum();
        let is_lost =
            |basket: &Basket, more: i64| basket.best.as_ref().is_some_and(|(least, _)| basket.cost + more >= *least);
        let Some(of) = open.get(done) else {
            if !is_lost(basket, 0) && !self.buys_needlessly(basket) {
                basket.best = Some((basket.cost, basket.bought.clone()));
            }
            return;
        };
        let pool = basket.profiles.all[of.profile].pool;
        let model = &self.problem.pools[pool];
        let has_reservations = |pool: usize| self.problem.pools[pool].has_reservations;
        let shares = |other: usize| other == pool || has_reservations(other) && has_reservations(pool);
        let mut others = open[done + 1..].iter().map(|of| basket.profiles.all[of.profile].pool);
        let is_tied = model.is_limited() && others.any(shares);
        let mut choices = self.choices(basket.profiles, of, market, false);
        choices.truncate(1);
        let mut next = 0;
        loop {
            if next == 1 && is_tied && !is_lost(basket, to_come) {
                let each = self.each(basket.profiles, of);
                choices.extend(each.iter().filter(|choice| market.has(model, choice)).cloned());
                choices = undominated(model, choices);
            }
            let Some(choice) = choices.get(next) else { return };
            next += 1;
            if is_lost(basket, choice.price + to_come - of.cost) {
                continue;
            }
            let Some(left) = basket.purchases.checked_sub(1) else { return };
            basket.purchases = left;
            let mut market = market.clone();
            market.take(model, choice);
            basket.cost += choice.price;
            basket.bought.push(choice.clone());
            self.fill(basket, &market);
            basket.bought.pop();
            basket.cost -= choice.price;
        }
    }

    /// What the node may buy of every type alone, from all that there is, without what nobody needs.
    fn each(&mut self, profiles: &Profiles, of: &Opened) -> Rc<Vec<Choice<'p>>> {
        let mut groups = of.groups.clone();
        groups.sort_unstable();
        let key = (of.profile, groups);
        if let Some(known) = self.each.get(&key) {
            return known.clone();
        }
        let all = self.choices(profiles, of, &Market::of(self.problem), true);
        let model = &self.problem.pools[profiles.all[of.profile].pool];
        let each = Rc::new(undominated(model, all));
        self.each.insert(key, each.clone());
        each
    }

    /// What the node may buy, cheapest first, in every way to meet the pods' requirements; `each`: of every type alone, with
    /// reservations and without.
    fn choices(&mut self, profiles: &Profiles, of: &Opened, market: &Market, each: bool) -> Vec<Choice<'p>> {
        let problem = self.problem;
        let profile = &profiles.all[of.profile];
        let model = &problem.pools[profile.pool];
        let (groups, ports) = self.asked(of);
        let remaining = &market.remaining[profile.pool];
        let free = market.free(model);
        let mut choices = Vec::new();
        for set in self.narrowed(profiles, profile.pool, profile.base, &groups) {
            let mut types: FixedBitSet = (*self.sets.types(problem, profile.pool, set)).clone();
            for kind in 0..model.types.len() {
                let fits = types.contains(kind) && profile.has_room(problem, kind, &of.used, &ports);
                types.set(kind, fits);
            }
            keep_within_limits(model, &mut types, remaining);
            let sets = &self.sets;
            let book = self.books.entry((profile.pool, set)).or_insert_with(|| Rc::new(Book::of(model, sets.get(set))));
            let mut buy = |types: FixedBitSet, reservations: &BTreeSet<Arc<str>>| {
                let wish = Wish { types: &types, reservations, spend_limit: remaining.usd_per_hour };
                let bought = purchase(model, &problem.snapshot.settings, book, wish, &BTreeMap::new())?;
                let price = bought.offers.first().map_or(0, |(_, offering)| offering.price.0);
                choices.push(Choice { pool: profile.pool, price, set, types, bought });
                Some(())
            };
            if !each {
                buy(types, &free);
            } else if model.min_values.is_empty() {
                for kind in types.ones() {
                    let mut alone = FixedBitSet::with_capacity(types.len());
                    alone.insert(kind);
                    buy(alone.clone(), &free);
                    buy(alone, &BTreeSet::new());
                }
            }
        }
        choices.sort_by_key(|choice| choice.price);
        choices
    }

    /// The groups of a node's pods, and their host ports.
    fn asked(&self, of: &Opened) -> (Vec<usize>, Vec<HostPort>) {
        let groups: BTreeSet<usize> = of.groups.iter().copied().collect();
        let ports = of.groups.iter().flat_map(|&group| &self.problem.groups[group].spec().host_ports);
        (groups.into_iter().collect(), ports.cloned().collect())
    }

    fn node(&self, choice: Choice) -> NewNode {
        let requirements = self.sets.get(choice.set).clone();
        let is_capped = self.problem.pools[choice.pool].remaining.usd_per_hour.is_some();
        let spend_limit = is_capped.then(|| choice.bought.spend());
        NewNode {
            pool: choice.pool,
            requirements,
            reservations: choice.reservations(),
            types: choice.types,
            spend_limit,
        }
    }

    /// Whether accelerators or bare metal are bought for pods that something else with the same labels would hold as well,
    /// beside all else that is bought: only who needs them gets them.
    fn buys_needlessly(&mut self, basket: &Basket) -> bool {
        let problem = self.problem;
        (0..basket.bought.len()).any(|node| {
            let (choice, of) = (&basket.bought[node], &basket.open[node]);
            let model = &problem.pools[choice.pool];
            if !choice.is_exotic() || !model.min_values.is_empty() {
                return false;
            }
            let mut market = Market::of(problem);
            let others = basket.bought.iter().enumerate().filter(|(other, _)| *other != node);
            others.for_each(|(_, other)| market.take(&problem.pools[other.pool], other));
            let (_, ports) = self.asked(of);
            let mut types: FixedBitSet = (*self.sets.types(problem, choice.pool, choice.set)).clone();
            keep_within_limits(model, &mut types, &market.remaining[choice.pool]);
            let profile = &basket.profiles.all[of.profile];
            types.ones().any(|kind| !is_exotic(&model.types[kind]) && profile.has_room(problem, kind, &of.used, &ports))
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

impl Market {
    fn of(problem: &Problem) -> Self {
        Self { remaining: problem.pools.iter().map(|pool| pool.remaining.clone()).collect(), reserved: BTreeMap::new() }
    }

    /// The reservations of the pool's types with places left.
    fn free(&self, pool: &PoolModel) -> BTreeSet<Arc<str>> {
        let all =
            pool.types.iter().flat_map(|kind| &kind.offerings).filter_map(|offering| offering.reservation.as_ref());
        let free = all.filter(|of| self.reserved.get(&of.id).copied().unwrap_or(0) < of.free);
        free.map(|of| of.id.clone()).collect()
    }

    /// Whether there is as much as the choice takes.
    fn has(&self, pool: &PoolModel, choice: &Choice) -> bool {
        let remaining = &self.remaining[choice.pool];
        let counted = most_counted(pool, choice.bought.offers.iter().map(|(kind, _)| *kind));
        let free = self.free(pool);
        remaining.resources.values().zip(&counted).all(|(left, counted)| counted <= left)
            && remaining.nodes.is_none_or(|left| left >= 1)
            && remaining.usd_per_hour.is_none_or(|left| choice.bought.spend() <= left)
            && choice.reservations().is_subset(&free)
    }

    /// Takes what a launch counts towards its pool's limits, the most over what it names, and its reservations.
    fn take(&mut self, pool: &PoolModel, choice: &Choice) {
        let remaining = &mut self.remaining[choice.pool];
        let counted = most_counted(pool, choice.bought.offers.iter().map(|(kind, _)| *kind));
        remaining.resources.values_mut().zip(&counted).for_each(|(left, counted)| *left -= counted);
        if let Some(left) = &mut remaining.nodes {
            *left -= 1;
        }
        if let Some(left) = &mut remaining.usd_per_hour {
            left.0 -= choice.bought.spend().0;
        }
        for id in choice.reservations() {
            *self.reserved.entry(id).or_default() += 1;
        }
    }
}

impl Choice<'_> {
    fn is_exotic(&self) -> bool {
        self.bought.offers.first().is_some_and(|(kind, _)| is_exotic(kind))
    }

    fn reservations(&self) -> BTreeSet<Arc<str>> {
        let named = self.bought.offers.iter().filter_map(|(_, offering)| offering.reservation.as_ref());
        named.map(|reservation| reservation.id.clone()).collect()
    }

    /// Whether it takes no more of anything.
    fn takes_less(&self, pool: &PoolModel, other: &Self) -> bool {
        let counted = |of: &Self| most_counted(pool, of.bought.offers.iter().map(|(kind, _)| *kind));
        self.bought.spend() <= other.bought.spend()
            && self.reservations().is_subset(&other.reservations())
            && counted(self).iter().zip(&counted(other)).all(|(this, other)| this <= other)
    }
}

/// Those that no cheaper one can stand for.
fn undominated<'p>(pool: &PoolModel, choices: Vec<Choice<'p>>) -> Vec<Choice<'p>> {
    let mut kept: Vec<Choice<'p>> = Vec::new();
    for choice in choices {
        if !kept.iter().any(|cheaper| cheaper.takes_less(pool, &choice)) {
            kept.push(choice);
        }
    }
    kept
}
