//! Column generation: which patterns of pods to put on which bins, and how many of each.
//!
//! The problem in numbers ([`instance`]); filling one bin quickly ([`fill`]); how much all of them could hold ([`rate`]);
//! pricing ([`price`], which asks [`super::knapsack`]); the loop with the master LP ([`generate`]); whole bins ([`round`]);
//! trying everything where there are few pods ([`exact`]). Floats propose; what is called proven is integer arithmetic
//! elsewhere.
#![allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)] // floats are proposals

pub mod exact;
mod fill;
mod generate;
pub mod instance;
mod parts;
mod polish;
mod price;
pub mod program;
mod rate;
mod round;
mod route;

use std::cell::RefCell;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use generate::{Effort, End, Generator, resource_prices};
use instance::{Bin, Class, Duals, Instance, Packing, Pattern, usd};
use rate::{Exact, Rater};

/// How far the search goes, besides its wish to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    pub pace: Pace,
    /// Rounds of column generation.
    pub rounds: usize,
    /// Rounds at each step of the dive.
    pub dive_rounds: usize,
    /// Cells of a pricing table by dimension (cpu, memory).
    pub cells: [usize; 2],
    /// Steps of the search for a better filling of one bin, once quick pricing finds nothing.
    pub search_steps: usize,
    /// Steps of the search that tries everything, where there are few pods.
    pub exact_steps: usize,
    /// Ways to deal few pods over nodes that are carried out.
    pub ways: usize,
}

/// By what a search shares its work out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Pace {
    /// By the time that is left: as good an answer as the time allows.
    Time,
    /// By work alone: the same answer whatever the time it takes. A deadline only cuts it off.
    Work,
}

/// Of no more pods than this every packing that could be cheaper is tried.
pub const FEW_PODS: u32 = 100;

/// More than anybody has time for.
const UNLIMITED: usize = 1_000_000_000;

impl Work {
    /// As much as the time allows.
    pub const IN_TIME: Self = Self {
        pace: Pace::Time,
        rounds: 2_000,
        dive_rounds: 3,
        cells: [160, 320],
        search_steps: 2_000,
        exact_steps: UNLIMITED,
        ways: UNLIMITED,
    };

    /// The same answer on every machine: rounds and steps that take about as long as [`Work::IN_TIME`] is given.
    pub const LIMITED: Self =
        Self { pace: Pace::Work, rounds: 200, exact_steps: 1_000_000, ways: 1_500, ..Self::IN_TIME };

    /// Of one set of nodes among many that are tried.
    pub const OF_A_TRIAL: Self =
        Self { rounds: 20, search_steps: 300, exact_steps: 20_000, ways: 100, ..Self::LIMITED };

    /// What takes minutes to prove: finer tables and longer searches than a cluster can wait for.
    pub const OFFLINE: Self = Self {
        rounds: 100_000,
        cells: [320, 640],
        search_steps: 100_000,
        exact_steps: 100_000_000,
        ways: 100_000,
        ..Self::IN_TIME
    };
}

/// Packings before the master is solved for the first time, and then at its duals.
const PRICED_PACKINGS: usize = 6;
/// Of many kinds of pods that have been packed by routes before.
const ROUTED_AND_PRICED: usize = 2;
const MASTER_PACKINGS: usize = 8;
/// With more items than this a round of the master takes longer than several packings.
const MANY_ITEMS: usize = 600;
/// Bins that get the best prices of their room before a packing. Of many items each price takes long, and the prices follow the packings
/// anyway: 20,000 pods of 1,108 kinds are packed six times while the second of the former takes its prices, and come out cheaper.
const EXACT_AT_FIRST: Exact = Exact::first(64);
const EXACT_OF_MANY: Exact = Exact { bins: 16, close: 1e-2 };

/// Rounds of column generation before the first dive: a dive takes longer the more columns there are.
const FIRST_ROUNDS: usize = 12;
/// Of a dive, where nothing is whole: one in so many fractions is rounded up at a time.
const SLICES: [usize; 3] = [8, 24, 3];
/// Time kept for the last dive, and for column generation between dives, in dives; and the least of the latter.
const LAST_DIVE: f64 = 1.5;
const BETWEEN_DIVES: f64 = 2.0;
const LEAST_TURN: f64 = 0.05;

/// A search ends when the best packing costs no more than this above the bound: what is left is rounding.
const CLOSE_ENOUGH: f64 = 1.0 + 1e-6;

/// A packing is as good as an earlier one up to this part of its price and a node for the pods that
/// changed; rounds before a search from scratch.
const AS_NEAR: f64 = 1.0 + 1e-4;
const FROM_BEFORE_ROUNDS: usize = 12;
/// A carried packing that costs so much for what its pods are worth, or duals that overcharge a bin so much, are no measure: they
/// are of a few pods, for which a search is short, or not from a search at all.
const BELIEVED: f64 = 1.25;

/// How much of its time a search has left: from 1 down to 0, where it is to stop. It has no clock of its own; what is
/// limited by its work alone always has 1 left.
pub type TimeLeft<'t> = &'t dyn Fn() -> f64;

/// What every part of the search needs to know.
#[derive(Clone, Copy)]
struct Task<'t> {
    instance: &'t Instance,
    /// Prices of room by class and dimension.
    weights: &'t [Vec<f64>],
    /// What it costs to leave a pod of each item out, dollars.
    leaving: &'t [f64],
    rater: &'t RefCell<Rater>,
    work: Work,
    /// What all of the time is, where it is limited: HiGHS has a clock of its own.
    all_time: Option<Duration>,
    /// Of a larger instance: a better packing is sought quickly or not at all.
    is_part: bool,
    stop: &'t dyn Fn() -> bool,
}

/// What a search has found out.
#[derive(Clone, Copy)]
pub enum News<'n> {
    /// Bins that cover every demand as far as the rows allow, better than those before.
    Packing(&'n Packing),
    /// What a pod of each item is worth, and what all of each row: nothing packs all pods for much less than what they are
    /// worth together less what the rows are.
    Values(&'n Duals),
    /// What the search ended with: its columns, what things are worth, and the ratio that it was content with
    /// ([`Start::ratio`]), if it was.
    Columns(&'n [Pattern], &'n Duals, Option<f64>),
}

/// What is known before a search.
#[derive(Debug, Clone, Default)]
pub struct Start {
    /// A packing of other pods; each pattern fits its bin.
    pub packing: Packing,
    pub columns: Vec<Pattern>,
    /// Of an item of which nothing is known not a number; empty where nothing is known at all.
    pub duals: Duals,
    /// What the packing of the last whole search cost for what its pods were worth.
    pub ratio: f64,
    /// What resources are worth, dollars a unit by class and dimension; empty where that is to be found out.
    pub weights: Vec<Vec<f64>>,
    /// What it costs to leave a pod of each item out, dollars; empty where that is more than any way to place it.
    pub leaving: Vec<f64>,
    /// What all of the time is, of which the search is told how much is left.
    pub all_time: Option<Duration>,
}

/// Why a search ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Its time or work was over, or nothing is left to be found.
    Searched,
    /// Its packing costs hardly more, for what its pods are worth, than the one of the last whole search.
    AsNear,
}

/// Bins that cover every demand as far as the rows allow, the best that was found until it is to stop; `sink` gets each
/// improvement.
///
/// Packings at smoothed duals and one dive first, for an answer; then rounds of column generation and dives by turns, until
/// nothing improves. Between two dives lies at least twice the time that a dive takes, and the last one begins while there
/// is time for it.
pub fn solve(instance: &Instance, start: &Start, work: Work, time: TimeLeft, sink: &mut dyn FnMut(News)) -> Ended {
    search(instance, start, (work, false), time, sink)
}

fn search(
    instance: &Instance,
    start: &Start,
    (work, is_part): (Work, bool),
    time: TimeLeft,
    sink: &mut dyn FnMut(News),
) -> Ended {
    let all = || if time() > 0.0 { 1.0 } else { 0.0 };
    let time = if work.pace == Pace::Work { &all } else { time };
    let stop = || time() <= 0.0;
    // of another instance where a dimension came or went with a rule over hosts
    let is_known =
        start.weights.len() == instance.classes.len() && start.weights.iter().all(|of| of.len() == instance.dims);
    let (values, weights) = if is_known {
        (round::resource_values(instance, &start.weights), start.weights.clone())
    } else {
        resource_values(instance)
    };
    let alone = alone(instance);
    let leaving = if start.leaving.is_empty() { leaving(&alone, &values) } else { start.leaving.clone() };
    let center = Duals { items: values, rows: vec![0.0; instance.rows.len()] };
    let demands = instance.demands();
    let rater = RefCell::new(Rater::new(instance, &weights));
    let mut best = Best { instance, leaving: &leaving, price: f64::INFINITY, packing: Packing::new(), sink };
    let all_time = start.all_time.filter(|_| work.pace == Pace::Time);
    let task =
        Task { all_time, instance, weights: &weights, leaving: &leaving, rater: &rater, work, is_part, stop: &stop };
    if !start.packing.is_empty()
        && from_before(&task, &demands, start, (&center, &alone), &mut best) == Some(Ended::AsNear)
    {
        return Ended::AsNear;
    }
    let is_routed = demands.len() > MANY_ITEMS && route::routed(&task, time, &mut best);
    let packings = if is_routed { ROUTED_AND_PRICED } else { PRICED_PACKINGS };
    let Some(mut columns) = priced_packings(&task, &demands, (&center, packings), &mut best) else {
        return Ended::Searched;
    };
    if demands.len() > MANY_ITEMS && instance.left_by(&best.packing).iter().all(|left| *left == 0) {
        let packing = best.packing.clone();
        return parts::improve(&task, packing, time, &mut best);
    }
    columns.extend(start.columns.iter().cloned());
    let Some(mut generator) = Generator::new(&task, &demands, columns, &center) else { return Ended::Searched };
    if demands.len() <= MANY_ITEMS && master_packings(&mut generator, &mut best, &stop).is_none() {
        return Ended::Searched;
    }
    by_turns(&task, &mut generator, time, &mut best);
    if demands.iter().sum::<u32>() <= FEW_PODS && !stop() && !best.is_optimal(generator.bound) {
        // the bound, and the ways to place the pods by other rules, are still to be looked for
        let end = if work.pace == Pace::Time { time() / 4.0 } else { 0.0 };
        best.finish(&generator.center, work.exact_steps, &|| time() <= end);
    }
    (best.sink)(News::Columns(&generator.columns, &generator.center, None));
    Ended::Searched
}

/// What pods are worth by their resources, dollars by item; and what resources are, by class and dimension.
#[must_use]
pub fn resource_values(instance: &Instance) -> (Vec<f64>, Vec<Vec<f64>>) {
    let weights: Vec<Vec<f64>> = (0..instance.classes.len()).map(|class| resource_prices(instance, class)).collect();
    (round::resource_values(instance, &weights), weights)
}

/// The packing that the search starts from, cut to what there is to pack now, and the rest packed at the values that pods had;
/// then a few rounds of column generation and a dive. `None` where there was no time. `alone`: what a pod of each item costs
/// alone.
fn from_before(
    task: &Task,
    demands: &[u32],
    start: &Start,
    (center, alone): (&Duals, &[f64]),
    best: &mut Best,
) -> Option<Ended> {
    let Task { instance, rater, stop, .. } = *task;
    let mut duals = start.duals.clone();
    for (dual, resources) in duals.items.iter_mut().zip(&center.items) {
        if !dual.is_finite() {
            *dual = *resources;
        }
    }
    let (mut packed, left, rows) = round::as_far_as_wanted(instance, &start.packing, demands);
    drop(rater.borrow_mut().rate(instance, &duals, &left, EXACT_AT_FIRST));
    let weights = rater.borrow().weights(instance);
    let ratio = if start.ratio < BELIEVED && overcharge(task, &duals, demands) < BELIEVED { start.ratio } else { 0.0 };
    packed.extend(round::one_by_one(instance, &left, &duals, &weights, &rows, stop));
    if stop() {
        return None;
    }
    best.offer(&packed);
    let allowed = duals.worth(demands) * ratio * AS_NEAR + rounding(start, demands, alone);
    let mut columns = start.columns.clone();
    if best.price > allowed {
        columns.extend(packed.into_iter().map(|(pattern, _)| pattern));
        let mut generator = Generator::new(task, demands, columns, &duals)?;
        generator.run(FROM_BEFORE_ROUNDS, Effort::Quick, stop)?;
        best.offer(&round::dive(task, &generator, SLICES[0]));
        columns = generator.columns;
    }
    if best.price > allowed || ratio == 0.0 {
        return Some(Ended::Searched);
    }
    (best.sink)(News::Values(&duals));
    (best.sink)(News::Columns(&columns, &duals, Some(start.ratio)));
    Some(Ended::AsNear)
}

/// By how much these duals overcharge a bin that can be bought, at most, at first sight.
fn overcharge(task: &Task, duals: &Duals, demands: &[u32]) -> f64 {
    let Task { instance, rater, .. } = *task;
    let rated = rater.borrow_mut().rate(instance, duals, demands, EXACT_AT_FIRST);
    let bought = rated.iter().filter(|rated| instance.supply(rated.of(instance)).is_none());
    bought.map(|rated| rated.most / instance.price(rated.of(instance), duals)).fold(1.0, f64::max)
}

/// Packings at prices that follow what things cost in the packing before: they take no LP. Returns their patterns; `None` where
/// there was no time for one.
fn priced_packings(
    task: &Task,
    demands: &[u32],
    (center, packings): (&Duals, usize),
    best: &mut Best,
) -> Option<Vec<Pattern>> {
    let Task { instance, rater, stop, .. } = *task;
    let mut start: Vec<Pattern> = Vec::new();
    let mut cheapest: Option<Packing> = None;
    let mut duals = center.clone();
    let exact = if demands.len() > MANY_ITEMS { EXACT_OF_MANY } else { EXACT_AT_FIRST };
    for _ in 0..packings {
        drop(rater.borrow_mut().rate(instance, &duals, demands, exact));
        let weights = rater.borrow().weights(instance);
        let other = round::one_by_one(instance, demands, &duals, &weights, &instance.capacities(), stop);
        if stop() {
            break;
        }
        round::follow(instance, &other, &mut duals);
        start.extend(other.iter().map(|(pattern, _)| pattern.clone()));
        best.keep_cheaper(&mut cheapest, other);
    }
    best.offer(&cheapest?);
    Some(start)
}

/// Packings at the duals of the first rounds of the master; `None` where HiGHS fails.
fn master_packings(generator: &mut Generator, best: &mut Best, stop: &dyn Fn() -> bool) -> Option<()> {
    let mut cheapest = None;
    let mut is_sound = Some(());
    for _ in 0..MASTER_PACKINGS {
        best.keep_cheaper(&mut cheapest, generator.pack());
        if stop() {
            break;
        }
        is_sound = generator.run(1, Effort::Quick, stop).map(|_| ());
        if is_sound.is_none() {
            break;
        }
    }
    if let Some(packed) = cheapest {
        best.offer(&packed);
    }
    is_sound
}

/// Column generation and dives by turns, until nothing improves.
fn by_turns(task: &Task, generator: &mut Generator, time: TimeLeft, best: &mut Best) {
    let Task { work, stop, .. } = *task;
    let (mut dive_time, mut proven) = (0.0, 0.0);
    let mut effort = Effort::Quick;
    let mut slices = SLICES.iter().cycle();
    for turn in 0.. {
        let rounds = work.rounds.saturating_sub(generator.rounds);
        let before = time();
        let is_time_to_dive =
            || stop() || time() < LAST_DIVE * dive_time || before - time() > BETWEEN_DIVES * dive_time + LEAST_TURN;
        let rounds = if turn == 0 { FIRST_ROUNDS.min(rounds) } else { rounds };
        let pause: &dyn Fn() -> bool = if turn == 0 { stop } else { &is_time_to_dive };
        let Some(end) = generator.run(rounds, effort, pause) else { return };
        if generator.bound > proven * CLOSE_ENOUGH {
            proven = generator.bound;
            (best.sink)(News::Values(&generator.center));
        }
        let is_last = end == End::Converged && effort == Effort::Thorough
            || generator.rounds >= work.rounds
            || time() < LAST_DIVE * dive_time;
        for &slices in slices.by_ref().take(if is_last { SLICES.len() } else { 1 }) {
            if stop() || best.is_optimal(generator.bound) {
                return;
            }
            let before = time();
            best.offer(&round::dive(task, generator, slices));
            dive_time = f64::max(before - time(), dive_time / 2.0);
        }
        if is_last && !task.is_part {
            let better = polish::polish(
                task,
                generator,
                (&best.packing, best.price),
                task.all_time.and_then(|all| Duration::try_from_secs_f64(all.as_secs_f64() * time()).ok()),
            );
            if let Some(packed) = better {
                best.offer(&packed);
            }
        }
        if is_last {
            return;
        }
        if end == End::Converged {
            effort = Effort::Thorough;
        }
    }
}

/// Hands over what is cheaper than everything before.
struct Best<'b> {
    instance: &'b Instance,
    leaving: &'b [f64],
    price: f64,
    packing: Packing,
    sink: &'b mut dyn FnMut(News<'_>),
}

impl Best<'_> {
    /// The cheaper one of the two.
    fn keep_cheaper(&self, known: &mut Option<Packing>, other: Packing) {
        if known.as_ref().is_none_or(|known| self.price(&other) < self.price(known)) {
            *known = Some(other);
        }
    }

    /// Tries everything that could be cheaper.
    fn finish(&mut self, duals: &Duals, steps: usize, stop: &dyn Fn() -> bool) {
        let known = (self.price * 1e6).ceil() as i64;
        if let Some((_, packing)) = exact::search(self.instance, duals, known, steps, stop).better {
            self.offer(&packing);
        }
    }

    fn is_optimal(&self, bound: f64) -> bool {
        self.price <= bound * CLOSE_ENOUGH
    }

    /// Dollars an hour, with what it costs to leave pods out.
    fn price(&self, packed: &Packing) -> f64 {
        let left = self.instance.left_by(packed);
        let left: f64 = left.iter().zip(self.leaving).map(|(n, cost)| f64::from(*n) * cost).sum();
        usd(cost(self.instance, packed)) + left
    }

    fn offer(&mut self, packed: &Packing) {
        let price = self.price(packed);
        if price < self.price - 1e-9 {
            self.price = price;
            self.packing.clone_from(packed);
            (self.sink)(News::Packing(packed));
        }
    }
}

/// What whole nodes may cost where other pods are to be packed than before: the dearest pod of those, alone.
fn rounding(start: &Start, demands: &[u32], alone: &[f64]) -> f64 {
    let mut before = vec![0_u64; demands.len()];
    for (pattern, times) in &start.packing {
        for &(item, count) in &pattern.counts {
            before[item] = before[item].saturating_add(u64::from(count) * u64::from(*times));
        }
    }
    let changed = demands.iter().zip(before).zip(alone).filter(|((now, before), _)| u64::from(**now) != *before);
    changed.map(|(_, alone)| *alone).filter(|alone| alone.is_finite()).fold(0.0, f64::max)
}

/// Dollars an hour of a new bin that holds a pod of each item: the cheapest that can be bought as often as wanted; where there is none,
/// the dearest of those that classes with a limit have to offer, as the cheaper ones may be used up.
pub fn alone(instance: &Instance) -> Vec<f64> {
    let cheapest = |class: &Class, item: usize, limited: bool| {
        let fits = |bin: &&Bin| instance.items[item].size.iter().zip(&bin.room).all(|(size, room)| size <= room);
        let new = class.bins.iter().filter(|bin| instance.supply(bin).is_none() && bin.uses.is_empty() != limited);
        new.filter(fits).map(|bin| usd(bin.cost)).fold(f64::INFINITY, f64::min)
    };
    let of = |item: usize| {
        let classes = || instance.classes.iter().filter(move |class| class.items.contains(&item));
        let unlimited = classes().map(|class| cheapest(class, item, false)).fold(f64::INFINITY, f64::min);
        let limited = classes().map(|class| cheapest(class, item, true)).filter(|price| price.is_finite());
        if unlimited.is_finite() { unlimited } else { limited.reduce(f64::max).unwrap_or(f64::INFINITY) }
    };
    (0..instance.items.len()).map(of).collect()
}

/// What it costs to leave a pod out: more than a bin of its own would, and than pods of its size cost otherwise.
fn leaving(alone: &[f64], values: &[f64]) -> Vec<f64> {
    let dear = |(alone, value): (&f64, &f64)| 2.0 * if alone.is_finite() { *alone } else { 0.0 } + 10.0 * value + 1e-3;
    alone.iter().zip(values).map(dear).collect()
}

/// Micro-dollars an hour.
fn cost(instance: &Instance, packed: &Packing) -> i64 {
    packed.iter().map(|(pattern, times)| instance.cost(pattern) * i64::from(*times)).sum()
}

#[cfg(test)]
mod tests;
