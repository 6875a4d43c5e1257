//! The first level of the master: as few pods left as can be, of one priority after another.
//!
//! Where limits, reservations or nodes that exist are short, the order in which pods are tried decides which of them are
//! left. Here the columns do: pods of higher priorities keep their places at a price that no place is worth, those of lower
//! ones are not there, and a pod left of the priority at stake costs more than all nodes. Money decides among equals, so that
//! the level below has a good start.

use std::cell::Cell;
use std::time::Duration;

use super::Solution;
use super::bound::Values;
use super::bound::spread::{Spread, spreads};
use super::columns::{self, TimeLeft, Work};
use super::greedy::{self, Variants, Worked};
use super::integer::{CarryOut, guide, values};
use super::reduce::{Domains, Reduction, Wanted, ZoneCounts, domain_of};
use super::sets::RequirementSets;
use crate::model::{Group, KeyId, Keys, Problem};
use crate::units::MicroUsd;

/// A pod of a higher priority left counts as so many of the priority at stake at most.
const MOST_FOR_ONE: f64 = 1_000.0;

/// A pod left costs so many times what all nodes do: by how much prices blur what is proven.
const DEARER: f64 = 20.0;

/// Of which pods as few as can be are to be left.
#[derive(Clone, Copy)]
pub struct AtStake<'s> {
    pub priority: i32,
    /// What the first solution costs.
    pub known: MicroUsd,
    /// A group whose pods nothing can hold, whatever the plan.
    pub is_hopeless: &'s dyn Fn(usize) -> bool,
}

/// What the search has found out.
pub enum News<'n> {
    /// What carries the packing out, and what it comes to is for the caller to compare; with how far preferences are relaxed, by
    /// group.
    Packing(CarryOut<'n>, &'n [usize]),
    /// What pods and limits are worth, where leaving a pod of the priority costs a dollar.
    Values(Values),
}

/// Looks for ways to leave fewer pods of a priority than `first` does.
pub fn search<'p>(
    problem: &'p Problem,
    (first, worked): (&Solution, &Worked<'p>),
    AtStake { priority, known, is_hopeless }: AtStake<'_>,
    work: Work,
    (time, all_time): (TimeLeft, Duration),
    sink: &mut dyn FnMut(News),
) {
    let mut steps = worked.steps.clone();
    let also = candidates(problem, first, (priority, is_hopeless), &mut steps);
    let zones = ZoneCounts::new();
    let wanted = Wanted { first, steps: &steps, zones: &zones, at_stake: Some(priority), also: &also };
    if also.is_empty() {
        return;
    }
    let Some(reduction) = Reduction::of(problem, wanted) else { return };
    let instance = &reduction.instance;
    let has_place = |item: usize| instance.classes.iter().any(|class| class.items.binary_search(&item).is_ok());
    let at_stake: Vec<usize> = (0..instance.items.len()).filter(|&i| reduction.at_stake[i] && has_place(i)).collect();
    if at_stake.is_empty() {
        return;
    }
    let is_done = Cell::new(false);
    let left_time = || if is_done.get() { 0.0 } else { time() };
    let (one, leaving) = leaving(&reduction, &at_stake, known);
    let start = columns::Start { leaving, all_time: Some(all_time), ..columns::Start::default() };
    columns::solve(instance, &start, work, &left_time, &mut |news| match news {
        columns::News::Packing(packed) => {
            let left = instance.left_by(packed);
            is_done.set(left.iter().all(|left| *left == 0));
            let mut carry_out = || greedy::guided(problem, guide(&reduction, packed, &steps), worked, &|| false);
            sink(News::Packing(&mut carry_out, &steps));
        }
        columns::News::Values(duals) => {
            let mut values = values(problem, &reduction, duals);
            let of_pods = values.pods.iter_mut().flatten().map(|(_, usd)| usd);
            of_pods.chain(values.limits.iter_mut().map(|(_, usd)| usd)).for_each(|usd| *usd /= one);
            sink(News::Values(values));
        }
        columns::News::Columns(..) => {}
    });
}

/// The pods left of the priority that nothing ties to others but rules over hosts and a spread over zones of their own, with a
/// zone where they need one. Preferences of groups of which no pod is placed are relaxed all the way; those of others as far as
/// for the pods that are.
fn candidates(
    problem: &Problem,
    first: &Solution,
    (priority, is_hopeless): (i32, &dyn Fn(usize) -> bool),
    steps: &mut [usize],
) -> Vec<(usize, Domains)> {
    let (zones, spreads) = spreads(problem);
    let mut variants = Variants::new(problem);
    let mut sets = RequirementSets::default();
    let mut also = Vec::new();
    for (group, model) in problem.groups.iter().enumerate() {
        let left = model.pods.iter().filter(|pod| first.unplaced.binary_search(pod).is_ok());
        let left: Vec<usize> = left.copied().collect();
        let is_tied = || required_keys(problem, model).any(|key| Some(key) != zones || spreads[group].is_none());
        if left.is_empty()
            || model.spec().priority != priority
            || is_hopeless(group)
            || model.minds_daemons
            || is_tied()
        {
            continue;
        }
        while left.len() == model.pods.len() && variants.at(problem, &mut sets, group, steps[group] + 1).is_some() {
            steps[group] += 1;
        }
        match zones.zip(spreads[group].as_ref()) {
            None => also.extend(left.into_iter().map(|pod| (pod, Domains::new()))),
            Some((key, spread)) => also.extend(spread_out(problem, first, model, (key, spread), &left)),
        }
    }
    also.sort_unstable();
    also
}

/// The keys other than the hostname of the rules that tie the group's pods to others.
fn required_keys(problem: &Problem, group: &Group) -> impl Iterator<Item = KeyId> {
    let own = group.carried.iter().filter(|placement| placement.source.is_required(group.spec()));
    let own = own.map(|placement| placement.topology);
    let others = group.counted.iter().chain(&group.forbidden_by).copied();
    let hard = others.filter(|&topology| problem.topologies[topology].hard);
    own.chain(hard).map(|topology| problem.topologies[topology].key).filter(|key| *key != Keys::HOST)
}

/// One pod after another goes to the zone that has least of those that have it.
fn spread_out(
    problem: &Problem,
    first: &Solution,
    group: &Group,
    (key, spread): (KeyId, &Spread),
    left: &[usize],
) -> Vec<(usize, Domains)> {
    let mut counts = spread.residents.clone();
    let placed = first.placements.iter().filter(|(pod, _)| group.pods.binary_search(pod).is_ok());
    for zone in placed.filter_map(|(_, place)| domain_of(problem, first, *place, key)) {
        counts[zone] += 1;
    }
    let mut next = || {
        let zone = (0..counts.len()).filter(|&zone| spread.is_domain[zone]).min_by_key(|&zone| counts[zone])?;
        counts[zone] += 1;
        Some(vec![(key, zone)])
    };
    left.iter().filter_map(|&pod| Some((pod, next()?))).collect()
}

/// What it costs to leave a pod of the priority at stake out, and a pod of each item, dollars.
#[allow(clippy::cast_precision_loss)] // floats propose
fn leaving(reduction: &Reduction, at_stake: &[usize], known: MicroUsd) -> (f64, Vec<f64>) {
    let instance = &reduction.instance;
    let alone = columns::alone(instance);
    let pods: f64 = at_stake.iter().map(|&item| f64::from(instance.items[item].demand)).sum();
    let dearest = alone.iter().copied().filter(|alone| alone.is_finite()).fold(0.0, f64::max);
    let one = DEARER * (known.as_usd() + dearest) + 1e-3;
    let above = one * (pods + 1.0).min(MOST_FOR_ONE);
    (one, reduction.at_stake.iter().map(|at_stake| if *at_stake { one } else { above }).collect())
}
